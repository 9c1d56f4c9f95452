//! Taking a database away: an embedded one with `wwwlab serve db --withhold FILE`, the tables of a server ([`super::tables`]) with
//! `--lock-tables FILE`.
//!
//! SQLite is a library in the application's own process, so there is no database process to stop. What the
//! engine does offer is its lock: a connection that has said `BEGIN EXCLUSIVE` keeps every other one from
//! reading and writing for as long as it lives. This service holds that lock and does nothing else. So a
//! "stopped" embedded database is a running process, and a "running" one is the absence of it; the symptom is
//! the real one of a database that somebody else has locked. When this process ends, also by `kill -9`, the
//! kernel drops its locks, and the application goes on by itself.
//!
//! It works because the journal is a rollback journal: with a write-ahead log, readers would go on reading.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::error::StoreError;
use super::sqlite;
use super::tables::{Tables, TablesError};
use crate::ground::bind::Listening;
use crate::ground::journal::Journal;
use crate::ground::service::{Closed, Service};

/// How long to wait for the transaction that the application is in.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// What must be known to withhold a database.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Config {
    /// The SQLite file that nobody shall read or write while this runs
    #[arg(long, value_name = "FILE")]
    pub withhold: Option<PathBuf>,
    /// The file (mode 0600) with the mysql://user:password@host:port/name of the database whose tables nobody shall read or write
    /// while this runs
    #[arg(long, value_name = "FILE")]
    pub lock_tables: Option<PathBuf>,
}

/// A database that is held locked until this closes.
#[derive(Debug)]
pub enum Withheld {
    /// A file.
    File(SqliteConnection),
    /// The tables of a server.
    Tables(Tables),
}

impl Service for Withheld {
    type Config = Config;
    type Error = TablesError;

    async fn start(config: Config, journal: Journal) -> Result<Self, TablesError> {
        if let Some(file) = config.lock_tables {
            let tables = Tables::lock(&file).await?;
            journal.note(format!("{}: until this ends, nobody else reads or writes them", tables.told));
            return Ok(Self::Tables(tables));
        }
        let file = config.withhold.unwrap_or_default();
        let place = file.display().to_string();
        sqlite::prepare_file(&file)
            .map_err(|source| StoreError::Uncreatable { place: place.clone(), source: source.into() })?;
        let lock = async {
            let mut connection = sqlite::options(&file, LOCK_WAIT).connect().await?;
            sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection).await?;
            Ok(connection)
        };
        let connection = lock.await.map_err(|error| StoreError::of(&place, error))?;
        journal.note(format!("{place} is locked: until this ends, nobody reads or writes it"));
        Ok(Self::File(connection))
    }

    /// Nowhere: a lock has no address.
    fn listening(&self) -> Vec<Listening> {
        Vec::new()
    }

    async fn over(&self) {
        match self {
            Self::File(_) => std::future::pending().await,
            Self::Tables(tables) => tables.over().await,
        }
    }

    async fn close(self) -> Closed {
        match self {
            Self::File(mut connection) => {
                // Nothing was written, and closing gives the lock back even where the rollback fails.
                let _ = sqlx::raw_sql("ROLLBACK").execute(&mut connection).await;
                let _ = connection.close().await;
            }
            Self::Tables(tables) => tables.close().await,
        }
        Closed::default()
    }
}
