//! The door over real sockets: who comes in, what is agreed on, and what goes on while it changes.

use std::future::Ready;
use std::path::Path;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ApplicationClose, Connection, ConnectionError, ReadError, TransportConfig, VarInt};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::dns::message::asked::query;
use crate::dns::types::RecordType;
use crate::ground::journal::{Told, journal};
use crate::services::streams::Replies;

const PATIENCE: Duration = Duration::from_secs(30);

/// Answers with the question, and behind it the transport that it came by.
#[derive(Debug, Clone)]
struct Echo(Transport);

impl Respond for Echo {
    fn respond(
        &self,
        question: &[u8],
        _: SocketAddr,
        mut replies: Replies,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        replies.send_now(|reply| {
            reply.clear();
            reply.extend_from_slice(question);
            reply.extend_from_slice(self.0.to_string().as_bytes());
        });
        None::<Ready<()>>
    }
}

impl Over for Echo {
    fn over(&self, transport: Transport) -> Self {
        Self(transport)
    }
}

struct Stand {
    directory: tempfile::TempDir,
    door: Door<Echo>,
    stop: CancellationToken,
    _told: Told,
}

/// A new certificate for localhost in `file`, which vouches for itself.
fn certificate(file: &Path) {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(["localhost".into()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(file, format!("{}{}", key.serialize_pem(), made.pem())).unwrap();
}

impl Stand {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        certificate(&directory.path().join("localhost.pem"));
        let (journal, told) = journal();
        let stop = CancellationToken::new();
        let door = Door::new(Echo(Transport::Udp), Arc::default(), Faults::default(), journal, stop.clone());
        Self { directory, door, stop, _told: told }
    }

    fn wanted(&self, tls: &[&str], https: &[&str]) -> Private {
        let addresses = |list: &[&str]| list.iter().map(|address| address.parse().unwrap()).collect();
        let file = self.directory.path().join("localhost.pem");
        let certificates = vec![Certificate { names: vec!["localhost".into()], file }];
        Private { tls: addresses(tls), https: addresses(https), certificates, ..Private::default() }
    }

    fn at(&self, transport: Transport) -> SocketAddr {
        let listening = self.door.listening();
        listening.iter().find(|listening| listening.transport == transport).unwrap().address
    }

    /// What is believed now.
    fn believing(&self, protocol: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let text = std::fs::read(self.directory.path().join("localhost.pem")).unwrap();
        roots.add(CertificateDer::from_pem_slice(&text).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    async fn connect(&self, transport: Transport, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.believing(protocol);
        let stream = TcpStream::connect(self.at(transport)).await?;
        let name = ServerName::try_from("localhost").unwrap();
        timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }

    /// A stand at which QUIC is spoken.
    fn quic() -> Self {
        let stand = Self::new();
        let quic = vec!["127.0.0.1:0".parse().unwrap()];
        stand.door.set(&Private { quic, ..stand.wanted(&[], &[]) }).unwrap();
        stand
    }

    async fn connect_quic(&self, protocol: &[u8]) -> Result<Connection, ConnectionError> {
        self.connect_quic_with(protocol, TransportConfig::default()).await
    }

    async fn connect_quic_with(
        &self,
        protocol: &[u8],
        transport: TransportConfig,
    ) -> Result<Connection, ConnectionError> {
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let crypto = QuicClientConfig::try_from(self.believing(protocol)).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        let connecting = endpoint.connect_with(config, self.at(Transport::Quic), "localhost").unwrap();
        timeout(PATIENCE, connecting).await.expect("no handshake in 30 s")
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>, question: &[u8]) -> Vec<u8> {
    let talk = async {
        let length = u16::try_from(question.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length, question].concat()).await.unwrap();
        let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut reply).await.unwrap();
        reply
    };
    timeout(PATIENCE, talk).await.expect("no answer in 30 s")
}

#[tokio::test]
async fn nothing_listens_until_it_is_asked_for_and_nothing_after() {
    let stand = Stand::new();
    assert!(stand.door.listening().is_empty());
    stand.door.set(&stand.wanted(&["127.0.0.1:0"], &["127.0.0.1:0"])).unwrap();
    let address = stand.at(Transport::Tls);
    assert_eq!(stand.door.listening().len(), 2);
    let mut stream = stand.connect(Transport::Tls, b"dot").await.unwrap();
    assert_eq!(ask(&mut stream, b"hello, ").await, b"hello, tls");
    // The one goes, the other stays where it is.
    let https = stand.at(Transport::Https);
    stand.door.set(&stand.wanted(&[], &["127.0.0.1:0"])).unwrap();
    assert_eq!(stand.at(Transport::Https), https);
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap(), 0, "it is ended in order");
    timeout(PATIENCE, async { while TcpStream::connect(address).await.is_ok() {} }).await.unwrap();
    stand.stop.cancel();
    stand.door.close().await;
}

#[tokio::test]
async fn another_certificate_is_shown_to_who_comes_then_and_nobody_else_notices() {
    let stand = Stand::new();
    let wanted = stand.wanted(&["127.0.0.1:0"], &[]);
    stand.door.set(&wanted).unwrap();
    let mut before = stand.connect(Transport::Tls, b"dot").await.unwrap();
    assert_eq!(ask(&mut before, b"1 ").await, b"1 tls");
    // What is believed is another one from here on, and the server does not show it yet.
    certificate(&stand.directory.path().join("localhost.pem"));
    assert!(stand.connect(Transport::Tls, b"dot").await.is_err());
    stand.door.set(&wanted).unwrap();
    stand.connect(Transport::Tls, b"dot").await.unwrap();
    assert_eq!(ask(&mut before, b"2 ").await, b"2 tls");
}

#[tokio::test]
async fn what_cannot_be_done_changes_nothing() {
    let stand = Stand::new();
    stand.door.set(&stand.wanted(&["127.0.0.1:0"], &[])).unwrap();
    let address = stand.at(Transport::Tls);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = stand.wanted(&["127.0.0.1:0"], &[&taken.local_addr().unwrap().to_string()]);
    assert!(matches!(stand.door.set(&elsewhere), Err(TlsError::Bind(_))));
    let none = Private { certificates: Vec::new(), ..stand.wanted(&["127.0.0.1:0"], &[]) };
    assert!(matches!(stand.door.set(&none), Err(TlsError::None)));
    assert_eq!(stand.at(Transport::Tls), address);
    let mut stream = stand.connect(Transport::Tls, b"dot").await.unwrap();
    assert_eq!(ask(&mut stream, b"").await, b"tls");
}

#[tokio::test]
async fn who_wants_to_speak_something_else_is_told_so() {
    let stand = Stand::new();
    stand.door.set(&stand.wanted(&["127.0.0.1:0"], &["127.0.0.1:0"])).unwrap();
    for (transport, protocol) in [(Transport::Tls, &b"h2"[..]), (Transport::Https, b"dot")] {
        let error = stand.connect(transport, protocol).await.unwrap_err();
        assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    }
    // Plain DNS at the port of TLS is a connection that ends.
    let mut plain = TcpStream::connect(stand.at(Transport::Tls)).await.unwrap();
    plain.write_all(&[0, 2, b'h', b'i']).await.unwrap();
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut said)).await.expect("open after 30 s");
}

