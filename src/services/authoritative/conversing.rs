//! Answers over TCP, and over what is like it: one message, or a whole zone.

use std::net::SocketAddr;
use std::sync::Arc;

use super::door::Door;
use super::outgoing::{spoil, told};
use super::transfer::Transfer;
use crate::dns::message::writer::Finished;
use crate::ground::bind::Transport;
use crate::ground::clock::{self, Stopwatch};
use crate::ground::fault;
use crate::ground::journal::Journal;
use crate::services::faults::Faults;
use crate::services::private::Over;
use crate::services::streams::{Replies, Respond};
use crate::services::tally::questions::{Outcome, Tally};

/// Answers to whoever has a connection.
#[derive(Debug, Clone)]
pub(super) struct Conversing {
    pub(super) door: Arc<Door>,
    pub(super) tally: Arc<Tally>,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    pub(super) transport: Transport,
}

impl Over for Conversing {
    fn over(&self, transport: Transport) -> Self {
        Self { transport, ..self.clone() }
    }
}

/// What an answer over TCP has to wait for.
enum Rest {
    /// Nothing: it is sent.
    None,
    /// The messages that follow the first.
    Transfer(Box<Transfer>),
    /// Its time: a fault holds it back so many milliseconds, and it is told when it goes out.
    Late(u64, Vec<u8>, Finished),
}

impl Respond for Conversing {
    fn respond(
        &self,
        question: &[u8],
        client: SocketAddr,
        mut replies: Replies,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let watch = Stopwatch::start();
        let transport = self.transport;
        let mut rest = Rest::None;
        replies.send_now(|reply| {
            let (zones, now) = (self.door.shelf.snapshot(), clock::unix_seconds());
            let answered = self.door.respond(&zones, question, client, transport, now, reply);
            let (mut finished, transfer) = answered.unzip();
            let millis = match (self.faults.now(), &mut finished) {
                (Some(wrong), Some(finished)) => spoil(&wrong, question, transport, reply, finished),
                _ => 0,
            };
            self.tally.count(transport, finished, Outcome::Answered);
            if finished.is_some() {
                self.tally.took(transport, watch, 1);
            }
            rest = match (transfer.flatten(), finished) {
                (None, Some(finished)) if millis > 0 => Rest::Late(millis, std::mem::take(reply), finished),
                (transfer, finished) => {
                    if let Some(finished) = finished {
                        self.journal.tell(|| told(finished, reply, client, transport, watch));
                    }
                    transfer.map_or(Rest::None, Rest::Transfer)
                }
            };
        });
        let rest = match rest {
            Rest::None => return None,
            rest => rest,
        };
        let journal = self.journal.clone();
        Some(async move {
            match rest {
                Rest::Transfer(transfer) => transfer.send(replies).await,
                Rest::Late(millis, reply, finished) => {
                    tokio::time::sleep(fault::wait(millis)).await;
                    journal.tell(|| told(finished, &reply, client, transport, watch));
                    replies.send(&reply).await;
                }
                Rest::None => {}
            }
        })
    }
}
