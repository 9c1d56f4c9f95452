//! What a fault makes of an answer to a DNS question (RFC 1035 §4), from octets to octets.
//!
//! The answer was made as ever; here it is spoilt on its way out. Octets and not records, so that name servers and the resolver,
//! which write answers each in their own way, are spoilt alike. Left alone is what is no plain question: transfers, NOTIFY,
//! and whatever is signed (RFC 8945), since a message that anybody can see was changed is another fault.

use std::net::Ipv4Addr;

use super::Active;
use crate::dns::message::forged::NOWHERE;
use crate::dns::message::question::{self, Wanted};
use crate::dns::message::{Flags, HEADER};
use crate::dns::types::{Rcode, RecordType};
use crate::ground::bind::Transport;
use crate::ground::fault::{DnsWrong, Laid, Wrong};

/// What strikes the answer to `question`.
pub(crate) fn strikes(active: &Active, question: &[u8]) -> Vec<DnsWrong> {
    let Ok(asked) = question::read(question) else { return Vec::new() };
    let is_plain = asked.wanted() == Wanted::Query
        && asked.signature.is_none()
        && !matches!(asked.record_type, RecordType::AXFR | RecordType::IXFR);
    if !is_plain {
        return Vec::new();
    }
    let name = asked.name.to_lowercase().to_string();
    let concerns = |laid: &Laid| match laid.wrong {
        // The port is closed for everybody, whatever they would ask.
        Wrong::Dns(DnsWrong::NoTcp | DnsWrong::Stale)
        | Wrong::Http(_)
        | Wrong::Database(_)
        | Wrong::Edge { .. } => false,
        Wrong::Dns(_) => laid.only.as_ref().is_none_or(|only| *only == name),
    };
    let struck = active.strike(concerns).into_iter();
    struck.filter_map(|wrong| if let Wrong::Dns(wrong) = wrong { Some(wrong) } else { None }).collect()
}

/// How much later the answer is to come, in milliseconds; 0 for at once.
pub(crate) fn delay(struck: &[DnsWrong]) -> u64 {
    let waits = struck.iter().map(|wrong| if let DnsWrong::Slow { millis } = wrong { *millis } else { 0 });
    waits.max().unwrap_or(0)
}

/// Spoils `reply`, a whole message, by `struck`. Whatever is done, the message stays one that can be read.
pub(crate) fn spoil(struck: &[DnsWrong], transport: Transport, reply: &mut Vec<u8>) {
    for wrong in struck {
        match *wrong {
            DnsWrong::Servfail => empty(reply, Rcode::SERVFAIL, Flags::AA, 0),
            DnsWrong::Refused => empty(reply, Rcode::REFUSED, Flags::AA, 0),
            DnsWrong::Nxdomain => empty(reply, Rcode::NXDOMAIN, 0, 0),
            DnsWrong::Lame => empty(reply, Rcode::NOERROR, Flags::AA, 0),
            DnsWrong::Truncate if transport == Transport::Udp => {
                empty(reply, rcode_of(reply), 0, Flags::TC);
            }
            DnsWrong::WrongAddress(address) => readdress(reply, address),
            DnsWrong::Ttl { seconds } => remember_for(reply, seconds),
            DnsWrong::Truncate | DnsWrong::Slow { .. } | DnsWrong::NoTcp | DnsWrong::Stale => {}
        }
    }
}

/// The response code in the header of `reply`, the flags, and the number of its answers, for the telling.
pub(crate) fn became(reply: &[u8]) -> Option<(Rcode, Flags, u16)> {
    let flags = u16_at(reply, 2)?;
    Some((Rcode(flags & 0xF), Flags(flags & !(Flags::OPCODE | 0xF)), u16_at(reply, 6)?))
}

fn rcode_of(reply: &[u8]) -> Rcode {
    Rcode(u16_at(reply, 2).unwrap_or(0) & 0xF)
}

