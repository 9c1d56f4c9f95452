//! How a request and its answer pass through, byte by byte: the test is the application, and the client.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::super::Member;
use super::stand::{Application, Stand, get};

/// A client's connection.
async fn client(stand: &Stand, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(stand.address()).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

/// What comes up to and with `end`.
async fn up_to(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(stream.read_u8().await.unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&text));
        }));
    }
    String::from_utf8(text).unwrap()
}

/// All that still comes, and how it ends.
async fn rest(stream: &mut TcpStream) -> (String, std::io::Result<()>) {
    let mut text = Vec::new();
    let ended = stream.read_to_end(&mut text).await;
    (String::from_utf8(text).unwrap(), ended.map(|_| ()))
}

const UPLOAD: &str = "POST /x HTTP/1.1\r\nHost: www.foobar.com\r\nTransfer-Encoding: chunked\r\n";

async fn application() -> (TcpListener, Stand) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand = Stand::before(listener.local_addr().unwrap()).await;
    (listener, stand)
}

#[tokio::test]
async fn an_answer_may_begin_before_its_request_has_ended() {
    let (listener, stand) = application().await;
    let mut client = client(&stand, &format!("{UPLOAD}\r\n3\r\none\r\n")).await;
    let (mut app, _) = listener.accept().await.unwrap();
    up_to(&mut app, "3\r\none\r\n").await;
    app.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nONE\r\n").await.unwrap();
    up_to(&mut client, "3\r\nONE\r\n").await;
    // Both go on side by side.
    client.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
    up_to(&mut app, "3\r\ntwo\r\n0\r\n\r\n").await;
    app.write_all(b"3\r\nTWO\r\n0\r\n\r\n").await.unwrap();
    let (last, ended) = rest(&mut client).await;
    assert_eq!((last.as_str(), ended.is_ok()), ("3\r\nTWO\r\n0\r\n\r\n", true));
}

