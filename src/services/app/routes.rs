//! Which request is answered by which page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Extension, Router};

use super::asked::{Asked, By, around};
use super::code_base::CodeBase;
use super::refusal::Refusal;
use super::{health, pages};
use crate::ground::journal::Journal;
use crate::services::database::{Store, StoreError};

/// What all pages share.
#[derive(Debug)]
pub(super) struct Application {
    code: Arc<CodeBase>,
    store: Store,
    served_by: String,
    journal: Journal,
    database_answers: AtomicBool,
}

/// The routes of `application`.
pub(super) fn routes(application: Arc<Application>) -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/guestbook", get(pages::guestbook).post(pages::sign))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(async |Extension(asked): Extension<Asked>| {
            (Extension(By("nothing")), Refusal::NoSuchPage.answer(&asked))
        })
        .method_not_allowed_fallback(async |Extension(asked): Extension<Asked>| {
            (Extension(By("nothing")), Refusal::NoSuchMethod.answer(&asked))
        })
        .layer(from_fn_with_state(application.clone(), around))
        .with_state(application)
}

impl Application {
    pub(super) fn new(code: CodeBase, store: Store, served_by: String, journal: Journal) -> Self {
        Self { code: Arc::new(code), store, served_by, journal, database_answers: AtomicBool::new(true) }
    }

    pub(super) fn code(&self) -> &CodeBase {
        &self.code
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
