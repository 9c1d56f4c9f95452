//! Several resolvers in one lab, each with a cache of its own.

use super::stage::Stage;

fn with_resolvers(count: u32) -> Stage {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replacen("# count = 1 ", &format!("count = {count} "), 1));
    stage.wwwlab(["up", "-d"]).ok();
    stage
}

#[test]
fn each_has_an_address_a_cache_and_a_life_of_its_own() {
    let stage = with_resolvers(4);
    let port = stage.port("dns");
    for (name, address) in [
        ("resolver", "127.0.0.2"),
        ("resolver2", "127.0.0.22"),
        ("resolver3", "127.0.0.32"),
        ("resolver4", "127.0.0.42"),
    ] {
        assert_eq!(stage.service(name)["address"], format!("{address}:{port}"));
        let cache = || stage.wwwlab(["cache", "--resolver", name]).ok();
        assert!(cache().contains("remembers nothing"), "what another was asked: {}", cache());
        assert_eq!(stage.dig(address, "www.foobar.com +short"), "127.0.0.1\n");
        assert!(cache().contains("www.foobar.com."), "{}", cache());
    }
    assert_eq!(stage.wwwlab(["cache", "flush", "--resolver", "resolver2"]).ok(), "1 answer forgotten\n");
    assert!(
        stage.wwwlab(["cache", "--resolver", "resolver2"]).ok().contains("dig @resolver2 www.foobar.com")
    );
    assert!(stage.wwwlab(["cache"]).ok().contains("www.foobar.com."), "the first one remembers");
    let walk = stage.wwwlab(["resolve", "--resolver", "resolver3", "www.foobar.com"]).ok();
    assert!(walk.contains("remembered: nobody was asked"), "{walk}");
    let walk = stage.wwwlab(["resolve", "--resolver", "resolver2", "www.foobar.com"]).ok();
    assert!(walk.contains("root 127.0.0.3"), "it has forgotten everything: {walk}");
    stage.wwwlab(["stop", "resolver"]).ok();
    assert!(stage.wwwlab(["cache"]).refused(1).contains("resolver is not up"));
    assert!(stage.wwwlab(["dig", "@resolver4", "www.foobar.com", "+short"]).ok().contains("127.0.0.1"));
    assert!(stage.wwwlab(["logs", "resolver4"]).ok().contains("asks 127.0.0.3 com. NS"));
    stage.wwwlab(["start", "resolver"]).ok();
}

#[test]
fn one_that_the_lab_does_not_have_is_said_to_be_absent() {
    let stage = with_resolvers(2);
    assert!(!stage.wwwlab(["status"]).ok().contains("resolver3"));
    for line in [
        vec!["cache", "--resolver", "resolver3"],
        vec!["cache", "flush", "www.foobar.com", "--resolver", "resolver3"],
        vec!["resolve", "--resolver", "resolver3", "www.foobar.com"],
        vec!["start", "resolver3"],
    ] {
        let why = stage.wwwlab(&line).refused(1);
        assert!(
            why.contains("this lab has no resolver3: set `count = 3` under [resolver]"),
            "{line:?}: {why}"
        );
    }
    let why = stage.wwwlab(["cache", "--resolver", "web"]).refused(2);
    assert!(why.contains("a resolver is one of resolver, resolver2"), "{why}");
    let said = stage.wwwlab(["dig", "@resolver3", "www.foobar.com"]).refused(1);
    assert!(said.contains("@resolver3 is no server of the lab"), "{said}");
}
