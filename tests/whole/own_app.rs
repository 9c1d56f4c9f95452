//! The student's own application in place of wwwlab's: any program that listens where its environment says.

use std::fs;
use std::process::Stdio;

use super::stage::{Said, Stage, signal, until};

/// A lab made of an example, as it stands in `examples/`, on free ports; not yet up.
pub(super) fn example(name: &str) -> Stage {
    let stage = Stage::new();
    let root = env!("CARGO_MANIFEST_DIR");
    let copied = stage.run("cp", ["-r", &format!("{root}/examples/{name}/."), "."]);
    assert_eq!(copied.code, 0, "{copied:?}");
    stage.edit("lab.toml", |text| {
        format!("[ports]\ndns = 0\nhttp = 0\napp = 0\n{}", text.replace("../../", &format!("{root}/")))
    });
    stage
}

/// The Python example, started by another command.
fn commanded(command: &str) -> Stage {
    let stage = example("flask-like");
    stage.edit("lab.toml", |text| text.replace("\"python3 app.py\"", &format!("{command:?}")));
    stage
}

fn sign(stage: &Stage, name: &str, message: &str) -> Said {
    let site = "http://www.foobar.com/sign";
    let (name, message) = (format!("name={name}"), format!("message={message}"));
    stage.wwwlab(["curl", "-si", "--data-urlencode", &name, "--data-urlencode", &message, site])
}

/// What every example does.
pub(super) fn is_a_guestbook(stage: &Stage) {
    let (status, page) = stage.page("/");
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("<form method=\"post\" action=\"/sign\">"), "{page}");
    let signed = sign(stage, "Zoë", "<b>1 & 2</b>").ok();
    assert!(signed.contains("303 See Other") && signed.contains("Location: /"), "{signed}");
    assert!(sign(stage, "", "x").ok().contains(" 422 "));
    assert_eq!(stage.page("/nowhere").0, 404);
    stage.wwwlab(["restart", "app"]).ok();
    let page = stage.page("/").1;
    assert!(page.contains("<b>Zoë</b>: ") && !page.contains("<b>1"), "kept and escaped: {page}");
    assert_eq!(stage.page("/about.html").0, 200, "files are still the web server's");
}

#[test]
fn the_python_example_is_a_guestbook_on_the_labs_database() {
    let stage = example("flask-like");
    stage.wwwlab(["up", "-d"]).ok();
    is_a_guestbook(&stage);
    until("what it prints is in its log", || {
        stage.log("app").contains("the guestbook listens at 127.0.0.1:")
    });
    let line = fs::read(format!("/proc/{}/cmdline", stage.pid("app"))).unwrap();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    assert!(line.trim_end().ends_with("python3 app.py"), "as ps shows it: {line}");
    stage.wwwlab(["stop", "db"]).ok();
    assert_eq!(stage.page("/").0, 503);
    until("its own words are in its log", || stage.log("app").contains("the database: database is locked"));
    stage.wwwlab(["start", "db"]).ok();
    assert_eq!(stage.page("/").0, 200);
    assert!(stage.wwwlab(["deploy", "."]).refused(1).contains("[app] command"));
}

#[test]
fn a_program_of_ones_own_comes_into_service_anew_beside_the_former_or_in_its_place() {
    let stage = example("flask-like");
    stage.wwwlab(["up", "-d"]).ok();
    let (first, port) = (stage.pid("app"), stage.port("app"));
    let said = stage.wwwlab(["deploy", "--how", "blue-green"]).ok();
    assert_eq!(said, "the application is in service anew, by blue-green\n");
    let second = stage.pid("app");
    assert!(second != first && stage.port("app") != port, "another process at another port");
    assert_eq!(stage.page("/").0, 200);
    stage.wwwlab(["deploy", "--how", "restart"]).ok();
    assert!(stage.pid("app") != second);
    assert_eq!(stage.page("/").0, 200);
    stage.wwwlab(["deploy", "--how", "blue-green"]).ok();
    assert_eq!(stage.port("app"), port, "back at the first port");
    let reload = stage.wwwlab(["deploy", "--how", "reload"]).refused(1);
    assert!(reload.contains("[app] command") && reload.contains("--how blue-green"), "{reload}");
    // One that cannot start leaves the former one in service.
    let serving = stage.pid("app");
    stage.edit("app.py", |text| format!("raise SystemExit('no')\n{text}"));
    let why = stage.wwwlab(["deploy", "--how", "blue-green"]).refused(1);
    assert!(why.contains("the new one cannot serve") && why.contains("the former one stays"), "{why}");
    assert_eq!((stage.pid("app"), stage.page("/").0), (serving, 200));
}

#[test]
fn the_node_example_is_a_guestbook() {
    let stage = example("node");
    stage.wwwlab(["up", "-d"]).ok();
    is_a_guestbook(&stage);
    until("what it prints is in its log", || {
        stage.log("app").contains("the guestbook listens at 127.0.0.1:")
    });
}

