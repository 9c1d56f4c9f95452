//! One request in, one response out.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT, ALLOW, CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, SERVER,
    STRICT_TRANSPORT_SECURITY,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};

use crate::ground::chance::RequestId;
use crate::ground::clock::{self, Stopwatch};
use crate::ground::event::Happened;
use crate::ground::explain::prefers_json;
use crate::ground::fault::HttpWrong;
use crate::ground::journal::Journal;
use crate::services::faults::Faults;

use crate::services::tally::requests::Requests;

use super::access::{AccessLog, Entry, Record};
use super::connection::Ends;
use super::failure::{Circumstances, Failure};
use super::forwarded::{Asker, X_REQUEST_ID};
use super::host::{Asked, Names, host_of};
use super::page::Page;
use super::protection::Protection;
use super::proxy::Proxy;
use super::representation::Representation;
use super::site::{Found, Site};
use super::spoil;
use super::target::{Place, is_for_files_only, place};
use super::timing;
use super::tls::{Policy, Swapped};
use super::trace;
use super::wire::{FIELDS_AT_MOST, Refusal, TARGET_AT_MOST, Violation};

/// What can be done somewhere on this server.
pub(super) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

const X_SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// What answering needs.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) names: Names,
    /// The files of each site, in the order of the names.
    pub(super) sites: Vec<Site>,
    pub(super) proxy: Proxy,
    pub(super) served_by: HeaderValue,
    pub(super) journal: Journal,
    /// What is wrong on purpose.
    pub(super) faults: Faults,
    /// What browsers are told not to do with the pages.
    pub(super) protection: Protection,
    /// The access log, if there is one.
    pub(super) access: Option<AccessLog>,
    /// How many requests were answered, and how fast.
    pub(super) counted: Requests,
    /// What those who ask are told about TLS.
    pub(super) policy: Swapped<Policy>,
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
pub(super) enum By {
    /// A file of the site.
    File,
    /// The application.
    App,
    /// The web server itself: a redirection, or what went wrong.
    Web,
}

