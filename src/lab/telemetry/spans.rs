//! What belongs together as a tree of spans, named after OpenTelemetry's semantic conventions for HTTP, databases and DNS.
//!
//! Pure. Whose parent is who follows from what is told: the web server's span lies in its client's, if that said one; what
//! it passes on in its own; the application's in that; statements in the application's. Identifiers are computed, so that
//! a part that comes too late still finds its tree. Where a request is passed on, the span is the one that `traceparent`
//! says to whatever program answers: one that is instrumented by itself joins the tree.

use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::Cast;
use super::gathering::is_step;
use crate::ground::chance::span_of;
use crate::ground::channel::WalkStep;
use crate::ground::event::{Event, Happened};

/// Something that took its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// Who did it: `service.name`.
    pub(super) service: String,
    /// Where: `host.name`.
    pub(super) host: String,
    /// 32 hexadecimal digits.
    pub(super) trace: String,
    /// 16 hexadecimal digits.
    pub(super) id: String,
    /// The span that it is part of.
    pub(super) parent: Option<String>,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Microseconds since the Unix epoch.
    pub(super) begins: u64,
    pub(super) micros: u64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// What went wrong, if it did.
    pub(super) error: Option<String>,
}

/// On which side of a conversation a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It answers.
    Server,
    /// It asks.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// The spans of `events`, which belong together and are in order.
pub(super) fn of(events: &[Event], cast: &Cast) -> Vec<Span> {
    let Some(first) = events.first() else { return Vec::new() };
    let tree = Tree::of(events, first, cast);
    events.iter().enumerate().filter_map(|(at, event)| tree.span(at, event)).collect()
}

/// What all spans of one trace share.
struct Tree<'a> {
    events: &'a [Event],
    cast: &'a Cast,
    trace: String,
    /// Between the clock of the services and the Unix epoch, in microseconds: one for all, so that gaps are true.
    epoch: u64,
    /// The last of the attempts to pass the request on: the one that was answered, if one was.
    passed: Option<usize>,
    /// Where the question is that a walk answers.
    question: Option<usize>,
}

impl<'a> Tree<'a> {
    fn of(events: &'a [Event], first: &Event, cast: &'a Cast) -> Self {
        let told = events.iter().find_map(|event| match &event.what {
            Happened::Request { trace: Some(trace), .. } if is_identifier(trace, 32) => Some(trace.clone()),
            _ => None,
        });
        let trace = told.unwrap_or_else(|| match &first.what {
            Happened::Request { id, .. }
            | Happened::Passed { id, .. }
            | Happened::Statement { id: Some(id), .. } => match is_identifier(id, 32) {
                true => id.clone(),
                false => identifier(&["request", id], 16),
            },
            Happened::Asked { walk, .. } | Happened::Question { walk: Some(walk), .. } => {
                identifier(&["walk", walk], 16)
            }
            _ => identifier(
                &["alone", &first.service, &first.when.mono.to_string(), &first.what.to_string()],
                16,
            ),
        });
        let is_answered = |event: &Event| matches!(event.what, Happened::Question { walk: Some(_), .. });
        Self {
            events,
            cast,
            trace,
            epoch: first.when.at.saturating_mul(1_000).saturating_sub(first.when.mono),
            passed: events.iter().rposition(|event| matches!(event.what, Happened::Passed { .. })),
            question: events.iter().position(is_answered),
        }
    }

    /// The event at `at` as a span, if it took its time.
    fn span(&self, at: usize, event: &Event) -> Option<Span> {
        let mut span = match &event.what {
            Happened::Request { .. } => request(event),
            Happened::Passed { .. } => passed(event),
            Happened::Statement { .. } => statement(event, self.cast),
            Happened::Question { .. } => question(event),
            Happened::Asked { .. } => asked(event),
            _ => return None,
        };
        span.trace.clone_from(&self.trace);
        span.id = self.id(at);
        span.parent = self.parent(event);
        span.begins = self.epoch.saturating_add(event.when.mono.saturating_sub(span.micros));
        Some(span)
    }

