//! What was seen, added up: pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::certificates::{self, Certificate};
use super::{Probe, Symptom};

/// What users noticed of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Requests.
    pub requests: u64,
    /// Those that were answered well, late or not.
    pub served: u64,
    /// Those of the served that were later than `delayed_after_micros` after they were meant to begin.
    pub delayed: u64,
    /// What counts as late, in microseconds.
    pub delayed_after_micros: u64,
    /// Those that were not answered well.
    pub failed: u64,
    /// Why, the most frequent first.
    pub symptoms: Vec<Counted>,
    /// In which they were not; nothing if none failed.
    pub unavailable: Option<Window>,
    /// Half of the served waited no longer, in microseconds since they were meant to begin.
    pub p50_micros: u64,
    /// The same for 99 of 100.
    pub p99_micros: u64,
    /// The longest wait of one that was served.
    pub longest_micros: u64,
    /// 99 of 100 began no later than so many microseconds after they were meant to: much of it means that the prober itself, or
    /// its bounded number of connections, was late.
    pub begun_late_p99_micros: u64,
    /// When the change began and ended, in microseconds since the first request.
    pub change: Span,
    /// By which certificates it was asked, in the order in which they came; by plain HTTP and DNS none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// From when on all handshakes that were begun showed the last of them, in microseconds since the first request; nothing
    /// where there was only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewed_micros: Option<u64>,
}

/// How often one symptom was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Which.
    pub symptom: Symptom,
    /// How often.
    pub count: u64,
}

/// A time, in microseconds since the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Its begin.
    pub begins_micros: u64,
    /// Its end.
    pub ends_micros: u64,
}

impl Span {
    /// How long it is, in microseconds.
    pub fn micros(self) -> u64 {
        self.ends_micros.saturating_sub(self.begins_micros)
    }
}

/// From the first request that failed to the first one after the last that failed, by the times at which they were meant to
/// begin: who came in between could not rely on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Window {
    /// When.
    #[serde(flatten)]
    pub span: Span,
    /// Whether requests were served again after it.
    pub is_over: bool,
}

impl Account {
    /// Adds up `probes`, which are in the order in which they were meant to begin.
    pub fn of(probes: &[Probe], delayed_after_micros: u64, change: Span) -> Self {
        let mut waits: Vec<u64> =
            probes.iter().filter(|probe| probe.failed.is_none()).map(Probe::waited).collect();
        waits.sort_unstable();
        let mut late: Vec<u64> =
            probes.iter().map(|probe| probe.sent.saturating_sub(probe.intended)).collect();
        late.sort_unstable();
        let mut counts: BTreeMap<Symptom, u64> = BTreeMap::new();
        for symptom in probes.iter().filter_map(|probe| probe.failed) {
            *counts.entry(symptom).or_default() += 1;
        }
        let mut symptoms: Vec<Counted> =
            counts.into_iter().map(|(symptom, count)| Counted { symptom, count }).collect();
        symptoms.sort_by_key(|counted| std::cmp::Reverse(counted.count));
        let (requests, served) = (count(probes), count(&waits));
        let certificates = certificates::of(probes);
        Self {
            requests,
            served,
            delayed: count(&waits[waits.partition_point(|&wait| wait <= delayed_after_micros)..]),
            delayed_after_micros,
            failed: requests - served,
            symptoms,
            unavailable: window(probes),
            p50_micros: quantile(&waits, 50),
            p99_micros: quantile(&waits, 99),
            longest_micros: waits.last().copied().unwrap_or_default(),
            begun_late_p99_micros: quantile(&late, 99),
            change,
            renewed_micros: certificates::renewed(probes, &certificates),
            certificates,
        }
    }
}

fn count<T>(of: &[T]) -> u64 {
    u64::try_from(of.len()).unwrap_or(u64::MAX)
}

/// The least of `sorted` that so many of 100 are not above; 0 of none.
fn quantile(sorted: &[u64], of_100: usize) -> u64 {
    let rank = (sorted.len() * of_100).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn window(probes: &[Probe]) -> Option<Window> {
    let first = probes.iter().find(|probe| probe.failed.is_some())?;
    let last = probes.iter().rposition(|probe| probe.failed.is_some())?;
    let next = probes.get(last + 1);
    // What fails to the end has failed as long as it was seen to.
    let ends_micros = next.map_or(probes[last].ended, |next| next.intended);
    let span = Span { begins_micros: first.intended, ends_micros };
    Some(Window { span, is_over: next.is_some() })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One a millisecond: `s`erved, `d`elayed by 80 ms, `f`ailed by 502, `r`efused.
    pub(in crate::measure::downtime) fn probes(story: &str) -> Vec<Probe> {
        let probe = |(at, what): (usize, char)| {
            let intended = at as u64 * 1000;
            let (waited, failed) = match what {
                'd' => (80_000, None),
                'f' => (500, Some(Symptom::Status(502))),
                'r' => (100, Some(Symptom::Refused)),
                _ => (400, None),
            };
            Probe { intended, sent: intended, ended: intended + waited, failed, sealed: None }
        };
        story.chars().enumerate().map(probe).collect()
    }

    const CHANGE: Span = Span { begins_micros: 2_000, ends_micros: 6_000 };

    #[test]
    fn each_is_counted_once_and_the_window_is_from_first_to_last() {
        let account = Account::of(&probes("ssfrsffdss"), 50_000, CHANGE);
        assert_eq!((account.requests, account.served, account.delayed, account.failed), (10, 6, 1, 4));
        let symptoms: Vec<_> =
            account.symptoms.iter().map(|counted| (counted.symptom.to_string(), counted.count)).collect();
        assert_eq!(symptoms, [("502 Bad Gateway".to_owned(), 3), ("refused".to_owned(), 1)]);
        let window = account.unavailable.unwrap();
        assert_eq!((window.span.begins_micros, window.span.micros(), window.is_over), (2_000, 5_000, true));
        assert_eq!((account.p50_micros, account.p99_micros, account.longest_micros), (400, 80_000, 80_000));
    }

    #[test]
    fn what_loses_nothing_has_no_window_and_what_stays_away_no_end() {
        assert_eq!(Account::of(&probes("ssds"), 50_000, CHANGE).unavailable, None);
        let window = Account::of(&probes("ssrr"), 50_000, CHANGE).unavailable.unwrap();
        assert_eq!((window.span.micros(), window.is_over), (1_100, false));
        let none = Account::of(&[], 1, CHANGE);
        assert_eq!((none.requests, none.served, none.p99_micros, none.unavailable), (0, 0, 0, None));
    }

    #[test]
    fn exactly_so_late_is_not_late() {
        assert_eq!(Account::of(&probes("d"), 80_000, CHANGE).delayed, 0);
        assert_eq!(Account::of(&probes("d"), 79_999, CHANGE).delayed, 1);
    }

    #[test]
    fn waits_count_from_when_a_request_was_meant_to_begin() {
        let late = Probe { intended: 1_000, sent: 91_000, ended: 91_500, failed: None, sealed: None };
        let account = Account::of(&[late], 50_000, CHANGE);
        assert_eq!(
            (account.delayed, account.longest_micros, account.begun_late_p99_micros),
            (1, 90_500, 90_000)
        );
    }
}
