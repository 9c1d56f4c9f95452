//! Services that die by themselves, or by a stranger's hand.

use super::stage::{Stage, signal, until};

#[test]
fn a_dead_service_stays_dead_and_is_seen() {
    let stage = Stage::up();
    signal(stage.pid("web"), "KILL");
    until("the death is seen", || stage.service("web")["state"] == "failed");
    assert!(stage.service("web")["detail"].as_str().unwrap().contains("SIGKILL"));
    assert!(stage.wwwlab(["status"]).ok().contains("killed by SIGKILL"));
    let said = stage.curl("http://www.foobar.com/");
    assert_eq!(said.code, 7, "curl's own code for a refused connection: {said:?}");
    stage.wwwlab(["start", "web"]).ok();
    assert_eq!(stage.page("/").0, 200);
}

#[test]
fn with_restart_on_failure_it_comes_back() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# restart = \"never\"", "restart = \"on-failure\""));
    stage.wwwlab(["up", "-d"]).ok();
    let first = stage.pid("web");
    signal(first, "KILL");
    until("it is back", || {
        let web = stage.service("web");
        web["state"] == "running" && web["pid"] != first
    });
    assert_eq!(stage.page("/").0, 200);
    // What was stopped on purpose stays stopped.
    stage.wwwlab(["stop", "web"]).ok();
    assert_eq!(stage.service("web")["state"], "stopped");
    assert_eq!(stage.curl("http://www.foobar.com/").code, 7);
}

#[test]
fn a_pause_from_outside_is_seen() {
    let stage = Stage::up();
    let pid = stage.pid("tld");
    signal(pid, "STOP");
    until("the pause is seen", || stage.service("tld")["state"] == "paused");
    signal(pid, "CONT");
    until("the end of the pause is seen", || stage.service("tld")["state"] == "running");
}

#[test]
fn a_lock_holder_that_is_killed_gives_the_database_back() {
    let stage = Stage::up();
    stage.wwwlab(["stop", "db"]).ok();
    assert_eq!(stage.page("/").0, 503);
    signal(stage.pid("db"), "KILL");
    until("the database is back", || stage.service("db")["state"] == "running");
    assert_eq!(stage.page("/").0, 200);
}
