//! Ports that are taken, and ports that are told.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use super::stage::{Stage, free_port};

#[test]
fn a_taken_port_names_its_holder_and_the_remedy() {
    let stage = Stage::new();
    let port = free_port();
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    stage.set_ports(&format!("[ports]\ndns = 0\nhttp = {port}\napp = 0\n"));
    let refused = stage.wwwlab(["up", "-d"]).refused(1);
    let pid = std::process::id();
    assert!(refused.contains(&format!("port {port} for HTTP is taken: ")), "{refused}");
    assert!(
        refused.contains(&format!("(pid {pid})")) && refused.contains("[ports] in lab.toml"),
        "{refused}"
    );
    assert!(!stage.state().join("lock").exists(), "what did not come up holds nothing");
    drop(holder);
    stage.wwwlab(["up", "-d"]).ok();
    assert_eq!(stage.port("http"), port);
}

#[test]
fn one_taken_address_is_enough_and_udp_counts() {
    let stage = Stage::new();
    let port = free_port();
    let _holder = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 4), port)).unwrap();
    stage.set_ports(&format!("[ports]\ndns = {port}\nhttp = 0\napp = 0\n"));
    let refused = stage.wwwlab(["up"]).refused(1);
    assert!(refused.contains("127.0.0.4/udp"), "{refused}");
}

#[test]
fn two_labs_stand_side_by_side() {
    let (one, other) = (Stage::up(), Stage::up());
    assert_ne!(one.port("dns"), other.port("dns"));
    one.wwwlab(["kill", "web"]).ok();
    assert_eq!(other.page("/").0, 200);
}

#[test]
fn dig_is_shown_whole_and_knows_the_servers_by_name() {
    let stage = Stage::up();
    let port = stage.port("dns");
    let said = stage.wwwlab(["dig", "@root", "www.foobar.com", "+norec"]);
    assert!(said.err.contains(&format!("$ dig @127.0.0.3 -p {port} www.foobar.com +norec")), "{said:?}");
    assert!(said.out.contains("com.") && said.out.contains("a.gtld-servers.test."), "{said:?}");
    let said = stage.wwwlab(["dig", "+short", "www.foobar.com"]);
    assert!(said.err.contains(&format!("$ dig @127.0.0.2 -p {port} +short www.foobar.com")), "{said:?}");
    assert_eq!(said.out, "127.0.0.1\n");
    let refused = stage.wwwlab(["dig", "@nobody", "www.foobar.com"]).refused(1);
    assert!(refused.contains("@nobody is no server of the lab: @resolver"), "{refused}");
    let elsewhere = stage.wwwlab(["dig", "@127.0.0.9", "+tries=1", "+timeout=1", "www.foobar.com"]);
    assert!(elsewhere.err.contains("$ dig @127.0.0.9 +tries=1"), "no port of the lab's: {elsewhere:?}");
}
