//! The guard: a process whose only work is to end what the supervisor started when the supervisor itself is
//! killed, even by `kill -9`, and to remove the control socket.
//!
//! It reads lines from its standard input, a pipe that only the supervisor holds: `+PID` for a process group
//! to watch over, `-PID` for one that has ended, `=` when the machines of network `hosts` are there. When the pipe closes, it sends SIGKILL to every group still
//! watched (paused ones die too) and removes the files named on its command line. A process of another
//! program (a student's application, a database server) needs nothing of its own for this, which is why it is
//! not left to each child to notice. Last it kills whoever is still on the lab's machines: what a student left there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::ground::clock;

use super::network::held::Machines;

/// The hidden command that runs it.
pub const COMMAND: &str = "guard";

/// The supervisor's end. Clones speak to the same guard.
#[derive(Debug, Clone)]
pub struct Guard {
    /// A plain mutex: held for the writing of one short line.
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    executable: PathBuf,
    leftovers: Vec<PathBuf>,
    /// Where the lab's machines are to be entered, if it has any.
    machines: Option<PathBuf>,
    machines_are_there: bool,
    watched: BTreeSet<u32>,
    process: Option<(Child, ChildStdin)>,
}

impl Guard {
    /// Starts a guard that will remove `leftovers`, and end whoever is left on the lab's `machines`, if it has any.
    pub fn start(executable: &Path, leftovers: Vec<PathBuf>, machines: Option<PathBuf>) -> io::Result<Self> {
        let executable = executable.into();
        let (machines_are_there, watched, process) = (false, BTreeSet::new(), None);
        let mut inner = Inner { executable, leftovers, machines, machines_are_there, watched, process };
        inner.spawn()?;
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.lock().process.as_ref().map(|(process, _)| process.id())
    }

    /// From now on `pid`'s process group ends with the supervisor.
    pub fn watch(&self, pid: u32) {
        let mut inner = self.lock();
        inner.watched.insert(pid);
        inner.tell(&format!("+{pid}\n"));
    }

    /// `pid` has ended; its number may come to belong to a stranger.
    pub fn forget(&self, pid: u32) {
        let mut inner = self.lock();
        inner.watched.remove(&pid);
        inner.tell(&format!("-{pid}\n"));
    }

    /// The lab's machines are there, and can be held.
    pub fn hold(&self) {
        let mut inner = self.lock();
        inner.machines_are_there = true;
        inner.tell("=\n");
    }

    /// Replaces a guard that has ended; whether it had.
    pub fn mend(&self) -> bool {
        let mut inner = self.lock();
        let ended =
            inner.process.as_mut().is_some_and(|(process, _)| !matches!(process.try_wait(), Ok(None)));
        if ended {
            inner.replace();
        }
        ended
    }

