//! The matrix as a picture for a report. It stands by itself: no font, style or image is loaded from anywhere, nothing in it
//! runs, and text can be selected. What a colour says is said in words too.

use std::fmt::Write as _;

use super::{Matrix, Works, shown, shown_or_none};

/// All lengths are in user units; the picture scales.
const WIDTH: usize = 960;
const MARGIN: usize = 24;
const ROW: usize = 26;
/// Where columns begin: the way to be down, the checks and their width, and what follows them.
const HOW: usize = 184;
const CHECKS: usize = 256;
const CHECK: usize = 82;
/// Right edges of the times, and where the verdict begins.
const NOTICED: usize = 770;
const RECOVERED: usize = 862;
const VERDICT: usize = 890;
/// Characters of a name, and of symptoms.
const NAME: usize = 22;
const SYMPTOMS: usize = 17;

/// Colours, dark enough for white text and to be read on white.
const GREEN: &str = "#1a7f37";
const BROWN: &str = "#9a6700";
const RED: &str = "#cf222e";
const GREY: &str = "#57606a";

/// Draws it.
pub fn draw(matrix: &Matrix) -> String {
    let rows: usize = matrix.components.iter().map(|component| component.trials.len()).sum();
    let top = MARGIN + 92;
    let height = top + rows * ROW + 40 + MARGIN;
    let title = format!("Single points of failure of {}", matrix.site);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#1f2328\">\n\
         <title>{}</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        escaped(&title)
    );
    text(&mut picture, MARGIN, MARGIN + 14, "font-size=\"18\" font-weight=\"bold\"", &title);
    text(&mut picture, MARGIN, MARGIN + 36, "", &short(&matrix.sentence(), 140));
    let heading = format!("fill=\"{GREY}\" font-size=\"11\"");
    let symptoms = CHECKS + matrix.checks.len() * CHECK + 8;
    let line = top - 10;
    text(&mut picture, MARGIN, line, &heading, "PART");
    text(&mut picture, HOW, line, &heading, "DOWN");
    for (place, check) in matrix.checks.iter().enumerate() {
        text(&mut picture, CHECKS + place * CHECK, line, &heading, check.heading());
    }
    text(&mut picture, symptoms, line, &heading, "SYMPTOM");
    let right = format!("{heading} text-anchor=\"end\"");
    text(&mut picture, NOTICED, line, &right, "NOTICED");
    text(&mut picture, RECOVERED, line, &right, "RECOVERED");
    text(&mut picture, VERDICT, line, &heading, "SPOF");
    let mut y = top;
    for component in &matrix.components {
        let _ = writeln!(
            picture,
            "<line x1=\"{MARGIN}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"#d0d7de\"/>",
            WIDTH - MARGIN
        );
        for (number, trial) in component.trials.iter().enumerate() {
            let line = y + 18;
            if number == 0 {
                text(&mut picture, MARGIN, line, "font-weight=\"bold\"", &short(&component.name, NAME));
            }
            text(&mut picture, HOW, line, "", &trial.how.to_string());
            for (place, check) in matrix.checks.iter().enumerate() {
                cell(&mut picture, CHECKS + place * CHECK, y, trial.works.get(check).copied());
            }
            text(&mut picture, symptoms, line, "", &short(&trial.symptoms.join(", "), SYMPTOMS));
            let colour = match trial.single_point_of_failure {
                Some(true) => RED,
                Some(false) => GREEN,
                None => GREY,
            };
            let style = format!("font-weight=\"bold\" fill=\"{colour}\"");
            text(&mut picture, VERDICT, line, &style, trial.verdict());
            let end = "text-anchor=\"end\"";
            text(&mut picture, NOTICED, line, end, &shown_or_none(trial.noticed_seconds));
            text(&mut picture, RECOVERED, line, end, &shown_or_none(trial.recovered_seconds));
            y += ROW;
        }
    }
    let below = format!(
        "Measured in {} on network {} with wwwlab {}. warm: works only for whose resolver remembers the name.",
        shown(matrix.seconds),
        matrix.network,
        env!("CARGO_PKG_VERSION")
    );
    text(&mut picture, MARGIN, y + 28, &format!("fill=\"{GREY}\""), &below);
    picture.push_str("</svg>\n");
    picture
}

/// Whether something works, in a box of its colour.
fn cell(picture: &mut String, x: usize, y: usize, works: Option<Works>) {
    let (colour, word) = match works {
        Some(works @ Works::Yes) => (GREEN, works.word()),
        Some(works @ Works::Warm) => (BROWN, works.word()),
        Some(works @ Works::No) => (RED, works.word()),
        None => (GREY, "?"),
    };
    let _ = writeln!(
        picture,
        "<rect x=\"{x}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\" fill=\"{colour}\"/>",
        y + 3,
        CHECK - 8,
        ROW - 6
    );
    text(picture, x + (CHECK - 8) / 2, y + 18, "fill=\"#ffffff\" text-anchor=\"middle\"", word);
}

fn text(picture: &mut String, x: usize, y: usize, style: &str, words: &str) {
    let _ = writeln!(picture, "<text x=\"{x}\" y=\"{y}\" {style}>{}</text>", escaped(words));
}

/// At most `most` characters, an ellipsis among them.
fn short(words: &str, most: usize) -> String {
    match words.char_indices().nth(most) {
        None => words.to_owned(),
        Some(_) => words.chars().take(most - 1).chain(['…']).collect(),
    }
}

fn escaped(words: &str) -> String {
    let plain: String = words.chars().map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect();
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
