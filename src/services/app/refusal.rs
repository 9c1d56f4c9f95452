//! What went wrong, as a page for people or as JSON for programs (RFC 9457).

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::asked::Asked;
use crate::ground::explain::{Component, Explanation, content_security_policy};
use crate::ground::service;
use crate::services::database::StoreError;

/// What went wrong with one request.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The database did not answer.
    Database(StoreError),
    /// There is no such page.
    NoSuchPage,
    /// There is such a page, but not by this method.
    NoSuchMethod,
    /// The body is longer than what is read, in bytes.
    TooLong(usize),
    /// The body did not arrive in time.
    TooSlow,
    /// The body is not a form, in one sentence why not.
    NotAForm(StatusCode, String),
    /// The body is not the JSON that it should be, in one sentence why not.
    NotJson(StatusCode, String),
    /// What was sent cannot be kept, in some sentences why not.
    Unfit(String),
    /// There is no such entry in the guestbook.
    NoSuchEntry,
    /// The entry belongs to somebody else, or to nobody.
    NotYours,
    /// Another site made the browser send this.
    CrossSite,
    /// The form is not of this session.
    NoToken,
    /// Name and password do not belong together.
    WrongPassword,
    /// There is an account by this name already.
    NameTaken,
    /// Too many passwords were tried; after how long another may be.
    TooOften(Duration),
    /// Too many passwords are being checked at once.
    Busy,
    /// The machine gives no random numbers.
    NoChance(io::Error),
    /// The code base has a mistake.
    Template(minijinja::Error),
}

