//! What has become of a connection's requests so far: known to the rim, to whoever answers, and to the door.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

use crate::ground::explain::prefers_json;

use super::super::room::Seat;
use super::violation::Violation;

/// The longest part of a refused request that is told, in bytes.
const TOLD_AT_MOST: usize = 200;

/// The course of one connection. Numbers of its requests count from 1.
#[derive(Debug)]
pub(in crate::services::web) struct Course {
    /// Heads that were passed on.
    passed: AtomicU64,
    /// Requests whose answer has begun to be made.
    begun: AtomicU64,
    /// Requests whose answer was taken, or given up.
    answered: AtomicU64,
    /// Something of an answer is made, and the client does not take it.
    stuck: AtomicBool,
    /// Something may still come that nobody wants.
    unread: AtomicBool,
    /// The last answer was broken off.
    broken: AtomicBool,
    refusal: Mutex<Option<Refusal>>,
    another: Mutex<Another>,
    seat: Seat,
}

/// A request that was refused before it was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::services::web) struct Refusal {
    /// Why.
    pub(in crate::services::web) violation: Violation,
    /// How it began: its first line, as far as it can be shown.
    pub(in crate::services::web) line: String,
    /// Whether its answer has no body.
    pub(super) is_head: bool,
    /// Whether it would rather have JSON.
    pub(in crate::services::web) as_json: bool,
}

/// Whether the connection goes over to another protocol.
#[derive(Debug, Default)]
enum Another {
    #[default]
    Unasked,
    Asked(Waker),
    Decided(bool),
}

impl Course {
    /// Of a connection that takes `seat`.
    pub(in crate::services::web) fn new(seat: Seat) -> Self {
        Self {
            passed: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            refusal: Mutex::default(),
            another: Mutex::default(),
            seat,
        }
    }

    /// A request comes to its answer; the refusal, if it stands for one that was refused.
    pub(in crate::services::web) fn begin(&self) -> Option<Refusal> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        self.seat.busy();
        // A refused one is the last.
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if number >= self.passed.load(Ordering::Relaxed) { refusal.take() } else { None }
    }

    /// Its answer has come to its end, or to nothing.
    pub(in crate::services::web) fn end(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if self.is_idle() {
            self.seat.idle();
        }
    }

    /// Whether the client goes over to `another` protocol, as the answer says that was made last.
    pub(in crate::services::web) fn decide(&self, another: bool) {
        if self.begun.load(Ordering::Relaxed) != self.passed.load(Ordering::Relaxed) {
            // Another request was passed on since: this one did not end the reading.
            return;
        }
        let mut decision = self.another.lock().unwrap_or_else(PoisonError::into_inner);
        if let Another::Asked(waker) = std::mem::replace(&mut *decision, Another::Decided(another)) {
            waker.wake();
        }
    }

    /// What comes behind this request is not wanted.
    pub(in crate::services::web) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// An answer that only the connection's end would end was broken off: the client is to see that.
    pub(in crate::services::web) fn break_off(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Whether no request has come.
    pub(in crate::services::web) fn is_unused(&self) -> bool {
        self.begun.load(Ordering::Relaxed) == 0
    }

    /// Whether every request that has come was answered, and the answer is on its way.
    pub(in crate::services::web) fn is_idle(&self) -> bool {
        self.is_answered() && !self.stuck.load(Ordering::Relaxed)
    }

    /// The same, with the answer perhaps not yet on its way.
    pub(super) fn is_answered(&self) -> bool {
        let answered = self.answered.load(Ordering::Relaxed);
        self.passed.load(Ordering::Relaxed) <= answered && self.begun.load(Ordering::Relaxed) <= answered
    }

    /// The client does not take what is written: whoever makes room for others, it is not this one, whose answer would be
    /// cut. How long that may last, the rim knows.
    pub(super) fn stuck(&self) {
        if !self.stuck.swap(true, Ordering::Relaxed) {
            self.seat.busy();
        }
    }

    /// It takes it again.
    pub(super) fn flows(&self) {
        self.stuck.store(false, Ordering::Relaxed);
        if self.is_idle() {
            self.seat.idle();
        }
    }

    /// Whether more than one request is being answered.
    pub(in crate::services::web) fn is_at_several(&self) -> bool {
        let begun = self.begun.load(Ordering::Relaxed);
        begun.saturating_sub(self.answered.load(Ordering::Relaxed)) > 1
    }

    /// How many requests have come.
    pub(in crate::services::web) fn requests(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Returns when the connection, idle, has to make room.
    pub(in crate::services::web) async fn asked_to_leave(&self) {
        self.seat.asked_to_leave().await;
    }

    pub(super) fn passed(&self, heads: u64) {
        self.passed.fetch_add(heads, Ordering::Relaxed);
        *self.another.lock().unwrap_or_else(PoisonError::into_inner) = Another::Unasked;
        self.seat.busy();
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        self.leave_unread();
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    pub(super) fn is_left_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// What was decided about another protocol; if nothing was, the reader is woken when it is.
    pub(super) fn decision(&self, context: &Context<'_>) -> Option<bool> {
        let mut decision = self.another.lock().unwrap_or_else(PoisonError::into_inner);
        match *decision {
            Another::Decided(another) => Some(another),
            Another::Unasked | Another::Asked(_) => {
                *decision = Another::Asked(context.waker().clone());
                None
            }
        }
    }
}

impl Refusal {
    /// Of what begins with `bytes`, because of `violation`.
    pub(super) fn of(violation: Violation, bytes: &[u8]) -> Self {
        let mut lines =
            bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).skip_while(|line| line.is_empty());
        let first = lines.next().unwrap_or_default();
        let shown = String::from_utf8_lossy(&first[..first.len().min(TOLD_AT_MOST)]);
        let accept = lines.filter_map(|line| {
            let (name, value) = line.split_at_checked("accept:".len())?;
            name.eq_ignore_ascii_case(b"accept:").then(|| std::str::from_utf8(value).ok())?
        });
        Self {
            violation,
            is_head: first.starts_with(b"HEAD "),
            as_json: prefers_json(accept),
            line: shown.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
        }
    }
}
