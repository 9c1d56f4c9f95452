//! A path as a picture for a report: who spoke with whom, and the waterfall below.
//!
//! It stands by itself: no font, style or image is loaded from anywhere, nothing in it runs, and text can be selected. Dark
//! on white, so that it can be printed; what a colour says is said in words too.

use std::fmt::Write as _;

use super::account::Account;
use super::model::{Heading, Party, Path, Step};
use super::waterfall::plain;
use crate::ground::event::Micros;

/// All lengths are in user units; the picture scales.
const WIDTH: usize = 960;
const MARGIN: usize = 24;
const ROW: usize = 24;
/// Where bars begin, and how long the whole is.
const BARS: usize = 380;
const BAR: usize = 460;
/// A box, and the space to the one below.
const BOX_WIDTH: usize = 168;
const BOX_HEIGHT: usize = 44;
const BOX_SPACE: usize = 18;
/// Columns of boxes, and from one to the next.
const COLUMNS: usize = 4;
const COLUMN: usize = (WIDTH - 2 * MARGIN - BOX_WIDTH) / (COLUMNS - 1);
/// Characters of a label.
const LABEL: usize = 46;

/// A colour for each heading, dark enough for white text.
const COLOURS: [&str; 8] =
    ["#1f6feb", "#8250df", "#57606a", "#57606a", "#57606a", "#1a7f37", "#9a6700", "#bc4c00"];

/// Draws `path`.
pub fn draw(path: &Path) -> String {
    let account = Account::of(path);
    let boxes = boxes(path);
    let lines = boxes.iter().map(|at| at.line + 1).max().unwrap_or_default();
    let rows = path.steps.len() + account.gaps.len() + usize::from(path.failure.is_some()) * 2;
    let waterfall = MARGIN + 56 + lines * (BOX_HEIGHT + BOX_SPACE) + 16;
    let height = waterfall + rows * ROW + 2 * ROW + MARGIN;
    let title = format!("The way of {}", short(&path.asked, 90));
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#1f2328\">\n\
         <title>{}</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        escaped(&title)
    );
    let outcome = match (&path.failure, &path.exchange) {
        (Some(failure), _) => format!("failed: {}", failure.symptom),
        (None, Some(exchange)) => format!("{} {}", exchange.status, exchange.reason),
        (None, None) => "answered".into(),
    };
    text(&mut picture, MARGIN, MARGIN + 14, "font-size=\"18\" font-weight=\"bold\"", &title);
    let below = format!("{} after {}", outcome.trim_end(), Micros(path.micros));
    text(&mut picture, MARGIN, MARGIN + 36, "", &below);
    diagram(&mut picture, path, &boxes, MARGIN + 56);
    let mut y = waterfall;
    for step in &path.steps {
        let colour = COLOURS[step.heading.number() - 1];
        let style = if step.failed { "font-weight=\"bold\"" } else { "" };
        let from = format!("{}{} → {}", "\u{2003}".repeat(step.depth.into()), step.from.name, step.to);
        row(&mut picture, path, y, (&from, style), (step.begins, step.ends()), colour);
        y += ROW;
    }
    for &(begins, micros) in &account.gaps {
        let label = ("gap: the client itself", "fill=\"#57606a\"");
        row(&mut picture, path, y, label, (begins, begins.saturating_add(micros)), "#d0d7de");
        y += ROW;
    }
    let gap = account.gap();
    let sum = format!(
        "{} in steps + {} in gaps = {}",
        Micros(account.whole - gap),
        Micros(gap),
        Micros(account.whole)
    );
    text(&mut picture, MARGIN, y + 16, "", &sum);
    if let Some(failure) = &path.failure {
        let place = format!(
            "It ended at {} {}: {} ({})",
            failure.heading.number(),
            failure.heading.title(),
            failure.component,
            failure.symptom
        );
        text(&mut picture, MARGIN, y + 16 + ROW, "fill=\"#cf222e\" font-weight=\"bold\"", &place);
        text(&mut picture, MARGIN, y + 16 + 2 * ROW, "", &short(&failure.happened, 130));
    }
    picture.push_str("</svg>\n");
    picture
}

