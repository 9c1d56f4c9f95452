//! A request passed on to an application server, and its answer passed back (RFC 9110 §7.6).
//!
//! Nothing is stored on the way: both bodies go through as they come, and an answer may begin before its request has
//! ended. A request that was lost goes to another application server, or there again, where that cannot do a thing twice.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::upgrade::{self, OnUpgrade};
use hyper::{Request, Response, StatusCode, ext};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ground::clock::{self, Stopwatch};
use crate::ground::event::Happened;

use super::balance::Tried;
use super::failure::Failure;
use super::forwarded::{self, Asker, Expectation};
use super::page::{FromApp, Page};
use super::pool::Turn;
use super::pools::Pools;
use super::tunnel::Tunnel;
use super::upload::{Party, Upload, UploadError, Watch};
use super::upstream::{ConnectError, Lease, Line};

/// The way to the application servers.
#[derive(Debug)]
pub(super) struct Proxy {
    pools: Arc<Pools>,
    limits: Limits,
    tasks: TaskTracker,
    cut: CancellationToken,
}

/// What an application server may take, and get.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The time until it has taken a connection.
    pub(super) connect: Duration,
    /// The time from the request, or what was last sent of it, to the answer's first byte; all attempts together.
    pub(super) first_byte: Duration,
    /// The longest pause in its answer.
    pub(super) idle: Duration,
    /// The largest request body, in bytes.
    pub(super) body_bytes: u64,
    /// The longest pause in one.
    pub(super) body_pause: Duration,
}

/// What an attempt came to that brought no answer.
enum Missed {
    /// The request was not sent: it is still whole.
    Unsent(Box<Request<Upload>>, Failure),
    /// It was sent, and nothing was heard.
    Lost(Failure),
    /// Something was heard that is no answer, or none came in time.
    Failed(Failure),
    /// The client's own fault.
    OfClient(Failure),
}

impl Missed {
    fn failure(&self) -> &Failure {
        match self {
            Self::Unsent(_, failure)
            | Self::Lost(failure)
            | Self::Failed(failure)
            | Self::OfClient(failure) => failure,
        }
    }
}

impl Proxy {
    /// To those of the pool in service; a connection that goes over to another protocol is one of `tasks`, which `cut` ends.
    pub(super) fn new(pools: Arc<Pools>, limits: Limits, tasks: TaskTracker, cut: CancellationToken) -> Self {
        Self { pools, limits, tasks, cut }
    }

    /// Passes the request on, and its answer back: also how long the application took to its first byte.
    pub(super) async fn pass(
        &self,
        parts: &Parts,
        body: Incoming,
        asker: Asker<'_>,
    ) -> (Result<Response<Page>, Failure>, Duration) {
        let has_body = !body.is_end_stream();
        if body.size_hint().lower() > self.limits.body_bytes {
            return (Err(Failure::BodyTooLarge { limit: self.limits.body_bytes }), Duration::ZERO);
        }
        if forwarded::expectation(&parts.headers) == Expectation::Unknown {
            return (Err(Failure::ExpectationUnknown), Duration::ZERO);
        }
        let question = Question { parts, asker, has_body };
        let (upload, watch) = Upload::new(body, self.limits.body_bytes, self.limits.body_pause);
        let stopwatch = Stopwatch::start();
        let answer = self.exchange(&question, upload, &watch).await;
        let took = stopwatch.elapsed();
        let passed =
            answer.and_then(|(answer, lease)| self.back(&question, answer, lease, watch.body_is_through()));
        (passed, took)
    }

