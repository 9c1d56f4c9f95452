//! The resolver: what `/etc/resolv.conf` would name. It asks root, tld and dns in turn, and remembers.
//!
//! Three parts: `cache` (ours, so that it can be seen and emptied), `walk` (hickory's recursor, which asks the way from the
//! root, RFC 1034 §5.3.3, through `connections`, and is followed by `trace`) and `front` (hickory-server's request handler,
//! behind bounded sockets of our own).
//! Where the lab's zones are signed, `trust` says whom it believes, and `bogus` why it does not.
//! It can only ever ask the name servers it was started with: nothing leaves the lab.

mod asked;
mod bogus;
mod cache;
mod connections;
mod front;
mod proof;
mod shown;
mod trace;
mod trust;
mod udp;
mod walk;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_proto::rr::{LowerName, Name};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::ground::bind::{self, BindError, Listening, Transport};
use crate::ground::channel::{Ask, Reply, WalkTold};
use crate::ground::datagrams::Datagrams;
use crate::ground::dnssec::PublicKey;
use crate::ground::journal::Journal;
use crate::ground::listeners::Listeners;
use crate::ground::service::{Closed, DRAIN, Service};
use crate::services::faults::Faults;
use crate::services::faults::gate::Gate;
use crate::services::private::{self, Door, Over};
use crate::services::streams::{self, Plain, Replies, Respond, Room};
use crate::services::tls::TlsError;

use cache::{Question, type_named};
use front::Front;

/// What a resolver must be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Address and port to answer at, UDP and TCP (repeat for more)
    #[arg(long, value_name = "ADDRESS:PORT", required = true)]
    pub listen: Vec<SocketAddr>,
    /// Where to answer over HTTPS as well, at /dns-query (RFC 8484; repeat for more)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub https_listen: Vec<SocketAddr>,
    /// Where else to answer in private, and with which certificates
    #[command(flatten)]
    pub private: private::Arguments,
    /// A root name server to start from (repeat for more)
    #[arg(long = "root", value_name = "ADDRESS", required = true)]
    pub roots: Vec<IpAddr>,
    /// Another name server that may be asked; every other address is refused (repeat for more)
    #[arg(long = "server", value_name = "ADDRESS")]
    pub servers: Vec<IpAddr>,
    /// The port at which all name servers answer
    #[arg(long, value_name = "PORT", default_value_t = 53)]
    pub server_port: u16,
    /// Answers remembered at most; the least recently used go first
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    pub cache_entries: usize,
    /// Give an answer after its time rather than none, when nobody can be asked (RFC 8767)
    #[arg(long)]
    pub serve_stale: bool,
    /// Ask again for an answer that is used in the last tenth of its time
    #[arg(long)]
    pub prefetch: bool,
    /// A key of the root to which everything must lead back (the data of its DNSKEY in base64; repeat for more); without one
    /// nothing is validated
    #[arg(long = "anchor", value_name = "KEY")]
    pub anchors: Vec<PublicKey>,
}

