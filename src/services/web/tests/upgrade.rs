//! A connection that goes over to another protocol (RFC 9110 §7.8): a WebSocket (RFC 6455), and what is none.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::stand::{Stand, get};
use crate::ground::channel::{Ask, Reply};
use crate::ground::service::Closed;

/// RFC 6455 §1.2, with its key and the answer to it.
const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// RFC 6455 §5.7: "Hello", masked as a client must, and not masked; and both closes.
const MASKED_HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
const HELLO: [u8; 7] = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
const MASKED_CLOSE: [u8; 6] = [0x88, 0x80, 1, 2, 3, 4];
const CLOSE: [u8; 2] = [0x88, 0x00];

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn hears(stream: &mut TcpStream, bytes: &[u8]) {
    let mut heard = vec![0; bytes.len()];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, bytes);
}

/// A client and an application that have gone over; each has sent something at once, behind its head.
async fn gone_over(stand: &Stand, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(stand.address()).await.unwrap();
    client.write_all(&[HANDSHAKE.as_bytes(), &MASKED_HELLO].concat()).await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    let asked = head(&mut app).await;
    for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="] {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line} in {asked}");
    }
    app.write_all(&[ACCEPTED.as_bytes(), &HELLO].concat()).await.unwrap();
    let answer = head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    for line in ["Connection: upgrade", "Upgrade: websocket", "Via: 1.1 wwwlab"] {
        assert!(answer.contains(&format!("\r\n{line}\r\n")), "{line} in {answer}");
    }
    hears(&mut client, &HELLO).await;
    hears(&mut app, &MASKED_HELLO).await;
    (client, app)
}

async fn before(change: impl FnOnce(&mut super::Config)) -> (TcpListener, Stand) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand = Stand::start(listener.local_addr().unwrap(), change).await;
    (listener, stand)
}

#[tokio::test]
async fn a_websocket_goes_through_until_both_have_closed() {
    let (listener, mut stand) = before(|_| {}).await;
    let (mut client, mut app) = gone_over(&stand, &listener).await;
    let Reply::Upstreams(states) = stand.order(Ask::Upstreams).await else { panic!() };
    assert_eq!(states[0].under_way, 1, "it counts as long as it is open");
    for _ in 0..100 {
        client.write_all(&MASKED_HELLO).await.unwrap();
        hears(&mut app, &MASKED_HELLO).await;
        app.write_all(&HELLO).await.unwrap();
        hears(&mut client, &HELLO).await;
    }
    client.write_all(&MASKED_CLOSE).await.unwrap();
    hears(&mut app, &MASKED_CLOSE).await;
    app.write_all(&CLOSE).await.unwrap();
    app.shutdown().await.unwrap();
    hears(&mut client, &CLOSE).await;
    // One direction has ended; the other has not.
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    client.write_all(b"last").await.unwrap();
    client.shutdown().await.unwrap();
    hears(&mut app, b"last").await;
    assert_eq!(app.read(&mut [0]).await.unwrap(), 0);
    assert!(stand.told(1).await[0].contains("GET www.foobar.com/chat → 101 by app"));
    stand.close_clean().await;
}

#[tokio::test]
async fn either_end_that_is_gone_takes_the_other_along() {
    let (listener, stand) = before(|_| {}).await;
    let (client, mut app) = gone_over(&stand, &listener).await;
    drop(client);
    assert_eq!(app.read(&mut [0]).await.unwrap(), 0);
    drop(app);
    let (mut client, app) = gone_over(&stand, &listener).await;
    app.set_zero_linger().unwrap();
    drop(app);
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
    drop(client);
    stand.close_clean().await;
}

#[tokio::test]
async fn a_tunnel_takes_a_seat_and_is_cut_and_counted_at_the_end() {
    let (listener, stand) = before(|config| config.max_connections = 1).await;
    let (mut client, mut app) = gone_over(&stand, &listener).await;
    assert_eq!(stand.ask(&get("/about.html")).await.status, 503, "the only seat is taken");
    client.write_all(&MASKED_HELLO).await.unwrap();
    hears(&mut app, &MASKED_HELLO).await;
    assert_eq!(stand.close().await, Closed { cut: 1 });
    assert_eq!(app.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_comes_is_closed() {
    let (listener, stand) = before(|config| config.app_idle_timeout = Duration::from_millis(30)).await;
    let (mut client, mut app) = gone_over(&stand, &listener).await;
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(app.read(&mut [0]).await.unwrap_or(0), 0);
    stand.close_clean().await;
}

#[tokio::test]
async fn a_large_message_waits_for_whoever_is_slow() {
    let (listener, stand) = before(|_| {}).await;
    let (mut client, mut app) = gone_over(&stand, &listener).await;
    let message: Vec<u8> = (0..=250).cycle().take(8 << 20).collect();
    let (sent, ()) = tokio::join!(client.write_all(&message), async {
        let mut heard = vec![0; message.len()];
        app.read_exact(&mut heard).await.unwrap();
        assert!(heard == message);
    });
    sent.unwrap();
}

#[tokio::test]
async fn an_application_that_stays_keeps_the_connection_for_the_next_request() {
    let (listener, stand) = before(|_| {}).await;
    let mut client = TcpStream::connect(stand.address()).await.unwrap();
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    for _ in 0..2 {
        head(&mut app).await;
        app.write_all(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
        assert!(head(&mut client).await.starts_with("HTTP/1.1 426 "));
        hears(&mut client, b"no").await;
        client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_gone_over_to() {
    let other = ACCEPTED.replace("Upgrade: websocket", "Upgrade: other");
    let h2c = HANDSHAKE.replace("websocket\r\n", "h2c\r\n");
    for (request, answer) in [(HANDSHAKE, other.as_str()), (&h2c, ACCEPTED), (&get("/"), ACCEPTED)] {
        let (listener, stand) = before(|_| {}).await;
        let mut client = TcpStream::connect(stand.address()).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let (mut app, _) = listener.accept().await.unwrap();
        let asked = head(&mut app).await;
        assert_eq!(asked.contains("upgrade"), request.contains("websocket\r\n"), "{asked}");
        app.write_all(answer.as_bytes()).await.unwrap();
        assert!(head(&mut client).await.starts_with("HTTP/1.1 502 "));
    }
}
