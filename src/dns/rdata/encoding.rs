//! Octets and times as zone files write them: hexadecimal, base64 (RFC 4648 §4), base32 with the hexadecimal alphabet
//! (RFC 4648 §7, RFC 5155 §3.3), and the times of signatures (RFC 4034 §3.2).

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use data_encoding::{BASE32_DNSSEC, BASE64};

/// The octets that `text` writes in base64.
pub(in crate::dns) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// Writes `octets` in base64.
pub(super) fn base64(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    f.write_str(&BASE64.encode(octets))
}

/// The octets that `text` writes in base32, letters in any case.
pub(in crate::dns) fn from_base32(text: &[u8]) -> Option<Vec<u8>> {
    BASE32_DNSSEC.decode(text).ok()
}

/// Writes `octets` in base32, in capitals as RFC 5155 does.
pub(super) fn base32(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    f.write_str(&BASE32_DNSSEC.encode(octets).to_ascii_uppercase())
}

/// The octets that `text` writes in hexadecimal, two digits each.
pub(in crate::dns) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    data_encoding::HEXUPPER_PERMISSIVE.decode(text).ok()
}

/// Writes `octets` in hexadecimal.
pub(super) fn hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
}

/// The time that `text` writes: `20261121201057`, or seconds since 1970; in seconds since 1970, to be compared by
/// serial arithmetic.
pub(in crate::dns) fn from_time(text: &[u8]) -> Option<u32> {
    let text =
        std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    if text.len() != 14 {
        return text.parse().ok();
    }
    let part = |from: usize, to: usize| text.get(from..to);
    let written = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    let time = humantime::parse_rfc3339(&written).ok()?;
    u32::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// Writes a time as `20261121201057`.
pub(super) fn time(f: &mut fmt::Formatter<'_>, seconds: u32) -> fmt::Result {
    let time = UNIX_EPOCH + Duration::from_secs(seconds.into());
    let written = humantime::format_rfc3339_seconds(time).to_string();
    f.write_str(&written.replace(|character: char| !character.is_ascii_digit(), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4034_section_3_3_times() {
        assert_eq!(from_time(b"20030322173103"), Some(1_048_354_263));
        assert_eq!(from_time(b"1048354263"), Some(1_048_354_263));
        for wrong in [&b"20031322173103"[..], b"2003-322173103", b"4294967296", b"99990101000000", b"x", b""]
        {
            assert_eq!(from_time(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn octets_are_read_strictly() {
        assert_eq!(from_base64(b"AQI="), Some(vec![1, 2]));
        assert_eq!(from_base64(b"AQI"), None);
        assert_eq!(from_base32(b"04hg"), from_base32(b"04HG"));
        assert_eq!(from_base32(b"04hz"), None);
        assert_eq!(from_hex(b"aB01"), Some(vec![0xAB, 1]));
        assert_eq!(from_hex(b"aB0"), None);
    }
}
