//! A whole zone as an answer (AXFR, RFC 5936), message by message.
//!
//! It is made from one snapshot, whatever is edited meanwhile, and each message only when the one before is sent: a zone
//! of any size takes one message of memory. The SOA comes first and last (§2.2). Messages hold 16 KiB, within which
//! every name can be pointed to (RFC 1035 §4.1.4); one record alone may take up to 64 KiB.
//!
//! Who asks for the changes since a serial (IXFR, RFC 1995) gets the same, as §4 allows: versions are not kept.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::dns::message::question::{Question, find_serial};
use crate::dns::message::tsig::Signer;
use crate::dns::message::writer::{Finished, Full, Section, Writer};
use crate::dns::message::{Flags, LONGEST_MESSAGE};
use crate::dns::types::RecordType;
use crate::dns::zone::{Zone, serial_is_raised};
use crate::ground::clock;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;
use crate::services::streams::Replies;

use super::seats::Seat;

/// Octets of a message beyond which no record is begun.
const FULL_ENOUGH: usize = 16 << 10;

/// An answer that is being sent.
#[derive(Debug)]
pub(super) struct Transfer {
    zone: Arc<Zone>,
    question: Question,
    client: SocketAddr,
    signer: Option<Signer>,
    at: Position,
    part: Part,
    records: usize,
    messages: usize,
    octets: usize,
    journal: Journal,
    /// One of the transfers that may be under way.
    _seat: Seat,
}

/// The record that is next.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    node: usize,
    set: usize,
    record: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    FirstSoa,
    Records,
    LastSoa,
    Over,
}

impl Transfer {
    /// Of `zone` to `client`, signed by `signer` if its question was signed.
    pub(super) fn new(
        zone: Arc<Zone>,
        question: Question,
        client: SocketAddr,
        signer: Option<Signer>,
        journal: Journal,
        seat: Seat,
    ) -> Self {
        Self {
            zone,
            question,
            client,
            signer,
            at: Position::default(),
            part: Part::FirstSoa,
            records: 0,
            messages: 0,
            octets: 0,
            journal,
            _seat: seat,
        }
    }

    /// Sends what follows the first message.
    pub(super) async fn send(mut self: Box<Self>, mut replies: Replies) {
        let mut message = Vec::new();
        while self.write(&mut message).is_some() {
            replies.send(&message).await;
            // One who reads as fast as this writes never makes it wait: others have their turn all the same.
            tokio::task::yield_now().await;
        }
        let (origin, client) = (self.zone.origin().to_string(), self.client);
        if self.part != Part::Over {
            self.journal.note(format!(
                "a record of {origin} fits no message: its transfer to {client} is broken off"
            ));
            return replies.break_off();
        }
        self.journal.tell(|| Happened::ZoneSent {
            origin,
            client,
            serial: self.zone.serial(),
            // The first SOA counts, the last one is the same.
            records: self.records + 1,
            messages: self.messages,
            bytes: self.octets,
            key: self.signer.as_ref().map(|signer| signer.key().name.to_string()),
        });
    }

    /// Writes the next message into `reply`; nothing when the zone is complete, or cannot be sent.
    pub(super) fn write(&mut self, reply: &mut Vec<u8>) -> Option<Finished> {
        if self.part == Part::Over {
            return None;
        }
        let first = self.messages == 0;
        let signature = self.signer.as_ref().map_or(0, Signer::longest_signature);
        // What EDNS says is said once (RFC 5936 §2.2.5).
        let edns = self.question.edns.filter(|_| first);
        let limit = LONGEST_MESSAGE - signature;
        let mut writer = Writer::begin(reply, self.question.id, self.question.flags, edns, limit);
        if first {
            writer.question(&self.question.name, self.question.record_type, self.question.class);
        }
        writer.set(Flags::AA);
        // What does not fit begins the next message.
        let _ = self.fill(&mut writer);
        let finished = writer.finish();
        if finished.answers == 0 {
            return None;
        }
        if let Some(signer) = &mut self.signer {
            signer.sign(reply, clock::unix_millis() / 1_000);
        }
        self.messages += 1;
        self.octets += reply.len();
        Some(finished)
    }

    fn fill(&mut self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let zone = self.zone.clone();
        if self.part == Part::FirstSoa {
            self.soa(&zone, writer)?;
            self.part = Part::Records;
        }
        if self.part == Part::Records {
            if !self.records(&zone, writer)? {
                return Ok(());
            }
            self.part = Part::LastSoa;
        }
        self.soa(&zone, writer)?;
        self.part = Part::Over;
        Ok(())
    }

    fn soa(&mut self, zone: &Zone, writer: &mut Writer<'_>) -> Result<(), Full> {
        if let Some(soa) = zone.apex().set(RecordType::SOA) {
            let name = zone.apex().name();
            writer.records_of(Section::Answer, name, RecordType::SOA, soa.ttl(), soa.data())?;
        }
        Ok(())
    }

    /// Writes records from where the last message ended; whether they are all written.
    fn records(&mut self, zone: &Zone, writer: &mut Writer<'_>) -> Result<bool, Full> {
        let start = std::mem::take(&mut self.at);
        for (node_index, node) in zone.nodes().enumerate().skip(start.node) {
            let resumed = node_index == start.node;
            let mut owner = None;
            for (set_index, set) in node.sets().enumerate().skip(if resumed { start.set } else { 0 }) {
                if node_index == 0 && set.record_type() == RecordType::SOA {
                    continue;
                }
                let resumed = resumed && set_index == start.set;
                for (index, data) in set.data().enumerate().skip(if resumed { start.record } else { 0 }) {
                    self.at = Position { node: node_index, set: set_index, record: index };
                    if writer.length() > FULL_ENOUGH {
                        return Ok(false);
                    }
                    let (record_type, ttl, data) = (set.record_type(), set.ttl(), std::iter::once(data));
                    // The root is shorter than a pointer to it.
                    match owner.filter(|_| node.name().len() > 1) {
                        Some(owner) => writer.records_at(Section::Answer, owner, record_type, ttl, data)?,
                        None => {
                            let name = node.name();
                            owner = Some(writer.records_of(Section::Answer, name, record_type, ttl, data)?);
                        }
                    }
                    self.records += 1;
                }
            }
        }
        Ok(true)
    }
}

/// What an IXFR question gets (RFC 1995 §2, §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changes {
    /// It has what there is.
    None,
    /// It has something older.
    Whole,
    /// It does not say what it has.
    Malformed,
}

/// What `message`, an IXFR question for `zone`, gets.
pub(super) fn changes_for(message: &[u8], zone: &Zone) -> Changes {
    match find_serial(message) {
        Some(theirs) if serial_is_raised(theirs, zone.serial()) => Changes::Whole,
        Some(_) => Changes::None,
        None => Changes::Malformed,
    }
}
