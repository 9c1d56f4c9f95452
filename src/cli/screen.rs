//! Where a command prints: streams, width, colours, and tables that fit.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::lab::doctor;
use crate::lab::status::State;
use crate::path::waterfall::lines;

/// What a command may use of the outside.
pub struct World {
    /// Standard output.
    pub out: Box<dyn Write>,
    /// Standard error.
    pub err: Box<dyn Write>,
    /// Columns of the terminal; nothing where the output goes elsewhere, into a file or a pipe, which has room for all.
    pub width: Option<usize>,
    /// How the user can call this program from here.
    pub program: String,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("width", &self.width)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl World {
    /// The real one. Colours go only where they can be seen (a terminal, without `NO_COLOR`).
    pub fn real() -> Self {
        Self {
            out: Box::new(anstream::stdout()),
            err: Box::new(anstream::stderr()),
            width: terminal_size::terminal_size_of(io::stdout()).map(|(columns, _)| columns.0.into()),
            program: program(),
        }
    }

    /// Prints `text`, indented, so that the terminal's edge breaks no word; what goes on in a further line is indented by two more.
    pub(super) fn say(&mut self, indent: usize, style: Style, text: &str) -> io::Result<()> {
        for line in text.lines() {
            write!(self.out, "{}", " ".repeat(indent))?;
            self.go_on(indent, indent + 2, style, line)?;
        }
        Ok(())
    }

    /// Prints `text` from column `at` on, to the end of the line, and what has no room there below, from column `hanging` on.
    pub(super) fn go_on(&mut self, at: usize, hanging: usize, style: Style, text: &str) -> io::Result<()> {
        let parts = match self.width {
            Some(width) if at + text.width() > width => lines(text, width.saturating_sub(at.max(hanging))),
            _ => vec![text.to_owned()],
        };
        for (number, part) in parts.iter().enumerate() {
            let indent = " ".repeat(if number == 0 { 0 } else { hanging });
            writeln!(self.out, "{indent}{style}{part}{style:#}")?;
        }
        Ok(())
    }

    /// Prints `value` as JSON, for scripts.
    pub(super) fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.out, value).map_err(io::Error::from)?;
        writeln!(self.out)
    }
}

/// `wwwlab` where that is found in PATH, else where this executable is.
fn program() -> String {
    const NAME: &str = "wwwlab";
    let Ok(this) = std::env::current_exe() else { return NAME.into() };
    let same = |path: &Path| path.canonicalize().is_ok_and(|path| path == this);
    if doctor::in_path(NAME).is_some_and(|path| same(&path)) {
        return NAME.into();
    }
    quoted(this.as_os_str())
}

/// Something in bold.
pub(super) const BOLD: Style = Style::new().bold();
/// Something that may be overlooked.
pub(super) const DIM: Style = Style::new().dimmed();
/// A command to type.
pub(super) const COMMAND: Style = AnsiColor::Cyan.on_default();
/// All is well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Works, but.
pub(super) const LIMITED: Style = AnsiColor::Yellow.on_default();
/// Does not work.
pub(super) const BAD: Style = AnsiColor::Red.on_default();

/// The colour of a state.
pub(super) fn state_style(state: State) -> Style {
    match state {
        State::Running => GOOD,
        State::Starting | State::Paused => LIMITED,
        State::Stopped | State::Failed => BAD,
    }
}

/// The least width to which a column is folded: an address of IPv6 has room.
const FOLDED_LEAST: usize = 24;

/// A table whose columns line up. Where it does not fit, they close up, then those fold of which the text may, then the least
/// important are left out.
#[derive(Debug, Default)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Column {
    heading: &'static str,
    right: bool,
    /// Whether its text may go on in a further line.
    folds: bool,
    /// 0 is never left out; the highest goes first.
    expendable: u8,
}

/// What of a table is shown, and how.
struct Layout {
    /// The columns, each with its width.
    shown: Vec<(usize, usize)>,
    /// Spaces before each column.
    gap: usize,
}

/// One cell: its text and its colour.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A coloured cell.
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

impl Table {
    /// Adds a column of text.
    pub(super) fn column(mut self, heading: &'static str, expendable: u8) -> Self {
        self.columns.push(Column { heading, right: false, folds: false, expendable });
        self
    }

