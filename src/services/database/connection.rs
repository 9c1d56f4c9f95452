//! The seam between the two engines: one connection, to a file or to a server, that is asked in the same words.
//!
//! What is said through it is SQL that both engines know, with `?` for each value; it is prepared once a connection. Where
//! the engines differ for good (opening, schema, limits of time, search), there is [`super::sqlite`] and [`super::mysql`].
//!
//! A connection that was given up in the middle of anything is not to be used again: closing it is what takes an open
//! transaction back, with either engine. [`super::pool`] sees to that.

use sqlx::mysql::MySqlRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    ColumnIndex, Connection as _, Decode, MySql, MySqlConnection, Row as _, Sqlite, SqliteConnection, Type,
};

/// A connection to a database.
#[derive(Debug)]
pub(super) enum Connection {
    /// To a file.
    Sqlite(SqliteConnection),
    /// To a server.
    MySql(MySqlConnection),
}

/// A value in a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(&'a str),
    /// NULL.
    Nothing,
}

/// What a statement changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// Rows that it touched, also where they were so already.
    pub(super) rows: u64,
    /// The number of the row that it inserted.
    pub(super) id: i64,
}

/// One row of an answer.
#[derive(Debug)]
pub(super) enum Row {
    /// From a file.
    Sqlite(SqliteRow),
    /// From a server.
    MySql(MySqlRow),
}

/// Binds values one by one, and tells what was changed; for either engine.
macro_rules! bound {
    ($statement:expr, $values:expr) => {{
        let mut query = sqlx::query($statement);
        for value in $values {
            query = match *value {
                Value::Integer(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
                Value::Nothing => query.bind(None::<i64>),
            };
        }
        query
    }};
}

impl Connection {
    /// Runs a statement to its end and returns its rows: with SQLite, only then what it changed is on the disk.
    pub(super) async fn rows(
        &mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> sqlx::Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite(connection) => {
                let rows = bound!(statement, values).fetch_all(connection).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::MySql(connection) => {
                let rows = bound!(statement, values).fetch_all(connection).await?;
                rows.into_iter().map(Row::MySql).collect()
            }
        })
    }

    /// The first row of an answer, if it has one.
    pub(super) async fn row(
        &mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> sqlx::Result<Option<Row>> {
        Ok(self.rows(statement, values).await?.into_iter().next())
    }

    /// Runs a statement that changes something.
    pub(super) async fn change(
        &mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> sqlx::Result<Change> {
        Ok(match self {
            Self::Sqlite(connection) => {
                let done = bound!(statement, values).execute(connection).await?;
                Change { rows: done.rows_affected(), id: done.last_insert_rowid() }
            }
            Self::MySql(connection) => {
                let done = bound!(statement, values).execute(connection).await?;
                let id = i64::try_from(done.last_insert_id()).unwrap_or(i64::MAX);
                Change { rows: done.rows_affected(), id }
            }
        })
    }

    /// Begins a transaction that changes something: what follows is done wholly or not at all, by the time that it [ends](Self::end).
    pub(super) async fn begin(&mut self) -> sqlx::Result<()> {
        match self {
            // Who reads first and writes then is refused at once while another process writes: there is nothing to wait for.
            Self::Sqlite(_) => self.say("BEGIN IMMEDIATE").await,
            Self::MySql(_) => self.say("BEGIN").await,
        }
    }

    /// Ends a transaction: what was `done` stays, unless something of it failed.
    pub(super) async fn end<T>(&mut self, done: sqlx::Result<T>) -> sqlx::Result<T> {
        let done = match done {
            Ok(done) => self.say("COMMIT").await.map(|()| done),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // Where this fails as well the connection is not used again, which comes to the same.
            let _ = self.say("ROLLBACK").await;
        }
        done
    }

    /// Says words that need no preparing.
    pub(super) async fn say(&mut self, words: &'static str) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(words).execute(connection).await.map(drop),
            Self::MySql(connection) => sqlx::raw_sql(words).execute(connection).await.map(drop),
        }
    }

    /// Answers if the other end is there.
    pub(super) async fn greet(&mut self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(connection) => connection.ping().await,
            Self::MySql(connection) => connection.ping().await,
        }
    }

    /// Says goodbye and closes.
    pub(super) async fn close(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::MySql(connection) => connection.close().await,
        }
    }
}

impl Row {
    /// The value of a column, by its name or its place.
    pub(super) fn get<T>(
        &self,
        column: impl ColumnIndex<SqliteRow> + ColumnIndex<MySqlRow>,
    ) -> sqlx::Result<T>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, MySql> + Type<MySql>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::MySql(row) => row.try_get(column),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Nothing, Self::Integer)
    }
}
