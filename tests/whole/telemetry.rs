//! What an OpenTelemetry collector is told: `[journal] otlp`.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::stage::{Stage, until};

/// A collector: it reads what OTLP/HTTP says, and answers what it is told to.
struct Collector {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    bodies: Vec<Value>,
    /// What is answered next; when there is none left, that it was taken.
    answers: VecDeque<&'static str>,
}

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
const NEVER: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

/// A span, with the service that it is of.
#[derive(Debug, Clone)]
struct Span {
    service: String,
    value: Value,
}

impl Collector {
    fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Heard { answers: answers.iter().copied().collect(), ..Heard::default() };
        let heard = Arc::new(Mutex::new(heard));
        let told = heard.clone();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                take(&stream.unwrap(), &told);
            }
        });
        Self { address, heard }
    }

    /// A lab that tells it.
    fn lab(&self) -> Stage {
        let stage = Stage::new();
        let otlp = format!("\notlp = \"http://{}\"", self.address);
        stage.edit("lab.toml", |text| text.replace("\n# otlp = \"http://127.0.0.1:4318\"", &otlp));
        stage.wwwlab(["up", "-d"]).ok();
        stage
    }

    fn bodies(&self) -> Vec<Value> {
        self.heard.lock().unwrap().bodies.clone()
    }

    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for body in self.bodies() {
            for of_service in body["resourceSpans"].as_array().unwrap() {
                let service = attribute(&of_service["resource"], "service.name").unwrap();
                for span in of_service["scopeSpans"][0]["spans"].as_array().unwrap() {
                    spans.push(Span { service: service.clone(), value: span.clone() });
                }
            }
        }
        spans
    }
}

/// One request of HTTP/1.1, and its answer.
fn take(mut stream: &TcpStream, told: &Mutex<Heard>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let length = head.split("\r\ncontent-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let mut heard = told.lock().unwrap();
    heard.bodies.push(serde_json::from_slice(&body).unwrap());
    let answer = heard.answers.pop_front().unwrap_or(TAKEN);
    stream.write_all(answer.as_bytes()).unwrap();
}

/// An attribute as text.
fn attribute(of: &Value, key: &str) -> Option<String> {
    let found = of["attributes"].as_array().unwrap().iter().find(|attribute| attribute["key"] == key)?;
    let value = &found["value"];
    value["stringValue"].as_str().or(value["intValue"].as_str()).map(str::to_owned)
}

impl Span {
    fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_default()
    }

    /// Those whose parent it is.
    fn children<'a>(&self, of: &'a [Span]) -> Vec<&'a Span> {
        of.iter()
            .filter(|span| {
                span.text("traceId") == self.text("traceId")
                    && span.text("parentSpanId") == self.text("spanId")
            })
            .collect()
    }

    fn nanos(&self, key: &str) -> u128 {
        self.text(key).parse().unwrap()
    }

    fn lies_in(&self, parent: &Span) -> bool {
        self.nanos("startTimeUnixNano") >= parent.nanos("startTimeUnixNano")
            && self.nanos("endTimeUnixNano") <= parent.nanos("endTimeUnixNano")
    }
}

