//! What users notice while something is changed: how many of their requests are served, delayed, lost, and for how long.
//!
//! [`prober`] asks, for a page or a name ([`question`]), and these are all of this room that touches a socket; [`account`] adds up what it saw, and [`picture`] draws it.

pub mod account;
pub mod picture;
pub mod prober;
mod question;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::dns::types::Rcode;

/// One request: when it was meant to begin, when it did, when it ended, in microseconds since the first; what came of it.
///
/// What counts for a user is the time since it was meant to begin: one who has to wait for the answer before his waits too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// When it was meant to begin.
    pub intended: u64,
    /// When it began.
    pub sent: u64,
    /// When it ended.
    pub ended: u64,
    /// Why it failed, if it did.
    pub failed: Option<Symptom>,
}

impl Probe {
    /// What its user waited, in microseconds.
    pub fn waited(&self) -> u64 {
        self.ended.saturating_sub(self.intended)
    }
}

/// Why a request failed, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Symptom {
    /// Nobody listens at the port (curl: 7).
    Refused,
    /// The address cannot be reached.
    Unreachable,
    /// The connection was cut (curl: 56).
    Reset,
    /// The connection ended before the answer was whole (curl: 52, 18).
    Closed,
    /// Nothing came in time (curl: 28).
    Silent,
    /// What came is no answer.
    Malformed,
    /// The answer says that it failed: its status.
    Status(u16),
    /// The same of a name server.
    Rcode(u16),
    /// It is an answer without what was asked for.
    Empty,
}

impl fmt::Display for Symptom {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => to.write_str("refused"),
            Self::Unreachable => to.write_str("unreachable"),
            Self::Reset => to.write_str("reset"),
            Self::Closed => to.write_str("closed"),
            Self::Silent => to.write_str("timeout"),
            Self::Malformed => to.write_str("malformed"),
            Self::Rcode(code) => write!(to, "{}", Rcode(*code)),
            Self::Empty => to.write_str("no answer in it"),
            Self::Status(code) => {
                let reason =
                    hyper::StatusCode::from_u16(*code).ok().and_then(|status| status.canonical_reason());
                write!(to, "{code} {}", reason.unwrap_or_default())
            }
        }
    }
}

impl Serialize for Symptom {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
