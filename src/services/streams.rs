//! DNS over streams (RFC 7766), for the name servers and the resolver.
//!
//! - `room`: how many connections there may be, and who has to go when there are too many.
//! - `conversation`: one connection, from its first question to its end.
//! - `replies`: where answers wait to be written, each behind its length.

mod conversation;
mod replies;
mod room;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::faults::Active;
use super::faults::gate::{Arrival, Gate};
use crate::ground::fault::{DnsWrong, Wrong};
use crate::ground::service::{Closed, DRAIN};

pub(super) use conversation::hold;
use replies::Outgoing;
pub(super) use replies::Replies;
#[cfg(test)]
pub(super) use room::CONNECTIONS_OF_ONE_MOST;
pub(super) use room::{Asking, Room, Seat};

/// How long a connection may be silent, or slow to take an answer: in tenths of a second, as the keepalive option
/// tells it (RFC 7828 §3.1).
pub(super) const IDLE_TENTHS: u16 = 100;
pub(super) const IDLE: Duration = Duration::from_millis(IDLE_TENTHS as u64 * 100);

/// A pause when no connection can be accepted (no descriptors left), so that this does not burn the processor.
const BREATH: Duration = Duration::from_millis(50);

/// Who answers.
pub(super) trait Respond: Clone + Send + Sync + 'static {
    /// Answers `question` into `replies`: with one message, or with several in their order (a zone transfer, RFC 5936
    /// §2.2); without any, silence is the answer, which ends the connection.
    ///
    /// What can be answered without waiting is answered before this returns, and costs neither a task nor an
    /// allocation. Otherwise the rest is in what it returns, which runs beside that of other questions.
    fn respond(
        &self,
        question: &[u8],
        client: SocketAddr,
        replies: Replies,
    ) -> Option<impl Future<Output = ()> + Send + use<Self>>;
}

/// What becomes of a connection: what is spoken over it, to its end.
pub(super) trait Hold: Clone + Send + Sync + 'static {
    /// Holds the connection that has come in, which sits at `seat` for as long.
    fn hold(&self, arrival: Arrival, seat: Seat) -> impl Future<Output = ()> + Send + 'static;
}

/// DNS over TCP as it is, answered by this.
#[derive(Debug, Clone)]
pub(super) struct Plain<R>(pub(super) R);

impl<R: Respond> Hold for Plain<R> {
    fn hold(&self, arrival: Arrival, seat: Seat) -> impl Future<Output = ()> + Send + 'static {
        let responder = self.0.clone();
        let Arrival { stream, client, .. } = arrival;
        async move {
            let (read, write) = tokio::io::split(stream);
            hold(read, write, client, responder, &seat).await;
        }
    }
}

/// Writes the messages that answer `question` into `write`, each behind its length, as it takes them, none slower than [`IDLE`];
/// says whether there was one. For transports that have a place of its own for each question.
pub(super) async fn answer(
    responder: &impl Respond,
    question: &[u8],
    client: SocketAddr,
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<bool> {
    let outgoing = Arc::<Outgoing>::default();
    let rest = responder.respond(question, client, Replies::of(outgoing.clone()));
    let mut rest = pin!(async {
        if let Some(rest) = rest {
            rest.await;
        }
    });
    let (mut is_done, mut is_answered) = (false, false);
    let mut writing = Vec::new();
    while !is_done {
        tokio::select! {
            biased;
            () = &mut rest => is_done = true,
            () = outgoing.filled.notified() => {}
        }
        writing.clear();
        outgoing.take(&mut writing);
        is_answered |= !writing.is_empty();
        // Who asks and takes nothing, but stays awake, would have its place for ever.
        timeout(IDLE, write.write_all(&writing)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    }
    // Silence after a part is to be no end in order.
    Ok(is_answered && !outgoing.is_silent())
}

/// Accepts and answers until `stop`, then lets open answers finish.
pub(super) async fn serve(
    mut gate: Gate,
    holder: impl Hold,
    room: Arc<Room>,
    stop: CancellationToken,
) -> Closed {
    let mut conversations = JoinSet::new();
    loop {
        let arrived = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = conversations.join_next() => continue,
            arrived = gate.accept() => arrived,
        };
        let Ok(arrival) = arrived else {
            sleep(BREATH).await;
            continue;
        };
        if let Some(seat) = room.seat(arrival.client.ip(), &stop) {
            conversations.spawn(holder.hold(arrival, seat));
        }
    }
    drop(gate);
    let drained = timeout(DRAIN, async { while conversations.join_next().await.is_some() {} }).await;
    let cut = if drained.is_ok() { 0 } else { conversations.len() };
    conversations.shutdown().await;
    Closed { cut }
}

/// Whether the port of DNS over TCP is to be closed.
pub(super) fn is_closed(active: &Active) -> bool {
    active.is_refused() || active.has(Wrong::Dns(DnsWrong::NoTcp))
}

#[cfg(test)]
mod tests;
