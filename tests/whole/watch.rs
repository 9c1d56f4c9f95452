//! What the lab tells as it happens: `wwwlab watch`, the journal's file.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use serde_json::{Value, json};

use super::stage::{PATIENCE, PROGRAM, Stage, signal, until};

/// `wwwlab watch`, read by a thread of its own.
struct Watch {
    process: Child,
    lines: Receiver<String>,
}

impl Watch {
    /// Watches; when this returns, nothing that happens from now on is missed.
    fn with(stage: &Stage, arguments: &[&str]) -> Self {
        let mut command = stage.command(PROGRAM);
        command.arg("watch").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let watch = Self { process, lines };
        until("it watches", || {
            stage.dig("127.0.0.1", "watched.foobar.com");
            watch.lines.try_recv().is_ok()
        });
        // What is still to come of these questions is passed by.
        stage.dig("127.0.0.1", "seen.foobar.com");
        watch.next(|line| line.contains("seen.foobar.com."));
        watch
    }

    /// The next line that is wanted.
    fn next(&self, wanted: impl Fn(&str) -> bool) -> String {
        let patience = Instant::now();
        loop {
            let line = self.lines.recv_timeout(PATIENCE.saturating_sub(patience.elapsed()));
            let line = line.expect("a line that is wanted");
            if wanted(&line) {
                return line;
            }
        }
    }

    /// The next event that is wanted.
    fn event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        read(&self.next(|line| wanted(&read(line))))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the lab answers to a request for its journal.
fn journal(stage: &Stage, wanted: &Value) -> Vec<Value> {
    let mut socket = UnixStream::connect(stage.state().join("control")).unwrap();
    writeln!(socket, "{}", json!({ "journal": wanted })).unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["journal"]["left_out"], 0, "{answer}");
    answer["journal"]["events"].as_array().unwrap().clone()
}

/// The identifier that a page came with.
fn identifier(page: &str) -> String {
    let field = page.lines().find(|line| line.to_ascii_lowercase().starts_with("x-request-id: ")).unwrap();
    field.split(' ').nth(1).unwrap().trim().to_owned()
}

fn told<'a>(events: &'a [Value], service: &str, event: &str) -> Vec<&'a Value> {
    events.iter().filter(|told| told["service"] == service && told["event"] == event).collect()
}

#[test]
fn a_question_in_another_terminal_is_seen() {
    let stage = Stage::up();
    let watch = Watch::with(&stage, &["dns", "web"]);
    stage.dig("127.0.0.2", "www.foobar.com");
    // Neither the resolver nor those before dns are wanted.
    watch.next(|line| {
        assert!(line.contains(" dns "), "{line}");
        line.contains("asks www.foobar.com. A (udp) → NOERROR")
    });
    stage.page("/about.html");
    let mut lines = [0; 2].map(|_| watch.next(|line| line.contains(" web ")));
    assert!(lines[0].contains("connects to 127.0.0.1:"), "{lines:?}");
    assert!(lines[1].contains("GET www.foobar.com/about.html → 200 by file"), "{lines:?}");
    stage.wwwlab(["stop", "app"]).ok();
    assert_eq!(stage.page("/guestbook").0, 502);
    lines = [0; 2].map(|_| watch.next(|line| line.contains(" web ") && line.contains("/guestbook")));
    assert!(
        lines[0].contains("passes GET /guestbook to ") && lines[0].contains("refuses connections"),
        "{lines:?}"
    );
    assert!(lines[1].contains("→ 502 by web"), "{lines:?}");
}

#[test]
fn one_request_is_told_whole_and_in_order() {
    let stage = Stage::up();
    let (status, page) = stage.page("/");
    assert_eq!(status, 200);
    let id = identifier(&page);
    let of = |which: Value| journal(&stage, &json!({ "request": which }));
    until("it is told", || told(&of(json!({ "of": &id })), "web", "request").len() == 1);
    until("its statement is told", || !told(&of(json!({ "of": &id })), "app", "statement").is_empty());
    let events = of(json!({ "of": &id[..8] }));
    assert_eq!(of(json!("last")), events);
    assert!(events.is_sorted_by_key(|event| event["mono"].as_u64().unwrap()), "{events:#?}");
    assert_eq!(
        (&events[0]["event"], &events[0]["service"]),
        (&json!("connected"), &json!("web")),
        "{events:#?}"
    );
    assert!(events[1..].iter().all(|event| event["id"] == json!(id)), "{events:#?}");

    let [web] = told(&events, "web", "request")[..] else { panic!("{events:#?}") };
    let [app] = told(&events, "app", "request")[..] else { panic!("{events:#?}") };
    let [passed] = told(&events, "web", "passed")[..] else { panic!("{events:#?}") };
    assert_eq!(events[0]["client"], web["client"]);
    assert_eq!(passed["status"], 200);
    assert_eq!(passed["server"], json!(format!("127.0.0.1:{}", stage.port("app"))));
    assert!(passed["connect_micros"].is_u64(), "{passed}");
    // One lies within the other, by their own measure.
    let micros = |event: &Value| event["micros"].as_u64().unwrap();
    assert!(micros(web) >= micros(passed) && micros(passed) >= micros(app), "{events:#?}");
    let statement = told(&events, "app", "statement")[0];
    assert!(statement["text"].as_str().unwrap().contains("SELECT"), "{statement}");
    assert_eq!(statement["on"], "server");
    // Visits are counted together: that statement is of no one request.
    let all = journal(&stage, &json!({ "services": ["app"] }));
    assert!(told(&all, "app", "statement").iter().any(|statement| statement.get("id").is_none()), "{all:#?}");

    // The same connection again, and none to the application.
    let kept = stage.page("/");
    assert_eq!(kept.0, 200);
    until("it is told as well", || {
        told(&of(json!("last")), "web", "passed").iter().any(|passed| passed["id"] != json!(id))
    });
    let events = of(json!("last"));
    assert!(told(&events, "web", "passed")[0].get("connect_micros").is_none(), "{events:#?}");
}

