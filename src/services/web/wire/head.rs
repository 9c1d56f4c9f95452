//! A request's head, line by line (RFC 9112 §3 and §5): whether it is one, and how its body is framed (§6).
//!
//! Pure. Stricter than a parser has to be, since two readers of one message that disagree can be played against each
//! other (§11.2): what has two readings is refused, not repaired.

use hyper::http::Uri;

use super::violation::Violation::{self, Malformed};

/// The longest request target, in bytes; beyond it 414 (RFC 9112 §3 asks for 8000 at least).
pub(in crate::services::web) const TARGET_AT_MOST: usize = 8 * 1024;

/// The largest head, in bytes; beyond it 431.
pub(in crate::services::web) const HEAD_AT_MOST: usize = 32 * 1024;

/// Header fields in a request at most; beyond it 431.
pub(in crate::services::web) const FIELDS_AT_MOST: usize = 100;

/// The longest method that is looked for in a line without an end, in bytes.
const METHOD_AT_MOST: usize = 32;

/// What a head has said so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    begun: bool,
    is_1_0: bool,
    fields: usize,
    length: Option<u64>,
    is_chunked: bool,
    wants_upgrade: bool,
}

/// What follows a head.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Follows {
    /// A body of so many bytes; often none.
    Length(u64),
    /// A body in chunks.
    Chunks,
    /// Perhaps another protocol, if the answer says so (RFC 9110 §7.8).
    PerhapsAnother,
}

impl Head {
    /// Takes one line, without its CRLF; what follows, when it was the last.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Option<Follows>, Violation> {
        match (self.begun, line) {
            // RFC 9112 §2.2: an empty line before a request is none.
            (false, []) => Ok(None),
            (false, line) => {
                self.begun = true;
                self.request_line(line).map(|()| None)
            }
            (true, []) => self.follows().map(Some),
            (true, line) => self.field(line).map(|()| None),
        }
    }

    /// What is wrong with a line of which only the beginning is there, if that is known already.
    pub(super) fn unfinished(&self, line: &[u8]) -> Option<Violation> {
        let too_long = !self.begun && line.len() > METHOD_AT_MOST + TARGET_AT_MOST;
        too_long.then_some(Violation::TargetTooLong)
    }

    /// RFC 9112 §3: `method SP request-target SP HTTP-version`.
    fn request_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformed(
                "its first line is not a method, a target and a version with one space between",
            ));
        };
        if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
            return Err(Malformed("its method has a character that no method has"));
        }
        if target.len() > TARGET_AT_MOST {
            return Err(Violation::TargetTooLong);
        }
        if !is_target(target) {
            return Err(Malformed(
                "its target has a character that must be percent-encoded, or no form of a target",
            ));
        }
        match version {
            b"HTTP/1.1" => Ok(()),
            b"HTTP/1.0" => {
                self.is_1_0 = true;
                Ok(())
            }
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                Err(Violation::VersionUnknown)
            }
            _ => Err(Malformed("its first line does not end with a version of HTTP")),
        }
    }

    /// RFC 9112 §5: `field-name ":" OWS field-value OWS`.
    fn field(&mut self, line: &[u8]) -> Result<(), Violation> {
        self.fields += 1;
        if self.fields > FIELDS_AT_MOST {
            return Err(Violation::TooManyFields);
        }
        let (name, value) = split_field(line)?;
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.wants_upgrade = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// RFC 9112 §6.2 and §6.3: one number.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.length.is_some() {
            return Err(Malformed("it has more than one Content-Length"));
        }
        let digits =
            std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let length = digits.and_then(|digits| digits.parse().ok());
        self.length = Some(length.ok_or(Malformed("its Content-Length is not one number"))?);
        Ok(())
    }

    /// RFC 9112 §6.1: chunked is the last coding, and the only one that is understood here.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.is_chunked {
            return Err(Malformed("it has more than one Transfer-Encoding"));
        }
        let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
        if !last.eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed(
                "chunked is not the last of its transfer codings, so nobody knows where it ends",
            ));
        }
        if value.len() != last.len() {
            return Err(Violation::CodingUnknown);
        }
        self.is_chunked = true;
        Ok(())
    }

    fn follows(&self) -> Result<Follows, Violation> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Malformed("it has both a Content-Length and a Transfer-Encoding")),
            (true, None) if self.is_1_0 => {
                Err(Malformed("it has a Transfer-Encoding, which HTTP/1.0 does not know"))
            }
            (true, None) => Ok(Follows::Chunks),
            (false, None | Some(0)) if self.wants_upgrade => Ok(Follows::PerhapsAnother),
            (false, length) => Ok(Follows::Length(length.unwrap_or(0))),
        }
    }
}

