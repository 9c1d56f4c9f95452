//! What is SQLite's own: how its file is made and opened, its result codes, its dialect.
//!
//! The journal is a rollback journal (`TRUNCATE`), on purpose not a write-ahead log: the exclusive lock by
//! which [`super::withhold`] takes the database away keeps readers out only with a rollback journal. It is
//! also the more durable choice with `synchronous=FULL`: the commit is the truncation of a file that is then
//! synced, so an acknowledged entry survives a power cut (sqlite.org/atomiccommit.html, pragma.html).

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Row as _, SqliteConnection};

/// Instructions of the engine's machine between two looks at the time; one can read a whole message.
const ASK_EVERY: i32 = 1_000;

/// Pages of the file at most, of 4 KiB: 1 GiB. Anybody may sign, and nobody shall fill the disk.
const PAGES_MOST: &str = "262144";

/// Makes the database's directory (mode 0700) and its empty file (mode 0600) if they are not there.
///
/// An existing file is never opened here: closing a descriptor of a file drops every POSIX lock that this
/// process holds on it, those of SQLite's own connections included (sqlite.org/howtocorrupt.html §2.2).
pub(super) fn prepare_file(file: &Path) -> io::Result<()> {
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// How `file` is opened; a lock that another process holds is waited for no longer than `lock_wait`.
pub(super) fn options(file: &Path, lock_wait: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Truncate)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(lock_wait)
        .pragma("max_page_count", PAGES_MOST)
        .thread_name(|number| format!("sqlite-{number}"))
}

/// The library's version: `3.50.4`.
pub(super) async fn version(connection: &mut SqliteConnection) -> sqlx::Result<String> {
    sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await
}

/// Lets statements run as long as `goes_on` says so; the engine asks now and then.
pub(super) async fn limit(
    connection: &mut SqliteConnection,
    goes_on: impl FnMut() -> bool + Send + 'static,
) -> sqlx::Result<()> {
    connection.lock_handle().await?.set_progress_handler(ASK_EVERY, goes_on);
    Ok(())
}

/// Lets statements run to their end again; waits for the one that runs, or was to run though nobody waits for it.
pub(super) async fn unlimit(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    // Too short to be asked about; it comes behind all that was sent before, while the handle may be had in between.
    sqlx::query("SELECT 1").execute(&mut *connection).await?;
    connection.lock_handle().await?.remove_progress_handler();
    Ok(())
}

/// Answers if the file can be read now.
pub(super) async fn ping(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    // A statement that touches no table would succeed without ever looking at the file.
    sqlx::query("SELECT value FROM counters WHERE name = 'home'").fetch_all(connection).await.map(drop)
}

/// Adds `by` to the counter and returns its new value.
pub(super) async fn count(connection: &mut SqliteConnection, by: u32) -> sqlx::Result<i64> {
    // All rows are fetched although there is one: the statement commits when it has run to its end, and
    // only then can a failing commit be heard.
    let rows = sqlx::query("UPDATE counters SET value = value + ? WHERE name = 'home' RETURNING value")
        .bind(by)
        .fetch_all(connection)
        .await?;
    rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)
}

/// What an error of the engine means to whoever keeps data in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another process holds a lock.
    Locked,
    /// No file, no permission, or the disk fails.
    Unreachable,
    /// No room.
    Full,
    /// No writing.
    ReadOnly,
    /// Damaged, or no database.
    Corrupt,
    /// The statement was broken off.
    Interrupted,
    /// Anything else: the statement is wrong.
    Other,
}

impl Trouble {
    /// Reads it from the result code (sqlite.org/rescode.html).
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = error else {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                    Self::Unreachable
                }
                _ => Self::Other,
            };
        };
        let extended: u32 = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
        // An extended code carries its primary code in its low byte.
        match extended & 0xff {
            5 | 6 => Self::Locked,
            3 | 10 | 14 | 23 => Self::Unreachable,
            13 => Self::Full,
            8 => Self::ReadOnly,
            11 | 26 => Self::Corrupt,
            9 => Self::Interrupted,
            _ => Self::Other,
        }
    }
}
