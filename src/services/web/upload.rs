//! A request's body on its way to the application: bounded, and watched.
//!
//! Watched, because silence has two causes that a student must not confuse: the client has not sent its body
//! yet, or the application has not answered it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::sleep;

use crate::ground::clock::Stopwatch;

/// The largest request body, in bytes.
pub(super) const BODY_AT_MOST: u64 = 1 << 20;

/// How long a client may pause in the middle of its request's body.
pub(super) const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// The body.
#[derive(Debug)]
pub(super) struct Upload {
    body: Option<Incoming>,
    left: u64,
    watch: Arc<Watch>,
}

/// Why the body did not get through.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// It is larger than [`BODY_AT_MOST`].
    #[error("the request's body is larger than {BODY_AT_MOST} bytes")]
    TooLarge,
    /// The client broke it off, or framed it wrongly.
    #[error("the request's body could not be read from the client")]
    Broken(#[source] hyper::Error),
}

/// Who is being waited for, and since when.
#[derive(Debug)]
pub(super) struct Watch {
    waiting: Mutex<(Party, Stopwatch)>,
    /// Whether the whole body was taken from the client.
    through: AtomicBool,
}

/// Who can be late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    /// Its body has not come.
    Client,
    /// Its answer has not come.
    Application,
}

impl Upload {
    /// `body`, and the watch over it.
    pub(super) fn new(body: Incoming) -> (Self, Arc<Watch>) {
        let body = (!body.is_end_stream()).then_some(body);
        let watch = Arc::new(Watch::new(body.is_none()));
        (Self { body, left: BODY_AT_MOST, watch: watch.clone() }, watch)
    }

    /// One without a body, to ask again.
    pub(super) fn none(watch: Arc<Watch>) -> Self {
        Self { body: None, left: 0, watch }
    }
}

impl Watch {
    fn new(through: bool) -> Self {
        Self {
            waiting: Mutex::new((Party::Application, Stopwatch::start())),
            through: AtomicBool::new(through),
        }
    }

    /// Whether nothing of the body is still to come.
    pub(super) fn body_is_through(&self) -> bool {
        self.through.load(Ordering::Relaxed)
    }

    /// Returns who was late, once the application took longer than `patience`, or the client than
    /// [`CLIENT_PATIENCE`].
    pub(super) async fn late(&self, patience: Duration) -> Party {
        loop {
            let (party, since) = *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let patience = match party {
                Party::Client => CLIENT_PATIENCE,
                Party::Application => patience,
            };
            match patience.checked_sub(since.elapsed()) {
                None | Some(Duration::ZERO) => return party,
                Some(left) => sleep(left).await,
            }
        }
    }

    fn wait_for(&self, party: Party) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Who goes on being waited for gets no new time.
        if party == Party::Application || waiting.0 != party {
            *waiting = (party, Stopwatch::start());
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Self { body: Some(body), left, watch } = &mut *self else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut *body).poll_frame(context);
        watch.wait_for(match polled {
            Poll::Pending => Party::Client,
            Poll::Ready(_) => Party::Application,
        });
        if matches!(polled, Poll::Ready(None)) || body.is_end_stream() {
            watch.through.store(true, Ordering::Relaxed);
        }
        polled.map(|frame| {
            let frame = match frame? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(UploadError::Broken(error))),
            };
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(bytes) {
                Some(rest) => {
                    *left = rest;
                    Some(Ok(frame))
                }
                None => Some(Err(UploadError::TooLarge)),
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_who_is_waited_for_is_late() {
        let watch = Watch::new(true);
        assert_eq!(watch.late(Duration::ZERO).await, Party::Application);
        watch.wait_for(Party::Client);
        let since = watch.waiting.lock().unwrap().1.elapsed();
        watch.wait_for(Party::Client);
        assert!(watch.waiting.lock().unwrap().1.elapsed() >= since);
        assert_eq!(watch.waiting.lock().unwrap().0, Party::Client);
    }
}
