//! The screen of `top`: a pure function from the model to what stands where. What does not fit is left out, the least
//! important first.

use std::collections::VecDeque;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{RenderDirection, Sparkline, Widget as _};

use crate::lab::status::State;

use super::model::{Model, Numbers, Row, SAMPLES_MOST};
use crate::cli::screen::{ago, bytes, pace};

/// Curves narrower than this show nothing.
const CURVE_LEAST: u16 = 6;
/// Columns between two columns.
const GAP: u16 = 2;

/// Draws `model` as it stands at `now`, in milliseconds since the Unix epoch.
pub(super) fn draw(screen: &mut Buffer, model: &Model, now: u64, has_colours: bool) {
    let area = screen.area;
    let mut pen = Pen { screen, area, has_colours };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let up_for = ago(now.saturating_sub(model.since) / 1000);
    let after = pen.text(0, 0, &model.lab, bold);
    pen.text(after + GAP, 0, &format!("network {}, up for {up_for}", model.network), dim);
    if !model.faults.is_empty() {
        pen.text(0, 1, &format!("laid: {}", model.faults.join(", ")), bold);
    }
    let columns = columns(area.width);
    let mut x = 0;
    for column in &columns {
        pen.cell(x, 2, column, column.what.heading(), dim);
        x += column.width + GAP;
    }
    let rows = model.rows();
    // The last line is for the keys, and the one before it is empty.
    let most = usize::from(area.height.saturating_sub(5));
    for (y, row) in (3..).zip(rows.iter().take(most)) {
        let mut x = 0;
        // Where there is no column for it, a service that does not run says so in the place of its numbers.
        let has_state = columns.iter().any(|column| column.what == What::State);
        let says_so = !has_state && row.state != State::Running;
        for column in columns.iter().take(if says_so { 1 } else { columns.len() }) {
            match column.what {
                What::Curve(of) => pen.curve(Rect::new(x, y, column.width, 1), &row.past, of),
                what => pen.cell(x, y, column, &what.text(row), what.style(row)),
            }
            x += column.width + GAP;
        }
        if says_so {
            pen.text(x, y, &row.state.to_string(), What::State.style(row));
        }
    }
    let hidden = rows.len().saturating_sub(most);
    let more = if hidden > 0 { format!("; {hidden} more below") } else { String::new() };
    let keys = format!("q quits, s sorts (by {}){more}", model.order.as_str());
    pen.text(0, area.height.saturating_sub(1), &keys, dim);
}

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Name,
    State,
    Pace,
    Median,
    Slowest,
    Processor,
    Memory,
    Curve(Curve),
}

/// Of what a curve is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    Pace,
    Latency,
    Processor,
    Memory,
}

#[derive(Debug)]
struct Column {
    what: What,
    width: u16,
    /// Whether it is set to the right, as numbers are.
    right: bool,
}

/// The columns that fit into `width`. Curves share what the numbers leave.
fn columns(width: u16) -> Vec<Column> {
    const ALL: [(What, u16); 7] = [
        (What::Name, 9),
        (What::State, 8),
        (What::Pace, 6),
        (What::Median, 7),
        (What::Slowest, 7),
        (What::Processor, 6),
        (What::Memory, 8),
    ];
    // The least important first.
    const EXPENDABLE: [What; 6] =
        [What::State, What::Memory, What::Median, What::Processor, What::Slowest, What::Pace];
    let mut shown = ALL.to_vec();
    let taken =
        |shown: &[(What, u16)]| shown.iter().map(|(_, width)| width + GAP).sum::<u16>().saturating_sub(GAP);
    for what in EXPENDABLE {
        if taken(&shown) <= width {
            break;
        }
        shown.retain(|(kept, _)| *kept != what);
    }
    let left = width.saturating_sub(taken(&shown));
    let curves = [
        (What::Pace, Curve::Pace),
        (What::Slowest, Curve::Latency),
        (What::Processor, Curve::Processor),
        (What::Memory, Curve::Memory),
    ];
    let places = (left / (CURVE_LEAST + GAP)).min(4);
    let longest = u16::try_from(SAMPLES_MOST).unwrap_or(u16::MAX);
    let curve_width = left.checked_div(places).map_or(0, |each| each - GAP).min(longest);
    let mut columns = Vec::new();
    for (what, width) in shown {
        let right = !matches!(what, What::Name | What::State);
        columns.push(Column { what, width, right });
        let curve = curves.iter().take(places.into()).find(|(after, _)| *after == what);
        columns.extend(curve.map(|&(_, of)| Column {
            what: What::Curve(of),
            width: curve_width,
            right: false,
        }));
    }
    columns
}

