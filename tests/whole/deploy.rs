//! `wwwlab deploy`: another version of the application's files, in service without losing a request.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use super::apps::several;
use super::stage::{Stage, signal, until};

/// Another version of the lab's files, in a directory `name` of the lab.
pub(super) fn version(stage: &Stage, name: &str) {
    let copied = stage.run("cp", ["-r", "app", name]);
    assert_eq!(copied.code, 0, "{copied:?}");
    stage.edit(&format!("{name}/VERSION"), |_| format!("{name}\n"));
    stage.edit(&format!("{name}/templates/home.html"), |page| {
        page.replace("You found", &format!("{name} greets at"))
    });
}

/// The release in service.
pub(super) fn chosen(stage: &Stage) -> Value {
    let list: Value = serde_json::from_str(&stage.wwwlab(["deploy", "--list", "--json"]).ok()).unwrap();
    let mut chosen = list.as_array().unwrap().iter().filter(|release| release["chosen"] == true);
    let one = chosen.next().expect("one is chosen").clone();
    assert!(chosen.next().is_none(), "{list}");
    one
}

#[test]
fn a_deployed_version_is_served_shown_kept_and_taken_back() {
    let stage = Stage::up();
    version(&stage, "v2");
    version(&stage, "v3");
    let process = stage.pid("app");
    assert_eq!(
        stage.wwwlab(["deploy", "v2"]).ok(),
        "version v2 of the application is in service, after version 1\n"
    );
    let said: Value = serde_json::from_str(&stage.wwwlab(["deploy", "v3", "--json"]).ok()).unwrap();
    assert_eq!(
        (&said["version"], &said["former"], &said["served"]),
        (&"v3".into(), &"v2".into(), &true.into())
    );

    let home = stage.page("/").1;
    assert!(home.contains("v3 greets at www.foobar.com") && home.contains("by version v3"), "{home}");
    assert!(stage.page("/whoami").1.contains("version  v3"));
    assert_eq!(stage.service("app")["version"], "v3");
    assert!(stage.wwwlab(["status"]).ok().contains("app: version v3 of its files"));
    assert_eq!(stage.pid("app"), process, "nothing was restarted");
    until("it is told", || {
        stage.log("app").contains("version v3 of the application in service, after version v2")
    });
    assert_eq!(chosen(&stage)["release"], 2);

    // What was deployed is a copy: what becomes of the original changes nothing.
    fs::remove_dir_all(stage.root().join("v3")).unwrap();
    stage.wwwlab(["restart", "app"]).ok();
    assert!(stage.page("/").1.contains("v3 greets"));
    assert_eq!(stage.service("app")["version"], "v3");

    assert_eq!(
        stage.wwwlab(["deploy", "--back"]).ok(),
        "version v2 of the application is in service, after version v3\n"
    );
    assert!(stage.page("/").1.contains("v2 greets"));
    stage.wwwlab(["deploy", "--back"]).ok();
    assert!(stage.page("/").1.contains("You found"));
    assert_eq!(chosen(&stage)["release"], 0);
    assert!(stage.wwwlab(["deploy", "--back"]).refused(1).contains("nothing was deployed"));
}

/// Whatever moment an application dies at, what is shown, what is kept and what is served are the same version.
#[test]
fn an_application_that_dies_while_it_is_told_serves_what_is_said() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# restart = \"never\"", "restart = \"on-failure\""));
    version(&stage, "v2");
    version(&stage, "v3");
    stage.wwwlab(["up", "-d"]).ok();
    for round in 0..6 {
        let app = stage.pid("app");
        let next = ["v2", "v3"][round % 2];
        let said = thread::scope(|scope| {
            let deploying = scope.spawn(|| stage.wwwlab(["deploy", next]));
            signal(app, "KILL");
            deploying.join().unwrap()
        });
        until("it is back", || {
            let app_now = stage.service("app");
            app_now["state"] == "running" && app_now["pid"] != app
        });
        // Who was told that it began anew with the former one does what is said.
        if said.code != 0 && said.err.contains("wwwlab restart app") {
            stage.wwwlab(["restart", "app"]).ok();
        }
        let served = stage.page("/whoami").1;
        let kept = chosen(&stage)["version"].as_str().unwrap().to_owned();
        assert!(served.contains(&format!("version  {kept}\n")), "{kept} is kept: {served}{said:?}");
        assert_eq!(stage.service("app")["version"], kept.as_str(), "{said:?}");
        assert!(said.code != 0 || kept == next, "{said:?}");
    }
}

