//! Faults of the database, with both engines: what a visitor gets meanwhile, and that all is as before after it.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{Said, Stage, processes_of, signal, until};

const FORM: &str = "http://www.foobar.com/guestbook";

fn with(engine: &str) -> Stage {
    let stage = Stage::new();
    stage.wwwlab(["up", "-d", "--db", engine]).ok();
    stage
}

fn fault(stage: &Stage, arguments: &str) -> Said {
    stage.wwwlab(["fault"].into_iter().chain(arguments.split_whitespace()))
}

/// Signs, and returns the answer's status and the answer.
fn sign(stage: &Stage, message: &str) -> (u16, String) {
    let said = stage.wwwlab(["curl", "-si", "-d", "name=Ada", "-d", &format!("message={message}"), FORM]).out;
    (said.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0), said)
}

/// The page names the database, and says what is amiss.
#[track_caller]
fn named((status, page): &(u16, String), says: &str) {
    assert_eq!(*status, 503, "{page}");
    assert!(page.contains("Component: <strong>database</strong>") && page.contains(says), "{page}");
}

/// All is as before: what was kept is there, and more can be.
#[track_caller]
fn well(stage: &Stage, kept: &str, new: &str) {
    fault(stage, "clear").ok();
    let (status, page) = stage.page("/guestbook");
    assert!(status == 200 && page.contains(kept), "{page}");
    let (status, page) = sign(stage, new);
    assert_eq!(status, 303, "{page}");
    assert_eq!(stage.page("/").0, 200);
    assert!(stage.page("/guestbook").1.contains(new));
}

/// With `fault_name` laid every dynamic page is a 503 that names the database, and soon one that `says` so: on a busy machine the
/// application's own time may be over before that of what it waits for.
fn is_away(stage: &Stage, fault_name: &str, says: &str) {
    fault(stage, &format!("add {fault_name}")).ok();
    is_away_now(stage, says);
}

/// Asks for something, and has the answer's status and the answer.
type Ask = fn(&Stage) -> (u16, String);

fn is_away_now(stage: &Stage, says: &str) {
    let asks: [Ask; 3] =
        [|stage| stage.page("/guestbook"), |stage| stage.page("/"), |stage| sign(stage, "lost")];
    for ask in asks {
        until(says, || {
            let answer = ask(stage);
            named(&answer, "");
            answer.1.contains(says)
        });
    }
    assert_eq!(stage.page("/about.html").0, 200, "files come");
}

/// What the real client of a server says.
fn sql(stage: &Stage, statement: &str) -> String {
    stage.wwwlab(["db", "--", "-N", "-B", "-e", statement]).ok()
}

fn laid(stage: &Stage) -> Vec<Value> {
    serde_json::from_str(&fault(stage, "list --json").ok()).unwrap()
}

fn is_broken_and_mended(stage: &Stage) {
    until("the guestbook can be signed", || sign(stage, "first").0 == 303);

    fault(stage, "add db-read-only").ok();
    named(&sign(stage, "lost"), "cannot be written");
    named(&stage.page("/"), "cannot be written");
    let (status, page) = stage.page("/guestbook");
    assert!(status == 200 && page.contains("first") && !page.contains("lost"), "{page}");
    assert_eq!(stage.page("/about.html").0, 200);
    well(stage, "first", "second");

    fault(stage, "add db-too-many-connections").ok();
    named(&stage.page("/guestbook"), "came free in time");
    well(stage, "second", "third");

    fault(stage, "add db-slow --delay 1200ms").ok();
    let asked = Instant::now();
    assert_eq!(stage.page("/guestbook").0, 200);
    assert!(asked.elapsed() >= Duration::from_millis(1_200));
    well(stage, "third", "fourth");
    fault(stage, "add db-slow --delay 1m").ok();
    named(&stage.page("/guestbook"), "did not answer in time");
    well(stage, "fourth", "fifth");

    // An application that is started meanwhile is told with its start.
    fault(stage, "add db-read-only").ok();
    stage.wwwlab(["restart", "app"]).ok();
    until("it is told", || sign(stage, "lost").0 == 503);
    well(stage, "fifth", "sixth");

    // Neither can be by turns: it is there, or it is not.
    for name in ["db-locked", "db-gone"] {
        let why = fault(stage, &format!("add {name} --every 2")).refused(1);
        assert!(why.contains("is there or is not"), "{why}");
    }
}

