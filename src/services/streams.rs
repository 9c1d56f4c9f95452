//! DNS over streams (RFC 7766), for the name servers and the resolver: questions behind their lengths, answered in
//! their order on one connection.
//!
//! At most 256 connections are open; one more ends the one that has been silent longest, so that idle ones
//! cannot keep others out (RFC 7766 §6.2.3). When all of them wait for an answer, the newcomer is turned away.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ground::service::{Closed, DRAIN};

/// Connections that are open at once.
const CONNECTIONS_MOST: usize = 256;

/// How long a connection may be silent, or slow to take an answer: in tenths of a second, as the keepalive option
/// tells it (RFC 7828 §3.1).
pub(super) const IDLE_TENTHS: u16 = 100;
const IDLE: Duration = Duration::from_millis(IDLE_TENTHS as u64 * 100);

/// A pause when no connection can be accepted (no descriptors left), so that this does not burn the processor.
const BREATH: Duration = Duration::from_millis(50);

/// Octets that are read at once.
const READ_AHEAD: usize = 1024;

/// Who answers.
pub(super) trait Respond: Clone + Send + Sync + 'static {
    /// Answers `question` into `reply`, or with its first message.
    fn respond(
        &self,
        question: &[u8],
        client: SocketAddr,
        reply: &mut Vec<u8>,
    ) -> impl Future<Output = Response> + Send;
}

/// What came of a question.
pub(super) enum Response {
    /// Silence, which ends the connection.
    Silence,
    /// One message.
    Whole,
    /// The first of several messages; each is made when the one before is sent, so that memory stays bounded.
    Begun(Box<dyn Rest>),
}

/// What follows the first message of an answer.
pub(super) trait Rest: Send {
    /// Writes the next message into `reply`, if there is one.
    fn next(&mut self, reply: &mut Vec<u8>) -> Next;
}

/// What follows in an answer of several messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// This message.
    Message,
    /// Nothing: the answer is complete.
    End,
    /// It cannot be completed: the connection ends, so that nobody takes the part for the whole.
    Broken,
}

/// One open connection, as the listener knows it.
struct Open {
    /// When it last asked, counted in questions of all connections.
    last_asked: AtomicU64,
    /// Whether an answer is being made or sent.
    answering: AtomicBool,
    end: CancellationToken,
}

/// Accepts and answers until `stop`, then lets open answers finish.
pub(super) async fn serve(listener: TcpListener, responder: impl Respond, stop: CancellationToken) -> Closed {
    let turn = Arc::new(AtomicU64::new(0));
    let mut open: Vec<Arc<Open>> = Vec::new();
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = conversations.join_next() => {
                open.retain(|connection| !connection.end.is_cancelled());
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, client)) = accepted else {
            sleep(BREATH).await;
            continue;
        };
        if open.len() >= CONNECTIONS_MOST && !end_the_most_silent(&mut open) {
            continue;
        }
        let connection = Arc::new(Open {
            last_asked: AtomicU64::new(turn.fetch_add(1, Ordering::Relaxed)),
            answering: AtomicBool::new(false),
            end: stop.child_token(),
        });
        open.push(connection.clone());
        let conversation =
            Conversation { client, responder: responder.clone(), turn: turn.clone(), connection };
        conversations.spawn(conversation.hold(stream));
    }
    drop(listener);
    let drained = timeout(DRAIN, async { while conversations.join_next().await.is_some() {} }).await;
    let cut = if drained.is_ok() { 0 } else { conversations.len() };
    conversations.shutdown().await;
    Closed { cut }
}

/// Ends the connection that has been silent longest; false if none is silent.
fn end_the_most_silent(open: &mut Vec<Arc<Open>>) -> bool {
    let silent =
        open.iter().enumerate().filter(|(_, connection)| !connection.answering.load(Ordering::Relaxed));
    let Some((index, connection)) =
        silent.min_by_key(|(_, connection)| connection.last_asked.load(Ordering::Relaxed))
    else {
        return false;
    };
    connection.end.cancel();
    open.swap_remove(index);
    true
}

struct Conversation<R> {
    client: SocketAddr,
    responder: R,
    turn: Arc<AtomicU64>,
    connection: Arc<Open>,
}

impl<R: Respond> Conversation<R> {
    async fn hold(self, mut stream: TcpStream) {
        // Answers are whole messages: waiting to join them with others only delays them.
        let _ = stream.set_nodelay(true);
        // Its end, however it comes about, needs no telling: the asker closed, was silent, or left.
        let _ = self.answer_all(&mut stream).await;
        self.connection.end.cancel();
    }

    async fn answer_all(&self, stream: &mut TcpStream) -> io::Result<()> {
        let (read, mut write) = stream.split();
        let mut read = BufReader::with_capacity(READ_AHEAD, read);
        let (mut question, mut reply, mut framed) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let received = tokio::select! {
                () = self.connection.end.cancelled() => return Ok(()),
                received = timeout(IDLE, receive(&mut read, &mut question)) => received,
            };
            received??;
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            self.connection.last_asked.store(turn, Ordering::Relaxed);
            self.connection.answering.store(true, Ordering::Relaxed);
            let mut rest = match self.responder.respond(&question, self.client, &mut reply).await {
                Response::Silence => return Ok(()),
                Response::Whole => None,
                Response::Begun(rest) => Some(rest),
            };
            loop {
                framed.clear();
                framed.extend_from_slice(&u16::try_from(reply.len()).unwrap_or(u16::MAX).to_be_bytes());
                framed.extend_from_slice(&reply);
                timeout(IDLE, write.write_all(&framed)).await??;
                match rest.as_mut().map(|rest| rest.next(&mut reply)) {
                    // Whoever asks in between has a turn.
                    Some(Next::Message) => yield_now().await,
                    Some(Next::Broken) => return Ok(()),
                    Some(Next::End) | None => break,
                }
            }
            self.connection.answering.store(false, Ordering::Relaxed);
        }
    }
}

async fn receive(
    read: &mut BufReader<tokio::net::tcp::ReadHalf<'_>>,
    question: &mut Vec<u8>,
) -> io::Result<()> {
    let length = read.read_u16().await?;
    question.clear();
    // Memory grows with what comes, not with what a length promises.
    let received = read.take(u64::from(length)).read_to_end(question).await?;
    if received < usize::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
