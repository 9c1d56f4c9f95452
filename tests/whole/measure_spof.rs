//! Single points of failure, measured on a lab that is up: what is found, that spare parts are spared the verdict, and that the lab is
//! as before, however the measure ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::hosts;
use super::stage::{PATIENCE, PROGRAM, Stage, free_port, signal, until};

fn measured(stage: &Stage) -> Value {
    serde_json::from_str(&stage.wwwlab(["measure", "spof", "--json"]).ok()).unwrap()
}

/// The names of the parts with this verdict.
fn with_verdict(matrix: &Value, verdict: bool) -> Vec<String> {
    let parts = matrix["components"].as_array().unwrap().iter();
    let found = parts.filter(|part| part["single_point_of_failure"] == verdict);
    found.map(|part| part["name"].as_str().unwrap().to_owned()).collect()
}

fn trial<'a>(matrix: &'a Value, name: &str, how: &str) -> &'a Value {
    let parts = matrix["components"].as_array().unwrap();
    let part =
        parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("no {name}: {matrix:#}"));
    let found = part["trials"].as_array().unwrap().iter().find(|trial| trial["how"] == how);
    found.unwrap_or_else(|| panic!("{name} was not {how}: {part:#}"))
}

/// The services and how they stand.
fn states(stage: &Stage) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let status = stage.status();
    status["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["name"]), text(&one["state"])))
        .collect()
}

fn all_run(stage: &Stage) -> bool {
    states(stage).iter().all(|(_, state)| state == "running")
}

fn entries(stage: &Stage) -> usize {
    // For a second a resolver remembers that it failed (RFC 9520): whoever wants a number looks again.
    let page = stage.curl("http://www.foobar.com/api/entries").out;
    let page: Value = serde_json::from_str(&page).unwrap_or_default();
    page["entries"].as_array().map_or(usize::MAX, Vec::len)
}

/// The web server gives its application up long before who asks gives the web server up, also on a machine that has much else to do.
fn patient(settings: String) -> String {
    settings.replacen("[web] ", "[web]\napp_timeout = \"3s\"\n", 1)
}

