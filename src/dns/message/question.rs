//! What a stranger sent to a server, read with suspicion.
//!
//! Exactly one question (RFC 9619), at most one OPT (RFC 6891 §6.1.1), a signature only at the very end (RFC 8945 §5.1),
//! nothing behind the last record. NOTIFY and UPDATE have the same shape: what they are about stands where a query has
//! its question (RFC 1996 §3.7, RFC 2136 §2.3).

use super::cookie::{COOKIE, Cookie};
use super::padding::PADDING;
use super::{Flags, HEADER, read_u16, read_u32};
use crate::dns::name::Name;
use crate::dns::types::{Class, RecordType};

/// A question, as asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The message's identifier.
    pub id: u16,
    /// Its flags.
    pub flags: Flags,
    /// The name asked for, in the case in which it was asked.
    pub name: Name,
    /// The type asked for.
    pub record_type: RecordType,
    /// The class asked for.
    pub class: Class,
    /// What EDNS says; nothing where the asker does not speak it.
    pub edns: Option<Edns>,
    /// Where the signature (TSIG) begins, if there is one: the last record.
    pub signature: Option<usize>,
}

/// What a message wants done: its opcode (RFC 1035 §4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// An answer.
    Query,
    /// A zone's secondary is told that it changed (RFC 1996).
    Notify,
    /// A zone is to be changed (RFC 2136).
    Update,
}

impl Wanted {
    fn of(flags: Flags) -> Option<Self> {
        match flags.0 & Flags::OPCODE {
            0 => Some(Self::Query),
            0x2000 => Some(Self::Notify),
            0x2800 => Some(Self::Update),
            _ => None,
        }
    }
}

impl Question {
    /// What is wanted.
    pub fn wanted(&self) -> Wanted {
        // Nothing else is read as a question.
        Wanted::of(self.flags).unwrap_or(Wanted::Query)
    }
}

/// What the asker's OPT says (RFC 6891 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edns {
    /// The longest UDP answer that the asker takes, in octets.
    pub udp_size: u16,
    /// The version that the asker speaks.
    pub version: u8,
    /// Whether the asker wants signatures (DO, RFC 3225).
    pub dnssec: bool,
    /// Whether the asker wants to know which server answers (NSID, RFC 5001 §2.1).
    pub nsid: bool,
    /// Whether the asker wants to know how long a connection may be silent (RFC 7828 §3.2.1).
    pub keepalive: bool,
    /// Whether the question is padded, and its answer is to be as well where it is encrypted (RFC 7830 §4).
    pub padding: bool,
    /// The asker's cookie (RFC 7873).
    pub cookie: Option<Cookie>,
}

/// The option that tells which server answers (RFC 5001).
pub(super) const NSID: u16 = 3;

/// The option that tells how long a connection may be silent (RFC 7828).
pub(super) const KEEPALIVE: u16 = 11;

/// What is not a question to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswerable {
    /// Too short for a header, or itself a response: silence is the only answer that cannot be abused.
    Silence,
    /// It cannot be read: FORMERR.
    Malformed {
        /// The message's identifier.
        id: u16,
        /// Its flags.
        flags: Flags,
    },
    /// It asks for nothing but a cookie (RFC 7873 §5.4).
    OnlyCookie {
        /// The message's identifier.
        id: u16,
        /// Its flags.
        flags: Flags,
        /// What its OPT says, a cookie among it.
        edns: Edns,
    },
    /// It is neither a query nor NOTIFY nor UPDATE: NOTIMP.
    OtherOpcode {
        /// The message's identifier.
        id: u16,
        /// Its flags.
        flags: Flags,
    },
}

/// Reads the question that `message` asks.
pub fn read(message: &[u8]) -> Result<Question, Unanswerable> {
    if message.len() < HEADER {
        return Err(Unanswerable::Silence);
    }
    let (Some(id), Some(flags)) = (read_u16(message, 0), read_u16(message, 2).map(Flags)) else {
        return Err(Unanswerable::Silence);
    };
    if flags.has(Flags::QR) {
        return Err(Unanswerable::Silence);
    }
    if Wanted::of(flags).is_none() {
        return Err(Unanswerable::OtherOpcode { id, flags });
    }
    let malformed = Unanswerable::Malformed { id, flags };
    match read_u16(message, 4) {
        Some(0) => {
            let edns = read_records(message, HEADER).and_then(|records| records.edns);
            let edns = edns.filter(|edns| edns.cookie.is_some() && Wanted::of(flags) == Some(Wanted::Query));
            Err(edns.map_or(malformed, |edns| Unanswerable::OnlyCookie { id, flags, edns }))
        }
        Some(1) => read_query(message, id, flags).ok_or(malformed),
        _ => Err(malformed),
    }
}

