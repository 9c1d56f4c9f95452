//! The whole service through its sockets: answers, reloads, connections, its end.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::access::Allowed;
use super::*;
use crate::dns::message::Flags;
use crate::dns::message::asked;
use crate::dns::types::{Rcode, RecordType};
use crate::ground::event::Happened;
use crate::ground::journal::{Told, journal};

const ZONE: &str = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\nwww A 192.0.2.1\n";

struct Lab {
    folder: tempfile::TempDir,
    server: Authoritative,
    told: Told,
    waiting: Vec<Happened>,
}

impl Lab {
    async fn with(text: Option<&str>) -> Self {
        Self::started(text, Config::default()).await
    }

    async fn giving(text: Option<&str>, transfer_to: Vec<Allowed>) -> Self {
        Self::started(text, Config { transfer_to, ..Config::default() }).await
    }

    async fn limited(text: Option<&str>, rate_limit: u32) -> Self {
        Self::started(text, Config { rate_limit, ..Config::default() }).await
    }

    async fn started(text: Option<&str>, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("foobar.com.zone");
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let (journal, told) = journal();
        let config = Config {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            zones: vec![format!("foobar.com={}", file.display()).parse().unwrap()],
            ..config
        };
        let server = Authoritative::start(config, journal).await.unwrap();
        Self { folder, server, told, waiting: Vec::new() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("foobar.com.zone")
    }

    /// Waits until something of this kind is told.
    async fn hear<T>(&mut self, wanted: impl Fn(&Happened) -> Option<T>) -> T {
        let found = timeout(Duration::from_secs(30), async {
            loop {
                while !self.waiting.is_empty() {
                    if let Some(found) = wanted(&self.waiting.remove(0)) {
                        return found;
                    }
                }
                let mut batch = Vec::new();
                assert!(self.told.hear(&mut batch, 64).await);
                self.waiting.extend(batch.into_iter().map(|(_, what)| what));
            }
        });
        found.await.expect("nothing of the kind was told in 5 s")
    }

    async fn loaded(&mut self) -> u32 {
        self.hear(|what| match what {
            Happened::ZoneLoaded { serial, .. } => Some(*serial),
            _ => None,
        })
        .await
    }

    async fn refused(&mut self) -> (Vec<String>, bool) {
        self.hear(|what| match what {
            Happened::ZoneRefused { problems, old_one_kept, .. } => Some((problems.clone(), *old_one_kept)),
            _ => None,
        })
        .await
    }

    async fn ask(&self, name: &str) -> asked::Response {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let query = asked::query(77, &name.parse().unwrap(), RecordType::A);
        socket.send_to(&query, self.server.addresses[0]).await.unwrap();
        let mut reply = [0; 2000];
        let length = timeout(Duration::from_secs(30), socket.recv(&mut reply)).await.unwrap().unwrap();
        asked::read_response(&reply[..length]).unwrap()
    }

    async fn address_of(&self, name: &str) -> String {
        self.ask(name).await.answers[0].data.to_string()
    }
}

/// As editors save that write a new file beside the old one.
fn save_by_rename(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, file).unwrap();
}

