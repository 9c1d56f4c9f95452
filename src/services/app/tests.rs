//! The application over real sockets, with a real database file.

mod lab;
mod members;
mod with_a_server;

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::lab::Lab;
use super::{App, AppError, Config, Sessions};
use crate::ground::event::Happened;
use crate::ground::journal::journal;
use crate::ground::service::{Closed, Service as _, causes};

#[tokio::test]
async fn the_home_page_counts_its_visits_and_tells_who_answered() {
    let lab = Lab::up().await;
    let first = lab.get("/").await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert!(first.body.contains(r#"class="counter">1<"#), "{}", first.body);
    assert_eq!(first.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(first.header("cache-control"), Some("no-store"));
    assert_eq!(first.header("x-served-by"), Some("web-01"));
    assert_eq!(first.header("x-request-id").unwrap().len(), 32);
    let timing = first.header("server-timing").unwrap();
    assert!(timing.starts_with("app;dur=") && timing.contains(", db;dur="), "{timing}");

    let headers = ["Via: 1.1 web (wwwlab)", "X-Forwarded-For: 192.0.2.10", "X-Request-Id: abc-123"];
    let second = lab.ask("GET /", &headers, "").await;
    assert!(second.body.contains(r#"class="counter">2<"#), "{}", second.body);
    for part in [
        "192.0.2.10",
        "asked for www.foobar.com",
        "127.0.0.1<wbr><span>:",
        "web (wwwlab)",
        "web-01, process",
        "version 1",
        "SQLite 3.",
        "guestbook.db",
    ] {
        assert!(second.body.contains(part), "{part} in {}", second.body);
    }
    assert_eq!(second.header("x-request-id"), Some("abc-123"));
    assert_eq!(second.header("x-served-by"), None, "the web server says it");
    lab.app.close().await;
}

#[tokio::test]
async fn what_was_signed_is_listed_as_text() {
    let lab = Lab::up().await;
    let signed = lab.post("name=+Ada+%3Cb%3E&message=%3Cscript%3E%0D%0A%F0%9F%A6%80+%D7%A9").await;
    assert_eq!(
        (signed.status, signed.header("location")),
        (303, Some("/guestbook#signed")),
        "{}",
        signed.body
    );
    for page in ["/guestbook", "/"] {
        let page = lab.get(page).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("Ada &lt;b&gt;</h3>"), "{}", page.body);
        assert!(page.body.contains("&lt;script&gt;<br>🦀 ש</p>"), "{}", page.body);
        assert!(page.body.contains("<time datetime=\"20"), "{}", page.body);
        assert!(!page.body.contains("<script"), "{}", page.body);
    }
    lab.app.close().await;
}

#[tokio::test]
async fn a_form_that_is_wrong_comes_back_filled_in() {
    let lab = Lab::up().await;
    let refused = lab.post("name=+&message=Hello+%22%3E%3C%2Ftextarea%3E").await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("The name is empty."), "{}", refused.body);
    assert!(!refused.body.contains("None"), "what is right has no problem: {}", refused.body);
    assert!(refused.body.contains("Hello &quot;&gt;&lt;"), "{}", refused.body);
    assert_eq!(lab.post("").await.status, 422);
    let long = lab.post(&format!("name={}&message={}", "x".repeat(81), "y".repeat(65537))).await;
    assert_eq!(long.status, 422);
    assert!(long.body.contains("81 characters; 80 are") && long.body.contains("65537 bytes; 65536 are"));
    assert!(lab.get("/guestbook").await.body.contains("Nobody has signed yet"));
    lab.app.close().await;
}

#[tokio::test]
async fn bodies_have_a_limit_and_a_type() {
    let lab = Lab::up().await;
    for length in [512 * 1024 + 1, 900 * 1024] {
        let refused = lab.post(&"x".repeat(length)).await;
        assert_eq!(refused.status, 413, "{length}");
        assert!(refused.body.contains("524288 bytes"), "{}", refused.body);
    }
    assert_eq!(lab.post(&"x".repeat(512 * 1024)).await.status, 422);
    let refused = lab.ask("POST /guestbook", &["Content-Type: text/plain"], "name=a&message=b").await;
    assert_eq!(refused.status, 415, "{}", refused.body);
    lab.app.close().await;
}

#[tokio::test]
async fn what_is_not_there_is_explained() {
    let lab = Lab::up().await;
    let absent = lab.get("/nowhere/'a&b'?x=1").await;
    assert_eq!(absent.status, 404);
    assert!(absent.body.contains("no page /nowhere/&#39;a&amp;b&#39;."), "{}", absent.body);
    let policy = absent.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; img-src 'self'; style-src 'sha256-"), "{policy}");
    let refused = lab.ask("POST /", &["Content-Type: text/plain"], "x").await;
    assert_eq!(refused.status, 405);
    assert!(refused.header("allow").unwrap().contains("GET"), "{}", refused.head);
    let json = lab.ask("GET /nowhere", &["Accept: application/json"], "").await;
    assert_eq!(json.header("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!((&problem["status"], &problem["component"]), (&404.into(), &"application".into()));
    assert_eq!(problem["request_id"].as_str(), json.header("x-request-id"));
    lab.app.close().await;
}

#[tokio::test]
async fn an_answer_that_does_not_need_the_body_can_still_be_read() {
    let lab = Lab::up().await;
    for (path, status) in [("/nosuch", 404), ("/", 405), ("/healthz", 405)] {
        for length in [100_000, 1_000_000, 1024 * 1024] {
            let body = "x".repeat(length);
            for round in 0..20 {
                let mut stream = lab.connect().await;
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                for piece in body.as_bytes().chunks(4096) {
                    // The application has its turn between two pieces: it could answer and close.
                    tokio::task::yield_now().await;
                    stream.write_all(piece).await.unwrap();
                }
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status} ")),
                    "{path}, {length} bytes, round {round}: {answer}"
                );
            }
        }
    }
    lab.app.close().await;
}

#[tokio::test]
async fn after_an_unwanted_body_the_connection_goes_on() {
    let lab = Lab::up().await;
    let mut stream = lab.connect().await;
    let post =
        format!("POST /nosuch HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n{}", "x".repeat(300_000));
    stream.write_all(post.as_bytes()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 404 ") && answers.ends_with("\r\n\r\nok\n"), "{answers}");
    lab.app.close().await;
}

#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_not_asked_for_in_vain() {
    let lab = Lab::up().await;
    let mut stream = lab.connect().await;
    let head = "POST /nosuch HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    lab.app.close().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let lab = Lab::up().await;
    for path in ["/guestbook", "/healthz", "/nowhere"] {
        let (get, head) = (lab.get(path).await, lab.ask(&format!("HEAD {path}"), &[], "").await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""));
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert_eq!(head.header("content-length"), get.header("content-length"));
    }
    lab.app.close().await;
}

#[tokio::test]
async fn without_its_database_the_application_lives_and_recovers() {
    let lab = Lab::up().await;
    let withheld = lab.withhold().await;
    assert_eq!(lab.get("/healthz").await.body, "ok\n");
    let (home, ready, json) = tokio::join!(
        lab.get("/"),
        lab.get("/readyz"),
        lab.ask("GET /guestbook", &["Accept: application/json"], "")
    );
    for refused in [&home, &ready, &json] {
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert!(home.body.contains("<strong>database</strong>"), "{}", home.body);
    assert!(home.body.contains("wwwlab start db"), "{}", home.body);
    let problem: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(problem["component"], "database");
    assert_eq!(lab.post("name=Ada&message=lost").await.status, 503);
    withheld.close().await;

    assert_eq!(lab.get("/readyz").await.body, "ready\n");
    assert_eq!(lab.get("/").await.status, 200);
    assert!(lab.get("/guestbook").await.body.contains("Nobody has signed yet"));
    lab.app.close().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_made_is_a_503_until_it_can() {
    let lab = Lab::up().await;
    let obstacle = lab.directory.path().join("state");
    std::fs::write(&obstacle, "a file where a directory should be").unwrap();
    let refused = lab.get("/").await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("Cannot create the database"), "{}", refused.body);
    std::fs::remove_file(&obstacle).unwrap();
    assert_eq!(lab.get("/").await.status, 200);
    lab.app.close().await;
}

#[tokio::test]
async fn the_journal_tells_each_request_and_what_becomes_of_the_database() {
    let mut lab = Lab::up().await;
    lab.ask("GET /?from=here", &["X-Request-Id: abc"], "").await;
    std::fs::remove_dir_all(lab.directory.path().join("state")).unwrap();
    std::fs::write(lab.directory.path().join("state"), "").unwrap();
    lab.get("/readyz").await;
    lab.get("/").await;
    std::fs::remove_file(lab.directory.path().join("state")).unwrap();
    lab.get("/").await;
    lab.app.close().await;

    let mut batch = Vec::new();
    while lab.told.hear(&mut batch, usize::MAX).await {}
    let requests: Vec<_> = batch
        .iter()
        .filter_map(|(_, happened)| match happened {
            Happened::Request { by, status, .. } => Some((by.as_str(), *status)),
            _ => None,
        })
        .collect();
    assert_eq!(requests.first(), Some(&("home", 200)), "{batch:?}");
    assert_eq!(requests.last(), Some(&("home", 200)), "{batch:?}");
    assert!(requests.contains(&("home", 503)), "{batch:?}");
    assert!(
        matches!(
            batch.iter().map(|(_, what)| what).find(|what| matches!(what, Happened::Request { .. })).unwrap(),
            Happened::Request { method, host, target, id, bytes: Some(1..), .. }
                if method == "GET" && host == "www.foobar.com" && target == "/?from=here" && id == "abc"
        ),
        "{batch:?}"
    );
    let notes = |start: &str| {
        batch
            .iter()
            .filter(|(_, happened)| matches!(happened, Happened::Note { text } if text.starts_with(start)))
            .count()
    };
    assert_eq!(notes("pages that need the database say 503"), 1, "{batch:?}");
    assert_eq!(notes("the database answers again"), 1, "{batch:?}");
}

#[tokio::test]
async fn several_requests_may_follow_on_one_connection() {
    let lab = Lab::up().await;
    let mut stream = lab.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok\n") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
    }
    // An idle connection is closed, not cut.
    assert_eq!(lab.app.close().await, Closed { cut: 0 });
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn who_has_ended_its_side_still_gets_its_answer() {
    let lab = Lab::up().await;
    let mut stream = lab.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("</html>"), "{answer}");
    lab.app.close().await;
}

#[tokio::test]
async fn closing_refuses_new_connections_and_cuts_what_does_not_end() {
    let lab = Lab::up().await;
    let address = lab.app.listening()[0].address;
    let mut stalled = lab.connect().await;
    let head = "POST /guestbook HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    stalled.write_all(head.as_bytes()).await.unwrap();
    // The application asks for the body, so it is in the middle of the request.
    let mut interim = Vec::new();
    while !interim.ends_with(b"\r\n\r\n") {
        assert!(stalled.read_buf(&mut interim).await.unwrap() > 0);
    }
    assert_eq!(lab.app.close().await, Closed { cut: 1 });
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_locked_database_does_not_keep_the_application_from_closing() {
    let lab = Lab::up().await;
    let withheld = lab.withhold().await;
    let mut waiting = lab.connect().await;
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // Answered in the same thread, so the request before it has begun.
    lab.get("/healthz").await;
    assert_eq!(lab.app.close().await, Closed { cut: 1 });
    withheld.close().await;
}

#[tokio::test]
async fn what_prevents_a_start_is_named() {
    let lab = Lab::up().await;
    let config = |listen, code: &Path| Config {
        listen,
        code: code.to_owned(),
        database: Some(lab.database()),
        database_url_file: None,
        sessions: Sessions::default(),
        trusted_proxy: Vec::new(),
        served_by: "web-01".into(),
    };
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("app");
    let taken = lab.app.listening()[0].address;
    let refused = App::start(config(taken, &code), journal().0).await.unwrap_err();
    assert!(matches!(refused, AppError::Bind(_)));
    assert!(causes(&refused).join(": ").contains(&taken.port().to_string()));
    let refused = App::start(config("127.0.0.1:0".parse().unwrap(), lab.directory.path()), journal().0).await;
    let refused = causes(&refused.unwrap_err()).join(": ");
    assert!(refused.contains("/VERSION"), "{refused}");
    lab.app.close().await;
}
