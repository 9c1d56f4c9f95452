//! Who asks, and for what: the step before a question is answered.
//!
//! Most questions are anybody's and go straight to [`answer`]. Here stands what is not: signed messages (RFC 8945), whole
//! zones for those who may have them (RFC 5936, RFC 1995), word from a primary (RFC 1996), and changes over the network
//! (RFC 2136), which a lab that is edited in files refuses.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Notify;

use super::access::{Allowed, Peer};
use super::answer::{self, Arrival, INVALID_DATA};
use super::cookies::Jar;
use super::seats::Seats;
use super::shelf::Shelf;
use super::transfer::{Changes, Transfer, changes_for};
use super::zones::{Served, ZoneSet};
use crate::dns::message::Flags;
use crate::dns::message::question::{self, Question, Wanted};
use crate::dns::message::tsig::{self, Key, Refused, Signer};
use crate::dns::message::writer::{ExtendedError, Finished, Section, Writer};
use crate::dns::name::Name;
use crate::dns::types::{Class, Rcode, RecordType};
use crate::ground::bind::Transport;
use crate::ground::clock;
use crate::ground::journal::Journal;

/// Octets of the longest signature, whatever its key is called.
const LONGEST_SIGNATURE: usize = 384;

/// Not for everybody (RFC 8914 §4.19).
const NOT_FOR_YOU: ExtendedError<'_> =
    ExtendedError { code: 18, text: "this zone is not for you: see transfer_to under [dns] in lab.toml" };

/// The word of anybody else changes nothing (RFC 8914 §4.19).
const NOT_THE_PRIMARY: ExtendedError<'_> =
    ExtendedError { code: 18, text: "only the zone's primary may say that it changed" };

/// Nothing to follow here (RFC 8914 §4.21).
const NO_SECONDARY: ExtendedError<'_> =
    ExtendedError { code: 20, text: "this server follows no primary for that zone" };

/// No zone of that name begins here (RFC 8914 §4.21).
const NO_APEX: ExtendedError<'_> = ExtendedError { code: 20, text: "no zone of this server has that apex" };

/// Later (RFC 8914 §4.15).
const BUSY: ExtendedError<'_> = ExtendedError { code: 14, text: "too many zones are being sent: ask again" };

/// What stands between the sockets and the answers.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) shelf: Arc<Shelf>,
    jar: Jar,
    keys: Vec<Arc<Key>>,
    transfer_to: Vec<Allowed>,
    seats: Seats,
    followed: Vec<Followed>,
    journal: Journal,
}

/// A zone that is copied from its primary.
#[derive(Debug, Clone)]
pub(super) struct Followed {
    pub(super) origin: Name,
    pub(super) primary: Peer,
    /// Told when the primary says that the zone changed.
    pub(super) changed: Arc<Notify>,
}

/// A message that came, and from whom.
struct Came<'m> {
    message: &'m [u8],
    question: &'m Question,
    client: SocketAddr,
    arrival: Arrival,
}

impl Door {
    pub(super) fn new(
        shelf: Arc<Shelf>,
        jar: Jar,
        keys: Vec<Arc<Key>>,
        transfer_to: Vec<Allowed>,
        seats: Seats,
        followed: Vec<Followed>,
        journal: Journal,
    ) -> Self {
        Self { shelf, jar, keys, transfer_to, seats, followed, journal }
    }

