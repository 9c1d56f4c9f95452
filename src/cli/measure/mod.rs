//! `wwwlab measure`: something is done to the lab, and what that does to its users is measured.

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
    /// Single points of failure: takes each part down in turn, and shows what still works
    Spof(spof::Arguments),
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    match &arguments.what {
        What::Spof(spof) => spof::run(spof, directory, world),
    }
}
