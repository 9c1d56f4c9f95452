//! `wwwlab measure load`: what it counts is what was asked, what breaks is named, what it signs is gone again; and the
//! exercise of the file descriptors, with the real ab.

use std::process::{Child, Stdio};

use serde_json::Value;

use super::stage::{PROGRAM, Said, Stage, signal, until};

fn load(stage: &Stage, arguments: &str) -> Said {
    stage.wwwlab(["measure", "load"].into_iter().chain(arguments.split_whitespace()))
}

/// The report of a load, whatever it is.
fn report(stage: &Stage, arguments: &str) -> (Value, i32) {
    let said = load(stage, &format!("{arguments} --json"));
    let report = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    (report, said.code)
}

/// How many requests or questions `service` has counted.
fn counted(stage: &Stage, service: &str, family: &str) -> u64 {
    let text = stage.wwwlab(["metrics", service]).ok();
    let lines = text.lines().filter(|line| line.starts_with(&format!("{family}{{")));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Who has signed the guestbook.
fn signed(stage: &Stage) -> Vec<String> {
    let (status, page) = stage.page("/api/entries");
    if status != 200 {
        // The one connection to the database may be busy for longer than a page waits.
        return vec![page];
    }
    let body = page.split("\r\n\r\n").nth(1).unwrap();
    let list: Value = serde_json::from_str(body).unwrap();
    let entries = list["entries"].as_array().unwrap_or_else(|| panic!("{list}"));
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_request_is_sent_once_and_counted_once() {
    let stage = Stage::up();
    let requests = counted(&stage, "web", "wwwlab_http_requests_total");
    let questions = counted(&stage, "dns", "wwwlab_dns_queries_total");
    let picture = stage.root().join("load.svg");
    let arguments = format!(
        "static dynamic dns resolver --rate 10 --time 20s --timeout 30s --slo errors=0% --svg {}",
        picture.display()
    );
    let (report, code) = report(&stage, &arguments);
    assert_eq!(code, 0, "{report}");
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 4);
    for run in runs {
        let step = &run["steps"][0];
        assert_eq!((run["sustained"].as_u64(), run["ended"].as_str()), (Some(10), Some("one-rate")), "{run}");
        assert_eq!((step["sent"].as_u64(), step["answered"].as_u64()), (Some(50), Some(50)), "{run}");
        let micros = |name: &str| step["micros"][name].as_u64().unwrap();
        assert!(0 < micros("p50") && micros("p50") <= micros("max"), "{run}");
        let services = step["strain"]["services"].as_array().unwrap();
        assert!(services.iter().any(|service| service["name"] == "web"), "{run}");
    }
    // Besides the fifty each, the one before.
    let now = counted(&stage, "web", "wwwlab_http_requests_total");
    assert_eq!(now - requests, 2 * 51);
    assert!(counted(&stage, "dns", "wwwlab_dns_queries_total") - questions >= 51);
    let picture = std::fs::read_to_string(picture).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains("/about.html"));
    // For people.
    let said = load(&stage, "dns --rate 20 --time 1s --timeout 30s --slo errors=0%").ok();
    assert!(said.contains("RATE/s") && said.contains("20/s keep errors=0%"), "{said}");
}

#[test]
fn what_has_to_wait_for_a_connection_waits_in_the_figures_too() {
    let stage = Stage::up();
    // Two connections of half a second: four requests a second, whatever the machine.
    stage.wwwlab(["fault", "add", "slow-first-byte", "--delay", "500ms"]).ok();
    let (report, code) = report(
        &stage,
        "static --from 2 --most 64 --connections 2 --slo max=1s --step 2s --time 20s --timeout 10s",
    );
    let run = &report["runs"][0];
    let broken = run["broken"].as_u64().unwrap();
    assert!((1..=8).contains(&broken), "{run}");
    assert_eq!(code, if run["sustained"].is_null() { 4 } else { 0 }, "{run}");
    assert!(run["sustained"].as_u64().unwrap_or(0) < broken);
    let steps = run["steps"].as_array().unwrap();
    for step in steps.iter().filter(|step| step["rate"].as_u64() == Some(8)) {
        // Who asks again only when it has an answer would say half a second.
        assert!(step["micros"]["max"].as_u64().unwrap() > 1_000_000, "{step}");
        assert_eq!((step["answered"].as_u64(), step["broken"].as_array().unwrap().len()), (Some(16), 1));
    }
}

