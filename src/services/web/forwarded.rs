//! What a message's headers become on their way through (RFC 9110 §7.6).
//!
//! Pure. Headers that speak about one connection stay on it; headers that say who asked are this server's word
//! alone: it faces the world, so that what a client wrote into them is replaced, never continued. Behind another proxy
//! that would be wrong, and the application would see that proxy as its client.

use std::net::{IpAddr, SocketAddr};

use hyper::Version;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};

use crate::ground::chance::RequestId;

use super::trace;

/// The identifier that one request carries through the whole stack.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Those of one connection, besides the ones that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    // It announces fields behind the body, which are not passed on (RFC 9110 §6.5.1).
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Those that only this server may say to the application.
const OURS: [HeaderName; 6] =
    [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REAL_IP, X_REQUEST_ID];

/// Fields that are added, at most.
const ADDED: usize = 11;

/// What may be asked for by `Upgrade` and is not passed on: other versions of HTTP, in which requests could be sent past
/// this server, and TLS, which is its own to speak.
const NOT_PASSED: [&str; 4] = ["h2c", "h2", "http", "tls"];

/// What is meant by `Expect: 100-continue`, the only expectation there is (RFC 9110 §10.1.1).
const CONTINUE: &str = "100-continue";

/// Who asked, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    /// The client's address.
    pub(super) client: IpAddr,
    /// The host asked for, with its port.
    pub(super) host: &'a str,
    /// Where this server listens.
    pub(super) here: SocketAddr,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// The version of the client's message.
    pub(super) version: Version,
    /// The request's identifier.
    pub(super) id: &'a RequestId,
}

/// The headers of a request as the application gets them.
pub(super) fn to_application(headers: &HeaderMap, asker: Asker<'_>) -> HeaderMap {
    let another = another_protocol(headers, asker.version);
    let waits = asker.version != Version::HTTP_10 && expectation(headers) == Expectation::Continue;
    let named: Vec<HeaderName> = named_by_connection(headers).collect();
    // RFC 9112 §6.3: the body's framing is the transfer coding's; a length beside it must not survive.
    let is_coded = headers.contains_key(TRANSFER_ENCODING);
    let stays = |name: &HeaderName| {
        HOP_BY_HOP.contains(name)
            || OURS.contains(name)
            || is_disguised(name)
            || *name == EXPECT
            || (is_coded && *name == CONTENT_LENGTH)
            || named.contains(name)
    };
    let passed = headers.iter().filter(|(name, _)| !stays(name));
    let mut headers = HeaderMap::with_capacity(headers.len() + ADDED);
    for (name, value) in passed {
        headers.append(name.clone(), value.clone());
    }
    // What `Connection` named does not take these away.
    if waits {
        headers.insert(EXPECT, HeaderValue::from_static(CONTINUE));
    }
    if let Some(another) = another {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, another);
    }
    trace::pass_on(&mut headers, asker.id);
    let client = asker.client.to_canonical();
    let ours = [
        (HOST, asker.host),
        (FORWARDED, &forwarded(client, asker)),
        (X_FORWARDED_FOR, &client.to_string()),
        (X_FORWARDED_HOST, asker.host),
        (X_FORWARDED_PROTO, asker.scheme),
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

/// Whether it is certain where the body of an answer with these headers ends, and that it was understood: of transfer
/// codings only `chunked` was undone (RFC 9112 §6.1), and a length is one number (§6.3), also where it was said again.
pub(super) fn is_framed(headers: &mut HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
    {
        return false;
    }
    let lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut said =
        lengths.flat_map(|said| said.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let Some(length) = said.next().map(<[u8]>::to_owned) else { return true };
    let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    if !is_number || said.any(|again| again != length) {
        return false;
    }
    HeaderValue::from_bytes(&length).is_ok_and(|length| {
        headers.insert(CONTENT_LENGTH, length);
        true
    })
}

/// Makes the application's headers fit for the client.
pub(super) fn from_application(headers: &mut HeaderMap, version: Version) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers);
    headers.append(VIA, via(version));
}

/// Whether it becomes one of ours, or one that frames a message, where `_` is taken for `-`: to a program that knows
/// headers by CGI's names (RFC 3875 §4.1.18), as WSGI has them, `X_Forwarded_For` is `X-Forwarded-For`.
fn is_disguised(name: &HeaderName) -> bool {
    name.as_str().contains('_') && {
        let plain = name.as_str().replace('_', "-");
        OURS.iter().chain(&HOP_BY_HOP).chain(&[CONTENT_LENGTH, HOST, EXPECT]).any(|known| *known == *plain)
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = named_by_connection(headers).collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// The headers that `Connection` says are of this connection alone.
fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok())
}

/// What a client expects before it sends its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expectation {
    /// Nothing.
    Nothing,
    /// That it is told to go on.
    Continue,
    /// What nobody knows: 417.
    Unknown,
}

/// What these headers expect.
pub(super) fn expectation(headers: &HeaderMap) -> Expectation {
    headers.get_all(EXPECT).iter().fold(Expectation::Nothing, |known, value| {
        let is_continue = value.as_bytes().trim_ascii().eq_ignore_ascii_case(CONTINUE.as_bytes());
        if is_continue && known != Expectation::Unknown {
            Expectation::Continue
        } else {
            Expectation::Unknown
        }
    })
}

