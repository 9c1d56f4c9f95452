//! `wwwlab firewall`: rulesets by the real nft, and what the real curl and `wwwlab path` meet behind them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::hosts::{on, on_hosts, one_at_a_time, place, up};
use super::ordinary_user::{Ending, as_user};
use super::stage::{PROGRAM, Said, Stage, until};

/// Where Debian has it; an ordinary user's PATH may not lead there.
const NFT: &str = "/usr/sbin/nft";

/// The real curl at the client, which gives up early enough for what is silent and late enough for what is slow.
fn curl(stage: &Stage, seconds: u32, url: &str) -> Said {
    on(&place(stage, "client"), &format!("curl -gsv -o /dev/null --max-time {seconds} {url}"))
}

#[track_caller]
fn serves(stage: &Stage, url: &str) {
    let said = curl(stage, 30, url);
    assert!(said.code == 0 && said.err.contains(" 200 OK"), "{url}: {said:?}");
}

fn shown(stage: &Stage, host: &str) -> Value {
    serde_json::from_str(&stage.wwwlab(["firewall", "show", host, "--json"]).ok()).unwrap()
}

/// What the rule that has `words` in it counted.
fn packets(standing: &Value, words: &str) -> u64 {
    let rules = standing["tables"][0]["chains"][0]["rules"].as_array().unwrap();
    let rule = rules.iter().find(|rule| rule["text"].as_str().unwrap().contains(words)).unwrap();
    rule["counter"]["packets"].as_u64().unwrap()
}

/// Writes a ruleset with this rule for pages, and applies it.
#[track_caller]
fn pages(stage: &Stage, rule: &str) {
    let text = fs::read_to_string(stage.root().join("firewall/server.nft")).unwrap();
    let own = text.replace("tcp dport 80 counter accept", &format!("tcp dport 80 {rule}"));
    fs::write(stage.root().join("own.nft"), own).unwrap();
    let said = stage.wwwlab(["firewall", "apply", "server", "own.nft"]).ok();
    assert!(said.contains("server has the firewall of own.nft: 10 rules"), "{said}");
}

/// The rules of this machine itself.
fn of_this_machine() -> String {
    let said = Said::from(Command::new(NFT).args(["list", "ruleset"]).output().expect("nft: nftables"));
    said.out
}

