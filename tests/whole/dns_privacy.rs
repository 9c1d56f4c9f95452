//! DNS over TLS, HTTPS and QUIC as the real dig, kdig, curl and openssl meet them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::hosts::one_at_a_time;
use super::stage::{PROGRAM, Said, Stage, until};

/// The question for www.foobar.com A, with the number 1, behind its length.
const FRAMED: &[u8] =
    b"\x00\x20\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x06foobar\x03com\x00\x00\x01\x00\x01";

/// A lab that is not up, whose ports are free ones.
pub(crate) fn stage() -> Stage {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replacen("[ports]\n", "[ports]\nhttps = 0\ndot = 0\n", 1));
    stage
}

/// A lab of which DNS is asked in private.
fn private() -> Stage {
    private_on(stage())
}

/// `stage`, up, and DNS is asked in private of it.
pub(crate) fn private_on(stage: Stage) -> Stage {
    stage.edit("lab.toml", |text| {
        let text = text.replacen("# doh = false", "doh = true   ", 1);
        text.replace("# dot = false", "dot = true   ").replace("# doq = false", "doq = true   ")
    });
    stage.wwwlab(["up", "-d"]).ok();
    // On a machine that has much else to do the first walk may end in vain.
    until("the name is found", || stage.dig("127.0.0.2", "www.foobar.com").contains("status: NOERROR"));
    stage
}

fn authority(stage: &Stage) -> String {
    stage.root().join("certs/ca.pem").display().to_string()
}

/// What the status says of one service.
fn of(stage: &Stage, service: &str) -> Value {
    let status = stage.status();
    let services = status["private"]["services"].as_array().expect("DNS is asked in private");
    services.iter().find(|one| one["service"] == service).unwrap_or_else(|| panic!("no {service}")).clone()
}

fn url(stage: &Stage) -> String {
    of(stage, "resolver")["https"][0].as_str().unwrap().to_owned()
}

pub(crate) fn https(stage: &Stage) -> SocketAddr {
    url(stage).trim_start_matches("https://").trim_end_matches("/dns-query").parse().unwrap()
}

pub(crate) fn tls(stage: &Stage, service: &str) -> SocketAddr {
    of(stage, service)["tls"][0].as_str().unwrap().parse().unwrap()
}

/// dig or kdig at `address`, who believe the lab's authority and say whom they expect.
pub(crate) fn ask(stage: &Stage, tool: &str, address: SocketAddr, host: &str, line: &str) -> Said {
    let (at, port) = (format!("@{}", address.ip()), address.port().to_string());
    let trust = [format!("+tls-ca={}", authority(stage)), format!("+tls-hostname={host}")];
    let words = [&*at, "-p", &port, &trust[0], &trust[1], "+retry=0"].into_iter().chain(line.split(' '));
    stage.run(tool, words)
}

/// The real curl asks at the resolver's HTTPS port, and believes the lab.
fn doh(stage: &Stage, more: &[&str]) -> Said {
    let mut command = stage.command("curl");
    command.args(["-sS", "--noproxy", "*", "--cacert", &authority(stage)]).args(more);
    Said::from(command.output().unwrap())
}

#[test]
fn dig_and_kdig_ask_the_resolver_and_the_name_server_in_private() {
    let stage = private();
    let (dot, doh) = (tls(&stage, "resolver"), https(&stage));
    for (tool, address, line) in [
        ("dig", dot, "+tls www.foobar.com A +short"),
        ("dig", doh, "+https www.foobar.com A +short"),
        ("dig", doh, "+https-get www.foobar.com A +short"),
        ("kdig", dot, "+tls www.foobar.com A +short"),
        // At the same port of UDP.
        ("kdig", dot, "+quic www.foobar.com A +short"),
        ("kdig", doh, "+https www.foobar.com A +short"),
        ("kdig", doh, "+https +https-get www.foobar.com A +short"),
    ] {
        let said = ask(&stage, tool, address, "resolver.foobar.com", line).ok();
        assert_eq!(said.trim(), "127.0.0.1", "{tool} {line}");
    }
    let dns = tls(&stage, "dns");
    let said = ask(&stage, "kdig", dns, "ns1.foobar.com", "+tls +norecurse www.foobar.com A").ok();
    assert!(said.contains("TLS1.3") && said.contains("Flags: qr aa;"), "{said}");
    let said = ask(&stage, "kdig", dns, "ns1.foobar.com", "+quic +norecurse www.foobar.com A").ok();
    assert!(said.contains("QUIC") && said.contains("Flags: qr aa;"), "{said}");
    // A whole zone as well: many records, and nobody on the way has them (RFC 9103).
    let zone = ask(&stage, "dig", dns, "ns1.foobar.com", "+tls foobar.com AXFR +short").ok();
    assert!(zone.lines().count() > 10 && zone.contains("mail.foobar.com."), "{zone}");

    // It is told by which transport each question came, and counted so.
    until("the journal tells it", || {
        let log = stage.log("resolver");
        log.contains("www.foobar.com. A (tls) → NOERROR")
            && log.contains("www.foobar.com. A (https) → NOERROR")
            && log.contains("www.foobar.com. A (quic) → NOERROR")
    });
    let queries: Value = serde_json::from_str(&stage.wwwlab(["queries", "dns", "--json"]).ok()).unwrap();
    assert_eq!(queries[0]["tls"]["answered"], 2, "{queries}");
    assert_eq!(queries[0]["quic"]["answered"], 1, "{queries}");
    assert!(queries[0]["https"].is_null(), "{queries}");
    assert!(stage.wwwlab(["queries", "dns"]).ok().contains("dns     tls          2"));
    let metrics = stage.wwwlab(["metrics", "resolver"]).ok();
    let counted = "wwwlab_dns_queries_total{service=\"resolver\",transport=\"https\",type=\"A\"} 4";
    assert!(metrics.contains(counted), "{metrics}");
    let status = stage.wwwlab(["status"]).ok();
    for part in
        [&url(&stage), &format!("over TLS at {dot}"), &format!("dns: asked in private over TLS at {dns}")]
    {
        assert!(status.contains(part.as_str()), "{part}: {status}");
    }
}