/// Whoever spoke, in its place in the diagram.
struct Place {
    party: Party,
    /// Who asked it first; nothing of whom nobody asked.
    asker: Option<usize>,
    /// How far from the client, and in which line.
    column: usize,
    line: usize,
}

/// Whoever spoke, each once, in the order in which they did: beside each whom it asked, one below the other.
fn boxes(path: &Path) -> Vec<Place> {
    let mut boxes: Vec<Place> = Vec::new();
    let mut steps: Vec<&Step> = path.steps.iter().collect();
    steps.sort_by_key(|step| (step.begins, step.depth));
    for step in steps {
        let known = |boxes: &[Place], name: &str| boxes.iter().position(|known| known.party.name == name);
        let asker = known(&boxes, &step.from.name).unwrap_or_else(|| {
            boxes.push(Place { party: step.from.clone(), asker: None, column: 0, line: 0 });
            boxes.len() - 1
        });
        if known(&boxes, &step.to.name).is_none() {
            let column = (boxes[asker].column + 1).min(COLUMNS - 1);
            boxes.push(Place { party: step.to.clone(), asker: Some(asker), column, line: 0 });
        }
    }
    let mut line = 0;
    for at in 0..boxes.len() {
        if boxes[at].asker.is_none() {
            line = place(&mut boxes, at, line);
        }
    }
    boxes
}

/// Puts the box at `at` into `line`, and whom it asked beside it; the next free line.
fn place(boxes: &mut [Place], at: usize, line: usize) -> usize {
    boxes[at].line = line;
    let mut next = line;
    // Whoever was asked comes after who asked: so this ends.
    for asked in at + 1..boxes.len() {
        if boxes[asked].asker == Some(at) {
            next = place(boxes, asked, next);
        }
    }
    next.max(line + 1)
}

