//! `wwwlab link` and `wwwlab host`: what is cut and what is off, and what the machines around it meet; and `--publish`.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use super::hosts::{nothing_is_left, on, on_hosts, one_at_a_time, place, up};
use super::stage::{PROGRAM, Stage, free_port, processes_of, until};

fn answers(stage: &Stage, address: &str) -> bool {
    on(&place(stage, "client"), &format!("ping -n -c1 -W1 {address}")).code == 0
}

#[test]
fn a_cable_is_pulled_out_and_plugged_in_again() {
    let _turn = one_at_a_time();
    let stage = up();
    let listed = stage.wwwlab(["link"]).ok();
    for name in
        ["client-home", "resolver-isp", "root-internet", "server-internet", "home-isp", "isp-internet"]
    {
        let line = listed
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {listed}"));
        assert!(line.trim_end().ends_with("whole"), "{line}");
    }
    assert_eq!(listed, stage.wwwlab(["link", "list"]).ok());

    assert!(stage.wwwlab(["link", "down", "home-isp"]).ok().contains("home-isp is cut"));
    until("what is near answers", || answers(&stage, "192.0.2.1"));
    assert!(!answers(&stage, "8.8.8.8"));
    let cables: serde_json::Value = serde_json::from_str(&stage.wwwlab(["link", "--json"]).ok()).unwrap();
    let cut: Vec<_> = cables.as_array().unwrap().iter().filter(|cable| cable["whole"] == false).collect();
    assert_eq!(cut.len(), 1);
    assert_eq!(cut[0]["name"], "home-isp");
    assert_eq!(stage.status()["cut"], serde_json::json!(["home-isp"]));
    assert!(stage.wwwlab(["status"]).ok().contains("home-isp is cut: `wwwlab link up home-isp`"));
    let why = stage.wwwlab(["link", "down", "isp-home"]).refused(1);
    assert!(why.contains("home-isp is cut already"), "its ends in the other order are the same cable: {why}");

    assert!(stage.wwwlab(["link", "up", "isp-home"]).ok().contains("home-isp is whole again"));
    until("the way is whole again", || answers(&stage, "8.8.8.8"));
    assert!(stage.status().get("cut").is_none());
    let why = stage.wwwlab(["link", "up", "home-isp"]).refused(1);
    assert!(why.contains("home-isp is whole already"), "{why}");
    let why = stage.wwwlab(["link", "down", "clint-home"]).refused(1);
    assert!(
        why.contains("there is no cable \"clint-home\", did you mean client-home?: `wwwlab link` lists them"),
        "{why}"
    );
}

#[test]
fn what_is_cut_off_is_unreachable_and_nothing_goes_in_circles() {
    let _turn = one_at_a_time();
    let stage = up();
    stage.wwwlab(["link", "down", "client-home"]).ok();
    let server = place(&stage, "server");
    // Its own network, and one that nobody has in this lab; the home's router says so, by the address of its way out.
    for (address, router, what) in [
        ("192.0.2.10", "192.0.2.66", "Destination Host Unreachable"),
        ("198.51.100.20", "192.0.2.66", "Destination Host Unreachable"),
        ("2001:db8:1::10", "2001:db8:3::2", "Destination unreachable: No route"),
    ] {
        let said = on(&server, &format!("ping -n -c1 -W30 {address}"));
        let line = said.out.lines().find(|line| line.starts_with("From ")).unwrap_or_default();
        assert!(line.contains(router) && line.contains(what), "{address}: {said:?}");
    }
    stage.wwwlab(["link", "up", "client-home"]).ok();
    until("the way is whole again", || answers(&stage, "8.8.8.8"));
    assert!(on(&server, "ping -n -c1 -W30 2001:db8:1::10").ok().contains("bytes from"));
    stage.wwwlab(["link", "down", "home-isp"]).ok();
    let said = on(&server, "ping -n -c1 -W30 198.51.100.20");
    assert!(said.out.contains("From 203.0.113.2 ") && said.out.contains("Host Unreachable"), "{said:?}");
}

