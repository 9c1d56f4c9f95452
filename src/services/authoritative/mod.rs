//! The authoritative DNS server: it publishes zones from their files.
//!
//! The same service runs as `root`, `tld` and `dns`; only their zones differ. It stands apart from the resolver as
//! the two do on the Internet: this one knows its zones and nothing else, and never asks anybody.
//!
//! - [`answer`]: what it answers, one pure function; `about`: what it answers about itself.
//! - [`cookies`]: proof that an asker's address is its own.
//! - [`zones`]: the snapshot that it answers from.
//! - `shelf`: where the snapshot is swapped, whole, and what is known of each zone's file.
//! - `signer`: which zones are signed, and when anew.
//! - `keeper`: sees that a file was saved. `watch`: what the operating system tells of it.
//! - `door`: who asks, and for what: signed messages, whole zones, word from a primary. Behind it `access` says who may
//!   have a zone, `seats` how many at a time, `keys` reads secrets, `transfer` sends zones, `notify` tells others that one
//!   changed.
//! - `conversing`: answers over TCP and what is like it; `udp`: over UDP, in turns. `outgoing`: what a fault does to either, and what
//!   the journal is told; `late`: answers that a fault holds back.
//! - `secondary`: follows a primary and its SOA's times; `fetch` has a zone from it.
//! - `limit`: which answers are too many for one network. What it counts is in `services/tally`.
//! - `config`: its command line.

mod about;
pub mod access;
pub mod answer;
mod config;
mod conversing;
pub mod cookies;
mod door;
mod fetch;
mod keeper;
pub mod keys;
mod late;
mod limit;
mod notify;
mod outgoing;
mod seats;
mod secondary;
mod shelf;
mod signer;
mod transfer;
mod udp;
mod watch;
pub mod zones;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dns::message::tsig::Key;
use crate::dns::name::Name;
use crate::ground::bind::{self, BindError, Listening, Transport};
use crate::ground::chance;
use crate::ground::channel::{Ask, Reply};
use crate::ground::clock;
use crate::ground::datagrams::Datagrams;
use crate::ground::dnssec;
use crate::ground::journal::Journal;
use crate::ground::listeners::Listeners;
use crate::ground::service::{Closed, Service, causes};
use crate::services::faults::Faults;
use crate::services::faults::gate::Gate;
use crate::services::private;
use crate::services::streams::{self, Plain, Room};
use crate::services::tally::questions::Tally;
use crate::services::tls::TlsError;
use access::Peer;
pub use config::{Config, FollowedZone, ZoneFile, ZoneFileError};
use conversing::Conversing;
use cookies::Jar;
use door::{Door, Followed};
use fetch::Source;
use keys::KeyError;
use limit::RateLimit;
use seats::Seats;
use secondary::Secondary;
use shelf::Shelf;
use signer::{Signer, SignerError};

/// How often a free port is drawn until it is free for UDP and TCP both.
const DRAWS_MOST: usize = 16;