fn read_query(message: &[u8], id: u16, flags: Flags) -> Option<Question> {
    let (name, at) = Name::read(message, HEADER).ok()?;
    let record_type = RecordType(read_u16(message, at)?);
    let class = Class(read_u16(message, at + 2)?);
    let Records { edns, signature } = read_records(message, at + 4)?;
    Some(Question { id, flags, name, record_type, class, edns, signature })
}

/// What the records behind a question say.
struct Records {
    edns: Option<Edns>,
    /// Where the signature begins.
    signature: Option<usize>,
}

/// Reads the records behind the question, which are all that is left.
fn read_records(message: &[u8], mut at: usize) -> Option<Records> {
    let count = |at| read_u16(message, at);
    let (answers, authorities, additionals) = (count(6)?, count(8)?, count(10)?);
    for _ in 0..u32::from(answers) + u32::from(authorities) {
        let record = read_head(message, at)?;
        if matches!(record.record_type, RecordType::OPT | RecordType::TSIG) {
            return None;
        }
        at = record.end;
    }
    let (mut edns, mut signature) = (None, None);
    for left in (0..additionals).rev() {
        let record = read_head(message, at)?;
        if record.record_type == RecordType::OPT {
            if edns.is_some() || !record.at_root {
                return None;
            }
            let [_, version, flags, _] = record.ttl.to_be_bytes();
            let mut said = Edns {
                udp_size: record.class,
                version,
                dnssec: flags & 0x80 != 0,
                nsid: false,
                keepalive: false,
                padding: false,
                cookie: None,
            };
            read_options(message.get(record.data..record.end)?, &mut said)?;
            edns = Some(said);
        }
        if record.record_type == RecordType::TSIG {
            if left > 0 {
                return None;
            }
            signature = Some(at);
        }
        at = record.end;
    }
    (at == message.len()).then_some(Records { edns, signature })
}

/// The serial of the SOA in the authority section: what the asker of an IXFR has (RFC 1995 §3).
pub fn find_serial(message: &[u8]) -> Option<u32> {
    let (answers, authorities) = (read_u16(message, 6)?, read_u16(message, 8)?);
    let mut at = Name::read(message, HEADER).ok()?.1 + 4;
    for number in 0..u32::from(answers) + u32::from(authorities) {
        let record = read_head(message, at)?;
        if number >= u32::from(answers) && record.record_type == RecordType::SOA {
            let mut at = record.data;
            for _ in 0..2 {
                at = Name::read(message, at).ok()?.1;
            }
            return read_u32(message, at).filter(|_| at + 20 == record.end);
        }
        at = record.end;
    }
    None
}

/// A record's head, and where its data begins and ends.
pub(super) struct Head {
    at_root: bool,
    pub(super) record_type: RecordType,
    class: u16,
    ttl: u32,
    pub(super) data: usize,
    pub(super) end: usize,
}

/// Reads the head of the record at `at`; nothing if the record is not whole.
pub(super) fn read_head(message: &[u8], at: usize) -> Option<Head> {
    // Every OPT is at the root, one octet: no need to read a name for it.
    let (at_root, at) = match message.get(at)? {
        0 => (true, at + 1),
        _ => (false, Name::read(message, at).ok()?.1),
    };
    let data = at + 10;
    let end = data + usize::from(read_u16(message, at + 8)?);
    (end <= message.len()).then_some(Head {
        at_root,
        record_type: RecordType(read_u16(message, at)?),
        class: read_u16(message, at + 2)?,
        ttl: read_u32(message, at + 4)?,
        data,
        end,
    })
}

