//! What the services told: read from the logs for programs, an event as a line of JSON (docs/LAB.md).
//!
//! Read leniently: of an event only that is asked for which the telling of a path can use, and a kind that it cannot use is
//! passed over. So a log that an older or a newer wwwlab wrote can be told as well, only less of it. The lines come from
//! files, which anybody with the lab's rights can write: none is trusted to be complete.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::ground::channel::WalkStep;

/// The end of a log that is read, in bytes.
const TAIL: u64 = 1 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Told {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// Microseconds of the clock that all processes of the machine share, where the log has them.
    #[serde(default)]
    pub mono: Option<u64>,
    /// Who tells it.
    pub service: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What can be told on a path.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// A DNS question was answered.
    Question(Question),
    /// A resolver asked a name server.
    Asked {
        /// The walk that it belongs to, where that is told.
        #[serde(default)]
        walk: Option<String>,
        /// Who was asked what.
        #[serde(flatten)]
        step: WalkStep,
    },
    /// An HTTP request was answered.
    Request(Request),
    /// A web server passed a request on.
    Passed {
        /// To whom.
        server: SocketAddr,
        /// The status that came back.
        #[serde(default)]
        status: Option<u16>,
        /// Why none did.
        #[serde(default)]
        why: Option<String>,
        /// How long it took to connect; nothing over a kept connection.
        #[serde(default)]
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
        #[serde(default)]
        returned: u64,
        /// Rows that were changed.
        #[serde(default)]
        changed: u64,
        /// How long it took.
        micros: u64,
        /// The request's identifier.
        #[serde(default)]
        id: Option<String>,
    },
    /// Anything else.
    #[serde(other)]
    Other,
}

/// A DNS question, as its server tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Question {
    /// Who asked.
    pub client: SocketAddr,
    /// The name.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
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
    #[serde(default)]
    pub cached: Option<bool>,
    /// The walk that found it, where that is told.
    #[serde(default)]
    pub walk: Option<String>,
}

/// An HTTP request, as its server tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Request {
    /// Who asked.
    pub client: SocketAddr,
    /// `GET`, …
    pub method: String,
    /// The host that was asked for.
    pub host: String,
    /// The target.
    pub target: String,
    /// The status of the answer.
    pub status: u16,
    /// Who made it.
    pub by: String,
    /// Bytes of its body, where known.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// How long it took.
    pub micros: u64,
    /// The request's identifier.
    pub id: String,
}

/// The events in `logs`, of each the end, in the order in which each log has them. A log that is not there has none.
pub fn read(logs: &[PathBuf]) -> io::Result<Vec<Told>> {
    let mut events = Vec::new();
    for log in logs {
        match tail(log) {
            Ok(text) => events.extend(parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(events)
}

/// The events in `text`, an object a line; what is none is passed over.
pub fn parse(text: &[u8]) -> impl Iterator<Item = Told> {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice::<Told>(line).ok()).filter(|told| told.what != What::Other)
}

fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut text = Vec::new();
    // It may grow while it is read.
    file.take(2 * TAIL).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ground::event;

    #[test]
    fn what_the_services_write_is_read() {
        let step = WalkStep {
            server: "127.0.0.3:53".parse().unwrap(),
            name: "com.".into(),
            record_type: "NS".into(),
            outcome: "referral to com.".into(),
            micros: 87,
        };
        let asked = serde_json::json!({"at": 7, "service": "resolver", "event": "asked", "server": step.server,
            "name": step.name, "type": step.record_type, "outcome": step.outcome, "micros": step.micros});
        let request = event::Happened::Request {
            client: "127.0.0.1:40000".parse().unwrap(),
            method: "GET".into(),
            host: "www.foobar.com".into(),
            target: "/".into(),
            status: 200,
            by: "app".into(),
            bytes: None,
            micros: 900,
            trace: None,
            parent: None,
            id: "abc".into(),
        };
        let mut request = serde_json::to_value(request).unwrap();
        (request["at"], request["service"]) = (8.into(), "web".into());
        let text = format!(
            "{{\"at\":1,\"service\":\"web\",\"event\":\"note\",\"text\":\"x\"}}\nnot JSON\n{asked}\n{request}\n{{"
        );
        let told: Vec<Told> = parse(text.as_bytes()).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0].what, What::Asked { walk: None, step });
        assert!(
            matches!(&told[1].what, What::Request(request) if request.id == "abc" && request.status == 200)
        );
    }

    #[test]
    fn a_log_that_says_more_is_read_with_it() {
        let text = br#"{"at":1,"mono":5,"host":"server","service":"app","event":"statement","text":"SELECT ?1","returned":2,"changed":0,"micros":3,"id":"abc"}
{"at":1,"mono":9,"host":"server","service":"web","event":"passed","server":"127.0.0.1:3000","method":"GET","target":"/","status":200,"connect_micros":4,"micros":8,"id":"abc"}
{"at":1,"mono":9,"host":"server","service":"web","event":"connected","client":"127.0.0.1:1","server":"127.0.0.1:80","open":1}"#;
        let told: Vec<Told> = parse(text).collect();
        assert_eq!(told.iter().map(|told| told.mono).collect::<Vec<_>>(), [Some(5), Some(9)]);
        assert!(matches!(&told[0].what, What::Statement { returned: 2, id: Some(id), .. } if id == "abc"));
        assert!(matches!(&told[1].what, What::Passed { status: Some(200), connect_micros: Some(4), .. }));
    }

    #[test]
    fn a_log_that_is_not_there_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(&[directory.path().join("web.jsonl")]).unwrap(), []);
        assert!(read(&[directory.path().to_path_buf()]).is_err());
    }

    proptest! {
        #[test]
        fn any_octets_are_events_or_nothing(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&octets).count();
        }
    }
}
