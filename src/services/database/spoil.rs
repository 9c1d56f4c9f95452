//! What a fault makes of a call of the database: the engine is told so on the call's own connection, and told otherwise after it.
//!
//! So what the visitor gets is the engine's own error, met where it is always met, and a connection that goes back to the pool
//! is as before. One that is not, since its words were lost on the way, is not kept.

use tokio::time::sleep;

use super::act::Act;
use super::connection::{Connection, Value};
use super::{mysql, sqlite};
use crate::ground::fault::{DatabaseWrong, Wrong, wait};
use crate::services::faults::Faults;

/// What strikes one call.
pub(super) fn strikes(faults: &Faults) -> Vec<DatabaseWrong> {
    let Some(active) = faults.now() else { return Vec::new() };
    let struck = active.strike(|laid| matches!(laid.wrong, Wrong::Database(_))).into_iter();
    struck.filter_map(|wrong| if let Wrong::Database(wrong) = wrong { Some(wrong) } else { None }).collect()
}

/// Does `act` on `connection`, spoilt by `struck`; what came of it, and whether the connection is as before.
pub(super) async fn act<A: Act>(
    act: &A,
    connection: &mut Connection,
    struck: &[DatabaseWrong],
) -> (sqlx::Result<A::Done>, bool) {
    for wrong in struck {
        if let Err(error) = begin::<A>(*wrong, connection).await {
            return (Err(error), false);
        }
    }
    let done = act.on(connection).await;
    let mut is_as_before = true;
    for wrong in struck {
        is_as_before &= end(*wrong, connection).await.is_ok();
    }
    (done, is_as_before)
}

async fn begin<A: Act>(wrong: DatabaseWrong, connection: &mut Connection) -> sqlx::Result<()> {
    match (wrong, &*connection) {
        (DatabaseWrong::ReadOnly, Connection::Sqlite(_)) => connection.say("PRAGMA query_only = ON").await,
        (DatabaseWrong::ReadOnly, Connection::MySql(_)) => {
            connection.say("SET SESSION TRANSACTION READ ONLY").await
        }
        // No file can be made smaller by this: it stays as large as it is.
        (DatabaseWrong::Full, Connection::Sqlite(_)) => connection.say("PRAGMA max_page_count = 1").await,
        (DatabaseWrong::Slow { millis }, Connection::Sqlite(_)) => {
            sleep(wait(millis)).await;
            Ok(())
        }
        (DatabaseWrong::Slow { millis }, Connection::MySql(_)) => {
            let millis = i64::try_from(millis).unwrap_or(i64::MAX);
            connection.rows("SELECT SLEEP(? / 1000)", &[Value::Integer(millis)]).await.map(drop)
        }
        // A limit on its files (RLIMIT_FSIZE) ends the server instead: its disk is the machine's. So it is asked to say what it
        // would, whatever is to be written.
        (DatabaseWrong::Full, Connection::MySql(_)) if !A::ONLY_READS => {
            connection.say(mysql::TABLE_IS_FULL).await
        }
        // Who gets no connection comes not so far.
        (DatabaseWrong::Full, Connection::MySql(_)) | (DatabaseWrong::Busy | DatabaseWrong::Gone, _) => {
            Ok(())
        }
    }
}

async fn end(wrong: DatabaseWrong, connection: &mut Connection) -> sqlx::Result<()> {
    match (wrong, &*connection) {
        (DatabaseWrong::ReadOnly, Connection::Sqlite(_)) => connection.say("PRAGMA query_only = OFF").await,
        (DatabaseWrong::ReadOnly, Connection::MySql(_)) => {
            connection.say("SET SESSION TRANSACTION READ WRITE").await
        }
        (DatabaseWrong::Full, Connection::Sqlite(_)) => connection.say(sqlite::MAY_GROW).await,
        _ => Ok(()),
    }
}
