//! One request in, one response out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONNECTION, HeaderName, HeaderValue, LOCATION, SERVER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use crate::ground::chance::RequestId;
use crate::ground::clock::Stopwatch;
use crate::ground::event::Happened;
use crate::ground::explain::prefers_json;
use crate::ground::journal::Journal;

use super::failure::{Circumstances, Failure};
use super::forwarded::{Asker, X_REQUEST_ID};
use super::host::{Asked, Names, host_of};
use super::page::Page;
use super::proxy::Proxy;
use super::representation::Representation;
use super::site::{Found, Site};
use super::target::{Place, is_for_files_only, place};
use super::timing;

/// What can be done somewhere on this server.
pub(super) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

const X_SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// What answering needs.
#[derive(Debug)]
pub(super) struct Server {
    /// Where this server listens.
    pub(super) address: SocketAddr,
    pub(super) names: Names,
    pub(super) site: Site,
    pub(super) proxy: Proxy,
    pub(super) served_by: HeaderValue,
    pub(super) journal: Journal,
}

/// A response, and who made it.
struct Made {
    response: Response<Page>,
    by: By,
    /// Time that was the application's.
    app: Duration,
}

/// Who makes a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    File,
    App,
    Web,
}

impl Server {
    /// Answers a request of `client`.
    pub(super) async fn answer(&self, client: SocketAddr, request: Request<Incoming>) -> Response<Page> {
        let stopwatch = Stopwatch::start();
        let id = RequestId::draw();
        let (parts, body) = request.into_parts();
        let has_body = !body.is_end_stream();

        let accept = parts.headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let Made { mut response, by, app } = match self.make(client, &parts, body, &id).await {
            Ok(made) => made,
            Err((failure, app)) => Made {
                response: failure.response(Circumstances {
                    site: &self.names.name,
                    address: self.address,
                    request_id: id.as_str(),
                    as_json: prefers_json(accept),
                }),
                by: By::Web,
                app,
            },
        };

        let bytes = response.body().size_hint().exact();
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static("wwwlab"));
        headers.insert(X_SERVED_BY, self.served_by.clone());
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            headers.insert(X_REQUEST_ID, id);
        }
        if has_body && by != By::App {
            // What of the body nobody read may still be on its way: no next request can be found behind it.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        timing::add_own(headers, stopwatch.elapsed().saturating_sub(app));
        self.journal.tell(|| Happened::Request {
            client,
            method: parts.method.as_str().to_owned(),
            host: host_of(parts.version, &parts.uri, &parts.headers).unwrap_or_default().to_owned(),
            target: parts.uri.path_and_query().map_or("", |target| target.as_str()).to_owned(),
            status: response.status().as_u16(),
            by: by.as_str().to_owned(),
            bytes,
            micros: stopwatch.micros(),
            id: id.as_str().to_owned(),
        });
        response
    }

    async fn make(
        &self,
        client: SocketAddr,
        parts: &Parts,
        body: Incoming,
        id: &RequestId,
    ) -> Result<Made, (Failure, Duration)> {
        if let Some(made) = self.without_application(parts).map_err(|failure| (failure, Duration::ZERO))? {
            return Ok(made);
        }
        let asker = Asker {
            client: client.ip(),
            host: host_of(parts.version, &parts.uri, &parts.headers).unwrap_or_default(),
            version: parts.version,
            id,
        };
        match self.proxy.pass(parts, body, asker).await {
            (Ok(response), app) => Ok(Made { response, by: By::App, app }),
            (Err(failure), app) => Err((failure, app)),
        }
    }

    /// What this server can answer itself; nothing where the application has to be asked.
    fn without_application(&self, parts: &Parts) -> Result<Option<Made>, Failure> {
        let host = host_of(parts.version, &parts.uri, &parts.headers);
        match self.names.decide(host) {
            Asked::Site => {}
            Asked::Alias { port } => {
                return Ok(Some(redirect(&parts.method, &self.names.location(port, &parts.uri))));
            }
            Asked::Unknown => {
                return Err(Failure::HostUnknown {
                    asked: host_of(parts.version, &parts.uri, &parts.headers).unwrap_or_default().to_owned(),
                });
            }
            Asked::Missing => return Err(Failure::HostMissing),
            Asked::Malformed => return Err(Failure::HostMalformed),
        }
        if parts.method == Method::CONNECT || parts.method == Method::TRACE {
            return Err(Failure::NotDoneHere { method: parts.method.to_string() });
        }
        let path = parts.uri.path();
        if parts.method == Method::OPTIONS && path == "*" {
            return Ok(Some(options()));
        }
        let found = match place(path) {
            Place::Malformed(why) => return Err(Failure::TargetMalformed { why }),
            Place::Hidden => {
                return Err(Failure::NotFound { path: path.to_owned() });
            }
            Place::Dynamic => Ok(Found::Nothing),
            Place::File(place) => self.site.file(place),
            Place::Directory(place) => self.site.directory(&place),
        };
        match found.map_err(|source| unreadable(path, source))? {
            Found::File(file) if parts.method == Method::GET || parts.method == Method::HEAD => {
                let chosen = Representation::choose(&self.site, file, &parts.headers);
                let Some(representation) = chosen.map_err(|source| unreadable(path, source))? else {
                    return Err(Failure::NoFormAcceptable);
                };
                let response = representation.response(&parts.method, &parts.headers)?;
                Ok(Some(Made::here(response, By::File)))
            }
            Found::File(_) => Err(Failure::NotForFiles { method: parts.method.to_string() }),
            Found::NeedsSlash => {
                let query = parts.uri.query().map(|query| format!("?{query}"));
                let location = format!("{path}/{}", query.unwrap_or_default());
                Ok(Some(redirect(&parts.method, &location)))
            }
            Found::Nothing if is_for_files_only(path) => Err(Failure::NotFound { path: path.to_owned() }),
            Found::Nothing => Ok(None),
        }
    }
}

impl Made {
    fn here(response: Response<Page>, by: By) -> Self {
        Self { response, by, app: Duration::ZERO }
    }
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::App => "app",
            Self::Web => "web",
        }
    }
}

/// Elsewhere, for good; with the same method and body where there is one (RFC 9110 §15.4.9).
fn redirect(method: &Method, location: &str) -> Made {
    let mut response = Response::new(Page::empty());
    *response.status_mut() = match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Made::here(response, By::Web)
}

/// What the server as a whole can do (RFC 9110 §9.3.7).
fn options() -> Made {
    let mut response = Response::new(Page::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    Made::here(response, By::Web)
}

fn unreadable(path: &str, source: io::Error) -> Failure {
    Failure::FileUnreadable { path: path.to_owned(), source }
}
