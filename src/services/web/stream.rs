//! One request of an HTTP/2 connection (RFC 9113 §5), from its head to the end of its answer.
//!
//! It stands apart because the clients of HTTP/2 say for each stream how much of its answer they take (§5.2), and the
//! library asks for none of a body while that is nothing: no timer in the body would ring. So the stream's task has the
//! time beside it, and ends when its client took too little for too long.
//!
//! One answer of a connection is always made: its descriptors are counted with the connection's. Further ones at a time
//! need a place among those that all connections share ([`super::room`]).

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::wire::Credit;
use crate::ground::clock::Stopwatch;

tokio::task_local! {
    /// The stream whose task this is.
    static STREAM: Arc<Stream>;
}

/// How the answer of one stream comes along.
#[derive(Debug)]
pub(super) struct Stream {
    /// A plain mutex: held for one look, never across an await.
    taking: Mutex<Taking>,
}

#[derive(Debug)]
struct Taking {
    /// Since when the client is waited for; nothing while the answer is being made.
    since: Option<Stopwatch>,
    /// Bytes of the frame that it takes.
    bytes: u64,
    credit: Credit,
}

impl Stream {
    /// Does `work` as a stream's, as long as its client takes something of the answer within `patience`.
    pub(super) async fn serve<F: Future>(work: F, patience: Duration) -> Option<F::Output> {
        let credit = Credit::new(patience);
        let stream = Arc::new(Self { taking: Mutex::new(Taking { since: None, bytes: 0, credit }) });
        tokio::select! {
            biased;
            done = STREAM.scope(stream.clone(), work) => Some(done),
            () = stream.late(patience) => None,
        }
    }

    /// The one whose task this is; nothing where it is none's.
    pub(super) fn current() -> Option<Arc<Self>> {
        STREAM.try_with(Clone::clone).ok()
    }

    /// It is the client's turn: it has so many bytes to take.
    pub(super) fn gives(&self, bytes: u64) {
        let mut taking = self.taking();
        taking.since = Some(Stopwatch::start());
        taking.bytes = bytes;
    }

    /// The client took what there was, and wants more.
    pub(super) fn makes(&self) {
        let mut taking = self.taking();
        if let Some(since) = taking.since.take() {
            let bytes = taking.bytes;
            taking.credit.spend(since.elapsed());
            taking.credit.earn(bytes);
        }
    }

    /// Returns when the client is late.
    async fn late(&self, patience: Duration) {
        loop {
            let left = {
                let taking = self.taking();
                // Whoever is not waited for now has so long at least.
                taking.since.map_or(patience, |since| taking.credit.left().saturating_sub(since.elapsed()))
            };
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }

    fn taking(&self) -> MutexGuard<'_, Taking> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_stream_that_nobody_takes_ends_and_one_that_is_being_made_does_not() {
        let waits = Stream::serve(
            async {
                Stream::current().unwrap().gives(1);
                pending::<()>().await;
            },
            MOMENT,
        );
        assert!(waits.await.is_none());
        let makes = Stream::serve(
            async {
                let stream = Stream::current().unwrap();
                for _ in 0..3 {
                    stream.gives(1);
                    stream.makes();
                    sleep(2 * MOMENT).await;
                }
            },
            MOMENT,
        );
        assert!(makes.await.is_some());
        assert!(Stream::current().is_none());
    }
}
