//! The web server: files of the site itself, everything else from the application server.
//!
//! A request goes through these rooms in order:
//!
//! 1. `listener`, `room`, `connection` and `stream`: sockets, limits, HTTP/1 and HTTP/2. The only rooms that accept anything.
//!    `tls`: the handshake of those who come by HTTPS, and which certificate they are shown.
//! 2. `wire`: the rim around each socket, where a request is refused that is none (RFC 9112), or too large, or too slow.
//! 3. `answer`, `answered`: one request in, one response out and followed to its end: this server's story on one page.
//! 4. `host`, `target`: which site, and which place in it; pure.
//! 5. `site`, `beneath`, `memory`, `version`, `media`: the file at that place, and nothing outside the site.
//!    `representation`, `coding`, `conditional`, `range`: which form of it goes out, and what of that; mostly pure.
//! 6. `proxy`, `forwarded`, `trace`, `upload`, `tunnel`: a request passed on, and its answer back.
//!    `balance`, `pool`, `check`: which application server gets it; `pools`: one in another's place; `upstream`, `hearing`: the kept connections to one; `fastcgi`: one that
//!    speaks that.
//! 7. `failure`: what went wrong, as a page that a student can read, or as JSON for a program.
//! 8. `page`, `pieces`, `timing`, `protection`, `access`: the body that goes out, where its time went, what a browser may do with
//!    it, and the line in the access log. `spoil`: what is wrong with it on purpose.

mod access;
mod answer;
mod answered;
mod balance;
mod beneath;
mod check;
mod coding;
mod conditional;
mod connection;
mod failure;
mod fastcgi;
mod forwarded;
mod hearing;
mod host;
mod listener;
mod media;
mod memory;
mod page;
mod pieces;
mod pool;
mod pools;
mod protection;
mod proxy;
mod range;
mod representation;
mod room;
mod site;
mod spare;
mod spoil;
mod stream;
mod target;
mod timing;
mod tls;
mod trace;
mod tunnel;
mod upload;
mod upstream;
mod version;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::ground::bind::{BindError, Listening, Transport};
use crate::ground::channel::{Ask, Reply};
use crate::ground::descriptors;
use crate::ground::journal::Journal;
use crate::ground::listeners::Listeners;
use crate::ground::metrics::Family;
use crate::ground::service::{Closed, DRAIN, Service, causes};
use crate::ground::tls::{Certificate, Wanted};
use crate::services::faults::Faults;
use crate::services::faults::gate::Gate;
use crate::services::tally::connections::Connections;
use crate::services::tally::requests::Requests;

use access::{AccessLog, Writer};
use answer::Server;
use balance::MEMBERS_MOST;
use connection::Surroundings;
use fastcgi::Scripts;
use host::Names;
use listener::{Listener, Seating};
use pools::{Making, Pools};
use protection::Protection;
use proxy::{Limits, Proxy};
use room::{Room, Seats};
use site::Site;
use tls::{Door, Swapped, TlsError};
use wire::Patience;

pub use access::Form;
pub use balance::{Member, Policy};

/// Bytes of an answer that wait in the kernel unsent. Accepted sockets have it of the one that listens. Without it Linux
/// says that there is room only when a third of the send buffer is free: megabytes, which a slow but steady client takes
/// in more time than it has to take anything.
#[cfg(target_os = "linux")]
const UNSENT_AT_MOST: u32 = 64 * 1024;

/// Checks of an application server are no closer than this, whatever is asked for.
const CHECK_EVERY_LEAST: Duration = Duration::from_millis(10);

