//! The words behind a record's type, compiled to the record's data by the table of [`crate::dns::rdata`].

use std::net::{Ipv4Addr, Ipv6Addr};

use super::lexer::{Fault, Word};
use super::rule::Rule;
use super::special;
use crate::dns::name::{Name, NameError, is_suffix, unescape};
use crate::dns::rdata::{Field, encoding, fields, is_well_formed};
use crate::dns::types::RecordType;

/// The largest TTL (RFC 2181 §8).
const LARGEST_TTL: u32 = 0x7FFF_FFFF;

/// Appends the data that `words` write; `end` is where the entry ends, for what is missing there. What is odd but no
/// error is added to `odd`.
pub(super) fn compile(
    record_type: RecordType,
    words: &[Word<'_>],
    end: usize,
    origin: &Name,
    data: &mut Vec<u8>,
    odd: &mut Vec<Fault>,
) -> Result<(), Fault> {
    let start = data.len();
    if let Some((mark, rest)) = words.split_first()
        && mark.text == b"\\#"
        && !mark.quoted
    {
        generic(rest, mark.at, data)?;
        if !is_well_formed(record_type, &data[start..]) {
            return Err(Fault::new(
                mark.at,
                format!("these octets are not the data of a {record_type} record: write it in its own form"),
            ));
        }
        return Ok(());
    }
    let Some(fields) = fields(record_type) else {
        return Err(Fault::new(
            words.first().map_or(end, |word| word.at),
            format!(
                "the data of {record_type} is not yet readable in its own form: write it as `\\# LENGTH HEX` \
                 (RFC 3597)"
            ),
        ));
    };
    let mut words = words.iter();
    for &field in fields {
        match field {
            Field::Types => {
                special::types(words.as_slice(), data)?;
                words = [].iter();
                continue;
            }
            Field::Parameters => {
                special::parameters(words.as_slice(), data)?;
                words = [].iter();
                continue;
            }
            _ => {}
        }
        let Some(word) = words.next() else {
            return Err(Fault::new(
                end,
                format!("something is missing: {record_type} wants {}", usage(record_type)),
            ));
        };
        match field {
            Field::Texts => {
                text(word, data)?;
                for word in words.by_ref() {
                    text(word, data)?;
                }
            }
            Field::Hex => {
                hex(word, data)?;
                for word in words.by_ref() {
                    hex(word, data)?;
                }
            }
            Field::Base64 => {
                let rest = words.by_ref().flat_map(|word| word.text);
                let text: Vec<u8> = word.text.iter().chain(rest).copied().collect();
                data.extend(encoding::from_base64(&text).ok_or_else(|| {
                    Fault::new(word.at, "not base64: write letters, digits, `+`, `/`, and `=` at the end")
                })?);
            }
            Field::Location => {
                let all: Vec<&Word<'_>> = [word].into_iter().chain(words.by_ref()).collect();
                data.extend(special::place(&all, end)?);
            }
            _ => one(field, word, origin, data, odd)?,
        }
    }
    if let Some(word) = words.next() {
        let hint = match record_type {
            RecordType::A | RecordType::AAAA => "; one record holds one address: write a line for each",
            _ => "; a comment begins with `;`",
        };
        return Err(Fault::new(
            word.at,
            format!("too much: {record_type} wants {}{hint}", usage(record_type)),
        ));
    }
    if data.len() - start > usize::from(u16::MAX) {
        return Err(Fault::new(end, "the record's data is longer than 65535 octets: split it"));
    }
    Ok(())
}

/// A name written in the file; one that was plainly meant to end with a dot is added to `odd`.
pub(super) fn name(word: &Word<'_>, origin: &Name, odd: &mut Vec<Fault>) -> Result<Name, Fault> {
    if word.quoted {
        return Err(Fault::new(word.at, "a name stands without quotes: delete them"));
    }
    let name =
        Name::parse(word.text, Some(origin)).map_err(|cause| Fault::new(word.at, cause.to_string()))?;
    odd.extend(doubled(word, &name, origin));
    Ok(name)
}

/// A time: `3600`, `1h30m`, in seconds.
pub(super) fn seconds(text: &[u8]) -> Option<u32> {
    let (mut total, mut number, mut digits) = (0_u64, 0_u64, 0);
    for &byte in text {
        if byte.is_ascii_digit() {
            number = number * 10 + u64::from(byte - b'0');
            digits += 1;
            if digits > 10 {
                return None;
            }
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        if digits == 0 {
            return None;
        }
        total += number * unit;
        (number, digits) = (0, 0);
    }
    if text.is_empty() {
        return None;
    }
    u32::try_from(total + number).ok().filter(|&total| total <= LARGEST_TTL)
}

/// `www.foobar.com` without a final dot, in the zone foobar.com, is www.foobar.com.foobar.com.
fn doubled(word: &Word<'_>, name: &Name, origin: &Name) -> Option<Fault> {
    if origin.is_root() || word.text == b"@" || word.text.ends_with(b".") {
        return None;
    }
    // The labels that were written, and the origin's, both without the root's.
    let written = name.as_wire().len().saturating_sub(origin.as_wire().len());
    let written = &name.as_wire()[..written];
    let origin_labels = &origin.as_wire()[..origin.as_wire().len() - 1];
    // `com` in the zone com may well mean com.com.
    let whole_of_one = written.len() == origin_labels.len() && origin.label_count() == 1;
    if !is_suffix(written, origin_labels) || whole_of_one {
        return None;
    }
    let meant = [written, b"\0"].concat();
    let shown = Name::from_valid(&meant);
    let message = format!(
        "without a final dot this is `{name}`, with the origin twice: write `{shown}` (if you do mean the long name, \
         write that with its dot)"
    );
    Some(Fault::new(word.at, message).of(Rule::DoubledOrigin).warning())
}

fn one(
    field: Field,
    word: &Word<'_>,
    origin: &Name,
    data: &mut Vec<u8>,
    odd: &mut Vec<Fault>,
) -> Result<(), Fault> {
    let shown = String::from_utf8_lossy(word.text);
    match field {
        Field::Name => {
            let name = name(word, origin, odd)?;
            if shown.trim_end_matches('.').parse::<Ipv4Addr>().is_ok() || shown.parse::<Ipv6Addr>().is_ok() {
                let message = format!(
                    "`{shown}` is an address, but is read as the name `{name}`: name the host here, and give it an \
                     A or AAAA record"
                );
                odd.push(Fault::new(word.at, message).of(Rule::AddressForName).warning());
            }
            data.extend_from_slice(name.as_wire());
        }
        Field::U8 => data.push(number(word, u32::from(u8::MAX))?.to_be_bytes()[3]),
        Field::U16 => data.extend_from_slice(&number(word, u32::from(u16::MAX))?.to_be_bytes()[2..]),
        Field::U32 => data.extend_from_slice(&number(word, u32::MAX)?.to_be_bytes()),
        Field::Seconds => {
            let seconds = seconds(word.text).ok_or_else(|| {
                Fault::new(
                    word.at,
                    format!("`{shown}` is no time: write seconds, or units as in `1h30m`, up to 2147483647 seconds"),
                )
            })?;
            data.extend_from_slice(&seconds.to_be_bytes());
        }
        Field::Ipv4 => {
            let address: Ipv4Addr = shown.parse().map_err(|_| no_ipv4(word.at, &shown))?;
            data.extend_from_slice(&address.octets());
        }
        Field::Ipv6 => {
            let address: Ipv6Addr = shown.parse().map_err(|_| no_ipv6(word.at, &shown))?;
            data.extend_from_slice(&address.octets());
        }
        Field::Text => text(word, data)?,
        Field::Tag => {
            if word.text.is_empty()
                || word.text.len() > 255
                || !word.text.iter().all(u8::is_ascii_alphanumeric)
            {
                return Err(Fault::new(
                    word.at,
                    format!("`{shown}` is no tag: write letters and digits, e.g. `issue`"),
                ));
            }
            text(word, data)?;
        }
        Field::Value => octets(word, data)?,
        Field::Salt if word.text == b"-" => data.push(0),
        Field::Salt => special::counted(encoding::from_hex(word.text), data).ok_or_else(|| {
            Fault::new(
                word.at,
                format!("`{shown}` is no salt: write up to 255 octets in hexadecimal, or `-`"),
            )
        })?,
        Field::Base32 => special::counted(encoding::from_base32(word.text), data).ok_or_else(|| {
            Fault::new(word.at, format!("`{shown}` is no hashed name: write base32, 0-9 and A-V"))
        })?,
        Field::Time => {
            let time = encoding::from_time(word.text).ok_or_else(|| {
                Fault::new(word.at, format!("`{shown}` is no time: write it as in 20261121201057"))
            })?;
            data.extend_from_slice(&time.to_be_bytes());
        }
        Field::Type => data.extend_from_slice(&special::record_type(word)?.0.to_be_bytes()),
        Field::Texts | Field::Hex | Field::Base64 | Field::Types | Field::Parameters | Field::Location => {}
    }
    Ok(())
}

fn no_ipv4(at: usize, shown: &str) -> Fault {
    let hint = if shown.parse::<Ipv6Addr>().is_ok() {
        "this is an IPv6 address: its type is AAAA"
    } else if shown.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        "an A record points to an address such as 127.0.0.1; to point to a name, use CNAME"
    } else {
        "write four numbers up to 255 with dots between them, e.g. 127.0.0.1"
    };
    Fault::new(at, format!("`{shown}` is no IPv4 address: {hint}"))
}

fn no_ipv6(at: usize, shown: &str) -> Fault {
    let hint = if shown.parse::<Ipv4Addr>().is_ok() {
        "this is an IPv4 address: its type is A"
    } else {
        "write groups of hexadecimal digits with colons between them, e.g. 2001:db8::1"
    };
    Fault::new(at, format!("`{shown}` is no IPv6 address: {hint}"))
}

fn number(word: &Word<'_>, most: u32) -> Result<u32, Fault> {
    let shown = String::from_utf8_lossy(word.text);
    let digits = word.text.iter().all(u8::is_ascii_digit);
    shown.parse().ok().filter(|&number| digits && number <= most).ok_or_else(|| {
        Fault::new(word.at, format!("`{shown}` is no number from 0 to {most}: write one here"))
    })
}

/// One text behind its length.
fn text(word: &Word<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let start = data.len();
    data.push(0);
    octets(word, data)?;
    let length = data.len() - start - 1;
    data[start] = u8::try_from(length).map_err(|_| {
        Fault::new(
            word.at,
            format!("a text of {length} octets, but one holds 255: split it into several, \"…\" \"…\""),
        )
    })?;
    Ok(())
}

pub(super) fn octets(word: &Word<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let mut rest = word.text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => data.push(
                unescape(&mut rest).map_err(|cause: NameError| Fault::new(word.at, cause.to_string()))?,
            ),
            b'"' if !word.quoted => {}
            _ => data.push(byte),
        }
    }
    Ok(())
}

