//! What the application keeps, behind a handful of words: here the visits and the way to the database, in
//! [`super::entries`] and [`super::accounts`] the rest.
//!
//! The database is opened by the first call that needs it and again after a failure that its connections did
//! not survive, so the application starts without it and recovers by itself. Every call ends within
//! its [`Patience`], with an answer or an error that says what stands in the way.
//!
//! A call may be made twice: where the engine took it back (a deadlock) or refused it (read-only), so that nothing of it
//! was done; and where it only reads, and its connection ended: the server may have been stopped and started since that
//! was used last. Where a server is gone in the middle of a change nobody knows, and so that is only told.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::act::{Act, Reading};
use super::connection::Connection;
use super::error::StoreError;
use super::hits::Hits;
use super::patience::Patience;
use super::pool::{Held, NoConnection, Pool, Used};
use super::target::Target;
use super::{schema, spoil, sqlite};
use crate::ground::channel::Reply;
use crate::ground::clock;
use crate::ground::fault::{DatabaseWrong, FaultSet};
use crate::ground::metrics::Family;
use crate::services::faults::Faults;
use crate::services::faults::edges::Moment;

/// How long closing waits for a statement under way.
const CLOSE_WITHIN: Duration = Duration::from_millis(200);

/// How often a call is made that the engine takes back because another transaction was in its way.
const TRIES_MOST: u32 = 5;

/// The guestbook's data; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) database: Arc<Database>,
    hits: Hits,
}

/// Which database answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// `SQLite`, `MariaDB` or `MySQL`.
    pub name: &'static str,
    /// Its version: `3.50.4`.
    pub version: String,
    /// Where it is: the file's name, without its directory, or the server's host and port.
    pub place: String,
    /// Whether it is a process of its own, at the other end of a connection.
    pub is_server: bool,
}

/// `SQLite 3.50.4`, or `MariaDB 10.11.14 at 127.0.0.1:3306`.
impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)?;
        if self.is_server { write!(f, " at {}", self.place) } else { Ok(()) }
    }
}

impl Store {
    /// A store kept at `target`; nothing is opened yet. Needs a tokio runtime.
    pub fn at(target: Target) -> Self {
        Self::waiting(target, Patience::OF_A_VISITOR)
    }

    /// The same, with `patience`.
    pub(super) fn waiting(target: Target, patience: Patience) -> Self {
        let (opened, locked) = (Mutex::new(None), watch::Sender::new(None));
        let faults = Faults::default();
        let used = Arc::default();
        let database = Arc::new(Database { target, patience, opened, locked, faults, used });
        Self { hits: Hits::start(database.clone()), database }
    }

    /// A store kept in the SQLite file `file`.
    pub fn in_file(file: &Path) -> Self {
        Self::at(Target::File(file.to_owned()))
    }

    /// Counts one visit of the home page and returns how many there have been, this one included. No two
    /// callers get the same number.
    pub async fn hit(&self) -> Result<u64, StoreError> {
        let counted = timeout(self.database.patience.answer, self.hits.one(self.database.place())).await;
        counted.unwrap_or_else(|_| Err(self.database.silent()))
    }

    /// Whether the database answers now; it reads a table.
    pub async fn ping(&self) -> Result<(), StoreError> {
        // A statement that touches no table would succeed without ever looking at the file.
        let read = "SELECT value FROM counters WHERE name = 'home'";
        self.database.with(&Reading(read, &[])).await.map(drop)
    }

    /// Which database it is; asked once per opening.
    pub async fn engine(&self) -> Result<Engine, StoreError> {
        let opened = timeout(self.database.patience.answer, self.database.opened()).await;
        Ok(opened.map_err(|_| self.database.silent())??.engine.clone())
    }

    /// Has all this be wrong on purpose, and nothing else.
    pub fn fault(&self, set: FaultSet) -> Reply {
        self.database.faults.take(set)
    }

