//! A request's body on its way to the application: bounded, and watched.
//!
//! Watched, because silence has two causes that a student must not confuse: the client has not sent its body
//! yet, or the application has not answered it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::wire::SLOWEST;
use crate::ground::clock::Stopwatch;

/// How long the application may take to say "go on" (100) to a client that waits for it; then the body is sent anyway,
/// since it may not know that (RFC 9110 §10.1.1).
const GO_ON_WITHIN: Duration = Duration::from_secs(1);

/// The body. Fields behind it (trailers) are not passed on.
#[derive(Debug)]
pub(super) struct Upload {
    body: Option<Incoming>,
    left: u64,
    watch: Arc<Watch>,
    gate: Option<Gate>,
}

/// Shut until the application wants the body: to read it tells the client to go on.
struct Gate(Pin<Box<dyn Future<Output = ()> + Send>>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// Why the body did not get through.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// It is larger than it may be.
    #[error("the request's body is larger than it may be")]
    TooLarge,
    /// The client broke it off, or framed it wrongly.
    #[error("the request's body could not be read from the client")]
    Broken(#[source] hyper::Error),
}

/// Who is being waited for, and since when.
#[derive(Debug)]
pub(super) struct Watch {
    waiting: Mutex<Waiting>,
    /// Told when it is the client who is waited for from now on: its time may be over before the application's.
    turned: Notify,
    /// How long the client may pause in the middle of its body.
    patience: Duration,
    /// Whether the whole body was taken from the client.
    through: AtomicBool,
}

/// The state of the waiting.
#[derive(Debug)]
struct Waiting {
    party: Party,
    since: Stopwatch,
    /// The time that the client has left in all, as of `since`.
    credit: Duration,
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
    /// `body`, of `most` bytes at most and with pauses of `patience`, and the watch over it.
    pub(super) fn new(body: Incoming, most: u64, patience: Duration) -> (Self, Arc<Watch>) {
        let body = (!body.is_end_stream()).then_some(body);
        let watch = Arc::new(Watch::new(body.is_none(), patience));
        (Self { body, left: most, watch: watch.clone(), gate: None }, watch)
    }

    /// Not read before `wanted`, or [`GO_ON_WITHIN`].
    pub(super) fn when(mut self, wanted: CancellationToken) -> Self {
        if self.body.is_some() {
            self.gate = Some(Gate(Box::pin(async move {
                let _ = timeout(GO_ON_WITHIN, wanted.cancelled()).await;
            })));
        }
        self
    }

    /// One that is nobody's.
    pub(super) fn nothing() -> Self {
        Self::none(Arc::new(Watch::new(true, Duration::ZERO)))
    }

    /// One without a body, to ask again.
    pub(super) fn none(watch: Arc<Watch>) -> Self {
        Self { body: None, left: 0, watch, gate: None }
    }
}

impl Watch {
    fn new(through: bool, patience: Duration) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                party: Party::Application,
                since: Stopwatch::start(),
                credit: patience,
            }),
            turned: Notify::new(),
            patience,
            through: AtomicBool::new(through),
        }
    }

    /// Whether nothing of the body is still to come.
    pub(super) fn body_is_through(&self) -> bool {
        self.through.load(Ordering::Relaxed)
    }

    /// Returns who was late, once the application took longer than `patience`, or the client than it may.
    pub(super) async fn late(&self, patience: Duration) -> Party {
        loop {
            let (party, since, patience) = {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let patience = match waiting.party {
                    Party::Client => waiting.credit,
                    Party::Application => patience,
                };
                (waiting.party, waiting.since, patience)
            };
            match patience.checked_sub(since.elapsed()) {
                None | Some(Duration::ZERO) => return party,
                Some(left) => tokio::select! {
                    () = sleep(left) => {}
                    () = self.turned.notified() => {}
                },
            }
        }
    }

    fn wait_for(&self, party: Party) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Who goes on being waited for gets no new time.
        if party == Party::Application || waiting.party != party {
            if waiting.party == Party::Client {
                waiting.credit = waiting.credit.saturating_sub(waiting.since.elapsed());
            }
            (waiting.party, waiting.since) = (party, Stopwatch::start());
            if party == Party::Client {
                self.turned.notify_one();
            }
        }
    }

    /// The client has sent so many bytes: they buy it time, up to what it had at first.
    fn sent(&self, bytes: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let earned = Duration::from_micros(bytes.saturating_mul(1_000_000) / SLOWEST);
        waiting.credit = waiting.credit.saturating_add(earned).min(self.patience);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Self { body: Some(body), left, watch, gate } = &mut *self else {
            return Poll::Ready(None);
        };
        if let Some(Gate(opened)) = gate {
            ready!(opened.as_mut().poll(context));
            *gate = None;
        }
        let polled = loop {
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) if !frame.is_data() => {}
                polled => break polled,
            }
        };
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
                    watch.sent(bytes);
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
        let watch = Watch::new(true, Duration::from_secs(10));
        assert_eq!(watch.late(Duration::ZERO).await, Party::Application);
        watch.wait_for(Party::Client);
        let since = watch.waiting.lock().unwrap().since.elapsed();
        watch.wait_for(Party::Client);
        assert!(watch.waiting.lock().unwrap().since.elapsed() >= since);
        assert_eq!(watch.waiting.lock().unwrap().party, Party::Client);
    }

    #[tokio::test]
    async fn whoever_watches_sees_that_it_is_another_one_who_is_waited_for() {
        let watch = Watch::new(false, Duration::from_millis(1));
        let late = watch.late(Duration::from_secs(3600));
        tokio::pin!(late);
        assert!(futures_util::poll!(&mut late).is_pending());
        watch.wait_for(Party::Client);
        assert_eq!(timeout(Duration::from_secs(30), late).await, Ok(Party::Client));
    }

    #[tokio::test]
    async fn a_trickle_does_not_buy_time_for_ever() {
        let watch = Watch::new(false, Duration::from_secs(10));
        watch.waiting.lock().unwrap().credit = Duration::ZERO;
        watch.wait_for(Party::Client);
        assert_eq!(watch.late(Duration::from_secs(3600)).await, Party::Client);
        watch.wait_for(Party::Application);
        watch.sent(1);
        assert!(watch.waiting.lock().unwrap().credit < Duration::from_millis(1));
        watch.sent(u64::MAX);
        assert_eq!(watch.waiting.lock().unwrap().credit, watch.patience);
    }
}
