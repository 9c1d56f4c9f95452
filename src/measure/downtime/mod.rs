//! What users notice while something is changed: how many of their requests are served, delayed, lost, and for how long.
//!
//! [`prober`] asks, for a page ([`browser`]) or a name ([`question`]), and these are all of this room that touches a socket;
//! [`account`] adds up what it saw, also by which [`certificates`], and [`picture`] draws it.

pub mod account;
mod browser;
pub mod certificates;
pub mod picture;
pub mod prober;
mod question;

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::dns::types::Rcode;
use crate::path::asking::Trouble;

/// One request: when it was meant to begin, when it did, when it ended, in microseconds since the first; what came of it.
///
/// What counts for a user is the time since it was meant to begin: one who has to wait for the answer before his waits too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// When it was meant to begin.
    pub intended: u64,
    /// When it began.
    pub sent: u64,
    /// When it ended.
    pub ended: u64,
    /// Why it failed, if it did.
    pub failed: Option<Symptom>,
    /// In what it was sealed, by HTTPS, if it came to that.
    pub sealed: Option<Sealed>,
}

/// A connection by HTTPS, as one request met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The number of the certificate that it began with, hexadecimal with colons.
    pub serial: Arc<str>,
    /// When it was begun for this request, which shook hands then, in microseconds since the first request; nothing where it was
    /// kept from one before.
    pub shaken_micros: Option<u64>,
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
    /// The certificate that was shown is not believed (curl: 60).
    Untrusted,
    /// No handshake came about (curl: 35).
    NoTls,
}

impl From<Trouble> for Symptom {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused => Self::Refused,
            Trouble::Reset => Self::Reset,
            Trouble::Closed => Self::Closed,
            Trouble::Silent(_) => Self::Silent,
            Trouble::Unreachable(_) => Self::Unreachable,
            Trouble::Malformed(_) => Self::Malformed,
            Trouble::Doubted(_) => Self::Untrusted,
            Trouble::NoTls(_) => Self::NoTls,
        }
    }
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
            Self::Untrusted => to.write_str("certificate not believed"),
            Self::NoTls => to.write_str("no TLS"),
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
