//! What was seen, drawn: as bars of text for a terminal, as a picture (SVG) for a report. Pure.
//!
//! A column is a stretch of time, and its height the shares of the requests that were meant to begin then. What a colour says in the picture,
//! a legend and the numbers say too; it loads nothing from anywhere, and nothing in it runs.

use std::fmt::Write as _;

use crate::ground::event::Micros;

use super::account::{Account, Span};
use super::{Probe, Sealed, certificates};

/// A column of the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Column {
    in_time: u64,
    delayed: u64,
    failed: u64,
    handshakes: u64,
    /// Those of the handshakes that showed the new certificate.
    renewed: u64,
}

/// One kind of a column's requests.
type Part = fn(&Column) -> u64;

/// Columns of text at least, and at most where the terminal is wider or its width is not known.
const COLUMNS: std::ops::RangeInclusive<usize> = 20..=72;
/// Before the columns: the widest name of a row and what is around it.
const NAMES: usize = 11;
/// From none to all of a column's requests.
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The time line as text, within `width` where it can be.
pub fn text(probes: &[Probe], account: &Account, width: Option<usize>) -> String {
    let wide = width.unwrap_or(usize::MAX).saturating_sub(NAMES).clamp(*COLUMNS.start(), *COLUMNS.end());
    let whole = whole(probes, account);
    let columns = columns(probes, account, whole, wide);
    let mut text = String::new();
    let rows: [(&str, Part); 3] = [
        ("served", |column| column.in_time),
        ("delayed", |column| column.delayed),
        ("failed", |column| column.failed),
    ];
    for (name, of) in rows {
        let bars: String = columns.iter().map(|column| level(of(column), column.all())).collect();
        line(&mut text, name, &bars);
    }
    if account.renewed_micros.is_some() {
        let bars: String = columns.iter().map(|column| level(column.renewed, column.handshakes)).collect();
        line(&mut text, "renewed", &bars);
    }
    let at = |micros: u64| place(micros, whole, wide);
    let (begins, ends) = (at(account.change.begins_micros), at(account.change.ends_micros));
    let mark = |column: usize| if (begins..=ends).contains(&column) { '=' } else { ' ' };
    line(&mut text, "change", &(0..wide).map(mark).collect::<String>());
    let end = Micros(whole).to_string();
    let gap = " ".repeat(wide.saturating_sub(end.chars().count() + 1));
    line(&mut text, "", &format!("0{gap}{end}"));
    text
}

fn line(text: &mut String, name: &str, bars: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "  {}", format!("{name:<7}  {bars}").trim_end());
}

/// Anything at all is seen.
fn level(count: u64, all: u64) -> char {
    let height = if count == 0 { 0 } else { (count * 8 / all.max(1)).max(1) };
    LEVELS[usize::try_from(height).unwrap_or(8).min(8)]
}

impl Column {
    fn all(&self) -> u64 {
        self.in_time + self.delayed + self.failed
    }
}

/// To the end of the last column, in microseconds.
fn whole(probes: &[Probe], account: &Account) -> u64 {
    let last = probes.last().map_or(0, |probe| probe.intended);
    last.max(account.change.ends_micros) + 1
}

/// In which of `wide` columns something is.
fn place(micros: u64, whole: u64, wide: usize) -> usize {
    let wide_u64 = u64::try_from(wide).unwrap_or(u64::MAX);
    usize::try_from(micros.saturating_mul(wide_u64) / whole.max(1))
        .unwrap_or(wide)
        .min(wide.saturating_sub(1))
}

fn columns(probes: &[Probe], account: &Account, whole: u64, wide: usize) -> Vec<Column> {
    let new = certificates::newest(&account.certificates).map(|one| one.serial.as_str());
    let mut columns = vec![Column::default(); wide];
    for probe in probes {
        if let Some(Sealed { serial, shaken_micros: Some(shaken) }) = &probe.sealed {
            let column = &mut columns[place(*shaken, whole, wide)];
            column.handshakes += 1;
            column.renewed += u64::from(new == Some(&**serial));
        }
        let column = &mut columns[place(probe.intended, whole, wide)];
        match probe.failed {
            Some(_) => column.failed += 1,
            None if probe.waited() > account.delayed_after_micros => column.delayed += 1,
            None => column.in_time += 1,
        }
    }
    columns
}

/// One change in the picture.
#[derive(Debug)]
pub struct Panel<'a> {
    /// What it was.
    pub title: String,
    /// What was seen of it.
    pub probes: &'a [Probe],
    /// The same, added up.
    pub account: &'a Account,
}

