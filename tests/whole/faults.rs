//! `wwwlab fault`: each fault both ways, with it its symptom on the real dig and curl, and none without it.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{PROGRAM, Said, Stage, processes_of, signal, until};

fn fault(stage: &Stage, arguments: &str) -> Said {
    stage.wwwlab(["fault"].into_iter().chain(arguments.split_whitespace()))
}

fn laid(stage: &Stage) -> Vec<Value> {
    serde_json::from_str(&fault(stage, "list --json").ok()).unwrap()
}

/// `probe` shows `symptom` with the fault and at no other time.
#[track_caller]
fn shows(stage: &Stage, add: &str, probe: impl Fn() -> String, symptom: &str) {
    let before = probe();
    assert!(!before.contains(symptom), "without {add}: {before}");
    fault(stage, &format!("add {add}")).ok();
    let with = probe();
    assert!(with.contains(symptom), "with {add}: {with}");
    fault(stage, "clear all").ok();
    let after = probe();
    assert!(!after.contains(symptom), "after {add}: {after}");
}

/// dig without its own patience being what ends it.
fn dig(stage: &Stage, arguments: &str) -> String {
    stage.dig("127.0.0.1", &format!("+timeout=30 {arguments}"))
}

fn curl(stage: &Stage, arguments: &str) -> String {
    let Said { out, err, code } = stage.curl(&format!("-S {arguments}"));
    format!("{out}{err}\nexit {code}")
}

#[test]
fn a_name_server_answers_wrong_and_right_again() {
    let stage = Stage::up();
    let ask = || dig(&stage, "www.foobar.com");
    assert!(ask().contains("status: NOERROR") && ask().contains("flags: qr aa"), "{}", ask());
    shows(&stage, "servfail dns", ask, "status: SERVFAIL");
    shows(&stage, "refused dns", ask, "status: REFUSED");
    shows(&stage, "nxdomain dns", ask, "status: NXDOMAIN");
    shows(&stage, "lame dns", ask, "flags: qr rd; QUERY: 1, ANSWER: 0, AUTHORITY: 0");
    shows(&stage, "wrong-address dns --address 127.0.0.77", ask, "127.0.0.77");
    shows(&stage, "ttl dns", ask, "\t604800\tIN\tA\t");
    shows(&stage, "ttl dns --ttl 0s", ask, "\t0\tIN\tA\t");
    shows(&stage, "truncate dns", || dig(&stage, "+ignore www.foobar.com"), "flags: qr aa tc");
    shows(&stage, "truncate dns", ask, "Truncated, retrying in TCP mode");
    shows(&stage, "no-tcp dns", || dig(&stage, "+tcp www.foobar.com"), "connection refused");
    // The same over TCP, and of one name alone.
    shows(&stage, "servfail dns", || dig(&stage, "+tcp www.foobar.com"), "status: SERVFAIL");
    fault(&stage, "add servfail dns --name WWW.foobar.com").ok();
    assert!(ask().contains("status: SERVFAIL") && dig(&stage, "foobar.com").contains("status: NOERROR"));
    // Whole zones are not questions.
    assert!(dig(&stage, "foobar.com AXFR").contains("XFR size"));
}

#[test]
fn an_answer_is_held_back_and_the_others_are_not() {
    let stage = Stage::up();
    fault(&stage, "add slow-dns dns --delay 1200ms --name www.foobar.com").ok();
    for transport in ["+notcp", "+tcp"] {
        // dig itself counts from when it has noticed that its question is out.
        let asked = Instant::now();
        let slow = dig(&stage, &format!("{transport} www.foobar.com"));
        let took = asked.elapsed();
        assert!(took >= Duration::from_millis(1_200) && slow.contains("status: NOERROR"), "{took:?}: {slow}");
    }
    until("the log says of both that they took seconds", || {
        let log = stage.log("dns");
        let slow =
            log.lines().filter(|line| line.contains(" asks www.foobar.com. A ") && line.ends_with(" s"));
        slow.count() == 2
    });
    // Asked together, the other comes before it; whatever the machine's load.
    let port = stage.port("dns").to_string();
    let mut slow = stage.command("dig");
    slow.args(["@127.0.0.1", "-p", &port, "+timeout=30", "+tries=1", "www.foobar.com"]);
    fault(&stage, "clear").ok();
    fault(&stage, "add slow-dns dns --delay 20s --name www.foobar.com").ok();
    let mut slow = slow.stdout(Stdio::null()).spawn().unwrap();
    assert!(dig(&stage, "foobar.com").contains("status: NOERROR"));
    assert!(slow.try_wait().unwrap().is_none(), "what is held back still is");
    slow.kill().unwrap();
    slow.wait().unwrap();
}