/// What the web server must be told to start.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where to listen; port 0 takes a free one; repeatable.
    #[arg(long, value_name = "ADDRESS:PORT", required = true)]
    pub listen: Vec<SocketAddr>,
    /// The directory whose files are served.
    #[arg(long, value_name = "DIR")]
    pub site: PathBuf,
    /// The host name whose site this is, e.g. www.foobar.com.
    #[arg(long, value_name = "HOST")]
    pub name: String,
    /// A host name that is redirected to the site's own; repeatable.
    #[arg(long, value_name = "HOST")]
    pub alias: Vec<String>,
    /// The application server that makes the dynamic pages, and its share of the work where there are several
    /// (1 to 100, 1 if left out); repeatable, up to 16 times.
    #[arg(long, value_name = "ADDRESS:PORT[,weight=N]", required = true, value_parser = Member::parse)]
    pub app: Vec<Member>,
    /// How one of several application servers is chosen.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub balance: Policy,
    /// Ask each application server for /healthz so often, and give it no requests while that fails.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub app_check: Option<Duration>,
    /// How long an application server's machine may take to take a connection.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    pub app_connect_timeout: Duration,
    /// The application speaks FastCGI; its script is DIR/index.php.
    #[arg(long, value_name = "DIR")]
    pub app_scripts: Option<PathBuf>,
    /// How long the application may take to its first byte.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub app_timeout: Duration,
    /// How long the application may pause in its answer; how long nothing may come over a connection that has gone over to
    /// another protocol.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub app_idle_timeout: Duration,
    /// What X-Served-By says.
    #[arg(long, value_name = "NAME")]
    pub served_by: String,
    /// A further site, of files alone: its name, further names that are redirected to it, its directory; repeatable.
    #[arg(long, value_name = "HOST[,HOST…]=DIR", value_parser = FurtherSite::parse)]
    pub further_site: Vec<FurtherSite>,
    /// The largest request body, in bytes; a larger one is answered 413.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    pub max_body: u64,
    /// Write a line for each request to this file.
    #[arg(long, value_name = "FILE")]
    pub access_log: Option<PathBuf>,
    /// How such a line looks.
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub access_log_form: Form,
    /// The Content-Security-Policy of the site's files; an empty one is not sent.
    #[arg(long, value_name = "POLICY", default_value = protection::POLICY)]
    pub content_security_policy: String,
    /// Where to speak TLS; repeatable.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub tls_listen: Vec<SocketAddr>,
    /// Send whoever asks without TLS there.
    #[arg(long, requires = "tls_listen")]
    pub tls_only: bool,
    /// Tell browsers for how many seconds they are to ask by TLS alone (Strict-Transport-Security).
    #[arg(long, value_name = "SECONDS")]
    pub hsts: Option<u64>,
    /// A key and its certificates as PEM, and the names at which they are shown; the first also to whoever names no
    /// site; repeatable.
    #[arg(long, value_name = "HOST[,HOST…]=FILE", value_parser = Certificate::parse)]
    pub certificate: Vec<Certificate>,
    /// Append the secrets of each connection to this file, as Wireshark reads them.
    #[arg(long, value_name = "FILE")]
    pub key_log: Option<PathBuf>,
    /// How long a client may take.
    #[arg(skip)]
    patience: Patience,
    /// Connections open at once, if the process may open nine quarters as many descriptors. One more takes the place of the
    /// one that has been idle longest; where none is idle, it is answered 503 and closed.
    #[arg(long, value_name = "COUNT", default_value_t = 1024)]
    pub max_connections: u32,
}

/// A site of files alone, beside the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FurtherSite {
    name: String,
    aliases: Vec<String>,
    directory: PathBuf,
}

impl FurtherSite {
    /// Reads `name,alias,…=directory`.
    fn parse(text: &str) -> Result<Self, String> {
        let (names, directory) = text.split_once('=').ok_or("write it as NAME=DIR")?;
        let mut names = names.split(',').map(str::to_owned);
        let name = names.next().unwrap_or_default();
        Ok(Self { name, aliases: names.collect(), directory: directory.into() })
    }
}

