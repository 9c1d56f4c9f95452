//! One task per service: it alone starts, signals and ends that service's process, in the order in which it
//! is told to.
//!
//! - `beside`: another process beside that of the service, and in its place then.
//! - `database`: what is otherwise with one inside the application, and with one that runs elsewhere.
//! - `sink`: where events go.

mod beside;
mod database;
mod sink;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::ground::bind::Transport;
use crate::ground::channel::{Ask, Reply, Report};
use crate::ground::clock;
use crate::ground::event::{Happened, Moment};
use crate::ground::service::causes;

use super::child::{self, Sign, StartFailure, describe};
use super::config::Restart;
use super::control::Verb;
use super::database::Database;
use super::design::Design;
use super::faults::limits::{self, Before};
use super::faults::{Faults, Limit};
use super::foreign;
use super::guard::Guard;
use super::hosts::ServiceName;
use super::network;
use super::process::{Running, Starting};
use super::status::{Condition, State};

pub use beside::Beside;
pub use sink::Sink;

/// The first wait before a service that died is started again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A service that ran this long before it died starts its waits anew.
const RAN_WELL: Duration = Duration::from_secs(10);

/// What a keeper is told.
#[derive(Debug)]
pub enum Command {
    /// Do this to the service; the answer is a sentence about what was done, or why not.
    Do(Verb, oneshot::Sender<Result<String, String>>),
    /// Ask the service.
    Ask(Ask, oneshot::Sender<Reply>),
    /// Start another process beside, and put it in the place of the one that runs.
    Replace(Beside),
    /// Its process with this number says that it serves this version of the application files from now on.
    Deployed(u32, String),
    /// Hold its process to the limits of the faults that are laid, and to no others; why not.
    Limit(oneshot::Sender<Result<(), String>>),
    /// Stand still for a moment, or go on, without being told paused.
    StandStill(bool),
    /// The power of its host comes, or fails; why it does not serve then.
    Power(bool, oneshot::Sender<Result<(), String>>),
}

/// What keepers have in common.
#[derive(Debug, Clone)]
pub struct Means {
    /// What is to be run.
    pub design: Arc<Design>,
    /// The executable that every service is.
    pub executable: PathBuf,
    /// Ends processes when the supervisor is killed.
    pub guard: Guard,
    /// What is wrong on purpose.
    pub(super) faults: Arc<Faults>,
    /// Cancelled when the lab ends.
    pub end: CancellationToken,
}

/// Keeps one service.
#[derive(Debug)]
pub struct Keeper {
    name: ServiceName,
    means: Means,
    sink: Sink,
    condition: watch::Sender<Condition>,
    process: Option<Running>,
    started: Option<clock::Stopwatch>,
    wait: Duration,
    restart_at: Option<tokio::time::Instant>,
    /// The zones that were refused and the ports that are not open again, and why.
    refused: BTreeMap<String, String>,
    /// The version of the application files that the process serves.
    version: Option<String>,
    /// What a fault holds its process to, and what it could have before.
    held: HashMap<Limit, Before>,
}

impl Keeper {
    /// A keeper of `name`, and where its condition can be seen.
    pub fn new(name: ServiceName, means: Means, sink: Sink) -> (Self, watch::Receiver<Condition>) {
        let start = Condition::starting(None);
        let (condition, seen) = watch::channel(start);
        let keeper = Self {
            name,
            means,
            sink,
            condition,
            process: None,
            started: None,
            wait: FIRST_WAIT,
            restart_at: None,
            refused: BTreeMap::new(),
            version: None,
            held: HashMap::new(),
        };
        (keeper, seen)
    }