    /// Adds a column of text that may go on in further lines where the table is too wide.
    pub(super) fn folding(mut self, heading: &'static str, expendable: u8) -> Self {
        self.columns.push(Column { heading, right: false, folds: true, expendable });
        self
    }

    /// Adds a column of numbers, set to the right.
    pub(super) fn numbers(mut self, heading: &'static str, expendable: u8) -> Self {
        self.columns.push(Column { heading, right: true, folds: false, expendable });
        self
    }

    /// Adds a row; it has a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, indented as its columns are apart, within `width` columns if it can be.
    pub(super) fn render(&self, width: Option<usize>) -> String {
        let layout = self.layout(width.unwrap_or(usize::MAX));
        let mut text = String::new();
        if self.columns.iter().any(|column| !column.heading.is_empty()) {
            let headings = self.columns.iter().map(|column| Cell::styled(column.heading, DIM));
            self.lines(&mut text, &headings.collect::<Vec<_>>(), &layout);
        }
        for row in &self.rows {
            self.lines(&mut text, row, &layout);
        }
        let is_shown = |index: usize| layout.shown.iter().any(|(shown, _)| *shown == index);
        let left_out = self.columns.iter().enumerate().filter(|(index, _)| !is_shown(*index));
        let left_out: Vec<&str> = left_out.map(|(_, column)| column.heading).collect();
        if !left_out.is_empty() {
            let (dim, gap) = (DIM, " ".repeat(layout.gap));
            let left_out = left_out.join(", ");
            // Writing to a String does not fail.
            let _ = writeln!(text, "{gap}{dim}(too narrow for {left_out}; all of it: | less -S){dim:#}");
        }
        text
    }

    /// How the table fits into `most` columns.
    fn layout(&self, most: usize) -> Layout {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        loop {
            let widths: Vec<(usize, usize)> = shown.iter().map(|&index| (index, self.width(index))).collect();
            let folded = |&(index, width): &(usize, usize)| match self.columns[index].folds {
                true => (index, width.min(FOLDED_LEAST)),
                false => (index, width),
            };
            let narrow: Vec<(usize, usize)> = widths.iter().map(folded).collect();
            for (widths, gap) in [(&widths, 2), (&widths, 1), (&narrow, 2), (&narrow, 1)] {
                let taken: usize = widths.iter().map(|(_, width)| width.saturating_add(gap)).sum();
                if let Some(spare) = most.checked_sub(taken) {
                    return Layout { shown: self.widened(widths, spare), gap };
                }
            }
            let least = shown.iter().copied().max_by_key(|&index| self.columns[index].expendable);
            match least {
                Some(index) if self.columns[index].expendable > 0 => shown.retain(|&kept| kept != index),
                _ => return Layout { shown: narrow, gap: 1 },
            }
        }
    }

    /// `widths` with as much of `spare` as folded columns can use.
    fn widened(&self, widths: &[(usize, usize)], mut spare: usize) -> Vec<(usize, usize)> {
        let widen = |&(index, width): &(usize, usize)| {
            let more = self.width(index).saturating_sub(width).min(spare);
            spare -= more;
            (index, width + more)
        };
        widths.iter().map(widen).collect()
    }