/// Options that we do not know are passed over (RFC 6891 §6.1.2); nothing if one of them is not whole.
fn read_options(mut options: &[u8], said: &mut Edns) -> Option<()> {
    while !options.is_empty() {
        let (code, length) = (read_u16(options, 0)?, read_u16(options, 2)?);
        let data = options.get(4..4 + usize::from(length))?;
        match code {
            // Of several, the first counts (RFC 7873 §5); one of the wrong length is an error (§5.2.2).
            COOKIE if said.cookie.is_none() => said.cookie = Some(Cookie::read(data)?),
            NSID => said.nsid = true,
            KEEPALIVE => said.keepalive = true,
            PADDING => said.padding = true,
            _ => {}
        }
        options = options.get(4 + usize::from(length)..)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(counts: [u8; 4], rest: &[u8]) -> Vec<u8> {
        let mut message = vec![0xAB, 0xCD, 0x01, 0x00];
        for count in counts {
            message.extend([0, count]);
        }
        message.extend(rest);
        message
    }

    const QUESTION: &[u8] = b"\x03wWw\0\0\x01\0\x01";
    const OPT: &[u8] = b"\0\0\x29\x10\0\0\0\x80\0\0\0";

    #[test]
    fn a_question_is_read_in_its_case() {
        let question = read(&message([1, 0, 0, 0], QUESTION)).unwrap();
        assert_eq!((question.id, question.record_type), (0xABCD, RecordType::A));
        assert_eq!(question.name.as_wire(), b"\x03wWw\0");
        assert_eq!(question.edns, None);
        let question = read(&message([1, 0, 0, 1], &[QUESTION, OPT].concat())).unwrap();
        assert_eq!(question.edns, Some(Edns { udp_size: 4096, dnssec: true, ..Edns::default() }));
    }

    #[test]
    fn rfc7873_section_5_4_a_cookie_without_a_question() {
        let with = |option: &[u8]| {
            let length = u8::try_from(option.len()).unwrap();
            message([0, 0, 0, 1], &[b"\0\0\x29\x10\0\0\0\0\0\0", &[length][..], option].concat())
        };
        let cookie = b"\0\x0A\0\x08COOKIE-1";
        let Err(Unanswerable::OnlyCookie { id: 0xABCD, edns, .. }) = read(&with(cookie)) else { panic!() };
        assert_eq!(edns.cookie.unwrap().asker, *b"COOKIE-1");
        // Of two the first counts.
        let two = [&cookie[..], b"\0\x0A\0\x08COOKIE-2"].concat();
        assert!(
            matches!(read(&with(&two)), Err(Unanswerable::OnlyCookie { edns: same, .. }) if same == edns)
        );
        for other in [&b""[..], b"\0\x0A\0\x07COOKIE-", b"\0\x03\0\0"] {
            assert!(matches!(read(&with(other)), Err(Unanswerable::Malformed { id: 0xABCD, .. })));
        }
    }

    #[test]
    fn what_is_no_question_is_told_apart() {
        let malformed =
            |message: &[u8]| matches!(read(message), Err(Unanswerable::Malformed { id: 0xABCD, .. }));
        assert!(malformed(&message([0, 0, 0, 0], b"")));
        assert!(malformed(&message([2, 0, 0, 0], &QUESTION.repeat(2))));
        assert!(malformed(&message([1, 0, 0, 0], b"\x03ww")));
        assert!(malformed(&message([1, 0, 0, 0], &[QUESTION, b"x"].concat())));
        assert!(malformed(&message([1, 0, 0, 2], &[QUESTION, OPT, OPT].concat())));
        assert!(malformed(&message([1, 0, 0, 1], &[QUESTION, b"\x01a", OPT].concat())));
        let broken_option = b"\0\0\x29\x10\0\0\0\0\0\0\x05\0\x0A\0\x08\0";
        assert!(malformed(&message([1, 0, 0, 1], &[QUESTION, broken_option].concat())));
        let mut other = message([1, 0, 0, 0], QUESTION);
        assert_eq!(read(&other[..11]).unwrap_err(), Unanswerable::Silence);
        other[2] = 0x10;
        assert!(matches!(read(&other), Err(Unanswerable::OtherOpcode { .. })));
        other[2] = 0x80;
        assert_eq!(read(&other).unwrap_err(), Unanswerable::Silence);
        let signature = b"\x01k\0\0\xFA\0\xFF\0\0\0\0\0\0";
        assert!(malformed(&message([1, 0, 0, 2], &[QUESTION, signature, OPT].concat())));
        assert!(malformed(&message([1, 1, 0, 0], &[QUESTION, signature].concat())));
    }

    #[test]
    fn what_is_wanted_and_where_the_signature_is() {
        let signature = b"\x01k\0\0\xFA\0\xFF\0\0\0\0\0\0";
        let mut signed = message([1, 0, 0, 2], &[QUESTION, OPT, signature].concat());
        let question = read(&signed).unwrap();
        assert_eq!(
            (question.wanted(), question.signature),
            (Wanted::Query, Some(signed.len() - signature.len()))
        );
        signed[2] = 0x20;
        assert_eq!(read(&signed).unwrap().wanted(), Wanted::Notify);
        signed[2] = 0x28;
        assert_eq!(read(&signed).unwrap().wanted(), Wanted::Update);
    }
}
