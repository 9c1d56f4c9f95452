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
//! - `late`: answers that a fault holds back.
//! - `secondary`: follows a primary and its SOA's times; `fetch` has a zone from it.
//! - `limit`: which answers are too many for one network. What it counts is in `services/tally`.
//! - `udp`, and `streams` that the resolver uses as well: the sockets.

mod about;
pub mod access;
pub mod answer;
pub mod cookies;
mod door;
mod fetch;
mod keeper;
pub mod keys;
mod late;
mod limit;
mod notify;
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
use std::str::FromStr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dns::message::asked;
use crate::dns::message::tsig::Key;
use crate::dns::message::writer::Finished;
use crate::dns::name::{Name, NameError};
use crate::ground::bind::{self, BindError, Listening, Transport};
use crate::ground::chance;
use crate::ground::channel::{Ask, Reply};
use crate::ground::clock::{self, Stopwatch};
use crate::ground::datagrams::Datagrams;
use crate::ground::dnssec;
use crate::ground::event::Happened;
use crate::ground::fault;
use crate::ground::journal::Journal;
use crate::ground::listeners::Listeners;
use crate::ground::service::{Closed, Service, causes};
use crate::services::faults::gate::Gate;
use crate::services::faults::{self, Active, Faults};
use crate::services::private::{self, Over};
use crate::services::streams::{self, Plain, Replies, Respond, Room};
use crate::services::tally::questions::{Outcome, Tally};
use crate::services::tls::TlsError;
use access::{Allowed, Peer};
use cookies::Jar;
use door::{Door, Followed};
use fetch::Source;
use keys::KeyError;
use limit::RateLimit;
use seats::Seats;
use secondary::Secondary;
use shelf::Shelf;
use signer::{Signer, SignerError};
use transfer::Transfer;

/// How often a free port is drawn until it is free for UDP and TCP both.
const DRAWS_MOST: usize = 16;

/// What the server must be told to start.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where to listen, over UDP and TCP; port 0 takes a free one; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", required = true)]
    pub listen: Vec<SocketAddr>,
    /// A zone and the master file that it is read from; may be repeated
    #[arg(long = "zone", value_name = "ORIGIN=FILE")]
    pub zones: Vec<ZoneFile>,
    /// Where to answer in private as well, and with which certificates
    #[command(flatten)]
    pub private: private::Arguments,
    /// A zone that is signed, and the file with its key; may be repeated
    #[arg(long = "sign", value_name = "ORIGIN=FILE")]
    pub sign: Vec<dnssec::Zone>,
    /// A signed zone below, and its DNSKEY in base64, for the DS in its parent; may be repeated
    #[arg(long = "child", value_name = "ORIGIN=KEY")]
    pub children: Vec<dnssec::Child>,
    /// How signed zones deny
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub denial: dnssec::Denial,
    /// What the server calls itself when asked which one it is (NSID, `id.server`); without it, its first address
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    /// Who may have whole zones (AXFR): an address, a prefix, `key NAME`, or a prefix and `key NAME`; may be repeated
    #[arg(long = "transfer-to", value_name = "WHO")]
    pub transfer_to: Vec<Allowed>,
    /// A zone that is copied from its primary, with `key NAME` if they share one; may be repeated
    #[arg(long = "follow", value_name = "ORIGIN=ADDRESS:PORT", requires = "copies")]
    pub follow: Vec<FollowedZone>,
    /// The directory in which copies of zones are kept for the next start
    #[arg(long, value_name = "DIRECTORY")]
    pub copies: Option<PathBuf>,
    /// A name server that is told when a zone changes (NOTIFY), with `key NAME` if they share one; may be repeated
    #[arg(long = "notify", value_name = "ADDRESS:PORT")]
    pub notify: Vec<Peer>,
    /// A file with keys for signed messages, as tsig-keygen writes it; may be repeated
    #[arg(long = "keys", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Equal answers to one network that are sent over UDP, a second; 0 limits nothing
    #[arg(long, value_name = "ANSWERS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(limit::MOST)))]
    pub rate_limit: u32,
    /// What is done about DNS cookies: `answer` gives one to whoever shows one, `require` answers over UDP only who
    /// shows a good one, `off` passes them over
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub cookies: cookies::Policy,
}

impl Default for Config {
    /// At a free port of this machine, without zones.
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            zones: Vec::new(),
            private: private::Arguments::default(),
            sign: Vec::new(),
            children: Vec::new(),
            denial: dnssec::Denial::default(),
            identity: None,
            transfer_to: Vec::new(),
            notify: Vec::new(),
            follow: Vec::new(),
            copies: None,
            keys: Vec::new(),
            rate_limit: 0,
            cookies: cookies::Policy::default(),
        }
    }
}

/// A zone and the file that it is read from, as the command line writes it: `foobar.com=zones/foobar.com.zone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFile {
    /// The zone's apex.
    pub origin: Name,
    /// Its master file.
    pub file: PathBuf,
}

/// A zone and the primary that it is copied from, as the command line writes it: `foobar.com=127.0.0.1:53 key NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedZone {
    /// The zone's apex.
    pub origin: Name,
    /// Its primary.
    pub primary: Peer,
}

impl FromStr for FollowedZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const SHAPE: &str = "write the zone, `=`, and its primary: foobar.com=127.0.0.1:53";
        let (origin, primary) = text.split_once('=').ok_or(SHAPE)?;
        let origin = origin.parse().map_err(|cause| format!("`{origin}` is no zone's name: {cause}"))?;
        Ok(Self { origin, primary: primary.parse().map_err(|cause: access::AccessError| cause.to_string())? })
    }
}

