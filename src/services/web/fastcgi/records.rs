//! FastCGI 1.0 as bytes: records, and names with values. Pure.
//!
//! §3.3 Records, §3.4 Name-Value Pairs, §5 Application Record Types.

use hyper::body::Bytes;

/// The content of one record at most, in bytes: its length has 16 bits. A multiple of eight needs no padding.
pub(super) const CONTENT_MOST: usize = 0xFFF8;

/// The only request on a connection of its own: nothing is multiplexed.
const REQUEST: u16 = 1;

/// Length of a record's head.
pub(super) const HEAD: usize = 8;

/// The types of records that are sent or understood.
pub(super) const BEGIN_REQUEST: u8 = 1;
pub(super) const END_REQUEST: u8 = 3;
pub(super) const PARAMS: u8 = 4;
pub(super) const STDIN: u8 = 5;
pub(super) const STDOUT: u8 = 6;
pub(super) const STDERR: u8 = 7;

/// What a record's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    /// Bytes of content, then bytes of padding.
    pub(super) content: usize,
    pub(super) padding: usize,
}

impl Head {
    /// Reads a head; nothing if it is of another version or another request.
    pub(super) fn read(bytes: [u8; HEAD]) -> Option<Self> {
        let [version, kind, id_high, id_low, high, low, padding, _reserved] = bytes;
        let ours = version == 1 && u16::from_be_bytes([id_high, id_low]) == REQUEST;
        let content = usize::from(u16::from_be_bytes([high, low]));
        ours.then_some(Self { kind, content, padding: padding.into() })
    }
}

/// Writes `content` as records of `kind`; none for no content.
pub(super) fn write(kind: u8, content: &[u8], out: &mut Vec<u8>) {
    for piece in content.chunks(CONTENT_MOST) {
        head(kind, piece.len(), out);
        out.extend_from_slice(piece);
    }
}

/// Writes the empty record that ends a stream.
pub(super) fn end(kind: u8, out: &mut Vec<u8>) {
    head(kind, 0, out);
}

/// Begins a request to a responder, after which the connection is closed: whoever keeps it open keeps one of the few
/// processes that answer.
pub(super) fn begin(out: &mut Vec<u8>) {
    const RESPONDER: u8 = 1;
    write(BEGIN_REQUEST, &[0, RESPONDER, 0, 0, 0, 0, 0, 0], out);
}

fn head(kind: u8, length: usize, out: &mut Vec<u8>) {
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let [id_high, id_low] = REQUEST.to_be_bytes();
    out.extend_from_slice(&[1, kind, id_high, id_low, high, low, 0, 0]);
}

/// Adds a name and its value: each length in one byte, or, beyond 127, in four.
pub(super) fn pair(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for length in [name.len(), value.len()] {
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => out.push(short),
            // Requests have bounded heads: far below 2^31.
            _ => out.extend_from_slice(&(u32::try_from(length).unwrap_or(0) | 0x8000_0000).to_be_bytes()),
        }
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value);
}

/// Whether END_REQUEST says that the request was carried out (§5.5: FCGI_REQUEST_COMPLETE).
pub(super) fn completed(content: &Bytes) -> bool {
    content.len() == 8 && content[4] == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_byte_or_four() {
        let mut out = Vec::new();
        pair("A", &[b'x'; 127], &mut out);
        assert_eq!(out[..3], [1, 127, b'A']);
        out.clear();
        pair("A", &[b'x'; 128], &mut out);
        assert_eq!(out[..6], [1, 0x80, 0, 0, 128, b'A']);
    }

    #[test]
    fn what_is_long_is_many_records() {
        let mut out = Vec::new();
        write(STDIN, &vec![7; CONTENT_MOST + 1], &mut out);
        assert_eq!(out.len(), CONTENT_MOST + 1 + 2 * HEAD);
        let first = Head::read(out[..HEAD].try_into().unwrap()).unwrap();
        assert_eq!(first, Head { kind: STDIN, content: CONTENT_MOST, padding: 0 });
        let second = Head::read(out[HEAD + CONTENT_MOST..][..HEAD].try_into().unwrap()).unwrap();
        assert_eq!(second.content, 1);
        assert_eq!(Head::read([2, STDOUT, 0, 1, 0, 0, 0, 0]), None);
        assert_eq!(Head::read([1, STDOUT, 0, 2, 0, 0, 0, 0]), None);
    }
}
