//! One client's connection (RFC 9112, RFC 9113), from its first byte to its end.
//!
//! The rim around the socket has looked at each request before it comes here, and says when the connection was
//! silent for too long.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::services::faults::arriving::Arrived;

use super::answer::Server;
use super::answered::Answered;
use super::page::Page;
use super::room::Seat;
use super::stream::Stream;
use super::tls::{self, Greeter, Line};
use super::wire::{Course, FIELDS_AT_MOST, HEAD_AT_MOST, Patience, Rim, Speaks};

/// What hyper may hold of one connection in either direction, in bytes: a head goes in whole.
const BUFFER_AT_MOST: usize = 2 * HEAD_AT_MOST;

/// Requests of one HTTP/2 connection at a time (RFC 9113 §5.1.2 asks for 100 at least).
const STREAMS_AT_MOST: u32 = 100;

/// Streams of one HTTP/2 connection that a client may have reset while their answer waits: more than these at a time is
/// an attack ("rapid reset", CVE-2023-44487), and ends the connection.
const RESETS_AT_MOST: usize = 20;

/// How often an HTTP/2 connection is asked for a sign of life, and how long that may take.
const PING_EVERY: Duration = Duration::from_secs(20);

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    /// The address of this server at which the client asks.
    pub(super) here: SocketAddr,
    /// Whether what is between them is sealed (TLS).
    pub(super) sealed: bool,
}

impl Ends {
    /// How an address of this connection begins (RFC 9110 §4.2).
    pub(super) fn scheme(&self) -> &'static str {
        if self.sealed { "https" } else { "http" }
    }
}

/// What every connection needs.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) server: Arc<Server>,
    /// Where TLS is spoken: whoever connects shakes hands first.
    pub(super) greeter: Option<Arc<Greeter>>,
    pub(super) patience: Patience,
    /// Open requests may come to their end, and no more.
    pub(super) stop: CancellationToken,
    /// Everything ends.
    pub(super) cut: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// A place for each answer beside the first of its connection.
    pub(super) further: Arc<Semaphore>,
}

/// Answers requests until the client goes, is silent for too long or has to make room, `stop` lets it finish the one
/// that it is at, or `cut` ends it.
pub(super) async fn serve(stream: Arrived, ends: Ends, seat: Seat, around: Surroundings) {
    let course = Arc::new(Course::new(seat));
    let (line, must_be_http2) = match &around.greeter {
        None => (Line::Plain(stream), false),
        Some(greeter) => {
            let greeted = tokio::select! {
                biased;
                () = course.asked_to_leave() => return,
                () = around.cut.cancelled() => return,
                greeted = greeter.greet(stream, ends.client, ends.here, &around.server.journal) => greeted,
                () = around.stop.cancelled() => return,
            };
            let Some(sealed) = greeted else { return };
            let is_http2 = tls::is_http2(&sealed);
            (Line::Tls(Box::new(sealed)), is_http2)
        }
    };
    let mut rim = Rim::new(line, course.clone(), around.patience);
    let speaks = tokio::select! {
        biased;
        () = course.asked_to_leave() => return,
        () = around.cut.cancelled() => return,
        speaks = rim.opening() => speaks,
        () = around.stop.cancelled() => return,
    };
    // How a connection ends is the client's business: every request was told when it was answered.
    match speaks {
        // What was agreed on is what is spoken (RFC 9113 §3.4).
        Ok(Some(Speaks::Http1)) if must_be_http2 => {}
        Ok(Some(Speaks::Http1)) => http1(rim, ends, &course, &around).await,
        Ok(Some(Speaks::Http2)) => http2(rim, ends, &course, &around).await,
        Ok(None) | Err(_) => {}
    }
}

