//! Which fields the data of each record type has (RFC 1035 §3.3, §3.4 and the types' own RFCs).
//!
//! One table serves four readers: the zone file's text, the check of generic data, the display, and the
//! compression of names. A type without an entry is opaque octets (RFC 3597).

pub(super) mod bitmap;
pub(super) mod encoding;
pub(super) mod location;
pub(super) mod parameters;

use std::fmt::{self, Write};

use super::name::{wire_length, write_name};
use super::types::RecordType;
use encoding::hex;

/// One field of a record's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A domain name.
    Name,
    /// 8 bits.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// A time in seconds, 32 bits, in a file also `1h30m`.
    Seconds,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// One text of up to 255 octets behind its length.
    Text,
    /// One or more such texts, to the end of the data.
    Texts,
    /// A word of letters and digits behind its length (RFC 8659 §4.1).
    Tag,
    /// Octets to the end of the data, written as one text.
    Value,
    /// Octets to the end of the data, written in hexadecimal; at least one.
    Hex,
    /// Octets to the end of the data, written in base64; at least one.
    Base64,
    /// Octets behind their length of 8 bits, written in hexadecimal, or `-` for none (RFC 5155 §3.3).
    Salt,
    /// A hashed name behind its length of 8 bits, written in base32 (RFC 5155 §3.3).
    Base32,
    /// A time, 32 bits, in a file as `20261121201057` (RFC 4034 §3.2).
    Time,
    /// The type of a record, 16 bits.
    Type,
    /// A set of types, to the end of the data; it may be empty (RFC 4034 §4.1.2).
    Types,
    /// A service's parameters, to the end of the data; there may be none (RFC 9460 §2.2).
    Parameters,
    /// A place on Earth (RFC 1876 §2).
    Location,
}

/// The fields of a type's data; nothing for a type that is only known by number.
pub const fn fields(record_type: RecordType) -> Option<&'static [Field]> {
    use Field::{
        Base32, Base64, Hex, Ipv4, Ipv6, Location, Name, Parameters, Salt, Seconds, Tag, Text, Texts, Time,
        Type, Types, U8, U16, U32, Value,
    };
    Some(match record_type {
        RecordType::A => &[Ipv4],
        RecordType::AAAA => &[Ipv6],
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => &[Name],
        RecordType::SOA => &[Name, Name, U32, Seconds, Seconds, Seconds, Seconds],
        RecordType::MX | RecordType::KX | RecordType::AFSDB => &[U16, Name],
        RecordType::TXT | RecordType::SPF => &[Texts],
        RecordType::HINFO => &[Text, Text],
        RecordType::RP => &[Name, Name],
        RecordType::SRV => &[U16, U16, U16, Name],
        RecordType::NAPTR => &[U16, U16, Text, Text, Text, Name],
        RecordType::CAA => &[U8, Tag, Value],
        RecordType::URI => &[U16, U16, Value],
        RecordType::DS | RecordType::CDS => &[U16, U8, U8, Hex],
        RecordType::TLSA | RecordType::SMIMEA => &[U8, U8, U8, Hex],
        RecordType::SSHFP => &[U8, U8, Hex],
        RecordType::DNSKEY | RecordType::CDNSKEY | RecordType::KEY => &[U16, U8, U8, Base64],
        RecordType::RRSIG => &[Type, U8, U8, U32, Time, Time, U16, Name, Base64],
        RecordType::NSEC => &[Name, Types],
        RecordType::NSEC3 => &[U8, U8, U16, Salt, Base32, Types],
        RecordType::NSEC3PARAM => &[U8, U8, U16, Salt],
        RecordType::ZONEMD => &[U32, U8, U8, Hex],
        RecordType::CSYNC => &[U32, U16, Types],
        RecordType::OPENPGPKEY | RecordType::DHCID => &[Base64],
        RecordType::SVCB | RecordType::HTTPS => &[U16, Name, Parameters],
        RecordType::LOC => &[Location],
        _ => return None,
    })
}

/// Whether names in this type's data may be compressed: only in types that every decoder knows (RFC 3597 §4).
pub const fn names_compress(record_type: RecordType) -> bool {
    matches!(
        record_type,
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::SOA | RecordType::MX
    )
}

/// The octets of one field at the start of `rest`, and what follows them.
pub fn split(field: Field, rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match field {
        Field::Name => wire_length(rest).ok()?,
        Field::U8 => 1,
        Field::U16 | Field::Type => 2,
        Field::U32 | Field::Seconds | Field::Time | Field::Ipv4 => 4,
        Field::Ipv6 => 16,
        Field::Text | Field::Salt => 1 + usize::from(*rest.first()?),
        Field::Base32 => 1 + usize::from(rest.first().copied().filter(|&length| length > 0)?),
        Field::Tag => {
            let length = usize::from(*rest.first()?);
            let tag = rest.get(1..1 + length)?;
            if length == 0 || !tag.iter().all(u8::is_ascii_alphanumeric) {
                return None;
            }
            1 + length
        }
        Field::Texts => {
            texts(rest)?;
            rest.len()
        }
        Field::Hex | Field::Base64 if rest.is_empty() => return None,
        Field::Value | Field::Hex | Field::Base64 => rest.len(),
        Field::Types => bitmap::read(rest).map(|_| rest.len())?,
        Field::Parameters => parameters::read(rest).map(|_| rest.len())?,
        Field::Location => {
            location::is_well_formed(rest.get(..location::LENGTH)?).then_some(location::LENGTH)?
        }
    };
    rest.split_at_checked(length)
}

