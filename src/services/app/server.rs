//! The application server as a service: it listens, hands connections to the routes, and drains.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::asked::{Here, Peer};
use super::code_base::{CodeBase, CodeBaseError};
use super::routes::{Application, routes};
use super::sessions::{Kept, Sessions};
use super::statements;
use crate::ground::bind::{self, BindError, Listening, Transport};
use crate::ground::channel::{Ask, Mark, Reply};
use crate::ground::descriptors;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;
use crate::ground::service::{Closed, DRAIN, Service, causes};
use crate::services::database::{Server, Store, Target, UrlFileError};
use crate::services::tally::connections::Connections;

/// Connections at most, if the process may open so many descriptors; more wait in the listener's queue. The web
/// server keeps a few and reuses them.
const CONNECTIONS_MOST: usize = 1024;

/// Descriptors for all that is not a visitor's: the listener, the event loop, the channel, the database.
const DESCRIPTORS_OWN: usize = 64;

/// How long a connection may be idle or take to send a request's head.
///
/// Longer than a web server usually keeps idle connections: the side that sends requests should be the one
/// that closes, so that no request meets a connection that is just being closed.
const HEAD_WITHIN: Duration = Duration::from_secs(90);

/// Length of a request's head at most, in bytes.
const HEAD_LONGEST: usize = 32 * 1024;

/// Pause after a failed accept: when descriptors run out, trying at once fails at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the application server must be told to start.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where to listen for the web server; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// The application files: a directory with VERSION and templates/*.html
    #[arg(long, value_name = "DIR")]
    pub code: PathBuf,
    /// The database: a SQLite file, made when it is first needed
    #[arg(long, value_name = "FILE", required_unless_present = "database_url_file")]
    pub database: Option<PathBuf>,
    /// Or a server: a file of mode 0600 with mysql://user:password@host:port/name in it
    #[arg(long, value_name = "FILE", conflicts_with = "database")]
    pub database_url_file: Option<PathBuf>,
    /// Where it is kept who is logged in: in the database, or in the memory of this process, which forgets it when it ends
    #[arg(long, value_name = "WHERE", default_value = "database")]
    pub sessions: Sessions,
    /// Whose word counts about who asked and how (X-Forwarded-For and the like): the web server's address; repeatable
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub trusted_proxy: Vec<IpAddr>,
    /// The name of the machine, shown on pages and in X-Served-By
    #[arg(long, value_name = "NAME", default_value = "server")]
    pub served_by: String,
}

