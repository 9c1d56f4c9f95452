//! From the database to the file: all of it as it was at one moment, while others write.
//!
//! A reader of a SQLite file keeps writers out (with a rollback journal), so it must be quick: SQLite copies the whole
//! database in one transaction (`VACUUM INTO`, sqlite.org/lang_vacuum.html), and what is read at leisure is the copy. A
//! server keeps a snapshot for whoever asks, and nobody waits.

use std::io::{self, Write};
use std::path::Path;

use tempfile::TempPath;

use super::lines::{Counts, LastNumbers, Manifest, Row, Writing};
use super::{ANSWER_WITHIN, BackupError, Doing, PATIENCE, Progress, UNFINISHED, connect, patiently, within};
use crate::ground::clock;
use crate::services::database::connection::{Connection, Row as Found};
use crate::services::database::schema;
use crate::services::database::sqlite;
use crate::services::database::target::Target;

/// Rows that are in memory at once.
const ROWS_MOST: i64 = 256;

/// A moment of a server's database, for as long as it takes to read. All tables are InnoDB's.
const SNAPSHOT: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
     SET SESSION lock_wait_timeout = 5 /*M!100100 , SESSION max_statement_time = 0 */ \
     /*!80000 , SESSION max_execution_time = 0, SESSION information_schema_stats_expiry = 0 */; \
     START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// The database as it was at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    connection: Connection,
    /// What errors call the database.
    place: String,
    engine: String,
    made_at: u64,
    /// The copy of a file; it goes with this.
    _copy: Option<TempPath>,
}

impl Snapshot {
    /// The database at `target` as it is now; `directory` has room for a copy, if one is needed.
    pub(super) async fn of(target: &Target, directory: &Path) -> Result<Self, BackupError> {
        let nothing = || BackupError::Nothing { place: target.place() };
        if matches!(target, Target::File(file) if !file.exists()) {
            return Err(nothing());
        }
        let copy = match target {
            Target::File(_) => Some(empty(directory).map_err(|source| {
                let file = directory.to_owned();
                BackupError::Unwritable { file, source }
            })?),
            Target::Server(_) => None,
        };
        let place = target.place();
        let snapshot = patiently(async || {
            let mut connection = connect(target).await?;
            if within(ANSWER_WITHIN, &place, schema::found(&mut connection)).await? == 0 {
                return Ok(None);
            }
            schema::upgrade(&mut connection, &place, PATIENCE).await?;
            let engine = within(ANSWER_WITHIN, &place, target.engine(&mut connection)).await?;
            let connection = within(ANSWER_WITHIN, &place, freeze(connection, copy.as_deref())).await?;
            Ok(Some((connection, format!("{} {}", engine.name, engine.version))))
        });
        let (connection, engine) = snapshot.await?.ok_or_else(nothing)?;
        let made_at = clock::unix_millis();
        Ok(Self { connection, place, engine, made_at, _copy: copy })
    }

    /// Writes all of it, but for the last line.
    pub(super) async fn export<W: Write>(
        &mut self,
        writing: &mut Writing<'_, W>,
        told: &mut dyn FnMut(Progress),
    ) -> Result<Manifest, BackupError> {
        let place = self.place.clone();
        let manifest = within(ANSWER_WITHIN, &place, self.manifest()).await?;
        writing.manifest(&manifest)?;
        let all = manifest.rows.all();
        let mut done = 0;
        for table in [Table::Accounts, Table::Counters, Table::Entries] {
            let mut after = i64::MIN;
            loop {
                let rows = within(ANSWER_WITHIN, &place, table.rows(&mut self.connection, after)).await?;
                let Some((last, _)) = rows.last() else { break };
                after = *last;
                for (_, row) in &rows {
                    writing.row(row)?;
                }
                done += rows.len() as u64;
                told(Progress { doing: Doing::BackingUp, done, all });
            }
        }
        if done == all {
            Ok(manifest)
        } else {
            Err(BackupError::Miscounted { place, said: all, found: done })
        }
    }

    /// Gives the snapshot back.
    pub(super) async fn close(self) {
        let _ = self.connection.close().await;
    }

