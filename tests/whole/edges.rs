//! Faults on the ways between services: each both ways, with it its symptom on the real dig and curl, and none without it. In
//! network `hosts` on the client, and nothing of them left in the machines' kernels; on `loopback` by who dials or is asked.

use serde_json::{Value, json};

use super::dns_privacy::{self, ask, https, private_on, tls};
use super::hosts::{on, on_hosts, one_at_a_time, place, up};
use super::stage::{Said, Stage, until};

fn fault(stage: &Stage, arguments: &str) -> Said {
    stage.wwwlab(["fault"].into_iter().chain(arguments.split_whitespace()))
}

/// What curl says on the client; it gives up after so many seconds.
fn curl(stage: &Stage, seconds: u32, path: &str) -> String {
    let line = format!("curl -sSi --max-time {seconds} -H Host:www.foobar.com http://8.8.8.8{path}");
    let Said { out, err, code } = on(&place(stage, "client"), &line);
    format!("{out}{err}\nexit {code}")
}

fn dig(stage: &Stage, machine: &str, arguments: &str) -> String {
    on(&place(stage, machine), &format!("dig +tries=1 {arguments}")).out
}

/// All that faults could have left in the kernels of the machines.
fn kernels(stage: &Stage) -> Vec<(String, String)> {
    let machines = ["server", "resolver", "root", "tld", "isp", "internet"];
    let of = |machine: &str| {
        let at = place(stage, machine);
        (on(&at, "nft list ruleset").ok(), on(&at, "tc qdisc show").ok())
    };
    machines.into_iter().map(of).collect()
}

/// `probe` shows `symptom` with the fault and at no other time, and `well` without it.
#[track_caller]
fn shows(stage: &Stage, add: &str, probe: impl Fn() -> String, well: &str, symptom: &str) {
    let before = probe();
    assert!(before.contains(well) && !before.contains(symptom), "without {add}: {before}");
    fault(stage, &format!("add {add}")).ok();
    let with = probe();
    assert!(with.contains(symptom) && !with.contains(well), "with {add}: {with}");
    fault(stage, "clear all").ok();
    let after = probe();
    assert!(after.contains(well) && !after.contains(symptom), "after {add}: {after}");
}

const WELL: &str = "HTTP/1.1 200 OK";

#[test]
fn the_way_to_the_web_server_is_broken_and_whole_again() {
    let _turn = one_at_a_time();
    let stage = up();
    until("the page is there", || curl(&stage, 30, "/about.html").contains(WELL));
    let whole = kernels(&stage);
    let silent = || curl(&stage, 3, "/about.html");
    let page = || curl(&stage, 30, "/about.html");
    shows(&stage, "cut client-web", silent, WELL, "exit 28");
    shows(&stage, "half-open --on client-web", silent, WELL, "exit 28");
    shows(&stage, "refuse client-web", page, WELL, "exit 7");
    shows(&stage, "reset client-web", page, WELL, "Connection reset by peer");
    shows(&stage, "loss client-web --share 99", silent, WELL, "exit 28");
    // Names go on meanwhile: it is one way that is broken, not a machine.
    fault(&stage, "add cut client-web").ok();
    assert!(dig(&stage, "client", "@8.8.8.8 +timeout=30 www.foobar.com").contains("status: NOERROR"));
    assert!(on(&place(&stage, "client"), "ping -n -c1 -W30 8.8.8.8").ok().contains("bytes from"));
    // Another one beside it leaves it as it is, and is told apart.
    fault(&stage, "add refuse client-resolver").ok();
    assert!(silent().contains("exit 28"));
    let laid: Vec<Value> = serde_json::from_str(&fault(&stage, "list --json").ok()).unwrap();
    assert_eq!((&laid[0]["edge"], &laid[1]["edge"]), (&json!("client-web"), &json!("client-resolver")));
    assert!(stage.wwwlab(["status"]).ok().contains("is laid: cut on client-web: `wwwlab fault clear"));
    let why = fault(&stage, "add cut client-web").refused(1);
    assert!(why.contains("is laid on client-web already (cut): `wwwlab fault clear"), "{why}");
    fault(&stage, "clear").ok();
    assert!(page().contains(WELL));
    assert_eq!(kernels(&stage), whole, "nothing is left of any of them");
}

