//! What the tests stand on: a web server with a site of its own, a client, and an application.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::ground::channel::{Ask, Reply};
use crate::ground::event::Happened;
use crate::ground::journal::{Told, journal};
use crate::ground::service::{Closed, Service};

use super::super::{Config, Web};

/// A GET of `target`, after which the connection closes.
pub(super) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n\r\n")
}

/// A configuration for the site in `site`, on a free port.
pub(super) fn config(site: &Path, app: SocketAddr) -> Config {
    Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        site: site.to_owned(),
        name: "www.foobar.com".into(),
        alias: vec!["foobar.com".into()],
        app: vec![app.into()],
        balance: super::super::Policy::default(),
        app_check: None,
        app_connect_timeout: Duration::from_secs(30),
        app_scripts: None,
        app_timeout: Duration::from_secs(5),
        app_idle_timeout: Duration::from_secs(60),
        served_by: "server".into(),
        further_site: Vec::new(),
        max_body: 1 << 20,
        access_log: None,
        access_log_form: super::super::access::Form::Combined,
        content_security_policy: super::super::protection::POLICY.into(),
        patience: super::super::wire::Patience::default(),
        tls_listen: Vec::new(),
        tls_only: false,
        hsts: None,
        certificate: Vec::new(),
        key_log: None,
        max_connections: 16,
    }
}

/// A running web server.
pub(super) struct Stand {
    web: Web,
    told: Told,
    directory: TempDir,
    /// Keeps the application's address from others.
    _nobody: Option<TcpSocket>,
}

/// An address at which nobody listens, nor can as long as the socket is kept: it is bound, and no more.
pub(super) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

impl Stand {
    /// In front of `app`.
    pub(super) async fn before(app: SocketAddr) -> Self {
        Self::start(app, |_| {}).await
    }

    /// In front of an address at which nothing listens.
    pub(super) async fn without_application() -> Self {
        let (nobody, address) = nobody();
        Self { _nobody: Some(nobody), ..Self::before(address).await }
    }

    /// In front of `app`, with `change` made to its configuration.
    pub(super) async fn start(app: SocketAddr, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let site = directory.path().join("site");
        std::fs::create_dir_all(site.join("docs")).unwrap();
        std::fs::write(site.join("about.html"), "<p>about</p>").unwrap();
        std::fs::write(site.join("docs/index.html"), "docs").unwrap();
        std::fs::write(site.join(".env"), "top secret").unwrap();
        std::fs::write(directory.path().join("secret"), "top secret").unwrap();
        std::os::unix::fs::symlink("../secret", site.join("link")).unwrap();
        let mut config = config(&site, app);
        change(&mut config);
        let (journal, told) = journal();
        let web = Web::start(config, journal).await.unwrap();
        Self { web, told, directory, _nobody: None }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.web.listening()[0].address
    }

    pub(super) fn site(&self) -> PathBuf {
        self.directory.path().join("site")
    }

    /// Sends `request` and reads until the web server closes.
    pub(super) async fn ask(&self, request: &str) -> Answer {
        let (mut reading, mut writing) = TcpStream::connect(self.address()).await.unwrap().into_split();
        let mut answer = Vec::new();
        // A server that has answered may close before it has read everything: that is not the test's failure.
        let (_, _) = tokio::join!(writing.write_all(request.as_bytes()), reading.read_to_end(&mut answer));
        Answer::parse(&answer)
    }

    /// All that comes back to `request`, as it comes.
    pub(super) async fn raw(&self, request: &str) -> String {
        let (mut reading, mut writing) = TcpStream::connect(self.address()).await.unwrap().into_split();
        let mut answer = Vec::new();
        let (_, _) = tokio::join!(writing.write_all(request.as_bytes()), reading.read_to_end(&mut answer));
        String::from_utf8(answer).unwrap()
    }

    /// The first `count` events but those of the way there, each as its line.
    pub(super) async fn told(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        while events.len() < count {
            assert!(self.told.hear(&mut events, 1).await);
            events.retain(|(_, what)| !matches!(what, Happened::Connected { .. } | Happened::Passed { .. }));
        }
        events.iter().map(|(_, what)| what.to_string()).collect()
    }

