//! The floors of the house: who may import whom. `docs/ARCHITECTURE.md` says why.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The parts, from the top down: each may use those named beside it, and itself.
const FLOORS: [(&str, &[&str]); 8] = [
    ("cli", &["path", "capture", "measure", "lab", "services", "dns", "ground"]),
    ("path", &["dns", "ground"]),
    ("capture", &["dns", "ground"]),
    ("measure", &["ground"]),
    ("lab", &["ground"]),
    ("services", &["dns", "ground"]),
    ("dns", &["ground"]),
    ("ground", &[]),
];

#[test]
fn every_part_uses_only_what_is_below_it() {
    for (part, below) in FLOORS {
        for file in files(part) {
            for used in parts_used(&read(&file)) {
                assert!(
                    used == part || below.contains(&used.as_str()),
                    "{} uses {used}: {part} may use {below:?}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn the_parts_are_those_of_the_map() {
    let declared: BTreeSet<String> = read(Path::new("src/lib.rs"))
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned))
        .collect();
    let known: BTreeSet<String> = FLOORS.iter().map(|(part, _)| (*part).to_owned()).collect();
    assert_eq!(declared, known);
}

/// Services meet over sockets, never over calls: only the frame that runs any of them is shared, and the database
/// is the application's.
#[test]
fn services_do_not_call_each_other() {
    let services = ["app", "authoritative", "resolver", "web", "database"];
    for service in services {
        for file in files(&format!("services/{service}")) {
            for other in services.iter().filter(|&&other| other != service) {
                let uses = read(&file).contains(&format!("services::{other}"));
                let may = (service, *other) == ("app", "database");
                assert!(!uses || may, "{} uses {other}", file.display());
            }
        }
    }
}

/// Only the ground floor binds listeners, reads clocks and draws random numbers.
#[test]
fn clock_chance_and_binding_are_of_the_ground_floor() {
    for (part, _) in FLOORS.iter().filter(|(part, _)| *part != "ground") {
        for file in files(part) {
            let text = without_tests(&read(&file));
            for forbidden in ["SystemTime::now", "Instant::now", "getrandom", "TcpListener::bind", "rand::"] {
                assert!(!text.contains(forbidden), "{} has {forbidden}", file.display());
            }
        }
    }
}

/// Where a file is Linux-only, it says so in one place: behind the seam of these files.
#[test]
fn what_is_linux_only_sits_behind_a_seam() {
    let seams = [
        "src/lab/holder.rs",
        "src/lab/usage.rs",
        "src/lab/doctor.rs",
        "src/lab/faults/limits.rs",
        "src/lab/network/kernel",
    ];
    for (part, _) in FLOORS {
        for file in files(part) {
            let text = without_tests(&read(&file));
            let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            let linux = code.contains("\"/proc/");
            assert!(
                !linux || seams.iter().any(|seam| file.starts_with(seam)),
                "{} reads /proc",
                file.display()
            );
        }
    }
}

/// Every file says at its head what it is.
#[test]
fn every_room_has_a_sign() {
    for (part, _) in FLOORS {
        for file in files(part) {
            assert!(read(&file).starts_with("//! "), "{} does not say what it is", file.display());
        }
    }
}

/// The names of the parts after `crate::`, which is how the house names what is in another part.
fn parts_used(text: &str) -> BTreeSet<String> {
    let after = |marker: &str| {
        text.split(marker)
            .skip(1)
            .map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
            })
            .collect::<Vec<_>>()
    };
    let names = after("crate::").into_iter();
    names.filter(|name| FLOORS.iter().any(|(part, _)| part == name)).collect()
}

/// The file up to its tests, which may do what they like.
fn without_tests(text: &str) -> String {
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

fn files(part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("src").join(part)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let tests =
                path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
            match path.is_dir() {
                true => folders.push(path),
                false if !tests && path.extension().is_some_and(|extension| extension == "rs") => {
                    found.push(path)
                }
                false => {}
            }
        }
    }
    assert!(!found.is_empty(), "no files in {part}");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
