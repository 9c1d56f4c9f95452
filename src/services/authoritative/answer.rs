//! What the server answers: one pure function from zones and a question to a message.
//!
//! The algorithm is RFC 1034 §4.3.2, with negative answers (RFC 2308), wildcards (RFC 4592), DNAME (RFC 6672), EDNS
//! (RFC 6891), minimal answers to ANY (RFC 8482), referrals with their glue (RFC 9471), what a chain of aliases ends
//! with (RFC 6604), and for whoever asks with DO the signatures and proofs that the zone has (RFC 4035 §3.1).

use crate::dns::message::question::{self, Edns, Question, Unanswerable, Wanted};
use crate::dns::message::writer::{ExtendedError, Finished, Writer};
use crate::dns::message::{Flags, LONGEST_MESSAGE, LONGEST_PLAIN_UDP, LONGEST_UDP};
use crate::dns::types::{Class, Rcode, RecordType};
use crate::ground::bind::Transport;

use super::about;
use super::cookies::{Counter, Policy, Verdict};
use super::zones::ZoneSet;
use crate::services::streams::IDLE_TENTHS;
pub(super) use lookup::INVALID_DATA;
use lookup::Lookup;

/// The question is not for everybody (RFC 8914 §4.19).
const PROHIBITED: ExtendedError<'_> =
    ExtendedError { code: 18, text: "a whole zone is not an answer: a server sends it over TCP" };

/// The question is of a kind that is not answered at all (RFC 8914 §4.22).
const NOT_SUPPORTED: ExtendedError<'_> =
    ExtendedError { code: 21, text: "this type or class is not answered" };

/// How a question came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// By datagram or stream.
    pub transport: Transport,
    /// What its cookie is judged by; without it, cookies are passed over.
    pub cookies: Option<Counter>,
}

impl From<Transport> for Arrival {
    fn from(transport: Transport) -> Self {
        Self { transport, cookies: None }
    }
}

/// Answers `query` into `reply`, and says what the answer became; nothing where silence is the answer, and `reply`
/// is then empty.
pub fn answer(
    zones: &ZoneSet,
    query: &[u8],
    arrival: impl Into<Arrival>,
    reply: &mut Vec<u8>,
) -> Option<Finished> {
    match question::read(query) {
        Ok(question) => Some(answer_question(zones, &question, arrival.into(), 0, reply)),
        Err(unanswerable) => answer_unanswerable(unanswerable, arrival.into(), reply),
    }
}

/// Answers what is no question.
pub(super) fn answer_unanswerable(
    unanswerable: Unanswerable,
    arrival: Arrival,
    reply: &mut Vec<u8>,
) -> Option<Finished> {
    match unanswerable {
        Unanswerable::Silence => {
            reply.clear();
            None
        }
        Unanswerable::Malformed { id, flags } => Some(answer_head(id, flags, Rcode::FORMERR, reply)),
        Unanswerable::OnlyCookie { id, flags, edns } => Some(answer_cookie(id, flags, edns, arrival, reply)),
        Unanswerable::OtherOpcode { id, flags } => Some(answer_head(id, flags, Rcode::NOTIMP, reply)),
    }
}

/// Answers `question`, and leaves room for `reserved` octets behind the answer.
pub(super) fn answer_question(
    zones: &ZoneSet,
    question: &Question,
    arrival: Arrival,
    reserved: usize,
    reply: &mut Vec<u8>,
) -> Finished {
    let limit = longest_answer(question, arrival.transport).saturating_sub(reserved);
    let mut writer = Writer::begin(reply, question.id, question.flags, question.edns, limit);
    writer.question(&question.name, question.record_type, question.class);
    writer.nsid(zones.identity().as_bytes());
    // How long a connection may be silent; HTTP and QUIC say that themselves (RFC 9250 §5.5.2).
    if matches!(arrival.transport, Transport::Tcp | Transport::Tls) {
        writer.keepalive(IDLE_TENTHS);
    }
    let speaks_ours = question.edns.is_none_or(|edns| edns.version == 0);
    let unproven = if speaks_ours { unproven(&mut writer, question.edns, arrival) } else { None };
    match unproven.or_else(|| refusal(question)) {
        Some((rcode, why)) => {
            writer.set_rcode(rcode);
            why.into_iter().for_each(|why| writer.explain(why));
        }
        None if question.class == Class::CH => {
            about::answer(&mut writer, &question.name, question.record_type, zones.identity());
        }
        None => {
            let signed = question.edns.is_some_and(|edns| edns.dnssec);
            Lookup::new(zones, question.record_type, signed, &mut writer).answer(&question.name);
        }
    }
    writer.finish()
}

/// The answer to `query` without its records, so that the asker comes again by TCP; nothing if the question cannot
/// be read.
pub(super) fn cut(query: &[u8], reply: &mut Vec<u8>) -> Option<Finished> {
    let question = question::read(query).ok()?;
    let mut writer = Writer::begin(reply, question.id, question.flags, question.edns, LONGEST_PLAIN_UDP);
    writer.question(&question.name, question.record_type, question.class);
    writer.set(Flags::TC);
    Some(writer.finish())
}