#[test]
fn the_public_comes_in_and_nobody_else_does() {
    let _turn = one_at_a_time();
    let own = of_this_machine();
    let stage = up();
    let listed: Value = serde_json::from_str(&stage.wwwlab(["firewall", "--json"]).ok()).unwrap();
    assert!(listed.as_array().unwrap().iter().all(|machine| machine["file"].is_null()), "{listed}");
    assert!(stage.wwwlab(["firewall", "show", "server"]).ok().starts_with("# server has no firewall"));
    assert!(stage.status().get("firewalls").is_none());
    let (app, six) =
        ("http://8.8.8.8:3000/", "--resolve www.foobar.com:80:[2001:4860:4860::8888] http://www.foobar.com/");
    for url in [app, six, "http://www.foobar.com/guestbook"] {
        until("it is served", || curl(&stage, 30, url).code == 0);
    }

    let said = stage.wwwlab(["firewall", "apply", "server"]).ok();
    let (said, next) = said.split_once('\n').unwrap();
    assert_eq!(said, "server has the firewall of firewall/server.nft: 10 rules");
    assert!(next.contains("firewall clear server` takes all of them away"), "{next}");
    let wanted = json!([{"host": "server", "file": "firewall/server.nft"}]);
    assert_eq!(stage.status()["firewalls"], wanted);
    assert!(stage.wwwlab(["status"]).ok().contains("server has the firewall of firewall/server.nft"));
    let listed = stage.wwwlab(["firewall", "list"]).ok();
    assert!(
        listed.lines().any(|line| line.split_whitespace().eq(["server", "firewall/server.nft"])),
        "{listed}"
    );
    stage.wwwlab(["cache", "flush"]).ok();
    for url in ["http://www.foobar.com/guestbook", six] {
        serves(&stage, url);
    }
    let ping = on(&place(&stage, "client"), "ping -n -c1 -W30 2001:4860:4860::8888");
    assert!(ping.ok().contains("bytes from"));
    assert_eq!(curl(&stage, 2, app).code, 28, "the application is for the server alone");
    assert_eq!(
        curl(&stage, 2, "http://8.8.8.8:4000/").code,
        28,
        "where nobody listens there is silence, too"
    );
    let standing = shown(&stage, "server");
    assert_eq!(standing["tables"][0]["chains"][0]["policy"], "drop");
    for words in ["udp dport 53", "tcp dport 80", "iif \"lo\"", "3306", "everything else", "ipv6-icmp"] {
        assert!(packets(&standing, words) > 0, "{words}: {standing}");
    }
    assert_eq!(packets(&standing, "tcp dport 443"), 0);

    // Power comes and goes, and the rules stand.
    stage.wwwlab(["host", "off", "server"]).ok();
    for line in [
        &["firewall", "show", "server"][..],
        &["firewall", "apply", "server"],
        &["firewall", "clear", "server"],
    ] {
        let why = stage.wwwlab(line).refused(1);
        assert!(why.contains("server is off, and runs nothing: `wwwlab host on server`"), "{why}");
    }
    stage.wwwlab(["host", "on", "server"]).ok();
    until("the way is there again", || curl(&stage, 30, "http://8.8.8.8/").code == 0);
    assert_eq!(curl(&stage, 2, app).code, 28);
    assert!(packets(&shown(&stage, "server"), "tcp dport 80") >= packets(&standing, "tcp dport 80"));

    // What is shown is itself a file of rules, for another machine, even.
    let text = stage.wwwlab(["firewall", "show", "server"]).ok();
    fs::write(stage.root().join("firewall/resolver.nft"), text).unwrap();
    stage.wwwlab(["firewall", "apply", "resolver"]).ok();
    assert_eq!(shown(&stage, "resolver")["file"], "firewall/resolver.nft");
    serves(&stage, "http://www.foobar.com/");

    let said = stage.wwwlab(["firewall", "clear", "server"]).ok();
    assert!(said.contains("server has no firewall"), "{said}");
    serves(&stage, app);
    let why = stage.wwwlab(["firewall", "clear", "server"]).refused(1);
    assert!(why.contains("server has no firewall already"), "{why}");
    assert_eq!(stage.status()["firewalls"], json!([{"host": "resolver", "file": "firewall/resolver.nft"}]));
    assert_eq!(of_this_machine(), own, "this machine has the rules that it had");
}

