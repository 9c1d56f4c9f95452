//! One client's connection (RFC 9112), from its first byte to its end.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::answer::Server;

/// How long a connection may take to send the head of its next request, whether it is idle or slow. Long
/// enough to type one by hand.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);

/// The largest request head, in bytes; beyond it 431, which hyper answers itself.
const HEAD_AT_MOST: usize = 32 * 1024;

/// Header fields in a request at most.
const FIELDS_AT_MOST: usize = 100;

/// How long a client whose request was refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);

/// Answers requests until the client goes, `stop` lets it finish the one that it is at, or `cut` ends it.
pub(super) async fn serve(
    stream: TcpStream,
    client: SocketAddr,
    server: Arc<Server>,
    stop: CancellationToken,
    cut: CancellationToken,
) {
    let course = Arc::new(Course::default());
    let service = service_fn(|request| {
        let (server, course) = (server.clone(), course.clone());
        course.begun.store(true, Ordering::Relaxed);
        // Boxed, so that the stream can be had back from hyper in the end.
        Box::pin(async move {
            let response = server.answer(client, request).await;
            if response.headers().contains_key(CONNECTION) {
                course.refused.store(true, Ordering::Relaxed);
            }
            Ok::<_, Infallible>(response)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_AT_MOST)
        .max_headers(FIELDS_AT_MOST)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);

    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => Some(ended),
        () = stop.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            tokio::select! {
                // In this order: a request that has arrived is found before it is said that there is none.
                biased;
                ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
                () = course.not_begun() => return,
                () = cut.cancelled() => return,
            }
        }
    };
    // How it ended is otherwise the client's business: every request was told when it was answered.
    let unread = course.refused.load(Ordering::Relaxed) || ended.is_err_and(|error| error.is_parse());
    let mut stream = connection.into_parts().io.into_inner();
    tokio::select! {
        _ = close(&mut stream, unread) => {}
        () = cut.cancelled() => {}
    }
}

/// What has become of a connection so far.
#[derive(Debug, Default)]
struct Course {
    /// A request has come. hyper does not count a connection without one as idle.
    begun: AtomicBool,
    /// A request was answered before its body was read, which may still come.
    refused: AtomicBool,
}

impl Course {
    /// Returns at once where no request has come, else never.
    async fn not_begun(&self) {
        if self.begun.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }
}

/// Closes a connection on which something may still come that is not wanted: closing over unread bytes would
/// reset it, and take the last answer away from the client.
pub(super) async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    let drained = async {
        while stream.read(&mut unread).await? > 0 {}
        Ok(())
    };
    timeout(LINGER, drained).await.unwrap_or(Ok(()))
}

async fn close(stream: &mut TcpStream, unread: bool) -> io::Result<()> {
    if unread { linger(stream).await } else { stream.shutdown().await }
}
