//! `start|stop|restart|kill|pause|resume`: the symptoms are those of the operating system.

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};

use super::stage::{PATIENCE, Stage};

#[test]
fn stopped_refuses_paused_hangs_resumed_answers() {
    let stage = Stage::up();
    let web = (Ipv4Addr::LOCALHOST, stage.port("http"));
    stage.wwwlab(["stop", "web"]).ok();
    let error = TcpStream::connect(web).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(stage.service("web")["state"], "stopped");
    assert_eq!(stage.service("web")["pid"], serde_json::Value::Null);
    stage.wwwlab(["start", "web"]).ok();
    stage.wwwlab(["pause", "web"]).ok();
    assert_eq!(stage.service("web")["state"], "paused");
    TcpStream::connect(web).expect("the port of a paused service still accepts");
    let said = stage.curl("-m 0.3 http://www.foobar.com/about.html");
    assert_eq!(said.code, 28, "curl's own code for a time-out: {said:?}");
    stage.wwwlab(["resume", "web"]).ok();
    assert_eq!(stage.page("/about.html").0, 200);
}

#[test]
fn killed_resets_what_was_open() {
    let stage = Stage::up();
    let mut open = TcpStream::connect((Ipv4Addr::LOCALHOST, stage.port("http"))).unwrap();
    // Half a request is waiting to be read when the server dies: the kernel answers with a reset.
    std::io::Write::write_all(&mut open, b"GET / HTTP/1.1\r\nHost: www.foobar.com\r\n").unwrap();
    stage.wwwlab(["pause", "web"]).ok();
    std::io::Write::write_all(&mut open, b"X-More: unread\r\n").unwrap();
    stage.wwwlab(["kill", "web"]).ok();
    open.set_read_timeout(Some(PATIENCE)).unwrap();
    let error = open.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_stopped_name_server_is_refused_and_a_paused_one_times_out() {
    let stage = Stage::up();
    stage.wwwlab(["stop", "dns"]).ok();
    let refused = stage.dig("127.0.0.1", "www.foobar.com +timeout=1");
    assert!(refused.contains("connection refused"), "{refused}");
    stage.wwwlab(["start", "dns"]).ok();
    stage.wwwlab(["pause", "dns"]).ok();
    let silent = stage.dig("127.0.0.1", "www.foobar.com +timeout=1");
    assert!(silent.contains("timed out"), "{silent}");
    stage.wwwlab(["resume", "dns"]).ok();
    assert!(stage.dig("127.0.0.1", "www.foobar.com").contains("NOERROR"));
}

#[test]
fn a_restart_is_another_process() {
    let stage = Stage::up();
    for service in ["resolver", "root", "tld", "dns", "web", "app"] {
        let before = stage.pid(service);
        stage.wwwlab(["restart", service]).ok();
        assert_ne!(stage.pid(service), before, "{service}");
    }
    assert_eq!(stage.page("/").0, 200);
}

#[test]
fn a_paused_service_can_be_stopped() {
    let stage = Stage::up();
    stage.wwwlab(["pause", "app"]).ok();
    stage.wwwlab(["stop", "app"]).ok();
    assert_eq!(stage.service("app")["state"], "stopped");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_next_step() {
    let stage = Stage::up();
    assert!(stage.wwwlab(["start", "web"]).refused(1).contains("is up already"));
    stage.wwwlab(["stop", "web"]).ok();
    for verb in ["stop", "kill", "pause", "resume"] {
        assert!(stage.wwwlab([verb, "web"]).refused(1).contains("`wwwlab start web`"), "{verb}");
    }
    assert!(stage.wwwlab(["start", "db"]).refused(1).contains("there already"));
    assert!(stage.wwwlab(["start", "wbe"]).refused(2).contains("web"));
}