#[test]
fn an_answer_has_no_more_bits_a_second_than_its_way() {
    let _turn = one_at_a_time();
    let stage = up();
    let page = || curl(&stage, 30, "/guestbook");
    until("the page is there", || page().contains(WELL));
    let whole = kernels(&stage);
    // The first kilobytes are let through at once; the rest of a page of 40,000 bytes takes more than 20 s at this rate.
    std::fs::write(stage.root().join("site/long.txt"), "0123456789".repeat(4_000)).unwrap();
    let long = || curl(&stage, 8, "/long.txt");
    until("the file is there", || long().contains("exit 0"));
    fault(&stage, "add bandwidth client-web --rate 8kbit").ok();
    let said = long();
    assert!(said.contains("exit 28"), "{said}");
    let queue = on(&place(&stage, "server"), "tc class show dev eth0").ok();
    assert!(queue.contains("rate 8Kbit"), "{queue}");
    assert!(dig(&stage, "client", "@8.8.8.8 +timeout=30 www.foobar.com").contains("status: NOERROR"));
    fault(&stage, "clear").ok();
    assert!(long().contains("exit 0"));
    assert_eq!(kernels(&stage), whole);
}

/// Packets are held back where the kernel can do that (netem); elsewhere it is said what it lacks, and nothing is left of it.
#[test]
fn an_answer_is_late_or_it_is_said_why_it_cannot_be() {
    let _turn = one_at_a_time();
    let stage = up();
    let asks = || dig(&stage, "root", "@192.5.6.30 +timeout=30 com SOA");
    let late = || on(&place(&stage, "isp"), "dig +tries=1 +timeout=30 @192.0.2.53 www.foobar.com").out;
    until("the lab answers", || asks().contains("status: NOERROR"));
    let whole = kernels(&stage);
    // The machine itself is asked whether its kernel can.
    let root = place(&stage, "root");
    let can = on(&root, "tc qdisc add dev lo root netem delay 1ms").code == 0;
    if can {
        on(&root, "tc qdisc del dev lo root").ok();
    }
    let said = fault(&stage, "add latency client-resolver --delay 1500ms --jitter 10ms");
    if can {
        said.ok();
        let said = late();
        assert!(milliseconds(&said) >= 1_400, "{said}");
        fault(&stage, "clear").ok();
    } else {
        let why = said.refused(1);
        assert!(why.contains("this kernel has no netem") && why.contains("modprobe sch_netem"), "{why}");
        assert_eq!(fault(&stage, "list --json").ok().trim(), "[]", "what was refused is not laid");
    }
    assert!(late().contains("status: NOERROR"));
    assert_eq!(kernels(&stage), whole);
    // Where who dials is a service of the lab, it waits by itself if no kernel can hold packets back.
    let said = fault(&stage, "add latency resolver-root --delay 400ms").ok();
    assert_eq!(said.contains("; done by resolver itself: no kernel is told"), !can, "{said}");
    stage.wwwlab(["cache", "flush"]).ok();
    let said = late();
    assert!(milliseconds(&said) >= 300 && said.contains("status: NOERROR"), "{said}");
    fault(&stage, "clear").ok();
    assert_eq!(kernels(&stage), whole);
}

#[test]
fn the_ways_of_the_resolver_are_broken_and_whole_again() {
    let _turn = one_at_a_time();
    let stage = up();
    let whole = kernels(&stage);
    let ask = || {
        stage.wwwlab(["cache", "flush"]).ok();
        dig(&stage, "client", "@192.0.2.53 +timeout=30 www.foobar.com")
    };
    until("the name is found", || ask().contains("status: NOERROR"));
    for edge in ["resolver-root", "resolver-tld", "resolver-dns"] {
        for fault in ["cut", "refuse"] {
            shows(&stage, &format!("{fault} {edge}"), ask, "status: NOERROR", "status: SERVFAIL");
        }
    }
    let quickly = || dig(&stage, "client", "@192.0.2.53 +timeout=8 www.foobar.com");
    shows(&stage, "cut client-resolver", quickly, "status: NOERROR", "timed out");
    shows(&stage, "half-open client-resolver", quickly, "status: NOERROR", "timed out");
    let ask = || dig(&stage, "client", "@192.0.2.53 +timeout=30 www.foobar.com");
    shows(&stage, "refuse client-resolver", ask, "status: NOERROR", "connection refused");
    let tcp = || dig(&stage, "client", "@192.0.2.53 +tcp +timeout=30 www.foobar.com");
    shows(&stage, "reset client-resolver", tcp, "status: NOERROR", "connection reset");
    assert_eq!(kernels(&stage), whole);
}

