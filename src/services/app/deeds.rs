//! What visitors can do, whether they ask by a form or by the API: log in and out, sign, edit, delete.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::asked::Asked;
use super::refusal::Refusal;
use super::routes::Application;
use super::session::{OPEN_FOR, Secret};
use super::signing::{self, Form, account_problems, folded};
use crate::ground::clock;
use crate::services::database::{Changed, Entry};

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The number of their account.
    pub(super) account: i64,
    /// Its name.
    pub(super) name: String,
    /// The secret of their session.
    pub(super) secret: Secret,
}

impl Application {
    /// Who asked, if they are logged in.
    pub(super) async fn member(&self, asked: &Asked) -> Result<Option<Member>, Refusal> {
        let Some(secret) = asked.secret.clone() else { return Ok(None) };
        let session = self.heard(asked.database(self.sessions().find(&secret.digest())).await)?;
        Ok(session.map(|session| Member { account: session.account, name: session.name, secret }))
    }

    /// Makes an account, and logs in.
    pub(super) async fn register(
        &self,
        asked: &Asked,
        name: &str,
        password: &str,
    ) -> Result<Member, Refusal> {
        let problems = account_problems(name, password);
        if let Some(problem) = problems.name.or(problems.message) {
            return Err(Refusal::Unfit(problem));
        }
        self.attempts().count(asked.journey.client, None, clock::now()).map_err(Refusal::TooOften)?;
        let password = self.passwords().hash(password.to_owned()).await?;
        let folded = folded(name);
        let made = self.store().register(name, &folded, &password);
        let account = self.heard(asked.database(made).await)?.ok_or(Refusal::NameTaken)?;
        self.enter(asked, account, name.to_owned()).await
    }

    /// Logs in with a password.
    pub(super) async fn log_in(&self, asked: &Asked, name: &str, password: &str) -> Result<Member, Refusal> {
        let folded = folded(name);
        let client = asked.journey.client;
        self.attempts().count(client, Some(&folded), clock::now()).map_err(Refusal::TooOften)?;
        if password.len() > signing::PASSWORD_LONGEST {
            return Err(Refusal::WrongPassword);
        }
        let account = self.heard(asked.database(self.store().account(&folded)).await)?;
        let hash = account.as_ref().map(|account| account.password.clone());
        let is_right = self.passwords().is(password.to_owned(), hash).await?;
        let account = account.filter(|_| is_right).ok_or(Refusal::WrongPassword)?;
        self.attempts().forget(client, &folded);
        self.enter(asked, account.id, account.name).await
    }

    /// Opens a session: always a new one, so that nobody can have chosen it before (session fixation).
    async fn enter(&self, asked: &Asked, account: i64, name: String) -> Result<Member, Refusal> {
        let secret = Secret::draw().map_err(Refusal::NoChance)?;
        let lasts = u64::try_from(OPEN_FOR.as_millis()).unwrap_or(u64::MAX);
        let expires_at = clock::unix_millis().saturating_add(lasts);
        self.leave(asked).await?;
        let digest = secret.digest();
        let opened = self.sessions().open(&digest, account, &name, expires_at);
        self.heard(asked.database(opened).await)?;
        Ok(Member { account, name, secret })
    }

    /// Ends the session of `asked`, if it has one.
    pub(super) async fn leave(&self, asked: &Asked) -> Result<(), Refusal> {
        let Some(secret) = &asked.secret else { return Ok(()) };
        self.heard(asked.database(self.sessions().close(&secret.digest())).await)
    }

    /// Keeps a form that was checked, as of `member`, whose name it then has.
    pub(super) async fn sign(
        &self,
        asked: &Asked,
        form: &Form,
        member: Option<&Member>,
    ) -> Result<Entry, Refusal> {
        let owner = member.map(|member| member.account);
        self.heard(asked.database(self.store().sign(&form.name, &form.message, owner)).await)
    }

    /// Entry `id`, which there has to be.
    pub(super) async fn entry(&self, asked: &Asked, id: &str) -> Result<Entry, Refusal> {
        let id = number(id)?;
        self.heard(asked.database(self.store().entry(id)).await)?.ok_or(Refusal::NoSuchEntry)
    }

    /// Gives entry `id` another message, which was checked; returns it as it is then.
    pub(super) async fn edit(
        &self,
        asked: &Asked,
        id: &str,
        member: Option<&Member>,
        message: &str,
    ) -> Result<Entry, Refusal> {
        let id = number(id)?;
        let owner = member.ok_or(Refusal::NotYours)?.account;
        done(self.heard(asked.database(self.store().edit(id, owner, message)).await)?)
    }

    /// Deletes entry `id`.
    pub(super) async fn delete(
        &self,
        asked: &Asked,
        id: &str,
        member: Option<&Member>,
    ) -> Result<(), Refusal> {
        let id = number(id)?;
        let owner = member.ok_or(Refusal::NotYours)?.account;
        done(self.heard(asked.database(self.store().delete(id, owner)).await)?)
    }
}

/// The `{id}` of a path, as it is written there; empty where it cannot be read.
pub(super) struct Numbered(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Numbered {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(id.map(|Path(id)| id).unwrap_or_default()))
    }
}

fn number(id: &str) -> Result<i64, Refusal> {
    let plain = id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|_| plain).ok_or(Refusal::NoSuchEntry)
}

fn done<T>(changed: Changed<T>) -> Result<T, Refusal> {
    match changed {
        Changed::Done(done) => Ok(done),
        Changed::NotYours => Err(Refusal::NotYours),
        Changed::Absent => Err(Refusal::NoSuchEntry),
    }
}
