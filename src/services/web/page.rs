//! The body that goes out: in memory, from a file, or from the application as it arrives.
//!
//! Whatever its size, no more than one piece of it is read ahead.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::pieces::{PieceError, Pieces};
use super::spoil::Spoilt;
use super::tunnel::Tunnel;
use super::upstream::Lease;

/// A response's body.
#[derive(Debug)]
pub(super) enum Page {
    /// All of it, until it was taken.
    Whole(Option<Bytes>),
    /// Of a file, piece by piece.
    Pieces(Pieces),
    /// From the application.
    App(FromApp),
    /// Any of these, as a fault makes it.
    Spoilt(Box<Spoilt>),
    /// None: the connection goes over to another protocol.
    Tunnel(Box<Tunnel>),
}

/// Why a body ended too early; the connection is cut then, so that the client notices.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// The file could not be sent to its end.
    #[error("the file could not be sent to its end")]
    File(#[source] PieceError),
    /// The application ended its answer too early.
    #[error("the application ended its answer too early")]
    App(#[source] hyper::Error),
    /// The application paused too long.
    #[error("the application paused in the middle of its answer for more than {0:?}")]
    Paused(Duration),
    /// A fault broke it off.
    #[error("it breaks off on purpose")]
    BrokenOff,
}

impl Page {
    /// Nothing.
    pub(super) fn empty() -> Self {
        Self::Whole(None)
    }

    /// All of it.
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl Body for Page {
    type Data = Bytes;
    type Error = PageError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PageError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces(pieces) => {
                Poll::Ready(pieces.next().map(|piece| piece.map(Frame::data).map_err(PageError::File)))
            }
            Self::App(answer) => answer.poll(context),
            Self::Spoilt(spoilt) => spoilt.poll(context),
            Self::Tunnel(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Pieces(pieces) => pieces.left() == 0,
            Self::App(answer) => answer.body.is_end_stream(),
            Self::Spoilt(spoilt) => spoilt.is_end(),
            Self::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Pieces(pieces) => SizeHint::with_exact(pieces.left()),
            Self::App(answer) => answer.body.size_hint(),
            Self::Spoilt(spoilt) => spoilt.page().size_hint(),
            Self::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}

/// The application's answer as it arrives. The connection it comes over is kept when it came to its end. Fields behind it
/// (trailers) are not passed on: no client was asked whether it takes them (RFC 9110 §6.5.1).
#[derive(Debug)]
pub(super) struct FromApp {
    body: Incoming,
    lease: Option<Lease>,
    is_last: bool,
    /// How long it may pause.
    idle: Duration,
    /// Runs while nothing arrives.
    pause: Option<Pin<Box<Sleep>>>,
}

impl FromApp {
    /// `body`, over the connection of `lease`, which carries another request only if `is_last` is not so.
    pub(super) fn new(body: Incoming, lease: Lease, is_last: bool, idle: Duration) -> Self {
        Self { body, lease: Some(lease), is_last, idle, pause: None }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PageError>>> {
        let frame = loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) if !frame.is_data() => {}
                Poll::Ready(frame) => break frame,
                Poll::Pending => {
                    let idle = self.idle;
                    let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(idle)));
                    ready!(pause.as_mut().poll(context));
                    return Poll::Ready(Some(Err(PageError::Paused(idle))));
                }
            }
        };
        self.pause = None;
        if frame.is_none() {
            self.keep_connection();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(PageError::App)))
    }

    fn keep_connection(&mut self) {
        if let Some(lease) = self.lease.take()
            && !self.is_last
        {
            lease.keep();
        }
    }
}

impl Drop for FromApp {
    fn drop(&mut self) {
        // A body of known length is not asked for its end once all of it came.
        if self.body.is_end_stream() {
            self.keep_connection();
        }
    }
}
