//! HTTPS as the real curl and openssl meet it: who is believed, what is agreed on, and what goes on while certificates change.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;

use super::stage::{PROGRAM, Said, Stage, until};

/// curl's exit code for a certificate that it does not believe.
const NOT_BELIEVED: i32 = 60;

/// A lab that speaks HTTPS besides.
pub(super) fn secured() -> Stage {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replacen("[ports]\n", "[ports]\nhttps = 0\n", 1));
    stage.wwwlab(["up", "-d"]).ok();
    stage.wwwlab(["secure"]).ok();
    stage
}

fn https_port(stage: &Stage) -> u16 {
    let address = stage.status()["tls"]["addresses"][0].as_str().unwrap().to_owned();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn authority(stage: &Stage) -> String {
    stage.root().join("certs/ca.pem").display().to_string()
}

/// The real curl, told nothing but where the name is and what `more` says.
fn curl(stage: &Stage, more: &[&str]) -> Said {
    let port = https_port(stage);
    let resolve = format!("www.foobar.com:{port}:127.0.0.1");
    let url = format!("https://www.foobar.com:{port}/");
    let mut command = stage.command("curl");
    command.env_remove("CURL_CA_BUNDLE").env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    command.args(["-sS", "--noproxy", "*", "--resolve", &resolve]).args(more).arg(url);
    Said::from(command.output().unwrap())
}

/// What `openssl s_client` says of a connection, without one request.
pub(super) fn s_client(stage: &Stage, more: &[&str]) -> Said {
    let at = format!("127.0.0.1:{}", https_port(stage));
    let mut command = stage.command("openssl");
    command.args([
        "s_client",
        "-connect",
        &at,
        "-servername",
        "www.foobar.com",
        "-CAfile",
        &authority(stage),
    ]);
    Said::from(command.args(more).stdin(Stdio::null()).output().unwrap())
}

#[test]
fn who_is_told_whom_to_trust_is_served_and_nobody_else() {
    let stage = secured();
    let authority = authority(&stage);
    let page = curl(&stage, &["--cacert", &authority, "-w", "%{http_code} %{http_version}"]);
    assert!(page.ok().ends_with("200 2"), "the page over HTTP/2");
    let page = curl(&stage, &["--cacert", &authority, "--http1.1", "-w", "%{http_code} %{http_version}"]);
    assert!(page.ok().ends_with("200 1.1"), "the page over HTTP/1.1");
    let refused = curl(&stage, &[]);
    assert_eq!(refused.code, NOT_BELIEVED, "{}", refused.err);
    // That a client does not believe it is told on this side as well.
    until("the refusal is in the log", || stage.log("web").contains("alert unknown_ca"));
    until("what was agreed on, too", || stage.log("web").contains("speaks TLSv1.3 for www.foobar.com"));
    let short =
        stage.wwwlab(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "https://www.foobar.com/"]);
    assert!(short.err.contains("--cacert"), "{}", short.err);
    assert_eq!(short.ok(), "200");

    // The application knows that it was asked so: what its cookies must say then, it says.
    let register = format!("https://www.foobar.com:{}/register", https_port(&stage));
    let resolve = format!("www.foobar.com:{}:127.0.0.1", https_port(&stage));
    let line = ["-sS", "-i", "--noproxy", "*", "--cacert", &authority, "--resolve", &resolve];
    let form = ["-d", "name=ada&password=correct horse battery", &register];
    let answer = stage.run("curl", line.into_iter().chain(form)).ok().to_ascii_lowercase();
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie:")).unwrap_or_default().to_owned();
    assert!(cookie.contains("secure"), "{answer}");

    let back = stage.wwwlab(["unsecure"]).ok();
    assert!(back.contains("plain HTTP alone"), "{back}");
    assert!(stage.status()["tls"].is_null());
    assert_eq!(stage.page("/").0, 200);
}

