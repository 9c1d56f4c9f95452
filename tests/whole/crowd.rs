//! More visitors than there are descriptors: whoever is in is served, whoever is not is told so, nobody waits.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::stage::{PATIENCE, PROGRAM, Stage, until};

/// A service that was started by hand; it ends with the test.
struct Service {
    process: Child,
    says: Receiver<String>,
    address: SocketAddr,
}

impl Service {
    /// `wwwlab serve …` with at most so many descriptors.
    fn start(descriptors: &str, arguments: &str, stage: &Stage) -> Self {
        let mut process = stage
            .command("sh")
            .args(["-c", &format!("ulimit {descriptors} && exec '{PROGRAM}' serve {arguments}")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (sender, says) = channel();
        // All that it says is taken: a pipe that is full would have it stand still.
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let ready = says.recv().unwrap();
        let address = ready.strip_prefix("ready at ").and_then(|place| place.strip_suffix("/tcp"));
        let address = address.unwrap_or_else(|| panic!("{ready}")).parse().unwrap();
        Self { process, says, address }
    }

    /// The next line that it says.
    fn line(&self) -> String {
        self.says.recv().unwrap()
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn visit(web: SocketAddr) -> TcpStream {
    let visitor = TcpStream::connect(web).unwrap();
    visitor.set_read_timeout(Some(PATIENCE)).unwrap();
    visitor
}

/// Asks for `path` and reads the whole answer.
fn ask(visitor: &mut TcpStream, path: &str) -> String {
    // Whoever is turned away may be so before the question is out.
    let _ = write!(visitor, "GET {path} HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n");
    answer(visitor)
}

/// One answer, head and body.
fn answer(visitor: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return String::from_utf8(answer).unwrap();
            }
        }
        let read = visitor.read(&mut piece).unwrap_or_else(|error| panic!("{error} after {text:?}"));
        assert!(read > 0, "closed after {text:?}");
        answer.extend_from_slice(&piece[..read]);
    }
}

/// An application that is asked and does not answer: whoever asks is at work for as long as it takes.
struct Silent {
    address: SocketAddr,
    asked: Receiver<TcpStream>,
}

impl Silent {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            listener.incoming().map_while(Result::ok).try_for_each(|mut question| {
                let mut head = BufReader::new(&mut question).lines().map_while(Result::ok);
                // One that ends before its head does has asked nothing.
                match head.any(|line| line.is_empty()) {
                    true => sender.send(question),
                    false => Ok(()),
                }
            })
        });
        Self { address, asked }
    }
}

/// What a web server can hold by 128 descriptors.
const FEW: usize = 28;

/// A web server with few descriptors before the application at `app`, which has time enough on any machine.
fn small(app: SocketAddr, stage: &Stage) -> Service {
    let line = format!(
        "web --listen 127.0.0.1:0 --site site --name www.foobar.com --app {app} --app-timeout 5min \
         --app-connect-timeout 1min --served-by here"
    );
    let web = Service::start("-n 128", &line, stage);
    let note = web.line();
    assert!(note.starts_with(&format!("{FEW} connections at most, not 1024")), "{note}");
    assert!(note.contains("128 descriptors"), "{note}");
    web
}

#[test]
fn a_full_web_server_says_so_and_serves_whom_it_holds() {
    let stage = Stage::new();
    let app = Silent::start();
    let web = small(app.address, &stage);

    // Each has the web server at work; the first that is turned away says how many there are.
    let (mut inside, mut questions) = (Vec::new(), Vec::new());
    let refused = loop {
        let mut visitor = visit(web.address);
        // Whoever is turned away may be so before the question is out.
        let _ = write!(visitor, "GET /guestbook HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n");
        let mut is_let_in = false;
        until("somebody is let in or turned away", || {
            let question = app.asked.try_recv();
            is_let_in = question.is_ok();
            questions.extend(question);
            is_let_in || has_news(&visitor)
        });
        if !is_let_in {
            break answer_or_rest(&mut visitor);
        }
        inside.push(visitor);
        assert!(inside.len() <= 128, "nobody was turned away");
    };
    assert_eq!(inside.len(), FEW);
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("\r\nRetry-After: 1\r\n"), "{refused}");
    assert!(refused.contains(&format!("All {FEW} connections of the web server are in use.")), "{refused}");

    // As many as can be turned away at once, less the one that may still be, stand in the door.
    let mut outside: Vec<TcpStream> = (0..23).map(|_| visit(web.address)).collect();
    for visitor in &mut outside {
        let said = answer(visitor);
        assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    }
    drop(outside);
    assert!(!inside.iter().any(has_news), "whoever is in stays");
    // Whoever leaves makes room: for good, and not only with its side, which might still wait for the answer.
    for visitor in inside {
        SockRef::from(&visitor).set_linger(Some(Duration::ZERO)).unwrap();
    }
    // Those before may still be in the door: then one more is closed without a word.
    let mut visitors = Vec::new();
    until("all have left", || {
        let mut visitor = visit(web.address);
        let _ = write!(visitor, "GET /about.html HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n");
        let mut said = [0; 12];
        let is_served = visitor.read_exact(&mut said).is_ok() && &said == b"HTTP/1.1 200";
        visitors.extend(is_served.then_some(visitor));
        visitors.len() == FEW
    });
}

