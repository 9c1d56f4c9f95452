//! Signs the guestbook again and again, as browsers and programs do, and remembers of each entry what it was told.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

/// Longer than any answer takes: a server that is gone is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries where nobody listens: to try all the time would take the processor from who starts.
const TRIES_EVERY: Duration = Duration::from_millis(2);

/// The longest text, in characters beside the number: some pages of the database.
const LONGEST: usize = 6_000;

/// Some threads that sign, each one entry after the other.
pub(crate) struct Writers {
    common: Arc<Common>,
    threads: Vec<JoinHandle<Signed>>,
}

#[derive(Default)]
struct Common {
    acknowledged: AtomicUsize,
    stop: AtomicBool,
}

/// The messages that were signed.
#[derive(Debug, Default)]
pub(crate) struct Signed {
    /// Those that were acknowledged, by 201 or 303.
    pub(crate) acknowledged: Vec<String>,
    /// Those that were not: an error came, or nothing.
    pub(crate) uncertain: Vec<String>,
}

impl Writers {
    /// So many, at the web server at `port`.
    pub(crate) fn start(port: u16, many: usize) -> Self {
        let common = Arc::new(Common::default());
        let thread = |writer| {
            let common = common.clone();
            std::thread::spawn(move || sign(port, writer, &common))
        };
        Self { threads: (0..many).map(thread).collect(), common }
    }

    /// Entries that were acknowledged so far.
    #[track_caller]
    pub(crate) fn acknowledged(&self) -> usize {
        assert!(!self.threads.iter().any(JoinHandle::is_finished), "a writer met what must not be");
        self.common.acknowledged.load(Ordering::Relaxed)
    }

    /// Signs no more; what was signed.
    pub(crate) fn stop(mut self) -> Signed {
        self.common.stop.store(true, Ordering::Relaxed);
        let mut all = Signed::default();
        for thread in self.threads.drain(..) {
            let signed = thread.join().unwrap();
            all.acknowledged.extend(signed.acknowledged);
            all.uncertain.extend(signed.uncertain);
        }
        all
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.common.stop.store(true, Ordering::Relaxed);
    }
}

fn sign(port: u16, writer: usize, common: &Common) -> Signed {
    let mut signed = Signed::default();
    let mut connection = None;
    for number in 0.. {
        if common.stop.load(Ordering::Relaxed) {
            break;
        }
        // No two are alike, in length neither, and an end that is missing would be seen.
        let filler = "Zoë🎈".repeat((number * 7_919 + writer * 131) % LONGEST / 4);
        let message = format!("{writer}.{number} {filler} end of {writer}.{number}");
        // Browsers sign by a form, programs by the API.
        let (target, media_type, body) = match number % 2 {
            0 => ("/guestbook", "application/x-www-form-urlencoded", form(&message)),
            _ => ("/api/entries", "application/json", json!({"name": "Ada", "message": message}).to_string()),
        };
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        match ask(&mut connection, port, &(head + &body)) {
            Ok(Answer { status: 201 | 303, .. }) => {
                common.acknowledged.fetch_add(1, Ordering::Relaxed);
                signed.acknowledged.push(message);
            }
            // What is not there answers so; any other answer is none that a kill explains.
            Ok(Answer { status: 502..=504, .. }) => signed.uncertain.push(message),
            Ok(Answer { status, body }) => panic!("{status} for {message}: {body}"),
            Err(_) => {
                connection = None;
                signed.uncertain.push(message);
                std::thread::park_timeout(TRIES_EVERY);
            }
        }
    }
    signed
}

fn form(message: &str) -> String {
    let encoded: String = message.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("name=Ada&message={encoded}")
}

/// Every message of the guestbook, read by the API.
pub(crate) fn messages(port: u16) -> Vec<String> {
    let mut connection = None;
    let mut messages = Vec::new();
    let mut next = Some("/api/entries?limit=50".to_owned());
    while let Some(target) = next {
        let request = format!("GET {target} HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n");
        let Answer { status, body } = ask(&mut connection, port, &request).unwrap();
        assert_eq!(status, 200, "{target}: {body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        let entries = page["entries"].as_array().unwrap();
        messages.extend(entries.iter().map(|entry| entry["message"].as_str().unwrap().to_owned()));
        next = page["older"].as_str().map(str::to_owned);
    }
    messages
}

/// An answer, read to its end.
struct Answer {
    status: u16,
    body: String,
}

/// Asks over the connection, or over a new one.
fn ask(connection: &mut Option<TcpStream>, port: u16, request: &str) -> io::Result<Answer> {
    if connection.is_none() {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        *connection = Some(stream);
    }
    let stream = connection.as_mut().unwrap();
    stream.write_all(request.as_bytes())?;
    let mut said = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(answer) = whole(&said) {
            if answer.1 {
                *connection = None;
            }
            return Ok(answer.0);
        }
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => said.extend_from_slice(&piece[..more]),
        }
    }
}

/// The answer, if all of it is there, and whether it is the connection's last.
fn whole(said: &[u8]) -> Option<(Answer, bool)> {
    let end = said.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&said[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap_or_else(|| panic!("no length in {head}")).parse().unwrap();
    let body = said[end + 4..].get(..length)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer { status, body: String::from_utf8(body.to_vec()).unwrap() };
    Some((answer, head.contains("\r\nconnection: close")))
}
