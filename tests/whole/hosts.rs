//! Network `hosts`: real machines, by the kernel's namespaces, with the real ping, dig, curl and ip.
//!
//! What is asserted of this machine (no interface, no mount, no namespace more than before) is asserted of all of it, so
//! these tests run one after the other.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wwwlab::lab::config::Config;
use wwwlab::lab::guard::Guard;
use wwwlab::lab::network::held::Network;

use super::ordinary_user::{Ending, as_user};
use super::own_app::example;
use super::stage::{PROGRAM, Said, Stage, free_port, processes_of, until};

/// Every machine of the small lab.
pub(super) const MACHINES: [&str; 8] =
    ["client", "resolver", "root", "tld", "server", "home", "isp", "internet"];
const KINDS: [&str; 3] = ["net", "mnt", "uts"];

pub(super) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn on_hosts(stage: Stage) -> Stage {
    stage.edit("lab.toml", |text| match text.contains("# network = \"loopback\"") {
        true => text.replace("# network = \"loopback\"", "network = \"hosts\""),
        false => format!("[lab]\nnetwork = \"hosts\"\n{text}"),
    });
    stage
}

pub(super) fn up() -> Stage {
    let stage = on_hosts(Stage::new());
    stage.wwwlab(["up", "-d"]).ok();
    stage
}

pub(super) fn state(stage: &Stage) -> PathBuf {
    stage.root().join(".wwwlab/hosts")
}

pub(super) fn place(stage: &Stage, machine: &str) -> PathBuf {
    state(stage).join("hosts").join(machine)
}

/// Runs `line` on a machine, as its administrator.
pub(super) fn on(place: &Path, line: &str) -> Said {
    let mut command = Command::new(PROGRAM);
    command.arg("within").arg(place).args(["--capable", "--"]).args(line.split_whitespace());
    Said::from(command.stdin(Stdio::null()).output().unwrap())
}

/// The numbers of a lab's namespaces while it is up.
pub(super) fn namespaces(stage: &Stage) -> BTreeSet<u64> {
    let links = MACHINES.iter().flat_map(|machine| KINDS.map(|kind| place(stage, machine).join(kind)));
    let numbers: BTreeSet<u64> = links.map(|link| fs::metadata(link).unwrap().ino()).collect();
    assert_eq!(numbers.len(), MACHINES.len() * KINDS.len(), "each machine has its own");
    numbers
}

/// The processes that are in one of these namespaces.
pub(super) fn processes_in(numbers: &BTreeSet<u64>) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_in = |pid: &u32| {
        KINDS.iter().any(|kind| {
            fs::metadata(format!("/proc/{pid}/ns/{kind}")).is_ok_and(|about| numbers.contains(&about.ino()))
        })
    };
    pids.filter(is_in).collect()
}