#[tokio::test]
async fn a_question_is_answered_and_told() {
    let mut lab = Lab::with(Some(ZONE)).await;
    assert_eq!(lab.loaded().await, 1);
    assert_eq!(lab.server.listening().len(), 2);
    assert_eq!(lab.address_of("www.foobar.com").await, "192.0.2.1");
    let question = lab.hear(|what| matches!(what, Happened::Question { .. }).then(|| what.clone())).await;
    let Happened::Question { client, transport, name, record_type, rcode, flags, answers, .. } = question
    else {
        unreachable!()
    };
    assert_eq!(client.ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    assert_eq!((transport, answers), (Transport::Udp, 1));
    assert_eq!([name, record_type, rcode, flags], ["www.foobar.com.", "A", "NOERROR", "qr aa rd"]);
    assert_eq!(lab.server.close().await, Closed::default());
}

#[tokio::test]
async fn answers_beyond_the_limit_are_cut_or_dropped_and_counted() {
    let mut lab = Lab::limited(Some(ZONE), 1).await;
    lab.loaded().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(lab.server.addresses[0]).await.unwrap();
    // One of another kind comes last: when it is answered, all before it are judged.
    for name in ["a.nosuch.foobar.com", "b.foobar.com", "c.foobar.com", "www.foobar.com"] {
        socket.send(&asked::query(7, &name.parse().unwrap(), RecordType::A)).await.unwrap();
    }
    let mut answers = Vec::new();
    for _ in 0..3 {
        let mut reply = [0; 2000];
        let length = timeout(Duration::from_secs(30), socket.recv(&mut reply)).await.unwrap().unwrap();
        answers.push(asked::read_response(&reply[..length]).unwrap());
    }
    let [denied, cut, found] = answers.try_into().unwrap();
    assert_eq!((denied.rcode, denied.authorities.len()), (Rcode::NXDOMAIN, 1));
    assert_eq!((cut.rcode, cut.flags.has(Flags::TC), cut.edns), (Rcode::NOERROR, true, true));
    assert_eq!((cut.authorities.len(), cut.answers.len()), (0, 0), "no larger than the question");
    assert_eq!(cut.question.unwrap().0, "c.foobar.com".parse().unwrap(), "the one before it was dropped");
    assert_eq!(found.answers.len(), 1, "another kind of answer has its own account");
    let note = lab
        .hear(|what| match what {
            Happened::Note { text } if text.contains("limits") => Some(text.clone()),
            _ => None,
        })
        .await;
    assert!(
        note.contains("127.0.0.0/24") && note.ends_with("denials of foobar.com. or referrals to it"),
        "{note}"
    );
    let Reply::Queries(counts) = lab.server.ask(Ask::Queries).await else { panic!("no counts") };
    let udp = counts.udp;
    assert_eq!((udp.answered, udp.limited, udp.dropped, udp.types[0].count), (3, 2, 1, 4));
    // Over TCP nobody's address is forged.
    let mut stream = TcpStream::connect(lab.server.addresses[0]).await.unwrap();
    for name in ["d.foobar.com", "e.foobar.com", "f.foobar.com"] {
        let query = asked::query(7, &name.parse().unwrap(), RecordType::A);
        stream.write_u16(u16::try_from(query.len()).unwrap()).await.unwrap();
        stream.write_all(&query).await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut reply = vec![0; length.into()];
        stream.read_exact(&mut reply).await.unwrap();
        let response = asked::read_response(&reply).unwrap();
        assert_eq!((response.rcode, response.flags.has(Flags::TC)), (Rcode::NXDOMAIN, false));
    }
    let Reply::Queries(counts) = lab.server.ask(Ask::Queries).await else { panic!("no counts") };
    assert_eq!((counts.tcp.answered, counts.tcp.limited), (3, 0));
    lab.server.close().await;
}

#[tokio::test]
async fn a_saved_zone_is_served_and_a_broken_one_is_not() {
    let mut lab = Lab::with(Some(ZONE)).await;
    lab.loaded().await;
    std::fs::write(lab.file(), ZONE.replace("192.0.2.1", "192.0.2.2").replace("h 1 ", "h 2 ")).unwrap();
    assert_eq!(lab.loaded().await, 2);
    assert_eq!(lab.address_of("www.foobar.com").await, "192.0.2.2");

    std::fs::write(lab.file(), ZONE.replace("192.0.2.1", "192.0.2.256")).unwrap();
    let (problems, old_one_kept) = lab.refused().await;
    assert!(old_one_kept);
    let place = format!("{}:5:7: `192.0.2.256` is no IPv4 address", lab.file().display());
    assert!(problems[0].starts_with(&place), "{problems:?}");
    assert_eq!(lab.address_of("www.foobar.com").await, "192.0.2.2");
    let Reply::Zones(zones) = lab.server.ask(Ask::ZoneList).await else { unreachable!() };
    assert_eq!((zones[0].serial, zones[0].problems.len()), (Some(2), 1));

    save_by_rename(&lab.file(), &ZONE.replace("192.0.2.1", "192.0.2.3").replace("h 1 ", "h 3 "));
    assert_eq!(lab.loaded().await, 3);
    assert_eq!(lab.address_of("www.foobar.com").await, "192.0.2.3");
    lab.server.close().await;
}

#[tokio::test]
async fn an_included_file_is_watched_as_well() {
    let mut lab = Lab::with(None).await;
    let (problems, old_one_kept) = lab.refused().await;
    assert!(!old_one_kept && problems[0].contains("cannot be read"), "{problems:?}");
    assert_eq!(lab.ask("www.foobar.com").await.rcode, Rcode::SERVFAIL);

    std::fs::write(lab.file(), format!("{ZONE}$INCLUDE more/hosts\n")).unwrap();
    assert!(lab.refused().await.0[0].contains("more/hosts"));
    std::fs::create_dir(lab.folder.path().join("more")).unwrap();
    std::fs::write(lab.folder.path().join("more/hosts"), "extra A 192.0.2.8\n").unwrap();
    lab.loaded().await;
    assert_eq!(lab.address_of("extra.foobar.com").await, "192.0.2.8");
    std::fs::write(lab.folder.path().join("more/hosts"), "extra A 192.0.2.9\n").unwrap();
    lab.loaded().await;
    assert_eq!(lab.address_of("extra.foobar.com").await, "192.0.2.9");
    lab.server.close().await;
}

#[tokio::test]
async fn a_zone_can_be_switched_to_another_file() {
    let mut lab = Lab::with(Some(ZONE)).await;
    lab.loaded().await;
    let other = lab.folder.path().join("other.zone");
    let switch =
        |origin: &str, file: &Path| Ask::ZoneUse { origin: origin.into(), file: file.display().to_string() };
    std::fs::write(&other, "www A\n").unwrap();
    let Reply::Refused(causes) = lab.server.ask(switch("foobar.com", &other)).await else { unreachable!() };
    assert!(causes[0].contains("stays as it is") && causes.len() > 1, "{causes:?}");
    std::fs::write(&other, ZONE.replace("www A 192.0.2.1", "www CNAME ns").replace("h 1 ", "h 9 ")).unwrap();
    let Reply::Zones(zones) = lab.server.ask(switch("foobar.com.", &other)).await else { unreachable!() };
    assert_eq!(zones[0].serial, Some(9));
    assert_eq!(lab.address_of("www.foobar.com").await, "ns.foobar.com.");
    // And back, though that file is as it was.
    assert!(matches!(lab.server.ask(switch("foobar.com", &lab.file())).await, Reply::Zones(_)));
    assert_eq!(lab.address_of("www.foobar.com").await, "192.0.2.1");
    assert!(matches!(lab.server.ask(switch("other.org", &other)).await, Reply::Refused(_)));
    assert!(matches!(lab.server.ask(Ask::CacheList).await, Reply::Refused(_)));
    lab.server.close().await;
}

#[tokio::test]
async fn streams_carry_many_questions_and_end_in_time() {
    let lab = Lab::with(Some(ZONE)).await;
    let mut stream = TcpStream::connect(lab.server.addresses[0]).await.unwrap();
    let mut sent = Vec::new();
    for id in 0..3 {
        let query = asked::query(id, &"www.foobar.com".parse().unwrap(), RecordType::A);
        sent.extend(u16::try_from(query.len()).unwrap().to_be_bytes());
        sent.extend(query);
    }
    stream.write_all(&sent).await.unwrap();
    for id in 0..3 {
        let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(asked::read_response(&reply).unwrap().id, id);
    }
    // One that says more than it sends, and one that says nothing, keep nobody.
    let mut liar = TcpStream::connect(lab.server.addresses[0]).await.unwrap();
    liar.write_all(&[0xFF, 0xFF, 1]).await.unwrap();
    assert_eq!(lab.server.close().await, Closed::default());
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

/// The answer to an AXFR question, message by message, as far as the SOA that ends it.
async fn transferred(address: SocketAddr) -> Vec<(Vec<u8>, asked::Response)> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let query = asked::query(7, &"foobar.com".parse().unwrap(), RecordType::AXFR);
    let framed = [&u16::try_from(query.len()).unwrap().to_be_bytes()[..], &query].concat();
    stream.write_all(&framed).await.unwrap();
    let mut messages = Vec::new();
    let mut soas = 0;
    while soas < 2 {
        let mut message = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut message).await.unwrap();
        let response = asked::read_response(&message).unwrap();
        soas += response.answers.iter().filter(|record| record.record_type == RecordType::SOA).count();
        assert!(response.rcode != Rcode::NOERROR || !response.answers.is_empty());
        let over = response.rcode != Rcode::NOERROR;
        messages.push((message, response));
        if over {
            break;
        }
    }
    messages
}