/// Why a resolver could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its address is not free.
    #[error("the resolver cannot answer")]
    Bind(#[from] BindError),
    /// It cannot be asked in private.
    #[error("the resolver cannot be asked in private")]
    Private(#[from] TlsError),
    /// The recursor refused its settings.
    #[error("the recursor cannot start from these roots")]
    Recursor(#[source] BoxedError),
}

/// A resolver that runs.
pub struct Resolver {
    front: Front,
    listening: Vec<Listening>,
    stop: CancellationToken,
    datagrams: JoinSet<()>,
    streams: JoinHandle<Closed>,
    room: Arc<Room>,
    door: Door<Conversing>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl Service for Resolver {
    type Config = Config;
    type Error = StartError;

    async fn start(config: Config, journal: Journal) -> Result<Self, StartError> {
        let listeners = Listeners::bind(&config.listen)?;
        // With port 0 the operating system chose one for TCP; UDP takes the same.
        let addresses = listeners.addresses();
        let socket = |&address: &SocketAddr| {
            let failed = |source| BindError { address, transport: Transport::Udp, source };
            Datagrams::new(bind::udp(address)?).map_err(failed)
        };
        let sockets = addresses.iter().map(socket).collect::<Result<Vec<_>, _>>()?;
        let faults = Faults::default();
        let walk = walk::Walk::new(&config, journal.clone(), faults.clone()).map_err(StartError::Recursor)?;
        let front = Front::new(walk, &config, journal.clone(), faults.clone());
        let stop = CancellationToken::new();
        let serve =
            |(socket, &address)| udp::serve(socket, address, front.clone(), journal.clone(), stop.clone());
        let datagrams = sockets.into_iter().zip(&addresses).map(serve).collect();
        let room = Arc::<Room>::default();
        let conversing = Conversing { front: front.clone(), transport: Transport::Tcp };
        let door = Door::new(conversing.clone(), room.clone(), faults.clone(), journal.clone(), stop.clone());
        door.set(&config.private.wanted(config.https_listen))?;
        let gate = Gate::new(listeners, faults, journal).closed_by(streams::is_closed);
        let streams = tokio::spawn(streams::serve(gate, Plain(conversing), room.clone(), stop.clone()));
        let listening = Listening::by_both(&addresses);
        Ok(Self { front, listening, stop, datagrams, streams, room, door })
    }

    fn listening(&self) -> Vec<Listening> {
        self.listening.iter().copied().chain(self.door.listening()).collect()
    }

    async fn ask(&self, ask: Ask) -> Reply {
        match ask {
            Ask::CacheList => {
                let (entries, total) = self.front.cached();
                Reply::Cache { entries, total }
            }
            Ask::Metrics => Reply::Metrics(
                self.front.families().into_iter().chain(self.room.counted().families()).collect(),
            ),
            Ask::Pace => Reply::Pace(self.front.tally().pace()),
            Ask::Faults(set) => self.front.faults().take(set),
            Ask::Private(wanted) => self.door.obey(&wanted).await,
            Ask::Believe(keys) => self.front.believe(&keys).map_or_else(refused, |()| Reply::Done),
            Ask::CacheFlush(name) => self.flush(name.as_deref()).map_or_else(refused, Reply::Flushed),
            Ask::Resolve { name, record_type, afresh } => {
                self.resolve(&name, &record_type, afresh).await.map_or_else(refused, Reply::Walk)
            }
            other => Reply::Refused(vec![format!("a resolver cannot do that: {other:?}")]),
        }
    }

    async fn close(self) -> Closed {
        self.stop.cancel();
        // Questions on their way are given up with their task: whoever asked asks again, elsewhere.
        self.datagrams.join_all().await;
        let closed = self.streams.await.unwrap_or_default();
        self.door.close().await;
        let cut = tokio::time::timeout(DRAIN, self.front.close()).await.is_err();
        Closed { cut: closed.cut + usize::from(cut) }
    }
}

/// Answers what comes over something else than datagrams.
#[derive(Debug, Clone)]
struct Conversing {
    front: Front,
    transport: Transport,
}

impl Over for Conversing {
    fn over(&self, transport: Transport) -> Self {
        Self { front: self.front.clone(), transport }
    }
}

impl Respond for Conversing {
    fn respond(
        &self,
        question: &[u8],
        client: SocketAddr,
        mut replies: Replies,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let (Self { front, transport }, question) = (self.clone(), question.to_vec());
        Some(async move {
            let reply = asked::answer(&front, question, client, transport).await;
            if let Some(reply) = reply.filter(|reply| !reply.is_empty()) {
                replies.send(&reply).await;
            }
        })
    }
}

impl Resolver {
    fn flush(&self, name: Option<&str>) -> Result<usize, BoxedError> {
        self.front.flush(name.map(full_name).transpose()?)
    }

    async fn resolve(&self, name: &str, record_type: &str, afresh: bool) -> Result<WalkTold, BoxedError> {
        let question = Question {
            name: full_name(name)?,
            record_type: type_named(record_type).ok_or_else(|| format!("{record_type} is no record type"))?,
            unchecked: false,
        };
        self.front.resolve(question, afresh).await
    }
}

/// `name` as a full name, with or without its final dot.
fn full_name(name: &str) -> Result<LowerName, BoxedError> {
    let mut full =
        Name::from_ascii(name).map_err(|error| format!("{name:?} is not a domain name: {error}"))?;
    full.set_fqdn(true);
    Ok(full.into())
}

fn refused(error: BoxedError) -> Reply {
    Reply::Refused(vec![error.to_string()])
}

/// The parts share what cannot fail half-way; a lock poisoned by a panic elsewhere is taken as it is.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What hickory and the parsing of names can fail with: only ever shown.
type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Shared with every task that answers.
type Shared<T> = Arc<T>;
