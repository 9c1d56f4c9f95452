//! Conversations with the lab, written down and run: those of the README and of pages in docs/, and in `tests/golden/`.
//!
//! A block fenced as `console` is a conversation: `$ ` starts a command, the lines after it are what it prints (its
//! standard error first). A line `…` stands for any lines. Lengths of white space do not count, nor do the values of
//! numbers, which differ from run to run, except in the lab's addresses and in lines of at most three words (`503`,
//! `curl says 7`); nor whether what was measured took µs, ms or s. A command fails if and only if it is written that it says why (`wwwlab: …`, `error: …`).

use std::fs;
use std::path::Path;

use super::stage::{PROGRAM, Stage};

#[test]
fn the_readme_is_true() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let count = hold(&readme);
    assert!(count >= 20, "the README shows the first five minutes: {count} commands");
}

#[test]
fn the_page_of_the_web_server_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/WEB.md");
    let count = hold(&page);
    assert!(count >= 5, "it shows what the server does: {count} commands");
}

#[test]
fn the_page_of_the_lab_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/LAB.md");
    assert!(hold(&page) > 0, "docs/LAB.md shows how resolvers disagree");
}

#[test]
fn the_page_of_https_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/TLS.md");
    let count = hold(&page);
    assert!(count >= 5, "it shows what a handshake is, and one that fails: {count} commands");
}

#[test]
fn the_page_of_signed_zones_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/DNSSEC.md");
    let count = hold(&page);
    assert!(count >= 5, "it shows what is believed, and what is not: {count} commands");
}

#[test]
fn the_golden_conversations_are_true() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert!(hold(&file) > 0, "{} holds no conversation", file.display());
    }
}

/// Holds the conversations in `file` with a lab of their own, which is up; how many commands that were.
fn hold(file: &Path) -> usize {
    let text = fs::read_to_string(file).unwrap();
    let conversations = conversations(&text);
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replacen("[ports]\n", "[ports]\nhttps = 0\n", 1));
    stage.wwwlab(["up", "-d"]).ok();
    let (mut dns, mut http) = (stage.port("dns"), stage.port("http"));
    let bin = Path::new(PROGRAM).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for (command, expected) in &conversations {
        // The written lab has the real ports; this one stands beside others.
        let here = command
            .replace("dig @127.0.0", &format!("dig -p {dns} @127.0.0"))
            .replace("http://127.0.0.1/", &format!("http://127.0.0.1:{http}/"));
        let output = stage.command("sh").args(["-c", &here]).env("PATH", &path).output().unwrap();
        let fails = expected.iter().any(|line| line.starts_with("wwwlab: ") || line.starts_with("error: "));
        assert_eq!(!output.status.success(), fails, "{}\n$ {command}\n{output:?}", file.display());
        let said = [output.stderr, output.stdout].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        if command.starts_with("wwwlab up") {
            // A lab that comes up again takes other free ports.
            (dns, http) = (stage.port("dns"), stage.port("http"));
        }
        let said = said
            .replace(&format!(" -p {dns}"), "")
            .replace(&format!(":{http}"), ":80")
            .replace(&format!(":{dns}"), ":53");
        if let Err(why) = matches(expected, &said) {
            panic!("{}\n$ {command}\n{why}\n--- it said:\n{said}", file.display());
        }
    }
    conversations.len()
}

fn conversations(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            // A command that wwwlab shows before it runs it is part of what it prints.
            let shown = found.last().is_some_and(|(before, _)| {
                before.starts_with("wwwlab dig") && command.starts_with("dig")
                    || before.contains("wwwlab curl")
                        && (command.starts_with("curl --connect-to")
                            || command.starts_with("curl ") && before.contains("shell -- "))
                    || before.starts_with("wwwlab --network hosts")
                        && command.starts_with("wwwlab --network hosts shell")
            });
            match found.last_mut() {
                Some((_, expected)) if shown => expected.push(line.to_owned()),
                _ => found.push((command.to_owned(), Vec::new())),
            }
        } else if inside && let Some((_, expected)) = found.last_mut() {
            expected.push(line.to_owned());
        }
    }
    found
}

/// Whether `said` is what was expected: the lines in order, and no others unless `…` allows them.
fn matches(expected: &[String], said: &str) -> Result<(), String> {
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    let mut skipping = false;
    for wanted in expected.iter().filter(|line| !line.trim().is_empty()) {
        if wanted.trim() == "…" {
            skipping = true;
            continue;
        }
        let same = |line: &str| shape(line) == shape(wanted);
        let found = if skipping { lines.any(same) } else { lines.next().is_some_and(same) };
        if !found {
            return Err(format!("this line should be here:\n{wanted}"));
        }
        skipping = false;
    }
    match lines.next() {
        Some(more) if !skipping => Err(format!("this line is too many:\n{more}")),
        _ => Ok(()),
    }
}

/// A line without what differs from run to run.
fn shape(line: &str) -> String {
    if line.split_whitespace().count() <= 3 {
        return line.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let words = line.split_whitespace().map(|word| {
        let hexadecimal = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        match word {
            _ if word.contains("127.0.0.") || word.starts_with('%') => word.to_owned(),
            // A path of the lab is somewhere else in each run.
            _ if word.starts_with("/tmp/") || word.starts_with("(/") => "PATH".to_owned(),
            _ if hexadecimal => "#".to_owned(),
            _ => number_free(word),
        }
    });
    let mut words: Vec<String> = words.collect();
    for place in 1..words.len() {
        // With what stands around it: `(# ms, …)`.
        if words[place - 1].ends_with('#') {
            let unit = words[place].trim_end_matches(|sign: char| sign.is_ascii_punctuation());
            if ["ms", "s"].contains(&unit) {
                words[place] = format!("µs{}", &words[place][unit.len()..]);
            }
        }
    }
    words.join(" ")
}

/// `word` with each number, decimals included, as one `#`.
fn number_free(word: &str) -> String {
    let mut free = String::new();
    for character in word.chars() {
        let number = character.is_ascii_digit() || character == '.' && free.ends_with('#');
        match number {
            true if free.ends_with('#') => {}
            true => free.push('#'),
            false => free.push(character),
        }
    }
    free
}

#[test]
fn lines_are_the_same_but_for_their_numbers() {
    assert_eq!(shape("a   12.5 ms b"), shape("a 7 µs b"));
    assert_eq!(shape("answered after (1.7 s)."), shape("answered after (131 µs)."));
    assert_ne!(shape("it took 3 steps there"), shape("it took 3 µs there"));
    assert_ne!(shape("asks 127.0.0.3 com."), shape("asks 127.0.0.4 com."));
    assert_ne!(shape("status: NXDOMAIN"), shape("status: NOERROR"));
    assert_ne!(shape("200"), shape("503"));
    assert_ne!(shape("curl says 7"), shape("curl says 28"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&lines("a\n…\nd"), "a\nb\nc\nd\n").is_ok());
    assert!(matches(&lines("a\nd"), "a\nb\nd\n").is_err());
    assert!(matches(&lines("a"), "a\nb\n").is_err());
    assert!(matches(&lines("…\nz"), "a\nb\n").is_err());
}