    /// What is counted of its connections.
    pub fn families(&self) -> [Family; 2] {
        let help = "Connections to the database that the application may have.";
        let most = u64::from(self.database.target.connections_most());
        let connections = Family::gauge("wwwlab_database_connections_most", help).with(&[], most);
        let help = "How long its connections to the database were in use, all together.";
        let used = Family::counter("wwwlab_database_connections_used_seconds_total", help);
        [connections, used.with(&[], self.database.used.micros() as f64 / 1e6)]
    }

    /// Closes every connection, after what is under way or 200 ms, whichever comes first.
    pub async fn close(&self) {
        self.hits.stop().await;
        let closing = async {
            if let Some(opened) = self.database.opened.lock().await.take() {
                opened.pool.close().await;
            }
        };
        // A statement that waits for a lock or a dying disk must not keep the service from ending.
        let _ = timeout(CLOSE_WITHIN, closing).await;
    }
}

/// The database and its connections.
#[derive(Debug)]
pub(super) struct Database {
    target: Target,
    patience: Patience,
    opened: Mutex<Option<Arc<Opened>>>,
    /// The last call that waited in vain for another process's lock on the file, told to all who wait behind it.
    locked: watch::Sender<Option<StoreError>>,
    /// What is wrong on purpose.
    faults: Faults,
    used: Arc<Used>,
}

/// Connections to a database whose schema is the newest.
#[derive(Debug)]
struct Opened {
    pool: Pool,
    engine: Engine,
}

