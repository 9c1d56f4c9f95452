//! `wwwlab fault`: what is wrong with the lab on purpose; `fault add` lays one, `fault clear` ends it, `fault explain` tells of it.

use anstyle::Style;
use clap::builder::PossibleValuesParser;

use crate::ground::clock;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::faults::edges::Edge;
use crate::lab::faults::pages;
use crate::lab::faults::table::{Fault, Kind, TABLE};
use crate::lab::faults::wanted::{self, Wanted};
use crate::lab::faults::{FaultState, Which};
use crate::lab::hosts::ServiceName;

use super::screen::{BOLD, COMMAND, DIM, Table, ago};
use super::words::printable;
use super::{Failure, Place, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Lay a fault; `wwwlab fault explain` lists them
    Add(Box<Add>),
    /// The faults that are laid (what `fault` alone does)
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a fault, or all of them
    Clear {
        /// Its number, its name (each of that name), or `all` [default: all]
        which: Option<String>,
    },
    /// What a fault is in real life, how it looks and how it is found; without a name, which there are
    Explain {
        /// Its name
        name: Option<String>,
        /// All of them, as Markdown
        #[arg(long, conflicts_with = "name")]
        markdown: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Its name: `servfail`, `slow-dns`, `http-500`, `pause`, …
    what: String,
    /// The service that it is laid on [default: the first that it can be laid on], or the way: `client-web`
    #[arg(value_parser = targets())]
    target: Option<String>,
    /// The same, said with its name: `--on client-web`
    #[arg(long, value_name = "TARGET", conflicts_with = "target", value_parser = targets())]
    on: Option<String>,
    /// End it after so long: 30s, 5m
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<String>,
    /// Strike every N-th answer
    #[arg(long, value_name = "N", conflicts_with = "chance")]
    every: Option<u32>,
    /// Strike each answer with this chance, drawn from the lab's seed: 30%, 0.3
    #[arg(long, value_name = "P")]
    chance: Option<String>,
    /// Of DNS: strike questions for this name alone
    #[arg(long)]
    name: Option<String>,
    /// Of the web server: strike paths that begin so alone
    #[arg(long)]
    path: Option<String>,
    /// How much later, or how long after each start
    #[arg(long, value_name = "TIME")]
    delay: Option<String>,
    /// Of latency: so much more or less
    #[arg(long, value_name = "TIME")]
    jitter: Option<String>,
    /// The wrong address
    #[arg(long, value_name = "IPV4")]
    address: Option<String>,
    /// The wrong time to live
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
    /// Bytes a second; of a way, bits: 256kbit, 2mbit
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// Share of a processor, or of packets: 5%
    #[arg(long, value_name = "PERCENT")]
    share: Option<String>,
    /// So many descriptors; so much memory: 20MB
    #[arg(long, value_name = "AMOUNT")]
    limit: Option<String>,
}

/// Every service and every way between two.
fn targets() -> PossibleValuesParser {
    let services = ServiceName::ALL.map(ServiceName::as_str);
    services.into_iter().chain(Edge::ALL.map(Edge::as_str)).collect::<Vec<_>>().into()
}

impl Add {
    fn wanted(&self) -> Wanted {
        let options = [
            ("name", &self.name),
            ("path", &self.path),
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("address", &self.address),
            ("ttl", &self.ttl),
            ("rate", &self.rate),
            ("share", &self.share),
            ("limit", &self.limit),
        ];
        let target = self.target.as_ref().or(self.on.as_ref());
        let given = options.into_iter().filter_map(|(option, value)| Some((option.into(), value.clone()?)));
        Wanted {
            what: self.what.clone(),
            service: target.and_then(|target| target.parse().ok()),
            edge: target.and_then(|target| target.parse().ok()),
            options: given.collect(),
            lasts: self.lasts.clone(),
            every: self.every,
            chance: self.chance.clone(),
        }
    }
}

pub(super) fn run(arguments: &Arguments, place: &Place, world: &mut World) -> Result<u8, Failure> {
    let (request, json) = match &arguments.what {
        Some(What::Explain { markdown: true, .. }) => {
            write!(world.out, "{}", pages::markdown())?;
            return Ok(0);
        }
        Some(What::Explain { name, .. }) => return explain(name.as_deref(), world),
        Some(What::Add(add)) => (Request::AddFault(add.wanted()), false),
        Some(What::Clear { which }) => (Request::ClearFaults(meant(which.as_deref())?), false),
        Some(What::List { json }) => (Request::Faults, *json || arguments.json),
        None => (Request::Faults, arguments.json),
    };
    let directory: Directory = place.find()?;
    match block_on(control::ask(&directory, &request))?? {
        Response::Done(said) => world.say(0, Style::new(), &printable(&said))?,
        Response::Faults(faults) if json => world.json(&faults)?,
        Response::Faults(faults) if faults.is_empty() => {
            let (command, program) = (COMMAND, &world.program);
            writeln!(
                world.out,
                "no fault is laid; which there are: {command}{program} fault explain{command:#}"
            )?;
        }
        Response::Faults(faults) => write!(world.out, "{}", table(&faults).render(world.width))?,
        _ => return Err(ControlError::Strange(directory.name()).into()),
    }
    Ok(0)
}

/// Those that are meant: one by its number, each of a name, or all.
fn meant(which: Option<&str>) -> Result<Which, Failure> {
    let Some(which) = which.filter(|which| *which != "all") else { return Ok(Which::All) };
    if let Ok(number) = which.parse() {
        return Ok(Which::Number(number));
    }
    let fault = wanted::fault(which).map_err(|_| {
        Failure::Unusable(format!(
            "{which:?} is no fault's number or name: `wwwlab fault list` shows what is laid, `all` ends all"
        ))
    })?;
    Ok(Which::Name(fault.name.into()))
}

fn table(faults: &[FaultState]) -> Table {
    let now = clock::unix_millis();
    let mut table = Table::default()
        .numbers("ID", 0)
        .column("FAULT", 0)
        .column("ON", 0)
        .folding("OPTIONS", 1)
        .numbers("FOR", 2)
        .numbers("ENDS IN", 1);
    for fault in faults {
        table.row([
            fault.id.to_string().into(),
            fault.fault.as_str().into(),
            fault.target().into(),
            printable(&fault.details).into(),
            ago(now.saturating_sub(fault.since) / 1000).into(),
            fault.ends_in_millis.map(|millis| ago(millis.div_ceil(1000))).unwrap_or_default().into(),
        ]);
    }
    table
}

fn explain(name: Option<&str>, world: &mut World) -> Result<u8, Failure> {
    let (bold, dim, command) = (BOLD, DIM, COMMAND);
    let program = world.program.clone();
    if let Some(name) = name {
        let fault = wanted::fault(name).map_err(Failure::Unusable)?;
        writeln!(world.out, "{bold}{}{bold:#}", fault.name)?;
        for (heading, text) in fault.page() {
            writeln!(world.out, "\n{dim}{heading}{dim:#}")?;
            world.say(2, Style::new(), &text)?;
        }
        writeln!(world.out, "\n{dim}Lay it{dim:#}\n  {command}{program} fault add {name}{command:#}")?;
        return Ok(0);
    }
    for kind in Kind::ALL {
        writeln!(world.out, "{bold}{}{bold:#}", kind.heading())?;
        let mut table = Table::default().column("FAULT", 0).folding("WHAT IT DOES", 0);
        for Fault { name, what, .. } in TABLE.iter().filter(|fault| fault.kind == kind) {
            table.row([(*name).into(), (*what).into()]);
        }
        writeln!(world.out, "{}", table.render(world.width))?;
    }
    writeln!(
        world.out,
        "{command}{program} fault explain NAME{command:#}  {dim}how it looks to dig, curl and a browser, how it is found{dim:#}"
    )?;
    writeln!(world.out, "{command}{program} fault add NAME{command:#}      {dim}lays it{dim:#}")?;
    Ok(0)
}
