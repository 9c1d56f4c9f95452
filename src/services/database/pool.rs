//! A few connections that all calls share.
//!
//! sqlx has a pool, which takes a port that refuses and a server that is full for one that is just starting, and tries
//! again until its time is over: here a student is to see at once what stands in the way. And it asks the server whether
//! it is there after each call; here only a connection that was idle for a while is asked.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::connection::Connection;
use super::patience::Patience;
use super::target::Target;
use crate::ground::clock;
use crate::services::faults::Faults;
use crate::services::faults::edges::Moment;

/// A connection to a server that was idle so long is asked whether the server is still there, for a change that was sent
/// to its end could not be sent again. No server is stopped and started in less; and where calls follow each other so
/// closely that nobody is asked, they would have met its end.
pub(super) const TRUSTED_FOR: Duration = Duration::from_millis(50);

/// The connections to one database.
#[derive(Debug)]
pub(super) struct Pool {
    most: u32,
    patience: Patience,
    places: Arc<Semaphore>,
    /// The lock is held for a push or a pop, never across an await.
    idle: Arc<Mutex<Vec<Idle>>>,
    used: Arc<Used>,
}

/// How long connections were in use, all together; of all pools that there were.
#[derive(Debug, Default)]
pub(super) struct Used {
    micros: AtomicU64,
}

impl Used {
    /// In microseconds, of connections that are in use no more.
    pub(super) fn micros(&self) -> u64 {
        self.micros.load(Relaxed)
    }
}

/// A connection's use, which counts when it is over, however it ends.
#[derive(Debug)]
struct Use {
    since: Instant,
    used: Arc<Used>,
}

impl Drop for Use {
    fn drop(&mut self) {
        let micros = clock::whole_micros(clock::now().saturating_duration_since(self.since));
        self.used.micros.fetch_add(micros, Relaxed);
    }
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// None of them came free in time.
    AllInUse,
    /// The other end did not say a word in time.
    Silent,
    /// It said no.
    Refused(sqlx::Error),
}

/// A connection that is in use. It is closed when this is dropped, unless it is [kept](Self::keep).
#[derive(Debug)]
pub(super) struct Held {
    /// The connection.
    pub(super) connection: Connection,
    idle: Arc<Mutex<Vec<Idle>>>,
    place: OwnedSemaphorePermit,
    in_use: Use,
}

impl Pool {
    /// A pool of at most `most` connections, none of which is open yet, whose time counts in `used`.
    pub(super) fn new(most: u32, patience: Patience, used: Arc<Used>) -> Self {
        // No machine has less than 32 bits here.
        let places = Semaphore::new(usize::try_from(most).unwrap_or(usize::MAX));
        Self { most, patience, places: Arc::new(places), idle: Arc::default(), used }
    }

    /// An idle connection, or a new one to `target`, the way to which is broken as `faults` says.
    pub(super) async fn acquire(&self, target: &Target, faults: &Faults) -> Result<Held, NoConnection> {
        let place = timeout(self.patience.connection, self.places.clone().acquire_owned()).await;
        let place = place.ok().and_then(Result::ok).ok_or(NoConnection::AllInUse)?;
        let in_use = Use { since: clock::now(), used: self.used.clone() };
        let connection = timeout(self.patience.connection, self.connection(target, faults)).await;
        let connection = connection.map_err(|_| NoConnection::Silent)?.map_err(NoConnection::Refused)?;
        Ok(Held { connection, idle: self.idle.clone(), place, in_use })
    }

    async fn connection(&self, target: &Target, faults: &Faults) -> sqlx::Result<Connection> {
        loop {
            // The one that was used last: its statements are prepared, and it has the best chance to be good.
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(Idle { mut connection, since }) = idle else {
                return faults.dial(None, target.connect(self.patience)).await;
            };
            let is_trusted = match connection {
                // A library cannot hang up.
                Connection::Sqlite(_) => true,
                Connection::MySql(_) => clock::now().duration_since(since) < TRUSTED_FOR,
            };
            if is_trusted {
                return Ok(connection);
            }
            let met = faults.meet(None, Moment::Asking).await;
            if met.over(connection.greet(), sqlx::Error::from).await.is_ok() {
                return Ok(connection);
            }
        }
    }

    /// Waits until no connection is in use, and closes all.
    pub(super) async fn close(&self) {
        let all = self.places.acquire_many(self.most).await;
        self.places.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for Idle { connection, .. } in idle {
            let _ = connection.close().await;
        }
    }
}

impl Held {
    /// Puts the connection back: it is good, and nothing is under way on it.
    pub(super) fn keep(self) {
        let Self { connection, idle, place, in_use } = self;
        drop(in_use);
        let since = clock::now();
        idle.lock().unwrap_or_else(PoisonError::into_inner).push(Idle { connection, since });
        drop(place);
    }
}
