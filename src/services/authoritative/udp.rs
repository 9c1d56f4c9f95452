//! Datagrams: one loop, no task and no allocation per question.
//!
//! Answering costs less than waking a task would, so it is done in place: what is there is received together, answered
//! and sent together, then others have their turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answer::cut;
use super::door::Door;
use super::late::{self, Late};
use super::limit::{Kind, Network, RateLimit, Verdict};
use super::outgoing::{spoil, told};
use crate::dns::message::writer::Finished;
use crate::ground::bind::Transport;
use crate::ground::clock::{self, Stopwatch};
use crate::ground::datagrams::{BATCH, Batch, Datagrams};
use crate::ground::journal::Journal;
use crate::services::faults::Faults;
use crate::services::tally::questions::{Outcome, Tally};

/// A pause after an error of the socket, so that one that lasts does not burn the processor.
const BREATH: Duration = Duration::from_millis(10);

/// Answers until `stop`.
pub(super) async fn serve(socket: Arc<Datagrams>, mut turn: Turn, stop: CancellationToken) {
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
pub(super) struct Turn {
    door: Arc<Door>,
    tally: Arc<Tally>,
    limit: Option<RateLimit>,
    faults: Faults,
    /// What a fault holds back.
    late: Late,
    journal: Journal,
    batch: Batch,
    /// What each answer of the batch became.
    finished: Vec<Option<Finished>>,
}

impl Turn {
    pub(super) fn new(
        door: Arc<Door>,
        tally: Arc<Tally>,
        limit: Option<RateLimit>,
        faults: Faults,
        journal: Journal,
    ) -> Self {
        let late = Late::default();
        Self { door, tally, limit, faults, late, journal, batch: Batch::new(), finished: vec![None; BATCH] }
    }

    /// Answers what is there, at most a batch of it; how many questions that were.
    async fn serve(&mut self, socket: &Arc<Datagrams>) -> io::Result<usize> {
        let count = socket.try_receive_batch(&mut self.batch)?;
        if count == 0 {
            return Ok(0);
        }
        // The questions of a batch came together and their answers leave together: one stopwatch is true for all.
        let watch = Stopwatch::start();
        let (zones, now) = (self.door.shelf.snapshot(), clock::unix_seconds());
        let Self { door, tally, limit, faults, late, journal, batch, finished } = self;
        let wrong = faults.now();
        let mut held_back = Vec::new();
        let mut answers = 0;
        batch.answer(|index, question, client, reply| {
            let answered = door.respond(&zones, question, client, Transport::Udp, now, reply);
            let mut whole = answered.map(|(finished, _)| finished);
            let millis = match (&wrong, &mut whole) {
                (Some(wrong), Some(whole)) => spoil(wrong, question, Transport::Udp, reply, whole),
                _ => 0,
            };
            let (sent, outcome) = match (&mut *limit, whole) {
                (Some(limit), Some(whole)) => {
                    let verdict = judge(limit, client, reply, whole, watch, journal);
                    within_limit(verdict, question, reply, whole)
                }
                _ => (whole, Outcome::Answered),
            };
            tally.count(Transport::Udp, sent, outcome);
            answers += u64::from(sent.is_some() && outcome != Outcome::Dropped);
            finished[index] = sent;
            if millis > 0
                && !reply.is_empty()
                && let Some(finished) = sent
            {
                let reply = std::mem::take(reply);
                held_back.push(late::Answer { reply, client, finished, millis });
            }
        });
        // Counted before they are sent, so that whoever has an answer finds it counted.
        tally.took(Transport::Udp, watch, answers);
        for answer in held_back {
            late.send(answer, socket.clone(), watch, journal.clone());
        }
        socket.send_batch(batch).await;
        for (index, client, reply) in batch.sent() {
            if let Some(finished) = finished[index] {
                journal.tell(|| told(finished, reply, client, Transport::Udp, watch));
            }
        }
        Ok(count)
    }
}

/// Whether `reply`, which became `whole`, is one too many. The first that is gets its line in the journal.
fn judge(
    limit: &mut RateLimit,
    client: SocketAddr,
    reply: &[u8],
    whole: Finished,
    watch: Stopwatch,
    journal: &Journal,
) -> Verdict {
    let kind = Kind::of(reply, whole);
    let verdict = limit.judge(client.ip(), &kind, whole.knows_asker, watch.started());
    if verdict == (Verdict::Drop { first: true }) {
        let network = Network::of(client.ip());
        let most = limit.per_second();
        journal.note(format!("limits equal answers to {network} to {most} a second: {kind}"));
    }
    verdict
}

/// Does to `reply` what `verdict` says; what it is counted as.
fn within_limit(
    verdict: Verdict,
    question: &[u8],
    reply: &mut Vec<u8>,
    whole: Finished,
) -> (Option<Finished>, Outcome) {
    if verdict == Verdict::Send {
        return (Some(whole), Outcome::Answered);
    }
    if verdict == Verdict::Cut
        && let Some(cut) = cut(question, reply)
    {
        return (Some(cut), Outcome::Cut);
    }
    reply.clear();
    (Some(whole), Outcome::Dropped)
}