#[test]
fn a_machine_without_power_says_nothing_and_comes_back_whole() {
    let _turn = one_at_a_time();
    let stage = up();
    let client = place(&stage, "client");
    let page = || on(&client, "curl -si --max-time 2 -H Host:www.foobar.com http://8.8.8.8/");
    until("the page is there", || page().out.starts_with("HTTP/1.1 200"));
    // A connection that is open when the power fails, and what a student left running there.
    let mut waiting = Command::new(PROGRAM);
    waiting.arg("within").arg(&client).args(["--", "curl", "-s", "--max-time", "600", "telnet://8.8.8.8:80"]);
    let mut waiting = waiting.stdin(Stdio::piped()).spawn().unwrap();
    let mut left = Command::new(PROGRAM);
    left.arg("within").arg(place(&stage, "server")).args(["--", "sleep", "600"]);
    let mut left = left.stdin(Stdio::null()).spawn().unwrap();
    until("it is connected, and the other is there", || {
        on(&client, "ss -Htn state established dport = :80").ok().contains("8.8.8.8:80")
            && on(&place(&stage, "server"), "ps -e -o args").ok().contains("sleep 600")
    });
    let pids: Vec<u32> = ["dns", "web", "app"].map(|name| stage.pid(name)).into();

    let said = stage.wwwlab(["host", "off", "server"]).ok();
    assert!(said.contains("server is off, and with it dns, web, app, db"), "{said}");
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is gone");
    }
    assert!(!left.wait().unwrap().success(), "what was started by hand is gone, too");
    assert_eq!(page().code, 28, "nothing is refused and nothing is reset: there is silence");
    // It waits still: a reset, which a mere kill gives, or the end of the connection would have ended it by now.
    assert_eq!(waiting.try_wait().unwrap(), None, "nobody said good-bye to the open connection");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let status = stage.status();
    assert_eq!(status["off"], serde_json::json!(["server"]));
    let web = stage.service("web");
    assert_eq!((&web["state"], &web["detail"]), (&"stopped".into(), &"its host is off".into()));
    for verb in ["start", "restart", "stop"] {
        let why = stage.wwwlab([verb, "web"]).refused(1);
        assert!(why.contains("server is off, and web with it: `wwwlab host on server`"), "{why}");
    }
    assert!(
        stage
            .wwwlab(["host"])
            .ok()
            .lines()
            .any(|line| line.trim_start().starts_with("server ") && line.contains("off"))
    );
    assert!(stage.wwwlab(["link"]).ok().contains("dead: server is off"));
    assert!(stage.wwwlab(["host", "off", "server"]).refused(1).contains("server is off already"));

    let said = stage.wwwlab(["host", "on", "server"]).ok();
    assert!(said.contains("server is on again, and there serve dns, web, app, db"), "{said}");
    until("the page is back", || page().out.starts_with("HTTP/1.1 200"));
    assert!(stage.status().get("off").is_none());
    assert!(stage.wwwlab(["host", "on", "server"]).refused(1).contains("server is on already"));
    let why = stage.wwwlab(["host", "off", "sever"]).refused(1);
    assert!(why.contains("there is no host \"sever\", did you mean server?"), "{why}");

    // A router without power parts the network, and the services beyond it run on.
    stage.wwwlab(["host", "off", "isp"]).ok();
    until("what is near answers", || answers(&stage, "192.0.2.1"));
    assert!(!answers(&stage, "8.8.8.8"));
    assert_eq!(stage.service("web")["state"], "running");
    stage.wwwlab(["host", "on", "isp"]).ok();
    until("the way is whole again", || page().out.starts_with("HTTP/1.1 200"));
}

#[test]
fn loopback_has_no_cables_and_says_which_network_has() {
    let stage = Stage::up();
    for line in [&["link"][..], &["link", "down", "client-home"], &["host"], &["host", "off", "server"]] {
        let why = stage.wwwlab(line).refused(1);
        assert!(why.contains("wwwlab up --network hosts"), "{line:?}: {why}");
    }
    let down = on_hosts(Stage::new());
    for line in ["link", "host"] {
        down.wwwlab([line]).refused(3);
    }
}

/// The addresses of this machine at which the lab listens.
fn listening(stage: &Stage) -> Vec<String> {
    let said = stage.run("ss", ["-Hltunp"]).ok();
    let pids: Vec<String> = processes_of(&stage.root()).iter().map(|pid| format!("pid={pid},")).collect();
    let ours = said.lines().filter(|line| pids.iter().any(|pid| line.contains(pid)));
    ours.map(|line| line.split_whitespace().nth(4).unwrap().to_owned()).collect()
}