#[test]
fn each_wrong_certificate_is_refused_for_its_own_reason() {
    let stage = secured();
    let authority = authority(&stage);
    for (kind, why) in
        [("expired", "expired"), ("wrong-name", "does not match"), ("self-signed", "self-signed certificate")]
    {
        stage.wwwlab(["cert", "use", kind]).ok();
        let refused = curl(&stage, &["--cacert", &authority]);
        assert_eq!(refused.code, NOT_BELIEVED, "{kind}: {}", refused.err);
        let said = refused.err.replace("self signed", "self-signed");
        let is_said =
            said.contains(why) || kind == "wrong-name" && said.contains("no alternative certificate");
        assert!(is_said, "{kind}: {said}");
        assert!(stage.wwwlab(["status"]).ok().contains(&format!("the certificate is {kind}")));
    }
    stage.wwwlab(["cert", "use", "good"]).ok();
    curl(&stage, &["--cacert", &authority]).ok();
    // Taken back, it is believed by whoever does not look at the list.
    stage.wwwlab(["cert", "revoke"]).ok();
    curl(&stage, &["--cacert", &authority]).ok();
    let list = stage.root().join("certs/ca.crl").display().to_string();
    let refused = curl(&stage, &["--cacert", &authority, "--crlfile", &list]);
    assert_eq!(refused.code, NOT_BELIEVED, "{}", refused.err);
    assert!(refused.err.contains("revoked"), "{}", refused.err);
    stage.wwwlab(["cert", "renew"]).ok();
    curl(&stage, &["--cacert", &authority, "--crlfile", &list]).ok();
}

#[test]
fn what_is_agreed_on_is_of_today() {
    let stage = secured();
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = s_client(&stage, &[version, "-alpn", "h2,http/1.1", "-verify_return_error"]).ok();
        assert!(said.contains(name) && said.contains("ALPN protocol: h2"), "{said}");
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    }
    let only_old = s_client(&stage, &["-alpn", "http/1.1"]).ok();
    assert!(only_old.contains("ALPN protocol: http/1.1"), "{only_old}");
    // The client is willing: it is the server that refuses.
    for refused in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:AES128-GCM-SHA256:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"],
        &["-alpn", "gopher"],
    ] {
        let said = s_client(&stage, refused);
        assert!(said.code != 0 && said.err.contains("alert"), "{refused:?}: {} {}", said.out, said.err);
    }
    let chain = s_client(&stage, &["-showcerts"]).ok();
    assert!(chain.contains("CN = www.foobar.com") || chain.contains("CN=www.foobar.com"), "{chain}");

    // A session goes on, and not with another certificate.
    let session = stage.root().join("session").display().to_string();
    s_client(&stage, &["-tls1_2", "-sess_out", &session]).ok();
    assert!(s_client(&stage, &["-tls1_2", "-sess_in", &session]).ok().contains("Reused, TLSv1.2"));
    stage.wwwlab(["cert", "renew"]).ok();
    assert!(s_client(&stage, &["-tls1_2", "-sess_in", &session]).ok().contains("New, TLSv1.2"));
}

#[test]
fn a_connection_that_is_open_goes_on_with_its_certificate() {
    let stage = secured();
    let at = format!("127.0.0.1:{}", https_port(&stage));
    let mut client = stage.command("openssl");
    client.args(["s_client", "-quiet", "-verify_quiet", "-connect", &at, "-servername", "www.foobar.com"]);
    client.args(["-CAfile", &authority(&stage)]);
    let mut client =
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut asks, mut hears) = (client.stdin.take().unwrap(), BufReader::new(client.stdout.take().unwrap()));
    let mut ask = || {
        asks.write_all(b"HEAD / HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n").unwrap();
        let (mut head, mut line) = (String::new(), String::new());
        while hears.read_line(&mut line).unwrap() > 2 {
            head.push_str(&line);
            line.clear();
        }
        head
    };
    assert!(ask().starts_with("HTTP/1.1 200"));
    let serial = || s_client(&stage, &["-showcerts"]).ok();
    let before = serial();
    stage.wwwlab(["cert", "renew", "--ca"]).ok();
    assert_ne!(certificate(&before), certificate(&serial()), "others are shown the new one");
    assert!(ask().starts_with("HTTP/1.1 200"), "and this one goes on");
    let _ = client.kill();
    let _ = client.wait();
}

