//! How soon the whole stack answers after it is started, what it takes when idle, how large it is: wwwlab beside
//! BIND, nginx, PHP-FPM and MariaDB, in one run, taking turns.
//!
//! Both are looked at in the same way: [`probe`] asks for the same name and the same page, [`page`] says what
//! makes the page right, [`memory`] adds up the same number over all processes. Both count the visit durably in
//! their database, read the newest five entries and show the same page. Everything happens on 127.0.0.0/8 and in
//! a temporary directory. What was started ends with the bench, also when it is interrupted or killed.
//!
//! It measures and does not judge: a missed target is said in the table, and the exit code stays 0.
//!
//! `BENCH_RUNS` says how many runs of each, 1 to 1000; default 20.

#![expect(clippy::print_stderr, reason = "this is a command: its progress goes to stderr")]

#[path = "../ground/mod.rs"]
mod ground;
mod installed;
mod measured;
mod memory;
mod ours;
mod page;
mod peers;
mod probe;
mod report;
mod stack;

use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;

use crate::ground::ports::Ports;
use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot};
use crate::ground::{machine, number};
use crate::installed::Programs;
use crate::measured::Measured;
use crate::ours::Ours;
use crate::peers::Peers;
use crate::report::Report;
use crate::stack::Stack;

/// Runs of each stack, unless `BENCH_RUNS` says otherwise.
const RUNS: u32 = 20;
const RUNS_MOST: u32 = 1000;
/// How long a stack is left alone before its memory is taken.
const IDLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    ground::bench::run(bench)
}

fn bench(stop: &Stop) -> Result<Report, Trouble> {
    let runs = number::from("BENCH_RUNS", 1..=RUNS_MOST, RUNS)?;
    let programs = Programs::find()?;
    let place = TempDir::with_prefix("wwwlab-bench-").map_err(cannot("make a temporary directory"))?;
    let guard = ground::ours::guard()?;

    eprintln!("preparing both in {}", place.path().display());
    let mut ports = Ports::new();
    let ours = Ours::prepare(place.path(), &mut ports, &guard, stop)?;
    let theirs = Peers::prepare(&programs, place.path(), &mut ports, &guard, stop)?;
    let mut stacks: [(&dyn Stack, Measured); 2] =
        [(&ours, Measured::default()), (&theirs, Measured::default())];
    for run in 1..=runs {
        // Taking turns, so that whatever else the machine does meets both.
        for (stack, measured) in &mut stacks {
            let answered = once(*stack, measured, stop)?;
            eprintln!("run {run} of {runs}, {:<6} {answered}", stack.name());
        }
    }
    let [(_, ours), (_, theirs)] = stacks;
    let executable = std::fs::metadata(ground::ours::PROGRAM).map_err(cannot("look at the executable"))?;
    let report = Report {
        ours,
        theirs,
        runs,
        executable_bytes: executable.len(),
        machine: machine::describe(),
        versions: programs.versions(),
    };
    drop(guard);
    Ok(report)
}

/// Starts `stack`, waits for its first right answers, takes its memory, ends it.
fn once(stack: &dyn Stack, measured: &mut Measured, stop: &Stop) -> Result<String, Trouble> {
    let running = stack.start()?;
    let first = running.first_right_answers(stop)?;
    stop.sleep(IDLE)?;
    let taken = running.memory()?;
    running.end()?;
    let said = first
        .iter()
        .map(|(what, after)| format!("{what} {:.1} ms", after.as_secs_f64() * 1000.0))
        .collect::<Vec<_>>()
        .join(", ");
    measured.add(&first, taken);
    Ok(said)
}
