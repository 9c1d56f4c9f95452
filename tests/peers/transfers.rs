//! Whole zones between name servers: BIND and Knot DNS as secondaries of ours, ours as a secondary of BIND, and the same
//! zone from both (RFC 5936, RFC 1996, RFC 8945).

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ask::{Answer, Question, Transport, ask};
use super::server::{self, Kind, PATIENCE, Server};
use super::signed::{Denial, sign};
use super::worlds::{self, World};

const ORIGIN: &str = "foobar.com";
const KEY: &str = "transfer.foobar.com";
const SECRET: &str = "c2VjcmV0cyBvZiB0aGlzIGxlbmd0aCBhcmUgZmluZSE=";

/// Refreshed hourly: what a secondary has sooner, it was told of.
fn zone(serial: u32, more: &str) -> String {
    zone_with(serial, "1h 15m 1w", more)
}

fn zone_with(serial: u32, times: &str, more: &str) -> String {
    format!("$TTL 300\n@ SOA ns1 hostmaster {serial} {times} 5m\n@ NS ns1\nns1 A 127.0.0.1\n{more}\n")
}

fn key_file(directory: &Path) -> PathBuf {
    let file = directory.join("transfer.key");
    let text = format!("key \"{KEY}\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n");
    fs::write(&file, text).unwrap();
    file
}

fn soa(server: SocketAddr) -> Option<Answer> {
    ask(server, &Question::new(ORIGIN, "SOA", Transport::Udp), Duration::from_millis(500)).ok()
}

fn has_serial(server: SocketAddr, serial: u32) -> bool {
    let wanted = format!(" {serial} ");
    soa(server).is_some_and(|answer| answer.answer.iter().any(|line| line.contains(&wanted)))
}

#[track_caller]
fn until(what: &str, server: &Server, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(
            start.elapsed() < PATIENCE,
            "still not: {what}; {} says\n{}",
            server.kind.name(),
            server.log()
        );
        std::thread::yield_now();
    }
}

/// Ours with the zone in `file`, told of those who follow it.
fn primary(file: &Path, arguments: &[String]) -> Server {
    let mut command = Command::new(Kind::Wwwlab.program());
    command.args(["serve", "dns", "--listen", "127.0.0.1:0", "--zone"]);
    command.arg(format!("{ORIGIN}={}", file.display())).args(arguments);
    let zones = [(ORIGIN.to_owned(), file.to_owned())];
    let directory = tempfile::tempdir().unwrap();
    Server::run(Kind::Wwwlab, command, directory, server::any_address(), &zones).unwrap()
}

fn bind_options(directory: &Path, address: SocketAddr) -> String {
    format!(
        "options {{ directory \"{}\"; listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;
         lock-file none; session-keyfile none; recursion no; notify explicit; dnssec-validation no;
         empty-zones-enable no; }};\ncontrols {{ }};\n",
        directory.display(),
        address.port()
    )
}

fn bind(directory: TempDir, address: SocketAddr, conf: &str) -> Server {
    let file = directory.path().join("conf");
    fs::write(&file, conf).unwrap();
    let mut command = Command::new(Kind::Bind.program());
    command.args(["-g", "-n", "1", "-c"]).arg(file);
    Server::run(Kind::Bind, command, directory, address, &[(ORIGIN.to_owned(), PathBuf::new())]).unwrap()
}

/// A secondary of BIND, which has the zone only signed with the key.
fn bind_secondary(address: SocketAddr, primary: SocketAddr) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let mut conf = bind_options(directory.path(), address);
    let key = key_file(directory.path());
    writeln!(
        conf,
        "include \"{}\"; zone \"{ORIGIN}\" {{ type secondary; primaries {{ 127.0.0.1 port {} key \"{KEY}\"; }};
         file \"copy\"; }};",
        key.display(),
        primary.port()
    )
    .unwrap();
    bind(directory, address, &conf)
}

