//! Clients that ask and do not take what they get, or only slowly.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::interval;

use super::super::wire::Patience;
use super::stand::{Answer, Application, Stand, get};

fn impatient(answer: Duration) -> Patience {
    Patience { answer, ..Patience::default() }
}

/// A connection of HTTP/2 that takes so many bytes of each answer before it asks for more.
async fn http2(stand: &Stand, window: u32) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(stand.address()).await.unwrap();
    let mut builder = Builder::new(TokioExecutor::new());
    let (sender, connection) =
        builder.initial_stream_window_size(window).handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn asks(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://www.foobar.com{path}")).body(Empty::new()).unwrap()
}

/// RFC 9113 §6.9.2: a window of nothing is allowed, and is no way to hold an answer for ever.
#[tokio::test]
async fn a_stream_whose_answer_is_not_taken_is_reset() {
    let application = Application::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let patience = impatient(Duration::from_millis(50));
    let stand = Stand::start(application.address, |config| config.patience = patience).await;
    let mut sender = http2(&stand, 0).await;
    for path in ["/", "/about.html"] {
        let answer = sender.send_request(asks(path)).await.unwrap();
        assert_eq!(answer.status(), 200);
        // The library of this client opens no window that was closed from the start.
        let ended = answer.into_body().collect().await.unwrap_err();
        assert!(ended.is_closed() || format!("{ended:?}").contains("CANCEL"), "{path}: {ended:?}");
    }
    // Only the streams ended.
    assert_eq!(sender.send_request(asks("/assets/no")).await.unwrap().status(), 404);
    drop(sender);
    stand.close_clean().await;
}

/// Streams are many, places of the application few: one connection takes no more than its share, and nobody else's.
#[tokio::test]
async fn further_answers_of_a_connection_share_their_places() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand = Stand::start(silent.local_addr().unwrap(), |config| config.max_connections = 4).await;
    let sender = http2(&stand, 65_535).await;
    let asking: Vec<_> = (0..3)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move { sender.send_request(asks("/")).await.unwrap().status() })
        })
        .collect();
    // The connection's own, and the one further that there is with four connections.
    let (first, _) = silent.accept().await.unwrap();
    let (second, _) = silent.accept().await.unwrap();
    // Another connection's first needs no further place; by when it is answered, the third had its chance.
    assert_eq!(stand.ask(&get("/about.html")).await.status, 200);
    let mut third = Box::pin(silent.accept());
    assert!(futures_util::poll!(&mut third).is_pending());
    drop((first, second));
    drop(third.await.unwrap());
    drop(silent);
    for asked in asking {
        assert_eq!(asked.await.unwrap(), 502);
    }
}

/// A client that takes all the time what comes, slowly, gets all of it, though what the kernel holds for it takes longer
/// than it may take to take anything.
#[tokio::test]
async fn a_slow_but_steady_reader_gets_it_all() {
    let patience = impatient(Duration::from_millis(1_200));
    let stand = Stand::start("127.0.0.1:9".parse().unwrap(), |config| config.patience = patience).await;
    // More than the kernel holds.
    let length = 20_000_000;
    std::fs::write(stand.site().join("large.bin"), vec![b'x'; length]).unwrap();
    let mut stream = TcpStream::connect(stand.address()).await.unwrap();
    stream.write_all(get("/large.bin").as_bytes()).await.unwrap();
    let (mut piece, mut taken) = (vec![0; 6_000], Vec::new());
    // This is what is tested: a pace, for a part of it.
    let mut pace = interval(Duration::from_millis(20));
    loop {
        if taken.len() < 1_500_000 {
            pace.tick().await;
        }
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        taken.extend_from_slice(&piece[..read]);
    }
    assert_eq!(Answer::parse(&taken).body.len(), length);
}

/// `printf … | nc -N`: the client has said all, and reads.
#[tokio::test]
async fn who_has_ended_its_side_gets_a_file_whole() {
    let stand = Stand::without_application().await;
    let length = 8_000_000;
    std::fs::write(stand.site().join("large.bin"), vec![b'x'; length]).unwrap();
    for (request, length) in
        [(get("/large.bin"), length), (get("/about.html").replace("close", "keep-alive"), 12)]
    {
        let mut stream = TcpStream::connect(stand.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut taken = Vec::new();
        stream.read_to_end(&mut taken).await.unwrap();
        assert_eq!(Answer::parse(&taken).body.len(), length);
    }
    stand.close_clean().await;
}
