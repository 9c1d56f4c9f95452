//! The user's wish to stop, as every wait hears it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::trouble::{Trouble, cannot};

/// A wait looks this often.
const STEP: Duration = Duration::from_millis(20);

/// Clones hear the same wish.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whoever looks from now on stops.
    fn now(&self) {
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

/// Does `work` on a thread of its own and tells it when the user wants it to stop: what it started then ends in
/// the ordinary way, with the values that hold it.
pub(crate) fn until_stopped<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.map_err(cannot("watch for signals"))?.block_on(async {
        let watch = |kind| signal(kind).map_err(cannot("watch for signals"));
        let mut interrupt = watch(SignalKind::interrupt())?;
        let mut terminate = watch(SignalKind::terminate())?;
        let mut hang_up = watch(SignalKind::hangup())?;
        let stop = Stop::default();
        let heard = stop.clone();
        let mut working = tokio::task::spawn_blocking(move || work(&heard));
        let done = tokio::select! {
            done = &mut working => Some(done),
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            _ = hang_up.recv() => None,
        };
        let done = match done {
            Some(done) => done,
            None => {
                stop.now();
                working.await
            }
        };
        // It panicked, and has said so; what it held was dropped.
        done.map_err(io::Error::other).map_err(cannot("finish"))?
    })
}