impl Database {
    /// Does `act` on a connection, opening the database if it is not; again, if the engine took it back, or it was only to
    /// read and the connection ended.
    pub(super) async fn with<A: Act>(&self, act: &A) -> Result<A::Done, StoreError> {
        let struck = spoil::strikes(&self.faults);
        let answer = async {
            let (mut is_reopened, mut is_read_again) = (false, false);
            for _ in 1..TRIES_MOST {
                match self.once(act, &struck).await {
                    Err(StoreError::Deadlock { .. }) => {}
                    // A file is opened for reading alone where nobody may write it, and stays so; another connection
                    // sees whether that is over.
                    Err(StoreError::ReadOnly { .. }) if !is_reopened => is_reopened = true,
                    // What comes of another connection is the answer: the rows, or that nobody listens.
                    Err(StoreError::Gone { .. }) if A::ONLY_READS && !is_read_again => is_read_again = true,
                    done => return done,
                }
            }
            self.once(act, &struck).await
        };
        timeout(self.patience.answer, answer).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// The same for what could take long: the engine breaks a statement off when its time is over, or when nobody waits
    /// for it any more; else it would go on for nobody. A server's sessions have such a limit always.
    pub(super) async fn within_time<A: Act>(&self, act: A) -> Result<A::Done, StoreError> {
        let given_up = CancellationToken::new();
        let until = clock::now() + self.patience.answer;
        let limited = Limited { act, given_up: given_up.clone(), until };
        // However this ends.
        let _gives_up = given_up.drop_guard();
        self.with(&limited).await
    }

    async fn once<A: Act>(&self, act: &A, struck: &[DatabaseWrong]) -> Result<A::Done, StoreError> {
        let mut locked = self.locked.subscribe();
        let (opened, mut held) = tokio::select! {
            biased;
            // Whoever waits behind one that met a lock would meet it next, each in turn later.
            Some(error) = news(&mut locked) => return Err(error),
            connected = self.connected(struck) => connected.inspect_err(|error| self.tell(error))?,
        };
        let met = self.faults.meet(None, Moment::Asking).await;
        // A connection on which nothing was heard is not as before.
        let acting = async {
            let (answer, is_as_before) = spoil::act(act, &mut held.connection, struck).await;
            Ok((answer, is_as_before))
        };
        let answer = met.over(acting, sqlx::Error::from).await;
        let (answer, is_as_before) = answer.unwrap_or_else(|reset| (Err(reset), false));
        let answer = answer.map_err(|error| self.said(error));
        let Err(error) = &answer else {
            if is_as_before {
                held.keep();
            }
            return answer;
        };
        self.tell(error);
        if !error.leaves_connections_sound() {
            self.forget(&opened).await;
        } else if is_as_before && matches!(held.connection, Connection::Sqlite(_)) {
            held.keep();
        }
        // Another session with a server is made in a millisecond, and nothing of this one is left in it.
        answer
    }

    async fn connected(&self, struck: &[DatabaseWrong]) -> Result<(Arc<Opened>, Held), StoreError> {
        if let (true, Target::File(file)) = (struck.contains(&DatabaseWrong::Gone), &self.target) {
            return Err(self.said(sqlite::missing(file).await));
        }
        let opened = self.opened().await?;
        if struck.contains(&DatabaseWrong::Busy) {
            // As who waits for a place that nobody gives back.
            sleep(self.patience.connection).await;
            return Err(self.no_connection(NoConnection::AllInUse));
        }
        match opened.pool.acquire(&self.target, &self.faults).await {
            Ok(held) => Ok((opened, held)),
            Err(why) => {
                let error = self.no_connection(why);
                if !error.leaves_connections_sound() {
                    self.forget(&opened).await;
                }
                Err(error)
            }
        }
    }

    fn no_connection(&self, why: NoConnection) -> StoreError {
        match why {
            NoConnection::AllInUse => StoreError::Busy { place: self.place() },
            NoConnection::Silent => self.silent(),
            NoConnection::Refused(error) => self.said(error),
        }
    }

    fn tell(&self, error: &StoreError) {
        if matches!(error, StoreError::Locked { .. }) {
            self.locked.send_replace(Some(error.clone()));
        }
    }

    /// What errors call it: from where this process was started if it is below, since visitors read them too.
    pub(super) fn place(&self) -> String {
        self.target.place()
    }

    async fn opened(&self) -> Result<Arc<Opened>, StoreError> {
        // Whoever opens holds the lock; the others wait, but not longer than for a connection.
        let mut opened = timeout(self.patience.connection, self.opened.lock())
            .await
            .map_err(|_| StoreError::Busy { place: self.place() })?;
        if let Some(opened) = &*opened {
            return Ok(opened.clone());
        }
        let fresh = Arc::new(self.open().await?);
        *opened = Some(fresh.clone());
        Ok(fresh)
    }

    async fn open(&self) -> Result<Opened, StoreError> {
        self.target.prepare()?;
        let pool = Pool::new(self.target.connections_most(), self.patience, self.used.clone());
        let held = pool.acquire(&self.target, &self.faults).await.map_err(|why| self.no_connection(why));
        let mut held = held?;
        schema::upgrade(&mut held.connection, &self.place(), self.patience).await?;
        let engine = self.target.engine(&mut held.connection).await;
        let engine = engine.map_err(|error| self.said(error))?;
        held.keep();
        Ok(Opened { pool, engine })
    }

    /// Lets the next call open the database anew, unless somebody already did.
    async fn forget(&self, failed: &Arc<Opened>) {
        let mut opened = self.opened.lock().await;
        if opened.as_ref().is_some_and(|opened| Arc::ptr_eq(opened, failed)) {
            *opened = None;
        }
    }

    /// What an error of the engine means.
    pub(super) fn said(&self, error: sqlx::Error) -> StoreError {
        StoreError::of(&self.place(), error)
    }

    fn silent(&self) -> StoreError {
        StoreError::Silent { place: self.place() }
    }
}

/// What is done with a limit of time.
struct Limited<A> {
    act: A,
    given_up: CancellationToken,
    until: Instant,
}

impl<A: Act> Act for Limited<A> {
    type Done = A::Done;

    const ONLY_READS: bool = A::ONLY_READS;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<A::Done> {
        if let Connection::Sqlite(connection) = connection {
            let (given_up, until) = (self.given_up.clone(), self.until);
            sqlite::limit(connection, move || !given_up.is_cancelled() && clock::now() < until).await?;
        }
        let done = self.act.on(connection).await;
        if let Connection::Sqlite(connection) = connection {
            sqlite::unlimit(connection).await?;
        }
        done
    }
}

async fn news(locked: &mut watch::Receiver<Option<StoreError>>) -> Option<StoreError> {
    locked.changed().await.ok()?;
    locked.borrow_and_update().clone()
}
