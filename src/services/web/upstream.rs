//! Connections to one application server, kept open between requests.
//!
//! Our own rather than hyper-util's pool, because here it matters, and is shown, how a connection failed; and
//! because every task must be joined when the server closes.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::fastcgi::{self, Scripts};
use super::hearing::{Hearing, Signs};
use super::pool::Turn;
use super::upload::Upload;
use crate::services::faults::Faults;
use crate::services::faults::edges::{Met, Moment};

/// Idle connections that are kept, to all application servers together.
pub(super) const KEPT_AT_MOST: usize = 32;

/// The largest head of an answer, in bytes.
const HEAD_AT_MOST: usize = 32 * 1024;

/// One application server and the way to it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    /// A plain mutex: it is held for a push or a pop, never across an await.
    kept: Mutex<Vec<Line>>,
    kept_at_most: usize,
    /// Where it speaks FastCGI, the scripts that it runs.
    scripts: Option<Scripts>,
    faults: Faults,
    tasks: TaskTracker,
    cut: CancellationToken,
}

/// One connection, for one request.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) line: Line,
    pub(super) turn: Turn,
}

/// One connection; it ends when this is dropped, even in the middle of a body that nobody takes.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) sender: SendRequest<Upload>,
    pub(super) signs: Signs,
    _ended: DropGuard,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {address}")]
pub(super) struct ConnectError {
    pub(super) address: SocketAddr,
    pub(super) source: io::Error,
}

impl Upstream {
    /// At `address`, with `kept_at_most` idle connections; each is one of `tasks`, which `cut` ends. It runs `scripts` if
    /// it speaks FastCGI; the way there is broken as `faults` says.
    pub(super) fn new(
        address: SocketAddr,
        kept_at_most: usize,
        scripts: Option<Scripts>,
        faults: Faults,
        tasks: TaskTracker,
        cut: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { address, kept: Mutex::new(Vec::new()), kept_at_most, scripts, faults, tasks, cut })
    }

    /// The connection that was used last, of those that are still open.
    pub(super) fn kept(&self) -> Option<Line> {
        loop {
            let line = self.pop()?;
            // Not ready: closed by the other side.
            if line.sender.is_ready() && !line.signs.is_unheard() {
                return Some(line);
            }
        }
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Line, ConnectError> {
        let refused = |source| ConnectError { address: self.address, source };
        let stream = self.faults.dial(None, TcpStream::connect(self.address)).await.map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        let opened = match &self.scripts {
            None => {
                let (stream, signs) = Hearing::new(stream);
                self.open(stream, signs, std::future::pending()).await
            }
            Some(scripts) => {
                let (near, far) = tokio::io::duplex(HEAD_AT_MOST);
                let answering = fastcgi::serve(far, stream, scripts.clone());
                self.open(near, Signs::default(), answering).await
            }
        };
        opened.map_err(|error| refused(io::Error::other(error)))
    }

    /// How the way there is for a request on an open connection.
    pub(super) async fn met(&self) -> Met {
        self.faults.meet(None, Moment::Asking).await
    }

    /// Speaks HTTP over `stream`, while `beside` is done.
    async fn open(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        signs: Signs,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Line, hyper::Error> {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(HEAD_AT_MOST).handshake(TokioIo::new(stream)).await?;
        let cut = self.cut.child_token();
        let ended = cut.clone().drop_guard();
        self.tasks.spawn(async move {
            let both = async {
                // How it ended is told to the request that it carried.
                let connection = connection.with_upgrades();
                tokio::pin!(connection, beside);
                tokio::select! {
                    _ = &mut connection => {}
                    () = &mut beside => drop(connection.await),
                }
            };
            tokio::select! {
                () = both => {}
                () = cut.cancelled() => {}
            }
        });
        Ok(Line { sender, signs, _ended: ended })
    }

    fn pop(&self) -> Option<Line> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl Lease {
    /// Keeps the connection for another request. Only to be called when question and answer came to their end.
    pub(super) fn keep(self) {
        if self.line.sender.is_closed() || self.line.signs.is_unheard() {
            return;
        }
        let mut kept = self.turn.upstream().kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < self.turn.upstream().kept_at_most {
            kept.push(self.line);
        }
    }
}
