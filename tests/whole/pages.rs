//! The web server, the application and the database behind it, asked by the real curl.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use super::stage::{Stage, until};

/// What `make bench` takes for the right page: it measures nothing if that is another one.
#[path = "../../benches/stack/page.rs"]
mod measured;

#[test]
fn the_home_page_is_the_one_that_is_measured() {
    let stage = Stage::up();
    for (name, message) in measured::ENTRIES {
        let url = "http://www.foobar.com/guestbook";
        let fields = [format!("name={name}"), format!("message={message}")];
        let [name, message] = &fields;
        let said = stage.wwwlab(["curl", "-si", "--data-urlencode", name, "--data-urlencode", message, url]);
        assert!(said.out.starts_with("HTTP/1.1 303 "), "{said:?}");
    }
    measured::right(&stage.curl("-si http://www.foobar.com/").out).unwrap();
}

#[test]
fn the_home_page_walks_the_whole_path() {
    let stage = Stage::up();
    let said = stage.curl("-i http://www.foobar.com/");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.err.contains("www.foobar.com → 127.0.0.1 (A, TTL"),
        "what the resolver said is shown: {}",
        said.err
    );
    let connect = format!("--connect-to www.foobar.com:80:127.0.0.1:{}", stage.port("http"));
    assert!(
        said.err.contains(&format!("$ curl {connect}")),
        "the command can be typed by hand: {}",
        said.err
    );
    let page = said.out;
    assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    let header = |name: &str| {
        let lower = page.to_ascii_lowercase();
        let found = lower.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
        found.unwrap_or_else(|| panic!("no {name}: {page}"))
    };
    assert_eq!(header("x-served-by"), "server");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
    assert!(!header("x-request-id").is_empty());
    for part in ["web;dur=", "app;dur=", "db;dur="] {
        assert!(header("server-timing").contains(part), "{page}");
    }
    // The request is found again in both logs by its identifier.
    let id = header("x-request-id")[..8].to_owned();
    for service in ["web", "app"] {
        until("the request is logged", || stage.log(service).contains(&id));
    }
}

#[test]
fn the_home_page_counts_its_visits() {
    let stage = Stage::up();
    let (_, first) = stage.page("/");
    let (_, second) = stage.page("/");
    let body = |page: &str| page.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_ne!(body(&first), body(&second), "the page is made anew from the database each time");
}

#[test]
fn what_is_signed_is_kept_and_escaped() {
    let stage = Stage::up();
    let url = "http://www.foobar.com/guestbook";
    let signed = stage.wwwlab([
        "curl",
        "-si",
        "--data-urlencode",
        "name=Ada <b>",
        "--data-urlencode",
        "message=Hello & good-bye",
        url,
    ]);
    assert!(signed.out.starts_with("HTTP/1.1 303"), "{signed:?}");
    let (status, page) = stage.page("/guestbook");
    assert_eq!(status, 200);
    assert!(page.contains("Ada &lt;b&gt;") && page.contains("Hello &amp; good-bye"), "{page}");
    assert!(stage.page("/").1.contains("Ada &lt;b&gt;"), "the home page shows the newest entries");
    // It outlives the whole lab.
    stage.wwwlab(["down"]).ok();
    stage.wwwlab(["up", "-d"]).ok();
    assert!(stage.page("/guestbook").1.contains("Ada &lt;b&gt;"));
}

#[test]
fn what_is_sent_to_no_page_is_a_404_whatever_its_length() {
    let stage = Stage::up();
    let web = (Ipv4Addr::LOCALHOST, stage.port("http"));
    for (path, status) in [("/nosuch", "404"), ("/", "405")] {
        for length in [100_000, 900_000] {
            let body = "x".repeat(length);
            for round in 0..20 {
                let mut stream = TcpStream::connect(web).unwrap();
                write!(
                    stream,
                    "POST {path} HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{body}"
                )
                .unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                let got = answer.split(' ').nth(1);
                assert_eq!(got, Some(status), "{path}, {length} bytes, round {round}: {answer}");
            }
        }
    }
}

#[test]
fn static_files_need_no_application() {
    let stage = Stage::up();
    stage.wwwlab(["kill", "app"]).ok();
    let (status, page) = stage.page("/about.html");
    assert_eq!(status, 200, "{page}");
    assert!(page.to_ascii_lowercase().contains("content-type: text/html; charset=utf-8"), "{page}");
    assert_eq!(stage.page("/").0, 502);
}