/// How long an answer is, in octets, by what kdig or dig says below it.
fn octets(said: &str) -> usize {
    let words = [";; Received ", ";; MSG SIZE  rcvd: "];
    let size = said.lines().find_map(|line| words.iter().find_map(|word| line.strip_prefix(word)));
    let size = size.and_then(|rest| rest.split(' ').next()).and_then(|size| size.parse().ok());
    size.unwrap_or_else(|| panic!("no size: {said}"))
}

#[test]
fn answers_to_padded_questions_are_as_long_as_others_and_only_where_nobody_reads_along() {
    const BLOCK: usize = 468;
    let stage = private();
    let (dot, doh, dns) = (tls(&stage, "resolver"), https(&stage), tls(&stage, "dns"));
    for (address, host, line) in [
        (dot, "resolver.foobar.com", "+tls"),
        (doh, "resolver.foobar.com", "+https"),
        (dot, "resolver.foobar.com", "+quic"),
        (dns, "ns1.foobar.com", "+tls +norecurse"),
        (dns, "ns1.foobar.com", "+quic +norecurse"),
    ] {
        // What is there, and what is not: who sees the lengths cannot tell the one from the other.
        for name in ["www.foobar.com", "a-name-that-is-not-there.foobar.com"] {
            let said = ask(&stage, "kdig", address, host, &format!("{line} +padding=128 {name} A")).ok();
            assert_eq!(octets(&said), BLOCK, "{line} {name}: {said}");
            assert!(said.contains("PADDING: "), "{said}");
            let said = ask(&stage, "kdig", address, host, &format!("{line} +nopadding +edns {name} A")).ok();
            assert!(octets(&said) < BLOCK && !said.contains("PADDING: "), "{line} {name}: {said}");
        }
    }
    // In the clear it would hide nothing.
    let plain = stage.port("dns").to_string();
    for transport in ["+notcp", "+tcp"] {
        let words = ["@127.0.0.2", "-p", &plain, transport, "+padding=128", "www.foobar.com", "A"];
        let said = stage.run("dig", words).ok();
        assert!(octets(&said) < BLOCK && said.contains("status: NOERROR"), "{said}");
    }
}

#[test]
fn who_is_not_told_whom_to_trust_or_expects_another_does_not_ask() {
    let stage = private();
    let address = tls(&stage, "resolver");
    let said = ask(&stage, "kdig", address, "www.example.org", "+tls www.foobar.com A +short");
    assert!(!said.out.contains("127.0.0.1"), "it is another: {said:?}");
    let curl = stage
        .command("curl")
        .env_remove("CURL_CA_BUNDLE")
        .env_remove("SSL_CERT_FILE")
        .args(["-sS", "--noproxy", "*", "--doh-url", &url(&stage), "http://www.foobar.com/"])
        .output();
    assert_ne!(Said::from(curl.unwrap()).code, 0);
    until("both are told at this end", || stage.log("resolver").matches("cannot speak TLS").count() >= 2);
}