#[test]
fn a_resolver_answers_wrong_and_right_again_and_tells_what_went_out() {
    let stage = Stage::up();
    let ask = || stage.dig("127.0.0.2", "+timeout=30 www.foobar.com");
    assert!(ask().contains("status: NOERROR"));
    shows(&stage, "servfail resolver", ask, "status: SERVFAIL");
    shows(&stage, "nxdomain resolver", ask, "status: NXDOMAIN");
    shows(&stage, "wrong-address resolver", ask, "127.0.0.99");
    shows(&stage, "no-tcp resolver", || stage.dig("127.0.0.2", "+tcp www.foobar.com"), "connection refused");
    until("the log has what went out", || {
        let log = stage.log("resolver");
        ["SERVFAIL", "NXDOMAIN"]
            .iter()
            .all(|rcode| log.contains(&format!("www.foobar.com. A (udp) → {rcode}")))
    });
    // What is wrong with a name server reaches who asks the resolver, when that has nothing remembered.
    stage.wwwlab(["cache", "flush"]).ok();
    shows(
        &stage,
        "wrong-address dns --name www.foobar.com",
        || {
            stage.wwwlab(["cache", "flush"]).ok();
            curl(&stage, "http://www.foobar.com/")
        },
        "exit 7",
    );
}

#[test]
fn a_web_server_answers_wrong_and_right_again() {
    let stage = Stage::up();
    let page = || curl(&stage, "-i http://www.foobar.com/about.html");
    assert!(page().contains("200 OK"), "{}", page());
    shows(&stage, "http-500", page, "HTTP/1.1 500 Internal Server Error");
    shows(&stage, "wrong-host", page, "wwww.foobar.com");
    shows(&stage, "truncated-body", page, "exit 18");
    shows(&stage, "truncated-body", || curl(&stage, "http://www.foobar.com/guestbook"), "exit 18");
    shows(&stage, "redirect-loop", || curl(&stage, "-L -o /dev/null http://www.foobar.com/"), "exit 47");
    shows(
        &stage,
        "slow-first-byte --delay 60s",
        || curl(&stage, "--max-time 8 http://www.foobar.com/about.html"),
        "exit 28",
    );
    shows(
        &stage,
        "slow-body --rate 10",
        || curl(&stage, "--max-time 8 -o /dev/null http://www.foobar.com/about.html"),
        "bytes received",
    );
    fault(&stage, "add http-500 --path /guest").ok();
    assert_eq!((stage.page("/guestbook").0, stage.page("/about.html").0), (500, 200));
}

