//! The access log: a line for each request, as every web server writes one, for the tools that read such logs.
//!
//! It stands apart from the journal, which the lab reads. A thread of its own writes, since a disk can stand still and
//! the loop must not; what it cannot take in time is counted, and told in the journal. It writes a line that comes alone at
//! once, and many together: to wake it for each would cost more than the answer. The file is opened again when it is no
//! longer at its name: so `mv` and logrotate need no signal.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, REFERER, USER_AGENT};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::ground::clock::{self, Stopwatch};
use crate::ground::journal::Journal;

/// Records that may wait to be written.
const WAITING_MOST: usize = 4096;

/// Between two writes. What comes in the meantime is written together; no more may come than can wait.
const REST: Duration = Duration::from_millis(20);

/// How long the writing of what waits may take at the end: a disk that stands still does not hold up the server's.
pub(super) const FINISHES_WITHIN: Duration = Duration::from_secs(2);

/// Bytes that are written at once, about.
const BATCH: usize = 64 * 1024;

/// The longest part of a header that is written, in bytes.
const FIELD_AT_MOST: usize = 1024;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Form {
    /// As Apache and nginx write it: client, time, request, status, bytes, referrer, user agent.
    #[default]
    Combined,
    /// One JSON object a line, with host, duration and request identifier as well.
    Json,
}

/// The way to the log.
#[derive(Debug, Clone)]
pub(super) struct AccessLog {
    waiting: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes; it ends when nobody can write any more, at the latest with the process.
#[derive(Debug)]
pub(super) struct Writer {
    /// Its other end goes when the thread ends, however it does.
    ended: oneshot::Receiver<()>,
    path: PathBuf,
    journal: Journal,
}

/// One request that is under way.
#[derive(Debug)]
pub(super) struct Record {
    log: AccessLog,
    entry: Entry,
    since: Stopwatch,
}

/// What is written of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    /// Milliseconds since the Unix epoch.
    pub(super) at: u64,
    /// Who asked.
    pub(super) client: Option<IpAddr>,
    /// The host asked for.
    pub(super) host: String,
    /// Method, target and version as they came.
    pub(super) request: String,
    /// The status of the answer.
    pub(super) status: u16,
    /// Body bytes that were sent.
    pub(super) bytes: u64,
    /// From the head's arrival to the last byte's departure, in microseconds.
    pub(super) micros: u64,
    /// Where the client says it came from.
    pub(super) referrer: String,
    /// What the client says it is.
    pub(super) agent: String,
    /// The request's identifier.
    pub(super) id: String,
}

impl AccessLog {
    /// Opens the log at `path`, and starts to write.
    pub(super) fn open(path: &Path, form: Form, journal: Journal) -> io::Result<(Self, Writer)> {
        let place = Place::open(path)?;
        let (waiting, written) = sync_channel(WAITING_MOST);
        let lost = Arc::new(AtomicU64::new(0));
        let log = Self { waiting, lost: lost.clone() };
        let (ends, ended) = oneshot::channel();
        let writer = Writer { ended, path: path.to_owned(), journal: journal.clone() };
        thread::Builder::new().name("access-log".into()).spawn(move || {
            write(&written, place, form, &lost, &journal);
            drop::<oneshot::Sender<()>>(ends);
        })?;
        Ok((log, writer))
    }

    /// A record that is written when it is finished.
    pub(super) fn record(&self, entry: Entry, since: Stopwatch) -> Record {
        Record { log: self.clone(), entry, since }
    }
}

impl Writer {
    /// Waits until all that waits is written, `limit` at most; everybody who could write is gone. Whether it is.
    pub(super) async fn finish(self, limit: Duration) -> bool {
        let is_written = timeout(limit, self.ended).await.is_ok();
        if !is_written {
            self.journal.note(format!(
                "the last requests are missing in {}: it could not be written within {limit:?}",
                self.path.display()
            ));
        }
        is_written
    }
}

impl Record {
    /// Finishes it: so many bytes of the body went out.
    pub(super) fn write(self, bytes: u64) {
        let entry = Entry { bytes, micros: self.since.micros(), ..self.entry };
        if self.log.waiting.try_send(entry).is_err() {
            self.log.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Entry {
    /// With what the headers say of the client.
    pub(super) fn with_headers(mut self, headers: &HeaderMap) -> Self {
        let of = |name: HeaderName| {
            let value = headers.get(name).map_or(&b""[..], |value| value.as_bytes());
            String::from_utf8_lossy(&value[..value.len().min(FIELD_AT_MOST)]).into_owned()
        };
        (self.referrer, self.agent) = (of(REFERER), of(USER_AGENT));
        self
    }

    /// Adds its line, in `form`, to `lines`. To a `String` nothing is written in vain.
    fn add_to(&self, lines: &mut String, form: Form, clock: &mut LogClock) {
        let client = self.client.map(|client| client.to_canonical());
        match form {
            Form::Combined => {
                let _ = match client {
                    Some(client) => write!(lines, "{client}"),
                    None => write!(lines, "-"),
                };
                let _ = write!(lines, " - - [{}] \"", clock.common_log(self.at));
                escape(&self.request, lines);
                let _ = write!(lines, "\" {} {} \"", self.status, self.bytes);
                escape(&self.referrer, lines);
                lines.push_str("\" \"");
                escape(&self.agent, lines);
                lines.push_str("\"\n");
            }
            Form::Json => {
                let line = json!({
                    "time": clock::rfc3339(self.at),
                    "client": client.map_or_else(|| "-".to_owned(), |client| client.to_string()),
                    "host": self.host,
                    "request": self.request,
                    "status": self.status,
                    "bytes": self.bytes,
                    "micros": self.micros,
                    "referrer": self.referrer,
                    "user_agent": self.agent,
                    "request_id": self.id,
                });
                let _ = writeln!(lines, "{line}");
            }
        }
    }
}

/// The time as a log has it, which many lines have in common.
#[derive(Debug, Default)]
struct LogClock {
    second: Option<u64>,
    text: String,
}

impl LogClock {
    fn common_log(&mut self, unix_millis: u64) -> &str {
        let second = Some(unix_millis / 1_000);
        if self.second != second {
            (self.second, self.text) = (second, clock::common_log(unix_millis));
        }
        &self.text
    }
}

/// Adds `text` so that nothing in it ends its field or its line, or speaks to a terminal; `-` for nothing.
fn escape(text: &str, line: &mut String) {
    if text.is_empty() {
        line.push('-');
    }
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        line.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            ' '..='~' => line.push(character),
            other => {
                let mut bytes = [0; 4];
                for byte in other.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(line, "\\x{byte:02x}");
                }
            }
        }
    }
}

