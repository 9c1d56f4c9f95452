//! From the file into the database, in one transaction: whoever looks sees what was there before or what is there then,
//! and so does whoever comes after a `kill -9`.
//!
//! Others must not write meanwhile. SQLite's transaction sees to that: it holds the file's only place for a writer. A
//! server's rows are locked one by one, and one that somebody inserts is none of them; so there the tables are locked,
//! and who wants to read waits too. In both cases the locks go with the connection.

use super::lines::{Reading, Row};
use super::{ANSWER_WITHIN, BackupError, Doing, PATIENCE, Progress, connect, patiently, within};
use crate::services::database::StoreError;
use crate::services::database::connection::{Connection, Value};
use crate::services::database::schema;
use crate::services::database::target::Target;

/// With 64 MiB of the file's pages in memory until the commit, for which alone readers wait.
const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -65536";

/// Without autocommit, since `BEGIN` would give the tables back
/// (dev.mysql.com/doc/refman/8.4/en/lock-tables.html).
const BEGIN_MYSQL: &str = "SET SESSION lock_wait_timeout = 5, SESSION autocommit = 0 \
     /*M!100100 , SESSION max_statement_time = 0 */ /*!80000 , SESSION max_execution_time = 0 */; \
     LOCK TABLES accounts WRITE, counters WRITE, entries WRITE, sessions WRITE";

/// In an order in which no row is left without the one that it belongs to.
const EMPTYING: [&str; 4] =
    ["DELETE FROM sessions", "DELETE FROM entries", "DELETE FROM accounts", "DELETE FROM counters"];

/// Rows that one statement inserts: one at a time they cost a round trip each.
const TOGETHER: usize = 32;

/// Bytes of texts of one statement, about: a server takes 16 MiB at once.
const TOGETHER_BYTES: usize = 1 << 20;

/// A statement for one row, and one for as many as go together.
macro_rules! inserting {
    ($into:literal, $row:literal) => {
        (
            concat!("INSERT INTO ", $into, " VALUES ", $row),
            concat!("INSERT INTO ", $into, " VALUES ", thirty_two!($row)),
        )
    };
}

macro_rules! thirty_two {
    ($row:literal) => {
        concat!(eight!($row), ", ", eight!($row), ", ", eight!($row), ", ", eight!($row))
    };
}

macro_rules! eight {
    ($row:literal) => {
        concat!($row, ", ", $row, ", ", $row, ", ", $row, ", ", $row, ", ", $row, ", ", $row, ", ", $row)
    };
}

/// Replaces all that is at `target` by what is read, to its right end.
pub(super) async fn import(
    target: &Target,
    reading: &mut Reading,
    told: &mut dyn FnMut(Progress),
) -> Result<(), BackupError> {
    let place = target.place();
    target.prepare()?;
    let mut connection = patiently(async || {
        let mut connection = connect(target).await?;
        schema::upgrade(&mut connection, &place, PATIENCE).await?;
        let begin = if matches!(target, Target::File(_)) { BEGIN_SQLITE } else { BEGIN_MYSQL };
        within(ANSWER_WITHIN, &place, connection.say(begin)).await?;
        Ok(connection)
    })
    .await?;
    // Where anything fails, the transaction goes with its connection.
    for words in EMPTYING {
        within(ANSWER_WITHIN, &place, connection.change(words, &[])).await?;
    }
    // The rows were well when they were backed up; if the engine refuses one now, it is the file that is wrong.
    let file = reading.file().to_owned();
    let refused = |error| match error {
        source @ StoreError::Refused { .. } => BackupError::Contradictory { file: file.clone(), source },
        other => other.into(),
    };
    let mut waiting = Waiting::default();
    let mut last = reading.manifest().last_numbers;
    while let Some(row) = reading.next()? {
        if !waiting.takes(&row) {
            within(ANSWER_WITHIN, &place, waiting.insert(&mut connection)).await.map_err(refused)?;
        }
        match &row {
            Row::Account { id, .. } => last.accounts = last.accounts.max(*id),
            Row::Entry { id, .. } => last.entries = last.entries.max(*id),
            Row::Counter { .. } => {}
        }
        waiting.push(row);
        reading.tell(Doing::Restoring, told);
    }
    within(ANSWER_WITHIN, &place, waiting.insert(&mut connection)).await.map_err(refused)?;
    within(ANSWER_WITHIN, &place, count_visits(&mut connection)).await.map_err(refused)?;
    let numbered = number_from(&mut connection, last.accounts, last.entries);
    within(ANSWER_WITHIN, &place, numbered).await.map_err(refused)?;
    let all = reading.manifest().rows.all();
    told(Progress { doing: Doing::Ending, done: all, all });
    let end = if matches!(target, Target::File(_)) { "COMMIT" } else { "COMMIT; UNLOCK TABLES" };
    within(ANSWER_WITHIN, &place, connection.say(end)).await?;
    let _ = connection.close().await;
    Ok(())
}