pub(super) fn certificate(said: &str) -> &str {
    let begin = said.find("-----BEGIN CERTIFICATE-----").unwrap();
    &said[begin..begin + said[begin..].find("-----END").unwrap()]
}

#[test]
fn plain_http_is_sent_on_and_browsers_are_told_to_stay() {
    let stage = secured();
    let (plain, secure) = (stage.port("http"), https_port(&stage));
    let ask = |method: &str| {
        let url = format!("http://127.0.0.1:{plain}/guestbook?a=b");
        let line = ["-sSi", "--noproxy", "*", "-X", method, "-H", "Host: www.foobar.com", &url];
        stage.run("curl", line).ok().to_ascii_lowercase()
    };
    assert!(ask("GET").starts_with("http/1.1 200"));
    stage.wwwlab(["secure", "--only", "--hsts", "1day"]).ok();
    let location = format!("location: https://www.foobar.com:{secure}/guestbook?a=b\r\n");
    for (method, status) in [("GET", "301"), ("POST", "308")] {
        let answer = ask(method);
        assert!(answer.starts_with(&format!("http/1.1 {status}")) && answer.contains(&location), "{answer}");
        assert!(!answer.contains("strict-transport-security"), "only over TLS: {answer}");
    }
    let answer = curl(&stage, &["--cacert", &authority(&stage), "-i"]).ok();
    assert!(answer.contains("strict-transport-security: max-age=86400"), "{answer}");
    let followed = stage.wwwlab([
        "curl",
        "-sL",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{url_effective}",
        "http://www.foobar.com/",
    ]);
    let followed = followed.ok();
    assert!(followed.starts_with("200 https://"), "{followed}");
    // It survives the web server's process, and is over with the lab.
    stage.wwwlab(["restart", "web"]).ok();
    curl(&stage, &["--cacert", &authority(&stage)]).ok();
    stage.wwwlab(["secure", "--hsts", "0s"]).ok();
    assert!(ask("GET").starts_with("http/1.1 200"));
    assert!(!curl(&stage, &["--cacert", &authority(&stage), "-i"]).ok().contains("strict-transport"));
    stage.wwwlab(["down"]).ok();
    stage.wwwlab(["up", "-d"]).ok();
    assert!(stage.status()["tls"].is_null());
}

#[test]
fn trusting_the_lab_is_trusting_it_for_nothing_else() {
    let stage = secured();
    let said = stage.wwwlab(["cert", "issue", "www.example.org"]).ok();
    assert!(said.contains("constrained"), "{said}");
    let issued = |name: &str| stage.root().join(format!("certs/issued/{name}.pem")).display().to_string();
    let verify = |name: &str| {
        let file = issued(name);
        stage.run("openssl", ["verify", "-CAfile", &authority(&stage), &file])
    };
    assert!(verify("www.foobar.com").ok().contains("OK"));
    let refused = verify("www.example.org");
    assert!(refused.code != 0 && refused.err.contains("permitted subtree violation"), "{}", refused.err);
    let text = stage.run("openssl", ["x509", "-noout", "-text", "-in", &authority(&stage)]).ok();
    for part in
        ["Name Constraints: critical", "DNS:foobar.com", "IP:8.8.8.8/255.255.255.255", "CA:TRUE, pathlen:0"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(stage.wwwlab(["cert", "issue", "../x"]).code, 2);
}

#[test]
fn whoever_has_the_keys_reads_along() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| {
        let text = text.replacen("[ports]\n", "[ports]\nhttps = 0\n", 1);
        text.replacen("[web]", "[web]\ntls = \"on\"\nkey_log = true\n", 1)
    });
    stage.wwwlab(["up", "-d"]).ok();
    curl(&stage, &["--cacert", &authority(&stage)]).ok();
    let keys: PathBuf = stage.state().join("tls-keys.log");
    let text = std::fs::read_to_string(&keys).unwrap();
    assert!(text.contains("CLIENT_TRAFFIC_SECRET_0 "), "{text}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(keys.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn each_site_shows_a_certificate_of_its_own() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| {
        let text = text.replacen("[ports]\n", "[ports]\nhttps = 0\n", 1);
        let text = text.replacen("[web]", "[web]\ntls = \"on\"", 1);
        text + "\n[[web.sites]]\nname = \"blog.foobar.com\"\naliases = [\"news.foobar.com\"]\nsite = \"blog\"\n"
    });
    std::fs::create_dir(stage.root().join("blog")).unwrap();
    std::fs::write(stage.root().join("blog/index.html"), "the blog").unwrap();
    stage.wwwlab(["up", "-d"]).ok();
    let asked_for = |name: &str| {
        s_client(&stage, &["-servername", name, "-verify_hostname", name, "-verify_return_error"])
    };
    for site in ["www.foobar.com", "blog.foobar.com", "news.foobar.com"] {
        let said = asked_for(site).ok();
        assert!(said.contains("Verify return code: 0 (ok)"), "{site}: {said}");
    }
    // Who asks for none of them is shown the first, and has to see by itself that it is another's.
    let said = asked_for("shop.foobar.com");
    assert!(said.code != 0 && said.out.contains("CN = www.foobar.com"), "{said:?}");
    assert!(said.err.contains("hostname mismatch"), "{said:?}");

    let port = https_port(&stage);
    let resolve = format!("blog.foobar.com:{port}:127.0.0.1");
    let url = format!("https://blog.foobar.com:{port}/");
    let line = ["-sS", "--noproxy", "*", "--cacert", &authority(&stage), "--resolve", &resolve, &url];
    assert_eq!(stage.run("curl", line).ok(), "the blog");
}

