//! The database, which is no service like the others: inside the application, a server of the lab, or one that runs elsewhere.
//!
//! One inside the application has no process of its own. It is "stopped" by a process that holds its file under an
//! exclusive lock; so for it the keeper works the other way round: no process while it runs, one while it is
//! stopped. The lock ends with that process, however that ends.
//!
//! A server of the lab is a process like the others, whose files are made before its first start; one that runs elsewhere
//! is only waited for, and nothing can be done to it from here.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Keeper;
use crate::ground::clock;
use crate::ground::event::{Happened, Micros, Moment};
use crate::lab::child::StartFailure;
use crate::lab::control::Verb;
use crate::lab::database::address::Address;
use crate::lab::database::server::Server;
use crate::lab::database::{Database, greeting};
use crate::lab::foreign;
use crate::lab::hosts::ServiceName;
use crate::lab::status::{Condition, State};

/// What an embedded database's condition says while it is there.
pub(super) const IN_APP: &str = "inside the application's process";

/// How long a database that runs elsewhere may take until it answers.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
const HEAR_EVERY: Duration = Duration::from_millis(100);

impl Keeper {
    /// Whether the service is the database inside the application.
    pub(super) fn embedded(&self) -> bool {
        self.name == ServiceName::Db && matches!(self.means.design.database, Database::Embedded)
    }

    /// Where the database is, if the service is one that the lab does not keep.
    pub(super) fn elsewhere(&self) -> Option<&Address> {
        match &self.means.design.database {
            Database::Elsewhere(address) if self.name == ServiceName::Db => Some(address),
            _ => None,
        }
    }

    pub(super) async fn obey_embedded(&mut self, verb: Verb) -> Result<String, String> {
        const TAKEN: &str =
            "the database is taken away: its file is locked, so that the application cannot use it";
        const BACK: &str = "the database is back: its file is free again";
        match (verb, self.process.is_some()) {
            (Verb::Start, false) | (Verb::Resume, false) => Err("the database is there already".into()),
            (Verb::Stop | Verb::Kill | Verb::Pause, true) => Err(format!(
                "the database is taken away already (by pid {}): `wwwlab start db` gives it back",
                self.pid()
            )),
            (Verb::Start | Verb::Resume, true) => {
                self.end(Signal::SIGTERM).await;
                self.enter(State::Running, IN_APP);
                Ok(BACK.into())
            }
            (Verb::Restart, _) => {
                self.end(Signal::SIGTERM).await;
                self.withhold().await?;
                self.end(Signal::SIGTERM).await;
                self.enter(State::Running, IN_APP);
                Ok("the database was taken away and is back".into())
            }
            (Verb::Stop, false) => self.withhold().await.map(|()| format!("{TAKEN} (by pid {})", self.pid())),
            (Verb::Kill | Verb::Pause, false) => {
                self.withhold().await?;
                let verb = if verb == Verb::Kill { "kill" } else { "pause" };
                Ok(format!(
                    "{TAKEN} (by pid {}). SQLite lives inside the application and has no process to {verb}",
                    self.pid()
                ))
            }
        }
    }

    /// Takes an embedded database away.
    async fn withhold(&mut self) -> Result<(), String> {
        match self.spawn().await {
            Ok(()) => {
                self.enter(State::Stopped, "its file is locked by this process");
                Ok(())
            }
            Err(failure) => {
                self.enter(State::Running, IN_APP);
                Err(format!("the database cannot be taken away: {failure}"))
            }
        }
    }

    /// Has the files of the lab's database server made, if they are not.
    pub(super) async fn prepare(&self, server: &Server) -> Result<(), StartFailure> {
        let version = server.version().await?;
        let Some(program) = server.prepare(version)? else {
            return Ok(());
        };
        let began = clock::Stopwatch::start();
        let what = format!("makes the files of its database, once ({version})");
        let note = |text: String| self.sink.hear(Moment::now(), Happened::Note { text });
        note(format!("{what}: {}", program.line()));
        let pid = |pid| {
            self.condition.send_replace(Condition::preparing(Some(pid), &what));
        };
        let made = foreign::complete(&program, &self.means.guard, pid, |report| self.sink.report(report));
        self.means.end.run_until_cancelled(made).await.unwrap_or(Err(StartFailure::LabEnded))?;
        server.finish(version)?;
        note(format!("made them in {}", Micros(began.micros())));
        Ok(())
    }
}

/// Waits until a database answers there; else what was met last.
pub(super) async fn heard(endpoint: (String, u16)) -> io::Result<()> {
    let patience = clock::Stopwatch::start();
    loop {
        match greeting::hear((endpoint.0.as_str(), endpoint.1)).await {
            Err(_) if patience.elapsed() < HEARD_WITHIN => tokio::time::sleep(HEAR_EVERY).await,
            heard => return heard,
        }
    }
}
