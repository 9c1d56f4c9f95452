//! What is no request, or too much of one, over raw sockets, by section of RFC 9112: each is refused in words, and the
//! connection closed.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::interval;

use crate::ground::clock::Stopwatch;

use super::super::wire::Patience;
use super::stand::{Answer, Application, Stand, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn what_has_two_readings_is_refused_in_words() {
    let application = Application::echoing().await;
    let stand = Stand::before(application.address).await;
    let with = |field: &str| format!("POST / HTTP/1.1\r\nHost: www.foobar.com\r\n{field}\r\n\r\n");
    let cases = [
        ("§2.2", "GET / HTTP/1.1\nHost: www.foobar.com\n\n".to_owned()),
        ("§2.2", with("A: b\rc")),
        ("§2.2", with("A: b\nC: d")),
        ("§3", "GET  / HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n".to_owned()),
        ("§3", "GET /\r\n".to_owned()),
        ("§5", with("A : b")),
        ("§5", with("A(: b")),
        ("§5.2", with("A: b\r\n c")),
        ("§5.5", with("A: \0")),
        ("§6.1", with("Transfer-Encoding: chunked, gzip")),
        ("§6.1", "POST / HTTP/1.0\r\nHost: www.foobar.com\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        ("§6.3", with("Content-Length: 1\r\nTransfer-Encoding: chunked")),
        ("§6.3", with("Content-Length: 1\r\nContent-Length: 2")),
        ("§6.3", with("Content-Length: 1, 2")),
        ("§7.1", with("Transfer-Encoding: chunked\r\n\r\nx")),
        ("§7.1", with("Transfer-Encoding: chunked\r\n\r\n4\r\nwikipedia")),
        ("§7.1.1", with(&format!("Transfer-Encoding: chunked\r\n\r\n4;{}\r\nwiki", "x".repeat(500)))),
        ("§3.2", with("Host: www.foobar.com")),
        ("§3.2", "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("§3.2.2", "GET http://foobar.com/ HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n".to_owned()),
    ];
    for (section, request) in cases {
        // Nobody says that the connection closes; where the request was a whole one, a second one says so.
        let whole = section.starts_with("§3.2");
        let request = if whole { format!("{request}{}", get("/about.html")) } else { request };
        let answer = stand.ask(&request).await;
        assert_eq!(answer.status, 400, "{section}: {request:?}");
        assert!(answer.text().contains("Component: <strong>the request itself"), "{section}: {request:?}");
        assert_eq!(answer.header("x-request-id").map(str::len), Some(32));
        assert_eq!(answer.header("server"), Some("wwwlab"));
        assert!(answer.header("date").is_some());
        if !whole {
            assert_eq!(answer.header("connection"), Some("close"), "{section}: {request:?}");
        }
    }
    assert_eq!(application.requests(), 0, "nothing of it reached the application");
    stand.close_clean().await;
}

#[tokio::test]
async fn limits_have_their_statuses() {
    let stand = Stand::without_application().await;
    let field = |field: &str| get("/about.html").replace("\r\n\r\n", &format!("\r\n{field}\r\n\r\n"));
    for (status, request) in [
        (414, get(&format!("/{}", "x".repeat(9_000)))),
        (414, format!("GET /{}", "x".repeat(9_000))),
        (431, field(&format!("X: {}", "x".repeat(40_000)))),
        (431, field(&"X: y\r\n".repeat(100)[..598])),
        (501, field("Transfer-Encoding: gzip, chunked")),
        (505, get("/about.html").replace("HTTP/1.1", "HTTP/3.0")),
        (200, field(&format!("X: {}", "x".repeat(30_000)))),
        (200, field(&"X: y\r\n".repeat(98)[..586])),
    ] {
        let answer = stand.ask(&request).await;
        assert_eq!(answer.status, status, "{:?}", &request[..60.min(request.len())]);
    }
    let head = stand.ask(&field("Content-Length: x").replace("GET", "HEAD")).await;
    assert_eq!((head.status, head.body.len()), (400, 0), "an error to HEAD has no body");
    let json = stand.ask(&field("Accept: application/json\r\nContent-Length: x")).await;
    assert_eq!(json.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn a_refusal_comes_in_its_turn() {
    let application = Application::answering(OK).await;
    let stand = Stand::before(application.address).await;
    let one = get("/").replace("Connection: close\r\n", "");
    let said = stand.raw(&format!("{one}{one}GET / HTTP/1.1\r\nBad\r\n\r\n{one}")).await;
    let statuses: Vec<&str> =
        said.matches("HTTP/1.1 ").zip(said.split("HTTP/1.1 ").skip(1)).map(|(_, a)| &a[..3]).collect();
    assert_eq!(statuses, ["200", "200", "400"], "{said}");
    assert_eq!(application.requests(), 2);
}

#[tokio::test]
async fn whatever_the_cuts_the_requests_are_the_same() {
    let application = Application::echoing().await;
    let stand = Stand::before(application.address).await;
    let request =
        "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\n\r\n";
    let request = format!("{request}{}", get("/about.html"));
    let mut stream = TcpStream::connect(stand.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in request.bytes() {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 2, "{said}");
    assert!(said.ends_with("<p>about</p>"), "{said}");
}

#[tokio::test]
async fn a_request_for_another_protocol_that_is_not_spoken_is_a_request() {
    let stand = Stand::without_application().await;
    let upgrade = get("/about.html").replace("Connection: close", "Connection: Upgrade\r\nUpgrade: h2c");
    let said = stand.raw(&format!("{upgrade}{}", get("/docs/"))).await;
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 2, "{said}");
}

#[tokio::test]
async fn http_1_0_closes_unless_it_is_asked_not_to() {
    let application =
        Application::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
    let stand = Stand::before(application.address).await;
    let answer = stand.ask("GET / HTTP/1.0\r\nHost: www.foobar.com\r\n\r\n").await;
    assert_eq!((answer.status, answer.text()), (200, "ok"), "no chunks, and the end is the end");
    assert_eq!(answer.header("transfer-encoding"), None);
    let keep = "GET /about.html HTTP/1.0\r\nHost: www.foobar.com\r\nConnection: keep-alive\r\n\r\n";
    let said = stand.raw(&format!("{keep}GET /docs/ HTTP/1.0\r\nHost: www.foobar.com\r\n\r\n")).await;
    assert_eq!(said.matches(" 200 OK").count(), 2, "{said}");
    // Without a Host, it learns which site lives here.
    let none = stand.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert!(none.status == 404 && none.text().contains("the site that lives here is www.foobar.com"));
}

fn hasty(patience: &mut Patience) {
    *patience =
        Patience { idle: Duration::from_millis(30), head: Duration::from_millis(30), ..Patience::default() };
}

/// Slow is who pauses, and who sends a byte now and then.
#[tokio::test]
async fn slow_bodies_are_told() {
    let application = Application::echoing().await;
    let stand = Stand::start(application.address, |config| {
        config.patience.body = Duration::from_millis(50);
    })
    .await;
    for body in ["Content-Length: 900\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n384\r\nabc"] {
        let head = "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nAccept: application/json\r\n";
        let (mut reading, mut writing) = TcpStream::connect(stand.address()).await.unwrap().into_split();
        writing.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut said = Vec::new();
        reading.read_to_end(&mut said).await.unwrap();
        let answer = Answer::parse(&said);
        assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
        assert!(answer.text().contains("Nothing more of the request's body came for 50 ms."), "{body}");

        let (mut reading, mut writing) = TcpStream::connect(stand.address()).await.unwrap().into_split();
        writing.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let trickle = async {
            let mut pace = interval(Duration::from_millis(10));
            while writing.write_all(b"0").await.is_ok() {
                pace.tick().await;
            }
        };
        let mut said = vec![0; 12];
        tokio::select! {
            () = trickle => panic!("it was closed without a word"),
            read = reading.read_exact(&mut said) => drop(read.unwrap()),
        }
        assert_eq!(said, b"HTTP/1.1 408");
    }
}

#[tokio::test]
async fn slow_heads_are_told_and_idle_connections_closed() {
    let stand = Stand::start("127.0.0.1:9".parse().unwrap(), |config| hasty(&mut config.patience)).await;
    let mut slow = TcpStream::connect(stand.address()).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: www.fo").await.unwrap();
    let mut said = Vec::new();
    slow.read_to_end(&mut said).await.unwrap();
    let answer = Answer::parse(&said);
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    drop(slow);

    for first in ["", "\r\n", "P"] {
        let mut idle = TcpStream::connect(stand.address()).await.unwrap();
        idle.write_all(first.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        idle.read_to_end(&mut said).await.unwrap();
    }
    let kept = get("/about.html").replace("Connection: close\r\n", "");
    let said = stand.raw(&kept).await;
    assert!(said.contains(" 200 OK"), "it is closed when it has been idle: {said}");
    stand.close_clean().await;
}

/// Each answer is made at once, so that the connection never waits for anything but its next request.
#[tokio::test]
async fn a_connection_in_use_is_not_idle() {
    let patience = Patience { idle: Duration::from_secs(1), ..Patience::default() };
    let stand = Stand::start("127.0.0.1:9".parse().unwrap(), |config| config.patience = patience).await;
    let mut stream = TcpStream::connect(stand.address()).await.unwrap();
    let request = get("/about.html").replace("Connection: close\r\n", "");
    let since = Stopwatch::start();
    while since.elapsed() < 2 * patience.idle {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"<p>about</p>") {
            assert_ne!(stream.read_buf(&mut said).await.unwrap(), 0, "closed after {:?}", since.elapsed());
        }
    }
    // And then it is.
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_longest_idle_makes_room() {
    let paused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand = Stand::start(paused.local_addr().unwrap(), |config| config.max_connections = 2).await;
    // One waits for the application, which is at work; the other is idle.
    let mut working = TcpStream::connect(stand.address()).await.unwrap();
    working.write_all(get("/").as_bytes()).await.unwrap();
    let _reached = paused.accept().await.unwrap();
    let mut idle = TcpStream::connect(stand.address()).await.unwrap();
    for _ in 0..5 {
        assert_eq!(stand.ask(&get("/about.html")).await.status, 200);
    }
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "it was closed");
}

#[tokio::test]
async fn http_2_by_prior_knowledge_gets_the_same_answers() {
    let application = Application::echoing().await;
    let stand = Stand::before(application.address).await;
    let stream = TcpStream::connect(stand.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for (target, status, body) in [
        ("http://www.foobar.com/about.html", 200, "<p>about</p>"),
        ("http://www.foobar.com/assets/x", 404, "Component: <strong>web server"),
        ("http://127.0.0.1/", 404, "www.foobar.com"),
    ] {
        let request = hyper::Request::get(target).body(String::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{target}");
        assert_eq!(answer.headers()["server"], "wwwlab");
        let text = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&text).contains(body), "{target}");
    }
    let long = hyper::Request::get(format!("http://www.foobar.com/{}", "x".repeat(9_000)));
    let wide = hyper::Request::get("http://www.foobar.com/about.html");
    let wide = (0..101).fold(wide, |wide, number| wide.header(format!("x-{number}"), "y"));
    for (request, status) in [(long, 414), (wide, 431)] {
        let answer = sender.send_request(request.body(String::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status);
    }
    let request = hyper::Request::post("http://www.foobar.com/sign")
        .header("cookie", "a=b")
        .header("cookie", "c=d")
        .body("message=hello".to_owned())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert_eq!(text, "message=hello");
    assert!(application.asked(0).contains("\r\ncookie: a=b; c=d\r\n"), "{}", application.asked(0));
    stand.close_clean().await;
    assert!(connection.await.unwrap().is_ok(), "it was told to go");
}

/// A last answer whose reader is slow comes whole although the connection closes behind it.
#[tokio::test]
async fn a_slow_reader_gets_all_of_the_last_answer() {
    let stand = Stand::without_application().await;
    let length = 3_000_000;
    std::fs::write(stand.site().join("large.bin"), vec![b'x'; length]).unwrap();
    let mut stream = TcpStream::connect(stand.address()).await.unwrap();
    stream.write_all(get("/large.bin").as_bytes()).await.unwrap();
    let (mut piece, mut taken) = (vec![0; 1_000], Vec::new());
    loop {
        tokio::task::yield_now().await;
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        taken.extend_from_slice(&piece[..read]);
    }
    assert_eq!(Answer::parse(&taken).body.len(), length);
}

#[tokio::test]
async fn further_sites_have_files_and_no_application() {
    let application = Application::answering(OK).await;
    let blog = tempfile::tempdir().unwrap();
    std::fs::write(blog.path().join("index.html"), "blog").unwrap();
    let directory = blog.path().display().to_string();
    let stand = Stand::start(application.address, |config| {
        let further = super::FurtherSite::parse(&format!("blog.foobar.com,weblog.foobar.com={directory}"));
        config.further_site.push(further.unwrap());
    })
    .await;
    let at = |host: &str, target: &str| get(target).replace("www.foobar.com", host);
    assert_eq!(stand.ask(&at("www.foobar.com", "/")).await.text(), "ok");
    assert_eq!(stand.ask(&at("blog.foobar.com", "/")).await.text(), "blog");
    assert_eq!(stand.ask(&at("blog.foobar.com", "/guestbook")).await.status, 404);
    let alias = stand.ask(&at("weblog.foobar.com", "/x")).await;
    assert_eq!((alias.status, alias.header("location")), (301, Some("http://blog.foobar.com/x")));
    let unknown = stand.ask(&at("127.0.0.1", "/")).await;
    assert!(unknown.text().contains("those that do are www.foobar.com and blog.foobar.com"));
    assert_eq!(application.requests(), 1);
}

#[tokio::test]
async fn every_request_has_a_line_in_the_access_log() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let stand =
        Stand::start("127.0.0.1:9".parse().unwrap(), |config| config.access_log = Some(log.clone())).await;
    let named =
        get("/about.html").replace("\r\n\r\n", "\r\nUser-Agent: a\"b\x1b\r\nReferer: http://x/\r\n\r\n");
    assert_eq!(stand.ask(&named.replace('\x1b', "é")).await.status, 200);
    assert_eq!(stand.ask(&named).await.status, 400);
    stand.close_clean().await;
    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{text}");
    let end = "] \"GET /about.html HTTP/1.1\" 200 12 \"http://x/\" \"a\\\"b\\xc3\\xa9\"";
    assert!(lines[0].ends_with(end), "{text}");
    assert!(lines[1].contains("\"GET /about.html HTTP/1.1\" 400 "), "{text}");
}
