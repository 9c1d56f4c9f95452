//! Another process beside that of the service, and in its place once everybody goes there (blue-green).
//!
//! Until then the former one is the service, and stays it whatever becomes of the other: whoever asked for it drops his end,
//! and the other one is ended. Both are heard all the time, so neither waits for the keeper.

use std::process::ExitStatus;

use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use crate::lab::application::Serving;
use crate::lab::child::{Sign, StartFailure, describe};
use crate::lab::design::Design;
use crate::lab::process::{Running, Starting};
use crate::lab::status::State;

use super::{Keeper, causes, sign};

/// What is to be in the place of the former one, and what is said on the way.
#[derive(Debug)]
pub struct Beside {
    /// Where it is to listen, and which files it is to serve.
    pub serving: Serving,
    /// Hears that it is ready, or why not.
    pub ready: oneshot::Sender<Result<(), String>>,
    /// Says that everybody goes there now; dropped: the former one stays.
    pub switch: oneshot::Receiver<()>,
    /// Hears that the former one has ended, and who serves now.
    pub done: oneshot::Sender<Option<u32>>,
}

impl Keeper {
    /// Starts another process and, when told so, puts it in the former one's place.
    pub(super) async fn replace(&mut self, beside: Beside) {
        let Beside { serving, ready, mut switch, done } = beside;
        // What it still has to answer it is to answer, though a fault takes its processor away by turns.
        self.stand_still(false);
        let mut next = match self.start_beside(&serving).await {
            Ok(next) => Some(next),
            Err(failure) => {
                let _ = ready.send(Err(causes(&failure).join(": ")));
                return;
            }
        };
        let mut ended: Option<ExitStatus> = None;
        if ready.send(Ok(())).is_ok() && self.switched(&mut switch, &mut next, &mut ended).await {
            self.promote(next, ended).await;
            let _ = done.send(self.process.as_ref().map(Running::pid));
        } else if let Some(next) = next {
            let sink = &self.sink;
            next.end(Signal::SIGTERM, |report| sink.report(report)).await;
        }
    }

    /// Starts it, and hears the former one meanwhile.
    async fn start_beside(&mut self, serving: &Serving) -> Result<Running, StartFailure> {
        let apps = self.means.design.apps.with(self.name, serving.clone());
        let starting: Starting = self.starting(&Design { apps, ..(*self.means.design).clone() })?;
        let (sink, end) = (self.sink.clone(), self.means.end.clone());
        let ready = starting.ready(move |report| sink.report(report));
        tokio::pin!(ready);
        loop {
            tokio::select! {
                ready = &mut ready => return ready,
                sign = sign(&mut self.process) => self.heard(sign),
                () = end.cancelled() => return Err(StartFailure::LabEnded),
            }
        }
    }

    /// Whether everybody goes to the next one now; hears both meanwhile.
    async fn switched(
        &mut self,
        switch: &mut oneshot::Receiver<()>,
        next: &mut Option<Running>,
        ended: &mut Option<ExitStatus>,
    ) -> bool {
        let end = self.means.end.clone();
        loop {
            tokio::select! {
                said = &mut *switch => return said.is_ok(),
                () = end.cancelled() => return false,
                of_former = sign(&mut self.process) => self.heard(of_former),
                of_next = sign(next) => match of_next {
                    Sign::Report(report) => self.hear(report),
                    Sign::Ended(status) => {
                        *next = None;
                        *ended = Some(status);
                    }
                },
            }
        }
    }

    /// The next one is the service now. The former one ends, with what it still has to do.
    async fn promote(&mut self, next: Option<Running>, ended: Option<ExitStatus>) {
        let former = self.process.take();
        let whose =
            former.as_ref().map_or(String::new(), |former| format!(" in the place of pid {}", former.pid()));
        match (next, ended) {
            (Some(next), _) => {
                self.restart_at = None;
                self.settle(next).await;
                let place = self.means.design.address(self.name).map(|at| at.to_string()).unwrap_or_default();
                self.enter(State::Running, &format!("at {place}{whose}"));
            }
            (None, Some(status)) => self.failed(&describe(status)),
            (None, None) => {}
        }
        let Some(former) = former else { return };
        let sink = self.sink.clone();
        let ending = former.end(Signal::SIGTERM, |report| sink.report(report));
        tokio::pin!(ending);
        loop {
            tokio::select! {
                _ = &mut ending => return,
                sign = sign(&mut self.process) => self.heard(sign),
            }
        }
    }
}