#[test]
fn the_ways_inside_the_server_are_broken_and_whole_again() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    stage.wwwlab(["up", "-d", "--db", "mysql"]).ok();
    let page = || curl(&stage, 60, "/guestbook");
    until("the page is there", || page().contains(WELL));
    let whole = kernels(&stage);
    // What is open goes on; who comes anew is refused.
    for (edge, asks, symptom) in
        [("web-app", "web", "502 Bad Gateway"), ("app-db", "app", "503 Service Unavailable")]
    {
        fault(&stage, &format!("add refuse {edge}")).ok();
        stage.wwwlab(["restart", asks]).ok();
        let said = page();
        assert!(said.contains(symptom), "{edge}: {said}");
        fault(&stage, "clear").ok();
        until("the page is there again", || page().contains(WELL));
    }
    for fault in ["cut", "half-open", "reset"] {
        shows(&stage, &format!("{fault} web-app"), page, WELL, "HTTP/1.1 50");
        shows(&stage, &format!("{fault} app-db"), page, WELL, "503 Service Unavailable");
    }
    assert_eq!(kernels(&stage), whole);
}

/// Whoever has IPv6 finds no better way by it.
#[test]
fn a_wrong_address_is_wrong_in_both_families() {
    let _turn = one_at_a_time();
    let stage = up();
    // As the zone's file says to: then www is reached by IPv6.
    stage.edit("zones/hosts/foobar.com.zone", |text| {
        text.replace(";www             AAAA", "www             AAAA").replacen(
            "1       ; serial",
            "2       ; serial",
            1,
        )
    });
    let address = || dig(&stage, "client", "@8.8.8.8 +timeout=30 +short www.foobar.com AAAA");
    until("it has an address of IPv6", || address().contains("2001:4860:4860::8888"));
    let page = || {
        stage.wwwlab(["cache", "flush"]).ok();
        let line = "curl -sSi --max-time 60 http://www.foobar.com/about.html";
        let Said { out, err, code } = on(&place(&stage, "client"), line);
        format!("{out}{err}\nexit {code}")
    };
    until("the page is there", || page().contains(WELL));
    shows(&stage, "wrong-address dns", page, WELL, "exit 7");
    shows(&stage, "wrong-address resolver", page, WELL, "exit 7");
    shows(&stage, "wrong-address dns", address, "2001:4860:4860::8888", "100::99");
}

/// What is at the rim of a service or in its process is the same in this network.
#[test]
fn services_are_broken_here_as_they_are_on_loopback() {
    let _turn = one_at_a_time();
    let stage = up();
    let page = || curl(&stage, 30, "/guestbook");
    until("the page is there", || page().contains(WELL));
    shows(&stage, "http-500", page, WELL, "500 Internal Server Error");
    shows(&stage, "db-locked", page, WELL, "503 Service Unavailable");
    shows(&stage, "db-too-many-connections", page, WELL, "503 Service Unavailable");
    shows(&stage, "stop web", page, WELL, "exit 7");
    shows(&stage, "pause web", || curl(&stage, 8, "/about.html"), WELL, "exit 28");
    let ask = || dig(&stage, "client", "@8.8.8.8 +timeout=30 www.foobar.com");
    shows(&stage, "servfail dns", ask, "status: NOERROR", "status: SERVFAIL");
    shows(
        &stage,
        "no-tcp dns",
        || dig(&stage, "client", "@8.8.8.8 +tcp +timeout=30 www.foobar.com"),
        "status: NOERROR",
        "connection refused",
    );
}