    fn id(&self, at: usize) -> String {
        let Some(event) = self.events.get(at) else { return String::new() };
        match &event.what {
            Happened::Request { id, .. } => request_span(&event.service, id),
            Happened::Passed { id, .. } if self.passed == Some(at) => passed_span(id),
            what => {
                let (place, mono) = (at.to_string(), event.when.mono.to_string());
                identifier(&[&event.service, &mono, &place, &what.to_string()], 8)
            }
        }
    }

    fn parent(&self, event: &Event) -> Option<String> {
        match &event.what {
            Happened::Request { parent, trace, .. } if event.service == WEB => {
                let is_said = |parent: &&String| trace.is_some() && is_identifier(parent, 16);
                parent.as_ref().filter(is_said).cloned()
            }
            Happened::Request { .. } => self.passed.map(|at| self.id(at)),
            Happened::Passed { id, .. } => self.tells(WEB).then(|| request_span(WEB, id)),
            Happened::Statement { id: Some(id), .. } => {
                let app = &event.service;
                self.tells(app).then(|| request_span(app, id))
            }
            Happened::Asked { .. } => self.question.map(|at| self.id(at)),
            Happened::Question { walk: None, .. } => {
                let step = self.events.iter().position(|asked| is_step(asked, event, self.cast));
                step.map(|at| self.id(at))
            }
            _ => None,
        }
    }

    /// Whether `service` told of the request.
    fn tells(&self, service: &str) -> bool {
        let is_one =
            |event: &Event| event.service == service && matches!(event.what, Happened::Request { .. });
        self.events.iter().any(is_one)
    }
}

/// The service that tells of requests first.
const WEB: &str = "web";

/// A span that has yet to be given its place.
fn span(event: &Event, kind: Kind, name: String, micros: u64) -> Span {
    Span {
        service: event.service.clone(),
        host: event.host.clone(),
        trace: String::new(),
        id: String::new(),
        parent: None,
        name,
        kind,
        begins: 0,
        micros,
        attributes: Vec::new(),
        error: None,
    }
}

/// HTTP, the server's side: an error is what the server is to blame for (5xx).
fn request(event: &Event) -> Span {
    let Happened::Request { client, method, secure, host, target, status, by, bytes, micros, id, .. } =
        &event.what
    else {
        return span(event, Kind::Server, String::new(), 0);
    };
    let (path, query) =
        target.split_once('?').map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
    let (name, port) = host_and_port(host);
    let mut span = span(event, Kind::Server, method_name(method), *micros);
    span.attributes = vec![
        ("http.request.method", method.as_str().into()),
        ("url.scheme", if *secure { "https" } else { "http" }.into()),
        ("url.path", path.into()),
        ("http.response.status_code", u64::from(*status).into()),
        ("client.address", client.ip().to_string().into()),
        ("client.port", u64::from(client.port()).into()),
        ("wwwlab.request.id", id.as_str().into()),
        ("wwwlab.answered_by", by.as_str().into()),
    ];
    span.attributes.extend(query.map(|query| ("url.query", query.into())));
    span.attributes.extend((!name.is_empty()).then(|| ("server.address", name.into())));
    span.attributes.extend(port.map(|port| ("server.port", port.into())));
    span.attributes.extend(bytes.map(|bytes| ("http.response.body.size", bytes.into())));
    if *status >= 500 {
        span.attributes.push(("error.type", status.to_string().into()));
        span.error = Some(format!("{by} answered {status}"));
    }
    span
}

/// HTTP, the client's side: the web server asks the application. What is no success is an error.
fn passed(event: &Event) -> Span {
    let Happened::Passed { server, method, target, status, why, connect_micros, micros, id } = &event.what
    else {
        return span(event, Kind::Client, String::new(), 0);
    };
    let mut span = span(event, Kind::Client, method_name(method), *micros);
    span.attributes = vec![
        ("http.request.method", method.as_str().into()),
        ("url.full", format!("http://{server}{target}").into()),
        ("wwwlab.request.id", id.as_str().into()),
    ];
    span.attributes.extend(server_at(*server));
    span.attributes.extend(connect_micros.map(|micros| ("wwwlab.connect.micros", micros.into())));
    if let Some(status) = status {
        span.attributes.push(("http.response.status_code", u64::from(*status).into()));
        if *status >= 400 {
            span.attributes.push(("error.type", status.to_string().into()));
            span.error = Some(format!("the application answered {status}"));
        }
    } else {
        span.attributes.push(("error.type", "_OTHER".into()));
        span.error = Some(why.clone().unwrap_or_else(|| "no answer".into()));
    }
    span
}

