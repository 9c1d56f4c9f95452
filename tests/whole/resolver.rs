//! The resolver: walks from the root, remembers, recovers, and never leaves the lab.

use super::stage::Stage;

#[test]
fn it_walks_from_the_root_to_the_answer() {
    let stage = Stage::up();
    let answer = stage.dig("127.0.0.2", "www.foobar.com");
    assert!(answer.contains(";; flags: qr rd ra;"), "recursion offered, no authority: {answer}");
    assert!(answer.contains("A\t127.0.0.1"), "{answer}");
    let walk = stage.wwwlab(["logs", "resolver"]).ok();
    for step in [
        "asks 127.0.0.3 com. NS → referral to com.",
        "asks 127.0.0.4 foobar.com. NS → referral to foobar.com.",
        "asks 127.0.0.1 www.foobar.com. A → NOERROR, 1 answer",
    ] {
        assert!(walk.contains(step), "{step:?} is missing:\n{walk}");
    }
    let second = stage.dig("127.0.0.2", "www.foobar.com");
    assert!(second.contains("A\t127.0.0.1"), "{second}");
}

#[test]
fn it_never_asks_anything_outside_the_lab() {
    let stage = Stage::new();
    // A delegation that leads out of the lab, to an address that is documentation's (RFC 5737).
    stage.edit("zones/loopback/foobar.com.zone", |zone| {
        format!("{zone}\noutside IN NS ns.outside.foobar.com.\nns.outside IN A 192.0.2.1\n")
    });
    stage.wwwlab(["up", "-d"]).ok();
    let answer = stage.dig("127.0.0.2", "www.outside.foobar.com +timeout=5");
    assert!(answer.contains("status: SERVFAIL"), "{answer}");
    let log = stage.log("resolver");
    assert!(log.contains("refuses to ask 192.0.2.1"), "{log}");
    // A name that no zone of the lab has ends at the lab's root.
    let answer = stage.dig("127.0.0.2", "www.example.org");
    assert!(answer.contains("status: NXDOMAIN"), "{answer}");
}

#[test]
fn it_recovers_when_a_name_server_is_back() {
    let stage = Stage::up();
    for server in ["dns", "tld", "root"] {
        stage.wwwlab(["stop", server]).ok();
        stage.wwwlab(["cache", "flush"]).ok();
        let answer = stage.dig("127.0.0.2", "www.foobar.com +timeout=5");
        assert!(answer.contains("status: SERVFAIL"), "without {server}: {answer}");
        stage.wwwlab(["start", server]).ok();
        let answer = stage.dig("127.0.0.2", "www.foobar.com +timeout=5");
        assert!(answer.contains("status: NOERROR"), "with {server} again: {answer}");
    }
}

#[test]
fn a_remembered_name_goes_on_answering_while_its_server_is_down() {
    let stage = Stage::up();
    stage.dig("127.0.0.2", "www.foobar.com");
    stage.wwwlab(["kill", "dns"]).ok();
    let answer = stage.dig("127.0.0.2", "www.foobar.com");
    assert!(answer.contains("A\t127.0.0.1"), "{answer}");
}

#[test]
fn a_paused_name_server_is_given_up_in_time_for_dig_to_hear_it() {
    let stage = Stage::up();
    stage.wwwlab(["pause", "dns"]).ok();
    let answer = stage.dig("127.0.0.2", "www.foobar.com +timeout=5");
    assert!(answer.contains("status: SERVFAIL"), "{answer}");
}

#[test]
fn it_answers_over_tcp_and_to_those_who_do_not_want_recursion() {
    let stage = Stage::up();
    let cold = stage.dig("127.0.0.2", "www.foobar.com +norec");
    assert!(cold.contains("status: REFUSED"), "nothing is remembered yet: {cold}");
    let answer = stage.dig("127.0.0.2", "www.foobar.com +tcp");
    assert!(answer.contains("A\t127.0.0.1") && answer.contains("(TCP)"), "{answer}");
    let warm = stage.dig("127.0.0.2", "www.foobar.com +norec");
    assert!(warm.contains("A\t127.0.0.1"), "{warm}");
}