/// Draws the diagram: name, host and address of each, and lines between who asked and who was asked.
fn diagram(picture: &mut String, path: &Path, boxes: &[Place], top: usize) {
    let corner = |at: &Place| (MARGIN + at.column * COLUMN, top + at.line * (BOX_HEIGHT + BOX_SPACE));
    for at in boxes {
        let (party, (x, y)) = (&at.party, corner(at));
        let heading = path.steps.iter().find(|step| step.to.name == party.name).map(|step| step.heading);
        let colour = heading.map_or("#1f2328", |heading: Heading| COLOURS[heading.number() - 1]);
        let failed = path.steps.iter().any(|step| step.failed && step.to.name == party.name);
        let width = if failed { 4 } else { 2 };
        if let Some(asker) = at.asker {
            let (from, line) = corner(&boxes[asker]);
            let (from, middle) = (from + BOX_WIDTH, x - (COLUMN - BOX_WIDTH) / 2);
            let (line, to) = (line + BOX_HEIGHT / 2, y + BOX_HEIGHT / 2);
            let _ = writeln!(
                picture,
                "<path d=\"M{from} {line}H{middle}V{to}H{x}\" fill=\"none\" stroke=\"#8c959f\"/>"
            );
        }
        let _ = writeln!(
            picture,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"6\" fill=\"#f6f8fa\" \
             stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        );
        let host = party.host.as_ref().filter(|host| **host != party.name);
        let name = match host {
            Some(host) => format!("{} on {host}", party.name),
            None => party.name.clone(),
        };
        text(picture, x + 10, y + 18, "font-weight=\"bold\"", &short(&name, 20));
        // A client has a port for each socket.
        let address = match (party.address, heading) {
            (Some(address), Some(_)) => address.to_string(),
            (Some(address), None) => address.ip().to_string(),
            (None, _) => String::new(),
        };
        text(picture, x + 10, y + 35, "font-size=\"12\" fill=\"#57606a\"", &short(&address, 24));
    }
}

/// One bar with its label and its length.
fn row(
    picture: &mut String,
    path: &Path,
    y: usize,
    (label, style): (&str, &str),
    (begins, ends): (u64, u64),
    colour: &str,
) {
    let whole = u128::from(path.micros.max(1));
    let place = |micros: u64| {
        usize::try_from(u128::from(micros.min(path.micros)) * BAR as u128 / whole).unwrap_or(BAR)
    };
    let (from, to) = (BARS + place(begins), BARS + place(ends));
    let width = to.saturating_sub(from).max(2);
    text(picture, MARGIN, y + 16, style, &short(label, LABEL));
    let _ = writeln!(
        picture,
        "<rect x=\"{from}\" y=\"{}\" width=\"{width}\" height=\"14\" rx=\"2\" fill=\"{colour}\"/>",
        y + 5
    );
    let micros = Micros(ends.saturating_sub(begins)).to_string();
    text(picture, BARS + BAR + 12, y + 16, "", &micros);
}

fn text(picture: &mut String, x: usize, y: usize, style: &str, words: &str) {
    let space = if style.is_empty() { "" } else { " " };
    let _ = writeln!(picture, "<text x=\"{x}\" y=\"{y}\"{space}{style}>{}</text>", escaped(words));
}

fn short(words: &str, most: usize) -> String {
    match words.chars().count() > most {
        true => words.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        false => words.to_owned(),
    }
}

/// `words` as the content of an element; no character that XML 1.0 has not (§2.2).
fn escaped(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for character in plain(words).chars() {
        match character {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            '"' => text.push_str("&quot;"),
            '\u{FFFE}' | '\u{FFFF}' => text.push('\u{FFFD}'),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::model::example;
    use super::*;

    #[test]
    fn the_picture_shows_every_step_and_loads_nothing() {
        let picture = draw(&example::page());
        for shown in ["resolver 127.0.0.2:53", "db", "200 OK after 1.0 ms", "gap: the client itself", "root"]
        {
            assert!(picture.contains(shown), "{shown}");
        }
        for foreign in ["href", "url(", "<image", "<script", "<style", "@import"] {
            assert!(!picture.contains(foreign), "{foreign}");
        }
        // The one address is the name of the language.
        assert_eq!(picture.matches("http://").count(), 3, "{picture}");
        assert_eq!(picture.matches("<text").count(), picture.matches("</text>").count());
    }

    #[test]
    fn lines_lead_from_who_asked_to_who_was_asked() {
        let told: Vec<_> = boxes(&example::page())
            .into_iter()
            .map(|at| (at.party.name, at.asker, at.column, at.line))
            .collect();
        let at = |name: &str, asker, column, line| (name.to_owned(), asker, column, line);
        assert_eq!(
            told,
            [
                at("client", None, 0, 0),
                at("resolver", Some(0), 1, 0),
                at("root", Some(1), 2, 0),
                at("web", Some(0), 1, 1),
                at("app", Some(3), 2, 1),
                at("db", Some(4), 3, 1),
            ]
        );
        assert_eq!(draw(&example::page()).matches("<path ").count(), 5);
    }

    #[test]
    fn a_failure_is_said_in_words() {
        let picture = draw(&example::failed());
        assert!(picture.contains("It ended at 2 TCP/IP: web server (refused)"), "{picture}");
    }

    #[test]
    fn words_stay_words() {
        let mut path = example::page();
        path.asked = "http://x/\"><script>&\u{1b}\u{FFFF}".into();
        path.steps[0].to.name = "</text><svg onload=x>".into();
        let picture = draw(&path);
        assert!(!picture.contains("<script") && !picture.contains("<svg onload"), "{picture}");
        assert!(picture.contains("&quot;&gt;&lt;script&gt;&amp;\u{FFFD}\u{FFFD}"), "{picture}");
    }
}
