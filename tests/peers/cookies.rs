//! DNS cookies (RFC 7873, RFC 9018) beside BIND and Knot DNS: what comes back for each form of one. NSD is not asked.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use super::server::{Kind, PATIENCE, Server};
use super::worlds;

const CLIENT: &[u8] = b"\x01\x02\x03\x04\x05\x06\x07\x08";
const QUESTION: &[u8] = b"\x03www\x06foobar\x03com\0\0\x01\0\x01";

/// The code, whether there is an answer, and the octets of the cookie.
type Came = (u16, bool, Option<usize>);

const NOERROR: u16 = 0;
const BADCOOKIE: u16 = 23;

/// What is asked: with a question or only for a cookie, and with which octets as one.
struct Asked {
    name: &'static str,
    question: bool,
    cookie: Vec<u8>,
    /// What ours is where the others differ, with the reason: where it answers, and where it insists.
    listed: Option<(Came, Came, &'static str)>,
}

impl Asked {
    fn listed(mut self, answers: Came, insists: Came, why: &'static str) -> Self {
        self.listed = Some((answers, insists, why));
        self
    }
}

const NEW: Came = (NOERROR, true, Some(24));
const BAD: Came = (BADCOOKIE, false, Some(24));

fn asked() -> Vec<Asked> {
    let bare =
        |name, question, cookie: &[u8]| Asked { name, question, cookie: cookie.to_vec(), listed: None };
    let with = |name, question, server: &[u8]| bare(name, question, &[CLIENT, server].concat());
    vec![
        with("a client's cookie (RFC 7873 §5.2.3)", true, b""),
        with("another server's cookie (RFC 7873 §5.2.4)", true, &[7; 16]),
        with("another server's cookie, short", true, &[7; 8]),
        with("another server's cookie, long", true, &[7; 32]),
        with("a client's cookie, no question (RFC 7873 §5.4)", false, b"").listed(
            (NOERROR, false, Some(24)),
            (NOERROR, false, Some(24)),
            "Knot: FORMERR, since no question is none for it; §5.4 says NOERROR: as BIND",
        ),
        with("another server's cookie, no question (RFC 7873 §5.4)", false, &[7; 16]).listed(
            BAD,
            BAD,
            "BIND: NOERROR, Knot: FORMERR; §5.4 says BADCOOKIE",
        ),
        bare("an empty one (RFC 7873 §5.2.2)", true, b""),
        bare("one of four octets", true, b"1234"),
        bare("one of four octets, no question", false, b"1234"),
        with("a server's part of seven octets", true, &[7; 7]),
        with("a server's part of 33 octets", true, &[7; 33]),
    ]
}

/// BIND has both policies; Knot DNS always insists.
#[test]
fn rfc7873_cookies_come_back_as_from_bind_and_knot() {
    let world = worlds::shipped_foobar();
    let knot = Server::start_with_cookies(Kind::Knot, &world, true);
    let mut unexplained = Vec::new();
    for insist in [false, true] {
        let [bind, ours] =
            [Kind::Bind, Kind::Wwwlab].map(|kind| Server::start_with_cookies(kind, &world, insist));
        let peers = if insist { vec![&bind, &knot] } else { vec![&bind] };
        for asked in asked() {
            let came = |server: &Server| ask(server.address, asked.question, &asked.cookie).0;
            let theirs: Vec<Came> = peers.iter().map(|server| came(server)).collect();
            let our = came(&ours);
            let right = match asked.listed {
                Some((answers, insists, _)) => our == if insist { insists } else { answers },
                None => theirs.iter().all(|their| *their == our),
            };
            if !right {
                let policy = if insist { "insisting" } else { "answering" };
                unexplained.push(format!("{}, {policy}: ours {our:?}, BIND and Knot {theirs:?}", asked.name));
            }
        }
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}

#[test]
fn rfc9018_a_cookie_is_known_again() {
    let world = worlds::shipped_foobar();
    for kind in [Kind::Bind, Kind::Knot, Kind::Wwwlab] {
        let server = Server::start_with_cookies(kind, &world, true);
        let (first, given) = ask(server.address, true, CLIENT);
        assert_eq!(first, BAD, "{}", kind.name());
        assert_eq!((&given[..8], given[8]), (CLIENT, 1), "{}: the client's, and the version", kind.name());
        assert_eq!(ask(server.address, true, &given).0, NEW, "{}", kind.name());
    }
}

/// Asks with `cookie`; what came, and the cookie that came with it.
fn ask(server: SocketAddr, question: bool, cookie: &[u8]) -> (Came, Vec<u8>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = u8::try_from(cookie.len()).unwrap();
    let head = [0xC0, 0x0C, 0, 0, 0, u8::from(question), 0, 0, 0, 0, 0, 1];
    let question = if question { QUESTION } else { b"" };
    let option = [0, length + 4, 0, 10, 0, length];
    socket.send(&[&head[..], question, b"\0\0\x29\x04\xD0\0\0\0\0", &option, cookie].concat()).unwrap();
    let mut reply = [0; 4096];
    let length = socket.recv(&mut reply).expect("an answer, whatever it is");
    let message = Message::from_vec(&reply[..length]).unwrap();
    let given = match message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Cookie)) {
        Some(EdnsOption::Unknown(_, octets)) => Some(octets.clone()),
        Some(other) => panic!("{other:?}"),
        None => None,
    };
    let came =
        (message.metadata.response_code.into(), !message.answers.is_empty(), given.as_ref().map(Vec::len));
    (came, given.unwrap_or_default())
}
