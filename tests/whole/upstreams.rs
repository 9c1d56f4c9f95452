//! Several application servers behind one web server: who is asked, and what happens when one dies.

use std::process::{Child, Stdio};

use serde_json::Value;

use super::stage::{PROGRAM, Stage, free_port, until};

/// An application server of one's own, ended with the test.
struct App(Child);

impl App {
    fn start(stage: &Stage, port: u16) -> Self {
        let mut command = stage.command(PROGRAM);
        let database = format!("{port}.sqlite");
        command.args(["serve", "app", "--listen", &format!("127.0.0.1:{port}"), "--code", "app"]);
        command.args(["--database", &database, "--served-by", "server"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl App {
    fn die(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.die();
    }
}

#[test]
fn the_others_answer_for_one_that_died() {
    let stage = Stage::new();
    let ports = [free_port(), free_port()];
    stage.edit("lab.toml", |text| {
        let upstreams = format!(
            "[web]\nupstreams = [\"127.0.0.1:{}\", \"127.0.0.1:{},weight=2\"]\napp_check = \"100ms\"\n",
            ports[0], ports[1]
        );
        text.replacen("[web]", &upstreams, 1)
    });
    let mut apps = ports.map(|port| App::start(&stage, port));
    stage.wwwlab(["up", "-d"]).ok();
    let states = || -> Value { serde_json::from_str(&stage.wwwlab(["upstreams", "--json"]).ok()).unwrap() };
    let both_are_in = || states().as_array().unwrap().iter().all(|state| state["state"] == "in");
    until("both applications serve", || stage.page("/").0 == 200 && both_are_in());

    apps[1].die();
    for _ in 0..6 {
        assert_eq!(stage.page("/").0, 200, "{}", states());
    }
    until("it is out", || states()[1]["state"] != "in");
    let shown = stage.wwwlab(["upstreams"]).ok();
    assert!(shown.contains("APPLICATION") && shown.contains(&format!("127.0.0.1:{}", ports[1])), "{shown}");
    assert!(shown.contains("out") || shown.contains("fails checks"), "{shown}");

    apps[1] = App::start(&stage, ports[1]);
    // Who failed at requests is back when one tries it, whatever the checks say.
    until("it is back", || stage.page("/").0 == 200 && both_are_in());
    let before = states()[1]["requests"].as_u64().unwrap();
    until("it serves", || stage.page("/").0 == 200 && states()[1]["requests"].as_u64().unwrap() > before);
    assert!(stage.log("web").contains("is back"), "{}", stage.log("web"));
}

#[test]
fn the_labs_own_application_is_the_only_one_by_default() {
    let stage = Stage::up();
    assert_eq!(stage.page("/").0, 200);
    let states: Value = serde_json::from_str(&stage.wwwlab(["upstreams", "--json"]).ok()).unwrap();
    assert_eq!(states.as_array().unwrap().len(), 1);
    assert_eq!(states[0]["address"], format!("127.0.0.1:{}", stage.port("app")));
    assert_eq!((&states[0]["state"], &states[0]["requests"]), (&"in".into(), &1.into()));
    stage.wwwlab(["stop", "web"]).ok();
    assert!(stage.wwwlab(["upstreams"]).refused(1).contains("wwwlab start web"));
}
