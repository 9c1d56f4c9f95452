//! A zone file's text as entries, and entries as words (RFC 1035 §5.1).
//!
//! An entry is a line, or the lines that parentheses join. Words keep their escapes: what an escape means
//! depends on what the word is.

use super::LONGEST_LINE;
use super::rule::Rule;
use super::source::Severity;

/// A word of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'t> {
    /// Its bytes, without the quotes around it, with its escapes.
    pub text: &'t [u8],
    /// Where it begins, in bytes from the text's start.
    pub at: usize,
    /// Whether quotes were around it.
    pub quoted: bool,
}

/// Something that is no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub at: usize,
    /// What is wrong, and how to mend it.
    pub message: String,
    /// The rule that it breaks.
    pub rule: Rule,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it is hopeless to read on.
    pub last: bool,
}

impl Fault {
    /// A fault of form behind which reading goes on.
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), rule: Rule::Syntax, severity: Severity::Error, last: false }
    }

    /// A fault of form behind which nothing can be read.
    pub fn last(at: usize, message: impl Into<String>) -> Self {
        Self { last: true, ..Self::new(at, message) }
    }

    /// The same, but of another rule.
    pub fn of(self, rule: Rule) -> Self {
        Self { rule, ..self }
    }

    /// The same, but only a warning.
    pub fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }
}

/// Cuts a text into entries.
#[derive(Debug)]
pub struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    line_start: usize,
}

impl<'t> Lexer<'t> {
    /// Begins at the start of `text`.
    pub fn new(text: &'t [u8]) -> Self {
        // Some editors put a byte order mark in front.
        let at = if text.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Self { text, at, line_start: at }
    }

    /// Reads the next entry's words into `words`; true if it begins with a blank, nothing at the end of the
    /// text. Lines without words are skipped. After a fault the next call begins at the next line.
    pub fn next_entry(&mut self, words: &mut Vec<Word<'t>>) -> Result<Option<bool>, Fault> {
        words.clear();
        let result = self.entry(words);
        if result.is_err() {
            self.skip_line();
        }
        result
    }

