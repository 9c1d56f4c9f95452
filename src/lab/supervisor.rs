//! A lab that is up: its keepers, its control socket, its end.
//!
//! Everything runs on one thread. Keepers own their processes; the desk only passes requests to them and
//! reads their conditions; so there is nothing to lock.

mod conversation;
mod lock;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::ground::bind::{self, BindError};
use crate::ground::chance;
use crate::ground::clock;
use crate::ground::event::Event;

use super::application;
use super::child::{StartFailure, describe, no_process_left};
use super::config::{Config, Network};
use super::database::{Database, DatabaseError, Wish};
use super::design::Design;
use super::desk::publish::Secure;
use super::desk::{Desk, Post};
use super::directory::{Directory, DirectoryError};
use super::dnssec::{self, DnssecError, Signing, copies};
use super::faults::Faults;
use super::faults::machines::Machines;
use super::firewall::Firewalls;
use super::guard::Guard;
use super::hosts::ServiceName;
use super::journal::{Heard, Journal};
use super::keeper::{Keeper, Means, Sink};
use super::lease::Leases;
use super::log::Log;
use super::metrics::endpoint;
use super::network::held::{Carrier, Network as Wires};
use super::network::plan::Plan;
use super::network::publish::{self, Publication, Published};
use super::network::wiring::Wiring;
use super::ports::{self, PortError, Ports};
use super::private;
use super::status::LabStatus;
use super::telemetry::Telemetry;
use super::tls::{Change, Held, Serving, TlsError};

/// Commands that may talk to a lab at a time.
const COMMANDS_MOST: usize = 64;
/// Events that are shown in one go.
const SHOWN_MOST: usize = 128;