/// Why the web server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its address is taken or forbidden.
    #[error("the web server has no address to listen at")]
    Bind(#[from] BindError),
    /// The directory of the site is not there or not readable.
    #[error("the site's directory {} cannot be opened; create it or name another with --site", site.display())]
    Site {
        /// The directory.
        site: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The access log cannot be written.
    #[error("the access log {} cannot be opened; create its directory or name another file with --access-log", file.display())]
    AccessLog {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// TLS cannot be spoken.
    #[error("the web server cannot speak TLS")]
    Tls(#[from] TlsError),
    /// Too many application servers, or one of them twice.
    #[error("--app names {count} application servers; name each once, and {MEMBERS_MOST} at most")]
    Apps {
        /// How many were named.
        count: usize,
    },
    /// A policy that no header can carry.
    #[error("{policy:?} cannot be sent as a Content-Security-Policy; give one line of ASCII")]
    Policy {
        /// The policy.
        policy: String,
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
    addresses: Vec<SocketAddr>,
    /// No new connections; open ones end after the request they are answering.
    stop: CancellationToken,
    /// Every task ends at once. Also the fallback when this is dropped without `close`.
    cut: DropGuard,
    tasks: TaskTracker,
    seats: Arc<Seats>,
    pools: Arc<Pools>,
    faults: Faults,
    door: Door,
    max_connections: usize,
    writer: Option<Writer>,
    server: Arc<Server>,
    connections: Arc<Connections>,
}

impl Service for Web {
    type Config = Config;
    type Error = StartError;

    async fn start(config: Config, journal: Journal) -> Result<Self, StartError> {
        let mut names = Names::new(&config.name, &config.alias)?;
        let served_by = HeaderValue::try_from(&config.served_by)
            .map_err(|_| StartError::Name { name: config.served_by.clone(), option: "--served-by" })?;
        let open = |site: &PathBuf| {
            Site::open(site).map_err(|source| StartError::Site { site: site.clone(), source })
        };
        let mut sites = vec![open(&config.site)?];
        for further in &config.further_site {
            names.add(&further.name, &further.aliases)?;
            sites.push(open(&further.directory)?);
        }
        let protection = Protection::new(&config.content_security_policy)?;
        let count = config.app.len();
        let is_twice = |(index, app): (usize, &Member)| {
            config.app[..index].iter().any(|known| known.address == app.address)
        };
        if count > MEMBERS_MOST || config.app.iter().enumerate().any(is_twice) {
            return Err(StartError::Apps { count });
        }
        let host = HeaderValue::try_from(&config.name)
            .map_err(|_| StartError::Name { name: config.name.clone(), option: "--name" })?;
        let sockets = listening_at(&config.listen)?;
        let addresses = sockets.addresses();

        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let cut = CancellationToken::new();
        let wanted = config.max_connections as usize;
        let Room { connections: max_connections, further, turned_away } =
            Room::within(descriptors::most(), wanted);
        if max_connections < wanted {
            journal.note(format!(
                "{max_connections} connections at most, not {wanted}: this process may open {} descriptors, its hard limit (`ulimit -Hn`)",
                descriptors::most()
            ));
        }
        let (access, writer) = match &config.access_log {
            None => (None, None),
            Some(file) => AccessLog::open(file, config.access_log_form, journal.clone())
                .map(|(log, writer)| (Some(log), Some(writer)))
                .map_err(|source| StartError::AccessLog { file: file.clone(), source })?,
        };
        let seats = Seats::new(max_connections);
        let faults = Faults::default();
        let scripts = config.app_scripts.map(|root| Scripts { root, journal: journal.clone() });
        let making = Making {
            policy: config.balance,
            scripts,
            faults: faults.clone(),
            check_every: config.app_check.map(|every| every.max(CHECK_EVERY_LEAST)),
            host,
            journal: journal.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
            cut: cut.clone(),
        };
        let pools = Pools::new(&config.app, making);
        let limits = Limits {
            connect: config.app_connect_timeout,
            first_byte: config.app_timeout,
            idle: config.app_idle_timeout,
            body_bytes: config.max_body,
            body_pause: config.patience.body,
        };
        let server = Arc::new(Server {
            names,
            sites,
            proxy: Proxy::new(pools.clone(), limits, tasks.clone(), cut.clone()),
            served_by,
            journal,
            faults: faults.clone(),
            protection,
            access,
            counted: Requests::default(),
            policy: Swapped::default(),
        });
        let around = Surroundings {
            server: server.clone(),
            greeter: None,
            patience: config.patience,
            stop: stop.clone(),
            cut: cut.clone(),
            tasks: tasks.clone(),
            further: Arc::new(Semaphore::new(further)),
        };
        let connections = Arc::new(Connections::default());
        let seating = Seating {
            seats: seats.clone(),
            capacity: max_connections,
            turning_away: Arc::new(Semaphore::new(turned_away)),
            counted: connections.clone(),
        };
        let door = Door::new(seating.clone(), around.clone());
        door.set(&Wanted {
            listen: config.tls_listen,
            only: config.tls_only,
            hsts_seconds: config.hsts,
            certificates: config.certificate,
            key_log: config.key_log,
        })?;
        tasks.spawn(Listener { gate: gate(sockets, &server), seating, around }.serve());
        Ok(Self {
            addresses,
            stop,
            cut: cut.drop_guard(),
            tasks,
            seats,
            pools,
            faults,
            door,
            max_connections,
            writer,
            server,
            connections,
        })
    }

    fn listening(&self) -> Vec<Listening> {
        let over_tcp = |&address| Listening { transport: Transport::Tcp, address };
        self.addresses.iter().chain(&self.door.addresses()).map(over_tcp).collect()
    }

    async fn ask(&self, ask: Ask) -> Reply {
        match ask {
            Ask::Metrics => Reply::Metrics(self.families()),
            Ask::Pace => Reply::Pace(self.server.counted.pace()),
            Ask::Upstreams => Reply::Upstreams(self.pools.now().list()),
            Ask::Replace { former, next } => match self.pools.replace(former, next).await {
                Ok(unfinished) => Reply::Replaced { unfinished },
                Err(error) => Reply::Refused(causes(&error)),
            },
            Ask::Faults(set) => self.faults.take(set),
            Ask::Tls(wanted) => match self.door.set(&wanted) {
                Ok(()) => Reply::Done,
                Err(error) => Reply::Refused(causes(&error)),
            },
            other => Reply::Refused(vec![format!("a web server cannot do that: {other:?}")]),
        }
    }

    async fn close(self) -> Closed {
        drop((self.pools, self.door, self.server));
        self.stop.cancel();
        self.tasks.close();
        // The kept connections to the application end with the listener's task and the last connection:
        // they hold the only ways to it.
        let drained = tokio::time::timeout(DRAIN, self.tasks.wait()).await;
        let cut = match drained {
            Ok(()) => 0,
            Err(_) => self.max_connections.saturating_sub(self.seats.free()),
        };
        drop(self.cut);
        self.tasks.wait().await;
        if let Some(writer) = self.writer {
            writer.finish(access::FINISHES_WITHIN).await;
        }
        Closed { cut }
    }
}

impl Web {
    /// What it counted, as metrics.
    fn families(&self) -> Vec<Family> {
        self.connections.open(self.max_connections.saturating_sub(self.seats.free()));
        let help = "Requests that were passed on to an application server.";
        let mut passed = Family::counter("wwwlab_web_upstream_requests_total", help);
        let help = "Those of them that it did not answer, by its own fault.";
        let mut failed = Family::counter("wwwlab_web_upstream_failures_total", help);
        let help = "Requests that an application server is at work on.";
        let mut under_way = Family::gauge("wwwlab_web_upstream_requests_under_way", help);
        for upstream in self.pools.now().list() {
            let label = [("upstream", &*upstream.address.to_string())];
            passed = passed.with(&label, upstream.requests);
            failed = failed.with(&label, upstream.failures);
            under_way = under_way.with(&label, u64::from(upstream.under_way));
        }
        let counted = self.server.counted.families().into_iter().chain(self.connections.families());
        counted.chain([passed, failed, under_way]).collect()
    }
}

/// Where those come in who come to `sockets`.
fn gate(sockets: Listeners, server: &Server) -> Gate {
    Gate::new(sockets, server.faults.clone(), server.journal.clone()).bound_by(listening_at)
}

/// Listens at `addresses`.
fn listening_at(addresses: &[SocketAddr]) -> Result<Listeners, BindError> {
    let sockets = Listeners::bind(addresses)?;
    #[cfg(target_os = "linux")]
    for socket in sockets.sockets() {
        // Where it cannot be set, a slow reader is waited for less exactly.
        let _ = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_AT_MOST);
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests;
