//! What the services told, as far as the telling of a path can use it.
//!
//! It comes from the lab's journal in memory, which has all services' events in one order as soon as they are known; the
//! files of logs are turned over, and under load they are long. A busy service tells a sample of what it does, so none of it
//! is trusted to be complete.

use std::net::SocketAddr;

use crate::ground::channel::WalkStep;
use crate::ground::event::{Event, Happened};
use crate::ground::tls::Shaken;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// When it was over, in microseconds of the clock that all processes of the machine share.
    pub mono: u64,
    /// Who tells it.
    pub service: String,
    /// What happened.
    pub what: What,
}

/// What can be told on a path.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A DNS question was answered.
    Question(Question),
    /// A resolver asked a name server.
    Asked {
        /// The walk that it belongs to.
        walk: String,
        /// Who was asked what.
        step: WalkStep,
    },
    /// A client and the web server shook hands.
    Handshake(Shaken),
    /// An HTTP request was answered.
    Request(Request),
    /// A web server passed a request on.
    Passed {
        /// To whom.
        server: SocketAddr,
        /// The status that came back.
        status: Option<u16>,
        /// Why none did.
        why: Option<String>,
        /// How long it took to connect; nothing over a kept connection.
        connect_micros: Option<u64>,
        /// How long it all took.
        micros: u64,
        /// The request's identifier.
        id: String,
    },
    /// The database executed a statement.
    Statement {
        /// With placeholders where values go.
        text: String,
        /// Rows that came back.
        returned: u64,
        /// Rows that were changed.
        changed: u64,
        /// How long it took.
        micros: u64,
        /// The request's identifier.
        id: Option<String>,
    },
}

/// A DNS question, as its server tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Who asked.
    pub client: SocketAddr,
    /// The name.
    pub name: String,
    /// The type.
    pub record_type: String,
    /// What came of it.
    pub rcode: String,
    /// The flags of the answer.
    pub flags: String,
    /// Records in the answer section.
    pub answers: u16,
    /// How long it took.
    pub micros: u64,
    /// Whether the answer was remembered.
    pub cached: Option<bool>,
    /// The walk that found it, where a resolver had to ask.
    pub walk: Option<String>,
}

/// An HTTP request, as its server tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Who asked.
    pub client: SocketAddr,
    /// `GET`, …
    pub method: String,
    /// Whether it came by TLS.
    pub secure: bool,
    /// The host that was asked for.
    pub host: String,
    /// The target.
    pub target: String,
    /// The status of the answer.
    pub status: u16,
    /// Who made it.
    pub by: String,
    /// Bytes of its body, where known.
    pub bytes: Option<u64>,
    /// How long it took.
    pub micros: u64,
    /// The request's identifier.
    pub id: String,
}

impl Told {
    /// What `event` says, if a path can use it.
    pub fn of(event: Event) -> Option<Self> {
        let what = match event.what {
            Happened::Question {
                client,
                name,
                record_type,
                rcode,
                flags,
                answers,
                micros,
                cached,
                walk,
                ..
            } => What::Question(Question {
                client,
                name,
                record_type,
                rcode,
                flags,
                answers,
                micros,
                cached,
                walk,
            }),
            Happened::Asked { walk, step } => What::Asked { walk, step },
            // Name servers shake hands as well, with whoever asks them in private: no part of a page's way.
            Happened::Handshake(shaken) if event.service == "web" => What::Handshake(shaken),
            Happened::Request {
                client, method, secure, host, target, status, by, bytes, micros, id, ..
            } => {
                What::Request(Request { client, method, secure, host, target, status, by, bytes, micros, id })
            }
            Happened::Passed { server, status, why, connect_micros, micros, id, .. } => {
                What::Passed { server, status, why, connect_micros, micros, id }
            }
            Happened::Statement { text, returned, changed, micros, id } => {
                What::Statement { text, returned, changed, micros, id }
            }
            _ => return None,
        };
        Some(Self { at: event.when.at, mono: event.when.mono, service: event.service, what })
    }
}
