//! Which rates are tried: twice as many each time, until the objective breaks; then the middle between the last that kept it
//! and the first that did not, until they are close.
//!
//! A rate counts as broken when it broke twice: a machine has other things to do now and then.

/// When the two ends are as close as this, in percent of the lower one, it is over.
const CLOSE_PERCENT: u32 = 5;

/// A search that is under way.
#[derive(Debug, Clone)]
pub struct Search {
    most: u32,
    /// The highest rate that kept the objective.
    good: u32,
    /// The lowest that broke it.
    bad: Option<u32>,
    next: u32,
    /// Whether `next` broke once already.
    again: bool,
}

impl Search {
    /// From `first` up, to `most`; both at least 1.
    pub fn new(first: u32, most: u32) -> Self {
        let most = most.max(1);
        Self { most, good: 0, bad: None, next: first.clamp(1, most), again: false }
    }

    /// The rate to try next; nothing when it is over.
    pub fn next(&self) -> Option<u32> {
        let is_open = match self.bad {
            None => self.good < self.most,
            Some(bad) => bad - self.good > (self.good / 100 * CLOSE_PERCENT).max(1),
        };
        is_open.then_some(self.next)
    }

    /// What came of that rate.
    pub fn tell(&mut self, kept: bool) {
        if !kept && !self.again {
            self.again = true;
            return;
        }
        self.again = false;
        if kept {
            self.good = self.next;
        } else {
            self.bad = Some(self.next);
        }
        self.next = match self.bad {
            None => self.next.saturating_mul(2).min(self.most),
            // Without any that kept it, a fourth each time: there may be none.
            Some(bad) if self.good == 0 => (bad / 4).max(1),
            Some(bad) => self.good + (bad - self.good).div_ceil(2),
        };
    }

    /// The highest rate that kept the objective, if any did.
    pub fn sustained(&self) -> Option<u32> {
        (self.good > 0).then_some(self.good)
    }

    /// The lowest rate that broke it, if any did.
    pub fn broken(&self) -> Option<u32> {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The search for a server that bears `bears` a second; the rates that were tried.
    fn tried(bears: u32, first: u32, most: u32) -> (Search, Vec<u32>) {
        let mut search = Search::new(first, most);
        let mut tried = Vec::new();
        while let Some(rate) = search.next() {
            tried.push(rate);
            assert!(tried.len() < 100, "it does not end: {tried:?}");
            search.tell(rate <= bears);
        }
        (search, tried)
    }

    #[test]
    fn it_doubles_and_then_halves_what_is_left() {
        let (search, rates) = tried(1_000, 100, 50_000);
        assert_eq!(rates[..6], [100, 200, 400, 800, 1_600, 1_600]);
        assert_eq!(rates[6..8], [1_200, 1_200]);
        let sustained = search.sustained().unwrap();
        assert!((950..=1_000).contains(&sustained), "{sustained}");
        assert!(search.broken().unwrap() > 1_000);
    }

    #[test]
    fn it_ends_wherever_the_knee_is() {
        for bears in [0, 1, 2, 3, 7, 99, 100, 101, 49_999, 50_000, u32::MAX] {
            for first in [1, 100, 50_000, u32::MAX] {
                let (search, rates) = tried(bears, first, 50_000);
                let sustained = search.sustained().unwrap_or(0);
                assert!(sustained <= bears && rates.iter().all(|rate| (1..=50_000).contains(rate)));
                let expected = bears.min(50_000);
                assert!(sustained + sustained / 20 + 1 >= expected, "{bears} from {first}: {sustained}");
            }
        }
    }

    #[test]
    fn one_bad_moment_does_not_count() {
        let mut search = Search::new(100, 400);
        search.tell(false);
        assert_eq!(search.next(), Some(100));
        search.tell(true);
        assert_eq!((search.next(), search.broken()), (Some(200), None));
        search.tell(true);
        search.tell(true);
        assert_eq!((search.next(), search.sustained()), (None, Some(400)));
    }
}
