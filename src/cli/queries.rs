//! `wwwlab queries`: how much the name servers were asked, and what came of it.

use serde::Serialize;

use crate::ground::channel::{Count, Counted, QueryCounts};
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;

use super::screen::Table;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Of which name server [default: each]
    server: Option<Server>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A name server that publishes zones.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Server {
    Root,
    Tld,
    Dns,
    Dns2,
}

/// One name server, as JSON tells it.
#[derive(Debug, Serialize)]
struct Told {
    server: ServiceName,
    /// Whether it runs; if not, nothing is known.
    up: bool,
    #[serde(flatten)]
    counts: Option<QueryCounts>,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let server = arguments.server.map(|server| match server {
        Server::Root => ServiceName::Root,
        Server::Tld => ServiceName::Tld,
        Server::Dns => ServiceName::Dns,
        Server::Dns2 => ServiceName::Dns2,
    });
    let Response::Queries(counts) = block_on(control::ask(directory, &Request::Queries(server)))?? else {
        return Err(ControlError::Strange(directory.name()).into());
    };
    if arguments.json {
        let told = |(server, counts): (_, Option<_>)| Told { server, up: counts.is_some(), counts };
        world.json(&counts.into_iter().map(told).collect::<Vec<_>>())?;
        return Ok(0);
    }
    let mut table = Table::default()
        .column("SERVER", 0)
        .column("OVER", 0)
        .numbers("ANSWERED", 0)
        .folding("TYPES", 2)
        .folding("OUTCOMES", 1)
        .numbers("SILENT", 4)
        .numbers("LIMITED", 3)
        .numbers("DROPPED", 3);
    for (server, counts) in counts {
        let Some(counts) = counts else {
            table.row([server.to_string().into(), "not up".into()]);
            continue;
        };
        for (transport, Counted { answered, types, rcodes, unanswered, limited, dropped }) in counts.each() {
            table.row([
                server.to_string().into(),
                transport.to_string().into(),
                answered.to_string().into(),
                listed(&types).into(),
                listed(&rcodes).into(),
                unanswered.to_string().into(),
                limited.to_string().into(),
                dropped.to_string().into(),
            ]);
        }
    }
    write!(world.out, "{}", table.render(world.width))?;
    Ok(0)
}

/// `A 12, AAAA 3`; of many, the most frequent.
fn listed(counts: &[Count]) -> String {
    const SHOWN: usize = 5;
    let shown = counts.iter().take(SHOWN).map(|Count { what, count }| format!("{what} {count}"));
    let more = counts.len().saturating_sub(SHOWN);
    shown.chain((more > 0).then(|| format!("+{more}"))).collect::<Vec<_>>().join(", ")
}