/// The interfaces of this machine.
pub(super) fn interfaces() -> BTreeSet<String> {
    fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// This machine's mounts that are a lab's.
pub(super) fn mounts() -> Vec<String> {
    let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
    all.lines().filter(|line| line.contains("wwwlab ")).map(str::to_owned).collect()
}

#[track_caller]
pub(super) fn nothing_is_left(stage: &Stage, numbers: &BTreeSet<u64>) {
    until("every process is gone", || {
        processes_of(&stage.root()).is_empty() && processes_in(numbers).is_empty()
    });
    until("every file of the run is gone", || {
        ["hosts", "lock", "control"].iter().all(|name| !state(stage).join(name).exists())
    });
    assert_eq!(mounts(), Vec::<String>::new());
}

#[test]
fn a_database_server_is_on_the_server_and_its_client_goes_there() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    stage.wwwlab(["up", "-d", "--db", "mysql"]).ok();
    let client = place(&stage, "client");
    let page = |how: &str| on(&client, &format!("curl -s {how} http://www.foobar.com/guestbook")).out;
    page("-d name=Ada -d message=kept");
    assert!(page("").contains("kept"));
    let path = on(&client, "curl -s http://www.foobar.com/").out;
    assert!(path.contains("<bdi>MariaDB ") && path.contains("8.8.8.8<wbr><span>:3306</span>"), "{path}");
    // Out here 8.8.8.8 is somebody else, who is not to be shown a password.
    let asked = stage.wwwlab(["db", "--", "-N", "-B", "-e", "SELECT message, user() FROM entries"]);
    assert!(asked.err.contains("hosts/server -- mariadb"), "{asked:?}");
    assert_eq!(asked.ok(), "kept\twwwlab@8.8.8.8\n");
    stage.wwwlab(["stop", "db"]).ok();
    assert_eq!(stage.wwwlab(["db", "--", "-e", "SELECT 1"]).code, 1, "the client's own exit code");
    for says in ["", "refuses connections"] {
        let page = page("");
        assert!(page.contains("<strong>database</strong>") && page.contains(says), "{page}");
    }
    stage.wwwlab(["start", "db"]).ok();
    assert!(page("").contains("kept"), "by itself");
    stage.wwwlab(["down"]).ok();
    let refused = stage.wwwlab(["up", "--db", "mysql://ada:s3cret@192.0.2.1/book"]).refused(1);
    assert!(refused.contains("reach nothing outside of the lab, so not the database at 192.0.2.1:3306"));
    assert!(!refused.contains("s3cret"));
}

#[test]
fn packets_cross_the_routers_as_they_would() {
    let _turn = one_at_a_time();
    let stage = up();
    let client = place(&stage, "client");
    for (line, ttl) in [
        ("ping -n -c1 -W30 192.0.2.1", "ttl=64"),
        ("ping -n -c1 -W30 192.0.2.53", "ttl=62"),
        ("ping -n -c1 -W30 8.8.8.8", "ttl=61"),
        ("ping -n -c1 -W30 2001:4860:4860::8888", "ttl=61"),
        ("ping -n -c1 -W30 2001:503:ba3e::2:30", "ttl=61"),
    ] {
        let said = on(&client, line).ok();
        assert!(said.contains(ttl), "{line}: {said}");
    }
    assert_eq!(on(&client, "hostname").ok().trim(), "client");
    let routes = on(&client, "ip route").ok();
    assert!(routes.contains("default via 192.0.2.1 dev eth0"), "{routes}");
    let answer = on(&client, "dig +tries=1 www.foobar.com").ok();
    assert!(answer.contains("SERVER: 192.0.2.53#53"), "{answer}");
    let answer = on(&client, "dig +tries=1 @8.8.8.8 www.foobar.com").ok();
    assert!(answer.contains("status: NOERROR") && answer.contains("flags: qr aa rd"), "{answer}");
    let page = on(&client, "curl -si -H Host:www.foobar.com http://8.8.8.8/").ok();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let here = std::env::current_dir().unwrap();
    assert_eq!(on(&client, "pwd").ok().trim(), here.to_str().unwrap(), "the directory stays");
    assert_eq!(
        on(&client, "grep -q nobody-of-this-name /etc/hosts").code,
        1,
        "the exit code is the program's"
    );
    // A second lab has the same addresses and meets nobody.
    let other = up();
    let page = on(&place(&other, "client"), "curl -si -H Host:www.foobar.com http://8.8.8.8/").ok();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    other.wwwlab(["down"]).ok();
    assert!(on(&client, "ping -n -c1 -W30 8.8.8.8").ok().contains("ttl=61"));
}