#[test]
fn a_process_is_broken_by_the_systems_own_means_and_mended() {
    let stage = Stage::up();
    let page = || curl(&stage, "--max-time 8 http://www.foobar.com/about.html");
    shows(&stage, "stop web", page, "exit 7");
    shows(&stage, "kill web", page, "exit 7");
    shows(&stage, "pause web", page, "exit 28");
    shows(
        &stage,
        "db-locked",
        || curl(&stage, "-i http://www.foobar.com/guestbook"),
        "503 Service Unavailable",
    );

    // It cannot accept another connection; what it could before is what it can after.
    let limits = || std::fs::read_to_string(format!("/proc/{}/limits", stage.pid("web"))).unwrap();
    let before = limits();
    shows(&stage, "descriptors web --limit 5", page, "exit 28");
    assert_eq!(limits(), before);

    let said = fault(&stage, "add crash-loop web --delay 100ms").ok();
    assert!(said.contains("is laid on web: kills the service again and again"), "{said}");
    let first = stage.pid("web");
    let mut seen = vec![first];
    until("it is another process again and again", || {
        let pid = stage.service("web")["pid"].as_u64().unwrap_or_default();
        let pid = u32::try_from(pid).unwrap();
        if pid > 0 && !seen.contains(&pid) {
            seen.push(pid);
        }
        seen.len() > 3
    });
    fault(&stage, "clear").ok();
    assert!(page().contains("exit 0"), "{}", page());

    // With a share of the processor it serves, and is not called paused.
    fault(&stage, "add cpu web --share 50").ok();
    assert!(page().contains("exit 0") && stage.service("web")["state"] == "running");
    let stat = || {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", stage.pid("web"))).unwrap();
        text.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    until("it stands still now and then", || stat() == 'T');
    until("it goes on", || stat() != 'T');
    fault(&stage, "clear").ok();
    assert!((0..50).all(|_| stat() != 'T'), "nobody makes it stand still any more");
    assert!(page().contains("exit 0"));
}

#[test]
fn a_process_without_memory_dies_of_its_next_wish() {
    let stage = Stage::up();
    fault(&stage, "add memory web --limit 1MB").ok();
    // Each connection has memory of its own.
    let address = ("127.0.0.1", stage.port("http"));
    let mut open = Vec::new();
    until("it has died", || {
        for _ in 0..50 {
            if let Ok(mut stream) = TcpStream::connect(address) {
                let _ = stream.write_all(b"GET /about.html HTTP/1.1\r\nHost: www.foobar.com\r\n");
                open.push(stream);
            }
        }
        stage.service("web")["state"] == "failed"
    });
    assert!(stage.service("web")["detail"].as_str().unwrap().contains("SIGABRT"), "{}", stage.service("web"));
    drop(open);
    fault(&stage, "clear").ok();
    stage.wwwlab(["start", "web"]).ok();
    assert_eq!(stage.page("/about.html").0, 200);
}

/// What struck, of so many questions.
fn struck(stage: &Stage, questions: usize) -> Vec<bool> {
    (0..questions).map(|_| dig(stage, "www.foobar.com").contains("SERVFAIL")).collect()
}

#[test]
fn chances_fall_the_same_again_with_the_same_seed() {
    let run = |seed: &str, option: &str| {
        let stage = Stage::new();
        stage.wwwlab(["up", "-d", "--seed", seed]).ok();
        assert_eq!(stage.status()["seed"].to_string(), seed);
        assert!(stage.wwwlab(["status"]).ok().contains(&format!("seed {seed})")));
        fault(&stage, &format!("add servfail dns {option}")).ok();
        struck(&stage, 24)
    };
    let first = run("7", "--chance 40%");
    assert_eq!(first, run("7", "--chance 40%"));
    assert_ne!(first, run("8", "--chance 40%"));
    let third: Vec<bool> = (1..=24).map(|question| question % 3 == 0).collect();
    assert_eq!(run("7", "--every 3"), third);
}

#[test]
fn a_fault_outlives_its_service_and_ends_in_its_time_and_with_its_lab() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# seed = 1 ", "seed = 1 "));
    stage.wwwlab(["up", "-d"]).ok();
    assert_eq!(stage.status()["seed"], json!(1));
    assert!(stage.status().get("faults").is_none());
    fault(&stage, "add servfail dns").ok();
    fault(&stage, "add pause web --for 500ms").ok();
    // It may be over before anybody can look: what it was is in the journal.
    until("it is over in its time", || laid(&stage).len() == 1);
    assert_eq!(stage.service("web")["state"], "running");
    stage.wwwlab(["restart", "dns"]).ok();
    until("it is told with its start", || dig(&stage, "www.foobar.com").contains("SERVFAIL"));
    let one = &laid(&stage)[0];
    assert_eq!((&one["id"], &one["fault"], &one["service"]), (&json!(1), &json!("servfail"), &json!("dns")));
    assert!(
        stage.wwwlab(["status"]).ok().contains("fault 1 is laid: servfail on dns: `wwwlab fault clear 1`")
    );
    let journal = || std::fs::read_to_string(stage.state().join("journal.jsonl")).unwrap_or_default();
    let count = |change: &str| {
        let journal = journal();
        let told = journal.lines().filter(|line| line.contains("\"event\":\"fault\""));
        told.filter(|line| line.contains(change)).count()
    };
    until("the journal has it", || (count("\"laid\""), count("\"over\"")) == (2, 1));
    assert_eq!(count("\"cleared\""), 0);

    stage.wwwlab(["restart", "web"]).ok();
    stage.wwwlab(["down"]).ok();
    stage.wwwlab(["up", "-d"]).ok();
    assert!(laid(&stage).is_empty() && dig(&stage, "www.foobar.com").contains("NOERROR"));

    // With its supervisor killed, nobody is left standing still.
    fault(&stage, "add pause web").ok();
    fault(&stage, "add cpu app").ok();
    let services: Vec<u32> = ["web", "app", "dns"].map(|name| stage.pid(name)).into();
    signal(stage.supervisor(), "KILL");
    until("all of it is gone", || {
        let left = processes_of(&stage.root());
        services.iter().all(|pid| !left.contains(pid))
    });
}

