//! The lab's own database server: a real mariadbd, made, started, broken and used.
//!
//! But for the first test, the application is a student's program that only says which database it was told of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::stage::{Said, Stage, processes_of, signal, until};

/// What a student's program is told of the database is on its page.
const APPLICATION: &str = r#"
import os
from wsgiref.simple_server import make_server
def page(environment, start):
    start("200 OK", [])
    return [os.environ["DATABASE_URL"].encode() + b" " + os.environ.get("DATABASE_FILE", "no file").encode()]
make_server(os.environ["HOST"], int(os.environ["PORT"]), page).serve_forever()
"#;

fn stage() -> Stage {
    let stage = Stage::new();
    fs::write(stage.root().join("app.py"), APPLICATION).unwrap();
    stage.edit("lab.toml", |text| {
        text.replace("# command = \"python3 app.py\"", "command = \"python3 app.py\"")
            .replace("# engine = \"sqlite\"", "engine = \"mysql\"")
    });
    stage
}

fn sql(stage: &Stage, statement: &str) -> Said {
    stage.wwwlab(["db", "--", "-N", "-B", "-e", statement])
}

fn data(stage: &Stage) -> PathBuf {
    stage.state().join("db/mysql/data")
}

/// The address that the application is told, with its password, and the password alone.
fn address(stage: &Stage) -> (String, String) {
    let address = fs::read_to_string(stage.state().join("db/address")).unwrap();
    let password = address.split([':', '@']).nth(2).unwrap().to_owned();
    (address, password)
}

#[test]
fn the_whole_page_goes_with_it_and_comes_back_by_itself() {
    let stage = Stage::new();
    stage.wwwlab(["up", "-d", "--db", "mysql"]).ok();
    let port = stage.port("db");
    let tables = "accounts\ncounters\nentries\nsessions\nwwwlab_schema\n";
    assert_eq!(sql(&stage, "SHOW TABLES").ok(), tables, "before there was a page");
    let (status, page) = stage.page("/");
    assert_eq!(status, 200, "{page}");
    let path = format!("<code class=\"address\">127.0.0.1<wbr><span>:{port}</span></code>");
    assert!(page.contains("<bdi>MariaDB ") && page.contains(&path), "{page}");
    let signed = stage.curl("-i -d name=Ada -d message=kept http://www.foobar.com/guestbook").ok();
    assert!(signed.starts_with("HTTP/1.1 303 "), "{signed}");

    for verb in ["stop", "kill"] {
        stage.wwwlab([verb, "db"]).ok();
        // The first counts a visit, and may do so on a connection that it has, whose end it meets; after that nobody
        // listens. What only reads looks itself whether somebody does.
        for (target, says) in [("/", ""), ("/", "refuses connections"), ("/guestbook", "refuses connections")]
        {
            let (status, page) = stage.page(target);
            assert_eq!(status, 503, "{page}");
            assert!(page.contains("Component: <strong>database</strong>"), "{page}");
            assert!(page.contains(&format!("mysql://127.0.0.1:{port}/foobar")), "{page}");
            assert!(page.contains(says) && page.contains("<code>wwwlab start db</code>"), "{page}");
            assert!(!page.contains(&address(&stage).1), "no password is on it");
        }
        assert_eq!(stage.page("/about.html").0, 200, "a file needs no database");
        stage.wwwlab(["start", "db"]).ok();
        let (status, page) = stage.page("/");
        assert!(status == 200 && page.contains("kept"), "nothing else was started: {page}");
    }
    // Nobody looked meanwhile: the connections that are kept are to a server that is gone.
    for verb in ["stop", "kill"] {
        stage.wwwlab([verb, "db"]).ok();
        stage.wwwlab(["start", "db"]).ok();
        let (status, page) = stage.page("/guestbook");
        assert!(status == 200 && page.contains("kept"), "{page}");
    }
    stage.wwwlab(["down"]).ok();
    stage.wwwlab(["up", "-d", "--db", "mysql"]).ok();
    assert_eq!(stage.page("/").0, 200);
    assert_eq!(sql(&stage, "SELECT name, message FROM entries").ok(), "Ada\tkept\n");
}