#[test]
fn no_packet_leaves_and_none_comes_in() {
    let _turn = one_at_a_time();
    let before = interfaces();
    let stage = up();
    assert_eq!(interfaces(), before, "no interface of the lab is ever one of this machine");
    let mut ends = 0;
    for machine in MACHINES {
        let links = on(&place(&stage, machine), "ip -br link").ok();
        ends += links.lines().filter(|line| !line.starts_with("lo ")).count();
    }
    assert_eq!(ends, 14, "seven cables, and both ends of each are in the lab");
    let client = place(&stage, "client");
    let said = on(&client, "ping -n -c1 -W30 9.9.9.9");
    assert!(said.code == 1 && said.out.contains("From 203.0.113.1"), "{said:?}");
    // This machine listens at all its addresses, and nobody in the lab gets there.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let outward = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Sends nothing: it only asks which address would be the sender's.
    let own =
        outward.connect("192.0.2.10:9").and_then(|()| outward.local_addr()).map(|own| own.ip().to_string());
    for address in own.into_iter().chain(["127.0.0.1".to_owned()]) {
        for machine in ["client", "internet"] {
            let line = format!("curl -s --max-time 30 http://{address}:{port}/");
            let said = on(&place(&stage, machine), &line);
            assert_eq!(said.code, 7, "{machine} to {address}: {said:?}");
        }
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn nothing_is_left_when_it_is_down() {
    let _turn = one_at_a_time();
    let before = interfaces();
    let stage = up();
    let numbers = namespaces(&stage);
    assert!(processes_in(&numbers).len() >= 7, "six services and the network itself");
    assert_eq!(mounts(), Vec::<String>::new(), "the lab's mounts are not this machine's");
    // What a student left behind, in a session of its own; and what made itself another network.
    let left = |line: &str| {
        let mut command = Command::new("setsid");
        command.args([PROGRAM, "within"]).arg(place(&stage, "server")).args(["--capable", "--"]);
        command.args(line.split_whitespace()).stdin(Stdio::null()).spawn().unwrap()
    };
    // Whoever runs the tests may themselves not care (`nohup make test`), and so would all that they start.
    let mut left = [left("env --default-signal=HUP sleep 600"), left("nohup unshare --net sleep 600")];
    until("they are there", || {
        let inside = processes_in(&numbers);
        let sleeps =
            |pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
        left.iter().all(|child| inside.contains(&child.id()) && sleeps(child.id()))
    });
    stage.wwwlab(["down"]).ok();
    // Who is hung up on ends, and who does not care is killed.
    let ends = left.each_mut().map(|child| child.wait().unwrap().signal());
    assert_eq!(ends, [Some(1), Some(9)]);
    nothing_is_left(&stage, &numbers);
    assert_eq!(interfaces(), before);
}

#[test]
fn a_supervisor_killed_at_any_point_leaves_nothing() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    let points = [
        // Before this there is no guard yet, and nothing but the lock's file, which the next `up` takes over.
        "logs/network.log",
        "hosts",
        "hosts/layers",
        "hosts/client",
        "hosts/server/net",
        "hosts/internet/mnt",
        "logs/web.log",
        "logs/resolver.log",
        "logs/app.log",
        "control",
    ];
    for point in points {
        let _ = fs::remove_dir_all(state(&stage));
        let mut supervisor = stage.foreground();
        let seen = || state(&stage).join(point).symlink_metadata().is_ok();
        // The place of the layers is there for an instant only; whoever misses it sees what comes after.
        until(point, || seen() || point == "hosts/layers" && state(&stage).join("control").exists());
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        nothing_is_left(&stage, &BTreeSet::new());
    }
    let mut supervisor = stage.foreground();
    until("it is up", || {
        stage.wwwlab(["status"]).code == 0 && place(&stage, "internet").join("mnt").exists()
    });
    let numbers = namespaces(&stage);
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    nothing_is_left(&stage, &numbers);
    stage.wwwlab(["up", "-d"]).ok();
    assert!(on(&place(&stage, "client"), "ping -n -c1 -W30 8.8.8.8").ok().contains("ttl=61"));
}

/// A supervisor may be killed before its guard knows of the network's process.
#[test]
fn a_network_whose_supervisor_has_gone_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("hosts");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("network").arg(&place).arg("root").stdin(Stdio::from(OwnedFd::from(theirs)));
    let mut network = command.spawn().unwrap();
    drop(command);
    drop(ours);
    assert!(network.wait().unwrap().success());
    assert!(!place.exists());
}