#[test]
fn what_breaks_is_named() {
    let stage = Stage::up();
    stage.wwwlab(["stop", "app"]).ok();
    let said = load(&stage, "dynamic").refused(1);
    assert!(said.contains("already the first request fails: 502"), "{said}");
    stage.wwwlab(["start", "app"]).ok();
    stage.wwwlab(["fault", "add", "http-500", "--every", "2"]).ok();
    let (report, code) = report(&stage, "static --rate 20 --time 2s --timeout 30s --slo errors=10%");
    let step = &report["runs"][0]["steps"][0];
    assert_eq!((code, &step["errors"]["500"], &step["answered"]), (4, &20.into(), &20.into()), "{report}");
    // Counted from the beginning again: it is the second that fails, not the one before all others.
    stage.wwwlab(["fault", "clear"]).ok();
    stage.wwwlab(["fault", "add", "http-500", "--every", "2"]).ok();
    let said = load(&stage, "static --rate 20 --time 1s --slo errors=10%");
    assert!(
        said.code == 4 && said.out.contains("500: 10") && said.out.contains("break errors=10%"),
        "{said:?}"
    );
    stage.wwwlab(["fault", "clear"]).ok();
    stage.wwwlab(["stop", "web"]).ok();
    let said = load(&stage, "static").refused(1);
    assert!(said.contains("already the first request fails: refused"), "{said}");
    for wrong in ["--rate 0", "--rate 50001", "--slo p98=1ms", "--time 11min", "--connections 1001", "all"] {
        load(&stage, wrong).refused(2);
    }
    load(&stage, "static --path guestbook").refused(2);
    stage.wwwlab(["down"]).ok();
    load(&stage, "static").refused(3);
}

#[test]
fn what_a_load_signs_is_taken_away_however_it_ends() {
    let stage = Stage::up();
    let form = "-d name=Ada -d message=Precious -o /dev/null http://www.foobar.com/guestbook";
    stage.curl(form).ok();
    load(&stage, "write --rate 20 --time 1s --timeout 30s --slo errors=0%").ok();
    assert_eq!(signed(&stage), ["Ada"]);
    for kill in ["KILL", "INT"] {
        let mut child = writing(&stage);
        until("it signs", || signed(&stage).iter().any(|name| name == "wwwlab measure load"));
        signal(child.id(), kill);
        child.wait().unwrap();
        until("nothing of it is left", || signed(&stage) == ["Ada"]);
    }
}

#[test]
fn who_measures_while_another_does_is_told_so() {
    let stage = Stage::up();
    let mut child = writing(&stage);
    until("it signs", || signed(&stage).iter().any(|name| name == "wwwlab measure load"));
    for another in ["spof", "downtime", "load dns"] {
        let said = stage.wwwlab(["measure"].into_iter().chain(another.split(' '))).refused(1);
        assert!(said.contains("a measure is under way in this lab"), "{said}");
    }
    let said = stage.wwwlab(["deploy", "app"]).refused(1);
    assert!(said.contains("a measure is under way in this lab"), "{said}");
    signal(child.id(), "TERM");
    child.wait().unwrap();
    until("nothing of it is left, and the next one may", || {
        signed(&stage).is_empty() && load(&stage, "dns --rate 20 --time 1s --timeout 30s").code == 0
    });
}

#[test]
fn what_only_an_application_of_ones_own_could_take_out_is_not_written() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replacen("[web]", "[web]\nupstreams = [\"127.0.0.1:9\"]\n", 1));
    stage.wwwlab(["up", "-d"]).ok();
    let said = load(&stage, "write").refused(2);
    assert!(said.contains("an application of your own") && said.contains("[web] upstreams"), "{said}");
}

fn writing(stage: &Stage) -> Child {
    let mut command = stage.command(PROGRAM);
    command.args(["measure", "load", "write", "--rate", "2", "--time", "5min", "--timeout", "30s"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The course's exercise: with 15 descriptors most requests of a crowd fail, with the limit lifted none does.
#[test]
fn the_exercise_of_the_descriptors_can_be_set_up_and_solved() {
    let stage = Stage::up();
    let page = format!("http://127.0.0.1:{}/guestbook", stage.port("http"));
    let crowd = || {
        let arguments =
            ["-r", "-q", "-s", "120", "-c", "100", "-n", "2000", "-H", "Host: www.foobar.com", &page];
        let said = stage.run("ab", arguments).ok();
        let number = |name: &str| -> u64 {
            let line = said.lines().find_map(|line| line.trim_start().strip_prefix(name));
            line.map_or(0, |line| line.split_whitespace().next().unwrap().parse().unwrap())
        };
        assert_eq!(number("Complete requests:"), 2_000, "{said}");
        (number("Non-2xx responses:"), number("Failed requests:"), said)
    };
    stage.wwwlab(["fault", "add", "descriptors", "web", "--limit", "15"]).ok();
    let (refused, failed, said) = crowd();
    assert!(refused.max(failed) > 1_000, "{said}");
    assert!(stage.log("web").contains("cannot accept connections for now: Too many open files"));
    // Whoever is told why is told all of it.
    stage.wwwlab(["fault", "clear"]).ok();
    let (refused, failed, said) = crowd();
    assert_eq!((refused, failed), (0, 0), "{said}");
}
