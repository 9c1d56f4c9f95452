//! What the application keeps, behind a handful of words: here the visits and the way to the database, in
//! [`super::entries`] and [`super::accounts`] the rest.
//!
//! The database is opened by the first call that needs it and again after a failure that its connections did
//! not survive, so the application starts without it and recovers by itself. Every call ends within
//! [`ANSWER_WITHIN`], with an answer or an error that says what stands in the way.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{Sqlite, SqliteConnection};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::error::StoreError;
use super::hits::Hits;
use super::{schema, sqlite};
use crate::ground::clock;

/// No call takes longer than this.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long a call waits for a connection that others use.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(2);

/// How long a lock of another process is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// How long closing waits for a statement under way.
const CLOSE_WITHIN: Duration = Duration::from_millis(200);

/// Connections to the database at most.
///
/// One: with a rollback journal a writer excludes readers anyway, and connections that wait for each other's
/// locks poll, while calls that wait for the one connection queue.
const CONNECTIONS_MOST: u32 = 1;

/// The guestbook's data; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) database: Arc<Database>,
    hits: Hits,
}

/// Which database answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// `SQLite`.
    pub name: &'static str,
    /// Its version: `3.50.4`.
    pub version: String,
    /// Where it is: the file's name, without its directory.
    pub place: String,
}

impl Store {
    /// A store kept in the SQLite file `file`; nothing is opened yet. Needs a tokio runtime.
    pub fn in_file(file: &Path) -> Self {
        let database = Arc::new(Database {
            file: file.to_owned(),
            here: std::env::current_dir().unwrap_or_default(),
            opened: Mutex::new(None),
            locked: watch::Sender::new(None),
            is_limited: Arc::default(),
        });
        Self { hits: Hits::start(database.clone()), database }
    }

    /// Counts one visit of the home page and returns how many there have been, this one included. No two
    /// callers get the same number.
    pub async fn hit(&self) -> Result<u64, StoreError> {
        let counted = timeout(ANSWER_WITHIN, self.hits.one(self.database.place())).await;
        counted.unwrap_or_else(|_| Err(self.database.silent()))
    }

