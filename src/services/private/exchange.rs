//! One request of DNS over HTTPS and its response (RFC 8484 §4, §5).

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use crate::dns::message::asked::{self, Data, Record};
use crate::dns::types::{Rcode, RecordType};
use crate::services::streams::{self, Asking, Respond};

/// The body of a response: one message, or a few words.
pub(super) type Message = Full<Bytes>;

/// Where questions are asked.
const PATH: &str = "/dns-query";
/// What a message is called (RFC 8484 §6).
const MEDIA_TYPE: &str = "application/dns-message";
/// The longest question, in octets: one name, options and padding are a tenth of that, and each stream of a connection may
/// have as much kept. And a header, below which nothing is a message.
const LONGEST: usize = 4_096;
const HEADER: usize = 12;
/// So much of a body that is too long is taken all the same: who is still sending it would not read why it is refused.
const DISCARDED_MOST: usize = 1 << 18;
/// How long a question may take to come whole.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Answers `request` of `client`; nothing where silence is the answer. That its question is whole is told to `asking`.
pub(super) async fn answer<B>(
    responder: &impl Respond,
    request: Request<B>,
    client: SocketAddr,
    asking: &Asking,
) -> Option<Response<Message>>
where
    B: Body<Data = Bytes>,
{
    let is_head = request.method() == Method::HEAD;
    let question = match asked(request.method(), request.uri(), request.headers()) {
        Ok(Asked::InTarget(question)) => Ok(question),
        Ok(Asked::InBody) => body(request.into_body()).await,
        Err(refusal) => {
            // Who is still sending would not read why: over HTTP/2 its stream would be reset instead.
            let _ = body(request.into_body()).await;
            Err(refusal)
        }
    };
    let question = match question
        .and_then(|question| if is_question(&question) { Ok(question) } else { Err(Refusal::NoQuestion) })
    {
        Ok(question) => question,
        Err(refusal) => return Some(refusal.response()),
    };
    let _answering = asking.is_whole();
    let mut messages = Vec::new();
    if !streams::answer(responder, &question, client, &mut messages).await.unwrap_or(false) {
        return None;
    }
    // There is one, behind its length: whoever answers here has no answers of several (zone transfers).
    let reply = messages.get(2..).filter(|reply| !reply.is_empty())?;
    let mut response =
        Response::new(Full::from(if is_head { Bytes::new() } else { Bytes::copy_from_slice(reply) }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CONTENT_LENGTH, reply.len().into());
    if let Ok(fresh) = HeaderValue::try_from(format!("max-age={}", freshness(reply))) {
        headers.insert(CACHE_CONTROL, fresh);
    }
    Some(response)
}

/// Where in a request its question is.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    InTarget(Vec<u8>),
    InBody,
}

/// Why a request is not answered with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It is asked elsewhere.
    Path,
    /// It is neither GET nor POST.
    Method,
    /// A GET without a question.
    NoParameter,
    /// A question that cannot be decoded.
    Encoding,
    /// A body of another type.
    MediaType,
    /// A body longer than any message.
    TooLong,
    /// A body that did not come in time.
    TooLate,
    /// A body that broke off.
    BrokenOff,
    /// What came is too short to be a message, or is an answer.
    NoQuestion,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooLate => StatusCode::REQUEST_TIMEOUT,
            Self::NoParameter | Self::Encoding | Self::BrokenOff | Self::NoQuestion => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// What is wrong, and how it is right.
    fn words(self) -> &'static str {
        match self {
            Self::Path => "DNS is asked at /dns-query here",
            Self::Method => "ask with GET or POST (RFC 8484, section 4.1)",
            Self::NoParameter => {
                "the question is missing: /dns-query?dns=, and the message in base64url (RFC 8484, section 4.1)"
            }
            Self::Encoding => "the question is no base64url without padding (RFC 4648, section 5)",
            Self::MediaType => "the body of a POST is a DNS message: Content-Type: application/dns-message",
            Self::TooLong => "a question is no longer than 4096 octets here",
            Self::TooLate => "the question did not come within 10 s",
            Self::BrokenOff => "the question broke off",
            Self::NoQuestion => "what came is no DNS question: it is shorter than a header, or an answer",
        }
    }

    fn response(self) -> Response<Message> {
        let mut response = Response::new(Full::from(format!("{}: {}\n", self.status(), self.words())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self == Self::Method {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        response
    }
}

/// Where the question of a request with this head is.
fn asked(method: &Method, target: &Uri, headers: &HeaderMap) -> Result<Asked, Refusal> {
    if target.path() != PATH {
        return Err(Refusal::Path);
    }
    match *method {
        Method::GET | Method::HEAD => {
            let pairs = target.query().unwrap_or_default().split('&');
            let dns = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == "dns");
            let (_, text) = dns.ok_or(Refusal::NoParameter)?;
            let octets: Vec<u8> = percent_decode_str(text).collect();
            BASE64URL_NOPAD.decode(&octets).map(Asked::InTarget).map_err(|_| Refusal::Encoding)
        }
        Method::POST => {
            let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
            if !media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE) {
                return Err(Refusal::MediaType);
            }
            Ok(Asked::InBody)
        }
        _ => Err(Refusal::Method),
    }
}

/// The whole body, which is one message.
async fn body<B: Body<Data = Bytes>>(body: B) -> Result<Vec<u8>, Refusal> {
    timeout(BODY_WITHIN, read(body)).await.unwrap_or(Err(Refusal::TooLate))
}

async fn read<B: Body<Data = Bytes>>(body: B) -> Result<Vec<u8>, Refusal> {
    let mut body = pin!(body);
    let (mut message, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BrokenOff)?.into_data() else { continue };
        length += data.len();
        if length <= LONGEST {
            message.extend_from_slice(&data);
        } else if length > LONGEST + DISCARDED_MOST {
            break;
        }
    }
    if length > LONGEST { Err(Refusal::TooLong) } else { Ok(message) }
}

/// Whether `message` can be answered at all: it has a header, and is no answer itself.
fn is_question(message: &[u8]) -> bool {
    message.len() >= HEADER && message[2] & 0x80 == 0
}

/// For how many seconds `reply` may be kept (RFC 8484 §5.1): as long as the record that ends first, a negative answer as long as
/// its SOA says (RFC 2308 §5), a failure not at all.
fn freshness(reply: &[u8]) -> u32 {
    let Ok(reply) = asked::read_response(reply) else { return 0 };
    if !matches!(reply.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) {
        return 0;
    }
    let positive = reply.answers.iter().map(|record| record.ttl).min();
    let negative = reply.authorities.iter().filter(|record| record.record_type == RecordType::SOA);
    let negative = negative.map(|soa| soa.ttl.min(minimum(soa))).min();
    match (positive, negative) {
        // Aliases may lead to what is not there: that is known for as long as all of it is.
        (Some(positive), Some(negative)) => positive.min(negative),
        (Some(positive), None) if reply.rcode == Rcode::NOERROR => positive,
        (None, Some(negative)) => negative,
        _ => 0,
    }
}

/// The last field of an SOA record.
fn minimum(soa: &Record) -> u32 {
    let Data::Text(text) = &soa.data else { return 0 };
    text.split_whitespace().next_back().and_then(|minimum| minimum.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
