//! A program that is not wwwlab's, as the supervisor has it: first starting, then running.
//!
//! It knows nothing of the channel: it is told what it needs in its environment, its lines are its reports, and it is
//! ready when its port accepts. It may have started processes of its own; signals go to the whole process group, and
//! what is left of the group when its first process has ended is killed, so that the port is free again.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ground::bind::{self, Transport};
use crate::ground::channel::Report;
use crate::ground::clock::{self, Stopwatch};
use crate::ground::event::{Happened, Moment};

use super::child::{END_WITHIN, Sign, StartFailure};
use super::database::greeting;
use super::guard::Guard;
use super::holder;
use super::network;

/// A line that is longer is cut, in bytes.
const LINE_LONGEST: usize = 4096;
/// Lines that may wait to be heard.
const LINES_MOST: usize = 256;
/// Lines of one stream that are told in a second; more are counted, not told.
const LINES_A_SECOND: u64 = 1000;
const SECOND: Duration = Duration::from_secs(1);
/// How often a program that starts is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What an ended program wrote last is read by then; a process that left its group may hold its output open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What is to be run, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// What is added to the environment.
    pub environment: Vec<(&'static str, OsString)>,
    /// A file that is written before it starts, and what is in it.
    pub settings: Option<(PathBuf, String)>,
    /// Where it is to listen.
    pub address: SocketAddr,
    /// How long it may take until it does.
    pub patience: Duration,
    /// Where its host is to be entered, if that is a machine of its own.
    pub place: Option<PathBuf>,
    /// What shows that it does.
    pub ready: Ready,
}

/// What shows that a program serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// Its port accepts.
    Accepts,
    /// It greets whoever connects, as a database server does: at this socket, which is in no network, and so is reached
    /// from here wherever its host is.
    Greets(PathBuf),
}

impl Program {
    /// As it was written, more or less.
    pub fn line(&self) -> String {
        self.words.join(" ")
    }
}

/// A program that does not listen yet.
#[derive(Debug)]
pub struct Starting {
    running: Running,
    address: SocketAddr,
    patience: Duration,
    place: Option<PathBuf>,
    ready: Ready,
}

/// A program that listens.
#[derive(Debug)]
pub struct Running {
    process: Child,
    pid: u32,
    written: mpsc::Receiver<Happened>,
    /// Ended, by being dropped, with this.
    _readers: JoinSet<()>,
    /// How it ended, and how long its last words are waited for.
    ended: Option<(ExitStatus, tokio::time::Instant)>,
    guard: Guard,
}

impl Starting {
    /// Starts `program`; on a machine of its own by `executable`, which is this one.
    pub fn spawn(executable: &Path, program: &Program, guard: &Guard) -> Result<Self, StartFailure> {
        if program.place.is_none() {
            bind::probe(program.address, Transport::Tcp).map_err(StartFailure::Taken)?;
        }
        if let Some((file, text)) = &program.settings {
            std::fs::write(file, text).map_err(StartFailure::Spawn)?;
        }
        let [name, arguments @ ..] = &program.words[..] else {
            return Err(StartFailure::Spawn(io::ErrorKind::InvalidInput.into()));
        };
        let command = match &program.place {
            None => Command::new(name),
            Some(place) => {
                let mut command = Command::new(executable);
                command.arg0("wwwlab").args(network::within(place)).arg(name);
                command
            }
        };
        let running = Running::spawn(command, arguments, program, guard)
            .map_err(|source| StartFailure::Program { program: name.clone(), source })?;
        let Program { address, patience, place, ready, .. } = program.clone();
        Ok(Self { running, address, patience, place, ready })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running.pid
    }

    /// Waits until its port accepts, it ends, or takes too long. `hear` hears what it writes before.
    pub async fn ready(self, mut hear: impl FnMut(Report)) -> Result<Running, StartFailure> {
        let Self { mut running, address, patience, place, ready } = self;
        let deadline = tokio::time::sleep(patience);
        let pid = running.pid();
        let serves = async {
            match (&place, &ready) {
                (Some(place), Ready::Accepts) => listens(pid, &place.join("net"), address).await,
                _ => serves(address, &ready).await,
            }
        };
        tokio::pin!(deadline, serves);
        let mut words = Words::default();
        loop {
            tokio::select! {
                sign = running.sign() => match sign {
                    Sign::Report(report) => {
                        words.note(&report);
                        hear(report);
                    }
                    Sign::Ended(status) => return Err(words.failure(status, &ready)),
                },
                () = &mut serves => return Ok(running),
                () = &mut deadline => {
                    running.end(Signal::SIGKILL, hear).await;
                    return Err(match &ready {
                        Ready::Accepts => StartFailure::NotListening { address, patience },
                        Ready::Greets(_) => StartFailure::NotGreeting { address, patience },
                    });
                }
            }
        }
    }
}