impl What {
    fn heading(self) -> &'static str {
        match self {
            Self::Name => "SERVICE",
            Self::State => "STATE",
            Self::Pace => "QPS",
            Self::Median => "P50",
            Self::Slowest => "P99",
            Self::Processor => "CPU",
            Self::Memory => "MEMORY",
            Self::Curve(_) => "",
        }
    }

    fn text(self, row: &Row) -> String {
        let Numbers { per_second, median_micros, slowest_micros, cpu_percent, memory_bytes } = row.now;
        match self {
            Self::Name => Some(row.name.to_string()),
            Self::State => Some(row.state.to_string()),
            Self::Pace => per_second.map(pace),
            Self::Median => median_micros.map(time),
            Self::Slowest => slowest_micros.map(time),
            Self::Processor => cpu_percent.map(|percent| format!("{percent:.0} %")),
            Self::Memory => memory_bytes.map(bytes),
            Self::Curve(_) => None,
        }
        .unwrap_or_default()
    }

    fn style(self, row: &Row) -> Style {
        match (self, row.state) {
            (Self::Name, _) => Style::new().add_modifier(Modifier::BOLD),
            (Self::State, State::Running) => Style::new().fg(Color::Green),
            (Self::State, State::Starting | State::Paused) => Style::new().fg(Color::Yellow),
            (Self::State, State::Stopped | State::Failed) => Style::new().fg(Color::Red),
            _ => Style::new(),
        }
    }
}

impl Curve {
    /// Its height for these numbers, nothing where there is none.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast keeps to what fits, which no machine exceeds"
    )]
    fn value(self, numbers: &Numbers) -> Option<u64> {
        // A part of a question a second, or of a percent, is seen too.
        let hundredths = |number: f64| (number * 100.0).round().max(0.0) as u64;
        match self {
            Self::Pace => numbers.per_second.map(hundredths),
            Self::Latency => numbers.slowest_micros,
            Self::Processor => numbers.cpu_percent.map(hundredths),
            Self::Memory => numbers.memory_bytes,
        }
    }

    /// The least that a whole bar stands for: a curve of next to nothing stays low.
    fn whole(self) -> u64 {
        match self {
            Self::Pace => 100,
            Self::Latency => 100,
            Self::Processor => 1_000,
            Self::Memory => 1,
        }
    }

    fn colour(self) -> Color {
        match self {
            Self::Pace => Color::Cyan,
            Self::Latency => Color::Yellow,
            Self::Processor => Color::Green,
            Self::Memory => Color::Blue,
        }
    }
}

/// A time in the unit that reads best, in seven columns at most.
fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

/// Draws within the screen, whatever its size.
struct Pen<'a> {
    screen: &'a mut Buffer,
    area: Rect,
    has_colours: bool,
}

impl Pen<'_> {
    /// Writes `text`, as much as fits; the column behind it.
    fn text(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        self.text_within(x, y, self.area.width.saturating_sub(x), text, style)
    }

    fn text_within(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
        if x >= self.area.width || y >= self.area.height {
            return x;
        }
        let style = self.style(style);
        // Names come from outside: what would move the cursor is not written.
        let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        self.screen.set_stringn(x, y, text, width.into(), style).0
    }

    fn cell(&mut self, x: u16, y: u16, column: &Column, text: &str, style: Style) {
        let length = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        let before = if column.right { column.width.saturating_sub(length) } else { 0 };
        let width = column.width.min(self.area.width.saturating_sub(x)).saturating_sub(before);
        self.text_within(x + before, y, width, text, style);
    }

    fn curve(&mut self, place: Rect, past: &VecDeque<Numbers>, of: Curve) {
        let place = place.intersection(self.area);
        let values: Vec<Option<u64>> =
            past.iter().take(place.width.into()).map(|numbers| of.value(numbers)).collect();
        let highest = values.iter().flatten().max().copied().unwrap_or_default();
        let style = self.style(Style::new().fg(of.colour()));
        Sparkline::default()
            .direction(RenderDirection::RightToLeft)
            .max(highest.max(of.whole()))
            .style(style)
            .data(values)
            .render(place, self.screen);
    }

    fn style(&self, style: Style) -> Style {
        if self.has_colours { style } else { Style { fg: None, bg: None, ..style } }
    }
}

#[cfg(test)]
mod tests;
