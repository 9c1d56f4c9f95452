//! The process of a service, whoever's program it is: wwwlab's own, which speaks the channel, or a foreign one.

use std::process::ExitStatus;

use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use crate::ground::channel::{Ask, Reply, Report};

use super::child::{self, Sign, StartFailure};
use super::foreign;

/// A process that does not serve yet.
#[derive(Debug)]
pub enum Starting {
    /// Of wwwlab itself.
    Own(child::Starting),
    /// Of another program.
    Foreign(foreign::Starting),
}

/// A process that serves.
#[derive(Debug)]
pub enum Running {
    /// Of wwwlab itself.
    Own(child::Running),
    /// Of another program.
    Foreign(foreign::Running),
}

impl Starting {
    /// Its process.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Own(starting) => starting.pid(),
            Self::Foreign(starting) => starting.pid(),
        }
    }

    /// Waits until it serves, ends, or takes too long. `hear` hears what it reports before.
    pub async fn ready(self, hear: impl FnMut(Report)) -> Result<Running, StartFailure> {
        match self {
            Self::Own(starting) => starting.ready(hear).await.map(Running::Own),
            Self::Foreign(starting) => starting.ready(hear).await.map(Running::Foreign),
        }
    }
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Own(running) => running.pid(),
            Self::Foreign(running) => running.pid(),
        }
    }

    /// Which version of files that can be deployed it started with, if it has any.
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Own(running) => running.version(),
            Self::Foreign(_) => None,
        }
    }

    /// The next thing it makes known. Dropping the wait loses nothing.
    pub async fn sign(&mut self) -> Sign {
        match self {
            Self::Own(running) => running.sign().await,
            Self::Foreign(running) => running.sign().await,
        }
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) {
        match self {
            Self::Own(running) => running.signal(signal),
            Self::Foreign(running) => running.signal(signal),
        }
    }

    /// Asks it something; the reply comes to `asker`. A foreign program cannot be asked.
    pub async fn ask(&mut self, ask: Ask, asker: oneshot::Sender<Reply>) {
        match self {
            Self::Own(running) => running.ask(ask, asker).await,
            Self::Foreign(_) => {
                let why = "it is a program of your own, which wwwlab can only start, signal and end";
                let _ = asker.send(Reply::Refused(vec![why.into()]));
            }
        }
    }

    /// Ends it with `signal` and, if that is not enough in time, by force. `hear` hears its last reports.
    pub async fn end(self, signal: Signal, hear: impl FnMut(Report)) -> ExitStatus {
        match self {
            Self::Own(running) => running.end(signal, hear).await,
            Self::Foreign(running) => running.end(signal, hear).await,
        }
    }
}
