//! `wwwlab measure`: something is done to the lab, and what its users notice of that is measured.

mod downtime;
mod drawing;
mod load;
mod spof;

use crate::ground::chance::RequestId;
use crate::ground::channel::Mark;
use crate::lab::config::Config;
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
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    match &arguments.what {
        What::Downtime(downtime) => downtime::run(downtime, directory, world),
        What::Spof(spof) => spof::run(spof, directory, world),
        What::Load(load) => load::run(load, directory, world),
    }
}

/// Whether the guestbook can be signed and left as it was: that of the lab's own application, which every request reaches.
fn signs(config: &Config) -> bool {
    config.app.command.is_none() && config.app.fastcgi.is_none() && config.web.upstreams.is_empty()
}

/// What entries of this measure have, and no others.
fn mark(measure: &str) -> Mark {
    Mark {
        name: format!("wwwlab measure {measure}"),
        message: format!("to be taken out: {}", RequestId::draw().as_str()),
    }
}
