//! Standing by while a shell, or a command, has the terminal: its end is ours, with its exit code.
//!
//! It is in this process's group, and the terminal sends ^C and ^Z to both: this one lets them pass, stops when the other
//! one has, and goes on with it, so that `fg` and `bg` of the shell outside mean both. When the lab ends it hangs up on
//! its shells; what a killed one leaves of the terminal is set right.

use std::io;
use std::process::{Child, Command};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgrp, getpid, tcgetpgrp, tcsetpgrp};
use tokio::signal::unix::{SignalKind, signal};

use crate::ground::clock::Stopwatch;
use crate::lab::child::no_process_left;
use crate::lab::lease::Lease;
use crate::lab::network::Seats;
use crate::lab::usage;

use super::Failure;

/// A killed lab's guard may be quicker than the news that the lab is gone.
const NEWS_WITHIN: Duration = Duration::from_millis(300);
/// What is on a machine when its lab ends has half a second to end, and is killed then; where the computer has much else to
/// do, that takes many times as long.
const TIDIED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Starts `command`, which is to sit on the machine of these `seats`, and waits for its end: its exit code, or 128 and the
/// number of the signal that killed it.
pub(super) async fn for_end(mut command: Command, seats: Seats, mut lease: Lease) -> Result<u8, Failure> {
    let system = |what: &'static str| move |error: io::Error| Failure::System(what.into(), error);
    let watch = |kind| signal(kind).map_err(system("cannot watch for signals"));
    let mut changes = watch(SignalKind::child())?;
    let mut hang_up = watch(SignalKind::hangup())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut quit = watch(SignalKind::quit())?;
    let mut stop = watch(SignalKind::from_raw(Signal::SIGTSTP as i32))?;
    let terminal = Terminal::as_it_is();
    let child = command.spawn().map_err(|error| {
        Failure::System(format!("cannot start the shell{}", no_process_left(&error)), error)
    })?;
    let pid = pid(&child);
    let mut lab_is_gone = false;
    let (code, killed) = loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Exited(_, code)) => break (u8::try_from(code).unwrap_or(u8::MAX), None),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                break (u8::try_from(128 + signal as i32).unwrap_or(u8::MAX), Some(signal));
            }
            Ok(WaitStatus::Stopped(..)) => {
                // The shell outside sees it, takes the terminal, and wakes both.
                let _ = kill(getpid(), Signal::SIGSTOP);
                let _ = kill(pid, Signal::SIGCONT);
                continue;
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Failure::System("cannot wait for the shell".into(), errno.into())),
        }
        tokio::select! {
            _ = changes.recv() => {}
            () = lease.lab_ends(), if !lab_is_gone => lab_is_gone = true,
            // Sent to this process alone, unlike what comes from the terminal.
            _ = hang_up.recv() => { let _ = kill(pid, Signal::SIGHUP); }
            _ = terminate.recv() => { let _ = kill(pid, Signal::SIGTERM); }
            // Those of the terminal are for the other one, which gets them, too.
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = stop.recv() => {}
        }
    };
    if killed.is_some_and(|signal| matches!(signal, Signal::SIGKILL | Signal::SIGHUP)) && !lab_is_gone {
        lab_is_gone = tokio::time::timeout(NEWS_WITHIN, lease.lab_ends()).await.is_ok();
    }
    if lab_is_gone {
        // An editor that is hung up on tidies the screen, and would take away what is said before it has ended.
        let patience = Stopwatch::start();
        while seats.are_taken() && patience.elapsed() < TIDIED_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    if killed.is_some() {
        terminal.set_right(pid);
    }
    if lab_is_gone { Err(Failure::LabIsGone) } else { Ok(code) }
}

fn pid(child: &Child) -> Pid {
    // What the kernel gave as a number of a process is one.
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// The terminal as it was, if the standard input is one and this process is in its foreground.
struct Terminal(Option<Termios>);

impl Terminal {
    fn as_it_is() -> Self {
        let foreground = tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
        Self(if foreground { tcgetattr(io::stdin()).ok() } else { None })
    }

    /// Takes the terminal from a killed shell `pid`, or from what that left in the foreground, and makes it as it was.
    fn set_right(self, pid: Pid) {
        let (Some(modes), Ok(group)) = (self.0, tcgetpgrp(io::stdin())) else { return };
        let is_mine = group == getpgrp();
        let is_nobodys = group == pid || !usage::group_runs(group.as_raw().unsigned_abs());
        if !is_mine && !is_nobodys {
            return;
        }
        // From the background this would stop whoever does it.
        let mut kept = SigSet::empty();
        kept.add(Signal::SIGTTOU);
        if kept.thread_block().is_ok() {
            let _ = tcsetpgrp(io::stdin(), getpgrp());
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &modes);
            let _ = kept.thread_unblock();
        }
    }
}