/// All lengths are in user units; the picture scales.
const WIDTH: usize = 960;
const MARGIN: usize = 24;
/// Of one panel: from its top to the next one's, its bars' place and height.
const PANEL: usize = 196;
const BARS_AT: usize = 52;
const BARS: usize = 100;
/// Bars side by side.
const BARS_WIDE: usize = 228;
const BAR: usize = (WIDTH - 2 * MARGIN) / BARS_WIDE;

/// In time, late, failed: seen apart by whoever sees no red or green, too, since they differ in brightness.
const COLOURS: [(&str, &str); 3] = [("served", "#57a773"), ("delayed", "#e3a008"), ("failed", "#9b1c1c")];

/// Below the bars: when it was changed, and below that, where the new certificate was met.
const CHANGE: &str = "#1f6feb";
const RENEWED: &str = "#8250df";

/// Draws `panels` one below the other.
pub fn draw(heading: &str, panels: &[Panel<'_>]) -> String {
    let height = MARGIN + 60 + panels.len() * PANEL;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#1f2328\">\n\
         <title>{0}</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"{1}\" font-size=\"18\" font-weight=\"bold\">{0}</text>\n",
        escaped(heading),
        MARGIN + 14,
    );
    let mut x = MARGIN;
    let is_renewed = panels.iter().any(|panel| panel.account.renewed_micros.is_some());
    let renewed = is_renewed.then_some(("handshakes with the new certificate", RENEWED));
    for (name, colour) in COLOURS.into_iter().chain([("the change", CHANGE)]).chain(renewed) {
        let y = MARGIN + 30;
        // Writing to a String does not fail.
        let _ = write!(
            picture,
            "<rect x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\n<text x=\"{}\" y=\"{}\">{name}</text>\n",
            x + 18,
            y + 11,
        );
        x += 110;
    }
    for (index, panel) in panels.iter().enumerate() {
        draw_panel(&mut picture, panel, MARGIN + 60 + index * PANEL);
    }
    picture.push_str("</svg>\n");
    picture
}

fn draw_panel(picture: &mut String, panel: &Panel<'_>, top: usize) {
    let Panel { title, probes, account } = panel;
    let whole = whole(probes, account);
    let columns = columns(probes, account, whole, BARS_WIDE);
    let mut say = |x: usize, y: usize, attributes: &str, what: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(picture, "<text x=\"{x}\" y=\"{y}\" {attributes}>{}</text>", escaped(what));
    };
    say(MARGIN, top + 18, "font-weight=\"bold\"", title);
    say(MARGIN, top + 38, "", &in_words(account));
    let floor = top + BARS_AT + BARS;
    say(MARGIN, floor + 18, "font-size=\"11\"", "0");
    let right = MARGIN + BARS_WIDE * BAR;
    say(right, floor + 18, "font-size=\"11\" text-anchor=\"end\"", &Micros(whole).to_string());
    let Span { begins_micros, ends_micros } = account.change;
    let (from, to) = (place(begins_micros, whole, BARS_WIDE), place(ends_micros, whole, BARS_WIDE));
    let mut bar = |x: usize, y: usize, width: usize, height: usize, colour: &str| {
        let _ = writeln!(
            picture,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\"/>"
        );
    };
    bar(MARGIN + from * BAR, floor + 1, (to - from + 1) * BAR, 4, CHANGE);
    for (index, column) in columns.iter().enumerate() {
        if account.renewed_micros.is_some() && column.renewed > 0 {
            bar(MARGIN + index * BAR, floor + 5, BAR, 3, RENEWED);
        }
        let mut below = floor;
        for (count, (_, colour)) in [column.in_time, column.delayed, column.failed].into_iter().zip(COLOURS) {
            let share = usize::try_from(count * 100 / column.all().max(1)).unwrap_or(BARS).min(BARS);
            // Anything at all is seen.
            let height = if count > 0 { share.max(2) } else { 0 };
            if height > 0 {
                below = below.saturating_sub(height).max(top + BARS_AT);
                bar(MARGIN + index * BAR, below, BAR, height, colour);
            }
        }
    }
}

/// An account as one line: `2,000 served, 3 of them later than 50 ms; 95 failed (95 × 502 Bad Gateway); unavailable for 98 ms`.
pub fn in_words(account: &Account) -> String {
    let mut words = what_became(account);
    if let Some(renewed) = account.renewed_micros {
        // Writing to a String does not fail.
        let _ = write!(words, "; all handshakes with the new certificate from {} on", Micros(renewed));
    }
    words
}