#[test]
fn what_is_published_is_reached_from_this_machine_and_nothing_else_is() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    let ports = [free_port(), free_port()];
    stage.wwwlab(["up", "-d"]).ok();
    assert_eq!(listening(&stage), Vec::<String>::new(), "nothing is published unless it is asked for");
    stage.wwwlab(["down"]).ok();

    let [web, dns] = ports;
    stage
        .wwwlab(["up", "-d", "--publish", &format!("web:{web}"), "--publish", &format!("resolver:{dns}")])
        .ok();
    let mut seen = listening(&stage);
    seen.sort();
    assert_eq!(seen, {
        let mut wanted =
            vec![format!("127.0.0.1:{web}"), format!("127.0.0.2:{dns}"), format!("127.0.0.2:{dns}")];
        wanted.sort();
        wanted
    });
    let page = |path: &str| {
        let (to, url) = (format!("::127.0.0.1:{web}"), format!("http://www.foobar.com{path}"));
        stage.run("curl", ["-si", "--max-time", "30", "--connect-to", &to, &url])
    };
    assert!(page("/").ok().starts_with("HTTP/1.1 200"));
    // It comes from the home's router.
    let said = page("/whoami").ok();
    assert!(said.contains("192.0.2.65") || said.contains("192.0.2.66"), "{said}");
    let dig = |more: &str| {
        let line = format!("@127.0.0.2 -p {dns} +tries=1 +time=30 {more} www.foobar.com");
        stage.run("dig", line.split_whitespace()).out
    };
    for transport in ["+notcp", "+tcp"] {
        let answer = dig(transport);
        assert!(answer.contains("status: NOERROR") && answer.contains("8.8.8.8"), "{answer}");
    }
    let status = stage.status();
    assert_eq!(status["published"][0]["here"], format!("127.0.0.1:{web}"));
    assert!(stage.wwwlab(["status"]).ok().contains(&format!("published: web at 127.0.0.1:{web}")));

    // What the network does is seen from outside, too.
    stage.wwwlab(["stop", "web"]).ok();
    // What is refused inside is hung up on outside: so early that curl never saw a connection (7), before it has sent (55),
    // while it waits (56), or without a word (52).
    let said = page("/");
    assert!([7, 52, 55, 56].contains(&said.code), "{said:?}");
    stage.wwwlab(["start", "web"]).ok();
    assert!(page("/").ok().starts_with("HTTP/1.1 200"));

    // A port that is taken is named, with who has it, and nothing stays.
    let other = on_hosts(Stage::new());
    let why = other.wwwlab(["up", "-d", "--publish", &format!("web:{web}")]).refused(1);
    assert!(
        why.contains("web cannot be published: wwwlab (pid ") && why.contains("--publish web:PORT"),
        "{why}"
    );
    nothing_is_left(&other, &BTreeSet::new());

    // The carrier's end is not the lab's, and is told.
    let carrier = processes_of(&stage.root()).into_iter().find(|pid| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"publish"))
    });
    super::stage::signal(carrier.unwrap(), "KILL");
    until("it is seen", || stage.status().get("published").is_none());
    assert_eq!(page("/").code, 7);
    assert!(
        on(&place(&stage, "client"), "curl -si -H Host:www.foobar.com http://8.8.8.8/")
            .ok()
            .contains(" 200 ")
    );
    stage.wwwlab(["down"]).ok();

    stage.edit("lab.toml", |text| text.replace("# publish = []", &format!("publish = [\"dns:{dns}\"]")));
    stage.wwwlab(["up", "-d"]).ok();
    let line = format!("@127.0.0.1 -p {dns} +tries=1 www.foobar.com");
    assert!(stage.run("dig", line.split_whitespace()).ok().contains("flags: qr aa rd"));
}

