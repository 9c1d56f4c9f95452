//! One service's process, as the supervisor has it: first starting, then running.
//!
//! The two are types of their own, so that nothing can be asked of a process that has not said it is ready.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::ground::bind::BindError;
use crate::ground::channel::{Ask, Order, Reply, Report};
use crate::ground::event::{Happened, Moment};
use crate::ground::lines::{LineReader, write_line};
use crate::ground::service::DRAIN;

use super::database::server::ServerError;
use super::guard::Guard;

/// A service that is not ready by then will not be.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Past its own drain time, a service that was told to end is killed.
pub(super) const END_WITHIN: Duration = DRAIN.saturating_add(Duration::from_millis(200));
/// A service that stands still takes no orders.
const ORDER_WITHIN: Duration = Duration::from_secs(1);

/// What to do where the kernel gives no further process; nothing where that is not why one was not started.
pub fn no_process_left(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            ": you may have no more of them; end some, or raise the limit (`ulimit -u`; in a container, its limit of processes)"
        }
        _ => "",
    }
}

/// Why a service's process is not there.
#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    /// It could not be created.
    #[error("cannot start a process{}", no_process_left(.0))]
    Spawn(#[source] io::Error),
    /// It said why it cannot serve.
    #[error("{}", .0.join(": "))]
    Failed(Vec<String>),
    /// It died without a word.
    #[error("it ended before it was ready ({})", describe(*.0))]
    Died(ExitStatus),
    /// The lab ended first.
    #[error("the lab ended first")]
    LabEnded,
    /// A program that is not wwwlab's could not be started.
    #[error("cannot start {program:?}: is it installed, and on your PATH?")]
    Program {
        /// The first word of its command.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The port that such a program is to have is taken.
    #[error("its port is taken: end what listens there, a process that left its group perhaps")]
    Taken(#[source] BindError),
    /// Such a program ended before its port accepted.
    #[error("it ended before it listened ({}){}", describe(*status), saying(last_line))]
    EndedFirst {
        /// How.
        status: ExitStatus,
        /// What it wrote last; may be empty.
        last_line: String,
    },
    /// Such a program lives, and does not listen.
    #[error(
        "it did not listen at {address} within {patience:?}: an application listens at the HOST and PORT of its environment (start_timeout gives it more time)"
    )]
    NotListening {
        /// Where it should.
        address: SocketAddr,
        /// How long it was waited for.
        patience: Duration,
    },
    /// A database server lives, and does not greet.
    #[error("it did not greet at {address} within {patience:?}: `wwwlab logs db` has what it does instead")]
    NotGreeting {
        /// Where it should.
        address: SocketAddr,
        /// How long it was waited for.
        patience: Duration,
    },
    /// A database server ended before it served.
    #[error(
        "it ended before it served ({}){}{}; `wwwlab logs db` has it all (where its files are damaged: move `db/mysql/data` of \
         the lab's state away, and a new, empty database is made)", describe(*status), saying(complaint), meaning(complaint)
    )]
    DatabaseEnded {
        /// How.
        status: ExitStatus,
        /// What it complained of; may be empty.
        complaint: String,
    },
    /// What makes a database server's files failed.
    #[error(
        "{program} could not make its files ({}){}{}; `wwwlab logs db` has it all",
        describe(*status), saying(complaint), meaning(complaint)
    )]
    NotPrepared {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it complained of; may be empty.
        complaint: String,
    },
    /// A database server's program or files cannot be used.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A database that runs elsewhere does not answer.
    #[error("no database answers at {place}: is it up, and is that its address?")]
    Elsewhere {
        /// Where it should.
        place: String,
        /// What was met last.
        source: io::Error,
    },
    /// It never became ready.
    #[error("it was not ready within {} s", READY_WITHIN.as_secs())]
    Silent,
}

/// A process that has not yet said it is ready.
#[derive(Debug)]
pub struct Starting(Running);

/// A process that serves.
#[derive(Debug)]
pub struct Running {
    process: Child,
    pid: u32,
    reports: LineReader<OwnedReadHalf>,
    reports_ended: bool,
    orders: OwnedWriteHalf,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
    last_number: u64,
    version: Option<String>,
    guard: Guard,
}

/// What a running process makes known.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are reports, and none is kept")]
pub enum Sign {
    /// It reports.
    Report(Report),
    /// It has ended.
    Ended(ExitStatus),
}

impl Starting {
    /// Starts `executable` with `arguments`; what it writes to its standard error goes to `log`.
    pub fn spawn(
        executable: &Path,
        arguments: &[OsString],
        log: File,
        guard: &Guard,
    ) -> Result<Self, StartFailure> {
        Self::try_spawn(executable, arguments, log, guard).map_err(StartFailure::Spawn)
    }

    fn try_spawn(executable: &Path, arguments: &[OsString], log: File, guard: &Guard) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (reading, orders) = UnixStream::from_std(ours)?.into_split();
        let output = log.try_clone()?;
        let process = Command::new(executable)
            .arg0("wwwlab")
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(output)
            .stderr(log)
            // ^C in the terminal is for the supervisor, which then ends its services in its own way.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = process.id().ok_or_else(|| io::Error::other("it has no process identifier"))?;
        guard.watch(pid);
        Ok(Self(Running {
            process,
            pid,
            reports: LineReader::new(reading),
            reports_ended: false,
            orders,
            waiting: HashMap::new(),
            last_number: 0,
            version: None,
            guard: guard.clone(),
        }))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Tells it to begin, now that the guard watches over it.
    pub async fn begin(&mut self) {
        // It has nothing to reply but that it is ready, or why not.
        self.0.ask(Ask::Begin, oneshot::channel().0).await;
    }