/// Why the application server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// Its address is taken or not this machine's.
    #[error(
        "the application server has no address to listen at; stop what is there, or give another with --listen"
    )]
    Bind(#[source] BindError),
    /// It is not told which database.
    #[error("the application server has no database; give it one with --database or --database-url-file")]
    NoDatabase,
    /// The file that names its database server does not.
    #[error("the application server cannot know its database")]
    Database(#[source] UrlFileError),
    /// Its code base is not one.
    #[error("the application files cannot be used")]
    Code(#[source] CodeBaseError),
}

/// The application server, running.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    application: Arc<Application>,
    store: Store,
    connections: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
    cut_count: Arc<AtomicUsize>,
    counted: Arc<Connections>,
}

impl Service for App {
    type Config = Config;
    type Error = AppError;

    async fn start(config: Config, journal: Journal) -> Result<Self, AppError> {
        let code = CodeBase::read(&config.code).map_err(AppError::Code)?;
        let target = match (config.database, config.database_url_file) {
            (Some(file), _) => Target::File(file),
            (None, Some(file)) => Target::Server(Server::named_in(&file).map_err(AppError::Database)?),
            (None, None) => return Err(AppError::NoDatabase),
        };
        let listener = bind::tcp(config.listen).map_err(AppError::Bind)?;
        let address = listener.local_addr().map_err(|source| {
            AppError::Bind(BindError { address: config.listen, transport: Transport::Tcp, source })
        })?;
        statements::tell_to(&journal);
        let store = Store::at(target);
        let sessions = Kept::of(config.sessions, &store);
        let application = Application::new(
            code,
            store.clone(),
            sessions,
            config.served_by,
            config.trusted_proxy,
            journal.clone(),
        );
        let application = Arc::new(application);
        let app = Self {
            address,
            application: application.clone(),
            store,
            connections: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            cut_count: Arc::default(),
            counted: Arc::default(),
        };
        let connecting = Connecting {
            routes: TowerToHyperService::new(routes(application)),
            connections: app.connections.clone(),
            stop: app.stop.clone(),
            cut: app.cut.clone(),
            cut_count: app.cut_count.clone(),
            counted: app.counted.clone(),
        };
        app.connections.spawn(accept(listener, address, connecting, journal));
        Ok(app)
    }

    fn listening(&self) -> Vec<Listening> {
        vec![Listening { transport: Transport::Tcp, address: self.address }]
    }

    fn version(&self) -> Option<String> {
        Some(self.application.code().version().to_owned())
    }

    async fn ask(&self, ask: Ask) -> Reply {
        let directory = match ask {
            Ask::Deploy { directory } => directory,
            Ask::Pace => return Reply::Pace(self.application.counted().pace()),
            Ask::Metrics => {
                // The task that accepts is one of those that are tracked.
                self.counted.open(self.connections.len().saturating_sub(1));
                let families = self.application.counted().families().into_iter();
                let families = families.chain(self.counted.families());
                return Reply::Metrics(families.chain(self.application.store().families()).collect());
            }
            Ask::Faults(set) => return self.store.fault(set),
            Ask::Forget(Mark { name, message }) => {
                return match self.store.forget(&name, &message).await {
                    Ok(count) => Reply::Flushed(usize::try_from(count).unwrap_or(usize::MAX)),
                    Err(error) => Reply::Refused(causes(&error)),
                };
            }
            ask => return Reply::Refused(vec![format!("the application server cannot do that: {ask:?}")]),
        };
        // Reading files must not keep visitors waiting.
        let read = tokio::task::spawn_blocking(move || CodeBase::read(&directory));
        match read.await {
            Ok(Ok(code)) => {
                let version = code.version().to_owned();
                self.application.deploy(code);
                Reply::Deployed { version }
            }
            Ok(Err(error)) => Reply::Refused(causes(&error)),
            Err(error) => {
                Reply::Refused(vec!["reading the application files was cut".into(), error.to_string()])
            }
        }
    }

    async fn close(self) -> Closed {
        self.stop.cancel();
        self.connections.close();
        if timeout(DRAIN, self.connections.wait()).await.is_err() {
            self.cut.cancel();
            self.connections.wait().await;
        }
        self.store.close().await;
        Closed { cut: self.cut_count.load(Ordering::Relaxed) }
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Connecting {
    routes: TowerToHyperService<Router>,
    connections: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
    cut_count: Arc<AtomicUsize>,
    counted: Arc<Connections>,
}

async fn accept(listener: TcpListener, address: SocketAddr, connecting: Connecting, journal: Journal) {
    let descriptors = descriptors::most();
    let most = CONNECTIONS_MOST.min(descriptors.saturating_sub(DESCRIPTORS_OWN).max(1));
    if most < CONNECTIONS_MOST {
        journal.note(format!(
            "{most} connections at most, not {CONNECTIONS_MOST}: this process may open {descriptors} descriptors, its hard limit (`ulimit -Hn`)"
        ));
    }
    let places = Arc::new(Semaphore::new(most));
    loop {
        let accepted = async {
            // The place comes first: a connection that cannot be served is not taken from the queue.
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let accepted = tokio::select! {
            () = connecting.stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Some((Ok((stream, peer)), place)) => {
                let open = || most - places.available_permits();
                connecting.counted.accepted();
                journal.tell(|| Happened::Connected { client: peer, server: address, open: open() });
                let serving = serve(stream, Peer(peer), place, connecting.clone());
                connecting.connections.spawn(serving);
            }
            Some((Err(error), _)) => {
                journal.note(format!("a connection could not be accepted: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
            None => return,
        }
    }
}

async fn serve(stream: TcpStream, peer: Peer, place: OwnedSemaphorePermit, connecting: Connecting) {
    // An answer is written in one piece; waiting to fill a packet would only delay it.
    let _ = stream.set_nodelay(true);
    let here = stream.local_addr().ok().map(Here);
    let routes = connecting.routes;
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        here.map(|here| request.extensions_mut().insert(here));
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_header_size(HEAD_LONGEST)
        // Who has sent all may say so (`nc -N`), and still wants its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let mut draining = false;
    loop {
        tokio::select! {
            // A connection that breaks off is the client's business; its requests are in the journal.
            _ = connection.as_mut() => break,
            () = connecting.stop.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = connecting.cut.cancelled() => {
                connecting.cut_count.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
    }
    drop(place);
}
