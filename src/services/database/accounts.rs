//! Accounts, and the sessions that are open for them.
//!
//! What is kept is of no use to who reads it: of a password its costly hash, of a session its digest. What the hashes
//! are is the application's business; here they are texts.

use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::entries::millis;
use super::error::StoreError;
use super::store::Store;
use crate::ground::clock;

/// Sessions of one account at most; another one ends the one that would end first.
const SESSIONS_MOST: usize = 20;

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
        let [name, folded, password] = [name, folded, password].map(str::to_owned);
        self.database
            .with(move |connection| {
                Box::pin(async move {
                    let statement = "INSERT INTO accounts (name, name_folded, password, created_at) \
                                     VALUES (?, ?, ?, ?)";
                    let query = sqlx::query(statement).bind(name).bind(folded).bind(password).bind(now);
                    match query.execute(connection).await {
                        Ok(done) => Ok(Some(done.last_insert_rowid())),
                        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
                        Err(error) => Err(error),
                    }
                })
            })
            .await
    }

    /// The account whose name folds to `folded`, if there is one.
    pub async fn account(&self, folded: &str) -> Result<Option<Account>, StoreError> {
        let folded = folded.to_owned();
        self.database
            .with(move |connection| {
                Box::pin(async move {
                    let query = sqlx::query("SELECT id, name, password FROM accounts WHERE name_folded = ?");
                    let row = query.bind(folded).fetch_optional(connection).await?;
                    row.map(|row| {
                        Ok(Account {
                            id: row.try_get("id")?,
                            name: row.try_get("name")?,
                            password: row.try_get("password")?,
                        })
                    })
                    .transpose()
                })
            })
            .await
    }

    /// Opens a session for `account` that is known by `digest` until `expires_at`, in milliseconds since the Unix
    /// epoch. Sessions that have ended are forgotten on the way, and so is an account's oldest of too many.
    pub async fn open_session(&self, digest: &str, account: i64, expires_at: u64) -> Result<(), StoreError> {
        let (digest, now, expires_at) = (digest.to_owned(), millis(clock::unix_millis()), millis(expires_at));
        self.database
            .with(move |connection| {
                Box::pin(async move { open_session(connection, &digest, account, now, expires_at).await })
            })
            .await
    }

    /// Who has the session that is known by `digest`, if it is open.
    pub async fn session(&self, digest: &str) -> Result<Option<Session>, StoreError> {
        let (digest, now) = (digest.to_owned(), millis(clock::unix_millis()));
        self.database
            .with(move |connection| {
                Box::pin(async move {
                    let statement = "SELECT accounts.id, accounts.name FROM sessions \
                                     JOIN accounts ON accounts.id = sessions.account \
                                     WHERE sessions.digest = ? AND sessions.expires_at > ?";
                    let query = sqlx::query(statement).bind(digest).bind(now);
                    let row = query.fetch_optional(connection).await?;
                    row.map(|row| Ok(Session { account: row.try_get("id")?, name: row.try_get("name")? }))
                        .transpose()
                })
            })
            .await
    }

    /// Ends the session that is known by `digest`, if it is open.
    pub async fn close_session(&self, digest: &str) -> Result<(), StoreError> {
        let digest = digest.to_owned();
        self.database
            .with(move |connection| {
                Box::pin(async move {
                    let query = sqlx::query("DELETE FROM sessions WHERE digest = ?");
                    query.bind(digest).execute(connection).await.map(drop)
                })
            })
            .await
    }
}

async fn open_session(
    connection: &mut SqliteConnection,
    digest: &str,
    account: i64,
    now: i64,
    expires_at: i64,
) -> sqlx::Result<()> {
    let mut changing = connection.begin().await?;
    sqlx::query("DELETE FROM sessions WHERE expires_at <= ?").bind(now).execute(&mut *changing).await?;
    let open: Vec<String> =
        sqlx::query_scalar("SELECT digest FROM sessions WHERE account = ? ORDER BY expires_at DESC")
            .bind(account)
            .fetch_all(&mut *changing)
            .await?;
    for superfluous in open.iter().skip(SESSIONS_MOST - 1) {
        let query = sqlx::query("DELETE FROM sessions WHERE digest = ?");
        query.bind(superfluous).execute(&mut *changing).await?;
    }
    let statement = "INSERT INTO sessions (digest, account, expires_at) VALUES (?, ?, ?)";
    sqlx::query(statement).bind(digest).bind(account).bind(expires_at).execute(&mut *changing).await?;
    changing.commit().await
}
