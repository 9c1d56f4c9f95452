//! Answers over UDP that a fault holds back, each sent when its time has come.
//!
//! It stands apart from the loop that answers, which never waits: that one costs nothing for this while no fault is laid.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::outgoing::told;
use crate::dns::message::writer::Finished;
use crate::ground::bind::Transport;
use crate::ground::clock::Stopwatch;
use crate::ground::datagrams::{Datagrams, Sender};
use crate::ground::fault;
use crate::ground::journal::Journal;

/// Answers that are held back at a time; one more is lost, as datagrams are.
const LATE_MOST: usize = 1024;

/// What is held back. It ends with whoever holds it.
#[derive(Debug, Default)]
pub(super) struct Late(JoinSet<()>);

/// One answer.
pub(super) struct Answer {
    pub(super) reply: Vec<u8>,
    pub(super) client: SocketAddr,
    pub(super) finished: Finished,
    /// How long it is held back, in milliseconds.
    pub(super) millis: u64,
}

impl Late {
    /// Sends `answer` to a question that came with `watch` by `socket` when its time has come, and tells it then.
    pub(super) fn send(
        &mut self,
        answer: Answer,
        socket: Arc<Datagrams>,
        watch: Stopwatch,
        journal: Journal,
    ) {
        while self.0.try_join_next().is_some() {}
        if self.0.len() >= LATE_MOST {
            return;
        }
        self.0.spawn(async move {
            let Answer { reply, client, finished, millis } = answer;
            tokio::time::sleep(fault::wait(millis)).await;
            if socket.send(&reply, Sender::at(client)).await.is_ok() {
                journal.tell(|| told(finished, &reply, client, Transport::Udp, watch));
            }
        });
    }
}