    /// The services that are to start before this one.
    pub fn comes_after(&self) -> &'static [ServiceName] {
        match self.name {
            // An application that logs in to a server finds one that serves.
            name if name.is_app() && !matches!(self.means.design.database, Database::Embedded) => {
                &[ServiceName::Db]
            }
            // A resolver that is asked when it has nobody to ask remembers that for a second (RFC 9520 §3.2).
            name if name.host().is_resolver() => &[ServiceName::Root, ServiceName::Tld, ServiceName::Dns],
            _ => &[],
        }
    }

    /// Starts the service, when those of `first` have started or cannot, and keeps it until the lab ends; then ends it.
    pub async fn keep(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        first: Vec<watch::Receiver<Condition>>,
    ) {
        let end = self.means.end.clone();
        for mut first in first {
            let started = first.wait_for(|condition| condition.state != State::Starting);
            let _ = end.run_until_cancelled(started).await;
        }
        // A failure is in the condition, for whoever waits for the start.
        let _ = self.start().await;
        loop {
            tokio::select! {
                () = end.cancelled() => break,
                Some(command) = commands.recv() => match command {
                    Command::Do(verb, answer) => {
                        let done = self.obey(verb).await;
                        let _ = answer.send(done);
                    }
                    Command::Ask(ask, asker) => {
                        if let Some(process) = &mut self.process {
                            process.ask(ask, asker).await;
                        }
                    }
                    Command::Replace(beside) => self.replace(beside).await,
                    // Another one has read for itself what it serves.
                    Command::Deployed(pid, version) if pid == self.pid() => self.deployed(version),
                    Command::Deployed(..) => {}
                    Command::Limit(answer) => {
                        let _ = answer.send(self.limit());
                    }
                    Command::StandStill(still) => self.stand_still(still),
                    Command::Power(on, answer) => {
                        let done = self.power(on).await;
                        let _ = answer.send(done);
                    }
                },
                sign = sign(&mut self.process) => self.heard(sign),
                () = alarm(self.restart_at) => {
                    let _ = self.start().await;
                }
            }
        }
        self.end(Signal::SIGTERM).await;
    }

    async fn obey(&mut self, verb: Verb) -> Result<String, String> {
        if self.embedded() {
            return self.obey_embedded(verb).await;
        }
        if let Some(address) = self.elsewhere() {
            let (verb, place) = (verb.as_str(), address.place());
            return Err(format!("the database at {place} is not of this lab: {verb} it where it runs"));
        }
        let name = self.name;
        match (verb, self.process.is_some()) {
            (Verb::Start, true) => Err(format!("{name} is up already (pid {})", self.pid())),
            (Verb::Start, false) => {
                self.start().await.map(|()| format!("{name} serves (pid {})", self.pid()))
            }
            (Verb::Restart, _) => {
                self.end(Signal::SIGTERM).await;
                self.start().await.map(|()| format!("{name} serves again (pid {})", self.pid()))
            }
            (Verb::Stop, false) if self.restart_at.take().is_some() => {
                self.enter(State::Stopped, "by command");
                Ok(format!("{name} stays down: it is not started again"))
            }
            (_, false) => Err(format!("{name} is not up: `wwwlab start {name}` starts it")),
            (Verb::Stop, true) => {
                self.end(Signal::SIGTERM).await;
                self.enter(State::Stopped, "by command");
                Ok(format!("{name} is stopped: its port now refuses connections"))
            }
            (Verb::Kill, true) => {
                self.end(Signal::SIGKILL).await;
                self.enter(State::Stopped, "killed by command (SIGKILL)");
                Ok(format!("{name} is killed: its connections were reset, its port now refuses new ones"))
            }
            (Verb::Pause, true) => {
                self.signal(Signal::SIGSTOP);
                self.enter(State::Paused, "by command (SIGSTOP)");
                Ok(format!("{name} stands still: its port accepts, and never answers"))
            }
            (Verb::Resume, true) => {
                self.signal(Signal::SIGCONT);
                self.enter(State::Running, "resumed by command (SIGCONT)");
                Ok(format!("{name} goes on"))
            }
        }
    }

    /// Its host's power fails, or comes back: then the service starts as its host does.
    async fn power(&mut self, on: bool) -> Result<(), String> {
        match on {
            _ if self.elsewhere().is_some() => Ok(()),
            false => {
                self.restart_at = None;
                self.end(Signal::SIGKILL).await;
                self.enter(State::Stopped, "its host is off");
                Ok(())
            }
            true if self.process.is_some() => Ok(()),
            true => self.start().await,
        }
    }

    /// Brings the service up: a process of its own, or, for an embedded database, nothing at all.
    async fn start(&mut self) -> Result<(), String> {
        self.restart_at = None;
        if self.embedded() {
            self.enter(State::Running, database::IN_APP);
            return Ok(());
        }
        if let Some(address) = self.elsewhere() {
            let (place, endpoint) = (address.place(), address.endpoint());
            return match database::heard(endpoint).await {
                Ok(()) => {
                    self.enter(State::Running, &format!("at {place}, which is not of this lab"));
                    Ok(())
                }
                Err(source) => {
                    let failure = causes(&StartFailure::Elsewhere { place, source }).join(": ");
                    self.failed(&failure);
                    Err(failure)
                }
            };
        }
        match self.spawn().await {
            Ok(()) => {
                let program = self.means.design.foreign(self.name);
                self.enter(State::Running, &program.map(|program| program.line()).unwrap_or_default());
                Ok(())
            }
            Err(failure) => {
                let failure = causes(&failure).join(": ");
                self.failed(&failure);
                Err(format!("{} cannot serve: {failure}", self.name))
            }
        }
    }

    async fn spawn(&mut self) -> Result<(), StartFailure> {
        if let (ServiceName::Db, Some(server)) = (self.name, self.means.design.database.own()) {
            self.prepare(server).await?;
        }
        let starting = self.starting(&self.means.design)?;
        let end = self.means.end.clone();
        let pid = Some(starting.pid());
        self.condition.send_replace(Condition::starting(pid));
        self.refused.clear();
        let (sink, refused) = (&self.sink, &mut self.refused);
        let ready = starting.ready(|report| {
            note_refusals(refused, &report);
            sink.report(report);
        });
        // The end of the lab does not wait for a start under way: the process is killed as it is dropped.
        let process = end.run_until_cancelled(ready).await.unwrap_or(Err(StartFailure::LabEnded))?;
        self.settle(process).await;
        Ok(())
    }

    /// Its process as `design` says, which does not serve yet.
    fn starting(&self, design: &Design) -> Result<Starting, StartFailure> {
        let Means { executable, guard, .. } = &self.means;
        Ok(match design.foreign(self.name) {
            Some(program) => Starting::Foreign(foreign::Starting::spawn(executable, &program, guard)?),
            None => {
                let log = self.sink.log().handle().map_err(StartFailure::Spawn)?;
                let mut arguments = design.arguments(self.name);
                if let Some(place) = design.place(self.name) {
                    arguments.splice(0..0, network::within(&place).into_iter().chain([executable.into()]));
                }
                Starting::Own(child::Starting::spawn(executable, &arguments, log, guard)?)
            }
        })
    }

    /// `process` serves, and is the service's from now on: held to what is wrong on purpose.
    async fn settle(&mut self, process: Running) {
        let version = process.version().map(str::to_owned);
        self.process = Some(process);
        let former = std::mem::replace(&mut self.version, version.clone());
        if let (Some(version), Some(former)) = (version, former)
            && version != former
        {
            self.sink.hear(Moment::now(), Happened::Deployed { version, former: Some(former) });
        }
        self.started = Some(clock::Stopwatch::start());
        self.held.clear();
        let faults = self.means.faults.now();
        if !faults.laid.is_empty() {
            if let Err(why) = self.limit() {
                self.sink.hear(Moment::now(), Happened::Note { text: why });
            }
            let set = faults.told_to(self.name);
            if let Some(process) = self.process.as_mut().filter(|_| !set.laid.is_empty()) {
                process.ask(Ask::Faults(set), oneshot::channel().0).await;
            }
        }
    }

    /// Holds the process to the limits of the faults that are laid, and to no others; why not.
    fn limit(&mut self) -> Result<(), String> {
        let wanted = self.means.faults.now().limits(self.name);
        let Some(pid) = self.process.as_ref().map(Running::pid).filter(|_| !self.embedded()) else {
            return Ok(());
        };
        let failed = |error: io::Error| format!("{} cannot be held to a limit: {error}", self.name);
        for (limit, before) in std::mem::take(&mut self.held) {
            limits::release(pid, limit, before).map_err(failed)?;
        }
        for (limit, amount) in wanted {
            let before = limits::hold(pid, limit, amount).map_err(failed)?;
            self.held.insert(limit, before);
        }
        Ok(())
    }

    /// Stands still for a moment, or goes on; one that is paused by command stays so.
    fn stand_still(&self, still: bool) {
        let is_running = self.condition.borrow().state == State::Running;
        if is_running && !self.embedded() {
            self.signal(if still { Signal::SIGSTOP } else { Signal::SIGCONT });
        }
    }

    /// Ends the process, if there is one.
    async fn end(&mut self, signal: Signal) {
        if let Some(process) = self.process.take() {
            let sink = &self.sink;
            process.end(signal, |report| sink.report(report)).await;
        }
    }

    /// The process ended without being told to.
    fn died(&mut self, how: &str) {
        self.process = None;
        if self.embedded() {
            self.enter(
                State::Running,
                &format!("the process that held its file ended ({how}), and the lock with it"),
            );
            return;
        }
        self.failed(how);
    }

    /// Notes that the service is down by itself and, if the lab is set so, when it is to be started again.
    fn failed(&mut self, why: &str) {
        if self.means.design.config.lab.restart == Restart::Never {
            self.enter(State::Failed, why);
            return;
        }
        let ran_well = self.started.take().is_some_and(|started| started.elapsed() >= RAN_WELL);
        let wait = if ran_well { FIRST_WAIT } else { self.wait };
        self.wait = (wait * 2).min(LONGEST_WAIT);
        self.restart_at = Some(tokio::time::Instant::from_std(clock::now() + wait));
        self.enter(State::Failed, &format!("{why}; starts again in {} ms", wait.as_millis()));
    }

    fn enter(&self, state: State, detail: &str) {
        let pid = self.process.as_ref().map(Running::pid);
        let warnings = self.refused.values().cloned().collect();
        let version = self.version.clone().filter(|_| pid.is_some());
        let (since, detail_now) = (clock::unix_millis(), detail.into());
        let condition = Condition { state, pid, since, detail: detail_now, version, warnings };
        self.sink.state(&state.to_string(), detail);
        self.condition.send_replace(condition);
    }

    /// Told here and not by the service, whose events may be lost when it has much to tell.
    fn deployed(&mut self, version: String) {
        let former = self.version.replace(version.clone());
        self.condition.send_modify(|condition| condition.version = Some(version.clone()));
        self.sink.hear(Moment::now(), Happened::Deployed { version, former });
    }

    fn heard(&mut self, sign: Sign) {
        match sign {
            Sign::Report(report) => self.hear(report),
            Sign::Ended(status) => self.died(&describe(status)),
        }
    }

    fn hear(&mut self, report: Report) {
        if note_refusals(&mut self.refused, &report) {
            let warnings: Vec<String> = self.refused.values().cloned().collect();
            self.condition.send_modify(|condition| condition.warnings = warnings);
        }
        self.sink.report(report);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Running::pid)
    }
}

/// Notes in `refused` what `report` says of zones and of ports; whether it says anything.
fn note_refusals(refused: &mut BTreeMap<String, String>, report: &Report) -> bool {
    let Report::Happened { what, .. } = report else { return false };
    match what {
        Happened::ZoneRefused { origin, problems, old_one_kept } => {
            let instead =
                if *old_one_kept { "an older version is in service" } else { "nothing answers for it" };
            let why = problems.first().map(String::as_str).unwrap_or_default();
            refused.insert(origin.clone(), format!("zone {origin} is refused, {instead}: {why}"));
            true
        }
        Happened::ZoneLoaded { origin, .. } => refused.remove(origin).is_some(),
        Happened::PortTaken { address, transport, .. } => {
            refused.insert(port(*address, *transport), what.to_string());
            true
        }
        Happened::PortOpen { address, transport } => refused.remove(&port(*address, *transport)).is_some(),
        _ => false,
    }
}

/// What a port is known by among what was refused: no zone has such a name.
fn port(address: SocketAddr, transport: Transport) -> String {
    format!("{address}/{transport}")
}

async fn sign(process: &mut Option<Running>) -> Sign {
    match process {
        Some(process) => process.sign().await,
        None => std::future::pending().await,
    }
}

async fn alarm(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
