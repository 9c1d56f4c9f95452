//! Coming up and going down: what the user sees, and what is left behind (nothing).

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Instant;

use super::stage::{PATIENCE, PROGRAM, Stage, processes_of, signal, until};

/// Nothing of the lab is left: no process, no listening port, no control socket, no lock.
#[track_caller]
fn nothing_is_left(stage: &Stage, ports: &[u16]) {
    until("every process has ended", || {
        let state = stage.state();
        processes_of(&stage.root()).iter().all(|pid| !runs(*pid)) && !state.join("control").exists()
    });
    for port in ports {
        for host in 1..=4 {
            let address = (std::net::Ipv4Addr::new(127, 0, 0, host), *port);
            // A killed process with several threads may be listed as ended a moment before its sockets are.
            until(&format!("{address:?}/tcp is free"), || TcpListener::bind(address).is_ok());
            until(&format!("{address:?}/udp is free"), || UdpSocket::bind(address).is_ok());
        }
    }
    assert!(!stage.state().join("lock").exists(), "the lock is still there");
}

fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !matches!(stat.rsplit_once(')').and_then(|(_, rest)| rest.trim().chars().next()), None | Some('Z' | 'X'))
}

fn ports(stage: &Stage) -> Vec<u16> {
    ["dns", "http", "app"].iter().map(|what| stage.port(what)).collect()
}

/// Reads what the lab in the foreground prints until a line has `end`.
fn read_until(reader: &mut BufReader<ChildStdout>, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let before = text.len();
        reader.read_line(&mut text).unwrap();
        assert!(text.len() > before, "the lab ended before {end:?}:\n{text}");
    }
    text
}

fn foreground(stage: &Stage) -> (Child, BufReader<ChildStdout>, String) {
    let mut lab = stage.foreground();
    let mut reader = BufReader::new(lab.stdout.take().unwrap());
    let introduction = read_until(&mut reader, "What happens");
    (lab, reader, introduction)
}

#[test]
fn it_introduces_itself_with_lines_that_work() {
    let stage = Stage::new();
    let (mut lab, mut reader, introduction) = foreground(&stage);
    for word in [
        "resolver",
        "127.0.0.2:",
        "name server of com.",
        "in app",
        "database (SQLite)",
        "Try in another terminal",
    ] {
        assert!(introduction.contains(word), "{word:?} is missing:\n{introduction}");
    }
    // Every printed dig and curl line does what it says, typed as it stands.
    let typed: Vec<&str> = introduction
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("dig ") || line.starts_with("curl "))
        .collect();
    assert_eq!(typed.len(), 3, "{introduction}");
    for line in typed {
        let command = line.split("  ").next().unwrap();
        let said = stage.run("sh", ["-c", command]).ok();
        assert!(said.contains("127.0.0.1") || said.contains("<!doctype html>"), "{command}: {said}");
    }
    // And is seen as it happens.
    let seen = read_until(&mut reader, "GET www.foobar.com/");
    assert!(seen.contains("asks www.foobar.com. A (udp) → NOERROR"), "{seen}");
    assert!(seen.contains("asks 127.0.0.3 com. NS → referral to com."), "{seen}");
    signal(lab.id(), "INT");
    lab.wait().unwrap();
}

#[test]
fn each_signal_that_means_the_end_ends_everything() {
    for name in ["INT", "TERM", "HUP"] {
        let stage = Stage::new();
        let (mut lab, _reader, _) = foreground(&stage);
        let ports = ports(&stage);
        let asked = Instant::now();
        signal(lab.id(), name);
        let status = lab.wait().unwrap();
        assert!(asked.elapsed() < PATIENCE, "{name}: {:?}", asked.elapsed());
        assert!(status.success(), "{name}: {status}");
        nothing_is_left(&stage, &ports);
    }
}

#[test]
fn control_c_goes_to_the_whole_foreground_group_and_still_ends_in_order() {
    let stage = Stage::new();
    let mut command = stage.command(PROGRAM);
    let mut lab = command.arg("up").process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(lab.stdout.take().unwrap());
    read_until(&mut reader, "What happens");
    let ports = ports(&stage);
    let sent =
        std::process::Command::new("kill").args(["-INT", "--", &format!("-{}", lab.id())]).status().unwrap();
    assert!(sent.success());
    assert!(lab.wait().unwrap().success());
    assert!(read_until(&mut reader, "everything is down").contains("everything is down"));
    nothing_is_left(&stage, &ports);
}

#[test]
fn down_ends_a_detached_lab() {
    let stage = Stage::up();
    let ports = ports(&stage);
    assert_eq!(stage.wwwlab(["down"]).ok(), "everything is down\n");
    nothing_is_left(&stage, &ports);
    let refused = stage.wwwlab(["down"]).refused(3);
    assert!(refused.contains("is not up") && refused.contains("wwwlab up"), "{refused}");
}

#[test]
fn down_also_ends_what_is_paused() {
    let stage = Stage::up();
    let ports = ports(&stage);
    for service in ["web", "dns"] {
        stage.wwwlab(["pause", service]).ok();
    }
    stage.wwwlab(["stop", "db"]).ok();
    let asked = Instant::now();
    stage.wwwlab(["down"]).ok();
    assert!(asked.elapsed() < PATIENCE);
    nothing_is_left(&stage, &ports);
}

#[test]
fn a_second_up_is_refused_with_the_pid() {
    let stage = Stage::up();
    let pid = stage.status()["pid"].to_string();
    for arguments in [["up", "-d"].as_slice(), ["up"].as_slice()] {
        let refused = stage.wwwlab(arguments).refused(1);
        assert!(refused.contains("is up already") && refused.contains(&pid), "{refused}");
    }
    assert_eq!(stage.page("/").0, 200, "the first is none the worse for it");
}