#[test]
fn what_is_a_firewalls_stays_as_it_is() {
    let _turn = one_at_a_time();
    let stage = up();
    let internet = place(&stage, "internet");
    on(&internet, "nft add table inet mine").ok();
    fault(&stage, "add cut client-web").ok();
    let with = on(&internet, "nft list ruleset").ok();
    assert!(with.contains("table inet mine") && with.contains("table inet wwwlab_faults"), "{with}");
    fault(&stage, "clear").ok();
    assert_eq!(on(&internet, "nft list ruleset").ok(), "table inet mine {\n}\n");
    // What was taken away by hand is taken away, and cleared without complaint.
    fault(&stage, "add cut client-web").ok();
    on(&internet, "nft delete table inet wwwlab_faults").ok();
    assert!(fault(&stage, "clear").ok().contains("is cleared: cut on client-web"));
}

/// On `loopback` the resolver breaks the ways on which it asks.
#[test]
fn the_ways_of_the_resolver_are_broken_without_a_kernel() {
    let stage = Stage::up();
    let ask = || {
        stage.wwwlab(["cache", "flush"]).ok();
        stage.dig("127.0.0.2", "+timeout=30 www.foobar.com")
    };
    until("the name is found", || ask().contains("status: NOERROR"));
    for edge in ["resolver-root", "resolver-tld", "resolver-dns"] {
        for fault in ["cut", "refuse", "half-open"] {
            shows(&stage, &format!("{fault} {edge}"), ask, "status: NOERROR", "status: SERVFAIL");
        }
    }
    // What is late is found: it is late, or later than a server is waited for.
    shows(&stage, "latency resolver-tld --delay 5s", ask, "status: NOERROR", "status: SERVFAIL");
    fault(&stage, "add latency resolver-tld --delay 400ms --jitter 50ms").ok();
    let late = ask();
    assert!(late.contains("status: NOERROR") && milliseconds(&late) >= 250, "{late}");
    fault(&stage, "clear").ok();
    // Over TCP: answers in datagrams are cut, so the resolver asks again on a connection.
    fault(&stage, "add truncate dns").ok();
    shows(&stage, "reset resolver-dns", ask, "status: NOERROR", "status: SERVFAIL");
    fault(&stage, "clear all").ok();
    // Nobody else is told of it: the name server itself answers all the time.
    let said = fault(&stage, "add cut resolver-dns").ok();
    assert!(said.contains("; done by resolver itself: no kernel is told"), "{said}");
    assert!(stage.dig("127.0.0.1", "+timeout=30 www.foobar.com").contains("status: NOERROR"));
    let why = fault(&stage, "add cut resolver-dns").refused(1);
    assert!(why.contains("is laid on resolver-dns already (cut): `wwwlab fault clear"), "{why}");
    // Who starts again finds it.
    stage.wwwlab(["restart", "resolver"]).ok();
    assert!(ask().contains("status: SERVFAIL"));
    fault(&stage, "clear").ok();
    assert!(ask().contains("status: NOERROR"));
}