#[test]
fn it_is_a_service_like_the_others_and_keeps_what_was_said() {
    let stage = stage();
    let up = stage.wwwlab(["up", "-d"]);
    assert!(up.err.contains("db: makes the files of its database, once (MariaDB "), "{up:?}");
    assert!(up.ok().contains("database (mariadbd)"));
    let db = stage.service("db");
    assert_eq!(db["state"], "running");
    assert_eq!(db["address"], format!("127.0.0.1:{}", stage.port("db")));
    assert!(db["disk_bytes"].as_u64().unwrap() > 1_000_000, "{db}");

    assert_eq!(sql(&stage, "SHOW TABLES").ok(), "", "an application of one's own makes its own");
    sql(&stage, "CREATE TABLE kept (word TEXT); INSERT INTO kept VALUES ('Zoë 🎈')").ok();
    for (verb, state) in [("kill", "stopped"), ("start", "running"), ("restart", "running")] {
        stage.wwwlab([verb, "db"]).ok();
        assert_eq!(stage.service("db")["state"], state);
    }
    assert_eq!(sql(&stage, "SELECT word FROM kept").ok(), "Zoë 🎈\n");
    stage.wwwlab(["pause", "db"]).ok();
    assert_eq!(stage.service("db")["state"], "paused");
    stage.wwwlab(["resume", "db"]).ok();
    stage.wwwlab(["stop", "db"]).ok();
    let said = sql(&stage, "SELECT 1");
    assert_eq!(said.code, 1, "the client's own exit code");
    assert!(said.err.contains("ERROR 2002") || said.err.contains("ERROR 2003"), "nobody listens: {said:?}");
    stage.wwwlab(["start", "db"]).ok();
    signal(stage.pid("db"), "KILL");
    until("its death is seen", || stage.service("db")["state"] == "failed");

    stage.wwwlab(["down"]).ok();
    let up = stage.wwwlab(["up", "-d"]);
    assert!(!up.err.contains("makes the files"), "only once: {up:?}");
    assert_eq!(sql(&stage, "SELECT word FROM kept").ok(), "Zoë 🎈\n");

    signal(stage.supervisor(), "KILL");
    until("the guard has ended it", || processes_of(&stage.state().canonicalize().unwrap()).is_empty());
}