#[test]
fn an_application_that_is_gone_is_a_502_that_says_so() {
    let stage = Stage::up();
    stage.wwwlab(["stop", "app"]).ok();
    let (status, page) = stage.page("/");
    assert_eq!(status, 502);
    assert!(page.contains("application server") && page.contains("wwwlab start app"), "{page}");
    stage.wwwlab(["start", "app"]).ok();
    assert_eq!(stage.page("/").0, 200, "it recovers by itself");
}

#[test]
fn an_application_that_is_silent_is_a_504_that_says_so() {
    let stage = Stage::new();
    stage.edit("lab.toml", |text| text.replace("# app_timeout = \"5s\"", "app_timeout = \"300ms\""));
    stage.wwwlab(["up", "-d"]).ok();
    // The first page makes the database, which may take longer than this application may.
    until("the first page", || stage.page("/").0 == 200);
    stage.wwwlab(["pause", "app"]).ok();
    let (status, page) = stage.page("/");
    assert_eq!(status, 504);
    assert!(page.contains("application server"), "{page}");
    stage.wwwlab(["resume", "app"]).ok();
    until("it recovers by itself", || stage.page("/").0 == 200);
}

#[test]
fn a_database_that_is_taken_away_is_a_503_that_says_so() {
    let stage = Stage::up();
    assert_eq!(stage.page("/").0, 200);
    for verb in ["stop", "kill", "pause"] {
        let said = stage.wwwlab([verb, "db"]).ok();
        assert!(said.contains("locked"), "{said}");
        let (status, page) = stage.page("/");
        assert_eq!(status, 503, "{page}");
        assert!(page.contains("database") && page.contains("wwwlab start db"), "{page}");
        // A visitor is told what the file is called, not whose home it is in.
        assert!(page.contains("database .wwwlab/loopback/db/foobar.sqlite is locked"), "{page}");
        assert_eq!(stage.page("/about.html").0, 200, "static pages need no database");
        stage.wwwlab(["start", "db"]).ok();
        assert_eq!(stage.page("/").0, 200, "it recovers by itself");
    }
}

#[test]
fn an_unknown_host_is_a_404_that_names_the_site() {
    let stage = Stage::up();
    let by_address = stage.run("curl", ["-si", &format!("http://127.0.0.1:{}/", stage.port("http"))]).ok();
    assert!(by_address.starts_with("HTTP/1.1 404"), "{by_address}");
    assert!(by_address.contains("www.foobar.com") && by_address.contains("127.0.0.1"), "{by_address}");
    let url = format!("http://127.0.0.1:{}/", stage.port("http"));
    let with_host = stage.run("curl", ["-si", "-H", "Host: www.foobar.com", &url]).ok();
    assert!(with_host.starts_with("HTTP/1.1 200"), "{with_host}");
}

#[test]
fn the_bare_domain_leads_to_www() {
    let stage = Stage::up();
    let said = stage.curl("-i http://foobar.com/guestbook");
    assert!(said.out.starts_with("HTTP/1.1 301"), "{said:?}");
    assert!(said.out.to_ascii_lowercase().contains("location: http://www.foobar.com/guestbook"), "{said:?}");
    // A redirect is followed inside the lab, whatever it names.
    let followed = stage.curl("-L -o /dev/null -w %{http_code}:%{remote_ip} http://foobar.com/guestbook");
    assert_eq!(followed.out, "200:127.0.0.1", "{followed:?}");
    // What is named in full is asked where it is named.
    let port = stage.port("app");
    for options in ["-L", "-XGET"] {
        let said = stage.curl(&format!("{options} http://127.0.0.1:{port}/healthz"));
        assert_eq!(said.out.trim(), "ok", "{said:?}");
    }
}

#[test]
fn a_name_that_does_not_exist_is_curls_exit_code_6() {
    let stage = Stage::up();
    let said = stage.curl("http://nosuch-name.foobar.com/");
    assert_eq!(said.code, 6);
    assert!(said.err.contains("NXDOMAIN"), "{}", said.err);
    stage.wwwlab(["stop", "resolver"]).ok();
    let said = stage.curl("http://www.foobar.com/");
    assert_eq!(said.code, 6);
    assert!(said.err.contains("nothing listens there"), "{}", said.err);
}
