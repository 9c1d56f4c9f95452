//! Nothing is left of network `hosts`, however often and however roughly it ends.
//!
//! What a process, a mount or a descriptor still holds can be looked for; what the kernel itself has not let go cannot. So
//! fifty labs run under the kernel's own limits of namespaces, which a few labs would reach if any stayed.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};

use super::hosts::{
    interfaces, mounts, namespaces, nothing_is_left, on_hosts, one_at_a_time, processes_in, state,
};
use super::stage::{PROGRAM, Said, Stage, until};

/// Labs that are started and ended.
const LABS: usize = 50;
/// Namespaces of each kind that there may be at a time: of some ten labs, since the kernel takes its time to end a network.
const NAMESPACES: usize = 100;

/// A user namespace with limits of its own, which count what is made in it and below.
struct Limited(Child);

impl Limited {
    fn new() -> Self {
        let limits: String = ["net", "mnt", "uts", "user"]
            .map(|kind| format!("echo {NAMESPACES} > /proc/sys/user/max_{kind}_namespaces && "))
            .concat();
        let line = format!("{limits}exec sleep 600");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", &line]).stdin(Stdio::null());
        let limited = Self(command.spawn().unwrap());
        let name = format!("/proc/{}/comm", limited.0.id());
        until("the limits are set", || fs::read_to_string(&name).is_ok_and(|name| name == "sleep\n"));
        limited
    }

    /// wwwlab in the lab's directory and under the limits; without the rights to make a network, so that it makes a user
    /// namespace as well. Who is root needs the one that is left to be itself in there (user_namespaces(7)).
    fn wwwlab(&self, stage: &Stage, line: &str) -> Command {
        let mut command = stage.command("nsenter");
        command.args(["--user", "--preserve-credentials", "--target", &self.0.id().to_string()]);
        command.args(["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", PROGRAM]);
        command.args(line.split_whitespace());
        command
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What this machine has of these namespaces, by whatever holds them: a process, its descriptors, a mount.
fn held(numbers: &BTreeSet<u64>) -> Vec<String> {
    let mut found: Vec<String> = processes_in(numbers).iter().map(|pid| format!("process {pid}")).collect();
    let names: BTreeSet<String> = ["net", "mnt", "uts"]
        .iter()
        .flat_map(|kind| numbers.iter().map(move |number| format!("{kind}:[{number}]")))
        .collect();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let links = descriptors.filter_map(|one| Some(fs::read_link(one.path()).ok()?.display().to_string()));
        found.extend(
            links.filter(|link| names.contains(link)).map(|link| format!("{link} of {:?}", process.path())),
        );
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(
        mounts.lines().filter(|line| names.iter().any(|name| line.contains(name))).map(str::to_owned),
    );
    found
}

#[test]
fn fifty_labs_leave_nothing() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    let before = interfaces();
    let limited = Limited::new();
    let lock = state(&stage).join("lock");
    for lab in 0..LABS {
        let said = Said::from(limited.wwwlab(&stage, "up -d").output().unwrap());
        assert_eq!(said.code, 0, "lab {lab}: {said:?}");
        let numbers = namespaces(&stage);
        assert!(processes_in(&numbers).len() >= 7 && !held(&numbers).is_empty(), "lab {lab} is there");
        let supervisor: u32 = fs::read_to_string(&lock).unwrap().trim().parse().unwrap();
        // Every other one ends in good order.
        match lab % 2 {
            0 => super::stage::signal(supervisor, "KILL"),
            _ => drop(stage.wwwlab(["down"]).ok()),
        }
        nothing_is_left(&stage, &numbers);
        until("nobody holds them", || held(&numbers).is_empty());
    }
    assert_eq!(interfaces(), before);
    assert_eq!(mounts(), Vec::<String>::new());
    assert!(LABS * 8 > 2 * NAMESPACES, "the limits would have been reached");
}
