//! Asks for a page by HTTP/1.1 (RFC 9112), over connections that are kept, as browsers and proxies do.
//!
//! Whoever has to wait for a connection waits in a queue, and its time runs; whoever's time is over there was never sent, and
//! is a time-out like any other. Each connection is a task that takes the next request when it has answered one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::timeout_at;

use super::counted::Kind;
use super::generator::Ticket;
use crate::ground::clock;

/// Bytes of a body that are taken at most.
const BODY_MOST: u64 = 64 << 20;

/// A page to ask for.
#[derive(Debug, Clone)]
pub struct Page {
    /// The web server.
    pub server: SocketAddr,
    /// What its `Host` header says.
    pub host: HeaderValue,
    /// The path, with its query.
    pub target: Uri,
    /// The form that is sent (`POST`); without one it is asked for (`GET`).
    pub form: Option<String>,
    /// The statuses of a good answer.
    pub good: &'static [u16],
}

/// Those that ask for it.
pub(super) struct Pages(Rc<Yard>);

struct Yard {
    page: Page,
    most: usize,
    open: Cell<usize>,
    /// Those that wait for a connection, the longest first.
    queue: RefCell<VecDeque<Ticket>>,
    /// Connections without work, the one that worked last at the end.
    idle: RefCell<Vec<oneshot::Sender<Ticket>>>,
}

impl Pages {
    pub(super) fn new(page: Page, connections: u16) -> Self {
        let (queue, idle) = (RefCell::default(), RefCell::default());
        Self(Rc::new(Yard { page, most: connections.into(), open: Cell::new(0), queue, idle }))
    }

    /// Sends one, now or when there is a connection.
    pub(super) fn send(&self, ticket: Ticket) {
        let yard = &self.0;
        let mut ticket = ticket;
        loop {
            let Some(idle) = yard.idle.borrow_mut().pop() else { break };
            match idle.send(ticket) {
                Ok(()) => return,
                // That one has ended meanwhile.
                Err(back) => ticket = back,
            }
        }
        if yard.open.get() < yard.most {
            yard.open.set(yard.open.get() + 1);
            spawn_local(work(Open(yard.clone()), ticket));
        } else {
            yard.queue.borrow_mut().push_back(ticket);
        }
    }

    /// Closes the connections without work.
    pub(super) fn hang_up(&self) {
        self.0.idle.borrow_mut().clear();
    }
}

impl Yard {
    /// The one that waits longest, of those whose time is not over.
    fn waiting(&self) -> Option<Ticket> {
        let now = clock::now();
        loop {
            let ticket = self.queue.borrow_mut().pop_front()?;
            if now < ticket.deadline() {
                return Some(ticket);
            }
            ticket.failed(Kind::Timeout);
        }
    }

    /// A place among those without work.
    fn rest(&self) -> oneshot::Receiver<Ticket> {
        let (sender, receiver) = oneshot::channel();
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= self.most {
            idle.retain(|idle| !idle.is_closed());
        }
        idle.push(sender);
        receiver
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let Page { host, target, form, .. } = &self.page;
        let method = if form.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::new(Full::new(form.clone().map(Bytes::from).unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = target.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, host.clone());
        const WHO: &str = concat!("wwwlab/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(WHO));
        if form.is_some() {
            const FORM: &str = "application/x-www-form-urlencoded";
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        }
        request
    }
}

/// A place among the connections that may be open.
struct Open(Rc<Yard>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

/// One connection after the other, until there is nothing to do.
async fn work(open: Open, first: Ticket) {
    let yard = &open.0;
    let mut next = Some(first);
    while let Some(ticket) = next.take().or_else(|| yard.waiting()) {
        let deadline = ticket.deadline().into();
        match timeout_at(deadline, connect(yard.page.server)).await {
            Ok(Ok(stream)) => next = converse(yard, stream, ticket).await,
            Ok(Err(error)) => ticket.failed(Kind::of(&error)),
            Err(_elapsed) => ticket.failed(Kind::Timeout),
        }
    }
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    // What is measured is the server's way, not a wait for more to send.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// How one exchange ended.
enum End {
    Answered,
    Failed(Kind),
    /// The connection was closed before anything of the request was sent.
    Unsent,
}

/// Asks over `stream`, first for `ticket`, until the connection ends. The request that another connection is needed for, since
/// this one was closed while it had nothing to do.
async fn converse(yard: &Yard, stream: TcpStream, ticket: Ticket) -> Option<Ticket> {
    let (mut sender, connection) = match http1::handshake(TokioIo::new(stream)).await {
        Ok(parts) => parts,
        Err(error) => {
            ticket.failed(kind(&error));
            return None;
        }
    };
    let mut connection = pin!(connection);
    let mut ticket = ticket;
    let mut is_kept = false;
    loop {
        let deadline = ticket.deadline().into();
        let mut asked = pin!(timeout_at(deadline, ask(&mut sender, yard)));
        let mut has_ended = false;
        let end = tokio::select! {
            biased;
            end = &mut asked => end,
            // The connection is driven beside the request; when it ends first, the request says how.
            _ = &mut connection => {
                has_ended = true;
                asked.await
            }
        };
        match end {
            Ok(End::Answered) => ticket.answered(),
            Ok(End::Unsent) if is_kept => return Some(ticket),
            Ok(End::Unsent) => ticket.failed(Kind::Closed),
            Ok(End::Failed(kind @ Kind::Status(_))) => ticket.failed(kind),
            Ok(End::Failed(kind)) => {
                ticket.failed(kind);
                return None;
            }
            Err(_elapsed) => {
                ticket.failed(Kind::Timeout);
                return None;
            }
        }
        if has_ended {
            return None;
        }
        is_kept = true;
        ticket = match yard.waiting() {
            Some(next) => next,
            None => {
                let mut rest = yard.rest();
                tokio::select! {
                    biased;
                    next = &mut rest => next.ok()?,
                    _ = &mut connection => {
                        // What came in the same moment is for another one.
                        rest.close();
                        return rest.try_recv().ok();
                    }
                }
            }
        };
    }
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, yard: &Yard) -> End {
    if sender.ready().await.is_err() {
        return End::Unsent;
    }
    let response = match sender.try_send_request(yard.request()).await {
        Ok(response) => response,
        Err(error) if error.message().is_some() => return End::Unsent,
        Err(error) => return End::Failed(kind(error.error())),
    };
    let status = response.status().as_u16();
    match receive(response).await {
        Err(kind) => End::Failed(kind),
        Ok(()) if yard.page.good.contains(&status) => End::Answered,
        Ok(()) => End::Failed(Kind::Status(status)),
    }
}

async fn receive(response: Response<Incoming>) -> Result<(), Kind> {
    let mut body = response.into_body();
    let mut bytes = 0_u64;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| kind(&error))?;
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > BODY_MOST {
            return Err(Kind::Malformed);
        }
    }
    Ok(())
}

/// What an error of hyper's is on the wire.
fn kind(error: &hyper::Error) -> Kind {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(Kind::of) {
        Some(kind @ (Kind::Reset | Kind::Closed | Kind::Timeout | Kind::Here)) => kind,
        _ if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => Kind::Closed,
        _ => Kind::Malformed,
    }
}
