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

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a command: the result goes to stdout, the progress to stderr"
)]

mod installed;
mod machine;
mod measured;
mod memory;
mod ours;
mod page;
mod peers;
mod ports;
mod probe;
mod program;
mod report;
mod stack;
mod stop;
mod table;
mod trouble;

use std::env;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use wwwlab::ground::service::causes;
use wwwlab::lab::guard::Guard;

use crate::installed::Programs;
use crate::measured::Measured;
use crate::ours::{Ours, PROGRAM};
use crate::peers::Peers;
use crate::ports::Ports;
use crate::report::Report;
use crate::stack::Stack;
use crate::stop::Stop;
use crate::trouble::{Trouble, cannot};

/// Runs of each stack, unless `BENCH_RUNS` says otherwise.
const RUNS: u32 = 20;
const RUNS_MOST: u32 = 1000;
/// How long a stack is left alone before its memory is taken.
const IDLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match until_stopped(bench) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("bench: {}", causes(&trouble).join(": "));
            ExitCode::FAILURE
        }
    }
}

/// Does `work` on a thread of its own and tells it when the user wants it to stop: what it started then ends in
/// the ordinary way, with the values that hold it.
fn until_stopped<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.map_err(cannot("watch for signals"))?.block_on(async {
        let watch = |kind| signal(kind).map_err(cannot("watch for signals"));
        let mut interrupt = watch(SignalKind::interrupt())?;
        let mut terminate = watch(SignalKind::terminate())?;
        let mut hang_up = watch(SignalKind::hangup())?;
        let stop = Stop::default();
        let heard = stop.clone();
        let mut working = tokio::task::spawn_blocking(move || work(&heard));
        let done = tokio::select! {
            done = &mut working => Some(done),
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            _ = hang_up.recv() => None,
        };
        let done = match done {
            Some(done) => done,
            None => {
                stop.now();
                working.await
            }
        };
        // It panicked, and has said so; what it held was dropped.
        done.map_err(io::Error::other).map_err(cannot("finish"))?
    })
}

fn bench(stop: &Stop) -> Result<Report, Trouble> {
    let runs = runs()?;
    let programs = Programs::find()?;
    let place = TempDir::with_prefix("wwwlab-bench-").map_err(cannot("make a temporary directory"))?;
    let guard = Guard::start(Path::new(PROGRAM), Vec::new()).map_err(cannot("start the guard"))?;

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
    let executable = std::fs::metadata(PROGRAM).map_err(cannot("look at the executable"))?;
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

fn runs() -> Result<u32, Trouble> {
    let Some(written) = env::var_os("BENCH_RUNS") else {
        return Ok(RUNS);
    };
    written
        .to_str()
        .and_then(|written| written.parse().ok())
        .filter(|runs| (1..=RUNS_MOST).contains(runs))
        .ok_or(Trouble::Runs { written, most: RUNS_MOST })
}
