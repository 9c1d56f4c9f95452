//! Every command that the README shows is run, in order, and says what the README says.
//!
//! A block fenced as `console` is a conversation: `$ ` starts a command, the lines after it are what it prints.
//! A line `…` stands for any lines; in a line, numbers that differ from run to run are compared as numbers only.

use std::fs;

use super::stage::{PROGRAM, Stage};

#[test]
fn the_readme_is_true() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let conversations = conversations(&readme);
    assert!(conversations.len() >= 8, "the README shows its first five minutes");
    let stage = Stage::new();
    stage.wwwlab(["up", "-d"]).ok();
    let (dns, http) = (stage.port("dns"), stage.port("http"));
    let bin = std::path::Path::new(PROGRAM).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for (command, expected) in conversations {
        // The README's lab has the real ports; this one stands beside others.
        let here = command
            .replace("dig @127.0.0", &format!("dig -p {dns} @127.0.0"))
            .replace("http://127.0.0.1/", &format!("http://127.0.0.1:{http}/"));
        let output = stage.command("sh").args(["-c", &here]).env("PATH", &path).output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        let said =
            said.replace(&format!(" -p {dns}"), "").replace(&format!("127.0.0.1:{http}"), "127.0.0.1:80");
        matches(&expected, &said).unwrap_or_else(|why| panic!("$ {command}\n{why}\n--- it said:\n{said}"));
    }
}

fn conversations(readme: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            // What a comment explains is not typed.
            let command = command.split("  #").next().unwrap_or(command).trim_end();
            found.push((command.to_owned(), Vec::new()));
        } else if inside && let Some((_, expected)) = found.last_mut() {
            expected.push(line.to_owned());
        }
    }
    found
}

/// Whether `said` has the expected lines in order; `…` skips any, and numbers match any number.
fn matches(expected: &[String], said: &str) -> Result<(), String> {
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    let mut skipping = false;
    for wanted in expected.iter().filter(|line| !line.trim().is_empty()) {
        if wanted.trim() == "…" {
            skipping = true;
            continue;
        }
        let found = if skipping {
            lines.any(|line| shape(line) == shape(wanted))
        } else {
            lines.next().is_some_and(|line| shape(line) == shape(wanted))
        };
        if !found {
            return Err(format!("the README promises this line, at this place:\n{wanted}"));
        }
        skipping = false;
    }
    Ok(())
}

/// A line without what differs from run to run: lengths of space, and what comes after `…` in it. Digits count
/// as one digit, so that times and identifiers match, except in addresses of the lab.
fn shape(line: &str) -> String {
    let line = line.split('…').next().unwrap_or(line);
    line.split_whitespace()
        .map(|word| {
            let keep = word.contains("127.0.0.");
            let hexadecimal = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            match (keep, hexadecimal) {
                (true, _) => word.to_owned(),
                (_, true) => "#".to_owned(),
                _ => word
                    .split(|c: char| c.is_ascii_digit() || c == '.')
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join("#"),
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}
