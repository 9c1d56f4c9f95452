//! The asker's side: makes a question, and reads the answer for people.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Flags, HEADER, LONGEST_UDP, read_u16, read_u32};
use crate::dns::name::{Name, NameError};
use crate::dns::rdata::{self, Field, Shown};
use crate::dns::types::{Class, Rcode, RecordType};

/// Octets of an OPT without options.
const OPT_LENGTH: usize = 11;

/// A question with the identifier `id`, recursion desired, EDNS with 1232 octets.
pub fn query(id: u16, name: &Name, record_type: RecordType) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + name.as_wire().len() + 4 + OPT_LENGTH);
    message.extend_from_slice(&id.to_be_bytes());
    message.extend_from_slice(&Flags::RD.to_be_bytes());
    message.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
    message.extend_from_slice(name.as_wire());
    message.extend_from_slice(&record_type.0.to_be_bytes());
    message.extend_from_slice(&Class::IN.0.to_be_bytes());
    let [high, low] = LONGEST_UDP.to_be_bytes();
    message.extend_from_slice(&[0, 0, 41, high, low, 0, 0, 0, 0, 0, 0]);
    message
}

/// A question with the identifier `id`, recursion not desired, EDNS only where signatures are wanted.
pub fn plain_query(id: u16, name: &Name, record_type: RecordType, dnssec: bool) -> Vec<u8> {
    let mut message = query(id, name, record_type);
    message[2..4].fill(0);
    if dnssec {
        // The flags of EDNS are the last but two octets of its TTL (RFC 6891 §6.1.3).
        let flags = message.len() - 4;
        message[flags] |= 0x80;
    } else {
        message[11] = 0;
        message.truncate(message.len() - OPT_LENGTH);
    }
    message
}

/// An answer, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The identifier; it must be the question's.
    pub id: u16,
    /// The flags.
    pub flags: Flags,
    /// What came of the question, with the bits that EDNS adds.
    pub rcode: Rcode,
    /// What was asked, if the answer repeats it.
    pub question: Option<(Name, RecordType)>,
    /// What was asked for.
    pub answers: Vec<Record>,
    /// Who is responsible.
    pub authorities: Vec<Record>,
    /// What may be asked next; the OPT is not among them.
    pub additionals: Vec<Record>,
    /// Whether the answer speaks EDNS.
    pub edns: bool,
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its owner.
    pub name: Name,
    /// Its type.
    pub record_type: RecordType,
    /// Seconds for which it may be remembered.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// An A record's address.
    Ipv4(Ipv4Addr),
    /// An AAAA record's address.
    Ipv6(Ipv6Addr),
    /// Anything else, as a zone file writes it.
    Text(String),
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// It is shorter than its counts promise.
    #[error("the answer ends too early: whoever sent it may not be a DNS server")]
    Incomplete,
    /// It is a question.
    #[error("what came is a question, not an answer: whoever sent it may be a mirror")]
    NotAResponse,
    /// A name in it cannot be read.
    #[error("a name in the answer cannot be read")]
    Name(#[source] NameError),
}

/// Reads an answer.
pub fn read_response(message: &[u8]) -> Result<Response, ResponseError> {
    let field = |at| read_u16(message, at).ok_or(ResponseError::Incomplete);
    let flags = Flags(field(2)?);
    if !flags.has(Flags::QR) {
        return Err(ResponseError::NotAResponse);
    }
    let mut response = Response {
        id: field(0)?,
        flags,
        rcode: Rcode(flags.0 & 0xF),
        question: None,
        answers: Vec::new(),
        authorities: Vec::new(),
        additionals: Vec::new(),
        edns: false,
    };
    let mut at = HEADER;
    for _ in 0..field(4)? {
        let (name, after) = Name::read(message, at).map_err(ResponseError::Name)?;
        response.question = Some((name, RecordType(field(after)?)));
        at = after + 4;
    }
    for section in [6, 8, 10] {
        for _ in 0..field(section)? {
            let (name, after) = Name::read(message, at).map_err(ResponseError::Name)?;
            let record_type = RecordType(field(after)?);
            let ttl = read_u32(message, after + 4).ok_or(ResponseError::Incomplete)?;
            let start = after + 10;
            at = start + usize::from(field(after + 8)?);
            if at > message.len() {
                return Err(ResponseError::Incomplete);
            }
            if record_type == RecordType::OPT {
                response.edns = true;
                response.rcode.0 |= u16::from(ttl.to_be_bytes()[0]) << 4;
                continue;
            }
            let records = match section {
                6 => &mut response.answers,
                8 => &mut response.authorities,
                _ => &mut response.additionals,
            };
            records.push(Record {
                name,
                record_type,
                ttl,
                data: read_data(message, start, at, record_type)?,
            });
        }
    }
    Ok(response)
}

