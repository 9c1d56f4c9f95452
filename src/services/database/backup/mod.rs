//! Backup and restore: all that the guestbook keeps as one file, and back, into either engine.
//!
//! Each engine has means of its own (SQLite's online backup, `mariadb-dump`), and neither reads the other's. So the file
//! is neither's: lines of JSON ([`lines`]), which `head`, `jq` and `sha256sum` read too. What makes it one moment is the
//! engine's own: a copy that SQLite makes in one transaction, a snapshot that InnoDB keeps ([`export`]). What makes a
//! restore all or nothing is one transaction ([`import`]).
//!
//! It stands beside [`super::store`] and not behind it: a backup may take minutes, and a page may not; and the
//! application goes on meanwhile with connections of its own.
//!
//! Sessions are not in a backup: who is logged in is of the moment, and a backup that is stolen opens none. A restore
//! ends them all, since their accounts may be others'.

mod error;
mod export;
mod import;
mod lines;

use std::fs::{File, Permissions};
use std::io::{self, BufWriter};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use super::StoreError;
use super::connection::Connection;
use super::patience::Patience;
use super::target::Target;
use crate::ground::clock::Stopwatch;
use lines::{Reading, Writing};

pub use error::BackupError;
pub use lines::{Counts, LastNumbers, Manifest};

/// Before the names of files that are not whole yet.
const UNFINISHED: &str = ".wwwlab-backup-";

/// How long a file's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How long at a time: SQLite looks ever more seldom, and would hardly ever find a file free that is written all the time.
const LOCK_WAIT_ONCE: Duration = Duration::from_millis(50);

/// How a connection is set up.
const PATIENCE: Patience =
    Patience { answer: ANSWER_WITHIN, file_lock: LOCK_WAIT_ONCE, ..Patience::OF_A_VISITOR };

/// How long a server is waited for until it says its first word.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long one statement may take. Some change every row there is; but nothing waits for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub doing: Doing,
    /// Rows that it is done with.
    pub done: u64,
    /// Rows in all.
    pub all: u64,
}

/// What takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Rows are written to the file.
    BackingUp,
    /// The file is read to its end, before anything is touched.
    Checking,
    /// Rows are written to the database.
    Restoring,
    /// They are made to last: who gives up now cannot know whether they do.
    Ending,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Where it is.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The digest in its last line: of all that stands before that line, in hexadecimal digits.
    pub sha256: String,
    /// What its first line says.
    #[serde(flatten)]
    pub manifest: Manifest,
}

/// Backs the database up into `file`, of mode 0600, as it is at one moment. The file is there when all of it is on the
/// disk; where one is there already, it is kept, unless `replace`.
pub async fn back_up(
    target: &Target,
    file: &Path,
    replace: bool,
    told: &mut dyn FnMut(Progress),
) -> Result<Made, BackupError> {
    let unwritable = |source| BackupError::Unwritable { file: file.to_owned(), source };
    let exists = || BackupError::Exists { file: file.to_owned() };
    if !replace && file.symlink_metadata().is_ok() {
        return Err(exists());
    }
    if file.is_dir() {
        return Err(unwritable(io::ErrorKind::IsADirectory.into()));
    }
    let directory = match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let mode = Permissions::from_mode(0o600);
    let unfinished = tempfile::Builder::new().prefix(UNFINISHED).permissions(mode).tempfile_in(directory);
    let unfinished = unfinished.map_err(unwritable)?;
    let mut snapshot = export::Snapshot::of(target, directory).await?;
    let mut writing = Writing::new(BufWriter::new(unfinished), file);
    let manifest = snapshot.export(&mut writing, told).await?;
    snapshot.close().await;
    let (out, sha256, bytes) = writing.seal()?;
    let unfinished = out.into_inner().map_err(|error| unwritable(error.into_error()))?;
    unfinished.as_file().sync_all().map_err(unwritable)?;
    let persisted = if replace { unfinished.persist(file) } else { unfinished.persist_noclobber(file) };
    persisted.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => exists(),
        _ => unwritable(error.error),
    })?;
    // The name is on the disk when the directory is.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(unwritable)?;
    Ok(Made { file: file.to_owned(), bytes, sha256, manifest })
}

/// Reads the backup `file` to its end: it is whole, and of a kind that can be restored here. What its first line says.
pub fn check(file: &Path, told: &mut dyn FnMut(Progress)) -> Result<Manifest, BackupError> {
    checked(file, told).map(|(_, manifest)| manifest)
}

/// Puts what is in the backup `file` in place of all that is in the database, or leaves that as it is. Nothing is touched
/// before the file was read to its end.
pub async fn restore(
    target: &Target,
    file: &Path,
    told: &mut dyn FnMut(Progress),
) -> Result<Manifest, BackupError> {
    let (checked, _) = checked(file, told)?;
    // The same open file: what was checked is what is restored, and is checked again.
    let mut reading = checked.again()?;
    import::import(target, &mut reading, told).await?;
    Ok(reading.manifest().clone())
}

/// A connection of its own to the database at `target`.
async fn connect(target: &Target) -> Result<Connection, StoreError> {
    let connecting = target.connect(PATIENCE);
    within(CONNECT_WITHIN, &target.place(), connecting).await
}

/// What the database at `place` answers within `limit`.
async fn within<T>(
    limit: Duration,
    place: &str,
    asked: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, StoreError> {
    match timeout(limit, asked).await {
        Ok(answer) => answer.map_err(|error| StoreError::of(place, error)),
        Err(_elapsed) => Err(StoreError::Silent { place: place.to_owned() }),
    }
}

/// Tries again while another process has the file locked, for as long as that is to be borne.
async fn patiently<T>(mut attempt: impl AsyncFnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let patience = Stopwatch::start();
    loop {
        match attempt().await {
            Err(StoreError::Locked { .. }) if patience.elapsed() < LOCK_WAIT => {}
            done => return done,
        }
    }
}

fn checked(file: &Path, told: &mut dyn FnMut(Progress)) -> Result<(Reading, Manifest), BackupError> {
    let mut reading = Reading::open(file)?;
    while reading.next()?.is_some() {
        reading.tell(Doing::Checking, told);
    }
    let manifest = reading.manifest().clone();
    Ok((reading, manifest))
}