    /// One row: a line, and more where a cell is folded.
    fn lines(&self, text: &mut String, cells: &[Cell], layout: &Layout) {
        let none = Cell::default();
        let folded = |&(index, width): &(usize, usize)| {
            let cell = cells.get(index).unwrap_or(&none);
            let parts = match cell.text.width() > width {
                true => lines(&cell.text, width),
                false => vec![cell.text.clone()],
            };
            (index, width, cell.style, parts)
        };
        let folded: Vec<_> = layout.shown.iter().map(folded).collect();
        let height = folded.iter().map(|(.., parts)| parts.len()).max().unwrap_or(1);
        for at in 0..height {
            let mut line = String::new();
            for (index, width, style, parts) in &folded {
                let part = parts.get(at).map_or("", String::as_str);
                let gap = " ".repeat(layout.gap);
                let padding = " ".repeat(width.saturating_sub(part.width()));
                // What is empty has no colour, so that no line ends in spaces.
                let style = if part.is_empty() { Style::new() } else { *style };
                let written = if self.columns[*index].right {
                    write!(line, "{gap}{padding}{style}{part}{style:#}")
                } else {
                    write!(line, "{gap}{style}{part}{style:#}{padding}")
                };
                // Writing to a String does not fail.
                let _ = written;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }

    fn width(&self, index: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.text.width());
        cells.chain([self.columns[index].heading.width()]).max().unwrap_or_default()
    }
}

/// `argument` as a shell would have to be given it.
pub(super) fn quoted(argument: &OsStr) -> String {
    let text = argument.to_string_lossy();
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@=+,%".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Bytes in the unit that reads best: `512 B`, `3.4 MB`.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{}.{} kB", count / 1_000, count % 1_000 / 100),
        _ => format!("{}.{} MB", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

/// How many a second: `0`, `0.4`, `120`, `98k`.
pub(super) fn pace(per_second: f64) -> String {
    match per_second {
        ..0.05 => "0".into(),
        0.05..9.95 => format!("{per_second:.1}"),
        9.95..99_500.0 => format!("{per_second:.0}"),
        _ => format!("{:.0}k", per_second / 1e3),
    }
}

/// Seconds in the units that read best: `7 s`, `3 min`, `2 h 5 min`, `4 d`.
pub(super) fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_leaves_out_what_does_not_fit() {
        let mut table = Table::default().column("NAME", 0).numbers("PID", 2).column("STATE", 1);
        table.row(["web".into(), "1234".into(), "running".into()]);
        let plain = |width| anstream::adapter::strip_str(&table.render(width)).to_string();
        assert_eq!(plain(None), "  NAME   PID  STATE\n  web   1234  running\n");
        assert_eq!(plain(Some(19)), " NAME  PID STATE\n web  1234 running\n", "it closes up first");
        assert_eq!(
            plain(Some(16)),
            "  NAME  STATE\n  web   running\n  (too narrow for PID; all of it: | less -S)\n"
        );
        assert_eq!(plain(Some(3)), " NAME\n web\n (too narrow for PID, STATE; all of it: | less -S)\n");
    }

    #[test]
    fn a_table_folds_what_may_be_folded() {
        let mut table = Table::default().column("NAME", 0).folding("WHAT", 1).numbers("AFTER", 0);
        table.row(["web".into(), "answers late, and slowly, and not at all".into(), "7 s".into()]);
        let plain = |width| anstream::adapter::strip_str(&table.render(Some(width))).to_string();
        assert_eq!(
            plain(40),
            "  NAME  WHAT                       AFTER\n  web   answers late, and slowly,    7 s\n        and not at all\n"
        );
        assert_eq!(
            plain(20),
            "  NAME  AFTER\n  web     7 s\n  (too narrow for WHAT; all of it: | less -S)\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_may_be_left_out_is_within_the_width(width in 12usize..200, words in "[a-z ]{0,80}", other in "[a-z]{0,30}") {
            let mut table = Table::default().column("NAME", 0).folding("WHAT", 2).column("OTHER", 1);
            table.row(["web".into(), words.into(), other.into()]);
            let plain = anstream::adapter::strip_str(&table.render(Some(width))).to_string();
            let rows = plain.lines().filter(|line| !line.contains("too narrow"));
            proptest::prop_assert!(rows.into_iter().all(|line| line.width() <= width), "{}", plain);
        }
    }

    #[test]
    fn amounts_read_well() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(3_450_000), "3.4 MB");
        assert_eq!(ago(7_500), "2 h 5 min");
        assert_eq!([0.0, 0.4, 12.3, 99_499.0, 123_456.0].map(pace), ["0", "0.4", "12", "99499", "123k"]);
    }

    #[test]
    fn the_shown_command_can_be_typed() {
        assert_eq!(quoted(OsStr::new("http://a.b/c?d")), "'http://a.b/c?d'");
        assert_eq!(quoted(OsStr::new("it's")), "'it'\\''s'");
        assert_eq!(quoted(OsStr::new("--connect-to")), "--connect-to");
    }
}