/// Takes every record but the OPT (RFC 6891 §6.1.1) from `reply`, and answers `rcode`, without the flags of `off` and with `on`.
fn empty(reply: &mut Vec<u8>, rcode: Rcode, off: u16, on: u16) {
    let Some((first, records)) = records(reply) else { return };
    let opt = records.iter().find(|record| record.kind == RecordType::OPT.0).map(|record| {
        let mut octets = reply[record.start..record.end].to_vec();
        // The upper bits of the response code stand here, in what is a TTL elsewhere.
        if let Some(extended) = octets.get_mut(record.ttl - record.start) {
            *extended = 0;
        }
        octets
    });
    reply.truncate(first);
    for (at, count) in [(6, 0), (8, 0), (10, u16::from(opt.is_some()))] {
        put_u16(reply, at, count);
    }
    reply.extend(opt.unwrap_or_default());
    let flags = u16_at(reply, 2).unwrap_or(0) & !0xF & !off | on | rcode.0 & 0xF;
    put_u16(reply, 2, flags);
}

fn readdress(reply: &mut [u8], address: Ipv4Addr) {
    for record in records(reply).map(|(_, records)| records).unwrap_or_default() {
        let data = reply.get_mut(record.data..record.end).unwrap_or_default();
        match RecordType(record.kind) {
            RecordType::A if data.len() == 4 => data.copy_from_slice(&address.octets()),
            // Whoever has IPv6 would go on to the right machine.
            RecordType::AAAA if data.len() == 16 => data.copy_from_slice(&NOWHERE.octets()),
            _ => {}
        }
    }
}

fn remember_for(reply: &mut [u8], seconds: u32) {
    for record in records(reply).map(|(_, records)| records).unwrap_or_default() {
        if record.kind != RecordType::OPT.0
            && let Some(ttl) = reply.get_mut(record.ttl..record.ttl + 4)
        {
            ttl.copy_from_slice(&seconds.to_be_bytes());
        }
    }
}

/// Where the parts of a record stand.
struct Record {
    start: usize,
    kind: u16,
    ttl: usize,
    data: usize,
    end: usize,
}

/// Where the first record begins, and every record; nothing where `message` is none.
fn records(message: &[u8]) -> Option<(usize, Vec<Record>)> {
    let mut at = HEADER;
    for _ in 0..u16_at(message, 4)? {
        at = behind_name(message, at)?.checked_add(4)?;
    }
    let first = at;
    let count: usize =
        [6, 8, 10].iter().map(|&at| u16_at(message, at).map(usize::from)).sum::<Option<_>>()?;
    let mut found = Vec::new();
    for _ in 0..count {
        let start = at;
        let fields = behind_name(message, at)?;
        let (kind, length) = (u16_at(message, fields)?, u16_at(message, fields + 8)?);
        at = fields + 10 + usize::from(length);
        if at > message.len() {
            return None;
        }
        found.push(Record { start, kind, ttl: fields + 4, data: fields + 10, end: at });
    }
    (first <= message.len()).then_some((first, found))
}

/// What follows the name at `at`, which may end in a pointer (RFC 1035 §4.1.4).
fn behind_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xC0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..)?.first_chunk().map(|octets| u16::from_be_bytes(*octets))
}

