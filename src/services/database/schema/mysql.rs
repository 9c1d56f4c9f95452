//! How a database of a MySQL or MariaDB server comes to the newest schema.
//!
//! Here a statement that makes or changes a table ends the transaction that it is in: a step that was cut off cannot be
//! taken back. So each of its statements may be done twice, and the number of the schema, which stands in a table of its
//! own, is written when all are done: what was cut off is done again, by whoever comes next. One at a time, by a lock of
//! the server's that ends with its connection.

use std::time::Duration;

use sqlx::{AssertSqlSafe, MySqlConnection};

use crate::services::database::error::StoreError;

/// What leads to a schema from the one before it that this engine has, with its number.
const STEPS: &[(i64, &str)] = &[(2, include_str!("mysql/2.sql"))];

/// Takes the lock, after so many seconds at most.
const LOCK: &str = "SELECT GET_LOCK(CONCAT('wwwlab schema ', DATABASE()), ?)";

const UNLOCK: &str = "DO RELEASE_LOCK(CONCAT('wwwlab schema ', DATABASE()))";

/// Made first: a database without it that has tables is somebody else's.
const NUMBER: &str = "CREATE TABLE IF NOT EXISTS wwwlab_schema (version BIGINT PRIMARY KEY) ENGINE = InnoDB";

/// Brings the database at `place` to the newest schema known here. Another who does the same is waited for no longer than
/// `wait`.
pub(super) async fn upgrade(
    connection: &mut MySqlConnection,
    place: &str,
    wait: Duration,
) -> Result<(), StoreError> {
    let said = |error| StoreError::of(place, error);
    if version(connection).await.map_err(said)? == Some(super::NEWEST) {
        return Ok(());
    }
    let locking = sqlx::query_scalar(LOCK).bind(wait.as_secs());
    let locked: Option<i64> = locking.fetch_one(&mut *connection).await.map_err(said)?;
    if locked != Some(1) {
        return Err(StoreError::Busy { place: place.to_owned() });
    }
    let done = steps(connection, place).await;
    sqlx::raw_sql(UNLOCK).execute(connection).await.map_err(said)?;
    done
}

async fn steps(connection: &mut MySqlConnection, place: &str) -> Result<(), StoreError> {
    let said = |error| StoreError::of(place, error);
    let found = match version(connection).await.map_err(said)? {
        Some(found) => found,
        None if has_tables(connection).await.map_err(said)? => {
            return Err(StoreError::Foreign { place: place.to_owned() });
        }
        None => {
            sqlx::raw_sql(NUMBER).execute(&mut *connection).await.map_err(said)?;
            0
        }
    };
    if found > super::NEWEST {
        return Err(StoreError::Newer { place: place.to_owned(), found, known: super::NEWEST });
    }
    let collation = collation(connection).await.map_err(said)?;
    for (number, step) in STEPS.iter().filter(|(number, _)| *number > found) {
        // Both are this program's own words.
        let step = AssertSqlSafe(step.replace("COLLATION", collation));
        sqlx::raw_sql(step).execute(&mut *connection).await.map_err(said)?;
        let written = sqlx::query("INSERT INTO wwwlab_schema (version) VALUES (?)").bind(number);
        written.execute(&mut *connection).await.map_err(said)?;
    }
    Ok(())
}

/// The number of the schema; 0 where it was cut off before there was one, nothing where nobody has begun.
pub(super) async fn version(connection: &mut MySqlConnection) -> sqlx::Result<Option<i64>> {
    /// ER_NO_SUCH_TABLE
    const NO_TABLE: u16 = 1146;
    let version = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM wwwlab_schema");
    match version.fetch_one(connection).await {
        Ok(version) => Ok(Some(version)),
        Err(sqlx::Error::Database(error))
            if error
                .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
                .is_some_and(|error| error.number() == NO_TABLE) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn has_tables(connection: &mut MySqlConnection) -> sqlx::Result<bool> {
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
    Ok(sqlx::query_scalar::<_, i64>(tables).fetch_one(connection).await? > 0)
}

/// The collation by which texts are equal if all their code points are: each of the two servers has one by a name of its
/// own. `utf8mb4_bin`, which both have, passes over spaces at the end.
async fn collation(connection: &mut MySqlConnection) -> sqlx::Result<&'static str> {
    let version: String = sqlx::query_scalar("SELECT VERSION()").fetch_one(connection).await?;
    Ok(if version.contains("MariaDB") { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" })
}
