//! What `lab.toml` may say, and what is said of what it may not.

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("lab.toml")).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_is_the_built_in_lab() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.web.name, "www.foobar.com");
    assert_eq!(config.zones(ServiceName::Dns, Network::Loopback).len(), 2);
}

#[test]
fn the_shipped_file_changes_nothing() {
    assert_eq!(parse(include_str!("../../../lab.toml")).unwrap(), Config::default());
}

#[test]
fn zones_and_who_may_have_them_follow_the_network_unless_they_are_set() {
    let config = parse("").unwrap();
    for (network, folder) in [(Network::Loopback, "zones/loopback/"), (Network::Hosts, "zones/hosts/")] {
        for server in [ServiceName::Root, ServiceName::Tld, ServiceName::Dns] {
            let zones = config.zones(server, network);
            assert!(!zones.is_empty());
            for file in zones.values() {
                assert!(file.starts_with(folder) && file.is_file(), "{}", file.display());
            }
        }
        assert_eq!(config.zones(ServiceName::Dns2, network), config.zones(ServiceName::Dns, network));
        assert!(config.zones(ServiceName::Web, network).is_empty());
    }
    assert_eq!(config.transfer_to(Network::Loopback), ["127.0.0.0/8"]);
    assert!(!config.transfer_to(Network::Hosts).contains(&"127.0.0.0/8".to_owned()));
    let set = parse("[tld]\nzones = { \"org\" = \"org.zone\" }\n[dns]\ntransfer_to = []").unwrap();
    for network in Network::ALL {
        assert_eq!(set.zones(ServiceName::Tld, network)["org"], Path::new("org.zone"));
        assert!(set.transfer_to(network).is_empty());
    }
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let error = parse("[web]\nname = \"a.b\"\nap_timeout = \"5s\"").unwrap_err();
    assert_eq!(error, "lab.toml:3:1: unknown key `ap_timeout`: did you mean `app_timeout`?");
    let error = parse("[lab]\nrestart = \"on-failur\"").unwrap_err();
    assert_eq!(error, "lab.toml:2:11: unknown value `on-failur`: did you mean `on-failure`?");
    let error = parse("[wbe]").unwrap_err();
    assert!(error.ends_with("unknown key `wbe`: did you mean `web`?"), "{error}");
    let error = parse("[db]\ncolour = 1").unwrap_err();
    assert_eq!(error, "lab.toml:2:1: unknown key `colour`; known here: engine, url_file");
}

