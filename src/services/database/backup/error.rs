//! The ways in which a backup can fail, or be refused, each with what to do about it.

use std::io;
use std::path::PathBuf;

use crate::services::database::StoreError;

/// Why there is no backup, or why it was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The database did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody has ever kept anything in the database: a backup of it could only take a good one's place.
    #[error("there is no guestbook in the database {place} (yet, or any more): nothing to back up")]
    Nothing {
        /// Which database.
        place: String,
    },
    /// The tables do not have as many rows as they say.
    #[error("the database {place} says {said} rows and has {found}: it is damaged; nothing was backed up")]
    Miscounted {
        /// Which database.
        place: String,
        /// Rows that were counted.
        said: u64,
        /// Rows that were read.
        found: u64,
    },
    /// A row is longer than a line of a backup may be.
    #[error("{row} is longer than a line of a backup may be ({most} bytes); shorten it with `wwwlab db`")]
    TooLong {
        /// Which row.
        row: String,
        /// Length of a line at most.
        most: usize,
    },
    /// A number of a row is none that a backup may have.
    #[error(
        "a number of {row} is out of bounds (1 to {greatest}; a counter's: as far below 0, too), so that it could not be \
         restored; change it with `wwwlab db`"
    )]
    OutOfBounds {
        /// Which row.
        row: String,
        /// The greatest number.
        greatest: i64,
    },
    /// There is a file already.
    #[error("{} is there already; choose another name, or replace it with --force", file.display())]
    Exists {
        /// Which file.
        file: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write the backup {}", file.display())]
    Unwritable {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read the backup {}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is something else than a backup.
    #[error("{} is no backup made by wwwlab, or its first line is damaged; nothing was changed", file.display())]
    Foreign {
        /// Which file.
        file: PathBuf,
    },
    /// A newer wwwlab made it.
    #[error(
        "the backup {} was made by a newer wwwlab ({what} {found}; this one knows up to {known}): use that one; nothing was changed",
        file.display()
    )]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Of what it has a greater number.
        what: &'static str,
        /// That number.
        found: i64,
        /// The greatest that is known here.
        known: i64,
    },
    /// It is not as it was made.
    #[error("the backup {} is damaged: {why} (line {line}); use another one; nothing was changed", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// In which line that shows, from 1.
        line: u64,
        /// How it shows.
        why: &'static str,
    },
    /// It is as it was made, but its rows cannot be together in a database.
    #[error("the rows of the backup {} cannot be together in a database; nothing was changed", file.display())]
    Contradictory {
        /// Which file.
        file: PathBuf,
        /// What the database said.
        source: StoreError,
    },
}
