//! Which packet belongs to which request: what the services told of it becomes a comment on it.
//!
//! A service knows its client's address and port, and so does every packet between the two, wherever it passes. A datagram of
//! DNS is the question's if it has the question's number; over a connection, questions and requests come one after the other, and a
//! packet is taken for the one whose time is nearest. It is the best that can be known from outside, and no more: a
//! packet that came again late may be taken for the next request's.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::frame::{Content, Frame};
use super::names::Names;
use crate::dns::message::asked::question_of;
use crate::ground::bind::Transport;
use crate::ground::event::{Event, Happened};

/// Ends of connections that are remembered, and what is remembered of each, at most.
const ENDS_MOST: usize = 8192;
const EACH_MOST: usize = 256;
/// Steps of resolvers' walks that are remembered.
const STEPS_MOST: usize = 1024;
/// A packet is as old as the step that it belongs to, but for so many microseconds.
const NEAR: u64 = 1_000_000;

/// What the services told.
#[derive(Debug, Default)]
pub struct Ties {
    /// By the client's end.
    by_client: HashMap<SocketAddr, VecDeque<Tie>>,
    /// Those ends, the one longest known first.
    order: VecDeque<SocketAddr>,
    steps: VecDeque<Step>,
}

/// A question or a request.
#[derive(Debug)]
struct Tie {
    transport: Transport,
    /// The machine of the service.
    host: String,
    /// In microseconds of the shared clock.
    began: u64,
    ended: u64,
    /// The number of a DNS message.
    number: Option<u16>,
    /// What is said of its packets.
    text: String,
}

/// A step of a resolver's walk.
#[derive(Debug)]
struct Step {
    server: SocketAddr,
    question: String,
    ended: u64,
    walk: String,
}

impl Ties {
    /// Hears what a service told.
    pub fn hear(&mut self, event: &Event) {
        let (service, ended) = (&event.service, event.when.mono);
        let (client, micros, transport, number, text) = match &event.what {
            Happened::Question {
                client,
                transport,
                id,
                name,
                record_type,
                rcode,
                micros,
                cached,
                walk,
                ..
            } => {
                let mut text = format!("{service}: {name} {record_type} → {rcode}");
                match cached {
                    Some(true) => text.push_str(", from its cache"),
                    Some(false) => text.push_str(", asked for"),
                    None => {}
                }
                walk.iter().for_each(|walk| text.push_str(&format!(", walk {walk}")));
                (client, micros, transport.carrier(), Some(*id), text)
            }
            Happened::Request { client, method, host, target, status, by, micros, id, .. } => {
                let text = format!("request {id}: {service}: {method} {host}{target} → {status} by {by}");
                (client, micros, Transport::Tcp, None, text)
            }
            Happened::Asked { walk, step } => {
                self.steps.push_back(Step {
                    server: step.server,
                    question: question(&step.name, &step.record_type),
                    ended,
                    walk: walk.clone(),
                });
                if self.steps.len() > STEPS_MOST {
                    self.steps.pop_front();
                }
                return;
            }
            _ => return,
        };
        if !self.by_client.contains_key(client) {
            self.order.push_back(*client);
            if self.order.len() > ENDS_MOST {
                self.order.pop_front().map(|oldest| self.by_client.remove(&oldest));
            }
        }
        let known = self.by_client.entry(*client).or_default();
        let tie = Tie {
            transport,
            host: event.host.clone(),
            began: ended.saturating_sub(*micros),
            ended,
            number,
            text: super::line::plain(text.as_bytes()),
        };
        let place = known.partition_point(|other| other.began <= tie.began);
        known.insert(place, tie);
        if known.len() > EACH_MOST {
            known.pop_front();
        }
    }

    /// What is known of the packet that is `frame`, seen at `time` of the shared clock in microseconds.
    pub fn comment(&self, frame: &Frame, time: u64, names: &Names) -> Option<String> {
        let [from, to] = frame.ends()?;
        let (transport, message) = match frame.what {
            Content::Udp(datagram) => (Transport::Udp, Some(datagram.data)),
            Content::Tcp(segment, _) => (Transport::Tcp, segment.data.get(2..)),
            _ => return None,
        };
        let number = message.and_then(|message| Some(u16::from_be_bytes(*message.first_chunk()?)));
        let of = |client: SocketAddr, server: SocketAddr| {
            let host = names.of(server.ip())?;
            let ties = self.by_client.get(&client)?.iter();
            let ties = ties.filter(|tie| tie.transport == transport && tie.host == host);
            if transport == Transport::Udp {
                return ties.rev().find(|tie| tie.number == number);
            }
            // Of one after the other, that which is nearest in time.
            ties.min_by_key(|tie| tie.began.saturating_sub(time) + time.saturating_sub(tie.ended))
        };
        let (tie, server) = match (of(from, to), of(to, from)) {
            (Some(tie), _) => (tie, to),
            (None, Some(tie)) => (tie, from),
            (None, None) => return None,
        };
        let walk = tie.number.zip(message).and_then(|(_, message)| self.walk(server, message, time));
        Some(walk.map_or_else(|| tie.text.clone(), |walk| format!("{}, walk {walk}", tie.text)))
    }