fn knot_secondary(address: SocketAddr, primary: SocketAddr) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let (folder, port) = (directory.path().display(), address.port());
    let conf = format!(
        "server:\n    rundir: \"{folder}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1
    tcp-workers: 1\n    background-workers: 1\nlog:\n  - target: stderr\n    any: info
database:\n    storage: \"{folder}\"\nremote:\n  - id: primary\n    address: 127.0.0.1@{}
acl:\n  - id: told\n    address: 127.0.0.1\n    action: notify\ntemplate:\n  - id: default\n    storage: \"{folder}\"
zone:\n  - domain: \"{ORIGIN}\"\n    master: primary\n    acl: told\n",
        primary.port()
    );
    let file = directory.path().join("conf");
    fs::write(&file, conf).unwrap();
    let mut command = Command::new(Kind::Knot.program());
    command.arg("-c").arg(file);
    Server::run(Kind::Knot, command, directory, address, &[(ORIGIN.to_owned(), PathBuf::new())]).unwrap()
}

#[test]
fn rfc1996_bind_with_a_key_and_knot_without_follow_an_edit() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("zone"), key_file(folder.path()));
    fs::write(&file, zone(1, "www A 192.0.2.1")).unwrap();
    let (at_bind, at_knot) = (server::free_address(), server::free_address());
    let ours = primary(
        &file,
        &[
            "--keys".into(),
            key.display().to_string(),
            "--transfer-to=127.0.0.0/8".into(),
            format!("--notify={at_bind} key {KEY}"),
            format!("--notify={at_knot}"),
        ],
    );
    let (bind, knot) = (bind_secondary(at_bind, ours.address), knot_secondary(at_knot, ours.address));
    for secondary in [&bind, &knot] {
        until("the first version", secondary, || has_serial(secondary.address, 1));
    }
    // An editor's way: a new file in the old one's place.
    let edited = folder.path().join("edited");
    fs::write(&edited, zone(2, "www A 192.0.2.2")).unwrap();
    fs::rename(&edited, &file).unwrap();
    for secondary in [&bind, &knot] {
        until("the edit", secondary, || has_serial(secondary.address, 2));
        let www = Question::new("www.foobar.com", "A", Transport::Udp);
        let answer = ask(secondary.address, &www, PATIENCE).unwrap();
        assert!(answer.answer.iter().any(|line| line.ends_with("192.0.2.2")), "{answer}");
    }
}

/// Who has no key gets nothing where one is asked for, and a wrong key is told from none.
#[test]
fn rfc8945_dig_has_the_zone_with_the_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("zone"), key_file(folder.path()));
    fs::write(&file, zone(1, "www A 192.0.2.1")).unwrap();
    let arguments =
        ["--keys".into(), key.display().to_string(), format!("--transfer-to=127.0.0.1 key {KEY}")];
    let ours = primary(&file, &arguments);
    let said = |arguments: &[&str]| dig(ours.address, &[arguments, &["AXFR", ORIGIN, "+nocookie"]].concat());
    let with_key = said(&["-k", key.to_str().unwrap()]);
    assert!(with_key.contains("www.foobar.com.") && with_key.contains("TSIG"), "{with_key}");
    assert!(!with_key.contains("could not be validated"), "{with_key}");
    let without = said(&[]);
    assert!(without.contains("Transfer failed") && !without.contains("www.foobar.com."), "{without}");
    let wrong = said(&["-y", &format!("hmac-sha256:{KEY}:d3JvbmcgYnV0IGxvbmcgZW5vdWdoIGZvciBkaWc=")]);
    assert!(wrong.contains("BADSIG") || wrong.contains("tsig indicates error"), "{wrong}");
    assert!(!wrong.contains("www.foobar.com."), "{wrong}");
}

