//! An answer on its way out, over whatever transport: what a fault does to it, and what the journal is told of it.

use std::net::SocketAddr;

use crate::dns::message::asked;
use crate::dns::message::writer::Finished;
use crate::ground::bind::Transport;
use crate::ground::clock::Stopwatch;
use crate::ground::event::Happened;
use crate::services::faults::{self, Active};

/// Does to the answer to `question` what is wrong with it, and says so in what it became; how many milliseconds it is to be
/// held back.
pub(super) fn spoil(
    wrong: &Active,
    question: &[u8],
    transport: Transport,
    reply: &mut Vec<u8>,
    finished: &mut Finished,
) -> u64 {
    let struck = faults::dns::strikes(wrong, question);
    if struck.is_empty() {
        return 0;
    }
    faults::dns::spoil(&struck, transport, reply);
    if let Some((rcode, flags, answers)) = faults::dns::became(reply) {
        // The header has the lower bits of a response code alone.
        if rcode.0 != finished.rcode.0 & 0xF {
            finished.rcode = rcode;
        }
        (finished.flags, finished.answers) = (flags, answers);
    }
    faults::dns::delay(&struck)
}

/// What the journal is told of an answer. What was asked stands in the answer itself; a question that could not be
/// read does not.
pub(super) fn told(
    finished: Finished,
    reply: &[u8],
    client: SocketAddr,
    transport: Transport,
    watch: Stopwatch,
) -> Happened {
    let micros = watch.micros();
    let (name, record_type) = asked::question_of(reply).map_or_else(
        || ("?".to_owned(), "?".to_owned()),
        |(name, record_type)| (name.to_string(), record_type.to_string()),
    );
    Happened::Question {
        client,
        transport,
        id: reply.first_chunk().map_or(0, |id| u16::from_be_bytes(*id)),
        name,
        record_type,
        class: finished.asked.map_or_else(|| "?".to_owned(), |(_, class)| class.to_string()),
        rcode: finished.rcode.to_string(),
        flags: finished.flags.to_string(),
        answers: finished.answers,
        bytes: Some(reply.len()),
        micros,
        cached: None,
        walk: None,
    }
}
