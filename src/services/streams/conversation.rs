//! One connection: questions as they come, answers as they are ready (RFC 7766 §6.2.1.1, §7).
//!
//! All of it runs in one task. Questions that must be waited for run beside each other, up to a bound; beyond it
//! nothing more is read, and the asker's writes wait in turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::time::sleep_until;

use super::replies::{Outgoing, Replies};
use super::{IDLE, Open, Respond};
use crate::ground::clock;

/// Questions of one connection that are waited for at once.
pub(super) const UNDER_WAY_MOST: usize = 64;

/// Octets that are read at once. Memory grows with what comes, not with what a length promises.
const READ_AHEAD: usize = 2048;

pub(super) struct Conversation<R> {
    client: SocketAddr,
    responder: R,
    turn: Arc<AtomicU64>,
    connection: Arc<Open>,
    outgoing: Arc<Outgoing>,
}

impl<R: Respond> Conversation<R> {
    pub(super) fn new(client: SocketAddr, responder: R, turn: Arc<AtomicU64>, connection: Arc<Open>) -> Self {
        Self { client, responder, turn, connection, outgoing: Arc::default() }
    }

    pub(super) async fn hold(self, mut stream: TcpStream) {
        // Answers that are ready are joined here; waiting for more of them only delays these.
        let _ = stream.set_nodelay(true);
        // Its end, however it comes about, needs no telling: the asker closed, was silent, or left.
        let _ = self.answer_all(&mut stream).await;
        self.connection.end.cancel();
    }

    async fn answer_all(&self, stream: &mut TcpStream) -> io::Result<()> {
        let (mut read, mut write) = stream.split();
        let mut questions = Questions::default();
        let mut under_way = FuturesUnordered::new();
        let (mut writing, mut written) = (Vec::new(), 0);
        // Whether nothing more is read: what was asked until then is still answered.
        let mut is_ending = false;
        let patience = sleep_until((clock::now() + IDLE).into());
        tokio::pin!(patience);
        loop {
            while under_way.len() < UNDER_WAY_MOST && self.outgoing.has_room() && !self.outgoing.is_silent() {
                let Some(question) = questions.next() else { break };
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                self.connection.last_asked.store(turn, Ordering::Relaxed);
                let replies = Replies::of(self.outgoing.clone());
                under_way.extend(self.responder.respond(question, self.client, replies));
                patience.as_mut().reset((clock::now() + IDLE).into());
            }
            if written == writing.len() {
                (written, _) = (0, writing.clear());
                self.outgoing.take(&mut writing);
            }
            is_ending |= self.outgoing.is_silent();
            let is_writing = !writing.is_empty();
            let is_answering = is_writing || !under_way.is_empty();
            self.connection.answering.store(is_answering, Ordering::Relaxed);
            if is_ending && !is_answering {
                return Ok(());
            }
            let may_read = !is_ending && under_way.len() < UNDER_WAY_MOST && self.outgoing.has_room();
            tokio::select! {
                biased;
                count = write.write(&writing[written..]), if is_writing => {
                    written += some(count?)?;
                    if written == writing.len() {
                        patience.as_mut().reset((clock::now() + IDLE).into());
                    }
                }
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                () = self.outgoing.filled.notified() => {}
                () = self.connection.end.cancelled(), if !is_ending => is_ending = true,
                read = questions.read(&mut read), if may_read => is_ending = !read?,
                // How long an answer takes is for whoever makes it to bound.
                () = &mut patience, if is_writing || under_way.is_empty() => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

/// A write of nothing is a connection that takes no more.
fn some(count: usize) -> io::Result<usize> {
    if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
}

/// What was read, as questions behind their lengths.
#[derive(Default)]
struct Questions {
    octets: Vec<u8>,
    taken: usize,
}

impl Questions {
    /// The next question that is whole.
    fn next(&mut self) -> Option<&[u8]> {
        let rest = self.octets.get(self.taken..)?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let question = rest.get(..length)?;
        self.taken += 2 + length;
        Some(question)
    }

    /// Reads on; false at the end. To drop this before it is done loses nothing.
    async fn read(&mut self, stream: &mut ReadHalf<'_>) -> io::Result<bool> {
        self.octets.drain(..self.taken);
        self.taken = 0;
        self.octets.reserve(READ_AHEAD);
        Ok(stream.read_buf(&mut self.octets).await? > 0)
    }
}
