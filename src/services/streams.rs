//! DNS over streams (RFC 7766), for the name servers and the resolver.
//!
//! At most 256 connections are open, of one client at most half of them; one more ends the one that has been silent
//! longest (the client's own, where it is the client that has too many), so that idle ones cannot keep others out
//! (RFC 7766 §6.2.2, §6.2.3). When all of them wait for an answer, the newcomer is turned away.
//!
//! - `conversation`: one connection, from its first question to its end.
//! - `replies`: where answers wait to be written, each behind its length.

mod conversation;
mod replies;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::faults::{Active, Faults, Watch};
use crate::ground::fault::{DnsWrong, Wrong};
use crate::ground::listeners::{Accepted, Listeners};
use crate::ground::service::{Closed, DRAIN};
use crate::services::tally::connections::Connections;
use conversation::Conversation;
pub(super) use replies::Replies;

/// Connections that are open at once.
const CONNECTIONS_MOST: usize = 256;

/// Connections of one address that are open at once. A lab on loopback has all its clients at one address, and they
/// must not notice this; another address must still find room.
const CONNECTIONS_OF_ONE_MOST: usize = CONNECTIONS_MOST / 2;

/// How long a connection may be silent, or slow to take an answer: in tenths of a second, as the keepalive option
/// tells it (RFC 7828 §3.1).
pub(super) const IDLE_TENTHS: u16 = 100;
const IDLE: Duration = Duration::from_millis(IDLE_TENTHS as u64 * 100);

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

/// One open connection, as the listener knows it.
struct Open {
    client: IpAddr,
    /// When it last asked, counted in questions of all connections.
    last_asked: AtomicU64,
    /// Whether an answer is being made or sent.
    answering: AtomicBool,
    end: CancellationToken,
}

/// Accepts and answers until `stop`, then lets open answers finish.
pub(super) async fn serve(
    mut listeners: Listeners,
    responder: impl Respond,
    counted: Arc<Connections>,
    faults: Faults,
    stop: CancellationToken,
) -> Closed {
    let turn = Arc::new(AtomicU64::new(0));
    let mut wrong = faults.watch();
    let mut open: Vec<Arc<Open>> = Vec::new();
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = conversations.join_next() => {
                open.retain(|connection| !connection.end.is_cancelled());
                counted.open(open.len());
                continue;
            }
            accepted = listeners.accept() => accepted,
            () = wrong.until(true, is_closed) => match closed(listeners, &mut wrong, &stop).await {
                Some(again) => {
                    listeners = again;
                    continue;
                }
                None => {
                    listeners = Listeners::new(Vec::new());
                    break;
                }
            },
        };
        let Ok(Accepted { stream, client, .. }) = accepted else {
            sleep(BREATH).await;
            continue;
        };
        if !make_room(&mut open, client.ip()) {
            continue;
        }
        let connection = Arc::new(Open {
            client: client.ip(),
            last_asked: AtomicU64::new(turn.fetch_add(1, Ordering::Relaxed)),
            answering: AtomicBool::new(false),
            end: stop.child_token(),
        });
        open.push(connection.clone());
        counted.accepted();
        counted.open(open.len());
        let conversation = Conversation::new(client, responder.clone(), turn.clone(), connection);
        conversations.spawn(conversation.hold(stream));
    }
    drop(listeners);
    let drained = timeout(DRAIN, async { while conversations.join_next().await.is_some() {} }).await;
    let cut = if drained.is_ok() { 0 } else { conversations.len() };
    conversations.shutdown().await;
    Closed { cut }
}

/// Whether the port is to be closed.
fn is_closed(active: &Active) -> bool {
    active.has(Wrong::Dns(DnsWrong::NoTcp))
}

/// Closes the port, as the operating system does it, until that is no longer wrong; nothing if the service is to stop before.
async fn closed(listeners: Listeners, wrong: &mut Watch, stop: &CancellationToken) -> Option<Listeners> {
    let addresses = listeners.addresses();
    drop(listeners);
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = wrong.until(false, is_closed) => {}
        }
        match Listeners::bind(&addresses) {
            Ok(listeners) => return Some(listeners),
            // A stranger has taken the port meanwhile: it is had again when the stranger is gone.
            Err(_) => sleep(BREATH).await,
        }
    }
}

/// Makes room for one more connection of `client`, at the cost of the one that has been silent longest; false if that
/// cannot be.
fn make_room(open: &mut Vec<Arc<Open>>, client: IpAddr) -> bool {
    let of_client = open.iter().filter(|connection| connection.client == client).count();
    if of_client >= CONNECTIONS_OF_ONE_MOST {
        return end_the_most_silent(open, |connection| connection.client == client);
    }
    open.len() < CONNECTIONS_MOST || end_the_most_silent(open, |_| true)
}

/// Ends the connection that has been silent longest, of those that may be `chosen`; false if none is silent.
fn end_the_most_silent(open: &mut Vec<Arc<Open>>, chosen: impl Fn(&Open) -> bool) -> bool {
    let silent = open
        .iter()
        .enumerate()
        .filter(|(_, connection)| chosen(connection) && !connection.answering.load(Ordering::Relaxed));
    let Some((index, connection)) =
        silent.min_by_key(|(_, connection)| connection.last_asked.load(Ordering::Relaxed))
    else {
        return false;
    };
    connection.end.cancel();
    open.swap_remove(index);
    true
}

#[cfg(test)]
mod tests;