fn put_u16(message: &mut [u8], at: usize, value: u16) {
    if let Some(octets) = message.get_mut(at..at + 2) {
        octets.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::dns::message::question::Edns;
    use crate::dns::message::writer::{Section, Writer};
    use crate::dns::name::Name;
    use crate::dns::types::Class;

    /// An answer with an address, and with EDNS.
    fn answer() -> Vec<u8> {
        let mut reply = Vec::new();
        let name: Name = "www.foobar.com.".parse().unwrap();
        let mut writer = Writer::begin(&mut reply, 7, Flags(Flags::RD), Some(Edns::default()), 512);
        writer.question(&name, RecordType::A, Class::IN);
        writer.set(Flags::AA);
        let data: [&[u8]; 1] = [&[127, 0, 0, 1]];
        writer.records_of(Section::Answer, name.as_wire(), RecordType::A, 300, data.into_iter()).unwrap();
        writer.finish();
        reply
    }

    fn spoilt(wrong: DnsWrong) -> (Rcode, Flags, u16) {
        let mut reply = answer();
        spoil(&[wrong], Transport::Udp, &mut reply);
        let (_, records) = records(&reply).expect("it can still be read");
        assert_eq!(records.iter().filter(|record| record.kind == RecordType::OPT.0).count(), 1);
        assert_eq!(reply[..2], [0, 7]);
        became(&reply).unwrap()
    }

    #[test]
    fn each_fault_has_its_answer() {
        let (rd, aa) = (Flags::QR | Flags::RD, Flags::QR | Flags::RD | Flags::AA);
        assert_eq!(spoilt(DnsWrong::Servfail), (Rcode::SERVFAIL, Flags(rd), 0));
        assert_eq!(spoilt(DnsWrong::Refused), (Rcode::REFUSED, Flags(rd), 0));
        assert_eq!(spoilt(DnsWrong::Nxdomain), (Rcode::NXDOMAIN, Flags(aa), 0));
        assert_eq!(spoilt(DnsWrong::Lame), (Rcode::NOERROR, Flags(rd), 0));
        assert_eq!(spoilt(DnsWrong::Truncate), (Rcode::NOERROR, Flags(aa | Flags::TC), 0));
        assert_eq!(spoilt(DnsWrong::Slow { millis: 9 }), (Rcode::NOERROR, Flags(aa), 1));
    }

    #[test]
    fn over_tcp_nothing_is_cut() {
        let mut reply = answer();
        spoil(&[DnsWrong::Truncate], Transport::Tcp, &mut reply);
        assert_eq!(reply, answer());
    }

    #[test]
    fn addresses_and_times_change_in_place() {
        let mut reply = answer();
        let wrong =
            [DnsWrong::WrongAddress(Ipv4Addr::new(127, 0, 0, 99)), DnsWrong::Ttl { seconds: 604_800 }];
        spoil(&wrong, Transport::Udp, &mut reply);
        assert_eq!(reply.len(), answer().len());
        let (_, records) = records(&reply).unwrap();
        assert_eq!(reply[records[0].data..records[0].end], [127, 0, 0, 99]);
        assert_eq!(reply[records[0].ttl..records[0].ttl + 4], 604_800_u32.to_be_bytes());
        assert_eq!(reply[records[1].ttl..records[1].ttl + 4], [0; 4], "what OPT has there is no time");
    }

    #[test]
    fn an_address_of_ipv6_leads_nowhere_when_the_other_is_wrong() {
        let mut reply = Vec::new();
        let name: Name = "www.foobar.com.".parse().unwrap();
        let mut writer = Writer::begin(&mut reply, 7, Flags(Flags::RD), None, 512);
        writer.question(&name, RecordType::AAAA, Class::IN);
        let data: [&[u8]; 1] = [&Ipv6Addr::LOCALHOST.octets()];
        writer.records_of(Section::Answer, name.as_wire(), RecordType::AAAA, 300, data.into_iter()).unwrap();
        writer.finish();
        spoil(&[DnsWrong::WrongAddress(Ipv4Addr::new(127, 0, 0, 99))], Transport::Udp, &mut reply);
        let (_, records) = records(&reply).unwrap();
        assert_eq!(reply[records[0].data..records[0].end], NOWHERE.octets());
    }

    proptest! {
        #[test]
        fn any_octets_are_spoilt_without_harm(mut octets in prop::collection::vec(any::<u8>(), 0..200)) {
            for wrong in [DnsWrong::Servfail, DnsWrong::Truncate, DnsWrong::Ttl { seconds: 1 },
                DnsWrong::WrongAddress(Ipv4Addr::LOCALHOST)] {
                spoil(&[wrong], Transport::Udp, &mut octets);
            }
            let _ = became(&octets);
        }
    }
}
