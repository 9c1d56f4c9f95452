//! The authoritative DNS server: it publishes zones from their files.
//!
//! The same service runs as `root`, `tld` and `dns`; only their zones differ. It stands apart from the resolver as
//! the two do on the Internet: this one knows its zones and nothing else, and never asks anybody.
//!
//! - [`answer`]: what it answers, one pure function; `about`: what it answers about itself.
//! - [`cookies`]: proof that an asker's address is its own.
//! - [`zones`]: the snapshot that it answers from.
//! - `shelf`: where the snapshot is swapped, whole, and what is known of each zone's file.
//! - `keeper`: sees that a file was saved.
//! - `udp`, and `streams` that the resolver uses as well: the sockets.

mod about;
pub mod answer;
pub mod cookies;
mod keeper;
mod shelf;
mod udp;
pub mod zones;

use std::future::Ready;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dns::message::asked;
use crate::dns::message::writer::Finished;
use crate::dns::name::{Name, NameError};
use crate::ground::bind::{self, BindError, Listening, Transport};
use crate::ground::chance;
use crate::ground::channel::{Ask, Reply};
use crate::ground::clock::{self, Stopwatch};
use crate::ground::datagrams::Datagrams;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;
use crate::ground::service::{Closed, Service};
use crate::services::streams::{self, Replies, Respond};
use answer::Arrival;
use cookies::{Baker, Counter};
use shelf::Shelf;

/// How often a free port is drawn until it is free for UDP and TCP both.
const DRAWS_MOST: usize = 16;

/// What the server must be told to start.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where to listen, over UDP and TCP; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// A zone and the master file that it is read from; may be repeated
    #[arg(long = "zone", value_name = "ORIGIN=FILE")]
    pub zones: Vec<ZoneFile>,
    /// What the server calls itself when asked which one it is (NSID, `id.server`); without it, its address
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    /// What is done about DNS cookies: `answer` gives one to whoever shows one, `require` answers over UDP only who
    /// shows a good one, `off` passes them over
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub cookies: cookies::Policy,
}

/// A zone and the file that it is read from, as the command line writes it: `foobar.com=zones/foobar.com.zone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFile {
    /// The zone's apex.
    pub origin: Name,
    /// Its master file.
    pub file: PathBuf,
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
}

/// The running server.
#[derive(Debug)]
pub struct Authoritative {
    address: SocketAddr,
    shelf: Arc<Shelf>,
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
        let (listener, socket, address) = bind_both(config.listen)?;
        let identity = config.identity.unwrap_or_else(|| address.to_string());
        let shelf = Arc::new(Shelf::stock(&identity, config.zones, journal.clone()));
        let socket = Datagrams::new(socket).map_err(StartError::Address)?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let jar = Jar::new(config.cookies);
        tasks.spawn(udp::serve(socket, shelf.clone(), jar, journal.clone(), stop.clone()));
        tasks.spawn(keeper::keep(shelf.clone(), journal.clone(), stop.clone()));
        tasks.close();
        let conversations = tokio::spawn(streams::serve(
            listener,
            Conversing { shelf: shelf.clone(), jar, journal },
            stop.clone(),
        ));
        Ok(Self { address, shelf, stop, tasks, conversations })
    }

    fn listening(&self) -> Vec<Listening> {
        [Transport::Udp, Transport::Tcp]
            .map(|transport| Listening { transport, address: self.address })
            .into()
    }

    async fn ask(&self, ask: Ask) -> Reply {
        match ask {
            Ask::ZoneList => Reply::Zones(self.shelf.list()),
            Ask::ZoneShow { origin } => match self.shelf.show(&origin) {
                Ok(text) => Reply::Zone(text),
                Err(causes) => Reply::Refused(causes),
            },
            Ask::ZoneUse { origin, file } => match self.shelf.replace(&origin, file.into()).await {
                Ok(()) => Reply::Zones(self.shelf.list()),
                Err(causes) => Reply::Refused(causes),
            },
            other => Reply::Refused(vec![format!("an authoritative server cannot do that: {other:?}")]),
        }
    }

    async fn close(self) -> Closed {
        self.stop.cancel();
        self.tasks.wait().await;
        self.conversations.await.unwrap_or_default()
    }
}

/// Answers over TCP.
#[derive(Clone)]
struct Conversing {
    shelf: Arc<Shelf>,
    jar: Jar,
    journal: Journal,
}

/// What makes a question's circumstances: the cookie's secret is drawn once, the time is read for each.
#[derive(Debug, Clone, Copy)]
struct Jar {
    policy: cookies::Policy,
    baker: Baker,
}

impl Jar {
    fn new(policy: cookies::Policy) -> Self {
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&chance::random_u64().to_be_bytes());
        secret[8..].copy_from_slice(&chance::random_u64().to_be_bytes());
        Self { policy, baker: Baker::new(&secret) }
    }

    /// Of a question from `client` at `now`, in seconds since 1970 modulo 2³².
    fn arrival(&self, transport: Transport, client: SocketAddr, now: u32) -> Arrival {
        let counter = Counter { policy: self.policy, baker: self.baker, client: client.ip(), now };
        Arrival { transport, cookies: Some(counter) }
    }
}

impl Respond for Conversing {
    fn respond(
        &self,
        question: &[u8],
        client: SocketAddr,
        replies: Replies,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let watch = Stopwatch::start();
        replies.send_now(|reply| {
            let arrival = self.jar.arrival(Transport::Tcp, client, clock::unix_seconds());
            if let Some(finished) = answer::answer(&self.shelf.snapshot(), question, arrival, reply) {
                self.journal.tell(|| told(finished, reply, client, Transport::Tcp, watch));
            }
        });
        None::<Ready<()>>
    }
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
        name,
        record_type,
        rcode: finished.rcode.to_string(),
        flags: finished.flags.to_string(),
        answers: finished.answers,
        bytes: Some(reply.len()),
        micros,
        cached: None,
    }
}

#[cfg(test)]
mod tests;