#[test]
fn every_part_of_the_simple_stack_is_one() {
    let stage = Stage::new();
    stage.edit("lab.toml", patient);
    stage.wwwlab(["up", "-d"]).ok();
    stage.curl("-d name=Ada -d message=kept http://www.foobar.com/guestbook").ok();
    let told = stage.wwwlab(["measure", "spof", "--json", "--svg", "spof.svg"]).ok();
    let matrix: Value = serde_json::from_str(&told).unwrap();
    let services = ["resolver", "root", "tld", "dns", "web", "app", "db"];
    let ways = ["client-web", "client-resolver", "resolver-root", "resolver-tld", "resolver-dns", "web-app"];
    assert_eq!(with_verdict(&matrix, true), [&services[..], &ways].concat());
    assert_eq!(matrix["checks"], json!(["name", "static", "dynamic", "writing"]));
    let of = |works: [&str; 4]| json!({"name": works[0], "static": works[1], "dynamic": works[2], "writing": works[3]});
    for (name, how, works, symptom) in [
        ("resolver", "stopped", ["no", "no", "no", "no"], "dig: refused"),
        ("resolver", "paused", ["no", "no", "no", "no"], "dig: timeout"),
        ("root", "stopped", ["warm", "warm", "warm", "warm"], "dig: SERVFAIL"),
        ("dns", "paused", ["warm", "warm", "warm", "warm"], "dig: SERVFAIL"),
        ("web", "stopped", ["yes", "no", "no", "no"], "curl: refused"),
        ("web", "paused", ["yes", "no", "no", "no"], "curl: timeout"),
        ("app", "stopped", ["yes", "yes", "no", "no"], "curl: 502"),
        ("app", "paused", ["yes", "yes", "no", "no"], "curl: 504"),
        ("db", "locked", ["yes", "yes", "no", "no"], "curl: 503"),
        ("client-web", "cut", ["yes", "no", "no", "no"], "curl: timeout"),
        ("client-resolver", "cut", ["no", "no", "no", "no"], "dig: timeout"),
        ("resolver-tld", "cut", ["warm", "warm", "warm", "warm"], "dig: SERVFAIL"),
        ("web-app", "cut", ["yes", "yes", "no", "no"], "curl: 504"),
    ] {
        let trial = trial(&matrix, name, how);
        assert_eq!((&trial["works"], &trial["symptoms"]), (&of(works), &json!([symptom])), "{trial:#}");
        assert!(trial["noticed_seconds"].is_f64() && trial["recovered_seconds"].is_f64(), "{trial:#}");
    }
    let picture = fs::read_to_string(stage.root().join("spof.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains(">dns</text>"), "{picture}");
    assert!(all_run(&stage), "{:?}", states(&stage));
    assert!(stage.status().get("faults").is_none(), "no way is broken any more");
    assert_eq!(entries(&stage), 1, "what the measure wrote is gone, and nothing else");
}

/// An application server of one's own, ended with the test.
struct App(Child);

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_there_is_two_of_is_none() {
    let stage = Stage::new();
    let (own, other) = (free_port(), free_port());
    stage.edit("lab.toml", |text| {
        text.replace("# count = 1 ", "count = 2 ")
            .replacen("[dns]", "[dns]\nsecondary = true\n", 1)
            .replacen("app = 0", &format!("app = {own}"), 1)
            .replacen(
                "[web]",
                &format!("[web]\nupstreams = [\"127.0.0.1:{own}\", \"127.0.0.1:{other}\"]\n"),
                1,
            )
    });
    for zone in ["com", "foobar.com"] {
        stage.edit(&format!("zones/loopback/{zone}.zone"), |text| {
            let line = |line: &str| match line.strip_prefix(';').filter(|rest| rest.contains("ns2")) {
                Some(rest) => format!("{rest}\n"),
                None => format!("{line}\n"),
            };
            text.lines().map(line).collect()
        });
    }
    let mut app = stage.command(PROGRAM);
    app.args(["serve", "app", "--listen", &format!("127.0.0.1:{other}"), "--code", "app"]);
    app.args(["--database", "other.sqlite", "--served-by", "server"]);
    let _app = App(app.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    stage.wwwlab(["up", "-d"]).ok();
    until("dns2 answers", || stage.dig("127.0.0.5", "www.foobar.com +short").contains("127.0.0.1"));
    until("both applications serve", || {
        let states: Value = serde_json::from_str(&stage.wwwlab(["upstreams", "--json"]).ok()).unwrap();
        stage.page("/").0 == 200 && states.as_array().unwrap().iter().all(|state| state["requests"] != 0)
    });
    let matrix = measured(&stage);
    let spare = ["resolver", "resolver2", "dns", "dns2", "resolver-dns", "resolver-dns2"];
    assert_eq!(with_verdict(&matrix, false), spare, "{matrix:#}");
    // Another one is asked for who refuses; who stands still has to be waited for.
    let single = |how| trial(&matrix, "app", how)["single_point_of_failure"].as_bool();
    assert_eq!((single("stopped"), single("paused")), (Some(false), Some(true)), "{matrix:#}");
    let services = ["root", "tld", "web", "app", "db"];
    let ways = ["client-web", "client-resolver", "resolver-root", "resolver-tld", "web-app"];
    assert_eq!(with_verdict(&matrix, true), [&services[..], &ways].concat());
    // It cannot be signed and left as it was where a request may reach another application's guestbook.
    assert_eq!(matrix["checks"], json!(["name", "static", "dynamic"]));
    assert!(all_run(&stage), "{:?}", states(&stage));
}

#[test]
fn a_lab_that_is_not_whole_is_not_measured() {
    let stage = Stage::new();
    let why = stage.wwwlab(["measure", "spof"]).refused(3);
    assert!(why.contains("is not up: start it with `wwwlab up`"), "{why}");
    stage.wwwlab(["up", "-d"]).ok();
    stage.wwwlab(["pause", "app"]).ok();
    stage.wwwlab(["fault", "add", "nxdomain", "dns"]).ok();
    let why = stage.wwwlab(["measure", "spof"]).refused(1);
    let named = ["app is paused (`wwwlab resume app`)", "fault 1 is laid (`wwwlab fault clear 1`)"];
    assert!(named.iter().all(|named| why.contains(named)), "{why}");
    stage.wwwlab(["resume", "app"]).ok();
    stage.wwwlab(["fault", "clear"]).ok();
}

/// Runs the measure until a service is found in this state because of it, and kills it then: which service that is.
fn killed_while(stage: &Stage, state: &str, by: &str) -> String {
    let mut measure = stage.command(PROGRAM);
    measure.args(["measure", "spof"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut measure = measure.spawn().unwrap();
    let found = || states(stage).into_iter().find(|(_, now)| now == state).map(|(name, _)| name);
    loop {
        assert!(measure.try_wait().unwrap().is_none(), "nothing was {state} while it measured");
        let Some(name) = found() else { continue };
        // It may be on its way back already: it stands still, and so does what it does.
        signal(measure.id(), "STOP");
        if found().as_ref() == Some(&name) {
            signal(measure.id(), by);
            if by != "KILL" {
                signal(measure.id(), "CONT");
            }
            let code = measure.wait().unwrap().code();
            assert_eq!(code, (by == "INT").then_some(130));
            return name;
        }
        signal(measure.id(), "CONT");
    }
}

#[test]
fn whoever_kills_the_measure_leaves_the_lab_as_it_was() {
    let stage = Stage::up();
    for (state, by) in [("paused", "KILL"), ("stopped", "KILL"), ("paused", "INT")] {
        let name = killed_while(&stage, state, by);
        until(&format!("{name}, which was {state}, is back"), || all_run(&stage));
        until("what was written is gone", || entries(&stage) == 0);
        drop(held(&stage));
    }
}

/// A hold of the lab, once it gives one.
fn held(stage: &Stage) -> UnixStream {
    let mut given = None;
    until("nobody measures any more", || {
        let (stream, said) = hold(stage);
        given = said.contains("done").then_some(stream);
        given.is_some()
    });
    given.unwrap()
}

/// A hold of the lab, asked for as the measure does; and what the lab says.
fn hold(stage: &Stage) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(stage.state().join("control")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let said = say(&mut stream, r#"{"measure":null}"#);
    (stream, said)
}

fn say(stream: &mut UnixStream, line: &str) -> String {
    writeln!(stream, "{line}").unwrap();
    let mut said = String::new();
    BufReader::new(stream).read_line(&mut said).unwrap();
    said
}

#[test]
fn what_is_down_by_a_connection_is_back_when_that_ends() {
    let stage = Stage::up();
    for (order, name, state) in [
        (r#"{"down":{"stop":"web"}}"#, "web", "stopped"),
        (r#"{"down":{"pause":"dns"}}"#, "dns", "paused"),
        (r#"{"down":{"stop":"db"}}"#, "db", "stopped"),
    ] {
        let mut stream = held(&stage);
        assert!(say(&mut stream, order).contains("done"));
        assert_eq!(stage.service(name)["state"], state);
        let again = say(&mut stream, r#"{"down":{"stop":"root"}}"#);
        assert!(again.contains("refused") && stage.service("root")["state"] == "running", "{again}");
        let why = stage.wwwlab(["measure", "spof"]).refused(1);
        assert!(why.contains("the lab is not whole"), "{why}");
        drop(stream);
        until("it is back", || all_run(&stage));
    }
    let faults = || stage.wwwlab(["fault", "list", "--json"]).ok();
    let mut stream = held(&stage);
    assert!(say(&mut stream, r#"{"down":{"way":"client-web"}}"#).contains("done"));
    assert!(faults().contains("client-web"));
    drop(stream);
    until("the way is whole", || faults().trim() == "[]");
    let mut stream = held(&stage);
    let why = stage.wwwlab(["measure", "spof"]).refused(1);
    assert!(why.contains("a measure is under way in this lab"), "{why}");
    // Who was killed by somebody else's hand, and is back by it, is not brought back twice.
    assert!(say(&mut stream, r#"{"down":{"stop":"app"}}"#).contains("done"));
    stage.wwwlab(["start", "app"]).ok();
    let pid = stage.pid("app");
    drop(stream);
    drop(held(&stage));
    assert_eq!(stage.pid("app"), pid);
    assert!(all_run(&stage));
}

#[test]
fn cables_are_parts_too() {
    let _turn = hosts::one_at_a_time();
    let stage = hosts::up();
    let cables = || -> Vec<Value> { serde_json::from_str(&stage.wwwlab(["link", "--json"]).ok()).unwrap() };
    let mut stream = UnixStream::connect(stage.root().join(".wwwlab/hosts/control")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    say(&mut stream, r#"{"measure":null}"#);
    assert!(say(&mut stream, r#"{"down":{"cut":"home-client"}}"#).contains("done"));
    assert!(cables().iter().any(|cable| cable["name"] == "client-home" && cable["whole"] == false));
    drop(stream);
    until("it is whole again", || cables().iter().all(|cable| cable["whole"] == true));
    let mut told = None;
    until("the next one may begin", || {
        let said = stage.wwwlab(["measure", "spof", "--markdown"]);
        told = (said.code == 0).then_some(said.out);
        told.is_some()
    });
    let report = told.unwrap();
    let row = |start: &str| {
        report.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{report}"))
    };
    assert!(row("| client-home | cut |").ends_with("| yes |"), "{report}");
    assert!(
        row("| client-home | cut |").starts_with("| client-home | cut | fails | fails | fails | fails |")
    );
    assert!(
        row("| root-internet | cut |").starts_with("| root-internet | cut | warm | warm | warm | warm |")
    );
    assert!(
        row("| app | paused |").starts_with("| app | paused | works | works | fails | fails | curl: 504 |")
    );
    assert!(cables().iter().all(|cable| cable["whole"] == true));
}
