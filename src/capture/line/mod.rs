//! What a packet says, in a student's words: `DNS query A www.foobar.com`, `TCP SYN-ACK`, `HTTP GET /guestbook`.
//!
//! By what is in it, and for what could be anything by its port. Of a long one only the beginning is told, and of
//! what a stranger wrote nothing reaches a terminal that could command it.

mod control;
mod names;
mod text;

use super::frame::{Content, Flags, Frame, Segment};
use super::names::Names;
pub use text::plain;

/// The ports of DNS: the real one, and that of a lab without the right to it.
const DNS: [u16; 2] = [53, 5300];
/// Those of MySQL, likewise.
const MYSQL: [u16; 2] = [3306, 3307];
/// Those at which TLS is expected: HTTPS and DNS over TLS, likewise.
const TLS: [u16; 4] = [443, 8443, 853, 8853];

/// What `frame` says; addresses are told by `names`.
pub fn describe(frame: &Frame, names: &Names) -> String {
    match &frame.what {
        Content::Udp(datagram) => datagram_of_udp(datagram),
        Content::Tcp(segment, flags) => segment_of_tcp(segment, *flags),
        Content::Icmp { six: false, kind, code, body, .. } => control::icmp(*kind, *code, body),
        Content::Icmp { six: true, kind, code, body, .. } => control::icmp_of_six(*kind, *code, body, names),
        Content::Arp { asks: true, .. } => {
            let wanted = frame.to.map_or_else(String::new, |to| format!(" {to}"));
            format!("ARP who has{wanted}?")
        }
        Content::Arp { hardware, .. } => format!("ARP I am at {}", control::hardware(hardware)),
        Content::Fragment => "IP fragment".into(),
        Content::Ip(number) => format!("IP protocol {number}"),
        Content::Other(Some(number)) => format!("Ethernet type 0x{number:04x}"),
        Content::Other(None) => "not to be read".into(),
    }
}

/// Whether one of the ends is at one of `ports`.
fn is_at(segment: &Segment, ports: &[u16]) -> bool {
    ports.contains(&segment.from) || ports.contains(&segment.to)
}

fn datagram_of_udp(datagram: &Segment) -> String {
    let told = is_at(datagram, &DNS).then(|| names::message(datagram.data)).flatten();
    told.unwrap_or_else(|| format!("UDP {}", octets(datagram.length)))
}

fn segment_of_tcp(segment: &Segment, flags: Flags) -> String {
    let says = (segment.length > 0).then(|| said(segment));
    let flag = match flags {
        Flags { rst: true, .. } => Some("TCP RST"),
        Flags { syn: true, ack: true, .. } => Some("TCP SYN-ACK"),
        Flags { syn: true, .. } => Some("TCP SYN"),
        Flags { fin: true, .. } => Some("TCP FIN"),
        Flags { ack: true, .. } if says.is_none() => Some("TCP ACK"),
        _ if says.is_none() => Some("TCP without a flag"),
        _ => None,
    };
    match (says, flag) {
        (Some(says), Some(flag)) => format!("{says}, {flag}"),
        (Some(one), None) => one,
        (None, flag) => flag.unwrap_or_default().into(),
    }
}

/// What the data of a TCP segment says.
fn said(segment: &Segment) -> String {
    let data = segment.data;
    let told = if is_at(segment, &DNS) {
        names::over_tcp(data)
    } else if is_at(segment, &MYSQL) {
        Some(
            text::mysql(data, MYSQL.contains(&segment.to))
                .unwrap_or_else(|| format!("MySQL {}", octets(segment.length))),
        )
    } else {
        text::http(data).or_else(|| text::tls(data, is_at(segment, &TLS)))
    };
    told.unwrap_or_else(|| format!("TCP {}", octets(segment.length)))
}

fn octets(count: usize) -> String {
    if count == 1 { "1 byte".into() } else { format!("{count} bytes") }
}

#[cfg(test)]
mod tests;