/// How long dig says that the answer took. It counts from when its question is sent, by its own clock, which may be a moment
/// after the question has come: what is asked of this is less than what was laid.
fn milliseconds(said: &str) -> u32 {
    let line = said.lines().find(|line| line.contains("Query time")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// On `loopback` the web server and the application break the ways on which they ask.
#[test]
fn the_ways_behind_the_web_server_are_broken_without_a_kernel() {
    let stage = Stage::new();
    stage.wwwlab(["up", "-d", "--db", "mysql"]).ok();
    let page = || stage.curl("-i http://www.foobar.com/guestbook").out;
    until("the page is there", || page().contains(WELL));
    for fault in ["cut", "half-open", "reset"] {
        shows(&stage, &format!("{fault} web-app"), page, WELL, "HTTP/1.1 50");
        shows(&stage, &format!("{fault} app-db"), page, WELL, "503 Service Unavailable");
    }
    shows(&stage, "latency app-db --delay 30s", page, WELL, "503 Service Unavailable");
    // What is open goes on; who comes anew is refused.
    for (edge, asks, symptom) in
        [("web-app", "web", "502 Bad Gateway"), ("app-db", "app", "503 Service Unavailable")]
    {
        fault(&stage, &format!("add refuse {edge}")).ok();
        stage.wwwlab(["restart", asks]).ok();
        until("it is refused", || page().contains(symptom));
        fault(&stage, "clear").ok();
        until("the page is there again", || page().contains(WELL));
    }
    // Files are no matter of the application's.
    fault(&stage, "add cut web-app").ok();
    assert!(stage.curl("-i http://www.foobar.com/about.html").out.contains(WELL));
    fault(&stage, "clear").ok();
    let took = |path: &str| -> f64 {
        let said =
            stage.curl(&format!("-o /dev/null -w %{{time_starttransfer}} http://www.foobar.com{path}"));
        said.out.trim().parse().unwrap()
    };
    fault(&stage, "add latency web-app --delay 400ms").ok();
    assert!(took("/guestbook") >= 0.4);
    fault(&stage, "clear").ok();
    fault(&stage, "add latency client-web --delay 400ms").ok();
    assert!(took("/about.html") >= 0.4);
    fault(&stage, "clear").ok();
    fault(&stage, "add latency client-resolver --delay 500ms").ok();
    let late = stage.dig("127.0.0.2", "+timeout=30 www.foobar.com");
    assert!(milliseconds(&late) >= 400, "{late}");
}

/// What curl says on `loopback`; it gives up after so many seconds.
fn curl_here(stage: &Stage, seconds: u32, url: &str) -> String {
    let Said { out, err, code } = stage.curl(&format!("-Si --max-time {seconds} {url}"));
    format!("{out}{err}\nexit {code}")
}

/// `hasty` shows `symptom` with the fault, soon after it was laid, and not `well`, which `patient` shows before and, soon, after it.
#[track_caller]
fn breaks(
    stage: &Stage,
    add: &str,
    patient: impl Fn() -> String,
    hasty: impl Fn() -> String,
    well: &str,
    symptom: &str,
) {
    let before = patient();
    assert!(before.contains(well) && !before.contains(symptom), "without {add}: {before}");
    fault(stage, &format!("add {add}")).ok();
    until(&format!("{add} shows {symptom}"), || {
        let with = hasty();
        with.contains(symptom) && !with.contains(well)
    });
    fault(stage, "clear all").ok();
    until(&format!("nothing is left of {add}"), || {
        let after = patient();
        after.contains(well) && !after.contains(symptom)
    });
}

/// On `loopback` the web server breaks the way by which its visitors come, with TLS and without.
#[test]
fn the_way_to_the_web_server_is_broken_without_a_kernel() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replacen("[ports]\n", "[ports]\nhttps = 0\n", 1));
    stage.keep_ports();
    stage.wwwlab(["up", "-d"]).ok();
    stage.wwwlab(["secure"]).ok();
    for (url, well, reset) in [
        ("http://www.foobar.com/about.html", WELL, "exit 56"),
        ("https://www.foobar.com/about.html", "HTTP/2 200", "exit 35"),
    ] {
        let page = || curl_here(&stage, 30, url);
        until("the page is there", || page().contains(well));
        for (add, symptom) in [
            ("cut client-web", "exit 28"),
            ("half-open client-web", "exit 28"),
            ("refuse client-web", "exit 7"),
            ("reset client-web", reset),
        ] {
            breaks(&stage, add, page, || curl_here(&stage, 2, url), well, symptom);
        }
    }
    // The kernel shakes hands all the same: that is how it differs from a cut of packets.
    fault(&stage, "add cut client-web").ok();
    let connects = || {
        let line = "-o /dev/null -w [%{time_connect}] --max-time 2 http://www.foobar.com/about.html";
        stage.curl(line)
    };
    let said = connects();
    assert!(said.code == 28 && !said.out.contains("[0.000000]"), "{said:?}");
    // Who starts again finds it; and names are not its matter.
    stage.wwwlab(["restart", "web"]).ok();
    assert!(curl_here(&stage, 2, "http://www.foobar.com/").contains("exit 28"));
    assert!(stage.dig("127.0.0.2", "+timeout=30 www.foobar.com").contains("status: NOERROR"));
    // Who asked in vain and has gone has signed nothing.
    let signing = "-d name=Ada -d message=lost --max-time 2 http://www.foobar.com/guestbook";
    assert_eq!(stage.curl(signing).code, 28);
    fault(&stage, "clear").ok();
    until("the page is there", || curl_here(&stage, 30, "http://www.foobar.com/guestbook").contains(WELL));
    // What is signed later is seen, and by then what was signed before would be.
    let signed = stage.curl("-d name=Ada -d message=found --max-time 30 http://www.foobar.com/guestbook");
    assert_eq!(signed.code, 0, "{signed:?}");
    until("it is shown", || stage.page("/guestbook").1.contains("found"));
    assert!(!stage.page("/guestbook").1.contains("lost"));
}