/// Why the server could not start. A zone file that is missing or wrong is no reason: its zone is answered with
/// SERVFAIL until it is mended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error("the DNS server needs {0} for UDP and TCP: stop what holds it, or choose another with --listen")]
    Bind(SocketAddr, #[source] BindError),
    /// The operating system does not tell which address was bound.
    #[error("the DNS server cannot learn its own address")]
    Address(#[source] io::Error),
    /// One zone was given two files.
    #[error("zone {0} is given twice: keep one --zone for it")]
    Twice(String),
    /// There is no place for copies.
    #[error("copies of zones cannot be kept in {}: choose another directory with --copies", .0.display())]
    Copies(PathBuf, #[source] io::Error),
    /// It cannot be asked in private.
    #[error("the DNS server cannot be asked in private")]
    Private(#[from] TlsError),
    /// A key file cannot be used, or a key is not there.
    #[error("the DNS server cannot have its keys")]
    Keys(#[source] KeyError),
    /// A zone is to be signed, but cannot be.
    #[error("the DNS server cannot sign")]
    Sign(#[source] SignerError),
}

/// The running server.
#[derive(Debug)]
pub struct Authoritative {
    addresses: Vec<SocketAddr>,
    shelf: Arc<Shelf>,
    tally: Arc<Tally>,
    room: Arc<Room>,
    private: private::Door<Conversing>,
    faults: Faults,
    stop: CancellationToken,
    tasks: TaskTracker,
    conversations: JoinHandle<Closed>,
}

impl Service for Authoritative {
    type Config = Config;
    type Error = StartError;

    async fn start(config: Config, journal: Journal) -> Result<Self, StartError> {
        for (index, zone) in config.zones.iter().enumerate() {
            if config.zones[..index].iter().any(|other| other.origin == zone.origin) {
                return Err(StartError::Twice(zone.origin.to_string()));
            }
        }
        let keys = keys::read(&config.keys).map_err(StartError::Keys)?;
        for name in config.transfer_to.iter().filter_map(|allowed| allowed.key.as_ref()) {
            keys::named(&keys, name).map_err(StartError::Keys)?;
        }
        let origins = config.zones.iter().map(|zone| &zone.origin);
        let all: Vec<&Name> = origins.chain(config.follow.iter().map(|zone| &zone.origin)).collect();
        if let Some(twice) =
            config.follow.iter().find(|zone| all.iter().filter(|&&one| *one == zone.origin).count() > 1)
        {
            return Err(StartError::Twice(twice.origin.to_string()));
        }
        let told = told_of_changes(&config.notify, &keys).map_err(StartError::Keys)?;
        let (listeners, sockets) = bind_all(&config.listen)?;
        let addresses = listeners.addresses();
        let first = addresses.first().map(SocketAddr::to_string).unwrap_or_default();
        let identity = config.identity.unwrap_or(first);
        let (zones, children) = (config.sign, config.children);
        let signer = Signer::of(&dnssec::Wanted { zones, children, denial: config.denial });
        let signer = signer.map_err(StartError::Sign)?;
        let shelf = Arc::new(Shelf::stock(&identity, config.zones, signer, journal.clone()));
        let copies = config.copies.unwrap_or_default();
        let faults = Faults::default();
        let secondaries = secondaries(&config.follow, &keys, &copies, &addresses, &shelf, &journal, &faults)?;
        let followed = secondaries
            .iter()
            .zip(config.follow)
            .map(|(secondary, zone)| Followed {
                origin: zone.origin,
                primary: zone.primary,
                changed: secondary.changed.clone(),
            })
            .collect();
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&chance::random_u64().to_be_bytes());
        secret[8..].copy_from_slice(&chance::random_u64().to_be_bytes());
        let jar = Jar::new(config.cookies, &secret);
        let seats = Seats::new(config.notify.iter().map(|peer| peer.address.ip()));
        let door = Door::new(shelf.clone(), jar, keys, config.transfer_to, seats, followed, journal.clone());
        let door = Arc::new(door);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let tally = Arc::new(Tally::default());
        for socket in sockets {
            let socket = Arc::new(Datagrams::new(socket).map_err(StartError::Address)?);
            // For each address a limit of its own: networks of IPv4 and of IPv6 have nothing to count together.
            let limit = RateLimit::new(config.rate_limit, chance::random_u64(), clock::now());
            let turn = udp::Turn::new(door.clone(), tally.clone(), limit, faults.clone(), journal.clone());
            tasks.spawn(udp::serve(socket, turn, stop.clone()));
        }
        tasks.spawn(keeper::keep(shelf.clone(), journal.clone(), stop.clone()));
        tasks.spawn(signer::keep(shelf.clone(), stop.clone()));
        for listener in told {
            let (shelf, journal, stop) = (shelf.clone(), journal.clone(), stop.clone());
            let own = own_towards(listener.address, &addresses);
            tasks.spawn(notify::tell(listener, own, shelf, journal, stop));
        }
        for secondary in secondaries {
            let copy = secondary.restore();
            tasks.spawn(secondary.follow(copy, stop.clone()));
        }
        tasks.close();
        let conversing = Conversing {
            door,
            tally: tally.clone(),
            faults: faults.clone(),
            journal: journal.clone(),
            transport: Transport::Tcp,
        };
        let room = Arc::<Room>::default();
        let private = private::Door::new(
            conversing.clone(),
            room.clone(),
            faults.clone(),
            journal.clone(),
            stop.clone(),
        );
        private.set(&config.private.wanted(Vec::new()))?;
        let gate = Gate::new(listeners, faults.clone(), journal).closed_by(streams::is_closed);
        let serving = streams::serve(gate, Plain(conversing), room.clone(), stop.clone());
        let conversations = tokio::spawn(serving);
        Ok(Self { addresses, shelf, tally, room, private, faults, stop, tasks, conversations })
    }

    fn listening(&self) -> Vec<Listening> {
        Listening::by_both(&self.addresses).into_iter().chain(self.private.listening()).collect()
    }

    async fn ask(&self, ask: Ask) -> Reply {
        match ask {
            Ask::Queries => Reply::Queries(Box::new(self.tally.read())),
            Ask::Metrics => Reply::Metrics(
                self.tally.families().into_iter().chain(self.room.counted().families()).collect(),
            ),
            Ask::Pace => Reply::Pace(self.tally.pace()),
            Ask::Faults(set) => self.faults.take(set),
            Ask::Private(wanted) => self.private.obey(&wanted).await,
            Ask::ZoneList => Reply::Zones(self.shelf.list()),
            Ask::ZoneShow { origin } => match self.shelf.show(&origin) {
                Ok(text) => Reply::Zone(text),
                Err(causes) => Reply::Refused(causes),
            },
            Ask::ZoneUse { origin, file } => match self.shelf.replace(&origin, file.into()).await {
                Ok(()) => Reply::Zones(self.shelf.list()),
                Err(causes) => Reply::Refused(causes),
            },
            Ask::Sign(wanted) => match Signer::of(&wanted) {
                Ok(signer) => {
                    self.shelf.sign(signer, clock::unix_seconds()).await;
                    Reply::Zones(self.shelf.list())
                }
                Err(error) => Reply::Refused(causes(&error)),
            },
            other => Reply::Refused(vec![format!("an authoritative server cannot do that: {other:?}")]),
        }
    }

    async fn close(self) -> Closed {
        self.stop.cancel();
        self.tasks.wait().await;
        self.private.close().await;
        self.conversations.await.unwrap_or_default()
    }
}

/// Which of `addresses` talks to `peer`: the first of its family, since others know this server by that.
fn own_towards(peer: SocketAddr, addresses: &[SocketAddr]) -> IpAddr {
    let of_its_family = addresses.iter().find(|own| own.is_ipv4() == peer.is_ipv4());
    of_its_family.or(addresses.first()).map_or(Ipv4Addr::UNSPECIFIED.into(), SocketAddr::ip)
}

fn told_of_changes(peers: &[Peer], keys: &[Arc<Key>]) -> Result<Vec<notify::Listener>, KeyError> {
    let listener = |peer: &Peer| {
        let key = peer.key.as_ref().map(|name| keys::named(keys, name)).transpose()?;
        Ok(notify::Listener { address: peer.address, key })
    };
    peers.iter().map(listener).collect()
}

/// A place for each zone that is followed, and what will fill it.
fn secondaries(
    zones: &[FollowedZone],
    keys: &[Arc<Key>],
    copies: &Path,
    addresses: &[SocketAddr],
    shelf: &Arc<Shelf>,
    journal: &Journal,
    faults: &Faults,
) -> Result<Vec<Secondary>, StartError> {
    if !zones.is_empty() {
        std::fs::create_dir_all(copies).map_err(|cause| StartError::Copies(copies.to_owned(), cause))?;
    }
    let secondary = |zone: &FollowedZone| {
        let FollowedZone { origin, primary } = zone;
        let key = primary.key.as_ref().map(|name| keys::named(keys, name)).transpose();
        let key = key.map_err(StartError::Keys)?;
        let file = copies.join(secondary::file_name(origin));
        let own = own_towards(primary.address, addresses);
        shelf.make_place(origin, file.clone());
        Ok(Secondary {
            source: Source { origin: origin.clone(), primary: primary.address, key, own },
            changed: Arc::new(Notify::new()),
            file,
            shelf: shelf.clone(),
            journal: journal.clone(),
            faults: faults.clone(),
        })
    };
    zones.iter().map(secondary).collect()
}

/// A socket of each kind for each address.
fn bind_all(listen: &[SocketAddr]) -> Result<(Listeners, Vec<UdpSocket>), StartError> {
    let (mut listeners, mut sockets) = (Vec::new(), Vec::new());
    for &address in listen {
        let (listener, socket, bound) = bind_both(address)?;
        listeners.push((listener, bound));
        sockets.push(socket);
    }
    Ok((Listeners::new(listeners), sockets))
}

/// TCP first: a port that is free for it is nearly always free for UDP.
fn bind_both(listen: SocketAddr) -> Result<(TcpListener, UdpSocket, SocketAddr), StartError> {
    let mut draws = if listen.port() == 0 { DRAWS_MOST } else { 1 };
    loop {
        let listener = bind::tcp(listen).map_err(|cause| StartError::Bind(listen, cause))?;
        let address = listener.local_addr().map_err(StartError::Address)?;
        draws -= 1;
        match bind::udp(address) {
            Ok(socket) => return Ok((listener, socket, address)),
            Err(_) if draws > 0 => {}
            Err(cause) => return Err(StartError::Bind(listen, cause)),
        }
    }
}

#[cfg(test)]
mod tests;
