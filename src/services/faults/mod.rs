//! What is wrong on purpose with a service: told by the supervisor, looked up by every answer.
//!
//! While nothing is wrong, an answer pays one load of a flag that no one writes. The set is swapped whole: an answer sees the
//! one or the other, and a set that was overtaken on its way is dropped.
//!
//! - [`dns`]: what a fault makes of an answer to a DNS question; pure, from octets to octets.
//! - [`edges`]: what a broken way makes of dialling and asking.
//! - [`arriving`]: what it makes of connections and datagrams that come in; [`gate`]: of the port at which they come.
//! - `narrow`: when answers are given that have so many bits a second.

pub(super) mod arriving;
pub(super) mod dns;
pub(super) mod edges;
pub(super) mod gate;
mod narrow;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::ground::channel::Reply;
use crate::ground::fault::{FaultSet, Laid, Wrong};

/// The faults of one service. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_any: AtomicBool,
    set: watch::Sender<Arc<Active>>,
    /// Connections that were given up, whose other ends cannot be told now. A plain mutex: held to add one.
    untold: Mutex<Vec<OwnedFd>>,
    /// What narrows the answers of all connections together.
    line: narrow::Line,
}

/// The faults of one service as they change.
#[derive(Debug)]
pub(super) struct Watch(watch::Receiver<Arc<Active>>);

/// The faults that are in force, each with its count of occasions.
#[derive(Debug, Default)]
pub(super) struct Active {
    generation: u64,
    laid: Vec<(Laid, AtomicU64)>,
}

impl Faults {
    /// Puts `set` in force, unless a newer one is.
    pub(super) fn take(&self, set: FaultSet) -> Reply {
        self.0.set.send_if_modified(|now| {
            if set.generation <= now.generation {
                return false;
            }
            // A fault that goes on goes on counting.
            let count = |laid: &Laid| {
                let before = now.laid.iter().find(|(known, _)| known.id == laid.id);
                before.map_or(0, |(_, occasions)| occasions.load(Ordering::Relaxed))
            };
            let laid = set.laid.iter().map(|laid| (laid.clone(), AtomicU64::new(count(laid)))).collect();
            *now = Arc::new(Active { generation: set.generation, laid });
            self.0.is_any.store(!now.laid.is_empty(), Ordering::Relaxed);
            if !now.is_unheard() {
                self.0.untold.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            true
        });
        Reply::Done
    }

    /// What is wrong now; nothing nearly always.
    pub(super) fn now(&self) -> Option<Arc<Active>> {
        self.0.is_any.load(Ordering::Relaxed).then(|| self.0.set.borrow().clone())
    }

    /// Sees them change.
    pub(super) fn watch(&self) -> Watch {
        Watch(self.0.set.subscribe())
    }
}

impl Watch {
    /// Waits until `of` the faults that are in force is `wanted`; for ever where no fault can be laid any more. Dropping the wait
    /// loses nothing.
    pub(super) async fn until(&mut self, wanted: bool, of: impl Fn(&Active) -> bool) {
        if self.0.wait_for(|active| of(active) == wanted).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Active {
    /// What strikes on this occasion, in the order in which it was laid. Those that are for it, as `concerns` says, count it.
    pub(super) fn strike(&self, concerns: impl Fn(&Laid) -> bool) -> Vec<Wrong> {
        let concerned = self.laid.iter().filter(|(laid, _)| concerns(laid));
        let striking = concerned.filter(|(laid, occasions)| {
            laid.when.strikes(occasions.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
        });
        striking.map(|(laid, _)| laid.wrong).collect()
    }

    /// Whether this is wrong whatever is asked.
    pub(super) fn has(&self, wrong: Wrong) -> bool {
        self.laid.iter().any(|(laid, _)| laid.wrong == wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::fault::{HttpWrong, When};

    fn set(generation: u64, ids: &[u32]) -> FaultSet {
        let wrong = Wrong::Http(HttpWrong::InternalError);
        let laid = ids.iter().map(|&id| Laid { id, wrong, when: When::Every(2), only: None });
        FaultSet { generation, laid: laid.collect() }
    }

    #[test]
    fn a_set_that_was_overtaken_is_dropped_and_an_empty_one_costs_nothing() {
        let faults = Faults::default();
        assert!(faults.now().is_none());
        faults.take(set(2, &[1]));
        faults.take(set(1, &[]));
        assert!(faults.now().is_some(), "the newer one stays");
        faults.take(set(3, &[]));
        assert!(faults.now().is_none());
    }

    #[test]
    fn a_fault_that_goes_on_goes_on_counting() {
        let faults = Faults::default();
        let struck = || faults.now().unwrap().strike(|_| true).len();
        faults.take(set(1, &[1]));
        assert_eq!((struck(), struck(), struck()), (0, 1, 0));
        faults.take(set(2, &[1, 2]));
        assert_eq!(struck(), 1, "the fourth of the first, the first of the second");
        assert!(faults.now().unwrap().strike(|_| false).is_empty());
        assert_eq!(struck(), 1, "what does not concern it is not counted");
    }
}
