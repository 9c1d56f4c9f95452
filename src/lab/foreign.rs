//! A program that is not wwwlab's, as the supervisor has it: first starting, then running.
//!
//! It knows nothing of the channel: it is told what it needs in its environment, its lines are its reports, and it is
//! ready when its port accepts. It may have started processes of its own; signals go to the whole process group, and
//! what is left of the group when its first process has ended is killed, so that the port is free again.

mod written;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ground::bind::{self, Transport};
use crate::ground::channel::Report;
use crate::ground::clock;
use crate::ground::event::{Happened, Moment};

use super::child::{END_WITHIN, Sign, StartFailure};
use super::database::greeting;
use super::guard::Guard;
use super::holder;
use super::network;

/// Lines that may wait to be heard.
const LINES_MOST: usize = 256;
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
            readers.spawn(written::tell(stream, telling.clone()));
        }
        if let Some(stream) = process.stderr.take() {
            readers.spawn(written::tell(stream, telling));
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
