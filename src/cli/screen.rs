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

/// What a command may use of the outside.
pub struct World {
    /// Standard output.
    pub out: Box<dyn Write>,
    /// Standard error.
    pub err: Box<dyn Write>,
    /// Columns of the terminal; nothing where the output is no terminal.
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
            width: terminal_size::terminal_size().map(|(columns, _)| columns.0.into()),
            program: program(),
        }
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

/// A table whose columns line up; where it does not fit, its least important columns are left out.
#[derive(Debug, Default)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Column {
    heading: &'static str,
    right: bool,
    /// 0 is never left out; the highest goes first.
    expendable: u8,
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
        self.columns.push(Column { heading, right: false, expendable });
        self
    }

    /// Adds a column of numbers, set to the right.
    pub(super) fn numbers(mut self, heading: &'static str, expendable: u8) -> Self {
        self.columns.push(Column { heading, right: true, expendable });
        self
    }

    /// Adds a row; it has a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, indented by two, within `width` columns if it can be.
    pub(super) fn render(&self, width: Option<usize>) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|index| self.width(index)).collect();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        while width.is_some_and(|most| shown.iter().map(|&index| widths[index] + 2).sum::<usize>() > most) {
            let least = shown.iter().copied().max_by_key(|&index| self.columns[index].expendable);
            match least {
                Some(index) if self.columns[index].expendable > 0 => shown.retain(|&kept| kept != index),
                _ => break,
            }
        }
        let mut text = String::new();
        if self.columns.iter().any(|column| !column.heading.is_empty()) {
            let heading = |&index: &usize| (index, Cell::styled(self.columns[index].heading, DIM));
            self.line(&mut text, shown.iter().map(heading), &widths);
        }
        for row in &self.rows {
            let cell = |&index: &usize| (index, row.get(index).cloned().unwrap_or_default());
            self.line(&mut text, shown.iter().map(cell), &widths);
        }
        let left_out = (0..self.columns.len()).filter(|index| !shown.contains(index));
        let left_out: Vec<&str> = left_out.map(|index| self.columns[index].heading).collect();
        if !left_out.is_empty() {
            let dim = DIM;
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {dim}(too narrow for {}){dim:#}", left_out.join(", "));
        }
        text
    }

    fn line(&self, text: &mut String, cells: impl Iterator<Item = (usize, Cell)>, widths: &[usize]) {
        let mut line = String::new();
        for (index, cell) in cells {
            let padding = " ".repeat(widths[index].saturating_sub(cell.text.width()));
            let Cell { text, style } = cell;
            let written = if self.columns[index].right {
                write!(line, "  {padding}{style}{text}{style:#}")
            } else {
                write!(line, "  {style}{text}{style:#}{padding}")
            };
            // Writing to a String does not fail.
            let _ = written;
        }
        text.push_str(line.trim_end());
        text.push('\n');
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
        assert_eq!(plain(Some(16)), "  NAME  STATE\n  web   running\n  (too narrow for PID)\n");
        assert_eq!(plain(Some(3)), "  NAME\n  web\n  (too narrow for PID, STATE)\n");
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
