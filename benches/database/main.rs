//! The dynamic page, with the same rows in the same MariaDB: through wwwlab's web server and application, and through nginx and
//! PHP-FPM with a page of the same content; and through wwwlab with SQLite. In one run, taking turns. Before that, how long a lab
//! with a MariaDB takes to be there ([`starts`]).
//!
//! The home page counts its visit durably and shows the newest five of 1,000 entries. The MariaDB is the one that a lab brings
//! up (`wwwlab up --db mysql`): its tables, its settings, its account, over TCP. nginx and PHP-FPM have the configuration of
//! the bench `stack`. Visitors keep their connections and look at each answer ([`visitors`]).
//!
//! It measures and does not judge: a missed target is said in the table, and the exit code stays 0.
//!
//! `BENCH_DATABASE` says how many turns each has, 1 to 100; default 5.

#![expect(clippy::print_stderr, reason = "this is a command: its progress goes to stderr")]

#[allow(dead_code, reason = "this bench needs a part of it")]
#[path = "../ground/mod.rs"]
mod ground;
#[allow(dead_code, reason = "it starts a part of them")]
#[path = "../stack/installed.rs"]
mod installed;
mod report;
mod server;
mod starts;
#[path = "../ground/visitors.rs"]
mod visitors;

use std::process::ExitCode;

use tempfile::TempDir;

use crate::ground::ports::Ports;
use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot};
use crate::ground::{machine, number, ours};
use crate::installed::Programs;
use crate::report::{Promise, Report, Row};
use crate::server::{Product, Server, World, millis};

/// Turns of each, unless `BENCH_DATABASE` says otherwise.
const TURNS: u32 = 5;
const TURNS_MOST: u32 = 100;
/// Visitors at a time, each with a connection, and how many pages they have in a turn.
const LOADS: [(usize, u32); 3] = [(1, 500), (16, 3_000), (64, 3_000)];
/// The part of a turn that is asked for before anything is measured.
const WARMING: u32 = 10;

fn main() -> ExitCode {
    ground::bench::run(bench)
}

fn bench(stop: &Stop) -> Result<Report, Trouble> {
    let turns = number::from("BENCH_DATABASE", 1..=TURNS_MOST, TURNS)?;
    let programs = Programs::find()?;
    let place = TempDir::with_prefix("wwwlab-bench-").map_err(cannot("make a temporary directory"))?;
    let guard = ours::guard()?;
    let world = World { programs: &programs, place: place.path(), guard: &guard, stop };
    eprintln!("preparing all in {}", place.path().display());
    let mut ports = Ports::new();
    let mut rows = Vec::from(starts::measure(turns, &mut ports, &world)?);
    // The peers use the database of the first.
    let servers: Vec<Server> = Product::ALL
        .into_iter()
        .map(|product| Server::start(product, &mut ports, &world))
        .collect::<Result<_, _>>()?;
    for (connections, count) in LOADS {
        rows.extend(measure(connections, count, turns, &servers, stop)?);
    }
    // Who uses the database goes before it.
    for server in servers.into_iter().rev() {
        server.end()?;
    }
    drop(guard);
    Ok(Report { rows, turns, machine: machine::describe(), versions: programs.versions() })
}

/// How many pages are had in a second over so many connections, and how long one takes.
fn measure(
    connections: usize,
    count: u32,
    turns: u32,
    servers: &[Server],
    stop: &Stop,
) -> Result<[Row; 3], Trouble> {
    let mut rates = Row::new(format!("{connections} connections, pages a second"), 0, Promise::Least(2.0));
    let mut middles = Row::new(format!("{connections} connections, median, ms"), 2, Promise::Nothing);
    let mut lates = Row::new(format!("{connections} connections, p99, ms"), 2, Promise::Most(0.5));
    for server in servers {
        server.serve(connections, count / WARMING, stop)?;
    }
    for _ in 0..turns {
        for server in servers {
            let served = server.serve(connections, count, stop)?;
            rates.add(server.product, served.rate);
            middles.add(server.product, millis(served.part(50)));
            lates.add(server.product, millis(served.part(99)));
        }
    }
    eprintln!("{rates}; {middles}; {lates}");
    Ok([rates, middles, lates])
}
