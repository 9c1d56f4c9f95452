//! A collector's address, and one exchange with it: OTLP/HTTP, a POST of JSON.

use std::fmt;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use url::{Host, Url};

/// One exchange, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const ANSWER_MOST: usize = 64 << 10;
/// The longest wait that a collector may ask for.
const WAIT_MOST: Duration = Duration::from_secs(30);
/// The longest address, in characters.
const LONGEST: usize = 1024;

/// Where a collector takes traces, over HTTP in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    /// What the request says as `Host`.
    authority: String,
    /// Where traces go: the base's path with `/v1/traces` behind it.
    path: String,
}

/// What came of one exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It was taken, but for so many spans.
    Taken { rejected: u64 },
    /// It is to be sent again later; after so long, if the collector says so.
    Later { why: String, after: Option<Duration> },
    /// It will never be taken.
    Refused(String),
}

impl Collector {
    /// Reads `http://HOST:PORT`, with a path or without.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "otlp is the address of a collector's OTLP/HTTP receiver, \"http://127.0.0.1:4318\", not {:?}",
                text.chars().take(80).collect::<String>()
            )
        };
        let url = Url::parse(text).map_err(|_| expected())?;
        if url.scheme() == "https" {
            return Err("otlp is http:// alone: a collector of this machine or network, without TLS".into());
        }
        let bare = url.username().is_empty() && url.password().is_none();
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(expected());
        };
        if url.scheme() != "http"
            || !bare
            || url.query().is_some()
            || url.fragment().is_some()
            || text.len() > LONGEST
        {
            return Err(expected());
        }
        let authority = format!("{host}:{port}");
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        let host = match host {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Ok(Self { host, port, authority, path })
    }

    /// Sends `body`, an `ExportTraceServiceRequest` in JSON.
    pub(super) async fn send(&self, body: Bytes) -> Sent {
        match tokio::time::timeout(ANSWER_WITHIN, self.exchange(body)).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(error)) => Sent::Later { why: error.to_string(), after: None },
            Err(_elapsed) => {
                Sent::Later { why: format!("no answer within {} s", ANSWER_WITHIN.as_secs()), after: None }
            }
        }
    }

    async fn exchange(&self, body: Bytes) -> io::Result<Sent> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let request = Request::post(&self.path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("wwwlab/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(io::Error::other)?;
        let talk = async {
            let answer = sender.send_request(request).await.map_err(io::Error::other)?;
            Ok(understood(answer).await)
        };
        tokio::pin!(talk, connection);
        tokio::select! {
            biased;
            sent = &mut talk => sent,
            // The connection is driven beside the request; when it ends first, the request says how.
            _ = &mut connection => talk.await,
        }
    }
}

impl fmt::Display for Collector {
    /// As it is reached: `http://127.0.0.1:4318/v1/traces`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// What an answer means (OTLP §"OTLP/HTTP Response").
async fn understood(answer: Response<Incoming>) -> Sent {
    let status = answer.status();
    if status.is_success() {
        let body = Limited::new(answer.into_body(), ANSWER_MOST).collect().await;
        return Sent::Taken { rejected: body.map_or(0, |body| rejected(&body.to_bytes())) };
    }
    let why = format!("it answers {status}");
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
            Sent::Later { why, after: after.map(|seconds| Duration::from_secs(seconds).min(WAIT_MOST)) }
        }
        _ => Sent::Refused(why),
    }
}

/// How many spans an answer says were not taken; what it does not say clearly is none.
fn rejected(body: &[u8]) -> u64 {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Answer {
        partial_success: Partial,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Partial {
        rejected_spans: Count,
    }
    // 64 bits are text in protobuf's JSON; a number is taken as well.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Number(u64),
        Text(String),
    }
    impl Default for Count {
        fn default() -> Self {
            Self::Number(0)
        }
    }
    match serde_json::from_slice::<Answer>(body).unwrap_or_default().partial_success.rejected_spans {
        Count::Number(count) => count,
        Count::Text(text) => text.parse().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_others_are_refused() {
        for (text, shown) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://[::1]:4318/", "http://[::1]:4318/v1/traces"),
            ("http://collector/otlp/", "http://collector:80/otlp/v1/traces"),
        ] {
            assert_eq!(Collector::parse(text).unwrap().to_string(), shown);
        }
        assert_eq!(Collector::parse("http://[::1]:1").unwrap().host, "::1");
        let long = format!("http://a/{}", "a".repeat(LONGEST));
        for text in
            ["", "127.0.0.1:4318", "ftp://a", "http://u:p@a", "http://a?b", "http://a#b", "http://", &long]
        {
            let error = Collector::parse(text).unwrap_err();
            assert!(error.contains("OTLP/HTTP") && error.len() < 400, "{error}");
        }
        assert!(Collector::parse("https://a").unwrap_err().contains("http:// alone"));
    }

    #[test]
    fn what_was_not_taken_is_read_from_any_answer() {
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}"#), 3);
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":4}}"#), 4);
        for other in
            ["{}", "", "[]", r#"{"partialSuccess":{}}"#, r#"{"partialSuccess":{"rejectedSpans":"-1"}}"#]
        {
            assert_eq!(rejected(other.as_bytes()), 0, "{other}");
        }
    }
}
