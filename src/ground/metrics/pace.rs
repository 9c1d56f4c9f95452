//! How many a second, of late: a counter for each of the last few seconds.
//!
//! Whoever counts knows the time already and says it, so that to count costs neither a clock nor a timer, and to ask for the
//! pace needs no second look a while later.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Seconds that are looked back on, the one under way included.
const SLOTS: usize = 5;
const SECONDS: u64 = SLOTS as u64;

/// Counts by second.
#[derive(Debug)]
pub struct Pace {
    start: Instant,
    /// By second since the start, modulo [`SLOTS`].
    slots: [Slot; SLOTS],
}

#[derive(Debug, Default)]
struct Slot {
    /// Which second it counts, plus one.
    second: AtomicU64,
    count: AtomicU64,
}

impl Pace {
    /// Counts from `now` on.
    pub fn new(now: Instant) -> Self {
        Self { start: now, slots: Default::default() }
    }

    /// Counts `count` more at `now`. Without a lock: where several threads begin a second at once, some of it may be lost.
    pub fn count(&self, now: Instant, count: u64) {
        let second = now.saturating_duration_since(self.start).as_secs();
        let Some(slot) = self.slot(second) else { return };
        if slot.second.load(Relaxed) == second + 1 {
            slot.count.fetch_add(count, Relaxed);
        } else {
            slot.count.store(count, Relaxed);
            slot.second.store(second + 1, Relaxed);
        }
    }

    /// How many a second there were in the last four to five seconds before `now`; since the start, where that is later.
    pub fn per_second(&self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.start);
        let second = since.as_secs();
        let first = second.saturating_sub(SECONDS - 1);
        let counted = self.slots.iter().filter(|slot| {
            let counts = slot.second.load(Relaxed);
            counts > first && counts <= second + 1
        });
        let count: u64 = counted.map(|slot| slot.count.load(Relaxed)).sum();
        // In the first second the time is too short to divide by.
        let time = since.saturating_sub(Duration::from_secs(first)).max(Duration::from_secs(1));
        count as f64 / time.as_secs_f64()
    }

    fn slot(&self, second: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(second % SECONDS).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let pace = Pace::new(start);
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(pace.per_second(at(0)), 0.0);
        pace.count(at(100), 7);
        assert_eq!(pace.per_second(at(200)), 7.0, "not 35: a fifth of a second says little");
        for second in 1..20 {
            pace.count(at(second * 1_000), 60);
            pace.count(at(second * 1_000 + 500), 40);
        }
        assert_eq!(pace.per_second(at(20_000)), 100.0);
        assert_eq!(pace.per_second(at(22_000)), 50.0);
        assert_eq!(pace.per_second(at(25_000)), 0.0);
        assert_eq!(pace.per_second(at(1_000_000)), 0.0, "what is long over does not come back");
    }
}