    async fn manifest(&mut self) -> sqlx::Result<Manifest> {
        let mut counts = Counts::default();
        for (count, counting) in [
            (&mut counts.accounts, "SELECT COUNT(*) FROM accounts"),
            (&mut counts.counters, "SELECT COUNT(*) FROM counters"),
            (&mut counts.entries, "SELECT COUNT(*) FROM entries"),
        ] {
            let counted: i64 = number(&mut self.connection, counting).await?.unwrap_or(0);
            *count = u64::try_from(counted).unwrap_or(0);
        }
        let (accounts, entries) = match &self.connection {
            Connection::Sqlite(_) => (
                "SELECT seq FROM sqlite_sequence WHERE name = 'accounts'",
                "SELECT seq FROM sqlite_sequence WHERE name = 'entries'",
            ),
            Connection::MySql(_) => (
                "SELECT CAST(auto_increment - 1 AS SIGNED) FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = 'accounts'",
                "SELECT CAST(auto_increment - 1 AS SIGNED) FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = 'entries'",
            ),
        };
        Ok(Manifest {
            wwwlab_backup: super::lines::FORM,
            made_at: clock::rfc3339(self.made_at),
            engine: self.engine.clone(),
            schema: schema::NEWEST,
            rows: counts,
            last_numbers: LastNumbers {
                accounts: number(&mut self.connection, accounts).await?.unwrap_or(0),
                entries: number(&mut self.connection, entries).await?.unwrap_or(0),
            },
        })
    }
}

/// An empty file in `directory` for a copy of the database, of a path that SQLite can be told.
fn empty(directory: &Path) -> io::Result<TempPath> {
    let file = tempfile::Builder::new().prefix(UNFINISHED).suffix(".sqlite").tempfile_in(directory)?;
    // Closed before SQLite opens it: to close another descriptor of it later would drop SQLite's locks.
    let path = file.into_temp_path();
    if path.to_str().is_some() { Ok(path) } else { Err(io::ErrorKind::InvalidFilename.into()) }
}

/// What `connection` sees now, on a connection that goes on seeing it: of a file its `copy`, made in one transaction.
async fn freeze(mut connection: Connection, copy: Option<&Path>) -> sqlx::Result<Connection> {
    let Some(copy) = copy else {
        connection.say(SNAPSHOT).await?;
        return Ok(connection);
    };
    let name = copy.to_str().unwrap_or_default().into();
    connection.change("VACUUM INTO ?", &[name]).await?;
    let _ = connection.close().await;
    sqlite::copy(copy).await
}

/// The first number of an answer.
async fn number(connection: &mut Connection, asking: &'static str) -> sqlx::Result<Option<i64>> {
    Ok(match connection.row(asking, &[]).await? {
        Some(row) => row.get(0)?,
        None => None,
    })
}

/// Reads a row, and its number.
type Read = fn(&Found) -> sqlx::Result<(i64, Row)>;

#[derive(Debug, Clone, Copy)]
enum Table {
    Accounts,
    Counters,
    Entries,
}

impl Table {
    /// The next rows after the one with the number `after`, each with its own number.
    async fn rows(self, connection: &mut Connection, after: i64) -> sqlx::Result<Vec<(i64, Row)>> {
        let (asking, read): (_, Read) = match self {
            Self::Accounts => (
                "SELECT id, name, name_folded, password, created_at FROM accounts WHERE id > ? ORDER BY id LIMIT ?",
                account,
            ),
            // They have no numbers, and there are no more than a few; after the first time there are none.
            Self::Counters => ("SELECT name, value FROM counters WHERE ? < 0 ORDER BY name LIMIT ?", counter),
            Self::Entries => (
                "SELECT id, name, message, written_at, edited_at, owner FROM entries WHERE id > ? ORDER BY id LIMIT ?",
                entry,
            ),
        };
        let rows = connection.rows(asking, &[after.into(), ROWS_MOST.into()]).await?;
        rows.iter().map(read).collect()
    }
}

fn account(row: &Found) -> sqlx::Result<(i64, Row)> {
    let id = row.get("id")?;
    let (name, name_folded) = (row.get("name")?, row.get("name_folded")?);
    let (password, created_at) = (row.get("password")?, row.get("created_at")?);
    Ok((id, Row::Account { id, name, name_folded, password, created_at }))
}

fn counter(row: &Found) -> sqlx::Result<(i64, Row)> {
    Ok((0, Row::Counter { name: row.get("name")?, value: row.get("value")? }))
}

fn entry(row: &Found) -> sqlx::Result<(i64, Row)> {
    let id = row.get("id")?;
    let (name, message) = (row.get("name")?, row.get("message")?);
    let (written_at, edited_at) = (row.get("written_at")?, row.get("edited_at")?);
    Ok((id, Row::Entry { id, name, message, written_at, edited_at, owner: row.get("owner")? }))
}