#[tokio::test]
async fn a_long_answer_comes_whole() {
    let stand = Stand::new();
    stand.door.set(&stand.wanted(&["127.0.0.1:0"], &[])).unwrap();
    let (mut read, mut write) = tokio::io::split(stand.connect(Transport::Tls, b"dot").await.unwrap());
    const LONG: usize = 60_000;
    const TIMES: usize = 50;
    let question = [&u16::try_from(LONG).unwrap().to_be_bytes()[..], &[7; LONG]].concat();
    let asking = tokio::spawn(async move {
        for _ in 0..TIMES {
            write.write_all(&question).await.unwrap();
            write.flush().await.unwrap();
        }
        write
    });
    let read_all = async {
        for _ in 0..TIMES {
            let mut reply = vec![0; usize::from(read.read_u16().await.unwrap())];
            read.read_exact(&mut reply).await.unwrap();
            assert_eq!((reply.len(), &reply[LONG..]), (LONG + 3, &b"tls"[..]));
        }
    };
    timeout(PATIENCE, read_all).await.expect("no answers in 30 s");
    asking.await.unwrap();
}

/// A question with this number, behind its length.
fn framed(id: u16) -> Vec<u8> {
    let question = query(id, &"www.foobar.com".parse().unwrap(), RecordType::A);
    [&u16::try_from(question.len()).unwrap().to_be_bytes()[..], &question].concat()
}

