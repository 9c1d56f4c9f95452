//! Backup and disaster recovery: the database's directory is gone, and comes back; a restore is killed, and was nothing.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::stage::{PROGRAM, Stage, until};

fn with_a_server() -> Stage {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# engine = \"sqlite\"", "engine = \"mysql\""));
    stage.wwwlab(["up", "-d"]).ok();
    stage
}

fn sign(stage: &Stage, message: &str) {
    let form = format!("message={message}");
    let said =
        stage.wwwlab(["curl", "-s", "-i", "-d", "name=Ada", "-d", &form, "http://www.foobar.com/guestbook"]);
    assert!(said.out.starts_with("HTTP/1.1 303"), "{said:?}");
}

/// The messages on the guestbook's page, of those that are asked for.
fn there_are(stage: &Stage, messages: &[&str]) -> Vec<bool> {
    let (status, page) = stage.page("/guestbook");
    assert_eq!(status, 200, "{page}");
    messages.iter().map(|message| page.contains(message)).collect()
}

/// A backup of so many entries, all with this message, as the program would have written it.
fn large(file: &Path, entries: u32, message: &str) {
    let mut text = format!(
        "{{\"wwwlab_backup\":1,\"made_at\":\"2026-11-22T00:00:00.000Z\",\"engine\":\"SQLite 3\",\"schema\":2,\
         \"rows\":{{\"accounts\":0,\"counters\":0,\"entries\":{entries}}},\
         \"last_numbers\":{{\"accounts\":0,\"entries\":{entries}}}}}\n"
    );
    for id in 1..=entries {
        text.push_str(&format!(
            "{{\"entry\":{{\"id\":{id},\"name\":\"Eve\",\"message\":\"{message}\",\"written_at\":1,\
             \"edited_at\":null,\"owner\":null}}}}\n"
        ));
    }
    let digest = HEXLOWER.encode(&Sha256::digest(&text));
    fs::write(file, format!("{text}{{\"sha256\":\"{digest}\"}}\n")).unwrap();
}