#[test]
fn a_killed_network_ends_the_lab() {
    let _turn = one_at_a_time();
    let stage = up();
    let numbers = namespaces(&stage);
    let link = fs::read_link(place(&stage, "client").join("net")).unwrap();
    let pid = link.components().nth(2).unwrap().as_os_str().to_str().unwrap().parse().unwrap();
    super::stage::signal(pid, "KILL");
    nothing_is_left(&stage, &numbers);
}

#[test]
fn cables_are_cut_and_mended() {
    let _turn = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("hosts");
    let client = place.join("client");
    let answers = |address: &str| on(&client, &format!("ping -n -c1 -W1 {address}")).code == 0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let program = Path::new(PROGRAM);
        let guard = Guard::start(program, vec![place.clone()], Some(place.clone())).unwrap();
        let log = File::create(directory.path().join("network.log")).unwrap();
        let network = Network::start(program, &Config::default(), &place, log, &guard).await.unwrap();
        let orders = network.orders();
        until("both protocols work", || answers("8.8.8.8") && answers("2001:4860:4860::8888"));

        orders.cable("client-home", false).await.unwrap();
        assert!(!answers("192.0.2.1"));
        assert!(on(&client, "ip link show eth0").ok().contains("NO-CARRIER"), "as when a plug is pulled");
        orders.cable("client-home", true).await.unwrap();
        until("both protocols work again", || answers("8.8.8.8") && answers("2001:4860:4860::8888"));

        orders.power("isp", false).await.unwrap();
        until("what is near answers", || answers("192.0.2.1"));
        assert!(!answers("192.0.2.53") && !answers("8.8.8.8"));
        // What is cut stays cut when the power comes back.
        orders.cable("home-isp", false).await.unwrap();
        orders.power("isp", true).await.unwrap();
        assert!(!answers("8.8.8.8"));
        orders.cable("home-isp", true).await.unwrap();
        until("the way is whole again", || answers("8.8.8.8") && answers("2001:4860:4860::8888"));

        let why = orders.cable("client-server", false).await.unwrap_err().join(": ");
        assert!(
            why.contains("there is no cable \"client-server\"; there are client-home, home-isp"),
            "{why}"
        );
        let why = orders.power("nowhere", false).await.unwrap_err().join(": ");
        assert!(why.contains("there is no host \"nowhere\""), "{why}");
        network.close().await;
        guard.close();
    });
    assert!(!place.exists());
}

#[test]
fn a_program_of_the_students_own_runs_on_its_machine() {
    let _turn = one_at_a_time();
    let stage = on_hosts(example("flask-like"));
    stage.wwwlab(["up", "-d"]).ok();
    let client = place(&stage, "client");
    let page = on(&client, "curl -si -H Host:www.foobar.com http://8.8.8.8/").ok();
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("action=\"/sign\""), "{page}");
    let pid = stage.pid("app");
    assert_eq!(
        fs::metadata(format!("/proc/{pid}/ns/net")).unwrap().ino(),
        fs::metadata(place(&stage, "server").join("net")).unwrap().ino()
    );
    stage.wwwlab(["restart", "app"]).ok();
    stage.wwwlab(["stop", "app"]).ok();
    stage.edit("lab.toml", |text| text.replace("python3 app.py", "no-such-program"));
    stage.wwwlab(["down"]).ok();
    let why = stage.wwwlab(["up", "-d"]).refused(1);
    assert!(why.contains("cannot start \"no-such-program\": is it installed, and on your PATH?"), "{why}");
}

