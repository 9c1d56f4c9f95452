//! The user's wish to stop, as every wait hears it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::trouble::Trouble;

/// A wait looks this often.
const STEP: Duration = Duration::from_millis(20);

/// Clones hear the same wish.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whoever looks from now on stops.
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// An error if it is time to stop.
    pub(crate) fn look(&self) -> Result<(), Trouble> {
        if self.0.load(Ordering::Relaxed) { Err(Trouble::Stopped) } else { Ok(()) }
    }

    /// Waits for `time`, unless it is time to stop.
    pub(crate) fn sleep(&self, time: Duration) -> Result<(), Trouble> {
        let mut left = time;
        while !left.is_zero() {
            self.look()?;
            let step = left.min(STEP);
            thread::sleep(step);
            left -= step;
        }
        self.look()
    }
}
