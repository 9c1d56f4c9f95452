//! The name servers, asked by the real dig. RFC 1034 §4.3.2 and what later RFCs made of it.

use super::stage::Stage;

/// The header flags that dig shows, e.g. `qr aa rd`.
fn flags(answer: &str) -> &str {
    answer.split_once(";; flags: ").and_then(|(_, rest)| rest.split_once(';')).map_or("", |(flags, _)| flags)
}

#[test]
fn the_server_of_foobar_com_answers_with_authority() {
    let stage = Stage::up();
    let answer = stage.dig("127.0.0.1", "www.foobar.com");
    assert!(answer.contains("status: NOERROR"), "{answer}");
    assert_eq!(flags(&answer), "qr aa rd");
    assert!(answer.contains("www.foobar.com.\t\t300\tIN\tA\t127.0.0.1"), "{answer}");
}

#[test]
fn root_and_tld_only_delegate_with_glue_and_without_authority() {
    let stage = Stage::up();
    for (server, zone, name_server, address) in [
        ("127.0.0.3", "com.", "a.gtld-servers.test.", "127.0.0.4"),
        ("127.0.0.4", "foobar.com.", "ns1.foobar.com.", "127.0.0.1"),
    ] {
        let answer = stage.dig(server, "www.foobar.com +norec +noall +comments +authority +additional");
        assert_eq!(flags(&answer), "qr", "{answer}");
        assert!(answer.contains("ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 2"), "{answer}");
        let lines: Vec<Vec<&str>> = answer.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(
            lines.iter().any(|line| line.first() == Some(&zone) && line.ends_with(&["NS", name_server])),
            "{answer}"
        );
        assert!(
            lines.iter().any(|line| line.first() == Some(&name_server) && line.ends_with(&["A", address])),
            "{answer}"
        );
    }
}

#[test]
fn what_is_not_there_is_denied_with_the_soa() {
    let stage = Stage::up();
    let no_name = stage.dig("127.0.0.1", "nosuch-name.foobar.com");
    assert!(no_name.contains("status: NXDOMAIN") && no_name.contains("SOA"), "{no_name}");
    assert_eq!(flags(&no_name), "qr aa rd");
    let no_type = stage.dig("127.0.0.1", "www.foobar.com MX");
    assert!(no_type.contains("status: NOERROR") && no_type.contains("ANSWER: 0, AUTHORITY: 1"), "{no_type}");
    assert!(no_type.contains("SOA"), "{no_type}");
}

#[test]
fn rfc7873_dig_is_content_with_its_cookie() {
    let stage = Stage::up();
    for server in ["127.0.0.1", "127.0.0.3", "127.0.0.4"] {
        let answer = stage.dig(server, "www.foobar.com +cookie");
        let cookie = answer.lines().find_map(|line| line.strip_prefix("; COOKIE: ")).unwrap_or_default();
        let Some(octets) = cookie.strip_suffix(" (good)") else { panic!("{answer}") };
        // Eight octets of dig's, sixteen of ours, of which the first is the version (RFC 9018 §4).
        assert!(octets.len() == 48 && &octets[16..24] == "01000000", "{octets}");
        let again = stage.dig(server, &format!("www.foobar.com +cookie={octets}"));
        assert!(again.contains(&format!("; COOKIE: {octets} (good)")), "it is known again: {again}");
        assert!(!stage.dig(server, "www.foobar.com +nocookie").contains("COOKIE"));
    }
    let only = stage.dig("127.0.0.1", "+header-only +cookie");
    assert!(
        only.contains("status: NOERROR") && only.contains("QUERY: 0") && only.contains("(good)"),
        "{only}"
    );
}

#[test]
fn rfc7873_a_server_may_insist_on_cookies() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# cookies = \"answer\" ", "cookies = \"require\" "));
    stage.wwwlab(["up", "-d"]).ok();
    let refused = stage.dig("127.0.0.1", "www.foobar.com +nobadcookie");
    assert!(refused.contains("status: BADCOOKIE") && refused.contains("(good)"), "{refused}");
    // dig asks again with the cookie that it was given; who has none asks over TCP; so does the resolver.
    assert!(stage.dig("127.0.0.1", "www.foobar.com").contains("A\t127.0.0.1"));
    assert_eq!(flags(&stage.dig("127.0.0.1", "www.foobar.com +nocookie +ignore")), "qr tc rd");
    assert!(stage.dig("127.0.0.1", "www.foobar.com +nocookie").contains("A\t127.0.0.1"));
    assert!(stage.dig("127.0.0.2", "www.foobar.com").contains("A\t127.0.0.1"));
}