impl Refusal {
    /// The answer to `asked`.
    pub(super) fn answer(&self, asked: &Asked) -> Response {
        let status = self.status();
        let happened = self.happened(asked);
        let explanation = Explanation {
            status: status.as_u16(),
            reason: status.canonical_reason().unwrap_or("Error"),
            component: self.component(),
            is_direct: asked.journey.web.is_none(),
            happened: &happened,
            teaches: self.teaches(),
            next: self.next(),
            request_id: &asked.id,
        };
        let (media_type, body) = explanation.in_form(asked.prefers_json);
        let mut answer = (status, Body::from(body)).into_response();
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Ok(policy) = HeaderValue::from_str(&content_security_policy()) {
            answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        if let Some(seconds) = self.retry_after() {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }

    /// After how many seconds another try makes sense.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Database(_) | Self::Busy => Some(1),
            // Not a moment too early: a part of a second counts as a whole one.
            Self::TooOften(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            _ => None,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Database(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoSuchPage | Self::NoSuchEntry => StatusCode::NOT_FOUND,
            Self::Unfit(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotYours | Self::CrossSite | Self::NoToken | Self::WrongPassword => StatusCode::FORBIDDEN,
            Self::NameTaken => StatusCode::CONFLICT,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotAForm(status, _) | Self::NotJson(status, _) => *status,
            Self::Template(_) | Self::NoChance(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn component(&self) -> Component {
        match self {
            Self::Database(_) => Component::Database,
            Self::Template(_) => Component::CodeBase,
            _ => Component::Application,
        }
    }

    pub(super) fn happened(&self, asked: &Asked) -> String {
        match self {
            Self::Database(error) => sentence(&service::causes(error).join(": ")),
            Self::NoSuchPage => format!("The application has no page {}.", asked.path),
            Self::NoSuchMethod => {
                format!("The page {} cannot be asked for with {}.", asked.path, asked.method)
            }
            Self::TooLong(longest) => format!("The body of the request is longer than {longest} bytes."),
            Self::TooSlow => "The body of the request did not arrive in time.".to_owned(),
            Self::NotAForm(_, why) | Self::NotJson(_, why) | Self::Unfit(why) => why.clone(),
            Self::NoSuchEntry => "The guestbook has no such entry; it may have been deleted.".to_owned(),
            Self::NotYours => "Only the account that signed an entry can edit or delete it.".to_owned(),
            Self::CrossSite => "A page of another site made your browser send this.".to_owned(),
            Self::NoToken => "The form has no token of your session, or one of another.".to_owned(),
            Self::WrongPassword => "There is no account by this name with this password.".to_owned(),
            Self::NameTaken => "There is an account by this name already.".to_owned(),
            Self::TooOften(_) => format!(
                "Too many attempts came from {}; another may come in {} seconds.",
                asked.journey.visitor,
                self.retry_after().unwrap_or(1)
            ),
            Self::Busy => "Too many passwords are being checked at this moment.".to_owned(),
            Self::NoChance(error) => format!("The machine gives no random numbers: {error}."),
            Self::Template(error) => format!(
                "The template {} has a mistake in line {}: {error}.",
                error.name().unwrap_or("?"),
                error.line().unwrap_or(0)
            ),
        }
    }

    fn teaches(&self) -> &'static str {
        match self {
            Self::Database(_) => {
                "The web server and the application server are alive: one passed your request on, the other \
                 answers with this page. Only the data is out of reach, and this page needs it. Pages without \
                 data, and the files that the web server sends by itself, still work. When the database is \
                 back, so is this page: nothing has to be restarted."
            }
            Self::NoSuchPage => {
                "The name was resolved, the web server answered and passed the request on, the application \
                 looked for the path and has none by that name. A 404 means that everything works, except \
                 that nothing is there."
            }
            Self::NoSuchMethod => {
                "A path and a method make a request together. GET asks for a page, POST hands something in; \
                 the Allow header of this answer says which methods this path knows."
            }
            Self::TooLong(_) => {
                "A server that reads whatever it is sent runs out of memory, so every server sets limits. \
                 Nothing was kept."
            }
            Self::TooSlow => {
                "A server that waits for ever for slow clients has no time left for the others, so every \
                 server sets limits. Nothing was kept."
            }
            Self::NotAForm(..) => {
                "Content-Type says how a body is to be read; a form sends \
                 application/x-www-form-urlencoded, as curl -d does. Nothing was kept."
            }
            Self::NotJson(..) => {
                "Programs send application/json here, as /api/openapi.json describes it. Nothing was kept."
            }
            Self::Unfit(_) => {
                "What comes from outside is checked before it is kept: a database full of what nobody can read \
                 is of no use. Nothing was kept."
            }
            Self::NoSuchEntry => {
                "The number of an entry is never given to another, so that a link leads to what it was made \
                 for, or here."
            }
            Self::NotYours => {
                "403 is not about who you are, but about what you may do: the application knows you, or that it \
                 does not, and says no. Hiding the button would not be enough; anybody can send the request."
            }
            Self::CrossSite | Self::NoToken => {
                "A browser sends your cookies along with whatever another site's page makes it send (cross-site \
                 request forgery). So the application looks where the page came from, and gives each form a \
                 token that only its own pages know. Nothing was kept."
            }
            Self::WrongPassword => {
                "The answer is the same, and takes the same time, whether there is such an account or not: \
                 otherwise anybody could find out who has one."
            }
            Self::NameTaken => "Names that differ in upper and lower case only are the same.",
            Self::TooOften(_) | Self::Busy => {
                "Checking a password is made costly, so that guessing is: a tenth of a second and 64 MiB each. \
                 So it is limited too, or guessing would be a way to keep the application from all other work. \
                 The Retry-After header says when to come back."
            }
            Self::NoChance(_) => "A secret that is not drawn by chance is none; so there is none today.",
            Self::Template(_) => {
                "The servers work; the files that were deployed to them do not. Most real outages begin with \
                 a deployment."
            }
        }
    }

    fn next(&self) -> &'static [&'static str] {
        match self {
            // Only a database that was taken away comes back by a command.
            Self::Database(StoreError::Locked { .. }) => {
                &["wwwlab status", "wwwlab start db", "wwwlab logs app"]
            }
            Self::Database(StoreError::NotListening { .. } | StoreError::Gone { .. }) => {
                &["wwwlab status", "wwwlab start db", "wwwlab logs db"]
            }
            Self::Database(
                StoreError::Strange { .. } | StoreError::Denied { .. } | StoreError::NoDatabase { .. },
            ) => &["wwwlab status", "wwwlab logs app"],
            Self::Database(StoreError::Silent { place }) if place.starts_with("mysql://") => {
                &["wwwlab status", "wwwlab db -- -e 'SHOW FULL PROCESSLIST'", "wwwlab logs db"]
            }
            Self::Database(
                StoreError::Crowded { .. } | StoreError::LockWait { .. } | StoreError::Deadlock { .. },
            ) => &["wwwlab db -- -e 'SHOW FULL PROCESSLIST'", "wwwlab logs db"],
            Self::Database(StoreError::Corrupt { place, .. }) if place.starts_with("mysql://") => {
                &["wwwlab logs db", "wwwlab db -- -e 'CHECK TABLE entries'"]
            }
            Self::Database(StoreError::Full { .. }) => &["df -h .wwwlab", "wwwlab logs app"],
            Self::Database(_) => &["wwwlab status", "wwwlab logs app", "ls -l .wwwlab/*/db"],
            Self::NoSuchPage => {
                &["wwwlab curl http://www.foobar.com/", "wwwlab curl http://www.foobar.com/guestbook"]
            }
            Self::NoSuchMethod => &["wwwlab curl -i -X OPTIONS http://www.foobar.com/guestbook"],
            Self::TooLong(_) | Self::TooSlow | Self::NotAForm(..) => {
                &["wwwlab curl -d name=Ada -d message=Hello http://www.foobar.com/guestbook"]
            }
            Self::NotJson(..) | Self::Unfit(_) => &["wwwlab curl http://www.foobar.com/api/openapi.json"],
            Self::NoSuchEntry => &["wwwlab curl http://www.foobar.com/guestbook"],
            Self::NotYours | Self::NoToken | Self::WrongPassword | Self::NameTaken => {
                &["wwwlab curl http://www.foobar.com/whoami"]
            }
            Self::CrossSite => &[
                "wwwlab curl -i -H 'Origin: http://evil.example' -d name=Eve http://www.foobar.com/guestbook",
            ],
            Self::TooOften(_) | Self::Busy => &["wwwlab status", "wwwlab logs app"],
            Self::NoChance(_) | Self::Template(_) => &["wwwlab logs app"],
        }
    }
}

/// `text` as a sentence: a capital letter at its start, a full stop at its end.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_look_at_next_fits_what_is_wrong() {
        let full =
            StoreError::Full { place: "x".into(), source: std::sync::Arc::new(sqlx::Error::PoolClosed) };
        let locked =
            StoreError::Locked { place: "x".into(), source: std::sync::Arc::new(sqlx::Error::PoolClosed) };
        let starts = |error| Refusal::Database(error).next().contains(&"wwwlab start db");
        assert!(starts(locked), "a database that was taken away comes back by a command");
        assert!(!starts(full), "a full disk does not");
    }
}
