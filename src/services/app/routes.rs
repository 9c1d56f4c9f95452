//! Which request is answered by which page.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::asked::{Asked, By, around};
use super::attempts::Attempts;
use super::code_base::CodeBase;
use super::passwords::Passwords;
use super::refusal::Refusal;
use super::sessions::Kept;
use super::{api, book, health, members, origin, pages};
use crate::ground::event::NO_PAGE;
use crate::ground::journal::Journal;
use crate::services::database::{Store, StoreError};
use crate::services::tally::requests::Requests;

/// What all pages share.
#[derive(Debug)]
pub(super) struct Application {
    /// A snapshot that is swapped whole; the lock is held for a clone of the handle, never across an await.
    code: RwLock<Arc<CodeBase>>,
    store: Store,
    served_by: String,
    trusted: Vec<IpAddr>,
    journal: Journal,
    database_answers: AtomicBool,
    passwords: Passwords,
    attempts: Attempts,
    sessions: Kept,
    counted: Requests,
}

/// The routes of `application`.
pub(super) fn routes(application: Arc<Application>) -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/guestbook", get(book::list).post(book::sign))
        .route("/guestbook/{id}", get(book::one))
        .route("/guestbook/{id}/edit", get(book::edit_form).post(book::edit))
        .route("/guestbook/{id}/delete", post(book::delete))
        .route("/register", get(members::register_form).post(members::register))
        .route("/login", get(members::login_form).post(members::login))
        .route("/logout", post(members::logout))
        .merge(api::routes())
        .route("/whoami", get(health::who))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(async |Extension(asked): Extension<Asked>| {
            (Extension(By(NO_PAGE)), Refusal::NoSuchPage.answer(&asked))
        })
        .method_not_allowed_fallback(async |Extension(asked): Extension<Asked>| {
            (Extension(By(NO_PAGE)), Refusal::NoSuchMethod.answer(&asked))
        })
        .layer(from_fn(origin::guard))
        .layer(from_fn_with_state(application.clone(), around))
        .with_state(application)
}

impl Application {
    /// Runs `code`; what requests tell of who asked counts if one of `trusted` sent them.
    pub(super) fn new(
        code: CodeBase,
        store: Store,
        sessions: Kept,
        served_by: String,
        trusted: Vec<IpAddr>,
        journal: Journal,
    ) -> Self {
        Self {
            code: RwLock::new(Arc::new(code)),
            store,
            served_by,
            trusted,
            journal,
            database_answers: AtomicBool::new(true),
            passwords: Passwords::default(),
            attempts: Attempts::default(),
            sessions,
            counted: Requests::default(),
        }
    }

    /// How many requests were answered, and how fast.
    pub(super) fn counted(&self) -> &Requests {
        &self.counted
    }

    /// Whose word counts about who asked and how.
    pub(super) fn trusted(&self) -> &[IpAddr] {
        &self.trusted
    }

    /// The application files in service. Whoever makes a page holds on to one version of them.
    pub(super) fn code(&self) -> Arc<CodeBase> {
        self.code.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other application files into service; pages that are being made are finished from the former.
    pub(super) fn deploy(&self, code: CodeBase) {
        *self.code.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(code);
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn served_by(&self) -> &str {
        &self.served_by
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    pub(super) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Who is logged in.
    pub(super) fn sessions(&self) -> &Kept {
        &self.sessions
    }

    /// Passes on what the database said, and tells the journal when it stops or begins to answer.
    pub(super) fn heard<T>(&self, said: Result<T, StoreError>) -> Result<T, Refusal> {
        if self.database_answers.swap(said.is_ok(), Ordering::Relaxed) != said.is_ok() {
            self.journal.note(match &said {
                Ok(_) => "the database answers again".to_owned(),
                Err(error) => format!("pages that need the database say 503: {error}"),
            });
        }
        said.map_err(Refusal::Database)
    }
}