/// SQL. Visits are counted together, for no request in particular: such a statement is a trace of its own.
fn statement(event: &Event, cast: &Cast) -> Span {
    let Happened::Statement { text, returned, changed, micros, .. } = &event.what else {
        return span(event, Kind::Client, String::new(), 0);
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let operation = text.split(' ').next().unwrap_or_default().to_ascii_uppercase();
    let name = if operation.is_empty() { cast.database.to_owned() } else { operation.clone() };
    let mut span = span(event, Kind::Client, name, *micros);
    span.attributes = vec![
        ("db.system.name", cast.database.into()),
        ("db.operation.name", operation.into()),
        ("db.query.text", text.into()),
        ("db.response.returned_rows", (*returned).into()),
        ("wwwlab.db.changed_rows", (*changed).into()),
    ];
    span
}

/// DNS, the server's side. That a name does not exist is an answer; no answer is an error.
fn question(event: &Event) -> Span {
    let Happened::Question { client, transport, name, record_type, rcode, answers, micros, cached, .. } =
        &event.what
    else {
        return span(event, Kind::Server, String::new(), 0);
    };
    let mut span = span(event, Kind::Server, format!("DNS {record_type}"), *micros);
    span.attributes = vec![
        ("dns.question.name", name.as_str().into()),
        ("dns.question.type", record_type.as_str().into()),
        ("dns.response_code", rcode.as_str().into()),
        ("dns.answers.count", u64::from(*answers).into()),
        ("network.transport", transport.carrier().to_string().into()),
        ("client.address", client.ip().to_string().into()),
        ("client.port", u64::from(client.port()).into()),
    ];
    if let Some(cached) = cached {
        span.attributes.push(("wwwlab.cache", if *cached { "hit" } else { "miss" }.into()));
    }
    if rcode == "SERVFAIL" {
        span.attributes.push(("error.type", rcode.as_str().into()));
        span.error = Some(rcode.clone());
    }
    span
}

/// DNS, the client's side: a resolver asks a name server.
fn asked(event: &Event) -> Span {
    let Happened::Asked { step: WalkStep { server, name, record_type, outcome, micros }, .. } = &event.what
    else {
        return span(event, Kind::Client, String::new(), 0);
    };
    let mut span = span(event, Kind::Client, format!("DNS {record_type}"), *micros);
    span.attributes = vec![
        ("dns.question.name", name.as_str().into()),
        ("dns.question.type", record_type.as_str().into()),
        ("wwwlab.dns.outcome", outcome.as_str().into()),
    ];
    span.attributes.extend(server_at(*server));
    span
}

fn server_at(server: SocketAddr) -> [(&'static str, Value); 2] {
    [("server.address", server.ip().to_string().into()), ("server.port", u64::from(server.port()).into())]
}

/// The method as a span's name; a stranger may write any word for one (semantic conventions: `HTTP`).
fn method_name(method: &str) -> String {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    if KNOWN.contains(&method) { method.into() } else { "HTTP".into() }
}

/// The two parts of what a `Host` header says.
fn host_and_port(host: &str) -> (&str, Option<u64>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, port.parse::<u16>().ok().map(u64::from))
        }
        _ => (host, None),
    }
}

/// What `service` did for a request.
fn request_span(service: &str, id: &str) -> String {
    identifier(&[service, id], 8)
}

/// What the web server asked for it: what it says in `traceparent`.
fn passed_span(id: &str) -> String {
    let said = span_of(id).filter(|span| is_identifier(span, 16));
    said.map_or_else(|| identifier(&["passed", id], 8), str::to_owned)
}

/// Whether `text` is so many lower-case hexadecimal digits, not all of them zero.
fn is_identifier(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == digits && text.bytes().all(is_digit) && text.bytes().any(|byte| byte != b'0')
}

/// An identifier of so many bytes that is always the same for these parts.
fn identifier(parts: &[&str], bytes: usize) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let mut digest = digest.finalize();
    // All zeros stand for none.
    digest[0] |= 1;
    HEXLOWER.encode(digest.get(..bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests;