#[test]
fn aliases_and_wildcards_lead_on() {
    let stage = Stage::up();
    let alias = stage.dig("127.0.0.1", "blog.foobar.com +noall +answer");
    let records: Vec<Vec<&str>> =
        alias.lines().map(|line| line.split_whitespace().skip(3).collect()).collect();
    assert_eq!(records, [vec!["CNAME", "www.foobar.com."], vec!["A", "127.0.0.1"]], "{alias}");
    let wildcard = stage.dig("127.0.0.1", "anything.wild.foobar.com +noall +comments +answer");
    assert!(wildcard.contains("anything.wild.foobar.com.") && flags(&wildcard).contains("aa"), "{wildcard}");
}

#[test]
fn what_is_of_nobody_here_is_refused() {
    let stage = Stage::up();
    let answer = stage.dig("127.0.0.1", "www.example.org");
    assert!(answer.contains("status: REFUSED"), "{answer}");
    assert_eq!(flags(&answer), "qr rd");
}

#[test]
fn udp_truncates_and_tcp_has_it_all() {
    let stage = Stage::new();
    let texts: String = (0..40).map(|n| format!("long IN TXT \"{n:02} {}\"\n", "x".repeat(60))).collect();
    let some: String =
        texts.replace("long", "some").lines().take(10).map(|line| format!("{line}\n")).collect();
    stage.edit("zones/loopback/foobar.com.zone", |zone| format!("{zone}\n{texts}{some}"));
    stage.wwwlab(["up", "-d"]).ok();
    let cut = stage.dig("127.0.0.1", "long.foobar.com TXT +ignore");
    assert!(flags(&cut).contains("tc"), "{cut}");
    let whole = stage.dig("127.0.0.1", "long.foobar.com TXT +tcp");
    assert!(!flags(&whole).contains("tc") && whole.contains("ANSWER: 40"), "{whole}");
    // dig asks again over TCP by itself.
    assert!(stage.dig("127.0.0.1", "long.foobar.com TXT").contains("ANSWER: 40"));
    // Without EDNS, 512 bytes are the limit (RFC 1035 §4.2.1); with it, what the asker can take, up to 1232.
    let size = |answer: &str| -> usize {
        answer.split_once("MSG SIZE  rcvd: ").unwrap().1.split_whitespace().next().unwrap().parse().unwrap()
    };
    let cut = stage.dig("127.0.0.1", "some.foobar.com TXT +ignore +noedns");
    assert!(flags(&cut).contains("tc") && size(&cut) <= 512, "{cut}");
    let whole = stage.dig("127.0.0.1", "some.foobar.com TXT +ignore +bufsize=1232");
    assert!(!flags(&whole).contains("tc") && size(&whole) > 512, "{whole}");
    let capped = stage.dig("127.0.0.1", "long.foobar.com TXT +ignore +bufsize=4096");
    assert!(flags(&capped).contains("tc") && size(&capped) <= 1232, "{capped}");
}

#[test]
fn edns_is_spoken_in_version_0() {
    let stage = Stage::up();
    for server in ["127.0.0.1", "127.0.0.2"] {
        let answer = stage.dig(server, "www.foobar.com +edns=1 +noednsneg");
        assert!(answer.contains("status: BADVERS"), "{answer}");
        let answer = stage.dig(server, "www.foobar.com +noedns");
        assert!(!answer.contains("OPT PSEUDOSECTION") && answer.contains("status: NOERROR"), "{answer}");
    }
}

#[test]
fn the_reverse_zone_names_the_server() {
    let stage = Stage::up();
    let answer = stage.dig("127.0.0.1", "-x 127.0.0.1 +short");
    assert!(answer.trim_end().ends_with("foobar.com."), "{answer}");
    assert_eq!(stage.dig("127.0.0.2", "-x 127.0.0.1 +short"), answer, "the resolver finds it from the root");
}

#[test]
fn www_is_an_a_record_and_one_command_makes_it_a_cname() {
    let stage = Stage::up();
    let kind = || {
        let answer = stage.dig("127.0.0.1", "www.foobar.com +noall +answer");
        answer.split_whitespace().nth(3).unwrap_or_default().to_owned()
    };
    assert_eq!(kind(), "A");
    let said = stage.wwwlab(["zone", "use", "foobar.com", "cname"]).ok();
    assert!(said.contains("foobar.com.cname.zone") && said.contains("cache flush"), "{said}");
    assert_eq!(kind(), "CNAME");
    let chain = stage.dig("127.0.0.2", "www.foobar.com +short");
    assert!(chain.lines().count() == 2 && chain.ends_with("127.0.0.1\n"), "{chain}");
    stage.wwwlab(["zone", "use", "foobar.com"]).ok();
    assert_eq!(kind(), "A");
    let refused = stage.wwwlab(["zone", "use", "foobar.com", "nonsense"]).refused(1);
    assert!(refused.contains("it has: cname"), "{refused}");
    let refused = stage.wwwlab(["zone", "use", "example.org"]).refused(1);
    assert!(refused.contains("zone list"), "{refused}");
}