/// Runs `program` to its end, which must be a good one. `pid` hears its process, `hear` what it writes.
pub async fn complete(
    program: &Program,
    guard: &Guard,
    pid: impl FnOnce(u32),
    mut hear: impl FnMut(Report),
) -> Result<(), StartFailure> {
    let [name, arguments @ ..] = &program.words[..] else {
        return Err(StartFailure::Spawn(io::ErrorKind::InvalidInput.into()));
    };
    let mut running = Running::spawn(Command::new(name), arguments, program, guard)
        .map_err(|source| StartFailure::Program { program: name.clone(), source })?;
    pid(running.pid);
    let mut words = Words::default();
    loop {
        match running.sign().await {
            Sign::Report(report) => {
                words.note(&report);
                hear(report);
            }
            Sign::Ended(status) if status.success() => return Ok(()),
            Sign::Ended(status) => {
                // What MariaDB's installer says at last is where to ask for help.
                let complaint = words.first_error.unwrap_or(words.first);
                return Err(StartFailure::NotPrepared { program: name.clone(), status, complaint });
            }
        }
    }
}

/// Before what a database server, or what makes its files, calls an error.
const ERRORS: [&str; 2] = ["[ERROR] ", "FATAL ERROR: "];

/// What a program wrote before it served.
#[derive(Debug, Default)]
struct Words {
    first: String,
    last: String,
    /// The first line that calls itself an error, as those of database servers do: the others follow from it.
    first_error: Option<String>,
}

impl Words {
    fn note(&mut self, report: &Report) {
        if let Report::Happened { what: Happened::Wrote { text }, .. } = report {
            if self.first.is_empty() {
                self.first.clone_from(text);
            }
            self.last.clone_from(text);
            if self.first_error.is_none()
                && let Some((_, error)) = ERRORS.iter().find_map(|mark| text.split_once(mark))
            {
                self.first_error = Some(error.to_owned());
            }
        }
    }

    fn complaint(self) -> String {
        self.first_error.unwrap_or(self.last)
    }

    fn failure(self, status: ExitStatus, ready: &Ready) -> StartFailure {
        match ready {
            Ready::Accepts => StartFailure::EndedFirst { status, last_line: self.last },
            Ready::Greets(_) => StartFailure::DatabaseEnded { status, complaint: self.complaint() },
        }
    }
}