/// A port that somebody else has when it is to be opened again is had again when they are gone.
#[test]
fn a_port_that_was_closed_by_a_fault_is_had_again() {
    let stage = Stage::new();
    stage.keep_ports();
    stage.wwwlab(["up", "-d"]).ok();
    let page = || curl_here(&stage, 30, "http://www.foobar.com/about.html");
    until("the page is there", || page().contains(WELL));
    let warnings = || stage.service("web")["warnings"].to_string();
    assert_eq!(warnings(), "null");
    fault(&stage, "add refuse client-web").ok();
    let mut somebody = None;
    until("the port is free", || {
        somebody = std::net::TcpListener::bind(("127.0.0.1", stage.port("http"))).ok();
        somebody.is_some()
    });
    fault(&stage, "clear").ok();
    let told = format!("cannot listen on 127.0.0.1:{}/tcp again", stage.port("http"));
    until("it is told", || stage.log("web").contains(&told) && warnings().contains(&told));
    let said = stage.wwwlab(["status"]).ok();
    assert!(said.contains("a fault had it closed"), "{said}");
    drop(somebody);
    until("the page is there again", || page().contains(WELL));
    until("nothing is amiss any more", || warnings() == "null");
}

#[test]
fn an_answer_has_no_more_bits_a_second_than_its_way_without_a_kernel() {
    let stage = Stage::up();
    // At this rate 40,000 bytes take 40 s.
    std::fs::write(stage.root().join("site/long.txt"), "0123456789".repeat(4_000)).unwrap();
    let long = |seconds| curl_here(&stage, seconds, "http://www.foobar.com/long.txt");
    until("the file is there", || long(30).contains("exit 0"));
    fault(&stage, "add bandwidth client-web --rate 8kbit").ok();
    let said = long(8);
    assert!(said.contains("exit 28") && said.contains("0123456789"), "{said}");
    fault(&stage, "clear").ok();
    assert!(long(30).contains("exit 0"));
}

/// On `loopback` the resolver breaks the way by which its clients come, whatever they speak.
#[test]
fn the_way_to_the_resolver_is_broken_without_a_kernel() {
    let stage = dns_privacy::stage();
    stage.keep_ports();
    let stage = private_on(stage);
    let (dot, doh) = (tls(&stage, "resolver"), https(&stage));
    let plain = |line: &str| stage.dig("127.0.0.2", &format!("{line} www.foobar.com"));
    for (how, symptoms) in [
        ("", ["timed out", "timed out", "connection refused"]),
        ("+tcp", ["timed out", "timed out", "connection refused"]),
    ] {
        for (fault, symptom) in ["cut", "half-open", "refuse"].into_iter().zip(symptoms) {
            let add = format!("{fault} client-resolver");
            let hasty = || plain(&format!("{how} +timeout=2"));
            breaks(&stage, &add, || plain(&format!("{how} +timeout=30")), hasty, "status: NOERROR", symptom);
        }
    }
    let patient = || plain("+timeout=30");
    let hasty = || plain("+timeout=2");
    breaks(&stage, "loss client-resolver --share 99", patient, hasty, "status: NOERROR", "timed out");
    let over_tcp = || plain("+tcp +timeout=30");
    breaks(&stage, "reset client-resolver", over_tcp, over_tcp, "status: NOERROR", "connection reset");
    // TCP sends again what is lost, and UDP knows of no connections.
    fault(&stage, "add loss client-resolver --share 99").ok();
    assert!(plain("+tcp +timeout=30").contains("status: NOERROR"));
    fault(&stage, "clear").ok();
    fault(&stage, "add reset client-resolver").ok();
    assert!(plain("+timeout=30").contains("status: NOERROR"));
    fault(&stage, "clear").ok();
    for (address, how) in [(dot, "+tls"), (doh, "+https"), (dot, "+quic")] {
        let asked = |seconds: u32| {
            let line = format!("{how} +timeout={seconds} www.foobar.com A");
            // How kdig says that nobody answers is another matter with each release, and some of them end by a signal.
            let said = ask(&stage, "kdig", address, "resolver.foobar.com", &line);
            let is_answered = said.out.contains("status: NOERROR");
            if is_answered { "answered".to_owned() } else { "no answer".to_owned() }
        };
        for fault in ["cut", "half-open", "refuse"] {
            let add = format!("{fault} client-resolver");
            breaks(&stage, &add, || asked(30), || asked(2), "answered", "no answer");
        }
    }
}

