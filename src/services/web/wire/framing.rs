//! Where on a connection one request ends and the next begins (RFC 9112 §6.3), with every head looked at.
//!
//! Pure: bytes in, how many of them may go on.

use super::chunks::Chunks;
use super::head::{Follows, HEAD_AT_MOST, Head};
use super::violation::Violation;

/// What is being followed.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    head: Head,
    /// In what was looked at and may not go on yet: where its last line begins, and up to where there is no LF.
    line: usize,
    scanned: usize,
}

/// Where on the connection the next byte is.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Place {
    Head,
    Body {
        left: u64,
    },
    Chunks(Chunks),
    /// Behind a request that asks for another protocol.
    Undecided,
    /// In another protocol.
    Another,
}

/// What may be done with bytes that were looked at.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Look {
    /// So many go on; the rest is to be shown again, with what comes behind it.
    pub(super) clear: usize,
    /// Heads that came to their end among them.
    pub(super) heads: u64,
    /// What is wrong with what comes next.
    pub(super) wrong: Option<Wrong>,
}

/// What is wrong.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Wrong {
    /// With a head: it is answered in its turn.
    Head(Violation),
    /// With the body of a request that has gone on.
    Body,
}

impl Framing {
    /// Before the first request.
    pub(super) fn new() -> Self {
        Self { place: Place::Head, head: Head::default(), line: 0, scanned: 0 }
    }

    /// Looks at `bytes`, which begin with those that could not go on the last time.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Look {
        let mut look = Look::default();
        while look.clear < bytes.len() && look.wrong.is_none() {
            let ahead = &bytes[look.clear..];
            match &mut self.place {
                Place::Head => match self.look_at_head(ahead) {
                    Ok(0) => break,
                    Ok(length) => {
                        look.clear += length;
                        look.heads += 1;
                    }
                    Err(violation) => look.wrong = Some(Wrong::Head(violation)),
                },
                Place::Body { left } => {
                    let step = (ahead.len() as u64).min(*left);
                    look.clear += usize::try_from(step).unwrap_or(usize::MAX);
                    *left -= step;
                    if *left == 0 {
                        self.place = Place::Head;
                    }
                }
                Place::Chunks(chunks) => match chunks.follow(ahead) {
                    Ok((length, ended)) => {
                        look.clear += length;
                        if ended {
                            self.place = Place::Head;
                        }
                    }
                    Err(_) => look.wrong = Some(Wrong::Body),
                },
                Place::Undecided => break,
                Place::Another => look.clear = bytes.len(),
            }
        }
        look
    }

    /// Whether the next byte belongs to a head.
    pub(super) fn is_at_head(&self) -> bool {
        self.place == Place::Head
    }

    /// Whether nothing can be said until the request that asks for another protocol is answered.
    pub(super) fn is_undecided(&self) -> bool {
        self.place == Place::Undecided
    }

    /// The answer to it has come.
    pub(super) fn decide(&mut self, another: bool) {
        self.place = if another { Place::Another } else { Place::Head };
    }

    /// The length of the head that `bytes` begin with; 0 where it has not come to its end.
    fn look_at_head(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        while let Some(end) = memchr::memchr(b'\n', &bytes[self.scanned..]) {
            let end = self.scanned + end;
            let line = bytes[self.line..end].strip_suffix(b"\r");
            let line =
                line.ok_or(Violation::Malformed("a line of its head ends with LF alone, not with CRLF"))?;
            let follows = self.head.line(line)?;
            (self.line, self.scanned) = (end + 1, end + 1);
            if end >= HEAD_AT_MOST {
                return Err(Violation::HeadTooLarge);
            }
            if let Some(follows) = follows {
                self.place = match follows {
                    Follows::Length(0) => Place::Head,
                    Follows::Length(left) => Place::Body { left },
                    Follows::Chunks => Place::Chunks(Chunks::START),
                    Follows::PerhapsAnother => Place::Undecided,
                };
                (self.head, self.line, self.scanned) = (Head::default(), 0, 0);
                return Ok(end + 1);
            }
        }
        self.scanned = bytes.len();
        match self.head.unfinished(&bytes[self.line..]) {
            Some(violation) => Err(violation),
            None if bytes.len() > HEAD_AT_MOST => Err(Violation::HeadTooLarge),
            None => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What goes on of bytes that arrive in two pieces: how many, how many heads, and what is wrong.
    fn look(bytes: &[u8], cut: usize) -> Look {
        let mut framing = Framing::new();
        let first = framing.look(&bytes[..cut.min(bytes.len())]);
        if first.wrong.is_some() {
            return first;
        }
        let second = framing.look(&bytes[first.clear..]);
        Look { clear: first.clear + second.clear, heads: first.heads + second.heads, wrong: second.wrong }
    }

    const TWO: &str = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nGET \r\nPOST / HTTP/1.1\r\nHost: x\r\n\
                       Transfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n";

    #[test]
    fn requests_follow_each_other_wherever_they_are_cut() {
        for cut in 0..=TWO.len() {
            assert_eq!(look(TWO.as_bytes(), cut), Look { clear: TWO.len(), heads: 2, wrong: None }, "{cut}");
        }
    }

    #[test]
    fn what_was_right_before_the_wrong_goes_on() {
        let wrong = format!("{TWO}GET / HTTP/1.1\nHost: x\r\n\r\n");
        let seen = look(wrong.as_bytes(), 0);
        assert_eq!((seen.clear, seen.heads), (TWO.len(), 2));
        assert!(matches!(seen.wrong, Some(Wrong::Head(Violation::Malformed(_)))));
        let body = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx";
        assert_eq!(
            look(body.as_bytes(), 0),
            Look { clear: body.len() - 1, heads: 1, wrong: Some(Wrong::Body) }
        );
    }

    #[test]
    fn a_head_has_a_size_also_without_an_end() {
        let lines = format!("GET / HTTP/1.1\r\n{}", "A: bbbbbbbbb\r\n".repeat(99));
        let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(HEAD_AT_MOST));
        assert_eq!(look(lines.as_bytes(), 0).wrong, None);
        assert_eq!(look(long.as_bytes(), 9).wrong, Some(Wrong::Head(Violation::HeadTooLarge)));
        let target = format!("GET /{}", "x".repeat(9 * 1024));
        assert_eq!(look(target.as_bytes(), 0).wrong, Some(Wrong::Head(Violation::TargetTooLong)));
    }

    #[test]
    fn nothing_goes_on_behind_a_request_for_another_protocol_until_it_is_answered() {
        let upgrade = "GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n";
        for another in [true, false] {
            let mut framing = Framing::new();
            let bytes = format!("{upgrade}\x01\x02\x03");
            assert_eq!(framing.look(bytes.as_bytes()).clear, upgrade.len());
            assert!(framing.is_undecided());
            framing.decide(another);
            assert_eq!(framing.look(b"\x01\x02\x03").clear, if another { 3 } else { 0 });
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            bytes in prop::collection::vec(prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "POST /x HTTP/1.0\r\n", "Host: a\r\n", "Content-Length: 3\r\n", "\r\n", "\n", "\r",
                "Transfer-Encoding: chunked\r\n", "3\r\n", "abc", "0\r\n\r\n", " ", ":", "\0", "Upgrade: h2c\r\n",
            ]), 0..12),
            cut in 0..100usize,
        ) {
            let bytes = bytes.concat();
            prop_assert_eq!(look(bytes.as_bytes(), 0), look(bytes.as_bytes(), cut));
        }
    }
}