#[test]
fn its_death_is_seen_and_it_can_come_back() {
    let stage = example("flask-like");
    stage.edit("lab.toml", |text| format!("[lab]\nrestart = \"on-failure\"\n{text}"));
    stage.wwwlab(["up", "-d"]).ok();
    let first = stage.pid("app");
    signal(first, "KILL");
    until("it is back", || {
        let app = stage.service("app");
        app["state"] == "running" && app["pid"] != first
    });
    assert!(stage.log("app").contains("failed: killed by SIGKILL"), "{}", stage.log("app"));
    assert_eq!(stage.page("/").0, 200);
}

#[test]
fn stop_pause_and_kill_are_meant_for_all_its_processes() {
    // The shell is the first process of the group; the application is its child.
    let stage = commanded("sh -c 'python3 app.py & wait'");
    stage.wwwlab(["up", "-d"]).ok();
    assert_eq!(stage.page("/").0, 200);
    stage.wwwlab(["pause", "app"]).ok();
    assert_eq!(stage.service("app")["state"], "paused");
    stage.wwwlab(["stop", "app"]).ok();
    assert_eq!(stage.page("/").0, 502);
    // The port is free again at once.
    stage.wwwlab(["start", "app"]).ok();
    assert_eq!(stage.page("/").0, 200);
    stage.wwwlab(["kill", "app"]).ok();
    assert_eq!(stage.page("/").0, 502);
    stage.wwwlab(["start", "app"]).ok();

    let port = stage.port("app");
    let supervisor = fs::read_to_string(stage.state().join("lock")).unwrap().trim().parse().unwrap();
    signal(supervisor, "KILL");
    until("the guard has ended the application's group", || {
        std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() && !stage.state().join("lock").exists()
    });
}

#[test]
fn what_cannot_start_says_why() {
    for (command, why) in [
        (
            "sh -c 'echo so broken >&2; exit 3'",
            "it ended before it listened (exit status 3), saying: so broken",
        ),
        ("no-such-program --x", "cannot start \"no-such-program\": is it installed, and on your PATH?"),
        ("sleep 1000", "within 300ms: an application listens at the HOST and PORT of its environment"),
    ] {
        let stage = commanded(command);
        // The others come to their end, however long a busy machine takes for it.
        if why.starts_with("within 300ms") {
            stage.edit("lab.toml", |text| text.replace("[app]\n", "[app]\nstart_timeout = \"300ms\"\n"));
        }
        let said = stage.wwwlab(["up", "-d"]).refused(1);
        assert!(said.contains("app cannot serve: ") && said.contains(why), "{said}");
    }
}

#[test]
fn it_knows_where_it_is() {
    let stage = commanded("sh -c 'env; exec python3 app.py'");
    stage.wwwlab(["up", "-d"]).ok();
    let file = stage.state().canonicalize().unwrap().join("db/foobar.sqlite");
    for line in [
        format!("PORT={}", stage.port("app")),
        "HOST=127.0.0.1".into(),
        "LAB_NAME=www.foobar.com".into(),
        format!("DATABASE_FILE={}", file.display()),
        format!("DATABASE_URL=sqlite:///{}", file.display()),
    ] {
        until(&line, || stage.log("app").lines().any(|logged| logged.ends_with(&format!("Z {line}"))));
    }
}

#[test]
fn a_flood_of_words_is_bounded() {
    let stage = commanded(
        "sh -c 'head -c 3000000 /dev/zero | tr \"\\\\0\" x; echo; seq 100000; exec python3 app.py'",
    );
    stage.wwwlab(["up", "-d"]).ok();
    assert_eq!(stage.page("/").0, 200);
    until("what was not told is counted", || stage.log("app").contains("more events were not told"));
    let log = stage.log("app");
    assert!(log.contains(" … (cut)") && log.lines().all(|line| line.len() < 5000));
    assert!(log.len() < 1_000_000, "{}", log.len());
    let follow = stage.wwwlab(["logs", "app", "-n", "5"]).ok();
    assert!(follow.lines().count() >= 5, "{follow}");
}

#[test]
fn in_the_foreground_its_words_are_shown() {
    let stage = example("flask-like");
    let mut command = stage.command(super::stage::PROGRAM);
    let output = stage.root().join("shown");
    let file = fs::File::create(&output).unwrap();
    let mut lab = command.arg("up").stdout(file).stderr(Stdio::null()).spawn().unwrap();
    until("it is shown", || {
        let shown = fs::read_to_string(&output).unwrap_or_default();
        shown.lines().any(|line| line.contains("app") && line.contains("the guestbook listens at"))
    });
    signal(lab.id(), "INT");
    assert!(lab.wait().unwrap().success());
}