/// Rows of one table that are yet to be inserted.
#[derive(Debug, Default)]
struct Waiting {
    rows: Vec<Row>,
    bytes: usize,
}

impl Waiting {
    /// Whether `row` can go together with them.
    fn takes(&self, row: &Row) -> bool {
        let same = |other: &Row| std::mem::discriminant(other) == std::mem::discriminant(row);
        self.rows.len() < TOGETHER && self.bytes < TOGETHER_BYTES && self.rows.last().is_none_or(same)
    }

    fn push(&mut self, row: Row) {
        self.bytes += match &row {
            Row::Account { name, name_folded, password, .. } => {
                name.len() + name_folded.len() + password.len()
            }
            Row::Counter { name, .. } => name.len(),
            Row::Entry { name, message, .. } => name.len() + message.len(),
        };
        self.rows.push(row);
    }

    /// Inserts them, and has none then.
    async fn insert(&mut self, connection: &mut Connection) -> sqlx::Result<()> {
        let Some(first) = self.rows.first() else { return Ok(()) };
        let (one, together) = match first {
            Row::Account { .. } => {
                inserting!("accounts (id, name, name_folded, password, created_at)", "(?, ?, ?, ?, ?)")
            }
            Row::Counter { .. } => inserting!("counters (name, value)", "(?, ?)"),
            Row::Entry { .. } => {
                inserting!("entries (id, name, message, written_at, edited_at, owner)", "(?, ?, ?, ?, ?, ?)")
            }
        };
        if self.rows.len() == TOGETHER {
            let values: Vec<Value<'_>> = self.rows.iter().flat_map(values).collect();
            connection.change(together, &values).await?;
        } else {
            for row in &self.rows {
                connection.change(one, &values(row)).await?;
            }
        }
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// The values of `row`, in the order of the statement that inserts it.
fn values(row: &Row) -> Vec<Value<'_>> {
    match row {
        Row::Account { id, name, name_folded, password, created_at } => vec![
            (*id).into(),
            name.as_str().into(),
            name_folded.as_str().into(),
            password.as_str().into(),
            (*created_at).into(),
        ],
        Row::Counter { name, value } => vec![name.as_str().into(), (*value).into()],
        Row::Entry { id, name, message, written_at, edited_at, owner } => vec![
            (*id).into(),
            name.as_str().into(),
            message.as_str().into(),
            (*written_at).into(),
            (*edited_at).into(),
            (*owner).into(),
        ],
    }
}

/// Begins to count the visits, if nobody did: without its row no home page could be counted, or shown.
async fn count_visits(connection: &mut Connection) -> sqlx::Result<()> {
    if connection.row("SELECT value FROM counters WHERE name = 'home'", &[]).await?.is_none() {
        connection.change("INSERT INTO counters (name, value) VALUES ('home', 0)", &[]).await?;
    }
    Ok(())
}

/// Makes the next numbers greater than these. Both engines remember the greatest number that there was, so it is enough
/// that there was a row with it; to set it outright would end a server's transaction.
async fn number_from(connection: &mut Connection, accounts: i64, entries: i64) -> sqlx::Result<()> {
    const ACCOUNT: &str =
        "INSERT INTO accounts (id, name, name_folded, password, created_at) VALUES (?, '', '', '', 0)";
    const ENTRY: &str = "INSERT INTO entries (id, name, message, written_at) VALUES (?, '', '', 0)";
    for (number, is_there, insert, delete) in [
        (
            accounts,
            "SELECT id FROM accounts WHERE id >= ? LIMIT 1",
            ACCOUNT,
            "DELETE FROM accounts WHERE id = ?",
        ),
        (entries, "SELECT id FROM entries WHERE id >= ? LIMIT 1", ENTRY, "DELETE FROM entries WHERE id = ?"),
    ] {
        let value = [number.into()];
        if number > 0 && connection.row(is_there, &value).await?.is_none() {
            connection.change(insert, &value).await?;
            connection.change(delete, &value).await?;
        }
    }
    Ok(())
}
