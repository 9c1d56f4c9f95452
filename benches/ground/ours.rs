//! Our own executable, and labs of it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use wwwlab::lab::guard::Guard;

use super::program::Program;
use super::stop::Stop;
use super::trouble::{Trouble, cannot, of};

/// The executable that is measured.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wwwlab");

/// Where a lab listens on loopback: server, resolver, root, tld.
pub(crate) const LAB: [Ipv4Addr; 4] = [
    Ipv4Addr::LOCALHOST,
    Ipv4Addr::new(127, 0, 0, 2),
    Ipv4Addr::new(127, 0, 0, 3),
    Ipv4Addr::new(127, 0, 0, 4),
];

/// In an environment that says nothing about another lab.
pub(crate) fn wwwlab() -> Command {
    let mut command = Command::new(PROGRAM);
    for variable in ["WWWLAB_LAB", "WWWLAB_STATE", "WWWLAB_NETWORK", "WWWLAB_DB_URL"] {
        command.env_remove(variable);
    }
    command
}

/// Writes a lab to `place`, with these `settings`.
pub(crate) fn new_lab(place: &Path, settings: &str, guard: &Guard, stop: &Stop) -> Result<(), Trouble> {
    let said = place.with_extension("new.log");
    Program::run("wwwlab new", wwwlab().arg("new").arg(place), said, guard, stop)?;
    let file = place.join("lab.toml");
    fs::write(&file, settings).map_err(of(&file))
}

/// What ends everything that a bench starts, if the bench itself is killed.
pub(crate) fn guard() -> Result<Guard, Trouble> {
    Guard::start(Path::new(PROGRAM), Vec::new(), None).map_err(cannot("start the guard"))
}
