//! `wwwlab host`: the machines of network `hosts`; `host off` takes the power from one, `host on` gives it back.

use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::network::wiring::MachineState;

use super::screen::{BAD, Cell, DIM, GOOD, Table};
use super::{Failure, World, block_on};

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
    /// Every machine, and how it stands (what `host` alone does)
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Switch a machine off: its cables are dead, and whatever runs there is killed
    Off {
        /// Its name, `server` say
        host: String,
    },
    /// Switch it on again: its services start
    On {
        /// Its name
        host: String,
    },
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let (request, json) = match &arguments.what {
        Some(What::Off { host }) => (Request::Power { host: host.clone(), on: false }, false),
        Some(What::On { host }) => (Request::Power { host: host.clone(), on: true }, false),
        Some(What::List { json }) => (Request::Machines, *json || arguments.json),
        None => (Request::Machines, arguments.json),
    };
    match block_on(control::ask(directory, &request))?? {
        Response::Done(sentence) => {
            writeln!(world.out, "{sentence}")?;
            if let Some(What::Off { host }) = &arguments.what {
                let (dim, program) = (DIM, &world.program);
                writeln!(world.out, "{dim}`{program} host on {host}` gives its power back{dim:#}")?;
            }
        }
        Response::Machines(machines) if json => world.json(&machines)?,
        Response::Machines(machines) => write!(world.out, "{}", table(&machines).render(world.width))?,
        _ => return Err(ControlError::Strange(directory.name()).into()),
    }
    Ok(0)
}

fn table(machines: &[MachineState]) -> Table {
    let mut table = Table::default()
        .column("HOST", 0)
        .column("IS", 0)
        .folding("ADDRESSES", 2)
        .folding("SERVICES", 1)
        .column("STATE", 0);
    for machine in machines {
        let words = |words: Vec<String>| words.join(" ");
        table.row([
            machine.name.as_str().into(),
            if machine.router { "a router" } else { "a computer" }.into(),
            words(machine.addresses.iter().map(ToString::to_string).collect()).into(),
            words(machine.services.iter().map(ToString::to_string).collect()).into(),
            if machine.on { Cell::styled("on", GOOD) } else { Cell::styled("off", BAD) },
        ]);
    }
    table
}
