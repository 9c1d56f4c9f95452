//! `wwwlab path`: one request, its whole way told, also where it fails.

use std::fs;

use serde_json::Value;

use super::stage::Stage;

fn told(stage: &Stage, arguments: &[&str]) -> (Value, i32) {
    let said = stage.wwwlab(["path", "--json"].iter().chain(arguments));
    (serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}")), said.code)
}

/// The steps under a heading.
fn steps<'a>(path: &'a Value, heading: &str) -> Vec<&'a Value> {
    path["steps"].as_array().unwrap().iter().filter(|step| step["heading"] == heading).collect()
}

fn micros(value: &Value) -> u64 {
    value["micros"].as_u64().unwrap()
}

#[test]
fn a_page_is_told_from_its_name_to_its_rows() {
    let stage = Stage::up();
    let url = "http://www.foobar.com/guestbook";
    let (path, code) = told(&stage, &["--fresh", url]);
    assert_eq!((code, path["exchange"]["status"].as_u64()), (0, Some(200)));
    let names = steps(&path, "dns");
    let whom: Vec<&str> = names.iter().map(|step| step["to"]["name"].as_str().unwrap()).collect();
    assert_eq!(whom[..3], ["resolver", "root", "tld"], "{path}");
    assert_eq!(whom.last(), Some(&"dns"));
    assert_eq!(names[0]["cached"], false);
    let resolver = format!("127.0.0.2:{}", stage.port("dns"));
    assert_eq!(names[0]["to"]["address"], resolver.as_str());
    for heading in ["tcp", "web", "application", "database"] {
        assert!(!steps(&path, heading).is_empty(), "{heading}: {path}");
    }
    let connection = steps(&path, "tcp")[0].to_string();
    assert!(connection.contains("SYN-ACK") && connection.contains("round trip"), "{connection}");
    // What is within another lies within it, and nothing sticks out of the whole.
    let ends = |step: &Value| step["begins"].as_u64().unwrap() + micros(step);
    assert!(path["steps"].as_array().unwrap().iter().all(|step| ends(step) <= micros(&path)), "{path}");
    let (web, app, db) =
        (steps(&path, "web")[0], steps(&path, "application")[0], steps(&path, "database")[0]);
    assert!(micros(db) <= micros(app) && micros(app) <= micros(web), "{path}");
    let absent: Vec<&str> =
        path["absent"].as_array().unwrap().iter().map(|absent| absent["heading"].as_str().unwrap()).collect();
    assert_eq!(absent, ["firewall", "tls", "balancer"]);

    let (again, _) = told(&stage, &[url]);
    assert_eq!((steps(&again, "dns").len(), &steps(&again, "dns")[0]["cached"]), (1, &Value::Bool(true)));
    assert_ne!(path["request"], again["request"]);
    let request = again["request"].as_str().unwrap();
    assert!(stage.log("web").contains(&request[..8]), "the web server knows it by that");
}

#[test]
fn a_failure_is_told_up_to_where_it_was() {
    let stage = Stage::up();
    let failed = |service: &str, url: &str| {
        stage.wwwlab(["stop", service]).ok();
        let (path, code) = told(&stage, &["--fresh", url]);
        stage.wwwlab(["start", service]).ok();
        assert_eq!(code, 4, "{path}");
        let failure = path["failure"].clone();
        assert!(!failure["next"].as_array().unwrap().is_empty(), "{failure}");
        [&failure["heading"], &failure["component"], &failure["symptom"]]
            .map(|value| value.as_str().unwrap().to_owned())
    };
    let page = "http://www.foobar.com/guestbook";
    assert_eq!(failed("resolver", page), ["dns", "resolver", "refused"]);
    assert_eq!(failed("dns", page), ["dns", "dns", "SERVFAIL"]);
    assert_eq!(failed("web", page), ["tcp", "web server", "refused"]);
    assert_eq!(failed("app", page), ["application", "application server", "502"]);
    assert_eq!(failed("db", page), ["database", "database", "503"]);
    let (path, code) = told(&stage, &["http://nosuch-name.foobar.com/"]);
    assert_eq!((code, path["failure"]["symptom"].as_str()), (4, Some("NXDOMAIN")));
    let (path, code) = told(&stage, &["http://www.foobar.com/assets/nothing"]);
    assert_eq!((code, path["failure"]["symptom"].as_str()), (4, Some("404")));
}