#[test]
fn a_command_that_is_killed_leaves_a_fault_whole_or_none() {
    let stage = Stage::up();
    for _ in 0..5 {
        let mut add = stage.command(PROGRAM);
        let mut add = add
            .args(["fault", "add", "pause", "web"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _ = add.kill();
        add.wait().unwrap();
        // Whatever became of it: what is listed is so, and clearing it leaves all as before.
        fault(&stage, "clear all").ok();
        until("nothing is laid and the page comes", || {
            if !laid(&stage).is_empty() {
                fault(&stage, "clear all").ok();
            }
            stage.curl("--max-time 5 http://www.foobar.com/about.html").code == 0
        });
    }
}

#[test]
fn what_cannot_be_laid_says_why() {
    let stage = Stage::up();
    let why = |arguments: &str| fault(&stage, arguments).refused(1);
    assert!(
        why("add servfial")
            .contains("there is no fault \"servfial\": did you mean servfail? `wwwlab fault explain`")
    );
    assert!(why("add servfail web").contains("servfail cannot be laid on web, but on: dns"));
    assert!(why("add servfail dns2").contains("this lab has no dns2"));
    assert!(why("add slow-dns --delay 2h").contains("--delay is 1ms to 1m, not \"2h\""));
    assert!(why("add pause --every 3").contains("pause is there or is not"));
    assert!(why("add cpu db").contains("SQLite has no process of its own"));
    assert!(why("clear 9").contains("there is no fault 9"));
    fault(&stage, "clear nine").refused(2);
    assert!(why("clear servfail").contains("no servfail is laid"));
    fault(&stage, "add servfail --every 2 --chance 3%").refused(2);
    fault(&stage, "add stop web").ok();
    assert!(why("add pause web").contains("fault 1 is laid on web already (stop): `wwwlab fault clear 1`"));
    assert!(why("add cpu app --share 0").contains("--share is 1% to 99%"));
    assert_eq!(laid(&stage).len(), 1, "what was refused is not laid");
    assert!(fault(&stage, "explain redirect-loop").ok().contains("ERR_TOO_MANY_REDIRECTS"));
    assert!(fault(&stage, "explain").ok().contains("crash-loop"));
    assert!(fault(&stage, "explain nosuch").refused(2).contains("there is no fault"));
}

#[test]
fn who_has_a_service_run_again_has_ended_the_fault() {
    let stage = Stage::up();
    for (fault_name, verb) in
        [("stop", "start"), ("kill", "start"), ("pause", "resume"), ("pause", "restart")]
    {
        fault(&stage, &format!("add http-500 web --path /{fault_name}")).ok();
        fault(&stage, &format!("add {fault_name} web")).ok();
        let said = stage.wwwlab([verb, "web"]).ok();
        assert!(said.contains(&format!("is over: {fault_name} on web")), "{verb}: {said}");
        let left = laid(&stage);
        assert!(left.len() == 1 && left[0]["fault"] == "http-500", "the others stay: {left:?}");
        fault(&stage, "clear all").ok();
    }
    // What was killed while it stood still is not started by the fault's end, and that is no failure.
    fault(&stage, "add pause web").ok();
    stage.wwwlab(["kill", "web"]).ok();
    let said = fault(&stage, "clear all").ok();
    assert!(said.contains("is cleared: pause on web; web is not up: `wwwlab start web`"), "{said}");
    assert_eq!(stage.service("web")["state"], "stopped");
    stage.wwwlab(["start", "web"]).ok();

    // What stands still goes on first, and hears the rest then.
    fault(&stage, "add pause web").ok();
    fault(&stage, "add http-500 web").ok();
    let said = fault(&stage, "clear all").ok();
    let (pause, other) = (said.find("pause on web"), said.find("http-500 on web"));
    assert!(pause < other && !said.contains("does not answer"), "{said}");
    assert!(curl(&stage, "-i http://www.foobar.com/about.html").contains("200 OK"));
}

#[test]
fn the_same_requests_are_answered_wrong_again_with_the_same_seed() {
    // Of each of forty requests, one after the other: whether it met the fault.
    let met = |seed: &str, add: &str, symptom: &str| -> Vec<bool> {
        let stage = Stage::new();
        stage.wwwlab(["up", "-d", "--seed", seed]).ok();
        fault(&stage, &format!("add {add} --chance 30%")).ok();
        (0..40).map(|_| curl(&stage, "-i http://www.foobar.com/about.html").contains(symptom)).collect()
    };
    for (add, symptom) in [("http-500 web", "500 Internal Server Error"), ("truncated-body web", "exit 18")] {
        let first = met("86", add, symptom);
        assert!(first.contains(&true) && first.contains(&false), "{add}: {first:?}");
        assert_eq!(met("86", add, symptom), first, "{add}");
        assert_ne!(met("169", add, symptom), first, "{add}");
    }
}
