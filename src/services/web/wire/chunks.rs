//! A body in chunks (RFC 9112 §7.1), followed byte by byte to where it ends.
//!
//! Pure. What a chunk says is passed on; only how it is framed matters here.

use super::violation::Violation::{self, Malformed};

/// The longest line of a chunk's size and extensions, in bytes.
const LINE_AT_MOST: usize = 256;

/// The digits of a chunk's size at most: 2⁶⁰ bytes.
const DIGITS_AT_MOST: usize = 15;

/// All trailer fields together, in bytes.
const TRAILERS_AT_MOST: usize = 8 * 1024;

/// Where in a chunked body the next byte is.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Chunks {
    /// In the line of a size: its value, its digits, and whether an extension has begun.
    Size { value: u64, length: usize, extended: bool },
    /// Behind the CR of that line.
    SizeEnd { value: u64 },
    /// In a chunk: so many bytes are left.
    Data { left: u64 },
    /// Behind a chunk: its CR, then its LF.
    DataEnd { carriage: bool },
    /// In the trailers: the bytes so far, and those of the line.
    Trailers { length: usize, line: usize, carriage: bool },
}

impl Chunks {
    /// Before the first chunk.
    pub(super) const START: Self = Self::Size { value: 0, length: 0, extended: false };

    /// Follows `bytes`: how many of them belong to the body, and whether it ended with them.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(usize, bool), Violation> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let Self::Data { left } = self {
                let here = (bytes.len() - at) as u64;
                let step = here.min(*left);
                at += usize::try_from(step).unwrap_or(usize::MAX);
                *self = match *left - step {
                    0 => Self::DataEnd { carriage: false },
                    left => Self::Data { left },
                };
                continue;
            }
            at += 1;
            *self = match (*self, byte) {
                (Self::Size { value, length, extended }, b'\r') if length > 0 => {
                    let _ = extended;
                    Self::SizeEnd { value }
                }
                (Self::Size { length: LINE_AT_MOST.., .. }, _) => {
                    return Err(Malformed("the extensions of a chunk are too long"));
                }
                (Self::Size { value, length, extended: false }, digit) if digit.is_ascii_hexdigit() => {
                    if length >= DIGITS_AT_MOST {
                        return Err(Malformed("the size of a chunk is too large"));
                    }
                    let digit = char::from(digit).to_digit(16).unwrap_or(0);
                    Self::Size { value: value << 4 | u64::from(digit), length: length + 1, extended: false }
                }
                (Self::Size { value, length, extended }, byte)
                    if length > 0 && (extended || byte == b';') && byte >= b' ' && byte != 0x7f =>
                {
                    Self::Size { value, length: length + 1, extended: true }
                }
                (Self::Size { .. }, _) => {
                    return Err(Malformed("the size of a chunk is not a hexadecimal number"));
                }
                (Self::SizeEnd { value: 0 }, b'\n') => Self::Trailers { length: 0, line: 0, carriage: false },
                (Self::SizeEnd { value }, b'\n') => Self::Data { left: value },
                (Self::SizeEnd { .. }, _) => return Err(Malformed("a chunk's line has a CR without its LF")),
                (Self::DataEnd { carriage: false }, b'\r') => Self::DataEnd { carriage: true },
                (Self::DataEnd { carriage: true }, b'\n') => Self::START,
                (Self::DataEnd { .. } | Self::Data { .. }, _) => {
                    return Err(Malformed("a chunk is not as long as it said"));
                }
                (Self::Trailers { line: 0, carriage: true, .. }, b'\n') => return Ok((at, true)),
                (Self::Trailers { length, carriage: true, .. }, b'\n') => {
                    Self::Trailers { length: length + 1, line: 0, carriage: false }
                }
                (Self::Trailers { length, line, carriage: false }, b'\r') => {
                    Self::Trailers { length: length + 1, line, carriage: true }
                }
                (Self::Trailers { length: TRAILERS_AT_MOST.., .. }, _) => {
                    return Err(Malformed("the fields behind its chunks are too many"));
                }
                (Self::Trailers { length, line, carriage: false }, byte)
                    if (byte >= b' ' || byte == b'\t') && !(line == 0 && byte.is_ascii_whitespace()) =>
                {
                    Self::Trailers { length: length + 1, line: line + 1, carriage: false }
                }
                (Self::Trailers { .. }, _) => return Err(Malformed("a line behind its chunks is no field")),
            };
        }
        Ok((at, false))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn follow(body: &[u8]) -> Result<(usize, bool), Violation> {
        let mut chunks = Chunks::START;
        chunks.follow(body)
    }

    #[test]
    fn a_body_ends_where_it_says() {
        for body in
            ["0\r\n\r\n", "4\r\nwiki\r\n0\r\n\r\n", "00A;x=\"y z\"\r\n0123456789\r\n0;\r\nT: v\r\nU:\r\n\r\n"]
        {
            assert_eq!(follow(body.as_bytes()), Ok((body.len(), true)), "{body:?}");
            assert_eq!(follow(format!("{body}GET").as_bytes()), Ok((body.len(), true)), "{body:?}");
            assert_eq!(follow(&body.as_bytes()[..body.len() - 1]), Ok((body.len() - 1, false)), "{body:?}");
        }
    }

    #[test]
    fn what_is_framed_otherwise_is_refused() {
        for body in [
            "x\r\n",
            "\r\n",
            "4\nwiki",
            " 4\r\nwiki",
            "4 \r\nwiki",
            "+4\r\nwiki",
            "0x4\r\nwiki",
            "4\r\nwikix",
            "4\r\nwiki\n0",
            "4\r\nwiki\r0",
            "4\rx",
            "4;\nx",
            "4;\0",
            "0\r\n\n",
            "0\r\n A: b\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: \0b",
            "1000000000000000\r\n",
            &format!("4;{}\r\n", "x".repeat(300)),
            &format!("0\r\nA: {}\r\n", "x".repeat(9000)),
        ] {
            assert!(matches!(follow(body.as_bytes()), Err(Malformed(_))), "{body:?}");
        }
    }

    proptest! {
        /// However the bytes arrive, they mean the same.
        #[test]
        fn cuts_change_nothing(body in "[0-9a-f;x\\r\\n ]{0,40}|4\\r\\nwiki\\r\\n[0-2]\\r\\n\\PC{0,4}", cut in 0..40usize) {
            let body = body.as_bytes();
            let whole = follow(body);
            let mut chunks = Chunks::START;
            let (one, other) = body.split_at(cut.min(body.len()));
            let parts = match chunks.follow(one) {
                Ok((taken, false)) => chunks.follow(other).map(|(more, ended)| (taken + more, ended)),
                ended => ended,
            };
            prop_assert_eq!(whole, parts);
        }
    }
}