/// Why a lab could not come up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// It is up already.
    #[error("{lab} is up already (pid {pid}): `wwwlab status` shows it, `wwwlab down` ends it")]
    AlreadyUp {
        /// The lab.
        lab: String,
        /// Its supervisor.
        pid: u32,
    },
    /// Its places cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is no such database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A port cannot be had.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Zones are to be signed, but cannot be.
    #[error("zones cannot be signed (`sign` under [dnssec] in lab.toml)")]
    Dnssec(#[source] DnssecError),
    /// HTTPS is to be spoken, but cannot be.
    #[error("HTTPS cannot be spoken (`tls` under [web] in lab.toml)")]
    Tls(#[source] TlsError),
    /// DNS cannot be asked in private.
    #[error("DNS cannot be asked in private (`doh`, `dot` and `doq` under [resolver] and [dns] in lab.toml)")]
    Private(#[source] TlsError),
    /// A file or socket of its state cannot be made.
    #[error("cannot make {}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The guard or the executable cannot be started.
    #[error("cannot start the lab's own processes{}", no_process_left(.0))]
    Process(#[source] io::Error),
    /// The address for its metrics cannot be had.
    #[error("the metrics cannot be served: give another `listen` under [metrics] in lab.toml, or none")]
    Metrics(#[source] BindError),
    /// There is no network for its hosts.
    #[error("network `hosts` cannot be made")]
    Network(#[source] StartFailure),
    /// Something cannot be published.
    #[error("the network cannot be seen from this machine")]
    Published(#[source] StartFailure),
    /// What was asked for would be what is there already.
    #[error(
        "--publish is for network `hosts`: on `loopback` every service is at an address of this machine already (`wwwlab status`)"
    )]
    PublishedAlready,
    /// Services could not start.
    #[error("{}", .0.join("\n"))]
    Services(Vec<String>),
}

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    desk: Arc<Desk>,
    listener: UnixListener,
    keepers: JoinSet<()>,
    journal: Journal,
    /// What whoever brought it up is shown; nothing where nobody looks.
    heard: Heard,
    /// What its hosts are, where they are machines of their own.
    wires: Option<Wires>,
    /// What can be reached of them from this machine, if anything is to be.
    carrier: Option<Carrier>,
    /// Who answers collectors, if anybody is to.
    metrics: Option<JoinHandle<()>>,
    /// What tells a collector, if one is to be told.
    telemetry: Option<Telemetry>,
    leases: Leases,
    lock: lock::Lock,
    /// Cancelled when the lab is to end, and when it has ended.
    end: CancellationToken,
    ended: CancellationToken,
}

impl Lab {
    /// Brings the lab in `directory` up: when this returns, every service serves. `database` goes before what the
    /// settings say, and so do `publish`, what of network `hosts` is to be seen from this machine, and `seed`; `progress` shows what takes
    /// long.
    pub async fn up(
        directory: Directory,
        database: Option<Wish>,
        publish: Option<Vec<Publication>>,
        seed: Option<u32>,
        progress: impl FnMut(&str),
    ) -> Result<Self, UpError> {
        directory.prepare()?;
        let config = directory.config()?;
        let network = directory.network;
        if publish.is_some() && network == Network::Loopback {
            return Err(UpError::PublishedAlready);
        }
        let (mut lock, left_behind) = lock::take(&directory).await?;
        let wish = database.map_or_else(|| Wish::of(&config, &directory.root), Ok)?;
        let ports = ports::decide(&config, network, wish.needs_port())?;
        let tls = Serving::of(&config)
            .next(Change::default(), &config, &ports, &directory)
            .map(Held::new)
            .map_err(UpError::Tls)?;
        let private = private::Serving::of(&config)
            .next(None, &config, &ports, &directory)
            .map(private::Held::new)
            .map_err(UpError::Private)?;
        let dnssec = Signing::of(&config, &directory).map(dnssec::Held::new).map_err(UpError::Dnssec)?;
        if !dnssec.get().is_on() {
            copies::forget_signed(&directory);
        }
        let server = ports.db.map(|port| SocketAddr::new(ServiceName::Db.host().address(network), port));
        let database = Database::decide(wish, &directory, server)?;
        let metrics = config.metrics.listen.map(bind::tcp).transpose().map_err(UpError::Metrics)?;
        let executable = std::env::current_exe().map_err(UpError::Process)?;
        let socket = directory.control_socket();
        let machines = (network == Network::Hosts).then(|| directory.machines());
        let leftovers = [Some(socket.clone()), machines.clone(), Some(directory.lock_file())];
        let guard = Guard::start(&executable, leftovers.into_iter().flatten().collect(), machines.clone())
            .map_err(UpError::Process)?;
        lock.file_is_the_guards = true;
        let publish = publish.unwrap_or_else(|| config.network.publish.clone());
        let published = published(&publish, network, &ports);
        let wires = match &machines {
            None => None,
            Some(place) => Some(Self::wires(&executable, &config, &directory, place, &guard).await?),
        };
        let carrier = Self::carrier(&executable, &published, &directory, &guard).await?;
        let has_ipv6 = super::network::has_ipv6();
        let apps = application::Held::at(ports.apps());
        let seed = seed.or(config.lab.seed).unwrap_or_else(chance::seed);
        let faults = Arc::new(Faults::new(seed));
        let design = Arc::new(Design {
            config,
            network,
            directory,
            ports,
            database,
            has_ipv6,
            tls,
            private,
            dnssec,
            apps,
        });
        let secure_way = publish::https(&publish).zip(machines.clone()).map(|(here, machines)| Secure {
            here,
            machines,
            executable: executable.clone(),
            log: design.directory.log("publish"),
            guard: guard.clone(),
            carrier: tokio::sync::Mutex::default(),
            published: Mutex::default(),
        });
        let path = design.directory.journal();
        let journal = Journal::open(&path).map_err(|source| UpError::State { path, source })?;
        let heard = journal.watch_first();
        let collector = design.config.journal.otlp.clone();
        let telemetry = collector.map(|collector| Telemetry::start(collector, &design, &journal));
        let edges = machines.clone().map(|place| Machines::new(executable.clone(), place));
        let firewalls = machines
            .clone()
            .map(|place| Firewalls::new(executable.clone(), place, design.directory.root.clone()));
        let wiring = wires.as_ref().zip(machines).map(|(wires, place)| {
            Wiring::new(Plan::of(&design.config).spoken(has_ipv6), wires.orders(), place)
        });
        if design.network == Network::Hosts && !has_ipv6 {
            journal
                .note("this kernel speaks no IPv6 (ipv6.disable=1?): the hosts have addresses of IPv4 alone");
        }
        if let Some(pid) = left_behind {
            journal.note(format!(
                "the last run (supervisor {pid}) and its guard were killed; what they left is cleaned up"
            ));
        }

        let end = CancellationToken::new();
        let means = Means {
            design: design.clone(),
            executable: executable.clone(),
            guard: guard.clone(),
            faults: faults.clone(),
            end: end.clone(),
        };
        let mut waiting = Vec::new();
        let mut services = Vec::new();
        for name in design.config.services() {
            let path = design.directory.log(name.as_str());
            let log = Log::open(&path).map_err(|source| UpError::State { path, source })?;
            let sink = Sink::new(name, log, journal.clone());
            let (keeper, condition) = Keeper::new(name, means.clone(), sink);
            let (commands, received) = mpsc::channel(COMMANDS_MOST);
            waiting.push((keeper, received));
            services.push(Post { name, commands, condition });
        }
        let mut keepers = JoinSet::new();
        for (keeper, received) in waiting {
            let first = services.iter().filter(|post| keeper.comes_after().contains(&post.name));
            let first = first.map(|post| post.condition.clone()).collect();
            keepers.spawn(keeper.keep(received, first));
        }
        let listener =
            conversation::listen(&socket).map_err(|source| UpError::State { path: socket, source })?;
        let since = clock::unix_millis();
        let desk = Arc::new(Desk {
            design,
            since,
            guard,
            executable,
            services,
            measuring: tokio::sync::Mutex::default(),
            securing: tokio::sync::Mutex::default(),
            deploying: tokio::sync::Mutex::default(),
            wiring,
            edges,
            firewalls,
            published: Mutex::new(published),
            secure_way,
            metrics: metrics.as_ref().and_then(|listener| listener.local_addr().ok()),
            faults,
            going: Default::default(),
            journal: journal.clone(),
        });
        keepers.spawn(desk.clone().mind_faults(end.clone()));
        let metrics =
            metrics.map(|listener| tokio::spawn(endpoint::serve(listener, desk.clone(), end.clone())));
        let ended = CancellationToken::new();
        let leases = Leases::default();
        let lab = Self {
            desk,
            listener,
            keepers,
            wires,
            carrier,
            metrics,
            journal,
            heard,
            telemetry,
            leases,
            lock,
            end,
            ended,
        };
        let started = tokio::select! {
            started = lab.desk.all_started() => started,
            () = lab.desk.progress(progress) => Ok(()),
        };
        match started {
            Ok(()) => {
                if let Err(why) = lab.desk.publish_https().await {
                    lab.journal
                        .note(format!("HTTPS cannot be reached from this machine: {}", why.join(": ")));
                }
                Ok(lab)
            }
            Err(failures) => {
                lab.run(std::future::ready(()), |_| {}).await;
                Err(UpError::Services(failures))
            }
        }
    }

    /// Makes the network whose machines are to be entered at `place`.
    async fn wires(
        executable: &Path,
        config: &Config,
        directory: &Directory,
        place: &Path,
        guard: &Guard,
    ) -> Result<Wires, UpError> {
        let path = directory.log("network");
        let log = Log::open(&path).and_then(|log| log.handle());
        let log = log.map_err(|source| UpError::State { path, source })?;
        match Wires::start(executable, config, place, log, guard).await {
            Ok(wires) => Ok(wires),
            Err(failure) => {
                guard.clone().close();
                Err(UpError::Network(failure))
            }
        }
    }

    /// Publishes what is to be, if anything is.
    async fn carrier(
        executable: &Path,
        published: &[Published],
        directory: &Directory,
        guard: &Guard,
    ) -> Result<Option<Carrier>, UpError> {
        if published.is_empty() {
            return Ok(None);
        }
        let path = directory.log("publish");
        let log = Log::open(&path).and_then(|log| log.handle());
        let log = log.map_err(|source| UpError::State { path, source })?;
        match Carrier::start(executable, published, &directory.machines(), log, guard).await {
            Ok(carrier) => Ok(Some(carrier)),
            Err(failure) => {
                guard.clone().close();
                Err(UpError::Published(failure))
            }
        }
    }

    /// Has it end when nobody needs it any more: neither who holds the other end of `starter`, nor any holder of a lease.
    pub fn while_needed(&mut self, starter: UnixStream) {
        self.leases.decide(starter);
    }

    /// How it stands.
    pub fn status(&self) -> LabStatus {
        self.desk.status()
    }

    /// Answers commands and shows every event to `show`, until `quit` is over or a command ends the lab; then
    /// ends every service at the same time, and leaves nothing behind.
    pub async fn run(mut self, quit: impl Future<Output = ()>, mut show: impl FnMut(&Event)) {
        tokio::pin!(quit);
        let mut conversations = JoinSet::new();
        let mut batch = Vec::new();
        let mut rounds = tokio::time::interval(ROUNDS);
        loop {
            tokio::select! {
                () = &mut quit => break,
                () = self.end.cancelled() => break,
                () = self.heard.next(&mut batch, SHOWN_MOST) => {
                    batch.drain(..).for_each(|entry| show(&entry.event));
                }
                how = gone(&mut self.wires) => {
                    let how = how.map(describe).unwrap_or_default();
                    self.journal.note(format!("the network is gone ({how}), and with it every cable: the lab ends"));
                    break;
                }
                how = carrier_gone(&mut self.carrier) => {
                    let how = how.map(describe).unwrap_or_default();
                    self.carrier = None;
                    self.desk.published().clear();
                    self.journal
                        .note(format!("what carried into the network is gone ({how}): nothing is published any more"));
                }
                _ = rounds.tick() => {
                    self.journal.settle();
                    if self.desk.certificates_are_due() && conversations.len() < COMMANDS_MOST {
                        let desk = self.desk.clone();
                        conversations.spawn(async move {
                            desk.renew_certificates().await;
                            None
                        });
                    }
                    if let Some(how) = self.desk.secure_way.as_ref().and_then(Secure::has_gone) {
                        let how = describe(how);
                        self.journal.note(format!(
                            "what carried HTTPS into the network is gone ({how}): it is not published until `wwwlab secure`"
                        ));
                    }
                    if self.desk.a_key_is_due() && conversations.len() < COMMANDS_MOST {
                        let desk = self.desk.clone();
                        conversations.spawn(async move {
                            desk.replace_key().await;
                            None
                        });
                    }
                    if self.desk.guard.mend() {
                        self.journal.note("the guard was gone and is replaced");
                    }
                    if !self.desk.design.directory.control_socket().exists() {
                        self.journal.note("the lab's state was removed: nobody could reach the lab any more, so it ends");
                        break;
                    }
                }
                () = self.leases.given_back() => break,
                Some(over) = conversations.join_next() => if let Ok(Some(stream)) = over {
                    self.leases.give(stream);
                },
                accepted = self.listener.accept(), if conversations.len() < COMMANDS_MOST => match accepted {
                    Ok((stream, _)) => {
                        let conversation = conversation::converse(stream, self.desk.clone(), self.end.clone(), self.ended.clone());
                        conversations.spawn(conversation);
                    }
                    // Out of descriptors, most likely: those who wait go on waiting, and this must not spin.
                    Err(_) => tokio::time::sleep(REST).await,
                },
            }
        }
        self.end.cancel();
        self.leases.close().await;
        if let Some(metrics) = self.metrics {
            let _ = metrics.await;
        }
        while self.keepers.join_next().await.is_some() {}
        if let Some(carrier) = self.carrier {
            carrier.close().await;
        }
        if let Some(way) = &self.desk.secure_way {
            // To end what there is cannot fail.
            let _ = way.carry(None).await;
        }
        if let Some(wires) = self.wires {
            wires.hang_up().await;
            wires.close().await;
        }
        if let Some(telemetry) = self.telemetry {
            telemetry.close().await;
        }
        self.heard.rest().iter().for_each(|entry| show(&entry.event));
        self.journal.close();
        let directory = &self.desk.design.directory;
        drop(self.listener);
        let _ = fs::remove_file(directory.control_socket());
        // The guard removes the lock's file as its last act; the lock itself is still held then.
        self.desk.guard.clone().close();
        drop(self.lock);
        self.ended.cancel();
        let _ =
            tokio::time::timeout(REST, async { while conversations.join_next().await.is_some() {} }).await;
    }
}

/// Ends when the network has ended by itself, and how.
async fn gone(wires: &mut Option<Wires>) -> Option<ExitStatus> {
    match wires {
        Some(wires) => wires.gone().await,
        None => std::future::pending().await,
    }
}

/// Ends when what carries into the network has ended by itself, and how.
async fn carrier_gone(carrier: &mut Option<Carrier>) -> Option<ExitStatus> {
    match carrier {
        Some(carrier) => carrier.gone().await,
        None => std::future::pending().await,
    }
}

/// What is published, and where it is in the network.
fn published(wanted: &[Publication], network: Network, ports: &Ports) -> Vec<Published> {
    let there = |service: ServiceName| {
        let port = match service {
            ServiceName::Web => ports.http,
            _ => match ServiceName::APPS.iter().position(|app| *app == service) {
                Some(number) => ports.apps().nth(number).unwrap_or(ports.app),
                None => ports.dns,
            },
        };
        SocketAddr::new(service.host().address(network), port)
    };
    let wanted = wanted.iter().filter(|_| network == Network::Hosts);
    let publish = |&publication: &Publication| Published {
        service: publication.service,
        here: publication.address(),
        there: there(publication.service),
    };
    wanted.map(publish).collect()
}

/// How often the lab looks after what nobody tells it of.
const ROUNDS: Duration = Duration::from_secs(1);

/// Out of descriptors, or saying good-bye: how long to wait.
const REST: Duration = Duration::from_millis(100);
