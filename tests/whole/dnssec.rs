//! The lab's zones signed: taken for right by BIND's and NLnet Labs' tools, believed by the resolver, refused where they are wrong.

use std::fs;

use serde_json::Value;

use super::stage::{Said, Stage, until};

/// Every kind of answer that the shipped zones have, and what a validator says of it.
const ANSWERS: [(&str, &str, &str); 14] = [
    ("www.foobar.com", "NOERROR", "; fully validated"),
    ("blog.foobar.com", "NOERROR", "; fully validated"),
    ("shop.foobar.com", "NOERROR", "; fully validated"),
    ("anything.wild.foobar.com", "NOERROR", "; fully validated"),
    ("a.b.wild.foobar.com", "NOERROR", "; fully validated"),
    ("x.old.foobar.com", "NOERROR", "; fully validated"),
    ("old.foobar.com", "NOERROR", "; negative response, fully validated"),
    ("real.wild.foobar.com", "NOERROR", "; negative response, fully validated"),
    ("office.foobar.com", "NOERROR", "; negative response, fully validated"),
    ("nosuch.foobar.com", "NXDOMAIN", "; negative response, fully validated"),
    ("a.b.nosuch.foobar.com", "NXDOMAIN", "; negative response, fully validated"),
    ("x.real.wild.foobar.com", "NXDOMAIN", "; negative response, fully validated"),
    ("nosuch.com", "NXDOMAIN", "; negative response, fully validated"),
    ("nosuch", "NXDOMAIN", "; negative response, fully validated"),
];

/// Its zones, and their origins as tools are told them.
const ZONES: [&str; 4] = [".", "com", "foobar.com", "127.in-addr.arpa"];

fn signed(settings: &str) -> Stage {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("[dnssec]", &format!("[dnssec]\nsign = true\n{settings}#")));
    stage.wwwlab(["up", "-d"]).ok();
    stage
}

fn delv(stage: &Stage, name: &str) -> String {
    let port = stage.port("dns").to_string();
    let anchor = stage.state().join("dnssec/anchor.conf");
    let anchor = anchor.to_str().unwrap();
    let Said { out, err, .. } = stage.run("delv", ["-a", anchor, "@127.0.0.2", "-p", &port, name]);
    out + &err
}

/// Whether the flags of an answer have `flag`.
fn has_flag(answer: &str, flag: &str) -> bool {
    let flags = answer.split(";; flags:").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
    flags.split_whitespace().any(|word| word == flag)
}

fn each_is_believed(stage: &Stage) {
    for (name, status, validated) in ANSWERS {
        let answer = stage.dig("127.0.0.2", &format!("+dnssec {name}"));
        assert!(answer.contains(&format!("status: {status},")) && has_flag(&answer, "ad"), "{answer}");
        let said = delv(stage, name);
        assert!(said.contains(validated), "{name}: {said}");
    }
}

fn each_zone_is_verified(stage: &Stage) {
    for origin in ZONES {
        let file = stage.root().join("shown.zone");
        fs::write(&file, stage.wwwlab(["zone", "show", origin]).ok()).unwrap();
        let file = file.to_str().unwrap();
        let verified = stage.run("ldns-verify-zone", [file]).ok();
        assert!(verified.contains("Zone is verified and complete"), "{origin}: {verified}");
        // `-z`: one key may sign all.
        stage.run("dnssec-verify", ["-q", "-z", "-o", origin, file]).ok();
        stage.run("named-checkzone", ["-q", "-i", "local", origin, file]).ok();
    }
}

#[test]
fn rfc4035_signed_zones_are_verified_and_believed_by_ecdsa_and_nsec() {
    let stage = signed("");
    each_zone_is_verified(&stage);
    each_is_believed(&stage);
    // The anchor is unbound's, too: it is one record.
    let anchor = fs::read_to_string(stage.state().join("dnssec/anchor.key")).unwrap();
    let key = stage.dig("127.0.0.3", "+norec +short . DNSKEY");
    assert_eq!(anchor.replace(' ', ""), format!(".INDNSKEY{}", key.replace(' ', "")));
    // The chain, link by link.
    for (server, zone) in
        [("127.0.0.3", "com"), ("127.0.0.4", "foobar.com"), ("127.0.0.3", "127.in-addr.arpa")]
    {
        let ds = stage.dig(server, &format!("+norec +short {zone} DS"));
        let cds = stage.dig("127.0.0.2", &format!("+short {zone} CDS"));
        assert!(!ds.is_empty() && ds == cds, "{zone}: {ds} {cds}");
    }
}

