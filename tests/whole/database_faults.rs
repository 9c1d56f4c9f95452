//! Faults of the database, with both engines: what a visitor gets meanwhile, and that all is as before after it.

use std::time::{Duration, Instant};

use super::stage::{Said, Stage, until};

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
    let why = fault(&stage, "add db-gone").refused(1);
    assert!(why.contains("SQLite is inside the application"), "{why}");
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
    assert!(fault(&stage, "add disk-full").refused(1).contains("only the file of SQLite"));
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
