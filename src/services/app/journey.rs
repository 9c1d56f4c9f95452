//! Which way a request came, as far as its own headers tell: they are all that the application sees of it.
//!
//! Anybody can write headers. Those of a client the web server replaces; and what is written in a request is believed
//! only if it comes from the web server's address. Where web server and visitors share one machine, they share its address
//! too: then the machine's own users can still choose as whom their attempts at passwords are counted
//! ([`super::attempts`]), and what bounds them is that one password is checked at a time ([`super::passwords`]).

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::header::{FORWARDED, VIA};

/// Longest text from a header that is shown on a page, in characters.
const SHOWN_LONGEST: usize = 80;

/// What is known of a request's way here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Journey {
    /// The address of whoever asked first.
    pub(super) visitor: String,
    /// That address, or the sender's where the header holds none.
    pub(super) client: IpAddr,
    /// What the web server calls itself in `Via` (RFC 9110 §7.6.3); nothing if none passed the request on.
    pub(super) web: Option<String>,
    /// Where the web server was asked, if it says so.
    pub(super) web_address: Option<SocketAddr>,
    /// The name that was asked for, with the port if one was named.
    pub(super) host: String,
    /// `http` or `https`, between the visitor and the web server.
    pub(super) scheme: String,
}

impl Journey {
    /// Reads it from `headers` of a request that `peer` sent; what they tell counts if that is one of `trusted`.
    pub(super) fn of(headers: &HeaderMap, peer: IpAddr, trusted: &[IpAddr]) -> Self {
        let is_trusted = trusted.iter().any(|proxy| proxy.to_canonical() == peer.to_canonical());
        let web = last(headers, VIA.as_str()).filter(|_| is_trusted).map(|via| {
            // `1.1 web.example (comment)`: the version of the protocol, then the name.
            via.split_once(' ').map_or(via, |(_, name)| name).to_owned()
        });
        // Without a web server on the way they are nobody's word.
        let told = |name| web.as_ref().and_then(|_| last(headers, name));
        Self {
            client: told("x-forwarded-for").and_then(|address| address.parse().ok()).unwrap_or(peer),
            visitor: told("x-forwarded-for").map_or_else(|| peer.to_string(), shortened),
            host: told("x-forwarded-host")
                .or_else(|| last(headers, "host"))
                .map(shortened)
                .unwrap_or_default(),
            scheme: told("x-forwarded-proto").map_or_else(|| "http".to_owned(), shortened),
            web_address: told(FORWARDED.as_str()).and_then(by),
            web: web.as_deref().map(shortened),
        }
    }
}

/// The last member of a header's list: each that passes a request on appends its own.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let list = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    list.rsplit(',').next().map(str::trim).filter(|member| !member.is_empty())
}

/// The address in the `by` of one `Forwarded` element (RFC 7239 §5.1); nothing if it is a name or has no port.
fn by(element: &str) -> Option<SocketAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("by"))?;
    value.trim_matches('"').parse().ok()
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN_LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::HeaderName;

    use super::*;

    /// The same address, as one listener and the other may see it.
    const WEB: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const PEER: IpAddr = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());

    fn journey(headers: &[(&'static str, &str)]) -> Journey {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        Journey::of(&headers, PEER, &[WEB])
    }

    #[test]
    fn a_request_that_was_passed_on_tells_by_whom() {
        let journey = journey(&[
            ("host", "127.0.0.1:3000"),
            ("via", "1.0 cache.example, 1.1 web (wwwlab)"),
            ("x-forwarded-for", "10.0.0.66, 192.0.2.10"),
            ("x-forwarded-host", "www.foobar.com"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "by=10.0.0.9, for=192.0.2.10;By=\"[2001:db8::80]:8080\";proto=https"),
        ]);
        assert_eq!(journey.web.as_deref(), Some("web (wwwlab)"));
        assert_eq!(journey.visitor, "192.0.2.10");
        assert_eq!(journey.host, "www.foobar.com");
        assert_eq!(journey.scheme, "https");
        assert_eq!(journey.web_address, Some("[2001:db8::80]:8080".parse().unwrap()));
    }

    #[test]
    fn who_is_not_the_web_server_is_not_believed() {
        let told = [("via", "1.1 wwwlab"), ("x-forwarded-for", "10.0.0.66"), ("x-forwarded-proto", "https")];
        let headers =
            told.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let stranger = IpAddr::from([127, 0, 0, 9]);
        let journey = Journey::of(&headers.collect(), stranger, &[WEB]);
        assert_eq!((journey.client, journey.visitor.as_str()), (stranger, "127.0.0.9"));
        assert_eq!((journey.web, journey.scheme.as_str()), (None, "http"));
    }

    #[test]
    fn where_the_web_server_was_asked_is_an_address_or_nothing() {
        let told = |forwarded| journey(&[("via", "1.1 wwwlab"), ("forwarded", forwarded)]).web_address;
        assert_eq!(told("by=\"127.0.0.1:38080\""), Some("127.0.0.1:38080".parse().unwrap()));
        for none in ["by=_hidden", "by=127.0.0.1", "for=192.0.2.10", "by", "=", ";;", "by=\"\""] {
            assert_eq!(told(none), None, "{none}");
        }
    }

    #[test]
    fn without_a_web_server_its_headers_are_nobodys_word() {
        let journey = journey(&[
            ("host", "here:3000"),
            ("x-forwarded-for", "10.0.0.66"),
            ("forwarded", "by=\"10.0.0.66:80\""),
        ]);
        assert_eq!(journey.web_address, None);
        assert_eq!(journey.web, None);
        assert_eq!(journey.visitor, PEER.to_string());
        assert_eq!(journey.host, "here:3000");
        assert_eq!(journey.scheme, "http");
    }
}