    /// The walk of the resolver that asked `server` this.
    fn walk(&self, server: SocketAddr, message: &[u8], time: u64) -> Option<&str> {
        let (name, record_type) = question_of(message)?;
        let question = question(&name.to_string(), &record_type.to_string());
        let steps = self.steps.iter().filter(|step| step.server == server && step.question == question);
        let nearest = steps.min_by_key(|step| step.ended.abs_diff(time))?;
        (nearest.ended.abs_diff(time) <= NEAR).then_some(&nearest.walk)
    }
}

/// A name and a type, as they are compared: names without regard to case (RFC 4343).
fn question(name: &str, record_type: &str) -> String {
    format!("{} {record_type}", name.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::frame::{Flags, Segment};
    use crate::ground::channel::WalkStep;
    use crate::ground::event::Moment;

    const CLIENT: &str = "192.0.2.10:40000";
    const WEB: &str = "8.8.8.8:80";

    fn names() -> Names {
        let names = [("192.0.2.10", "client"), ("8.8.8.8", "server"), ("198.41.0.4", "root")];
        names.into_iter().map(|(address, name)| (address.parse().unwrap(), name.to_owned())).collect()
    }

    fn told(host: &str, service: &str, mono: u64, what: Happened) -> Event {
        Event { when: Moment { at: 0, mono }, host: host.into(), service: service.into(), what }
    }

    fn request(ended: u64, micros: u64, id: &str, target: &str) -> Event {
        let what = Happened::Request {
            client: CLIENT.parse().unwrap(),
            method: "GET".into(),
            secure: false,
            host: "www.foobar.com".into(),
            target: target.into(),
            status: 200,
            by: "app".into(),
            bytes: None,
            micros,
            id: id.into(),
            trace: None,
            parent: None,
        };
        told("server", "web", ended, what)
    }

    fn frame<'a>(from: &str, to: &str, data: &'a [u8], tcp: bool) -> Frame<'a> {
        let [from, to]: [SocketAddr; 2] = [from, to].map(|end| end.parse().unwrap());
        let segment = Segment { from: from.port(), to: to.port(), data, length: data.len() };
        let what = if tcp { Content::Tcp(segment, Flags::default()) } else { Content::Udp(segment) };
        Frame { from: Some(from.ip()), to: Some(to.ip()), what }
    }

    #[test]
    fn each_request_over_a_connection_has_its_own_packets() {
        let mut ties = Ties::default();
        ties.hear(&request(3_000, 1_000, "second", "/b\x1b[2J"));
        ties.hear(&request(1_000, 500, "first", "/a"));
        let of = |from, to, time| ties.comment(&frame(from, to, b"", true), time, &names());
        for (time, id) in
            [(0, "first"), (400, "first"), (1_400, "first"), (1_600, "second"), (9_000, "second")]
        {
            for (from, to) in [(CLIENT, WEB), (WEB, CLIENT)] {
                let comment = of(from, to, time).unwrap();
                assert!(comment.starts_with(&format!("request {id}: web: GET www.foobar.com/")), "{comment}");
                assert!(!comment.contains('\x1b'));
            }
        }
        assert_eq!(of("192.0.2.10:40001", WEB, 400), None, "another connection");
        assert_eq!(of(CLIENT, "198.41.0.4:80", 400), None, "another server");
        assert_eq!(ties.comment(&frame(CLIENT, WEB, b"", false), 400, &names()), None, "another protocol");
    }

    #[test]
    fn a_question_is_known_by_its_number_and_its_walk_by_what_is_asked() {
        let mut ties = Ties::default();
        let question = |id| Happened::Question {
            client: CLIENT.parse().unwrap(),
            transport: Transport::Udp,
            id,
            name: "com.".into(),
            record_type: "NS".into(),
            class: "IN".into(),
            rcode: "NOERROR".into(),
            flags: "qr".into(),
            answers: 0,
            bytes: None,
            micros: 20,
            cached: None,
            walk: None,
        };
        ties.hear(&told("root", "root", 1_000, question(7)));
        let step = WalkStep {
            server: "198.41.0.4:53".parse().unwrap(),
            name: "com.".into(),
            record_type: "NS".into(),
            outcome: "referral".into(),
            micros: 9,
        };
        ties.hear(&told("resolver", "resolver", 1_100, Happened::Asked { walk: "abc".into(), step }));
        let asked =
            crate::dns::message::asked::query(7, &"COM".parse().unwrap(), crate::dns::types::RecordType::NS);
        let comment = ties.comment(&frame(CLIENT, "198.41.0.4:53", &asked, false), 990, &names());
        assert_eq!(comment.unwrap(), "root: com. NS → NOERROR, walk abc");
        let other = [0, 8];
        assert_eq!(ties.comment(&frame(CLIENT, "198.41.0.4:53", &other, false), 990, &names()), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut ties = Ties::default();
        for number in 0..2 * EACH_MOST as u64 {
            ties.hear(&request(number, 0, "x", "/"));
        }
        assert_eq!(ties.by_client.values().map(VecDeque::len).sum::<usize>(), EACH_MOST);
        for port in 1..=9_000 {
            let mut other = request(1, 0, "x", "/");
            if let Happened::Request { client, .. } = &mut other.what {
                client.set_port(port);
            }
            ties.hear(&other);
        }
        assert_eq!((ties.by_client.len(), ties.order.len()), (ENDS_MOST, ENDS_MOST));
    }
}
