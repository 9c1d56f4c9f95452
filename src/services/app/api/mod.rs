//! The same guestbook for programs: JSON in, JSON out, errors as problem details (RFC 9457).
//!
//! What it takes and gives is described by the OpenAPI document `openapi.json` beside this file, which is served at
//! `/api/openapi.json` and held against the answers by a test.
//!
//! A program that logs in gets the same cookie as a browser. There is no token in its requests: a body in JSON, PUT
//! and DELETE are what no other site's page can make a browser send without asking first (Fetch, CORS protocol),
//! and [`super::origin`] stands before all of them.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::Asked;
use super::body;
use super::deeds::{Member, Numbered};
use super::health::Who;
use super::listing::{Listing, Sought};
use super::pages::answer;
use super::refusal::Refusal;
use super::routes::Application;
use super::session;
use super::signing::{Form, Problems};
use crate::ground::clock;
use crate::services::database::Entry;

/// What this is, for programs and those who write them.
const DOCUMENT: &str = include_str!("openapi.json");

/// Entries of one answer, where the request does not say.
const PAGE: u32 = 20;

/// Its routes.
pub(super) fn routes() -> Router<Arc<Application>> {
    Router::new()
        .route("/api/openapi.json", get(async || ([(CONTENT_TYPE, "application/json")], DOCUMENT)))
        .route("/api/entries", get(list).post(sign))
        .route("/api/entries/{id}", get(one).put(edit).delete(remove))
        .route("/api/accounts", post(register))
        .route("/api/sessions", post(log_in))
        .route("/api/sessions/current", delete(log_out))
        .route("/api/whoami", get(who))
}

/// An entry as programs read it.
pub(super) fn shown(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "name": entry.name,
        "message": entry.message,
        "written_at": clock::rfc3339(entry.written_at),
        "edited_at": entry.edited_at.map(clock::rfc3339),
        "by_account": entry.owner.is_some(),
    })
}

/// The entries that are sought, with links to those before and after.
pub(super) async fn listed(
    application: &Application,
    asked: &Asked,
    sought: Sought,
) -> Result<Response, Refusal> {
    let listing = Listing::of(sought, PAGE)?;
    let found = Listing::shortened(listing.find(application, asked).await?);
    Ok(Json(json!({
        "entries": found.entries.iter().map(shown).collect::<Vec<_>>(),
        "older": found.older.map(|place| listing.link("/api/entries", place)),
        "newer": found.newer.map(|place| listing.link("/api/entries", place)),
    }))
    .into_response())
}

/// An entry as it is sent. With a session, its name is the account's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEntry {
    name: String,
    message: String,
}

/// What of an entry can be changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    message: String,
}

/// An account, to make it or to log in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
}

async fn list(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    query: Result<Query<Sought>, QueryRejection>,
) -> Response {
    let made = async {
        let Query(sought) = query.map_err(|rejected| Refusal::Unfit(rejected.body_text()))?;
        listed(&application, &asked, sought).await
    };
    answer("api", &asked, made.await)
}

async fn sign(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Response {
    let made = async {
        let sent: NewEntry = body::json(request).await?;
        let member = application.member(&asked).await?;
        let mut form = checked(sent.name, sent.message)?;
        if let Some(member) = &member {
            form.name.clone_from(&member.name);
        }
        let entry = application.sign(&asked, &form, member.as_ref()).await?;
        let place = format!("/api/entries/{}", entry.id);
        Ok(created(LOCATION, HeaderValue::from_str(&place).ok(), shown(&entry)))
    };
    answer("api", &asked, made.await)
}

async fn one(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    Numbered(id): Numbered,
) -> Response {
    let made = async { Ok(Json(shown(&application.entry(&asked, &id).await?)).into_response()) };
    answer("api", &asked, made.await)
}

async fn edit(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    Numbered(id): Numbered,
    request: Request,
) -> Response {
    let made = async {
        let sent: NewMessage = body::json(request).await?;
        let member = application.member(&asked).await?;
        // Only the message is checked: the name stays as it is.
        let form = checked("-".to_owned(), sent.message)?;
        let edited = application.edit(&asked, &id, member.as_ref(), &form.message).await?;
        Ok(Json(shown(&edited)).into_response())
    };
    answer("api", &asked, made.await)
}

async fn remove(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    Numbered(id): Numbered,
) -> Response {
    let made = async {
        let member = application.member(&asked).await?;
        application.delete(&asked, &id, member.as_ref()).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    answer("api", &asked, made.await)
}

async fn register(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Response {
    let made = async {
        let sent: Credentials = body::json(request).await?;
        Ok(opened(&asked, &application.register(&asked, &sent.name, &sent.password).await?))
    };
    answer("api", &asked, made.await)
}

async fn log_in(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Response {
    let made = async {
        let sent: Credentials = body::json(request).await?;
        Ok(opened(&asked, &application.log_in(&asked, &sent.name, &sent.password).await?))
    };
    answer("api", &asked, made.await)
}

async fn log_out(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let made = async {
        application.leave(&asked).await?;
        let mut left = StatusCode::NO_CONTENT.into_response();
        if let Some(cookie) = session::forgotten(&asked.journey.scheme) {
            left.headers_mut().insert(SET_COOKIE, cookie);
        }
        Ok(left)
    };
    answer("api", &asked, made.await)
}

async fn who(State(application): State<Arc<Application>>, Extension(asked): Extension<Asked>) -> Response {
    let made = async { Ok(Json(Who::learn(&application, &asked).await?).into_response()) };
    answer("api", &asked, made.await)
}

fn checked(name: String, message: String) -> Result<Form, Refusal> {
    let form = Form { name, message, token: String::new() };
    form.checked().map_err(|Problems { name, message }| {
        Refusal::Unfit([name, message].into_iter().flatten().collect::<Vec<_>>().join(" "))
    })
}

fn opened(asked: &Asked, member: &Member) -> Response {
    let cookie = member.secret.cookie(&asked.journey.scheme);
    created(SET_COOKIE, cookie, json!({ "name": member.name }))
}

/// 201 with a header and a body.
fn created(header: HeaderName, value: Option<HeaderValue>, body: Value) -> Response {
    let mut created = (StatusCode::CREATED, Json(body)).into_response();
    if let Some(value) = value {
        created.headers_mut().insert(header, value);
    }
    created
}
