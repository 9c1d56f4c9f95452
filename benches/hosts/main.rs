//! How soon hosts are machines of their own: wwwlab's network `hosts` beside Mininet, in one run, taking turns.
//!
//! Mininet (`mn`) joins 20 hosts to one switch and ends; wwwlab brings up 20 computers in its classroom, with everything
//! else that a lab has: five hosts, three routers, a switch, and all services serving. Both are timed from the start
//! of the command to the end of all that it made. Beside that, what network `hosts` adds to `wwwlab up`, and how long a full
//! classroom takes. What was started ends with the bench, also when it is interrupted or killed.
//!
//! Mininet needs root; without, its column is empty and the result says so. It measures and does not judge: a missed target
//! is said in the table, and the exit code stays 0.
//!
//! `BENCH_HOSTS` says how many turns, 1 to 100; default 10.

#![expect(clippy::print_stderr, reason = "this is a command: its progress goes to stderr")]

#[expect(dead_code, reason = "this bench needs a part of what the benches share")]
#[path = "../ground/mod.rs"]
mod ground;
mod lab;
mod report;

use std::path::Path;
use std::process::{Command, ExitCode};

use tempfile::TempDir;
use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::guard::Guard;

use crate::ground::installed::{exactly, versions};
use crate::ground::program::Program;
use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot};
use crate::ground::{machine, number, ours};
use crate::lab::Lab;
use crate::report::Report;

/// Turns, unless `BENCH_HOSTS` says otherwise.
const TURNS: u32 = 10;
const TURNS_MOST: u32 = 100;
/// Computers of the comparison, and of a full classroom.
const COMPUTERS: u32 = 20;
const COMPUTERS_MOST: u32 = 200;

fn main() -> ExitCode {
    ground::bench::run(bench)
}

fn bench(stop: &Stop) -> Result<Report, Trouble> {
    let turns = number::from("BENCH_HOSTS", 1..=TURNS_MOST, TURNS)?;
    let is_root = nix::unistd::geteuid().is_root();
    let (mn, brctl) = (exactly("mn"), exactly("brctl"));
    let (Some(mn), Some(_)) = (mn, brctl) else {
        let packages = "mininet bridge-utils".to_owned();
        return Err(Trouble::Missing { programs: vec!["mn", "brctl"], packages });
    };
    let place = TempDir::with_prefix("wwwlab-bench-").map_err(cannot("make a temporary directory"))?;
    let guard = ours::guard()?;
    let lab =
        |name: &str, network, classroom| Lab::new(place.path().join(name), network, classroom, &guard, stop);
    let loopback = lab("loopback", "loopback", 0)?;
    let hosts = lab("hosts", "hosts", 0)?;
    let many = lab("many", "hosts", COMPUTERS)?;
    let most = lab("most", "hosts", COMPUTERS_MOST)?;

    let mut report = Report::new(turns, machine::describe(), versions(&[("Mininet", &mn, "--version")]));
    for turn in 1..=turns {
        let times = loopback.turn(&guard, stop)?;
        report.loopback.push(times.up);
        report.hosts.push(hosts.turn(&guard, stop)?.up);
        let times = many.turn(&guard, stop)?;
        report.many.push(times.up);
        report.many_and_down.push(times.up_and_down);
        report.most.push(most.turn(&guard, stop)?.up);
        if is_root {
            report.mininet.push(mininet(&mn, place.path(), &guard, stop)?);
        }
        eprintln!("turn {turn} of {turns}");
    }
    drop(guard);
    Ok(report)
}

/// Milliseconds in which Mininet makes as many hosts and lets them go again.
fn mininet(mn: &Path, place: &Path, guard: &Guard, stop: &Stop) -> Result<f64, Trouble> {
    let mut command = Command::new(mn);
    let topology = format!("single,{COMPUTERS}");
    command.args(["--topo", &topology, "--switch", "lxbr", "--controller", "none", "--test", "none"]);
    let watch = Stopwatch::start();
    Program::run("mn", &mut command, place.join("mn.log"), guard, stop)?;
    Ok(watch.elapsed().as_secs_f64() * 1000.0)
}