    /// Answers `message` from `zones` into `reply`, and says what it became, with what follows a first message; nothing
    /// where silence is the answer. `now` is in seconds since 1970, modulo 2³².
    pub(super) fn respond(
        &self,
        zones: &ZoneSet,
        message: &[u8],
        client: SocketAddr,
        transport: Transport,
        now: u32,
        reply: &mut Vec<u8>,
    ) -> Option<(Finished, Option<Box<Transfer>>)> {
        let arrival = self.jar.arrival(transport, client, now);
        let question = match question::read(message) {
            Ok(question) => question,
            Err(unanswerable) => {
                return Some((answer::answer_unanswerable(unanswerable, arrival, reply)?, None));
            }
        };
        let is_transfer = matches!(question.record_type, RecordType::AXFR | RecordType::IXFR);
        if question.wanted() == Wanted::Query && question.signature.is_none() && !is_transfer {
            return Some((answer::answer_question(zones, &question, arrival, 0, reply), None));
        }
        // A signature proves more than a cookie does.
        if question.signature.is_none()
            && let Some(finished) = answer::answer_unproven(&question, arrival, reply)
        {
            return Some((finished, None));
        }
        let came = Came { message, question: &question, client, arrival };
        let now = clock::unix_millis() / 1_000;
        let checked =
            question.signature.map(|start| tsig::check_question(&self.keys, message, start, now)).transpose();
        let mut signer = match checked {
            Ok(signer) => signer,
            Err(refused) => return Some((refuse_signature(refused, &came, now, reply), None)),
        };
        let finished = match question.wanted() {
            Wanted::Query if is_transfer && question.class == Class::IN => {
                match self.transfer(zones, &came, signer, reply) {
                    Sent::Begun(finished, transfer) => return Some((finished, Some(transfer))),
                    Sent::Whole(finished, back) => {
                        signer = back;
                        finished
                    }
                }
            }
            Wanted::Query => {
                let reserved = signer.as_ref().map_or(0, Signer::longest_signature);
                answer::answer_question(zones, &question, arrival, reserved, reply)
            }
            Wanted::Notify => self.hear_notify(&came, signer.as_ref(), reply),
            Wanted::Update => self.refuse_update(zones, &came, reply),
        };
        if let Some(signer) = &mut signer {
            signer.sign(reply, now);
        }
        Some((finished, None))
    }

    fn transfer(
        &self,
        zones: &ZoneSet,
        came: &Came<'_>,
        signer: Option<Signer>,
        reply: &mut Vec<u8>,
    ) -> Sent {
        let Came { message, question, client, arrival: Arrival { transport, .. } } = *came;
        let refuse = |rcode, why, reply: &mut Vec<u8>| short(came, rcode, why, reply);
        if question.edns.is_some_and(|edns| edns.version != 0) {
            return Sent::Whole(refuse(Rcode::BADVERS, None, reply), signer);
        }
        let zone = match zones.get(&question.name) {
            Some(Served::Zone(zone)) => zone,
            Some(Served::Broken) => {
                return Sent::Whole(refuse(Rcode::SERVFAIL, Some(INVALID_DATA), reply), signer);
            }
            None => return Sent::Whole(refuse(Rcode::NOTAUTH, Some(NO_APEX), reply), signer),
        };
        let key = signer.as_ref().map(|signer| &signer.key().name);
        if !self.transfer_to.iter().any(|allowed| allowed.lets_in(client.ip(), key)) {
            return Sent::Whole(refuse(Rcode::REFUSED, Some(NOT_FOR_YOU), reply), signer);
        }
        // A zone has no place in a datagram: AXFR is not asked so (RFC 5936 §4.2); IXFR is, and the SOA then says
        // whether to ask again over TCP (RFC 1995 §2).
        let current = match (question.record_type, transport) {
            (RecordType::AXFR, Transport::Udp) => {
                return Sent::Whole(refuse(Rcode::FORMERR, None, reply), signer);
            }
            (RecordType::AXFR, _) => false,
            (_, transport) => match changes_for(message, zone) {
                Changes::Malformed => return Sent::Whole(refuse(Rcode::FORMERR, None, reply), signer),
                Changes::None => true,
                Changes::Whole => transport == Transport::Udp,
            },
        };
        if current {
            let mut writer = begin(came, transport, reply);
            writer.set(Flags::AA);
            if let Some(soa) = zone.apex().set(RecordType::SOA) {
                let name = zone.apex().name();
                if writer.records_of(Section::Answer, name, RecordType::SOA, soa.ttl(), soa.data()).is_err() {
                    writer.set(Flags::TC);
                }
            }
            return Sent::Whole(writer.finish(), signer);
        }
        let Some(seat) = self.seats.take(client.ip()) else {
            return Sent::Whole(refuse(Rcode::SERVFAIL, Some(BUSY), reply), signer);
        };
        let journal = self.journal.clone();
        let mut transfer = Transfer::new(zone.clone(), question.clone(), client, signer, journal, seat);
        match transfer.write(reply) {
            Some(finished) => Sent::Begun(finished, Box::new(transfer)),
            // Its SOA alone fits any message.
            None => Sent::Whole(refuse(Rcode::SERVFAIL, None, reply), None),
        }
    }

