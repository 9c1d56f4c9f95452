//! How long things took, counted by length: a fixed row of counters, and what can be told from it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest time that each counter but the last counts, in microseconds: from an answer out of memory to one that nobody
/// waits for.
pub const BOUNDS_MICROS: [u64; 20] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Counts times.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By bound; the last one is of those beyond all bounds.
    counts: [AtomicU64; BOUNDS_MICROS.len() + 1],
    sum_nanos: AtomicU64,
}

/// What a histogram had counted at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Distribution {
    /// How many, for each of [`BOUNDS_MICROS`] those above the bound before; and last those beyond all bounds.
    pub counts: Vec<u64>,
    /// How long all of them took together, in nanoseconds.
    pub sum_nanos: u64,
}

impl Histogram {
    /// Counts `count` things of which each took `time`: three additions, however many they are.
    pub fn observe(&self, time: Duration, count: u64) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let place = BOUNDS_MICROS.partition_point(|bound| bound * 1_000 < nanos);
        self.counts[place].fetch_add(count, Relaxed);
        self.sum_nanos.fetch_add(nanos.saturating_mul(count), Relaxed);
    }

    /// What was counted until now.
    pub fn read(&self) -> Distribution {
        Distribution {
            counts: self.counts.iter().map(|count| count.load(Relaxed)).collect(),
            sum_nanos: self.sum_nanos.load(Relaxed),
        }
    }
}

impl Distribution {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// With those of `other`.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let length = self.counts.len().max(other.counts.len());
        let at = |counts: &[u64], place| counts.get(place).copied().unwrap_or(0);
        Self {
            counts: (0..length)
                .map(|place| at(&self.counts, place).saturating_add(at(&other.counts, place)))
                .collect(),
            sum_nanos: self.sum_nanos.saturating_add(other.sum_nanos),
        }
    }

    /// What was counted since `earlier`; all of it where there was more then, since who counted was started anew.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let at = |place| earlier.counts.get(place).copied().unwrap_or(0);
        let pairs = || self.counts.iter().enumerate().map(|(place, &count)| (count, at(place)));
        if pairs().any(|(now, then)| now < then) {
            return self.clone();
        }
        Self {
            counts: pairs().map(|(now, then)| now - then).collect(),
            sum_nanos: self.sum_nanos.saturating_sub(earlier.sum_nanos),
        }
    }

    /// The time that `hundredths` of all did not exceed (50: the median), in microseconds, as far as the bounds allow to say:
    /// within two of them it is taken to be spread evenly, and beyond the last it is the last. Nothing where nothing was counted.
    pub fn percentile_micros(&self, hundredths: u64) -> Option<u64> {
        let all = self.count();
        let rank = u128::from(all) * u128::from(hundredths.min(100));
        let mut below: u128 = 0;
        for (place, &count) in self.counts.iter().enumerate() {
            let count = u128::from(count) * 100;
            if count > 0 && below + count >= rank {
                let last = BOUNDS_MICROS[BOUNDS_MICROS.len() - 1];
                let to = BOUNDS_MICROS.get(place).copied().unwrap_or(last);
                let from = place.checked_sub(1).and_then(|place| BOUNDS_MICROS.get(place).copied());
                let from = from.unwrap_or(0).min(to);
                let part = u128::from(to - from) * (rank - below) / count;
                return Some(from + u64::try_from(part).unwrap_or(0));
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[(u64, u64)]) -> Distribution {
        let histogram = Histogram::default();
        for &(nanos, count) in times {
            histogram.observe(Duration::from_nanos(nanos), count);
        }
        histogram.read()
    }

    #[test]
    fn a_time_is_counted_at_the_first_bound_that_it_does_not_exceed() {
        let counted = of(&[(0, 1), (5_000, 2), (5_001, 4), (10_000_000_000, 8), (10_000_000_001, 16)]);
        assert_eq!((counted.counts[0], counted.counts[1]), (3, 4));
        assert_eq!((counted.counts[19], counted.counts[20]), (8, 16));
        assert_eq!((counted.count(), counted.counts.len()), (31, 21));
        assert_eq!(counted.sum_nanos, 10_000 + 4 * 5_001 + 24 * 10_000_000_000 + 16);
        of(&[(u64::MAX, u64::MAX)]);
    }

    #[test]
    fn percentiles_are_within_the_bounds_that_they_are_known_by() {
        assert_eq!(of(&[]).percentile_micros(50), None);
        // A hundred between 50 and 100 µs: spread evenly.
        let even = of(&[(60_000, 100)]);
        assert_eq!([0, 50, 99, 100].map(|part| even.percentile_micros(part).unwrap()), [50, 75, 99, 100]);
        let two = of(&[(4_000, 99), (900_000, 1)]);
        assert_eq!((two.percentile_micros(50), two.percentile_micros(100)), (Some(2), Some(1_000)));
        assert_eq!(of(&[(99_000_000_000, 3)]).percentile_micros(50), Some(10_000_000));
        let many = Distribution { counts: vec![u64::MAX; 21], sum_nanos: 0 };
        assert!(many.percentile_micros(99).is_some());
    }

    #[test]
    fn a_difference_is_what_came_between_and_starts_anew_with_its_process() {
        let (early, late) = (of(&[(4_000, 2)]), of(&[(4_000, 5), (60_000, 1)]));
        assert_eq!(late.since(&early), of(&[(4_000, 3), (60_000, 1)]));
        assert_eq!(late.since(&Distribution::default()), late);
        assert_eq!(early.since(&late), early);
        assert_eq!(early.and(&late).count(), 8);
        assert_eq!(early.and(&Distribution::default()), early);
    }
}
