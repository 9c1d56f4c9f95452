//! Datagrams: one loop, no task and no allocation per question.
//!
//! Answering costs less than waking a task would, so it is done in place; a burst is read to its end or to a
//! batch, then others have their turn.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Jar;
use super::answer::answer;
use super::shelf::Shelf;
use super::told;
use crate::ground::bind::Transport;
use crate::ground::clock::{self, Stopwatch};
use crate::ground::datagrams::Datagrams;
use crate::ground::journal::Journal;

/// Questions that are answered in one turn.
const BATCH: usize = 64;

/// The longest question that is read, in octets; a longer one is cut, and so not readable.
const LONGEST_QUESTION: usize = 4096;

/// A pause after an error of the socket, so that one that lasts does not burn the processor.
const BREATH: Duration = Duration::from_millis(10);

/// Answers until `stop`.
pub(super) async fn serve(
    socket: Datagrams,
    shelf: Arc<Shelf>,
    jar: Jar,
    journal: Journal,
    stop: CancellationToken,
) {
    let mut question = vec![0; LONGEST_QUESTION];
    let mut reply = Vec::with_capacity(2048);
    loop {
        let ready = tokio::select! {
            () = stop.cancelled() => return,
            ready = socket.readable() => ready,
        };
        let served = match ready {
            Ok(()) => serve_batch(&socket, &shelf, jar, &journal, &mut question, &mut reply).await,
            Err(cause) => Err(cause),
        };
        match served {
            // There is more: others have their turn first.
            Ok(true) => tokio::task::yield_now().await,
            // Nothing is left: waiting for more gives others their turn.
            Ok(false) => {}
            Err(cause) => {
                journal.note(format!("the UDP socket fails ({cause}); going on"));
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Answers what is there, at most a batch of it; whether there may be more.
async fn serve_batch(
    socket: &Datagrams,
    shelf: &Shelf,
    jar: Jar,
    journal: &Journal,
    question: &mut [u8],
    reply: &mut Vec<u8>,
) -> io::Result<bool> {
    let (zones, now) = (shelf.snapshot(), clock::unix_seconds());
    for _ in 0..BATCH {
        let (length, client) = match socket.try_receive(question) {
            Ok(received) => received,
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(cause) => return Err(cause),
        };
        let watch = Stopwatch::start();
        let arrival = jar.arrival(Transport::Udp, client.address, now);
        let Some(finished) = answer(&zones, &question[..length], arrival, reply) else {
            continue;
        };
        // An answer that cannot be sent is lost, as datagrams are: its asker asks again.
        if socket.send(reply, client).await.is_ok() {
            journal.tell(|| told(finished, reply, client.address, Transport::Udp, watch));
        }
    }
    Ok(true)
}