#[test]
fn paths_are_saved_compared_and_drawn() {
    let stage = Stage::up();
    let url = "http://www.foobar.com/";
    let cold = stage.wwwlab(["path", "--json", "--fresh", url]).ok();
    fs::write(stage.root().join("cold.json"), cold).unwrap();
    let said = stage.wwwlab(["path", "--compare", "cold.json", url]).ok();
    assert!(said.contains("asked for, then from cache"), "{said}");
    let refused = stage.wwwlab(["path", "--compare", "nothing.json", url]).refused(2);
    assert!(refused.contains("nothing.json"), "{refused}");
    let refused = stage.wwwlab(["path", "--compare", "lab.toml", url]).refused(2);
    assert!(refused.contains("lab.toml is no path"), "{refused}");
    let refused = stage.wwwlab(["path", "ftp://www.foobar.com/"]).refused(2);
    assert!(refused.contains("http://"), "{refused}");

    let archive = stage.wwwlab(["path", "--har", "--svg", "path.svg", url]).ok();
    let archive: Value = serde_json::from_str(&archive).unwrap();
    assert_eq!(archive["log"]["entries"][0]["response"]["status"], 200);
    let read = "import sys, xml.dom.minidom as x; print(x.parse('path.svg').documentElement.tagName)";
    assert_eq!(stage.run("python3", ["-c", read]).ok(), "svg\n");
    assert!(fs::read_to_string(stage.root().join("path.svg")).unwrap().contains("client"));
}

/// A lab that speaks HTTPS at a port that is free.
fn secured() -> Stage {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replacen("[ports]\n", "[ports]\nhttps = 0\n", 1));
    stage.wwwlab(["up", "-d"]).ok();
    stage.wwwlab(["secure"]).ok();
    stage
}

#[test]
fn a_page_by_https_is_told_with_its_handshake() {
    let stage = secured();
    let url = "https://www.foobar.com/guestbook";
    let (path, code) = told(&stage, &[url]);
    assert_eq!(
        (code, path["exchange"]["status"].as_u64(), path["asked"].as_str()),
        (0, Some(200), Some(url))
    );
    let (tcp, tls, web) = (steps(&path, "tcp")[0], steps(&path, "tls")[0], steps(&path, "web")[0]);
    let ends = |step: &Value| step["begins"].as_u64().unwrap() + micros(step);
    let begins = |step: &Value| step["begins"].as_u64().unwrap();
    assert!(ends(tcp) <= begins(tls) && ends(tls) <= begins(web) && ends(web) <= micros(&path), "{path}");
    assert_eq!(tls["to"]["name"], "web");
    let seen = &path["tls"];
    assert_eq!(
        (&seen["agreed"]["version"], &seen["agreed"]["alpn"]),
        (&"TLSv1.3".into(), &"http/1.1".into())
    );
    assert_eq!((&seen["sni"], &seen["agreed"]["resumed"]), (&"www.foobar.com".into(), &false.into()));
    let shown = &seen["chain"][0];
    assert!(shown["subject"].as_str().unwrap().contains("www.foobar.com"), "{seen}");
    assert_eq!(shown["issuer"], seen["trusted"]["subject"]);
    // The server, by its own word, knows that it was asked so.
    let log = stage.wwwlab(["logs", "web", "--json"]).ok();
    let mut events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let event = events.find(|event| event["event"] == "request" && event["id"] == path["request"]);
    assert_eq!(event.unwrap_or_else(|| panic!("{log}"))["secure"], true);

    let archive = stage.wwwlab(["path", "--har", "--svg", "path.svg", url]).ok();
    let archive: Value = serde_json::from_str(&archive).unwrap();
    let entry = &archive["log"]["entries"][0];
    let phase = |name: &str| entry["timings"][name].as_f64().unwrap();
    assert!(phase("ssl") > 0.0 && phase("connect") >= phase("ssl"), "{entry}");
    assert_eq!(entry["request"]["url"], url);
    assert!(fs::read_to_string(stage.root().join("path.svg")).unwrap().contains(url));
    let said = stage.wwwlab(["path", "--compare", "http://www.foobar.com/", "https://www.foobar.com/"]).ok();
    let line = said.lines().find(|line| line.trim_start().starts_with("HTTPS/SSL")).unwrap();
    assert!(line.contains('–') && line.contains("0 steps, then 1"), "{said}");
    super::stage::until("curl's own way is told", || {
        stage.wwwlab(["curl", "-s", url]).ok();
        let (path, _) = told(&stage, &["--last"]);
        path["asked"].as_str().unwrap().starts_with("https://") && !steps(&path, "tls").is_empty()
    });
}

