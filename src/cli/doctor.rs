//! `wwwlab doctor`: what works on this machine, one line each, with the remedy.

use crate::lab::control;
use crate::lab::directory::Directory;
use crate::lab::doctor::{self, Verdict};

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
        write!(
            world.out,
            "{style}{sign}{style:#} {bold}{:<widest$}{bold:#}  {}",
            finding.subject, finding.found
        )?;
        if finding.remedy.is_empty() {
            writeln!(world.out)?;
        } else {
            writeln!(world.out, " {dim}→ {}{dim:#}", finding.remedy)?;
        }
    }
    Ok(u8::from(bad))
}
