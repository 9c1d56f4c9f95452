//! The parameters of a service, the end of SVCB and HTTPS data (RFC 9460 §2.2, §7, §8, appendix A): keys in rising
//! order, each with a value of its own form.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::encoding::{base64, from_base64};
use super::quoted;

/// Keys with a word; the position is the number.
const WORDS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
const OHTTP: u16 = 8;

/// The key that `word` means: `alpn`, `key65000`.
pub(in crate::dns) fn key(word: &[u8]) -> Option<u16> {
    let lower = word.to_ascii_lowercase();
    if let Some(number) = WORDS.iter().position(|known| known.as_bytes() == lower) {
        return u16::try_from(number).ok();
    }
    let digits = lower.strip_prefix(b"key")?;
    let canonical = digits.iter().all(u8::is_ascii_digit) && (digits == b"0" || !digits.starts_with(b"0"));
    std::str::from_utf8(digits).ok().filter(|_| canonical)?.parse().ok().filter(|&key| key != u16::MAX)
}

/// The octets of a key's value, as `text` writes it with its escapes resolved; otherwise what belongs there.
pub(in crate::dns) fn value(key: u16, text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut octets = Vec::new();
    match key {
        MANDATORY => {
            const KEYS: &str = "`mandatory` wants other keys with commas between them: `mandatory=alpn,port`";
            let mut keys = Vec::new();
            for word in text.split(|&byte| byte == b',') {
                keys.push(self::key(word).ok_or(KEYS)?);
            }
            keys.sort_unstable();
            if keys.contains(&MANDATORY) || keys.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(KEYS);
            }
            octets.extend(keys.into_iter().flat_map(u16::to_be_bytes));
        }
        ALPN => {
            for id in items(text) {
                const IDS: &str = "`alpn` wants protocols with commas between them: `alpn=h2,h3`";
                let length = u8::try_from(id.len()).ok().filter(|&length| length > 0).ok_or(IDS)?;
                octets.push(length);
                octets.extend(id);
            }
        }
        NO_DEFAULT_ALPN | OHTTP if text.is_empty() => {}
        NO_DEFAULT_ALPN | OHTTP => return Err("this key stands alone: delete `=` and what follows"),
        PORT => {
            let port: Option<u16> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            let port = port.filter(|_| text.iter().all(u8::is_ascii_digit));
            octets.extend(port.ok_or("`port` wants a number up to 65535: `port=8443`")?.to_be_bytes());
        }
        IPV4_HINT => {
            for address in addresses::<Ipv4Addr>(text) {
                octets.extend(
                    address.ok_or("`ipv4hint` wants IPv4 addresses with commas between them")?.octets(),
                );
            }
        }
        IPV6_HINT => {
            for address in addresses::<Ipv6Addr>(text) {
                octets.extend(
                    address.ok_or("`ipv6hint` wants IPv6 addresses with commas between them")?.octets(),
                );
            }
        }
        ECH => {
            let config = from_base64(text).filter(|config| !config.is_empty());
            octets = config.ok_or("`ech` wants a configuration in base64")?;
        }
        _ => octets.extend(text),
    }
    Ok(octets)
}

/// The parameters in `data`; nothing unless each has the form of its key (§2.2, §8).
pub(super) fn read(data: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut found: Vec<(u16, &[u8])> = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (&[a, b, c, d], after) = rest.split_first_chunk()?;
        let key = u16::from_be_bytes([a, b]);
        let (value, after) = after.split_at_checked(usize::from(u16::from_be_bytes([c, d])))?;
        if found.last().is_some_and(|last| last.0 >= key) || key == u16::MAX || !has_form(key, value) {
            return None;
        }
        found.push((key, value));
        rest = after;
    }
    let has = |key: u16| found.iter().any(|found| found.0 == key);
    let mandatory = found.first().filter(|first| first.0 == MANDATORY).map_or(&[][..], |first| first.1);
    let named = mandatory.as_chunks::<2>().0.iter().all(|key| has(u16::from_be_bytes(*key)));
    (named && (!has(NO_DEFAULT_ALPN) || has(ALPN))).then_some(found)
}