    /// What the supervisor would get for an order.
    pub(super) async fn order(&self, ask: Ask) -> Reply {
        self.web.ask(ask).await
    }

    pub(super) async fn close(self) -> Closed {
        self.web.close().await
    }

    /// Closes, and nothing has to be cut.
    pub(super) async fn close_clean(self) {
        assert_eq!(self.close().await, Closed::default());
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        Self {
            status: status.parse().unwrap(),
            headers: lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// An application that does as it is told; it ends with the test.
pub(super) struct Application {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
}

#[derive(Clone, Copy)]
enum Script {
    /// The same answer to every request; a connection is closed after an empty one and one that says so.
    Same(&'static str),
    /// The same answer to the first request of a connection; at the second, it hangs up.
    Once(&'static str),
    /// The body as it came on the wire.
    Echo,
    /// This answer to a request's head; then, with the body unread, it does so.
    Early(&'static str, Then),
}

/// What follows an early answer.
#[derive(Clone, Copy)]
pub(super) enum Then {
    /// It closes, which resets the connection over the unread bytes.
    Closes,
    /// It closes only its own direction, and reads nothing.
    Ends,
    /// It reads nothing and does nothing.
    Stays,
}

impl Application {
    pub(super) async fn answering(answer: &'static str) -> Self {
        Self::doing(Script::Same(answer)).await
    }

    pub(super) async fn answering_once(answer: &'static str) -> Self {
        Self::doing(Script::Once(answer)).await
    }

    pub(super) async fn echoing() -> Self {
        Self::doing(Script::Echo).await
    }

    pub(super) async fn answering_early(answer: &'static str, then: Then) -> Self {
        Self::doing(Script::Early(answer, then)).await
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    pub(super) fn requests(&self) -> usize {
        self.seen.lock().unwrap().requests.len()
    }

    /// The head of a request, its header names in lower case as hyper writes them.
    pub(super) fn asked(&self, which: usize) -> String {
        self.seen.lock().unwrap().requests[which].clone()
    }

    async fn doing(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                connections.spawn(serve(stream, script, shared.clone()));
            }
        });
        Self { address, seen, _task: task }
    }
}

async fn serve(mut stream: TcpStream, script: Script, seen: Arc<Mutex<Seen>>) {
    if let Script::Early(answer, then) = script {
        return early(stream, answer, then, seen).await;
    }
    let mut answered = 0;
    while let Some((head, body)) = request(&mut stream).await {
        let is_head = head.starts_with("HEAD ");
        seen.lock().unwrap().requests.push(head);
        let answer = match script {
            Script::Once(_) if answered > 0 => return,
            Script::Same(answer) | Script::Once(answer) if is_head => {
                let end = answer.find("\r\n\r\n").unwrap();
                answer[..end + 4].to_owned()
            }
            Script::Same(answer) | Script::Once(answer) => answer.to_owned(),
            Script::Early(..) => unreachable!("it was served before"),
            Script::Echo => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        };
        answered += 1;
        if stream.write_all(answer.as_bytes()).await.is_err()
            || answer.is_empty()
            || answer.contains("Connection: close")
        {
            return;
        }
    }
}

async fn early(mut stream: TcpStream, answer: &str, then: Then, seen: Arc<Mutex<Seen>>) {
    let Some(head) = head(&mut stream).await else { return };
    seen.lock().unwrap().requests.push(head);
    stream.write_all(answer.as_bytes()).await.unwrap();
    match then {
        Then::Closes => {}
        Then::Ends => {
            stream.shutdown().await.unwrap();
            std::future::pending().await
        }
        Then::Stays => std::future::pending().await,
    }
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// The next request: its head, and its body as it came on the wire.
async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let head = head(stream).await?;
    let mut body = Vec::new();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map(|length| length.parse::<usize>().unwrap());
    if let Some(length) = length {
        body.resize(length, 0);
        stream.read_exact(&mut body).await.ok()?;
    } else if head.contains("transfer-encoding: chunked") {
        while !body.ends_with(b"\r\n0\r\n\r\n") {
            body.push(stream.read_u8().await.ok()?);
        }
    }
    Some((head, String::from_utf8(body).unwrap()))
}
