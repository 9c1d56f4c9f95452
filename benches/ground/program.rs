//! One program that a stack consists of, started here, with what it says in a file. Whatever happens, it ends:
//! when asked to, else with the value that holds it, else (if the bench itself is killed) by the guard.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::guard::Guard;

use super::stop::Stop;
use super::trouble::{Trouble, cannot, of};

/// An empty database takes half a second; a busy machine is given more.
const PREPARED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Lines of what it said that are worth showing when it failed.
const LAST_LINES: usize = 8;

/// A running program, leading a process group of its own.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    said: PathBuf,
    guard: Guard,
    has_ended: bool,
}

impl Program {
    /// Starts `command`, which stays in the foreground; `said` takes what it says.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        said: PathBuf,
        guard: &Guard,
    ) -> Result<Self, Trouble> {
        let out = File::create(&said).map_err(of(&said))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(of(&said))?)
            .stderr(out)
            // ^C at the terminal is for the bench, which ends its programs one by one.
            .process_group(0)
            .spawn()
            .map_err(of(command.get_program()))?;
        guard.watch(child.id());
        Ok(Self { name, child, said, guard: guard.clone(), has_ended: false })
    }

    /// Runs `command` to its end, which preparing takes; an error says what it said.
    pub(crate) fn run(
        name: &'static str,
        command: &mut Command,
        said: PathBuf,
        guard: &Guard,
        stop: &Stop,
    ) -> Result<(), Trouble> {
        let mut program = Self::start(name, command, said, guard)?;
        let status = program.wait_or_stop(PREPARED_WITHIN, stop)?;
        if status.success() {
            return Ok(());
        }
        Err(Trouble::Failed { program: name, said: program.last_words() })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal`.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = pid(&self.child) {
            // It may have ended already, which is what is wanted.
            let _ = kill(pid, signal);
        }
    }

    /// Waits for its end, `limit` at most.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<(), Trouble> {
        self.wait_or_stop(limit, &Stop::default()).map(drop)
    }

    /// Waits for its end, `limit` at most, unless it is time to stop.
    pub(crate) fn wait_or_stop(&mut self, limit: Duration, stop: &Stop) -> Result<ExitStatus, Trouble> {
        let watch = Stopwatch::start();
        loop {
            if let Some(status) = self.child.try_wait().map_err(cannot("wait for a program"))? {
                self.has_ended = true;
                self.guard.forget(self.pid());
                return Ok(status);
            }
            if watch.elapsed() > limit {
                return Err(Trouble::Endless { program: self.name.to_owned(), pid: self.pid(), limit });
            }
            stop.look()?;
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The last lines of what it said.
    pub(crate) fn last_words(&self) -> String {
        let said = fs::read(&self.said).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
        last.iter().map(|line| format!("  {}: {line}\n", self.name)).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        if let Some(group) = pid(&self.child) {
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = self.child.wait();
        self.guard.forget(self.pid());
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().map(Pid::from_raw)
}
