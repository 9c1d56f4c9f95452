//! What a page costs and how many are served: wwwlab's web server beside nginx, in one run, taking turns.
//!
//! Both serve the same files on 127.0.0.1 from one thread or worker, pass the same target to the same application
//! ([`upstream`]), write the same access log, show certificates of the same kind, and are asked by the same visitors
//! ([`visitors`]) in the same ways ([`way`]). What the processor spent is asked of the kernel ([`cpu`]). What was started ends with the bench, also when it is interrupted
//! or killed.
//!
//! It measures and does not judge: a missed target is said in the table, and the exit code stays 0.
//!
//! `BENCH_WEB` says how many turns each has, 1 to 100; default 5.

#![expect(clippy::print_stderr, reason = "this is a command: its progress goes to stderr")]

#[path = "../names/cpu.rs"]
mod cpu;
#[path = "../ground/mod.rs"]
mod ground;
mod page;
mod report;
mod server;
mod tls;
mod upstream;
#[path = "../ground/visitors.rs"]
mod visitors;
mod way;

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;

use crate::ground::installed::{exactly, versions};
use crate::ground::ports::Ports;
use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot, of};
use crate::ground::{machine, number, ours};
use crate::page::Page;
use crate::report::{Promise, Report, Row};
use crate::server::{Product, Server, World};
use crate::upstream::Upstream;
use crate::way::Way;

/// Turns of each server, unless `BENCH_WEB` says otherwise.
const TURNS: u32 = 5;
const TURNS_MOST: u32 = 100;
/// Visitors at a time, each with a connection.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// How long the servers are left alone before their memory is taken.
const IDLE: Duration = Duration::from_millis(500);
/// The part of a turn that is asked for before anything is measured.
const WARMING: u32 = 10;

fn main() -> ExitCode {
    ground::bench::run(bench)
}

fn bench(stop: &Stop) -> Result<Report, Trouble> {
    let turns = number::from("BENCH_WEB", 1..=TURNS_MOST, TURNS)?;
    let nginx =
        exactly("nginx").ok_or(Trouble::Missing { programs: vec!["nginx"], packages: "nginx".to_owned() })?;
    let place = TempDir::with_prefix("wwwlab-bench-").map_err(cannot("make a temporary directory"))?;
    let site = place.path().join("site");
    fs::create_dir(&site).map_err(of(&site))?;
    Page::write_all(&site)?;
    tls::make(place.path())?;
    let upstream = Upstream::start()?;
    let guard = ours::guard()?;
    let world = World { nginx: &nginx, place: place.path(), app: upstream.address, guard: &guard, stop };

    let mut ports = Ports::new();
    let servers: Vec<Server> = Product::ALL
        .into_iter()
        .map(|product| Server::start(product, &mut ports, &world))
        .collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for way in Way::ALL {
        for page in way.pages() {
            for connections in CONNECTIONS {
                rows.extend(measure((way, *page), connections, turns, &servers, stop)?);
            }
        }
    }
    stop.sleep(IDLE)?;
    let mut memory = Row::new("memory after that, MB".to_owned(), 1, Promise::Nothing);
    for server in servers {
        memory.add(server.product, server.memory()?);
        server.end()?;
    }
    rows.push(memory);
    drop(guard);
    Ok(Report {
        rows,
        how: format!(
            "Medians of {turns} turns; the ratio is of wwwlab to nginx, in each turn's number. Microseconds are the processor's, user and system\n\
             together, of all processes of a server: in a lab also of the supervisor, which keeps the journal, and of all other services."
        ),
        machine: machine::describe(),
        versions: versions(&[("nginx", &nginx, "-v")]),
    })
}

/// What a page costs over so many connections, and how many of it are served in a second.
fn measure(
    asked: (Way, Page),
    connections: usize,
    turns: u32,
    servers: &[Server],
    stop: &Stop,
) -> Result<[Row; 2], Trouble> {
    let (way, page) = asked;
    let (count, (cost, rate)) = (way.requests(page), way.promises(page));
    let what = format!("{page}{way}, {connections} connections");
    let mut costs = Row::new(format!("{what}, µs each"), 1, cost);
    let mut rates = Row::new(format!("{what}, a second"), 0, rate);
    let servers = || servers.iter().filter(|server| page.is_had_by(server.product));
    for server in servers() {
        server.serve(asked, connections, count / WARMING, stop)?;
    }
    for _ in 0..turns {
        for server in servers() {
            let served = server.serve(asked, connections, count, stop)?;
            costs.add(server.product, served.cost.as_secs_f64() * 1e6);
            rates.add(server.product, served.rate);
        }
    }
    eprintln!("{costs}; {rates}");
    Ok([costs, rates])
}