#[tokio::test]
async fn rfc5936_section_2_2_a_large_zone_travels_in_many_messages() {
    let mut text = ZONE.to_owned();
    for number in 0..3_000 {
        text += &format!("host{number} A 192.0.2.{}\n", number % 256);
    }
    // A record that is longer than what ends a message otherwise.
    text += &format!("long TXT {}\n", format!("\"{}\" ", "x".repeat(255)).repeat(200));
    let mut lab = Lab::giving(Some(&text), vec!["127.0.0.0/8".parse().unwrap()]).await;
    lab.loaded().await;
    let messages = transferred(lab.server.addresses[0]).await;
    assert!(messages.len() > 3);
    let records: Vec<_> = messages.iter().flat_map(|(_, response)| &response.answers).collect();
    assert_eq!(records.len(), 3_000 + 6);
    assert_eq!(records[0], *records.last().unwrap());
    for (index, (_, response)) in messages.iter().enumerate() {
        assert_eq!((response.id, response.flags.has(Flags::AA)), (7, true));
        assert_eq!((response.question.is_some(), response.edns), (index == 0, index == 0));
    }
    let sent = lab.hear(|what| match what {
        Happened::ZoneSent { records, messages, .. } => Some((*records, *messages)),
        _ => None,
    });
    assert_eq!(sent.await, (3_000 + 5, messages.len()));
    lab.server.close().await;
}

