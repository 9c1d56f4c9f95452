//! `wwwlab measure`: something is done to the lab, and what its users notice of that is measured.

mod downtime;
mod load;
mod spof;

use crate::lab::directory::Directory;

use super::{Failure, World};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Change something while users come, and count whose requests are served, delayed and lost
    Downtime(downtime::Arguments),
    /// Single points of failure: takes each part down in turn, and shows what still works
    Spof(spof::Arguments),
    /// How many requests a second the lab bears before an objective breaks, and what is full then
    Load(load::Arguments),
    /// Take away what a load signed when that has ended, however it ended (started by `measure load` itself)
    #[command(name = load::tidy::COMMAND, hide = true)]
    Tidy(load::tidy::Arguments),
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    match &arguments.what {
        What::Downtime(downtime) => downtime::run(downtime, directory, world),
        What::Spof(spof) => spof::run(spof, directory, world),
        What::Load(load) => load::run(load, directory, world),
        What::Tidy(tidy) => load::tidy::run(tidy, directory, world),
    }
}
