//! The web server: files of the site itself, everything else from the application server.
//!
//! A request goes through these rooms in order:
//!
//! 1. `listener`, `room` and `connection`: sockets, limits, HTTP/1 (RFC 9112). The only rooms that accept anything.
//! 2. `answer`: one request in, one response out: the story of this server on one page.
//! 3. `host`, `target`: which site, and which place in it; pure.
//! 4. `site`, `beneath`, `memory`, `version`, `media`: the file at that place, and nothing outside the site.
//!    `representation`, `coding`, `conditional`, `range`: which form of it goes out, and what of that; mostly pure.
//! 5. `proxy`, `upstream`, `hearing`, `forwarded`, `upload`: the application server, over kept connections.
//! 6. `failure`, `preference`: what went wrong, as a page that a student can read, or as JSON for a program.
//! 7. `page`, `pieces`, `timing`: the body that goes out, and where its time went.

mod answer;
mod beneath;
mod coding;
mod conditional;
mod connection;
mod failure;
mod forwarded;
mod hearing;
mod host;
mod listener;
mod media;
mod memory;
mod page;
mod pieces;
mod proxy;
mod range;
mod representation;
mod room;
mod site;
mod target;
mod timing;
mod upload;
mod upstream;
mod version;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::ground::bind::{self, BindError, Listening, Transport};
use crate::ground::descriptors;
use crate::ground::journal::Journal;
use crate::ground::service::{Closed, DRAIN, Service};

use answer::Server;
use host::Names;
use listener::Listener;
use proxy::Proxy;
use room::Room;
use site::Site;
use upstream::Upstream;

/// What the web server must be told to start.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// The directory whose files are served.
    #[arg(long, value_name = "DIR")]
    pub site: PathBuf,
    /// The host name whose site this is, e.g. www.foobar.com.
    #[arg(long, value_name = "HOST")]
    pub name: String,
    /// A host name that is redirected to the site's own; repeatable.
    #[arg(long, value_name = "HOST")]
    pub alias: Vec<String>,
    /// The application server that makes the dynamic pages.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub app: SocketAddr,
    /// How long the application may take to its first byte.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub app_timeout: Duration,
    /// What X-Served-By says.
    #[arg(long, value_name = "NAME")]
    pub served_by: String,
    /// Connections open at once, if the process may open twice as many descriptors; one more is answered 503 and
    /// closed.
    #[arg(long, value_name = "COUNT", default_value_t = 1024)]
    pub max_connections: u32,
}

/// Why the web server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its address is taken or forbidden.
    #[error("the web server has no address to listen at")]
    Bind(#[from] BindError),
    /// Its address, once bound, could not be read.
    #[error("the address that was bound for {listen} cannot be read")]
    Address {
        /// What was asked for.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The directory of the site is not there or not readable.
    #[error("the site's directory {} cannot be opened; create it or name another with --site", site.display())]
    Site {
        /// The directory.
        site: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A name that no header can carry.
    #[error("{name:?} is not a host name; give letters, digits, hyphens and dots to {option}")]
    Name {
        /// The name.
        name: String,
        /// The option it was given to.
        option: &'static str,
    },
}

/// The web server, running.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    /// No new connections; open ones end after the request they are answering.
    stop: CancellationToken,
    /// Every task ends at once. Also the fallback when this is dropped without `close`.
    cut: DropGuard,
    tasks: TaskTracker,
    room: Arc<Semaphore>,
    max_connections: usize,
}

impl Service for Web {
    type Config = Config;
    type Error = StartError;

    async fn start(config: Config, journal: Journal) -> Result<Self, StartError> {
        let names = Names::new(&config.name, &config.alias)?;
        let served_by = HeaderValue::try_from(&config.served_by)
            .map_err(|_| StartError::Name { name: config.served_by.clone(), option: "--served-by" })?;
        let site = Site::open(&config.site)
            .map_err(|source| StartError::Site { site: config.site.clone(), source })?;
        let socket = bind::tcp(config.listen)?;
        let address =
            socket.local_addr().map_err(|source| StartError::Address { listen: config.listen, source })?;

        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let cut = CancellationToken::new();
        let wanted = config.max_connections as usize;
        let Room { connections: max_connections, turned_away } = Room::within(descriptors::most(), wanted);
        if max_connections < wanted {
            journal.note(format!(
                "{max_connections} connections at most, not {wanted}: this process may open {} descriptors, its hard limit (`ulimit -Hn`)",
                descriptors::most()
            ));
        }
        let room = Arc::new(Semaphore::new(max_connections));
        let upstream = Upstream::new(config.app, tasks.clone(), cut.clone());
        let listener = Listener {
            socket,
            server: Arc::new(Server {
                address,
                names,
                site,
                proxy: Proxy::new(upstream, config.app_timeout),
                served_by,
                journal,
            }),
            room: room.clone(),
            turning_away: Arc::new(Semaphore::new(turned_away)),
            tasks: tasks.clone(),
            stop: stop.clone(),
            cut: cut.clone(),
        };
        tasks.spawn(listener.serve());
        Ok(Self { address, stop, cut: cut.drop_guard(), tasks, room, max_connections })
    }

    fn listening(&self) -> Vec<Listening> {
        vec![Listening { transport: Transport::Tcp, address: self.address }]
    }

    async fn close(self) -> Closed {
        self.stop.cancel();
        self.tasks.close();
        // The kept connections to the application end with the listener's task and the last connection:
        // they hold the only ways to it.
        let drained = tokio::time::timeout(DRAIN, self.tasks.wait()).await;
        let cut = match drained {
            Ok(()) => 0,
            Err(_) => self.max_connections.saturating_sub(self.room.available_permits()),
        };
        drop(self.cut);
        self.tasks.wait().await;
        Closed { cut }
    }
}

#[cfg(test)]
mod tests;