#[test]
fn a_broken_version_changes_nothing_and_its_place_is_told() {
    let stage = Stage::up();
    for (file, text, place) in [
        ("templates/home.html", "<h1>\n{% if %}\n", "broken/templates/home.html:2"),
        ("templates/edit.html", "{% extends \"frame.html\" %}", "broken/templates/edit.html:1"),
        ("VERSION", "\n", "broken/VERSION"),
    ] {
        version(&stage, "broken");
        stage.edit(&format!("broken/{file}"), |_| text.into());
        let why = stage.wwwlab(["deploy", "broken"]).refused(2);
        assert!(why.contains(place) && why.contains("nothing was changed"), "{why}");
        assert!(stage.page("/").1.contains("You found"));
        fs::remove_dir_all(stage.root().join("broken")).unwrap();
    }
    assert!(stage.wwwlab(["deploy", "nowhere"]).refused(2).contains("nowhere"));
    assert_eq!(chosen(&stage)["release"], 0);
    stage.wwwlab(["restart", "app"]).ok();
    assert!(stage.page("/").1.contains("You found"));
}

#[test]
fn what_is_down_serves_it_when_it_comes_up() {
    let stage = Stage::new();
    version(&stage, "v2");
    version(&stage, "v3");
    let said = stage.wwwlab(["deploy", "v2"]).ok();
    assert!(
        said.starts_with("version v2 of the application is kept: ")
            && said.ends_with("wwwlab up serves it\n"),
        "{said}"
    );
    stage.wwwlab(["up", "-d"]).ok();
    assert!(stage.page("/").1.contains("v2 greets"));

    stage.wwwlab(["pause", "app"]).ok();
    assert!(stage.wwwlab(["deploy", "v3"]).refused(1).contains("`wwwlab resume app`"));
    assert_eq!(chosen(&stage)["version"], "v2");
    stage.wwwlab(["stop", "app"]).ok();
    assert!(stage.wwwlab(["deploy", "v3"]).ok().contains("wwwlab start app serves it"));
    stage.wwwlab(["start", "app"]).ok();
    assert!(stage.page("/").1.contains("v3 greets"));
}