#[test]
fn its_password_is_only_where_it_must_be() {
    let stage = stage();
    let said = stage.wwwlab(["up", "-d"]);
    let (address, password) = address(&stage);
    assert!(password.len() == 32 && address.starts_with("mysql://wwwlab:"), "{address}");
    assert!(stage.page("/").1.ends_with(&format!("{address} no file")), "the application is told");
    assert_eq!(sql(&stage, "SELECT current_user()").ok(), "wwwlab@%\n");
    assert_eq!(sql(&stage, "SELECT user FROM mysql.user").code, 1, "it has no right but to its own database");

    let mut shown =
        vec![said.out, said.err, stage.wwwlab(["status", "--json"]).ok(), stage.wwwlab(["logs"]).ok()];
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        shown.push(String::from_utf8_lossy(&line).into_owned());
    }
    assert!(shown.iter().any(|line| line.contains("--no-defaults")), "the server is among them");
    assert!(!shown.iter().any(|text| text.contains(&password)), "and nowhere is the password");
    for file in ["db/address", "db/client.cnf", "db/mysql/password", "db/mysql/accounts.sql"] {
        let mode = fs::metadata(stage.state().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let socket = stage.state().join("db.sock");
    let administrator =
        stage.run("mariadb", ["--no-defaults", "-S", socket.to_str().unwrap(), "-e", "SHOW GRANTS"]);
    assert!(administrator.ok().contains("ALL PRIVILEGES ON *.*"), "whoever runs the lab, at its socket");
}

#[test]
fn one_that_runs_already_is_used_and_left_alone() {
    let (theirs, mine) = (stage(), stage());
    theirs.wwwlab(["up", "-d"]).ok();
    let (address, password) = address(&theirs);
    let mut up = mine.command(super::stage::PROGRAM);
    let said = Said::from(up.args(["up", "-d"]).env("WWWLAB_DB_URL", &address).output().unwrap());
    let place = format!("127.0.0.1:{}", theirs.port("db"));
    assert!(said.ok().contains("database (MySQL, not of this lab)"));
    assert!(mine.page("/").1.contains(&address));
    assert_eq!(mine.service("db")["pid"], serde_json::Value::Null);
    assert!(mine.wwwlab(["status"]).ok().contains(&place));
    assert!(!data(&mine).exists());
    let refused = mine.wwwlab(["stop", "db"]).refused(1);
    assert!(
        refused.contains(&format!("the database at {place} is not of this lab: stop it where")),
        "{refused}"
    );
    assert_eq!(sql(&mine, "SELECT 6 * 7").ok(), "42\n");
    mine.wwwlab(["down"]).ok();

    fs::write(mine.root().join("address"), format!("{address}\n")).unwrap();
    mine.edit("lab.toml", |text| text.replace("engine = \"mysql\"", "url_file = \"address\""));
    mine.wwwlab(["up", "-d"]).ok();
    mine.wwwlab(["down"]).ok();
    theirs.wwwlab(["down"]).ok();
    let refused = mine.wwwlab(["up", "-d"]).refused(1);
    assert!(refused.contains(&format!("no database answers at {place}")), "{refused}");
    assert!(!refused.contains(&password));
    let refused = mine.wwwlab(["up", "--db", "mysql://u:secret@h/"]).refused(1);
    assert!(refused.contains("the database's name") && !refused.contains("secret"), "{refused}");
}

#[test]
fn files_that_cannot_be_used_are_named_and_kept() {
    let stage = stage();
    // Somebody was killed while the files were made.
    fs::create_dir_all(stage.state().join("db/mysql/initialising/mysql")).unwrap();
    stage.wwwlab(["up", "-d"]).ok();
    stage.wwwlab(["down"]).ok();

    let note = data(&stage).join("made-by");
    let whole = fs::read_to_string(&note).unwrap();
    for (made, why) in [
        ("MariaDB 99.1.0\n", "was last used by MariaDB 99.1.0, and /"),
        ("MySQL 8.0.36\n", "install MySQL 8.0.36 or later, or move it away"),
        ("", "was not made by wwwlab, or is damaged"),
    ] {
        fs::write(&note, made).unwrap();
        let refused = stage.wwwlab(["up", "-d"]).refused(1);
        assert!(refused.contains("db cannot serve: ") && refused.contains(why), "{refused}");
    }
    fs::write(&note, whole).unwrap();
    let tables = data(&stage).join("ibdata1");
    fs::write(&tables, vec![b'x'; 12 << 20]).unwrap();
    let refused = stage.wwwlab(["up", "-d"]).refused(1);
    // By an exit or by SIGABRT: whether it had to recover decides.
    let ended = refused.contains("db cannot serve: it ended before it served (");
    assert!(ended && refused.contains("), saying: InnoDB: "), "{refused}");
    assert!(refused.contains("move `db/mysql/data` of the lab's state away"), "{refused}");
    fs::rename(data(&stage), stage.root().join("away")).unwrap();
    stage.wwwlab(["up", "-d"]).ok();
}

#[test]
fn where_none_is_installed_it_says_what_to_install() {
    // A machine has servers in places that no PATH hides; so this asks of one that has a program that is none.
    let stage = stage();
    let bin = stage.root().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("mariadbd"), "#!/bin/sh\necho what is this\n").unwrap();
    fs::set_permissions(bin.join("mariadbd"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.canonicalize().unwrap().display(), std::env::var("PATH").unwrap());
    let mut up = stage.command(super::stage::PROGRAM);
    let said = Said::from(up.args(["up", "-d"]).env("PATH", path).output().unwrap());
    assert!(said.refused(1).contains("does not say its version: is it a MariaDB or MySQL server?"));
}

#[test]
fn the_client_of_an_embedded_database_is_its_own() {
    let stage = Stage::up();
    assert_eq!(
        stage.wwwlab(["db", "--", "SELECT count(*) FROM entries"]).ok(),
        "0\n",
        "before there was a page"
    );
    let mode = fs::metadata(stage.state().join("db/foobar.sqlite")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the client did not make it");
    assert_eq!(stage.wwwlab(["db", "--", "SELECT 6 * 7"]).ok(), "42\n");
    // Which one depends on whether there are tables.
    let file = stage.state().join("db/foobar.sqlite");
    let own = stage.run("sqlite3", [file.to_str().unwrap(), "SELECT nonsense"]).code;
    assert_ne!(own, 0);
    assert_eq!(stage.wwwlab(["db", "--", "SELECT nonsense"]).code, own, "sqlite3's own exit code");
    stage.wwwlab(["down"]).ok();
    stage.wwwlab(["db"]).refused(3);
}
