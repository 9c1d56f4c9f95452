//! Zone files as tools: what is wrong with them, what they would answer, what an edit changes.
//!
//! `tests/golden/zones/` has a zone for each rule, named after it, and beside it what `wwwlab zone check` says of it and
//! how it exits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use wwwlab::dns::master::Rule;

use super::stage::{Said, Stage, until};

const HEAD: &str = "$ORIGIN foobar.com.\n$TTL 300\n@ SOA ns1 h 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/zones")
}

fn golden_zones() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "zone"));
    files.sort();
    files
}

/// `wwwlab zone` with `arguments`, run in `folder`.
fn zone(folder: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(super::stage::PROGRAM).arg("zone").args(arguments).current_dir(folder).output();
    Said::from(output.unwrap())
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn each_rule_is_told_as_it_is_written_down() {
    for file in golden_zones() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let said = zone(&golden(), &["check", name, "--origin", "foobar.com"]);
        let expected = fs::read_to_string(file.with_extension("txt")).unwrap();
        assert_eq!(format!("{}{}exit {}\n", said.out, said.err, said.code), expected, "{name}");
    }
}

#[test]
fn each_rule_has_a_zone_that_breaks_it() {
    let mut broken = Vec::new();
    for file in golden_zones() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let said = zone(&golden(), &["check", name, "--origin", "foobar.com", "--json"]);
        let told: Value = serde_json::from_str(&said.out).unwrap();
        let rules = told[0]["problems"].as_array().unwrap().iter();
        broken.extend(rules.map(|problem| problem["rule"].as_str().unwrap().to_owned()));
    }
    for rule in Rule::ALL {
        // A serial is not raised by an edit, not by a file.
        assert!(rule == Rule::Serial || broken.iter().any(|name| name == rule.name()), "{rule}");
    }
}

/// What BIND refuses is an error, what it loads is none. `-i local`: it looks no name up outside.
#[test]
fn errors_are_what_bind_refuses() {
    for file in golden_zones() {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let ours = zone(&golden(), &["check", file.to_str().unwrap(), "--origin", "foobar.com"]).code;
        let mut bind = Command::new("named-checkzone");
        let bind = bind.args(["-i", "local", "-q", "foobar.com"]).arg(&file).current_dir(golden()).status();
        let bind = bind.expect("named-checkzone: apt install bind9-utils").code();
        match name {
            // NSD and Knot refuse what is outside; BIND leaves it out.
            "outside" => assert_eq!((ours, bind), (1, Some(0))),
            // Our limit is lower.
            "limit" => assert_eq!((ours, bind), (1, Some(0))),
            // Nobody agrees on NS at a wildcard; NSD and Knot load it.
            "wildcard-servers" => assert_eq!((ours, bind), (0, Some(1))),
            _ => assert_eq!(Some(ours), bind, "{name}"),
        }
    }
}

