//! How long a client may yet take nothing of its answer: what it takes buys it time.
//!
//! Pure. Patience for each pause alone would let a client keep its place for ever, by taking a byte now and then.

use std::time::Duration;

/// The slowest that a client may send or take, in bytes a second: each byte buys so much more time, and no other.
pub(in crate::services::web) const SLOWEST: u64 = 1024;

/// The time that a client has left.
#[derive(Debug, Clone, Copy)]
pub(in crate::services::web) struct Credit {
    left: Duration,
    most: Duration,
}

impl Credit {
    /// `most`, of which there will never be more.
    pub(in crate::services::web) fn new(most: Duration) -> Self {
        Self { left: most, most }
    }

    /// What is left of it.
    pub(in crate::services::web) fn left(self) -> Duration {
        self.left
    }

    /// It was waited for so long.
    pub(in crate::services::web) fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }

    /// It took so many bytes.
    pub(in crate::services::web) fn earn(&mut self, bytes: u64) {
        let earned = Duration::from_micros(bytes.saturating_mul(1_000_000) / SLOWEST);
        self.left = self.left.saturating_add(earned).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_runs_out_and_a_slow_reader_does_not() {
        let second = Duration::from_secs(1);
        let (mut trickle, mut slow) = (Credit::new(30 * second), Credit::new(30 * second));
        for _ in 0..31 {
            trickle.earn(1);
            trickle.spend(second);
            slow.spend(second);
            slow.earn(SLOWEST);
        }
        assert_eq!(trickle.left(), Duration::ZERO);
        assert_eq!(slow.left(), 30 * second);
        slow.earn(u64::MAX);
        assert_eq!(slow.left(), 30 * second, "nobody saves up for a long silence");
    }
}
