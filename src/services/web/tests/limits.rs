//! What a client may not do with HTTP/2 (RFC 9113), over raw sockets; and one that does not take its answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::wire::Patience;
use super::stand::{Application, Stand, get};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// On the flags of a SETTINGS frame.
const ACK: u8 = 1;
/// A head that is whole, without a body: END_STREAM and END_HEADERS.
const WHOLE: u8 = 5;

const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The first byte of a field block that begins with `:status: 200` (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;

/// RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET target` of the site, in HPACK without any compression but that of the static table.
fn asking(target: &str) -> Vec<u8> {
    let word = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x82, 0x86, 0x04], word(target), vec![0x01], word("www.foobar.com")].concat()
}

/// A connection that speaks HTTP/2 by hand.
struct Speaker(TcpStream);

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// Four bytes of the payload: an error code.
    fn code(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

impl Speaker {
    /// Says who it is, and has heard the server's settings.
    async fn to(stand: &Stand) -> Self {
        let mut speaker = Self(TcpStream::connect(stand.address()).await.unwrap());
        speaker.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        speaker.say(&frame(SETTINGS, 0, 0, b"")).await;
        let settings = speaker.hear().await.unwrap();
        assert_eq!((settings.kind, settings.flags), (SETTINGS, 0));
        speaker.say(&frame(SETTINGS, ACK, 0, b"")).await;
        speaker
    }

    /// A connection that was closed meanwhile is not the failure of whoever speaks.
    async fn say(&mut self, frames: &[u8]) {
        let _ = self.0.write_all(frames).await;
    }

    /// The next frame; nothing at the connection's end.
    async fn hear(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The next frame of this kind.
    async fn hear_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.hear().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}

/// §5.1.2: one stream too many is refused, and so safe to ask again; those before it go on.
#[tokio::test]
async fn more_streams_than_there_may_be_are_refused() {
    let paused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // A quarter of the connections are the places for answers beside a connection's first: more than there are streams.
    let stand = Stand::start(paused.local_addr().unwrap(), |config| config.max_connections = 512).await;
    let mut speaker = Speaker::to(&stand).await;
    for number in 0..=100 {
        speaker.say(&frame(HEADERS, WHOLE, 2 * number + 1, &asking("/slow"))).await;
    }
    let refused = speaker.hear_of(RST_STREAM).await.unwrap();
    assert_eq!((refused.stream, refused.code(0)), (201, REFUSED_STREAM));
    // One of the hundred is given up: there is room for another.
    speaker.say(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await;
    speaker.say(&frame(HEADERS, WHOLE, 203, &asking("/about.html"))).await;
    let answer = speaker.hear_of(HEADERS).await.unwrap();
    assert_eq!((answer.stream, answer.payload[0]), (203, STATUS_200));
}

/// CVE-2023-44487: who asks and takes it back, again and again, has the server work for nothing.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let stand = Stand::without_application().await;
    let mut speaker = Speaker::to(&stand).await;
    let mut flood = Vec::new();
    for number in 0..1_000 {
        let stream = 2 * number + 1;
        flood.extend(frame(HEADERS, WHOLE, stream, &asking("/about.html")));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    speaker.say(&flood).await;
    let farewell = speaker.hear_of(GOAWAY).await.expect("it is told why");
    assert_eq!(farewell.code(4), ENHANCE_YOUR_CALM);
    assert!(speaker.hear_of(HEADERS).await.is_none(), "and closed");
    assert_eq!(stand.ask(&get("/about.html")).await.status, 200, "nobody else notices");
}

/// §6.5.2: a field of the dynamic table costs one byte to say again, and all of its length to whoever reads it.
#[tokio::test]
async fn a_field_list_that_grows_as_it_is_read_is_refused() {
    let application = Application::echoing().await;
    let stand = Stand::before(application.address).await;
    let mut speaker = Speaker::to(&stand).await;
    // A literal with incremental indexing (RFC 7541 §6.2.1): a value of 3,900 bytes, its length in three.
    let long = [&[0x40, 1, b'x', 0x7f, 0xbd, 0x1d][..], &[b'a'; 3_900]].concat();
    let many = [asking("/"), long.clone(), vec![0xbe; 12]].concat();
    speaker.say(&frame(HEADERS, WHOLE, 1, &many)).await;
    let answer = speaker.hear_of(HEADERS).await.unwrap();
    assert_ne!(answer.payload[0], STATUS_200);
    assert_eq!(application.requests(), 0);
    speaker.say(&frame(HEADERS, WHOLE, 3, &asking("/about.html"))).await;
    let answer = speaker.hear_of(HEADERS).await.unwrap();
    assert_eq!((answer.stream, answer.payload[0]), (3, STATUS_200), "the connection goes on");
    // So much is no mistake any more: it is not even read to its end.
    let far_too_many = [asking("/"), long, vec![0xbe; 1_000]].concat();
    speaker.say(&frame(HEADERS, WHOLE, 5, &far_too_many)).await;
    assert!(speaker.hear_of(GOAWAY).await.is_some());
    assert!(speaker.hear().await.is_none());
    assert_eq!(application.requests(), 0);
}

#[tokio::test]
async fn who_does_not_take_an_answer_is_left() {
    let patience = Patience { answer: Duration::from_millis(100), ..Patience::default() };
    let stand = Stand::start("127.0.0.1:9".parse().unwrap(), |config| config.patience = patience).await;
    // Larger than what the kernel holds for a client that does not read.
    std::fs::write(stand.site().join("large.bin"), vec![b'x'; 20_000_000]).unwrap();
    let mut client = TcpStream::connect(stand.address()).await.unwrap();
    client.write_all(get("/large.bin").as_bytes()).await.unwrap();
    let mut said = [0; 12];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"HTTP/1.1 200");
    // Closing waits for whoever is served: here, until it is no longer.
    stand.close_clean().await;
    let mut taken = Vec::new();
    let _ = client.read_to_end(&mut taken).await;
    assert!(taken.len() < 20_000_000, "{}", taken.len());
}