    /// Ends the guard, and with it what it still watches and the leftovers. A guard that stands still (SIGSTOP)
    /// is woken, and one that does not end in time is killed and its last work done here.
    pub fn close(self) {
        let mut inner = self.lock();
        if let Some((mut process, pipe)) = inner.process.take() {
            drop(pipe);
            if let Ok(pid) = i32::try_from(process.id()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
            }
            let deadline = clock::now() + CLOSED_WITHIN;
            let ended = loop {
                match process.try_wait() {
                    Ok(None) if clock::now() > deadline => {
                        let _ = process.kill();
                        let _ = process.wait();
                        break None;
                    }
                    Ok(None) => thread::sleep(LOOK_EVERY),
                    ended => break ended.ok().flatten(),
                }
            };
            // Once it has removed the lock's file, another run may have begun, whose files these would be.
            if ended.is_some_and(|status| status.success()) {
                return;
            }
        }
        remove(&inner.leftovers);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn spawn(&mut self) -> io::Result<()> {
        let mut process = Command::new(&self.executable)
            .arg0("wwwlab")
            .arg(COMMAND)
            .args(self.machines.iter().flat_map(|place| [OsStr::new("--machines"), place.as_os_str()]))
            .args(&self.leftovers)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of the terminal's reach: ^C is for the supervisor.
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take().ok_or_else(|| io::Error::other("the guard has no pipe"))?;
        // A guard that stands still must not make its supervisor stand still, however much there is to tell.
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        self.process = Some((process, pipe));
        Ok(())
    }

    /// Writes `line`; a guard that was itself killed is replaced by a new one, which is told everything.
    fn tell(&mut self, line: &str) {
        if let Some((_, pipe)) = &mut self.process
            && pipe.write_all(line.as_bytes()).is_ok()
        {
            return;
        }
        self.replace();
    }

    /// Starts another guard, which is told everything.
    fn replace(&mut self) {
        if let Some((mut dead, _)) = self.process.take() {
            // It may only stand still, and would act on what it knew when it woke.
            let _ = dead.kill();
            let _ = dead.wait();
        }
        if self.spawn().is_ok()
            && let Some((_, pipe)) = &mut self.process
        {
            let all: String = self.watched.iter().map(|pid| format!("+{pid}\n")).collect();
            let all = if self.machines_are_there { format!("=\n{all}") } else { all };
            let _ = pipe.write_all(all.as_bytes());
        }
    }
}

/// The guard's own life, in its own process: reads until the end of `orders`, then ends what is left. The
/// leftovers go last, so that who finds them gone finds the ports free.
pub fn run<S: AsRef<OsStr>>(
    orders: impl BufRead,
    leftovers: impl IntoIterator<Item = S>,
    machines: Option<&Path>,
) {
    let mut held = Machines::default();
    let watched = still_watched(orders, || held = machines.map(Machines::at).unwrap_or_default());
    let groups = || watched.iter().filter_map(|&group| i32::try_from(group).ok()).map(Pid::from_raw);
    for group in groups() {
        let _ = killpg(group, Signal::SIGKILL);
    }
    let deadline = clock::now() + GONE_WITHIN;
    // Somebody may start another just before his own end: only a look that finds nobody is the last.
    while (held.sweep() > 0 || groups().any(|group| killpg(group, None).is_ok())) && clock::now() < deadline {
        thread::sleep(LOOK_EVERY);
    }
    remove(leftovers);
}

fn remove<S: AsRef<OsStr>>(leftovers: impl IntoIterator<Item = S>) {
    for file in leftovers {
        // It may be gone already: that is what is wanted.
        let path = Path::new(file.as_ref());
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// A killed process is gone within milliseconds; where no init reaps it, its entry may stay for ever.
const GONE_WITHIN: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// A guard whose pipe was closed ends within [`GONE_WITHIN`] and a little.
const CLOSED_WITHIN: Duration = Duration::from_millis(300);

fn still_watched(orders: impl BufRead, mut machines_are_there: impl FnMut()) -> BTreeSet<u32> {
    let mut watched = BTreeSet::new();
    for line in orders.lines().map_while(Result::ok) {
        if line == "=" {
            machines_are_there();
        }
        // 0 and 1 would be the guard's own group and init: no lab ever names them.
        match line.split_at_checked(1).map(|(sign, number)| (sign, number.parse::<u32>())) {
            Some(("+", Ok(pid))) if pid > 1 => watched.insert(pid),
            Some(("-", Ok(pid))) => watched.remove(&pid),
            _ => false,
        };
    }
    watched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_still_lives_is_ended() {
        let orders = "+10\n+11\n-10\n+0\n+1\n+-1\njunk\n\n+12";
        assert_eq!(still_watched(orders.as_bytes(), || panic!()), BTreeSet::from([11, 12]));
    }

    #[test]
    fn machines_are_held_once_they_are_there() {
        let mut told = 0;
        assert_eq!(still_watched("+10\n=\n+11\n".as_bytes(), || told += 1), BTreeSet::from([10, 11]));
        assert_eq!(told, 1);
    }
}