    /// One request, one answer. Who could not be reached got nothing, so another is asked, whatever is asked for; what
    /// was sent is sent once more at most, and only where RFC 9110 §9.2.2 allows it.
    async fn exchange(
        &self,
        question: &Question<'_>,
        upload: Upload,
        watch: &Arc<Watch>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut request = question.request(upload);
        let mut may_repeat = question.may_be_repeated();
        let mut tried = Tried::default();
        let mut each = Vec::new();
        while let Some(mut turn) = self.pools.turn(question.asker.client, &mut tried) {
            let stopwatch = Stopwatch::start();
            let came = self.attempt(&mut turn, request, question, &mut may_repeat, watch).await;
            self.tell(question, &turn, &came, stopwatch);
            match came {
                Ok((answer, line)) => {
                    turn.answered();
                    return Ok((answer, Lease { line, turn }));
                }
                Err(Missed::Unsent(unsent, failure)) => {
                    turn.failed();
                    each.push(failure);
                    request = *unsent;
                }
                Err(Missed::Lost(failure)) if may_repeat => {
                    turn.failed();
                    each.push(failure);
                    may_repeat = false;
                    request = question.request(Upload::none(watch.clone()));
                }
                Err(Missed::Lost(failure) | Missed::Failed(failure)) => {
                    turn.failed();
                    return Err(failure);
                }
                Err(Missed::OfClient(failure)) => return Err(failure),
            }
        }
        let only = if each.len() == 1 { each.pop() } else { None };
        Err(only.unwrap_or(Failure::AppsGone { each }))
    }

    fn tell(
        &self,
        question: &Question<'_>,
        turn: &Turn,
        came: &Result<(Response<Incoming>, Line), Missed>,
        stopwatch: Stopwatch,
    ) {
        turn.journal().tell(|| Happened::Passed {
            server: turn.address(),
            method: question.parts.method.as_str().to_owned(),
            target: question.parts.uri.path_and_query().map_or("", PathAndQuery::as_str).to_owned(),
            status: came.as_ref().ok().map(|(answer, _)| answer.status().as_u16()),
            why: came.as_ref().err().map(|missed| missed.failure().to_string()),
            connect_micros: turn.connecting.map(clock::whole_micros),
            micros: stopwatch.micros(),
            id: question.asker.id.as_str().to_owned(),
        });
    }

    /// One application server: over a kept connection, and if that had ended, over a new one.
    async fn attempt(
        &self,
        turn: &mut Turn,
        mut request: Request<Upload>,
        question: &Question<'_>,
        may_repeat: &mut bool,
        watch: &Arc<Watch>,
    ) -> Result<(Response<Incoming>, Line), Missed> {
        if let Some(mut line) = turn.upstream().kept() {
            match self.send(turn, &mut line, request, watch).await {
                Ok(answer) => return Ok((answer, line)),
                // The application may have closed a kept connection at the moment it was used again.
                Err(Missed::Unsent(unsent, _)) => request = *unsent,
                Err(Missed::Lost(_)) if *may_repeat => {
                    *may_repeat = false;
                    request = question.request(Upload::none(watch.clone()));
                }
                Err(missed) => return Err(missed),
            }
        }
        let (address, patience) = (turn.address(), self.limits.connect);
        let stopwatch = Stopwatch::start();
        let connected = tokio::select! {
            connected = timeout(patience, turn.upstream().connect()) => connected,
            party = watch.late(self.limits.first_byte) => return Err(self.late(party, turn)),
        };
        turn.connecting = Some(stopwatch.elapsed());
        let mut line = match connected {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => return Err(Missed::Unsent(Box::new(request), unreachable(&error))),
            Err(_) => {
                let failure = Failure::AppConnectSlow { address, waited: patience };
                return Err(Missed::Unsent(Box::new(request), failure));
            }
        };
        // A new connection on which nothing could be sent is as good as none.
        self.send(turn, &mut line, request, watch).await.map(|answer| (answer, line))
    }

