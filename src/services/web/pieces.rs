//! A representation on its way out in pieces: a large file, or several ranges.
//!
//! A file is read here, on the event loop, and not on a thread of its own: the files of a site that is in use are in
//! the page cache, where a piece takes some ten microseconds, about what handing it to a thread and back would cost
//! beside. A piece is all that others ever wait for.
//!
//! What was promised is what is sent, or the connection is cut: a file that is replaced (renamed over, as editors and
//! `mv` do) is still the one that was opened; one that is written to while it is sent ends the answer, since no two
//! pieces of it need belong together.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hyper::body::Bytes;

use super::range::Span;
use super::version::Version;

/// The largest piece of a file that is read at once, in bytes. A connection has two of them at most: the one that is
/// being sent, and the one behind it.
const PIECE: u64 = 128 * 1024;

/// What pieces are cut from.
#[derive(Debug)]
pub(super) enum Source {
    /// Content in memory.
    Memory(Bytes),
    /// A file, which must stay what it was.
    File(File, Version),
}

/// What is still to be sent.
#[derive(Debug)]
pub(super) struct Pieces {
    source: Source,
    parts: VecDeque<Part>,
    left: u64,
    /// The piece that went out last: when it has been sent, its memory takes the next.
    last: Bytes,
}

/// Some bytes of an answer.
#[derive(Debug)]
pub(super) enum Part {
    /// These: what stands between the ranges.
    Text(Bytes),
    /// Those of the source.
    Span(Span),
}

/// Why the rest cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum PieceError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[from] io::Error),
    /// It is not what it was when its length was promised.
    #[error("the file was written to while it was being sent")]
    Changed,
}

impl Pieces {
    /// The `parts`, one after the other.
    pub(super) fn new(source: Source, parts: Vec<Part>) -> Self {
        let left = parts.iter().map(Part::bytes).sum();
        Self { source, parts: parts.into(), left, last: Bytes::new() }
    }

    /// Bytes that are still to be sent.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next piece; after an error there is none.
    pub(super) fn next(&mut self) -> Option<Result<Bytes, PieceError>> {
        let piece = match self.parts.pop_front()? {
            Part::Text(text) => Ok(text),
            Part::Span(span) => self.cut(span),
        };
        match &piece {
            Ok(bytes) => self.left = self.left.saturating_sub(bytes.len() as u64),
            Err(_) => self.parts.clear(),
        }
        Some(piece)
    }

    /// The first of `span`; what does not come with it is the next part.
    fn cut(&mut self, span: Span) -> Result<Bytes, PieceError> {
        let (file, version) = match &self.source {
            Source::Memory(content) => return slice(content, span).ok_or(PieceError::Changed),
            Source::File(file, version) => (file, version),
        };
        let wanted = usize::try_from(span.bytes().min(PIECE)).unwrap_or(usize::MAX);
        let last = std::mem::take(&mut self.last);
        let mut piece = if last.is_unique() { Vec::from(last) } else { Vec::new() };
        // Zeroed where it is new; what held a piece before is read over.
        piece.resize(wanted, 0);
        let read = file.read_at(&mut piece, span.from)?;
        piece.truncate(read);
        // Looked at after reading, so that nothing that was written before is overlooked.
        if read == 0 || !version.has_content_of(&Version::of(&file.metadata()?)) {
            return Err(PieceError::Changed);
        }
        let rest = Span { from: span.from.saturating_add(read as u64), to: span.to };
        if rest.bytes() > 0 {
            self.parts.push_front(Part::Span(rest));
        }
        self.last = piece.into();
        Ok(self.last.clone())
    }
}

impl Part {
    fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Span(span) => span.bytes(),
        }
    }
}

/// A part of what is in memory, without copying it.
pub(super) fn slice(content: &Bytes, span: Span) -> Option<Bytes> {
    let (from, to) = (usize::try_from(span.from).ok()?, usize::try_from(span.to).ok()?);
    (from < to && to <= content.len()).then(|| content.slice(from..to))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn pieces(file: &File, spans: &[Span]) -> Pieces {
        let version = Version::of(&file.metadata().unwrap());
        let source = Source::File(file.try_clone().unwrap(), version);
        Pieces::new(source, spans.iter().copied().map(Part::Span).collect())
    }

    fn all(pieces: &mut Pieces) -> Result<Vec<u8>, PieceError> {
        let mut content = Vec::new();
        while let Some(piece) = pieces.next() {
            let piece = piece?;
            assert!(!piece.is_empty() && piece.len() as u64 <= PIECE);
            content.extend_from_slice(&piece);
        }
        assert_eq!(pieces.left(), 0);
        Ok(content)
    }

    #[test]
    fn a_file_comes_in_pieces() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..=250).cycle().take(usize::try_from(PIECE).unwrap() * 2 + 10).collect();
        file.write_all(&content).unwrap();
        let length = content.len() as u64;
        let mut whole = pieces(&file, &[Span { from: 0, to: length }]);
        assert_eq!(whole.left(), length);
        assert!(all(&mut whole).unwrap() == content);
        let spans = [Span { from: length - 3, to: length }, Span { from: 5, to: 7 }];
        assert_eq!(
            all(&mut pieces(&file, &spans)).unwrap(),
            [&content[content.len() - 3..], &content[5..7]].concat()
        );
    }

    #[test]
    fn a_piece_that_was_sent_makes_room_for_the_next() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; usize::try_from(PIECE).unwrap() * 3]).unwrap();
        let mut sending = pieces(&file, &[Span { from: 0, to: PIECE * 3 }]);
        let first = sending.next().unwrap().unwrap();
        let second = sending.next().unwrap().unwrap();
        assert_ne!(first.as_ptr(), second.as_ptr(), "the first is not sent yet");
        let place = second.as_ptr();
        drop(second);
        assert_eq!(sending.next().unwrap().unwrap().as_ptr(), place);
    }

    #[test]
    fn one_that_is_shortened_or_written_to_is_not_sent_on() {
        let content = vec![b'x'; usize::try_from(PIECE).unwrap() * 3];
        let changes: [fn(&mut File); 3] = [
            |file| file.set_len(PIECE + 1).unwrap(),
            |file| file.set_len(0).unwrap(),
            |file| {
                file.rewind().unwrap();
                file.write_all(b"y").unwrap();
                // Within one tick of the clock the time would stay the same.
                file.set_modified(std::time::UNIX_EPOCH).unwrap();
            },
        ];
        for change in changes {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&content).unwrap();
            let mut sending = pieces(&file, &[Span { from: 0, to: content.len() as u64 }]);
            assert_eq!(sending.next().unwrap().unwrap().len() as u64, PIECE);
            change(&mut file);
            assert!(matches!(all(&mut sending), Err(PieceError::Changed)));
            assert!(sending.next().is_none() && sending.left() > 0);
        }
    }

    #[test]
    fn what_is_in_memory_is_not_copied() {
        let content = Bytes::from_static(b"0123456789");
        assert_eq!(slice(&content, Span { from: 2, to: 5 }).unwrap().as_ptr(), content[2..].as_ptr());
        for absent in [Span { from: 2, to: 2 }, Span { from: 9, to: 11 }, Span { from: 3, to: 2 }] {
            assert!(slice(&content, absent).is_none());
        }
    }
}
