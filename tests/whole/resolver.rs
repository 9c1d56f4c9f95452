//! The resolver: walks from the root, remembers, recovers, and never leaves the lab.

use serde_json::Value;

use super::stage::{PATIENCE, Stage, until};

#[test]
fn it_walks_from_the_root_to_the_answer() {
    let stage = Stage::up();
    let answer = stage.dig("127.0.0.2", "www.foobar.com");
    assert!(answer.contains(";; flags: qr rd ra;"), "recursion offered, no authority: {answer}");
    assert!(answer.contains("A\t127.0.0.1"), "{answer}");
    for step in [
        "asks 127.0.0.3 com. NS → referral to com.",
        "asks 127.0.0.4 foobar.com. NS → referral to foobar.com.",
        "asks 127.0.0.1 www.foobar.com. A → NOERROR, 1 answer",
    ] {
        until(step, || stage.wwwlab(["logs", "resolver"]).ok().contains(step));
    }
    let second = stage.dig("127.0.0.2", "www.foobar.com");
    assert!(second.contains("A\t127.0.0.1"), "{second}");
}

#[test]
fn it_never_asks_anything_outside_the_lab() {
    let stage = Stage::new();
    // A delegation that leads out of the lab, to an address that is documentation's (RFC 5737).
    stage.edit("zones/loopback/foobar.com.zone", |zone| {
        format!("{zone}\noutside IN NS ns.outside.foobar.com.\nns.outside IN A 192.0.2.1\n")
    });
    stage.wwwlab(["up", "-d"]).ok();
    let answer = stage.dig("127.0.0.2", "www.outside.foobar.com +timeout=5");
    assert!(answer.contains("status: SERVFAIL"), "{answer}");
    until("the refusal is told", || stage.log("resolver").contains("refuses to ask 192.0.2.1"));
    // A name that no zone of the lab has ends at the lab's root.
    let answer = stage.dig("127.0.0.2", "www.example.org");
    assert!(answer.contains("status: NXDOMAIN"), "{answer}");
}

#[test]
fn it_recovers_when_a_name_server_is_back() {
    let stage = Stage::up();
    for server in ["dns", "tld", "root"] {
        stage.wwwlab(["stop", server]).ok();
        stage.wwwlab(["cache", "flush"]).ok();
        let answer = stage.dig("127.0.0.2", "www.foobar.com +timeout=5");
        assert!(answer.contains("status: SERVFAIL"), "without {server}: {answer}");
        stage.wwwlab(["start", server]).ok();
        // A failure is remembered for a second.
        until(&format!("it answers with {server} again"), || {
            stage.dig("127.0.0.2", "www.foobar.com +timeout=5").contains("status: NOERROR")
        });
    }
}

#[test]
fn a_remembered_name_goes_on_answering_while_its_server_is_down() {
    let stage = Stage::up();
    stage.dig("127.0.0.2", "www.foobar.com");
    stage.wwwlab(["kill", "dns"]).ok();
    let answer = stage.dig("127.0.0.2", "www.foobar.com");
    assert!(answer.contains("A\t127.0.0.1"), "{answer}");
}

#[test]
fn a_paused_name_server_is_given_up_in_time_for_dig_to_hear_it() {
    let stage = Stage::up();
    stage.wwwlab(["pause", "dns"]).ok();
    let answer = stage.dig("127.0.0.2", "www.foobar.com +timeout=5");
    assert!(answer.contains("status: SERVFAIL"), "{answer}");
}

#[test]
fn it_answers_over_tcp_and_to_those_who_do_not_want_recursion() {
    let stage = Stage::up();
    let cold = stage.dig("127.0.0.2", "www.foobar.com +norec");
    assert!(cold.contains("status: REFUSED"), "nothing is remembered yet: {cold}");
    let answer = stage.dig("127.0.0.2", "www.foobar.com +tcp");
    assert!(answer.contains("A\t127.0.0.1") && answer.contains("(TCP)"), "{answer}");
    let warm = stage.dig("127.0.0.2", "www.foobar.com +norec");
    assert!(warm.contains("A\t127.0.0.1"), "{warm}");
}

