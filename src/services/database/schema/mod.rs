//! The tables, and how an older database becomes a newer one.
//!
//! Both engines have the same schemas by number and meaning, in words of their own: `sqlite/N.sql`, `mysql/N.sql`. Steps
//! are only ever added; a step that was released is never edited.

mod mysql;
mod sqlite;

use super::connection::Connection;
use super::error::StoreError;
use super::patience::Patience;

/// The newest schema that is known here.
pub(super) const NEWEST: i64 = 2;

/// The number of the schema that a database has; 0 if it has none.
pub(super) async fn found(connection: &mut Connection) -> sqlx::Result<i64> {
    match connection {
        Connection::Sqlite(connection) => sqlite::version(connection).await,
        Connection::MySql(connection) => Ok(mysql::version(connection).await?.unwrap_or(0)),
    }
}

/// Brings the database at `place` to the newest schema known here; with a server, another who does the same is waited for
/// with `patience`.
pub(super) async fn upgrade(
    connection: &mut Connection,
    place: &str,
    patience: Patience,
) -> Result<(), StoreError> {
    match connection {
        Connection::Sqlite(connection) => sqlite::upgrade(connection, place).await,
        Connection::MySql(connection) => mysql::upgrade(connection, place, patience.server_lock).await,
    }
}
