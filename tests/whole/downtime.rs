//! `wwwlab measure downtime`: what users notice of a change by each way, and that the lab is as before.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use super::apps::several;
use super::https::{certificate, s_client, secured};
use super::own_app::example;
use super::stage::{PROGRAM, Stage, signal, until};

/// A machine that is busy with other tests makes users wait, and loses nobody's request.
const PATIENCE: [&str; 2] = ["--patience", "60s"];

fn measured(stage: &Stage, arguments: &[&str]) -> Value {
    let line = ["measure", "downtime", "--json"].iter().chain(arguments).chain(&PATIENCE);
    serde_json::from_str(&stage.wwwlab(line).ok()).unwrap()
}

/// What would be otherwise if something of it were left.
fn left(stage: &Stage) -> (Value, u16, bool, bool) {
    let trial = stage.state().join("releases/trial").exists();
    let own = stage.page("/").1.contains("by version 1 ");
    (stage.service("app")["version"].clone(), stage.port("app"), own, trial)
}

#[test]
fn reload_and_blue_green_lose_no_request_of_a_thousand_a_second_and_restart_does() {
    let stage = Stage::up();
    let before = left(&stage);
    let told = measured(&stage, &["--how", "reload,blue-green", "--rate", "1000", "--lasts", "2s"]);
    assert_eq!(
        (&told["what"], &told["path"], &told["rate"]),
        (&"app".into(), &"/whoami".into(), &1000.into())
    );
    let ways = told["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 2);
    for (way, how) in ways.iter().zip(["reload", "blue-green"]) {
        assert_eq!(way["how"], how);
        assert!(way["requests"].as_u64().unwrap() >= 2000, "{way}");
        assert_eq!((&way["failed"], &way["served"]), (&0.into(), &way["requests"]), "{way}");
        assert_eq!(way["unavailable"], Value::Null, "{way}");
    }
    assert_eq!(left(&stage), before);
    // Each time nobody answers for as long as a process takes to start; whether a user comes just then, a busy machine decides.
    until("a request meets nobody", || {
        let told = measured(&stage, &["--how", "restart", "--lasts", "1s"]);
        let way = &told["ways"][0];
        let failed = way["failed"].as_u64().unwrap();
        let counted: u64 = way["symptoms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|symptom| symptom["count"].as_u64().unwrap())
            .sum();
        assert_eq!(
            (counted, failed + way["served"].as_u64().unwrap()),
            (failed, way["requests"].as_u64().unwrap())
        );
        if failed > 0 {
            let window = &way["unavailable"];
            assert!(
                window["is_over"] == true
                    && window["ends_micros"].as_u64() > window["begins_micros"].as_u64()
            );
            assert!(way["symptoms"].to_string().contains("502 Bad Gateway"), "{way}");
        }
        failed > 0
    });
    assert_eq!(left(&stage), before);
    assert!(stage.wwwlab(["deploy", "--back"]).refused(1).contains("nothing was deployed"));
}

#[test]
fn rolling_loses_no_request_of_a_thousand_a_second() {
    let stage = several(2);
    stage.wwwlab(["up", "-d"]).ok();
    let all =
        || (left(&stage), stage.service("app2")["version"].clone(), stage.service("app2")["address"].clone());
    let before = all();
    let told = measured(&stage, &["--how", "rolling", "--rate", "1000", "--lasts", "2s"]);
    let way = &told["ways"][0];
    assert!(way["how"] == "rolling" && way["requests"].as_u64().unwrap() >= 2000, "{way}");
    assert_eq!((&way["failed"], &way["served"]), (&0.into(), &way["requests"]), "{way}");
    assert_eq!(all(), before);
    // Without being asked for, it is one of the ways.
    let told = measured(&stage, &["--rate", "50", "--lasts", "500ms"]);
    let ways: Vec<&str> =
        told["ways"].as_array().unwrap().iter().map(|way| way["how"].as_str().unwrap()).collect();
    assert_eq!((ways, all()), (vec!["restart", "reload", "rolling", "blue-green"], before));
}

#[test]
fn one_who_is_killed_midway_leaves_the_lab_as_it_was() {
    leaves_the_lab_as_it_was(&Stage::new(), &["blue-green", "restart", "reload"]);
    leaves_the_lab_as_it_was(&several(2), &["rolling"]);
}

fn leaves_the_lab_as_it_was(stage: &Stage, ways: &[&str]) {
    stage.wwwlab(["up", "-d"]).ok();
    let before = left(stage);
    for &how in ways {
        let mut measuring = stage.command(PROGRAM);
        measuring.args(["measure", "downtime", "--how", how, "--rate", "50", "--lasts", "30s"]);
        let mut measuring = measuring.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the other version serves", || stage.service("app")["version"] == "1-measured");
        until("all serve it", || serving(stage).iter().all(|version| version == "1-measured"));
        assert!(stage.page("/whoami").1.contains("version  1-measured"));
        let other = stage.wwwlab(["measure", "downtime"]).refused(1);
        assert!(other.contains("at work in this lab"), "{other}");
        assert!(stage.wwwlab(["deploy", "app"]).refused(1).contains("at work in this lab"));
        signal(measuring.id(), "KILL");
        measuring.wait().unwrap();
        until("all is as before", || {
            left(stage) == before && serving(stage).iter().all(|version| version == "1")
        });
    }
}

/// The version that each process of the application serves.
fn serving(stage: &Stage) -> Vec<Value> {
    let status = stage.status();
    let services = status["services"].as_array().unwrap().iter();
    let apps = services.filter(|service| service["name"].as_str().unwrap().starts_with("app"));
    apps.map(|service| service["version"].clone()).collect()
}

#[test]
fn the_web_server_has_one_way_and_that_costs() {
    let stage = Stage::up();
    let web = stage.pid("web");
    let picture = stage.root().join("downtime.svg");
    let line = [
        "measure",
        "downtime",
        "--what",
        "web",
        "--lasts",
        "1s",
        "--delayed",
        "60s",
        "--svg",
        "downtime.svg",
    ];
    let told = stage.wwwlab(line.iter().chain(&PATIENCE)).ok();
    assert!(told.contains("the web server by restart") && told.contains("UNAVAILABLE"), "{told}");
    assert!(told.lines().any(|line| line.starts_with("  served   ")), "{told}");
    assert!(told.lines().any(|line| line.starts_with("  change   ") && line.contains('=')), "{told}");
    assert!(stage.pid("web") != web, "it was really restarted");
    let drawn = fs::read_to_string(picture).unwrap();
    assert!(drawn.starts_with("<svg ") && drawn.contains("by restart"), "{drawn}");
    let refused = stage.wwwlab(["measure", "downtime", "--what", "web", "--how", "reload"]).refused(2);
    assert!(refused.contains("no second one to hand over to"), "{refused}");
}

#[test]
fn a_zone_is_read_again_without_a_question_lost_and_a_restart_loses_some() {
    let stage = Stage::up();
    let file = stage.root().join("zones/loopback/foobar.com.zone");
    let before = (fs::read(&file).unwrap(), stage.wwwlab(["zone", "list", "--json"]).ok(), stage.pid("dns"));
    let zone = ["--what", "zone", "--lasts", "1s", "--rate", "500"];
    let told = measured(&stage, &[&zone[..], &["--how", "reload"]].concat());
    assert_eq!((&told["what"], &told["name"]), (&"zone".into(), &"www.foobar.com".into()), "{told}");
    let way = &told["ways"][0];
    assert!(way["requests"].as_u64().unwrap() >= 500, "{way}");
    assert_eq!((&way["failed"], &way["served"]), (&0.into(), &way["requests"]), "{way}");
    let after = (fs::read(&file).unwrap(), stage.wwwlab(["zone", "list", "--json"]).ok(), stage.pid("dns"));
    assert_eq!(after, before);
    until("a question meets nobody", || {
        let told = measured(&stage, &[&zone[..], &["--how", "restart"]].concat());
        told["ways"][0]["symptoms"].to_string().contains("refused")
    });
    assert_ne!(stage.pid("dns"), before.2);
    let refused = stage.wwwlab(["measure", "downtime", "--what", "zone", "--how", "blue-green"]).refused(2);
    assert!(refused.contains("--how restart,reload"), "{refused}");
    // It is really read.
    fs::write(&file, "this is no zone\n").unwrap();
    let line = ["measure", "downtime", "--what", "zone", "--how", "reload", "--lasts", "500ms"];
    let why = stage.wwwlab(line).refused(1);
    assert!(why.contains("as it is") && why.contains("foobar.com.zone"), "{why}");
}

#[test]
fn a_zone_that_could_not_be_left_as_it_is_is_not_measured_so() {
    let stage = Stage::up();
    let other = stage.root().join("other.zone");
    fs::copy(stage.root().join("zones/loopback/foobar.com.zone"), &other).unwrap();
    stage.wwwlab(["zone", "use", "foobar.com", "./other.zone"]).ok();
    let why = stage.wwwlab(["measure", "downtime", "--what", "zone"]).refused(1);
    assert!(why.contains("other.zone until dns is restarted") && why.contains("--how reload"), "{why}");
    let way = measured(&stage, &["--what", "zone", "--how", "reload", "--lasts", "500ms"]);
    assert_eq!(way["ways"][0]["failed"], 0, "{way}");
    assert!(stage.wwwlab(["zone", "list"]).ok().contains("other.zone"));
    stage.wwwlab(["stop", "dns"]).ok();
    let why = stage.wwwlab(["measure", "downtime", "--what", "zone"]).refused(1);
    assert!(why.contains("www.foobar.com is not served as it is (refused)"), "{why}");
}

/// The certificate that strangers are shown, and whether any is on trial.
fn shown(stage: &Stage) -> (String, bool) {
    let said = s_client(stage, &["-showcerts"]).ok();
    (certificate(&said).to_owned(), stage.root().join("certs/issued/trial").exists())
}

const CERTIFICATE: [&str; 6] = ["--what", "certificate", "--rate", "200", "--lasts", "1s"];

#[test]
fn strangers_meet_another_certificate_without_a_request_lost_and_a_restart_loses_some() {
    let stage = secured();
    let all: Value = serde_json::from_str(&stage.wwwlab(["cert", "show", "--json"]).ok()).unwrap();
    let (before, web) = (shown(&stage), stage.pid("web"));
    let told = measured(&stage, &[&CERTIFICATE[..], &["--how", "reload"]].concat());
    assert_eq!((&told["what"], &told["path"]), (&"certificate".into(), &"/whoami".into()), "{told}");
    assert_eq!(told["address"], stage.status()["tls"]["addresses"][0], "{told}");
    let way = &told["ways"][0];
    assert_eq!((&way["failed"], &way["served"]), (&0.into(), &way["requests"]), "{way}");
    let [former, new] = way["certificates"].as_array().unwrap().as_slice() else { panic!("{way}") };
    assert!(all.as_array().unwrap().iter().any(|one| one["serial"] == former["serial"]), "{all}: {way}");
    let number = |value: &Value| value.as_u64().unwrap();
    let counted: u64 =
        [former, new].iter().map(|one| number(&one["handshakes"]) + number(&one["over_kept"])).sum();
    assert_eq!(counted, number(&way["requests"]), "each is by one of them: {way}");
    assert!(number(&former["over_kept"]) > 0 && number(&new["handshakes"]) > 0, "{way}");
    assert!(former["last_micros"].as_u64() <= way["change"]["ends_micros"].as_u64(), "{way}");
    assert!(way["renewed_micros"].as_u64() > former["last_micros"].as_u64(), "{way}");
    assert_eq!((shown(&stage), stage.pid("web")), (before.clone(), web));
    until("a request meets nobody", || {
        let told = measured(&stage, &[&CERTIFICATE[..], &["--how", "restart"]].concat());
        let way = &told["ways"][0];
        assert_eq!(way["certificates"].as_array().unwrap().len(), 2, "{way}");
        way["symptoms"].to_string().contains("refused")
    });
    assert_eq!(shown(&stage), before);
    assert!(stage.pid("web") != web, "it was really restarted");
}

#[test]
fn who_is_killed_while_another_certificate_is_shown_leaves_the_former() {
    let stage = secured();
    let before = shown(&stage);
    for how in ["reload", "restart"] {
        let mut measuring = stage.command(PROGRAM);
        measuring.args(["measure", "downtime", "--what", "certificate", "--how", how]);
        measuring.args(["--rate", "20", "--lasts", "30s"]);
        let mut measuring = measuring.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the other certificate is shown", || {
            let said = s_client(&stage, &["-showcerts"]);
            said.code == 0 && certificate(&said.out) != before.0
        });
        signal(measuring.id(), "KILL");
        measuring.wait().unwrap();
        until("all is as before", || s_client(&stage, &[]).code == 0 && shown(&stage) == before);
    }
}

