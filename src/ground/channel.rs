//! The channel between the supervisor and one service: a socket pair, one JSON value a line.
//!
//! It is the service's descriptor 0, so that no descriptor has to be passed by number. Upwards go [`Report`]s:
//! first exactly one `ready` or `failed`, then events and replies. Downwards go [`Order`]s. When the
//! supervisor's end closes, for whatever reason, the service ends itself: it never outlives its lab.
//!
//! A service that is started by hand (descriptor 0 is a terminal) has no channel; it prints its reports instead.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::bind::{Listening, Transport};
use super::dnssec::key::Algorithm;
use super::dnssec::{self, PublicKey, Wrong};
use super::event::{Happened, Moment};
use super::fault::FaultSet;
use super::metrics::Family;
use super::tls::{Private, Wanted};

/// The longest line that either side reads, in bytes; a longer one ends the channel.
pub const LONGEST_LINE: usize = 1 << 20;

/// The channel on descriptor 0, if this process was given one. Must be called inside a runtime.
pub fn on_descriptor_0() -> io::Result<Option<UnixStream>> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let socket = StdUnixStream::from(stdin);
    // Only a socket has a local address; a terminal, file or pipe has not.
    if socket.local_addr().is_err() {
        return Ok(None);
    }
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket).map(Some)
}

/// What a service tells its supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// It serves; sent once.
    Ready {
        /// Where.
        listening: Vec<Listening>,
        /// Which version of files that can be deployed, if it has any.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        version: Option<String>,
    },
    /// It could not start and is about to exit; sent instead of `Ready`.
    Failed {
        /// The chain of causes, outermost first.
        causes: Vec<String>,
    },
    /// Something happened.
    Happened {
        /// When.
        when: Moment,
        /// What.
        what: Happened,
    },
    /// The reply to the order of the same number.
    Reply {
        /// The order's number.
        number: u64,
        /// What came of it.
        reply: Reply,
    },
}

/// What the supervisor asks of a running service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Ties the reply to it.
    pub number: u64,
    /// What to do.
    pub ask: Ask,
}

/// What can be asked of a running service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The resolver's cache, as it stands.
    CacheList,
    /// Forget what was cached: all of it, or what is known of one name.
    CacheFlush(Option<String>),
    /// How much was asked of a name server, by kind.
    Queries,
    /// What it counts and measures.
    Metrics,
    /// How many questions or requests it answers a second.
    Pace,
    /// Find the answer to a question and tell the way.
    Resolve {
        /// The name, in presentation form.
        name: String,
        /// The type's mnemonic.
        record_type: String,
        /// Whether to start from the root with nothing remembered.
        afresh: bool,
    },
    /// Serve the zone `origin` from another file from now on.
    ZoneUse {
        /// The zone's apex.
        origin: String,
        /// The file, absolute.
        file: String,
    },
    /// How the application servers behind a web server stand.
    Upstreams,
    /// Pass to one application server what has gone to another.
    Replace {
        /// The other.
        former: SocketAddr,
        /// The one, which must be well.
        next: SocketAddr,
    },
    /// Pass nothing on to this application server until told otherwise; one of several, of which another is well.
    Rest {
        /// Where it listens.
        address: SocketAddr,
    },
    /// Pass requests on to it again once it is well.
    Resume {
        /// Where it listens.
        address: SocketAddr,
        /// Whether to do so too if it is not: it is then as any that fails.
        even_ill: bool,
    },
    /// Speak TLS so from now on.
    Tls(Wanted),
    /// Have DNS asked in private so from now on.
    Private(Private),
    /// Put the application files in this directory into service.
    Deploy {
        /// The directory, absolute.
        directory: PathBuf,
    },
    /// Take these entries out of the guestbook, however many there are.
    Forget(Mark),
    /// Begin: whoever makes what outlives a process is watched over now.
    Begin,
    /// Cut a cable of the network, or mend it.
    Cable {
        /// Its name.
        name: String,
        /// Whether it is to be whole.
        whole: bool,
    },
    /// Switch a machine of the network on or off.
    Power {
        /// Its name.
        host: String,
        /// Whether it is to be on.
        on: bool,
    },
    /// Have all this wrong with your answers, and nothing else.
    Faults(FaultSet),
    /// Sign zones so from now on.
    Sign(dnssec::Wanted),
    /// Believe what leads back to one of these keys of the root, and forget what was believed; without any, believe
    /// whatever is said.
    Believe(Vec<PublicKey>),
    /// Which zones are in service.
    ZoneList,
    /// A zone as it is served.
    ZoneShow {
        /// The zone's apex.
        origin: String,
    },
}

/// By what entries of the guestbook are known that a measure wrote: no account has them, and both are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Their name.
    pub name: String,
    /// Their message.
    pub message: String,
}

/// What a service replies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The cache's entries, the soonest to end first, as many as fit a line.
    Cache {
        /// The entries.
        entries: Vec<CacheEntry>,
        /// How many there are in all.
        total: usize,
    },
    /// How many entries were forgotten.
    Flushed(usize),
    /// The application servers behind a web server.
    Upstreams(Vec<UpstreamState>),
    /// One application server has another's place, or rests.
    Replaced {
        /// Requests that the one which gets no more was still at work on when it was waited for no longer.
        unfinished: u32,
    },
    /// What was asked.
    Queries(Box<QueryCounts>),
    /// What it counted and measured.
    Metrics(Vec<Family>),
    /// How many it answered a second, in the last few seconds.
    Pace(f64),
    /// Other application files are in service.
    Deployed {
        /// Their version.
        version: String,
    },
    /// The zones in service.
    Zones(Vec<ZoneState>),
    /// The way to an answer.
    Walk(WalkTold),
    /// A zone as master-file text, in canonical order.
    Zone(String),
    /// It was done, and there is nothing to say about it.
    Done,
    /// It was not done; the causes, outermost first.
    Refused(Vec<String>),
}