/// Whether `data` are parameters that go together.
pub(in crate::dns) fn are_whole(data: &[u8]) -> bool {
    read(data).is_some()
}

/// Writes the parameters in `data`.
pub(super) fn show(f: &mut fmt::Formatter<'_>, data: &[u8]) -> fmt::Result {
    for (index, (key, value)) in read(data).unwrap_or_default().into_iter().enumerate() {
        if index > 0 {
            f.write_char(' ')?;
        }
        show_key(f, key)?;
        if value.is_empty() {
            continue;
        }
        f.write_char('=')?;
        match key {
            MANDATORY => listed(f, value.as_chunks::<2>().0, |f, key| show_key(f, u16::from_be_bytes(*key)))?,
            ALPN => quoted(f, &joined(value))?,
            PORT => write!(f, "{}", value.first_chunk().copied().map_or(0, u16::from_be_bytes))?,
            IPV4_HINT => {
                listed(f, value.as_chunks::<4>().0, |f, octets| write!(f, "{}", Ipv4Addr::from(*octets)))?
            }
            IPV6_HINT => {
                listed(f, value.as_chunks::<16>().0, |f, octets| write!(f, "{}", Ipv6Addr::from(*octets)))?
            }
            ECH => base64(f, value)?,
            _ => quoted(f, value)?,
        }
    }
    Ok(())
}

fn has_form(key: u16, value: &[u8]) -> bool {
    match key {
        MANDATORY => {
            let (keys, []) = value.as_chunks::<2>() else {
                return false;
            };
            !keys.is_empty() && keys.is_sorted_by(|one, other| one < other) && keys[0] != [0, 0]
        }
        ALPN => !value.is_empty() && ids(value).is_some(),
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4_HINT => !value.is_empty() && value.len().is_multiple_of(4),
        IPV6_HINT => !value.is_empty() && value.len().is_multiple_of(16),
        ECH => !value.is_empty(),
        _ => true,
    }
}

/// Protocols behind their lengths.
fn ids(value: &[u8]) -> Option<Vec<&[u8]>> {
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some((&length, after)) = rest.split_first() {
        let (id, after) = after.split_at_checked(usize::from(length)).filter(|(id, _)| !id.is_empty())?;
        ids.push(id);
        rest = after;
    }
    Some(ids)
}

/// What stands between commas; a backslash keeps the comma or backslash behind it (appendix A.1).
fn items(text: &[u8]) -> Vec<Vec<u8>> {
    let mut items = vec![Vec::new()];
    let mut octets = text.iter().peekable();
    while let Some(&octet) = octets.next() {
        let kept = match octet {
            b'\\' => octets.next_if(|next| matches!(next, b',' | b'\\')).copied().unwrap_or(b'\\'),
            b',' => {
                items.push(Vec::new());
                continue;
            }
            plain => plain,
        };
        if let Some(item) = items.last_mut() {
            item.push(kept);
        }
    }
    items
}

fn joined(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, id) in ids(value).unwrap_or_default().into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        for &octet in id {
            if matches!(octet, b',' | b'\\') {
                text.push(b'\\');
            }
            text.push(octet);
        }
    }
    text
}

fn addresses<T: std::str::FromStr>(text: &[u8]) -> impl Iterator<Item = Option<T>> {
    text.split(|&byte| byte == b',').map(|word| std::str::from_utf8(word).ok()?.parse().ok())
}

fn show_key(f: &mut fmt::Formatter<'_>, key: u16) -> fmt::Result {
    match WORDS.get(usize::from(key)) {
        Some(word) => f.write_str(word),
        None => write!(f, "key{key}"),
    }
}

fn listed<T>(
    f: &mut fmt::Formatter<'_>,
    all: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            f.write_char(',')?;
        }
        show(f, one)?;
    }
    Ok(())
}