#[tokio::test]
async fn a_body_waits_until_the_application_wants_it() {
    let (listener, stand) = application().await;
    let mut client = client(&stand, &format!("{UPLOAD}Expect: 100-continue\r\n\r\n")).await;
    let (mut app, _) = listener.accept().await.unwrap();
    let asked = up_to(&mut app, "\r\n\r\n").await;
    assert!(asked.contains("\r\nexpect: 100-continue\r\n"), "{asked}");
    app.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    assert_eq!(up_to(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"2\r\nhi\r\n0\r\n\r\n").await.unwrap();
    up_to(&mut app, "2\r\nhi\r\n0\r\n\r\n").await;
    app.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert!(up_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_asked_for() {
    let (listener, stand) = application().await;
    let mut client = client(&stand, &format!("{UPLOAD}Expect: 100-continue\r\n\r\n")).await;
    let (mut app, _) = listener.accept().await.unwrap();
    up_to(&mut app, "\r\n\r\n").await;
    app.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    let (answer, _) = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.ends_with("\r\n\r\nno"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

/// RFC 9110 §10.1.1: who is not told to go on may do so anyway.
#[tokio::test]
async fn an_application_that_cannot_say_go_on_gets_the_body_all_the_same() {
    let application = Application::echoing().await;
    let stand = Stand::before(application.address).await;
    let body = "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\
                Connection: close\r\n\r\nhi";
    let answer = stand.raw(body).await;
    assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
}

#[tokio::test]
async fn what_nobody_can_expect_is_417() {
    let stand = Stand::without_application().await;
    let answer = stand.ask(&get("/").replace("\r\n\r\n", "\r\nExpect: tea\r\n\r\n")).await;
    assert_eq!(answer.status, 417);
    assert!(answer.text().contains("Component: <strong>the request itself</strong>"));
}

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\nhalf";

/// A reset tells that nobody reads any more. Where it comes behind the end of what the client says, it answers what is
/// written to it.
#[tokio::test]
async fn a_client_that_is_gone_takes_its_request_along() {
    for (begun, is_reset) in [(&b""[..], true), (HALF, true), (HALF, false)] {
        let (listener, stand) = application().await;
        let mut client = client(&stand, &get("/").replace("close", "keep-alive")).await;
        let (mut app, _) = listener.accept().await.unwrap();
        up_to(&mut app, "\r\n\r\n").await;
        app.write_all(begun).await.unwrap();
        if !begun.is_empty() {
            up_to(&mut client, "half").await;
        }
        if is_reset {
            client.set_zero_linger().unwrap();
            drop(client);
        } else {
            drop(client);
            // It goes on for as long as that may be wanted: the second piece meets the reset that the first one caused.
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            while app.write_all(b"more").await.is_ok() {
                pace.tick().await;
            }
            continue;
        }
        assert_eq!(rest(&mut app).await.0, "", "the application hears of it");
    }
}

/// The reset comes while nothing is written, after the client had ended its side.
#[tokio::test]
async fn a_client_that_is_gone_is_found_while_the_application_pauses() {
    let (listener, stand) = application().await;
    let mut client = client(&stand, &get("/")).await;
    client.shutdown().await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    up_to(&mut app, "\r\n\r\n").await;
    app.write_all(HALF).await.unwrap();
    up_to(&mut client, "half").await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(rest(&mut app).await.0, "", "the application hears of it");
}

/// `printf … | nc -N`: who has said all may still hear (RFC 9112 §9.6 has a server close this way itself).
#[tokio::test]
async fn a_client_that_has_ended_its_side_gets_its_answer() {
    for request in
        [get("/"), get("/").replace("close", "keep-alive"), format!("{UPLOAD}\r\n2\r\nhi\r\n0\r\n\r\n")]
    {
        let (listener, stand) = application().await;
        let mut client = client(&stand, &request).await;
        client.shutdown().await.unwrap();
        let (mut app, _) = listener.accept().await.unwrap();
        up_to(&mut app, "\r\n\r\n").await;
        app.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await.unwrap();
        up_to(&mut client, "3\r\none\r\n").await;
        app.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
        let (last, ended) = rest(&mut client).await;
        assert_eq!((last.as_str(), ended.is_ok()), ("3\r\ntwo\r\n0\r\n\r\n", true));
        stand.close_clean().await;
    }
}

#[tokio::test]
async fn a_broken_answer_never_looks_whole() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let (listener, stand) = application().await;
        let mut client = client(&stand, &get("/").replace("HTTP/1.1", version)).await;
        let (mut app, _) = listener.accept().await.unwrap();
        up_to(&mut app, "\r\n\r\n").await;
        app.write_all(chunked.as_bytes()).await.unwrap();
        let head = up_to(&mut client, "\r\n\r\n").await.to_ascii_lowercase();
        drop(app);
        let (body, ended) = rest(&mut client).await;
        match version {
            // The last chunk is missing.
            "HTTP/1.1" => assert_eq!(body, "4\r\nhalf\r\n"),
            // Only the connection's end would say that it is whole.
            _ => assert!(!head.contains("length") && ended.is_err(), "{head}{body:?}{ended:?}"),
        }
    }
}

#[tokio::test]
async fn fields_behind_a_body_are_not_passed_on() {
    let (listener, stand) = application().await;
    let request = format!(
        "{UPLOAD}Trailer: X-Sum\r\nTE: trailers\r\nConnection: TE\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"
    );
    let mut client = client(&stand, &request).await;
    let (mut app, _) = listener.accept().await.unwrap();
    let asked = up_to(&mut app, "2\r\nhi\r\n0\r\n").await;
    assert!(!asked.contains("trailer"), "{asked}");
    assert_eq!(up_to(&mut app, "\r\n").await, "\r\n");
    app.write_all(
        b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n",
    )
    .await
    .unwrap();
    let head = up_to(&mut client, "\r\n\r\n").await;
    assert!(!head.to_ascii_lowercase().contains("trailer"), "{head}");
    assert_eq!(up_to(&mut client, "0\r\n\r\n").await, "2\r\nok\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_answer_without_a_body_leaves_the_connection_in_order() {
    let answers = [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 500\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ];
    let (listener, stand) = application().await;
    let mut client = TcpStream::connect(stand.address()).await.unwrap();
    let mut app = None;
    for (method, answer) in answers {
        let request = get("/").replace("GET", method).replace("close", "keep-alive");
        client.write_all(request.as_bytes()).await.unwrap();
        if app.is_none() {
            app = Some(listener.accept().await.unwrap().0);
        }
        let app = app.as_mut().unwrap();
        up_to(app, "\r\n\r\n").await;
        app.write_all(answer.as_bytes()).await.unwrap();
        let head = up_to(&mut client, "\r\n\r\n").await;
        assert_eq!(head.get(..12), answer.get(..12));
        // A 304 may say it or not (RFC 9110 §15.4.5).
        let says = method == "HEAD" && answer.contains("500");
        assert!(!says || head.contains("Content-Length: 500"), "{answer:?}: {head}");
    }
}

#[tokio::test]
async fn an_application_that_pauses_too_long_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand = Stand::start(listener.local_addr().unwrap(), |config| {
        config.app_idle_timeout = Duration::from_millis(20);
    })
    .await;
    let mut client = client(&stand, &get("/")).await;
    let (mut app, _) = listener.accept().await.unwrap();
    up_to(&mut app, "\r\n\r\n").await;
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    assert!(rest(&mut client).await.0.ends_with("half"));
    assert_eq!(rest(&mut app).await.0, "");
}

/// More connections wait for it than its machine keeps: further ones are not answered at all.
#[tokio::test]
async fn a_machine_that_takes_no_connection_is_told_from_an_application_that_is_silent() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let stand = Stand::start(address, |config| {
        config.app_connect_timeout = Duration::from_millis(20);
    })
    .await;
    let answer = stand.ask(&get("/")).await;
    assert_eq!(answer.status, 504);
    assert!(answer.text().contains("did not take a connection within 20 ms."), "{}", answer.text());

    // Nothing was sent, so another is asked, whatever it is.
    let other = Application::echoing().await;
    let stand = Stand::start(address, |config| {
        config.app_connect_timeout = Duration::from_millis(20);
        config.app.push(Member::from(other.address));
    })
    .await;
    let post = "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    assert_eq!(stand.ask(post).await.text(), "hi");
}
