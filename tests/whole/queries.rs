//! What name servers count, log and limit: `wwwlab queries`, `wwwlab logs --json`, `[dns] rate_limit`.

use serde_json::{Value, json};

use super::stage::{Stage, until};

fn counts(stage: &Stage, server: &str) -> Value {
    let told: Value = serde_json::from_str(&stage.wwwlab(["queries", server, "--json"]).ok()).unwrap();
    told[0].clone()
}

/// How often `what` was counted.
fn count(counts: &Value, what: &str) -> u64 {
    let all = counts.as_array().unwrap().iter();
    all.filter(|one| one["what"] == what).filter_map(|one| one["count"].as_u64()).sum()
}

#[test]
fn questions_are_counted_by_transport_type_and_outcome() {
    let stage = Stage::up();
    let before = counts(&stage, "dns");
    stage.dig("127.0.0.1", "www.foobar.com");
    stage.dig("127.0.0.1", "www.foobar.com AAAA");
    stage.dig("127.0.0.1", "nosuch.foobar.com");
    stage.dig("127.0.0.1", "foobar.com MX +tcp");
    let after = counts(&stage, "dns");
    let grown = |transport: &str, part: &str, what: &str| {
        count(&after[transport][part], what) - count(&before[transport][part], what)
    };
    assert_eq!((grown("udp", "types", "A"), grown("udp", "types", "AAAA")), (2, 1), "{after}");
    assert_eq!((grown("udp", "rcodes", "NOERROR"), grown("udp", "rcodes", "NXDOMAIN")), (2, 1), "{after}");
    assert_eq!((grown("tcp", "types", "MX"), grown("udp", "types", "MX")), (1, 0), "{after}");
    assert_eq!(
        (&after["server"], &after["up"], &after["udp"]["limited"]),
        (&json!("dns"), &json!(true), &json!(0))
    );
    // Each name server counts its own; one that is not up has nothing to say.
    stage.wwwlab(["stop", "tld"]).ok();
    let shown = stage.wwwlab(["queries"]).ok();
    assert!(shown.contains("OUTCOMES") && shown.contains("NXDOMAIN 1"), "{shown}");
    assert!(
        shown.lines().any(|line| line.trim_start().starts_with("tld") && line.contains("not up")),
        "{shown}"
    );
    assert!(stage.wwwlab(["queries", "tld"]).refused(1).contains("wwwlab start tld"));
}

#[test]
fn each_question_is_logged_as_a_line_of_json() {
    let stage = Stage::up();
    stage.dig("127.0.0.1", "www.foobar.com +tcp");
    stage.dig("127.0.0.1", "CH TXT id.server");
    let questions = || -> Vec<Value> {
        let said = stage.wwwlab(["logs", "dns", "--json"]).ok();
        let events = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["event"] == "question").collect()
    };
    until("both are logged", || questions().len() == 2);
    let [www, chaos] = questions().try_into().unwrap();
    assert_eq!((&www["service"], &www["transport"]), (&json!("dns"), &json!("tcp")));
    assert!(www["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{www}");
    let what = [&www["name"], &www["class"], &www["type"], &www["rcode"], &www["flags"]];
    assert_eq!(what, ["www.foobar.com.", "IN", "A", "NOERROR", "qr aa rd"]);
    assert!(www["at"].is_u64() && www["bytes"].as_u64() > Some(30) && www["micros"].is_u64(), "{www}");
    assert_eq!([&chaos["class"], &chaos["type"], &chaos["transport"]], ["CH", "TXT", "udp"]);
}

#[test]
fn too_many_equal_answers_are_limited_and_dig_comes_by_tcp() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# rate_limit = 0 ", "rate_limit = 1 "));
    stage.wwwlab(["up", "-d"]).ok();
    // One dig after the other, and no second try: what is dropped stays without an answer, what is cut comes by TCP.
    until("an answer is dropped, and another one is asked for again by TCP", || {
        stage.dig("127.0.0.1", "www.foobar.com +time=1 +noall +answer");
        let counts = counts(&stage, "dns");
        counts["udp"]["dropped"].as_u64() > Some(0) && counts["tcp"]["answered"].as_u64() > Some(0)
    });
    let counts = counts(&stage, "dns");
    assert!(counts["udp"]["limited"].as_u64() > counts["udp"]["dropped"].as_u64(), "{counts}");
    until("the log says so", || {
        stage.log("dns").contains("limits equal answers to 127.0.0.0/24 to 1 a second: www.foobar.com. A")
    });
}
