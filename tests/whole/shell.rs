//! `wwwlab shell`, the second door: a terminal in which the sentences of the coursework are true as they stand.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use super::ordinary_user::{Ending, as_user};
use super::stage::{PROGRAM, Said, Stage, processes_of, signal, until};
use super::terminal::Terminal;

/// Something that runs until it is interrupted: from when it says that it has begun, no process of it is half-made.
const LONG: &str = "sh -c 'echo begun; exec sleep 600'\r";

/// A lab that is up on network hosts.
fn up() -> Stage {
    let stage = Stage::new();
    stage.wwwlab(["up", "-d", "--network", "hosts"]).ok();
    stage
}

fn state(stage: &Stage) -> std::path::PathBuf {
    stage.root().join(".wwwlab/hosts")
}

fn supervisor(stage: &Stage) -> u32 {
    fs::read_to_string(state(stage).join("lock")).unwrap().trim().parse().unwrap()
}

#[track_caller]
fn nothing_is_left(stage: &Stage) {
    until("the lab is gone", || {
        ["hosts", "lock", "control"].iter().all(|name| !state(stage).join(name).exists())
    });
    until("its processes are gone", || processes_of(&stage.root()).is_empty());
}

/// A shell that waits for its input to end.
fn waiting(stage: &Stage) -> Child {
    let mut command = stage.command(PROGRAM);
    command.args(["shell", "--", "sh", "-c", "echo open; exec cat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What the issue of every course says, line by line; `shell` runs one of them through `wwwlab shell …`.
fn the_coursework(shell: impl Fn(&str) -> Said) {
    let shown = shell("-- cat /etc/resolv.conf").ok();
    assert_eq!(shown, "nameserver 192.0.2.53\n");
    let answer = shell("-- dig www.foobar.com").ok();
    assert!(answer.contains("SERVER: 192.0.2.53#53(192.0.2.53)"), "{answer}");
    assert!(answer.lines().any(|line| line.ends_with("IN\tA\t8.8.8.8")), "{answer}");
    let way = shell("-- dig +trace +nodnssec www.foobar.com").ok();
    for hop in ["(a.root-servers.net)", "(a.gtld-servers.net)", "(ns1.foobar.com)"] {
        assert!(way.contains(&format!("#53{hop}")), "{hop}: {way}");
    }
    assert!(way.contains("com.\t\t\t86400\tIN\tNS\ta.gtld-servers.net."), "{way}");
    let said = shell("-- curl -sv http://www.foobar.com/");
    assert!(said.err.contains("Connected to www.foobar.com (8.8.8.8) port 80"), "{said:?}");
    assert!(said.err.contains("HTTP/1.1 200"), "{said:?}");
    // tcpdump says when it listens; the page is asked for then, and it ends with the last packet of the way to it.
    let script = "tcpdump --immediate-mode -lnni eth0 port 53 or port 80 >packets 2>listening & \
                  until grep -q listening listening; do sleep 0.05; done; \
                  curl -s -o page http://www.foobar.com/; \
                  until grep -q 200.OK packets; do sleep 0.05; done; kill %1; wait; cat packets";
    let packets = shell(&format!("-- bash -mc '{script}'")).out;
    let mut rest = packets.as_str();
    for packet in [
        "> 192.0.2.53.53: ",
        "A? www.foobar.com.",
        "192.0.2.53.53 > 192.0.2.10",
        "A 8.8.8.8",
        "> 8.8.8.8.80: Flags [S],",
        "8.8.8.8.80 > 192.0.2.10",
        "Flags [S.],",
        "Flags [.],",
        "HTTP: GET / HTTP/1.1",
        "HTTP/1.1 200 OK",
    ] {
        rest = rest.split_once(packet).unwrap_or_else(|| panic!("{packet} should follow here: {packets}")).1;
    }
    let pong = shell("-- ping -n -c1 -W30 8.8.8.8").ok();
    assert!(pong.contains("64 bytes from 8.8.8.8: icmp_seq=1 ttl=61"), "{pong}");
    let sockets = shell("-- ss -tn").ok();
    assert!(sockets.starts_with("State"), "{sockets}");
    let routes = shell("-- ip route").ok();
    assert!(routes.contains("default via 192.0.2.1 dev eth0"), "{routes}");
    let listening = shell("server -- ss -tlnp").ok();
    for port in ["8.8.8.8:53 ", "8.8.8.8:80 ", "8.8.8.8:3000 "] {
        let line =
            listening.lines().find(|line| line.contains(port)).unwrap_or_else(|| panic!("{listening}"));
        assert!(line.contains("users:((\"wwwlab\",pid="), "{line}");
    }
    // From one machine to the next, and to a router; with an administrator's rights on each.
    assert_eq!(shell("-- wwwlab shell server -- wwwlab shell internet -- hostname").ok(), "internet\n");
    shell("server -- ip link set lo mtu 9000").ok();
    // The tools that are told where the lab is need no telling here, and are just run.
    let said = shell("-- wwwlab dig +short www.foobar.com");
    assert!(said.err.contains("$ dig +short www.foobar.com\n") && said.out == "8.8.8.8\n", "{said:?}");
    let said = shell("-- wwwlab curl -so /dev/null -w %{http_code} http://www.foobar.com/");
    assert!(said.err.contains("$ curl -so /dev/null") && said.out == "200", "{said:?}");
}

#[test]
fn the_coursework_is_true_as_it_stands() {
    let stage = up();
    let run = |line: &str| {
        let line = format!("{PROGRAM} shell {line}");
        let mut command = stage.command("sh");
        // A proxy of the machine outside is out of reach, and nobody's business.
        command.args(["-c", &line]).env("http_proxy", "http://192.0.2.99:3128").env("PATH", "/usr/bin:/bin");
        Said::from(command.output().unwrap())
    };
    the_coursework(run);
    let said = stage.wwwlab(["dig", "+short", "@tld", "com", "SOA"]);
    assert!(said.err.contains(" shell -- dig +short @192.5.6.30 com SOA\n"), "{said:?}");
    assert!(said.out.starts_with("a.gtld-servers.net. "), "{said:?}");
    let said = stage.wwwlab(["curl", "-so", "/dev/null", "-w", "%{http_code}", "http://www.foobar.com/"]);
    assert!(said.err.contains(" shell -- curl -so /dev/null") && said.out == "200", "{said:?}");
    assert_eq!(stage.wwwlab(["curl", "-s", "http://192.0.2.99/"]).code, 7, "curl's own exit code");
}

#[test]
fn the_coursework_is_true_for_an_ordinary_user() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::copy(PROGRAM, place.join("wwwlab")).unwrap();
    fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
    as_user(place, "wwwlab new lab").ok();
    let lab = place.join("lab");
    let _end = Ending(&lab);
    as_user(&lab, "../wwwlab up -d --network hosts").ok();
    the_coursework(|line| as_user(&lab, &format!("../wwwlab shell {line}")));
    // Each shell has its own way to say who is root; nobody is here, in spite of the rights over the machine.
    for shell in ["bash", "dash", "zsh"] {
        let line = format!(
            "printf 'exit 6\\r' | SHELL=$(command -v {shell}) script -qefc '../wwwlab shell' /dev/null"
        );
        let said = as_user(&lab, &line);
        assert!(said.code == 6 && said.out.contains("client$ "), "{shell}: {said:?}");
    }
    assert_eq!(as_user(&lab, "../wwwlab shell -- id -u").ok(), as_user(&lab, "id -u").ok());
    as_user(&lab, "../wwwlab down").ok();
    assert!(processes_of(place).is_empty());
}

#[test]
fn it_ends_as_what_it_runs() {
    let stage = up();
    let shell = |line: &str| stage.run("sh", ["-c", &format!("{PROGRAM} shell {line}")]);
    assert_eq!(shell("-- sh -c 'exit 7'").code, 7);
    assert_eq!(shell("-- sh -c 'kill -TERM $$'").code, 128 + 15);
    let why = shell("-- no-such-program").refused(127);
    assert!(why.contains("cannot start \"no-such-program\": is it installed, and on your PATH?"), "{why}");
    assert_eq!(shell("-- /etc/hosts").code, 126);
    let why = shell("sevrer").refused(2);
    assert!(why.contains("no host \"sevrer\": did you mean `server`? There are client,"), "{why}");
    let why = shell("../hosts/client").refused(2);
    assert!(why.contains("internet"), "{why}");
    let why = stage.wwwlab(["shell", "--network", "loopback"]).refused(2);
    assert!(why.contains("network `hosts`"), "{why}");
    let said = stage
        .run("sh", ["-c", &format!("echo 'hostname; pwd; exit 5' | SHELL=/bin/sh {PROGRAM} shell server")]);
    assert_eq!((said.code, said.out), (5, format!("server\n{}\n", stage.root().display())));
}

#[test]
fn at_a_terminal_it_is_a_shell_like_any_other() {
    let stage = up();
    fs::write(
        stage.root().join(".bashrc"),
        "alias greet='echo hello from home'\nPS1='mine> '\nPATH=/usr/bin:/bin\n",
    )
    .unwrap();
    let mut terminal = Terminal::open(&stage, "/bin/bash", &format!("{PROGRAM} shell"));
    let prompt = if nix::unistd::geteuid().is_root() { "client# " } else { "client$ " };
    terminal.see(prompt);
    terminal.keys("greet; wwwlab --version\r");
    terminal.see("hello from home");
    terminal.see("wwwlab 0");
    terminal.see(prompt);
    terminal.keys("ping -n 8.8.8.8\r");
    terminal.see("icmp_seq=2");
    terminal.keys("\x03");
    terminal.see("packets transmitted");
    terminal.see(prompt);
    terminal.keys(LONG);
    terminal.see("\nbegun");
    terminal.keys("\x1a");
    terminal.see("Stopped");
    terminal.see(prompt);
    terminal.keys("fg\r");
    terminal.see("exec sleep");
    terminal.keys("\x03");
    terminal.see(prompt);
    // A shell in the shell: the inner one's ^C is not the outer one's.
    terminal.keys("wwwlab shell server\r");
    let inner = prompt.replace("client", "server");
    terminal.see(&inner);
    terminal.keys(LONG);
    terminal.see("\nbegun");
    terminal.keys("\x03");
    terminal.see(&inner);
    terminal.keys("exit 9\r");
    terminal.see(prompt);
    terminal.keys("echo code $?\r");
    terminal.see("code 9");
    terminal.keys("exit 5\r");
    assert_eq!(terminal.end().0, 5);
    stage.wwwlab(["status", "--network", "hosts"]).ok();
}

#[test]
fn the_shell_outside_stops_and_goes_on_with_it() {
    let stage = up();
    let mut outside = Terminal::open(&stage, "/bin/bash", "PS1='outside> ' bash --norc");
    outside.see("outside> ");
    outside.keys(&format!("{PROGRAM} shell -- {LONG}"));
    outside.see("\nbegun");
    outside.keys("\x1a");
    outside.see("Stopped");
    outside.see("outside> ");
    outside.keys("fg\r");
    outside.see("exec sleep");
    outside.keys("\x03");
    outside.see("outside> ");
    outside.keys("echo code $?\r");
    outside.see("code 130");
    // A shell that stops itself gives the terminal back.
    outside.keys(&format!("{PROGRAM} shell\r"));
    outside.see("client");
    outside.keys("suspend\r");
    outside.see("Stopped");
    outside.see("outside> ");
    outside.keys("fg\r");
    outside.keys("hostname\r");
    outside.see("\nclient");
    outside.keys("exit\r");
    outside.see("outside> ");
    outside.keys("exit 4\r");
    assert_eq!(outside.end().0, 4);
}

#[test]
fn open_shells_end_with_the_lab() {
    let stage = up();
    let bash = Terminal::open(&stage, "/bin/bash", &format!("{PROGRAM} shell"));
    let sh = Terminal::open(&stage, "/bin/sh", &format!("{PROGRAM} shell server"));
    let mut open = [bash, sh];
    open.iter_mut().zip(["client", "server"]).for_each(|(terminal, prompt)| {
        terminal.see(prompt);
        // It does not hear of a closed terminal, and is killed.
        terminal.keys("nohup sleep 600 >/dev/null 2>&1 &\r");
        // Nor is one overlooked that has made itself another network, and other files.
        let own = format!("nohup unshare --net --mount tail -f {}/lab.toml", stage.root().display());
        terminal.keys(&format!("{own} >/dev/null 2>&1 &\r"));
        terminal.keys("echo left behind $!\r");
        terminal.see("left behind");
    });
    stage.wwwlab(["down", "--network", "hosts"]).ok();
    nothing_is_left(&stage);
    for terminal in open {
        let (code, screen) = terminal.end();
        assert!(code == 3 && screen.contains("wwwlab: the lab has gone"), "{code}: {screen}");
    }
    let why = stage.wwwlab(["status", "--network", "hosts"]).refused(3);
    assert!(why.contains("is not up"), "{why}");
}

#[test]
fn a_shell_whose_lab_was_killed_says_so() {
    let stage = up();
    let mut outside = Terminal::open(&stage, "/bin/bash", "PS1='outside> ' bash --norc");
    outside.see("outside> ");
    outside.keys(&format!("{PROGRAM} shell\r"));
    outside.see("client");
    signal(supervisor(&stage), "KILL");
    outside.see("the lab has gone, and this shell's machine with it");
    outside.see("outside> ");
    // The terminal is as it was: what is typed is seen, and its shell has it.
    outside.keys("echo code $?\r");
    outside.see("echo code $?");
    outside.see("code 3");
    outside.keys("exit\r");
    assert_eq!(outside.end().0, 0);
    nothing_is_left(&stage);
}

#[test]
fn one_command_is_enough_and_leaves_nothing() {
    let stage = Stage::new();
    let said = stage.wwwlab([
        "shell",
        "--",
        "curl",
        "-so",
        "/dev/null",
        "-w",
        "%{http_code}",
        "http://www.foobar.com/",
    ]);
    assert_eq!((said.code, said.out.as_str()), (0, "200"), "{said:?}");
    assert!(said.err.contains("The lab is up on network hosts, after "), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    nothing_is_left(&stage);
    let why = stage.wwwlab(["shell", "clinet"]).refused(2);
    assert!(why.contains("did you mean `client`?"), "{why}");
    assert!(!state(&stage).join("lock").exists(), "nothing is brought up for a mistyped name");
    // Six at the same time, of which one is the first, and one the last.
    let mut together: Vec<Child> = (0..6).map(|_| waiting(&stage)).collect();
    for child in &mut together {
        let mut open = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut open).unwrap();
        assert_eq!(&open, b"open\n");
    }
    let lab = supervisor(&stage);
    let mut last = together.pop().unwrap();
    for child in together {
        let said = Said::from(child.wait_with_output().unwrap());
        assert_eq!(said.code, 0, "{said:?}");
    }
    assert_eq!(supervisor(&stage), lab);
    stage.wwwlab(["status"]).ok();
    // Not even kill -9 of the last one's parent keeps the lab.
    last.kill().unwrap();
    last.wait().unwrap();
    nothing_is_left(&stage);
}

#[test]
fn a_machine_without_power_has_no_shell() {
    let stage = up();
    let mut terminal = Terminal::open(&stage, "/bin/bash", &format!("{PROGRAM} shell server"));
    terminal.see("server");
    stage.wwwlab(["host", "off", "server"]).ok();
    terminal.see("server was switched off, and this shell with it: `wwwlab host on server`");
    assert_eq!(terminal.end().0, 128 + 9);
    let why = stage.wwwlab(["shell", "server", "--", "true"]).refused(1);
    assert!(why.contains("server is off, and runs nothing: `wwwlab host on server`"), "{why}");
    stage.wwwlab(["host", "off", "client"]).ok();
    let why = stage.wwwlab(["dig", "www.foobar.com"]).refused(1);
    assert!(why.contains("`wwwlab host on client`"), "{why}");
    let killed = stage.wwwlab(["shell", "home", "--", "sh", "-c", "kill -9 $$"]);
    assert!(killed.code == 128 + 9 && !killed.err.contains("switched off"), "{killed:?}");
    stage.wwwlab(["host", "on", "server"]).ok();
    stage.wwwlab(["shell", "server", "--", "true"]).ok();
}

#[test]
fn what_is_said_last_stays_on_the_screen() {
    let stage = up();
    // It does not hear of the end, and writes until it is killed.
    let deaf = "trap \"\" HUP; echo begun; while :; do sleep 0.01; printf %s_ still; done";
    let mut terminal = Terminal::open(&stage, "/bin/bash", &format!("{PROGRAM} shell"));
    terminal.see("client");
    terminal.keys(&format!("sh -c '{deaf}'\r"));
    terminal.see("still_");
    stage.wwwlab(["down", "--network", "hosts"]).ok();
    terminal.see("the lab has gone, and this shell's machine with it: `wwwlab shell` opens another");
    let (code, screen) = terminal.end();
    let (_, last) = screen.split_once("the lab has gone").unwrap_or_else(|| panic!("{screen}"));
    assert!(code == 3 && !last.contains("still_"), "{code}: {screen}");
}

#[test]
fn a_lab_that_was_brought_up_by_itself_outlives_its_shells() {
    let stage = up();
    let lab = supervisor(&stage);
    let mut killed = waiting(&stage);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(stage.wwwlab(["shell", "--", "true"]).code, 0);
    stage.wwwlab(["status"]).ok();
    assert_eq!(supervisor(&stage), lab);
    assert!(Path::new(&format!("/proc/{lab}")).exists());
}

#[test]
fn the_way_of_a_request_is_told_from_the_client_wherever_it_is_asked_for() {
    let stage = up();
    for command in [&["path"][..], &["shell", "--", PROGRAM, "path"]] {
        let command = command.iter().chain(&["--json", "http://www.foobar.com/guestbook"]);
        let told = stage.wwwlab(command).ok();
        let path: serde_json::Value =
            serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
        assert!(path["failure"].is_null(), "{path}");
        for address in ["192.0.2.53:53", "8.8.8.8:80", "8.8.8.8:3000"] {
            assert!(told.contains(address), "{address}: {told}");
        }
        assert!(!told.contains("127.0.0.1"), "{told}");
    }
}
