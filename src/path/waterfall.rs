//! A path for the terminal: the eight headings, under each its steps, beside each step its place in time.
//!
//! Pure: text for a given width, with colours that whoever prints takes away where they cannot be seen. What was said comes
//! from strangers; nothing in it speaks to the terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::account::Account;
use super::model::{Heading, Path, Step};
use crate::ground::event::Micros;

/// The narrowest and the widest that is drawn, in columns; and how wide where there is no terminal.
const NARROWEST: usize = 48;
const WIDEST: usize = 160;
const USUAL: usize = 100;

/// Columns of a duration with its space, and those that a label has before bars grow.
const DURATION: usize = 10;
const LABEL: usize = 44;
const BAR_LEAST: usize = 10;
const BAR_MOST: usize = 64;

/// Columns of the words `asks`, `hears`, …
const BY: usize = 8;

/// A gap below this share of the whole, in hundredths, is only counted.
const GAP_SHOWN: u64 = 1;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const BAR: Style = AnsiColor::Cyan.on_default();

/// `path` as text of at most `width` columns.
pub fn render(path: &Path, width: Option<usize>) -> String {
    let width = width.unwrap_or(USUAL).clamp(NARROWEST, WIDEST);
    let bar = width.saturating_sub(LABEL + DURATION).clamp(BAR_LEAST, BAR_MOST);
    let sheet = Sheet { path, account: Account::of(path), width, bar, label: width - bar - DURATION };
    let mut text = String::new();
    sheet.title(&mut text);
    let mut said = Vec::new();
    for heading in Heading::ALL {
        sheet.heading(&mut text, heading, &mut said);
    }
    sheet.gaps(&mut text);
    sheet.failure(&mut text);
    for note in &path.notes {
        sheet.wrapped(&mut text, "", DIM, note);
    }
    text
}

/// `text` so that a terminal only shows it.
pub fn plain(text: &str) -> String {
    let shown = |character: char| match character {
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => '\u{FFFD}',
        control if control.is_control() => '\u{FFFD}',
        other => other,
    };
    text.chars().map(shown).collect()
}

/// What is drawn, and how wide.
struct Sheet<'a> {
    path: &'a Path,
    account: Account,
    width: usize,
    bar: usize,
    label: usize,
}

