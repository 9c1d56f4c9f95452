//! Taking the tables of a server away: `wwwlab serve db --lock-tables FILE`.
//!
//! What a migration does that began and does not end: a session says `LOCK TABLES … WRITE` for every table of the database,
//! and then stays busy with something slow. Whoever else asks waits for it, readers too, until their own patience is at its end.
//! A lock lives no longer than its session: when this service ends, when it is killed, or when somebody finds the session in
//! `SHOW PROCESSLIST` and ends it with `KILL`, the server gives the tables back by itself.
//!
//! It stands beside [`super::withhold`], which does the same to a file, and knows nothing of whose tables they are: an application
//! of a student's own waits as well.

use std::path::Path;
use std::time::Duration;

use sqlx::{AssertSqlSafe, MySqlConnection};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::StoreError;
use super::mysql::Server;
use super::patience::Patience;
use super::url_file::UrlFileError;
use crate::ground::service::DRAIN;

/// How long the lock is waited for: a transaction that is under way ends first. Less than a service may take to be ready.
const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(6),
    connection: Duration::from_secs(2),
    file_lock: Duration::ZERO,
    server_lock: Duration::from_secs(5),
};

/// Tables that are locked at most; a guestbook has a handful.
const TABLES_MOST: usize = 1_000;

/// What the session is busy with, for whoever looks at the server's list of sessions: half a year.
const BUSY: &str = "SELECT SLEEP(15768000) /* the session that holds the tables */";

/// Why tables are not locked.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// Where the server is cannot be read.
    #[error(transparent)]
    Url(#[from] UrlFileError),
    /// The server did not let itself be asked, or somebody held the tables too long.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to lock.
    #[error("the database {0} has no tables yet: use its application once, and then lock them")]
    NoTables(String),
    /// There is too much to lock.
    #[error("the database {0} has more than {TABLES_MOST} tables: that is none of a lab's")]
    TooMany(String),
}

/// Tables that are locked until this closes or their session ends.
#[derive(Debug)]
pub struct Tables {
    server: Server,
    /// The session's number with the server.
    session: u64,
    /// How many there are, and where.
    pub(super) told: String,
    stop: CancellationToken,
    over: CancellationToken,
    task: TaskTracker,
}

impl Tables {
    /// Locks all tables of the database that `file` names: when this returns, nobody else reads or writes them.
    pub(super) async fn lock(file: &Path) -> Result<Self, TablesError> {
        let server = Server::named_in(file)?;
        let place = server.place();
        let said = |error| StoreError::of(&place, error);
        let connecting = timeout(PATIENCE.connection, server.connect(PATIENCE)).await;
        let mut connection =
            connecting.map_err(|_| StoreError::Silent { place: place.clone() })?.map_err(said)?;
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'",
        )
        .fetch_all(&mut connection)
        .await
        .map_err(said)?;
        match names.len() {
            0 => return Err(TablesError::NoTables(place)),
            count if count > TABLES_MOST => return Err(TablesError::TooMany(place)),
            _ => {}
        }
        let session: u64 = sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS UNSIGNED)")
            .fetch_one(&mut connection)
            .await
            .map_err(said)?;
        // The names are the server's own, and quoted.
        sqlx::raw_sql(AssertSqlSafe(locking(&names))).execute(&mut connection).await.map_err(said)?;
        let told = format!("{} tables of {place} are locked in session {session}", names.len());
        let (stop, over, task) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        task.spawn(hold(connection, stop.clone(), over.clone()));
        task.close();
        Ok(Self { server, session, told, stop, over, task })
    }

    /// Returns when the session has ended by itself: the server is gone, or somebody ended it there.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Ends the session, and with it the lock, if it has not ended by itself: a server that was started anew counts its sessions
    /// anew, and the number may be somebody else's. Where the server cannot be told now, it sees by itself that nobody is there
    /// any more, within some seconds.
    pub(super) async fn close(self) {
        let end = async {
            let mut connection = self.server.connect(PATIENCE).await?;
            let kill = format!("KILL {}", self.session);
            sqlx::raw_sql(AssertSqlSafe(kill)).execute(&mut connection).await
        };
        let _ = self.over.run_until_cancelled(timeout(DRAIN, end)).await;
        self.stop.cancel();
        self.task.wait().await;
    }
}

/// Keeps the session busy until it ends, or `stop`.
async fn hold(mut connection: MySqlConnection, stop: CancellationToken, over: CancellationToken) {
    // Nothing here limits how long it takes; a session is set up so that no statement takes long.
    let unlimited = "SET SESSION wait_timeout = 15768000 /*M!100100 , SESSION max_statement_time = 0 */ \
                     /*!80000 , SESSION max_execution_time = 0 */";
    let busy = async {
        sqlx::raw_sql(unlimited).execute(&mut connection).await?;
        sqlx::raw_sql(BUSY).execute(&mut connection).await
    };
    // However it ended, the tables are free.
    let _ = stop.run_until_cancelled(busy).await;
    drop(connection);
    over.cancel();
}

/// The words that lock `tables`, and wait for them no longer than said before.
fn locking(tables: &[String]) -> String {
    let each: Vec<String> =
        tables.iter().map(|name| format!("`{}` WRITE", name.replace('`', "``"))).collect();
    format!("LOCK TABLES {}", each.join(", "))
}

#[cfg(test)]
mod tests {
    use tokio::task::spawn_blocking;

    use super::*;
    use crate::services::database::{Store, Target};
    use crate::services::mariadb::MariaDb;

    #[test]
    fn a_table_is_named_so_that_it_is_one_name() {
        let tables = ["entries".to_owned(), "a`b; DROP".to_owned()];
        assert_eq!(locking(&tables), "LOCK TABLES `entries` WRITE, `a``b; DROP` WRITE");
    }

    #[tokio::test]
    async fn tables_are_locked_for_as_long_as_their_session_lives() {
        let server = MariaDb::shared();
        let name = server.database();
        let file = server.url_file(&name);
        let refused = Tables::lock(&file).await.unwrap_err();
        assert!(matches!(refused, TablesError::NoTables(_)), "{refused:?}");

        let store = Store::at(Target::Server(Server::named_in(&file).unwrap()));
        store.sign("Ada", "kept", None).await.unwrap();
        for ends_by_itself in [false, true] {
            let mut tables = Tables::lock(&file).await.unwrap();
            // What a student finds, a moment after the lock is there.
            let busy = "SELECT info FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'";
            let list = || spawn_blocking(move || server.sql(busy));
            while !list().await.unwrap().contains("the session that holds the tables") {}
            // Who reads waits as well; what is said depends on whether the lock's time or the call's is over first.
            let refused = store.newest(5).await.unwrap_err();
            assert!(
                matches!(refused, StoreError::LockWait { .. } | StoreError::Silent { .. }),
                "{refused:?}"
            );
            if ends_by_itself {
                server.sql(&format!("KILL {}", tables.session));
                tables.over().await;
                // As if the server had been started anew, and had given the number to somebody else.
                let mut other = tables.server.connect(PATIENCE).await.unwrap();
                let number = sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS UNSIGNED)");
                tables.session = number.fetch_one(&mut other).await.unwrap();
                tables.close().await;
                sqlx::raw_sql("SELECT 1").execute(&mut other).await.expect("its session is left alone");
            } else {
                tables.close().await;
            }
            while let Err(error) = store.newest(5).await {
                assert!(
                    matches!(error, StoreError::LockWait { .. } | StoreError::Silent { .. }),
                    "{error:?}"
                );
            }
        }
        assert_eq!(store.newest(5).await.unwrap().len(), 1, "nothing is lost");
        store.close().await;
    }
}
