//! How many connections there is room for, by the descriptors that this process may have open; and who has to leave
//! when there is none.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::services::faults::arriving::untold_most;

/// Descriptors for all that is not a client's: the listener, the event loop, the channel, signals, a file that is
/// looked at.
const OWN: usize = 32;

/// Descriptors of one connection: its own, and the file or the connection to the application that it needs.
const EACH: usize = 2;

/// Answers beside a connection's first one: a quarter of the connections, and so many at most. Each needs a descriptor.
const FURTHER_MOST: usize = 256;

/// Connections that are turned away at once, at most.
const TURNED_AWAY_MOST: usize = 64;

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Connections that are served at once.
    pub(super) connections: usize,
    /// Answers at once that are not the first of their connection (HTTP/2), over all connections.
    pub(super) further: usize,
    /// Connections that are told at once that there is no room; one more is closed without a word.
    pub(super) turned_away: usize,
}

impl Room {
    /// For the `wanted` connections, or as many as `descriptors` allow; one at least.
    pub(super) fn within(descriptors: usize, wanted: usize) -> Self {
        let left = descriptors.saturating_sub(OWN);
        let turned_away = (left / 4).clamp(1, TURNED_AWAY_MOST);
        let left = left.saturating_sub(turned_away + untold_most(descriptors));
        // Each connection's own, and its quarter of a further answer; or all further ones that there ever are.
        let fit = (left * 4 / (EACH * 4 + 1)).max(left.saturating_sub(FURTHER_MOST) / EACH);
        let connections = wanted.min(fit.max(1));
        Self { connections, further: (connections / 4).clamp(1, FURTHER_MOST), turned_away }
    }
}

/// The seats of a server: one for each connection that is served.
///
/// When all are taken, the connection that has been without a request longest makes room for a newcomer (RFC 9112
/// §9.5: a server may close an idle one at any time); so those who only hold connections, or send a head byte by
/// byte, keep nobody out. Only when all are at work is there no room.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    /// A plain mutex: held for one step in a tree, never across an await.
    idle: Mutex<Idle>,
}

/// Those without a request, the longest first.
#[derive(Debug, Default)]
struct Idle {
    next: u64,
    seats: BTreeMap<u64, CancellationToken>,
}

/// One connection's seat; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    leave: CancellationToken,
    /// Its number among the idle; 0 while it is at work.
    number: AtomicU64,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    /// So many.
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), idle: Mutex::default() })
    }

    /// A seat for a connection that has no request yet; nothing when all are at work.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Seat> {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.idle().seats.pop_first()?.1.cancel();
                // Whoever has to leave waits for nothing more.
                self.free.clone().acquire_owned().await.ok()?
            }
        };
        let leave = CancellationToken::new();
        let seat = Seat { seats: self.clone(), leave, number: AtomicU64::new(0), _permit: permit };
        seat.idle();
        Some(seat)
    }

    /// How many are free.
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Its connection has nothing to do from now on.
    pub(super) fn idle(&self) {
        if self.number.load(Ordering::Relaxed) != 0 {
            return;
        }
        let mut idle = self.seats.idle();
        idle.next += 1;
        let number = idle.next;
        self.number.store(number, Ordering::Relaxed);
        idle.seats.insert(number, self.leave.clone());
    }

    /// Its connection has a request.
    pub(super) fn busy(&self) {
        let number = self.number.swap(0, Ordering::Relaxed);
        if number != 0 {
            self.seats.idle().seats.remove(&number);
        }
    }

    /// Returns when it has to make room.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.busy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_promised_fits_into_the_descriptors() {
        for descriptors in [40, 64, 128, 256, 1024, 4096, 20_000] {
            let room = Room::within(descriptors, usize::MAX);
            assert!(
                OWN + EACH * room.connections + room.further + room.turned_away + untold_most(descriptors)
                    <= descriptors,
                "{descriptors}: {room:?}"
            );
        }
        assert_eq!(Room::within(128, 1024), Room { connections: 28, further: 7, turned_away: 24 });
        assert_eq!(Room::within(1024, 1024), Room { connections: 384, further: 96, turned_away: 64 });
        assert_eq!(Room::within(20_000, 10_000), Room { connections: 9_696, further: 256, turned_away: 64 });
        assert_eq!(Room::within(20_000, 1024), Room { connections: 1024, further: 256, turned_away: 64 });
        assert_eq!(Room::within(0, 1024), Room { connections: 1, further: 1, turned_away: 1 });
    }

    #[tokio::test]
    async fn the_longest_idle_makes_room_and_those_at_work_stay() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take().await.unwrap(), seats.take().await.unwrap());
        first.busy();
        first.idle();
        let newcomer = tokio::spawn({
            let seats = seats.clone();
            async move { seats.take().await }
        });
        // The first had a request after the second came: it is the second that leaves.
        second.asked_to_leave().await;
        drop(second);
        let third = newcomer.await.unwrap().unwrap();
        first.busy();
        third.busy();
        assert!(seats.take().await.is_none());
        assert_eq!(seats.free(), 0);
        drop((first, third));
        assert_eq!(seats.free(), 2);
        assert!(seats.idle().seats.is_empty());
    }
}