#[test]
fn a_collector_is_told_each_requests_tree() {
    let collector = Collector::start(&[BUSY]);
    let stage = collector.lab();
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let url = format!("http://127.0.0.1:{}/guestbook", stage.port("http"));
    let traceparent = format!("traceparent: 00-{trace}-{parent}-01");
    stage.run("curl", ["-s", "-H", &traceparent, "-H", "Host: www.foobar.com", &url]).ok();
    stage.wwwlab(["cache", "flush"]).ok();
    stage.dig("127.0.0.2", "www.foobar.com");
    stage.dig("127.0.0.1", "nosuch.foobar.com");
    let of_page = || -> Vec<Span> {
        collector.spans().into_iter().filter(|span| span.text("traceId") == trace).collect()
    };
    until("the page is told", || of_page().iter().any(|span| span.service == "web"));
    let spans = of_page();
    let [web] = &spans.iter().filter(|span| span.text("parentSpanId") == parent).collect::<Vec<_>>()[..]
    else {
        panic!("{spans:#?}")
    };
    assert_eq!((web.service.as_str(), web.text("name"), &web.value["kind"]), ("web", "GET", &2.into()));
    assert_eq!(attribute(&web.value, "url.path").as_deref(), Some("/guestbook"));
    assert_eq!(attribute(&web.value, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(&web.value, "server.address").as_deref(), Some("www.foobar.com"));
    let [passed] = web.children(&spans)[..] else { panic!("{spans:#?}") };
    assert_eq!((passed.service.as_str(), &passed.value["kind"]), ("web", &3.into()));
    assert_eq!(attribute(&passed.value, "server.port"), Some(stage.port("app").to_string()));
    let [app] = passed.children(&spans)[..] else { panic!("{spans:#?}") };
    assert_eq!(app.service, "app");
    let statements = app.children(&spans);
    assert!(
        statements.iter().any(|statement| {
            attribute(&statement.value, "db.query.text").is_some_and(|text| text.starts_with("SELECT"))
                && attribute(&statement.value, "db.system.name").as_deref() == Some("sqlite")
        }),
        "{spans:#?}"
    );
    assert!(statements.iter().all(|statement| statement.lies_in(app)), "{spans:#?}");
    assert_eq!(spans.len(), 3 + statements.len(), "nothing else is of this trace: {spans:#?}");

    // The busy collector was told the same once more.
    let bodies = collector.bodies();
    assert_eq!(bodies[0], bodies[1]);

    let question = |spans: &[Span], service: &str, name: &str| {
        spans
            .iter()
            .find(|span| {
                span.service == service
                    && span.text("parentSpanId").is_empty()
                    && attribute(&span.value, "dns.question.name").as_deref() == Some(name)
            })
            .cloned()
    };
    until("the look-up is told", || question(&collector.spans(), "resolver", "www.foobar.com.").is_some());
    let spans = collector.spans();
    let resolver = question(&spans, "resolver", "www.foobar.com.").unwrap();
    assert_eq!(attribute(&resolver.value, "wwwlab.cache").as_deref(), Some("miss"));
    let steps = resolver.children(&spans);
    let answered: Vec<&str> =
        steps.iter().flat_map(|step| step.children(&spans)).map(|span| span.service.as_str()).collect();
    for server in ["root", "tld", "dns"] {
        assert!(answered.contains(&server), "{server}: {spans:#?}");
    }
    until("the other is told", || question(&collector.spans(), "dns", "nosuch.foobar.com.").is_some());
}

#[test]
fn a_collector_that_takes_nothing_is_said_once_and_that_it_is_back() {
    let collector = Collector::start(&[NEVER, NEVER]);
    let stage = collector.lab();
    let notes = |stage: &Stage| -> Vec<String> {
        let said = std::fs::read_to_string(stage.state().join("journal.jsonl")).unwrap_or_default();
        let about = format!("http://{}/v1/traces", collector.address);
        said.lines().filter(|line| line.contains(&about)).map(str::to_owned).collect()
    };
    // Asked one after the other, until three messages have come.
    until("it is asked a third time", || {
        stage.page("/about.html");
        collector.bodies().len() >= 3
    });
    until("it is said that it is back", || notes(&stage).len() >= 2);
    let said = notes(&stage);
    assert!(said[0].contains("400 Bad Request") && said[0].contains("dropped"), "{said:?}");
    assert!(said[1].contains("takes traces again"), "{said:?}");
    assert_eq!(said.len(), 2, "once each: {said:?}");
    // What is left is told at the end, as far as a busy machine comes to it within a second.
    until("the last words of a lab are told", || {
        let (_, page) = stage.page("/guestbook");
        let field =
            page.lines().find(|line| line.to_ascii_lowercase().starts_with("x-request-id: ")).unwrap();
        let id = field.split(' ').nth(1).unwrap().trim().to_owned();
        stage.wwwlab(["down"]).ok();
        let is_told = collector.spans().iter().any(|span| span.text("traceId") == id);
        stage.wwwlab(["up", "-d"]).ok();
        is_told
    });
}
