//! `wwwlab zone`: zones in service and zones in files.
//!
//! `list`, `use`, `show`, `sign` and its kin ask the running lab; `check`, `query` and `diff` read files, and start nothing.

mod check;
mod diff;
mod origin;
mod query;
mod served;
mod sign;

use std::path::{Path, PathBuf};

use crate::dns::master::Rule;
use crate::dns::name::Name;
use crate::dns::zone::{self, Load, Zone};
use crate::ground::dnssec::Wrong;

use super::{Failure, Place, World};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Which zones are in service, from which file, with which serial
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish a zone from another file: `zone use foobar.com cname`, back with `zone use foobar.com`
    Use {
        /// The zone
        origin: String,
        /// A variant (`cname` is the file ORIGIN.cname.zone beside the zone's own) or a file [default: the zone's
        /// own file]
        variant: Option<PathBuf>,
    },
    /// A zone as the running lab serves it, in canonical order
    Show {
        /// The zone
        origin: String,
    },
    /// Sign zones (DNSSEC), and have the resolver validate
    Sign {
        /// The zones [default: all of the lab]
        #[arg(value_name = "ZONE")]
        zones: Vec<String>,
    },
    /// Publish zones as their files are, without signatures
    Unsign {
        /// The zones [default: all of the lab]
        #[arg(value_name = "ZONE")]
        zones: Vec<String>,
    },
    /// Replace the key of a signed zone, so that nobody who validates fails on the way
    ///
    /// Both keys sign, and the parent vouches for both, until nobody can remember a time without the new one: for the
    /// largest TTL in the zone and of its DS. Then the former key goes by itself. `zone list` says when.
    Roll {
        /// The zone
        zone: String,
        /// Take the former key away now, whoever still remembers only that: what is asked of a resolver that does is
        /// refused
        #[arg(long)]
        now: bool,
    },
    /// Have something wrong with a signed zone, on purpose
    Break {
        /// The zone
        zone: String,
        /// What is wrong with it
        #[arg(value_enum)]
        what: Wrong,
    },
    /// Have nothing wrong with signed zones any more
    Mend {
        /// The zone [default: all]
        zone: Option<String>,
    },
    /// What is wrong with a zone file, where, and how to mend it (exit 0 clean, 1 errors, 2 cannot be read)
    Check(check::Arguments),
    /// What a server would answer from a zone file, without a server
    Query(query::Arguments),
    /// What leads from one zone file to another (exit 0 the same, 1 different, 2 one of them is not right)
    Diff(diff::Arguments),
}

pub(super) fn run(arguments: &Arguments, place: &Place, world: &mut World) -> Result<u8, Failure> {
    match &arguments.what {
        What::List { json } => served::list(*json, &place.find()?, world),
        What::Use { origin, variant } => served::switch(origin, variant.as_deref(), &place.find()?, world),
        What::Show { origin } => served::show(origin, &place.find()?, world),
        What::Sign { zones } => sign::sign(zones, &place.find()?, world),
        What::Unsign { zones } => sign::unsign(zones, &place.find()?, world),
        What::Roll { zone, now } => sign::roll(zone, *now, &place.find()?, world),
        What::Break { zone, what } => sign::spoil(zone, *what, &place.find()?, world),
        What::Mend { zone } => sign::mend(zone.as_deref(), &place.find()?, world),
        What::Check(check) => check::run(check, world),
        What::Query(query) => query::run(query, world),
        What::Diff(diff) => diff::run(diff, world),
    }
}

/// Loads the zone in `file`; a file that cannot be read at all is a failure.
fn load(file: &Path, given: Option<&str>) -> Result<(Name, Load), Failure> {
    let origin = origin::of(file, given)?;
    let load = zone::load(&origin, file);
    match load.problems.first() {
        Some(problem) if problem.rule == Rule::File && problem.line == 0 => {
            Err(Failure::Unusable(problem.to_string()))
        }
        _ => Ok((origin, load)),
    }
}

/// Loads a zone that must be right; otherwise prints what is not.
fn load_sound(file: &Path, given: Option<&str>, world: &mut World) -> Result<Option<Zone>, Failure> {
    let (_, load) = load(file, given)?;
    if load.zone.is_none() {
        for problem in load.errors() {
            check::show(problem, &mut world.err)?;
        }
    }
    Ok(load.zone)
}
