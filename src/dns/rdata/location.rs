//! Places on Earth, the data of LOC (RFC 1876): sixteen octets, written as degrees, minutes, seconds and metres.

use std::fmt;

/// Octets of a place.
pub(in crate::dns) const LENGTH: usize = 16;

/// The equator, or the meridian of Greenwich, in thousandths of a second of arc.
const MIDDLE: u32 = 1 << 31;

/// The most thousandths of a second of arc that a latitude has.
const MOST_LATITUDE: u32 = 90 * 3_600_000;

/// The most thousandths of a second of arc that a longitude has.
const MOST_LONGITUDE: u32 = 180 * 3_600_000;

/// Altitudes count from this many centimetres below the sea.
const LOWEST: i64 = 10_000_000;

/// The sizes that are not written: 1 m, and the precisions 10 km and 10 m (§3).
const SIZES: [u8; 3] = [0x12, 0x16, 0x13];

/// Why words are no place: what belongs where `Err` says, counted in words from 0.
type Wrong = (usize, &'static str);

/// The octets of the place that `words` write.
pub(in crate::dns) fn parse(words: &[&[u8]]) -> Result<[u8; LENGTH], Wrong> {
    let mut at = 0;
    let latitude = angle(words, &mut at, *b"NS", MOST_LATITUDE)?;
    let longitude = angle(words, &mut at, *b"EW", MOST_LONGITUDE)?;
    const ALTITUDE: &str = "an altitude in metres: `18m`, `-2.50m`";
    let altitude = words
        .get(at)
        .and_then(|word| centimetres(word))
        .and_then(|altitude| u32::try_from(altitude + LOWEST).ok())
        .ok_or((at, ALTITUDE))?;
    let mut sizes = SIZES;
    for (index, word) in words.iter().enumerate().skip(at + 1) {
        let size = sizes.get_mut(index - at - 1).ok_or((index, "nothing: a place ends with three sizes"))?;
        *size = centimetres(word)
            .and_then(scaled)
            .ok_or((index, "a size in metres up to 90000000: `10m`, `0.50m`"))?;
    }
    let mut octets = [0; LENGTH];
    octets[1..4].copy_from_slice(&sizes);
    octets[4..8].copy_from_slice(&latitude.to_be_bytes());
    octets[8..12].copy_from_slice(&longitude.to_be_bytes());
    octets[12..].copy_from_slice(&altitude.to_be_bytes());
    Ok(octets)
}

/// Whether `octets` are a place that can be written (§2).
pub(super) fn is_well_formed(octets: &[u8]) -> bool {
    let Some((version, sizes, latitude, longitude, _)) = parts(octets) else {
        return false;
    };
    let digits = |size: &u8| matches!(size >> 4, 1..=9) && size & 0xF <= 9 || *size == 0;
    version == 0
        && sizes.iter().all(digits)
        && latitude.abs_diff(MIDDLE) <= MOST_LATITUDE
        && longitude.abs_diff(MIDDLE) <= MOST_LONGITUDE
}

/// Writes a place.
pub(super) fn show(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    let (_, sizes, latitude, longitude, altitude) = parts(octets).ok_or(fmt::Error)?;
    show_angle(f, latitude, ["N", "S"])?;
    f.write_str(" ")?;
    show_angle(f, longitude, ["E", "W"])?;
    f.write_str(" ")?;
    show_metres(f, i64::from(altitude) - LOWEST)?;
    for size in sizes {
        f.write_str(" ")?;
        show_metres(f, i64::from(size >> 4) * 10_i64.pow(u32::from(size & 0xF)))?;
    }
    Ok(())
}

fn parts(octets: &[u8]) -> Option<(u8, [u8; 3], u32, u32, u32)> {
    let (&[version, a, b, c], rest) = octets.split_first_chunk()?;
    let (numbers, []) = rest.as_chunks::<4>() else {
        return None;
    };
    let &[latitude, longitude, altitude] = numbers else {
        return None;
    };
    let number = u32::from_be_bytes;
    Some((version, [a, b, c], number(latitude), number(longitude), number(altitude)))
}

/// `51 30 12.748 N`: minutes and seconds may be left out.
fn angle(words: &[&[u8]], at: &mut usize, [plus, minus]: [u8; 2], most: u32) -> Result<u32, Wrong> {
    const DEGREES: &str = "degrees, minutes, seconds and a letter: `51 30 12.748 N 0 7 39.612 W`";
    let mut total = 0;
    for (index, (unit, below)) in [(3_600_000, 181), (60_000, 60), (1, 60_000)].into_iter().enumerate() {
        let word = *words.get(*at).ok_or((*at, DEGREES))?;
        if index > 0 && direction(word, plus, minus).is_some() {
            break;
        }
        let decimals = if index == 2 { 3 } else { 0 };
        let value = decimal(word, decimals).filter(|&value| value < below).ok_or((*at, DEGREES))?;
        total += u32::try_from(value).unwrap_or(u32::MAX) * unit;
        *at += 1;
    }
    let north_or_east = words.get(*at).and_then(|word| direction(word, plus, minus)).ok_or((*at, DEGREES))?;
    if total > most {
        return Err((*at, "up to 90 degrees of latitude and 180 of longitude"));
    }
    *at += 1;
    Ok(if north_or_east { MIDDLE + total } else { MIDDLE - total })
}

fn direction(word: &[u8], plus: u8, minus: u8) -> Option<bool> {
    match word {
        [letter] if letter.eq_ignore_ascii_case(&plus) => Some(true),
        [letter] if letter.eq_ignore_ascii_case(&minus) => Some(false),
        _ => None,
    }
}

fn centimetres(word: &[u8]) -> Option<i64> {
    let word = word.strip_suffix(b"m").or_else(|| word.strip_suffix(b"M")).unwrap_or(word);
    match word.strip_prefix(b"-") {
        Some(word) => decimal(word, 2).map(|value| -value),
        None => decimal(word, 2),
    }
}

/// Up to ten digits, and up to `decimals` behind a point, as a whole number of the smallest of them.
fn decimal(word: &[u8], decimals: usize) -> Option<i64> {
    let point = word.iter().position(|&byte| byte == b'.').unwrap_or(word.len());
    let (whole, part) = word.split_at(point);
    let part = part.get(1..).unwrap_or_default();
    let digits = whole.iter().chain(part).all(u8::is_ascii_digit);
    if !digits || whole.is_empty() || whole.len() > 10 || part.len() > decimals {
        return None;
    }
    let padding = std::iter::repeat_n(&b'0', decimals - part.len());
    let digits = whole.iter().chain(part).chain(padding);
    Some(digits.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// A size as one digit and a power of ten (§2); what that cannot say is rounded down.
fn scaled(centimetres: i64) -> Option<u8> {
    let (mut digit, mut power) = (u8::try_from(centimetres).unwrap_or(u8::MAX), 0_u8);
    let mut rest = centimetres;
    while rest >= 10 {
        rest /= 10;
        power += 1;
        digit = u8::try_from(rest).unwrap_or(u8::MAX);
    }
    (rest >= 0 && power <= 9).then_some(digit << 4 | power)
}

fn show_angle(f: &mut fmt::Formatter<'_>, angle: u32, [plus, minus]: [&str; 2]) -> fmt::Result {
    let letter = if angle < MIDDLE { minus } else { plus };
    let total = angle.abs_diff(MIDDLE);
    let (degrees, minutes) = (total / 3_600_000, total / 60_000 % 60);
    write!(f, "{degrees} {minutes} {}.{:03} {letter}", total / 1_000 % 60, total % 1_000)
}

fn show_metres(f: &mut fmt::Formatter<'_>, centimetres: i64) -> fmt::Result {
    let sign = if centimetres < 0 { "-" } else { "" };
    let centimetres = centimetres.abs();
    write!(f, "{sign}{}.{:02}m", centimetres / 100, centimetres % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown<'a>(&'a [u8]);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            show(f, self.0)
        }
    }

    fn again(text: &str) -> Result<String, Wrong> {
        let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        let octets = parse(&words)?;
        assert!(is_well_formed(&octets), "{text}");
        Ok(Shown(&octets).to_string())
    }

    #[test]
    fn rfc1876_section_4_examples() {
        for (text, full) in [
            (
                "42 21 54 N 71 06 18 W -24m 30m",
                "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m",
            ),
            ("52 14 05 N 00 08 50 E 10m", "52 14 5.000 N 0 8 50.000 E 10.00m 1.00m 10000.00m 10.00m"),
            ("32 7 19 S 116 2 25 E 10m", "32 7 19.000 S 116 2 25.000 E 10.00m 1.00m 10000.00m 10.00m"),
            ("90 n 180 w 0 0 0.05 90000000", "90 0 0.000 N 180 0 0.000 W 0.00m 0.00m 0.05m 90000000.00m"),
        ] {
            assert_eq!(again(text).as_deref(), Ok(full));
            assert_eq!(again(full).as_deref(), Ok(full));
        }
    }

    #[test]
    fn what_is_no_place_is_refused_where_it_stands() {
        for (text, word) in [
            ("91 N 0 E 0m", 1),
            ("42 60 N 0 E 0m", 1),
            ("42 N 71 0 0.0001 W 0m", 4),
            ("42 N 71 X 0m", 3),
            ("42 N 71 W", 4),
            ("42 N 71 W -100000.01m", 4),
            ("42 N 71 W 0m 90000000000m", 5),
            ("42 N 71 W 0m 1 2 3 4", 8),
        ] {
            assert_eq!(again(text).map_err(|(at, _)| at), Err(word), "{text}");
        }
        assert!(!is_well_formed(&[0; 15]) && !is_well_formed(&[0; 16]));
    }
}