#[test]
fn what_is_dropped_is_told_from_what_is_refused() {
    let _turn = one_at_a_time();
    let stage = up();
    let url = "http://www.foobar.com/";
    let path = |code: i32| -> Value {
        let said = stage.wwwlab(["path", "--json", url]);
        assert_eq!(said.code, code, "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    };
    let absent = path(0)["absent"].clone();
    assert!(absent.as_array().unwrap().iter().any(|absent| absent["heading"] == "firewall"), "{absent}");
    for (rule, code, message, symptom, told) in [
        ("counter drop", 28, "timed out", "timeout (curl: 28)", "without a word"),
        ("counter reject with tcp reset", 7, "Connection refused", "refused (curl: 7)", "rejected"),
        ("counter reject", 7, "Connection refused", "refused (curl: 7)", "rejected"),
        (
            "counter reject with icmpx admin-prohibited",
            7,
            "No route to host",
            "unreachable (curl: 7)",
            "rejected",
        ),
    ] {
        pages(&stage, rule);
        let said = curl(&stage, if code == 28 { 3 } else { 30 }, url);
        assert_eq!(said.code, code, "{rule}: {said:?}");
        assert!(said.err.contains(message), "{rule}: {said:?}");
        let failure = path(4)["failure"].clone();
        assert_eq!(
            (&failure["heading"], &failure["component"], &failure["symptom"]),
            (&json!("firewall"), &json!("the firewall of server"), &json!(symptom)),
            "{rule}: {failure}"
        );
        let happened = failure["happened"].as_str().unwrap();
        assert!(happened.contains(told) && happened.contains("tcp dport 80"), "{happened}");
        assert!(failure["next"][0].as_str().unwrap().ends_with("firewall show server"), "{failure}");
    }
    // What no rule names is dropped by the policy, and the last rule counts it.
    pages(&stage, "counter");
    let failure = path(4)["failure"].clone();
    assert!(
        failure["happened"].as_str().unwrap().contains("has no rule that lets this through"),
        "{failure}"
    );

    // A port that is let through, and nobody there: the same refusal, and not the firewall's.
    stage.wwwlab(["firewall", "apply", "server"]).ok();
    let told = path(0);
    let steps = told["steps"].as_array().unwrap();
    let said = steps.iter().find(|step| step["heading"] == "firewall").unwrap()["said"].to_string();
    assert!(said.contains("input: drop") && said.contains("tcp dport 80 counter accept"), "{said}");
    stage.wwwlab(["stop", "web"]).ok();
    assert_eq!(curl(&stage, 30, url).code, 7);
    let failure = path(4)["failure"].clone();
    assert_eq!((&failure["heading"], &failure["symptom"]), (&json!("tcp"), &json!("refused")), "{failure}");
}

#[test]
fn what_nft_refuses_changes_nothing_and_what_is_not_the_firewalls_stays() {
    let _turn = one_at_a_time();
    let stage = up();
    let server = place(&stage, "server");
    on(&server, &format!("{NFT} add table inet wwwlab_faults")).ok();
    on(&server, &format!("{NFT} add table ip byhand")).ok();
    assert!(
        stage
            .wwwlab(["firewall", "show", "server"])
            .ok()
            .starts_with("# server: made by hand\ntable ip byhand {")
    );
    let write = |text: &str| fs::write(stage.root().join("own.nft"), text).unwrap();
    let apply = || stage.wwwlab(["firewall", "apply", "server", "own.nft"]);
    let tables = || on(&server, &format!("{NFT} list tables")).ok();

    write(
        "flush ruleset\ninclude \"./more.nft\"\ntable ip own { chain c { counter comment \"\u{1b}[2J\"; }; }\n",
    );
    fs::write(stage.root().join("more.nft"), "table ip more { }\n").unwrap();
    apply().ok();
    assert_eq!(tables(), "table inet wwwlab_faults\ntable ip more\ntable ip own\n");
    assert!(!stage.wwwlab(["firewall", "show", "server"]).ok().contains('\u{1b}'));
    let before = shown(&stage, "server")["tables"].clone();

    write(
        "table ip other { }\ntable ip own {\n  chain c { type filter hook input priority 0; polcy drop; }\n}\n",
    );
    let why = apply().refused(1);
    assert!(why.contains("nft refuses own.nft, and nothing was changed"), "{why}");
    assert!(why.contains("own.nft:3:") && why.contains("Error: syntax error"), "{why}");
    // What is refused by the kernel, not by nft's own reading: a hook that there is not.
    write("table ip other { }\ntable arp own {\n  chain c { type nat hook input priority 0; }\n}\n");
    assert!(apply().refused(1).contains("nothing was changed"));
    assert_eq!(shown(&stage, "server")["tables"], before);
    assert_eq!(shown(&stage, "server")["file"], "own.nft");

    write(&"#".repeat((256 << 10) + 1));
    assert!(apply().refused(1).contains("own.nft is longer than 256 KiB"));
    fs::remove_file(stage.root().join("own.nft")).unwrap();
    assert!(apply().refused(1).contains("cannot read the rules in"));
    fs::create_dir(stage.root().join("own.nft")).unwrap();
    assert!(apply().refused(1).contains("it is no file"));
    let why = stage.wwwlab(["firewall", "apply", "sever"]).refused(1);
    assert!(why.contains("there is no host \"sever\", did you mean server?"), "{why}");
    let why = stage.wwwlab(["firewall", "apply", "client"]).refused(1);
    assert!(why.contains("firewall/client.nft: write them there"), "{why}");
    assert!(stage.wwwlab(["firewall", "apply", "../../etc"]).refused(1).contains("there is no host"));

    stage.wwwlab(["firewall", "clear", "server"]).ok();
    assert_eq!(tables(), "table inet wwwlab_faults\n");
    stage.wwwlab(["firewall", "clear", "server"]).refused(1);

    // What is missing at the file's end is the file's, and not of what the lab has laid and would lay again after it.
    stage.wwwlab(["fault", "add", "refuse", "web-app"]).ok();
    fs::remove_dir(stage.root().join("own.nft")).unwrap();
    write("table ip other { }\ntable ip own {\n  chain c { type filter hook input priority 0; }\n");
    let why = apply().refused(1);
    assert!(why.contains("own.nft, at its end (is a `}` missing?): Error: syntax error"), "{why}");
    assert!(!why.contains("/dev/stdin") && !why.contains("wwwlab_faults"), "{why}");
    write("table ip other { }\n");
    let rules = on(&server, &format!("{NFT} list table inet wwwlab_faults")).ok();
    apply().ok();
    assert!(tables().contains("table ip other\n"));
    assert_eq!(
        on(&server, &format!("{NFT} list table inet wwwlab_faults")).ok(),
        rules,
        "the fault is still laid"
    );
}

#[test]
fn loopback_leaves_this_machines_firewall_alone() {
    let stage = Stage::up();
    for line in [
        &["firewall"][..],
        &["firewall", "show", "server"],
        &["firewall", "apply", "server"],
        &["firewall", "clear", "server"],
    ] {
        let why = stage.wwwlab(line).refused(1);
        assert!(why.contains("`wwwlab up --network hosts`"), "{line:?}: {why}");
    }
    on_hosts(Stage::new()).wwwlab(["firewall"]).refused(3);
}

#[test]
fn a_kernel_without_rulesets_is_told_and_the_rest_works() {
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    // An nft that says what the real one says where the kernel has none.
    let tools = tempfile::tempdir().unwrap();
    let nft = tools.path().join("nft");
    fs::write(
        &nft,
        "#!/bin/sh\necho 'netlink: Error: cache initialization failed: Invalid argument' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&nft, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let up =
        stage.command(PROGRAM).args(["up", "-d"]).env("PATH", path).stdin(Stdio::null()).output().unwrap();
    Said::from(up).ok();
    let why = stage.wwwlab(["firewall", "apply", "server"]).refused(1);
    assert!(why.contains("this kernel has no nf_tables") && why.contains("sudo modprobe nf_tables"), "{why}");
    stage.wwwlab(["path", "http://www.foobar.com/"]).ok();
}

#[test]
fn an_ordinary_user_has_firewalls_too() {
    let _turn = one_at_a_time();
    let directory = tempfile::tempdir().unwrap();
    let top: &Path = directory.path();
    fs::copy(PROGRAM, top.join("wwwlab")).unwrap();
    fs::set_permissions(top, fs::Permissions::from_mode(0o777)).unwrap();
    as_user(top, "wwwlab new lab").ok();
    let lab = top.join("lab");
    let _end = Ending(&lab);
    // As on a desktop, where /usr/sbin is not on the PATH.
    as_user(&lab, "PATH=/usr/bin:/bin ../wwwlab up -d --network hosts").ok();
    let said = as_user(&lab, "../wwwlab firewall apply server").ok();
    assert!(said.contains("10 rules"), "{said}");
    let page =
        |url: &str| as_user(&lab, &format!("../wwwlab shell -- curl -so /dev/null --max-time 30 {url}")).code;
    assert_eq!(page("http://www.foobar.com/"), 0);
    assert_eq!(page("--max-time 2 http://8.8.8.8:3000/"), 28);
    assert!(as_user(&lab, "../wwwlab firewall clear server").ok().contains("no firewall"));
    assert_eq!(page("http://8.8.8.8:3000/"), 0);
}
