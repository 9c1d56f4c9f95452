//! `wwwlab measure`: something is done to the lab, and what its users notice of that is measured.

mod downtime;

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
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    match &arguments.what {
        What::Downtime(downtime) => downtime::run(downtime, directory, world),
    }
}
