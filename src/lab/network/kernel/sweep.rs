//! Who is left on the lab's machines when it ends: a student's open shells, and what was left behind (`nohup … &`).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::lab::network::held::Call;

/// The namespaces of the machines at a place. While they are held, no other can come to have their numbers.
#[derive(Debug)]
pub(in crate::lab::network) struct Held(Vec<File>);

/// What a process has of a machine: its network, or, if it has made itself another, its files, or its name.
const KINDS: [&str; 3] = ["net", "mnt", "uts"];

/// What a process has of a machine that it sits at: who only lends it a network, or a network to others, does not.
const SEAT: [&str; 2] = ["mnt", "uts"];
/// Whoever starts another just before its own end is found the next time; who does nothing else is not hunted for ever.
const ROUNDS_MOST: usize = 16;

/// Where a program sits that is on one machine. This holds nothing: the machine is gone when its lab is.
#[derive(Debug)]
pub struct Seats(BTreeSet<(u64, u64)>);

impl Seats {
    /// Of the machine at `place`.
    pub fn at(place: &Path) -> Self {
        let about = SEAT.iter().filter_map(|kind| fs::metadata(place.join(kind)).ok());
        Self(about.map(|about| (about.dev(), about.ino())).collect())
    }

    /// Whether anybody of this user sits there, or has not ended yet.
    pub fn are_taken(&self) -> bool {
        reach_all(&self.0, &SEAT, Call::Count, 0) > 0
    }
}

/// Kills whoever of this user sits at the machine at `place`, as a power failure would.
pub(in crate::lab::network) fn sweep_one(place: &Path) {
    let held: Vec<File> = SEAT.iter().filter_map(|kind| File::open(place.join(kind)).ok()).collect();
    let numbers = numbers(&held);
    for _ in 0..ROUNDS_MOST {
        if reach_all(&numbers, &SEAT, Call::Kill, 0) == 0 {
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

    /// Calls on whoever of this user is on one of the machines, but for the process `spared`; how many there were.
    pub(in crate::lab::network) fn call(&self, call: Call, spared: u32) -> usize {
        reach_all(&numbers(&self.0), &KINDS, call, spared)
    }
}

fn numbers(held: &[File]) -> BTreeSet<(u64, u64)> {
    held.iter().filter_map(|held| held.metadata().ok()).map(|about| (about.dev(), about.ino())).collect()
}

/// Calls on whoever of this user is in one of the namespaces of these `numbers` and `kinds`, but for the process `spared`;
/// how many there were.
fn reach_all(numbers: &BTreeSet<(u64, u64)>, kinds: &[&str], call: Call, spared: u32) -> usize {
    if numbers.is_empty() {
        return 0;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let spared = i32::try_from(spared).ok();
    pids.filter(|&pid| Some(pid) != spared && reach(pid, numbers, kinds, call)).count()
}

/// Calls on the process `pid` if it is on one of the machines: on the very process that was looked at. Whether it was there.
fn reach(pid: i32, numbers: &BTreeSet<(u64, u64)>, kinds: &[&str], call: Call) -> bool {
    let Some(process) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    let is_there = kinds.iter().any(|kind| {
        let about = fs::metadata(format!("/proc/{pid}/ns/{kind}"));
        about.is_ok_and(|about| numbers.contains(&(about.dev(), about.ino())))
    });
    let send = |signal| pidfd_send_signal(&process, signal).is_ok();
    is_there
        && match call {
            Call::Count => true,
            // Who stands still (^Z) has to go on to end.
            Call::HangUp => send(Signal::HUP) && send(Signal::CONT),
            Call::Kill => send(Signal::KILL),
        }
}
