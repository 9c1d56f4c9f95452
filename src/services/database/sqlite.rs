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
use sqlx::{ConnectOptions as _, SqliteConnection};

use super::connection::Connection;
use super::error::Trouble;

/// Instructions of the engine's machine between two looks at the time; one can read a whole message.
const ASK_EVERY: i32 = 1_000;

/// Pages of the file at most, of 4 KiB: 1 GiB. Anybody may sign, and nobody shall fill the disk.
const PAGES_MOST: &str = "262144";
/// Lets a file grow to that again.
pub(super) const MAY_GROW: &str = "PRAGMA max_page_count = 262144";

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

/// What the engine says to who opens `file` when it is not there: asked below it, where nothing can be, so that whoever uses
/// `file` notices nothing.
pub(super) async fn missing(file: &Path) -> sqlx::Error {
    match SqliteConnectOptions::new().filename(file.join("gone")).create_if_missing(false).connect().await {
        Err(error) => error,
        // Only if the file were a directory.
        Ok(_) => sqlx::Error::WorkerCrashed,
    }
}

/// Opens `copy`, a database that nobody else knows and nobody changes.
pub(super) async fn copy(copy: &Path) -> sqlx::Result<Connection> {
    let options = SqliteConnectOptions::new().filename(copy).read_only(true).immutable(true);
    Ok(Connection::Sqlite(options.connect().await?))
}

/// Lets statements run as long as `goes_on` says so; the engine asks now and then.
pub(super) async fn limit(
    connection: &mut SqliteConnection,
    goes_on: impl FnMut() -> bool + Send + 'static,
) -> sqlx::Result<()> {
    connection.lock_handle().await?.set_progress_handler(ASK_EVERY, goes_on);
    Ok(())
}

/// Lets statements run to their end again.
pub(super) async fn unlimit(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    connection.lock_handle().await?.remove_progress_handler();
    Ok(())
}

/// Adds to the counter; its row is the new value. One statement, so one sync of the disk.
pub(super) const COUNT: &str = "UPDATE counters SET value = value + ? WHERE name = 'home' RETURNING value";

/// What the engine's result code `code` means (sqlite.org/rescode.html).
pub(super) fn trouble(code: u32) -> Trouble {
    // An extended code carries its primary code in its low byte.
    match code & 0xff {
        // SQLITE_READONLY_DBMOVED: the file was deleted or replaced under the connection.
        _ if code == 1032 => Trouble::Unreachable,
        5 | 6 => Trouble::Locked,
        3 | 10 | 14 | 23 => Trouble::Unreachable,
        13 => Trouble::Full,
        8 => Trouble::ReadOnly,
        11 | 26 => Trouble::Corrupt,
        9 => Trouble::Interrupted,
        _ => Trouble::Other,
    }
}
