//! Whether an application server is fit for requests, from what became of the last ones and from checks.
//!
//! Pure: time comes in. Whoever fails several times in a row is out for a while, longer each time, bounded; after that
//! one request tries it, and the others wait for what becomes of that one.

use std::time::Duration;

/// Failures in a row after which one is out.
pub(super) const FAILURES_MOST: u32 = 3;

/// How long one is out the first time; then twice as long each time.
const OUT_FIRST: Duration = Duration::from_secs(1);

/// The longest that one is out.
const OUT_MOST: Duration = Duration::from_secs(60);

/// Checks in a row that fail before one is out; a single one that succeeds brings it back.
const CHECKS_MOST: u32 = 2;

/// How one is.
#[derive(Debug, Default)]
pub(super) struct Health {
    failures: u32,
    /// How often it was out without having served since.
    outs: u32,
    /// Until when it is out, on the balance's clock.
    until: Option<Duration>,
    /// Somebody is trying it.
    trial: bool,
    checks_failed: u32,
}

/// What has changed for the others to know.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(in crate::services::web) enum Change {
    /// It gets no requests for so long.
    Out(Duration),
    /// It gets none until a check succeeds.
    OutByCheck,
    /// It gets requests again.
    Back,
}

/// How it stands, for whoever asks.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Standing {
    /// It gets requests.
    In,
    /// It is out for so much longer.
    Out(Duration),
    /// Its time is over, and the next request tries it, or one is just trying it.
    OnTrial,
    /// Its checks fail.
    FailsChecks,
}

impl Health {
    pub(super) fn standing(&self, now: Duration) -> Standing {
        if self.checks_failed >= CHECKS_MOST {
            return Standing::FailsChecks;
        }
        match self.until {
            None => Standing::In,
            Some(until) if now < until => Standing::Out(until.saturating_sub(now)),
            Some(_) => Standing::OnTrial,
        }
    }

    /// Whether it is to get a request.
    pub(super) fn is_fit(&self, now: Duration) -> bool {
        match self.standing(now) {
            Standing::In => true,
            Standing::OnTrial => !self.trial,
            Standing::Out(_) | Standing::FailsChecks => false,
        }
    }

    /// It gets one.
    pub(super) fn asked(&mut self) {
        self.trial = self.until.is_some();
    }

    /// Nothing is known of what became of it.
    pub(super) fn given_up(&mut self) {
        self.trial = false;
    }

    /// It answered.
    pub(super) fn answered(&mut self) -> Option<Change> {
        let was_out = self.until.is_some();
        (self.failures, self.outs, self.until, self.trial) = (0, 0, None, false);
        (was_out && self.checks_failed < CHECKS_MOST).then_some(Change::Back)
    }

    /// It did not.
    pub(super) fn failed(&mut self, now: Duration) -> Option<Change> {
        self.trial = false;
        self.failures = self.failures.saturating_add(1);
        let is_out = self.until.is_some_and(|until| now < until);
        // Who is asked while out, because nobody else was left, is not out for longer by that.
        if is_out || self.failures < FAILURES_MOST {
            return None;
        }
        let out = OUT_FIRST.saturating_mul(1 << self.outs.min(16)).min(OUT_MOST);
        self.outs += 1;
        self.until = Some(now + out);
        Some(Change::Out(out))
    }

    /// A check came to its end.
    pub(super) fn checked(&mut self, is_well: bool) -> Option<Change> {
        let was_out = self.checks_failed >= CHECKS_MOST;
        if is_well {
            self.checks_failed = 0;
            // What the requests say counts for itself.
            return (was_out && self.until.is_none()).then_some(Change::Back);
        }
        self.checks_failed = self.checks_failed.saturating_add(1);
        (!was_out && self.checks_failed >= CHECKS_MOST).then_some(Change::OutByCheck)
    }

    /// Whether it was left out, or is on trial.
    pub(super) fn was_out(&self) -> bool {
        self.until.is_some() || self.checks_failed >= CHECKS_MOST
    }

    /// The same on another clock, which is at the second of `clocks` when this one's is at the first. Whoever is trying it is not
    /// heard of there.
    pub(super) fn carried(&self, (here, there): (Duration, Duration)) -> Self {
        let until = self.until.map(|until| there.saturating_add(until.saturating_sub(here)));
        Self { until, trial: false, ..*self }
    }

    /// Failures since it answered last.
    pub(super) fn failures_in_a_row(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn fail(health: &mut Health, times: u32, now: Duration) -> Option<Change> {
        (0..times).fold(None, |_, _| health.failed(now))
    }

    #[test]
    fn failures_in_a_row_put_one_out_and_an_answer_between_does_not() {
        let mut health = Health::default();
        assert_eq!(fail(&mut health, FAILURES_MOST - 1, START), None);
        assert_eq!(health.answered(), None);
        assert_eq!(fail(&mut health, FAILURES_MOST - 1, START), None);
        assert!(health.is_fit(START));
        assert_eq!(fail(&mut health, 1, START), Some(Change::Out(OUT_FIRST)));
        assert!(!health.is_fit(START));
        assert_eq!(health.standing(START), Standing::Out(OUT_FIRST));
    }

    #[test]
    fn one_request_tries_who_was_out_and_the_time_grows_to_its_bound() {
        let mut health = Health::default();
        let mut now = START;
        let mut outs = vec![fail(&mut health, FAILURES_MOST, now)];
        for _ in 0..9 {
            let Some(Change::Out(out)) = outs.last().copied().flatten() else { panic!("{outs:?}") };
            now += out;
            assert!(health.is_fit(now));
            health.asked();
            assert!(!health.is_fit(now), "only one tries");
            outs.push(health.failed(now));
        }
        let seconds: Vec<u64> = outs
            .iter()
            .map(|out| match out {
                Some(Change::Out(out)) => out.as_secs(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        now += OUT_MOST;
        health.asked();
        assert_eq!(health.answered(), Some(Change::Back));
        assert_eq!(fail(&mut health, FAILURES_MOST, now), Some(Change::Out(OUT_FIRST)), "it begins anew");
    }

    #[test]
    fn a_trial_that_came_to_nothing_lets_the_next_one_try() {
        let mut health = Health::default();
        fail(&mut health, FAILURES_MOST, START);
        health.asked();
        health.given_up();
        assert!(health.is_fit(OUT_FIRST));
    }

    #[test]
    fn who_fails_while_out_is_not_out_for_longer() {
        let mut health = Health::default();
        fail(&mut health, FAILURES_MOST, START);
        assert_eq!(fail(&mut health, 100, START), None);
        assert!(health.is_fit(OUT_FIRST));
    }

    #[test]
    fn checks_put_one_out_and_bring_it_back() {
        let mut health = Health::default();
        assert_eq!(health.checked(false), None);
        assert_eq!(health.checked(false), Some(Change::OutByCheck));
        assert_eq!(health.checked(false), None);
        assert_eq!((health.is_fit(START), health.standing(START)), (false, Standing::FailsChecks));
        assert_eq!(health.checked(true), Some(Change::Back));
        assert!(health.is_fit(START));
        assert_eq!(health.checked(false), None);
        assert_eq!(health.checked(true), None);
        assert_eq!(health.checked(false), None, "two in a row");
    }
}
