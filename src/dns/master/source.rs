//! The texts that a zone was read from, places in them, and the problems found there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lexer::Lexer;
use super::rule::Rule;

/// Bytes of a line that a problem quotes at most.
const QUOTED_MOST: usize = 400;

/// Every file that took part, in the order of reading.
#[derive(Debug, Default, Hash)]
pub struct Sources {
    sources: Vec<Source>,
}

#[derive(Debug, Hash)]
struct Source {
    path: PathBuf,
    text: Arc<Vec<u8>>,
}

/// A place in one of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which source.
    pub source: u16,
    /// Bytes from its start.
    pub at: u32,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The zone cannot be served.
    Error,
    /// The zone can be served, but probably means something else.
    Warning,
}

/// Something wrong in a zone file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 when it is about the file as a whole.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// How bad it is.
    pub severity: Severity,
    /// The rule that is broken.
    pub rule: Rule,
    /// What is wrong, and how to mend it.
    pub message: String,
    /// The line as it is, for a caret under its column; cut where it is very long.
    pub source_line: String,
}

impl Problem {
    /// A problem of a file as a whole.
    pub fn of_file(file: &Path, severity: Severity, rule: Rule, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            severity,
            rule,
            message: message.into(),
            source_line: String::new(),
        }
    }
}

/// `file:line:column: what [source]`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if self.severity == Severity::Warning {
            f.write_str(" warning:")?;
        }
        write!(f, " {}", self.message)?;
        match self.rule.source() {
            "" => Ok(()),
            source => write!(f, " [{source}]"),
        }
    }
}

impl Sources {
    /// Adds a text and returns its number; nothing when there are too many.
    pub(super) fn add(&mut self, path: PathBuf, text: Arc<Vec<u8>>) -> Option<u16> {
        let number = u16::try_from(self.sources.len()).ok()?;
        self.sources.push(Source { path, text });
        Some(number)
    }

    /// The text of a source.
    pub(super) fn text(&self, source: u16) -> &[u8] {
        self.sources.get(usize::from(source)).map_or(&[], |source| &source.text)
    }

    /// The path of a source.
    pub fn path(&self, source: u16) -> &Path {
        self.sources.get(usize::from(source)).map_or(Path::new(""), |source| &source.path)
    }

    /// Every path, in the order of reading.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(|source| source.path.as_path())
    }

    /// The number of the line that `place` is in, from 1.
    pub fn line(&self, place: Place) -> usize {
        let before = self.before(place);
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }

    /// Where the last word of the entry at `place` begins; `place` itself where that cannot be read again.
    pub fn last_word(&self, place: Place) -> Place {
        let start = usize::try_from(place.at).unwrap_or(usize::MAX);
        let rest = self.text(place.source).get(start..).unwrap_or_default();
        let mut words = Vec::new();
        let read = Lexer::new(rest).next_entry(&mut words);
        let at = words.last().filter(|_| read.is_ok()).map_or(0, |word| word.at);
        Place { at: u32::try_from(start + at).unwrap_or(place.at), ..place }
    }

    /// A problem at `place`.
    pub fn problem(&self, place: Place, severity: Severity, rule: Rule, message: String) -> Problem {
        let before = self.before(place);
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = self.text(place.source).get(start..).unwrap_or_default();
        let end = line.iter().position(|&byte| byte == b'\n').unwrap_or(line.len());
        let line = &line[..end.min(QUOTED_MOST)];
        let in_line = before.get(start..).unwrap_or_default();
        Problem {
            file: self.path(place.source).to_owned(),
            line: self.line(place),
            column: 1 + String::from_utf8_lossy(in_line).chars().count(),
            severity,
            rule,
            message,
            source_line: String::from_utf8_lossy(line).trim_end().to_owned(),
        }
    }

    fn before(&self, place: Place) -> &[u8] {
        let text = self.text(place.source);
        &text[..text.len().min(usize::try_from(place.at).unwrap_or(usize::MAX))]
    }
}
