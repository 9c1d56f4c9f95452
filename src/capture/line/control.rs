//! What messages about the network itself say: ICMP (RFC 792), ICMPv6 (RFC 4443, RFC 4861).

use std::net::Ipv6Addr;

use super::super::names::Names;

/// A message of ICMP; `body` is what comes after its first eight octets.
pub(super) fn icmp(kind: u8, code: u8, body: &[u8]) -> String {
    let said = match (kind, code) {
        (0, _) => "echo reply".into(),
        (8, _) => "echo request".into(),
        (3, 0) => "no way to that network".into(),
        (3, 1) => "host unreachable".into(),
        (3, 2) => "protocol unreachable".into(),
        (3, 3) => "port unreachable".into(),
        (3, 4) => "too large, and not to be fragmented".into(),
        (3, 9 | 10 | 13) => "forbidden by an administrator".into(),
        (3, _) => "unreachable".into(),
        (5, _) => "there is a better way".into(),
        (11, 0) => "time to live exceeded".into(),
        (11, _) => "fragments missing".into(),
        _ => format!("type {kind} code {code}"),
    };
    // What an error is about is in it, from its IP header on.
    let about = (matches!(kind, 3 | 11) && body.len() >= 20).then(|| {
        let [a, b, c, d] = [body[16], body[17], body[18], body[19]];
        format!(": {a}.{b}.{c}.{d}")
    });
    format!("ICMP {said}{}", about.unwrap_or_default())
}

/// A message of ICMPv6.
pub(super) fn icmp_of_six(kind: u8, code: u8, body: &[u8], names: &Names) -> String {
    let target = body.first_chunk::<16>().map(|octets| names.show(Ipv6Addr::from(*octets).into()));
    let target = target.unwrap_or_else(|| "?".into());
    let said = match (kind, code) {
        (128, _) => "echo request".into(),
        (129, _) => "echo reply".into(),
        (1, 0) => "no way to that network".into(),
        (1, 1) => "forbidden by an administrator".into(),
        (1, 3) => "host unreachable".into(),
        (1, 4) => "port unreachable".into(),
        (1, _) => "unreachable".into(),
        (2, _) => "too large".into(),
        (3, _) => "hop limit exceeded".into(),
        (130, _) => "who listens to groups?".into(),
        (131 | 143, _) => "listens to groups".into(),
        (133, _) => "is there a router?".into(),
        (134, _) => "I am a router".into(),
        (135, _) => format!("who has {target}?"),
        (136, _) => format!("I have {target}"),
        (137, _) => "there is a better way".into(),
        _ => format!("type {kind} code {code}"),
    };
    format!("ICMPv6 {said}")
}

/// The address of an interface: `02:00:5e:10:00:01`.
pub(super) fn hardware(octets: &[u8]) -> String {
    let octets: Vec<String> = octets.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    octets.join(":")
}
