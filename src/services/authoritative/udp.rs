//! Datagrams: one loop, no task and no allocation per question.
//!
//! Answering costs less than waking a task would, so it is done in place: what is there is received together, answered
//! and sent together, then others have their turn.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answer::answer;
use super::shelf::Shelf;
use super::told;
use crate::dns::message::writer::Finished;
use crate::ground::bind::Transport;
use crate::ground::clock::Stopwatch;
use crate::ground::datagrams::{BATCH, Batch, Datagrams};
use crate::ground::journal::Journal;

/// A pause after an error of the socket, so that one that lasts does not burn the processor.
const BREATH: Duration = Duration::from_millis(10);

/// Answers until `stop`.
pub(super) async fn serve(socket: Datagrams, shelf: Arc<Shelf>, journal: Journal, stop: CancellationToken) {
    let mut turn = Turn { shelf, journal, batch: Batch::new(), finished: [None; BATCH] };
    loop {
        let ready = tokio::select! {
            () = stop.cancelled() => return,
            ready = socket.readable() => ready,
        };
        let served = match ready {
            Ok(()) => turn.serve(&socket).await,
            Err(cause) => Err(cause),
        };
        match served {
            // There may be more: others have their turn first.
            Ok(BATCH) => tokio::task::yield_now().await,
            // Nothing is left: waiting for more gives others their turn.
            Ok(_) => {}
            Err(cause) => {
                turn.journal.note(format!("the UDP socket fails ({cause}); going on"));
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// What it takes to answer a batch of questions.
struct Turn {
    shelf: Arc<Shelf>,
    journal: Journal,
    batch: Batch,
    /// What each answer of the batch became.
    finished: [Option<Finished>; BATCH],
}

impl Turn {
    /// Answers what is there, at most a batch of it; how many questions that were.
    async fn serve(&mut self, socket: &Datagrams) -> io::Result<usize> {
        let count = socket.try_receive_batch(&mut self.batch)?;
        if count == 0 {
            return Ok(0);
        }
        // The questions of a batch came together and their answers leave together: one stopwatch is true for all.
        let watch = Stopwatch::start();
        let zones = self.shelf.snapshot();
        let finished = &mut self.finished;
        self.batch.answer(|index, question, _client, reply| {
            finished[index] = answer(&zones, question, Transport::Udp, reply);
        });
        socket.send_batch(&mut self.batch).await;
        for (index, client, reply) in self.batch.sent() {
            if let Some(finished) = self.finished[index] {
                self.journal.tell(|| told(finished, reply, client, Transport::Udp, watch));
            }
        }
        Ok(count)
    }
}