/// Whether `data` is whole and nothing more, uncompressed. Opaque types hold anything.
pub fn is_well_formed(record_type: RecordType, data: &[u8]) -> bool {
    let Some(fields) = fields(record_type) else {
        return true;
    };
    let mut rest = data;
    for &field in fields {
        match split(field, rest) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

/// The name that a record points to: the target of an NS, CNAME, PTR, DNAME, MX or SRV.
pub fn target(record_type: RecordType, data: &[u8]) -> Option<&[u8]> {
    let start = match record_type {
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => 0,
        RecordType::MX | RecordType::KX | RecordType::AFSDB => 2,
        RecordType::SRV => 6,
        _ => return None,
    };
    data.get(start..)
}

/// The data of one record, to be shown as a zone file writes it; generic (RFC 3597 §5) where its type is opaque
/// or its octets are not what the type says.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The type.
    pub record_type: RecordType,
    /// The data, uncompressed.
    pub data: &'a [u8],
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(fields) = fields(self.record_type).filter(|_| is_well_formed(self.record_type, self.data))
        else {
            write!(f, "\\# {}", self.data.len())?;
            if !self.data.is_empty() {
                f.write_char(' ')?;
            }
            return hex(f, self.data);
        };
        let mut rest = self.data;
        for (index, &field) in fields.iter().enumerate() {
            let (part, after) = split(field, rest).ok_or(fmt::Error)?;
            let nothing_follows = matches!(field, Field::Types | Field::Parameters) && part.is_empty();
            if index > 0 && !nothing_follows {
                f.write_char(' ')?;
            }
            show(f, field, part)?;
            rest = after;
        }
        Ok(())
    }
}

fn show(f: &mut fmt::Formatter<'_>, field: Field, part: &[u8]) -> fmt::Result {
    match (field, part) {
        (Field::Name, _) => write_name(f, part),
        (Field::U8, &[a]) => write!(f, "{a}"),
        (Field::U16, &[a, b]) => write!(f, "{}", u16::from_be_bytes([a, b])),
        (Field::Ipv4, &[a, b, c, d]) => write!(f, "{a}.{b}.{c}.{d}"),
        (Field::U32 | Field::Seconds, &[a, b, c, d]) => write!(f, "{}", u32::from_be_bytes([a, b, c, d])),
        (Field::Ipv6, _) => {
            let octets: [u8; 16] = part.try_into().map_err(|_| fmt::Error)?;
            write!(f, "{}", std::net::Ipv6Addr::from(octets))
        }
        (Field::Text, [_, text @ ..]) => quoted(f, text),
        (Field::Tag, [_, tag @ ..]) => f.write_str(&String::from_utf8_lossy(tag)),
        (Field::Texts, _) => {
            for (index, text) in texts(part).unwrap_or_default().into_iter().enumerate() {
                if index > 0 {
                    f.write_char(' ')?;
                }
                quoted(f, text)?;
            }
            Ok(())
        }
        (Field::Value, _) => quoted(f, part),
        (Field::Hex, _) => hex(f, part),
        (Field::Base64, _) => encoding::base64(f, part),
        (Field::Base32, [_, hash @ ..]) => encoding::base32(f, hash),
        (Field::Salt, [0]) => f.write_char('-'),
        (Field::Salt, [_, salt @ ..]) => hex(f, salt),
        (Field::Time, &[a, b, c, d]) => encoding::time(f, u32::from_be_bytes([a, b, c, d])),
        (Field::Type, &[a, b]) => write!(f, "{}", RecordType(u16::from_be_bytes([a, b]))),
        (Field::Types, _) => bitmap::show(f, part),
        (Field::Parameters, _) => parameters::show(f, part),
        (Field::Location, _) => location::show(f, part),
        _ => Err(fmt::Error),
    }
}

/// One or more texts behind their lengths, to the end.
fn texts(data: &[u8]) -> Option<Vec<&[u8]>> {
    let mut texts = Vec::new();
    let mut rest = data;
    while let Some((&length, after)) = rest.split_first() {
        let (text, after) = after.split_at_checked(usize::from(length))?;
        texts.push(text);
        rest = after;
    }
    (!texts.is_empty()).then_some(texts)
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for &octet in text {
        match octet {
            b'"' | b'\\' => write!(f, "\\{}", char::from(octet))?,
            0x20..=0x7E => f.write_char(char::from(octet))?,
            _ => write!(f, "\\{octet:03}")?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(record_type: RecordType, data: &[u8]) -> String {
        Shown { record_type, data }.to_string()
    }

    #[test]
    fn data_is_shown_as_a_zone_file_writes_it() {
        assert_eq!(shown(RecordType::A, &[127, 0, 0, 1]), "127.0.0.1");
        assert_eq!(shown(RecordType::MX, b"\0\x0A\x04mail\0"), "10 mail.");
        assert_eq!(shown(RecordType::TXT, b"\x03a\"b\x00"), "\"a\\\"b\" \"\"");
        assert_eq!(shown(RecordType::CAA, b"\0\x05issueca"), "0 issue \"ca\"");
        assert_eq!(shown(RecordType(65280), b"\x01\xAB"), "\\# 2 01AB");
        assert_eq!(shown(RecordType(65280), b""), "\\# 0");
        assert_eq!(shown(RecordType::A, &[127]), "\\# 1 7F");
    }

    #[test]
    fn data_that_is_not_what_its_type_says_is_seen() {
        assert!(!is_well_formed(RecordType::A, &[1, 2, 3]));
        assert!(!is_well_formed(RecordType::NS, b"\x03abc"));
        assert!(!is_well_formed(RecordType::NS, b"\xC0\x0C"));
        assert!(!is_well_formed(RecordType::NS, b"\0\0"));
        assert!(!is_well_formed(RecordType::TXT, b""));
        assert!(!is_well_formed(RecordType::TXT, b"\x05ab"));
        assert!(is_well_formed(RecordType::SRV, b"\0\0\0\0\0\x50\x01a\0"));
    }
}