/// The answer to who has to prove its address first, whatever it wants; nothing if it has, or need not.
pub(super) fn answer_unproven(
    question: &Question,
    arrival: Arrival,
    reply: &mut Vec<u8>,
) -> Option<Finished> {
    let cookie = question.edns.and_then(|edns| edns.cookie);
    if arrival.cookies?.judge(cookie.as_ref(), arrival.transport).verdict == Verdict::Answered {
        return None;
    }
    let limit = longest_answer(question, arrival.transport);
    let mut writer = Writer::begin(reply, question.id, question.flags, question.edns, limit);
    writer.question(&question.name, question.record_type, question.class);
    if let Some((rcode, _)) = unproven(&mut writer, question.edns, arrival) {
        writer.set_rcode(rcode);
    }
    Some(writer.finish())
}

/// Gives a cookie to whoever showed one; what the question is worth by it.
pub(super) fn give_cookie(writer: &mut Writer<'_>, edns: Option<Edns>, arrival: Arrival) -> Option<Verdict> {
    let cookie = edns.and_then(|edns| edns.cookie);
    let judged = arrival.cookies?.judge(cookie.as_ref(), arrival.transport);
    if let Some(given) = judged.given {
        writer.cookie(given, judged.is_good);
    }
    Some(judged.verdict)
}

/// Gives a cookie to whoever showed one. What keeps the question from being answered, if anything does: with NOERROR
/// the answer is cut, so that it is asked again over TCP.
fn unproven(writer: &mut Writer<'_>, edns: Option<Edns>, arrival: Arrival) -> Option<Refusal> {
    match give_cookie(writer, edns, arrival)? {
        Verdict::Answered => None,
        Verdict::BadCookie => Some((Rcode::BADCOOKIE, None)),
        Verdict::OverTcp => {
            writer.set(Flags::TC);
            Some((Rcode::NOERROR, None))
        }
    }
}

/// An answer to nothing but a cookie (RFC 7873 §5.4): NOERROR if it is new or good, BADCOOKIE if it is neither.
fn answer_cookie(id: u16, flags: Flags, edns: Edns, arrival: Arrival, reply: &mut Vec<u8>) -> Finished {
    let Some(counter) = arrival.cookies.filter(|counter| counter.policy != Policy::Off) else {
        return answer_head(id, flags, Rcode::FORMERR, reply);
    };
    let mut writer = Writer::begin(reply, id, flags, Some(edns), LONGEST_PLAIN_UDP);
    if edns.version != 0 {
        writer.set_rcode(Rcode::BADVERS);
        return writer.finish();
    }
    let judged = counter.judge(edns.cookie.as_ref(), arrival.transport);
    if let Some(given) = judged.given {
        writer.cookie(given, judged.is_good);
    }
    if !judged.is_good && edns.cookie.is_some_and(|cookie| !cookie.server().is_empty()) {
        writer.set_rcode(Rcode::BADCOOKIE);
    }
    writer.finish()
}

/// An answer that is only a header.
fn answer_head(id: u16, flags: Flags, rcode: Rcode, reply: &mut Vec<u8>) -> Finished {
    let mut writer = Writer::begin(reply, id, flags, None, LONGEST_PLAIN_UDP);
    writer.set_rcode(rcode);
    writer.finish()
}

/// RFC 6891 §6.2.3, §6.2.4.
pub(super) fn longest_answer(question: &Question, transport: Transport) -> usize {
    match (transport, question.edns) {
        (Transport::Udp, None) => LONGEST_PLAIN_UDP,
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_size.min(LONGEST_UDP)).max(LONGEST_PLAIN_UDP),
        // Whatever is no datagram has a length of its own before each message.
        (_, _) => LONGEST_MESSAGE,
    }
}

/// What comes of a question that is not looked up, and why.
type Refusal = (Rcode, Option<ExtendedError<'static>>);

/// Why a question is not looked up at all.
fn refusal(question: &Question) -> Option<Refusal> {
    if question.wanted() != Wanted::Query {
        return Some((Rcode::NOTIMP, None));
    }
    if question.edns.is_some_and(|edns| edns.version != 0) {
        return Some((Rcode::BADVERS, None));
    }
    if !matches!(question.class, Class::IN | Class::CH) {
        return Some((Rcode::REFUSED, Some(NOT_SUPPORTED)));
    }
    match question.record_type {
        RecordType::ANY => None,
        RecordType::OPT => Some((Rcode::FORMERR, None)),
        RecordType::AXFR | RecordType::IXFR => Some((Rcode::REFUSED, Some(PROHIBITED))),
        // What is asked for with these is done, not looked up; other types that nobody knows have no data
        // (RFC 8906 §3.1.1).
        RecordType(0 | 249..=254) => Some((Rcode::NOTIMP, Some(NOT_SUPPORTED))),
        _ => None,
    }
}

mod lookup;
mod proof;
#[cfg(test)]
mod tests;
