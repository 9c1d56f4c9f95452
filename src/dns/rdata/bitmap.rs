//! Sets of record types as NSEC, NSEC3 and CSYNC keep them: windows of 256 bits (RFC 4034 §4.1.2).

use std::fmt;

use crate::dns::types::RecordType;

/// Appends the windows that hold `types`.
pub(in crate::dns) fn write(mut types: Vec<RecordType>, data: &mut Vec<u8>) {
    types.sort_unstable();
    types.dedup();
    for window in types.chunk_by(|one, other| one.0 >> 8 == other.0 >> 8) {
        let mut bits = [0_u8; 32];
        let mut length = 0;
        for RecordType(number) in window {
            let [_, low] = number.to_be_bytes();
            bits[usize::from(low / 8)] |= 0x80 >> (low % 8);
            length = low / 8 + 1;
        }
        let [number, _] = window[0].0.to_be_bytes();
        data.extend([number, length]);
        data.extend(&bits[..usize::from(length)]);
    }
}

/// The types in `data`; nothing if these are not windows in their order, each as short as can be.
pub(super) fn read(data: &[u8]) -> Option<Vec<RecordType>> {
    let mut types = Vec::new();
    let mut rest = data;
    let mut before = None;
    while let [window, length, after @ ..] = rest {
        let (bits, after) = after.split_at_checked(usize::from(*length))?;
        if before >= Some(*window) || bits.len() > 32 || bits.last().is_none_or(|&last| last == 0) {
            return None;
        }
        for (byte, bits) in (0_u8..).zip(bits) {
            let set = (0..8).filter(|bit| bits & (0x80 >> bit) != 0);
            types.extend(set.map(|bit| RecordType(u16::from_be_bytes([*window, byte * 8 + bit]))));
        }
        (before, rest) = (Some(*window), after);
    }
    rest.is_empty().then_some(types)
}

/// Writes the types in `data` as words.
pub(super) fn show(f: &mut fmt::Formatter<'_>, data: &[u8]) -> fmt::Result {
    for (index, record_type) in read(data).unwrap_or_default().into_iter().enumerate() {
        let between = if index > 0 { " " } else { "" };
        write!(f, "{between}{record_type}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4034_section_4_3_the_example() {
        let types =
            vec![RecordType::A, RecordType::MX, RecordType::RRSIG, RecordType::NSEC, RecordType(1234)];
        let mut data = Vec::new();
        write(types.clone(), &mut data);
        let mut expected = b"\x00\x06\x40\x01\x00\x00\x00\x03\x04\x1b".to_vec();
        expected.extend([0; 26]);
        expected.push(0x20);
        assert_eq!(data, expected);
        assert_eq!(read(&data), Some(types));
    }

    #[test]
    fn what_is_not_in_its_shortest_form_is_refused() {
        for wrong in [
            &b"\0"[..],
            b"\0\0",
            b"\0\x01\0",
            b"\0\x02\x40",
            b"\0\x01\x40\0\x01\x40",
            b"\x01\x01\x40\0\x01\x40",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
        assert_eq!(read(b""), Some(vec![]));
    }
}
