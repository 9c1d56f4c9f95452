//! An application that answers what could be read in two ways, or what only it can read.

use super::stand::{Application, Stand, get};

/// The whole of what comes to a client that asks with `method` and gets `answer` from the application.
async fn heard(method: &str, answer: &'static str) -> String {
    let application = Application::answering(answer).await;
    let stand = Stand::before(application.address).await;
    stand.raw(&get("/").replace("GET", method)).await
}

/// RFC 9112 §6.1, §6.3: a coding that was not asked for and is not undone here; a length that is none, or two.
#[tokio::test]
async fn an_answer_whose_body_is_uncertain_is_no_answer() {
    for (method, answer) in [
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\nConnection: close\r\n\r\nok"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    ] {
        let heard = heard(method, answer).await;
        assert!(heard.starts_with("HTTP/1.1 502 "), "{answer:?}: {heard}");
    }
}

/// RFC 9110 §8.6: the same length again is one length, and an answer that has no body has none.
#[tokio::test]
async fn a_length_is_passed_on_once() {
    for (method, answer, expected) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", Some("2")),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", Some("2")),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Some("5")),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", Some("5")),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", None),
    ] {
        let heard = heard(method, answer).await;
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.get(..12), answer.get(..12), "{answer:?}");
        let lengths: Vec<_> = head.lines().filter_map(|line| line.strip_prefix("Content-Length: ")).collect();
        assert_eq!(lengths, Vec::from_iter(expected), "{answer:?}");
        assert_eq!(body, if method == "GET" && expected.is_some() { "ok" } else { "" }, "{answer:?}");
    }
}

/// What follows an answer that has no body must not become the next one's answer, which may be somebody else's.
#[tokio::test]
async fn what_follows_an_answer_is_nobodys() {
    let poisoned = "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let application = Application::answering(poisoned).await;
    let stand = Stand::before(application.address).await;
    for _ in 0..10 {
        let answer = stand.ask(&get("/")).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    assert_eq!(application.connections(), 10, "none is used again");
}
