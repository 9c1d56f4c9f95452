//! `wwwlab metrics [SERVICE]`: what the lab counts and measures, as a collector would be told it.

use crate::ground::metrics::text::text;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;

use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Of which service [default: of the whole lab]
    service: Option<ServiceName>,
    /// Print JSON instead of the Prometheus text format
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let asked = Request::Metrics(arguments.service);
    let Response::Metrics(families) = block_on(control::ask(directory, &asked))?? else {
        return Err(ControlError::Strange(directory.name()).into());
    };
    match arguments.json {
        true => world.json(&families)?,
        false => write!(world.out, "{}", text(&families))?,
    }
    Ok(0)
}
