//! The room for the connections of one service, over whatever it listens at.
//!
//! At most 256 are open, of one client at most half of them; one more ends the one that has been silent longest (the client's
//! own, where it is the client that has too many), so that idle ones cannot keep others out (RFC 7766 §6.2.2, §6.2.3). When all
//! of them wait for an answer, the newcomer is turned away. Who has sent a question by half waits for nothing yet.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::services::tally::connections::Connections;

/// Connections that are open at once.
pub(super) const CONNECTIONS_MOST: usize = 256;

/// Connections of one address that are open at once. A lab on loopback has all its clients at one address, and they
/// must not notice this; another address must still find room.
pub(in crate::services) const CONNECTIONS_OF_ONE_MOST: usize = CONNECTIONS_MOST / 2;

/// Who sits where.
#[derive(Debug, Default)]
pub(in crate::services) struct Room {
    /// A plain mutex: held for a look, never across an await.
    open: Mutex<Vec<Arc<Open>>>,
    /// Questions of all connections, so that it is known which one asked last.
    turn: AtomicU64,
    counted: Connections,
}

/// One open connection, as the room knows it.
#[derive(Debug)]
struct Open {
    client: IpAddr,
    /// When it last asked, counted in questions of all connections.
    last_asked: AtomicU64,
    /// Answers that are being made or sent, as far as that is to be known: one, or none.
    answering: AtomicUsize,
    end: CancellationToken,
}

impl Room {
    /// What was counted of connections.
    pub(in crate::services) fn counted(&self) -> &Connections {
        &self.counted
    }

    /// A seat for one more connection of `client`, until `stop`, at the cost of the one that has been silent longest where there
    /// is none; nothing if that cannot be.
    pub(in crate::services) fn seat(
        self: &Arc<Self>,
        client: IpAddr,
        stop: &CancellationToken,
    ) -> Option<Seat> {
        let mut open = self.open();
        let of_client = open.iter().filter(|connection| connection.client == client).count();
        let has_room = if of_client >= CONNECTIONS_OF_ONE_MOST {
            end_the_most_silent(&mut open, |connection| connection.client == client)
        } else {
            open.len() < CONNECTIONS_MOST || end_the_most_silent(&mut open, |_| true)
        };
        if !has_room {
            return None;
        }
        let connection = Arc::new(Open {
            client,
            last_asked: AtomicU64::new(self.turn.fetch_add(1, Ordering::Relaxed)),
            answering: AtomicUsize::new(0),
            end: stop.child_token(),
        });
        open.push(connection.clone());
        self.counted.accepted();
        self.counted.open(open.len());
        Some(Seat { room: self.clone(), connection })
    }

    /// Whether half of the seats are taken.
    pub(in crate::services) fn is_crowded(&self) -> bool {
        self.open().len() >= CONNECTIONS_MOST / 2
    }

    fn asks(&self, connection: &Open) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        connection.last_asked.store(turn, Ordering::Relaxed);
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the connection that has been silent longest, of those that may be `chosen`; false if none is silent.
fn end_the_most_silent(open: &mut Vec<Arc<Open>>, chosen: impl Fn(&Open) -> bool) -> bool {
    let silent = open
        .iter()
        .enumerate()
        .filter(|(_, connection)| chosen(connection) && connection.answering.load(Ordering::Relaxed) == 0);
    let Some((index, connection)) =
        silent.min_by_key(|(_, connection)| connection.last_asked.load(Ordering::Relaxed))
    else {
        return false;
    };
    connection.end.cancel();
    open.swap_remove(index);
    true
}

/// Where those tell of their questions who read several of one connection at a time. Clones tell of the same connection.
#[derive(Debug, Clone)]
pub(in crate::services) struct Asking {
    room: Arc<Room>,
    connection: Arc<Open>,
}

/// A question that is whole, until it is answered: over when this is dropped. What has come of a question by half is no reason
/// to keep a seat.
#[derive(Debug)]
pub(in crate::services) struct Answering(Arc<Open>);

impl Asking {
    /// A question is whole now, and an answer to it is made and sent for as long as this lives.
    pub(in crate::services) fn is_whole(&self) -> Answering {
        self.room.asks(&self.connection);
        self.connection.answering.fetch_add(1, Ordering::Relaxed);
        Answering(self.connection.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A seat; free again when this is dropped.
#[derive(Debug)]
pub(in crate::services) struct Seat {
    room: Arc<Room>,
    connection: Arc<Open>,
}

impl Seat {
    /// Something is asked over this connection now.
    pub(in crate::services) fn asks(&self) {
        self.room.asks(&self.connection);
    }

    /// Whether an answer is being made or sent: then it is not taken from who sits here. For who reads one question after the
    /// other; else there is [`Self::asking`].
    pub(in crate::services) fn set_answering(&self, answering: bool) {
        self.connection.answering.store(answering.into(), Ordering::Relaxed);
    }

    /// Where the questions of this connection are told by those who read them side by side.
    pub(in crate::services) fn asking(&self) -> Asking {
        Asking { room: self.room.clone(), connection: self.connection.clone() }
    }

    /// Returns when this connection is to end: it has to make room, or the service ends.
    pub(in crate::services) async fn to_be_left(&self) {
        self.connection.end.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.room.open();
        open.retain(|connection| !Arc::ptr_eq(connection, &self.connection));
        self.room.counted.open(open.len());
    }
}
