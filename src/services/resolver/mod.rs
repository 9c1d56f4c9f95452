//! The resolver: what `/etc/resolv.conf` would name. It asks root, tld and dns in turn, and remembers.
//!
//! Three parts: `cache` (ours, so that it can be seen and emptied), `walk` (hickory's recursor, which
//! asks the way from the root; RFC 1034 §5.3.3) and `front` (hickory-server's UDP and TCP listeners).
//! It can only ever ask the name servers it was started with: nothing leaves the lab.

mod cache;
mod front;
mod walk;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_server::Server;

use crate::ground::bind::{self, BindError, Listening, Transport};
use crate::ground::channel::{Ask, Reply};
use crate::ground::journal::Journal;
use crate::ground::service::{Closed, DRAIN, Service};

use front::Front;

/// A TCP client that sends nothing for this long is disconnected (RFC 7766 §6.2.3).
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Answers that may wait to be written on one TCP connection.
const TCP_WAITING_MOST: usize = 32;

/// What a resolver must be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Address and port to answer at, UDP and TCP
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
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
}

/// Why a resolver could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its address is not free.
    #[error("the resolver cannot answer")]
    Bind(#[from] BindError),
    /// The recursor refused its settings.
    #[error("the recursor cannot start from these roots")]
    Recursor(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A resolver that runs.
pub struct Resolver {
    server: Server<Front>,
    front: Front,
    listening: Vec<Listening>,
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
        let tcp = bind::tcp(config.listen)?;
        // With port 0 the operating system chose one for TCP; UDP takes the same.
        let address = tcp.local_addr().unwrap_or(config.listen);
        let udp = bind::udp(address)?;
        let walk = walk::Walk::new(&config, journal.clone()).map_err(StartError::Recursor)?;
        let front = Front::new(walk, config.cache_entries, journal);
        let mut server = Server::new(front.clone());
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_WAITING_MOST);
        let listening = [Transport::Udp, Transport::Tcp].map(|transport| Listening { transport, address });
        Ok(Self { server, front, listening: listening.to_vec() })
    }

    fn listening(&self) -> Vec<Listening> {
        self.listening.clone()
    }

    async fn ask(&self, ask: Ask) -> Reply {
        match ask {
            Ask::CacheList => Reply::Cache(self.front.cached()),
            Ask::CacheFlush => match self.front.flush() {
                Ok(forgotten) => Reply::Flushed(forgotten),
                Err(error) => {
                    Reply::Refused(vec!["the cache could not be emptied".into(), error.to_string()])
                }
            },
            other => Reply::Refused(vec![format!("a resolver cannot do that: {other:?}")]),
        }
    }

    async fn close(mut self) -> Closed {
        let cut = tokio::time::timeout(DRAIN, self.server.shutdown_gracefully()).await.is_err();
        Closed { cut: usize::from(cut) }
    }
}

/// The parts share what cannot fail half-way; a lock poisoned by a panic elsewhere is taken as it is.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Shared with every task that answers.
type Shared<T> = Arc<T>;
