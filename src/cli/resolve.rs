//! `wwwlab resolve NAME [TYPE]`: the resolver's way to an answer, step by step.

use crate::ground::channel::WalkTold;
use crate::ground::event::Micros;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;
use crate::lab::status::LabStatus;

use super::cache::Which;
use super::screen::{BAD, BOLD, DIM, GOOD, Table};
use super::words::printable;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The name, with or without its final dot
    name: String,
    /// The record type
    #[arg(default_value = "A", value_name = "TYPE")]
    record_type: String,
    /// Start from the root with nothing remembered; what is remembered stays
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    of: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let request = Request::Resolve {
        resolver: arguments.of.resolver,
        name: arguments.name.clone(),
        record_type: arguments.record_type.clone(),
        afresh: arguments.fresh,
    };
    let (status, response) = block_on(async {
        let status = control::status(directory).await?;
        Ok::<_, ControlError>((status, control::ask(directory, &request).await?))
    })??;
    let Response::Walk(walk) = response else {
        return Err(ControlError::Strange(directory.name()).into());
    };
    if arguments.json {
        world.json(&walk)?;
    } else {
        show(&walk, &status, world)?;
    }
    // Like dig, which calls an answer an answer, whatever it says; only no answer is a failure.
    Ok(u8::from(walk.why.is_some()))
}

fn show(walk: &WalkTold, status: &LabStatus, world: &mut World) -> Result<(), Failure> {
    let (bold, dim) = (BOLD, DIM);
    writeln!(world.out, "{bold}{} {}{bold:#}", printable(&walk.name), walk.record_type)?;
    let mut table = Table::default()
        .numbers("STEP", 2)
        .column("ASKS", 0)
        .column("WHAT", 0)
        .column("AND HEARS", 0)
        .numbers("AFTER", 1);
    for (index, step) in walk.steps.iter().enumerate() {
        let who = [ServiceName::Root, ServiceName::Tld, ServiceName::Dns, ServiceName::Dns2]
            .into_iter()
            .find(|&name| status.service(name).is_some_and(|service| service.listens_at(step.server)));
        let who = who.map_or_else(|| step.server.to_string(), |name| format!("{name} {}", step.server.ip()));
        table.row([
            (index + 1).to_string().into(),
            who.into(),
            format!("{} {}", printable(&step.name), step.record_type).into(),
            printable(&step.outcome).into(),
            Micros(step.micros).to_string().into(),
        ]);
    }
    match (walk.cached, walk.steps.is_empty()) {
        (true, _) => writeln!(world.out, "  {dim}remembered: nobody was asked{dim:#}")?,
        (false, true) => {
            writeln!(world.out, "  {dim}known from earlier walks: nobody had to be asked{dim:#}")?
        }
        (false, false) => write!(world.out, "{}", table.render(world.width))?,
    }
    let style = if walk.why.is_some() { BAD } else { GOOD };
    write!(world.out, "{style}{}{style:#}", walk.outcome)?;
    if let Some(why) = &walk.why {
        write!(world.out, ": {}", printable(why))?;
    }
    writeln!(world.out, " {dim}after {}{dim:#}", Micros(walk.micros))?;
    for record in &walk.records {
        writeln!(world.out, "  {}", printable(record))?;
    }
    Ok(())
}