fn generic(words: &[Word<'_>], mark: usize, data: &mut Vec<u8>) -> Result<(), Fault> {
    let Some((length, rest)) = words.split_first() else {
        return Err(Fault::new(
            mark,
            "`\\#` wants a length and as many octets in hexadecimal: `\\# 4 7F000001`",
        ));
    };
    let length = (number(length, u32::from(u16::MAX))?, length.at);
    let start = data.len();
    for word in rest {
        hex(word, data)?;
    }
    let found = data.len() - start;
    if u32::try_from(found) != Ok(length.0) {
        return Err(Fault::new(
            length.1,
            format!("the length says {}, but {found} octets follow: make them agree", length.0),
        ));
    }
    Ok(())
}

fn hex(word: &Word<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    data.extend(
        encoding::from_hex(word.text)
            .ok_or_else(|| Fault::new(word.at, "not hexadecimal: write two of 0-9 and A-F for each octet"))?,
    );
    Ok(())
}

/// What the data of a type looks like in a file.
fn usage(record_type: RecordType) -> &'static str {
    match record_type {
        RecordType::A => "an IPv4 address",
        RecordType::AAAA => "an IPv6 address",
        RecordType::NS => "the name of a name server",
        RecordType::CNAME | RecordType::DNAME | RecordType::PTR => "one name",
        RecordType::SOA => "primary, mailbox, serial, refresh, retry, expire, minimum",
        RecordType::MX => "a preference and a host name: `10 mail`",
        RecordType::TXT | RecordType::SPF => "texts in quotes",
        RecordType::SRV => "priority, weight, port, target",
        RecordType::CAA => "flags, tag, value: `0 issue \"ca.example\"`",
        RecordType::DS | RecordType::CDS => "key tag, algorithm, digest type, digest in hexadecimal",
        RecordType::TLSA | RecordType::SMIMEA => "usage, selector, matching type, data in hexadecimal",
        RecordType::SSHFP => "algorithm, kind, fingerprint in hexadecimal",
        RecordType::HINFO => "two texts: CPU and operating system",
        RecordType::RP => "a mailbox and a name",
        RecordType::NAPTR => "order, preference, flags, service, expression, replacement",
        RecordType::URI => "priority, weight, \"target\"",
        RecordType::DNSKEY | RecordType::CDNSKEY | RecordType::KEY => {
            "flags, protocol, algorithm, key in base64"
        }
        RecordType::RRSIG => {
            "type, algorithm, labels, original TTL, expiration, inception, key tag, signer, signature in base64"
        }
        RecordType::NSEC => "the next name and the types that exist",
        RecordType::NSEC3 => "algorithm, flags, iterations, salt, next hashed name, types that exist",
        RecordType::NSEC3PARAM => "algorithm, flags, iterations, salt",
        RecordType::ZONEMD => "serial, scheme, algorithm, digest in hexadecimal",
        RecordType::CSYNC => "serial, flags, types",
        RecordType::OPENPGPKEY | RecordType::DHCID => "octets in base64",
        RecordType::SVCB | RecordType::HTTPS => "priority, target, parameters: `1 . alpn=h2`",
        RecordType::LOC => "latitude, longitude, altitude: `51 30 12.748 N 0 7 39.612 W 18m`",
        _ => "a preference and a name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("3600", Some(3600)),
            ("1h30m", Some(5400)),
            ("1W2D", Some(777_600)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", None),
            ("h", None),
            ("1x", None),
            ("", None),
            ("99999999999", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
    }
}
