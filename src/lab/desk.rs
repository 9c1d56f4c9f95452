//! What requests to a running lab are answered from: it passes them on to keepers and services, and reads how
//! they stand. What is asked of the network's cables and machines is in [`wires`], of its firewalls in [`firewall`],
//! of HTTPS in [`tls`], of what carries it to a web server that is published in [`publish`], of DNS in private in [`private`], of signed zones in [`dnssec`], of faults in [`faults`] and [`tables`],
//! of the application's versions in [`deploy`], of measures in [`measure`].

mod deploy;
mod dnssec;
pub(super) mod faults;
mod firewall;
mod measure;
mod private;
pub(super) mod publish;
mod tables;
mod tls;
mod wires;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};

use crate::ground::channel::{Ask, Reply, ZoneState};
use crate::ground::metrics::Family;
use crate::ground::metrics::family::joined;

use super::control::{Request, Response, Verb};
use super::design::Design;
use super::faults::Faults;
use super::faults::machines::Machines;
use super::firewall::Firewalls;
use super::guard::Guard;
use super::hosts::ServiceName;
use super::journal::Journal;
use super::keeper::Command;
use super::log;
use super::metrics;
use super::network::publish::Published;
use super::network::wiring::Wiring;
use super::ports::Ports;
use super::status::{Condition, LabStatus, ServiceStatus, State};
use super::usage;

/// A service that does not answer an order by then stands still.
const REPLY_WITHIN: Duration = Duration::from_secs(3);

/// A large zone takes its time to be read; application files that were given up too early would be served and not kept.
const LONG_REPLY_WITHIN: Duration = Duration::from_secs(12);

/// Everything a request may need.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) design: Arc<Design>,
    pub(super) since: u64,
    pub(super) guard: Guard,
    /// This program, for processes that are no service's.
    pub(super) executable: PathBuf,
    pub(super) journal: Journal,
    pub(super) faults: Arc<Faults>,
    /// What goes on for as long as its fault is laid.
    pub(super) going: tokio::sync::Mutex<HashMap<u32, faults::Going>>,
    pub(super) services: Vec<Post>,
    /// Held for as long as somebody measures: one measure at a time.
    pub(super) measuring: tokio::sync::Mutex<()>,
    /// Held while HTTPS, DNS in private or the signing of zones is changed: one wish after the other.
    pub(super) securing: tokio::sync::Mutex<()>,
    /// Held while the application's files or process are changed by a deployment: one after the other.
    pub(super) deploying: tokio::sync::Mutex<()>,
    /// Cables and machines, where hosts are machines of their own.
    pub(super) wiring: Option<Wiring>,
    /// The machines whose kernels break the ways between them, where hosts are machines of their own.
    pub(super) edges: Option<Machines>,
    /// What those machines let through.
    pub(super) firewalls: Option<Firewalls>,
    /// What of the network can be reached from this machine. A plain mutex: held for a look.
    pub(super) published: Mutex<Vec<Published>>,
    /// The same for HTTPS, where the web server is published.
    pub(super) secure_way: Option<publish::Secure>,
    /// Where collectors find the metrics, if they are served.
    pub(super) metrics: Option<SocketAddr>,
}

/// One service as the desk sees it.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) name: ServiceName,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) condition: watch::Receiver<Condition>,
}