    fn entry(&mut self, words: &mut Vec<Word<'t>>) -> Result<Option<bool>, Fault> {
        let mut open: Option<usize> = None;
        let mut blank = false;
        while let Some(&byte) = self.text.get(self.at) {
            if self.at - self.line_start > LONGEST_LINE {
                return Err(Fault::last(
                    self.line_start,
                    format!("a line of more than {LONGEST_LINE} bytes: this is not a zone file"),
                ));
            }
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line_start = self.at;
                    if open.is_none() {
                        if !words.is_empty() {
                            return Ok(Some(blank));
                        }
                        blank = false;
                    }
                }
                b' ' | b'\t' | b'\r' => {
                    blank |=
                        words.is_empty() && open.is_none() && self.at == self.line_start && byte != b'\r';
                    self.at += 1;
                }
                b';' => self.at = self.line_end(),
                b'(' => {
                    if open.is_some() {
                        return Err(Fault::new(
                            self.at,
                            "a second `(` before the first is closed: write one pair of parentheses for an entry",
                        ));
                    }
                    open = Some(self.at);
                    self.at += 1;
                }
                b')' => {
                    if open.take().is_none() {
                        return Err(Fault::new(
                            self.at,
                            "`)` without `(`: delete it, or open the parenthesis before the first line break",
                        ));
                    }
                    self.at += 1;
                }
                b'"' => words.push(self.quoted()?),
                0..0x20 | 0x7F => return Err(self.binary()),
                _ => words.push(self.plain()?),
            }
        }
        if let Some(at) = open {
            // All to the end was swallowed: there is nothing to read on.
            return Err(Fault::last(
                at,
                "this `(` is never closed: write `)` behind the last value of the record",
            ));
        }
        Ok((!words.is_empty()).then_some(blank))
    }

    fn quoted(&mut self) -> Result<Word<'t>, Fault> {
        let start = self.at;
        self.at = self.closing_quote(start)? + 1;
        Ok(Word { text: &self.text[start + 1..self.at - 1], at: start, quoted: true })
    }

    /// Where the quote that opens at `start` closes.
    fn closing_quote(&self, start: usize) -> Result<usize, Fault> {
        let mut at = start + 1;
        while at - start <= LONGEST_LINE {
            match self.text.get(at) {
                Some(b'"') => return Ok(at),
                Some(b'\\') if !matches!(self.text.get(at + 1), Some(b'\n') | None) => at += 2,
                Some(b'\n') | None => break,
                Some(0) => {
                    return Err(Fault { at, ..self.binary() });
                }
                Some(_) => at += 1,
            }
        }
        Err(Fault::new(start, "this quote is not closed on its line: end the text with `\"`"))
    }

    fn plain(&mut self) -> Result<Word<'t>, Fault> {
        let start = self.at;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' => break,
                // As in key="value with blanks".
                b'"' => self.at = self.closing_quote(self.at)? + 1,
                b'\\' if !matches!(self.text.get(self.at + 1), Some(b'\r' | b'\n') | None) => self.at += 2,
                0..0x20 | 0x7F => return Err(self.binary()),
                _ => self.at += 1,
            }
            if self.at - start > LONGEST_LINE {
                return Err(Fault::last(
                    start,
                    format!("a word of more than {LONGEST_LINE} bytes: this is not a zone file"),
                ));
            }
        }
        Ok(Word { text: &self.text[start..self.at], at: start, quoted: false })
    }

    fn binary(&self) -> Fault {
        Fault::last(
            self.at,
            "a control character: this is not a text file, or was damaged; write such an octet as \\DDD",
        )
    }

    fn line_end(&self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
    }

    fn skip_line(&mut self) {
        self.at = (self.line_end() + 1).min(self.text.len());
        self.line_start = self.at;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(text: &[u8]) -> (Vec<(bool, Vec<String>)>, Vec<Fault>) {
        let mut lexer = Lexer::new(text);
        let (mut words, mut entries, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            match lexer.next_entry(&mut words) {
                Ok(Some(blank)) => {
                    let words = words.iter().map(|word| String::from_utf8_lossy(word.text).into_owned());
                    entries.push((blank, words.collect()));
                }
                Ok(None) => return (entries, faults),
                Err(fault) => {
                    let last = fault.last;
                    faults.push(fault);
                    if last {
                        return (entries, faults);
                    }
                }
            }
        }
    }

    #[test]
    fn lines_comments_quotes_and_parentheses() {
        let text = b"a b;c\r\n\r\n \t\n  x \"y ; (z\" ( ; comment )\n 1\n  2 ) 3\nlast\\ one k=\"v w\"";
        let (entries, faults) = entries(text);
        assert_eq!(faults, []);
        let words: Vec<_> = entries.iter().map(|(blank, words)| (*blank, words.join("|"))).collect();
        assert_eq!(
            words,
            [(false, "a|b".into()), (true, "x|y ; (z|1|2|3".into()), (false, "last\\ one|k=\"v w\"".into())]
        );
    }

    #[test]
    fn reading_goes_on_behind_a_fault() {
        let (entries, faults) = entries(b"a \"b\nc )\nd\ne ( f\n");
        assert_eq!(entries, [(false, vec!["d".to_owned()])]);
        assert_eq!(faults.iter().map(|fault| fault.at).collect::<Vec<_>>(), [2, 7, 13]);
    }

    #[test]
    fn endless_lines_and_binary_files_end() {
        for text in
            [&b"x".repeat(10 << 20), &b"x ".repeat(5 << 20), &b"\"x".repeat(5 << 20), &vec![0; 1 << 20]]
        {
            let (_, faults) = entries(text);
            assert!(faults.len() == 1, "{faults:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends(text in prop::collection::vec(prop::sample::select(&b"a \t\n\r();\"\\0\x01$@."[..]), 0..200)) {
            let _ = entries(&text);
        }
    }
}