#[test]
fn rfc5155_signed_zones_are_verified_and_believed_by_ed25519_and_nsec3() {
    let stage = signed("algorithm = \"ed25519\"\ndenial = \"nsec3\"\n");
    each_zone_is_verified(&stage);
    each_is_believed(&stage);
    assert_eq!(stage.dig("127.0.0.1", "+norec +short foobar.com NSEC3PARAM"), "1 0 0 -\n");
}

/// RFC 8914 §4.8, §4.10, §4.11: why is told, and whoever wants to look himself (CD) is given what there is.
#[test]
fn rfc8914_what_is_wrong_with_a_signed_zone_is_refused_with_the_reason() {
    let stage = signed("");
    for (wrong, reason) in [
        ("expired", "EDE: 7 (Signature Expired)"),
        ("wrong-ds", "EDE: 9 (DNSKEY Missing)"),
        ("missing-rrsig", "EDE: 10 (RRSIGs Missing)"),
    ] {
        stage.wwwlab(["zone", "break", "foobar.com", wrong]).ok();
        let answer = stage.dig("127.0.0.2", "www.foobar.com");
        assert!(answer.contains("status: SERVFAIL") && answer.contains(reason), "{wrong}: {answer}");
        assert_eq!(stage.dig("127.0.0.2", "+cd +short www.foobar.com"), "127.0.0.1\n");
        assert!(!delv(&stage, "www.foobar.com").contains("fully validated"));
        let zones: Value = serde_json::from_str(&stage.wwwlab(["zone", "list", "--json"]).ok()).unwrap();
        let told =
            zones.as_array().unwrap().iter().find(|zone| zone["zone"]["origin"] == "foobar.com.").unwrap();
        assert_eq!(told["zone"]["signed"]["wrong"], wrong);
        // What is above it is as it was.
        assert!(has_flag(&stage.dig("127.0.0.2", "+dnssec com SOA"), "ad"));
        stage.wwwlab(["zone", "mend", "foobar.com"]).ok();
        assert!(has_flag(&stage.dig("127.0.0.2", "+dnssec www.foobar.com"), "ad"), "{wrong} is mended");
    }
}

#[test]
fn a_lab_is_signed_and_unsigned_while_it_is_up_and_an_edit_is_signed_as_well() {
    let stage = Stage::up();
    let plain = stage.dig("127.0.0.2", "+dnssec www.foobar.com");
    assert!(!has_flag(&plain, "ad") && !plain.contains("RRSIG"), "{plain}");
    let told = stage.wwwlab(["zone", "sign"]).ok();
    assert!(told.starts_with("signed: . 127.in-addr.arpa. com. foobar.com.\n"), "{told}");
    let answer = stage.dig("127.0.0.2", "+dnssec www.foobar.com");
    assert!(has_flag(&answer, "ad") && answer.contains("RRSIG"), "{answer}");
    // Whoever does not ask for signatures is not given any; AD is told to who asks for it (RFC 6840 §5.7).
    let without = stage.dig("127.0.0.2", "+noadflag www.foobar.com");
    assert!(!has_flag(&without, "ad") && !without.contains("RRSIG"), "{without}");
    assert!(has_flag(&stage.dig("127.0.0.2", "+adflag www.foobar.com"), "ad"));

    let serial = |stage: &Stage| -> u32 {
        let soa = stage.dig("127.0.0.1", "+norec +short foobar.com SOA");
        soa.split(' ').nth(2).unwrap().parse().unwrap()
    };
    let before = serial(&stage);
    let file = "zones/loopback/foobar.com.zone";
    stage.edit(file, |text| text + "\nnew A 127.0.0.1\n");
    until("the edit is signed", || stage.dig("127.0.0.1", "+norec +dnssec new.foobar.com").contains("RRSIG"));
    assert!(serial(&stage) > before, "a secondary takes it, although the file's serial was not raised");
    assert!(delv(&stage, "new.foobar.com").contains("; fully validated"));
    assert!(
        !fs::read_to_string(stage.root().join(file)).unwrap().contains("RRSIG"),
        "the file is the student's"
    );

    // A restart finds the same keys.
    let key = stage.dig("127.0.0.1", "+norec +short foobar.com DNSKEY");
    stage.wwwlab(["restart", "dns"]).ok();
    assert_eq!(stage.dig("127.0.0.1", "+norec +short foobar.com DNSKEY"), key);

    assert!(
        stage
            .wwwlab(["zone", "unsign", "foobar.com"])
            .ok()
            .starts_with("still signed: . 127.in-addr.arpa. com.\n")
    );
    let insecure = stage.dig("127.0.0.2", "+dnssec www.foobar.com");
    assert!(
        insecure.contains("NOERROR") && !has_flag(&insecure, "ad"),
        "its parent says that it need not be signed: {insecure}"
    );
    stage.wwwlab(["zone", "unsign"]).ok();
    assert!(!has_flag(&stage.dig("127.0.0.2", "+dnssec com SOA"), "ad"));
    assert!(!stage.state().join("dnssec/anchor.conf").exists());
}

