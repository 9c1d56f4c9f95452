//! The web server over real sockets, in front of a small application that does as it is told.

mod application;
mod files;
mod hostile;
mod limits;
mod passing;
mod protocol;
mod replacing;
mod several;
mod stand;
mod taking;
mod upgrade;

use std::io::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use stand::{Answer, Application, Stand, get};

#[tokio::test]
async fn a_file_comes_from_the_web_server_alone() {
    let stand = Stand::without_application().await;
    let answer = stand.ask(&get("/about.html")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, b"<p>about</p>");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("content-length"), Some("12"));
    assert_eq!(answer.header("server"), Some("wwwlab"));
    assert_eq!(answer.header("x-served-by"), Some("server"));
    assert_eq!(answer.header("x-request-id").map(str::len), Some(32));
    assert!(answer.header("server-timing").unwrap().starts_with("web;dur="));
    for name in ["date", "etag", "last-modified"] {
        assert!(answer.header(name).is_some(), "{name}");
    }

    let head = stand.ask(&get("/about.html").replace("GET", "HEAD")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some("12"));

    let post = stand.ask(&get("/about.html").replace("GET", "POST")).await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    stand.close_clean().await;
}

#[tokio::test]
async fn a_file_that_the_client_has_is_not_sent_again() {
    let stand = Stand::without_application().await;
    let first = stand.ask(&get("/about.html")).await;
    for (name, value) in [("If-None-Match", "etag"), ("If-Modified-Since", "last-modified")] {
        let condition = format!("{name}: {}\r\n\r\n", first.header(value).unwrap());
        let again = stand.ask(&get("/about.html").replace("\r\n\r\n", &format!("\r\n{condition}"))).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{name}");
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(again.header("content-type"), None);
    }
    std::fs::write(stand.site().join("about.html"), "changed").unwrap();
    let condition = format!("\r\nIf-None-Match: {}\r\n\r\n", first.header("etag").unwrap());
    let changed = stand.ask(&get("/about.html").replace("\r\n\r\n", &condition)).await;
    assert_eq!((changed.status, changed.body.as_slice()), (200, b"changed".as_slice()));
}

#[tokio::test]
async fn a_large_file_comes_whole() {
    let stand = Stand::without_application().await;
    let content: Vec<u8> = (0..=250).cycle().take(1_000_003).collect();
    std::fs::File::create(stand.site().join("large.bin")).unwrap().write_all(&content).unwrap();
    let answer = stand.ask(&get("/large.bin")).await;
    assert_eq!(answer.header("content-length"), Some("1000003"));
    assert!(answer.body == content);
}

#[tokio::test]
async fn a_directory_wants_its_slash() {
    let stand = Stand::without_application().await;
    let answer = stand.ask(&get("/docs?a=b")).await;
    assert_eq!((answer.status, answer.header("location")), (301, Some("/docs/?a=b")));
    assert_eq!(stand.ask(&get("/docs/")).await.body, b"docs");
}