    /// Waits until it serves, says why not, dies, or takes too long. `hear` hears what it reports before.
    pub async fn ready(mut self, mut hear: impl FnMut(Report)) -> Result<Running, StartFailure> {
        let deadline = tokio::time::sleep(READY_WITHIN);
        tokio::pin!(deadline);
        loop {
            let sign = tokio::select! {
                sign = self.0.sign() => sign,
                () = &mut deadline => {
                    self.0.signal(Signal::SIGKILL);
                    self.0.ended().await;
                    return Err(StartFailure::Silent);
                }
            };
            match sign {
                Sign::Report(Report::Ready { version, .. }) => {
                    self.0.version = version;
                    return Ok(self.0);
                }
                Sign::Report(Report::Failed { causes }) => {
                    self.0.ended().await;
                    return Err(StartFailure::Failed(causes));
                }
                Sign::Report(report) => hear(report),
                Sign::Ended(status) => return Err(StartFailure::Died(status)),
            }
        }
    }
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Which version of files that can be deployed it started with, if it has any.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The next thing it makes known. Dropping the wait loses nothing. Replies go to whoever asked.
    pub async fn sign(&mut self) -> Sign {
        while !self.reports_ended {
            match self.reports.next().await {
                Ok(Some(Report::Reply { number, reply })) => {
                    if let Some(asker) = self.waiting.remove(&number) {
                        let _ = asker.send(reply);
                    }
                }
                Ok(Some(report)) => return Sign::Report(report),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let what = Happened::Note {
                        text: format!("it reported something that cannot be read: {error}"),
                    };
                    return Sign::Report(Report::Happened { when: Moment::now(), what });
                }
                Ok(None) | Err(_) => self.reports_ended = true,
            }
        }
        Sign::Ended(self.ended().await)
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.pid) {
            // It may have ended in this very moment; its exit is seen by `sign`.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Asks it something; the reply comes to `asker`, which is dropped if it cannot be asked.
    pub async fn ask(&mut self, ask: Ask, asker: oneshot::Sender<Reply>) {
        self.last_number += 1;
        let number = self.last_number;
        self.waiting.retain(|_, asker| !asker.is_closed());
        let order = Order { number, ask };
        if let Ok(Ok(())) = tokio::time::timeout(ORDER_WITHIN, write_line(&mut self.orders, &order)).await {
            self.waiting.insert(number, asker);
        }
    }

    /// Ends it with `signal` and, if that is not enough in time, by force. `hear` hears its last reports.
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

    async fn ended(&mut self) -> ExitStatus {
        let status = self.process.wait().await;
        self.guard.forget(self.pid);
        // Only a process that is not ours to wait for gives an error here, and this one is.
        status.unwrap_or_else(|_| ExitStatus::from_raw(0))
    }
}

/// What a program wrote last, as the end of a sentence.
fn saying(last_line: &str) -> String {
    if last_line.is_empty() { String::new() } else { format!(", saying: {last_line}") }
}

/// What a database server means where it only gives the number of a system's error (errno(3)), and what to do.
fn meaning(complaint: &str) -> &'static str {
    let words: Vec<&str> = complaint
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let number = words.windows(2).find_map(|words| match words {
        [word, number]
            if ["error", "errno", "errcode"].iter().any(|name| word.eq_ignore_ascii_case(name)) =>
        {
            number.parse::<u16>().ok()
        }
        _ => None,
    });
    match number {
        Some(13) => " (it has no permission: see whose the lab's state is, with `ls -l`)",
        Some(28) => " (the disk is full: see which with `df -h`, and free some space)",
        Some(30) => " (the file system can only be read)",
        _ => "",
    }
}

/// An exit status in words: `exit status 1`, `killed by SIGKILL`.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {number}"),
        },
        (None, None) => "ended".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_the_system_is_said_in_words() {
        for (complaint, means) in [
            ("InnoDB: preallocating 12582912 bytes for file ./ibdata1 failed with error 28", "df -h"),
            ("Can't create/write to file './x' (Errcode: 28 \"No space left on device\")", "df -h"),
            ("mariadbd: Can't create file (errno: 13 \"Permission denied\")", "ls -l"),
            ("InnoDB: Operation failed with error 30.", "only be read"),
        ] {
            assert!(meaning(complaint).contains(means), "{complaint}");
        }
        for complaint in ["", "error", "error 280", "28 errors", "Got error 194 from storage engine"] {
            assert_eq!(meaning(complaint), "", "{complaint}");
        }
    }

    #[test]
    fn a_limit_of_processes_is_named_with_what_raises_it() {
        let full = StartFailure::Spawn(io::Error::from(nix::errno::Errno::EAGAIN)).to_string();
        assert!(
            full.contains("cannot start a process: you may have no more") && full.contains("ulimit -u"),
            "{full}"
        );
        let other = StartFailure::Spawn(io::ErrorKind::PermissionDenied.into()).to_string();
        assert_eq!(other, "cannot start a process");
    }
}