/// Why text names no zone and file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneFileError {
    /// There is no `=` with something on both sides.
    #[error("write the zone, `=`, and its file: foobar.com=zones/foobar.com.zone")]
    Shape,
    /// What stands before `=` is no name.
    #[error("`{0}` is no zone's name")]
    Origin(String, #[source] NameError),
}

impl FromStr for ZoneFile {
    type Err = ZoneFileError;

    fn from_str(text: &str) -> Result<Self, ZoneFileError> {
        let (origin, file) = text
            .split_once('=')
            .filter(|(origin, file)| !origin.is_empty() && !file.is_empty())
            .ok_or(ZoneFileError::Shape)?;
        Ok(Self {
            origin: origin.parse().map_err(|cause| ZoneFileError::Origin(origin.into(), cause))?,
            file: file.into(),
        })
    }
}

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

/// Answers over TCP, and over what is like it.
#[derive(Debug, Clone)]
struct Conversing {
    door: Arc<Door>,
    tally: Arc<Tally>,
    faults: Faults,
    journal: Journal,
    transport: Transport,
}

impl Over for Conversing {
    fn over(&self, transport: Transport) -> Self {
        Self { transport, ..self.clone() }
    }
}

/// What an answer over TCP has to wait for.
enum Rest {
    /// Nothing: it is sent.
    None,
    /// The messages that follow the first.
    Transfer(Box<Transfer>),
    /// Its time: a fault holds it back so many milliseconds, and it is told when it goes out.
    Late(u64, Vec<u8>, Finished),
}

impl Respond for Conversing {
    fn respond(
        &self,
        question: &[u8],
        client: SocketAddr,
        mut replies: Replies,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let watch = Stopwatch::start();
        let transport = self.transport;
        let mut rest = Rest::None;
        replies.send_now(|reply| {
            let (zones, now) = (self.door.shelf.snapshot(), clock::unix_seconds());
            let answered = self.door.respond(&zones, question, client, transport, now, reply);
            let (mut finished, transfer) = answered.unzip();
            let millis = match (self.faults.now(), &mut finished) {
                (Some(wrong), Some(finished)) => spoil(&wrong, question, transport, reply, finished),
                _ => 0,
            };
            self.tally.count(transport, finished, Outcome::Answered);
            if finished.is_some() {
                self.tally.took(transport, watch, 1);
            }
            rest = match (transfer.flatten(), finished) {
                (None, Some(finished)) if millis > 0 => Rest::Late(millis, std::mem::take(reply), finished),
                (transfer, finished) => {
                    if let Some(finished) = finished {
                        self.journal.tell(|| told(finished, reply, client, transport, watch));
                    }
                    transfer.map_or(Rest::None, Rest::Transfer)
                }
            };
        });
        let rest = match rest {
            Rest::None => return None,
            rest => rest,
        };
        let journal = self.journal.clone();
        Some(async move {
            match rest {
                Rest::Transfer(transfer) => transfer.send(replies).await,
                Rest::Late(millis, reply, finished) => {
                    tokio::time::sleep(fault::wait(millis)).await;
                    journal.tell(|| told(finished, &reply, client, transport, watch));
                    replies.send(&reply).await;
                }
                Rest::None => {}
            }
        })
    }
}

/// Does to the answer to `question` what is wrong with it, and says so in what it became; how many milliseconds it is to be
/// held back.
fn spoil(
    wrong: &Active,
    question: &[u8],
    transport: Transport,
    reply: &mut Vec<u8>,
    finished: &mut Finished,
) -> u64 {
    let struck = faults::dns::strikes(wrong, question);
    if struck.is_empty() {
        return 0;
    }
    faults::dns::spoil(&struck, transport, reply);
    if let Some((rcode, flags, answers)) = faults::dns::became(reply) {
        // The header has the lower bits of a response code alone.
        if rcode.0 != finished.rcode.0 & 0xF {
            finished.rcode = rcode;
        }
        (finished.flags, finished.answers) = (flags, answers);
    }
    faults::dns::delay(&struck)
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
        let file = copies.join(file_name(origin));
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

/// `foobar.com.zone`: letters, digits, dots, hyphens and underscores of the name; what else it has is written as its octets.
fn file_name(origin: &Name) -> String {
    let name: String = match origin.to_lowercase().to_string().trim_end_matches('.') {
        // As master files write it; no other name has this file (`root.` is a name like any other).
        "" => "@".into(),
        name => name
            .chars()
            .map(|character| match character {
                'a'..='z' | '0'..='9' | '-' | '_' | '.' => character.to_string(),
                other => format!("%{:02x}", u32::from(other)),
            })
            .collect(),
    };
    format!("{name}.zone")
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

/// What the journal is told of an answer. What was asked stands in the answer itself; a question that could not be
/// read does not.
fn told(
    finished: Finished,
    reply: &[u8],
    client: SocketAddr,
    transport: Transport,
    watch: Stopwatch,
) -> Happened {
    let micros = watch.micros();
    let (name, record_type) = asked::question_of(reply).map_or_else(
        || ("?".to_owned(), "?".to_owned()),
        |(name, record_type)| (name.to_string(), record_type.to_string()),
    );
    Happened::Question {
        client,
        transport,
        id: reply.first_chunk().map_or(0, |id| u16::from_be_bytes(*id)),
        name,
        record_type,
        class: finished.asked.map_or_else(|| "?".to_owned(), |(_, class)| class.to_string()),
        rcode: finished.rcode.to_string(),
        flags: finished.flags.to_string(),
        answers: finished.answers,
        bytes: Some(reply.len()),
        micros,
        cached: None,
        walk: None,
    }
}

#[cfg(test)]
mod tests;
