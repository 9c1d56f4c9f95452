//! When answers are given over a way that has so many bits a second: all connections have them together, each in its turn.
//!
//! It stands apart from [`super::arriving`] because it knows nothing of connections: a moment at which the line is free, and who
//! waits for it.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

use crate::ground::clock;

/// What is sent at once is what the line takes in this time, since timers count in milliseconds; one packet of Ethernet at least.
const AT_ONCE: Duration = Duration::from_millis(5);
const PACKET: u64 = 1460;

/// The line: when it is free.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Option<Instant>>);

/// Who waits for it.
#[derive(Debug, Default)]
pub(super) struct Turn(Option<Pin<Box<Sleep>>>);

impl Turn {
    /// Waits until the `line` of so many `kilobits` a second is free; how many octets it may be given then.
    pub(super) fn poll(&mut self, line: &Line, kilobits: u64, context: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(sleep) = &mut self.0 {
                ready!(sleep.as_mut().poll(context));
                self.0 = None;
            }
            match (*line.free()).filter(|free| *free > clock::now()) {
                None => return Poll::Ready(at_once(kilobits)),
                Some(free) => self.0 = Some(Box::pin(sleep_until(free.into()))),
            }
        }
    }
}

impl Line {
    /// It is given so many octets.
    pub(super) fn takes(&self, octets: usize, kilobits: u64) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        let took = Duration::from_micros(octets.saturating_mul(8_000) / kilobits.max(1));
        let mut free = self.free();
        // Who comes a moment late, as timers do, loses nothing by it.
        let begun = clock::now().checked_sub(AT_ONCE).max(*free).unwrap_or_else(clock::now);
        *free = begun.checked_add(took);
    }

    fn free(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Octets that are sent at once.
fn at_once(kilobits: u64) -> usize {
    let octets = kilobits.saturating_mul(u64::try_from(AT_ONCE.as_millis()).unwrap_or(1)) / 8;
    usize::try_from(octets.max(PACKET)).unwrap_or(usize::MAX)
}