/// A copy of the zone is signed, since it is a copy; and one of a zone that is signed no more is not kept.
#[test]
fn a_second_name_server_has_the_signatures_too() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# secondary = false", "secondary = true"));
    stage.wwwlab(["up", "-d"]).ok();
    let both = |question: &str| {
        ["127.0.0.1", "127.0.0.5"]
            .map(|server| stage.dig(server, &format!("+norec +dnssec +short {question}")))
    };
    let are_alike = || {
        let [one, other] = both("foobar.com SOA");
        !one.is_empty() && one == other
    };
    until("it has its copy", are_alike);
    stage.wwwlab(["zone", "sign"]).ok();
    until("it has the signatures", || are_alike() && both("foobar.com SOA")[1].contains("SOA 13 2 "));
    stage.wwwlab(["zone", "unsign"]).ok();
    let is_plain = || are_alike() && !both("foobar.com SOA")[1].contains("SOA 13 2 ");
    until("it has the plain zone", is_plain);

    // The same where it is down meanwhile, and where another run signed.
    let copies = || fs::read_dir(stage.state().join("zones")).into_iter().flatten().count();
    stage.wwwlab(["zone", "sign"]).ok();
    until("it has the signatures again", || are_alike() && both("foobar.com SOA")[1].contains("SOA 13 2 "));
    stage.wwwlab(["stop", "dns2"]).ok();
    assert!(copies() > 0);
    stage.wwwlab(["zone", "unsign"]).ok();
    assert_eq!(copies(), 0);
    stage.wwwlab(["start", "dns2"]).ok();
    until("it has the plain zone again", is_plain);
    stage.wwwlab(["zone", "sign"]).ok();
    until("it has the signatures once more", || {
        are_alike() && both("foobar.com SOA")[1].contains("SOA 13 2 ")
    });
    stage.wwwlab(["down"]).ok();
    stage.wwwlab(["up", "-d"]).ok();
    until("it has the plain zone after that", is_plain);
}

/// The DNSKEY of a zone, one a line, as its own server gives them.
fn keys(stage: &Stage, server: &str, zone: &str) -> Vec<String> {
    stage.dig(server, &format!("+norec +short {zone} DNSKEY")).lines().map(str::to_owned).collect()
}

