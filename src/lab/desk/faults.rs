//! What is asked of the lab's faults: that one be laid or ended, and which there are.
//!
//! A fault is first noted, then carried out: who starts a service in between finds it in the snapshot. One change is made after
//! the other. What goes on for as long as a fault is laid (a crash again and again, a share of the processor) is a task of this
//! room, ended and waited for with its fault.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Desk, absent};
use crate::ground::channel::{Ask, Reply};
use crate::ground::event::Happened;
use crate::ground::fault::Wrong;
use crate::ground::service::causes;
use crate::lab::child::describe;
use crate::lab::control::{Response, Verb};
use crate::lab::database::Database;
use crate::lab::faults::edges::{self, Doors, Edge, Way};
use crate::lab::faults::wanted::{Checked, Wanted};
use crate::lab::faults::{Deed, Standing, Which};
use crate::lab::hosts::ServiceName;
use crate::lab::keeper::Command;
use crate::lab::log::Log;
use crate::lab::network::held::Attacker;
use crate::lab::network::spoof::COMMAND as SPOOF;
use crate::lab::status::State;

/// In which a service with a share of the processor runs for its share.
const TURN: Duration = Duration::from_millis(100);

/// A pause before an attacker is sent for one that ended, so that this does not spin.
const NEXT_ATTACKER: Duration = Duration::from_secs(1);

/// Why what is not of the lab is left alone.
const ELSEWHERE: &str = "the database is not of this lab: break it where it runs";

/// The ports that hosts of their own have for HTTPS, which can be switched on later, and for a database server.
const HTTPS: u16 = 443;
const MYSQL: u16 = 3306;

impl Desk {
    pub(super) async fn add_fault(self: &Arc<Self>, wanted: &Wanted) -> Response {
        let mut checked = match wanted.check() {
            Ok(checked) => checked,
            Err(why) => return Response::Refused(vec![why]),
        };
        checked.deed = checked.deed.on(&self.design.database);
        let _turn = self.faults.turn.lock().await;
        let refusal = self.faults.conflict(&checked).or_else(|| self.not_here(&checked));
        let refusal = match refusal {
            None => self.by_whom(&mut checked).await.err(),
            refusal => refusal,
        };
        if let Some(why) = refusal {
            return Response::Refused(vec![why]);
        }
        let standing = self.faults.lay(checked);
        let told = match self.carry_out(&standing).await {
            Ok(told) => told,
            Err(why) => {
                self.faults.end(standing.id);
                if let Deed::Edge(_) = standing.deed {
                    // Half of it may be there; what stands in the way of that was told.
                    let _ = self.break_edges().await;
                    self.stop(standing.id).await;
                }
                if let Deed::Rim(_) = standing.deed {
                    // The first of several who do it may have been told.
                    let _ = self.have_all_so(&standing).await;
                }
                return Response::Refused(vec![why]);
            }
        };
        self.tell(&standing, "laid");
        let (Standing { id, fault, .. }, target) = (&*standing, standing.target());
        let mut said = format!("fault {id} is laid on {target}: {}{}{told}", fault.what, details(&standing));
        if standing.is_before_the_cache() {
            said.push_str(
                "\nthe resolver goes on with what it remembers: `wwwlab cache flush` has it ask anew",
            );
        }
        let _ = write!(said, "\n`wwwlab fault clear {id}` ends it");
        Response::Done(said)
    }