#[test]
fn the_real_curl_finds_the_lab_by_itself() {
    let stage = private();
    let page = format!("http://www.foobar.com:{}/", stage.port("http"));
    let said = doh(
        &stage,
        &["--doh-url", &url(&stage), "-o", "/dev/null", "-w", "%{http_code} %{remote_ip}", &page],
    );
    assert_eq!(said.ok(), "200 127.0.0.1");
    // wwwlab's own curl does the same, and shows it.
    let said =
        stage.wwwlab(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://www.foobar.com/"]);
    let line = format!("--doh-url {}", url(&stage));
    assert!(said.err.contains(&line) && said.err.contains("--cacert"), "{}", said.err);
    assert_eq!(said.ok(), "200");
    let followed =
        stage.wwwlab(["curl", "-sL", "-o", "/dev/null", "-w", "%{http_code}", "http://foobar.com/"]);
    assert_eq!(followed.ok(), "200");
    let none = stage.wwwlab(["curl", "-s", "http://nobody.foobar.com/"]);
    assert_eq!(none.code, 6, "{none:?}");
    // Who says how names are found is not told otherwise.
    let resolve = format!("www.foobar.com:{}:127.0.0.1", stage.port("http"));
    let said =
        stage.wwwlab(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--resolve", &resolve, &page]);
    assert!(!said.err.contains("--doh-url"), "{}", said.err);
    assert_eq!(said.ok(), "200");
}

#[test]
fn rfc8484_each_request_has_the_status_that_it_deserves() {
    let stage = private();
    let url = url(&stage);
    let question = stage.root().join("question");
    std::fs::write(&question, &FRAMED[2..]).unwrap();
    let body = format!("@{}", question.display());
    let long = stage.root().join("long");
    std::fs::write(&long, vec![0; 65_536]).unwrap();
    let too_long = format!("@{}", long.display());
    let get = format!("{url}?dns=AAEBAAABAAAAAAAAA3d3dwZmb29iYXIDY29tAAABAAE");
    let message = "Content-Type: application/dns-message";
    for version in ["--http1.1", "--http2"] {
        for (more, expected) in [
            (&[&*get][..], "200 application/dns-message"),
            (&[&*get, "-H", "Accept: */*"], "200 application/dns-message"),
            (&[&*get, "-H", "Accept: text/html"], "200 application/dns-message"),
            (&[&*get, "-I"], "200 application/dns-message"),
            (&[&*url, "-H", message, "--data-binary", &body], "200 application/dns-message"),
            (&[&*url], "400 text/plain"),
            (&[&*format!("{get}=")], "400 text/plain"),
            (&[&*url.replace("/dns-query", "/")], "404 text/plain"),
            (&[&*url, "-X", "PUT"], "405 text/plain"),
            (&[&*url, "-H", message, "--data-binary", &too_long], "413 text/plain"),
            (&[&*url, "--data-binary", &body], "415 text/plain"),
        ] {
            let show = ["-o", "/dev/null", "-w", "%{http_code} %{content_type}", version];
            let said = doh(&stage, &[&show[..], more].concat());
            assert!(said.out.starts_with(expected), "{version} {more:?}: {said:?}");
        }
        let headers = doh(&stage, &[version, "-D", "-", "-o", "/dev/null", &get]).ok().to_ascii_lowercase();
        let age = headers.lines().find_map(|line| line.strip_prefix("cache-control: max-age="));
        let age: u32 = age.unwrap_or_else(|| panic!("{headers}")).trim().parse().unwrap();
        assert!((1..=300).contains(&age), "not longer than the record: {headers}");
    }
}

#[test]
fn what_is_cut_in_a_datagram_comes_whole() {
    let stage = stage();
    stage.edit("lab.toml", |text| text.replacen("# doh = false", "doh = true   ", 1));
    let text = format!("\"{}\"", "x".repeat(250));
    let record = format!("long TXT {}\n", [&*text; 12].join(" "));
    stage.edit("zones/loopback/foobar.com.zone", |zone| zone + &record);
    stage.wwwlab(["up", "-d"]).ok();
    let cut = stage.dig("127.0.0.2", "+ignore +notcp long.foobar.com TXT");
    assert!(cut.contains("flags: qr tc"), "{cut}");
    let whole =
        ask(&stage, "dig", https(&stage), "resolver.foobar.com", "+https long.foobar.com TXT +short").ok();
    assert_eq!(whole.matches('x').count(), 12 * 250, "{whole}");
}

#[test]
fn it_is_off_until_it_is_wished_and_off_again() {
    let stage = stage();
    stage.wwwlab(["up", "-d"]).ok();
    assert!(stage.status()["private"].is_null());
    let said = stage.wwwlab(["curl", "-s", "-o", "/dev/null", "http://www.foobar.com/"]);
    assert!(!said.err.contains("--doh-url"), "{}", said.err);
    stage.wwwlab(["secure"]).ok();
    assert!(stage.status()["private"].is_null(), "HTTPS alone");
    let said = stage.wwwlab(["secure", "--dns"]).ok();
    assert!(said.contains(&url(&stage)), "{said}");
    let (dot, doh, dns) = (tls(&stage, "resolver"), https(&stage), tls(&stage, "dns"));
    ask(&stage, "dig", dot, "resolver.foobar.com", "+tls www.foobar.com").ok();
    // A service that is started anew is asked so again, at the same place.
    stage.wwwlab(["restart", "resolver"]).ok();
    assert_eq!((tls(&stage, "resolver"), https(&stage)), (dot, doh));
    let address = ask(&stage, "dig", doh, "resolver.foobar.com", "+https www.foobar.com +short").ok();
    assert_eq!(address.trim(), "127.0.0.1");
    // Whoever stands still is not told behind its back.
    stage.wwwlab(["pause", "dns"]).ok();
    let refused = stage.wwwlab(["secure", "--dns"]);
    assert!(refused.code == 1 && refused.err.contains("`wwwlab resume dns`, then again"), "{refused:?}");
    stage.wwwlab(["resume", "dns"]).ok();
    let said = stage.wwwlab(["unsecure"]).ok();
    assert!(said.contains("DNS is asked in the clear alone"), "{said}");
    assert!(stage.status()["private"].is_null());
    for address in [dot, doh, dns] {
        until("its port refuses", || TcpStream::connect(address).is_err());
    }
    assert_eq!(stage.page("/").0, 200);
}

/// `openssl s_client`, which hands on what it is given and gives what comes.
fn s_client(stage: &Stage, address: SocketAddr) -> Child {
    let mut command = stage.command("openssl");
    command.args(["s_client", "-quiet", "-verify_return_error", "-alpn", "dot"]);
    command.args([
        "-connect",
        &address.to_string(),
        "-servername",
        "resolver.foobar.com",
        "-CAfile",
        &authority(stage),
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Asks over a connection that is open; the four octets of the address.
fn asked(child: &mut Child) -> [u8; 4] {
    child.stdin.as_mut().unwrap().write_all(FRAMED).unwrap();
    child.stdin.as_mut().unwrap().flush().unwrap();
    let out = child.stdout.as_mut().unwrap();
    let mut length = [0; 2];
    out.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    out.read_exact(&mut reply).unwrap();
    *reply.last_chunk().unwrap()
}

#[test]
fn certificates_change_and_no_connection_notices() {
    let stage = private();
    let address = tls(&stage, "resolver");
    let shown = || {
        let mut command = stage.command("openssl");
        let to = address.to_string();
        command.args(["s_client", "-connect", &to, "-CAfile", &authority(&stage), "-verify_return_error"]);
        let said = Said::from(command.stdin(Stdio::null()).output().unwrap()).ok();
        said[said.find("-----BEGIN").unwrap()..said.find("-----END").unwrap()].to_owned()
    };
    let before = shown();
    assert_eq!(before, shown(), "it stays");
    let mut open = s_client(&stage, address);
    assert_eq!(asked(&mut open), [127, 0, 0, 1]);
    let renewed = stage.wwwlab(["cert", "renew"]).ok();
    assert!(renewed.contains("resolver.foobar.com") && renewed.contains("ns1.foobar.com"), "{renewed}");
    assert_ne!(before, shown(), "who comes now sees the new one");
    assert_eq!(asked(&mut open), [127, 0, 0, 1]);
    open.kill().unwrap();
    open.wait().unwrap();
}

#[test]
fn on_hosts_the_real_ports_are_there() {
    let _turn = one_at_a_time();
    let stage = Stage::new();
    let wwwlab = |arguments: &[&str]| stage.run(PROGRAM, ["--network", "hosts"].iter().chain(arguments));
    wwwlab(&["up", "-d"]).ok();
    let said = wwwlab(&["secure", "--dns"]).ok();
    assert!(
        said.contains(
            "over HTTPS at https://192.0.2.53/dns-query and https://[2001:db8:2::53]/dns-query, over TLS"
        ),
        "{said}"
    );
    let authority = format!("+tls-ca={}", authority(&stage));
    for (at, more) in [
        ("@192.0.2.53", &["+https", "+tls-hostname=192.0.2.53"][..]),
        ("@2001:db8:2::53", &["+tls", "+tls-hostname=resolver.foobar.com"]),
        ("@8.8.8.8", &["+tls", "+tls-hostname=ns1.foobar.com"]),
    ] {
        let line = ["shell", "--", "dig", at, &authority, "www.foobar.com", "+short"];
        assert_eq!(wwwlab(&[&line[..], more].concat()).ok().trim(), "8.8.8.8", "{at}");
    }
    let line =
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{remote_ip}", "http://www.foobar.com/"];
    let said = wwwlab(&line);
    assert!(said.err.contains("--doh-url https://192.0.2.53/dns-query"), "{}", said.err);
    assert_eq!(said.ok(), "200 8.8.8.8");
    wwwlab(&["down"]).ok();
}
