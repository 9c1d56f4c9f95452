//! How a SQLite file comes to the newest schema.
//!
//! SQLite keeps a number for its user in the file's header (`PRAGMA user_version`), inside the transaction
//! that changes it: reading it is all that an up-to-date database costs at open, and an upgrade that is cut
//! off leaves the old schema whole. Steps are only ever added; a step that was released is never edited.

use sqlx::{Connection as _, SqliteConnection};

use crate::services::database::error::StoreError;

/// What leads from schema N to schema N + 1, at index N.
const STEPS: &[&str] = &[include_str!("sqlite/1.sql"), include_str!("sqlite/2.sql")];

/// Brings the database at `place` to the newest schema known here.
pub(super) async fn upgrade(connection: &mut SqliteConnection, place: &str) -> Result<(), StoreError> {
    let known = super::NEWEST;
    let said = |error| StoreError::of(place, error);
    if version(connection).await.map_err(said)? == known {
        return Ok(());
    }
    // Two processes may open a fresh database at once: the second waits here and then finds it done.
    let mut changing = connection.begin_with("BEGIN IMMEDIATE").await.map_err(said)?;
    let found = version(&mut changing).await.map_err(said)?;
    let Some(missing) = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)) else {
        return Err(StoreError::Newer { place: place.to_owned(), found, known });
    };
    if found == 0 && has_tables(&mut changing).await.map_err(said)? {
        return Err(StoreError::Foreign { place: place.to_owned() });
    }
    for step in missing {
        sqlx::raw_sql(*step).execute(&mut *changing).await.map_err(said)?;
    }
    changing.commit().await.map_err(said)
}

pub(super) async fn version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await
}

async fn has_tables(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").fetch_one(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn memory() -> SqliteConnection {
        SqliteConnection::connect("sqlite::memory:").await.unwrap()
    }

    #[tokio::test]
    async fn every_step_writes_its_own_number() {
        let mut connection = memory().await;
        for (index, step) in STEPS.iter().enumerate() {
            sqlx::raw_sql(*step).execute(&mut connection).await.unwrap();
            assert_eq!(version(&mut connection).await.unwrap(), i64::try_from(index).unwrap() + 1);
        }
        assert_eq!(version(&mut connection).await.unwrap(), super::super::NEWEST);
    }

    #[tokio::test]
    async fn an_upgrade_is_done_once() {
        let mut connection = memory().await;
        upgrade(&mut connection, "test").await.unwrap();
        upgrade(&mut connection, "test").await.unwrap();
        let counters: i64 =
            sqlx::query_scalar("SELECT count(*) FROM counters").fetch_one(&mut connection).await.unwrap();
        assert_eq!(counters, 1);
    }

    #[tokio::test]
    async fn what_was_signed_under_an_older_schema_is_kept() {
        let mut connection = memory().await;
        sqlx::raw_sql(STEPS[0]).execute(&mut connection).await.unwrap();
        let old = "INSERT INTO entries (name, message, written_at) VALUES ('Ada', 'Hello', 1)";
        sqlx::raw_sql(old).execute(&mut connection).await.unwrap();
        upgrade(&mut connection, "test").await.unwrap();
        let kept: (String, Option<i64>, Option<i64>) =
            sqlx::query_as("SELECT message, owner, edited_at FROM entries")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(kept, ("Hello".to_owned(), None, None));
    }

    #[tokio::test]
    async fn somebody_elses_tables_are_left_alone() {
        let mut connection = memory().await;
        sqlx::raw_sql("CREATE TABLE recipes (id)").execute(&mut connection).await.unwrap();
        let refused = upgrade(&mut connection, "test").await.unwrap_err();
        assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    }

    #[tokio::test]
    async fn a_newer_database_is_left_alone() {
        let mut connection = memory().await;
        sqlx::raw_sql("PRAGMA user_version = 4711").execute(&mut connection).await.unwrap();
        let refused = upgrade(&mut connection, "test").await.unwrap_err();
        assert!(matches!(refused, StoreError::Newer { found: 4711, .. }), "{refused}");
    }
}
