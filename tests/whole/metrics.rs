//! What is counted and measured: `wwwlab metrics`, `[metrics] listen`, the pace in `status`, and `wwwlab top`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use super::stage::{PROGRAM, Said, Stage, signal, until};
use super::terminal::Terminal;

/// The value of the metric that stands so in `text`; 0 where it does not stand there, since nothing has been counted.
fn value(text: &str, metric: &str) -> f64 {
    let values = text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    let values: Vec<f64> = values.map(|value| value.parse().unwrap()).collect();
    assert!(values.len() <= 1, "{metric} stands there {} times", values.len());
    values.first().copied().unwrap_or(0.0)
}

/// How much each of `metrics` has grown from `before` to `after`.
fn grown<const N: usize>(before: &str, after: &str, metrics: [&str; N]) -> [f64; N] {
    metrics.map(|metric| value(after, metric) - value(before, metric))
}

/// What Prometheus' own tool has against `text`.
fn promtool(stage: &Stage, text: &str) -> Said {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = [Path::new("/"), &root.join("target/debian")]
        .map(|root| root.join("usr/bin/promtool"))
        .into_iter()
        .find(|file| file.is_file())
        .expect("promtool is missing: `make test` unpacks it");
    let mut command = stage.command(program.to_str().unwrap());
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Said::from(promtool.wait_with_output().unwrap())
}

