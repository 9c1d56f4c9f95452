//! A secondary and a primary that does what the test says, over real sockets.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::dns::message::asked;
use crate::dns::message::writer::{Section, Writer};
use crate::dns::message::{Flags, LONGEST_MESSAGE, question};
use crate::dns::name::Name;
use crate::dns::types::{Rcode, RecordType};
use crate::ground::bind;
use crate::ground::clock;
use crate::ground::event::Happened;
use crate::ground::journal::{Told, journal};
use crate::ground::service::Service as _;
use crate::services::authoritative::{Authoritative, Config, cookies};

/// Nothing that is waited for here takes this long unless it is broken.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A server that follows foobar.com at a primary of the test.
struct Follower {
    server: Authoritative,
    told: Told,
    primary: TcpListener,
    folder: tempfile::TempDir,
}

fn origin() -> Name {
    "foobar.com".parse().unwrap()
}

/// The zone's times, in seconds: refresh, retry, expire.
type Seconds = [u32; 3];

/// Answers what is asked on `stream` from a zone of nothing but its SOA and NS.
async fn answer(stream: &mut TcpStream, serial: u32, times: Seconds, flags: u16) -> Option<RecordType> {
    let mut message = vec![0; usize::from(stream.read_u16().await.ok()?)];
    stream.read_exact(&mut message).await.ok()?;
    let asked = question::read(&message).ok()?;
    let mut soa = [&b"\x02ns"[..], origin().as_wire(), b"\x01h", origin().as_wire()].concat();
    for number in [serial].into_iter().chain(times).chain([5]) {
        soa.extend(number.to_be_bytes());
    }
    let server = [&b"\x02ns"[..], origin().as_wire()].concat();
    let address = [127, 0, 0, 1];
    let mut reply = Vec::new();
    let mut writer = Writer::begin(&mut reply, asked.id, asked.flags, None, LONGEST_MESSAGE);
    writer.question(&asked.name, asked.record_type, asked.class);
    writer.set(flags);
    let mut add = |name: &str, record_type, data: &[u8]| {
        let data = std::iter::once(data);
        writer
            .records_of(Section::Answer, name.parse::<Name>().unwrap().as_wire(), record_type, 300, data)
            .unwrap();
    };
    add("foobar.com", RecordType::SOA, &soa);
    if asked.record_type == RecordType::AXFR {
        add("foobar.com", RecordType::NS, &server);
        add("ns.foobar.com", RecordType::A, &address);
        add("foobar.com", RecordType::SOA, &soa);
    }
    writer.finish();
    stream.write_u16(u16::try_from(reply.len()).unwrap()).await.ok()?;
    stream.write_all(&reply).await.ok()?;
    Some(asked.record_type)
}

impl Follower {
    async fn start() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(config: Config) -> Self {
        let primary = bind::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (journal, told) = journal();
        let config = Config {
            follow: vec![format!("foobar.com={}", primary.local_addr().unwrap()).parse().unwrap()],
            copies: Some(folder.path().into()),
            ..config
        };
        let server = Authoritative::start(config, journal).await.unwrap();
        Self { server, told, primary, folder }
    }

    async fn accept(&self) -> TcpStream {
        timeout(PATIENCE, self.primary.accept()).await.expect("it is not asked").unwrap().0
    }

    /// Gives it the zone as it asks for it.
    async fn give(&self, serial: u32, times: Seconds) {
        let mut stream = self.accept().await;
        let asked = answer(&mut stream, serial, times, Flags::AA).await;
        assert_eq!(asked, Some(RecordType::SOA));
        let asked = answer(&mut stream, serial, times, Flags::AA).await;
        assert_eq!(asked, Some(RecordType::AXFR));
    }

    /// Waits until it tells something that has `text` in it; the whole of it.
    async fn hear(&mut self, text: &str) -> String {
        let heard = timeout(PATIENCE, async {
            let mut batch: Vec<(_, Happened)> = Vec::new();
            loop {
                assert!(self.told.hear(&mut batch, 1).await);
                for (_, what) in batch.drain(..) {
                    let said = what.to_string();
                    if said.contains(text) {
                        return said;
                    }
                }
            }
        });
        heard.await.unwrap_or_else(|_| panic!("not told: {text}"))
    }

    /// Sends a message of `opcode`, and waits for its answer.
    async fn say(&self, opcode: u16, record_type: RecordType) -> (Rcode, String) {
        let mut message = asked::query(9, &origin(), record_type);
        message[2..4].copy_from_slice(&opcode.to_be_bytes());
        say(self.server.addresses[0], &message).await
    }
}

async fn say(server: SocketAddr, message: &[u8]) -> (Rcode, String) {
    let (response, octets) = say_for(server, message).await;
    (response.rcode, String::from_utf8_lossy(&octets).into_owned())
}

async fn say_for(server: SocketAddr, message: &[u8]) -> (asked::Response, Vec<u8>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(message, server).await.unwrap();
    let mut reply = [0; 2000];
    let length = timeout(PATIENCE, socket.recv(&mut reply)).await.expect("no answer").unwrap();
    let reply = &reply[..length];
    (asked::read_response(reply).unwrap(), reply.to_vec())
}

const NOTIFY: u16 = 0x2000;
const UPDATE: u16 = 0x2800;

