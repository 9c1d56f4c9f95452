//! How many connections there were, and how many there are.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::ground::metrics::Family;

/// Counts connections.
#[derive(Debug, Default)]
pub(in crate::services) struct Connections {
    accepted: AtomicU64,
    open: AtomicU64,
}

impl Connections {
    /// One more was accepted.
    pub(in crate::services) fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    /// So many are open now.
    pub(in crate::services) fn open(&self, open: usize) {
        self.open.store(open as u64, Relaxed);
    }

    /// What was counted.
    pub(in crate::services) fn families(&self) -> [Family; 2] {
        [
            Family::counter("wwwlab_connections_accepted_total", "Connections that were accepted.")
                .with(&[], self.accepted.load(Relaxed)),
            Family::gauge("wwwlab_connections_open", "Connections that are open.")
                .with(&[], self.open.load(Relaxed)),
        ]
    }
}