#[test]
fn values_have_bounds_and_the_message_names_them() {
    for (text, expected) in [
        ("[ports]\ndns = 70000", "not 70000"),
        ("[journal]\notlp = \"127.0.0.1:4318\"", "lab.toml:2:8: otlp is the address of a collector's"),
        ("[network]\nclassroom = 201", "classroom is a number from 0 to 200, not 201"),
        ("[ports]\ndns = \"any\"", "\"auto\", 0 (any free one) or a number from 1 to 65535, not \"any\""),
        ("[resolver]\ncache_entries = 0", "cache_entries is a number from 1 to 1000000, not 0"),
        ("[dns]\nrate_limit = 100001", "rate_limit is a number from 0 to 100000, not 100001"),
        ("[web]\napp_timeout = \"1h\"", "from \"100ms\" to \"5min\", not \"1h\""),
        ("[web]\napp_timeout = 5", "in quotes"),
        ("[web]\napp_connect_timeout = \"1ms\"", "from \"10ms\" to \"1min\", not \"1ms\""),
        ("[web]\napp_idle_timeout = \"2h\"", "from \"100ms\" to \"1h\""),
        ("[web]\napp_check = \"0s\"", "from \"100ms\" to \"5min\""),
        ("[web]\nbalance = \"random\"", "known here: round-robin, least-connections, hash"),
        ("[web]\nupstreams = [\"localhost:1\"]", "not \"localhost:1\""),
        ("[web]\nupstreams = [\"127.0.0.1:1,weight=101\"]", "from 1 to 100"),
        ("[web]\nupstreams = [\"127.0.0.1:1\", \"127.0.0.1:1,weight=2\"]", "stands there twice"),
        ("[web]\nmax_body = 2000000000", "max_body is a number from 0 to 1073741824, not 2000000000"),
        ("[[web.sites]]\nname = \"a b\"\nsite = \"x\"", "is not a host name"),
        ("[[web.sites]]\nname = \"a\"", "missing field `site`"),
        ("[web]\nname = \"www.foobar.com.\"", "without a final dot"),
        ("[web]\ncontent_security_policy = \"a\\nb\"", "lab.toml:2:27: content_security_policy is one line"),
        ("[web]\ncontent_security_policy = \"default-src 'self', x\"", "without commas"),
        ("[web]\ncontent_security_policy = \"defualt-src 'self'\"", "did you mean `default-src`?"),
        ("dns = 5300", "lab.toml:1:7: this is a section"),
        ("[dns]\nzones = { \"foobar.com\" = 5 }", "a file's name in quotes"),
        ("[dns]\nzones = {}", "at least one zone"),
        ("[dns]\nzones = { \"foo..bar\" = \"x\" }", "\"foo..bar\" is not the name of a zone"),
        ("[dns]\nzones = { \"a=b\" = \"x\" }", "is not the name of a zone"),
        ("[dns]\ntransfer_to = [\"localhost\"]", "an address, a prefix (127.0.0.0/8)"),
        ("[dns]\ntransfer_to = [\"127.0.0.0/33\"]", "not \"127.0.0.0/33\""),
        ("[dns]\ntransfer_to = [\"\"]", "an entry of transfer_to is"),
        ("[dns]\nnotify = [\"127.0.0.1\"]", "an address and a port"),
        ("[dns]\nkeys = [1, 2]", "a file's name in quotes"),
        ("[dns]\nsecondary = \"yes\"", "expected a boolean"),
        ("[web]\ntls = \"onyl\"", "unknown value `onyl`: did you mean `only`?"),
        ("[web]\ncertificate = \"bad\"", "unknown value `bad`"),
        ("[web]\nhsts = \"3years\"", "hsts is a duration from"),
        ("[app]\ncommand = \"\"", "command has 1 to 64 words, not 0"),
        ("[app]\ncommand = \"sh -c 'x\"", "without its end"),
        ("[app]\ncommand = [\"a\"]", "a line in quotes"),
        ("[app]\ncommand = \"a\"\nfastcgi = \"b\"", "either command or fastcgi"),
        ("[app]\nstart_timeout = \"6min\"", "start_timeout is a duration from"),
        ("[app]\ncount = 5", "count is a number from 1 to 4, not 5"),
        ("[app]\ncount = 2\n[web]\nupstreams = [\"127.0.0.1:3001\"]", "leave out one of them"),
        ("web = [", "lab.toml:1:"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let written =
        "[dns]\ntransfer_to = [\"key k\", \"::1\", \"10.0.0.0/8 key k\"]\nnotify = [\"[::1]:53 key k\"]";
    assert_eq!(parse(written).unwrap().dns.transfer_to.unwrap().len(), 3);
    let command = parse("[app]\ncommand = \"sh -c 'exec $0 -x' a\\\\ b\"").unwrap().app.command.unwrap();
    assert_eq!(command, ["sh", "-c", "exec $0 -x", "a b"], "as a shell splits it, and no more of a shell");
    assert_eq!(parse("[ports]\ndns = 0\nhttp = 8080").unwrap().ports.dns, Port::Free);
    for policy in ["", "default-src 'self'; Sandbox;", "img-src https: data:;upgrade-insecure-requests"] {
        let config = parse(&format!("[web]\ncontent_security_policy = {policy:?}")).unwrap();
        assert_eq!(config.web.content_security_policy.as_deref(), Some(policy));
    }
}