impl Server {
    /// Answers a request over a connection with these ends; also what the access log is to say of it.
    pub(super) async fn answer(
        &self,
        ends: Ends,
        request: Request<Incoming>,
    ) -> (Response<Page>, Option<Record>) {
        let stopwatch = Stopwatch::start();
        let id = RequestId::draw();
        let (mut parts, body) = request.into_parts();
        if parts.version == Version::HTTP_2 {
            join_cookies(&mut parts.headers);
        }
        let has_body = !body.is_end_stream();

        let accept = parts.headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let struck = self.faults.now().map(|wrong| spoil::strikes(&wrong, parts.uri.path()));
        let struck = struck.unwrap_or_default();
        let made = match self.instead(ends, &struck, &parts).await {
            Some(instead) => instead,
            None => self.make(ends, &parts, body, &id).await,
        };
        let Made { mut response, by, app } = match made {
            Ok(made) => made,
            Err((failure, app)) => self.failed(&failure, &id, prefers_json(accept), ends.here, app),
        };
        if has_body && by != By::App {
            // What of the body nobody read may still be on its way: no next request can be found behind it.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let told = Told {
            client: ends.client,
            method: parts.method.as_str(),
            secure: ends.sealed,
            host: host_of(parts.version, &parts.uri, &parts.headers).unwrap_or_default(),
            target: parts.uri.path_and_query().map_or("", |target| target.as_str()),
            headers: Some(&parts.headers),
        };
        if ends.sealed
            && let Some(hsts) = &self.policy.get().hsts
        {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        self.finish(&mut response, &told, by, app, &id, stopwatch);
        if !struck.is_empty() {
            response = response.map(|page| spoil::body(&struck, page));
        }
        let record = self.access.as_ref().map(|log| {
            let entry = told.entry(&response, &id, parts.version).with_headers(&parts.headers);
            log.record(entry, stopwatch)
        });
        (response, record)
    }

    /// Answers what stands for a request that was refused before it was one.
    pub(super) fn refuse(&self, ends: Ends, refusal: Refusal) -> (Response<Page>, Option<Record>) {
        let stopwatch = Stopwatch::start();
        let id = RequestId::draw();
        let failure = Failure::Refused { violation: refusal.violation };
        let Made { mut response, .. } =
            self.failed(&failure, &id, refusal.as_json, ends.here, Duration::ZERO);
        let told = Told {
            client: ends.client,
            method: &refusal.line,
            secure: ends.sealed,
            host: "",
            target: "",
            headers: None,
        };
        self.finish(&mut response, &told, By::Web, Duration::ZERO, &id, stopwatch);
        let record = self.access.as_ref().map(|log| {
            let entry =
                Entry { request: refusal.line.clone(), ..told.entry(&response, &id, Version::HTTP_11) };
            log.record(entry, stopwatch)
        });
        (response, record)
    }

    fn failed(
        &self,
        failure: &Failure,
        id: &RequestId,
        as_json: bool,
        here: SocketAddr,
        app: Duration,
    ) -> Made {
        let response = failure.response(Circumstances {
            site: self.names.first(),
            address: here,
            request_id: id.as_str(),
            as_json,
        });
        Made { response, by: By::Web, app }
    }

    /// What every answer says, and the telling of it.
    fn finish(
        &self,
        response: &mut Response<Page>,
        told: &Told<'_>,
        by: By,
        app: Duration,
        id: &RequestId,
        stopwatch: Stopwatch,
    ) {
        let bytes = response.body().size_hint().exact();
        let headers = response.headers_mut();
        self.sign(headers, by, id);
        let elapsed = stopwatch.elapsed();
        timing::add_own(headers, elapsed.saturating_sub(app));
        self.counted.count(response.status().as_u16(), stopwatch, elapsed);
        self.journal.tell(|| {
            let (trace, parent) = told
                .headers
                .and_then(trace::told)
                .map_or((None, None), |told| (Some(told.trace), Some(told.parent)));
            Happened::Request {
                client: told.client,
                method: told.method.to_owned(),
                secure: told.secure,
                host: told.host.to_owned(),
                target: told.target.to_owned(),
                status: response.status().as_u16(),
                by: by.as_str().to_owned(),
                bytes,
                micros: stopwatch.micros(),
                id: id.as_str().to_owned(),
                trace,
                parent,
            }
        });
    }

    /// Who answers, under which number, and what a browser may do with it.
    pub(super) fn sign(&self, headers: &mut HeaderMap, by: By, id: &RequestId) {
        headers.insert(SERVER, HeaderValue::from_static("wwwlab"));
        headers.insert(X_SERVED_BY, self.served_by.clone());
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            headers.insert(X_REQUEST_ID, id);
        }
        self.protection.add(headers, by);
    }

    /// What a fault has answered in place of what was asked for, when it is time.
    async fn instead(
        &self,
        ends: Ends,
        struck: &[HttpWrong],
        parts: &Parts,
    ) -> Option<Result<Made, (Failure, Duration)>> {
        if struck.is_empty() {
            return None;
        }
        spoil::hold_back(struck).await;
        let host = host_of(parts.version, &parts.uri, &parts.headers).unwrap_or_default();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let scheme = if ends.sealed { "https" } else { "http" };
        let instead = spoil::instead(struck, scheme, host, target, self.names.first())?;
        Some(
            instead
                .map(|response| Made::here(response, By::Web))
                .map_err(|failure| (failure, Duration::ZERO)),
        )
    }

