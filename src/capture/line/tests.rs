//! Frames as they are on a cable, and what is said of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{PacketBuilder, TcpHeader};
use proptest::prelude::*;

use super::*;
use crate::dns::message::asked::query;
use crate::dns::types::RecordType;

const CLIENT: [u8; 4] = [192, 0, 2, 10];
const SERVER: [u8; 4] = [8, 8, 8, 8];
const MAC: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

fn names() -> Names {
    let of = |octets: [u8; 4], name: &str| (Ipv4Addr::from(octets).into(), name.to_owned());
    [of(CLIENT, "client"), of(SERVER, "server")].into_iter().collect()
}

fn says(octets: &[u8]) -> String {
    describe(&Frame::read(octets, octets.len()), &names())
}

fn udp(ports: [u16; 2], data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2(MAC[0], MAC[1]).ipv4(CLIENT, SERVER, 64).udp(ports[0], ports[1]);
    builder.write(&mut frame, data).unwrap();
    frame
}

fn tcp(ports: [u16; 2], flags: &str, data: &[u8]) -> Vec<u8> {
    let mut header = TcpHeader::new(ports[0], ports[1], 1, 1000);
    header.syn = flags.contains('S');
    header.ack = flags.contains('A');
    header.fin = flags.contains('F');
    header.rst = flags.contains('R');
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2(MAC[0], MAC[1]).ipv4(CLIENT, SERVER, 64).tcp_header(header);
    builder.write(&mut frame, data).unwrap();
    frame
}

/// An answer to `www.foobar.com A`: its flags, and its sections' records, each with how many there are.
fn answer(flags: u16, counts: [u16; 2], records: &[u8]) -> Vec<u8> {
    let mut message = query(9, &"www.foobar.com".parse().unwrap(), RecordType::A);
    message.truncate(message.len() - 11);
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message[6..8].copy_from_slice(&counts[0].to_be_bytes());
    message[8..10].copy_from_slice(&counts[1].to_be_bytes());
    message[10..12].copy_from_slice(&[0, 0]);
    message.extend(records);
    message
}

const ADDRESS: [u8; 16] = [0xC0, 12, 0, 1, 0, 1, 0, 0, 1, 0x2C, 0, 4, 8, 8, 8, 8];

#[test]
fn names_are_asked_for_and_answered() {
    let question = query(9, &"www.foobar.com".parse().unwrap(), RecordType::A);
    assert_eq!(says(&udp([40_000, 53], &question)), "DNS query A www.foobar.com");
    let said = |message: &[u8]| says(&udp([53, 40_000], message));
    assert_eq!(said(&answer(0x8180, [1, 0], &ADDRESS)), "DNS answer A 8.8.8.8");
    let four = ADDRESS.repeat(4);
    assert_eq!(said(&answer(0x8180, [4, 0], &four)), "DNS answer A 8.8.8.8, A 8.8.8.8, A 8.8.8.8 and 1 more");
    assert_eq!(said(&answer(0x8183, [0, 0], &[])), "DNS answer NXDOMAIN for www.foobar.com");
    assert_eq!(said(&answer(0x8180, [0, 0], &[])), "DNS answer: www.foobar.com has no A");
    assert_eq!(said(&answer(0x8380, [0, 0], &[])), "DNS answer: www.foobar.com has no A (truncated)");
    // com. NS, to the name of the question.
    let delegation = [&[0xC0, 23, 0, 2, 0, 1, 0, 0, 0, 9, 0, 2, 0xC0, 12][..]].concat();
    assert_eq!(said(&answer(0x8000, [0, 1], &delegation)), "DNS referral to com: NS www.foobar.com.");
    let mut over_tcp = u16::try_from(question.len()).unwrap().to_be_bytes().to_vec();
    over_tcp.extend(&question);
    assert_eq!(says(&tcp([40_000, 53], "A", &over_tcp)), "DNS query A www.foobar.com");
    assert_eq!(says(&tcp([40_000, 53], "A", &over_tcp[..9])), "TCP 9 bytes", "the rest comes later");
    assert_eq!(says(&udp([40_000, 9999], &question)), format!("UDP {} bytes", question.len()));
}

#[test]
fn a_connection_begins_speaks_and_ends() {
    let said = |flags, data: &[u8]| says(&tcp([40_000, 80], flags, data));
    assert_eq!(said("S", b""), "TCP SYN");
    assert_eq!(said("SA", b""), "TCP SYN-ACK");
    assert_eq!(said("A", b""), "TCP ACK");
    assert_eq!(said("A", b"GET /guestbook HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP GET /guestbook");
    assert_eq!(said("A", b"HTTP/1.1 200 OK\r\n\r\n"), "HTTP 200 OK");
    assert_eq!(said("A", b"GETTING /x"), "TCP 10 bytes");
    assert_eq!(said("AF", b"HTTP/1.0 404 Not Found\r\n"), "HTTP 404 Not Found, TCP FIN");
    assert_eq!(said("AF", b""), "TCP FIN");
    assert_eq!(said("RA", b""), "TCP RST");
    assert_eq!(said("", b""), "TCP without a flag");
}

#[test]
fn what_is_inside_is_told_where_it_can_be_read() {
    // RFC 8446 §4.1.2: version, random, no session, one cipher, no compression, the name of the server.
    let name = b"www.foobar.com";
    let extension = [&[0, 0, 0, 19, 0, 17, 0, 0, 14][..], name].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0, 0, 23], &extension].concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
    assert_eq!(says(&tcp([40_000, 443], "A", &hello)), "TLS ClientHello www.foobar.com");
    assert_eq!(says(&tcp([40_000, 443], "A", &hello[..60])), "TLS ClientHello", "cut before its name");
    assert_eq!(says(&tcp([443, 40_000], "A", &[23, 3, 3, 0, 1, 9])), "TLS data");
    assert_eq!(says(&tcp([80, 40_000], "A", &[23, 3, 3, 0, 1, 9])), "TCP 6 bytes", "it could be anything");
    assert_eq!(says(&tcp([40_000, 3306], "A", b"\x09\0\0\0\x03SELECT 1")), "MySQL query SELECT 1");
    assert_eq!(says(&tcp([3306, 40_000], "A", b"\x01\0\0\x01\x03")), "MySQL 5 bytes");
}

