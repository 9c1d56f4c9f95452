//! The attacker on the way, on network `hosts`: what the real dig and curl believe while the fault is laid, what stays in the
//! resolver's cache, and that nothing of it is left.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::hosts::{namespaces, on, on_hosts, one_at_a_time, place, processes_in, state, up};
use super::stage::{Said, Stage, until};

const RIGHT: &str = "8.8.8.8";
const FORGED: &str = "203.0.113.66";

fn fault(stage: &Stage, arguments: &str) -> Said {
    stage.wwwlab(["fault"].into_iter().chain(arguments.split_whitespace()))
}

fn flush(stage: &Stage) {
    stage.wwwlab(["cache", "flush"]).ok();
}

/// What dig says on the client.
fn dig(stage: &Stage, arguments: &str) -> String {
    on(&place(stage, "client"), &format!("dig +timeout=30 +tries=1 {arguments}")).ok()
}

/// The one line of `dig +short`.
fn short(stage: &Stage, arguments: &str) -> String {
    dig(stage, &format!("+short {arguments}")).trim().to_owned()
}

/// What the resolver says, which remembers nothing.
fn resolved(stage: &Stage, name: &str) -> String {
    flush(stage);
    short(stage, &format!("@192.0.2.53 {name}"))
}

/// A machine that is busy may have a question wait for so long that the resolver gives it up: then it is asked again.
fn becomes(stage: &Stage, name: &str, wanted: &str) {
    until(&format!("{name} is {wanted}"), || resolved(stage, name) == wanted);
}

fn ready(stage: &Stage) {
    becomes(stage, "www.foobar.com", RIGHT);
}

/// The processes of this lab's attackers.
fn attackers(stage: &Stage) -> Vec<i32> {
    let root = stage.root().to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.starts_with("wwwlab spoof ") && line.contains(&root)
    })
    .collect()
}

fn rules(stage: &Stage) -> String {
    ["internet", "isp"].map(|router| on(&place(stage, router), "nft list ruleset").ok()).concat()
}

#[test]
fn the_resolver_believes_who_answers_first_and_remembers_it() {
    let _turn = one_at_a_time();
    let stage = up();
    ready(&stage);
    fault(&stage, "add spoof --on resolver-dns").ok();
    // Over UDP alone: else a resolver that had to wait for the attacker would ask over TCP.
    fault(&stage, "add no-tcp dns").ok();
    becomes(&stage, "www.foobar.com", FORGED);
    for _ in 0..20 {
        assert_ne!(resolved(&stage, "www.foobar.com"), RIGHT, "never, and not by luck");
    }
    becomes(&stage, "www.foobar.com AAAA", "100::99");
    // What is asked of addresses alone is forged; all else, and the ways beside it, are as ever.
    assert!(resolved(&stage, "foobar.com MX").contains("mail.foobar.com."));
    assert_eq!(short(&stage, "@8.8.8.8 www.foobar.com"), RIGHT);
    assert_eq!(short(&stage, "@192.0.2.53 com SOA"), dig(&stage, "@192.5.6.30 +short com SOA").trim());

    // The page's whole way is told as it was: the resolver was told so, and nobody is there.
    becomes(&stage, "www.foobar.com", FORGED);
    let told = stage.wwwlab(["path", "--json", "http://www.foobar.com/about.html"]);
    assert_ne!(told.code, 0, "{told:?}");
    let path: Value = serde_json::from_str(&told.out).unwrap();
    assert!(path["steps"].to_string().contains(FORGED), "{path}");

    // Who was poisoned stays so when the attacker has gone.
    assert_eq!(short(&stage, "@192.0.2.53 www.foobar.com"), FORGED);
    assert!(stage.wwwlab(["cache"]).ok().contains(FORGED));
    assert_eq!(attackers(&stage).len(), 1);
    fault(&stage, "clear").ok();
    assert_eq!(
        (attackers(&stage).len(), rules(&stage).as_str()),
        (0, ""),
        "nothing is left of it but the lie"
    );
    assert_eq!(short(&stage, "@192.0.2.53 www.foobar.com"), FORGED);
    becomes(&stage, "www.foobar.com", RIGHT);
    let curl = "curl -sS --max-time 30 -o /dev/null -w %{http_code} http://www.foobar.com/about.html";
    assert_eq!(on(&place(&stage, "client"), curl).ok(), "200");
}

#[test]
fn between_client_and_resolver_the_resolver_is_well() {
    let _turn = one_at_a_time();
    let stage = up();
    ready(&stage);
    fault(&stage, "add spoof client-resolver --name www.foobar.com --address 198.51.100.11").ok();
    // With what dig checks by itself: the identifier, the ports, the case of the name, its cookie. And both families are seen.
    let said = dig(&stage, "@192.0.2.53 +cookie wWw.fooBAR.com");
    assert!(said.contains("198.51.100.11") && said.contains("wWw.fooBAR.com."), "{said}");
    assert!(said.contains("flags: qr aa rd ra ad;"), "even that the answer is validated: {said}");
    assert!(!said.to_lowercase().contains("warning") && !said.contains(";; communications error"), "{said}");
    assert_eq!(short(&stage, "@2001:db8:2::53 www.foobar.com"), "198.51.100.11");
    let page = on(&place(&stage, "client"), "curl -sS --max-time 30 http://www.foobar.com/about.html");
    assert_ne!(page.code, 0, "{page:?}");
    // Other names are passed on; and over TCP there is no attack.
    assert_eq!(short(&stage, "@192.0.2.53 foobar.com"), RIGHT);
    assert_eq!(short(&stage, "@192.0.2.53 +tcp www.foobar.com"), RIGHT);
    assert!(!stage.wwwlab(["cache"]).ok().contains("198.51.100.11"), "the resolver was told the truth");
    fault(&stage, "clear").ok();
    assert_eq!(short(&stage, "@192.0.2.53 www.foobar.com"), RIGHT);
    assert_eq!((attackers(&stage).len(), rules(&stage).as_str()), (0, ""));
}

