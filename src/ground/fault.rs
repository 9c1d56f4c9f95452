//! What is wrong on purpose at the rim of a service, as the supervisor tells it and the service does it.
//!
//! It stands on the ground floor because both sides have to agree on it, and know nothing else of each other. A set of faults
//! is told whole, with a generation: an older one never replaces a newer one. Whether a fault strikes is decided by the number
//! of the occasion alone ([`When`]), so that a run with the same seed and the same requests can be had again.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chance::Stream;

/// Faults that one service may have at a time.
pub const FAULTS_MOST: usize = 64;

/// All that is wrong with one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSet {
    /// Grows with each change in the lab.
    pub generation: u64,
    /// What is wrong, in the order in which it was laid; at most [`FAULTS_MOST`].
    pub laid: Vec<Laid>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Laid {
    /// Its number in the lab, from 1 on.
    pub id: u32,
    /// What is wrong.
    pub wrong: Wrong,
    /// On which occasions it strikes.
    pub when: When,
    /// The only occasions that count: questions for this name, with its final dot and in lower case, or requests whose path
    /// begins so. Without it all do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub only: Option<String>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// With the answers of a name server or resolver.
    Dns(DnsWrong),
    /// With the answers of a web server.
    Http(HttpWrong),
    /// With what an application does with its database.
    Database(DatabaseWrong),
    /// With a way, done by who dials, or by who is asked where no service of the lab dials.
    Edge {
        /// Who is asked on it.
        asked: Asked,
        /// What is wrong with it.
        wrong: EdgeWrong,
    },
}

/// Who is asked on a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// The service itself, by whoever comes; all others are asked by the service.
    Here,
    /// The only one that the service dials.
    Only,
    /// Who has these addresses.
    At(IpAddr, Option<IpAddr>),
}

impl Asked {
    /// Whether `address` is one of its own.
    pub fn is_at(self, address: IpAddr) -> bool {
        match self {
            Self::Here => false,
            Self::Only => true,
            Self::At(one, other) => one == address || other == Some(address),
        }
    }
}

/// What is wrong with a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeWrong {
    /// What is asked gets there, and a connection is made, so much later.
    Late {
        /// Milliseconds.
        millis: u64,
        /// So much more or less, in milliseconds.
        jitter: u64,
        /// Where that is drawn.
        stream: Stream,
    },
    /// A datagram is lost each time that it strikes.
    Lost,
    /// Nothing gets there.
    Cut,
    /// Nobody listens, for a datagram or a new connection.
    Refuse,
    /// Open connections are reset.
    Reset,
    /// No answer comes back.
    HalfOpen,
    /// Answers have so many thousand bits a second, all together.
    Narrow {
        /// Thousands; 1 at least.
        kilobits: u64,
    },
}

/// What is wrong with answers to DNS questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsWrong {
    /// SERVFAIL, and no records.
    Servfail,
    /// REFUSED, and no records.
    Refused,
    /// NXDOMAIN, and no records.
    Nxdomain,
    /// NOERROR without authority and without records: the server does not know that the zone was delegated to it.
    Lame,
    /// Every A record has this address, and every AAAA record one that leads nowhere.
    WrongAddress(Ipv4Addr),
    /// Over UDP every answer is cut: no records, and the sign to ask over TCP.
    Truncate,
    /// The answer comes this much later.
    Slow {
        /// Milliseconds.
        millis: u64,
    },
    /// The port over TCP is closed.
    NoTcp,
    /// Zones that are copied from another server are not fetched again.
    Stale,
    /// Every record may be remembered for so long.
    Ttl {
        /// Seconds.
        seconds: u32,
    },
}

/// What is wrong with answers to HTTP requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpWrong {
    /// 500, whatever was asked for.
    InternalError,
    /// The first byte comes this much later.
    SlowFirstByte {
        /// Milliseconds.
        millis: u64,
    },
    /// The body comes slowly.
    SlowBody {
        /// Bytes a second, 1 at least.
        bytes_per_second: u64,
    },
    /// The connection ends in the middle of the body.
    TruncatedBody,
    /// The server knows its site under another name.
    WrongHost,
    /// The answer is to ask for the same again.
    RedirectLoop,
}

/// What is wrong with what an application does with its database; the engine does it, on the application's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseWrong {
    /// Nothing can be written.
    ReadOnly,
    /// There is no room for more: a file cannot grow, a server says that the table is full.
    Full,
    /// There is no file where the database was; an embedded one alone.
    Gone,
    /// Every connection is in use by others.
    Busy,
    /// The connection is held so much longer by each call.
    Slow {
        /// Milliseconds.
        millis: u64,
    },
}

/// On which of its occasions a fault strikes. They are counted from 1 when it is told to the service, and again when the service
/// is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// On each.
    Always,
    /// On each one whose number this divides; 1 at least.
    Every(u32),
    /// On each with this chance, independently.
    Chance {
        /// In millionths.
        millionths: u32,
        /// Where the numbers come from.
        stream: Stream,
    },
}

impl When {
    /// Whether it strikes on the occasion with this number.
    pub fn strikes(self, occasion: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Every(count) => occasion.is_multiple_of(u64::from(count.max(1))),
            Self::Chance { millionths, stream } => stream.number(occasion, 1_000_000) < u64::from(millionths),
        }
    }
}

/// A wait in milliseconds, as time.
pub fn wait(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(when: When) -> Vec<u64> {
        (1..=1_000).filter(|&occasion| when.strikes(occasion)).collect()
    }

    #[test]
    fn every_third_is_the_third_the_sixth_and_so_on() {
        assert_eq!(struck(When::Always).len(), 1_000);
        assert_eq!(struck(When::Every(3))[..3], [3, 6, 9]);
        assert_eq!(struck(When::Every(1)).len(), 1_000);
    }

    #[test]
    fn chance_is_the_same_again_for_the_same_seed_and_another_for_another_fault() {
        let when = |fault| When::Chance { millionths: 300_000, stream: Stream::of(7, fault) };
        let first = struck(when(1));
        assert_eq!(first, struck(when(1)));
        assert_ne!(first, struck(when(2)));
        assert!((200..400).contains(&first.len()), "{} of 1000", first.len());
        let never = When::Chance { millionths: 0, stream: Stream::of(7, 1) };
        let always = When::Chance { millionths: 1_000_000, stream: Stream::of(7, 1) };
        assert_eq!((struck(never).len(), struck(always).len()), (0, 1_000));
    }
}
