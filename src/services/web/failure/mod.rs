//! What can go wrong with a request, and what that teaches.
//!
//! Each failure names the component at fault, says what happened, what it means, and where to look next: as the
//! small page that all of wwwlab uses, or as problem details for a program (RFC 9457). The words themselves
//! are next door.

mod words;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY,
};
use hyper::{Response, StatusCode};

use crate::ground::explain::Explanation;

use super::answer::METHODS;
use super::page::Page;
use super::wire::Violation;

/// Why a request did not get what it asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// HTTP/1.1 without a Host.
    #[error("the request names no host")]
    HostMissing,
    /// Several Hosts, or one that is none.
    #[error("the request's host is not one host name")]
    HostMalformed,
    /// One host in the target, another in the header.
    #[error("the request's target and its Host name different hosts")]
    HostContradictory,
    /// A host that has no site here.
    #[error("no site {asked} here")]
    HostUnknown {
        /// As it was asked for; empty where it was not.
        asked: String,
        /// The sites that are here, as one says them.
        sites: String,
    },
    /// What is no request, or none that is taken.
    #[error("the request was refused: {violation}")]
    Refused {
        /// Why.
        violation: Violation,
    },
    /// A target that names no place.
    #[error("the request target is malformed: {why}")]
    TargetMalformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// No such file.
    #[error("no file at {path}")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// A method that files do not have.
    #[error("{method} is not for files")]
    NotForFiles {
        /// The method.
        method: String,
    },
    /// A method that only makes sense elsewhere.
    #[error("{method} is not done here")]
    NotDoneHere {
        /// The method.
        method: String,
    },
    /// None of a file's forms has a coding that the client accepts.
    #[error("no coding of this file is acceptable to the client")]
    NoFormAcceptable,
    /// A condition that asks for another version of a file.
    #[error("{condition} is about another version of this file")]
    ConditionFails {
        /// The header that has the condition.
        condition: &'static str,
    },
    /// Ranges that all begin behind the end of a file.
    #[error("no byte of the range is in this file of {bytes} bytes")]
    RangeAbsent {
        /// The length of what the ranges would be cut from, in bytes.
        bytes: u64,
    },
    /// A file that exists and cannot be read.
    #[error("the file at {path} cannot be read")]
    FileUnreadable {
        /// The path asked for.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A request body beyond the limit.
    #[error("the request's body is larger than {limit} bytes")]
    BodyTooLarge {
        /// How large it may be, in bytes.
        limit: u64,
    },
    /// A request body that was broken off or framed wrongly.
    #[error("the request's body could not be read")]
    BodyBroken,
    /// A request body that stopped coming.
    #[error("the request's body stopped coming for {waited:?}")]
    BodySlow {
        /// How long it was waited for.
        waited: Duration,
    },
    /// Nothing listens where the application should.
    #[error("{address} refuses connections")]
    AppRefused {
        /// Where.
        address: SocketAddr,
    },
    /// No way to the application.
    #[error("{address} cannot be reached: {cause}")]
    AppUnreachable {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        cause: String,
    },
    /// The application went away with the request.
    #[error("{address} closed the connection before it answered")]
    AppClosed {
        /// Where.
        address: SocketAddr,
    },
    /// The application's answer is no HTTP.
    #[error("{address} answered with something that is not HTTP")]
    AppGarbled {
        /// Where.
        address: SocketAddr,
    },
    /// The application did not begin to answer.
    #[error("{address} did not answer within {waited:?}")]
    AppSilent {
        /// Where.
        address: SocketAddr,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The application's machine did not take the connection in time.
    #[error("{address} did not take a connection within {waited:?}")]
    AppConnectSlow {
        /// Where.
        address: SocketAddr,
        /// How long it was waited for.
        waited: Duration,
    },
    /// None of several application servers could be asked.
    #[error("none of the application servers answered")]
    AppsGone {
        /// What each came to.
        each: Vec<Failure>,
    },
    /// What nobody here can do before a body is sent.
    #[error("the request expects what is not known here")]
    ExpectationUnknown,
    /// More connections than there is room for.
    #[error("all {connections} connections are in use")]
    Full {
        /// How many there may be.
        connections: usize,
    },
    /// No descriptor is left for whatever this connection needs.
    #[error("this process has as many descriptors open as it may")]
    NoDescriptor,
}

/// Where and to whom a failure is explained.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    /// The site's name.
    pub(super) site: &'a str,
    /// This server's address.
    pub(super) address: SocketAddr,
    /// The request's identifier.
    pub(super) request_id: &'a str,
    /// Whether the client would rather read JSON.
    pub(super) as_json: bool,
}