#[test]
fn a_certificate_that_is_not_shown_or_not_believed_is_not_measured() {
    let stage = secured();
    for how in ["blue-green", "rolling"] {
        let why = stage.wwwlab(["measure", "downtime", "--what", "certificate", "--how", how]).refused(2);
        assert!(why.contains("between two handshakes") && why.contains("--how restart,reload"), "{why}");
    }
    stage.wwwlab(["cert", "use", "expired"]).ok();
    let why = stage.wwwlab(["measure", "downtime", "--what", "certificate"]).refused(1);
    assert!(why.contains("/whoami by HTTPS is not served as it is (certificate not believed)"), "{why}");
    stage.wwwlab(["unsecure"]).ok();
    let why = stage.wwwlab(["measure", "downtime", "--what", "certificate"]).refused(2);
    assert!(why.contains("`wwwlab secure` first"), "{why}");
    assert!(!stage.root().join("certs/issued/trial").exists());
}

#[test]
fn a_program_of_ones_own_is_measured_too() {
    let stage = example("flask-like");
    stage.wwwlab(["up", "-d"]).ok();
    let port = stage.port("app");
    let told = measured(&stage, &["--how", "blue-green", "--rate", "50", "--lasts", "1s"]);
    assert_eq!((&told["path"], &told["ways"][0]["failed"]), (&"/".into(), &0.into()), "{told}");
    assert_eq!((stage.port("app"), stage.page("/").0), (port, 200));
    let reload = stage.wwwlab(["measure", "downtime", "--how", "reload"]).refused(2);
    assert!(reload.contains("--how restart,blue-green"), "{reload}");
}

