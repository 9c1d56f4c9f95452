//! Zones that travel: the real dig has one whole, and a second name server follows the first.

use super::stage::{PROGRAM, Stage, until};

/// The answer of the second name server for `name`.
fn at_second(stage: &Stage, name: &str) -> String {
    stage.dig("127.0.0.5", &format!("{name} +short"))
}

/// A lab whose settings in `[dns]` begin with `settings`, up.
fn with(settings: &str) -> Stage {
    let stage = Stage::new();
    let key = "key partner { algorithm hmac-sha256; secret \"YSBzZWNyZXQgb2YgYSBwYXJ0bmVy\"; };\n";
    std::fs::write(stage.root().join("partner.key"), key).unwrap();
    stage.edit("lab.toml", |text| text.replacen("[dns] ", &format!("[dns]\n{settings}\n# "), 1));
    stage.wwwlab(["up", "-d"]).ok();
    stage
}

fn add_host(stage: &Stage, serial: u32) {
    stage.edit("zones/loopback/foobar.com.zone", |text| {
        let before = format!("{}       ; serial", serial - 1);
        assert!(text.contains(&before), "{text}");
        text.replacen(&before, &format!("{serial}       ; serial"), 1) + "host2 A 127.0.0.2\n"
    });
}

#[test]
fn a_fresh_lab_gives_foobar_com_to_dig_and_nothing_else_to_anybody() {
    let stage = Stage::up();
    let whole = stage.dig("127.0.0.1", "foobar.com AXFR");
    assert!(whole.contains("XFR size: 25 records (messages 1"), "{whole}");
    assert!(stage.dig("127.0.0.4", "com AXFR").contains("Transfer failed"));
    assert!(stage.dig("127.0.0.1", "foobar.com IXFR=1 +notcp +noall +answer").contains("SOA"));
    until("the transfer is told", || stage.log("dns").contains("zone foobar.com. sent to 127.0.0.1"));
    let update = stage.dig("127.0.0.1", "+opcode=UPDATE foobar.com SOA");
    assert!(update.contains("REFUSED") && update.contains("wwwlab zone use"), "{update}");
    assert!(update.contains("foobar.com.zone"), "{update}");
    assert!(stage.dig("127.0.0.1", "+opcode=NOTIFY foobar.com SOA").contains("NOTAUTH"));
    let said = stage.wwwlab(["start", "dns2"]).refused(1);
    assert!(said.contains("secondary = true"), "{said}");
}

#[test]
fn nobody_has_a_zone_that_is_for_nobody() {
    let stage = with("transfer_to = []");
    stage.dig("127.0.0.1", "foobar.com IXFR=0 +notcp");
    until("it is refused", || stage.log("dns").contains("foobar.com. IXFR (udp) → REFUSED"));
    assert!(stage.dig("127.0.0.1", "foobar.com AXFR").contains("Transfer failed"));
}

#[test]
fn a_second_name_server_follows_and_stays_when_the_first_is_gone() {
    let stage = with("secondary = true");
    until("dns2 has the zone", || at_second(&stage, "www.foobar.com") == "127.0.0.1\n");
    add_host(&stage, 2);
    until("dns2 has the edit", || at_second(&stage, "host2.foobar.com") == "127.0.0.2\n");
    let list = stage.wwwlab(["zone", "list"]).ok();
    let of = |server: &str| {
        let mut rows = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.find(|row| row[..2] == ["foobar.com.", server]).unwrap_or_else(|| panic!("{list}"))[2].to_owned()
    };
    assert_eq!((of("dns"), of("dns2")), ("2".to_owned(), "2".to_owned()));
    assert_eq!(stage.service("dns2")["state"], "running");
    until("dns tells dns2", || stage.log("dns").contains("tells 127.0.0.5"));
    // Only its primary may tell it that something changed.
    assert!(stage.dig("127.0.0.5", "+opcode=NOTIFY foobar.com SOA -b 127.0.0.9").contains("REFUSED"));
    stage.wwwlab(["stop", "dns"]).ok();
    stage.wwwlab(["restart", "dns2"]).ok();
    assert_eq!(at_second(&stage, "host2.foobar.com"), "127.0.0.2\n");
}

#[test]
fn a_stale_secondary_keeps_its_copy_until_the_fault_is_over() {
    let stage = with("secondary = true");
    let serial = |address: &str| stage.dig(address, "foobar.com SOA +short");
    until("it has its copy", || serial("127.0.0.5") == serial("127.0.0.1"));
    let before = serial("127.0.0.5");
    stage.wwwlab(["fault", "add", "stale-secondary"]).ok();
    add_host(&stage, 2);
    until("the first has the new zone", || serial("127.0.0.1") != before);
    // Its word came: the second asks for nothing all the same, as often as it is looked at.
    for _ in 0..20 {
        assert_eq!(serial("127.0.0.5"), before);
    }
    assert_eq!(at_second(&stage, "host2.foobar.com"), "");
    stage.wwwlab(["fault", "clear"]).ok();
    until("the second follows again", || at_second(&stage, "host2.foobar.com") == "127.0.0.2\n");
    assert_eq!(serial("127.0.0.5"), serial("127.0.0.1"));
}