    async fn send(
        &self,
        turn: &Turn,
        line: &mut Line,
        request: Request<Upload>,
        watch: &Watch,
    ) -> Result<Response<Incoming>, Missed> {
        line.signs.ask();
        let asking = async {
            let met = turn.upstream().met().await;
            let asking = async { Ok(line.sender.try_send_request(request).await) };
            met.over(asking, |_reset| Missed::Lost(Failure::AppClosed { address: turn.address() })).await
        };
        let sent = tokio::select! {
            biased;
            sent = asking => sent,
            party = watch.late(self.limits.first_byte) => return Err(self.late(party, turn)),
        };
        let mut error = match sent? {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let address = turn.address();
        if let Some(unsent) = error.take_message() {
            return Err(Missed::Unsent(Box::new(unsent), Failure::AppClosed { address }));
        }
        // What a failed exchange means: the client's fault, or the application's.
        let error = error.into_error();
        Err(match error.source().and_then(|source| source.downcast_ref::<UploadError>()) {
            Some(UploadError::TooLarge) => {
                Missed::OfClient(Failure::BodyTooLarge { limit: self.limits.body_bytes })
            }
            Some(UploadError::Broken(_)) => Missed::OfClient(Failure::BodyBroken),
            None if error.is_parse() => Missed::Failed(Failure::AppGarbled { address }),
            None if line.signs.has_spoken() => Missed::Failed(Failure::AppClosed { address }),
            None => Missed::Lost(Failure::AppClosed { address }),
        })
    }

    fn back(
        &self,
        question: &Question<'_>,
        mut answer: Response<Incoming>,
        lease: Lease,
        body_is_through: bool,
    ) -> Result<Response<Page>, Failure> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.over(question, &mut answer, lease);
        }
        if !forwarded::is_framed(answer.headers_mut()) {
            return Err(Failure::AppGarbled { address: lease.turn.address() });
        }
        let (parts, body) = answer.into_parts();
        let page = FromApp::new(body, lease, !body_is_through, self.limits.idle);
        let mut response = Response::new(Page::App(page));
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        forwarded::from_application(response.headers_mut(), parts.version);
        if !body_is_through {
            // The application did not wait for it, and nobody will take what is still on its way.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    /// The application goes over to another protocol: only if the client asked for that one.
    fn over(
        &self,
        question: &Question<'_>,
        answer: &mut Response<Incoming>,
        lease: Lease,
    ) -> Result<Response<Page>, Failure> {
        let garbled = Failure::AppGarbled { address: lease.turn.address() };
        let asked = forwarded::another_protocol(&question.parts.headers, question.asker.version);
        let asked = asked.as_ref().and_then(|asked| asked.to_str().ok());
        let (Some(asked), Some(chosen), Some(client)) =
            (asked, answer.headers().get(UPGRADE).cloned(), question.parts.extensions.get::<OnUpgrade>())
        else {
            return Err(garbled);
        };
        let is_asked =
            |chosen: &str| asked.split(',').any(|asked| asked.trim().eq_ignore_ascii_case(chosen.trim()));
        if !chosen.to_str().is_ok_and(is_asked) {
            return Err(garbled);
        }
        let tunnel = Tunnel {
            client: client.clone(),
            application: upgrade::on(&mut *answer),
            lease,
            idle: self.limits.idle,
            tasks: self.tasks.clone(),
            cut: self.cut.clone(),
        };
        let mut response = Response::new(Page::Tunnel(Box::new(tunnel)));
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        forwarded::from_application(response.headers_mut(), answer.version());
        forwarded::go_over(response.headers_mut(), chosen);
        Ok(response)
    }

    fn late(&self, party: Party, turn: &Turn) -> Missed {
        match party {
            Party::Client => Missed::OfClient(Failure::BodySlow { waited: self.limits.body_pause }),
            Party::Application => {
                let waited = self.limits.first_byte;
                Missed::Failed(Failure::AppSilent { address: turn.address(), waited })
            }
        }
    }
}

/// A request as the application gets it.
struct Question<'a> {
    parts: &'a Parts,
    asker: Asker<'a>,
    has_body: bool,
}

impl Question<'_> {
    fn request(&self, upload: Upload) -> Request<Upload> {
        let target = self.parts.uri.path_and_query().cloned();
        let mut request = Request::new(upload);
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        *request.headers_mut() = forwarded::to_application(&self.parts.headers, self.asker);
        if !self.has_body {
            request.headers_mut().remove(EXPECT);
        }
        if request.headers().contains_key(EXPECT) {
            let wanted = CancellationToken::new();
            let told = wanted.clone();
            ext::on_informational(&mut request, move |interim| {
                if interim.status() == StatusCode::CONTINUE {
                    told.cancel();
                }
            });
            request = request.map(|upload| upload.when(wanted));
        }
        request
    }

    /// Whether asking twice is the same as asking once; a body is gone once it was sent.
    fn may_be_repeated(&self) -> bool {
        self.parts.method.is_idempotent()
            && !self.has_body
            && !self.parts.headers.contains_key(CONTENT_LENGTH)
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