#[test]
fn what_cannot_be_measured_is_said_before_anything_is_changed() {
    let stage = Stage::new();
    assert!(stage.wwwlab(["measure", "downtime"]).refused(3).contains("wwwlab up"));
    stage.wwwlab(["up", "-d"]).ok();
    let app = stage.pid("app");
    let why = stage.wwwlab(["measure", "downtime", "--path", "/nowhere"]).refused(1);
    assert!(why.contains("404 Not Found") && why.contains("--path"), "{why}");
    let why = stage.wwwlab(["measure", "downtime", "--path", "nowhere"]).refused(2);
    assert!(why.contains("begins with /"), "{why}");
    let why = stage.wwwlab(["measure", "downtime", "--how", "rolling"]).refused(2);
    assert!(why.contains("one process"), "{why}");
    stage.wwwlab(["measure", "downtime", "--rate", "0"]).refused(2);
    stage.wwwlab(["measure", "downtime", "--lasts", "1day"]).refused(2);
    stage.wwwlab(["stop", "app"]).ok();
    let why = stage.wwwlab(["measure", "downtime"]).refused(1);
    assert!(why.contains("is not served as it is (502 Bad Gateway)"), "{why}");
    stage.wwwlab(["start", "app"]).ok();
    assert!(stage.pid("app") != app && stage.page("/").0 == 200);
}