/// What the shipped zones say to do: the delegation and the zone name both servers.
fn with_two_servers() -> Stage {
    let stage = with("secondary = true");
    for (file, server) in [("com", "tld"), ("foobar.com", "dns2")] {
        stage.edit(&format!("zones/loopback/{file}.zone"), |text| {
            let lines = text.lines().map(|line| match line.strip_prefix(';') {
                Some(rest) if rest.contains("ns2") && rest.contains("   ") => rest,
                _ => line,
            });
            lines.collect::<Vec<_>>().join("\n").replacen("1       ; serial", "2       ; serial", 1) + "\n"
        });
        until("the servers have both names", || {
            let address = stage.service(server)["address"].as_str().unwrap().to_owned();
            let address = address.split(':').next().unwrap();
            stage.dig(address, "foobar.com NS +norec +noall +answer +authority").contains("ns2.foobar.com.")
        });
    }
    stage
}

#[test]
fn the_shipped_zones_can_name_both_servers() {
    let stage = with_two_servers();
    stage.wwwlab(["stop", "dns"]).ok();
    assert_eq!(at_second(&stage, "ns2.foobar.com"), "127.0.0.5\n");
}

#[test]
fn the_resolver_comes_to_the_second_server() {
    let stage = with_two_servers();
    for (trouble, remedy) in [("stop", "start"), ("pause", "resume")] {
        stage.wwwlab([trouble, "dns"]).ok();
        stage.wwwlab(["cache", "flush"]).ok();
        let walk = |name: &str| -> serde_json::Value {
            serde_json::from_str(&stage.wwwlab(["resolve", "--json", name]).ok()).unwrap()
        };
        let last =
            |walk: &serde_json::Value| walk["steps"].as_array().unwrap().last().unwrap()["server"].clone();
        let walks = ["www", "mail", "blog"].map(|name| walk(&format!("{name}.foobar.com")));
        for walk in &walks {
            assert_eq!(walk["outcome"], "NOERROR", "{walk}");
            assert!(last(walk).as_str().unwrap().starts_with("127.0.0.5:"), "{walk}");
            assert!(walk["micros"].as_u64().unwrap() < 3_000_000, "{walk}");
        }
        // Whichever was asked first at first, by then it is known who answers.
        assert!(walks[2]["micros"].as_u64().unwrap() < 500_000, "{}", walks[2]);
        stage.wwwlab([remedy, "dns"]).ok();
    }
}

#[test]
fn two_name_servers_share_a_key() {
    let stage = Stage::new();
    let key =
        "key \"k.foobar.com\" { algorithm hmac-sha512; secret \"YSBzZWNyZXQgb2YgdGhpcyBsZW5ndGg=\"; };\n";
    std::fs::write(stage.root().join("k.key"), key).unwrap();
    stage.edit("lab.toml", |text| {
        let settings =
            "[dns]\nsecondary = true\nkeys = [\"k.key\"]\ntransfer_to = [\"key k.foobar.com\"]\n# ";
        text.replacen("[dns] ", settings, 1)
    });
    stage.wwwlab(["up", "-d"]).ok();
    until("dns2 has the zone", || at_second(&stage, "www.foobar.com") == "127.0.0.1\n");
    until("a signed transfer is told", || stage.log("dns").contains("signed with k.foobar.com."));
    assert!(stage.dig("127.0.0.1", "foobar.com AXFR").contains("Transfer failed"));
    assert!(stage.dig("127.0.0.1", "-k k.key foobar.com AXFR").contains("XFR size"));
}

/// A required cookie proves addresses; the two servers, which know none, talk over TCP.
#[test]
fn a_second_name_server_follows_where_cookies_are_required() {
    let stage = with("secondary = true\ncookies = \"require\"");
    until("dns2 has the zone", || at_second(&stage, "www.foobar.com +tcp") == "127.0.0.1\n");
    add_host(&stage, 2);
    until("dns2 has the edit", || at_second(&stage, "host2.foobar.com +tcp") == "127.0.0.2\n");
}

/// The second server may have the zones, whoever else may, and takes nobody else's key.
#[test]
fn a_second_name_server_has_what_is_for_somebody_else_only() {
    let stage =
        with("secondary = true\ntransfer_to = [\"192.0.2.0/24 key partner\"]\nkeys = [\"partner.key\"]");
    until("dns2 has the zone", || at_second(&stage, "www.foobar.com") == "127.0.0.1\n");
    assert!(stage.dig("127.0.0.1", "foobar.com AXFR").contains("Transfer failed"));
    let update = stage.dig("127.0.0.5", "+opcode=UPDATE foobar.com SOA");
    assert!(update.contains("REFUSED") && update.contains("their primary, 127.0.0.1:"), "{update}");
}

#[test]
fn a_key_that_is_not_there_is_told_at_the_start() {
    let stage = Stage::new();
    let folder = stage.root();
    let zone = format!("foobar.com={}", folder.join("zones/loopback/foobar.com.zone").display());
    let serve = ["serve", "dns", "--listen", "127.0.0.1:0", "--zone", &zone];
    let said = stage.run(PROGRAM, serve.iter().chain(&["--transfer-to", "key k"])).refused(1);
    assert!(said.contains("no key is called k."), "{said}");
    let said = stage.run(PROGRAM, serve.iter().chain(&["--keys", "none.key"])).refused(1);
    assert!(said.contains("cannot read the key file none.key"), "{said}");
}