fn what_became(account: &Account) -> String {
    let mut words = format!("{} served", account.served);
    if account.delayed > 0 {
        // Writing to a String does not fail.
        let _ = write!(
            words,
            ", {} of them later than {}",
            account.delayed,
            Micros(account.delayed_after_micros)
        );
    }
    if account.failed == 0 {
        words.push_str("; none failed");
        return words;
    }
    let _ = write!(words, "; {} failed ({})", account.failed, symptoms(account));
    if let Some(window) = account.unavailable {
        let still = if window.is_over { "" } else { ", and still" };
        let _ = write!(words, "; unavailable for {}{still}", Micros(window.span.micros()));
    }
    words
}

/// `95 × 502 Bad Gateway, 2 × refused`.
pub fn symptoms(account: &Account) -> String {
    let each = account.symptoms.iter().map(|counted| format!("{} × {}", counted.count, counted.symptom));
    each.collect::<Vec<_>>().join(", ")
}

/// As text in XML.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, letter| {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // No picture may have it, nor be changed by it.
            letter if letter.is_control() => escaped.push('\u{FFFD}'),
            letter => escaped.push(letter),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::probes;
    use super::*;

    fn account(story: &str) -> (Vec<Probe>, Account) {
        let probes = probes(story);
        let change = Span { begins_micros: 5_000, ends_micros: 9_000 };
        let account = Account::of(&probes, 50_000, change);
        (probes, account)
    }

    #[test]
    fn each_row_shows_where_its_requests_are() {
        let (probes, account) = account("ssssssfffrdsssssssss");
        let text = text(&probes, &account, Some(31));
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], "  served   ██████     █████████", "{text}");
        assert_eq!(rows[1], "  delayed            █", "{text}");
        assert_eq!(rows[2], "  failed         ████", "{text}");
        assert_eq!(rows[3], "  change        =====", "{text}");
        assert_eq!(rows[4], "           0            19.0 ms", "{text}");
        assert_eq!(
            in_words(&account),
            "16 served, 1 of them later than 50.0 ms; 4 failed (3 × 502 Bad Gateway, 1 × refused); unavailable for 4.0 ms"
        );
    }

    #[test]
    fn where_the_new_certificate_was_met_has_a_row_and_a_bar() {
        let probes = certificates::tests::sealed("okoknknfnkkknnmmnnmm");
        let account = Account::of(&probes, 50_000, Span { begins_micros: 3_000, ends_micros: 4_000 });
        let text = text(&probes, &account, Some(31));
        assert_eq!(text.lines().nth(3), Some("  renewed      █ █ █   ██  ██"), "{text}");
        let picture = draw("x", &[Panel { title: "y".into(), probes: &probes, account: &account }]);
        assert!(picture.contains("handshakes with the new certificate"), "{picture}");
        assert_eq!(picture.matches(RENEWED).count(), 1 + 7, "legend, and a bar for each column with one");
        assert!(in_words(&account).ends_with("all handshakes with the new certificate from 4.0 ms on"));
    }

    #[test]
    fn one_among_many_is_seen_and_a_narrow_terminal_is_kept_to() {
        let story = format!("{}f{}", "s".repeat(999), "s".repeat(1000));
        let (probes, account) = account(&story);
        for width in [Some(40), Some(80), None] {
            let text = text(&probes, &account, width);
            assert!(text.contains('▁'), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width.unwrap_or(84)), "{text}");
        }
    }

    #[test]
    fn nothing_seen_is_drawn_too() {
        let (none, account) = account("");
        assert!(text(&none, &account, Some(0)).lines().count() == 5);
        assert!(
            draw("x", &[Panel { title: "y".into(), probes: &none, account: &account }]).ends_with("</svg>\n")
        );
    }

    #[test]
    fn the_picture_has_a_panel_for_each_and_no_text_of_it_is_markup() {
        let (probes, account) = account("sssfffss");
        let panel = |title: &str| Panel { title: title.into(), probes: &probes, account: &account };
        let picture = draw("<b>&\"", &[panel("restart"), panel("a<script>\u{1b}")]);
        assert!(picture.contains("&lt;b&gt;&amp;&quot;") && !picture.contains("<script>"), "{picture}");
        assert!(!picture.contains('\u{1b}'));
        assert_eq!(picture.matches("font-weight=\"bold\"").count(), 3);
        assert_eq!(
            picture.matches(COLOURS[2].1).count(),
            1 + 2 * 3,
            "legend, and a bar for each failed column"
        );
    }
}