#[test]
fn https_is_published_while_it_is_spoken() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    let [web, https] = [free_port(), free_port()];
    stage.wwwlab(["up", "-d", "--publish", &format!("web:{web}:{https}")]).ok();
    assert_eq!(listening(&stage), [format!("127.0.0.1:{web}")], "it is not spoken yet");
    let plain = stage.run("curl", ["-si", &format!("http://127.0.0.1:{web}/"), "-H", "Host: www.foobar.com"]);
    assert!(plain.ok().starts_with("HTTP/1.1 200"));

    let here = format!("127.0.0.1:{https}");
    let page = || {
        let ca = stage.root().join("certs/ca.pem").display().to_string();
        let to = format!("::{here}");
        let line = ["-si", "--noproxy", "*", "--cacert", &ca, "--connect-to", &to, "https://www.foobar.com/"];
        stage.run("curl", line)
    };
    let said = stage.wwwlab(["secure"]).ok();
    assert!(said.contains(&format!("--connect-to ::{here} https://www.foobar.com/")), "{said}");
    assert!(page().ok().starts_with("HTTP/2 200"));
    let published = &stage.status()["published"];
    assert_eq!(published[1], serde_json::json!({ "service": "web", "here": here, "there": "8.8.8.8:443" }));
    // What is there already stays: who is connected does not notice.
    let carriers = || {
        let all = processes_of(&stage.root()).into_iter().filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"publish"))
        });
        all.collect::<BTreeSet<_>>()
    };
    let before = carriers();
    assert_eq!(before.len(), 2);
    stage.wwwlab(["secure", "--only"]).ok();
    assert_eq!(carriers(), before);

    stage.wwwlab(["unsecure"]).ok();
    assert_eq!(listening(&stage), [format!("127.0.0.1:{web}")]);
    assert_eq!(page().code, 7, "nobody listens there");
    assert_eq!(stage.status()["published"].as_array().unwrap().len(), 1);

    // A port that is taken keeps nobody from HTTPS within the network.
    let taken = std::net::TcpListener::bind(&here).unwrap();
    let said = stage.wwwlab(["secure"]).ok();
    assert!(said.contains("HTTPS cannot be reached from this machine: ") && said.contains(&here), "{said}");
    assert_eq!(stage.status()["published"].as_array().unwrap().len(), 1);
    drop(taken);
    stage.wwwlab(["secure"]).ok();
    assert!(page().ok().starts_with("HTTP/2 200"));

    // Its end is told, and it can be had again.
    let plain: BTreeSet<_> = before.intersection(&carriers()).copied().collect();
    let carrier = carriers().difference(&plain).copied().next().unwrap();
    super::stage::signal(carrier, "KILL");
    until("it is seen", || stage.status()["published"].as_array().unwrap().len() == 1);
    stage.wwwlab(["secure"]).ok();
    assert!(page().ok().starts_with("HTTP/2 200"));
    stage.wwwlab(["down"]).ok();
    nothing_is_left(&stage, &BTreeSet::new());

    // A lab that begins with it has it published from the beginning.
    stage.edit("lab.toml", |text| text.replace("# tls = \"off\"", "tls = \"on\""));
    stage.wwwlab(["up", "-d", "--publish", &format!("web:{web}:{https}")]).ok();
    assert!(page().ok().starts_with("HTTP/2 200"));
}

#[test]
fn what_cannot_be_published_is_refused_before_anything_starts() {
    let stage = Stage::new();
    for (what, why) in [("shop", "web:8081"), ("web:0", "web:8081"), ("db", "its own host alone")] {
        let said = stage.wwwlab(["up", "-d", "--network", "hosts", "--publish", what]).refused(2);
        assert!(said.contains(why), "{said}");
    }
    let said =
        stage.wwwlab(["up", "-d", "--network", "hosts", "--publish", "web", "--publish", "web"]).refused(1);
    assert!(said.contains("web is to be published at 127.0.0.1:8080 twice"), "{said}");
    let said = stage.wwwlab(["up", "-d", "--publish", "web"]).refused(1);
    assert!(said.contains("--publish is for network `hosts`"), "{said}");
    stage.edit("lab.toml", |text| text.replace("# publish = []", "publish = [\"web\", \"app:8080\"]"));
    let said = stage.wwwlab(["up", "-d", "--network", "hosts"]).refused(1);
    assert!(said.contains("web and app are both to be published at 127.0.0.1:8080"), "{said}");
}