#[tokio::test]
async fn what_is_not_in_the_site_is_not_given_away() {
    let stand = Stand::without_application().await;
    let cases = [
        ("/../secret", 400),
        ("/%2e%2e/secret", 400),
        ("/assets/%00", 400),
        ("/assets/nothing.css", 404),
        ("/assets/..%5c..%5csecret", 404),
        ("/.env", 404),
        ("/link", 502), // no file: the application, which is not there, would have to know it
    ];
    for (target, status) in cases {
        let answer = stand.ask(&get(target)).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(!answer.text().contains("top secret"), "{target}");
    }
    let answer = stand.ask(&get("/assets/nothing.css")).await;
    assert!(answer.text().contains("Component: <strong>web server</strong>"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn the_host_chooses_the_site() {
    let stand = Stand::without_application().await;
    let by_address = stand.ask(&get("/").replace("www.foobar.com", "127.0.0.1")).await;
    assert_eq!(by_address.status, 404);
    assert!(by_address.text().contains("No site 127.0.0.1 lives here; the one that does is www.foobar.com."));

    let alias = stand.ask(&get("/a?b").replace("www.foobar.com", "FooBar.com:8080")).await;
    let elsewhere = Some("http://www.foobar.com:8080/a?b");
    assert_eq!((alias.status, alias.header("location")), (301, elsewhere));
    let post = get("/a?b").replace("www.", "").replace("GET", "POST");
    assert_eq!(stand.ask(&post).await.status, 308);

    let none = stand.ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(none.status, 400);
    assert!(none.header("x-request-id").is_some());
    assert_eq!(stand.ask("GET / HTTP/1.0\r\n\r\n").await.status, 404);
    assert_eq!(
        stand.ask("TRACE / HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n\r\n").await.status,
        405
    );
    assert_eq!(
        stand.ask("OPTIONS * HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n\r\n").await.status,
        204
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_can_read_so() {
    let stand = Stand::without_application().await;
    let wide = get("/about.html").replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(100_000)));
    assert_eq!(stand.ask(&wide).await.status, 431);
}

#[tokio::test]
async fn one_connection_too_many_is_turned_away() {
    // Listens, and nobody answers: so the first connection stays at work.
    let paused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand = Stand::start(paused.local_addr().unwrap(), |config| config.max_connections = 1).await;
    let mut first = TcpStream::connect(stand.address()).await.unwrap();
    first.write_all(get("/").as_bytes()).await.unwrap();
    let _reached = paused.accept().await.unwrap();

    let second = stand.ask(&get("/")).await;
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")));
    assert_eq!(second.body.len().to_string(), second.header("content-length").unwrap());
    for name in ["date", "x-request-id", "x-served-by", "x-frame-options", "content-security-policy"] {
        assert!(second.header(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn closing_drains_what_is_open_and_counts_what_it_cut() {
    let application = Application::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let stand = Stand::before(application.address).await;
    // A browser opens connections before it needs them; this one is accepted before the next is.
    let mut unused = TcpStream::connect(stand.address()).await.unwrap();
    let mut idle = TcpStream::connect(stand.address()).await.unwrap();
    idle.write_all(get("/").replace("close", "keep-alive").as_bytes()).await.unwrap();
    let mut answered = [0; 12];
    idle.read_exact(&mut answered).await.unwrap();
    let address = stand.address();
    stand.close_clean().await;
    assert_eq!(unused.read(&mut [0]).await.unwrap(), 0);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());

    let paused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand = Stand::before(paused.local_addr().unwrap()).await;
    let mut waiting = TcpStream::connect(stand.address()).await.unwrap();
    waiting.write_all(get("/").as_bytes()).await.unwrap();
    // The request is on its way once the web server has connected.
    let _connected = paused.accept().await.unwrap();
    assert_eq!(stand.close().await, Closed { cut: 1 });
}

#[tokio::test]
async fn what_was_answered_is_told() {
    let mut stand = Stand::without_application().await;
    let answer = stand.ask(&get("/about.html?x")).await;
    stand.ask(&get("/")).await;
    let told = stand.told(2).await;
    let id = answer.header("x-request-id").unwrap();
    assert!(told[0].starts_with("127.0.0.1 GET www.foobar.com/about.html?x → 200 by file in "), "{told:?}");
    assert!(told[0].ends_with(&format!("({})", &id[..8])), "{told:?}");
    assert!(told[1].contains("GET www.foobar.com/ → 502 by web"), "{told:?}");
}

#[tokio::test]
async fn a_site_that_is_not_there_is_said_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = stand::config(&directory.path().join("nothing"), "127.0.0.1:9".parse().unwrap());
    let (journal, _told) = crate::ground::journal::journal();
    let error = Web::start(config, journal).await.unwrap_err();
    assert!(matches!(error, StartError::Site { .. }));
    assert!(error.to_string().contains("nothing cannot be opened; create it"));
}

#[test]
fn answers_are_read_right() {
    let answer = Answer::parse(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody");
    assert_eq!((answer.status, answer.header("a"), answer.text()), (200, Some("b"), "body"));
}
