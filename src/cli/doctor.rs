//! `wwwlab doctor`: what works on this machine, one line each, with the remedy.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use crate::lab::control;
use crate::lab::directory::Directory;
use crate::lab::doctor::{self, Finding, Verdict};

use super::screen::{BAD, BOLD, DIM, GOOD, LIMITED};
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the AppArmor profile that lets this wwwlab bring up network `hosts` without root
    #[arg(long, conflicts_with = "json")]
    apparmor: bool,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    if arguments.apparmor {
        write!(world.out, "{}", doctor::apparmor_profile().map_err(Failure::Said)?)?;
        return Ok(0);
    }
    let running = block_on(control::status(directory))?.is_ok();
    let findings = doctor::examine(directory, running);
    let bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    if arguments.json {
        world.json(&findings)?;
        return Ok(u8::from(bad));
    }
    let widest = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or_default();
    for finding in &findings {
        let (sign, style) = match finding.verdict {
            Verdict::Good => ("✓", GOOD),
            Verdict::Limited => ("!", LIMITED),
            Verdict::Bad => ("✗", BAD),
        };
        let (bold, dim) = (BOLD, DIM);
        let Finding { subject, found, remedy, .. } = finding;
        let column = widest + 4;
        write!(world.out, "{style}{sign}{style:#} {bold}{subject:<widest$}{bold:#}  ")?;
        let in_one_line = column + found.width() + 3 + remedy.width();
        if remedy.is_empty() {
            world.go_on(column, column, Style::new(), found)?;
        } else if world.width.is_none_or(|width| in_one_line <= width) {
            writeln!(world.out, "{found} {dim}→ {remedy}{dim:#}")?;
        } else {
            world.go_on(column, column, Style::new(), found)?;
            write!(world.out, "{:column$}{dim}→ {dim:#}", "")?;
            world.go_on(column + 2, column + 2, dim, remedy)?;
        }
    }
    Ok(u8::from(bad))
}