#[tokio::test]
async fn rfc1996_however_often_it_is_told_it_asks_at_a_pace() {
    let mut follower = Follower::start().await;
    follower.give(1, [3600, 3600, 86_400]).await;
    follower.hear("foobar.com").await;
    let start = clock::now();
    let mut asked = 0;
    // As long as five questions take at that pace.
    while asked < 5 {
        assert_eq!(follower.say(NOTIFY, RecordType::SOA).await.0, Rcode::NOERROR);
        if let Ok(accepted) = timeout(std::time::Duration::ZERO, follower.primary.accept()).await {
            drop(accepted.unwrap());
            asked += 1;
        }
    }
    assert!(start.elapsed() >= super::PACE * 4, "{asked} questions in {:?}", start.elapsed());
    assert_eq!(follower.say(NOTIFY, RecordType::A).await.0, Rcode::FORMERR);
    follower.server.close().await;
}

#[tokio::test]
async fn rfc1034_section_4_3_5_a_zone_expires_while_its_primary_is_asked_and_silent() {
    let mut follower = Follower::start().await;
    follower.give(1, [1, 1, 2]).await;
    follower.hear("serial 1").await;
    assert_eq!(follower.say(0, RecordType::SOA).await.0, Rcode::NOERROR);
    // It connects, and hears nothing.
    let silent = follower.accept().await;
    let said = follower.hear("silent").await;
    assert!(said.contains("expire"), "{said}");
    assert_eq!(follower.say(0, RecordType::SOA).await.0, Rcode::SERVFAIL);
    drop(silent);
    follower.give(1, [3600, 3600, 86_400]).await;
    follower.hear("serial 1").await;
    assert_eq!(follower.say(0, RecordType::SOA).await.0, Rcode::NOERROR);
    follower.server.close().await;
}

#[tokio::test]
async fn rfc2136_who_wants_to_change_a_copy_is_sent_to_its_primary() {
    let follower = Follower::start().await;
    let (rcode, said) = follower.say(UPDATE, RecordType::SOA).await;
    assert_eq!(rcode, Rcode::REFUSED);
    let primary = follower.primary.local_addr().unwrap().to_string();
    assert!(said.contains(&primary) && !said.contains("edit"), "{said}");
    follower.server.close().await;
}

#[tokio::test]
async fn rfc1034_section_4_3_5_only_an_authority_is_followed_and_a_lower_serial_is_told() {
    const TIMES: Seconds = [1, 1, 86_400];
    let mut follower = Follower::start().await;
    let mut stream = follower.accept().await;
    answer(&mut stream, 7, TIMES, 0).await;
    follower.hear("not an authority").await;
    drop(stream);
    follower.give(7, TIMES).await;
    follower.hear("serial 7").await;
    let mut stream = follower.accept().await;
    answer(&mut stream, 6, TIMES, Flags::AA).await;
    let said = follower.hear("lower than 7").await;
    assert!(said.contains("has serial 6"), "{said}");
    assert_eq!(follower.say(0, RecordType::SOA).await.0, Rcode::NOERROR);
    // One that ends in the middle of the zone leaves nothing behind.
    drop(stream);
    let mut stream = follower.accept().await;
    answer(&mut stream, 8, TIMES, Flags::AA).await;
    drop(stream);
    follower.hear("ends in the middle").await;
    let files: Vec<_> = std::fs::read_dir(follower.folder.path()).unwrap().flatten().collect();
    assert_eq!(files.iter().map(std::fs::DirEntry::file_name).collect::<Vec<_>>(), ["foobar.com.zone"]);
    follower.server.close().await;
}

#[test]
fn no_two_zones_share_a_file() {
    let names = [".", "root", "\\@", "a.b", "a\\.b", "a/b", "*"].map(|name| name.parse::<Name>().unwrap());
    let files: std::collections::BTreeSet<String> = names.iter().map(super::file_name).collect();
    assert_eq!(files.len(), names.len(), "{files:?}");
}

/// Whatever is wanted over UDP: an address that may be forged gets nothing, and changes nothing.
#[tokio::test]
async fn rfc7873_section_5_2_3_a_required_cookie_is_required_of_everybody() {
    let mut follower =
        Follower::with(Config { cookies: cookies::Policy::Require, ..Config::default() }).await;
    follower.give(1, [3600, 3600, 86_400]).await;
    follower.hear("serial 1").await;
    for (opcode, record_type) in
        [(NOTIFY, RecordType::SOA), (UPDATE, RecordType::SOA), (0, RecordType::IXFR), (0, RecordType::AXFR)]
    {
        let mut message = asked::query(9, &origin(), record_type);
        message[2..4].copy_from_slice(&opcode.to_be_bytes());
        let (cut, _) = say_for(follower.server.addresses[0], &message).await;
        assert!(cut.flags.has(Flags::TC) && cut.rcode == Rcode::NOERROR, "{opcode:x} {record_type}: {cut:?}");
        // With a cookie of the asker's own (RFC 7873 §4), it is given the server's.
        let end = message.len();
        message[end - 2..].copy_from_slice(&12_u16.to_be_bytes());
        message.extend([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        let (bad, octets) = say_for(follower.server.addresses[0], &message).await;
        assert_eq!(bad.rcode, Rcode::BADCOOKIE, "{opcode:x} {record_type}");
        assert!(octets.windows(12).any(|option| option == [0, 10, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8]));
    }
    let unasked = timeout(std::time::Duration::ZERO, follower.primary.accept()).await;
    assert!(unasked.is_err(), "the primary was asked at the word of nobody");
    follower.server.close().await;
}