#[test]
fn warnings_count_where_they_should() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "good.zone", HEAD);
    write(folder.path(), "odd.zone", &format!("{HEAD}a A 192.0.2.1\na A 192.0.2.1\n"));
    write(folder.path(), "bad.zone", &format!("{HEAD}a A x\n"));
    for (arguments, code) in [
        (&["check", "good.zone"][..], 0),
        (&["check", "good.zone", "--strict"], 0),
        (&["check", "odd.zone"], 0),
        (&["check", "odd.zone", "--strict"], 1),
        (&["check", "good.zone", "bad.zone"], 1),
        (&["check", "bad.zone", "not-there.zone", "good.zone"], 2),
        (&["check", "."], 2),
        (&["check"], 2),
        (&["check", "good.zone", "--origin", "a..b"], 2),
    ] {
        let said = zone(folder.path(), arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        assert!(code != 2 || !said.err.is_empty(), "{said:?}");
    }
    let said =
        zone(folder.path(), &["check", "good.zone", "odd.zone", "bad.zone", "not-there.zone", "--json"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told[0]["origin"], "foobar.com.");
    assert_eq!(
        (&told[0]["errors"], &told[1]["warnings"], &told[2]["errors"]),
        (&0.into(), &1.into(), &1.into())
    );
    assert_eq!((&told[2]["problems"][0]["line"], &told[2]["problems"][0]["column"]), (&6.into(), &5.into()));
    assert!(told[3]["unusable"].as_str().unwrap().contains("cannot be read"), "{told}");
}

#[test]
fn the_shipped_zones_have_no_problems() {
    for (network, count) in [("loopback", 5), ("hosts", 9)] {
        let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones").join(network);
        let files: Vec<String> = fs::read_dir(&zones)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(files.len(), count, "{files:?}");
        let said = zone(
            &zones,
            &[&["check", "--strict"][..], &files.iter().map(String::as_str).collect::<Vec<_>>()].concat(),
        );
        assert_eq!(said.code, 0, "{said:?}");
        for file in &files {
            let text = fs::read_to_string(zones.join(file)).unwrap();
            let origin = text.lines().find_map(|line| line.strip_prefix("$ORIGIN ")).unwrap();
            // Without looking names up (`-i local`): that would ask outside the lab.
            let mut named = Command::new("named-checkzone");
            named.args(["-q", "-i", "local", origin]).arg(zones.join(file));
            assert!(named.status().expect("named-checkzone is there").success(), "{network}/{file}");
        }
    }
}

#[test]
fn what_is_no_zone_file_is_told_soon() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("line.zone"), "x ".repeat(5 << 20)).unwrap();
    fs::write(folder.path().join("word.zone"), "x".repeat(10 << 20)).unwrap();
    fs::copy(super::stage::PROGRAM, folder.path().join("binary.zone")).unwrap();
    for file in ["line.zone", "word.zone", "binary.zone"] {
        let said = zone(folder.path(), &["check", file]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.out.len() < 3_000, "{} bytes", said.out.len());
        assert!(
            said.out.chars().all(|character| matches!(character, '\n' | '\t') || !character.is_control()),
            "{said:?}"
        );
    }
    // However much is wrong, a screen shows it; the rest is counted.
    write(folder.path(), "much.zone", &format!("{HEAD}{}", "a A x\n".repeat(50_000)));
    let said = zone(folder.path(), &["check", "much.zone"]);
    assert!(said.out.contains("49900 more errors are not shown"), "{}", said.out.len());
    assert!(said.out.lines().count() < 400);
}

#[test]
fn a_file_answers_as_a_server_would() {
    let stage = Stage::up();
    let file = "zones/loopback/foobar.com.zone";
    for question in [
        "www.foobar.com A",
        "shop.foobar.com A",
        "foobar.com MX",
        "x.old.foobar.com A",
        "pc7.dept.foobar.com A",
        "nosuch-name.foobar.com TXT",
        "web.foobar.com TYPE65",
        "www.example.org A",
    ] {
        let (name, record_type) = question.split_once(' ').unwrap();
        let file_says = stage.wwwlab(["zone", "query", file, name, record_type]).ok();
        let server_says = stage.dig(
            "127.0.0.1",
            &format!("{question} +tcp +norec +noedns +noall +comments +answer +authority +additional"),
        );
        assert_eq!(facts(&file_says), facts(&server_says), "{question}");
        let octets = stage.wwwlab(["zone", "query", file, name, record_type, "--hex"]).ok();
        assert!(octets.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()), "{octets}");
        let size = format!("MSG SIZE  rcvd: {}\n", octets.trim_end().len() / 2);
        assert!(file_says.ends_with(&size), "{file_says}{octets}");
    }
    let plain = stage.wwwlab(["zone", "query", file, "www.foobar.com", "--hex"]).ok();
    assert!(plain.starts_with("0000840000010001"), "{plain}");
    let signed = stage.wwwlab(["zone", "query", file, "www.foobar.com", "--dnssec"]).ok();
    assert!(signed.contains("EDNS: version: 0, flags: do; udp: 1232"), "{signed}");
    stage.wwwlab(["zone", "query", file, "www.foobar.com", "NONSENSE"]).refused(2);
    stage.wwwlab(["zone", "query", "not-there", "www.foobar.com"]).refused(2);
    stage.edit(file, |zone| format!("{zone}www A x\n"));
    let refused = stage.wwwlab(["zone", "query", file, "www.foobar.com"]).refused(1);
    assert!(refused.contains("is no IPv4 address"), "{refused}");
}

