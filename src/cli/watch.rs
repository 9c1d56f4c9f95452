//! `wwwlab watch [SERVICE…] [--request ID] [--json]`: what happens, one line each, as soon as it is known.

use crate::ground::event::Event;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;
use crate::lab::journal::{Wanted, Which};

use super::up::line;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only what these tell [default: all]
    services: Vec<ServiceName>,
    /// Only what belongs to this request, also what happened before: its identifier (X-Request-Id), or the digits that a
    /// line shows of it
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Print each event as a line of JSON, with all that is known of it
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let wanted = Wanted {
        services: arguments.services.iter().map(ToString::to_string).collect(),
        request: arguments.request.clone().map(Which::Of),
        since: 0,
    };
    let root = format!("{}/", directory.root.display());
    let mut show = |event: &Event| -> Result<(), Failure> {
        if arguments.json {
            let json = serde_json::to_string(event).map_err(std::io::Error::from)?;
            writeln!(world.out, "{json}")?;
        } else {
            writeln!(world.out, "{}", line(event, &root))?;
        }
        Ok(world.out.flush()?)
    };
    block_on(async {
        let mut watched = control::watch(directory, wanted.clone()).await?;
        // Whoever knows a request's identifier has seen it: most of it has happened.
        let kept = match &wanted.request {
            Some(_) => kept(directory, wanted).await?,
            None => Vec::new(),
        };
        kept.iter().try_for_each(&mut show)?;
        while let Some(event) = watched.next().await? {
            if !kept.contains(&event) {
                show(&event)?;
            }
        }
        Err(ControlError::NotUp(directory.name()).into())
    })?
}

async fn kept(directory: &Directory, wanted: Wanted) -> Result<Vec<Event>, Failure> {
    match control::ask(directory, &Request::Journal(wanted)).await? {
        Response::Journal { events, .. } => Ok(events),
        _ => Err(ControlError::Strange(directory.name()).into()),
    }
}