// Writing to a String does not fail.
impl Sheet<'_> {
    fn title(&self, text: &mut String) {
        let method = self.path.exchange.as_ref().map(|exchange| format!("{} ", exchange.method));
        let title = format!("{}{}", method.unwrap_or_default(), plain(&self.path.asked));
        let _ = writeln!(text, "{BOLD}{}{BOLD:#}", cut(&title, self.width));
        let whole = Micros(self.path.micros);
        match (&self.path.failure, &self.path.exchange) {
            (Some(failure), _) => {
                let symptom = plain(&failure.symptom);
                let _ = writeln!(text, "{BAD}failed: {symptom}{BAD:#} after {whole}");
            }
            (None, Some(exchange)) => {
                let outcome = format!("{} {}", exchange.status, plain(&exchange.reason));
                let _ = writeln!(text, "{GOOD}{}{GOOD:#} after {whole}", outcome.trim_end());
            }
            (None, None) => {
                let _ = writeln!(text, "answered after {whole}");
            }
        }
    }

    fn heading<'a>(&'a self, text: &mut String, heading: Heading, told: &mut Vec<&'a str>) {
        let title = format!("{} {}", heading.number(), heading.title());
        let steps = || self.path.steps.iter().filter(|step| step.heading == heading);
        text.push('\n');
        if steps().next().is_none() {
            let _ = writeln!(text, "{DIM}{title}{DIM:#}");
            for absent in self.path.absent.iter().filter(|absent| absent.heading == heading) {
                self.wrapped(text, "  ", DIM, &absent.because);
            }
            return;
        }
        let own = self.account.heading(heading);
        let share = format!("{}  {:>3} %", Micros(own), self.account.percent(own));
        let space = self.width.saturating_sub(title.width() + share.width());
        let _ = writeln!(text, "{BOLD}{title}{BOLD:#}{}{share}", " ".repeat(space));
        for step in steps() {
            self.step(text, step);
            // A reason is given once.
            if !told.contains(&step.why.as_str()) {
                told.push(&step.why);
                self.wrapped(text, &indent(step, 4), DIM, &step.why);
            }
        }
    }

    fn step(&self, text: &mut String, step: &Step) {
        let label =
            format!("{}{} → {}", indent(step, 2), plain(&step.from.name), plain(&step.to.to_string()));
        let label = cut(&label, self.label - 1);
        let space = " ".repeat(self.label - label.width());
        let style = match (step.failed, step.cached) {
            (true, _) => BAD,
            (false, Some(true)) => GOOD,
            _ => BAR,
        };
        let about = if step.placed { "≈" } else { "" };
        let micros = cut(&format!("{about}{}", Micros(step.micros)), DURATION);
        let _ =
            writeln!(text, "{label}{space}{}{micros:>DURATION$}", self.bar(step.begins, step.ends(), style));
        let indent = indent(step, 4);
        if let (0, Some(from)) = (step.depth, step.from.address) {
            self.said(text, &indent, "from", &from.to_string());
        }
        for said in &step.said {
            self.said(text, &indent, &plain(&said.by), &plain(&said.words));
        }
        match step.cached {
            Some(true) => self.said(text, &indent, "cache", "remembered: nobody else was asked"),
            Some(false) => self.said(text, &indent, "cache", "not remembered: it had to be asked for"),
            None => {}
        }
    }

    /// What lies between `begins` and `ends`, in its place among the whole.
    fn bar(&self, begins: u64, ends: u64, style: Style) -> String {
        let columns = self.bar as u128;
        let whole = u128::from(self.path.micros.max(1));
        let column = |micros: u64| u128::from(micros.min(self.path.micros)) * columns;
        let from = usize::try_from(column(begins) / whole).unwrap_or(self.bar).min(self.bar - 1);
        let to = usize::try_from(column(ends).div_ceil(whole)).unwrap_or(self.bar).clamp(from + 1, self.bar);
        let (before, inside, after) = (" ".repeat(from), "█".repeat(to - from), " ".repeat(self.bar - to));
        format!("{before}{style}{inside}{style:#}{after}")
    }

    fn gaps(&self, text: &mut String) {
        let (gap, whole) = (self.account.gap(), self.account.whole);
        text.push('\n');
        let shown = self.account.gaps.iter().filter(|(_, micros)| self.account.percent(*micros) >= GAP_SHOWN);
        for &(begins, micros) in shown {
            let label = format!("  gap: the client itself, from {}", Micros(begins));
            let label = cut(&label, self.label - 1);
            let space = " ".repeat(self.label - label.width());
            let bar = self.bar(begins, begins + micros, DIM);
            let _ = writeln!(
                text,
                "{DIM}{label}{DIM:#}{space}{bar}{:>DURATION$}",
                cut(&Micros(micros).to_string(), DURATION)
            );
        }
        let sum = format!(
            "{} in steps + {} in gaps ({} %) = {}",
            Micros(whole - gap),
            Micros(gap),
            self.account.percent(gap),
            Micros(whole)
        );
        self.wrapped(text, "", Style::new(), &sum);
    }

    fn failure(&self, text: &mut String) {
        let Some(failure) = &self.path.failure else { return };
        let place = format!("{} {}", failure.heading.number(), failure.heading.title());
        let _ = writeln!(text, "\n{BAD}It ended at {place}: {}{BAD:#}", plain(&failure.component));
        self.said(text, "  ", "symptom", &plain(&failure.symptom));
        self.wrapped(text, "  ", Style::new(), &failure.happened);
        for (at, next) in failure.next.iter().enumerate() {
            self.said(text, "  ", if at == 0 { "look at" } else { "" }, &plain(next));
        }
    }

    /// One line of what was said, the words beside each other.
    fn said(&self, text: &mut String, indent: &str, by: &str, words: &str) {
        let hanging = format!("{indent}{}", " ".repeat(BY));
        for (at, line) in lines(words, self.width.saturating_sub(hanging.width())).iter().enumerate() {
            match at {
                0 => {
                    let by = cut(by, BY - 1);
                    let space = " ".repeat(BY - by.width());
                    let _ = writeln!(text, "{indent}{DIM}{by}{DIM:#}{space}{line}");
                }
                _ => {
                    let _ = writeln!(text, "{hanging}{line}");
                }
            }
        }
    }

    fn wrapped(&self, text: &mut String, indent: &str, style: Style, words: &str) {
        for line in lines(&plain(words), self.width.saturating_sub(indent.width())) {
            let _ = writeln!(text, "{indent}{style}{line}{style:#}");
        }
    }
}