#[test]
fn each_way_brings_the_new_version_and_keeps_it() {
    let stage = Stage::up();
    version(&stage, "v2");
    version(&stage, "v3");
    let (first, port) = (stage.pid("app"), stage.port("app"));
    let said: Value =
        serde_json::from_str(&stage.wwwlab(["deploy", "v2", "--how", "blue-green", "--json"]).ok()).unwrap();
    assert_eq!((&said["how"], &said["unfinished"]), (&"blue-green".into(), &0.into()));
    let second = stage.pid("app");
    assert!(second != first && stage.port("app") != port, "another process at another port");
    assert!(stage.page("/").1.contains("v2 greets"));
    assert_eq!(stage.service("app")["version"], "v2");
    assert!(stage.wwwlab(["upstreams"]).ok().contains(&format!(":{} ", stage.port("app"))));
    assert!(!std::path::Path::new(&format!("/proc/{first}")).exists(), "the former one has ended");
    assert!(stage.log("app").contains("version v2 of the application in service, after version 1"));
    assert!(stage.log("web").contains("requests go to the application at"));

    // A web server that starts, and an application that starts, find it so.
    stage.wwwlab(["restart", "web"]).ok();
    assert!(stage.page("/").1.contains("v2 greets"));
    stage.wwwlab(["restart", "app"]).ok();
    assert!(stage.page("/").1.contains("v2 greets"));

    let second = stage.pid("app");
    let said = stage.wwwlab(["deploy", "v3", "--how", "restart"]).ok();
    assert_eq!(said, "version v3 of the application is in service, after version v2\n");
    assert!(stage.pid("app") != second && stage.page("/").1.contains("v3 greets"));
    assert_eq!(chosen(&stage)["version"], "v3");
    stage.wwwlab(["deploy", "--back", "--how", "blue-green"]).ok();
    assert_eq!(stage.port("app"), port, "back at the first port");
    assert!(stage.page("/").1.contains("v2 greets"));

    let rolling = stage.wwwlab(["deploy", "v3", "--how", "rolling"]).refused(1);
    assert!(rolling.contains("one process") && rolling.contains("--how blue-green"), "{rolling}");
    assert!(stage.wwwlab(["deploy"]).refused(2).contains("which version?"));
    assert_eq!(chosen(&stage)["version"], "v2");
}

#[test]
fn a_web_server_that_stands_still_keeps_the_former_and_one_that_is_down_finds_the_new() {
    let stage = Stage::up();
    version(&stage, "v2");
    let (first, port) = (stage.pid("app"), stage.port("app"));
    stage.wwwlab(["pause", "web"]).ok();
    assert!(stage.wwwlab(["deploy", "v2", "--how", "blue-green"]).refused(1).contains("`wwwlab resume web`"));
    stage.wwwlab(["resume", "web"]).ok();
    assert_eq!((stage.pid("app"), stage.port("app")), (first, port));
    assert!(stage.page("/").1.contains("You found"));
    assert_eq!(chosen(&stage)["release"], 0);
    // Without a web server nobody needs to be told.
    stage.wwwlab(["stop", "web"]).ok();
    stage.wwwlab(["deploy", "v2", "--how", "blue-green"]).ok();
    stage.wwwlab(["start", "web"]).ok();
    assert!(stage.page("/").1.contains("v2 greets"));
}

#[test]
fn no_request_is_lost_by_reload() {
    none_is_lost(&Stage::new(), "reload");
}

#[test]
fn no_request_is_lost_by_blue_green() {
    none_is_lost(&Stage::new(), "blue-green");
}

#[test]
fn no_request_is_lost_by_rolling() {
    none_is_lost(&several(2), "rolling");
}

fn none_is_lost(stage: &Stage, how: &str) {
    stage.wwwlab(["up", "-d"]).ok();
    version(stage, "v2");
    let (port, done) = (stage.port("http"), AtomicBool::new(false));
    let statuses = thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| ask_until(port, &done))).collect();
        for _ in 0..5 {
            stage.wwwlab(["deploy", "v2", "--how", how]).ok();
            stage.wwwlab(["deploy", "--back", "--how", how]).ok();
        }
        done.store(true, Ordering::Relaxed);
        asking.into_iter().flat_map(|asker| asker.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(statuses.len() > 40, "{}", statuses.len());
    assert!(statuses.iter().all(|status| status == "HTTP/1.1 200 OK"), "{statuses:?}");
}

/// Asks for the login page over one connection, again and again; the status lines.
fn ask_until(port: u16, done: &AtomicBool) -> Vec<String> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let mut statuses = Vec::new();
    while !done.load(Ordering::Relaxed) {
        stream.get_mut().write_all(b"GET /login HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n").unwrap();
        let (mut status, mut length) = (String::new(), 0);
        stream.read_line(&mut status).unwrap();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut page = vec![0; length];
        stream.read_exact(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains("by version 1 ") || page.contains("by version v2 "), "{page}");
        statuses.push(status.trim_end().to_owned());
    }
    statuses
}
