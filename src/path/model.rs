//! The path as a value: what happened in which order, between whom, for how long, and why that step exists.
//!
//! It is what `--json` prints and what `--compare` reads, so it says everything by itself. Times are microseconds since the
//! request began; that of a step which the client did not see is where the service that told it was at work.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ground::tls::Agreed;

/// The form in which paths are saved; another one is refused when it is read.
pub const FORM: u32 = 1;

/// Steps that a path has at most; a resolver gives up long before it has asked so often.
pub const STEPS_MOST: usize = 256;

/// One request's way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// [`FORM`].
    pub form: u32,
    /// What was asked for: a URL, or a name and a type.
    pub asked: String,
    /// When it began, milliseconds since the Unix epoch.
    pub began: u64,
    /// The whole, from the first question to the last byte, in microseconds.
    pub micros: u64,
    /// Who watched: the client itself, or only the services (`--last`).
    pub watched: Watched,
    /// The trace that ties together what was told about it (W3C `traceparent`), 32 digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace: Option<String>,
    /// What the web server calls the request (`X-Request-Id`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<String>,
    /// The steps: by heading, and within one in the order in which they began.
    pub steps: Vec<Step>,
    /// Headings without a step, and why.
    pub absent: Vec<Absent>,
    /// The request and its answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exchange: Option<Exchange>,
    /// How the connection was made private, if it came to that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls: Option<Tls>,
    /// Where it ended, if it did not reach the page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// What must be said about the measurement itself.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// Who saw the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watched {
    /// The client that made it, and the services.
    ByClient,
    /// The services alone: what lies between them and the client is not known.
    ByServices,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Under which heading it stands.
    pub heading: Heading,
    /// How deep it lies: 0 is what the client does itself, 1 is done within that, …
    pub depth: u8,
    /// Who asked.
    pub from: Party,
    /// Whom.
    pub to: Party,
    /// When it began, in microseconds.
    pub begins: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// Whether only its length is known, and its place is where it must have been.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub placed: bool,
    /// Whether the answer was remembered, where something can be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cached: Option<bool>,
    /// What was said, one line each.
    pub said: Vec<Said>,
    /// Whether the path ended here.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub failed: bool,
    /// Why the step exists, in one sentence.
    pub why: String,
}

impl Step {
    /// When it ended, in microseconds.
    pub fn ends(&self) -> u64 {
        self.begins.saturating_add(self.micros)
    }
}

/// One line of what was said: who or what, and the words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// `asks`, `hears`, `kernel`, …
    pub by: String,
    /// The words.
    pub words: String,
}

impl Said {
    /// So many words of `by`.
    pub fn new(by: &str, words: impl Into<String>) -> Self {
        Self { by: by.into(), words: words.into() }
    }
}

/// One end of a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Party {
    /// What it is called: `client`, `resolver`, `web`, …
    pub name: String,
    /// The machine that it is on, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<String>,
    /// Its address and port, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<SocketAddr>,
}

/// `web 127.0.0.1:80`.
impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        self.address.iter().try_for_each(|address| write!(f, " {address}"))
    }
}

/// The headings under which courses tell the way of a request, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heading {
    /// From the name to an address.
    Dns,
    /// A connection to that address.
    Tcp,
    /// What may pass.
    Firewall,
    /// The connection made private.
    Tls,
    /// One of several servers chosen.
    Balancer,
    /// Files, and the door to the application.
    Web,
    /// The program that makes the page.
    Application,
    /// What it remembers.
    Database,
}

impl Heading {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Dns,
        Self::Tcp,
        Self::Firewall,
        Self::Tls,
        Self::Balancer,
        Self::Web,
        Self::Application,
        Self::Database,
    ];

    /// As courses write it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Dns => "DNS request",
            Self::Tcp => "TCP/IP",
            Self::Firewall => "Firewall",
            Self::Tls => "HTTPS/SSL",
            Self::Balancer => "Load balancer",
            Self::Web => "Web server",
            Self::Application => "Application server",
            Self::Database => "Database",
        }
    }

    /// Its number in their order, from 1.
    pub fn number(self) -> usize {
        Self::ALL.iter().position(|&heading| heading == self).map_or(0, |at| at + 1)
    }
}

/// A heading without a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Which.
    pub heading: Heading,
    /// Why there is none: the design has none, or the request did not come so far.
    pub because: String,
}

/// The request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// `GET`.
    pub method: String,
    /// The request's target: path and query.
    pub target: String,
    /// What it was sent with.
    pub request_headers: Vec<(String, String)>,
    /// The answer's status.
    pub status: u16,
    /// Its reason phrase.
    pub reason: String,
    /// What it came with.
    pub response_headers: Vec<(String, String)>,
    /// Bytes of the answer's body.
    pub body_bytes: u64,
    /// From the request's first byte to its last, in microseconds.
    pub send_micros: u64,
    /// From then to the answer's head, in microseconds.
    pub wait_micros: u64,
    /// From then to the body's end, in microseconds.
    pub receive_micros: u64,
}

impl Exchange {
    /// A header of the answer, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.response_headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A TLS handshake as its client saw it (RFC 8446 §2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The name that the client said it asks for (SNI, RFC 6066 §3); an address is not said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sni: Option<String>,
    /// What was agreed on; nothing where the handshake failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agreed: Option<Agreed>,
    /// The certificates that the server showed, its own first; believed or not.
    pub chain: Vec<Certificate>,
    /// The authority that the client trusts, and no other; nothing where it knows none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trusted: Option<Certificate>,
}

