//! The pages that are made on the spot: home, guestbook, and what comes of signing it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{Html, IntoResponse as _, Response};
use axum::{Extension, Form};
use http_body_util::BodyExt as _;
use minijinja::{Value, context};

use super::arriving::ARRIVES_WITHIN;
use super::asked::{Asked, By};
use super::refusal::Refusal;
use super::routes::Application;
use super::signing::{self, MESSAGE_LONGEST, NAME_LONGEST, Problems};
use crate::ground::clock;
use crate::services::database::{Engine, Entry};

/// Entries on the home page.
const NEWEST_AT_HOME: u32 = 5;

/// Entries on the guestbook's page.
const NEWEST_IN_BOOK: u32 = 50;

/// Length of a request's body at most, in bytes.
const BODY_LONGEST: usize = 64 * 1024;

/// `GET /`: the newest entries, how many visits there were, and who answered this one.
pub(super) async fn home(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let made = async {
        let hits = application.heard(asked.database(application.store().hit()).await)?;
        let entries = application.heard(asked.database(application.store().newest(NEWEST_AT_HOME)).await)?;
        let engine = application.heard(asked.database(application.store().engine()).await)?;
        let values = context! {
            hits,
            entries => shown(&entries),
            path => path(&asked, &application, &engine),
        };
        page(&application, "home.html", values)
    };
    answer("home", &asked, made.await)
}

/// `GET /guestbook`: the newest entries and the form.
pub(super) async fn guestbook(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let (form, problems) = Default::default();
    let made = book(&application, &asked, StatusCode::OK, &form, &problems).await;
    answer("guestbook", &asked, made)
}

/// `POST /guestbook`: keeps what the form says, or shows it again with what is wrong with it.
pub(super) async fn sign(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Response {
    let made = async {
        let form = read_form(request).await?;
        match form.checked() {
            Ok(signed) => {
                let kept = asked.database(application.store().sign(&signed.name, &signed.message)).await;
                application.heard(kept)?;
                // 303: the browser asks for the guestbook with GET, so that a reload does not sign twice.
                Ok((StatusCode::SEE_OTHER, [(LOCATION, "/guestbook")]).into_response())
            }
            Err(problems) => {
                book(&application, &asked, StatusCode::UNPROCESSABLE_ENTITY, &form, &problems).await
            }
        }
    };
    answer("sign", &asked, made.await)
}

async fn book(
    application: &Application,
    asked: &Asked,
    status: StatusCode,
    form: &signing::Form,
    problems: &Problems,
) -> Result<Response, Refusal> {
    let entries = application.heard(asked.database(application.store().newest(NEWEST_IN_BOOK)).await)?;
    let values = context! {
        entries => shown(&entries),
        most => NEWEST_IN_BOOK,
        name => form.name.as_str(),
        message => form.message.as_str(),
        name_problem => problems.name.as_deref(),
        message_problem => problems.message.as_deref(),
        name_longest => NAME_LONGEST,
        message_longest => MESSAGE_LONGEST,
    };
    let page = page(application, "guestbook.html", values)?;
    Ok((status, page).into_response())
}

fn page(application: &Application, name: &str, values: Value) -> Result<Response, Refusal> {
    application.code().page(name, values).map(|page| Html(page).into_response()).map_err(Refusal::Template)
}

fn answer(by: &'static str, asked: &Asked, made: Result<Response, Refusal>) -> Response {
    let answer = made.unwrap_or_else(|refusal| refusal.answer(asked));
    (Extension(By(by)), answer).into_response()
}

/// Reads a form from a body of bounded length within bounded time.
async fn read_form(request: Request) -> Result<signing::Form, Refusal> {
    let (head, body) = request.into_parts();
    let body =
        tokio::time::timeout(ARRIVES_WITHIN, read_body(body)).await.map_err(|_| Refusal::TooSlow)??;
    let request = Request::from_parts(head, Body::from(body));
    match Form::from_request(request, &()).await {
        Ok(Form(form)) => Ok(form),
        Err(rejected) => Err(Refusal::NotAForm(rejected.status(), rejected.body_text())),
    }
}

async fn read_body(mut body: Body) -> Result<Bytes, Refusal> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::NotAForm(StatusCode::BAD_REQUEST, error.to_string()))?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        if read.len() + data.len() > BODY_LONGEST {
            return Err(Refusal::TooLong(BODY_LONGEST));
        }
        read.extend_from_slice(data);
    }
    Ok(read.into())
}

/// The entries as templates read them.
fn shown(entries: &[Entry]) -> Vec<Value> {
    let shown = |entry: &Entry| {
        let written = clock::rfc3339(entry.written_at);
        context! {
            id => entry.id,
            name => entry.name.as_str(),
            message => entry.message.as_str(),
            // To the minute, for people; the whole of it is in the element's attribute.
            written_shown => written.get(..16).map(|minute| minute.replace('T', " ")),
            written,
        }
    };
    entries.iter().map(shown).collect()
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
