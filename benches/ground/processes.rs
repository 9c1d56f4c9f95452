//! The processes that a program consists of, what they take, and that they are gone.

use std::fs;
use std::thread;
use std::time::Duration;

use wwwlab::ground::clock::Stopwatch;

use super::trouble::{Trouble, of};

/// After its parent has ended in good order, no process lives on for longer.
const GONE_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// One process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// The beginning of its command line.
    pub(crate) name: String,
}

/// The `roots` and all that descend from them, in the order of their ids.
pub(crate) fn family(roots: &[u32]) -> Result<Vec<Process>, Trouble> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").map_err(of("/proc"))? {
        let name = entry.map_err(of("/proc"))?.file_name();
        // A process that has ended in between has no parent to tell.
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            && let Some(parent) = parent(pid)
        {
            parents.push((pid, parent));
        }
    }
    let mut pids = roots.to_vec();
    let mut seen = 0;
    while let Some(&pid) = pids.get(seen) {
        seen += 1;
        pids.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(pid, _)| *pid));
    }
    pids.sort_unstable();
    Ok(pids.into_iter().map(|pid| Process { pid, name: name(pid) }).collect())
}

/// The octets of memory that `process` takes now: its PSS, in which a page that several processes share is divided
/// among them (proc(5), `smaps_rollup`).
pub(crate) fn memory(process: &Process) -> Result<u64, Trouble> {
    let file = format!("/proc/{}/smaps_rollup", process.pid);
    let rollup = fs::read_to_string(&file).map_err(of(file))?;
    let kibibytes: u64 = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    Ok(kibibytes * 1024)
}

/// Makes sure that none of `family` is left, whose eldest have been asked to end.
pub(crate) fn wait_until_gone(family: &[Process]) -> Result<(), Trouble> {
    let watch = Stopwatch::start();
    while let Some(left) = family.iter().find(|process| is_alive(process.pid)) {
        if watch.elapsed() > GONE_WITHIN {
            return Err(Trouble::Endless { program: left.name.clone(), pid: left.pid, limit: GONE_WITHIN });
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Whether `pid` is a process that has not ended; one that nobody has reaped has.
fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid).map(|(_, parent)| parent)
}

/// State and parent from `/proc/PID/stat`; the name before them may hold spaces and brackets.
fn stat(pid: u32) -> Option<(String, u32)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Words of a command line that tell a process from its siblings.
const WORDS: usize = 3;

fn name(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    let rest = words.take_while(|word| !word.starts_with(['-', '/']));
    std::iter::once(program).chain(rest).take(WORDS).collect::<Vec<_>>().join(" ")
}