#[test]
fn the_steps_of_a_walk_say_which_question_they_answer() {
    let stage = Stage::up();
    stage.wwwlab(["cache", "flush"]).ok();
    let answer = stage.dig("127.0.0.2", "www.foobar.com");
    let number = answer.split("id: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let number: u64 = number.parse().unwrap();
    let resolver = || journal(&stage, &json!({ "services": ["resolver"] }));
    let question = |events: &[Value]| {
        told(events, "resolver", "question").into_iter().find(|question| question["id"] == number).cloned()
    };
    until("it is told", || question(&resolver()).is_some());
    let events = resolver();
    let question = question(&events).unwrap();
    assert_eq!(question["cached"], false);
    let walk = question["walk"].as_str().unwrap();
    let steps = told(&events, "resolver", "asked");
    let servers: Vec<_> = steps
        .iter()
        .filter(|step| step["walk"] == walk)
        .map(|step| step["server"].as_str().unwrap().split(':').next().unwrap())
        .collect();
    assert_eq!(servers[..3], ["127.0.0.3", "127.0.0.4", "127.0.0.1"], "{steps:#?}");
    assert_eq!(steps.last().unwrap()["outcome"], "NOERROR, 1 answer");
    stage.dig("127.0.0.2", "www.foobar.com");
    let remembered = || told(&resolver(), "resolver", "question").last().map(|last| last["cached"].clone());
    until("the second is told", || remembered() == Some(json!(true)));
}

#[test]
fn what_was_told_is_on_disk_in_order_when_the_lab_has_ended() {
    let stage = Stage::up();
    stage.page("/");
    stage.wwwlab(["restart", "tld"]).ok();
    stage.dig("127.0.0.2", "www.foobar.com");
    stage.wwwlab(["down"]).ok();
    let text = fs::read_to_string(stage.state().join("journal.jsonl")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.is_sorted_by_key(|event| event["mono"].as_u64().unwrap()), "{text}");
    let services = ["resolver", "root", "tld", "dns", "web", "app"];
    assert!(
        services.iter().all(|service| events.iter().any(|event| event["service"] == **service)),
        "{text}"
    );
}

#[test]
fn what_is_kept_of_a_request_is_shown_and_the_end_of_the_lab_is_said() {
    let stage = Stage::up();
    let (_, page) = stage.page("/");
    let id = identifier(&page);
    until("it is told", || {
        !told(&journal(&stage, &json!({ "request": { "of": &id } })), "web", "request").is_empty()
    });
    let short = stage.wwwlab(["watch", "--request", "abc"]).refused(1);
    assert!(short.contains("8 digits"), "{short}");
    let mut command = stage.command(PROGRAM);
    command.args(["watch", "--request", &id[..8]]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watch = command.spawn().unwrap();
    let mut out = BufReader::new(watch.stdout.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("GET www.foobar.com") {
        assert!(out.read_line(&mut lines).unwrap() > 0, "{lines}");
    }
    assert!(lines.contains("connects to") && lines.contains("SELECT"), "{lines}");
    stage.wwwlab(["down"]).ok();
    let mut why = String::new();
    watch.stderr.take().unwrap().read_to_string(&mut why).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(3), "{why}");
    assert!(why.contains("is not up"), "{why}");
}

#[test]
fn one_who_watches_and_does_not_read_holds_up_nobody() {
    let stage = Stage::up();
    let watch = Watch::with(&stage, &["--json"]);
    signal(watch.process.id(), "STOP");
    // More than its socket, its queue and its pipe can hold would take a flood; this is what a flood must not change.
    for _ in 0..20 {
        assert!(stage.dig("127.0.0.1", "www.foobar.com").contains("NOERROR"));
    }
    assert_eq!(stage.page("/").0, 200);
    signal(watch.process.id(), "CONT");
    let request = watch.event(|event| event["event"] == "request" && event["service"] == "web");
    assert_eq!(request["status"], 200);
}