#[test]
fn resolve_tells_the_way() {
    let stage = Stage::up();
    let walk = |arguments: &[&str]| -> Value {
        let line = ["resolve", "--json"].iter().chain(arguments);
        serde_json::from_str(&stage.wwwlab(line).out).unwrap()
    };
    let servers = |walk: &Value| -> Vec<String> {
        let steps = walk["steps"].as_array().unwrap().iter();
        steps.map(|step| step["server"].as_str().unwrap().split(':').next().unwrap().to_owned()).collect()
    };
    let first = walk(&["www.foobar.com"]);
    assert_eq!(servers(&first), ["127.0.0.3", "127.0.0.4", "127.0.0.1", "127.0.0.1"], "{first}");
    assert_eq!((&first["cached"], &first["outcome"]), (&false.into(), &"NOERROR".into()));
    let second = walk(&["www.foobar.com"]);
    assert_eq!((&second["cached"], servers(&second).len()), (&true.into(), 0), "{second}");
    // What is known of com. and foobar.com. is not asked again, unless everything starts afresh.
    let other = walk(&["blog.foobar.com"]);
    assert!(servers(&other).iter().all(|server| server == "127.0.0.1"), "{other}");
    let afresh = walk(&["--fresh", "www.foobar.com"]);
    assert_eq!(servers(&afresh)[..2], ["127.0.0.3", "127.0.0.4"], "{afresh}");
    let shown = stage.wwwlab(["resolve", "--fresh", "www.foobar.com"]).ok();
    for word in ["root 127.0.0.3", "referral to com.", "tld 127.0.0.4", "dns 127.0.0.1", "NOERROR, 1 answer"]
    {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert_eq!(walk(&["nosuch-name.foobar.com"])["outcome"], "NXDOMAIN");
    assert!(stage.wwwlab(["resolve", "www.foobar.com", "NONSENSE"]).refused(1).contains("no record type"));
}

#[test]
fn a_failure_says_why_in_the_answer() {
    let stage = Stage::up();
    stage.wwwlab(["pause", "dns"]).ok();
    let answer = stage.dig("127.0.0.2", "www.foobar.com +timeout=5");
    assert!(
        answer.contains("status: SERVFAIL") && answer.contains("EDE: 22 (No Reachable Authority)"),
        "{answer}"
    );
    let said = stage.wwwlab(["resolve", "www.foobar.com"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("SERVFAIL: no name server answered"), "{said:?}");
}

#[test]
fn equal_questions_are_asked_once() {
    let stage = Stage::up();
    // The delegations are known; only the name itself is to be asked for, and its server stands still.
    stage.dig("127.0.0.2", "mail.foobar.com");
    // On a busy machine the resolver may lose its patience before the server goes on: then with another name.
    let in_time = (1..=10).map(|number| format!("try{number}.wild.foobar.com")).find(|name| {
        let answers = asked_while_its_server_stands_still(&stage, name);
        assert!(answers.iter().all(|answer| answer.is_empty() || answer == "127.0.0.1\n"), "{answers:?}");
        answers.iter().all(|answer| !answer.is_empty())
    });
    let name = in_time.expect("one of ten tries is in time");
    let asks = format!("asks {name}. A ");
    let asked = || stage.log("dns").lines().filter(|line| line.contains(&asks)).count();
    until("the question is logged", || asked() > 0);
    assert!(asked() < 8, "eight askers, {} questions:\n{}", asked(), stage.log("dns"));
}

/// What eight are answered who ask for `name` while its server stands still, until a question waits there.
fn asked_while_its_server_stands_still(stage: &Stage, name: &str) -> Vec<String> {
    stage.wwwlab(["pause", "dns"]).ok();
    let port = stage.port("dns").to_string();
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let mut dig = stage.command("dig");
            dig.args(["@127.0.0.2", "-p", &port, "+tries=1", "+timeout=5", "+short", name]);
            dig.stdout(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let queue = |address: &str| {
        let table = std::fs::read_to_string("/proc/net/udp").unwrap();
        let line = table.lines().find(|line| line.contains(address)).unwrap().to_owned();
        line.split_whitespace().nth(4).unwrap().rsplit_once(':').unwrap().1 != "00000000"
    };
    let socket = format!("0100007F:{:04X}", stage.port("dns"));
    until("a question waits at the paused server", || queue(&socket));
    stage.wwwlab(["resume", "dns"]).ok();
    let answers = asking.into_iter().map(|dig| dig.wait_with_output().unwrap().stdout);
    answers.map(|answer| String::from_utf8(answer).unwrap()).collect()
}

#[test]
fn stale_answers_are_a_switch() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# serve_stale = false", "serve_stale = true"));
    stage.edit("zones/loopback/foobar.com.zone", |zone| format!("{zone}\nbrief 1 IN A 127.0.0.9\n"));
    stage.wwwlab(["up", "-d"]).ok();
    assert_eq!(stage.dig("127.0.0.2", "brief.foobar.com +short"), "127.0.0.9\n");
    stage.wwwlab(["kill", "dns"]).ok();
    until("its time is over", || !stage.wwwlab(["cache"]).ok().contains("brief"));
    let answer = stage.dig("127.0.0.2", "brief.foobar.com +timeout=5");
    assert!(answer.contains("127.0.0.9") && answer.contains("EDE: 3 (Stale Answer)"), "{answer}");
}

#[test]
fn an_alias_that_leads_nowhere_is_told_with_its_answer() {
    let stage = Stage::new();
    stage.edit("zones/loopback/foobar.com.zone", |zone| {
        format!("{zone}\ndangling IN CNAME nosuch-name\nmailless IN CNAME www\n")
    });
    stage.wwwlab(["up", "-d"]).ok();
    for server in ["127.0.0.1", "127.0.0.2"] {
        let answer = stage.dig(server, "dangling.foobar.com");
        assert!(
            answer.contains("status: NXDOMAIN") && answer.contains("ANSWER: 1, AUTHORITY: 1"),
            "{answer}"
        );
        assert!(answer.contains("CNAME\tnosuch-name.foobar.com."), "{answer}");
        let answer = stage.dig(server, "mailless.foobar.com MX");
        assert!(answer.contains("status: NOERROR") && answer.contains("ANSWER: 1, AUTHORITY: 1"), "{answer}");
    }
}

#[test]
fn a_name_has_as_many_labels_as_that_of_an_address_of_ipv6() {
    let stage = Stage::new();
    // With foobar.com 34 labels, as 32 digits and ip6.arpa have; none of those between has anything.
    let digits = "1.2.3.4.5.6.7.8.9.a.b.c.d.e.f.0.1.2.3.4.5.6.7.8.9.a.b.c.d.e.f.0";
    stage.edit("zones/loopback/foobar.com.zone", |zone| format!("{zone}\n{digits} TXT found\n"));
    stage.wwwlab(["up", "-d"]).ok();
    let answer = stage.dig("127.0.0.2", &format!("{digits}.foobar.com TXT +short"));
    assert_eq!(answer, "\"found\"\n");
}

#[test]
fn an_answer_that_is_too_long_for_udp_is_cut_as_a_whole() {
    let stage = Stage::new();
    let texts: String = (0..8).map(|n| format!("long IN TXT \"{n} {}\"\n", "x".repeat(240))).collect();
    stage.edit("zones/loopback/foobar.com.zone", |zone| format!("{zone}\n{texts}"));
    stage.wwwlab(["up", "-d"]).ok();
    for options in ["+noedns", "+bufsize=1232"] {
        let cut = stage.dig("127.0.0.2", &format!("long.foobar.com TXT +ignore {options}"));
        assert!(cut.contains(";; flags: qr tc rd ra; QUERY: 1, ANSWER: 0"), "{cut}");
        assert!(!cut.contains("extra bytes") && !cut.contains("malformed"), "{cut}");
    }
    assert!(stage.dig("127.0.0.2", "long.foobar.com TXT").contains("ANSWER: 8"), "dig asks again over TCP");
    assert!(stage.dig("127.0.0.2", "www.foobar.com +dnssec").contains("flags: do;"));
}

#[test]
fn an_answer_in_use_is_renewed_before_it_ends() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# prefetch = false", "prefetch = true"));
    stage.edit("zones/loopback/foobar.com.zone", |zone| format!("{zone}\nbrief 4 IN A 127.0.0.9\n"));
    stage.wwwlab(["up", "-d"]).ok();
    let asked = || stage.log("dns").lines().filter(|line| line.contains("asks brief.foobar.com. A ")).count();
    stage.dig("127.0.0.2", "brief.foobar.com");
    until("the first question is told", || asked() == 1);
    // Asked again and again, it is renewed in the last tenth of its time, without anybody having waited.
    until("it is asked for again", || {
        stage.dig("127.0.0.2", "brief.foobar.com");
        asked() >= 2
    });
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    let stage = Stage::up();
    stage.wwwlab(["pause", "tld"]).ok();
    let said = stage.wwwlab(["resolve", "www.foobar.com"]);
    assert!(said.out.contains("tld 127.0.0.4") && said.out.contains("no answer in time"), "{said:?}");
    let slow = std::thread::scope(|scope| {
        let slow = scope.spawn(|| stage.wwwlab(["resolve", "--fresh", "www.foobar.com"]));
        // One order that takes its time holds up no other.
        stage.wwwlab(["cache"]).ok();
        slow.join().unwrap()
    });
    assert_eq!(slow.code, 1, "{slow:?}");
    assert!(stage.wwwlab(["resolve", "www.foobar.com", "TYPE65280"]).out.contains("TYPE65280"));
}

/// RFC 7766 §7: on one connection, what must be asked for does not hold up what is known.
#[test]
fn a_slow_name_does_not_hold_up_a_remembered_one() {
    let stage = Stage::up();
    stage.dig("127.0.0.2", "www.foobar.com");
    stage.wwwlab(["pause", "dns"]).ok();
    let address = (std::net::Ipv4Addr::new(127, 0, 0, 2), stage.port("dns"));
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for (id, label) in [(1, &b"\x04slow"[..]), (2, b"\x03www")] {
        let head = [0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let question = [&head[..], label, b"\x06foobar\x03com\0\0\x01\0\x01"].concat();
        let length = u16::try_from(question.len()).unwrap().to_be_bytes();
        std::io::Write::write_all(&mut stream, &[&length[..], &question].concat()).unwrap();
    }
    let mut answered = || {
        let mut length = [0; 2];
        std::io::Read::read_exact(&mut stream, &mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
        (answer[1], answer[3] & 0x0F)
    };
    assert_eq!(answered(), (2, 0), "the remembered one first");
    assert_eq!(answered(), (1, 2), "SERVFAIL for what could not be asked");
}

#[test]
fn busy_connections_are_bounded() {
    let stage = Stage::up();
    stage.wwwlab(["pause", "root"]).ok();
    let address = (std::net::Ipv4Addr::new(127, 0, 0, 2), stage.port("dns"));
    let question = b"\0\x20\0\x07\x01\0\0\x01\0\0\0\0\0\0\x04busy\x04test\0\0\x01\0\x01";
    let _busy: Vec<_> = (0..600)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            // A connection that is turned away may be gone already.
            let _ = std::io::Write::write_all(&mut stream, question);
            stream
        })
        .collect();
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", stage.pid("resolver"))).unwrap().count();
    assert!(descriptors < 350, "{descriptors}");
}

#[test]
fn idle_connections_do_not_keep_others_out() {
    let stage = Stage::up();
    let address = (std::net::Ipv4Addr::new(127, 0, 0, 2), stage.port("dns"));
    let _idle: Vec<_> = (0..400).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let answer = stage.dig("127.0.0.2", "www.foobar.com +tcp");
    assert!(answer.contains("A\t127.0.0.1"), "{answer}");
}

/// What `dig` heard from the resolver.
fn asked(stage: &Stage, name: &str) -> String {
    stage.dig("127.0.0.2", &format!("{name} +timeout=5"))
}

#[test]
fn a_server_whose_port_refuses_is_known_to_be_gone() {
    let stage = Stage::up();
    stage.wwwlab(["stop", "dns"]).ok();
    let said: Value =
        serde_json::from_str(&stage.wwwlab(["resolve", "--json", "www.foobar.com"]).out).unwrap();
    assert_eq!(said["why"], "no name server answered: nobody listens at 127.0.0.1", "{said}");
    // Nobody was waited for.
    let outcome = |step: &Value| step["outcome"].as_str().unwrap().to_owned();
    let outcomes: Vec<_> = said["steps"].as_array().unwrap().iter().map(outcome).collect();
    assert!(outcomes.iter().any(|outcome| outcome == "nobody listens"), "{said}");
    assert!(!outcomes.iter().any(|outcome| outcome.contains("no answer")), "{said}");
    let answer = asked(&stage, "mail.foobar.com");
    assert!(answer.contains("EDE: 22 (No Reachable Authority)"), "{answer}");
    assert!(answer.contains("nobody listens at 127.0.0.1"), "{answer}");
    stage.wwwlab(["start", "dns"]).ok();
    stage.wwwlab(["pause", "dns"]).ok();
    // So early that dig still hears it.
    let answer = asked(&stage, "blog.foobar.com");
    assert!(answer.contains("127.0.0.1 is silent"), "{answer}");
}

#[test]
fn a_delegation_to_a_server_that_does_not_serve_it_is_named() {
    let stage = Stage::up();
    let hears = |question: &str, about: &str| {
        let answer = asked(&stage, question);
        assert!(answer.contains("status: SERVFAIL") && answer.contains("EDE: 22 "), "{answer}");
        let words = format!("127.0.0.1 does not serve {about} (referral to dept.foobar.com. again)");
        assert!(answer.contains(&words), "{words}: {answer}");
    };
    hears("pc7.dept.foobar.com", "pc7.dept.foobar.com.");
    // With what the first walk learned, and without.
    hears("pc8.dept.foobar.com", "pc8.dept.foobar.com.");
    hears("dept.foobar.com NS", "dept.foobar.com.");
    stage.wwwlab(["cache", "flush"]).ok();
    hears("dept.foobar.com NS", "dept.foobar.com.");
}

#[test]
fn what_is_remembered_is_shown_as_a_zone_file_writes_it() {
    let stage = Stage::up();
    stage.dig("127.0.0.2", "www.old.foobar.com");
    for shown in [stage.wwwlab(["cache"]).ok(), stage.wwwlab(["resolve", "old.foobar.com", "DNAME"]).ok()] {
        assert!(shown.contains("DNAME wild.foobar.com."), "{shown}");
    }
}
