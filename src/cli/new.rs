//! `wwwlab new DIR`: a lab of one's own, to edit.

use std::fs;
use std::path::PathBuf;

use crate::lab::builtin;

use super::screen::{BOLD, COMMAND, quoted};
use super::{Failure, World};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A directory that does not exist yet, or is empty
    directory: PathBuf,
}

pub(super) fn run(arguments: &Arguments, world: &mut World) -> Result<u8, Failure> {
    let directory = &arguments.directory;
    let system = |what: &str, error| Failure::System(format!("cannot {what} {}", directory.display()), error);
    fs::create_dir_all(directory).map_err(|error| system("make", error))?;
    let mut there = fs::read_dir(directory).map_err(|error| system("read", error))?;
    if there.next().is_some() {
        let place = directory.display();
        return Err(Failure::Said(format!(
            "{place} is not empty: nothing was written; name a new directory"
        )));
    }
    builtin::unpack_with_toml(directory).map_err(|error| Failure::System(error.to_string(), error.source))?;
    let (bold, command, program, place) = (BOLD, COMMAND, &world.program, directory.display());
    writeln!(world.out, "{bold}{place}{bold:#} is a lab now:")?;
    for (what, is) in [
        ("lab.toml", "its settings, each with its default and bounds"),
        ("zones/loopback/", "what its name servers publish: plain RFC 1035 master files"),
        ("zones/hosts/", "the same for hosts that are machines of their own (`up --network hosts`)"),
        ("firewall/", "what a machine lets through, where it is applied (`wwwlab firewall`)"),
        ("site/", "the files that its web server serves"),
        ("app/", "the application's code base: templates and a version"),
    ] {
        writeln!(world.out, "  {what:<16} {is}")?;
    }
    writeln!(
        world.out,
        "Next: {command}cd {} && {program} up{command:#}; a saved zone file is served at once.",
        quoted(directory.as_os_str()),
    )?;
    Ok(0)
}
