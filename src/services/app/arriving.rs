//! A request's body as it arrives, and what becomes of the part that no page wants.
//!
//! A page may answer without reading the body: there is no such page, or not by that method, or the body is too
//! long. The client is still sending then. Closing the connection over unread bytes would reset it (RFC 9112
//! §9.6), and take the answer away from whoever has not read it yet; so the rest is read here, within limits,
//! and thrown away before the answer goes out.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

/// How much of a body is read at most, wanted or not, in bytes: as much as the web server lets through.
const READ_MOST: usize = 1024 * 1024;

/// How long a body may take to arrive, from the end of its request's head.
pub(super) const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// A body that two may read: first the page, then whoever reads the rest.
#[derive(Debug, Clone)]
pub(super) struct Arriving {
    /// A plain mutex: it is held for one look, never across an await.
    reading: Arc<Mutex<Reading>>,
}

#[derive(Debug)]
struct Reading {
    body: Body,
    /// Bytes that came so far.
    seen: usize,
    /// Whether the client sends without being asked, or was asked: it waits where it said so and nobody began to
    /// read (RFC 9110 §10.1.1), and asking only to throw away would be a waste.
    on_its_way: bool,
    /// Whether its end came, or an error, behind which there is nothing.
    ended: bool,
}

impl Arriving {
    /// Shares the body of `request`; nothing where it has none.
    pub(super) fn share(request: &mut Request) -> Option<Self> {
        if request.body().is_end_stream() {
            return None;
        }
        let on_its_way = !request.headers().contains_key(EXPECT);
        let body = std::mem::take(request.body_mut());
        let reading = Reading { body, seen: 0, on_its_way, ended: false };
        let arriving = Self { reading: Arc::new(Mutex::new(reading)) };
        *request.body_mut() = Body::new(arriving.clone());
        Some(arriving)
    }

    /// Reads what nobody did, for at most `patience`.
    pub(super) async fn skip_rest(mut self, patience: Duration) {
        let skipping = async { while self.is_wanted() && self.frame().await.is_some() {} };
        // What does not come in time is the client's loss: the answer does not wait for it.
        let _ = tokio::time::timeout(patience, skipping).await;
    }

    fn is_wanted(&self) -> bool {
        self.with(|reading| reading.on_its_way && !reading.ended && reading.seen <= READ_MOST)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Reading) -> T) -> T {
        look(&mut self.reading.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|reading| {
            reading.on_its_way = true;
            let polled = Pin::new(&mut reading.body).poll_frame(context);
            match &polled {
                Poll::Ready(Some(Ok(frame))) => reading.seen += frame.data_ref().map_or(0, Bytes::len),
                Poll::Ready(Some(Err(_)) | None) => reading.ended = true,
                Poll::Pending => {}
            }
            polled
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|reading| reading.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|reading| reading.body.size_hint())
    }
}