/// The name and the value of a field's line, both well-formed (RFC 9110 §5.1 and §5.5).
pub(super) fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Malformed("a line of its head begins with a space: a folded field (obs-fold)"));
    }
    let colon = memchr::memchr(b':', line).ok_or(Malformed("a line of its head has no colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if matches!(name.last(), Some(b' ' | b'\t')) {
        return Err(Malformed("there is a space between a field's name and its colon"));
    }
    if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
        return Err(Malformed("the name of a field has a character that no name has"));
    }
    if value.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(Malformed("the value of a field has a control character in it"));
    }
    Ok((name, value.trim_ascii()))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = letters_digits_and(b"!#$%&'*+-.^_`|~");
    TOKEN[usize::from(byte)]
}

/// Which bytes are letters, digits, or among `others`: looked up for each byte of a head, so in a table.
const fn letters_digits_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut other = 0;
    while other < others.len() {
        table[others[other] as usize] = true;
        other += 1;
    }
    table
}

/// Whether the HTTP library will take it too: asked only where it is unusual.
fn is_target(target: &[u8]) -> bool {
    const USUAL: [bool; 256] = letters_digits_and(b"-._~!$&'()*+,;=:@%/?");
    if target.first() == Some(&b'/') && target.iter().all(|&byte| USUAL[usize::from(byte)]) {
        return true;
    }
    let visible = target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    visible && !target.is_empty() && Uri::try_from(target).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<Option<Follows>, Violation> {
        let mut reading = Head::default();
        let mut follows = None;
        for line in head.split("\r\n") {
            follows = reading.line(line.as_bytes())?;
        }
        Ok(follows)
    }

    fn with(fields: &str) -> Result<Option<Follows>, Violation> {
        read(&format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n"))
    }

    #[test]
    fn a_body_is_framed_in_one_way() {
        assert_eq!(with(""), Ok(Some(Follows::Length(0))));
        assert_eq!(with("Content-Length:\t 5 \r\n"), Ok(Some(Follows::Length(5))));
        assert_eq!(with("transfer-encoding: Chunked\r\n"), Ok(Some(Follows::Chunks)));
        assert_eq!(with("Upgrade: websocket\r\n"), Ok(Some(Follows::PerhapsAnother)));
        for two_readings in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding\r\n",
            "Transfer-Encoding:\x0bchunked\r\n",
            " Content-Length: 5\r\n",
        ] {
            assert!(matches!(with(two_readings), Err(Malformed(_))), "{two_readings:?}");
        }
        assert_eq!(with("Transfer-Encoding: gzip, chunked\r\n"), Err(Violation::CodingUnknown));
        assert!(matches!(read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(Malformed(_))));
    }

    #[test]
    fn a_first_line_has_three_words() {
        for line in
            ["GET /a?b=c HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://x/ HTTP/1.0", "CONNECT x:1 HTTP/1.1"]
        {
            assert_eq!(read(line), Ok(None), "{line}");
        }
        for line in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET /",
            "G(T / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET /é HTTP/1.1",
            "GET /\x01 HTTP/1.1",
            "GET /#x HTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1.11",
            "GET\t/\tHTTP/1.1",
        ] {
            assert!(matches!(read(line), Err(Malformed(_))), "{line:?}");
        }
        assert_eq!(read("GET / HTTP/2.0"), Err(Violation::VersionUnknown));
        let long = format!("GET /{} HTTP/1.1", "x".repeat(TARGET_AT_MOST));
        assert_eq!(read(&long), Err(Violation::TargetTooLong));
    }

    #[test]
    fn fields_are_counted_and_clean() {
        assert_eq!(with(&"A: b\r\n".repeat(FIELDS_AT_MOST - 1)), Ok(Some(Follows::Length(0))));
        assert_eq!(with(&"A: b\r\n".repeat(FIELDS_AT_MOST)), Err(Violation::TooManyFields));
        for field in ["A: \0", "A: b\rc", "A(: b", ": b", "A: \x7f", "\tA: b", "Ä: b"] {
            assert!(matches!(with(&format!("{field}\r\n")), Err(Malformed(_))), "{field:?}");
        }
        assert!(with("A: é\tb\r\n").is_ok());
    }
}
