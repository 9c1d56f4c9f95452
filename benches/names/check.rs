//! Reading a zone file only to say what is wrong with it: `wwwlab zone check` beside `named-checkzone`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wwwlab::ground::clock::Stopwatch;

use crate::ground::ours::wwwlab;
use crate::ground::program::Program;
use crate::ground::trouble::{Trouble, of};
use crate::server::World;
use crate::zone::ORIGIN;

/// How often the memory is looked at: so much may its last growth be missed.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const CHECKED_WITHIN: Duration = Duration::from_secs(120);

/// What a check took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    pub(crate) time: Duration,
    /// The most octets that were resident at a time.
    pub(crate) peak: u64,
}

/// Ours.
pub(crate) fn ours(zone: &Path, world: &World) -> Result<Checked, Trouble> {
    check("wwwlab zone check", wwwlab().args(["zone", "check", "--origin", ORIGIN]).arg(zone), world)
}

/// BIND's, told to look nothing up outside the zone.
pub(crate) fn theirs(zone: &Path, world: &World) -> Result<Checked, Trouble> {
    let mut command = Command::new(&world.programs.named_checkzone);
    check("named-checkzone", command.args(["-i", "local", ORIGIN]).arg(zone), world)
}

fn check(name: &'static str, command: &mut Command, world: &World) -> Result<Checked, Trouble> {
    let said = world.place.join("check.log");
    let watch = Stopwatch::start();
    let mut program = Program::start(name, command, said.clone(), world.guard)?;
    let (pid, ended) = (program.pid(), AtomicBool::new(false));
    let (status, time, peak) = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                peak = peak.max(most_resident(pid));
                thread::sleep(LOOK_EVERY);
            }
            peak
        });
        let status = program.wait_or_stop(CHECKED_WITHIN, world.stop);
        let time = watch.elapsed();
        ended.store(true, Ordering::Relaxed);
        (status, time, looking.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked)))
    });
    if !status?.success() {
        return Err(Trouble::Failed { program: name, said: program.last_words() });
    }
    fs::remove_file(&said).map_err(of(&said))?;
    Ok(Checked { time, peak })
}

/// The kernel's own mark of the most (proc(5), `VmHWM`); nothing once the process has let go of its memory.
fn most_resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes =
        mark.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}