/// Asks in a stream of its own; what comes until that ends.
async fn ask_quic(connection: &Connection, octets: &[u8]) -> Option<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(octets).await.ok()?;
    send.finish().ok()?;
    timeout(PATIENCE, receive.read_to_end(1 << 17)).await.expect("no answer in 30 s").ok()
}

#[tokio::test]
async fn rfc9250_each_question_has_a_stream_of_its_own() {
    let stand = Stand::quic();
    let connection = stand.connect_quic(b"doq").await.unwrap();
    let mut asked = Vec::new();
    for _ in 0..300 {
        // More than may be under way at a time: quinn waits for its turn.
        let connection = connection.clone();
        asked.push(tokio::spawn(async move { ask_quic(&connection, &framed(0)).await }));
    }
    for answer in asked {
        let answer = answer.await.unwrap().expect("an answer");
        assert_eq!(usize::from(u16::from_be_bytes([answer[0], answer[1]])), answer.len() - 2);
        assert_eq!(answer[2..answer.len() - 4], framed(0)[2..]);
        assert!(answer.ends_with(b"quic"));
    }
    stand.stop.cancel();
    stand.door.close().await;
    let ApplicationClose { error_code, .. } = closed(&connection).await;
    assert_eq!(error_code.into_inner(), 0, "DOQ_NO_ERROR");
}