/// One question whose answer a resolver remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    #[serde(rename = "type")]
    pub record_type: String,
    /// `NOERROR` or `NXDOMAIN`; `NODATA` where the name exists without that type.
    pub outcome: String,
    /// Seconds until it is forgotten.
    pub ttl_seconds: u32,
    /// The records, in presentation form; for a negative entry, its SOA.
    pub records: Vec<String>,
    /// How often it answered since it was cached.
    pub hits: u64,
    /// The name server that said so last on the way; nothing if the way is not known any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub said_by: Option<SocketAddr>,
}

/// What a name server was asked since it started, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryCounts {
    /// In datagrams.
    pub udp: Counted,
    /// Over streams.
    pub tcp: Counted,
    /// Over streams within TLS; nothing where nobody ever asked so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls: Option<Counted>,
    /// In requests of HTTP within TLS; nothing where nobody ever asked so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub https: Option<Counted>,
    /// Over QUIC; nothing where nobody ever asked so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quic: Option<Counted>,
}

impl QueryCounts {
    /// Each transport over which anybody may have asked, with what was asked.
    pub fn each(self) -> impl Iterator<Item = (Transport, Counted)> {
        let plain = [(Transport::Udp, Some(self.udp)), (Transport::Tcp, Some(self.tcp))];
        let private =
            [(Transport::Tls, self.tls), (Transport::Https, self.https), (Transport::Quic, self.quic)];
        plain
            .into_iter()
            .chain(private)
            .filter_map(|(transport, counted)| counted.map(|counted| (transport, counted)))
    }
}

/// What was asked over one transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Questions that were answered.
    pub answered: u64,
    /// Those and the dropped by the type asked for, the most frequent first; `?` where the question could not be read.
    pub types: Vec<Count>,
    /// Those that were answered by response code, the most frequent first.
    pub rcodes: Vec<Count>,
    /// Messages to which silence is the answer: answers, and what is shorter than a header.
    pub unanswered: u64,
    /// Answers beyond the rate limit: they were cut and emptied, or dropped.
    pub limited: u64,
    /// Those of the limited that were not sent at all.
    pub dropped: u64,
}

/// How often something was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// A record type, a response code.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// The way to one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkTold {
    /// The name asked for, in full.
    pub name: String,
    /// The type asked for.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Whether the answer was remembered, and nobody was asked.
    pub cached: bool,
    /// Who was asked, in order.
    pub steps: Vec<WalkStep>,
    /// `NOERROR`, `NODATA`, `NXDOMAIN`, `SERVFAIL`, …
    pub outcome: String,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// The records, in presentation form; for a negative answer its SOA.
    pub records: Vec<String>,
    /// From question to answer, in microseconds.
    pub micros: u64,
}

/// One name server asked on the way to an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkStep {
    /// The name server.
    pub server: SocketAddr,
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    #[serde(rename = "type")]
    pub record_type: String,
    /// What came: `referral to com.`, `NOERROR, 1 answer`, `no answer in time`, …
    pub outcome: String,
    /// From question sent to answer received, in microseconds.
    pub micros: u64,
}

/// One application server behind a web server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamState {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share of the work, 1 to 100, beside the others'.
    pub weight: u32,
    /// `in`: it gets requests. `out`: it failed several times in a row. `on trial`: the next request tries it.
    /// `fails checks`: it gets none until a check succeeds; `rests`: it gets none while it is started anew.
    pub state: String,
    /// How much longer it is out, in milliseconds; nothing where it is not, or not for a time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub out_millis: Option<u64>,
    /// Requests under way, and connections that have gone over to another protocol.
    pub under_way: u32,
    /// Requests since the web server started.
    pub requests: u64,
    /// Those of them that it did not answer, by its own fault.
    pub failures: u64,
    /// Failures since it answered last.
    pub failures_in_a_row: u32,
}

/// One zone that a server answers for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneState {
    /// The zone's apex.
    pub origin: String,
    /// The file it is read from.
    pub file: String,
    /// Its SOA serial; nothing while no version of the file was accepted.
    pub serial: Option<u32>,
    /// Records in service.
    pub records: usize,
    /// What is wrong with the file as it is on disk, `file:line:column: what`; empty when it is in service.
    pub problems: Vec<String>,
    /// How it is signed, if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signed: Option<ZoneSigned>,
}

/// How a zone is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSigned {
    /// With what.
    pub algorithm: Algorithm,
    /// The number of its key.
    pub tag: u16,
    /// The key that is to take its place, while both sign.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rolling: Option<Rolling>,
    /// Until when its signatures hold, in seconds since the Unix epoch.
    pub until: u32,
    /// How long what it says may be remembered: the largest TTL of its sets, in seconds.
    pub longest_ttl: u32,
    /// The same of the DS in it, which vouch for its children; 0 without any.
    pub ds_ttl: u32,
    /// What is wrong with it on purpose.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrong: Option<Wrong>,
}

/// A key that is to take another's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// Its number.
    pub tag: u16,
    /// From when the other one may go, in seconds since the Unix epoch. The supervisor knows, not the name server.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<u32>,
}