#[test]
fn a_file_is_broken_and_mended() {
    let stage = with("sqlite");
    is_broken_and_mended(&stage);
    fault(&stage, "add disk-full").ok();
    let long = "x".repeat(900);
    let mut last = (0, String::new());
    until("what there is of pages is full", || {
        last = sign(&stage, &long);
        last.0 == 503
    });
    named(&last, "is full");
    assert_eq!(stage.page("/guestbook").0, 200, "reading goes on");
    well(&stage, "xxx", "seventh");
    // Every second call alone.
    fault(&stage, "add db-read-only --every 2").ok();
    let signed: Vec<bool> = (0..6).map(|_| sign(&stage, "some").0 == 303).collect();
    assert!(signed.contains(&true) && signed.contains(&false), "{signed:?}");
    well(&stage, "some", "eighth");

    is_away(&stage, "db-locked", "is locked by another process");
    well(&stage, "eighth", "ninth");

    is_away(&stage, "db-gone", "cannot be reached");
    // It is the application alone to which it is not there.
    let file = stage.state().join("db").join("foobar.sqlite");
    let rows = Command::new("sqlite3")
        .args([file.as_os_str(), "SELECT count(*) FROM entries WHERE message IN ('ninth', 'lost')".as_ref()])
        .output()
        .expect("sqlite3: `make test` installs it");
    assert_eq!(String::from_utf8_lossy(&rows.stdout), "1\n", "{rows:?}");
    // Who starts it meanwhile is told with its start.
    stage.wwwlab(["restart", "app"]).ok();
    is_away_now(&stage, "cannot be reached");
    well(&stage, "ninth", "tenth");
}

#[test]
fn a_server_is_broken_and_mended() {
    let stage = with("mysql");
    is_broken_and_mended(&stage);
    fault(&stage, "add db-gone").ok();
    until("it is gone", || stage.page("/guestbook").0 == 503);
    named(&stage.page("/guestbook"), "refuses connections");
    fault(&stage, "clear").ok();
    until("it is back", || stage.page("/guestbook").0 == 200);
    well(&stage, "sixth", "seventh");

    fault(&stage, "add disk-full").ok();
    for _ in 0..2 {
        named(&sign(&stage, "lost"), "is full");
        named(&stage.page("/"), "is full");
    }
    let (status, page) = stage.page("/guestbook");
    assert!(status == 200 && page.contains("seventh") && !page.contains("lost"), "{page}");
    well(&stage, "seventh", "eighth");
}

#[test]
fn the_tables_of_a_server_are_locked_for_as_long_as_their_session_lives() {
    let stage = with("mysql");
    until("the guestbook can be signed", || sign(&stage, "first").0 == 303);
    is_away(&stage, "db-locked", "holds a lock for too long");
    let why = fault(&stage, "add db-locked").refused(1);
    assert!(why.contains("fault 1 is laid on db already (db-locked)"), "{why}");
    well(&stage, "first", "second");

    // A student finds the session and ends it; so does who starts the server again; so does whoever kills the process.
    let holder = "SELECT id FROM information_schema.processlist WHERE info LIKE '%the session that holds the tables%' \
                  AND id <> CONNECTION_ID()";
    let ended_by: [&dyn Fn(); 3] = [
        &|| _ = sql(&stage, &format!("KILL {}", sql(&stage, holder).trim())),
        &|| _ = stage.wwwlab(["restart", "db"]).ok(),
        &|| {
            let holds = |pid: &u32| {
                let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                words.contains("--lock-tables")
            };
            let holders: Vec<u32> = processes_of(&stage.root()).into_iter().filter(holds).collect();
            assert_eq!(holders.len(), 1);
            signal(holders[0], "KILL");
        },
    ];
    for ends in ended_by {
        is_away(&stage, "db-locked", "holds a lock for too long");
        assert_eq!(laid(&stage).len(), 1);
        ends();
        until("the fault is over", || laid(&stage).is_empty());
        until("the tables are free", || stage.page("/guestbook").0 == 200);
        assert_eq!(sql(&stage, holder), "");
        well(&stage, "second", "second");
    }
    // In its time, too.
    fault(&stage, "add db-locked --for 500ms").ok();
    until("it is over in its time", || laid(&stage).is_empty());
    well(&stage, "second", "third");
    assert_eq!(sql(&stage, "SELECT count(*) FROM entries WHERE message = 'lost'"), "0\n");
}

#[test]
fn an_application_of_ones_own_is_told_nothing() {
    let stage = Stage::new();
    let program = "import http.server, os\nh = http.server.SimpleHTTPRequestHandler\n\
        http.server.HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), h).serve_forever()\n";
    std::fs::write(stage.root().join("app.py"), program).unwrap();
    stage.edit("lab.toml", |text| {
        text.replace("# command = \"python3 app.py\"", "command = \"python3 app.py\"")
    });
    stage.wwwlab(["up", "-d"]).ok();
    let why = fault(&stage, "add db-read-only").refused(1);
    assert!(why.contains("wwwlab's own application, and this one is yours"), "{why}");
    // What the system does to any process is done to it, too.
    fault(&stage, "add descriptors app --limit 5").ok();
    fault(&stage, "clear").ok();
}
