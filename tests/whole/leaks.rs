//! Nothing is left of network `hosts`, however often and however roughly it ends.
//!
//! What a process, a mount or a descriptor still holds can be looked for; what the kernel itself has not let go cannot. So
//! fifty labs run under the kernel's own limits of namespaces, which a few labs would reach if any stayed.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::hosts::{
    MACHINES, interfaces, mounts, namespaces, nothing_is_left, on, on_hosts, one_at_a_time, place,
    processes_in, state, up,
};
use super::stage::{PROGRAM, Said, Stage, until};

/// Labs that are started and ended.
const LABS: usize = 50;
/// Namespaces of each kind that there may be at a time: of some ten labs, since the kernel takes its time to end a network.
const NAMESPACES: usize = 100;
// Were the networks of eight machines to stay, the limits would be reached long before the last lab.
const _: () = assert!(LABS * MACHINES.len() > 2 * NAMESPACES);

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
}

/// All addresses of this machine but those that are of one link alone.
fn addresses() -> Vec<String> {
    let said = Said::from(Command::new("ip").args(["-o", "address"]).output().unwrap()).ok();
    let lines = said.lines().filter(|line| !line.contains("scope link"));
    lines.map(|line| line.split_whitespace().nth(3).unwrap().split('/').next().unwrap().to_owned()).collect()
}

#[test]
fn no_machine_of_the_lab_reaches_this_one_or_the_internet() {
    let _turn = one_at_a_time();
    let stage = up();
    for family in ["-4", "-6"] {
        let routes = on(&place(&stage, "internet"), &format!("ip {family} route")).ok();
        assert!(
            !routes.contains("default") && routes.contains("203.0.113") | routes.contains("2001:db8:4"),
            "{routes}"
        );
    }
    let listeners = ["0.0.0.0:0", "[::]:0"].map(TcpListener::bind);
    let listeners: Vec<TcpListener> = listeners.into_iter().flatten().collect();
    assert!(!listeners.is_empty());
    let own = addresses();
    assert!(own.iter().any(|address| address == "127.0.0.1"), "{own:?}");
    for machine in MACHINES {
        let machine = place(&stage, machine);
        for listener in &listeners {
            let here = listener.local_addr().unwrap();
            for address in own.iter().filter(|address| address.contains(':') == here.is_ipv6()) {
                let to = if here.is_ipv6() { format!("[{address}]") } else { address.clone() };
                let said = on(&machine, &format!("curl -s --max-time 30 http://{to}:{}/", here.port()));
                assert_eq!(said.code, 7, "{address}: {said:?}");
            }
        }
        for (family, address) in [("-4", "1.1.1.1"), ("-4", "192.0.2.200"), ("-6", "2606:4700:4700::1111")] {
            let said = on(&machine, &format!("ping {family} -n -c1 -W5 {address}"));
            assert_ne!(said.code, 0, "{address}: {said:?}");
            assert!(!said.out.contains("bytes from"), "{address}: {said:?}");
        }
    }
    for listener in listeners {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody came");
    }
}

#[test]
fn a_lab_is_up_on_both_networks_and_each_ends_alone() {
    let _turn = one_at_a_time();
    let stage = Stage::up();
    stage.wwwlab(["up", "-d", "--network", "hosts"]).ok();
    let (numbers, web) = (namespaces(&stage), stage.pid("web"));
    let inside = || on(&place(&stage, "client"), "curl -si -H Host:www.foobar.com http://8.8.8.8/").out;
    assert!(stage.page("/").1.contains(" 200 ") && inside().contains(" 200 "));
    stage.wwwlab(["stop", "web", "--network", "hosts"]).ok();
    assert!(stage.page("/").1.contains(" 200 ") && inside().is_empty());
    stage.wwwlab(["down", "--network", "hosts"]).ok();
    until("nobody holds them", || held(&numbers).is_empty());
    assert!(!state(&stage).join("hosts").exists() && !state(&stage).join("control").exists());
    assert!(stage.page("/").1.contains(" 200 "));
    assert_eq!(stage.pid("web"), web, "the other has noticed nothing");

    stage.wwwlab(["up", "-d", "--network", "hosts"]).ok();
    stage.wwwlab(["down", "--network", "loopback"]).ok();
    assert!(inside().contains(" 200 "));
}
