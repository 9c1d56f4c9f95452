//! The connections of DNS over HTTPS (RFC 8484): HTTP/1.1 and HTTP/2 within TLS.

use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::{self, Message};
use crate::ground::journal::Journal;
use crate::services::faults::arriving::Arrived;
use crate::services::faults::gate::Arrival;
use crate::services::streams::{Hold, IDLE, Respond, Seat};
use crate::services::tls::Greeter;

/// What HTTP/2 is called when it is agreed on (RFC 9113 §3.2).
pub(super) const HTTP2: &[u8] = b"h2";

/// A request's head, in bytes: room for a question in its target, however long a name.
const HEAD_MOST: usize = 16 << 10;
/// Fields of a request.
const FIELDS_MOST: usize = 64;
/// Requests of one HTTP/2 connection at a time (RFC 9113 §5.1.2 asks for 100 at least).
const STREAMS_MOST: u32 = 100;
/// Streams that a client may have reset while their answer waits (CVE-2023-44487).
const RESETS_MOST: usize = 20;
/// Bytes of bodies that may come before they are taken: of one request a message, of a connection some of them.
const STREAM_WINDOW: u32 = 1 << 16;
const CONNECTION_WINDOW: u32 = 1 << 18;
/// How long who is told to go may stay.
const GOODBYE: Duration = Duration::from_secs(1);

/// Shakes hands, and answers the requests that come then.
#[derive(Debug, Clone)]
pub(super) struct Https<R> {
    pub(super) greeter: Arc<Greeter>,
    pub(super) responder: R,
    pub(super) journal: Journal,
}

impl<R: Respond> Hold for Https<R> {
    fn hold(&self, arrival: Arrival, seat: Seat) -> impl Future<Output = ()> + Send + 'static {
        let Self { greeter, responder, journal } = self.clone();
        let Arrival { stream, client, here } = arrival;
        async move {
            let greeted = tokio::select! {
                () = seat.to_be_left() => return,
                greeted = greeter.greet(stream, client, here, &journal) => greeted,
            };
            let Some(sealed) = greeted else { return };
            let at_work = Arc::new(AtWork { seat, asked: AtomicU64::new(0), under_way: AtomicUsize::new(0) });
            let answering = at_work.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let (responder, one) = (responder.clone(), One::begin(&answering));
                async move {
                    let asking = one.0.seat.asking();
                    let message = exchange::answer(&responder, request, client, &asking).await;
                    drop(one);
                    message.ok_or(Silence)
                }
            });
            // How a connection ends is its client's business: every question was told when it was answered.
            if sealed.get_ref().1.alpn_protocol() == Some(HTTP2) {
                speak_http2(sealed, &at_work, service).await;
            } else {
                speak_http1(sealed, &at_work, service).await;
            }
        }
    }
}

/// What a connection does.
#[derive(Debug)]
struct AtWork {
    seat: Seat,
    asked: AtomicU64,
    under_way: AtomicUsize,
}

impl AtWork {
    /// Returns when the connection is to end: it has to make room, or nothing was asked for [`IDLE`] and nothing is under way.
    async fn to_be_left(&self) {
        let silent = async {
            loop {
                let before = self.asked.load(Ordering::Relaxed);
                sleep(IDLE).await;
                let is_idle = self.under_way.load(Ordering::Relaxed) == 0;
                if is_idle && self.asked.load(Ordering::Relaxed) == before {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.seat.to_be_left() => {}
            () = silent => {}
        }
    }
}

/// One request whose head has come, at least; over when this is dropped. Its seat is its own only when its question is whole.
struct One(Arc<AtWork>);

impl One {
    fn begin(at_work: &Arc<AtWork>) -> Self {
        at_work.asked.fetch_add(1, Ordering::Relaxed);
        at_work.under_way.fetch_add(1, Ordering::Relaxed);
        Self(at_work.clone())
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer is silence: HTTP has no form for that but to end.
#[derive(Debug)]
struct Silence;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is silence")
    }
}

impl Error for Silence {}

/// What answers a request.
trait Service<F>:
    hyper::service::Service<Request<Incoming>, Response = Response<Message>, Error = Silence, Future = F>
{
}
impl<F, S> Service<F> for S where
    S: hyper::service::Service<Request<Incoming>, Response = Response<Message>, Error = Silence, Future = F>
{
}

async fn speak_http1<F: Future<Output = Result<Response<Message>, Silence>>>(
    sealed: TlsStream<Arrived>,
    at_work: &AtWork,
    service: impl Service<F>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD_MOST)
        .max_headers(FIELDS_MOST)
        .serve_connection(TokioIo::new(sealed), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = at_work.to_be_left() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GOODBYE, connection).await;
}

async fn speak_http2<F>(sealed: TlsStream<Arrived>, at_work: &AtWork, service: impl Service<F>)
where
    F: Future<Output = Result<Response<Message>, Silence>> + Send + 'static,
{
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    let _cut = cut.clone().drop_guard();
    let connection = http2::Builder::new(Tracked { tasks, cut })
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MOST)
        .max_header_list_size(u32::try_from(HEAD_MOST).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_MOST)
        .max_local_error_reset_streams(RESETS_MOST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_connection(TokioIo::new(sealed), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = at_work.to_be_left() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GOODBYE, connection).await;
}

/// Runs the streams of one HTTP/2 connection as tasks that end with it.
#[derive(Debug, Clone)]
struct Tracked {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tracked {
    fn execute(&self, stream: F) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                _ = stream => {}
                () = cut.cancelled() => {}
            }
        });
    }
}
