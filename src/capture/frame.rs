//! A packet's octets, read as far as they can be: Ethernet, ARP (RFC 826), IPv4 (RFC 791), IPv6 (RFC 8200), and what they
//! carry. What is cut or broken is told as what is outside of it.

use std::net::{IpAddr, SocketAddr};

use etherparse::{ArpOperation, ArpPacketSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// A packet, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Who sent it; nothing where no protocol of the Internet is in it.
    pub from: Option<IpAddr>,
    /// To whom.
    pub to: Option<IpAddr>,
    /// What it carries.
    pub what: Content<'a>,
}

/// What a packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// A datagram of UDP.
    Udp(Segment<'a>),
    /// A segment of TCP.
    Tcp(Segment<'a>, Flags),
    /// A message of ICMP, or for IPv6 of ICMPv6.
    Icmp {
        /// Whether it is ICMPv6.
        six: bool,
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
        /// The four octets after its checksum, and what comes after them.
        rest: [u8; 4],
        /// What comes after those.
        body: &'a [u8],
    },
    /// A question or an answer of ARP.
    Arp {
        /// Whether it asks.
        asks: bool,
        /// The address of the sender's interface.
        hardware: &'a [u8],
    },
    /// A part of a larger packet (RFC 791 §3.2, RFC 8200 §4.5).
    Fragment,
    /// Another protocol over IP, by its number.
    Ip(u8),
    /// Another protocol over Ethernet, by its number where it has one.
    Other(Option<u16>),
}

/// What goes from port to port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The sender's port.
    pub from: u16,
    /// The receiver's port.
    pub to: u16,
    /// The data, as far as it was kept.
    pub data: &'a [u8],
    /// The data's length, also of what was not kept.
    pub length: usize,
}

/// The flags of TCP (RFC 9293 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// A connection begins.
    pub syn: bool,
    /// Something is acknowledged.
    pub ack: bool,
    /// The sender has said all.
    pub fin: bool,
    /// The connection is broken off.
    pub rst: bool,
}

impl<'a> Frame<'a> {
    /// Reads the octets of a packet that is `length` octets long, of which they may be the first.
    pub fn read(octets: &'a [u8], length: usize) -> Self {
        let missing = length.saturating_sub(octets.len());
        let nothing = |what| Self { from: None, to: None, what };
        let Ok(packet) = LaxSlicedPacket::from_ethernet(octets) else {
            return nothing(Content::Other(None));
        };
        let (from, to, protocol, fragment): (IpAddr, IpAddr, u8, bool) = match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                let fragment = ip.is_payload_fragmented();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                    ip.payload().ip_number.0,
                    fragment,
                )
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                let fragment = ip.is_payload_fragmented();
                (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                    ip.payload().ip_number.0,
                    fragment,
                )
            }
            Some(LaxNetSlice::Arp(packet)) => {
                return arp(packet).unwrap_or(nothing(Content::Other(Some(0x806))));
            }
            None => {
                let kind = packet.ether_payload().map(|payload| payload.ether_type.0);
                return nothing(Content::Other(kind));
            }
        };
        let what = match packet.transport {
            _ if fragment => Content::Fragment,
            Some(TransportSlice::Udp(udp)) => {
                let data = udp.payload();
                Content::Udp(Segment {
                    from: udp.source_port(),
                    to: udp.destination_port(),
                    data,
                    length: data.len() + missing,
                })
            }
            Some(TransportSlice::Tcp(tcp)) => {
                let data = tcp.payload();
                let flags = Flags { syn: tcp.syn(), ack: tcp.ack(), fin: tcp.fin(), rst: tcp.rst() };
                let length = data.len() + missing;
                let (from, to) = (tcp.source_port(), tcp.destination_port());
                Content::Tcp(Segment { from, to, data, length }, flags)
            }
            Some(TransportSlice::Icmpv4(icmp)) => Content::Icmp {
                six: false,
                kind: icmp.type_u8(),
                code: icmp.code_u8(),
                rest: icmp.bytes5to8(),
                body: icmp.slice().get(8..).unwrap_or_default(),
            },
            Some(TransportSlice::Icmpv6(icmp)) => Content::Icmp {
                six: true,
                kind: icmp.type_u8(),
                code: icmp.code_u8(),
                rest: icmp.bytes5to8(),
                body: icmp.slice().get(8..).unwrap_or_default(),
            },
            Some(TransportSlice::Igmp(_)) | None => Content::Ip(protocol),
        };
        Self { from: Some(from), to: Some(to), what }
    }

    /// The two ends of its connection or question.
    pub fn ends(&self) -> Option<[SocketAddr; 2]> {
        let (Content::Udp(segment) | Content::Tcp(segment, _)) = &self.what else { return None };
        Some([SocketAddr::new(self.from?, segment.from), SocketAddr::new(self.to?, segment.to)])
    }
}

/// A question or an answer of ARP about IPv4; nothing where it is about anything else.
fn arp<'a>(packet: &ArpPacketSlice<'a>) -> Option<Frame<'a>> {
    /// Where the sender's address of Ethernet begins.
    const HARDWARE: usize = 8;
    let address = |octets: &[u8]| <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    let (from, to) = (address(packet.sender_protocol_addr()), address(packet.target_protocol_addr()));
    let hardware = packet.slice().get(HARDWARE..)?.get(..packet.hw_addr_size().into())?;
    let asks = packet.operation() == ArpOperation::REQUEST;
    Some(Frame { from: Some(from?), to: Some(to?), what: Content::Arp { asks, hardware } })
}