/// The same zone, record for record, from BIND and from ours: small, large, signed.
#[test]
fn rfc5936_a_transferred_zone_is_the_zone() {
    let mut large = zone(1, "");
    for number in 0..20_000 {
        writeln!(large, "host{number} A 10.0.{}.{}", number / 256, number % 256).unwrap();
    }
    let signing = tempfile::tempdir().unwrap();
    let mut shipped = worlds::shipped("foobar.com.zone").zones.into_iter();
    let shipped = shipped.find(|(origin, _)| origin == ORIGIN).unwrap().1;
    let signed = sign(signing.path(), ORIGIN, &shipped, Denial::Nsec3).unwrap();
    for text in [shipped, signed, large] {
        let zones = vec![(ORIGIN.to_owned(), text)];
        let world = World { name: "a zone to transfer".into(), zones, questions: Vec::new() };
        let bind = Server::start(Kind::Bind, &world);
        let folder = tempfile::tempdir().unwrap();
        let file = world.write(folder.path()).remove(0).1;
        let ours = primary(&file, &["--transfer-to=127.0.0.0/8".into()]);
        let (theirs, our) = (transferred(bind.address), transferred(ours.address));
        assert!(our.len() > 20, "{our:?}");
        assert!(our == theirs, "{} records, BIND {}", our.len(), theirs.len());
    }
}

#[test]
fn rfc1034_section_4_3_5_ours_follows_bind_survives_it_and_expires() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("zone"), key_file(folder.path()));
    fs::write(&file, zone(1, "www A 192.0.2.1")).unwrap();
    let (at_bind, at_ours) = (server::free_address(), server::free_address());
    let primary = |address| {
        let directory = tempfile::tempdir().unwrap();
        let mut conf = bind_options(directory.path(), address);
        writeln!(
            conf,
            "include \"{}\"; zone \"{ORIGIN}\" {{ type primary; file \"{}\"; allow-transfer {{ key \"{KEY}\"; }};
             also-notify {{ 127.0.0.1 port {} key \"{KEY}\"; }}; }};",
            key.display(),
            file.display(),
            at_ours.port()
        )
        .unwrap();
        bind(directory, address, &conf)
    };
    let secondary = || {
        let mut command = Command::new(Kind::Wwwlab.program());
        command.args(["serve", "dns2", "--listen", &at_ours.to_string(), "--keys"]).arg(&key);
        command.arg(format!("--follow={ORIGIN}={at_bind} key {KEY}"));
        command.arg("--copies").arg(folder.path().join("copies"));
        let zones = [(ORIGIN.to_owned(), PathBuf::new())];
        Server::run(Kind::Wwwlab, command, tempfile::tempdir().unwrap(), at_ours, &zones).unwrap()
    };
    let bind = primary(at_bind);
    let ours = secondary();
    assert!(has_serial(at_ours, 1));
    fs::write(&file, zone(2, "www A 192.0.2.2")).unwrap();
    bind.reload();
    until("BIND's second version", &ours, || has_serial(at_ours, 2));
    // What it serves now expires soon; a restart without the primary serves the copy that was kept, until then.
    fs::write(&file, zone_with(3, "1 1 12", "www A 192.0.2.3")).unwrap();
    bind.reload();
    until("BIND's third version", &ours, || has_serial(at_ours, 3));
    bind.kill();
    drop(ours);
    let ours = secondary();
    until("the copy that was kept", &ours, || has_serial(at_ours, 3));
    until("the end of a zone whose primary is gone", &ours, || {
        soa(at_ours).is_some_and(|answer| answer.rcode == 2)
    });
    let _bind = primary(at_bind);
    until("the zone of a primary that is back", &ours, || has_serial(at_ours, 3));
}

fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new(server::program("dig", "bind9-dnsutils"));
    command
        .args([&format!("@{}", server.ip()), "-p", &server.port().to_string(), "+tries=1"])
        .args(arguments);
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The records of the zone as dig has them, sorted.
fn transferred(server: SocketAddr) -> Vec<String> {
    let said = dig(server, &["AXFR", ORIGIN, "+noall", "+answer", "+onesoa", "+nocookie"]);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = said.lines().map(words).filter(|line| !line.is_empty()).collect();
    lines.sort();
    lines
}
