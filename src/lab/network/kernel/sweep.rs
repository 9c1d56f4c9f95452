//! Who is left on the lab's machines when it ends: what a student started there and left behind (`nohup … &`).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The namespaces of the machines at a place. While they are held, no other can come to have their numbers.
#[derive(Debug)]
pub(in crate::lab::network) struct Held(Vec<File>);

/// What a process has of a machine: its network, or, if it has made itself another, its files.
const KINDS: [&str; 2] = ["net", "mnt"];

/// What a process has of a machine that it sits at: who only lends it a network, or a network to others, does not.
const SEAT: [&str; 2] = ["mnt", "uts"];
/// Whoever starts another just before its own end is found the next time; who does nothing else is not hunted for ever.
const ROUNDS_MOST: usize = 16;

/// Kills whoever of this user sits at the machine at `place`, as a power failure would.
pub(in crate::lab::network) fn sweep_one(place: &Path) {
    let held: Vec<File> = SEAT.iter().filter_map(|kind| File::open(place.join(kind)).ok()).collect();
    let numbers = numbers(&held);
    for _ in 0..ROUNDS_MOST {
        if sweep(&numbers, &SEAT) == 0 {
            break;
        }
    }
}

impl Held {
    /// Holds the machines at `place`.
    pub(in crate::lab::network) fn at(place: &Path) -> Self {
        crate::ground::descriptors::raise();
        let machines = fs::read_dir(place).into_iter().flatten().flatten();
        let links = machines.flat_map(|machine| KINDS.map(|kind| machine.path().join(kind)));
        Self(links.filter_map(|link| File::open(link).ok()).collect())
    }

    /// Kills whoever of this user is on one of the machines; how many there were.
    pub(in crate::lab::network) fn sweep(&self) -> usize {
        sweep(&numbers(&self.0), &KINDS)
    }
}

fn numbers(held: &[File]) -> BTreeSet<(u64, u64)> {
    held.iter().filter_map(|held| held.metadata().ok()).map(|about| (about.dev(), about.ino())).collect()
}

/// Kills whoever of this user is in one of the namespaces of these `numbers` and `kinds`; how many there were.
fn sweep(numbers: &BTreeSet<(u64, u64)>, kinds: &[&str]) -> usize {
    if numbers.is_empty() {
        return 0;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| kill(pid, numbers, kinds)).count()
}

/// Kills the process `pid` if it is on one of the machines: the very process that was looked at.
fn kill(pid: i32, numbers: &BTreeSet<(u64, u64)>, kinds: &[&str]) -> bool {
    let Some(process) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    let is_there = kinds.iter().any(|kind| {
        let about = fs::metadata(format!("/proc/{pid}/ns/{kind}"));
        about.is_ok_and(|about| numbers.contains(&(about.dev(), about.ino())))
    });
    is_there && pidfd_send_signal(&process, Signal::KILL).is_ok()
}
