//! Beside nginx as a proxy: the same upstream behind both, which writes down what it gets; what it gets, and what the
//! client gets of its answer, header by header.
//!
//! nginx is set to do what a careful administrator sets: HTTP/1.1 upstream, the client's address in `X-Forwarded-For`,
//! nothing stored on the way. What still differs is in [`DIFFERENCES`] with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::server::Servers;

/// No answer takes this long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as a client sends it, after `Host`, `Connection: close` where it says nothing else, and a number; and what
/// the upstream answers.
#[derive(Debug, Clone, Copy)]
struct Case {
    line: &'static str,
    headers: &'static str,
    body: &'static str,
    answer: &'static str,
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const fn get(headers: &'static str, answer: &'static str) -> Case {
    Case { line: "GET /a%2Fb?x=%20&y HTTP/1.1", headers, body: "", answer }
}
const fn with(line: &'static str, headers: &'static str, body: &'static str) -> Case {
    Case { line, headers, body, answer: OK }
}

const CASES: &[Case] = &[
    get("Cookie: a=b\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nUser-Agent: x\r\n", OK),
    get("Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=9\r\nTE: trailers\r\n", OK),
    get("Proxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\n", OK),
    get("X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n", OK),
    get("Forwarded: for=10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nVia: 1.0 fred\r\n", OK),
    get("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=b\r\n", OK),
    get("x_under: 1\r\nX-Twice: 1\r\nX-Twice: 2\r\n", OK),
    with("HEAD /h HTTP/1.1", "", ""),
    with("GET /old HTTP/1.0", "", ""),
    with("OPTIONS /o HTTP/1.1", "", ""),
    with("DELETE /d HTTP/1.1", "", ""),
    with("PUT /p HTTP/1.1", "Content-Length: 5\r\n", "hello"),
    with("POST /p HTTP/1.1", "Content-Length: 0\r\n", ""),
    with("POST /p HTTP/1.1", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"),
    with(
        "POST /p HTTP/1.1",
        "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n",
        "2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
    ),
    with("POST /p HTTP/1.1", "Content-Length: 2\r\nExpect: 100-continue\r\n", "hi"),
    with("POST /p HTTP/1.1", "Content-Length: 2\r\nExpect: tea\r\n", "hi"),
    get("", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"),
    get("If-None-Match: \"a\"\r\n", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
    get("", "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"),
    get("", "HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n"),
    get("", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad"),
    get(
        "",
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-A:  b \r\nContent-Length: 2\r\n\r\nok",
    ),
    get(
        "",
        "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok",
    ),
    get("", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    get(
        "",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
    ),
    get("", "HTTP/1.1 200 OK\r\nServer: mine\r\nDate: then\r\nContent-Length: 2\r\n\r\nok"),
    get("", "HTTP/1.1 200 OK\r\nVia: 1.0 fred\r\nX-Accel-Expires: 0\r\nContent-Length: 2\r\n\r\nok"),
    get("", "HTTP/1.0 200 OK\r\n\r\nuntil the end"),
    Case {
        line: "GET /old HTTP/1.0",
        headers: "",
        body: "",
        answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    },
    // What is broken.
    get("", ""),
    get("", "SSH-2.0-OpenSSH_9.2\r\n"),
    get("", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
    get("", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    with("POST /p HTTP/1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    // Another protocol.
    get(
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
    ),
    get("Connection: close, Upgrade\r\nUpgrade: h2c\r\n", OK),
];

/// Something that is not the same: a header by its name, or `(line)`, `(status)`, `(body)`, `(whole)`.
#[derive(Debug)]
struct Item {
    case: Case,
    /// Whether the upstream sees it, or the client.
    at_upstream: bool,
    name: String,
    ours: Option<String>,
    nginx: Option<String>,
}

/// Why there is a difference, and whether it is this.
type Difference = (&'static str, fn(&Item) -> bool);

const DIFFERENCES: &[Difference] = &[
    (
        "nginx answers HTTP/1.0 as HTTP/1.1, as it may (RFC 9110 §6.2), and must say then that it closes; here it is answered \
      in its own version",
        |item| {
            let downwards =
                item.ours.as_deref() == Some("HTTP/1.0 200") || item.nginx.as_deref() == Some("close");
            item.case.line.ends_with("HTTP/1.0") && !item.at_upstream && downwards
        },
    ),
    (
        "nginx tells the length of a body that came in chunks, if it was all there at once; here it stays in chunks",
        |item| {
            let framing = ["content-length", "transfer-encoding"].contains(&item.name.as_str());
            item.at_upstream && framing && item.case.headers.contains("chunked")
        },
    ),
    (
        "nginx takes what does not begin with HTTP for an answer of HTTP/0.9, and passes it on as if it were the page; here it \
      is 502",
        |item| {
            let is_refused = item.name != "(line)" || item.ours.as_deref() == Some("HTTP/1.1 502");
            item.case.answer.starts_with("SSH") && !item.at_upstream && is_refused
        },
    ),
    (
        "each says of itself on an answer what it likes: Server, Date, and here X-Served-By, X-Request-Id, Server-Timing and \
      what protects the pages",
        |item| {
            let own = [
                "server",
                "date",
                "x-served-by",
                "x-request-id",
                "server-timing",
                "x-content-type-options",
                "referrer-policy",
                "x-frame-options",
            ];
            !item.at_upstream && own.contains(&item.name.as_str())
        },
    ),
    (
        "nginx says nothing of Forwarded, X-Request-Id and traceparent unless it is told what; here they are always said, and \
      what a client said of the first two is replaced (RFC 7239 §8.1), and in its trace this server is the one that asks",
        |item| {
            let said = ["forwarded", "x-request-id", "traceparent"].contains(&item.name.as_str());
            item.at_upstream && said && item.ours.is_some()
        },
    ),
    ("nginx passes X-Real-IP on as the client says it; here nobody believes it", |item| {
        item.at_upstream && item.name == "x-real-ip" && item.ours.is_none()
    }),
    ("nginx sends no Via unless it is told to; a proxy must (RFC 9110 §7.6.3)", |item| {
        item.name == "via"
            && item
                .ours
                .as_ref()
                .is_some_and(|via| via.ends_with("1.1 wwwlab") || via.ends_with("1.0 wwwlab"))
    }),
    (
        "nginx heeds neither what Connection names nor what is of one connection by itself; it must not be passed on (RFC \
      9110 §7.6.1)",
        |item| {
            let hop =
                ["x-mine", "keep-alive", "te", "proxy-authorization", "proxy-connection", "x-hop", "trailer"];
            hop.contains(&item.name.as_str()) && item.ours.is_none()
        },
    ),
    (
        "nginx drops a header with an underscore in its name, which CGI cannot tell from a hyphen; the name is valid (RFC \
      9110 §5.1), and so passed on",
        |item| item.name == "x_under" && item.nginx.is_none(),
    ),
    (
        "nginx asks the client for the body itself; here the application says whether it wants it (RFC 9110 §10.1.1)",
        |item| item.at_upstream && item.name == "expect" && item.ours.as_deref() == Some("100-continue"),
    ),
    ("nginx passes on what it does not know to be expected; that is 417 (RFC 9110 §10.1.1)", |item| {
        let is_refused =
            item.name != "(line)" || item.at_upstream || item.ours.as_deref() == Some("HTTP/1.1 417");
        item.case.headers.contains("Expect: tea") && is_refused
    }),
    ("nginx takes the X-Accel headers of an upstream as orders, and off; here nobody gives any", |item| {
        item.name == "x-accel-expires"
    }),
    ("each explains in its own words why there is no answer", |item| {
        let broken = item.case.answer.is_empty()
            || item.case.headers.contains("Content-Length: 5\r\nTransfer-Encoding");
        let words = [
            "(body)",
            "content-length",
            "content-type",
            "content-security-policy",
            "cache-control",
            "connection",
        ];
        broken && !item.at_upstream && words.contains(&item.name.as_str())
    }),
    (
        "nginx passes an Upgrade on to any protocol it is set to; to h2c here never, since requests could then be sent past \
      the proxy",
        |item| {
            item.case.headers.contains("h2c")
                && item.at_upstream
                && ["connection", "upgrade"].contains(&item.name.as_str())
        },
    ),
];

/// What was got: the first line, the headers, and what they frame.
#[derive(Debug, Default, Clone)]
struct Message {
    line: String,
    headers: BTreeMap<String, Vec<String>>,
    body: Vec<u8>,
    is_whole: bool,
}

/// Listens, writes down, and answers as the case says whose number a request has.
struct Upstream {
    address: SocketAddr,
    got: Arc<Mutex<BTreeMap<usize, Message>>>,
}

#[test]
fn requests_and_answers_are_passed_on_as_nginx_does() {
    let (ours, nginx) = (Upstream::start(), Upstream::start());
    let servers = Servers::before(ours.address, nginx.address);
    let mut unexplained = Vec::new();
    let mut used = BTreeSet::new();
    let mut same = 0;
    for (number, case) in CASES.iter().enumerate() {
        let answers = [servers.ours, servers.nginx].map(|server| case.ask(number, server));
        let asked = [&ours, &nginx]
            .map(|upstream| upstream.got.lock().unwrap().get(&number).cloned().unwrap_or_default());
        for (at_upstream, [ours, nginx]) in [(true, asked), (false, answers)] {
            let names: BTreeSet<String> = ours.items().into_keys().chain(nginx.items().into_keys()).collect();
            for name in names {
                let [ours, nginx] = [&ours, &nginx].map(|message| message.items().remove(&name));
                if ours == nginx {
                    same += 1;
                    continue;
                }
                let item = Item { case: *case, at_upstream, name, ours, nginx };
                match DIFFERENCES.iter().position(|(_, explains)| explains(&item)) {
                    Some(index) => drop(used.insert(index)),
                    None => unexplained.push(format!("{item:#?}")),
                }
            }
        }
    }
    eprintln!("{} requests, {same} things the same", CASES.len());
    assert!(
        unexplained.is_empty(),
        "{} differences that are not listed:\n{}",
        unexplained.len(),
        unexplained.join("\n")
    );
    let unused: Vec<_> = (0..DIFFERENCES.len())
        .filter(|index| !used.contains(index))
        .map(|index| DIFFERENCES[index].0)
        .collect();
    assert!(unused.is_empty(), "listed, and nowhere to be seen: {unused:?}");
}

/// Who has said all and still reads (`nc -N`) is answered here; nginx takes it for gone, its status 499, since it cannot
/// tell the two apart before it writes something.
#[test]
fn who_has_ended_its_side_is_answered_where_nginx_does_not() {
    let [ours, nginx] = [Slow::start(), Slow::start()];
    let servers = Servers::before(ours.address, nginx.address);
    // It ends its side when the application has the request.
    let asked = |server, application: &Slow| {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n\r\n").unwrap();
        let application = application.asked();
        stream.shutdown(Shutdown::Write).unwrap();
        (stream, application)
    };
    let heard = |mut stream: TcpStream| {
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        heard
    };
    let (client, application) = asked(servers.nginx, &nginx);
    // It does not wait for the answer: so there need be none.
    assert_eq!(heard(client), "");
    drop(application);
    let (client, mut application) = asked(servers.ours, &ours);
    application.write_all(OK.as_bytes()).unwrap();
    let heard = heard(client);
    assert!(heard.starts_with("HTTP/1.1 200 ") && heard.ends_with("\r\n\r\nok"), "{heard}");
}

/// An upstream that answers when the test does.
struct Slow {
    address: SocketAddr,
    listener: TcpListener,
}

impl Slow {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    /// A connection whose request has come.
    fn asked(&self) -> TcpStream {
        let (mut stream, _) = self.listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(byte(&mut stream).unwrap());
        }
        stream
    }
}

impl Case {
    fn ask(&self, number: usize, server: SocketAddr) -> Message {
        let close = if self.headers.starts_with("Connection: ") { "" } else { "Connection: close\r\n" };
        let request = format!(
            "{}\r\nHost: www.foobar.com\r\nX-Case: {number}\r\n{close}{}\r\n{}",
            self.line, self.headers, self.body
        );
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // A reset is an end like another: what came before it counts.
        if let Err(error) = stream.read_to_end(&mut bytes) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{self:?}");
        }
        while bytes.starts_with(b"HTTP/1.1 100 ") {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            bytes.drain(..end + 4);
        }
        Message::parse(&bytes, self.line.starts_with("HEAD"))
    }
}

impl Message {
    fn parse(bytes: &[u8], is_head: bool) -> Self {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Self { line: "no head".into(), body: bytes.to_vec(), ..Self::default() };
        };
        let text = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for field in lines {
            let (name, value) = field.split_once(':').unwrap();
            headers.entry(name.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
        }
        let mut message = Self { line, headers, body: bytes[end + 4..].to_vec(), is_whole: true };
        if is_head {
            return message;
        }
        if message.headers.contains_key("transfer-encoding") {
            (message.body, message.is_whole) = dechunked(&message.body);
        } else if let Some(length) = message.length() {
            message.is_whole = message.body.len() == length;
        }
        message
    }

    fn length(&self) -> Option<usize> {
        self.headers.get("content-length").map(|length| length[0].parse().unwrap())
    }

    /// Everything that can be the same, as text.
    fn items(&self) -> BTreeMap<String, String> {
        let mut items: BTreeMap<String, String> =
            self.headers.iter().map(|(name, values)| (name.clone(), values.join(" | "))).collect();
        // How a status is worded is nobody's business (RFC 9112 §4).
        let line: Vec<&str> = self.line.split(' ').collect();
        let line = if self.line.starts_with("HTTP/") { line[..2].join(" ") } else { self.line.clone() };
        items.insert("(line)".into(), line);
        items.insert("(body)".into(), String::from_utf8_lossy(&self.body).into_owned());
        items.insert("(whole)".into(), self.is_whole.to_string());
        items
    }
}

/// The content of chunks, and whether the last one has come. Fields behind it show as `+field`.
fn dechunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        bytes = &bytes[end + 2..];
        if length == 0 {
            if bytes != b"\r\n" {
                content.push(b'+');
                content.extend_from_slice(bytes);
            }
            return (content, true);
        }
        let Some(chunk) = bytes.get(..length) else { break };
        content.extend_from_slice(chunk);
        bytes = bytes.get(length + 2..).unwrap_or_default();
    }
    (content, false)
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let got: Arc<Mutex<BTreeMap<usize, Message>>> = Arc::default();
        let shared = got.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { address, got }
    }
}

/// Takes one request and answers it, as often as its connection is asked.
fn answer(mut stream: TcpStream, got: &Mutex<BTreeMap<usize, Message>>) -> Option<()> {
    loop {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(byte(&mut stream)?);
        }
        let head = Message::parse(&bytes, true);
        if head.headers.contains_key("expect") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        if head.headers.contains_key("transfer-encoding") {
            while !dechunked(&bytes[bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4..]).1
                || !bytes.ends_with(b"\r\n\r\n")
            {
                bytes.push(byte(&mut stream)?);
            }
        } else {
            for _ in 0..head.length().unwrap_or(0) {
                bytes.push(byte(&mut stream)?);
            }
        }
        let message = Message::parse(&bytes, false);
        let number: usize = message.headers["x-case"][0].parse().unwrap();
        let is_head = message.line.starts_with("HEAD ");
        got.lock().unwrap().insert(number, message);
        let answer = CASES[number].answer;
        let end = answer.find("\r\n\r\n").map_or(answer.len(), |end| end + 4);
        stream.write_all(&answer.as_bytes()[..if is_head { end } else { answer.len() }]).ok()?;
        // What does not say where it ends, or breaks off, ends with the connection.
        let framed =
            answer.contains("Content-Length: 2\r\n") || answer.contains(" 204 ") || answer.contains(" 304 ");
        if !framed {
            return None;
        }
    }
}

fn byte(stream: &mut TcpStream) -> Option<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok().map(|()| byte[0])
}