/// The file, and where it should be.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    file: File,
}

impl Place {
    fn open(path: &Path) -> io::Result<Self> {
        // A pipe without a reader would be waited for, at the start by the server itself: it is an error instead.
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)?;
        // Its reader, once there, may be slow; the thread that writes waits for it.
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Opens it again where another file, or none, is at its name.
    fn stay(&mut self) -> io::Result<()> {
        let identity = |facts: fs::Metadata| (facts.dev(), facts.ino());
        let there = fs::metadata(&self.path).ok().map(identity);
        if there != Some(identity(self.file.metadata()?)) {
            *self = Self::open(&self.path)?;
        }
        Ok(())
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        self.stay()?;
        self.file.write_all(lines.as_bytes())
    }
}

/// Writes what comes, as much as there is in one go.
fn write(written: &Receiver<Entry>, mut place: Place, form: Form, lost: &AtomicU64, journal: &Journal) {
    let (mut lines, mut clock) = (String::new(), LogClock::default());
    let mut last_write: Option<Stopwatch> = None;
    while let Ok(first) = written.recv() {
        if let Some(rest) = last_write.and_then(|last| REST.checked_sub(last.elapsed())) {
            thread::sleep(rest);
        }
        first.add_to(&mut lines, form, &mut clock);
        while lines.len() < BATCH
            && let Ok(next) = written.try_recv()
        {
            next.add_to(&mut lines, form, &mut clock);
        }
        if place.write(&lines).is_err() {
            lost.fetch_add(lines.lines().count() as u64, Ordering::Relaxed);
        }
        // Where more waits than is written at once, there is no rest.
        last_write = (lines.len() < BATCH).then(Stopwatch::start);
        lines.clear();
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            journal.note(format!(
                "{lost} requests are missing in {}: it could not be written in time",
                place.path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_stops_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let refused = Place::open(&pipe).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::ENXIO), "{refused}");
        let _reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        Place::open(&pipe).unwrap().write("line\n").unwrap();
    }

    fn entry() -> Entry {
        Entry {
            at: 1_795_288_500_123,
            client: Some("::ffff:192.0.2.10".parse().unwrap()),
            host: "www.foobar.com".into(),
            request: "GET /a HTTP/1.1".into(),
            status: 200,
            bytes: 12,
            agent: "curl/8\" - \n\x1b[31mé\\".into(),
            ..Entry::default()
        }
    }

    fn line(form: Form) -> String {
        let mut line = String::new();
        entry().add_to(&mut line, form, &mut LogClock::default());
        line
    }

    #[test]
    fn each_line_has_its_own_second() {
        let mut clock = LogClock::default();
        for millis in [0, 999, 1_000, 60_000, 0] {
            assert_eq!(clock.common_log(millis), clock::common_log(millis));
        }
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(
            line(Form::Combined),
            "192.0.2.10 - - [21/Nov/2026:19:15:00 +0000] \"GET /a HTTP/1.1\" 200 12 \"-\" \
             \"curl/8\\\" - \\x0a\\x1b[31m\\xc3\\xa9\\\\\"\n"
        );
        let json = line(Form::Json);
        assert_eq!(json.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&value["status"], &value["request"]), (&json!(200), &json!("GET /a HTTP/1.1")));
    }

    #[tokio::test]
    async fn the_file_is_opened_again_where_it_was_moved_or_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let mut place = Place::open(&path).unwrap();
        place.write("one\n").unwrap();
        fs::rename(&path, directory.path().join("old")).unwrap();
        place.write("two\n").unwrap();
        fs::remove_file(&path).unwrap();
        place.write("three\n").unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("old")).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[tokio::test]
    async fn all_that_waits_is_written_before_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let (journal, _told) = crate::ground::journal::journal();
        let (log, writer) = AccessLog::open(&path, Form::Combined, journal).unwrap();
        for _ in 0..100 {
            log.record(entry(), Stopwatch::start()).write(7);
        }
        drop(log);
        assert!(writer.finish(FINISHES_WITHIN).await);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("\" 200 7 ")).count(), 100);
    }

    #[tokio::test]
    async fn a_log_that_nobody_takes_does_not_hold_up_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Its reader never reads: once the pipe is full, a write waits for ever.
        let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (journal, mut told) = crate::ground::journal::journal();
        let (log, writer) = AccessLog::open(&path, Form::Combined, journal).unwrap();
        for _ in 0..WAITING_MOST {
            let long = Entry { agent: "x".repeat(FIELD_AT_MOST), ..entry() };
            log.record(long, Stopwatch::start()).write(7);
        }
        drop(log);
        assert!(!writer.finish(Duration::from_millis(50)).await);
        let mut events = Vec::new();
        assert!(told.hear(&mut events, 1).await);
        assert!(events[0].1.to_string().contains("the last requests are missing in "), "{events:?}");
        drop(reader);
    }
}
