//! A request passed on to the application server, and its answer passed back (RFC 9110 §7.6).

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, Response, StatusCode};

use crate::ground::clock::Stopwatch;

use super::failure::Failure;
use super::forwarded::{self, Asker};
use super::page::{FromApp, Page};
use super::upload::{CLIENT_PATIENCE, Party, Upload, UploadError, Watch};
use super::upstream::{ConnectError, Lease, Upstream};

/// The way to the application server.
#[derive(Debug)]
pub(super) struct Proxy {
    upstream: Arc<Upstream>,
    patience: Duration,
    /// The largest request body, in bytes.
    body_most: u64,
}

impl Proxy {
    /// To `upstream`, which may take `patience` to its first byte, and gets bodies of `body_most` bytes at most.
    pub(super) fn new(upstream: Arc<Upstream>, patience: Duration, body_most: u64) -> Self {
        Self { upstream, patience, body_most }
    }

    /// Passes the request on, and its answer back: also how long the application took to its first byte.
    pub(super) async fn pass(
        &self,
        parts: &Parts,
        body: Incoming,
        asker: Asker<'_>,
    ) -> (Result<Response<Page>, Failure>, Duration) {
        if body.size_hint().lower() > self.body_most {
            return (Err(Failure::BodyTooLarge { limit: self.body_most }), Duration::ZERO);
        }
        let question = Question {
            parts,
            headers: forwarded::to_application(&parts.headers, asker),
            has_body: !body.is_end_stream(),
        };
        let (upload, watch) = Upload::new(body, self.body_most);
        let stopwatch = Stopwatch::start();
        let answer = tokio::select! {
            answer = self.exchange(&question, upload, &watch) => answer,
            party = watch.late(self.patience) => Err(self.late(party)),
        };
        let took = stopwatch.elapsed();
        let passed = answer.and_then(|(answer, lease)| self.back(answer, lease, watch.body_is_through()));
        (passed, took)
    }

    /// One request, one answer; twice only where RFC 9110 §9.2.2 allows it.
    async fn exchange(
        &self,
        question: &Question<'_>,
        upload: Upload,
        watch: &Arc<Watch>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut request = question.request(upload);
        if let Some(mut lease) = self.upstream.kept() {
            match lease.line.sender.try_send_request(request).await {
                Ok(answer) => return Ok((answer, lease)),
                // The application may have closed a kept connection at the moment it was used again.
                Err(mut failed) => {
                    request = match failed.take_message() {
                        Some(unsent) => unsent,
                        None if question.may_be_repeated() => question.request(Upload::none(watch.clone())),
                        None => return Err(self.broken(&failed.into_error())),
                    }
                }
            }
        }
        let mut lease = self.upstream.connect().await.map_err(|error| unreachable(&error))?;
        match lease.line.sender.try_send_request(request).await {
            Ok(answer) => Ok((answer, lease)),
            Err(failed) => Err(self.broken(&failed.into_error())),
        }
    }

    fn back(
        &self,
        answer: Response<Incoming>,
        lease: Lease,
        body_is_through: bool,
    ) -> Result<Response<Page>, Failure> {
        let (parts, body) = answer.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            // No upgrade was asked for: the header that asks is not passed on.
            return Err(Failure::AppGarbled { address: self.upstream.address });
        }
        let mut response = Response::new(Page::App(FromApp::new(body, lease, !body_is_through)));
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        forwarded::from_application(response.headers_mut(), parts.version);
        if !body_is_through {
            // The application did not wait for it, and nobody will take what is still on its way.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    fn late(&self, party: Party) -> Failure {
        match party {
            Party::Client => Failure::BodySlow { waited: CLIENT_PATIENCE },
            Party::Application => {
                Failure::AppSilent { address: self.upstream.address, waited: self.patience }
            }
        }
    }

    /// What a failed exchange means: the client's fault, or the application's.
    fn broken(&self, error: &hyper::Error) -> Failure {
        let address = self.upstream.address;
        match error.source().and_then(|source| source.downcast_ref::<UploadError>()) {
            Some(UploadError::TooLarge) => Failure::BodyTooLarge { limit: self.body_most },
            Some(UploadError::Broken(_)) => Failure::BodyBroken,
            None if error.is_parse() => Failure::AppGarbled { address },
            None => Failure::AppClosed { address },
        }
    }
}

/// A request as the application gets it.
struct Question<'a> {
    parts: &'a Parts,
    headers: HeaderMap,
    has_body: bool,
}

impl Question<'_> {
    fn request(&self, upload: Upload) -> Request<Upload> {
        let target = self.parts.uri.path_and_query().cloned();
        let mut request = Request::new(upload);
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Whether asking twice is the same as asking once; a body is gone once it was sent.
    fn may_be_repeated(&self) -> bool {
        self.parts.method.is_idempotent() && !self.has_body && !self.headers.contains_key(CONTENT_LENGTH)
    }
}

fn unreachable(error: &ConnectError) -> Failure {
    let address = error.address;
    match error.source.kind() {
        ErrorKind::ConnectionRefused => Failure::AppRefused { address },
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Failure::AppClosed { address },
        _ => Failure::AppUnreachable { address, cause: error.source.to_string() },
    }
}
