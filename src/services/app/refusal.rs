//! What went wrong, as a page for people or as JSON for programs (RFC 9457).

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::asked::Asked;
use crate::ground::explain::Explanation;
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
            happened: &happened,
            teaches: self.teaches(),
            next: self.next(),
            request_id: &asked.id,
        };
        let (media_type, body) = explanation.in_form(asked.prefers_json);
        let mut answer = (status, Body::from(body)).into_response();
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        if matches!(self, Self::Database(_)) {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotAForm(status, _) => *status,
            Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn component(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Template(_) => "application files (code base)",
            _ => "application",
        }
    }

    fn happened(&self, asked: &Asked) -> String {
        match self {
            Self::Database(error) => sentence(&service::causes(error).join(": ")),
            Self::NoSuchPage => format!("The application has no page {}.", asked.path),
            Self::NoSuchMethod => {
                format!("The page {} cannot be asked for with {}.", asked.path, asked.method)
            }
            Self::TooLong(longest) => format!("The body of the request is longer than {longest} bytes."),
            Self::TooSlow => "The body of the request did not arrive in time.".to_owned(),
            Self::NotAForm(_, why) => why.clone(),
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
            Self::Database(StoreError::Full { .. }) => &["df -h .wwwlab", "wwwlab logs app"],
            Self::Database(_) => &["wwwlab status", "wwwlab logs app", "ls -l .wwwlab/loopback/db"],
            Self::NoSuchPage => {
                &["wwwlab curl http://www.foobar.com/", "wwwlab curl http://www.foobar.com/guestbook"]
            }
            Self::NoSuchMethod => &["wwwlab curl -i -X OPTIONS http://www.foobar.com/guestbook"],
            Self::TooLong(_) | Self::TooSlow | Self::NotAForm(..) => {
                &["wwwlab curl -d name=Ada -d message=Hello http://www.foobar.com/guestbook"]
            }
            Self::Template(_) => &["wwwlab logs app"],
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