#[test]
fn the_network_speaks_about_itself() {
    let mut frame = Vec::new();
    let echo = PacketBuilder::ethernet2(MAC[0], MAC[1]).ipv4(CLIENT, SERVER, 64).icmpv4_echo_request(1, 1);
    echo.write(&mut frame, b"x").unwrap();
    assert_eq!(says(&frame), "ICMP echo request");
    let inner = &udp([40_000, 53], b"")[14..];
    let about = [&[3, 3, 0, 0, 0, 0, 0, 0][..], inner].concat();
    assert_eq!(control::icmp(about[0], about[1], &about[8..]), "ICMP port unreachable: 8.8.8.8");
    let six = |octets: &[u8]| {
        let (from, to) = (Ipv6Addr::LOCALHOST.octets(), Ipv6Addr::LOCALHOST.octets());
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2(MAC[0], MAC[1]).ipv6(from, to, 255);
        builder.icmpv6_raw(octets[0], octets[1], [0; 4]).write(&mut frame, &octets[2..]).unwrap();
        says(&frame)
    };
    assert_eq!(six(&[&[135, 0][..], &Ipv6Addr::LOCALHOST.octets()].concat()), "ICMPv6 who has ::1?");
    assert_eq!(six(&[135, 0, 1]), "ICMPv6 who has ??");
    assert_eq!(six(&[128, 0]), "ICMPv6 echo request");
    let arp = |operation: u8| {
        let head = [&MAC[1][..], &MAC[0], &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation]].concat();
        [&head[..], &MAC[0], &CLIENT, &[0; 6], &SERVER].concat()
    };
    assert_eq!(says(&arp(1)), "ARP who has 8.8.8.8?");
    assert_eq!(says(&arp(2)), "ARP I am at 02:00:00:00:00:01");
    let question = arp(1);
    let ends = Frame::read(&question, question.len());
    assert_eq!((ends.from, ends.to), (Some(CLIENT.into()), Some(SERVER.into())));
    assert_eq!(says(&[&MAC[1][..], &MAC[0], &[0x88, 0xCC], &[0; 20]].concat()), "Ethernet type 0x88cc");
    assert_eq!(says(&[1, 2, 3]), "not to be read");
}

#[test]
fn a_part_of_a_packet_is_told_as_one() {
    let mut frame = udp([40_000, 53], &[0; 64]);
    // More fragments follow (RFC 791 §3.1).
    frame[20] |= 0x20;
    assert_eq!(says(&frame), "IP fragment");
    let whole = tcp([40_000, 80], "A", &[b'x'; 1000]);
    let kept = &whole[..200];
    assert_eq!(describe(&Frame::read(kept, whole.len()), &names()), "TCP 1000 bytes", "800 were not kept");
}

#[test]
fn nothing_that_a_stranger_wrote_commands_the_terminal() {
    let said = says(&tcp([1, 80], "A", "GET /\x1b[2J\u{202e}\u{7}\u{9b}x HTTP/1.1\r\n".as_bytes()));
    assert_eq!(said, "HTTP GET /.[2J...x");
    let long = format!("GET /{} HTTP/1.1\r\n", "ä".repeat(500));
    let said = says(&tcp([1, 80], "A", long.as_bytes()));
    assert!(said.chars().count() <= 121 && said.ends_with('…'), "{said}");
}

/// Whether a line is one that a terminal may show.
fn is_a_line(said: &str) -> bool {
    !said.is_empty() && said.chars().count() < 300 && !said.chars().any(char::is_control)
}

proptest! {
    #[test]
    fn any_octets_are_a_line(octets in prop::collection::vec(any::<u8>(), 0..300), more in 0_usize..100_000) {
        let frame = Frame::read(&octets, octets.len() + more);
        let _ = frame.ends();
        prop_assert!(is_a_line(&describe(&frame, &names())));
    }

    #[test]
    fn any_data_is_a_line(data in prop::collection::vec(any::<u8>(), 0..300),
            port in prop::sample::select(vec![53_u16, 80, 443, 853, 3306, 9]), over_udp: bool, reply: bool) {
        let ports = if reply { [port, 40_000] } else { [40_000, port] };
        let frame = if over_udp { udp(ports, &data) } else { tcp(ports, "A", &data) };
        prop_assert!(is_a_line(&says(&frame)));
    }

    #[test]
    fn a_changed_octet_is_still_a_line(at in 0_usize..80, octet: u8, cut in 0_usize..80) {
        let mut frame = udp([53, 40_000], &answer(0x8180, [1, 0], &ADDRESS));
        let length = frame.len();
        frame[at % length] = octet;
        prop_assert!(is_a_line(&says(&frame)));
        prop_assert!(is_a_line(&says(&frame[..cut.min(length)])));
    }

    #[test]
    fn any_hello_is_a_line(mut hello in prop::collection::vec(any::<u8>(), 0..200)) {
        hello.splice(0..0, [22, 3, 1, 0, 200, 1]);
        prop_assert!(is_a_line(&says(&tcp([1, 443], "A", &hello))));
    }
}
