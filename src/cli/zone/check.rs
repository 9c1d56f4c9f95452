//! `wwwlab zone check`: every problem of zone files, each with its place, the line, the rule and the remedy. The
//! rules are those of the running lab.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthChar as _;

use crate::cli::screen::{BAD, DIM, GOOD, LIMITED};
use crate::cli::{Failure, World};
use crate::dns::master::{Problem, Severity};
use crate::dns::name::Name;
use crate::dns::zone::Load;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Zone files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The zone that the files are about [default: what they say, or what they are called]
    #[arg(long, value_name = "ZONE")]
    origin: Option<String>,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, world: &mut World) -> Result<u8, Failure> {
    let mut code = 0;
    let mut told = Vec::new();
    for file in &arguments.files {
        let (origin, load) = match super::load(file, arguments.origin.as_deref()) {
            Ok(loaded) => loaded,
            Err(Failure::Unusable(why)) => {
                writeln!(world.err, "wwwlab: {why}")?;
                told.push(json!({ "file": file, "unusable": why }));
                code = 2;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        if load.error_count > 0 || arguments.strict && load.warning_count > 0 {
            code = code.max(1);
        }
        if arguments.json {
            told.push(as_json(&origin, &load, file.display().to_string()));
        } else {
            for problem in &load.problems {
                show(problem, &mut world.out)?;
            }
            conclude(&origin, &load, &file.display().to_string(), &mut world.out)?;
        }
    }
    if arguments.json {
        world.json(&told)?;
    }
    Ok(code)
}

/// Prints a problem: its place, what is wrong and the rule's source; below it the line, with a caret.
pub(super) fn show(problem: &Problem, out: &mut dyn Write) -> io::Result<()> {
    let (word, style) = match problem.severity {
        Severity::Error => ("error", BAD),
        Severity::Warning => ("warning", LIMITED),
    };
    let dim = DIM;
    write!(out, "{}:", problem.file.display())?;
    if problem.line > 0 {
        write!(out, "{}:{}:", problem.line, problem.column)?;
    }
    write!(out, " {style}{word}{style:#}: {}", problem.message)?;
    match problem.rule.source() {
        "" => writeln!(out)?,
        source => writeln!(out, " {dim}[{source}]{dim:#}")?,
    }
    if problem.line == 0 || problem.source_line.is_empty() {
        return Ok(());
    }
    let line: String = problem.source_line.chars().map(visible).collect();
    let number = problem.line.to_string();
    writeln!(out, "  {dim}{number} |{dim:#} {line}")?;
    if problem.column <= line.chars().count() + 1 {
        let before: String = line.chars().take(problem.column - 1).map(blank).collect();
        writeln!(out, "  {dim}{:width$} |{dim:#} {before}{style}^{style:#}", "", width = number.len())?;
    }
    Ok(())
}

/// A character as it may be sent to a terminal.
fn visible(character: char) -> char {
    if character.is_control() && character != '\t' { char::REPLACEMENT_CHARACTER } else { character }
}

/// As many blanks as a character is wide.
fn blank(character: char) -> String {
    if character == '\t' { "\t".into() } else { " ".repeat(character.width().unwrap_or(1)) }
}

fn conclude(origin: &Name, load: &Load, file: &str, out: &mut dyn Write) -> io::Result<()> {
    let (good, limited, bad) = (GOOD, LIMITED, BAD);
    let found = counted(load.error_count, load.warning_count);
    match &load.zone {
        None => writeln!(out, "{file}: {bad}{found}{bad:#}: {origin} would not be served"),
        Some(zone) => {
            let has = format!("{origin} has serial {} and {} records", zone.serial(), zone.record_count());
            match load.warning_count {
                0 => writeln!(out, "{file}: {good}no problems{good:#}: {has}"),
                _ => writeln!(out, "{file}: {limited}{found}{limited:#}: {has}"),
            }
        }
    }
}

fn counted(errors: usize, warnings: usize) -> String {
    let some = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{count} {word}s")),
    };
    let all: Vec<String> = [some(errors, "error"), some(warnings, "warning")].into_iter().flatten().collect();
    all.join(", ")
}

fn as_json(origin: &Name, load: &Load, file: String) -> Value {
    let problem = |problem: &Problem| {
        json!({
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "severity": match problem.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "rule": problem.rule.name(),
            "source": problem.rule.source(),
            "message": problem.message,
            "text": problem.source_line,
        })
    };
    json!({
        "file": file,
        "origin": origin.to_string(),
        "serial": load.zone.as_ref().map(|zone| zone.serial()),
        "records": load.zone.as_ref().map(|zone| zone.record_count()),
        "errors": load.error_count,
        "warnings": load.warning_count,
        "problems": load.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::master::{Rule, read_text};

    fn shown(text: &[u8]) -> String {
        let records = read_text("z".as_ref(), text, &Name::root());
        let mut out = Vec::new();
        show(&records.problems[0], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn the_caret_stands_below_its_word() {
        let lines = |text: &[u8]| shown(text).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(b"$TTL 5\n\nwww\tA \txy\n"), ["  3 | www\tA \txy", "    |    \t  \t^"]);
        // A wide character takes two columns; what a terminal would obey is not sent to it.
        assert_eq!(
            lines("$TTL 5\na TXT \"名\" \"x\n".as_bytes()),
            ["  2 | a TXT \"名\" \"x", "    |            ^"]
        );
        assert_eq!(lines(b"a\x1b[2J\n"), ["  1 | a\u{fffd}[2J", "    |  ^"]);
    }

    #[test]
    fn a_problem_of_a_file_has_no_line() {
        let problem = Problem::of_file("z".as_ref(), Severity::Error, Rule::File, "gone");
        let mut out = Vec::new();
        show(&problem, &mut out).unwrap();
        assert_eq!(
            anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string(),
            "z: error: gone\n"
        );
    }
}