/// How a connection was closed by who answers.
async fn closed(connection: &Connection) -> ApplicationClose {
    match timeout(PATIENCE, connection.closed()).await.expect("open after 30 s") {
        ConnectionError::ApplicationClosed(close) => close,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn rfc9250_section_4_3_3_who_keeps_to_something_else_is_left() {
    let stand = Stand::quic();
    for (what, octets) in [
        ("another number", framed(7)),
        ("two questions", [framed(0), framed(0)].concat()),
        ("a part of one", framed(0)[..9].to_vec()),
        ("nothing", Vec::new()),
        ("more than any", vec![0xFF; 65_538]),
    ] {
        let connection = stand.connect_quic(b"doq").await.unwrap();
        assert_eq!(ask_quic(&connection, &octets).await, None, "{what}");
        assert_eq!(closed(&connection).await.error_code.into_inner(), 2, "{what}: DOQ_PROTOCOL_ERROR");
    }
    // Others do not notice, and whoever wants to speak something else does not come in.
    let connection = stand.connect_quic(b"doq").await.unwrap();
    assert!(ask_quic(&connection, &framed(0)).await.is_some());
    assert!(stand.connect_quic(b"h3").await.is_err());
}

/// PINGs keep a connection of QUIC awake for ever: that is no reason to keep it.
#[tokio::test]
async fn who_stays_awake_and_neither_asks_nor_takes_an_answer_is_left() {
    let stand = Stand::quic();
    let awake = |window: u32| {
        let mut transport = TransportConfig::default();
        transport.keep_alive_interval(Some(Duration::from_secs(1))).stream_receive_window(window.into());
        transport
    };
    let (silent, greedy) = tokio::join!(
        stand.connect_quic_with(b"doq", awake(1 << 16)),
        stand.connect_quic_with(b"doq", awake(0))
    );
    let (silent, greedy) = (silent.unwrap(), greedy.unwrap());
    let (mut send, mut receive) = greedy.open_bi().await.unwrap();
    send.write_all(&framed(0)).await.unwrap();
    send.finish().unwrap();
    let mut octet = [0];
    let (end, ended) = tokio::join!(closed(&silent), timeout(PATIENCE, receive.read(&mut octet)));
    assert_eq!(end.error_code.into_inner(), 0, "DOQ_NO_ERROR");
    let internal_error = Err(ReadError::Reset(VarInt::from_u32(1)));
    assert_eq!(ended.expect("open after 30 s"), internal_error, "DOQ_INTERNAL_ERROR");
}

#[tokio::test]
async fn quic_shows_another_certificate_to_who_comes_then() {
    let stand = Stand::quic();
    let before = stand.connect_quic(b"doq").await.unwrap();
    certificate(&stand.directory.path().join("localhost.pem"));
    assert!(stand.connect_quic(b"doq").await.is_err());
    let quic = vec!["127.0.0.1:0".parse().unwrap()];
    stand.door.set(&Private { quic, ..stand.wanted(&[], &[]) }).unwrap();
    stand.connect_quic(b"doq").await.unwrap();
    assert!(ask_quic(&before, &framed(0)).await.is_some());
    // Where it is closed, who is in is told so, and its place is free for who wants it back.
    let quic = vec![stand.at(Transport::Quic)];
    stand.door.set(&stand.wanted(&[], &[])).unwrap();
    assert_eq!(closed(&before).await.error_code.into_inner(), 0);
    assert_eq!(stand.door.obey(&Private { quic, ..stand.wanted(&[], &[]) }).await, Reply::Done);
    stand.connect_quic(b"doq").await.unwrap();
}

#[tokio::test]
async fn quic_has_as_many_connections_as_others_have() {
    let stand = Stand::quic();
    let mut connections = Vec::new();
    // Half of all seats are for one client: the one that was silent longest makes room, and addresses are proven by then.
    for _ in 0..130 {
        connections.push(stand.connect_quic(b"doq").await.unwrap());
    }
    closed(&connections[0]).await;
    let last = connections.last().unwrap();
    assert!(ask_quic(last, &framed(0)).await.is_some());
}

/// Takes all other seats of this machine for who waits for answers, and then one more; the seats, once there is one. That is so as
/// soon as one of those who came over a socket, `open` of them, need not be left in peace.
async fn crowd(stand: &Stand, open: usize) -> Vec<streams::Seat> {
    let client = "127.0.0.1".parse().unwrap();
    let (mut seats, mut answering) = (Vec::new(), Vec::new());
    for _ in open..streams::CONNECTIONS_OF_ONE_MOST {
        let seat = stand.door.room.seat(client, &stand.stop).unwrap();
        answering.push(seat.asking().is_whole());
        seats.push(seat);
    }
    let newcomer = async {
        loop {
            match stand.door.room.seat(client, &stand.stop) {
                Some(seat) => return seat,
                None => tokio::task::yield_now().await,
            }
        }
    };
    seats.push(timeout(PATIENCE, newcomer).await.expect("a question by half keeps its seat"));
    seats
}

#[tokio::test]
async fn who_has_asked_by_half_over_quic_makes_room() {
    let stand = Stand::quic();
    let connection = stand.connect_quic(b"doq").await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&framed(0)[..9]).await.unwrap();
    // Streams are taken in their order: with this answer the first one is being read.
    assert!(ask_quic(&connection, &framed(0)).await.is_some());
    let _seats = crowd(&stand, 1).await;
    assert_eq!(closed(&connection).await.error_code.into_inner(), 0, "DOQ_NO_ERROR: it did nothing wrong");
}

#[tokio::test]
async fn who_has_asked_by_half_over_https_makes_room() {
    let stand = Stand::new();
    stand.door.set(&stand.wanted(&[], &["127.0.0.1:0"])).unwrap();
    let mut stream = stand.connect(Transport::Https, b"http/1.1").await.unwrap();
    let head = "POST /dns-query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/dns-message\r\n\
                Content-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // This is said when the body is wanted.
    let mut said = [0; 25];
    timeout(PATIENCE, stream.read_exact(&mut said)).await.unwrap().unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&[0; 12]).await.unwrap();
    let _seats = crowd(&stand, 1).await;
    let mut rest = Vec::new();
    // How it ends is of no interest, only that it does.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("open after 30 s");
}

#[tokio::test]
async fn who_has_asked_by_half_over_tls_makes_room() {
    let stand = Stand::new();
    stand.door.set(&stand.wanted(&["127.0.0.1:0"], &[])).unwrap();
    let mut stream = stand.connect(Transport::Tls, b"dot").await.unwrap();
    // A question, and behind it a part of another: with the answer the part has been read as well.
    stream.write_all(&[framed(7), framed(8)[..9].to_vec()].concat()).await.unwrap();
    let mut answer = vec![0; framed(7).len() + 3];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert!(answer.ends_with(b"tls"));
    let _seats = crowd(&stand, 1).await;
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("open after 30 s");
    assert!(rest.is_empty());
}