#[test]
fn an_ordinary_user_has_the_same_network() {
    let _turn = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::copy(PROGRAM, place.join("wwwlab")).unwrap();
    fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
    as_user(place, "wwwlab new lab").ok();
    let lab = place.join("lab");
    as_user(&lab, "sed -i 's/^# network = \"loopback\"/network = \"hosts\"/' lab.toml").ok();
    let _end = Ending(&lab);
    let port = free_port();
    as_user(&lab, &format!("../wwwlab up -d --publish web:{port}")).ok();
    let published = as_user(&lab, &format!("curl -si -H Host:www.foobar.com http://127.0.0.1:{port}/")).ok();
    assert!(published.starts_with("HTTP/1.1 200"), "{published}");
    let within = |line: &str| as_user(&lab, &format!("../wwwlab within .wwwlab/hosts/hosts/{line}"));
    assert!(within("client -- ping -n -c1 -W30 8.8.8.8").ok().contains("ttl=61"), "without any right");
    let answer = within("client -- dig +tries=1 www.foobar.com").ok();
    assert!(answer.contains("SERVER: 192.0.2.53#53"), "{answer}");
    assert!(
        within("client -- curl -si -H Host:www.foobar.com http://8.8.8.8/").ok().starts_with("HTTP/1.1 200")
    );
    assert_eq!(within("client -- id -u").ok(), as_user(&lab, "id -u").ok(), "who one is, one stays");
    assert_ne!(within("client -- ip link set eth0 mtu 1400").code, 0);
    within("client --capable -- ip link set eth0 mtu 1400").ok();
    let real = fs::read("/etc/hosts").unwrap();
    within("client -- sh -c 'echo 8.8.8.8 www.foobar.com >> /etc/hosts'").ok();
    assert!(within("client -- curl -si http://www.foobar.com/").ok().starts_with("HTTP/1.1 200"));
    assert_eq!(fs::read("/etc/hosts").unwrap(), real, "this machine's own is as it was");
    as_user(&lab, "../wwwlab down").ok();
    assert!(!lab.join(".wwwlab/hosts/hosts").exists());
    assert!(processes_of(place).is_empty());
}

#[test]
fn what_forbids_a_user_namespace_is_named() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    // The limit is set in a user namespace around the lab, which has no rights and must make one of its own.
    let forbidden = |command: &str| {
        let line = format!(
            "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all {PROGRAM} {command}"
        );
        stage.run("unshare", ["--user", "--map-root-user", "sh", "-c", &line])
    };
    let why = forbidden("up -d").refused(1);
    for part in
        ["user.max_user_namespaces is 0", "sudo sysctl user.max_user_namespaces", "--network loopback"]
    {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(!state(&stage).join("lock").exists() && !state(&stage).join("hosts").exists());
    // The doctor tries it, and says the same.
    for (network, verdict) in [("hosts", "bad"), ("loopback", "limited")] {
        let said = forbidden(&format!("doctor --json --network {network}")).out;
        let findings: serde_json::Value = serde_json::from_str(&said).unwrap();
        let namespaces =
            findings.as_array().unwrap().iter().find(|finding| finding["subject"] == "namespaces");
        let namespaces = namespaces.unwrap();
        assert_eq!(namespaces["verdict"], verdict, "{namespaces}");
        assert!(namespaces["found"].to_string().contains("user.max_user_namespaces is 0"), "{namespaces}");
    }
    let said = stage.wwwlab(["doctor"]).ok();
    assert!(said.contains("machines, cables and switches were made and taken away again"), "{said}");
}

#[test]
fn the_apparmor_profile_is_for_this_program() {
    let stage = Stage::new();
    let profile = stage.wwwlab(["doctor", "--apparmor"]).ok();
    assert!(profile.contains(&format!("profile wwwlab \"{PROGRAM}\" flags=(unconfined) {{")), "{profile}");
    assert!(profile.lines().any(|line| line == "  userns,"), "{profile}");
    // Versions before 4 do not know the rule, nor restrict what it allows.
    let parser = Command::new("/usr/sbin/apparmor_parser").arg("--version").output();
    let version = parser.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    if version.contains("version 4.") || version.contains("version 5.") {
        let file = stage.root().join("profile");
        fs::write(&file, profile).unwrap();
        stage
            .run("/usr/sbin/apparmor_parser", ["--skip-kernel-load", "--skip-cache", file.to_str().unwrap()])
            .ok();
    }
}

