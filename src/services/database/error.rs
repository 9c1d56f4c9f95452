//! The ways in which a database can fail to do what it was asked, each with what to do about it.
//!
//! No message carries a password: a place is a file, or a server's host and port and the name of a database there.

use std::io;
use std::sync::Arc;

use sqlx::mysql::MySqlDatabaseError;

use super::{mysql, sqlite};

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
    #[error(
        "the database {place} did not answer in time; see whether it is paused (`wwwlab status`), or what keeps it busy"
    )]
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
        source: Arc<io::Error>,
    },
    /// It could not be opened, or reading and writing it failed.
    #[error(
        "the database {place} cannot be reached; see that it exists, and that this user may read and write it (a file) or has the \
         right host and port (a server)"
    )]
    Unreachable {
        /// Which database.
        place: String,
        /// What the engine said.
        source: Arc<sqlx::Error>,
    },
    /// Nobody listens at the server's address.
    #[error(
        "the database server {place} refuses connections: nobody listens there; see `wwwlab status`, then `wwwlab start db` (or start it where it runs)"
    )]
    NotListening {
        /// Which database.
        place: String,
        /// What the system said.
        source: Arc<sqlx::Error>,
    },
    /// What listens there is no database server, or one with other ways to log in.
    #[error(
        "what answers at {place} speaks no MySQL that is known here; see what listens at that port, and how its user logs in (mysql_native_password)"
    )]
    Strange {
        /// Which database.
        place: String,
        /// What could not be understood.
        source: Arc<sqlx::Error>,
    },
    /// The server does not let this user in, or not do this.
    #[error("the database server {place} denies access; check user, password and grants")]
    Denied {
        /// Which database.
        place: String,
        /// What the server said.
        source: Arc<sqlx::Error>,
    },
    /// The server is there, but has no database by this name.
    #[error("the server has no database {place}; make it with CREATE DATABASE, or correct its name")]
    NoDatabase {
        /// Which database.
        place: String,
        /// What the server said.
        source: Arc<sqlx::Error>,
    },
    /// The server has as many connections as it may have.
    #[error("the database server {place} has too many connections already; see whose: SHOW PROCESSLIST")]
    Crowded {
        /// Which database.
        place: String,
        /// What the server said.
        source: Arc<sqlx::Error>,
    },
    /// Another session held a row or a table too long.
    #[error(
        "another session or transaction in the database {place} holds a lock for too long; see whose: SHOW PROCESSLIST; nothing was changed"
    )]
    LockWait {
        /// Which database.
        place: String,
        /// What the server said.
        source: Arc<sqlx::Error>,
    },
    /// It and another transaction waited for each other, again and again.
    #[error(
        "in the database {place} transactions wait for each other (deadlock), also when tried again; nothing was changed"
    )]
    Deadlock {
        /// Which database.
        place: String,
        /// What the server said.
        source: Arc<sqlx::Error>,
    },
    /// The connection ended while something was under way.
    #[error(
        "the database server {place} ended the connection in the middle (it stopped, or was killed); \
         what was asked for is done wholly or not at all: look before you repeat it"
    )]
    Gone {
        /// Which database.
        place: String,
        /// What the system or the server said.
        source: Arc<sqlx::Error>,
    },
    /// There is no room for more; what was saved is kept.
    #[error(
        "the disk of the database {place} is full, or the database has reached its limit (a file: 1 GiB); free some space, nothing saved is lost"
    )]
    Full {
        /// Which database.
        place: String,
        /// What the engine said.
        source: Arc<sqlx::Error>,
    },
    /// It may be read but not written.
    #[error(
        "the database {place} cannot be written; check the permissions of its file and directory, or of a server: SELECT @@read_only"
    )]
    ReadOnly {
        /// Which database.
        place: String,
        /// What the engine said.
        source: Arc<sqlx::Error>,
    },
    /// Its content is damaged, or it is no database at all.
    #[error(
        "the database {place} is damaged; move it away, start the application again (a new one is made), and restore a backup"
    )]
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

/// What an error of the engine means to whoever keeps data in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another process holds a lock on the file.
    Locked,
    /// Another transaction holds a lock on a row.
    LockWait,
    /// Two transactions wait for each other, and this one was taken back.
    Deadlock,
    /// No file, no permission, no route, or the disk fails.
    Unreachable,
    /// Nobody listens.
    NotListening,
    /// What listens speaks something else.
    Strange,
    /// No entry.
    Denied,
    /// No such database.
    NoDatabase,
    /// No place.
    Crowded,
    /// The other end is gone.
    Gone,
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
    /// What `error` means.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => match database.try_downcast_ref::<MySqlDatabaseError>() {
                Some(error) => mysql::trouble(error.number(), error.message()),
                None => sqlite::trouble(database.code().and_then(|code| code.parse().ok()).unwrap_or(0)),
            },
            sqlx::Error::Io(error) => match error.kind() {
                // Of its socket a server that ends leaves nothing.
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Self::NotListening,
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::Gone,
                _ => Self::Unreachable,
            },
            sqlx::Error::WorkerCrashed => Self::Unreachable,
            sqlx::Error::Protocol(_) => Self::Strange,
            _ => Self::Other,
        }
    }
}

impl StoreError {
    /// What `source` means for the database at `place`.
    pub(super) fn of(place: &str, source: sqlx::Error) -> Self {
        let place = place.to_owned();
        let trouble = Trouble::of(&source);
        let source = Arc::new(source);
        match trouble {
            Trouble::Locked => Self::Locked { place, source },
            Trouble::LockWait => Self::LockWait { place, source },
            Trouble::Deadlock => Self::Deadlock { place, source },
            Trouble::Unreachable => Self::Unreachable { place, source },
            Trouble::NotListening => Self::NotListening { place, source },
            Trouble::Strange => Self::Strange { place, source },
            Trouble::Denied => Self::Denied { place, source },
            Trouble::NoDatabase => Self::NoDatabase { place, source },
            Trouble::Crowded => Self::Crowded { place, source },
            Trouble::Gone => Self::Gone { place, source },
            Trouble::Full => Self::Full { place, source },
            Trouble::ReadOnly => Self::ReadOnly { place, source },
            Trouble::Corrupt => Self::Corrupt { place, source },
            Trouble::Interrupted => Self::Silent { place },
            Trouble::Other => Self::Refused { place, source },
        }
    }

    /// Whether the connections are still good, so that only the cause has to go away; after any other
    /// failure the database is opened anew, because its file may be another one by then, or its server.
    pub(super) fn leaves_connections_sound(&self) -> bool {
        matches!(
            self,
            Self::Locked { .. }
                | Self::LockWait { .. }
                | Self::Deadlock { .. }
                | Self::Busy { .. }
                | Self::Crowded { .. }
                | Self::Silent { .. }
                | Self::Full { .. }
                | Self::Refused { .. }
        )
    }
}