/// Whatever a file of rules takes away, a fault that is laid stays so.
#[test]
fn a_firewall_that_flushes_everything_leaves_a_fault_laid() {
    let _turn = one_at_a_time();
    let stage = up();
    let page = || curl(&stage, 60, "/guestbook");
    until("the page is there", || page().contains(WELL));
    let server = place(&stage, "server");
    fault(&stage, "add cut web-app").ok();
    let rules = || on(&server, "nft list table inet wwwlab_faults").ok();
    let laid = rules();
    assert!(laid.contains("drop"), "{laid}");
    std::fs::write(stage.root().join("more.nft"), "flush ruleset\ntable ip more { }\n").unwrap();
    let own = "include \"./more.nft\"\nadd table ip gone; flush ruleset\ntable ip own { }";
    std::fs::write(stage.root().join("own.nft"), own).unwrap();
    stage.wwwlab(["firewall", "apply", "server", "own.nft"]).ok();
    assert_eq!(rules(), laid);
    let tables = on(&server, "nft list tables").ok();
    assert!(tables.contains("table ip own") && !tables.contains("gone"), "{tables}");
    assert!(page().contains("HTTP/1.1 50"));
    fault(&stage, "clear").ok();
    until("the page is there again", || page().contains(WELL));
    // Without one nothing of the lab's is there.
    stage.wwwlab(["firewall", "apply", "server", "own.nft"]).ok();
    assert_eq!(on(&server, "nft list tables").ok(), "table ip own\n");
}

/// Which questions are lost follows from the lab's seed. A name is not found when the resolver has asked in vain for as long as
/// it may; with these seeds it has asked four times then, or is about to, and each of the four is lost.
#[test]
fn the_same_questions_are_lost_again_with_the_same_seed() {
    let found_in_a_row = |seed: &str| -> usize {
        let stage = Stage::new();
        stage.wwwlab(["up", "-d", "--seed", seed]).ok();
        let found = || {
            stage.wwwlab(["cache", "flush"]).ok();
            stage.dig("127.0.0.2", "+timeout=30 www.foobar.com").contains("status: NOERROR")
        };
        until("the name is found", found);
        fault(&stage, "add loss resolver-dns --share 97").ok();
        (0..20).take_while(|_| found()).count()
    };
    let first = found_in_a_row("86");
    assert!((1..20).contains(&first), "{first}");
    assert_eq!(found_in_a_row("86"), first);
    assert_ne!(found_in_a_row("169"), first);
}

#[test]
fn what_cannot_be_laid_on_a_way_says_why() {
    let stage = Stage::up();
    let why = |arguments: &str| fault(&stage, arguments).refused(1);
    assert!(why("add spoof client-resolver").contains("`wwwlab up --network hosts`"));
    assert!(
        why("add bandwidth resolver-root").contains("on resolver-root that is for the queues of a kernel")
    );
    assert!(
        why("add bandwidth client-resolver")
            .contains("on client-resolver that is for the queues of a kernel")
    );
    assert!(why("add loss web-app").contains("all of web-app is TCP"));
    assert!(why("add loss client-web").contains("all of client-web is TCP"));
    assert!(why("add latency client-web --jitter 5ms").contains("without --jitter"));
    assert!(why("add cut app-db").contains("SQLite is inside the application"));
    assert!(why("add cut resolver-dns2").contains("dns2"));
    assert!(why("add cut").contains("say on which way cut is laid (--on): client-web, "));
    assert!(why("add cut web").contains("cut cannot be laid on web, but on: client-web"));
    assert!(why("add servfail client-web").contains("servfail cannot be laid on client-web, but on: dns"));
    assert!(why("add loss client-web --share 100").contains("--share is 1% to 99%"));
    assert!(why("add bandwidth client-web --rate 9").contains("--rate is 8kbit to 10000mbit"));
    fault(&stage, "add cut nowhere").refused(2);
}
