//! What can happen in a lab, as typed events, each readable as one line.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::bind::Transport;
use super::channel::WalkStep;
use super::clock;
use super::tls::Shaken;

/// When something happened; for what takes its time, when it was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// For people: milliseconds since the Unix epoch. The clock may be set while the lab runs.
    pub at: u64,
    /// For order and gaps: microseconds of a clock that never goes back and that all processes of this machine share,
    /// since some moment before them ([`clock::monotonic_micros`]).
    pub mono: u64,
}

impl Moment {
    /// This very moment.
    pub fn now() -> Self {
        Self { at: clock::unix_millis(), mono: clock::monotonic_micros() }
    }
}

/// One thing that happened, when, and to which service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was over. What took its time says how long, and so began `micros` before.
    #[serde(flatten)]
    pub when: Moment,
    /// The host that the service runs on: `server`, `resolver`, …; `lab` for the supervisor itself. In JSON `on`, since
    /// `host` is what a request asks for.
    #[serde(rename = "on")]
    pub host: String,
    /// The service that tells it: `dns`, `web`, …; `lab` for the supervisor itself.
    pub service: String,
    /// What happened.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happened {
    /// A DNS question was answered.
    Question {
        /// Who asked.
        client: SocketAddr,
        /// Over which transport.
        transport: Transport,
        /// The question's own number (RFC 1035 §4.1.1): what dig shows as `id`, and its asker drew.
        id: u16,
        /// The name asked for, in presentation form with its final dot.
        name: String,
        /// The type asked for: `A`, `TYPE65280`, …
        #[serde(rename = "type")]
        record_type: String,
        /// The class asked for: `IN`, or for questions about the server `CH`.
        class: String,
        /// `NOERROR`, `NXDOMAIN`, …
        rcode: String,
        /// The flags set in the answer, as dig writes them: `qr aa rd ra tc`.
        flags: String,
        /// Records in the answer section.
        answers: u16,
        /// Length of the answer in bytes, where known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        bytes: Option<usize>,
        /// From question received to answer sent, in microseconds.
        micros: u64,
        /// For a resolver: whether the answer came from its cache.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cached: Option<bool>,
        /// For a resolver that had to ask: the way on which the answer was found. Equal questions at the same time
        /// share one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        walk: Option<String>,
    },
    /// A resolver asked a name server on the way to an answer.
    Asked {
        /// The way that this is a step of: 16 hexadecimal digits, told again by the question that it answers. A way
        /// that no client waits for (`wwwlab resolve`, asking again in time) has one as well.
        walk: String,
        /// Who was asked what, and what came of it.
        #[serde(flatten)]
        step: WalkStep,
    },
    /// A client connected to a web or application server.
    Connected {
        /// The client's end.
        client: SocketAddr,
        /// The server's end.
        server: SocketAddr,
        /// Connections that are open now, this one included.
        open: usize,
    },
    /// A client and a server shook hands to speak TLS, or could not.
    Handshake(Shaken),
    /// An HTTP request was answered.
    Request {
        /// Who asked.
        client: SocketAddr,
        /// `GET`, `POST`, …
        method: String,
        /// Whether it came by TLS; for an application server, whether it came so to the web server before it.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        secure: bool,
        /// The `Host` asked for; empty when there was none.
        host: String,
        /// The request target as it came.
        target: String,
        /// The status of the answer.
        status: u16,
        /// Who made the answer: `file`, `app`, `web`, or for the application the name of its page, [`NO_PAGE`] if it has none.
        by: String,
        /// Body bytes, where known before sending.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        bytes: Option<u64>,
        /// From request head received to response head sent, in microseconds.
        micros: u64,
        /// The request's identifier (`X-Request-Id`).
        id: String,
        /// The trace that its client says it belongs to (`traceparent`, W3C Trace Context §3.2.2.3): 32 hexadecimal
        /// digits. Where it says none, the trace goes by the request's identifier.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        trace: Option<String>,
        /// The client's own span in that trace (its parent-id, §3.2.2.4): 16 hexadecimal digits.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        parent: Option<String>,
    },
    /// A web server passed a request to an application server.
    Passed {
        /// The application server.
        server: SocketAddr,
        /// The request's method.
        method: String,
        /// Its target.
        target: String,
        /// The status of the application's answer; nothing where none came.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        status: Option<u16>,
        /// Why none came, if none did.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        why: Option<String>,
        /// How long it took to connect, in microseconds; nothing where a connection was kept from before.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        connect_micros: Option<u64>,
        /// From the request being passed to the answer's head or its failure, connecting included, in microseconds.
        micros: u64,
        /// The request's identifier, which the application is told as well.
        id: String,
    },
    /// A statement was executed by the database.
    Statement {
        /// The statement, with placeholders where values go: no value is ever told.
        text: String,
        /// Rows that came back.
        returned: u64,
        /// Rows that were changed.
        changed: u64,
        /// From being sent to the last row, in microseconds.
        micros: u64,
        /// The request that it was executed for, if it was for one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<String>,
    },
    /// A zone is in service from now on.
    ZoneLoaded {
        /// The zone's apex.
        origin: String,
        /// The file it came from.
        file: String,
        /// Its SOA serial.
        serial: u32,
        /// How many records it has.
        records: usize,
    },
    /// A zone was signed, and is in service so.
    ZoneSigned {
        /// The zone's apex.
        origin: String,
        /// The serial that it has so.
        serial: u32,
        /// With what: `ecdsa` or `ed25519`.
        algorithm: String,
        /// The number of its key.
        tag: u16,
        /// Until when its signatures hold, in seconds since the Unix epoch.
        until: u32,
    },
    /// A zone file was refused; if an older zone is in service, it stays.
    ZoneRefused {
        /// The zone's apex.
        origin: String,
        /// Where and why, one each, `file:line:column: what`.
        problems: Vec<String>,
        /// Whether an older version goes on answering.
        old_one_kept: bool,
    },
    /// A zone was sent, whole, to another name server or to `dig axfr`.
    ZoneSent {
        /// The zone's apex.
        origin: String,
        /// Who has it now.
        client: SocketAddr,
        /// The SOA serial that was sent.
        serial: u32,
        /// Records, the SOA counted once.
        records: usize,
        /// Messages.
        messages: usize,
        /// Octets of all messages.
        bytes: usize,
        /// The key that it was signed with, if it was.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        key: Option<String>,
    },
    /// Another name server was told that a zone changed (NOTIFY).
    Notified {
        /// The zone's apex.
        origin: String,
        /// Who was told.
        server: SocketAddr,
        /// The SOA serial.
        serial: u32,
        /// What it answered: `NOERROR`, `REFUSED`, …, `no answer`.
        outcome: String,
    },
    /// Another version of the application's files is in service from now on.
    Deployed {
        /// The version.
        version: String,
        /// The one before it, where known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        former: Option<String>,
    },
    /// A fault was laid, cleared, or is over in its time.
    Fault {
        /// Its number in the lab, from 1 on.
        number: u32,
        /// Its name.
        fault: String,
        /// The service that it is laid on.
        target: String,
        /// `laid`, `cleared` or `over`.
        change: String,
        /// What else was asked for, as one would type it; may be empty.
        details: String,
    },
    /// A port that was closed on purpose cannot be opened again: it is tried until it can.
    PortTaken {
        /// Where.
        address: SocketAddr,
        /// Over which transport.
        transport: Transport,
        /// Why not.
        why: String,
    },
    /// It could be opened again.
    PortOpen {
        /// Where.
        address: SocketAddr,
        /// Over which transport.
        transport: Transport,
    },
    /// A line that a program which is not wwwlab's wrote.
    Wrote {
        /// The line, without its end; a long one is cut.
        text: String,
    },
    /// A service changed its state.
    State {
        /// `starting`, `running`, `stopped`, …
        state: String,
        /// More about it: an exit status, an address, a reason.
        detail: String,
    },
    /// Events that were not told because the channel was full: the path goes before its telling.
    Untold {
        /// How many.
        count: u64,
    },
    /// Anything else worth a line.
    Note {
        /// The line.
        text: String,
    },
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Question {
                client,
                transport,
                name,
                record_type,
                rcode,
                flags,
                answers,
                bytes,
                micros,
                cached,
                ..
            } => {
                write!(
                    f,
                    "{} asks {name} {record_type} ({transport}) → {rcode}, {answers} answer",
                    client.ip()
                )?;
                if *answers != 1 {
                    f.write_str("s")?;
                }
                write!(f, " [{flags}]")?;
                if let Some(bytes) = bytes {
                    write!(f, " {bytes} B")?;
                }
                write!(f, " in {}", Micros(*micros))?;
                match cached {
                    Some(true) => f.write_str(", from cache"),
                    Some(false) => f.write_str(", asked"),
                    None => Ok(()),
                }
            }
            Self::Asked { step: WalkStep { server, name, record_type, outcome, micros }, .. } => {
                write!(f, "asks {} {name} {record_type} → {outcome} in {}", server.ip(), Micros(*micros))
            }
            Self::Request { client, method, host, target, status, by, micros, id, .. } => {
                write!(
                    f,
                    "{} {method} {host}{target} → {status} by {by} in {} ({})",
                    client.ip(),
                    Micros(*micros),
                    short(id)
                )
            }
            Self::Connected { client, server, open } => {
                write!(f, "{client} connects to {server} ({open} open)")
            }
            Self::Handshake(shaken) => shaken.fmt(f),
            Self::Passed { server, method, target, status, why, connect_micros, micros, id } => {
                write!(f, "passes {method} {target} to {server} → ")?;
                match status {
                    Some(status) => write!(f, "{status}")?,
                    None => f.write_str(why.as_deref().unwrap_or("no answer"))?,
                }
                write!(f, " in {}", Micros(*micros))?;
                match connect_micros {
                    Some(connecting) => write!(f, ", {} of it to connect", Micros(*connecting))?,
                    None => f.write_str(", over a kept connection")?,
                }
                write!(f, " ({})", short(id))
            }
            Self::Statement { text, returned, changed, micros, id } => {
                write!(f, "{} → ", OneLine(text))?;
                match (returned, changed) {
                    (0, changed) => write!(f, "{changed} changed")?,
                    (returned, 0) => write!(f, "{returned} returned")?,
                    (returned, changed) => write!(f, "{returned} returned, {changed} changed")?,
                }
                write!(f, " in {}", Micros(*micros))?;
                id.iter().try_for_each(|id| write!(f, " ({})", short(id)))
            }
            Self::ZoneLoaded { origin, file, serial, records } => {
                write!(f, "zone {origin} in service: serial {serial}, {records} records, from {file}")
            }
            Self::ZoneSigned { origin, serial, algorithm, tag, until } => {
                let until = clock::rfc3339(u64::from(*until) * 1000);
                write!(f, "zone {origin} signed: serial {serial}, key {tag} ({algorithm}), until {until}")
            }
            Self::ZoneRefused { origin, problems, old_one_kept } => {
                write!(f, "zone {origin} refused")?;
                f.write_str(if *old_one_kept {
                    "; the old one stays in service"
                } else {
                    "; nothing answers for it"
                })?;
                problems.iter().try_for_each(|problem| write!(f, "\n    {problem}"))
            }
            Self::ZoneSent { origin, client, serial, records, messages, bytes, key } => {
                write!(
                    f,
                    "zone {origin} sent to {client}: serial {serial}, {records} records in {messages} message{}, {bytes} B",
                    if *messages == 1 { "" } else { "s" }
                )?;
                key.iter().try_for_each(|key| write!(f, ", signed with {key}"))
            }
            Self::Notified { origin, server, serial, outcome } => {
                write!(f, "tells {server} that {origin} has serial {serial} → {outcome}")
            }
            Self::Deployed { version, former } => {
                write!(f, "version {version} of the application in service")?;
                former.iter().try_for_each(|former| write!(f, ", after version {former}"))
            }
            Self::Fault { number, fault, target, change, details } => {
                write!(f, "fault {number} is {change}: {fault} on {target}")?;
                if details.is_empty() { Ok(()) } else { write!(f, " ({details})") }
            }
            Self::PortTaken { address, transport, why } => {
                write!(
                    f,
                    "cannot listen on {address}/{transport} again ({why}): a fault had it closed, and it is tried until nobody else \
                     has it; `ss -lntup` shows who does"
                )
            }
            Self::PortOpen { address, transport } => write!(f, "listens on {address}/{transport} again"),
            Self::Wrote { text } => f.write_str(text),
            Self::State { state, detail } if detail.is_empty() => f.write_str(state),
            Self::State { state, detail } => write!(f, "{state}: {detail}"),
            Self::Untold { count } => write!(f, "({count} more events were not told: too many at once)"),
            Self::Note { text } => f.write_str(text),
        }
    }
}