#[test]
fn whoever_is_idle_keeps_nobody_out_of_a_full_web_server() {
    let stage = Stage::new();
    let app = Service::start("-n 128", "app --listen 127.0.0.1:0 --code app --database book.db", &stage);
    let web = small(app.address, &stage);
    // Each newcomer takes the place of the one that was idle longest.
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..100 + FEW {
        let mut visitor = visit(web.address);
        for path in ["/about.html", "/healthz"] {
            let said = ask(&mut visitor, path);
            assert!(said.starts_with("HTTP/1.1 200 "), "{path}: {said}");
        }
        idle.push(visitor);
    }
    // All that are held are at work at the same time: with a page that needs a connection to the application, without
    // its database, for which it waits no longer than a visitor would.
    let mut last = idle.split_off(idle.len() - FEW);
    for path in ["/healthz", "/about.html"] {
        for visitor in &mut last {
            write!(visitor, "GET {path} HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n").unwrap();
        }
        for visitor in &mut last {
            let said = answer(visitor);
            assert!(said.starts_with("HTTP/1.1 200 "), "{path}: {said}");
        }
    }
}

/// Whether something has come, be it the end.
fn has_news(visitor: &TcpStream) -> bool {
    visitor.set_nonblocking(true).unwrap();
    let looked = visitor.peek(&mut [0]);
    visitor.set_nonblocking(false).unwrap();
    !looked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// What comes until the connection closes.
fn answer_or_rest(visitor: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let _ = visitor.shutdown(std::net::Shutdown::Write);
    visitor.read_to_end(&mut rest).unwrap();
    String::from_utf8(rest).unwrap()
}

/// Ten thousand connections at once, half of them silent and half in the middle of a head: memory stays bounded, and
/// whoever has something to ask is answered.
#[test]
fn ten_thousand_that_only_hold_on_keep_nobody_out() {
    const CROWD: usize = 10_000;
    /// What the web server can hold by 20,000 descriptors: two for each connection, some for itself, for further answers and for
    /// ends that are told later.
    const HELD: usize = 9_696;
    const DESCRIPTORS: usize = 20_000;
    let hard = wwwlab::ground::descriptors::raise();
    assert!(
        hard >= DESCRIPTORS,
        "this test needs {DESCRIPTORS} descriptors, and the hard limit is {hard}: `sudo prlimit --pid $$ --nofile={DESCRIPTORS}`"
    );
    let stage = Stage::new();
    let line = format!(
        "web --listen 127.0.0.1:0 --site site --name www.foobar.com --app 127.0.0.1:9 --served-by here \
         --max-connections {CROWD}"
    );
    let web = Service::start(&format!("-n {DESCRIPTORS}"), &line, &stage);
    let note = web.line();
    assert!(note.starts_with(&format!("{HELD} connections at most, not {CROWD}")), "{note}");
    let before = resident(web.pid());
    let mut crowd = Vec::with_capacity(CROWD);
    for number in 0..CROWD {
        let mut visitor = visit_from(number, web.address);
        if number % 2 == 0 {
            visitor.write_all(b"GET /about.html HTTP/1.1\r\nHost: www.foob").unwrap();
        }
        crowd.push(visitor);
        if number % 500 == 0 {
            let said = ask(&mut visit(web.address), "/about.html");
            assert!(said.starts_with("HTTP/1.1 200 "), "after {number}: {said}");
        }
    }
    let each = (resident(web.pid()) - before) * 1024 / HELD;
    eprintln!("{each} bytes of memory for each of {HELD} connections held");
    assert!(each < 16 * 1024, "{each} bytes for each connection");
    // The oldest were closed, the newest are held and may go on.
    assert_eq!(crowd[1].read(&mut [0]).unwrap(), 0);
    for number in [2 * (CROWD - HELD), CROWD - 2] {
        let visitor = &mut crowd[number];
        visitor.write_all(b"ar.com\r\n\r\n").unwrap();
        let said = answer(visitor);
        assert!(said.starts_with("HTTP/1.1 200 "), "{number}: {said}");
    }
}

/// A connection from one of several addresses, so that there are ports for all.
fn visit_from(number: usize, web: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number % 8).unwrap() + 1);
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&web.into()).unwrap();
    let visitor = TcpStream::from(socket);
    visitor.set_read_timeout(Some(PATIENCE)).unwrap();
    visitor
}

/// Resident memory of a process in KiB.
fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_service_goes_up_to_the_hard_limit() {
    let stage = Stage::new();
    let app = Service::start("-Sn 256", "app --listen 127.0.0.1:0 --code app --database book.db", &stage);
    let hard = Command::new("sh").args(["-c", "ulimit -Hn"]).output().unwrap().stdout;
    let hard = String::from_utf8(hard).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", app.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, [hard.trim(), hard.trim()], "{files}");
}
