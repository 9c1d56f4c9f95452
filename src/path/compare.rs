//! Two paths beside each other: a cold cache and a warm one, before a fault and with it.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::account::Account;
use super::model::{Heading, Path};
use super::waterfall::plain;
use crate::ground::event::Micros;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const LESS: Style = AnsiColor::Green.on_default();
const MORE: Style = AnsiColor::Red.on_default();

/// What differs between two paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The two requests.
    pub asked: [String; 2],
    /// Their outcomes: a status, or the symptom of a failure.
    pub outcome: [String; 2],
    /// The wholes, in microseconds.
    pub micros: [u64; 2],
    /// Each heading, and the gaps at the end.
    pub lines: Vec<Line>,
}

/// One heading in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The heading as courses write it, or `gaps`.
    pub title: String,
    /// Its own time in both, in microseconds; nothing where it has no step.
    pub micros: [Option<u64>; 2],
    /// Steps in both.
    pub steps: [usize; 2],
    /// Whether an answer was remembered, in both.
    pub cached: [Option<bool>; 2],
}

impl Comparison {
    /// Of `before` and `after`.
    pub fn of(before: &Path, after: &Path) -> Self {
        let paths = [before, after];
        let accounts = paths.map(Account::of);
        let mut lines: Vec<Line> = Heading::ALL
            .into_iter()
            .map(|heading| {
                let steps =
                    paths.map(|path| path.steps.iter().filter(|step| step.heading == heading).count());
                let own = [0, 1].map(|at| (steps[at] > 0).then(|| accounts[at].heading(heading)));
                let cached = paths.map(|path| {
                    path.steps.iter().filter(|step| step.heading == heading).find_map(|step| step.cached)
                });
                Line { title: heading.title().into(), micros: own, steps, cached }
            })
            .collect();
        let gaps = [0, 1].map(|at: usize| Some(accounts[at].gap()));
        let counts = [0, 1].map(|at: usize| accounts[at].gaps.len());
        lines.push(Line { title: "gaps".into(), micros: gaps, steps: counts, cached: [None; 2] });
        Self {
            asked: paths.map(|path| path.asked.clone()),
            outcome: paths.map(outcome),
            micros: paths.map(|path| path.micros),
            lines,
        }
    }
}

fn outcome(path: &Path) -> String {
    match (&path.failure, &path.exchange) {
        (Some(failure), _) => format!("failed: {}", failure.symptom),
        (None, Some(exchange)) => exchange.status.to_string(),
        (None, None) => "answered".into(),
    }
}

/// Both as a table; `width` is what it may take.
pub fn render(before: &Path, after: &Path, width: Option<usize>) -> String {
    let comparison = Comparison::of(before, after);
    let mut text = String::new();
    // Writing to a String does not fail.
    for (name, at) in [("A", 0), ("B", 1)] {
        let outcome = plain(&comparison.outcome[at]);
        let asked = plain(&comparison.asked[at]);
        let _ = writeln!(text, "{BOLD}{name}{BOLD:#} {asked} → {outcome}");
    }
    let _ = writeln!(text, "\n  {DIM}{:<20}{:>12}{:>12}  B − A{DIM:#}", "", "A", "B");
    for line in &comparison.lines {
        row(&mut text, &line.title, line.micros, &remark(line), width);
    }
    row(&mut text, "whole", comparison.micros.map(Some), "", width);
    text
}

fn row(text: &mut String, title: &str, micros: [Option<u64>; 2], remark: &str, width: Option<usize>) {
    let shown =
        micros.map(|micros| micros.map_or_else(|| "–".to_owned(), |micros| Micros(micros).to_string()));
    let (change, style) = match micros {
        [Some(before), Some(after)] if after > before => (format!("+{}", Micros(after - before)), MORE),
        [Some(before), Some(after)] if after < before => (format!("−{}", Micros(before - after)), LESS),
        _ => (String::new(), Style::new()),
    };
    let space = " ".repeat(12_usize.saturating_sub(change.width()));
    let mut line = format!("  {title:<20}{:>12}{:>12}  {style}{change}{style:#}", shown[0], shown[1]);
    // Two, 20, 12, 12, two and 12 columns come before it.
    if !remark.is_empty() && width.is_none_or(|width| 60 + remark.width() <= width) {
        let _ = write!(line, "{space}{DIM}{remark}{DIM:#}");
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

/// What else differs.
fn remark(line: &Line) -> String {
    let cached = |cached: Option<bool>| match cached {
        Some(true) => "from cache",
        Some(false) => "asked for",
        None => "–",
    };
    match line.cached {
        [before, after] if before != after => format!("{}, then {}", cached(before), cached(after)),
        _ if line.steps[0] != line.steps[1] => match line.steps {
            [1, after] => format!("1 step, then {after}"),
            [before, after] => format!("{before} steps, then {after}"),
        },
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::example;
    use super::*;

    #[test]
    fn a_warm_cache_is_seen_beside_a_cold_one() {
        let cold = example::page();
        let mut warm = example::page();
        warm.steps.remove(1);
        warm.steps[0].cached = Some(true);
        warm.steps[0].micros = 80;
        let text = anstream::adapter::strip_str(&render(&cold, &warm, Some(100))).to_string();
        assert_eq!(text, include_str!("../../tests/golden/path/compare.txt"));
        let narrow = render(&cold, &warm, Some(60));
        assert!(anstream::adapter::strip_str(&narrow).to_string().lines().all(|line| line.width() <= 60));
    }

    #[test]
    fn each_line_adds_up_to_the_whole() {
        let comparison = Comparison::of(&example::page(), &example::failed());
        for at in [0, 1] {
            let sum: u64 = comparison.lines.iter().filter_map(|line| line.micros[at]).sum();
            assert_eq!(sum, comparison.micros[at]);
        }
        assert_eq!(comparison.outcome, ["200", "failed: refused"]);
        assert_eq!(comparison.lines[5].micros, [Some(120), None]);
    }
}
