//! The web server over real sockets, in front of a small application that does as it is told.

mod stand;

use std::io::Write;
use std::time::Duration;

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
        let again = stand
            .ask(&get("/about.html").replace("\r\n\r\n", &format!("\r\n{condition}")))
            .await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{name}");
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(again.header("content-type"), None);
    }
    std::fs::write(stand.site().join("about.html"), "changed").unwrap();
    let condition = format!("\r\nIf-None-Match: {}\r\n\r\n", first.header("etag").unwrap());
    let changed = stand
        .ask(&get("/about.html").replace("\r\n\r\n", &condition))
        .await;
    assert_eq!(
        (changed.status, changed.body.as_slice()),
        (200, b"changed".as_slice())
    );
}

#[tokio::test]
async fn a_large_file_comes_whole() {
    let stand = Stand::without_application().await;
    let content: Vec<u8> = (0..=250).cycle().take(1_000_003).collect();
    std::fs::File::create(stand.site().join("large.bin"))
        .unwrap()
        .write_all(&content)
        .unwrap();
    let answer = stand.ask(&get("/large.bin")).await;
    assert_eq!(answer.header("content-length"), Some("1000003"));
    assert!(answer.body == content);
}

#[tokio::test]
async fn a_directory_wants_its_slash() {
    let stand = Stand::without_application().await;
    let answer = stand.ask(&get("/docs?a=b")).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (301, Some("/docs/?a=b"))
    );
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
    assert!(
        by_address
            .text()
            .contains("No site 127.0.0.1 lives here; the one that does is www.foobar.com.")
    );

    let alias = stand
        .ask(&get("/a?b").replace("www.foobar.com", "FooBar.com:8080"))
        .await;
    let elsewhere = Some("http://www.foobar.com:8080/a?b");
    assert_eq!((alias.status, alias.header("location")), (301, elsewhere));
    let post = get("/a?b").replace("www.", "").replace("GET", "POST");
    assert_eq!(stand.ask(&post).await.status, 308);

    let none = stand.ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(none.status, 400);
    assert!(none.header("x-request-id").is_some());
    assert_eq!(stand.ask("GET / HTTP/1.0\r\n\r\n").await.status, 404);
    assert_eq!(
        stand
            .ask("TRACE / HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n\r\n")
            .await
            .status,
        405
    );
    assert_eq!(
        stand
            .ask("OPTIONS * HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n\r\n")
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn the_home_page_is_the_applications() {
    let application = Application::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive\r\nServer: other\r\n\
         Server-Timing: app;dur=1.0, db;dur=0.5\r\nSet-Cookie: a=b\r\n\r\nhome",
    )
    .await;
    let stand = Stand::before(application.address).await;
    let answer = stand
        .ask(&get("/?q=1").replace(
            "\r\n\r\n",
            "\r\nX-Request-Id: mine\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n",
        ))
        .await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"home".as_slice()));
    assert_eq!(answer.header("server"), Some("wwwlab"));
    assert_eq!(answer.header("set-cookie"), Some("a=b"));
    assert_eq!(answer.header("via"), Some("1.1 wwwlab"));
    let timing = answer.header("server-timing").unwrap();
    assert!(
        timing.starts_with("web;dur=") && timing.ends_with(", app;dur=1.0, db;dur=0.5"),
        "{timing}"
    );

    let asked = application.asked(0);
    assert!(asked.starts_with("GET /?q=1 HTTP/1.1\r\n"), "{asked}");
    let id = answer.header("x-request-id").unwrap();
    for line in [
        "host: www.foobar.com",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: www.foobar.com",
        "x-forwarded-proto: http",
        "via: 1.1 wwwlab",
        &format!("x-request-id: {id}"),
    ] {
        assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line} in {asked}");
    }
    assert!(
        !asked.contains("10.0.0.1") && !asked.contains("connection:"),
        "{asked}"
    );

    let head = stand.ask(&get("/").replace("GET", "HEAD")).await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("4")));
    stand.close_clean().await;
}

#[tokio::test]
async fn the_connection_to_the_application_is_kept() {
    let application = Application::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let stand = Stand::before(application.address).await;
    for _ in 0..3 {
        assert_eq!(stand.ask(&get("/")).await.body, b"ok");
    }
    assert_eq!(application.connections(), 1);
}