    pub(super) async fn clear_faults(self: &Arc<Self>, which: &Which) -> Response {
        let _turn = self.faults.turn.lock().await;
        let now = self.faults.now();
        let is_meant = |standing: &&Arc<Standing>| match which {
            Which::All => true,
            Which::Number(id) => standing.id == *id,
            Which::Name(name) => standing.fault.name == name,
        };
        let meant = now.laid.iter().rev().filter(is_meant);
        let (still, others): (Vec<_>, Vec<_>) =
            meant.partition(|standing| standing.deed == Deed::Verb(Verb::Pause));
        // What stands still goes on first, and can then be told the rest; the last that was laid goes first of that.
        let ids: Vec<u32> = still.into_iter().chain(others).map(|standing| standing.id).collect();
        let not_laid = match which {
            Which::Number(id) => {
                Some(format!("there is no fault {id}: `wwwlab fault list` shows what is laid"))
            }
            Which::Name(name) => Some(format!("no {name} is laid: `wwwlab fault list` shows what is")),
            Which::All => None,
        };
        if let (true, Some(why)) = (ids.is_empty(), not_laid) {
            return Response::Refused(vec![why]);
        }
        let lied =
            now.laid.iter().any(|standing| ids.contains(&standing.id) && standing.stays_in_the_cache());
        let (mut ended, mut failures) = (Vec::new(), Vec::new());
        for id in ids {
            match self.end_fault(id, "cleared").await {
                // Whoever ended it had it end as well.
                None => {}
                Some(Ok(sentence)) => ended.push(sentence),
                Some(Err(why)) => failures.push(why),
            }
        }
        // What could not be undone before may be undone now, though no fault is listed for it.
        if *which == Which::All
            && self.edges.is_some()
            && let Err(why) = self.break_edges().await
            && !failures.contains(&why)
        {
            failures.push(why);
        }
        match (failures.is_empty(), ended.is_empty()) {
            (false, _) => Response::Refused(failures),
            (true, true) => Response::Done("no fault is laid".into()),
            (true, false) => {
                if lied {
                    ended.push(
                        "the resolver may still remember what it was told: `wwwlab cache` shows it, `wwwlab cache flush` forgets it"
                            .into(),
                    );
                }
                Response::Done(ended.join("\n"))
            }
        }
    }

    /// Ends the fault `name` on `edge`, if it is laid.
    pub(super) async fn clear_way(self: &Arc<Self>, edge: Edge, name: &str) -> Response {
        let _turn = self.faults.turn.lock().await;
        let now = self.faults.now();
        let laid =
            now.laid.iter().find(|standing| standing.edge == Some(edge) && standing.fault.name == name);
        let Some(standing) = laid else { return Response::Done(String::new()) };
        match self.end_fault(standing.id, "cleared").await {
            Some(Err(why)) => Response::Refused(vec![why]),
            Some(Ok(sentence)) => Response::Done(sentence),
            None => Response::Done(String::new()),
        }
    }

    /// Does to a service what somebody wants. Whoever has it run again has ended the fault by which it did not.
    pub(super) async fn act_by_hand(self: &Arc<Self>, verb: Verb, name: ServiceName) -> Response {
        let mut response = self.act(verb, name).await;
        let brings_it_back = matches!(verb, Verb::Start | Verb::Restart | Verb::Resume);
        if let (Response::Done(said), true) = (&mut response, brings_it_back) {
            let _turn = self.faults.turn.lock().await;
            let runs = self.post(name).map(|post| self.service(post).condition.state) == Some(State::Running);
            let now = self.faults.now();
            let undone = now.laid.iter().filter(|standing| {
                runs && standing.service == name && matches!(standing.deed, Deed::Verb(_))
            });
            for standing in undone {
                if let Some(Ok(sentence)) = self.end_fault(standing.id, "over").await {
                    let _ = write!(
                        said,
                        "
{sentence}"
                    );
                }
            }
        }
        response
    }

