//! The commands around the lab: new, doctor, logs, completions, man, and what happens without a lab.

use std::fs;

use super::stage::{PROGRAM, Stage, until};

#[test]
fn new_writes_a_lab_and_nothing_over_anything() {
    let stage = Stage::new();
    for part in ["lab.toml", "zones/loopback/foobar.com.zone", "site/about.html", "app/templates/home.html"] {
        assert!(stage.root().join(part).is_file(), "{part}");
    }
    let refused = stage.wwwlab(["new", "."]).refused(1);
    assert!(refused.contains("not empty"), "{refused}");
}

#[test]
fn without_a_lab_every_command_says_what_to_do() {
    let stage = Stage::new();
    for arguments in [
        ["status"].as_slice(),
        &["cache"],
        &["upstreams"],
        &["queries"],
        &["zone", "list"],
        &["stop", "web"],
        &["dig", "www.foobar.com"],
        &["curl", "http://www.foobar.com/"],
    ] {
        let refused = stage.wwwlab(arguments).refused(3);
        assert!(refused.contains("is not up") && refused.contains("`wwwlab up`"), "{arguments:?}: {refused}");
    }
    let refused = stage.wwwlab(["status", "--lab", "/nonexistent"]).refused(1);
    assert!(refused.contains("wwwlab new"), "{refused}");
}

#[test]
fn doctor_finds_the_tools_and_names_remedies() {
    let stage = Stage::new();
    stage.set_ports("[ports]\n");
    let findings: serde_json::Value = serde_json::from_str(&stage.wwwlab(["doctor", "--json"]).out).unwrap();
    let find = |subject: &str| {
        let all = findings.as_array().unwrap();
        all.iter()
            .find(|finding| finding["subject"] == subject)
            .unwrap_or_else(|| panic!("no {subject}: {findings}"))
    };
    for subject in [
        "lab",
        "state",
        "port 53",
        "port 80",
        "port 3000",
        "resolv.conf",
        "dig",
        "curl",
        "delv",
        "sqlite3",
        "namespaces",
        "ping",
        "nft",
        "tc",
        "tcpdump",
    ] {
        let finding = find(subject);
        let good = finding["verdict"] == "good";
        assert_eq!(good, finding["remedy"] == "", "what is not good has a remedy: {finding}");
    }
    assert_eq!(find("dig")["verdict"], "good");
    // Without tools in PATH their remedy is the package.
    let mut command = stage.command(PROGRAM);
    let said = command.args(["doctor"]).env("PATH", "/nonexistent").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("apt install bind9-dnsutils") && said.contains("apt install curl"), "{said}");
    assert!(said.contains("apt install iputils-ping") && said.contains("apt install tcpdump"), "{said}");
    assert!(said.contains("apt install sqlite3"), "{said}");
}

#[test]
fn doctor_fails_for_a_lab_that_cannot_come_up() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("[web] ", "[wbe] "));
    let said = stage.wwwlab(["doctor"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("did you mean `web`?"), "{said:?}");
}

#[test]
fn logs_show_one_service_or_all_and_follow() {
    let stage = Stage::up();
    stage.page("/");
    until("both have logged", || stage.log("web").contains("GET") && stage.log("app").contains("GET"));
    let web = stage.wwwlab(["logs", "web"]).ok();
    assert!(web.contains("GET www.foobar.com/ → 200 by app") && !web.contains("by home"), "{web}");
    let all = stage.wwwlab(["logs"]).ok();
    assert!(all.contains("by home") && all.contains("zone foobar.com. in service"), "{all}");
    let times: Vec<&str> = all.lines().filter_map(|line| line.get(9..33)).collect();
    assert!(times.is_sorted(), "{all}");
    assert_eq!(stage.wwwlab(["logs", "-n", "1"]).ok().lines().count(), 1);

    let mut command = stage.command(PROGRAM);
    let mut following =
        command.args(["logs", "dns", "-f", "-n", "0"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut reader = std::io::BufReader::new(following.stdout.take().unwrap());
    stage.dig("127.0.0.1", "www.foobar.com");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert!(line.contains("asks www.foobar.com. A"), "{line}");
    stage.wwwlab(["down"]).ok();
    assert_eq!(following.wait().unwrap().code(), Some(3), "it ends with the lab");
}

#[test]
fn completions_and_the_manual_are_made_from_the_arguments() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(stage.wwwlab(["completions", shell]).ok().contains("wwwlab"), "{shell}");
    }
    assert!(stage.wwwlab(["man"]).ok().contains(".TH wwwlab"));
    let up = stage.wwwlab(["man", "up"]).ok();
    assert!(up.contains("wwwlab\\-up") && up.contains("detach"), "{up}");
    assert!(stage.wwwlab(["man", "upp"]).refused(1).contains("wwwlab help"));
    // Whoever closes the pipe early gets no panic.
    let said = stage.run("sh", ["-c", &format!("{PROGRAM} completions bash | head -1")]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let stage = Stage::up();
    assert!(!stage.wwwlab(["status"]).ok().contains('\u{1b}'), "a pipe gets none");
    let on_terminal = |variables: &str| {
        let line = format!("{variables} {PROGRAM} status");
        stage.run("script", ["-qec", &line, "/dev/null"]).ok()
    };
    assert!(on_terminal("TERM=xterm-256color").contains('\u{1b}'));
    assert!(!on_terminal("NO_COLOR=1 TERM=xterm-256color").contains("\u{1b}[3"));
}

#[test]
fn the_state_is_the_users_own() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::up();
    let mode = |path: &str| fs::metadata(stage.state().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("."), 0o700);
    assert_eq!(mode("control"), 0o600);
    stage.page("/");
    assert_eq!(mode("db/foobar.sqlite"), 0o600);
}