/// Status, flags and counts, and every record, white space aside, of an answer that dig or we show.
fn facts(answer: &str) -> Vec<String> {
    let mut facts: Vec<String> = Vec::new();
    for line in answer.lines() {
        if let Some((_, rest)) = line.split_once("status: ") {
            facts.push(rest.split(',').next().unwrap().to_owned());
        } else if line.starts_with(";; flags: ") {
            facts.push(line.to_owned());
        } else if !line.starts_with(';') && !line.trim().is_empty() {
            facts.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    facts
}

#[test]
fn the_lab_shows_a_zone_as_it_serves_it() {
    let stage = Stage::up();
    let shown = stage.wwwlab(["zone", "show", "foobar.com"]).ok();
    assert!(shown.starts_with("foobar.com. 300 IN SOA ns1.foobar.com. "), "{shown}");
    // It is the zone: a file of it differs in nothing.
    fs::write(stage.root().join("shown.zone"), &shown).unwrap();
    let same = stage.wwwlab(["zone", "diff", "zones/loopback/foobar.com.zone", "shown.zone"]).ok();
    assert_eq!(same, "");
    // An edit on disk that cannot be served is not shown.
    stage.edit("zones/loopback/foobar.com.zone", |zone| format!("{zone}new A x\n"));
    until("the mistake is reported", || stage.log("dns").contains("the old one stays in service"));
    assert_eq!(stage.wwwlab(["zone", "show", "FOOBAR.com."]).ok(), shown);
    let refused = stage.wwwlab(["zone", "show", "example.org"]).refused(1);
    assert!(refused.contains("zone list"), "{refused}");
}

#[test]
fn a_zone_that_is_too_large_to_show_is_told_so() {
    let stage = Stage::new();
    stage.edit("zones/loopback/foobar.com.zone", |zone| {
        format!("{zone}$GENERATE 1-40000 host-$ A 127.0.0.1\n")
    });
    stage.wwwlab(["up", "-d"]).ok();
    let refused = stage.wwwlab(["zone", "show", "foobar.com"]).refused(1);
    assert!(refused.contains("more than the control channel carries"), "{refused}");
    assert_eq!(stage.dig("127.0.0.1", "host-40000.foobar.com +short"), "127.0.0.1\n");
}

#[test]
fn what_an_edit_changes_is_shown_record_by_record() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "old.zone", &format!("{HEAD}www A 192.0.2.2\nblog CNAME www\n"));
    write(folder.path(), "same.zone", &format!("{HEAD}; the same\nBLOG CNAME ( WWW )\nwww 5m A 192.0.2.2\n"));
    let new = HEAD.replace(" 1 2 3", " 2 2 3");
    write(folder.path(), "new.zone", &format!("{new}www A 192.0.2.3\nblog 60 CNAME www\n"));
    write(folder.path(), "bad.zone", &format!("{HEAD}www A x\n"));
    let same = zone(folder.path(), &["diff", "old.zone", "same.zone"]);
    assert_eq!((same.code, same.out.as_str()), (0, ""));
    let changed = zone(folder.path(), &["diff", "old.zone", "new.zone"]);
    assert_eq!(changed.code, 1);
    assert_eq!(
        changed.out.lines().collect::<Vec<_>>(),
        [
            "-foobar.com. 300 IN SOA ns1.foobar.com. h.foobar.com. 1 2 3 4 5",
            "+foobar.com. 300 IN SOA ns1.foobar.com. h.foobar.com. 2 2 3 4 5",
            "-blog.foobar.com. 300 IN CNAME www.foobar.com.",
            "+blog.foobar.com. 60 IN CNAME www.foobar.com.",
            "-www.foobar.com. 300 IN A 192.0.2.2",
            "+www.foobar.com. 300 IN A 192.0.2.3",
        ]
    );
    assert_eq!(changed.err, "");
    let back = zone(folder.path(), &["diff", "new.zone", "old.zone"]);
    assert!(back.err.contains("the serial is not raised (2 to 1)"), "{back:?}");
    for pair in [["old.zone", "bad.zone"], ["bad.zone", "old.zone"], ["old.zone", "not-there.zone"]] {
        let said = zone(folder.path(), &["diff", pair[0], pair[1]]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
    }
}

#[test]
fn an_edit_that_does_not_raise_the_serial_is_served_and_told() {
    let stage = Stage::up();
    let file = "zones/loopback/foobar.com.zone";
    stage.edit(file, |zone| format!("{zone}one A 127.0.0.9\n"));
    until("the warning is told", || stage.log("dns").contains("the zone changed, but its serial is still 1"));
    assert_eq!(stage.dig("127.0.0.1", "one.foobar.com +short"), "127.0.0.9\n");
    let before = stage.log("dns").matches("its serial is").count();
    stage.edit(file, |zone| {
        format!("{zone}two A 127.0.0.9\n").replace("1       ; serial", "2       ; serial")
    });
    until("the new name answers", || stage.dig("127.0.0.1", "two.foobar.com +short") == "127.0.0.9\n");
    assert_eq!(stage.log("dns").matches("its serial is").count(), before);
}