async fn http1(rim: Rim, ends: Ends, course: &Arc<Course>, around: &Surroundings) {
    let service = service_fn(|request| answer(ends, course.clone(), around, request));
    let connection = http1::Builder::new()
        // The rim keeps the time.
        .header_read_timeout(None)
        .max_buf_size(BUFFER_AT_MOST)
        .max_headers(FIELDS_AT_MOST)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(rim), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        () = course.asked_to_leave() => return,
        () = around.cut.cancelled() => return,
        _ = connection.as_mut() => return,
        () = around.stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        // In this order: a request that has arrived is found before it is said that there is none.
        biased;
        _ = connection => {}
        () = not_begun(course) => {}
        () = around.cut.cancelled() => {}
    }
}

async fn http2(rim: Rim, ends: Ends, course: &Arc<Course>, around: &Surroundings) {
    let service = {
        let (course, around) = (course.clone(), around.clone());
        service_fn(move |request| {
            let (course, around) = (course.clone(), around.clone());
            async move { answer(ends, course, &around, request).await }
        })
    };
    let mut builder = http2::Builder::new(Tracked(around.clone()));
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .max_concurrent_streams(STREAMS_AT_MOST)
        .max_header_list_size(u32::try_from(HEAD_AT_MOST).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_AT_MOST)
        .max_local_error_reset_streams(RESETS_AT_MOST)
        .max_send_buf_size(BUFFER_AT_MOST);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(rim), service));
    tokio::select! {
        biased;
        () = course.asked_to_leave() => return,
        () = around.cut.cancelled() => return,
        _ = connection.as_mut() => return,
        () = silent(course, around.patience.idle) => {}
        () = around.stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection => {}
        // Whoever is told to go and stays is left behind.
        () = silent(course, Duration::from_secs(1)) => {}
        () = around.cut.cancelled() => {}
    }
}

/// Answers one request, or what stands for one that was refused.
async fn answer(
    ends: Ends,
    course: Arc<Course>,
    around: &Surroundings,
    request: Request<Incoming>,
) -> Result<Response<Answered>, Infallible> {
    let refusal = course.begin();
    let server = &around.server;
    let ending = Answered::new(course.clone(), request.version() == Version::HTTP_10);
    let ending = match Stream::current() {
        // The places are never closed.
        Some(stream) if course.is_at_several() => {
            ending.of(stream, around.further.clone().acquire_owned().await.ok())
        }
        Some(stream) => ending.of(stream, None),
        None => ending,
    };
    let asks_for_another = request.version() != Version::HTTP_2 && request.headers().contains_key(UPGRADE);
    let (response, record) = match refusal {
        Some(refusal) => server.refuse(ends, refusal),
        None => server.answer(ends, request).await,
    };
    let goes_over = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if asks_for_another {
        course.decide(goes_over);
    }
    if !goes_over && response.headers().contains_key(CONNECTION) {
        course.leave_unread();
    }
    Ok(response.map(|page| match page {
        Page::Tunnel(tunnel) => {
            tunnel.open(ending.with(Page::empty(), record));
            Answered::elsewhere()
        }
        page => ending.with(page, record),
    }))
}

/// Returns at once where no request has come, else never.
async fn not_begun(course: &Course) {
    if !course.is_unused() {
        pending::<()>().await;
    }
}

/// Returns when nothing was asked for so long, and nothing is being answered.
async fn silent(course: &Course, patience: Duration) {
    loop {
        let before = course.requests();
        sleep(patience).await;
        if course.is_idle() && course.requests() == before {
            return;
        }
    }
}

/// Runs the streams of an HTTP/2 connection as tasks that the server knows and can end.
#[derive(Debug, Clone)]
struct Tracked(Surroundings);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tracked {
    fn execute(&self, stream: F) {
        let (cut, patience) = (self.0.cut.clone(), self.0.patience.answer);
        self.0.tasks.spawn(async move {
            tokio::select! {
                // A stream that is dropped before its end is reset (RFC 9113 §8.1, CANCEL).
                _ = Stream::serve(stream, patience) => {}
                () = cut.cancelled() => {}
            }
        });
    }
}
