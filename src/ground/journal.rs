//! Where a service tells what happens, without ever waiting for the telling.
//!
//! A bounded queue stands between the path and the channel: when it is full, events are dropped and counted.
//! The event is only made when there is room for it, so that a busy server pays for no telling that nobody
//! would hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::event::{Happened, Moment};

/// Events that may wait to be sent.
const WAITING_MOST: usize = 256;

/// The telling end; clones tell to the same place.
#[derive(Debug, Clone)]
pub struct Journal {
    waiting: mpsc::Sender<(Moment, Happened)>,
    untold: Arc<AtomicU64>,
}

/// A telling end while there is another; see [`Journal::loosely`].
#[derive(Debug)]
pub struct LooseJournal {
    waiting: mpsc::WeakSender<(Moment, Happened)>,
    untold: Arc<AtomicU64>,
}

/// The hearing end.
#[derive(Debug)]
pub struct Told {
    waiting: mpsc::Receiver<(Moment, Happened)>,
    untold: Arc<AtomicU64>,
}

/// A new journal and the end that hears it.
pub fn journal() -> (Journal, Told) {
    let (sender, receiver) = mpsc::channel(WAITING_MOST);
    let untold = Arc::new(AtomicU64::new(0));
    (Journal { waiting: sender, untold: untold.clone() }, Told { waiting: receiver, untold })
}

impl Journal {
    /// Tells what `make` makes, if there is room; otherwise counts it as untold.
    pub fn tell(&self, make: impl FnOnce() -> Happened) {
        match self.waiting.try_reserve() {
            Ok(room) => room.send((Moment::now(), make())),
            Err(_) => self.lose(),
        }
    }

    /// Whether an event could be told now.
    pub fn has_room(&self) -> bool {
        self.waiting.capacity() > 0
    }

    /// Counts an event that was not even made, since there was no room.
    pub fn lose(&self) {
        self.untold.fetch_add(1, Ordering::Relaxed);
    }

    /// A telling end that does not keep the journal open: for what lives as long as the process.
    pub fn loosely(&self) -> LooseJournal {
        LooseJournal { waiting: self.waiting.downgrade(), untold: self.untold.clone() }
    }

    /// Tells a line of text.
    pub fn note(&self, text: impl Into<String>) {
        self.tell(|| Happened::Note { text: text.into() });
    }
}

impl LooseJournal {
    /// The journal, if it is still open.
    pub fn open(&self) -> Option<Journal> {
        Some(Journal { waiting: self.waiting.upgrade()?, untold: self.untold.clone() })
    }
}

impl Told {
    /// Waits for events and appends up to `most` of them to `batch`, with their moments; false when every
    /// telling end is gone. What could not be told is told as a number.
    pub async fn hear(&mut self, batch: &mut Vec<(Moment, Happened)>, most: usize) -> bool {
        let heard = self.waiting.recv_many(batch, most).await;
        let count = self.untold.swap(0, Ordering::Relaxed);
        if count > 0 {
            batch.push((Moment::now(), Happened::Untold { count }));
        }
        heard > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_journal_drops_and_counts() {
        let (journal, mut told) = journal();
        for _ in 0..WAITING_MOST + 3 {
            journal.note("x");
        }
        let mut batch = Vec::new();
        assert!(told.hear(&mut batch, usize::MAX).await);
        assert_eq!(batch.len(), WAITING_MOST + 1);
        assert_eq!(batch.last().unwrap().1, Happened::Untold { count: 3 });
        let loose = journal.loosely();
        assert!(loose.open().is_some_and(|journal| journal.has_room()));
        drop(journal);
        assert!(loose.open().is_none());
        batch.clear();
        assert!(!told.hear(&mut batch, usize::MAX).await);
        assert!(batch.is_empty());
    }
}