/// A reader that is as fast as the server never makes it wait: others have their turn all the same.
#[tokio::test]
async fn while_a_zone_is_sent_others_are_answered() {
    let mut text = ZONE.to_owned();
    for number in 0..50_000 {
        text += &format!("host{number} A 192.0.2.{}\n", number % 256);
    }
    let mut lab = Lab::giving(Some(&text), vec!["127.0.0.0/8".parse().unwrap()]).await;
    lab.loaded().await;
    let address = lab.server.addresses[0];
    // In a thread of its own, which only reads.
    let reader = std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let query = asked::query(7, &"foobar.com".parse().unwrap(), RecordType::AXFR);
        let framed = [&u16::try_from(query.len()).unwrap().to_be_bytes()[..], &query].concat();
        io::Write::write_all(&mut stream, &framed).unwrap();
        io::copy(&mut stream, &mut io::sink()).unwrap()
    });
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address).await.unwrap();
    let query = asked::query(8, &"www.foobar.com".parse().unwrap(), RecordType::A);
    let (mut answered, mut reply) = (0, [0; 2000]);
    let messages = {
        let sent = lab.hear(|what| match what {
            Happened::ZoneSent { messages, .. } => Some(*messages),
            _ => None,
        });
        tokio::pin!(sent);
        socket.send(&query).await.unwrap();
        loop {
            tokio::select! {
                biased;
                messages = &mut sent => break messages,
                _ = socket.recv(&mut reply) => {
                    answered += 1;
                    socket.send(&query).await.unwrap();
                }
            }
        }
    };
    assert!(
        messages > 50 && answered > messages / 4,
        "{answered} answers while {messages} messages were sent"
    );
    lab.server.close().await;
    assert!(reader.join().unwrap() > 1_000_000);
}