    async fn make(
        &self,
        ends: Ends,
        parts: &Parts,
        body: Incoming,
        id: &RequestId,
    ) -> Result<Made, (Failure, Duration)> {
        if let Some(violation) = beyond_limits(parts) {
            return Err((Failure::Refused { violation }, Duration::ZERO));
        }
        if let Some(made) =
            self.without_application(ends, parts).map_err(|failure| (failure, Duration::ZERO))?
        {
            return Ok(made);
        }
        let asker = Asker {
            client: ends.client.ip(),
            host: host_of(parts.version, &parts.uri, &parts.headers).unwrap_or_default(),
            here: ends.here,
            scheme: ends.scheme(),
            version: parts.version,
            id,
        };
        match self.proxy.pass(parts, body, asker).await {
            (Ok(response), app) => Ok(Made { response, by: By::App, app }),
            (Err(failure), app) => Err((failure, app)),
        }
    }

    /// What this server can answer itself; nothing where the application has to be asked.
    fn without_application(&self, ends: Ends, parts: &Parts) -> Result<Option<Made>, Failure> {
        let host = host_of(parts.version, &parts.uri, &parts.headers);
        let decided = self.names.decide(host);
        if let (false, Some(port), Asked::Site { which } | Asked::Alias { which, .. }) =
            (ends.sealed, self.policy.get().only_at, &decided)
        {
            let port = (port != 443).then_some(port);
            return Ok(Some(redirect(
                &parts.method,
                &self.names.location("https", *which, port, &parts.uri),
            )));
        }
        let which = match decided {
            Asked::Site { which } => which,
            Asked::Alias { which, port } => {
                let location = self.names.location(ends.scheme(), which, port, &parts.uri);
                return Ok(Some(redirect(&parts.method, &location)));
            }
            Asked::Unknown => {
                return Err(Failure::HostUnknown {
                    asked: host_of(parts.version, &parts.uri, &parts.headers).unwrap_or_default().to_owned(),
                    sites: self.names.all(),
                });
            }
            Asked::Missing => return Err(Failure::HostMissing),
            Asked::Malformed => return Err(Failure::HostMalformed),
            Asked::Contradictory => return Err(Failure::HostContradictory),
        };
        // The application is the first site's; the others are files alone.
        let has_app = which == 0;
        let Some(site) = self.sites.get(which) else { return Ok(None) };
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
            Place::Dynamic if !has_app && path == "/" => site.directory(Path::new("")),
            Place::Dynamic => Ok(Found::Nothing),
            Place::File(place) => site.file(place),
            Place::Directory(place) => site.directory(&place),
        };
        match found.map_err(|source| unreadable(path, source))? {
            Found::File(file) if parts.method == Method::GET || parts.method == Method::HEAD => {
                let chosen = Representation::choose(site, file, &parts.headers);
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
            Found::Nothing if !has_app || is_for_files_only(path) => {
                Err(Failure::NotFound { path: path.to_owned() })
            }
            Found::Nothing => Ok(None),
        }
    }
}

/// What is told of a request.
struct Told<'a> {
    client: SocketAddr,
    method: &'a str,
    secure: bool,
    host: &'a str,
    target: &'a str,
    headers: Option<&'a HeaderMap>,
}

impl Told<'_> {
    /// For the access log, before the client's own words.
    fn entry(&self, response: &Response<Page>, id: &RequestId, version: Version) -> Entry {
        Entry {
            at: clock::unix_millis(),
            client: Some(self.client.ip()),
            host: self.host.to_owned(),
            request: format!("{} {} {version:?}", self.method, self.target),
            status: response.status().as_u16(),
            id: id.as_str().to_owned(),
            ..Entry::default()
        }
    }
}

/// Which limit a head is beyond that the rim did not look at, since it came by HTTP/2 ([`super::wire`] knows HTTP/1).
fn beyond_limits(parts: &Parts) -> Option<Violation> {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    match parts.version {
        Version::HTTP_2 if target > TARGET_AT_MOST => Some(Violation::TargetTooLong),
        Version::HTTP_2 if parts.headers.len() > FIELDS_AT_MOST => Some(Violation::TooManyFields),
        _ => None,
    }
}

/// HTTP/2 may send one Cookie in several fields; the application knows only one (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, cookie);
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