/// RFC 6781 §4.1.3, RFC 7583 §3.3.3: the resolver is told nothing of it (but of the root's), and asked all the while, also for
/// what it has not heard yet.
#[test]
fn rfc7583_a_key_is_replaced_and_whoever_validates_never_fails_on_the_way() {
    let stage = Stage::new();
    for (file, ttl) in [("root", "1d"), ("com", "1d"), ("foobar.com", "300")] {
        let file = format!("zones/loopback/{file}.zone");
        stage.edit(&file, |text| text.replace(&format!("$TTL {ttl}\n"), "$TTL 3\n"));
    }
    stage.edit("lab.toml", |text| text.replace("[dnssec]", "[dnssec]\nsign = true\n#"));
    stage.wwwlab(["up", "-d"]).ok();
    let mut count = 0;
    let mut each_is_believed = |stage: &Stage| {
        count += 1;
        for name in
            ["www.foobar.com".to_owned(), format!("new{count}.wild.foobar.com"), format!("no{count}.com")]
        {
            let answer = stage.dig("127.0.0.2", &format!("+dnssec {name}"));
            assert!(has_flag(&answer, "ad"), "{answer}");
        }
    };
    for (zone, server, file) in [
        ("foobar.com", "127.0.0.1", "foobar.com.key"),
        ("com", "127.0.0.4", "com.key"),
        (".", "127.0.0.3", "root.key"),
    ] {
        each_is_believed(&stage);
        let file = stage.state().join("dnssec").join(file);
        let (former, secret) = (keys(&stage, server, zone), fs::read_to_string(&file).unwrap());
        assert_eq!(former.len(), 1);
        let told = stage.wwwlab(["zone", "roll", zone]).ok();
        assert!(told.contains("both sign"), "{told}");
        each_is_believed(&stage);
        assert!(delv(&stage, "www.foobar.com").contains("; fully validated"), "{zone} has two keys");
        until("the former key is gone", || {
            each_is_believed(&stage);
            let now = keys(&stage, server, zone);
            now.len() == 1 && now != former
        });
        each_is_believed(&stage);
        assert!(delv(&stage, "www.foobar.com").contains("; fully validated"), "{zone} has another key");
        until("its file, too", || fs::read_to_string(&file).unwrap() != secret);
    }
    each_zone_is_verified(&stage);
    let left = fs::read_dir(stage.state().join("dnssec")).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains("next")), "{left:?}");
}

/// The TTLs of the shipped zones are the real ones: com's DS are remembered for a day.
#[test]
fn who_takes_a_key_away_too_early_is_refused_by_who_remembers_only_that() {
    let stage = signed("");
    let early = stage.wwwlab(["zone", "roll", "foobar.com", "--now"]).refused(1);
    assert!(early.contains("`wwwlab zone roll foobar.com.` begins that"), "{early}");
    assert!(has_flag(&stage.dig("127.0.0.2", "+dnssec www.foobar.com"), "ad"));
    stage.wwwlab(["zone", "roll", "foobar.com"]).ok();
    assert_eq!(keys(&stage, "127.0.0.1", "foobar.com").len(), 2);
    let lines = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let ds = lines(stage.dig("127.0.0.4", "+norec +short foobar.com DS"));
    assert_eq!((ds.len(), &ds), (2, &lines(stage.dig("127.0.0.1", "+norec +short foobar.com CDS"))));
    each_zone_is_verified(&stage);
    let again = stage.wwwlab(["zone", "roll", "foobar.com"]).refused(1);
    assert!(again.contains("being replaced already"), "{again}");
    let listed = || -> Value {
        let zones: Value = serde_json::from_str(&stage.wwwlab(["zone", "list", "--json"]).ok()).unwrap();
        let is_it = |zone: &&Value| zone["zone"]["origin"] == "foobar.com.";
        zones.as_array().unwrap().iter().find(is_it).unwrap()["zone"]["signed"].clone()
    };
    let (rolling, now) = (listed(), std::time::SystemTime::now());
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let until = rolling["rolling"]["until"].as_u64().unwrap();
    assert!(until > now + 80_000 && until <= now + 86_402, "a day: {rolling}");
    assert!(stage.wwwlab(["zone", "list"]).ok().contains("which signs alone from 2"));
    // A restart in the middle changes nothing.
    let both = keys(&stage, "127.0.0.1", "foobar.com");
    stage.wwwlab(["restart", "dns"]).ok();
    assert_eq!(keys(&stage, "127.0.0.1", "foobar.com"), both);

    let told = stage.wwwlab(["zone", "roll", "foobar.com", "--now"]).ok();
    assert!(told.contains("signs alone") && told.contains("wwwlab cache flush"), "{told}");
    let after = listed();
    assert_eq!((&after["tag"], &after["rolling"]), (&rolling["rolling"]["tag"], &Value::Null));
    let refused = stage.dig("127.0.0.2", "+dnssec blog.foobar.com");
    assert!(refused.contains("status: SERVFAIL"), "it knows only the former key: {refused}");
    stage.wwwlab(["cache", "flush"]).ok();
    each_is_believed(&stage);

    stage.wwwlab(["stop", "tld"]).ok();
    let unseen = stage.wwwlab(["zone", "roll", "foobar.com"]).refused(1);
    assert!(unseen.contains("`wwwlab start tld`"), "{unseen}");
}