#[test]
fn a_resolv_conf_that_leads_nowhere_does_no_harm() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    let line =
        format!("mount -t tmpfs etc /etc && ln -s /nowhere/at/all /etc/resolv.conf && exec {PROGRAM} up -d");
    let root: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    stage.run("unshare", root.iter().copied().chain(["--mount", "sh", "-c", &line])).ok();
    let said = on(&place(&stage, "client"), "cat /etc/resolv.conf").ok();
    assert_eq!(said, "nameserver 192.0.2.53\n");
}

#[test]
fn what_a_machine_has_in_etc_is_everybodys_to_read() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    stage.run("sh", ["-c", &format!("umask 077 && {PROGRAM} up -d")]).ok();
    let said = on(&place(&stage, "client"), "stat -c %a /etc /etc/hosts /etc/resolv.conf /etc/hostname").ok();
    assert_eq!(said, "755\n644\n644\n644\n");
}

#[test]
fn a_kernel_without_ipv6_has_the_lab_without_it() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    // What is laid over the settings of networks looks like a kernel with `ipv6.disable=1`; they can be written, and do nothing.
    let settings = "/proc/sys/net";
    let line = format!(
        "mount -t tmpfs settings {settings} && mkdir {settings}/ipv4 && cd {settings}/ipv4 && \
         touch ip_forward ip_unprivileged_port_start ping_group_range && cd {} && exec {PROGRAM} up -d",
        stage.root().display()
    );
    let root: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let said = stage.run("unshare", root.iter().copied().chain(["--mount", "sh", "-c", &line])).ok();
    assert!(!said.contains("IPv6"), "{said}");
    let server = place(&stage, "server");
    let listening = on(&server, "ss -Htln").ok();
    assert!(listening.contains("8.8.8.8:53") && !listening.contains("2001:"), "{listening}");
    assert_eq!(on(&server, "ip -6 -o address show dev eth0 scope global").ok(), "");
    let hosts = on(&server, "cat /etc/hosts").ok();
    assert!(hosts.contains("8.8.8.8\tserver") && !hosts.contains("2001:"), "{hosts}");
    let answer = on(&server, "dig +short @8.8.8.8 www.foobar.com").ok();
    assert_eq!(answer, "8.8.8.8\n");
    let journal = state(&stage).join("journal.jsonl");
    until("it is told", || {
        fs::read_to_string(&journal).is_ok_and(|told| told.contains("this kernel speaks no IPv6"))
    });
    assert!(!stage.wwwlab(["host"]).ok().contains("2001:"));
}

#[test]
fn a_full_classroom_is_there() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    stage.edit("lab.toml", |text| text.replace("# classroom = 0", "classroom = 200"));
    stage.wwwlab(["up", "-d"]).ok();
    let last = place(&stage, "pc200");
    assert!(on(&last, "ping -n -c1 -W30 8.8.8.8").ok().contains("ttl=61"));
    assert!(
        on(&last, "ping -n -c1 -W30 198.51.100.11").ok().contains("ttl=64"),
        "the neighbours need no router"
    );
    stage.wwwlab(["down"]).ok();
    nothing_is_left(&stage, &BTreeSet::new());
}

#[test]
fn its_database_server_is_backed_up_from_outside_by_its_socket() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    stage.wwwlab(["up", "-d", "--db", "mysql"]).ok();
    let ready = "curl -s -o /dev/null -w %{http_code} http://www.foobar.com/";
    assert_eq!(on(&place(&stage, "client"), ready).ok(), "200");
    assert!(stage.wwwlab(["backup", "it.backup"]).ok().contains("0 entries and 0 accounts"));
    stage.wwwlab(["restore", "it.backup"]).ok();
}