#[tokio::test]
async fn rfc5936_section_5_a_zone_is_only_for_some() {
    let mut lab = Lab::giving(Some(ZONE), vec!["192.0.2.0/24".parse().unwrap()]).await;
    lab.loaded().await;
    let messages = transferred(lab.server.addresses[0]).await;
    assert_eq!((messages.len(), messages[0].1.rcode), (1, Rcode::REFUSED));
    let said = String::from_utf8_lossy(&messages[0].0);
    assert!(said.contains("transfer_to"), "{said}");
    lab.server.close().await;
}

#[tokio::test]
async fn each_address_that_it_listens_at_is_answered_at() {
    let listen = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("foobar.com.zone");
    std::fs::write(&file, ZONE).unwrap();
    let zones = vec![format!("foobar.com={}", file.display()).parse().unwrap()];
    let (journal, _told) = journal();
    let server = Authoritative::start(Config { listen, zones, ..Config::default() }, journal).await.unwrap();
    let listening = server.listening();
    assert_eq!(listening.len(), 4, "each over UDP and TCP: {listening:?}");
    for Listening { transport, address } in listening {
        assert_ne!(address.port(), 0);
        let query = asked::query(77, &"www.foobar.com".parse().unwrap(), RecordType::A);
        let mut reply = vec![0; 2000];
        let length = match transport {
            Transport::Udp => {
                let any = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
                let socket = UdpSocket::bind(any).await.unwrap();
                socket.send_to(&query, address).await.unwrap();
                timeout(Duration::from_secs(30), socket.recv(&mut reply)).await.unwrap().unwrap()
            }
            _ => {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_u16(query.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&query).await.unwrap();
                let length = usize::from(stream.read_u16().await.unwrap());
                stream.read_exact(&mut reply[..length]).await.unwrap()
            }
        };
        let response = asked::read_response(&reply[..length]).unwrap();
        assert_eq!(response.rcode, Rcode::NOERROR, "{address}/{transport}");
    }
    server.close().await;
}

#[tokio::test]
async fn a_taken_port_and_a_zone_given_twice_are_refused() {
    let lab = Lab::with(Some(ZONE)).await;
    let start = |listen: SocketAddr, zones: &[&str]| {
        let zones = zones.iter().map(|zone| zone.parse().unwrap()).collect();
        Authoritative::start(Config { listen: vec![listen], zones, ..Config::default() }, journal().0)
    };
    let error = start(lab.server.addresses[0], &[]).await.unwrap_err();
    assert!(matches!(error, StartError::Bind(..)));
    let error = start("127.0.0.1:0".parse().unwrap(), &["a.=x", "A=y"]).await.unwrap_err();
    assert!(matches!(error, StartError::Twice(_)));
    assert!("foobar.com".parse::<ZoneFile>().is_err());
    assert!("=x".parse::<ZoneFile>().is_err());
    assert!("a..b=x".parse::<ZoneFile>().is_err());
    lab.server.close().await;
}

#[test]
fn the_shipped_zones_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
    for (origin, file) in [
        (".", "loopback/root.zone"),
        ("com", "loopback/com.zone"),
        ("foobar.com", "loopback/foobar.com.zone"),
        ("foobar.com", "loopback/foobar.com.cname.zone"),
        ("127.in-addr.arpa", "loopback/127.in-addr.arpa.zone"),
        (".", "hosts/root.zone"),
        ("root-servers.net", "hosts/root-servers.net.zone"),
        ("com", "hosts/com.zone"),
        ("net", "hosts/net.zone"),
        ("gtld-servers.net", "hosts/gtld-servers.net.zone"),
        ("foobar.com", "hosts/foobar.com.zone"),
        ("foobar.com", "hosts/foobar.com.cname.zone"),
        ("in-addr.arpa", "hosts/in-addr.arpa.zone"),
        ("ip6.arpa", "hosts/ip6.arpa.zone"),
    ] {
        let load = crate::dns::zone::load(&origin.parse().unwrap(), &folder.join(file));
        assert_eq!(load.problems, [], "{file}");
        assert!(load.zone.is_some());
    }
}