#[test]
fn a_handshake_that_fails_is_told_with_what_curl_says() {
    let stage = secured();
    let url = "https://www.foobar.com/";
    let failed = |curl: i32| {
        let (path, code) = told(&stage, &[url]);
        assert_eq!(code, 4, "{path}");
        assert_eq!(stage.wwwlab(["curl", "-s", url]).code, curl, "{path}");
        let failure = &path["failure"];
        assert!(failure["symptom"].as_str().unwrap().ends_with(&format!("(curl: {curl})")), "{failure}");
        path
    };
    for (kind, symptom) in
        [("expired", "expired"), ("wrong-name", "another name"), ("self-signed", "self-signed")]
    {
        stage.wwwlab(["cert", "use", kind]).ok();
        let path = failed(60);
        let failure = &path["failure"];
        assert_eq!((&failure["heading"], &failure["component"]), (&"tls".into(), &"the certificate".into()));
        assert!(failure["symptom"].as_str().unwrap().contains(symptom), "{failure}");
        assert_eq!((steps(&path, "tls").len(), steps(&path, "web").len()), (1, 0), "{path}");
        assert_eq!(path["tls"]["chain"].as_array().unwrap().len(), 1, "what was shown is told: {path}");
        let remedy = failure["next"].as_array().unwrap().iter();
        assert!(remedy.clone().any(|next| next.as_str().unwrap().ends_with("cert use good")), "{failure}");
    }
    stage.wwwlab(["cert", "use", "good"]).ok();
    assert_eq!(told(&stage, &[url]).1, 0);
    // Plain HTTP is spoken at the other port.
    let (path, code) = told(&stage, &[&format!("https://www.foobar.com:{}/", stage.port("http"))]);
    assert_eq!((code, path["failure"]["symptom"].as_str()), (4, Some("no TLS (curl: 35)")), "{path}");
    let port = stage.status()["tls"]["addresses"][0].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    stage.wwwlab(["unsecure"]).ok();
    let (path, code) = told(&stage, &[&format!("https://www.foobar.com:{port}/")]);
    let failure = &path["failure"];
    assert_eq!((code, &failure["heading"]), (4, &"tcp".into()), "{path}");
    assert_eq!(failure["symptom"], "refused (curl: 7)");
    assert!(failure["next"][0].as_str().unwrap().ends_with("secure"), "{failure}");
}

#[test]
fn on_hosts_the_client_asks_by_https_as_well() {
    let _turn = super::hosts::one_at_a_time();
    let stage = super::hosts::up();
    stage.wwwlab(["secure"]).ok();
    let (path, code) = told(&stage, &["https://www.foobar.com/"]);
    assert_eq!((code, path["exchange"]["status"].as_u64()), (0, Some(200)), "{path}");
    assert_eq!(steps(&path, "tls")[0]["to"]["address"], "8.8.8.8:443");
    stage.wwwlab(["unsecure"]).ok();
    let (path, code) = told(&stage, &["https://www.foobar.com/"]);
    assert_eq!((code, path["failure"]["symptom"].as_str()), (4, Some("refused (curl: 7)")), "{path}");
}

#[test]
fn the_last_dig_and_the_last_curl_are_told() {
    let stage = Stage::up();
    let refused = stage.wwwlab(["path", "--last"]).refused(1);
    assert!(refused.contains("make one"), "{refused}");
    stage.dig("127.0.0.2", "www.foobar.com");
    super::stage::until("the dig is told", || {
        let said = stage.wwwlab(["path", "--last"]);
        said.code == 0 && said.out.starts_with("www.foobar.com. A\n") && said.out.contains("resolver → root")
    });
    stage.curl("http://www.foobar.com/guestbook").ok();
    super::stage::until("the curl is told", || {
        let (path, code) = told(&stage, &["--last"]);
        code == 0
            && path["asked"].as_str().unwrap().ends_with("/guestbook")
            && steps(&path, "dns")[0]["cached"] == true
            && path["watched"] == "by-services"
    });
}
