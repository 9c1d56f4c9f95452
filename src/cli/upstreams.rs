//! `wwwlab upstreams`: the application servers behind the web server, and how each fares.

use crate::ground::channel::UpstreamState;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;

use super::screen::Table;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let Response::Upstreams(upstreams) = block_on(control::ask(directory, &Request::Upstreams))?? else {
        return Err(ControlError::Strange(directory.name()).into());
    };
    if arguments.json {
        world.json(&upstreams)?;
        return Ok(0);
    }
    let mut table = Table::default()
        .column("APPLICATION", 0)
        .column("STATE", 0)
        .numbers("WEIGHT", 2)
        .numbers("UNDER WAY", 1)
        .numbers("REQUESTS", 0)
        .numbers("FAILED", 0);
    for upstream in &upstreams {
        table.row([
            upstream.address.to_string().into(),
            state(upstream).into(),
            upstream.weight.to_string().into(),
            upstream.under_way.to_string().into(),
            upstream.requests.to_string().into(),
            upstream.failures.to_string().into(),
        ]);
    }
    write!(world.out, "{}", table.render(world.width))?;
    Ok(0)
}

/// `in`, `out for 1.2 s`, …
fn state(upstream: &UpstreamState) -> String {
    match upstream.out_millis {
        Some(left) => format!("{} for {}.{} s", upstream.state, left / 1000, left % 1000 / 100),
        None => upstream.state.clone(),
    }
}