impl Desk {
    /// Waits until every service serves or has failed; the failures, one line each.
    pub(super) async fn all_started(&self) -> Result<(), Vec<String>> {
        let mut failures = Vec::new();
        for post in &self.services {
            let mut condition = post.condition.clone();
            let started = condition.wait_for(|condition| condition.state != State::Starting).await;
            match started.map(|condition| condition.clone()) {
                Ok(condition) if condition.state == State::Failed => {
                    failures.push(format!("{} cannot serve: {}", post.name, condition.detail));
                }
                Ok(_) => {}
                Err(_) => failures.push(format!("{} has no keeper", post.name)),
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// Shows, to the user who waits, what takes long before a service serves. Does not end.
    pub(super) async fn progress(&self, mut show: impl FnMut(&str)) {
        let Some(post) = self.post(ServiceName::Db) else {
            return std::future::pending().await;
        };
        let mut condition = post.condition.clone();
        while condition.changed().await.is_ok() {
            let now = condition.borrow_and_update().clone();
            if now.state == State::Starting && !now.detail.is_empty() {
                show(&format!("{}: {}", post.name, now.detail));
            }
        }
        std::future::pending().await
    }

    /// Answers everything but the end of the lab.
    pub(super) async fn answer(self: &Arc<Self>, request: Request) -> Response {
        match request {
            Request::Status => Response::Status(Box::new(self.status_with_pace().await)),
            Request::Metrics(name) => {
                self.metrics(name).await.map_or_else(Response::Refused, Response::Metrics)
            }
            Request::Service(verb, name) => self.act_by_hand(verb, name).await,
            Request::Queries(Some(name)) => self.one(name, Ask::Queries).await,
            Request::Queries(None) => self.queries().await,
            Request::CacheList(resolver) => self.one(resolver, Ask::CacheList).await,
            Request::CacheFlush(resolver, name) => self.one(resolver, Ask::CacheFlush(name)).await,
            Request::Resolve { resolver, name, record_type, afresh } => {
                self.one(resolver, Ask::Resolve { name, record_type, afresh }).await
            }
            Request::Upstreams => self.one(ServiceName::Web, Ask::Upstreams).await,
            Request::ZoneList => self.zones().await,
            Request::ZoneShow { origin } => match self.server_of(&origin) {
                Ok(server) => self.one(server, Ask::ZoneShow { origin }).await,
                Err(refused) => refused,
            },
            Request::ZoneUse { origin, file } => self.use_zone(&origin, &file).await,
            Request::Tls(change) => self.secure(change).await,
            Request::Private(all) => self.make_private(all).await,
            Request::Dnssec(change) => self.dnssec(&change).await,
            Request::Deploy(how, releases) => self.deploy(how, releases.as_deref()).await,
            Request::Journal(wanted) => match wanted.check() {
                Ok(()) => {
                    let (events, left_out) = self.journal.find(&wanted);
                    Response::Journal { events, left_out }
                }
                Err(why) => Response::Refused(vec![why]),
            },
            Request::Watch(_) => Response::Refused(vec!["the desk answers once".into()]),
            Request::AddFault(wanted) => self.add_fault(&wanted).await,
            Request::ClearFaults(which) => self.clear_faults(&which).await,
            Request::Faults => Response::Faults(self.faults.now().states()),
            Request::Cables => self.cables(),
            Request::Cable { name, whole } => self.cable(&name, whole).await,
            Request::Machines => self.machines(),
            Request::Power { host, on } => self.power(&host, on).await,
            Request::Firewall(wish) => self.firewall(wish).await,
            Request::Down | Request::Lease | Request::Measure(_) => {
                Response::Refused(vec!["the desk neither opens nor closes the house".into()])
            }
        }
    }

    /// What of the network can be reached from this machine.
    pub(super) fn published(&self) -> MutexGuard<'_, Vec<Published>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where HTTPS can be reached from this machine, if it can.
    fn https_published(&self) -> Option<Published> {
        self.secure_way.as_ref().and_then(publish::Secure::published)
    }

    /// How the lab stands.
    pub(super) fn status(&self) -> LabStatus {
        let Design {
            config,
            network,
            directory,
            ports,
            database,
            has_ipv6: _,
            tls,
            private,
            dnssec: _,
            apps,
        } = &*self.design;
        let mut at = apps.all().into_iter().map(|serving| serving.port);
        let (app, further_apps) = (at.next().unwrap_or(ports.app), at.collect());
        let me = std::process::id();
        let mut supervisor = usage::of(me).unwrap_or_default();
        if let Some(guard) = self.guard.pid().and_then(usage::of) {
            supervisor += guard;
        }
        let (cut, off) = self.wiring.as_ref().map(Wiring::amiss).unwrap_or_default();
        LabStatus {
            directory: directory.root.display().to_string(),
            built_in: directory.toml.is_none(),
            network: network.to_string(),
            pid: me,
            since: self.since,
            ports: Ports { app, further_apps, ..ports.clone() },
            tls: tls.get().status(config, directory),
            private: private
                .get()
                .status(config.services().map(|service| (service, self.design.private(service))), directory),
            database: database.told(directory),
            site_name: config.web.name.clone(),
            services: self.services.iter().map(|post| self.service(post)).collect(),
            cut,
            off,
            firewalls: self.firewalls.as_ref().map(Firewalls::applied).unwrap_or_default(),
            published: self.published().iter().copied().chain(self.https_published()).collect(),
            metrics: self.metrics,
            seed: self.faults.seed(),
            faults: self.faults.now().states(),
            supervisor,
        }
    }

    /// How the lab stands, and how much its services are asked.
    async fn status_with_pace(&self) -> LabStatus {
        let mut status = self.status();
        let pace =
            |service: &ServiceStatus| self.ask_if_it_runs(service.name, service.condition.state, Ask::Pace);
        let paces = join_all(status.services.iter().map(pace)).await;
        for (service, pace) in status.services.iter_mut().zip(paces) {
            if let Some(Reply::Pace(per_second)) = pace {
                service.per_second = Some(per_second);
            }
        }
        status
    }

    /// What `only` counts and measures, or the whole lab; what stands still or is down is measured from outside alone.
    pub(super) async fn metrics(&self, only: Option<ServiceName>) -> Result<Vec<Family>, Vec<String>> {
        if let Some(name) = only.filter(|&name| self.post(name).is_none()) {
            return Err(vec![absent(name)]);
        }
        let status = self.status();
        let asked = status.services.iter().filter(|service| only.is_none_or(|name| name == service.name));
        let tell = |service: &ServiceStatus| {
            let (name, state) = (service.name, service.condition.state);
            async move {
                match self.ask_if_it_runs(name, state, Ask::Metrics).await {
                    Some(Reply::Metrics(families)) => (name.to_string(), families),
                    _ => (name.to_string(), Vec::new()),
                }
            }
        };
        let told = join_all(asked.map(tell)).await;
        let mut families = metrics::of(&status);
        if let Some(name) = only {
            families = metrics::only(families, name.as_str());
        }
        families.extend(joined("service", told));
        Ok(families)
    }

    /// What `name` replies to a question about itself; nothing where it is in no `state` to, or does not answer.
    async fn ask_if_it_runs(&self, name: ServiceName, state: State, ask: Ask) -> Option<Reply> {
        if state != State::Running {
            return None;
        }
        self.ask(name, ask).await.ok()
    }

    fn service(&self, post: &Post) -> ServiceStatus {
        let mut condition = post.condition.borrow().clone();
        if let Some(pid) = condition.pid {
            // A student may pause and continue a process with `kill` as well.
            match (condition.state, usage::is_stopped(pid)) {
                (State::Running, true) if !self.faults.now().shares(post.name) => {
                    condition.state = State::Paused;
                    condition.detail = "by a signal from outside".into();
                }
                (State::Paused, false) if cfg!(target_os = "linux") => {
                    condition.state = State::Running;
                    condition.detail = "resumed by a signal from outside".into();
                }
                _ => {}
            }
        }
        let directory = &self.design.directory;
        let disk_bytes = match post.name {
            ServiceName::Db => self.design.database.disk_bytes(directory),
            name => log::bytes(&directory.log(name.as_str())),
        };
        let usage = match self.design.foreign(post.name) {
            Some(_) => usage::of_group,
            None => usage::of,
        };
        ServiceStatus {
            name: post.name,
            host: post.name.host(),
            address: self.design.address(post.name),
            further: self.design.addresses(post.name).into_iter().skip(1).collect(),
            usage: condition.pid.and_then(usage),
            per_second: None,
            condition,
            disk_bytes,
        }
    }

    async fn act(&self, verb: Verb, name: ServiceName) -> Response {
        let Some(post) = self.post(name) else {
            return Response::Refused(vec![absent(name)]);
        };
        let host = name.host();
        if self.wiring.as_ref().is_some_and(|wiring| wiring.is_off(host)) {
            let host = host.as_str();
            return Response::Refused(vec![format!(
                "{host} is off, and {name} with it: `wwwlab host on {host}`"
            )]);
        }
        let (answer, done) = oneshot::channel();
        let _ = post.commands.send(Command::Do(verb, answer)).await;
        match done.await {
            Ok(Ok(sentence)) => {
                let warnings = post.condition.borrow().warnings.clone();
                Response::Done([vec![sentence], warnings].concat().join("\n"))
            }
            Ok(Err(why)) => Response::Refused(vec![why]),
            Err(_) => Response::Refused(vec!["the lab is going down".into()]),
        }
    }

    /// Asks one service and passes its reply on.
    async fn one(&self, name: ServiceName, ask: Ask) -> Response {
        match self.ask(name, ask).await {
            Ok(Reply::Cache { entries, total }) => Response::Cache(entries, total),
            Ok(Reply::Flushed(count)) => {
                Response::Done(format!("{count} {} forgotten", if count == 1 { "answer" } else { "answers" }))
            }
            Ok(Reply::Upstreams(upstreams)) => Response::Upstreams(upstreams),
            Ok(Reply::Queries(counts)) => Response::Queries(vec![(name, Some(*counts))]),
            Ok(Reply::Zones(zones)) => Response::Zones(zones.into_iter().map(|zone| (name, zone)).collect()),
            Ok(Reply::Walk(walk)) => Response::Walk(Box::new(walk)),
            Ok(Reply::Zone(text)) => Response::Zone(text),
            Ok(Reply::Deployed { .. }) => Response::Deployed { served: true, unfinished: 0 },
            Ok(Reply::Metrics(families)) => Response::Metrics(families),
            Ok(Reply::Pace(_) | Reply::Replaced { .. }) => {
                Response::Refused(vec![format!("{name} answered something else")])
            }
            Ok(Reply::Done) => Response::Done("done".into()),
            Ok(Reply::Refused(causes)) | Err(causes) => Response::Refused(causes),
        }
    }

    async fn queries(&self) -> Response {
        let of = |name| async move {
            match self.ask(name, Ask::Queries).await {
                Ok(Reply::Queries(counts)) => (name, Some(*counts)),
                _ => (name, None),
            }
        };
        Response::Queries(join_all(self.name_servers().map(of)).await)
    }

    /// The services that publish zones.
    fn name_servers(&self) -> impl Iterator<Item = ServiceName> {
        self.design.config.services().filter(|name| self.design.zones(*name).is_some())
    }

    async fn zones(&self) -> Response {
        let of = |name| async move {
            match self.ask(name, Ask::ZoneList).await {
                Ok(Reply::Zones(zones)) => self.with_times(zones),
                Ok(_) => Vec::new(),
                // What a name server that is down would publish.
                Err(why) => self.unpublished(name, &why.join(": ")),
            }
            .into_iter()
            .map(move |zone| (name, zone))
        };
        Response::Zones(join_all(self.name_servers().map(of)).await.into_iter().flatten().collect())
    }

    fn unpublished(&self, name: ServiceName, why: &str) -> Vec<ZoneState> {
        let zones = self.design.zones(name).into_iter().flatten();
        let state = |(origin, file): (String, PathBuf)| ZoneState {
            origin: format!("{}.", origin.trim_end_matches('.')),
            file: self.design.path(&file).display().to_string(),
            serial: None,
            records: 0,
            problems: vec![why.to_owned()],
            signed: None,
        };
        zones.map(state).collect()
    }

    /// The name server that publishes `origin`.
    fn server_of(&self, origin: &str) -> Result<ServiceName, Response> {
        let same =
            |known: &str| known.trim_end_matches('.').eq_ignore_ascii_case(origin.trim_end_matches('.'));
        [ServiceName::Dns, ServiceName::Tld, ServiceName::Root]
            .into_iter()
            .find(|&name| self.design.zones(name).is_some_and(|zones| zones.keys().any(|known| same(known))))
            .ok_or_else(|| {
                let refused = format!("no name server of this lab publishes {origin}: `wwwlab zone list`");
                Response::Refused(vec![refused])
            })
    }

    async fn use_zone(&self, origin: &str, file: &Path) -> Response {
        let server = match self.server_of(origin) {
            Ok(server) => server,
            Err(refused) => return refused,
        };
        let ask = Ask::ZoneUse { origin: origin.into(), file: file.display().to_string() };
        match self.one(server, ask).await {
            Response::Zones(_) => {
                let own = self
                    .design
                    .zones(server)
                    .into_iter()
                    .flatten()
                    .any(|(_, own)| self.design.path(&own) == file);
                let until = if own { "" } else { " until it is restarted" };
                Response::Done(format!("{server} publishes {origin} from {}{until}", file.display()))
            }
            other => other,
        }
    }

    async fn ask(&self, name: ServiceName, ask: Ask) -> Result<Reply, Vec<String>> {
        let Some(post) = self.post(name) else {
            return Err(vec![absent(name)]);
        };
        let (asker, reply) = oneshot::channel();
        let long = matches!(
            ask,
            Ask::ZoneUse { .. }
                | Ask::Deploy { .. }
                | Ask::Sign(_)
                | Ask::Replace { .. }
                | Ask::Rest { .. }
                | Ask::Resume { .. }
        );
        let _ = post.commands.send(Command::Ask(ask, asker)).await;
        let within = if long { LONG_REPLY_WITHIN } else { REPLY_WITHIN };
        match tokio::time::timeout(within, reply).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(vec![format!("{name} is not up: `wwwlab start {name}` starts it")]),
            Err(_) => {
                Err(vec![format!("{name} does not answer: `wwwlab status` shows whether it is paused")])
            }
        }
    }

    /// Tells one service something, and does not wait for what it replies.
    async fn order(&self, name: ServiceName, ask: Ask) {
        if let Some(post) = self.post(name) {
            let _ = post.commands.send(Command::Ask(ask, oneshot::channel().0)).await;
        }
    }

    fn post(&self, name: ServiceName) -> Option<&Post> {
        self.services.iter().find(|post| post.name == name)
    }
}

/// Why a service of wwwlab cannot be asked in this lab.
fn absent(name: ServiceName) -> String {
    let remedy = match ServiceName::RESOLVERS.iter().position(|resolver| *resolver == name) {
        Some(index) => {
            format!(": set `count = {}` under [resolver] in lab.toml, and bring it up again", index + 1)
        }
        None if name.is_app() => {
            let number = ServiceName::APPS.iter().position(|app| *app == name).unwrap_or_default();
            format!(": set `count = {}` under [app] in lab.toml, and bring it up again", number + 1)
        }
        None if name == ServiceName::Dns2 => {
            ": set `secondary = true` under [dns] in lab.toml, and bring it up again".into()
        }
        None => String::new(),
    };
    format!("this lab has no {name}{remedy}")
}
