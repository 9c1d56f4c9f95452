//! What is the application's, passed on and back; and what is said when the application cannot.

use std::time::Duration;

use tokio::net::TcpListener;

use super::stand::{Application, Stand, Then, get};

#[tokio::test]
async fn the_home_page_is_the_applications() {
    let application = Application::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive\r\nServer: other\r\n\
         Server-Timing: app;dur=1.0, db;dur=0.5\r\nSet-Cookie: a=b\r\n\r\nhome",
    )
    .await;
    let stand = Stand::before(application.address).await;
    let answer = stand
        .ask(&get("/?q=1").replace("\r\n\r\n", "\r\nX-Request-Id: mine\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"))
        .await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"home".as_slice()));
    assert_eq!(answer.header("server"), Some("wwwlab"));
    assert_eq!(answer.header("set-cookie"), Some("a=b"));
    assert_eq!(answer.header("via"), Some("1.1 wwwlab"));
    let timing = answer.header("server-timing").unwrap();
    assert!(timing.starts_with("web;dur=") && timing.ends_with(", app;dur=1.0, db;dur=0.5"), "{timing}");

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
    assert!(!asked.contains("10.0.0.1") && !asked.contains("connection:"), "{asked}");

    let head = stand.ask(&get("/").replace("GET", "HEAD")).await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("4")));
    stand.close_clean().await;
}

/// RFC 7239 §5.1: where this request came in, not where all may.
#[tokio::test]
async fn a_server_that_listens_everywhere_says_where_it_was_asked() {
    let application = Application::echoing().await;
    let stand =
        Stand::start(application.address, |config| config.listen = vec!["0.0.0.0:0".parse().unwrap()]).await;
    stand.ask(&get("/")).await;
    let by = format!(";by=\"127.0.0.1:{}\";", stand.address().port());
    assert!(application.asked(0).contains(&by), "{}", application.asked(0));
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

/// RFC 9112 §9.5 and §9.6: the answer counts, although the request could not be sent to its end.
#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_body_is_passed_on() {
    let keeping = "HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nno page";
    let closing = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 7\r\n\r\nno page";
    let ways =
        [(Then::Closes, keeping), (Then::Closes, closing), (Then::Ends, closing), (Then::Stays, closing)];
    for (then, answer) in ways {
        for length in [100_000, 900_000] {
            let application = Application::answering_early(answer, then).await;
            let stand = Stand::before(application.address).await;
            for round in 0..20 {
                let answer = stand.ask(&post("/nosuch", length)).await;
                assert_eq!((answer.status, answer.text()), (404, "no page"), "{length}, round {round}");
            }
            assert_eq!(application.requests(), 20, "nothing is sent twice");
            stand.close_clean().await;
        }
    }
}

/// An answer that never came is still told from one that did.
#[tokio::test]
async fn an_application_that_closes_over_the_body_without_a_word_is_named() {
    let application = Application::answering_early("", Then::Closes).await;
    let stand = Stand::before(application.address).await;
    for _ in 0..20 {
        let answer = stand.ask(&post("/", 900_000)).await;
        assert_eq!(answer.status, 502);
        assert!(answer.text().contains("closed the connection before it answered"), "{}", answer.text());
    }
    assert_eq!(application.requests(), 20, "nothing is sent twice");
}

/// A POST of so many bytes, after which the connection closes.
fn post(target: &str, length: usize) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{}",
        "x".repeat(length)
    )
}

#[tokio::test]
async fn an_application_that_is_gone_is_named() {
    let stand = Stand::without_application().await;
    let answer = stand.ask(&get("/")).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("Component: <strong>application server</strong>"));
    assert!(answer.text().contains("wwwlab start app"));
    let json = stand.ask(&get("/").replace("\r\n\r\n", "\r\nAccept: application/json\r\n\r\n")).await;
    assert_eq!(json.header("content-type"), Some("application/problem+json"));
    // Whoever was sending something can read why nobody takes it.
    let upload = format!(
        "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 999999\r\n\r\n{}",
        "x".repeat(999_999)
    );
    let answer = stand.ask(&upload).await;
    assert_eq!((answer.status, answer.header("connection")), (502, Some("close")));
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
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("10")));
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
async fn an_application_that_is_silent_is_told_from_one_that_is_gone() {
    // Listens, and nobody accepts: as the operating system does for a paused process.
    let paused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand = Stand::start(paused.local_addr().unwrap(), |config| {
        config.app_timeout = Duration::from_millis(20);
    })
    .await;
    let answer = stand.ask(&get("/")).await;
    assert_eq!(answer.status, 504);
    assert!(answer.text().contains("did not answer within 20 ms."));
    assert!(answer.text().contains("wwwlab resume app"));
    let small = "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    assert_eq!(stand.ask(small).await.status, 504);
}
