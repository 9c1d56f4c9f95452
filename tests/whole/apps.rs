//! Several processes of the application: that one may go, and that they come into service one after the other.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::thread;

use serde_json::Value;

use super::deploy::{chosen, version};
use super::own_app::example;
use super::stage::{Stage, processes_of, until};

/// A new lab with so many processes of the application, not yet up.
pub(super) fn several(count: u32) -> Stage {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| {
        let (before, app) = text.split_once("\n[app]").unwrap();
        format!("{before}\n[app]{}", app.replacen("# count = 1 ", &format!("count = {count} "), 1))
    });
    stage
}

/// Two, up.
fn two() -> Stage {
    let stage = several(2);
    stage.wwwlab(["up", "-d"]).ok();
    stage
}

/// The processes that answer, of so many requests.
fn answering(stage: &Stage, requests: usize) -> BTreeSet<u32> {
    let who = |_| {
        let told = stage.curl("-H Accept:application/json http://www.foobar.com/whoami").out;
        let who: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
        who["process"].as_u64().unwrap().try_into().unwrap()
    };
    (0..requests).map(who).collect()
}

fn pids(stage: &Stage) -> [u32; 2] {
    ["app", "app2"].map(|name| stage.pid(name))
}

fn addresses(stage: &Stage) -> [Value; 2] {
    ["app", "app2"].map(|name| stage.service(name)["address"].clone())
}

fn versions(stage: &Stage) -> [Value; 2] {
    ["app", "app2"].map(|name| stage.service(name)["version"].clone())
}

