//! How long a call waits, and for what: apart, since the limits only hold together.
//!
//! What is waited for inside a call takes less time than the call may, so that the error says what stands in the way, and
//! not only that nothing came.

use std::time::Duration;

/// The limits of time of one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// No call takes longer than this, and no statement with a server.
    pub(super) answer: Duration,
    /// How long a call waits for a connection that others use, and how long for one that is being made.
    pub(super) connection: Duration,
    /// How long another process's lock on a file is waited for.
    pub(super) file_lock: Duration,
    /// How long another session's lock is waited for with a server, on a row or on the schema; whole seconds, 1 at least.
    pub(super) server_lock: Duration,
}

impl Patience {
    /// That of a page's visitor: it is to say what is amiss before they go.
    pub(super) const OF_A_VISITOR: Self = Self {
        answer: Duration::from_secs(3),
        connection: Duration::from_secs(2),
        file_lock: Duration::from_secs(1),
        server_lock: Duration::from_secs(2),
    };
}