impl Happened {
    /// The identifier of the request that it is part of, if it is part of one.
    pub fn request(&self) -> Option<&str> {
        match self {
            Self::Request { id, .. } | Self::Passed { id, .. } => Some(id),
            Self::Statement { id, .. } => id.as_deref(),
            _ => None,
        }
    }
}

/// Who makes an application's answer where it has no page for what was asked.
pub const NO_PAGE: &str = "no page";

/// As much of a request's identifier as a line shows, and as finds it again.
pub const SHOWN_OF_ID: usize = 8;

fn short(id: &str) -> &str {
    id.get(..SHOWN_OF_ID).unwrap_or(id)
}

/// A text with a single space wherever it has white space.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.0.split_whitespace();
        words.next().into_iter().try_for_each(|word| f.write_str(word))?;
        words.try_for_each(|word| write!(f, " {word}"))
    }
}

/// Microseconds in the unit that reads best: `87 µs`, `1.2 ms`, `3.45 s`.
#[derive(Debug, Clone, Copy)]
pub struct Micros(pub u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            micros @ 0..1_000 => write!(f, "{micros} µs"),
            micros @ 1_000..1_000_000 => write!(f, "{}.{} ms", micros / 1_000, micros % 1_000 / 100),
            micros => write!(f, "{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_its_channel() {
        let event = Event {
            when: Moment { at: 1, mono: 2 },
            host: "server".into(),
            service: "dns".into(),
            what: Happened::ZoneRefused {
                origin: "foobar.com.".into(),
                problems: vec!["f:1:2: x".into()],
                old_one_kept: true,
            },
        };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }

    #[test]
    fn a_request_and_its_event_have_no_key_in_common() {
        let what = Happened::Request {
            client: "127.0.0.1:4321".parse().unwrap(),
            method: "GET".into(),
            secure: true,
            host: "www.foobar.com".into(),
            target: "/".into(),
            status: 200,
            by: "app".into(),
            bytes: Some(1),
            micros: 1,
            id: "0123456789abcdef".into(),
            trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
            parent: Some("00f067aa0ba902b7".into()),
        };
        let event =
            Event { when: Moment { at: 1, mono: 2 }, host: "server".into(), service: "web".into(), what };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }

    #[test]
    fn a_step_of_a_walk_and_a_statement_read_as_one_line() {
        let step = WalkStep {
            server: "127.0.0.3:53".parse().unwrap(),
            name: "www.foobar.com.".into(),
            record_type: "A".into(),
            outcome: "referral to com.".into(),
            micros: 87,
        };
        let asked = Happened::Asked { walk: "00c0ffee00c0ffee".into(), step };
        assert_eq!(asked.to_string(), "asks 127.0.0.3 www.foobar.com. A → referral to com. in 87 µs");
        let json = serde_json::to_string(&asked).unwrap();
        assert_eq!(serde_json::from_str::<Happened>(&json).unwrap(), asked);
        let statement = Happened::Statement {
            text: "SELECT name\n  FROM visitors".into(),
            returned: 2,
            changed: 0,
            micros: 1_200,
            id: Some("0123456789abcdef".into()),
        };
        assert_eq!(statement.to_string(), "SELECT name FROM visitors → 2 returned in 1.2 ms (01234567)");
        assert_eq!(statement.request(), Some("0123456789abcdef"));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(Micros(87).to_string(), "87 µs");
        assert_eq!(Micros(1_250).to_string(), "1.2 ms");
        assert_eq!(Micros(3_456_000).to_string(), "3.45 s");
    }
}
