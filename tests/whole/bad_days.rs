//! Bad days of the database: each is a page that names it, what was saved is kept, and it is over when its cause is.
//!
//! The application is never restarted to be well again. [`super::services`] and [`super::mysql`] have the days on which somebody
//! stops the database.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::namespace::{remount, small, with_mounts_of_its_own};
use super::stage::{PATIENCE, PROGRAM, Stage, signal, until};

const FORM: &str = "http://www.foobar.com/guestbook";

fn with_a_server() -> Stage {
    let stage = Stage::new();
    stage.wwwlab(["up", "-d", "--db", "mysql"]).ok();
    stage
}

/// Where its database is.
fn data(stage: &Stage) -> PathBuf {
    stage.state().join("db")
}

/// Signs, and returns the answer's status and the answer.
fn sign(stage: &Stage, message: &str) -> (u16, String) {
    let said = stage.wwwlab(["curl", "-si", "-d", "name=Ada", "-d", &format!("message={message}"), FORM]).out;
    (said.split(' ').nth(1).unwrap().parse().unwrap(), said)
}

#[track_caller]
fn signed(stage: &Stage, message: &str) {
    let (status, page) = sign(stage, message);
    assert_eq!(status, 303, "{page}");
}

/// The page names the database, what happened, and where to look.
#[track_caller]
fn named((status, page): &(u16, String), says: &str, look: &str) {
    assert_eq!(*status, 503, "{page}");
    assert!(page.contains("Component: <strong>database</strong>"), "{page}");
    assert!(page.contains(says) && page.contains(look), "{page}");
}

/// Everything that was kept is on the guestbook's page.
#[track_caller]
fn read(stage: &Stage, kept: &[&str]) {
    let (status, page) = stage.page("/guestbook");
    assert_eq!(status, 200, "{page}");
    for message in kept {
        assert!(page.contains(message), "{message} is missing: {page}");
    }
}

fn sql(stage: &Stage, statement: &str) -> String {
    stage.wwwlab(["db", "--", "-N", "-B", "-e", statement]).ok()
}

/// Somebody else who uses the database, in a session that goes on until it is dropped.
struct Other {
    client: Child,
    words: Option<ChildStdin>,
}