#[test]
fn a_web_server_that_stands_still_is_not_told_behind_its_back() {
    let stage = secured();
    let authority = authority(&stage);
    stage.wwwlab(["pause", "web"]).ok();
    for order in [&["cert", "use", "expired"][..], &["unsecure"]] {
        let said = stage.wwwlab(order);
        assert!(said.code == 1 && said.err.contains("`wwwlab resume web`, then again"), "{said:?}");
    }
    stage.wwwlab(["resume", "web"]).ok();
    assert_eq!(stage.status()["tls"]["certificate"], "good");
    let page = curl(&stage, &["--cacert", &authority, "-o", "/dev/null", "-w", "%{http_code}"]);
    assert_eq!(page.ok(), "200");
}

#[test]
fn a_redirect_loop_stays_with_https() {
    let stage = secured();
    let authority = authority(&stage);
    stage.wwwlab(["fault", "add", "redirect-loop"]).ok();
    let said = curl(&stage, &["--cacert", &authority, "-L", "--max-redirs", "3", "-o", "/dev/null"]);
    assert!(said.code == 47 && said.err.contains("Maximum (3) redirects followed"), "{said:?}");
}

#[test]
fn who_finds_every_seat_taken_is_told_of_in_the_log() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| {
        let text = text.replacen("[ports]\n", "[ports]\nhttps = 0\n", 1);
        text.replacen("# max_connections = 1024", "max_connections = 1     ", 1)
    });
    stage.wwwlab(["up", "-d"]).ok();
    stage.wwwlab(["secure"]).ok();
    // The one seat is taken by a request that the application is to answer, and does not.
    stage.wwwlab(["pause", "app"]).ok();
    let mut asking = Vec::new();
    until("another one finds no seat, and the log says so", || {
        // As long as its request is not read, it makes room for the next.
        let mut stream = TcpStream::connect(("127.0.0.1", stage.port("http"))).unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n");
        asking.push(stream);
        let _ = s_client(&stage, &[]);
        let log = stage.wwwlab(["logs", "web"]).ok();
        log.contains("cannot speak TLS after 0 µs: all connections that may be open (1) are at work")
    });
}

#[test]
fn on_hosts_the_client_needs_to_be_told_nothing() {
    let stage = Stage::new();
    let wwwlab = |arguments: &[&str]| stage.run(PROGRAM, ["--network", "hosts"].iter().chain(arguments));
    wwwlab(&["up", "-d"]).ok();
    wwwlab(&["secure"]).ok();
    let line = ["shell", "--", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{http_version}"];
    let said = wwwlab(&[&line[..], &["https://www.foobar.com/"]].concat());
    assert_eq!(said.ok(), "200 2");
    wwwlab(&["down"]).ok();
}