/// On machines of their own, every tool works as its manual says: no ports, and whoever walks himself finds the way.
#[test]
fn rfc4035_the_chain_is_seen_and_validated_where_each_host_is_a_machine() {
    let stage = Stage::new();
    stage.wwwlab(["up", "-d", "--network", "hosts"]).ok();
    stage.wwwlab(["zone", "sign"]).ok();
    let shell = |line: &str| {
        let mut all = vec!["shell", "--"];
        all.extend(line.split_whitespace());
        stage.wwwlab(all).ok()
    };
    let way = shell("dig +trace +dnssec www.foobar.com");
    for link in ["com.", "foobar.com."] {
        let of = |kind: &str| {
            let is_it = |line: &&str| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.len() > 4 && words[0] == link && words[3..].join(" ").starts_with(kind)
            };
            way.lines().filter(is_it).count()
        };
        assert_eq!((of("DS "), of("RRSIG DS 13 ")), (1, 1), "{link}: {way}");
    }
    assert!(way.lines().any(|line| line.starts_with(".") && line.contains("RRSIG\tNS 13 0 ")), "{way}");
    assert!(
        way.lines().any(|line| line.starts_with("www.foobar.com.") && line.contains("RRSIG\tA 13 3 ")),
        "{way}"
    );
    let anchor = stage.root().join(".wwwlab/hosts/dnssec/anchor.conf");
    let said = shell(&format!("delv -a {} www.foobar.com", anchor.display()));
    assert!(said.contains("; fully validated") && said.contains("8.8.8.8"), "{said}");
    assert!(has_flag(&shell("dig +dnssec www.foobar.com"), "ad"));
}

/// Its parent vouches for the lab's key: with another, nobody who validates would believe a word of it.
#[test]
fn rfc4035_a_file_that_brings_keys_replaces_nothing_where_its_zone_is_to_be_signed() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("[dnssec]", "[dnssec]\nsign = true\n#"));
    let zone = "zones/loopback/foobar.com.zone";
    let plain = fs::read_to_string(stage.root().join(zone)).unwrap();
    let key = format!("{plain}\n{OWN_KEY}\n");
    stage.edit(zone, |_| key.clone());
    let why = "its file brings keys or signatures of its own: take them out of the file";
    let warnings = || stage.wwwlab(["status"]).ok();
    let up = stage.wwwlab(["up", "-d"]).ok();
    assert!(up.contains("zone foobar.com. is refused, nothing answers for it: ") && up.contains(why), "{up}");
    assert!(warnings().contains(why) && stage.wwwlab(["zone", "list"]).ok().contains(why));
    assert!(stage.dig("127.0.0.1", "+norec foobar.com SOA").contains("SERVFAIL"));
    assert!(has_flag(&stage.dig("127.0.0.2", "+dnssec com SOA"), "ad"), "the others are signed");

    // As its file is, without anybody's vouching.
    stage.wwwlab(["zone", "unsign", "foobar.com"]).ok();
    let insecure = stage.dig("127.0.0.2", "+dnssec www.foobar.com");
    assert!(insecure.contains("NOERROR") && !has_flag(&insecure, "ad"), "{insecure}");
    until("nothing is amiss any more", || !warnings().contains(why));

    // Without the key it is signed; with it again, what was signed stays.
    stage.edit(zone, |_| plain.clone());
    until("it has no key", || keys(&stage, "127.0.0.1", "foobar.com").is_empty());
    stage.wwwlab(["zone", "sign", "foobar.com"]).ok();
    assert!(delv(&stage, "www.foobar.com").contains("; fully validated"));
    let own = keys(&stage, "127.0.0.1", "foobar.com");
    stage.edit(zone, |_| key);
    until("it is refused", || {
        warnings().contains("zone foobar.com. is refused, an older version is in service: ")
    });
    assert!(warnings().contains(why) && stage.wwwlab(["zone", "list"]).ok().contains(why));
    stage.wwwlab(["cache", "flush"]).ok();
    assert!(delv(&stage, "www.foobar.com").contains("; fully validated"));
    assert_eq!(keys(&stage, "127.0.0.1", "foobar.com"), own);
    stage.edit(zone, |_| plain + "\nnew A 127.0.0.1\n");
    until("it is taken", || stage.dig("127.0.0.1", "+norec new.foobar.com").contains("NOERROR"));
    assert!(delv(&stage, "new.foobar.com").contains("; fully validated"));
    assert!(!warnings().contains(why));
}