impl Other {
    /// Says `statements`, and returns when all have been answered.
    fn says(stage: &Stage, statements: &str) -> Self {
        let mut client = stage.command(PROGRAM);
        client.args(["db", "--", "-N", "-B", "--unbuffered"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = client.stderr(Stdio::null()).spawn().unwrap();
        let mut words = client.stdin.take().unwrap();
        writeln!(words, "{statements}; SELECT 'said';").unwrap();
        let heard = BufReader::new(client.stdout.take().unwrap());
        let lines: Vec<String> =
            heard.lines().map(Result::unwrap).take_while(|line| line != "said").collect();
        assert!(client.try_wait().unwrap().is_none(), "it goes on: {lines:?}");
        Self { client, words: Some(words) }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.words.take());
        let _ = self.client.wait();
    }
}

/// Fills the database's file system to the last byte.
fn fill(stage: &Stage) -> PathBuf {
    let filler = data(stage).join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let full = std::io::copy(&mut std::io::repeat(b'x'), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    filler
}

fn a_full_disk(engine: &str, bytes: &str, words: usize) {
    let stage = Stage::new();
    small(&data(&stage), bytes);
    stage.wwwlab(["up", "-d", "--db", engine]).ok();
    signed(&stage, "before");
    let filler = fill(&stage);
    // A server has some room in its files yet.
    let long = "long ".repeat(words);
    let mut last = (303, String::new());
    until("it is full", || {
        last = sign(&stage, &long);
        last.0 != 303
    });
    named(&last, "is full", "df -h");
    read(&stage, &["before"]);
    fs::remove_file(filler).unwrap();
    signed(&stage, "after");
    read(&stage, &["before", "after"]);
    assert_eq!(stage.page("/").0, 200);
}

#[test]
fn the_disk_of_a_file_is_full() {
    with_mounts_of_its_own("bad_days::the_disk_of_a_file_is_full", || a_full_disk("sqlite", "2m", 12_000));
}

#[test]
fn the_disk_of_a_server_is_full() {
    // Of an entry that takes several pages, MariaDB 10.11 takes back what it began for seconds, and then ends itself.

    with_mounts_of_its_own("bad_days::the_disk_of_a_server_is_full", || a_full_disk("mysql", "120m", 300));
}

#[test]
fn the_disk_is_full_before_a_server_has_its_files() {
    with_mounts_of_its_own("bad_days::the_disk_is_full_before_a_server_has_its_files", || {
        let stage = Stage::new();
        small(&data(&stage), "4m");
        let refused = stage.wwwlab(["up", "-d", "--db", "mysql"]).refused(1);
        let named = refused.contains("could not make its files (") && refused.contains("the disk is full");
        assert!(named && refused.contains("`df -h`"), "{refused}");
        // What it began is in nobody's way.
        remount(&data(&stage), "size=200m");
        stage.wwwlab(["up", "-d", "--db", "mysql"]).ok();
        signed(&stage, "after");
    });
}

#[test]
fn the_directory_of_a_file_is_read_only() {
    with_mounts_of_its_own("bad_days::the_directory_of_a_file_is_read_only", || {
        let stage = Stage::new();
        small(&data(&stage), "8m");
        stage.wwwlab(["up", "-d"]).ok();
        signed(&stage, "before");
        // A file that is open for writing keeps its file system writable.
        stage.wwwlab(["stop", "app"]).ok();
        remount(&data(&stage), "ro");
        stage.wwwlab(["start", "app"]).ok();
        named(&sign(&stage, "lost"), "cannot be written", "ls -l");
        read(&stage, &["before"]);
        remount(&data(&stage), "rw");
        signed(&stage, "after");
        read(&stage, &["before", "after"]);
    });
}

#[test]
fn the_directory_of_a_server_is_read_only() {
    with_mounts_of_its_own("bad_days::the_directory_of_a_server_is_read_only", || {
        let stage = Stage::new();
        small(&data(&stage), "200m");
        stage.wwwlab(["up", "-d", "--db", "mysql"]).ok();
        signed(&stage, "before");
        stage.wwwlab(["stop", "db"]).ok();
        remount(&data(&stage), "ro");
        let refused = stage.wwwlab(["start", "db"]).refused(1);
        assert!(refused.contains("Read-only file system"), "{refused}");
        until("nobody listens", || stage.page("/").1.contains("refuses connections"));
        remount(&data(&stage), "rw");
        stage.wwwlab(["start", "db"]).ok();
        signed(&stage, "after");
        read(&stage, &["before", "after"]);
    });
}

#[test]
fn the_file_is_damaged() {
    let stage = Stage::up();
    for number in 0..40 {
        signed(&stage, &format!("{number} {}", "word ".repeat(400)));
    }
    let file = data(&stage).join("foobar.sqlite");
    stage.wwwlab(["stop", "app"]).ok();
    let good = fs::read(&file).unwrap();
    stage.wwwlab(["start", "app"]).ok();
    // The whole, which is no database then; or all but its first page, which says that it is one.
    for from in [0, 4_096] {
        let mut bad = good.clone();
        bad[from..].fill(b'x');
        // While it runs it may not need to look at what it has in memory.
        stage.wwwlab(["stop", "app"]).ok();
        fs::write(&file, &bad).unwrap();
        stage.wwwlab(["start", "app"]).ok();
        named(&stage.page("/guestbook"), "is damaged", "ls -l");
        named(&sign(&stage, "lost"), "is damaged", "ls -l");
        assert!(fs::read(&file).unwrap() == bad, "what can perhaps be saved is left as it is");
        fs::write(&file, &good).unwrap();
        read(&stage, &["39 word", "21 word"]);
    }
    signed(&stage, "after");
}

#[test]
fn a_table_of_a_server_is_damaged() {
    let stage = with_a_server();
    signed(&stage, "before");
    let file = data(&stage).join("mysql/data/foobar/entries.ibd");
    stage.wwwlab(["stop", "db"]).ok();
    let good = fs::read(&file).unwrap();
    fs::write(&file, vec![b'x'; good.len()]).unwrap();
    stage.wwwlab(["start", "db"]).ok();
    until("the server is found", || !stage.page("/").1.contains("ended the connection"));
    named(&stage.page("/guestbook"), "is damaged", "CHECK TABLE");
    stage.wwwlab(["stop", "db"]).ok();
    fs::write(&file, good).unwrap();
    stage.wwwlab(["start", "db"]).ok();
    until("the server is found", || !stage.page("/").1.contains("ended the connection"));
    read(&stage, &["before"]);
}

/// Takes every place that a database server has, again and again: one who does not log in loses it after ten seconds.
struct Crowd {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// At the server at `port`, when this returns.
    fn at(port: u16) -> Self {
        let (over, full) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_over, is_full) = (over.clone(), full.clone());
        let thread = std::thread::spawn(move || {
            let mut places = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let mut place = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                place.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut head = [0; 5];
                place.read_exact(&mut head).unwrap();
                if head[4] == 0xff {
                    is_full.store(true, Ordering::Relaxed);
                    std::thread::park_timeout(Duration::from_millis(2));
                } else {
                    places.push(place);
                }
            }
        });
        let crowd = Self { over, thread: Some(thread) };
        until("somebody is turned away", || full.load(Ordering::Relaxed));
        crowd
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn a_server_has_too_many_connections() {
    let stage = with_a_server();
    signed(&stage, "before");
    let crowd = Crowd::at(stage.port("db"));
    let turned_away = (0..10).find_map(|_| {
        // The application's own connections would do for it, and it may come at the moment when one of the crowd goes.
        stage.wwwlab(["stop", "app"]).ok();
        stage.wwwlab(["start", "app"]).ok();
        Some(stage.page("/guestbook")).filter(|(status, _)| *status != 200)
    });
    named(&turned_away.expect("one of ten tries"), "too many connections already", "SHOW FULL PROCESSLIST");
    drop(crowd);
    until("there is a place", || stage.page("/guestbook").0 == 200);
    read(&stage, &["before"]);
}

#[test]
fn a_query_of_a_server_is_slow() {
    let stage = with_a_server();
    signed(&stage, "before");
    sql(
        &stage,
        "RENAME TABLE entries TO kept; CREATE VIEW entries AS SELECT * FROM kept WHERE SLEEP(100) = 0",
    );
    named(&stage.page("/guestbook"), "did not answer in time", "SHOW FULL PROCESSLIST");
    let works = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(100)%' OR state = 'User sleep'";
    until("the server works for nobody", || sql(&stage, works) == "1\n" || sql(&stage, works) == "0\n");
    sql(&stage, "DROP VIEW entries; RENAME TABLE kept TO entries");
    read(&stage, &["before"]);
}

#[test]
fn somebody_holds_a_table_and_somebody_a_row() {
    let stage = with_a_server();
    signed(&stage, "before");
    let table = Other::says(&stage, "LOCK TABLES entries WRITE");
    let mut said = (0, String::new());
    until("the lock's time is over before the application's", || {
        said = stage.page("/guestbook");
        said.1.contains("holds a lock for too long")
    });
    named(&said, "holds a lock for too long", "SHOW FULL PROCESSLIST");
    drop(table);
    read(&stage, &["before"]);
    let row = Other::says(&stage, "BEGIN; SELECT value FROM counters FOR UPDATE");
    named(&stage.page("/"), "holds a lock for too long", "SHOW FULL PROCESSLIST");
    read(&stage, &["before"]);
    drop(row);
    assert_eq!(stage.page("/").0, 200);
}

#[test]
fn a_server_goes_in_the_middle_of_a_transaction() {
    let stage = with_a_server();
    let jar = stage.root().join("jar");
    let jar = jar.to_str().unwrap();
    let api = |method: &str, path: &str, body: &str| {
        let address = format!("http://www.foobar.com/api/{path}");
        let json = "Content-Type: application/json";
        stage.wwwlab(["curl", "-s", "-b", jar, "-c", jar, "-X", method, "-H", json, "-d", body, &address]).out
    };
    api("POST", "accounts", r#"{"name":"Ada","password":"correct horse"}"#);
    let entry: serde_json::Value =
        serde_json::from_str(&api("POST", "entries", r#"{"name":"Ada","message":"before"}"#)).unwrap();
    let number = format!("entries/{}", entry["id"]);
    let row = Other::says(&stage, "BEGIN; SELECT id FROM entries FOR UPDATE");
    let db = stage.pid("db");
    let waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE entries%'";
    let said = std::thread::scope(|scope| {
        let edit = scope.spawn(|| api("PUT", &number, r#"{"message":"lost"}"#));
        until("it is in the middle", || sql(&stage, waits) == "1\n");
        signal(db, "KILL");
        edit.join().unwrap()
    });
    assert!(said.contains("ended the connection in the middle") && said.contains("\"database\""), "{said}");
    drop(row);
    until("it is back", || stage.wwwlab(["start", "db"]).code == 0);
    read(&stage, &["before"]);
    assert!(api("PUT", &number, r#"{"message":"after"}"#).contains("\"after\""));
    read(&stage, &["after"]);
}