#[tokio::test]
async fn bodies_go_through_both_ways() {
    let application = Application::echoing().await;
    let stand = Stand::before(application.address).await;
    let body = "message=hello";
    let post = format!(
        "POST /sign HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(stand.ask(&post).await.text(), body);
    let chunked = "POST /sign HTTP/1.1\r\nHost: www.foobar.com\r\nTransfer-Encoding: chunked\r\nConnection: close\
                   \r\n\r\n4\r\nwiki\r\n0\r\n\r\n";
    assert_eq!(stand.ask(chunked).await.text(), "4\r\nwiki\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let application = Application::echoing().await;
    let stand = Stand::before(application.address).await;
    let told = "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 1048577\r\n\r\n";
    assert_eq!(stand.ask(told).await.status, 413);
    assert_eq!(application.connections(), 0);

    let mut untold =
        String::from("POST / HTTP/1.1\r\nHost: www.foobar.com\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..17 {
        untold.push_str("10000\r\n");
        untold.push_str(&"x".repeat(0x1_0000));
        untold.push_str("\r\n");
    }
    let answer = stand.ask(&untold).await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
}

#[tokio::test]
async fn a_request_that_is_too_large_can_read_so() {
    let stand = Stand::without_application().await;
    let wide = get("/about.html").replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(100_000)));
    assert_eq!(stand.ask(&wide).await.status, 431);
}

#[tokio::test]
async fn an_application_that_is_gone_is_named() {
    let stand = Stand::without_application().await;
    let answer = stand.ask(&get("/")).await;
    assert_eq!(answer.status, 502);
    assert!(
        answer
            .text()
            .contains("Component: <strong>application server</strong>")
    );
    assert!(answer.text().contains("wwwlab start app"));
    let json = stand
        .ask(&get("/").replace("\r\n\r\n", "\r\nAccept: application/json\r\n\r\n"))
        .await;
    assert_eq!(json.header("content-type"), Some("application/problem+json"));
    // The files of the site do not need it.
    assert_eq!(stand.ask(&get("/about.html")).await.status, 200);
}

#[tokio::test]
async fn an_application_that_hangs_up_is_told_from_one_that_is_gone() {
    let application = Application::answering("").await;
    let stand = Stand::before(application.address).await;
    let answer = stand.ask(&get("/")).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("closed the connection before it answered"));

    let garbled = Application::answering("SSH-2.0-OpenSSH_9.2\r\n").await;
    let stand = Stand::before(garbled.address).await;
    let answer = stand.ask(&get("/")).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("not HTTP"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_not_completed() {
    let application =
        Application::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf")
            .await;
    let stand = Stand::before(application.address).await;
    let answer = stand.ask(&get("/")).await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("10"))
    );
    assert_eq!(answer.body, b"half");
}

#[tokio::test]
async fn a_stale_connection_is_replaced_but_nothing_is_sent_twice() {
    // Answers once per connection, then hangs up at the next request.
    let application = Application::answering_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let stand = Stand::before(application.address).await;
    assert_eq!(stand.ask(&get("/")).await.status, 200);
    assert_eq!(stand.ask(&get("/")).await.status, 200);
    assert_eq!((application.connections(), application.requests()), (2, 3));
    let post = "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    assert_eq!(stand.ask(post).await.status, 502);
    assert_eq!((application.connections(), application.requests()), (2, 4));
}

#[tokio::test]
async fn an_application_that_is_silent_is_told_from_a_client_that_is() {
    // Listens, and nobody accepts: as the operating system does for a paused process.
    let paused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand = Stand::start(paused.local_addr().unwrap(), |config| {
        config.app_timeout = Duration::from_millis(20);
    })
    .await;
    let answer = stand.ask(&get("/")).await;
    assert_eq!(answer.status, 504);
    assert!(answer.text().contains("did not answer within 20ms"));
    assert!(answer.text().contains("wwwlab resume app"));
    let small = "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    assert_eq!(stand.ask(small).await.status, 504);
}

#[tokio::test]
async fn one_connection_too_many_is_turned_away() {
    let application = Application::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let stand = Stand::start(application.address, |config| config.max_connections = 1).await;
    let mut first = TcpStream::connect(stand.address()).await.unwrap();
    first
        .write_all(get("/").replace("close", "keep-alive").as_bytes())
        .await
        .unwrap();
    let mut answered = [0; 12];
    first.read_exact(&mut answered).await.unwrap();
    assert_eq!(&answered, b"HTTP/1.1 200");

    let second = stand.ask(&get("/")).await;
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")));
    assert_eq!(
        second.body.len().to_string(),
        second.header("content-length").unwrap()
    );
}

#[tokio::test]
async fn closing_drains_what_is_open_and_counts_what_it_cut() {
    let application = Application::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let stand = Stand::before(application.address).await;
    // A browser opens connections before it needs them; this one is accepted before the next is.
    let mut unused = TcpStream::connect(stand.address()).await.unwrap();
    let mut idle = TcpStream::connect(stand.address()).await.unwrap();
    idle.write_all(get("/").replace("close", "keep-alive").as_bytes())
        .await
        .unwrap();
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
    assert!(
        told[0].starts_with("127.0.0.1 GET www.foobar.com/about.html?x → 200 by file in "),
        "{told:?}"
    );
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
    assert_eq!(
        (answer.status, answer.header("a"), answer.text()),
        (200, Some("b"), "body")
    );
}
