//! What every request carries through the application, and what every answer gets on its way out: its
//! identifier, its times, its line in the journal.

use std::fmt::Write as _;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::arriving::{ARRIVES_WITHIN, Arriving};
use super::journey::Journey;
use super::routes::Application;
use super::session::Secret;
use super::statements;
use crate::ground::chance::RequestId;
use crate::ground::clock::{Stopwatch, whole_micros};
use crate::ground::event::Happened;
use crate::ground::explain::prefers_json;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Length of an identifier that is taken over from the web server at most.
const IDENTIFIER_LONGEST: usize = 64;

/// The other end of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// This end of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here(pub(super) SocketAddr);

/// The name of the page that answered, for the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct By(pub(super) &'static str);

/// One request, as the pages see it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its identifier (`X-Request-Id`).
    pub(super) id: Arc<str>,
    /// Its method.
    pub(super) method: Method,
    /// Its path, as it came.
    pub(super) path: Arc<str>,
    /// Whether the answer should be JSON, where there is a choice.
    pub(super) prefers_json: bool,
    /// Which way it came.
    pub(super) journey: Journey,
    /// Where it came in, if it came over a connection.
    pub(super) here: Option<SocketAddr>,
    /// The secret of the session that it says it belongs to.
    pub(super) secret: Option<Secret>,
    /// Microseconds spent waiting for the database.
    database_micros: Arc<AtomicU64>,
}

impl Asked {
    fn read(request: &Request, peer: SocketAddr, trusted: &[IpAddr]) -> Self {
        let headers = request.headers();
        let accept = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let path = request.uri().path();
        let journey = Journey::of(headers, peer.ip(), trusted);
        Self {
            id: identifier(headers),
            method: request.method().clone(),
            path: path.into(),
            prefers_json: path.starts_with("/api/") || prefers_json(accept),
            secret: Secret::of(headers, &journey.scheme),
            journey,
            here: request.extensions().get::<Here>().map(|here| here.0),
            database_micros: Arc::default(),
        }
    }

    /// Waits for what the database does, and keeps the time.
    pub(super) async fn database<T>(&self, doing: impl Future<Output = T>) -> T {
        let stopwatch = Stopwatch::start();
        let done = doing.instrument(statements::of_request(&self.id)).await;
        self.database_micros.fetch_add(stopwatch.micros(), Ordering::Relaxed);
        done
    }
}

/// Goes around every request: reads what it carries, lets the pages answer, adds what every answer gets.
pub(super) async fn around(
    State(application): State<Arc<Application>>,
    mut request: Request,
    next: Next,
) -> Response {
    let stopwatch = Stopwatch::start();
    let peer = request.extensions().get::<Peer>().map_or(UNKNOWN_PEER, |peer| peer.0);
    let asked = Asked::read(&request, peer, application.trusted());
    let target = request.uri().to_string();
    let direct = asked.journey.web.is_none();
    request.extensions_mut().insert(asked.clone());
    let arriving = Arriving::share(&mut request);

    let mut answer = next.run(request).await;
    if let Some(arriving) = arriving {
        arriving.skip_rest(ARRIVES_WITHIN.saturating_sub(stopwatch.elapsed())).await;
    }

    let time = stopwatch.elapsed();
    application.counted().count(answer.status().as_u16(), stopwatch, time);
    let micros = whole_micros(time);
    let database_micros = asked.database_micros.load(Ordering::Relaxed);
    let headers = answer.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(VARY).or_insert(HeaderValue::from_static("Accept, Cookie"));
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&asked.id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Ok(timing) = HeaderValue::from_str(&server_timing(micros, database_micros)) {
        headers.insert(SERVER_TIMING, timing);
    }
    if direct && let Ok(name) = HeaderValue::from_str(application.served_by()) {
        // Otherwise the web server says it, for the application too: they share the machine.
        headers.insert(SERVED_BY, name);
    }
    application.journal().tell(|| Happened::Request {
        client: peer,
        method: asked.method.to_string(),
        secure: asked.journey.scheme == "https",
        host: asked.journey.host.clone(),
        target,
        status: answer.status().as_u16(),
        by: answer.extensions().get::<By>().map_or("app", |by| by.0).to_owned(),
        bytes: answer.body().size_hint().exact(),
        micros,
        id: asked.id.to_string(),
        trace: None,
        parent: None,
    });
    answer
}

/// Stands for a peer where the router is asked without a connection.
const UNKNOWN_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// The identifier that the web server gave the request, if it is one; else a new one.
fn identifier(headers: &HeaderMap) -> Arc<str> {
    headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| (1..=IDENTIFIER_LONGEST).contains(&id.len()))
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        .map_or_else(|| RequestId::draw().as_str().into(), Arc::from)
}

/// The application's own time and the database's, in milliseconds (W3C Server Timing §2).
fn server_timing(micros: u64, database_micros: u64) -> String {
    let own = micros.saturating_sub(database_micros);
    let mut timing = format!("app;dur={}", millis(own));
    if database_micros > 0 {
        let _ = write!(timing, ", db;dur={}", millis(database_micros));
    }
    timing
}

fn millis(micros: u64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_milliseconds_and_once() {
        assert_eq!(server_timing(2_045, 845), "app;dur=1.200, db;dur=0.845");
        assert_eq!(server_timing(7, 0), "app;dur=0.007");
    }

    #[test]
    fn an_identifier_is_taken_over_only_if_it_is_one() {
        let identifier_of = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
            identifier(&headers)
        };
        assert_eq!(&*identifier_of("abc-123"), "abc-123");
        let long = "a".repeat(IDENTIFIER_LONGEST + 1);
        for strange in ["", "a b", "<b>", "ü", &long] {
            assert_ne!(&*identifier_of(strange), strange);
            assert_eq!(identifier_of(strange).len(), 32);
        }
    }
}
