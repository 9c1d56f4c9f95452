//! Accounts, and the sessions that are open for them.
//!
//! What is kept is of no use to who reads it: of a password its costly hash, of a session its digest. What the hashes
//! are is the application's business; here they are texts.

use super::act::{Act, Changing, Reading};
use super::connection::{Connection, Row, Value};
use super::entries::millis;
use super::error::StoreError;
use super::store::Store;
use crate::ground::clock;

/// Sessions of one account at most; another one ends the one that would end first.
pub const SESSIONS_MOST: usize = 20;

/// One who can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// Its name, as its owner writes it.
    pub name: String,
    /// The hash of its password.
    pub password: String,
}

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The number of the account.
    pub account: i64,
    /// Its name.
    pub name: String,
}

impl Store {
    /// Makes an account as of now and returns its number; nothing if there is one by that name. Names that fold to
    /// the same `folded` are the same.
    pub async fn register(
        &self,
        name: &str,
        folded: &str,
        password: &str,
    ) -> Result<Option<i64>, StoreError> {
        let now = millis(clock::unix_millis());
        let insert = "INSERT INTO accounts (name, name_folded, password, created_at) VALUES (?, ?, ?, ?)";
        let values = [name.into(), folded.into(), password.into(), now.into()];
        self.database.with(&Registering(Changing(insert, &values))).await
    }

    /// The account whose name folds to `folded`, if there is one.
    pub async fn account(&self, folded: &str) -> Result<Option<Account>, StoreError> {
        let select = "SELECT id, name, password FROM accounts WHERE name_folded = ?";
        let rows = self.database.with(&Reading(select, &[folded.into()])).await?;
        let account = |row: &Row| {
            Ok(Account { id: row.get("id")?, name: row.get("name")?, password: row.get("password")? })
        };
        rows.first().map(account).transpose().map_err(|error| self.database.said(error))
    }

    /// Opens a session for `account` that is known by `digest` until `expires_at`, in milliseconds since the Unix
    /// epoch. Sessions that have ended are forgotten on the way, and so is an account's oldest of too many.
    pub async fn open_session(&self, digest: &str, account: i64, expires_at: u64) -> Result<(), StoreError> {
        let (now, expires_at) = (millis(clock::unix_millis()), millis(expires_at));
        self.database.with(&Opening { digest, account, now, expires_at }).await
    }

    /// Who has the session that is known by `digest`, if it is open.
    pub async fn session(&self, digest: &str) -> Result<Option<Session>, StoreError> {
        let now = millis(clock::unix_millis());
        let select = "SELECT accounts.id, accounts.name FROM sessions \
                      JOIN accounts ON accounts.id = sessions.account \
                      WHERE sessions.digest = ? AND sessions.expires_at > ?";
        let rows = self.database.with(&Reading(select, &[digest.into(), now.into()])).await?;
        let session = |row: &Row| Ok(Session { account: row.get("id")?, name: row.get("name")? });
        rows.first().map(session).transpose().map_err(|error| self.database.said(error))
    }

    /// Ends the session that is known by `digest`, if it is open.
    pub async fn close_session(&self, digest: &str) -> Result<(), StoreError> {
        let delete = "DELETE FROM sessions WHERE digest = ?";
        self.database.with(&Changing(delete, &[digest.into()])).await.map(drop)
    }
}

/// Makes an account; what comes of it is its number, or nothing where there is one by that name.
struct Registering<'a>(Changing<'a>);

impl Act for Registering<'_> {
    type Done = Option<i64>;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<Option<i64>> {
        match self.0.on(connection).await {
            Ok(done) => Ok(Some(done.id)),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Opens a session.
struct Opening<'a> {
    digest: &'a str,
    account: i64,
    now: i64,
    expires_at: i64,
}

impl Act for Opening<'_> {
    type Done = ();

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<()> {
        // Outside the transaction: it is over as soon as it is done, and holds no rows that others wait for.
        let now = [self.now.into()];
        connection.change("DELETE FROM sessions WHERE expires_at <= ?", &now).await?;
        connection.begin().await?;
        let done = self.open(connection).await;
        connection.end(done).await
    }
}

impl Opening<'_> {
    async fn open(&self, connection: &mut Connection) -> sqlx::Result<()> {
        let open = "SELECT digest FROM sessions WHERE account = ? ORDER BY expires_at DESC";
        let open = connection.rows(open, &[self.account.into()]).await?;
        for superfluous in open.iter().skip(SESSIONS_MOST - 1) {
            let superfluous: String = superfluous.get(0)?;
            let delete = "DELETE FROM sessions WHERE digest = ?";
            connection.change(delete, &[superfluous.as_str().into()]).await?;
        }
        let insert = "INSERT INTO sessions (digest, account, expires_at) VALUES (?, ?, ?)";
        let values: [Value<'_>; 3] = [self.digest.into(), self.account.into(), self.expires_at.into()];
        connection.change(insert, &values).await.map(drop)
    }
}
