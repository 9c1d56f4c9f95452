//! The home page, and what all pages that are made on the spot share.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse as _, Response};
use minijinja::{Value, context};

use super::asked::{Asked, By};
use super::book;
use super::deeds::Member;
use super::refusal::Refusal;
use super::routes::Application;
use crate::services::database::Engine;

/// What a browser may do with a page (CSP3): everything from the site itself, nothing inline, in nobody's frame. So a
/// message that got through as a script all the same would not run.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
);

/// Entries on the home page.
const NEWEST_AT_HOME: u32 = 5;

/// As much of a message is shown there, in characters.
const SHOWN_LONGEST: usize = 300;

/// `GET /`: the newest entries, how many visits there were, and who answered this one.
pub(super) async fn home(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let made = async {
        let hits = application.heard(asked.database(application.store().hit()).await)?;
        let entries = application.heard(asked.database(application.store().newest(NEWEST_AT_HOME)).await)?;
        let engine = application.heard(asked.database(application.store().engine()).await)?;
        let member = application.member(&asked).await?;
        let shown = |entry| book::shown(entry, member.as_ref(), SHOWN_LONGEST);
        let values = context! {
            hits,
            entries => entries.iter().map(shown).collect::<Vec<_>>(),
            path => path(&asked, &application, &engine),
        };
        page(&application, member.as_ref(), "home.html", values)
    };
    answer("home", &asked, made.await)
}

/// The page of template `name`, with `values`, as it is for `member`.
pub(super) fn page(
    application: &Application,
    member: Option<&Member>,
    name: &str,
    values: Value,
) -> Result<Response, Refusal> {
    let values = context! {
        member => member.map(|member| member.name.as_str()),
        token => member.map(|member| member.secret.form_token()),
        ..values
    };
    let page = application.code().page(name, values).map_err(Refusal::Template)?;
    Ok(([(CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response())
}

/// What was made, or the page of why not, as `by` for the journal.
pub(super) fn answer(by: &'static str, asked: &Asked, made: Result<Response, Refusal>) -> Response {
    let answer = made.unwrap_or_else(|refusal| refusal.answer(asked));
    (Extension(By(by)), answer).into_response()
}

/// Who had a part in this very answer, from the visitor to the data.
fn path(asked: &Asked, application: &Application, engine: &Engine) -> Vec<Value> {
    let step = |title: &str, detail: String| context! { title, detail };
    let journey = &asked.journey;
    let mut path = vec![step("You", format!("{} asked for {}", journey.visitor, journey.host))];
    match &journey.web {
        Some(web) => path.push(step("Web server", format!("{web}, by {}", journey.scheme))),
        None => path.push(step("Web server", "none: you asked the application directly".to_owned())),
    }
    path.push(step(
        "Application server",
        format!("{}, process {}", application.served_by(), std::process::id()),
    ));
    path.push(step("Code base", format!("version {}", application.code().version())));
    path.push(step("Database", format!("{} {}, {}", engine.name, engine.version, engine.place)));
    path
}