    /// Whether the database answers now; it reads its file.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.database.with(|connection| Box::pin(sqlite::ping(connection))).await
    }

    /// Which database it is; asked once per opening.
    pub async fn engine(&self) -> Result<Engine, StoreError> {
        let opened = timeout(ANSWER_WITHIN, self.database.opened()).await;
        Ok(opened.map_err(|_| self.database.silent())??.engine.clone())
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

/// The database file and its connections.
#[derive(Debug)]
pub(super) struct Database {
    file: PathBuf,
    /// Where this process was started.
    here: PathBuf,
    opened: Mutex<Option<Arc<Opened>>>,
    /// The last call that waited in vain for another process's lock, told to all who wait behind it.
    locked: watch::Sender<Option<StoreError>>,
    /// Whether the connection has a limit of time that ends with the call that set it.
    is_limited: Arc<AtomicBool>,
}

/// Connections to a database whose schema is the newest.
#[derive(Debug)]
struct Opened {
    pool: SqlitePool,
    engine: Engine,
}

/// What one call does with its connection.
pub(super) type Doing<'a, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'a>>;

impl Database {
    /// Does `act` on a connection, opening the database if it is not.
    pub(super) async fn with<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut SqliteConnection) -> Doing<'_, T>,
    {
        let answer = timeout(ANSWER_WITHIN, self.act(act)).await;
        answer.unwrap_or_else(|_| Err(self.silent()))
    }

    /// The same for what could take long: the engine breaks a statement off when its time is over, or when nobody waits
    /// for it any more; else it would keep the only connection from all others.
    pub(super) async fn within_time<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        T: Send,
        F: FnOnce(&mut SqliteConnection) -> Doing<'_, T> + Send + 'static,
    {
        let given_up = CancellationToken::new();
        let until = clock::now() + ANSWER_WITHIN;
        let (goes_on, is_limited) = (given_up.clone(), self.is_limited.clone());
        // However this ends.
        let _gives_up = given_up.drop_guard();
        self.with(move |connection| {
            Box::pin(async move {
                is_limited.store(true, Ordering::Relaxed);
                sqlite::limit(connection, move || !goes_on.is_cancelled() && clock::now() < until).await?;
                act(connection).await
            })
        })
        .await
    }

    async fn act<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut SqliteConnection) -> Doing<'_, T>,
    {
        let mut locked = self.locked.subscribe();
        let (opened, mut connection) = tokio::select! {
            biased;
            // Whoever waits behind one that met a lock would meet it next, each in turn later.
            Some(error) = news(&mut locked) => return Err(error),
            connected = self.connected() => connected.inspect_err(|error| self.tell(error))?,
        };
        let said = |error| StoreError::of(&self.place(), error);
        let answer = act(&mut connection).await.map_err(said);
        drop(connection);
        if let Err(error) = &answer {
            self.tell(error);
            if !error.leaves_connections_sound() {
                self.forget(&opened).await;
            }
        }
        answer
    }

    async fn connected(&self) -> Result<(Arc<Opened>, PoolConnection<Sqlite>), StoreError> {
        let opened = self.opened().await?;
        let connection = opened.pool.acquire().await;
        let connection = connection.map_err(|error| StoreError::of(&self.place(), error))?;
        Ok((opened, connection))
    }

    fn tell(&self, error: &StoreError) {
        if matches!(error, StoreError::Locked { .. }) {
            self.locked.send_replace(Some(error.clone()));
        }
    }

    /// What errors call it: from where this process was started if it is below, since visitors read them too.
    pub(super) fn place(&self) -> String {
        self.file.strip_prefix(&self.here).unwrap_or(&self.file).display().to_string()
    }

    async fn opened(&self) -> Result<Arc<Opened>, StoreError> {
        // Whoever opens holds the lock; the others wait, but not longer than for a connection.
        let mut opened = timeout(ACQUIRE_WITHIN, self.opened.lock())
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
        let place = self.place();
        sqlite::prepare_file(&self.file)
            .map_err(|source| StoreError::Uncreatable { place: place.clone(), source: Arc::new(source) })?;
        let is_limited = self.is_limited.clone();
        let pool = SqlitePoolOptions::new()
            .after_release(move |connection, _| {
                let was_limited = is_limited.swap(false, Ordering::Relaxed);
                Box::pin(async move {
                    if was_limited {
                        sqlite::unlimit(connection).await?;
                    }
                    Ok(true)
                })
            })
            .max_connections(CONNECTIONS_MOST)
            .acquire_timeout(ACQUIRE_WITHIN)
            .idle_timeout(None)
            .max_lifetime(None)
            // An embedded database cannot hang up; asking before each call would double the calls.
            .test_before_acquire(false)
            .connect_lazy_with(sqlite::options(&self.file, LOCK_WAIT));
        let mut connection = pool.acquire().await.map_err(|error| StoreError::of(&place, error))?;
        schema::upgrade(&mut connection, &place).await?;
        let version =
            sqlite::version(&mut connection).await.map_err(|error| StoreError::of(&place, error))?;
        drop(connection);
        Ok(Opened {
            pool,
            engine: Engine {
                name: "SQLite",
                version,
                place: self.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            },
        })
    }

    /// Lets the next call open the database anew, unless somebody already did.
    async fn forget(&self, failed: &Arc<Opened>) {
        let mut opened = self.opened.lock().await;
        if opened.as_ref().is_some_and(|opened| Arc::ptr_eq(opened, failed)) {
            *opened = None;
        }
    }

    fn silent(&self) -> StoreError {
        StoreError::Silent { place: self.place() }
    }
}

async fn news(locked: &mut watch::Receiver<Option<StoreError>>) -> Option<StoreError> {
    locked.changed().await.ok()?;
    locked.borrow_and_update().clone()
}