/// What a certificate says (RFC 5280 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// For which names and addresses.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub names: Vec<String>,
    /// Since when it is valid, in seconds since the Unix epoch.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// Its number, hexadecimal with colons, as `wwwlab cert show` has it.
    #[serde(default)]
    pub serial: String,
}

/// Where and how a path ended before the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Under which heading.
    pub heading: Heading,
    /// The component at fault: `resolver`, `web server`, `application server`, …
    pub component: String,
    /// What is seen on the wire: `refused`, `reset`, `timeout`, `SERVFAIL`, `502`, …
    pub symptom: String,
    /// What happened, in one sentence.
    pub happened: String,
    /// What to look at next, one command or place each.
    pub next: Vec<String>,
}

#[cfg(test)]
pub(super) mod example {
    use super::*;

    fn party(name: &str, address: Option<&str>) -> Party {
        Party { name: name.into(), host: None, address: address.map(|text| text.parse().unwrap()) }
    }

    fn step(heading: Heading, depth: u8, from: Party, to: Party, begins: u64, micros: u64) -> Step {
        Step {
            heading,
            depth,
            from,
            to,
            begins,
            micros,
            placed: false,
            cached: None,
            said: Vec::new(),
            failed: false,
            why: "It has its reason.".into(),
        }
    }

    /// A page that came in a thousand microseconds, with two gaps.
    pub(crate) fn page() -> Path {
        let client = || party("client", Some("127.0.0.1:40000"));
        let resolver = || party("resolver", Some("127.0.0.2:53"));
        let web = || party("web", Some("127.0.0.1:80"));
        let app = || party("app", Some("127.0.0.1:3000"));
        let mut dns = step(Heading::Dns, 0, client(), resolver(), 0, 400);
        dns.cached = Some(false);
        dns.said = vec![
            Said::new("asks", "www.foobar.com. A, flags rd, EDNS 1232"),
            Said::new("hears", "NOERROR, flags qr rd ra: 1 answer, 0 authority, 0 additional"),
            Said::new("", "www.foobar.com. 300 IN A 127.0.0.1"),
        ];
        let root = step(Heading::Dns, 1, resolver(), party("root", Some("127.0.0.3:53")), 50, 100);
        let tcp = step(Heading::Tcp, 0, client(), web(), 440, 60);
        let mut http = step(Heading::Web, 0, client(), web(), 500, 460);
        http.said = vec![
            Said::new("asks", "GET /guestbook HTTP/1.1, Host: www.foobar.com"),
            Said::new("hears", "HTTP/1.1 200 OK, text/html, 4096 bytes"),
        ];
        let mut made = step(Heading::Application, 1, web(), app(), 560, 340);
        made.placed = true;
        let mut rows = step(Heading::Database, 2, app(), party("db", None), 600, 200);
        rows.said = vec![Said::new("SQL", "SELECT name, message FROM entries LIMIT ?1")];
        Path {
            form: FORM,
            asked: "http://www.foobar.com/guestbook".into(),
            began: 1_795_288_500_123,
            micros: 1_000,
            watched: Watched::ByClient,
            trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
            request: Some("0c5f8ec7f1f94e5db5b1c7c6ee8c5f11".into()),
            steps: vec![dns, root, tcp, http, made, rows],
            absent: [Heading::Firewall, Heading::Tls, Heading::Balancer]
                .map(|heading| Absent { heading, because: "there is none in this design".into() })
                .to_vec(),
            exchange: Some(Exchange {
                method: "GET".into(),
                target: "/guestbook".into(),
                request_headers: vec![("host".into(), "www.foobar.com".into())],
                status: 200,
                reason: "OK".into(),
                response_headers: vec![("Content-Type".into(), "text/html".into())],
                body_bytes: 4096,
                send_micros: 10,
                wait_micros: 400,
                receive_micros: 50,
            }),
            tls: None,
            failure: None,
            notes: Vec::new(),
        }
    }

    /// The same by HTTPS: of the first gap and the request, sixty microseconds were the handshake.
    pub(crate) fn secure() -> Path {
        let mut path = page();
        path.asked = "https://www.foobar.com/guestbook".into();
        path.steps[3].begins = 560;
        path.steps[3].micros = 400;
        let web = || path.steps[3].to.clone();
        let mut tls = step(Heading::Tls, 0, path.steps[3].from.clone(), web(), 500, 60);
        tls.said = vec![Said::new("asks", "ClientHello"), Said::new("hears", "TLSv1.3")];
        path.steps.insert(3, tls);
        path.absent.retain(|absent| absent.heading != Heading::Tls);
        path.tls = Some(Tls::default());
        path
    }

    /// A request that met a closed port.
    pub(crate) fn failed() -> Path {
        let mut path = page();
        path.steps.truncate(3);
        path.steps[2].failed = true;
        path.exchange = None;
        path.micros = 500;
        path.absent.extend(
            [Heading::Web, Heading::Application, Heading::Database]
                .map(|heading| Absent { heading, because: "not reached".into() }),
        );
        path.failure = Some(Failure {
            heading: Heading::Tcp,
            component: "web server".into(),
            symptom: "refused".into(),
            happened: "Nobody listens at the port: the web server is stopped, or was killed.".into(),
            next: vec!["wwwlab status".into(), "wwwlab start web".into()],
        });
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_same_when_it_was_saved_and_read() {
        let path = example::page();
        let text = serde_json::to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<Path>(&text).unwrap(), path);
    }

    #[test]
    fn headings_are_numbered_as_courses_do() {
        let numbers = Heading::ALL.map(Heading::number);
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(example::page().exchange.unwrap().header("content-type"), Some("text/html"));
    }
}
