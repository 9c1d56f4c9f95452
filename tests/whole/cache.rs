//! `wwwlab cache`: what the resolver remembers, seen and forgotten.

use super::stage::{Stage, until};

#[test]
fn it_lists_counts_down_and_forgets() {
    let stage = Stage::up();
    let said = stage.wwwlab(["cache"]).ok();
    assert!(said.contains("remembers nothing"), "{said}");
    stage.dig("127.0.0.2", "www.foobar.com");
    stage.dig("127.0.0.2", "nosuch-name.foobar.com");
    let entries =
        || -> serde_json::Value { serde_json::from_str(&stage.wwwlab(["cache", "--json"]).ok()).unwrap() };
    let find = |name: &str| {
        entries().as_array().unwrap().iter().find(|entry| entry["name"] == name).cloned().unwrap()
    };
    let first = find("www.foobar.com.")["ttl_seconds"].as_u64().unwrap();
    assert!((290..=300).contains(&first), "{first}");
    until("the TTL counts down", || find("www.foobar.com.")["ttl_seconds"].as_u64().unwrap() < first);
    let denied = find("nosuch-name.foobar.com.");
    assert_eq!(denied["outcome"], "NXDOMAIN");
    assert!(denied["records"][0].as_str().unwrap().contains("SOA"), "{denied}");
    let shown = stage.wwwlab(["cache"]).ok();
    assert!(shown.contains("www.foobar.com.") && shown.contains("NXDOMAIN"), "{shown}");
    assert_eq!(find("www.foobar.com.")["said_by"], format!("127.0.0.1:{}", stage.port("dns")));
    assert_eq!(stage.wwwlab(["cache", "flush", "WWW.foobar.com"]).ok(), "1 answer forgotten\n");
    assert_eq!(entries().as_array().unwrap().len(), 1, "the other name is still remembered");
    assert_eq!(stage.wwwlab(["cache", "flush"]).ok(), "1 answer forgotten\n");
    assert_eq!(entries(), serde_json::json!([]));
}

#[test]
fn an_old_answer_is_seen_until_it_is_forgotten() {
    let stage = Stage::up();
    assert_eq!(stage.dig("127.0.0.2", "www.foobar.com +short").lines().count(), 1);
    stage.wwwlab(["zone", "use", "foobar.com", "cname"]).ok();
    assert_eq!(
        stage.dig("127.0.0.2", "www.foobar.com +short").lines().count(),
        1,
        "still remembered as it was"
    );
    stage.wwwlab(["cache", "flush"]).ok();
    assert_eq!(
        stage.dig("127.0.0.2", "www.foobar.com +short").lines().count(),
        2,
        "asked again: a CNAME and an A"
    );
}
