//! What is MySQL's and MariaDB's own: where the server is, how a session with it is set up, its error numbers, its dialect.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, MySqlConnection};

use super::error::Trouble;
use super::patience::Patience;

/// How a session is set up, in one round trip.
///
/// - What does not fit is an error, whatever the server thinks of that (`STRICT_ALL_TABLES`).
/// - A row's lock is waited for once and long, and not twice and short: who comes again is the last in the queue; and a
///   table's lock, for which the server would wait a day, no longer than that.
/// - No statement takes longer than a call may. The two servers have two names for that; each passes over what is written
///   in the comment that is meant for the other.
/// - Gaps between rows are not locked: nothing here counts on a range that stays as it was, and those who clear what has
///   ended would wait for each other.
fn session(patience: Patience) -> String {
    let (answer, lock) = (patience.answer, patience.server_lock.as_secs());
    format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
         SESSION innodb_lock_wait_timeout = {lock}, SESSION lock_wait_timeout = {lock} \
         /*M!100100 , SESSION max_statement_time = {} */ /*!80000 , SESSION max_execution_time = {} */ \
         , NAMES utf8mb4",
        answer.as_secs_f64(),
        answer.as_millis(),
    )
}

/// Adds to the counter; what was inserted last is the new value, and nobody else's: one statement, one round trip, no
/// transaction.
pub(super) const COUNT: &str = "UPDATE counters SET value = LAST_INSERT_ID(value + ?) WHERE name = 'home'";

/// Has the server say what it says where a table's file cannot grow (ER_RECORD_FILE_FULL); nothing is done.
pub(super) const TABLE_IS_FULL: &str =
    "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'";

/// A database of a server, and how to get in.
#[derive(Clone)]
pub struct Server {
    options: Arc<MySqlConnectOptions>,
}

impl Server {
    /// The server and database that `options` name.
    pub(super) fn new(options: MySqlConnectOptions) -> Self {
        // What sqlx would say to the server by itself is said in `session`.
        let options = options.pipes_as_concat(false).no_engine_substitution(false);
        Self { options: Arc::new(options.timezone(None).set_names(false)) }
    }

    /// The same database, reached by the server's socket on this machine.
    #[must_use]
    pub fn at_socket(self, socket: &Path) -> Self {
        Self { options: Arc::new(self.options.as_ref().clone().socket(socket)) }
    }

    /// Its host and port.
    pub(super) fn address(&self) -> String {
        let host = self.options.get_host();
        let port = self.options.get_port();
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// What errors call the database: neither user nor password is in it.
    pub(super) fn place(&self) -> String {
        format!("mysql://{}/{}", self.address(), self.options.get_database().unwrap_or_default())
    }

    /// A new connection, with its session set up.
    pub(super) async fn connect(&self, patience: Patience) -> sqlx::Result<MySqlConnection> {
        let mut connection = self.options.connect().await?;
        // Numbers, and this program's own words.
        sqlx::raw_sql(AssertSqlSafe(session(patience))).execute(&mut connection).await?;
        Ok(connection)
    }
}

/// Without user and password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.place()).finish()
    }
}

/// The name and the version of a server that says `version` of itself: `10.11.14-MariaDB-0+deb12u2`.
pub(super) fn name(version: &str) -> (&'static str, String) {
    let name = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    // Before 11 there is a number in front that old clients want to see.
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    (name, version.split('-').next().unwrap_or(version).to_owned())
}

/// What the server's error `number` with its `message` means (mariadb.com/kb/en/mariadb-error-code-reference).
pub(super) fn trouble(number: u16, message: &str) -> Trouble {
    match number {
        1040 | 1203 | 1226 => Trouble::Crowded,
        1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1698 => Trouble::Denied,
        1049 => Trouble::NoDatabase,
        1205 => Trouble::LockWait,
        1213 => Trouble::Deadlock,
        1290 | 1792 | 1836 => Trouble::ReadOnly,
        1021 | 1114 => Trouble::Full,
        1030 => of_the_engine(message),
        1053 | 1077 | 1079 | 1152 | 1927 => Trouble::Gone,
        1317 | 1969 | 3024 => Trouble::Interrupted,
        126 | 127 | 144 | 145 | 1034 | 1194 | 1195 | 1712 | 1932 => Trouble::Corrupt,
        _ => Trouble::Other,
    }
}

/// What the storage engine said, or the system through it: `Got error 28 "No space left on device" from …` (my_base.h).
fn of_the_engine(message: &str) -> Trouble {
    let number = message.strip_prefix("Got error ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    match number {
        Some(28 | 135) => Trouble::Full,
        Some(30 | 165) => Trouble::ReadOnly,
        Some(126 | 127 | 144 | 145 | 155 | 180 | 194) => Trouble::Corrupt,
        _ => Trouble::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_what_it_says_of_itself() {
        assert_eq!(name("10.11.14-MariaDB-0+deb12u2"), ("MariaDB", "10.11.14".into()));
        assert_eq!(name("5.5.5-10.3.9-MariaDB"), ("MariaDB", "10.3.9".into()));
        assert_eq!(name("8.4.2"), ("MySQL", "8.4.2".into()));
    }

    #[test]
    fn neither_user_nor_password_is_shown() {
        let options = MySqlConnectOptions::new().host("::1").port(3307).database("guests");
        let server = Server::new(options.username("ada").password("correct horse"));
        assert_eq!(server.place(), "mysql://[::1]:3307/guests");
        assert_eq!(format!("{server:?}"), "Server(\"mysql://[::1]:3307/guests\")");
    }

    #[test]
    fn what_the_engine_says_is_known_by_its_number() {
        assert_eq!(
            trouble(1030, "Got error 194 \"Tablespace is missing for a table\" from storage engine InnoDB"),
            Trouble::Corrupt
        );
        assert_eq!(
            trouble(1030, "Got error 28 \"No space left on device\" from storage engine"),
            Trouble::Full
        );
        assert_eq!(trouble(1030, "Got error 122 from storage engine"), Trouble::Other);
        assert_eq!(trouble(1021, "Disk full"), Trouble::Full);
    }
}
