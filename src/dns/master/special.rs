//! Fields of data that are more than one number, name or text: sets of types, parameters of services, places.

use super::data::octets;
use super::lexer::{Fault, Word};
use crate::dns::rdata::{bitmap, location, parameters};
use crate::dns::types::RecordType;

/// Appends the octets behind their length of 8 bits; nothing if there are none or too many.
pub(super) fn counted(octets: Option<Vec<u8>>, data: &mut Vec<u8>) -> Option<()> {
    let octets = octets.filter(|octets| !octets.is_empty())?;
    data.push(u8::try_from(octets.len()).ok()?);
    data.extend(octets);
    Some(())
}

/// The type that a word means.
pub(super) fn record_type(word: &Word<'_>) -> Result<RecordType, Fault> {
    RecordType::from_word(word.text).filter(|_| !word.quoted).ok_or_else(|| {
        let shown = String::from_utf8_lossy(word.text);
        Fault::new(word.at, format!("`{shown}` is no record type: write one, e.g. A or TYPE123"))
    })
}

/// Appends the set of types that `words` name (RFC 4034 §4.1.2).
pub(super) fn types(words: &[Word<'_>], data: &mut Vec<u8>) -> Result<(), Fault> {
    let types = words.iter().map(record_type).collect::<Result<_, _>>()?;
    bitmap::write(types, data);
    Ok(())
}

/// Appends the parameters that `words` write, in the order of their keys (RFC 9460 §2.1).
pub(super) fn parameters(words: &[Word<'_>], data: &mut Vec<u8>) -> Result<(), Fault> {
    let mut all: Vec<(u16, Vec<u8>, &Word<'_>)> = Vec::new();
    for word in words {
        let equals = word.text.iter().position(|&byte| byte == b'=').unwrap_or(word.text.len());
        let (key, text) = word.text.split_at(equals);
        let shown = String::from_utf8_lossy(key);
        let number = parameters::key(key).filter(|_| !word.quoted).ok_or_else(|| {
            Fault::new(
                word.at,
                format!(
                    "`{shown}` is no key of a service: write e.g. `alpn=h2`, `port=8443`, `key65000=text`"
                ),
            )
        })?;
        if all.iter().any(|(known, _, _)| *known == number) {
            return Err(Fault::new(word.at, format!("`{shown}` stands twice: a service has each key once")));
        }
        let mut value = Vec::new();
        octets(&Word { text: text.get(1..).unwrap_or_default(), ..*word }, &mut value)?;
        let value = parameters::value(number, &value).map_err(|why| Fault::new(word.at, why))?;
        all.push((number, value, word));
    }
    all.sort_by_key(|(number, _, _)| *number);
    let start = data.len();
    for (number, value, word) in &all {
        let length = u16::try_from(value.len())
            .map_err(|_| Fault::new(word.at, "a value of more than 65535 octets: shorten it"))?;
        data.extend(number.to_be_bytes());
        data.extend(length.to_be_bytes());
        data.extend(value);
    }
    match words.first() {
        Some(first) if !parameters::are_whole(&data[start..]) => Err(Fault::new(
            first.at,
            "these keys do not go together: what `mandatory` names must be there, and `no-default-alpn` needs `alpn`",
        )),
        _ => Ok(()),
    }
}

/// The place that `words` write; `end` is where the entry ends.
pub(super) fn place(words: &[&Word<'_>], end: usize) -> Result<[u8; location::LENGTH], Fault> {
    let texts: Vec<&[u8]> = words.iter().map(|word| word.text).collect();
    location::parse(&texts).map_err(|(index, wanted)| {
        Fault::new(words.get(index).map_or(end, |word| word.at), format!("here belong {wanted}"))
    })
}