/// The other protocol that a request asks to go over to, if that is passed on (RFC 9110 §7.8).
pub(super) fn another_protocol(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    if version != Version::HTTP_11 || headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let is_empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0");
    let mut asked = headers.get_all(UPGRADE).iter();
    let (Some(protocols), None) = (asked.next(), asked.next()) else { return None };
    let is_passed = protocols.to_str().is_ok_and(|protocols| {
        protocols.split(',').all(|protocol| {
            let name = protocol.split('/').next().unwrap_or_default().trim();
            !name.is_empty() && !NOT_PASSED.iter().any(|not| name.eq_ignore_ascii_case(not))
        })
    });
    (is_empty && is_passed && named_by_connection(headers).any(|name| name == UPGRADE))
        .then(|| protocols.clone())
}

/// Says to the client which protocol the connection goes over to. After [`from_application`].
pub(super) fn go_over(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Who asked, where, for which host, over what (RFC 7239 §4 and §6).
fn forwarded(client: IpAddr, asker: Asker<'_>) -> String {
    let Asker { here, host, scheme, .. } = asker;
    let client = match client {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    format!("for={client};by=\"{here}\";host=\"{host}\";proto={scheme}")
}

/// Who passed a message on, and in which version it had come (RFC 9110 §7.6.3, §2.5).
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 wwwlab",
        Version::HTTP_2 => "2.0 wwwlab",
        _ => "1.1 wwwlab",
    })
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
            scheme: "http",
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
            ("trailer", "x-sum"),
            ("proxy-authorization", "Basic eA=="),
            ("x-mine", "1"),
            ("accept", "text/html"),
            ("cookie", "a=b"),
        ]);
        for gone in ["connection", "keep-alive", "te", "upgrade", "proxy-authorization", "trailer", "x-mine"]
        {
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
    fn nobody_says_it_by_another_spelling() {
        let (sent, _) = forward(&[
            ("x_forwarded_for", "10.0.0.1"),
            ("x_forwarded-proto", "https"),
            ("x-real_ip", "10.0.0.1"),
            ("x_request_id", "mine"),
            ("content_length", "7"),
            ("transfer_encoding", "chunked"),
            ("x_mine", "1"),
        ]);
        let left: Vec<_> = sent.keys().filter(|name| name.as_str().contains('_')).collect();
        assert_eq!(left, ["x_mine"]);
    }

    #[test]
    fn a_length_beside_a_transfer_coding_does_not_survive() {
        let (sent, _) = forward(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        assert!(!sent.contains_key("content-length") && !sent.contains_key("transfer-encoding"));
        let (sent, _) = forward(&[("content-length", "5")]);
        assert_eq!(sent["content-length"], "5");
    }

    #[test]
    fn an_address_of_ipv6_is_quoted() {
        let id = RequestId::draw();
        let client = "2001:db8::1".parse().unwrap();
        let (here, version) = ("[::1]:80".parse().unwrap(), Version::HTTP_2);
        let forwarded =
            forwarded(client, Asker { client, host: "a", here, scheme: "https", version, id: &id });
        assert_eq!(forwarded, "for=\"[2001:db8::1]\";by=\"[::1]:80\";host=\"a\";proto=https");
    }

    #[test]
    fn the_version_that_came_is_told() {
        let told = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2].map(via);
        assert_eq!(told, ["1.0 wwwlab", "1.1 wwwlab", "2.0 wwwlab"]);
    }

    #[test]
    fn only_one_expectation_is_known() {
        let of = |values: &[&'static str]| {
            expectation(&headers(&values.iter().map(|value| ("expect", *value)).collect::<Vec<_>>()))
        };
        assert_eq!(of(&[]), Expectation::Nothing);
        assert_eq!(of(&["100-Continue"]), Expectation::Continue);
        for unknown in
            [&["tea"][..], &["tea", "100-continue"], &["100-continue", "tea"], &["100-continue, tea"]]
        {
            assert_eq!(of(unknown), Expectation::Unknown, "{unknown:?}");
        }
        assert_eq!(forward(&[("expect", "100-continue")]).0["expect"], "100-continue");
    }

    #[test]
    fn another_protocol_is_asked_for_in_whole_or_not() {
        let asked = |of: &[(&'static str, &'static str)]| another_protocol(&headers(of), Version::HTTP_11);
        let websocket = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        assert_eq!(asked(&websocket).unwrap(), "websocket");
        assert_eq!(another_protocol(&headers(&websocket), Version::HTTP_10), None);
        let (sent, _) = forward(&websocket);
        assert_eq!(
            (&sent["connection"], &sent["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
        for not in ["h2c", "H2C, websocket", "websocket, HTTP/2.0", "TLS/1.0", "", "websocket,"] {
            assert_eq!(asked(&[("connection", "upgrade"), ("upgrade", not)]), None, "{not}");
        }
        assert_eq!(asked(&[("connection", "close"), ("upgrade", "websocket")]), None);
        assert_eq!(asked(&[websocket[0], websocket[1], ("content-length", "3")]), None);
        assert_eq!(asked(&[websocket[0], websocket[1], ("transfer-encoding", "chunked")]), None);
        assert_eq!(asked(&[websocket[0], websocket[1], ("upgrade", "other")]), None);
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