/// A key that is not the lab's.
const OWN_KEY: &str = "@ DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";

#[test]
fn what_cannot_be_signed_or_broken_is_refused_with_the_remedy() {
    let stage = Stage::up();
    let unsigned = stage.wwwlab(["zone", "break", "foobar.com", "expired"]).refused(1);
    assert!(
        unsigned.contains("foobar.com. is not signed") && unsigned.contains("wwwlab zone sign"),
        "{unsigned}"
    );
    let unknown = stage.wwwlab(["zone", "sign", "fobar.com"]).refused(1);
    assert!(unknown.contains("there are ., 127.in-addr.arpa., com., foobar.com."), "{unknown}");
    stage.wwwlab(["pause", "tld"]).ok();
    let paused = stage.wwwlab(["zone", "sign"]).refused(1);
    assert!(paused.contains("wwwlab resume tld"), "{paused}");
    stage.wwwlab(["resume", "tld"]).ok();
    // The DS of a zone that its server cannot sign is not published.
    for server in ["tld", "dns"] {
        stage.wwwlab(["stop", server]).ok();
        let down = stage.wwwlab(["zone", "sign"]).refused(1);
        assert!(down.contains(&format!("{server} is down")), "{down}");
        assert!(down.contains(&format!("`wwwlab start {server}`, then again")), "{down}");
        assert!(!stage.dig("127.0.0.2", "+dnssec www.foobar.com").contains("RRSIG"), "{server}");
        stage.wwwlab(["start", server]).ok();
    }
    // Nor is that of a zone whose file brings its own key: nobody would believe what is in it.
    let file = stage.root().join("zones/loopback/foobar.com.zone");
    let plain = fs::read_to_string(&file).unwrap();
    stage.edit("zones/loopback/foobar.com.zone", |text| format!("{text}\n{OWN_KEY}\n"));
    until("it has a key", || keys(&stage, "127.0.0.1", "foobar.com").len() == 1);
    let own = stage.wwwlab(["zone", "sign"]).refused(1);
    assert!(own.contains("foobar.com. cannot be signed") && own.contains("out of the file"), "{own}");
    stage.wwwlab(["zone", "sign", ".", "com"]).ok();
    assert!(stage.dig("127.0.0.2", "+dnssec www.foobar.com A").contains("NOERROR"));
    stage.edit("zones/loopback/foobar.com.zone", |_| plain);
    until("it has none", || keys(&stage, "127.0.0.1", "foobar.com").is_empty());

    stage.wwwlab(["zone", "sign"]).ok();
    // Who is down meanwhile starts so.
    stage.wwwlab(["stop", "tld"]).ok();
    stage.wwwlab(["zone", "break", "foobar.com", "wrong-ds"]).ok();
    stage.wwwlab(["start", "tld"]).ok();
    assert!(stage.dig("127.0.0.2", "www.foobar.com").contains("SERVFAIL"));
    stage.wwwlab(["zone", "mend"]).ok();
    assert!(delv(&stage, "www.foobar.com").contains("; fully validated"));
}
