//! Taking an embedded database away: `wwwlab serve db --withhold FILE`.
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
use crate::ground::bind::Listening;
use crate::ground::journal::Journal;
use crate::ground::service::{Closed, Service};

/// How long to wait for the transaction that the application is in.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// What must be known to withhold a database.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// The SQLite file that nobody shall read or write while this runs
    #[arg(long, value_name = "FILE")]
    pub withhold: PathBuf,
}

/// A database that is held locked until this closes.
#[derive(Debug)]
pub struct Withheld {
    connection: SqliteConnection,
}

impl Service for Withheld {
    type Config = Config;
    type Error = StoreError;

    async fn start(config: Config, journal: Journal) -> Result<Self, StoreError> {
        let file = config.withhold;
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
        Ok(Self { connection })
    }

    /// Nowhere: a lock has no address.
    fn listening(&self) -> Vec<Listening> {
        Vec::new()
    }

    async fn close(mut self) -> Closed {
        // Nothing was written, and closing gives the lock back even where the rollback fails.
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await;
        let _ = self.connection.close().await;
        Closed::default()
    }
}
