//! The ways in which a database can fail to do what it was asked, each with what to do about it.
//!
//! No message carries a password: a place is a file, later a server's host and port.

use std::sync::Arc;

use super::sqlite::Trouble;

/// Why the database did not do what it was asked.
///
/// It can be cloned because one failure may be the answer to many callers: hits are counted together.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds a lock on it that excludes everybody else.
    #[error(
        "the database {place} is locked by another process; see who: `wwwlab status`, then `wwwlab start db`"
    )]
    Locked {
        /// Which database.
        place: String,
        /// What the engine said.
        source: Arc<sqlx::Error>,
    },
    /// All connections were in use for too long.
    #[error("no connection to the database {place} came free in time; it is slow or held by somebody")]
    Busy {
        /// Which database.
        place: String,
    },
    /// It was asked and said nothing.
    #[error("the database {place} did not answer in time; see whether it is paused: `wwwlab status`")]
    Silent {
        /// Which database.
        place: String,
    },
    /// Its directory or file could not be made.
    #[error("cannot create the database {place}; make its directory writable")]
    Uncreatable {
        /// Which database.
        place: String,
        /// Why not.
        source: Arc<std::io::Error>,
    },
    /// It could not be opened, or reading and writing it failed.
    #[error(
        "the database {place} cannot be reached; see that it exists and that this user may read and write it"
    )]
    Unreachable {
        /// Which database.
        place: String,
        /// What the engine said.
        source: Arc<sqlx::Error>,
    },
    /// There is no room for more; what was saved is kept.
    #[error(
        "the disk of the database {place} is full, or the database has reached 1 GiB; free some space, nothing saved is lost"
    )]
    Full {
        /// Which database.
        place: String,
        /// What the engine said.
        source: Arc<sqlx::Error>,
    },
    /// It may be read but not written.
    #[error("the database {place} cannot be written; check the permissions of its file and directory")]
    ReadOnly {
        /// Which database.
        place: String,
        /// What the engine said.
        source: Arc<sqlx::Error>,
    },
    /// Its content is damaged, or it is no database at all.
    #[error("the database {place} is damaged; move it away (a new one is made) or restore a backup")]
    Corrupt {
        /// Which database.
        place: String,
        /// What the engine said.
        source: Arc<sqlx::Error>,
    },
    /// It holds somebody else's tables.
    #[error("the database {place} belongs to another program; choose another file")]
    Foreign {
        /// Which database.
        place: String,
    },
    /// A newer wwwlab made it.
    #[error("the database {place} has schema {found}, this wwwlab knows up to {known}; use a newer wwwlab")]
    Newer {
        /// Which database.
        place: String,
        /// The schema that it has.
        found: i64,
        /// The newest schema that is known here.
        known: i64,
    },
    /// It refused a statement, which is a fault of this program.
    #[error("the database {place} refused a statement")]
    Refused {
        /// Which database.
        place: String,
        /// What the engine said.
        source: Arc<sqlx::Error>,
    },
}

impl StoreError {
    /// What `source` means for the database at `place`.
    pub(super) fn of(place: &str, source: sqlx::Error) -> Self {
        let place = place.to_owned();
        if matches!(source, sqlx::Error::PoolTimedOut) {
            return Self::Busy { place };
        }
        let trouble = Trouble::of(&source);
        let source = Arc::new(source);
        match trouble {
            Trouble::Locked => Self::Locked { place, source },
            Trouble::Unreachable => Self::Unreachable { place, source },
            Trouble::Full => Self::Full { place, source },
            Trouble::ReadOnly => Self::ReadOnly { place, source },
            Trouble::Corrupt => Self::Corrupt { place, source },
            Trouble::Interrupted => Self::Silent { place },
            Trouble::Other => Self::Refused { place, source },
        }
    }

    /// Whether the connections are still good, so that only the cause has to go away; after any other
    /// failure the database is opened anew, because its file may be another one by then.
    pub(super) fn leaves_connections_sound(&self) -> bool {
        matches!(
            self,
            Self::Locked { .. }
                | Self::Busy { .. }
                | Self::Silent { .. }
                | Self::Full { .. }
                | Self::Refused { .. }
        )
    }
}
