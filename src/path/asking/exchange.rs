//! The request and its answer over one connection: HTTP/1.1 (RFC 9112), with a trace of its own (W3C Trace Context).

use std::error::Error as _;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{Target, Trouble};
use crate::ground::clock::Stopwatch;
use crate::path::model::Exchange;

/// Longer than the web server waits for its application (`app_timeout`), unless that was set higher.
const HEAD_WITHIN: Duration = Duration::from_secs(15);

/// The whole body.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of a body that are taken; a page has fewer, and a file says enough with so many.
const BODY_MOST: u64 = 64 << 20;

/// Headers of an answer that are kept, and characters of each.
const HEADERS_MOST: usize = 64;
const HEADER_LONGEST: usize = 1024;

/// Asks for `target` over `stream`, a connection or what is sealed in one, under `trace`.
pub(super) async fn exchange<S>(stream: S, target: &Target, trace: &str) -> Result<Exchange, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let watch = Stopwatch::start();
    let malformed = |error: hyper::Error| trouble(&error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(malformed)?;
    let request = request(target, trace)?;
    let request_headers = shown(request.headers());
    let talk = async {
        let send_micros = watch.micros();
        let response = sender.send_request(request);
        let response = timeout(HEAD_WITHIN, response).await.map_err(|_elapsed| silent(HEAD_WITHIN))?;
        let response = response.map_err(malformed)?;
        let wait_micros = watch.micros() - send_micros;
        let status = response.status();
        let response_headers = shown(response.headers());
        let body = receive(response);
        let body_bytes = timeout(BODY_WITHIN, body).await.map_err(|_elapsed| silent(BODY_WITHIN))??;
        Ok(Exchange {
            method: Method::GET.as_str().into(),
            target: target.path.clone(),
            request_headers,
            status: status.as_u16(),
            reason: status.canonical_reason().unwrap_or_default().into(),
            response_headers,
            body_bytes,
            send_micros,
            wait_micros,
            receive_micros: watch.micros() - send_micros - wait_micros,
        })
    };
    tokio::pin!(talk);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        told = &mut talk => told,
        // The connection is driven beside the request; when it ends first, the request says how.
        _ = &mut connection => talk.await,
    }
}

fn request(target: &Target, trace: &str) -> Result<Request<Empty<Bytes>>, Trouble> {
    let span = trace.get(16..).unwrap_or_default();
    Request::builder()
        .uri(&target.path)
        .header(HOST, target.host_and_port())
        .header(USER_AGENT, concat!("wwwlab/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "text/html, */*;q=0.8")
        .header(CONNECTION, "close")
        .header("traceparent", format!("00-{trace}-{span}-01"))
        .body(Empty::new())
        .map_err(|error| Trouble::Malformed(error.to_string()))
}

/// Takes the body; how many bytes it has.
async fn receive(response: Response<Incoming>) -> Result<u64, Trouble> {
    let mut body = response.into_body();
    let mut bytes = 0_u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| trouble(&error))?;
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > BODY_MOST {
            return Err(Trouble::Malformed(format!("the answer has more than {BODY_MOST} bytes")));
        }
    }
    Ok(bytes)
}

fn silent(limit: Duration) -> Trouble {
    Trouble::Silent(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
}

/// What an error of hyper's is on the wire.
pub fn trouble(error: &hyper::Error) -> Trouble {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(Trouble::of) {
        Some(trouble @ (Trouble::Reset | Trouble::Closed)) => trouble,
        _ if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => Trouble::Closed,
        _ => Trouble::Malformed(error.to_string()),
    }
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = headers.iter().take(HEADERS_MOST).map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).chars().take(HEADER_LONGEST).collect();
        (name.as_str().to_owned(), value)
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// What comes of an answer of these bytes, after which the server ends the connection, or resets it.
    async fn answered(answer: &[u8], resets: bool) -> Result<Exchange, Trouble> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Target::read(&format!("http://{address}/page"), 80, 443).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer).await.unwrap();
            if resets {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(stream);
            String::from_utf8(asked[..length].to_vec()).unwrap()
        };
        let ask = async {
            let stream = TcpStream::connect(address).await.unwrap();
            exchange(stream, &target, "4bf92f3577b34da6a3ce929d0e0e4736").await
        };
        let (asked, told) = tokio::join!(serve, ask);
        assert!(asked.starts_with("GET /page HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("00-4bf92f3577b34da6a3ce929d0e0e4736-a3ce929d0e0e4736-01\r\n"), "{asked}");
        told
    }

    #[tokio::test]
    async fn an_answer_is_measured_in_its_parts() {
        let told = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: b\r\n\r\npage", false).await;
        let exchange = told.unwrap();
        assert_eq!((exchange.status, exchange.body_bytes, exchange.header("X-a")), (200, 4, Some("b")));
    }

    #[tokio::test]
    async fn an_end_before_the_answers_is_told_as_it_was() {
        assert_eq!(answered(b"", false).await.unwrap_err(), Trouble::Closed);
        assert_eq!(answered(b"", true).await.unwrap_err(), Trouble::Reset);
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        assert_eq!(answered(half, false).await.unwrap_err(), Trouble::Closed);
        assert!(matches!(answered(b"SSH-2.0-x\r\n", false).await, Err(Trouble::Malformed(_))));
    }
}
