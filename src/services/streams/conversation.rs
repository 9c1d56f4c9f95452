//! One connection: questions as they come, answers as they are ready (RFC 7766 §6.2.1.1, §7).
//!
//! All of it runs in one task. Questions that must be waited for run beside each other, up to a bound; beyond it
//! nothing more is read, and the asker's writes wait in turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep_until, timeout};

use super::replies::{Outgoing, Replies};
use super::{IDLE, Respond, Seat};
use crate::ground::clock;

/// Questions of one connection that are waited for at once.
pub(super) const UNDER_WAY_MOST: usize = 64;

/// Octets that are read at once. Memory grows with what comes, not with what a length promises.
const READ_AHEAD: usize = 2048;

/// How long it may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Has `responder` answer what `client` asks over `read`, into `write`, until either of them has enough.
pub(in crate::services) async fn hold<R: Respond>(
    read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
    client: SocketAddr,
    responder: R,
    seat: &Seat,
) {
    let conversation = Conversation { client, responder, seat, outgoing: Arc::default() };
    // Its end, however it comes about, needs no telling: the asker closed, was silent, or left.
    if conversation.answer_all(read, &mut write).await.is_ok() {
        let _ = timeout(GOODBYE, write.shutdown()).await;
    }
}

struct Conversation<'s, R> {
    client: SocketAddr,
    responder: R,
    seat: &'s Seat,
    outgoing: Arc<Outgoing>,
}

impl<R: Respond> Conversation<'_, R> {
    async fn answer_all(
        &self,
        mut read: impl AsyncRead + Unpin,
        write: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut questions = Questions::default();
        let mut under_way = FuturesUnordered::new();
        let (mut writing, mut written) = (Vec::new(), 0);
        // Whether some of what was written may wait here to be sent: TLS seals it first.
        let mut is_held_back = false;
        // Whether nothing more is read: what was asked until then is still answered.
        let mut is_ending = false;
        let patience = sleep_until((clock::now() + IDLE).into());
        tokio::pin!(patience);
        loop {
            while under_way.len() < UNDER_WAY_MOST && self.outgoing.has_room() && !self.outgoing.is_silent() {
                let Some(question) = questions.next() else { break };
                self.seat.asks();
                let replies = Replies::of(self.outgoing.clone());
                under_way.extend(self.responder.respond(question, self.client, replies));
                patience.as_mut().reset((clock::now() + IDLE).into());
            }
            if written == writing.len() {
                (written, _) = (0, writing.clear());
                self.outgoing.take(&mut writing);
            }
            is_ending |= self.outgoing.is_silent();
            let is_writing = !writing.is_empty() || is_held_back;
            let is_answering = is_writing || !under_way.is_empty();
            self.seat.set_answering(is_answering);
            if is_ending && !is_answering {
                return Ok(());
            }
            let may_read = !is_ending && under_way.len() < UNDER_WAY_MOST && self.outgoing.has_room();
            tokio::select! {
                biased;
                count = write_or_flush(write, &writing[written..]), if is_writing => {
                    let count = count?;
                    written += count;
                    is_held_back = count > 0;
                    if written == writing.len() {
                        patience.as_mut().reset((clock::now() + IDLE).into());
                    }
                }
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                () = self.outgoing.filled.notified() => {}
                () = self.seat.to_be_left(), if !is_ending => is_ending = true,
                read = questions.read(&mut read), if may_read => is_ending = !read?,
                // How long an answer takes is for whoever makes it to bound.
                () = &mut patience, if is_writing || under_way.is_empty() => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

/// Writes some of `rest` and says how much; where nothing is left to write, sends what was, and says 0. To drop this before it
/// is done loses nothing.
async fn write_or_flush(write: &mut (impl AsyncWrite + Unpin), rest: &[u8]) -> io::Result<usize> {
    if rest.is_empty() {
        return write.flush().await.map(|()| 0);
    }
    match write.write(rest).await? {
        // A write of nothing is a connection that takes no more.
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
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
    async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        self.octets.drain(..self.taken);
        self.taken = 0;
        self.octets.reserve(READ_AHEAD);
        Ok(stream.read_buf(&mut self.octets).await? > 0)
    }
}