fn indent(step: &Step, least: usize) -> String {
    " ".repeat(least + 2 * usize::from(step.depth.min(4)))
}

/// `words` in lines of at most `width` columns, 8 at least. A command between backticks stays whole where it has room in a line; a
/// word that has none is cut into pieces.
pub(crate) fn lines(words: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in pieces(words, width) {
        let mut rest = word;
        while !rest.is_empty() {
            let piece = if rest.width() > width { head(rest, width) } else { rest };
            let space = usize::from(used > 0);
            if used + space + piece.width() > width {
                lines.push(String::new());
                used = 0;
            }
            let Some(line) = lines.last_mut() else { break };
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(piece);
            used += piece.width();
            rest = &rest[piece.len()..];
        }
    }
    lines
}

/// The words of `text`; a command between two backticks is in one, its spaces as they are, unless that is wider than `width`.
fn pieces(text: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, after) = rest.split_at(end_of_word(rest));
        if word.width() > width {
            pieces.extend(word.split_whitespace())
        } else {
            pieces.push(word)
        }
        rest = after.trim_start();
    }
    pieces
}

/// Where the first word of `text` ends.
fn end_of_word(text: &str) -> usize {
    let mut is_command = false;
    for (at, character) in text.char_indices() {
        match character {
            '`' => is_command = !is_command && text[at + 1..].contains('`'),
            ' ' if is_command => {}
            space if space.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

/// As much of `text` as has `width` columns, and one character at least.
fn head(text: &str, width: usize) -> &str {
    // A character may be made wider by the one behind it (U+FE0F), so what is before is measured together.
    let ends = text.char_indices().map(|(at, character)| (at, at + character.len_utf8()));
    let beyond = ends.skip(1).find(|&(_, end)| text[..end].width() > width);
    &text[..beyond.map_or(text.len(), |(at, _)| at)]
}

/// `text` in at most `width` columns, with a sign where something is left out.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        text.to_owned()
    } else {
        format!("{}…", head(text, width.saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model::example;
    use super::*;

    fn bare(path: &Path, width: usize) -> String {
        anstream::adapter::strip_str(&render(path, Some(width))).to_string()
    }

    #[test]
    fn it_fits_each_width() {
        let expected = [
            (60, include_str!("../../tests/golden/path/60.txt")),
            (80, include_str!("../../tests/golden/path/80.txt")),
            (120, include_str!("../../tests/golden/path/120.txt")),
        ];
        for (width, expected) in expected {
            let text = bare(&example::page(), width);
            assert_eq!(text, expected, "{width} columns");
            assert!(text.lines().all(|line| line.width() <= width), "{width} columns");
        }
    }

    #[test]
    fn a_failure_is_told_at_its_end() {
        let text = bare(&example::failed(), 80);
        assert_eq!(text, include_str!("../../tests/golden/path/failed.txt"));
    }

    #[test]
    fn a_command_stays_whole_where_it_has_room() {
        let words = "app is stopped:  `wwwlab start  app` brings it (`back`) or it's ` not";
        assert_eq!(
            lines(words, 24),
            ["app is stopped:", "`wwwlab start  app`", "brings it (`back`) or", "it's ` not"]
        );
        assert_eq!(
            lines(words, 12),
            ["app is", "stopped:", "`wwwlab", "start app`", "brings it", "(`back`) or", "it's ` not"],
            "it has none"
        );
        assert_eq!(lines("`a\tb` c", 8), ["`a b` c"]);
    }

    #[test]
    fn nothing_that_was_said_speaks_to_the_terminal() {
        let mut path = example::page();
        path.asked = "http://x/\u{1b}[2J\u{202E}".into();
        path.steps[0].said[0].words = "a\r\u{7}b".into();
        path.steps[0].to.name = "\u{9b}31m".into();
        let text = bare(&path, 80);
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
        assert!(!text.contains('\u{202E}'));
    }

    proptest! {
        #[test]
        fn any_words_fit(words in "\\PC{0,200}", width in 48_usize..120, begins: u64, micros: u64, whole: u64) {
            let mut path = example::page();
            path.micros = whole;
            path.steps[0].said[0].words = words.clone();
            (path.steps[1].begins, path.steps[1].micros) = (begins, micros);
            (path.steps[1].to.name, path.asked) = (words.clone(), words);
            for line in bare(&path, width).lines() {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
