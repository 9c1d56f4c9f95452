//! The memory of a stack: the sum of PSS over its processes, in which a page that several processes share is
//! counted once, divided among them (proc(5), `smaps_rollup`).

use std::fs;

use crate::trouble::{Trouble, of};

/// One process of a stack.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// The beginning of its command line.
    pub(crate) name: String,
}

/// What one process takes.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) bytes: u64,
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

/// What each of `processes` takes now.
pub(crate) fn taken(processes: &[Process]) -> Result<Vec<Taken>, Trouble> {
    processes
        .iter()
        .map(|process| {
            let file = format!("/proc/{}/smaps_rollup", process.pid);
            let rollup = fs::read_to_string(&file).map_err(of(file))?;
            let kibibytes: u64 = rollup
                .lines()
                .find_map(|line| line.strip_prefix("Pss:"))
                .and_then(|rest| rest.split_whitespace().next())
                .and_then(|number| number.parse().ok())
                .unwrap_or_default();
            Ok(Taken { name: process.name.clone(), bytes: kibibytes * 1024 })
        })
        .collect()
}

/// Whether `pid` is a process that has not ended; one that nobody has reaped has.
pub(crate) fn is_alive(pid: u32) -> bool {
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
