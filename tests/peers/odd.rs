//! Messages that are no plain question (RFC 8906, RFC 9619): what comes back, and whether anything does.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::server::{Kind, Server};
use super::worlds;

/// Answers of a machine that does much else take no longer.
const PATIENCE: Duration = Duration::from_secs(30);

const ODD: u16 = 0x0DD0;
const PLAIN: u16 = 0x9A17;

/// The code and the flags that are not about data (QR, opcode, TC, RD); nothing for silence.
type Came = Option<(u16, u16)>;

struct Message {
    name: &'static str,
    octets: Vec<u8>,
    /// What ours is where the peers differ, with the reason.
    listed: Option<(Came, &'static str)>,
}

const NOERROR: u16 = 0;
const FORMERR: u16 = 1;
const REFUSED: u16 = 5;
const NOTAUTH: u16 = 9;
const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
const QUESTION: &[u8] = b"\x03www\x06foobar\x03com\0\0\x01\0\x01";
const APEX: &[u8] = b"\x06foobar\x03com\0";
const SOA: &[u8] = b"\0\x06\0\x01";
const NOTIFY: u16 = 0x2400;
const UPDATE: u16 = 0x2800;
const OPT: &[u8] = b"\0\0\x29\x04\xD0\0\0\0\0\0\0";

fn message(name: &'static str, flags: u16, counts: [u8; 4], rest: &[&[u8]]) -> Message {
    let mut octets = ODD.to_be_bytes().to_vec();
    octets.extend(flags.to_be_bytes());
    octets.extend(counts.iter().flat_map(|&count| [0, count]));
    octets.extend(rest.concat());
    Message { name, octets, listed: None }
}

impl Message {
    fn listed(mut self, ours: Came, why: &'static str) -> Self {
        self.listed = Some((ours, why));
        self
    }
}

fn messages() -> Vec<Message> {
    let class = |class: u8| [&QUESTION[..QUESTION.len() - 1], &[class]].concat();
    let of_type = |number: u8| [&QUESTION[..QUESTION.len() - 3], &[number, 0, 1]].concat();
    let opt = |ttl: [u8; 4], options: &[u8]| {
        let length = u8::try_from(options.len()).unwrap();
        [&b"\0\0\x29\x04\xD0"[..], &ttl, &[0, length], options].concat()
    };
    vec![
        message("a question", 0, [1, 0, 0, 0], &[QUESTION]),
        message("RD, CD and AD (RFC 8906 §8.1.2)", 0x0130, [1, 0, 0, 0], &[QUESTION]),
        message("the reserved flag (RFC 8906 §8.1.3)", 0x0040, [1, 0, 0, 0], &[QUESTION]),
        message("a type that nobody knows (RFC 8906 §8.1.1)", 0, [1, 0, 0, 0], &[&of_type(200)]).listed(Some((NOERROR, QR)), "BIND: FORMERR, since it is among the types of questions; RFC 8906 §3.1.1 says NOERROR: as NSD and Knot"),
        message("a response", QR, [1, 0, 0, 0], &[QUESTION]),
        message("no question", 0, [0, 0, 0, 0], &[]),
        message("two questions (RFC 9619)", 0, [2, 0, 0, 0], &[QUESTION, QUESTION]).listed(Some((FORMERR, QR)), "Knot is silent; RFC 9619 §4 says FORMERR: as BIND and NSD"),
        message("half a question", 0, [1, 0, 0, 0], &[&QUESTION[..9]]).listed(Some((FORMERR, QR)), "Knot is silent; RFC 1035 §4.1.1 says FORMERR: as BIND and NSD"),
        message("a header without its question", 0, [1, 0, 0, 0], &[]).listed(Some((FORMERR, QR)), "Knot is silent; RFC 1035 §4.1.1 says FORMERR: as BIND and NSD"),
        message("octets behind the end", 0, [1, 0, 0, 0], &[QUESTION, b"more"]).listed(Some((FORMERR, QR)), "BIND and NSD pass over them; the message is not what its header says: as Knot"),
        message("opcode 15 (RFC 8906 §8.1.4)", 0x7800, [1, 0, 0, 0], &[QUESTION]),
        message("opcode STATUS", 0x1000, [1, 0, 0, 0], &[QUESTION]),
        message("opcode IQUERY (RFC 3425)", 0x0800, [1, 0, 0, 0], &[QUESTION]),
        message("AXFR over UDP (RFC 5936 §4.2)", 0, [1, 0, 0, 0], &[APEX, b"\0\xFC\0\x01"]).listed(Some((REFUSED, QR)), "BIND: FORMERR, NSD and Knot: NOTIMP; the question is well formed and known, only not answered this way"),
        message("AXFR over UDP of another zone", 0, [1, 0, 0, 0], &[b"\x07example\0\0\xFC\0\x01"]).listed(Some((NOTAUTH, QR)), "NSD and Knot: NOTIMP to every AXFR over UDP; the server is not that zone's: as BIND"),
        message("NOTIFY to a primary (RFC 1996)", NOTIFY, [1, 0, 0, 0], &[APEX, SOA]).listed(Some((NOTAUTH, QR | 0x2000)), "BIND: NOERROR, which a primary then does nothing with, NSD: REFUSED; there is no primary to hear it from: as Knot"),
        message("NOTIFY of another zone", NOTIFY, [1, 0, 0, 0], &[b"\x07example\0", SOA]).listed(Some((NOTAUTH, QR | 0x2000)), "NSD: NXDOMAIN, which RFC 1996 has not; RFC 2136 §2.2 has this code for it: as BIND and Knot"),
        message("NOTIFY without a question", NOTIFY, [0, 0, 0, 0], &[]),
        message("UPDATE of nothing (RFC 2136)", UPDATE, [1, 0, 0, 0], &[APEX, SOA]).listed(Some((REFUSED, QR | 0x2800)), "NSD: NOTIMP, Knot: NOTAUTH; the zone is here and the policy forbids it (RFC 2136 §3.3): as BIND"),
        message(
            "UPDATE that adds a record (RFC 2136 §2.5.1)",
            UPDATE,
            [1, 0, 1, 0],
            &[APEX, SOA, b"\x03new\xC0\x0C\0\x01\0\x01\0\0\0\x3C\0\x04\x7F\0\0\x09"],
        ).listed(Some((REFUSED, QR | 0x2800)), "NSD: NOTIMP, Knot: NOTAUTH; the zone is here and the policy forbids it (RFC 2136 §3.3): as BIND"),
        message("UPDATE of another zone", UPDATE, [1, 0, 0, 0], &[b"\x07example\0", SOA]).listed(Some((NOTAUTH, QR | 0x2800)), "NSD: NOTIMP to every UPDATE; RFC 2136 §3.1.2: as BIND and Knot"),
        message("UPDATE without a zone", UPDATE, [0, 0, 0, 0], &[]).listed(Some((FORMERR, QR | 0x2800)), "NSD: NOTIMP to every UPDATE; RFC 2136 §3.1.1: as BIND and Knot"),
        message("EDNS (RFC 8906 §8.2.1)", 0, [1, 0, 0, 1], &[QUESTION, OPT]),
        message("EDNS version 1 (RFC 8906 §8.2.2)", 0, [1, 0, 0, 1], &[QUESTION, &opt([0, 1, 0, 0], b"")]),
        message(
            "an unknown option (RFC 8906 §8.2.3)",
            0,
            [1, 0, 0, 1],
            &[QUESTION, &opt([0; 4], b"\0\x64\0\0")],
        ),
        message(
            "unknown EDNS flags (RFC 8906 §8.2.4)",
            0,
            [1, 0, 0, 1],
            &[QUESTION, &opt([0, 0, 0x40, 0], b"")],
        ),
        message("an option cut short", 0, [1, 0, 0, 1], &[QUESTION, &opt([0; 4], b"\0\x64\0\x05x")]),
        message("two OPTs (RFC 6891 §6.1.1)", 0, [1, 0, 0, 2], &[QUESTION, OPT, OPT]),
        message("the class HS", 0, [1, 0, 0, 0], &[&class(4)]),
        message("the class ANY", 0, [1, 0, 0, 0], &[&class(255)]).listed(Some((REFUSED, QR)), "BIND: FORMERR, NSD and Knot answer as in IN; no answer to it can be authoritative (RFC 1034 §4.3.2), so this server has none"),
        message("version.bind", 0, [1, 0, 0, 0], &[b"\x07version\x04bind\0\0\x10\0\x03"]),
        message("another name in CH", 0, [1, 0, 0, 0], &[b"\x05other\x04name\0\0\x10\0\x03"]),
    ]
}

#[test]
fn rfc8906_and_9619_messages_that_are_no_plain_question() {
    let world = worlds::shipped_foobar();
    let servers = Kind::PEERS.map(|kind| Server::start(kind, &world));
    let ours = Server::start(Kind::Wwwlab, &world);
    let mut unexplained = Vec::new();
    for message in messages() {
        let theirs = servers.each_ref().map(|server| came(server.address, &message.octets));
        let our = came(ours.address, &message.octets);
        let agree = theirs.iter().all(|their| *their == theirs[0]);
        let right = match message.listed {
            Some((expected, _)) if !agree => our == expected,
            _ => agree && our == theirs[0],
        };
        if !right {
            let why = message.listed.map_or("", |(_, why)| why);
            unexplained.push(format!("{}: ours {our:x?}, BIND, NSD, Knot {theirs:x?} {why}", message.name));
        }
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}

/// Sends `octets`, and a plain question behind them, so that silence is seen without waiting for it.
fn came(server: SocketAddr, octets: &[u8]) -> Came {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let plain = message("plain", 0, [1, 0, 0, 0], &[QUESTION]).octets;
    socket.send(octets).unwrap();
    socket.send(&[&PLAIN.to_be_bytes()[..], &plain[2..]].concat()).unwrap();
    let mut odd = None;
    loop {
        let mut reply = [0; 4096];
        let length = socket.recv(&mut reply).expect("a plain question is answered");
        match u16::from_be_bytes([reply[0], reply[1]]) {
            PLAIN => return odd,
            id => assert_eq!(id, ODD),
        }
        let flags = u16::from_be_bytes([reply[2], reply[3]]);
        // An OPT without options is the last record where there is one; its TTL begins with the code's upper bits.
        let opt = reply[..length].windows(3).rposition(|octets| octets == b"\0\0\x29");
        let extended = opt.map_or(0, |at| u16::from(reply[at + 5]) << 4);
        odd = Some((extended | flags & 0xF, flags & !AA & 0xFF00));
    }
}