/// Ends when whoever is at `address`, or at its socket, serves.
async fn serves(address: SocketAddr, ready: &Ready) {
    loop {
        let serves = match ready {
            Ready::Greets(socket) => greeting::hear_at(socket).await.is_ok(),
            // A port that nobody listens at may be drawn for this end too, and then talks to itself.
            Ready::Accepts => TcpStream::connect(address)
                .await
                .is_ok_and(|stream| stream.local_addr().is_ok_and(|own| own != address)),
        };
        if serves {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends when `address` is listened at in the network of the process `pid`, once that is `network`. From here nobody can
/// connect to it: outside of the lab the address is somebody else's.
async fn listens(pid: u32, network: &Path, address: SocketAddr) {
    while !holder::listens(pid, network, address) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Running {
    fn spawn(
        mut command: Command,
        arguments: &[String],
        program: &Program,
        guard: &Guard,
    ) -> io::Result<Self> {
        let mut process = command
            .args(arguments)
            .current_dir(&program.directory)
            .envs(program.environment.iter().map(|(variable, value)| (variable, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // ^C in the terminal is for the supervisor, which then ends its services in its own way.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = process.id().ok_or_else(|| io::Error::other("it has no process identifier"))?;
        guard.watch(pid);
        let (telling, written) = mpsc::channel(LINES_MOST);
        let mut readers = JoinSet::new();
        if let Some(stream) = process.stdout.take() {
            readers.spawn(listen(stream, telling.clone()));
        }
        if let Some(stream) = process.stderr.take() {
            readers.spawn(listen(stream, telling));
        }
        Ok(Self { process, pid, written, _readers: readers, ended: None, guard: guard.clone() })
    }

    /// Its first process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The next thing it makes known. Dropping the wait loses nothing.
    pub async fn sign(&mut self) -> Sign {
        loop {
            let what = match self.ended {
                None => tokio::select! {
                    Some(what) = self.written.recv() => what,
                    status = self.process.wait() => {
                        self.bury(status);
                        continue;
                    }
                },
                Some((status, deadline)) => {
                    match tokio::time::timeout_at(deadline, self.written.recv()).await {
                        Ok(Some(what)) => what,
                        Ok(None) | Err(_) => return Sign::Ended(status),
                    }
                }
            };
            return Sign::Report(Report::Happened { when: Moment::now(), what });
        }
    }

    /// Sends `signal` to the whole group.
    pub fn signal(&self, signal: Signal) {
        if let (None, Ok(group)) = (self.ended, i32::try_from(self.pid)) {
            // It may have ended in this very moment; its exit is seen by `sign`.
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }

    /// Ends it with `signal` and, if that is not enough in time, by force. `hear` hears what it writes last.
    pub async fn end(mut self, signal: Signal, mut hear: impl FnMut(Report)) -> ExitStatus {
        self.signal(signal);
        // A process that stands still would never see the signal.
        self.signal(Signal::SIGCONT);
        let deadline = tokio::time::sleep(END_WITHIN);
        tokio::pin!(deadline);
        let mut forced = false;
        loop {
            tokio::select! {
                sign = self.sign() => match sign {
                    Sign::Report(report) => hear(report),
                    Sign::Ended(status) => return status,
                },
                () = &mut deadline, if !forced => {
                    forced = true;
                    self.signal(Signal::SIGKILL);
                }
            }
        }
    }

    /// Its first process has ended: so does what it started.
    fn bury(&mut self, status: io::Result<ExitStatus>) {
        self.signal(Signal::SIGKILL);
        self.guard.forget(self.pid);
        // Only a process that is not ours to wait for gives an error here, and this one is.
        let status = status.unwrap_or_else(|_| ExitStatus::from_raw(0));
        self.ended = Some((status, tokio::time::Instant::from_std(clock::now() + LAST_WORDS)));
    }
}

impl Drop for Running {
    /// The fallback: the first process is killed as it is dropped, and this kills what it started.
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Tells the lines of `stream`, each at most [`LINE_LONGEST`], at most [`LINES_A_SECOND`].
async fn listen(mut stream: impl AsyncRead + Unpin, telling: mpsc::Sender<Happened>) {
    let mut lines = Lines::default();
    let mut allowance = Allowance::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer);
        let read = if allowance.kept_back == 0 {
            read.await
        } else {
            match tokio::time::timeout(SECOND, read).await {
                Ok(read) => read,
                Err(_elapsed) => {
                    if let Some(untold) = allowance.untold()
                        && telling.send(untold).await.is_err()
                    {
                        return;
                    }
                    continue;
                }
            }
        };
        let end = read.unwrap_or(0);
        let whole = if end == 0 { lines.rest() } else { lines.take(&buffer[..end]) };
        for text in whole {
            for what in allowance.allows(text) {
                if telling.send(what).await.is_err() {
                    return;
                }
            }
        }
        if end == 0 {
            if let Some(untold) = allowance.untold() {
                let _ = telling.send(untold).await;
            }
            return;
        }
    }
}

/// Bytes in, lines out.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    /// Whether the end of the line that is being read is skipped.
    cut: bool,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = LINE_LONGEST - self.line.len();
            self.cut |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                whole.extend(self.rest());
            }
        }
        whole
    }

    /// The line so far; nothing if it is empty.
    fn rest(&mut self) -> Vec<String> {
        let line = std::mem::take(&mut self.line);
        let mut text = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        if std::mem::take(&mut self.cut) {
            text.push_str(" … (cut)");
        }
        Vec::from_iter((!text.is_empty()).then_some(text))
    }
}

/// How many lines may still be told in this second.
#[derive(Debug)]
struct Allowance {
    second: Stopwatch,
    told: u64,
    kept_back: u64,
}

impl Allowance {
    fn new() -> Self {
        Self { second: Stopwatch::start(), told: 0, kept_back: 0 }
    }

    /// What to tell of the line `text`: it, or nothing; before it, what was kept back in the last second.
    fn allows(&mut self, text: String) -> Vec<Happened> {
        let mut told = Vec::new();
        if self.second.elapsed() >= SECOND {
            told.extend(self.untold());
            *self = Self::new();
        }
        self.told += 1;
        if self.told > LINES_A_SECOND {
            self.kept_back += 1;
        } else {
            told.push(Happened::Wrote { text });
        }
        told
    }

    fn untold(&mut self) -> Option<Happened> {
        let count = std::mem::take(&mut self.kept_back);
        (count > 0).then_some(Happened::Untold { count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_come_in() {
        let mut lines = Lines::default();
        assert!(lines.take(b"one\r").is_empty());
        assert_eq!(lines.take(b"\ntwo\n\nth"), ["one", "two"]);
        assert_eq!(lines.take(b"ree \xff\n"), ["three \u{FFFD}"]);
        assert!(lines.take(b"no end").is_empty());
        assert_eq!(lines.rest(), ["no end"]);
        assert!(lines.rest().is_empty());
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        let mut lines = Lines::default();
        assert!(lines.take(&vec![b'x'; 3 * LINE_LONGEST]).is_empty());
        assert!(lines.line.len() <= LINE_LONGEST);
        let cut = lines.take(b"yyy\nnext\n");
        assert_eq!(cut[0], format!("{} … (cut)", "x".repeat(LINE_LONGEST)));
        assert_eq!(cut[1], "next");
        let fits = "z".repeat(LINE_LONGEST);
        assert_eq!(lines.take(format!("{fits}\n").as_bytes()), [fits]);
    }

    #[test]
    fn a_flood_is_counted() {
        let mut allowance = Allowance::new();
        let told: usize = (0..LINES_A_SECOND + 7).map(|_| allowance.allows("x".into()).len()).sum();
        assert_eq!(told as u64, LINES_A_SECOND);
        assert_eq!(allowance.untold(), Some(Happened::Untold { count: 7 }));
        assert_eq!(allowance.untold(), None);
    }
}