#[test]
fn questions_and_requests_are_counted_exactly_and_as_prometheus_wants_it() {
    let stage = Stage::up();
    stage.dig("127.0.0.1", "www.foobar.com");
    stage.page("/");
    let before = stage.wwwlab(["metrics"]).ok();
    for question in ["www.foobar.com", "www.foobar.com AAAA", "nosuch.foobar.com", "www.foobar.com TYPE4711"]
    {
        stage.dig("127.0.0.1", question);
    }
    stage.dig("127.0.0.1", "foobar.com MX +tcp");
    let asked = stage.wwwlab(["metrics"]).ok();
    // Nobody has asked for this one: it is found once, and then remembered.
    for _ in 0..3 {
        stage.dig("127.0.0.2", "mail.foobar.com TXT");
    }
    let (http, app) = (stage.port("http"), stage.port("app"));
    let at = |port: u16, path: &str| {
        stage.run("curl", ["-s", "-H", "Host: www.foobar.com", &format!("http://127.0.0.1:{port}{path}")]);
    };
    at(http, "/");
    at(http, "/nosuch.html");
    at(http, "/guestbook");
    at(app, "/guestbook");
    let after = stage.wwwlab(["metrics"]).ok();
    let dns = [
        r#"wwwlab_dns_queries_total{service="dns",transport="udp",type="A"}"#,
        r#"wwwlab_dns_queries_total{service="dns",transport="udp",type="AAAA"}"#,
        r#"wwwlab_dns_queries_total{service="dns",transport="udp",type="other"}"#,
        r#"wwwlab_dns_queries_total{service="dns",transport="tcp",type="MX"}"#,
        r#"wwwlab_dns_responses_total{service="dns",transport="udp",rcode="NXDOMAIN"}"#,
        r#"wwwlab_dns_response_duration_seconds_count{service="dns",transport="tcp"}"#,
        r#"wwwlab_connections_accepted_total{service="dns"}"#,
    ];
    assert_eq!(grown(&before, &asked, dns), [2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], "{before}\n{asked}");
    let resolver = [
        r#"wwwlab_dns_queries_total{service="resolver",transport="udp",type="TXT"}"#,
        r#"wwwlab_dns_response_duration_seconds_count{service="resolver",transport="udp"}"#,
        r#"wwwlab_resolver_cache_lookups_total{service="resolver",result="hit"}"#,
        r#"wwwlab_resolver_cache_lookups_total{service="resolver",result="miss"}"#,
        r#"wwwlab_resolver_cache_entries{service="resolver"}"#,
    ];
    assert_eq!(grown(&asked, &after, resolver), [3.0, 3.0, 2.0, 1.0, 1.0], "{before}\n{after}");
    let pages = [
        r#"wwwlab_http_requests_total{service="web",status="200"}"#,
        r#"wwwlab_http_requests_total{service="web",status="404"}"#,
        r#"wwwlab_http_request_duration_seconds_count{service="web"}"#,
        r#"wwwlab_connections_accepted_total{service="web"}"#,
        r#"wwwlab_http_requests_total{service="app",status="200"}"#,
    ];
    let grown_pages = grown(&before, &after, pages);
    assert_eq!(grown_pages[..4], [2.0, 1.0, 3.0, 3.0], "{before}\n{after}");
    // The web server has the home page from the application too; it alone knows which ones it passed on.
    let passed = format!(r#"wwwlab_web_upstream_requests_total{{service="web",upstream="127.0.0.1:{app}"}}"#);
    assert_eq!(grown_pages[4] + app_not_found(&before, &after), grown(&before, &after, [&passed])[0] + 1.0);
    for process in ["web", "supervisor"] {
        assert!(value(&after, &format!(r#"wwwlab_process_memory_bytes{{service="{process}"}}"#)) > 100_000.0);
    }
    assert_eq!(value(&after, r#"wwwlab_service_up{service="web"}"#), 1.0);

    let Said { out, err, code } = promtool(&stage, &after);
    assert_eq!((out.as_str(), err.as_str(), code), ("", "", 0));
    let wrong = after.replace("wwwlab_dns_queries_total", "wwwlab_dns_queries");
    assert_ne!(promtool(&stage, &wrong).code, 0, "promtool finds what is wrong");
}

fn app_not_found(before: &str, after: &str) -> f64 {
    grown(before, after, [r#"wwwlab_http_requests_total{service="app",status="404"}"#])[0]
}

#[test]
fn a_service_can_be_asked_alone_and_one_that_is_down_is_measured_from_outside() {
    let stage = Stage::up();
    stage.page("/");
    let web = stage.wwwlab(["metrics", "web"]).ok();
    assert!(web.contains("wwwlab_http_requests_total{service=\"web\"") && !web.contains("\"app\""), "{web}");
    assert!(promtool(&stage, &web).ok().is_empty());
    stage.wwwlab(["pause", "web"]).ok();
    stage.wwwlab(["stop", "tld"]).ok();
    let all = stage.wwwlab(["metrics"]).ok();
    for (service, up) in [("web", 0.0), ("tld", 0.0), ("dns", 1.0)] {
        assert!(all.contains(&format!("wwwlab_service_up{{service=\"{service}\"}}")), "{all}");
        assert_eq!(value(&all, &format!("wwwlab_service_up{{service=\"{service}\"}}")), up, "{service}");
    }
    assert!(!all.contains("wwwlab_http_requests_total{service=\"web\""), "{all}");
    assert!(
        all.contains("wwwlab_process_memory_bytes{service=\"web\"}"),
        "a paused process has its memory: {all}"
    );
    assert!(!all.contains("wwwlab_process_memory_bytes{service=\"tld\"}"), "{all}");
    assert!(promtool(&stage, &all).ok().is_empty());
    let families: serde_json::Value =
        serde_json::from_str(&stage.wwwlab(["metrics", "dns", "--json"]).ok()).unwrap();
    assert!(families.as_array().unwrap().iter().any(|family| family["name"] == "wwwlab_dns_queries_total"));
    assert!(stage.wwwlab(["metrics", "dns2"]).refused(1).contains("secondary = true"));
}

#[test]
fn collectors_come_by_http_where_the_lab_listens_for_them() {
    let stage = Stage::new();
    stage.wwwlab(["up", "-d"]).ok();
    assert_eq!(stage.status()["metrics"], serde_json::Value::Null, "no port that nobody asked for");
    stage.wwwlab(["down"]).ok();
    stage.edit("lab.toml", |text| text.replace("# listen = 9090 ", "listen = 0 "));
    stage.wwwlab(["up", "-d"]).ok();
    let address = stage.status()["metrics"].as_str().unwrap().to_owned();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert!(stage.wwwlab(["status"]).ok().contains(&format!("metrics: http://{address}/metrics")));
    let curl = |words: &[&str], path: &str| {
        let url = format!("http://{address}{path}");
        stage.run("curl", ["-s", "-i"].iter().chain(words).copied().chain([url.as_str()])).ok()
    };
    let all = curl(&[], "/metrics");
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n"), "{all}");
    let (head, text) = all.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(text.contains("{service=\"app\"}") && text.contains("{service=\"supervisor\"}"), "{text}");
    assert!(promtool(&stage, text).ok().is_empty());
    let dns = curl(&[], "/metrics/dns");
    assert!(dns.contains("wwwlab_service_up{service=\"dns\"} 1") && !dns.contains("\"web\""), "{dns}");
    for (words, path, status) in [
        (&["-I"][..], "/metrics", "200 OK"),
        (&[], "/", "404 Not Found"),
        (&[], "/metrics/dns2", "404 Not Found"),
        (&["-X", "POST"], "/metrics", "405 Method Not Allowed"),
    ] {
        let said = curl(words, path);
        assert!(said.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path}: {said}");
    }
    // Somebody else has the address: the lab does not come up, and says what to do.
    stage.wwwlab(["down"]).ok();
    assert_eq!(stage.run("curl", ["-s", &format!("http://{address}/metrics")]).code, 7, "refused");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (address, taken)).unwrap();
    stage.edit("lab.toml", |text| text.replace("listen = 0 ", &format!("listen = \"{}\" ", taken.0)));
    let why = stage.wwwlab(["up", "-d"]).refused(1);
    assert!(why.contains("[metrics]") && why.contains(&taken.0.to_string()), "{why}");
}

#[test]
fn status_says_how_much_a_service_is_asked_of_late() {
    let stage = Stage::up();
    until("what was asked in the last seconds is seen", || {
        stage.dig("127.0.0.1", "www.foobar.com");
        stage.page("/");
        let pace = |service: &str| stage.service(service)["per_second"].as_f64();
        pace("dns") > Some(0.0) && pace("web") > Some(0.0)
    });
    assert_eq!(stage.service("db")["per_second"], serde_json::Value::Null, "it has no process of its own");
    assert!(stage.wwwlab(["status"]).ok().contains("QPS"));
    until("and passes", || stage.service("tld")["per_second"].as_f64() == Some(0.0));
}

/// At a terminal of this size, as it is before and after.
fn top(stage: &Stage, options: &str) -> Terminal {
    let line = format!(
        "stty rows 30 cols 120; stty -g > before; {PROGRAM} top {options}; code=$?; stty -g > after; exit $code"
    );
    Terminal::open(stage, "/bin/sh", &line)
}

fn is_as_it_was(stage: &Stage) -> bool {
    let settings = |file: &str| fs::read_to_string(stage.root().join(file)).unwrap();
    settings("before") == settings("after")
}

/// To the other screen, and back from it.
const OPENS: &str = "\u{1b}[?1049h";
const CLOSES: &str = "\u{1b}[?1049l";

#[test]
fn top_shows_the_lab_live_until_somebody_quits() {
    let stage = Stage::up();
    let mut terminal = top(&stage, "--interval 100ms");
    terminal.see(OPENS);
    terminal.see("SERVICE");
    terminal.see("resolver");
    terminal.see("q quits");
    stage.wwwlab(["stop", "tld"]).ok();
    terminal.see("stopped");
    terminal.keys("s");
    terminal.see("QPS)");
    terminal.keys("q");
    let (code, screen) = terminal.end();
    assert_eq!(code, 0);
    assert!(screen.contains(CLOSES), "{screen:?}");
    assert!(is_as_it_was(&stage));
    assert!(!screen.contains("\u{1b}[38"), "no colours, as NO_COLOR says: {screen:?}");
    let mut terminal = top(&stage, "");
    terminal.see("q quits");
    terminal.keys("\u{3}");
    assert_eq!(terminal.end().0, 0, "^C");
    assert!(is_as_it_was(&stage));
}

#[test]
fn top_gives_the_terminal_back_when_the_lab_is_killed() {
    let stage = Stage::up();
    let mut terminal = top(&stage, "--interval 100ms");
    terminal.see("q quits");
    signal(stage.supervisor(), "KILL");
    terminal.see(CLOSES);
    terminal.see("is not up");
    assert_eq!(terminal.end().0, 3);
    assert!(is_as_it_was(&stage));
}

#[test]
fn top_needs_a_terminal() {
    let stage = Stage::up();
    let why = stage.wwwlab(["top"]).refused(1);
    assert!(why.contains("needs a terminal") && why.contains("metrics"), "{why}");
    assert!(stage.wwwlab(["top", "--interval", "1ms"]).refused(2).contains("100ms to 1min"));
}
