//! What a message's headers become on their way through (RFC 9110 §7.6).
//!
//! Pure. Headers that speak about one connection stay on it; headers that say who asked are this server's word
//! alone, since a client could write anything into them.

use std::net::{IpAddr, SocketAddr};

use hyper::Version;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};

use crate::ground::chance::RequestId;

/// The identifier that one request carries through the whole stack.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Those of one connection, besides the ones that `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Those that only this server may say to the application.
const OURS: [HeaderName; 7] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    X_REAL_IP,
    X_REQUEST_ID,
    // Answered here: reading the body is what tells the client to go on.
    EXPECT,
];

/// Who asked, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    /// The client's address.
    pub(super) client: IpAddr,
    /// The host asked for, with its port.
    pub(super) host: &'a str,
    /// Where this server listens.
    pub(super) here: SocketAddr,
    /// The version of the client's message.
    pub(super) version: Version,
    /// The request's identifier.
    pub(super) id: &'a RequestId,
}

/// The headers of a request as the application gets them.
pub(super) fn to_application(headers: &HeaderMap, asker: Asker<'_>) -> HeaderMap {
    let mut headers = headers.clone();
    if headers.contains_key(TRANSFER_ENCODING) {
        // RFC 9112 §6.3: the body's framing is the transfer coding's; a length beside it must not survive.
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(&mut headers);
    for name in &OURS {
        headers.remove(name);
    }
    // After the removal: what `Connection` named must not take these away.
    let client = asker.client.to_canonical();
    let ours = [
        (HOST, asker.host),
        (FORWARDED, &forwarded(client, asker.here, asker.host)),
        (X_FORWARDED_FOR, &client.to_string()),
        (X_FORWARDED_HOST, asker.host),
        (X_FORWARDED_PROTO, "http"),
        (X_REQUEST_ID, asker.id.as_str()),
    ];
    for (name, value) in ours {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    headers.append(VIA, via(asker.version));
    headers
}

/// Makes the application's headers fit for the client.
pub(super) fn from_application(headers: &mut HeaderMap, version: Version) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
    headers.append(VIA, via(version));
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Who asked, where, for which host, and how (RFC 7239 §4).
fn forwarded(client: IpAddr, here: SocketAddr, host: &str) -> String {
    let client = match client {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    format!("for={client};by=\"{here}\";host=\"{host}\";proto=http")
}

/// Who passed a message on, and in which version it had come (RFC 9110 §7.6.3).
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(if version == Version::HTTP_10 { "1.0 wwwlab" } else { "1.1 wwwlab" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in of {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn forward(of: &[(&'static str, &'static str)]) -> (HeaderMap, RequestId) {
        let id = RequestId::draw();
        let asker = Asker {
            client: "::ffff:192.0.2.10".parse().unwrap(),
            host: "www.foobar.com:8080",
            here: "192.0.2.80:8080".parse().unwrap(),
            version: Version::HTTP_11,
            id: &id,
        };
        (to_application(&headers(of), asker), id)
    }

    #[test]
    fn headers_of_the_connection_stay_on_it() {
        let (sent, _) = forward(&[
            ("connection", "keep-alive, X-Mine"),
            ("connection", "Host, x-forwarded-for, close"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic eA=="),
            ("expect", "100-continue"),
            ("x-mine", "1"),
            ("accept", "text/html"),
            ("cookie", "a=b"),
        ]);
        for gone in ["connection", "keep-alive", "te", "upgrade", "proxy-authorization", "expect", "x-mine"] {
            assert!(!sent.contains_key(gone), "{gone}");
        }
        assert_eq!(sent["accept"], "text/html");
        assert_eq!(sent["cookie"], "a=b");
        assert_eq!(sent["host"], "www.foobar.com:8080");
        assert_eq!(sent["x-forwarded-for"], "192.0.2.10");
    }

    #[test]
    fn who_asked_is_this_servers_word() {
        let (sent, id) = forward(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-real-ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("x-request-id", "mine"),
            ("via", "1.0 fred"),
        ]);
        assert_eq!(sent["x-forwarded-for"], "192.0.2.10");
        assert_eq!(sent["x-forwarded-host"], "www.foobar.com:8080");
        assert_eq!(sent["x-forwarded-proto"], "http");
        assert_eq!(sent["x-request-id"], id.as_str());
        let forwarded = "for=192.0.2.10;by=\"192.0.2.80:8080\";host=\"www.foobar.com:8080\";proto=http";
        assert_eq!(sent.get_all("forwarded").iter().collect::<Vec<_>>(), [forwarded]);
        assert!(!sent.contains_key("x-real-ip"));
        let via: Vec<_> = sent.get_all("via").iter().collect();
        assert_eq!(via, ["1.0 fred", "1.1 wwwlab"]);
    }

    #[test]
    fn a_length_beside_a_transfer_coding_does_not_survive() {
        let (sent, _) = forward(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        assert!(!sent.contains_key("content-length") && !sent.contains_key("transfer-encoding"));
        let (sent, _) = forward(&[("content-length", "5")]);
        assert_eq!(sent["content-length"], "5");
    }

    #[test]
    fn an_answer_loses_its_connections_headers_too() {
        let mut answer = headers(&[("connection", "close, x-hop"), ("x-hop", "1"), ("set-cookie", "a=b")]);
        from_application(&mut answer, Version::HTTP_10);
        assert!(!answer.contains_key("connection") && !answer.contains_key("x-hop"));
        assert_eq!(answer["set-cookie"], "a=b");
        assert_eq!(answer["via"], "1.0 wwwlab");
    }
}
