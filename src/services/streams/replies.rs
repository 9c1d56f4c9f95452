//! Where the answers of one connection wait to be written, each behind its length (RFC 1035 §4.2.2).
//!
//! All questions of a connection share one buffer, so that answers which are ready together leave in one write. What
//! is made for a question while others are waited for is held back when the asker does not read.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::dns::message::{LONGEST_MESSAGE, padding};

/// Octets that may wait before nothing more is made; one message may go beyond.
const WAITING_MOST: usize = 1 << 16;

/// What waits on one connection.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// A plain mutex: all who lock it run in the task of one connection, and never across an await.
    buffers: Mutex<Buffers>,
    /// Told when something came to wait.
    pub(super) filled: Notify,
    /// Told when what waited is being written.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Buffers {
    waiting: Vec<u8>,
    /// One message that is being made; used again.
    message: Vec<u8>,
    /// Whether a question was met with silence.
    silent: bool,
}

impl Outgoing {
    /// Whether there is room for answers to more questions.
    pub(super) fn has_room(&self) -> bool {
        self.buffers().waiting.len() < WAITING_MOST
    }

    /// Whether a question was met with silence, so that the connection is to end.
    pub(super) fn is_silent(&self) -> bool {
        self.buffers().silent
    }

    /// Takes what waits, and leaves the empty `written` in its place.
    pub(super) fn take(&self, written: &mut Vec<u8>) {
        debug_assert!(written.is_empty());
        std::mem::swap(&mut self.buffers().waiting, written);
        if !written.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffers {
    /// Adds `message` if less than the bound waits; false if not.
    fn add_where_room(&mut self, message: &[u8]) -> bool {
        let has_room = self.waiting.len() < WAITING_MOST;
        if has_room {
            self.add(message);
        }
        has_room
    }

    fn add(&mut self, message: &[u8]) {
        let message = &message[..message.len().min(LONGEST_MESSAGE)];
        self.waiting.extend_from_slice(&u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.waiting.extend_from_slice(message);
    }
}

/// Where the messages go that answer one question, in their order. To drop it without having sent any is silence.
#[derive(Debug)]
pub(in crate::services) struct Replies {
    outgoing: Arc<Outgoing>,
    is_answered: bool,
    is_padded: bool,
}

impl Replies {
    pub(super) fn of(outgoing: Arc<Outgoing>) -> Self {
        Self { outgoing, is_answered: false, is_padded: false }
    }

    /// Has what is sent from now on be padded (RFC 7830), since it goes over an encrypted transport.
    pub(in crate::services) fn pad(&mut self) {
        self.is_padded = true;
    }

    /// Has `make` write the one message that is all of the answer, into a buffer that is used again; an empty one is
    /// silence. It does not wait: who takes up a question has seen that there is room.
    pub(in crate::services) fn send_now(&mut self, make: impl FnOnce(&mut Vec<u8>)) {
        let outgoing = self.outgoing.clone();
        let mut buffers = outgoing.buffers();
        let mut message = std::mem::take(&mut buffers.message);
        make(&mut message);
        if self.is_padded {
            padding::pad(&mut message);
        }
        if !message.is_empty() {
            buffers.add(&message);
            self.is_answered = true;
        }
        buffers.message = message;
        drop(buffers);
    }

    /// Ends the connection once what was sent is written: the answer cannot be completed, and nobody is to take the part
    /// for the whole.
    pub(in crate::services) fn break_off(self) {
        self.outgoing.buffers().silent = true;
        self.outgoing.filled.notify_one();
    }

    /// Sends `message`, at most [`LONGEST_MESSAGE`] octets, when those before it leave room.
    pub(in crate::services) async fn send(&mut self, message: &[u8]) {
        let mut message = Cow::Borrowed(message);
        if self.is_padded {
            padding::pad(message.to_mut());
        }
        loop {
            // Whoever empties the buffers after this tells it, also before it is waited for.
            let emptied = self.outgoing.emptied.notified();
            if self.outgoing.buffers().add_where_room(&message) {
                break;
            }
            emptied.await;
        }
        self.is_answered = true;
        self.outgoing.filled.notify_one();
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if !self.is_answered {
            self.outgoing.buffers().silent = true;
            self.outgoing.filled.notify_one();
        }
    }
}