/// The states of those behind the web server.
fn states(stage: &Stage) -> Vec<String> {
    let states: Value = serde_json::from_str(&stage.wwwlab(["upstreams", "--json"]).ok()).unwrap();
    states.as_array().unwrap().iter().map(|state| state["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn all_answer_and_one_may_go() {
    let stage = two();
    let [first, second] = pids(&stage);
    let [one, other] = addresses(&stage);
    assert!(first != second && one != other, "{one} {other}");
    assert_eq!(answering(&stage, 4), BTreeSet::from([first, second]));
    for _ in 0..2 {
        stage.curl("-d name=Ada -d message=kept http://www.foobar.com/guestbook").ok();
        let path: Value =
            serde_json::from_str(&stage.wwwlab(["path", "--json", "http://www.foobar.com/"]).out).unwrap();
        let of = |heading: &str| {
            let steps = path["steps"].as_array().unwrap();
            steps.iter().find(|step| step["heading"] == heading).unwrap_or_else(|| panic!("{path}")).clone()
        };
        let (app, db) = (of("application"), of("database"));
        let name = app["to"]["name"].as_str().unwrap();
        assert_eq!(app["to"]["address"], stage.service(name)["address"], "{path}");
        assert_eq!(db["from"]["name"], name, "{path}");
    }
    until("each tells of its own", || {
        ["app", "app2"].iter().all(|app| stage.log(app).contains("/whoami → 200"))
    });
    assert!(stage.wwwlab(["metrics", "app2"]).ok().contains("service=\"app2\""));

    // One that is killed costs nobody a page, nor what they write.
    stage.wwwlab(["kill", "app2"]).ok();
    assert_eq!(answering(&stage, 4), BTreeSet::from([first]));
    for _ in 0..4 {
        let signed = stage
            .curl("-o /dev/null -w %{http_code} -d name=Bob -d message=too http://www.foobar.com/guestbook");
        assert_eq!(signed.ok(), "303");
    }
    stage.wwwlab(["start", "app2"]).ok();
    let started = stage.pid("app2");
    until("it is asked again", || answering(&stage, 2).contains(&started));
    let entries: Value = serde_json::from_str(&stage.curl("http://www.foobar.com/api/entries").out).unwrap();
    assert_eq!(entries["entries"].as_array().unwrap().len(), 6, "both have one guestbook: {entries}");

    stage.wwwlab(["fault", "add", "stop", "app"]).ok();
    assert_eq!(answering(&stage, 4), BTreeSet::from([started]));
    stage.wwwlab(["fault", "clear"]).ok();
    // What is wrong with the database is wrong for whoever uses it.
    stage.wwwlab(["fault", "add", "db-slow", "--delay", "1ms"]).ok();
    assert_eq!(stage.page("/").0, 200);
    stage.wwwlab(["fault", "clear"]).ok();
    stage.wwwlab(["stop", "app"]).ok();
    stage.wwwlab(["stop", "app2"]).ok();
    assert_eq!(stage.page("/").0, 502);
    assert!(stage.wwwlab(["start", "app3"]).refused(1).contains("`count = 3` under [app]"));
    stage.wwwlab(["down"]).ok();
    assert!(processes_of(&stage.root()).is_empty());
}

#[test]
fn who_is_logged_in_at_one_is_so_at_all_but_where_each_remembers_by_itself() {
    for (memory, expected) in [(false, 4), (true, 2)] {
        let stage = several(2);
        if memory {
            stage.edit("lab.toml", |text| {
                text.replacen("# sessions = \"database\"", "sessions = \"memory\"", 1)
            });
        }
        stage.wwwlab(["up", "-d"]).ok();
        let account =
            r#"-c jar -H Content-Type:application/json -d {"name":"ada","password":"correct-horse"}"#;
        stage.curl(&format!("{account} http://www.foobar.com/api/accounts")).ok();
        let known =
            (0..4).filter(|_| stage.curl("-b jar http://www.foobar.com/whoami").out.contains("session  ada"));
        assert_eq!(known.count(), expected, "sessions in memory: {memory}");
    }
}

#[test]
fn one_after_the_other_comes_into_service() {
    let stage = two();
    version(&stage, "v2");
    version(&stage, "v3");
    let (before, places) = (pids(&stage), addresses(&stage));
    let said = stage.wwwlab(["deploy", "v2", "--how", "rolling"]).ok();
    assert_eq!(said, "version v2 of the application is in service, after version 1\n");
    let after = pids(&stage);
    assert!(after.iter().all(|pid| !before.contains(pid)), "{before:?} {after:?}");
    assert_eq!((addresses(&stage), versions(&stage)), (places, ["v2", "v2"].map(Value::from)));
    assert_eq!((chosen(&stage)["version"].clone(), states(&stage)), ("v2".into(), vec!["in".into(); 2]));
    assert_eq!(answering(&stage, 4), BTreeSet::from(after));
    until("it is told", || {
        let log = stage.log("web");
        log.contains("rests: others have its requests")
            && log.contains("requests go to the application server at")
    });
    // Each other way is for all of them, too.
    for (how, other) in [("reload", "v3"), ("blue-green", "v2"), ("restart", "v3"), ("rolling", "v2")] {
        stage.wwwlab(["deploy", other, "--how", how]).ok();
        assert_eq!(versions(&stage), [other, other].map(Value::from), "{how}");
        assert_eq!(answering(&stage, 4), BTreeSet::from(pids(&stage)), "{how}");
        let [one, two] = addresses(&stage);
        assert_ne!(one, two, "{how}");
    }
    // Whoever is down comes up with it.
    stage.wwwlab(["stop", "app2"]).ok();
    let why = stage.wwwlab(["deploy", "v3", "--how", "rolling"]).refused(1);
    assert!(why.contains("only app is up") && why.contains("`wwwlab start app2`"), "{why}");
    stage.wwwlab(["deploy", "v3"]).ok();
    stage.wwwlab(["start", "app2"]).ok();
    assert_eq!(versions(&stage), ["v3", "v3"].map(Value::from));
    stage.wwwlab(["pause", "app2"]).ok();
    let why = stage.wwwlab(["deploy", "v2", "--how", "rolling"]).refused(1);
    assert!(why.contains("`wwwlab resume app2`"), "{why}");
    stage.wwwlab(["resume", "app2"]).ok();
    stage.wwwlab(["stop", "web"]).ok();
    stage.wwwlab(["deploy", "v2", "--how", "rolling"]).ok();
    assert_eq!(versions(&stage), ["v2", "v2"].map(Value::from), "nobody has to be told");
}

/// It begins with the former version, since the next one is kept only when the others serve it.
#[test]
fn one_that_is_started_while_the_others_are_deployed_serves_what_they_do() {
    let stage = several(3);
    stage.wwwlab(["up", "-d"]).ok();
    version(&stage, "v2");
    stage.wwwlab(["stop", "app3"]).ok();
    // Whoever has this request is waited for, for a while.
    let mut unsent = TcpStream::connect(("127.0.0.1", stage.port("http"))).unwrap();
    unsent
        .write_all(b"POST /guestbook HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 100\r\n\r\nname=")
        .unwrap();
    until("it is under way", || {
        let states: Value = serde_json::from_str(&stage.wwwlab(["upstreams", "--json"]).ok()).unwrap();
        states.as_array().unwrap().iter().any(|state| state["under_way"] == 1)
    });
    thread::scope(|scope| {
        let deploying = scope.spawn(|| stage.wwwlab(["deploy", "v2", "--how", "rolling"]));
        until("it is on the way", || stage.log("web").contains("rests: others have its requests"));
        stage.wwwlab(["start", "app3"]).ok();
        deploying.join().unwrap().ok();
    });
    let versions = ["app", "app2", "app3"].map(|name| stage.service(name)["version"].clone());
    assert_eq!(versions, ["v2"; 3].map(Value::from));
}

#[test]
fn where_one_cannot_serve_those_before_it_go_back() {
    let stage = two();
    version(&stage, "v2");
    // It has all descriptors that it may open before it accepts anybody.
    stage.wwwlab(["fault", "add", "descriptors", "app2", "--limit", "1"]).ok();
    let why = stage.wwwlab(["deploy", "v2", "--how", "rolling"]).refused(1);
    for said in [
        "app2 cannot come into service",
        "is not well",
        "app had it already, and serves the former version again",
    ] {
        assert!(why.contains(said), "{said}: {why}");
    }
    assert_eq!(
        (versions(&stage), chosen(&stage)["release"].clone()),
        (["1", "1"].map(Value::from), 0.into())
    );
    stage.wwwlab(["fault", "clear"]).ok();
    until("both are asked again", || answering(&stage, 2) == BTreeSet::from(pids(&stage)));
    stage.wwwlab(["deploy", "v2", "--how", "rolling"]).ok();
    assert_eq!(versions(&stage), ["v2", "v2"].map(Value::from));
}

#[test]
fn a_program_of_ones_own_may_be_several_too() {
    let stage = example("flask-like");
    stage.edit("lab.toml", |text| text.replacen("[app]\n", "[app]\ncount = 2\n", 1));
    stage.wwwlab(["up", "-d"]).ok();
    let before = pids(&stage);
    let said = stage.wwwlab(["deploy", "--how", "rolling"]).ok();
    assert_eq!(said, "the application is in service anew, by rolling\n");
    let after = pids(&stage);
    assert!(after.iter().all(|pid| !before.contains(pid)));
    // The second one does not start: the first one serves, and the second one is asked again as soon as it can be.
    let port = addresses(&stage)[1].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    let app = fs::read_to_string(stage.root().join("app.py")).unwrap();
    stage.edit("app.py", |text| {
        format!("import os\nif os.environ['PORT'] == '{port}':\n    raise SystemExit('no')\n{text}")
    });
    let why = stage.wwwlab(["deploy", "--how", "rolling"]).refused(1);
    for said in
        ["app2 cannot come into service", "the former one does not start either", "app runs anew already"]
    {
        assert!(why.contains(said), "{said}: {why}");
    }
    for _ in 0..4 {
        assert_eq!(stage.page("/").0, 200);
    }
    assert_eq!(stage.service("app2")["state"], "failed");
    fs::write(stage.root().join("app.py"), app).unwrap();
    stage.wwwlab(["start", "app2"]).ok();
    let requests = || {
        stage.page("/");
        let told: Value = serde_json::from_str(&stage.wwwlab(["upstreams", "--json"]).ok()).unwrap();
        (
            told[1]["state"].clone(),
            told[1]["requests"].as_u64().unwrap(),
            told[1]["failures_in_a_row"].clone(),
        )
    };
    let (_, had, _) = requests();
    until("it has requests again", || {
        let (state, has, failures) = requests();
        state == "in" && has > had && failures == 0
    });
}