    /// Ends each fault in its time, until the lab ends; then whatever goes on.
    pub(in crate::lab) async fn mind_faults(self: Arc<Self>, end: CancellationToken) {
        let mut changes = self.faults.watch();
        loop {
            let next = self.faults.now().laid.iter().filter_map(|standing| standing.until).min();
            let due = async {
                match next {
                    Some(next) => sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = end.cancelled() => break,
                _ = changes.changed() => continue,
                () = due => {}
            }
            let now = crate::ground::clock::now();
            let Some(_turn) = end.run_until_cancelled(self.faults.turn.lock()).await else { break };
            let over = self.faults.now();
            for standing in
                over.laid.iter().filter(|standing| standing.until.is_some_and(|until| until <= now))
            {
                if let Some(Err(why)) = self.end_fault(standing.id, "over").await {
                    self.journal.note(why);
                }
            }
        }
        for (_, going) in std::mem::take(&mut *self.going.lock().await) {
            going.stop.cancel();
            let _ = going.task.await;
        }
    }

    /// Why what can be laid somewhere cannot be laid here, if so.
    fn not_here(&self, checked: &Checked) -> Option<String> {
        let service = checked.service;
        let Some(post) = self.post(service) else { return Some(absent(service)) };
        let name = checked.fault.name;
        let database = &self.design.database;
        if let Some(edge) = checked.edge {
            return match database {
                Database::Embedded if edge == Edge::AppDb => {
                    Some("SQLite is inside the application: there is no way between the two".into())
                }
                Database::Elsewhere(_) if edge == Edge::AppDb => {
                    Some("the database is not of this lab: no way to it is".into())
                }
                _ => None,
            };
        }
        if let Deed::Rim(Wrong::Database(wrong)) = checked.deed {
            return match wrong {
                _ if self.design.foreign(ServiceName::App).is_some() => Some(format!(
                    "{name} is laid on the connections of wwwlab's own application, and this one is yours: `wwwlab fault add stop db`"
                )),
                _ => None,
            };
        }
        match (service, database) {
            (ServiceName::Db, Database::Elsewhere(_)) => {
                return Some(ELSEWHERE.into());
            }
            (ServiceName::Db, Database::Embedded) if matches!(checked.deed, Deed::Share(_)) => {
                return Some("SQLite has no process of its own: lay it on app".into());
            }
            _ => {}
        }
        let has_process = post.condition.borrow().pid.is_some();
        let needs_one = matches!(checked.deed, Deed::CrashLoop { .. } | Deed::Share(_) | Deed::Limit(..));
        (needs_one && !has_process)
            .then(|| format!("{service} is not up: `wwwlab start {service}` starts it"))
    }

    /// Has a way be broken by who dials on it where no kernel of the lab's own can; why neither can, if so.
    async fn by_whom(&self, checked: &mut Checked) -> Result<(), String> {
        let (Some(edge), Deed::Edge(way)) = (checked.edge, checked.deed) else { return Ok(()) };
        let by_kernel = match (&self.edges, way) {
            (None, _) => false,
            (Some(machines), Way::Late { .. }) if edge.is_dialled_here() => machines.hold_back().await,
            (Some(_), _) => true,
        };
        if by_kernel {
            return Ok(());
        }
        if edge == Edge::AppDb && self.design.foreign(ServiceName::App).is_some() {
            return Err(format!(
                "the application is yours, and dials by itself: only a kernel can have {} on {edge}, and here none does (`wwwlab up --network hosts`)",
                checked.fault.name
            ));
        }
        let (wrong, how_often) = edge.at_the_rim(way, self.design.network, self.faults.seed())?;
        (checked.deed, checked.how_often) = (Deed::Rim(wrong), how_often);
        Ok(())
    }

    /// Makes `standing` true; what else is to be said of it.
    async fn carry_out(self: &Arc<Self>, standing: &Arc<Standing>) -> Result<String, String> {
        match standing.deed {
            Deed::Verb(verb) => match self.act(verb, standing.service).await {
                Response::Refused(causes) => Err(causes.join(": ")),
                _ => Ok(String::new()),
            },
            Deed::Rim(_) | Deed::Limit(..) => {
                let told = self.have_all_so(standing).await?;
                Ok(match (standing.edge, standing.done_by()) {
                    (Some(_), [who, ..]) => format!("; done by {who} itself: no kernel is told{told}"),
                    _ => told,
                })
            }
            // Who is to pass questions on is there before they are held back.
            Deed::Edge(Way::Forged(_)) => {
                self.attack(standing).await?;
                self.break_edges().await
            }
            Deed::Edge(_) => self.break_edges().await,
            Deed::Lock => self.hold_tables(standing).await,
            // Every database that a lab has itself is gone by other deeds.
            Deed::Gone => Err(ELSEWHERE.into()),
            Deed::CrashLoop { .. } | Deed::Share(_) => {
                let stop = CancellationToken::new();
                let (desk, deed, service, until) =
                    (self.clone(), standing.deed, standing.service, stop.clone());
                let task = tokio::spawn(async move {
                    match deed {
                        Deed::CrashLoop { millis } => desk.crash(service, millis, &until).await,
                        Deed::Share(percent) => desk.share(service, percent, &until).await,
                        _ => {}
                    }
                });
                self.going.lock().await.insert(standing.id, Going { stop, task });
                Ok(String::new())
            }
        }
    }

    /// Ends the fault `id`; a sentence about it, or what could not be undone. Nothing if there is none.
    async fn end_fault(self: &Arc<Self>, id: u32, how: &str) -> Option<Result<String, String>> {
        let standing = self.faults.end(id)?;
        let service = standing.service;
        let undone = match standing.deed {
            Deed::Rim(_) | Deed::Limit(..) => self.have_all_so(&standing).await,
            Deed::Edge(_) => {
                let whole = self.break_edges().await;
                self.stop(id).await;
                whole
            }
            Deed::Lock | Deed::Gone => {
                self.stop(id).await;
                Ok(String::new())
            }
            Deed::Verb(Verb::Pause) => self.undo(Verb::Resume, service).await,
            Deed::Verb(_) => self.undo(Verb::Start, service).await,
            Deed::CrashLoop { .. } | Deed::Share(_) => {
                self.stop(id).await;
                match standing.deed {
                    Deed::CrashLoop { .. } => self.undo(Verb::Start, service).await,
                    _ => Ok(String::new()),
                }
            }
        };
        self.tell(&standing, how);
        let (name, target) = (standing.fault.name, standing.target());
        Some(match undone {
            Ok(told) => Ok(format!("fault {id} is {how}: {name} on {target}{told}")),
            Err(why) => Err(format!("fault {id} is {how}, but {target} is not as before: {why}")),
        })
    }

    /// Ends what goes on for the fault `id`, if anything does.
    async fn stop(&self, id: u32) {
        let going = self.going.lock().await.remove(&id);
        if let Some(Going { stop, task }) = going {
            stop.cancel();
            let _ = task.await;
        }
    }

    /// Undoes what was done to a service; what somebody has undone already is undone.
    pub(in crate::lab) async fn undo(&self, verb: Verb, service: ServiceName) -> Result<String, String> {
        let state = self.post(service).map(|post| self.service(post).condition.state);
        let is_embedded = service == ServiceName::Db && matches!(self.design.database, Database::Embedded);
        match state {
            Some(State::Running) => return Ok(String::new()),
            // It was ended meanwhile, and not by the fault: it stays so.
            Some(State::Stopped | State::Failed) if verb == Verb::Resume && !is_embedded => {
                return Ok(format!("; {service} is not up: `wwwlab start {service}`"));
            }
            Some(State::Paused) if verb == Verb::Start && !is_embedded => {
                return Ok(format!("; {service} is paused: `wwwlab resume {service}`"));
            }
            _ => {}
        }
        // What holds a database's file is ended by starting it.
        let verb = if is_embedded { Verb::Start } else { verb };
        match self.act(verb, service).await {
            Response::Refused(causes) => Err(causes.join(": ")),
            _ => Ok(String::new()),
        }
    }

    /// Has all who carry out `standing` do what the snapshot says; what is to be said of that.
    async fn have_all_so(&self, standing: &Standing) -> Result<String, String> {
        let mut told = String::new();
        for &service in standing.done_by() {
            // A way has several who dial, a database several who use it, and a lab not all of them.
            if standing.done_by().len() == 1 || self.post(service).is_some() {
                told += &self.have_it_so(service).await?;
            }
        }
        Ok(told)
    }

    /// Has a service do what the snapshot says; what is to be said where it cannot now.
    async fn have_it_so(&self, service: ServiceName) -> Result<String, String> {
        let Some(post) = self.post(service) else { return Err(absent(service)) };
        let (answer, done) = oneshot::channel();
        let _ = post.commands.send(Command::Limit(answer)).await;
        done.await.unwrap_or_else(|_| Err("the lab is going down".into()))?;
        let told = self.faults.now().told_to(service);
        // An application of a student's is told nothing, and the one of the lab only where it was told something before.
        let is_told = service.speaks_dns() || service.is_app() || service == ServiceName::Web;
        if !is_told || self.design.foreign(service).is_some() {
            return Ok(String::new());
        }
        let later = format!("; {service} does not answer now, and does so when it serves");
        if self.service(post).condition.state == State::Paused {
            // It has the order before it when it goes on, and nobody waits for what cannot come.
            self.order(service, Ask::Faults(told)).await;
            return Ok(later);
        }
        match self.ask(service, Ask::Faults(told)).await {
            Ok(Reply::Refused(causes)) => Err(causes.join(": ")),
            Ok(_) => Ok(String::new()),
            // A service that starts is told with its start; one that stands still has the order before it.
            Err(_) => Ok(later),
        }
    }

    /// Has the machines' kernels break what the snapshot says, and nothing else.
    async fn break_edges(&self) -> Result<String, String> {
        let Some(machines) = &self.edges else { return Err("this network has no machines".into()) };
        let ports = &self.design.ports;
        let doors = Doors {
            dns: ports.dns,
            http: ports.http,
            https: HTTPS,
            app: ports.app,
            apps: u16::try_from(ports.apps().count()).unwrap_or(1),
            db: ports.db.unwrap_or(MYSQL),
        };
        let broken = edges::broken(self.faults.now().edges(), doors);
        machines.tell(broken).await.map(|()| String::new()).map_err(|error| error.to_string())
    }

    /// Sends an attacker, and another for each that ends by itself: without one the questions that are held back are lost.
    async fn attack(self: &Arc<Self>, standing: &Arc<Standing>) -> Result<(), String> {
        let mut attacker = self.attacker(standing).await?;
        let stop = CancellationToken::new();
        let (desk, laid, until) = (self.clone(), standing.clone(), stop.clone());
        let task = tokio::spawn(async move {
            loop {
                let ended = tokio::select! {
                    () = until.cancelled() => return attacker.close().await,
                    ended = attacker.gone() => ended,
                };
                let how = ended.map_or_else(|| "ended".into(), describe);
                let (id, target) = (laid.id, laid.target());
                desk.journal.note(format!(
                    "the attacker of fault {id} on {target} has ended ({how}): no question passes until another is there"
                ));
                attacker = loop {
                    if until.run_until_cancelled(sleep(NEXT_ATTACKER)).await.is_none() {
                        return;
                    }
                    match desk.attacker(&laid).await {
                        Ok(attacker) => break attacker,
                        Err(why) => desk.journal.note(format!("fault {id}: {why}")),
                    }
                };
            }
        });
        self.going.lock().await.insert(standing.id, Going { stop, task });
        Ok(())
    }

    async fn attacker(&self, standing: &Standing) -> Result<Attacker, String> {
        let (Some(machines), Some(edge), Deed::Edge(Way::Forged(address))) =
            (&self.edges, standing.edge, standing.deed)
        else {
            return Err("this network has no machines".into());
        };
        let chain = |error: &(dyn std::error::Error + 'static)| causes(error).join(": ");
        let when = serde_json::to_string(&standing.when).map_err(|error| chain(&error))?;
        let mut wanted = edge.ends();
        wanted.extend(["--port".into(), self.design.ports.dns.to_string()]);
        wanted.extend(["--address".into(), address.to_string(), "--when".into(), when]);
        wanted.extend(standing.only.iter().flat_map(|name| ["--name".into(), name.clone()]));
        let log = Log::open(&self.design.directory.log(SPOOF)).and_then(|log| log.handle());
        let log = log.map_err(|error| chain(&error))?;
        let attacker = machines.attack(edge.router(), &wanted, log, &self.guard).await;
        attacker.map_err(|failure| chain(&failure))
    }

    /// Kills a service, has it started again, and lets it run for `millis`, again and again.
    async fn crash(&self, service: ServiceName, millis: u64, until: &CancellationToken) {
        while !until.is_cancelled() {
            let _ = self.act(Verb::Kill, service).await;
            let _ = self.act(Verb::Start, service).await;
            until.run_until_cancelled(sleep(Duration::from_millis(millis))).await;
        }
    }

    /// Lets a service run for `percent` of each turn.
    async fn share(&self, service: ServiceName, percent: u64, until: &CancellationToken) {
        let Some(post) = self.post(service) else { return };
        let runs = TURN.mul_f64(f64::from(u32::try_from(percent).unwrap_or(100)) / 100.0);
        while !until.is_cancelled() {
            for (stands, lasts) in [(true, TURN.saturating_sub(runs)), (false, runs)] {
                let _ = post.commands.send(Command::StandStill(stands)).await;
                until.run_until_cancelled(sleep(lasts)).await;
            }
        }
        let _ = post.commands.send(Command::StandStill(false)).await;
    }

    fn tell(&self, standing: &Standing, change: &str) {
        self.journal.tell(Happened::Fault {
            number: standing.id,
            fault: standing.fault.name.into(),
            target: standing.target().into(),
            change: change.into(),
            details: standing.details.clone(),
        });
    }
}

/// What goes on for as long as a fault is laid.
#[derive(Debug)]
pub(in crate::lab) struct Going {
    pub(super) stop: CancellationToken,
    pub(super) task: tokio::task::JoinHandle<()>,
}

/// What was asked for beside its name.
fn details(standing: &Standing) -> String {
    if standing.details.is_empty() { String::new() } else { format!(" ({})", standing.details) }
}
