//! The answer that an attacker gives before the server does, from a question's octets to an answer's; pure.
//!
//! Whoever stands on the way and sees the question knows all that plain DNS proves an answer by: the addresses, the ports, the
//! identifier, the case of the name (draft-vixie-dnsext-dns0x20), the asker's cookie (which helps against
//! those off the way alone, RFC 7873 §9), and repeats it. Even AD, where it was asked for: without a protected way it is anybody's word (RFC 4035 §4.9.3). What
//! nobody can make up is a signature, and there is none in it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::question::{self, Wanted};
use super::writer::{QUESTION_NAME, Section, Writer};
use super::{Flags, LONGEST_PLAIN_UDP};
use crate::dns::types::{Class, RecordType};

/// An address of the prefix that every router may throw away (RFC 6666): whoever has IPv6 would else go on to the right machine.
pub const NOWHERE: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0x99);

/// Seconds for which the lie is to be believed: nothing that looks odd.
const TTL: u32 = 300;

/// What the attacker says to `question`: that its name has this address (A), or one that leads nowhere (AAAA). Nothing where
/// something else is asked, or another name than `only` (in lower case, with its final dot).
pub fn answer(question: &[u8], address: Ipv4Addr, only: Option<&str>) -> Option<Vec<u8>> {
    let asked = question::read(question).ok()?;
    let is_plain = asked.wanted() == Wanted::Query && asked.signature.is_none() && asked.class == Class::IN;
    let (four, six) = (address.octets(), NOWHERE.octets());
    let data: &[u8] = match asked.record_type {
        RecordType::A => &four,
        RecordType::AAAA => &six,
        _ => return None,
    };
    let is_meant = only.is_none_or(|only| asked.name.to_lowercase().to_string() == only);
    if !is_plain || !is_meant {
        return None;
    }
    let mut reply = Vec::new();
    let mut writer = Writer::begin(&mut reply, asked.id, asked.flags, asked.edns, LONGEST_PLAIN_UDP);
    writer.question(&asked.name, asked.record_type, asked.class);
    writer.set(Flags::AA);
    if asked.flags.has(Flags::RD) {
        writer.set(Flags::RA);
        if asked.flags.has(Flags::AD) || asked.edns.is_some_and(|edns| edns.dnssec) {
            writer.set(Flags::AD);
        }
    }
    // Whoever asks for the first time cannot tell a server's cookie from one that is made up.
    writer.cookie(*b"madeupbysomebody", true);
    writer.records_at(Section::Answer, QUESTION_NAME, asked.record_type, TTL, std::iter::once(data)).ok()?;
    writer.finish();
    Some(reply)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::message::asked::{plain_query, query, read_response};
    use crate::dns::name::Name;

    const ATTACKERS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn all_that_plain_dns_checks_is_repeated() {
        let mixed = name("wWw.FooBar.cOm");
        let question = query(0x1234, &mixed, RecordType::A);
        let reply = answer(&question, ATTACKERS, Some("www.foobar.com.")).unwrap();
        let read = read_response(&reply).unwrap();
        assert_eq!((read.id, read.edns), (0x1234, true));
        let (asked, record_type) = read.question.unwrap();
        assert_eq!((asked.as_wire(), record_type), (mixed.as_wire(), RecordType::A), "with its case");
        assert!(read.flags.has(Flags::QR | Flags::AA | Flags::RD | Flags::RA), "{}", read.flags);
        assert_eq!(read.answers[0].to_string().to_lowercase(), "www.foobar.com. 300 in a 203.0.113.66");
    }

    #[test]
    fn an_iterative_question_is_answered_as_by_a_name_server() {
        let reply = answer(&plain_query(7, &name("x.com"), RecordType::AAAA, true), ATTACKERS, None).unwrap();
        let read = read_response(&reply).unwrap();
        assert_eq!(read.flags, Flags(Flags::QR | Flags::AA));
        assert_eq!(read.answers[0].data.to_string(), NOWHERE.to_string());
    }

    #[test]
    fn the_askers_cookie_is_repeated_and_a_servers_made_up() {
        let mut question = query(7, &name("x.com"), RecordType::A);
        let length = question.len();
        question[length - 1] = 12;
        question.extend_from_slice(&[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        let reply = answer(&question, ATTACKERS, None).unwrap();
        let cookie = [0, 10, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8, b'm', b'a'];
        assert!(reply.windows(cookie.len()).any(|octets| octets == cookie), "{reply:?}");
    }

    #[test]
    fn nothing_else_is_answered() {
        let other = |record_type| answer(&query(7, &name("www.foobar.com"), record_type), ATTACKERS, None);
        assert!(other(RecordType::A).is_some());
        assert!(other(RecordType::NS).is_none() && other(RecordType::AXFR).is_none());
        let question = query(7, &name("mail.foobar.com"), RecordType::A);
        assert!(answer(&question, ATTACKERS, Some("www.foobar.com.")).is_none());
        let mut response = question;
        response[2] |= 0x80;
        assert!(answer(&response, ATTACKERS, None).is_none(), "a loop would be endless");
    }

    proptest! {
        #[test]
        fn any_octets_are_answered_or_left_alone(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(&octets, ATTACKERS, None);
        }
    }
}