    /// RFC 1996 §3.10, §3.11.
    fn hear_notify(&self, came: &Came<'_>, signer: Option<&Signer>, reply: &mut Vec<u8>) -> Finished {
        if came.question.class != Class::IN {
            return short(came, Rcode::NOTAUTH, Some(NO_SECONDARY), reply);
        }
        // Nothing else is told so (§3.7).
        if came.question.record_type != RecordType::SOA {
            return short(came, Rcode::FORMERR, None, reply);
        }
        let Some(followed) = self.followed.iter().find(|followed| followed.origin == came.question.name)
        else {
            return short(came, Rcode::NOTAUTH, Some(NO_SECONDARY), reply);
        };
        let primary = &followed.primary;
        let from_it = primary.address.ip().to_canonical() == came.client.ip().to_canonical();
        let signed_by_it =
            primary.key.as_ref().is_none_or(|key| signer.is_some_and(|by| by.key().name == *key));
        if !from_it || !signed_by_it {
            return short(came, Rcode::REFUSED, Some(NOT_THE_PRIMARY), reply);
        }
        followed.changed.notify_one();
        let mut writer = begin(came, came.arrival.transport, reply);
        writer.set(Flags::AA);
        writer.finish()
    }

    fn refuse_update(&self, zones: &ZoneSet, came: &Came<'_>, reply: &mut Vec<u8>) -> Finished {
        if zones.get(&came.question.name).is_none() {
            return short(came, Rcode::NOTAUTH, Some(NO_APEX), reply);
        }
        let followed = self.followed.iter().find(|followed| followed.origin == came.question.name);
        let text = match (followed, self.shelf.file_of(&came.question.name)) {
            (Some(followed), _) => {
                format!("this is a copy: zones change at their primary, {}", followed.primary.address)
            }
            (None, Some(file)) => format!(
                "zones change by their files: edit {}, or switch to another with `wwwlab zone use`",
                file.display()
            ),
            (None, None) => "zones change by their files".to_owned(),
        };
        self.journal.note(format!(
            "{} wants to change {} over the network: refused; {text}",
            came.client, came.question.name
        ));
        short(came, Rcode::REFUSED, Some(ExtendedError { code: 18, text: &text }), reply)
    }
}

/// What a question for a zone got.
enum Sent {
    /// One message, not signed yet.
    Whole(Finished, Option<Signer>),
    /// The first message of the zone.
    Begun(Finished, Box<Transfer>),
}

fn begin<'b>(came: &Came<'_>, transport: Transport, reply: &'b mut Vec<u8>) -> Writer<'b> {
    let question = came.question;
    let reserved = if question.signature.is_some() { LONGEST_SIGNATURE } else { 0 };
    let limit = answer::longest_answer(question, transport).saturating_sub(reserved);
    let mut writer = Writer::begin(reply, question.id, question.flags, question.edns, limit);
    writer.question(&question.name, question.record_type, question.class);
    if question.edns.is_some_and(|edns| edns.version == 0) {
        answer::give_cookie(&mut writer, question.edns, came.arrival);
    }
    writer
}

/// An answer without records, short enough for any transport.
fn short<'b>(
    came: &Came<'_>,
    rcode: Rcode,
    why: Option<ExtendedError<'b>>,
    reply: &'b mut Vec<u8>,
) -> Finished {
    let mut writer = begin(came, Transport::Udp, reply);
    writer.set_rcode(rcode);
    why.into_iter().for_each(|why| writer.explain(why));
    writer.finish()
}

/// RFC 8945 §5.2.
fn refuse_signature(refused: Refused, came: &Came<'_>, now: u64, reply: &mut Vec<u8>) -> Finished {
    match refused {
        Refused::Malformed => short(came, Rcode::FORMERR, None, reply),
        Refused::Unknown(fault) => {
            let finished = short(came, Rcode::NOTAUTH, None, reply);
            if let Some(start) = came.question.signature {
                tsig::append_fault(reply, came.message, start, fault);
            }
            finished
        }
        Refused::Faulty(fault, mut signer) => {
            let finished = short(came, Rcode::NOTAUTH, None, reply);
            signer.sign_fault(reply, now, fault);
            finished
        }
    }
}
