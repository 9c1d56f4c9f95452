//! `wwwlab zone diff`: what leads from one zone file to another, record by record, whatever their layout.

use std::path::PathBuf;

use crate::cli::screen::{BAD, GOOD};
use crate::cli::{Failure, World};
use crate::dns::zone::canonical::{self, Change};
use crate::dns::zone::serial_is_raised;

/// The exit code where one of the files is not right.
const UNUSABLE: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The zone file as it was
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The zone file as it is
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The zone that the files are about [default: what they say, or what they are called]
    #[arg(long, value_name = "ZONE")]
    origin: Option<String>,
}

pub(super) fn run(arguments: &Arguments, world: &mut World) -> Result<u8, Failure> {
    let origin = arguments.origin.as_deref();
    let old = super::load_sound(&arguments.old, origin, world)?;
    let new = super::load_sound(&arguments.new, origin, world)?;
    let (Some(old), Some(new)) = (old, new) else {
        return Ok(UNUSABLE);
    };
    if old.origin() != new.origin() {
        return Err(Failure::Unusable(format!(
            "{} is about {}, but {} about {}: name the zone with --origin if that is a mistake",
            arguments.old.display(),
            old.origin(),
            arguments.new.display(),
            new.origin()
        )));
    }
    let (good, bad) = (GOOD, BAD);
    let mut code = 0;
    for (change, line) in canonical::changes(&old, &new) {
        code = 1;
        match change {
            Change::Removed => writeln!(world.out, "{bad}-{line}{bad:#}")?,
            Change::Added => writeln!(world.out, "{good}+{line}{good:#}")?,
        }
    }
    if code == 1 && !serial_is_raised(old.serial(), new.serial()) {
        world.out.flush()?;
        writeln!(
            world.err,
            "wwwlab: the serial is not raised ({} to {}): secondary servers would keep the old zone (RFC 1982)",
            old.serial(),
            new.serial()
        )?;
    }
    Ok(code)
}