fn restoring(stage: &Stage, file: &str) -> Child {
    let mut command = stage.command(PROGRAM);
    command.args(["restore", file]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills a restore that is in the middle of it.
#[track_caller]
fn kill(mut restore: Child) {
    restore.kill().unwrap();
    assert_eq!(restore.wait().unwrap().signal(), Some(9), "it was not over before");
}

#[test]
fn an_embedded_database_that_was_destroyed_is_recovered() {
    let stage = Stage::up();
    sign(&stage, "precious");
    let made: serde_json::Value =
        serde_json::from_str(&stage.wwwlab(["backup", "it.backup", "--json"]).ok()).unwrap();
    assert_eq!((&made["rows"]["entries"], &made["schema"]), (&1.into(), &2.into()));
    assert_eq!(made["bytes"], fs::metadata(stage.root().join("it.backup")).unwrap().len());
    let refused = stage.wwwlab(["backup", "it.backup"]).refused(2);
    assert!(refused.contains("it.backup is there already") && refused.contains("--force"), "{refused}");

    fs::remove_dir_all(stage.state().join("db")).unwrap();
    let refused = stage.wwwlab(["backup", "it.backup", "--force"]).refused(1);
    assert!(refused.contains("nothing to back up"), "the good one is kept: {refused}");
    stage.wwwlab(["restart", "app"]).ok();
    assert_eq!(there_are(&stage, &["precious"]), [false]);
    assert!(stage.wwwlab(["restore", "it.backup"]).ok().contains("1 entry and 0 accounts"));
    assert_eq!(there_are(&stage, &["precious"]), [true]);

    stage.edit("it.backup", |text| text.replace("precious", "precioux"));
    let refused = stage.wwwlab(["restore", "it.backup"]).refused(2);
    assert!(refused.contains("its SHA-256 is another one"), "{refused}");
    assert_eq!(there_are(&stage, &["precious"]), [true]);

    stage.wwwlab(["down"]).ok();
    stage.wwwlab(["backup", "other.backup"]).refused(3);
    stage.wwwlab(["restore", "--check", "it.backup"]).refused(2);
    stage.edit("it.backup", |text| text.replace("precioux", "precious"));
    let checked = stage.wwwlab(["restore", "--check", "--json", "it.backup"]).ok();
    assert!(checked.contains("\"restored\": false"), "{checked}");
}

#[test]
fn a_database_server_that_was_destroyed_is_recovered_and_the_other_engine_takes_its_backup() {
    let stage = with_a_server();
    sign(&stage, "precious");
    let said = stage.wwwlab(["backup", "it.backup"]).ok();
    assert!(said.contains("1 entry and 0 accounts"), "{said}");
    stage.wwwlab(["pause", "db"]).ok();
    let refused = stage.wwwlab(["backup", "other.backup"]).refused(1);
    assert!(refused.contains("did not answer in time"), "{refused}");
    stage.wwwlab(["resume", "db"]).ok();
    stage.wwwlab(["kill", "db"]).ok();
    let refused = stage.wwwlab(["restore", "it.backup"]).refused(1);
    assert!(refused.contains("refuses connections"), "{refused}");
    fs::remove_dir_all(stage.state().join("db/mysql/data")).unwrap();
    stage.wwwlab(["start", "db"]).ok();
    let refused = stage.wwwlab(["backup", "it.backup", "--force"]).refused(1);
    assert!(refused.contains("nothing to back up"), "{refused}");
    stage.wwwlab(["restore", "it.backup"]).ok();
    stage.wwwlab(["restart", "app"]).ok();
    assert_eq!(there_are(&stage, &["precious"]), [true]);

    let embedded = Stage::up();
    sign(&embedded, "gone");
    fs::copy(stage.root().join("it.backup"), embedded.root().join("it.backup")).unwrap();
    let said = embedded.wwwlab(["restore", "it.backup"]).ok();
    assert!(said.contains("from MariaDB "), "{said}");
    assert_eq!(there_are(&embedded, &["precious", "gone"]), [true, false]);
}

#[test]
fn a_restore_that_is_killed_was_nothing() {
    let stage = Stage::up();
    sign(&stage, "precious");
    let file = stage.root().join("large.backup");
    large(&file, 2_000, "foreign");
    // While this reads, nobody can commit.
    let database = stage.state().join("db/foobar.sqlite");
    let mut reader = stage.command("sqlite3");
    let mut reader = reader.arg(&database).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut words = reader.stdin.take().unwrap();
    words.write_all(b"BEGIN; SELECT 'reads', count(*) FROM entries;\n").unwrap();
    let mut said = String::new();
    BufReader::new(reader.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "reads|1\n");
    let restore = restoring(&stage, "large.backup");
    let journal = stage.state().join("db/foobar.sqlite-journal");
    until("it is in the middle", || fs::metadata(&journal).is_ok_and(|journal| journal.len() > 4096));
    kill(restore);
    drop(words);
    reader.wait().unwrap();
    assert_eq!(there_are(&stage, &["precious", "foreign"]), [true, false]);
    stage.wwwlab(["restore", "large.backup"]).ok();
    assert_eq!(there_are(&stage, &["precious", "foreign"]), [false, true]);
}

#[test]
fn a_restore_into_a_server_that_is_killed_was_nothing() {
    let stage = with_a_server();
    sign(&stage, "precious");
    large(&stage.root().join("large.backup"), 40_000, "foreign");
    let socket = stage.state().join("db.sock");
    // A thousand of them restore it, of many rows each.
    let inserts = "SHOW GLOBAL STATUS LIKE 'Com_insert'";
    let restore = restoring(&stage, "large.backup");
    until("it is in the middle", || {
        let said =
            stage.run("mariadb", ["--no-defaults", "-NB", "-S", socket.to_str().unwrap(), "-e", inserts]);
        said.ok().trim().trim_start_matches("Com_insert\t").parse::<u64>().unwrap() > 100
    });
    kill(restore);
    assert_eq!(there_are(&stage, &["precious", "foreign"]), [true, false]);
    stage.wwwlab(["restore", "large.backup"]).ok();
    assert_eq!(there_are(&stage, &["precious", "foreign"]), [false, true]);
}

#[test]
fn who_is_remembered_in_memory_is_forgotten_too() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# sessions = \"database\"", "sessions = \"memory\""));
    stage.wwwlab(["up", "-d"]).ok();
    let account = "{\"name\":\"Grace\",\"password\":\"correct horse\"}";
    let register = ["curl", "-s", "-c", "jar", "-H", "Content-Type: application/json", "-d", account];
    stage.wwwlab(register.into_iter().chain(["http://www.foobar.com/api/accounts"])).ok();
    let whoami = || stage.curl("-b jar http://www.foobar.com/whoami").ok();
    assert!(whoami().contains("Grace"));
    stage.wwwlab(["backup", "it.backup"]).ok();
    let said = stage.wwwlab(["restore", "it.backup"]).ok();
    assert!(said.contains("everybody is logged out; the application was started again"), "{said}");
    assert!(!whoami().contains("Grace"));
}

#[test]
fn the_tables_of_an_application_of_ones_own_are_left_to_it() {
    let stage = Stage::up();
    stage.edit("lab.toml", |text| {
        text.replace("# command = \"python3 app.py\"", "command = \"python3 app.py\"")
    });
    let refused = stage.wwwlab(["backup", "it.backup"]).refused(1);
    assert!(refused.contains("an application of your own"), "{refused}");
}