/// What the resolver can check it does not believe, whoever answers first. What it says of that goes over a way on which the
/// attacker may stand, too: there only who checks by himself is safe.
#[test]
fn signatures_stand_where_plain_dns_falls() {
    let _turn = one_at_a_time();
    let stage = up();
    ready(&stage);
    fault(&stage, "add spoof resolver-dns").ok();
    // Plain DNS falls.
    becomes(&stage, "www.foobar.com", FORGED);
    stage.wwwlab(["zone", "sign"]).ok();
    for name in ["www.foobar.com", "www.foobar.com AAAA", "foobar.com"] {
        flush(&stage);
        let said = dig(&stage, &format!("@192.0.2.53 {name}"));
        assert!(said.contains("status: SERVFAIL") && said.contains("EDE: "), "{said}");
        assert!(!said.contains(FORGED) && !said.contains("100::99"), "{said}");
    }
    assert!(!stage.wwwlab(["cache"]).ok().contains(FORGED));
    // Who asks not to be protected is not (RFC 4035 §3.2.2), and nobody else hears of it.
    assert_eq!(short(&stage, "@192.0.2.53 +cd www.foobar.com"), FORGED);
    let said = dig(&stage, "@192.0.2.53 www.foobar.com");
    assert!(said.contains("status: SERVFAIL") && !said.contains(FORGED), "{said}");
    fault(&stage, "clear").ok();
    flush(&stage);
    let said = dig(&stage, "@192.0.2.53 www.foobar.com");
    assert!(said.contains(" ad;") && said.contains(RIGHT), "{said}");

    fault(&stage, "add spoof client-resolver").ok();
    let said = dig(&stage, "@192.0.2.53 www.foobar.com");
    assert!(said.contains(" ad;") && said.contains(FORGED), "the last way is not protected: {said}");
    let anchor = state(&stage).join("dnssec/anchor.conf");
    let delv = || {
        let line = format!("delv -a {} @192.0.2.53 www.foobar.com", anchor.display());
        let Said { out, err, .. } = on(&place(&stage, "client"), &line);
        format!("{out}{err}")
    };
    let said = delv();
    assert!(!said.contains("fully validated") && !said.contains(FORGED), "{said}");
    fault(&stage, "clear").ok();
    let said = delv();
    assert!(said.contains("fully validated") && said.contains(RIGHT), "{said}");
}

/// The forged answer is first, the real one comes all the same, and both can be seen.
#[test]
fn both_answers_arrive_and_some_questions_can_be_spared() {
    let _turn = one_at_a_time();
    let stage = up();
    ready(&stage);
    fault(&stage, "add spoof client-resolver --every 2").ok();
    // The resolver's machine counts what leaves it: the real answer to the question that was forged, too.
    let resolver = place(&stage, "resolver");
    on(&resolver, "nft add table ip seen").ok();
    on(&resolver, "nft add chain ip seen out { type filter hook output priority 0 ; }").ok();
    on(&resolver, "nft add rule ip seen out udp sport 53 counter").ok();
    let answers: Vec<String> = (0..6).map(|_| short(&stage, "@192.0.2.53 www.foobar.com")).collect();
    assert_eq!(answers, [RIGHT, FORGED, RIGHT, FORGED, RIGHT, FORGED]);
    until("the real answers have left", || {
        on(&resolver, "nft list table ip seen").ok().contains("counter packets 6 ")
    });
    fault(&stage, "clear").ok();
}

#[test]
fn an_attacker_who_is_killed_is_followed_by_another_and_all_end_with_the_lab() {
    let _turn = one_at_a_time();
    let stage = up();
    ready(&stage);
    fault(&stage, "add spoof resolver-dns").ok();
    let [attacker] = attackers(&stage)[..] else { panic!("one is there: {:?}", attackers(&stage)) };
    kill(Pid::from_raw(attacker), Signal::SIGKILL).unwrap();
    until("another is there", || attackers(&stage).iter().any(|&other| other != attacker));
    becomes(&stage, "www.foobar.com", FORGED);
    until("it is told", || {
        let told = std::fs::read_to_string(state(&stage).join("journal.jsonl")).unwrap_or_default();
        told.contains("the attacker of fault 1 on resolver-dns has ended (killed by SIGKILL)")
    });
    let numbers = namespaces(&stage);
    stage.wwwlab(["down"]).ok();
    assert_eq!(processes_in(&numbers), Vec::<u32>::new());
    assert_eq!(attackers(&stage), Vec::<i32>::new());
}

#[test]
fn it_is_said_where_it_can_be_laid() {
    let loopback = Stage::up();
    let why = fault(&loopback, "add spoof resolver-dns").refused(1);
    assert!(why.contains("`wwwlab up --network hosts`"), "{why}");
    let why = fault(&loopback, "add spoof client-web").refused(1);
    assert!(why.contains("but on: client-resolver, resolver-dns, resolver-dns2"), "{why}");
    let _turn = one_at_a_time();
    let stage = on_hosts(Stage::new());
    stage.wwwlab(["up", "-d"]).ok();
    fault(&stage, "add spoof resolver-dns").ok();
    let why = fault(&stage, "add spoof resolver-dns --address 192.0.2.1").refused(1);
    assert!(why.contains("is laid on resolver-dns already (spoof)"), "{why}");
}