#[test]
fn a_killed_supervisor_leaves_nothing_behind() {
    let stage = Stage::up();
    let ports = ports(&stage);
    // Paused processes see no signal but this one; an embedded database's lock is held by a process too.
    stage.wwwlab(["pause", "tld"]).ok();
    stage.wwwlab(["stop", "db"]).ok();
    let pid = stage.status()["pid"].as_u64().unwrap().try_into().unwrap();
    signal(pid, "KILL");
    nothing_is_left(&stage, &ports);
    stage.wwwlab(["up", "-d"]).ok();
    assert_eq!(stage.page("/").0, 200, "the database is free again");
}

#[test]
fn up_right_after_a_kill_waits_for_the_guard() {
    let stage = Stage::up();
    for _ in 0..5 {
        let pid = stage.status()["pid"].as_u64().unwrap().try_into().unwrap();
        signal(pid, "KILL");
        stage.wwwlab(["up", "-d"]).ok();
        assert_eq!(stage.page("/").0, 200);
    }
}

#[test]
fn a_killed_guard_is_replaced_and_a_double_kill_cleaned_up_by_the_next_run() {
    let stage = Stage::up();
    let ports = ports(&stage);
    let supervisor: u32 = stage.status()["pid"].as_u64().unwrap().try_into().unwrap();
    let guard = || {
        let all = processes_of(&stage.state().join("control"));
        all.into_iter().find(|&pid| runs(pid)).expect("there is a guard")
    };
    let first = guard();
    signal(first, "KILL");
    until("there is another guard", || {
        processes_of(&stage.state().join("control")).into_iter().any(|pid| pid != first && runs(pid))
    });
    // Both killed at once: services notice by themselves, the next run cleans up the rest.
    signal(guard(), "KILL");
    signal(supervisor, "KILL");
    until("services have ended by themselves", || processes_of(&stage.root()).iter().all(|pid| !runs(*pid)));
    assert!(stage.state().join("control").exists(), "nobody was left to remove it");
    let up = stage.wwwlab(["up", "-d"]);
    up.ok();
    let said = stage.wwwlab(["status"]).ok();
    assert!(said.contains("running"), "{said}");
    let _ = ports;
}

#[test]
fn a_lab_that_cannot_come_up_says_why_and_leaves_nothing() {
    let stage = Stage::new();
    fs::rename(stage.root().join("app/templates"), stage.root().join("app/elsewhere")).unwrap();
    for arguments in [["up"].as_slice(), ["up", "-d"].as_slice()] {
        let refused = stage.wwwlab(arguments).refused(1);
        assert!(refused.contains("app cannot serve") && refused.contains("templates"), "{refused}");
        nothing_is_left(&stage, &[]);
    }
}

#[test]
fn a_mistake_in_lab_toml_is_found_before_anything_starts() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("[web] ", "[wbe] "));
    let refused = stage.wwwlab(["up"]).refused(1);
    assert!(
        refused.contains("lab.toml:") && refused.contains("unknown key `wbe`: did you mean `web`?"),
        "{refused}"
    );
    nothing_is_left(&stage, &[]);
}

#[test]
fn without_a_lab_toml_the_built_in_lab_comes_up() {
    let stage = Stage::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let here = |arguments: &[&str]| {
        let mut command = stage.command(PROGRAM);
        command
            .current_dir(elsewhere.path())
            .env("XDG_STATE_HOME", elsewhere.path().join("state"))
            .args(arguments);
        command.output().unwrap()
    };
    let status = here(&["status"]);
    assert_eq!(status.status.code(), Some(3));
    let doctor = here(&["doctor", "--json"]);
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    assert!(findings[0]["found"].as_str().unwrap().contains("the built-in lab is used"), "{findings}");
}

#[test]
fn a_guard_that_stands_still_holds_nothing_up() {
    let stage = Stage::up();
    let ports = ports(&stage);
    let guard = processes_of(&stage.state().join("control")).into_iter().find(|&pid| runs(pid)).unwrap();
    signal(guard, "STOP");
    stage.wwwlab(["restart", "web"]).ok();
    let asked = Instant::now();
    stage.wwwlab(["down"]).ok();
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    nothing_is_left(&stage, &ports);
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_the_lab_from_ending() {
    let stage = Stage::new();
    let (mut lab, _unread, _) = foreground(&stage);
    let ports = ports(&stage);
    // More than a pipe holds.
    let port = stage.port("dns").to_string();
    for _ in 0..40 {
        let names = (0..40).map(|n| format!("name-{n}.{}.foobar.com", "x".repeat(60)));
        let line = ["@127.0.0.1".to_owned(), "-p".into(), port.clone(), "+tries=1".into(), "+short".into()];
        stage.run("dig", line.into_iter().chain(names));
    }
    let asked = Instant::now();
    signal(lab.id(), "INT");
    lab.wait().unwrap();
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
    nothing_is_left(&stage, &ports);
}

#[test]
fn a_lab_whose_state_is_removed_ends() {
    let stage = Stage::up();
    let ports = ports(&stage);
    fs::remove_dir_all(stage.root().join(".wwwlab")).unwrap();
    nothing_is_left(&stage, &ports);
}

#[test]
fn a_lab_that_stands_still_says_how_it_goes_on() {
    let stage = Stage::up();
    let pid: u32 = stage.status()["pid"].as_u64().unwrap().try_into().unwrap();
    signal(pid, "STOP");
    for command in ["status", "down"] {
        let refused = stage.wwwlab([command]).refused(1);
        assert!(
            refused.contains("stands still") && refused.contains(&format!("kill -CONT {pid}")),
            "{refused}"
        );
    }
    signal(pid, "CONT");
    assert_eq!(stage.page("/").0, 200, "and the refused `down` is not done later");
}