impl Failure {
    /// The answer that explains it.
    pub(super) fn response(&self, circumstances: Circumstances<'_>) -> Response<Page> {
        let status = self.status();
        let (media_type, body) = self.explained(circumstances);
        let mut response = Response::new(Page::whole(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::NotForFiles { .. } => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::NotDoneHere { .. } => {
                headers.insert(ALLOW, HeaderValue::from_static(METHODS));
            }
            Self::NoFormAcceptable => {
                headers.insert(VARY, HeaderValue::from(ACCEPT_ENCODING));
            }
            Self::RangeAbsent { bytes } => {
                if let Ok(range) = HeaderValue::try_from(format!("bytes */{bytes}")) {
                    headers.insert(CONTENT_RANGE, range);
                }
            }
            Self::Full { .. } | Self::NoDescriptor => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }

    /// The explanation and its media type.
    pub(super) fn explained(&self, circumstances: Circumstances<'_>) -> (&'static str, String) {
        let text = self.words(circumstances);
        let next: Vec<&str> = text.next.iter().map(String::as_str).collect();
        let explanation = Explanation {
            status: self.status().as_u16(),
            reason: self.status().canonical_reason().unwrap_or("Error"),
            component: text.component,
            is_direct: false,
            happened: &text.happened,
            teaches: text.teaches,
            next: &next,
            request_id: circumstances.request_id,
        };
        explanation.in_form(circumstances.as_json)
    }

    /// Its status (RFC 9110 §15).
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::HostMissing
            | Self::HostMalformed
            | Self::HostContradictory
            | Self::TargetMalformed { .. }
            | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::Refused { violation } => violation.status(),
            Self::HostUnknown { .. } | Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::NotForFiles { .. } | Self::NotDoneHere { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoFormAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::ConditionFails { .. } => StatusCode::PRECONDITION_FAILED,
            Self::RangeAbsent { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::FileUnreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                StatusCode::FORBIDDEN
            }
            Self::FileUnreadable { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodySlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::AppRefused { .. }
            | Self::AppUnreachable { .. }
            | Self::AppClosed { .. }
            | Self::AppGarbled { .. } => StatusCode::BAD_GATEWAY,
            Self::AppSilent { .. } | Self::AppConnectSlow { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::AppsGone { each } => {
                let is_late = |failure: &Self| failure.status() == StatusCode::GATEWAY_TIMEOUT;
                if each.iter().all(is_late) { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY }
            }
            Self::ExpectationUnknown => StatusCode::EXPECTATION_FAILED,
            Self::Full { .. } | Self::NoDescriptor => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances(as_json: bool) -> Circumstances<'static> {
        Circumstances {
            site: "www.foobar.com",
            address: "127.0.0.1:8080".parse().unwrap(),
            request_id: "0123",
            as_json,
        }
    }

    #[test]
    fn an_unknown_host_learns_which_one_lives_here() {
        let failure = Failure::HostUnknown { asked: "127.0.0.1<b>".into(), sites: "www.foobar.com".into() };
        let (media_type, page) = failure.explained(circumstances(false));
        assert_eq!(media_type, "text/html; charset=utf-8");
        assert!(page.contains("127.0.0.1&lt;b&gt;") && page.contains("www.foobar.com"));
        assert!(page.contains("curl -H &#39;Host: www.foobar.com&#39; http://127.0.0.1:8080/"));
        for (address, place) in [("8.8.8.8:80", "8.8.8.8/"), ("[2001:db8::8]:80", "[2001:db8::8]/")] {
            let here = Circumstances { address: address.parse().unwrap(), ..circumstances(false) };
            assert!(failure.explained(here).1.contains(&format!("http://{place}")), "{place}");
        }
    }

    #[test]
    fn a_program_gets_problem_details() {
        let failure = Failure::AppRefused { address: "127.0.0.1:3000".parse().unwrap() };
        let (media_type, body) = failure.explained(circumstances(true));
        assert_eq!(media_type, "application/problem+json");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], 502);
        assert_eq!(problem["title"], "Bad Gateway");
        assert_eq!(problem["component"], "application server");
        assert_eq!(problem["request_id"], "0123");
        assert!(problem["detail"].as_str().unwrap().contains("127.0.0.1:3000"));
    }
}
