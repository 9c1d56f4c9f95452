//! `wwwlab link`: the cables of network `hosts`; `link down` pulls one out, `link up` plugs it in again.

use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::network::wiring::CableState;

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
    /// Every cable, and how it stands (what `link` alone does)
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Pull a cable out: packets are lost, and nobody is told
    Down {
        /// Its name, `client-home` say
        cable: String,
    },
    /// Plug it in again
    Up {
        /// Its name
        cable: String,
    },
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let (request, json) = match &arguments.what {
        Some(What::Down { cable }) => (Request::Cable { name: cable.clone(), whole: false }, false),
        Some(What::Up { cable }) => (Request::Cable { name: cable.clone(), whole: true }, false),
        Some(What::List { json }) => (Request::Cables, *json || arguments.json),
        None => (Request::Cables, arguments.json),
    };
    match block_on(control::ask(directory, &request))?? {
        Response::Done(sentence) => {
            writeln!(world.out, "{sentence}")?;
            if let Some(What::Down { cable }) = &arguments.what {
                let (dim, program) = (DIM, &world.program);
                writeln!(world.out, "{dim}`{program} link up {cable}` plugs it in again{dim:#}")?;
            }
        }
        Response::Cables(cables) if json => world.json(&cables)?,
        Response::Cables(cables) => write!(world.out, "{}", table(&cables).render(world.width))?,
        _ => return Err(ControlError::Strange(directory.name()).into()),
    }
    Ok(0)
}

fn table(cables: &[CableState]) -> Table {
    let mut table = Table::default().column("CABLE", 0).column("FROM", 1).column("TO", 1).column("STATE", 0);
    for cable in cables {
        let [near, far] = &cable.ends;
        let state = match (&cable.off, cable.whole) {
            (_, false) => Cell::styled("cut", BAD),
            (Some(off), true) => Cell::styled(format!("dead: {off} is off"), BAD),
            (None, true) => Cell::styled("whole", GOOD),
        };
        let end = |(machine, interface): &(String, String)| format!("{machine} {interface}");
        table.row([cable.name.as_str().into(), end(near).into(), end(far).into(), state]);
    }
    table
}