/// What `message`, an answer or a question, asks; nothing if it does not say.
pub fn question_of(message: &[u8]) -> Option<(Name, RecordType)> {
    if read_u16(message, 4)? == 0 {
        return None;
    }
    let (name, after) = Name::read(message, HEADER).ok()?;
    Some((name, RecordType(read_u16(message, after)?)))
}

fn read_data(
    message: &[u8],
    start: usize,
    end: usize,
    record_type: RecordType,
) -> Result<Data, ResponseError> {
    let mut octets = Vec::with_capacity(end - start);
    let mut at = start;
    for &field in rdata::fields(record_type).unwrap_or_default() {
        if field == Field::Name {
            let (name, after) = Name::read(message, at).map_err(ResponseError::Name)?;
            octets.extend_from_slice(name.as_wire());
            at = after;
        } else if let Some((part, _)) = message.get(at..end).and_then(|rest| rdata::split(field, rest)) {
            octets.extend_from_slice(part);
            at += part.len();
        }
    }
    octets.extend_from_slice(message.get(at..end).unwrap_or_default());
    Ok(match (record_type, octets.as_slice()) {
        (RecordType::A, &[a, b, c, d]) => Data::Ipv4(Ipv4Addr::new(a, b, c, d)),
        (RecordType::AAAA, data) if data.len() == 16 => {
            Data::Ipv6(<[u8; 16]>::try_from(data).unwrap_or_default().into())
        }
        (record_type, data) => Data::Text(Shown { record_type, data }.to_string()),
    })
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => address.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// As a zone file writes it: `www.foobar.com. 300 IN A 127.0.0.1`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} IN {} {}", self.name, self.ttl, self.record_type, self.data)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::message::question;
    use crate::dns::message::writer::{QUESTION_NAME, Section, Writer};

    #[test]
    fn a_server_reads_what_we_ask_and_we_read_its_answer() {
        let name: Name = "www.foobar.com".parse().unwrap();
        let asked = question::read(&query(9, &name, RecordType::NS)).unwrap();
        assert_eq!((asked.id, &asked.name, asked.record_type), (9, &name, RecordType::NS));
        let mut buffer = Vec::new();
        let mut writer = Writer::begin(&mut buffer, asked.id, asked.flags, asked.edns, 512);
        writer.question(&asked.name, asked.record_type, asked.class);
        let target: Name = "ns1.foobar.com".parse().unwrap();
        let data = [target.as_wire()].into_iter();
        writer.records_at(Section::Answer, QUESTION_NAME, RecordType::NS, 300, data).unwrap();
        writer.finish();
        let response = read_response(&buffer).unwrap();
        assert_eq!((response.id, response.edns), (9, true));
        assert_eq!(response.question, Some((name, RecordType::NS)));
        assert_eq!(response.answers[0].to_string(), "www.foobar.com. 300 IN NS ns1.foobar.com.");
    }

    #[test]
    fn a_plain_question_is_plain() {
        let name: Name = "www.foobar.com".parse().unwrap();
        let read = |dnssec| question::read(&plain_query(0, &name, RecordType::A, dnssec)).unwrap();
        assert_eq!((read(false).flags.0, read(false).edns), (0, None));
        let edns = read(true).edns.unwrap();
        assert_eq!((edns.version, edns.dnssec, edns.udp_size), (0, true, LONGEST_UDP));
    }

    proptest! {
        #[test]
        fn any_octets_are_an_answer_or_an_error(mut octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_response(&octets);
            if octets.len() > 12 {
                octets[2] |= 0x80;
                octets[4..12].copy_from_slice(&[0, 0, 0, 9, 0, 0, 0, 0]);
                let _ = read_response(&octets);
            }
        }
    }
}
