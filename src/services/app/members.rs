//! The pages of accounts: register, log in, log out.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use minijinja::context;
use serde::Deserialize;

use super::asked::Asked;
use super::body;
use super::deeds::Member;
use super::pages::{answer, page};
use super::refusal::Refusal;
use super::routes::Application;
use super::session;
use super::signing::{ACCOUNT_LONGEST, PASSWORD_LONGEST, PASSWORD_SHORTEST, Problems, account_problems};

/// Either form as it was sent; a field that was not sent is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Form {
    name: String,
    password: String,
    token: String,
}

/// `GET /register`.
pub(super) async fn register_form(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let made = form_page(&application, &asked, "register.html", "", None, &Problems::default()).await;
    answer("register", &asked, made)
}

/// `POST /register`: makes an account and logs in, or shows the form again.
pub(super) async fn register(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Response {
    let made = async {
        let form: Form = body::form(request).await?;
        let name = form.name.trim();
        let registered = application.register(&asked, name, &form.password).await;
        let problems = match &registered {
            Err(Refusal::Unfit(_)) => account_problems(name, &form.password),
            Err(taken @ Refusal::NameTaken) => Problems { name: Some(taken.happened(&asked)), message: None },
            _ => Problems::default(),
        };
        entered(&application, &asked, "register.html", name, registered, &problems).await
    };
    answer("register", &asked, made.await)
}

/// `GET /login`.
pub(super) async fn login_form(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let made = form_page(&application, &asked, "login.html", "", None, &Problems::default()).await;
    answer("login", &asked, made)
}

/// `POST /login`: logs in, or shows the form again.
pub(super) async fn login(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Response {
    let made = async {
        let form: Form = body::form(request).await?;
        let name = form.name.trim();
        let logged_in = application.log_in(&asked, name, &form.password).await;
        entered(&application, &asked, "login.html", name, logged_in, &Problems::default()).await
    };
    answer("login", &asked, made.await)
}

/// `POST /logout`: ends the session.
pub(super) async fn logout(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Response {
    let made = async {
        let form: Form = body::form(request).await?;
        if let Some(member) = application.member(&asked).await? {
            member.vouches(&form.token)?;
            application.leave(&asked).await?;
        }
        Ok(moved("/guestbook#bye", session::forgotten(&asked.journey.scheme)))
    };
    answer("logout", &asked, made.await)
}

impl Member {
    /// Whether a form with this token is one that this session was given.
    pub(super) fn vouches(&self, token: &str) -> Result<(), Refusal> {
        if self.secret.is_form_token(token) { Ok(()) } else { Err(Refusal::NoToken) }
    }
}

/// Elsewhere, by GET, so that a reload sends nothing twice; with a cookie on the way. A fragment names the message there
/// that says what was done: it stays in the browser, so nothing has to be remembered for it.
pub(super) fn moved(place: &str, cookie: Option<HeaderValue>) -> Response {
    let mut moved = StatusCode::SEE_OTHER.into_response();
    if let Ok(place) = HeaderValue::from_str(place) {
        moved.headers_mut().insert(LOCATION, place);
    }
    if let Some(cookie) = cookie {
        moved.headers_mut().insert(SET_COOKIE, cookie);
    }
    moved
}

async fn entered(
    application: &Application,
    asked: &Asked,
    template: &str,
    name: &str,
    entered: Result<Member, Refusal>,
    problems: &Problems,
) -> Result<Response, Refusal> {
    match entered {
        Ok(member) => Ok(moved("/guestbook#welcome", member.secret.cookie(&asked.journey.scheme))),
        // These the visitor can put right in the form.
        Err(refusal @ (Refusal::Unfit(_) | Refusal::NameTaken | Refusal::WrongPassword)) => {
            form_page(application, asked, template, name, Some(&refusal), problems).await
        }
        Err(refusal) => Err(refusal),
    }
}

async fn form_page(
    application: &Application,
    asked: &Asked,
    template: &str,
    name: &str,
    refusal: Option<&Refusal>,
    problems: &Problems,
) -> Result<Response, Refusal> {
    let member = application.member(asked).await?;
    let values = context! {
        name,
        is_secured => asked.journey.scheme == "https",
        problem => refusal.map(|refusal| refusal.happened(asked)),
        name_problem => problems.name.as_deref(),
        password_problem => problems.message.as_deref(),
        account_longest => ACCOUNT_LONGEST,
        password_shortest => PASSWORD_SHORTEST,
        password_longest => PASSWORD_LONGEST,
    };
    let status = refusal.map_or(StatusCode::OK, Refusal::status);
    Ok((status, page(application, member.as_ref(), template, values)?).into_response())
}
