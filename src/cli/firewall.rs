//! `wwwlab firewall`: what the machines of network `hosts` let through; `apply` puts a ruleset in place, `clear` takes it away.

use std::path::PathBuf;

use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::firewall::{Applied, Standing, Wish};

use super::screen::{Cell, DIM, GOOD, Table};
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
Rules are nftables' own language (man nft), put in place by the real nft within the machine: all tables of the file for all that were \
there, or nothing at all. The rules of this machine itself are never touched.";

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Every machine, and the file that is applied there (what `firewall` alone does)
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// The rules that stand on a machine, with what they counted; a file that `apply` would take
    Show {
        /// The machine, `server` say
        host: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a file's rules in place of all that stand on a machine, wholly or not at all
    Apply {
        /// The machine
        host: String,
        /// The file, of 256 KiB at most [default: firewall/HOST.nft in the lab's directory]
        file: Option<PathBuf>,
    },
    /// Take all rules of a machine away: every port that listens can be reached
    Clear {
        /// The machine
        host: String,
    },
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let (wish, json) = match &arguments.what {
        None => (Wish::List, arguments.json),
        Some(What::List { json }) => (Wish::List, *json || arguments.json),
        Some(What::Show { host, json }) => (Wish::Show { host: host.clone() }, *json || arguments.json),
        Some(What::Apply { host, file }) => {
            (Wish::Apply { host: host.clone(), file: file.as_ref().map(absolute).transpose()? }, false)
        }
        Some(What::Clear { host }) => (Wish::Clear { host: host.clone() }, false),
    };
    match block_on(control::ask(directory, &Request::Firewall(wish)))?? {
        Response::Done(sentence) => {
            writeln!(world.out, "{}", shown(&sentence))?;
            if let Some(What::Apply { host, .. }) = &arguments.what {
                let next = format!(
                    "`{0} firewall show {host}` says what each rule counted, `{0} firewall clear {host}` takes all of them away",
                    world.program
                );
                world.say(0, DIM, &next)?;
            }
        }
        Response::Firewalls(applied) if json => world.json(&applied)?,
        Response::Firewalls(applied) => write!(world.out, "{}", table(&applied).render(world.width))?,
        Response::Firewall(standing) if json => world.json(&standing)?,
        Response::Firewall(standing) => show(&standing, world)?,
        _ => return Err(ControlError::Strange(directory.name()).into()),
    }
    Ok(0)
}

/// The rules are read by the lab, which is somewhere else.
fn absolute(file: &PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(file)
        .map_err(|error| Failure::System(format!("cannot find {}", file.display()), error))
}

/// As a file of rules, of which the lab's own words are comments.
fn show(standing: &Standing, world: &mut World) -> Result<(), Failure> {
    let (dim, Applied { host, file }) = (DIM, &standing.applied);
    let file = file.as_deref().map(shown);
    let about = match (file, standing.ruleset.tables.is_empty()) {
        (None, true) => format!(
            "{host} has no firewall: every port that listens can be reached; `{} firewall apply {host}`",
            world.program
        ),
        (None, false) => format!("{host}: made by hand"),
        (Some(file), true) => format!("{host}: {file}, of which no table is left"),
        (Some(file), false) => format!("{host}: {file}"),
    };
    writeln!(world.out, "{dim}# {about}{dim:#}")?;
    write!(world.out, "{}", shown(&standing.listing))?;
    Ok(())
}

/// Without what a terminal would obey: comments in rules and names of files are anybody's words.
fn shown(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' | '\t' => character,
        control if control.is_control() => '\u{FFFD}',
        other => other,
    };
    text.chars().map(shown).collect()
}

fn table(applied: &[Applied]) -> Table {
    let mut table = Table::default().column("HOST", 0).column("FIREWALL", 0);
    for Applied { host, file } in applied {
        let file = match file {
            Some(file) => Cell::styled(shown(file), GOOD),
            None => Cell::styled("none", DIM),
        };
        table.row([host.as_str().into(), file]);
    }
    table
}
