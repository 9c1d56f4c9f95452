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
    let refused = stage.wwwlab(["path", "https://www.foobar.com/"]).refused(2);
    assert!(refused.contains("http://"), "{refused}");

    let archive = stage.wwwlab(["path", "--har", "--svg", "path.svg", url]).ok();
    let archive: Value = serde_json::from_str(&archive).unwrap();
    assert_eq!(archive["log"]["entries"][0]["response"]["status"], 200);
    let read = "import sys, xml.dom.minidom as x; print(x.parse('path.svg').documentElement.tagName)";
    assert_eq!(stage.run("python3", ["-c", read]).ok(), "svg\n");
    assert!(fs::read_to_string(stage.root().join("path.svg")).unwrap().contains("client"));
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
