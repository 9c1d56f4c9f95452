//! What a DNS message says (RFC 1035 §4, RFC 2136, RFC 1996).

use crate::dns::message::asked::{Record, Response, question_of, read_response};
use crate::dns::message::{Flags, HEADER};
use crate::dns::name::Name;
use crate::dns::types::{Rcode, RecordType};

use super::text::{cut, plain};

/// Records that are told of an answer.
const RECORDS_MOST: usize = 3;

/// What `message` says; nothing if it is none.
pub(super) fn message(message: &[u8]) -> Option<String> {
    if message.len() < HEADER {
        return None;
    }
    let flags = Flags(u16::from_be_bytes([message[2], message[3]]));
    let said = match (flags.has(Flags::QR), opcode(flags)) {
        (false, 0) => asked("query", message)?,
        (false, 4) => asked("NOTIFY", message)?,
        (false, 5) => asked("UPDATE", message)?,
        (true, 4) => "NOTIFY answer".into(),
        (true, 5) => "UPDATE answer".into(),
        (true, 0) => match read_response(message) {
            Ok(response) => answer(&response),
            Err(_) => "answer, not to be read whole".into(),
        },
        _ => return None,
    };
    let cut_off = if flags.has(Flags::QR | Flags::TC) { " (truncated)" } else { "" };
    Some(cut(plain(format!("DNS {said}{cut_off}").as_bytes())))
}

/// What the first message in `data` says, each with its length before it (RFC 1035 §4.2.2).
pub(super) fn over_tcp(data: &[u8]) -> Option<String> {
    let length = u16::from_be_bytes(*data.first_chunk()?).into();
    let first = data.get(2..)?.get(..length)?;
    message(first)
}

fn opcode(flags: Flags) -> u16 {
    (flags.0 & Flags::OPCODE) >> 11
}

fn asked(how: &str, message: &[u8]) -> Option<String> {
    let (name, record_type) = question_of(message)?;
    Some(match how {
        // The question's place has the zone, whose type says nothing.
        "UPDATE" => format!("{how} of {}", shown(&name)),
        _ => format!("{how} {record_type} {}", shown(&name)),
    })
}

fn answer(response: &Response) -> String {
    let (name, wanted) = match &response.question {
        Some((name, wanted)) => (shown(name), wanted.to_string()),
        None => ("what was asked".into(), "answer".into()),
    };
    if response.rcode != Rcode::NOERROR {
        return format!("answer {} for {name}", response.rcode);
    }
    if !response.answers.is_empty() {
        return format!("answer {}", several(&response.answers));
    }
    let of = |kind| move |record: &&Record| record.record_type == kind;
    let delegates = response.authorities.iter().find(of(RecordType::NS));
    match delegates {
        Some(server) if !response.authorities.iter().any(|record| of(RecordType::SOA)(&record)) => {
            format!("referral to {}: {}", shown(&server.name), several(&response.authorities))
        }
        _ => format!("answer: {name} has no {wanted}"),
    }
}

/// `A 8.8.8.8, A 8.8.4.4 and 3 more`.
fn several(records: &[Record]) -> String {
    let first = records.iter().take(RECORDS_MOST);
    let told: Vec<String> = first.map(|record| format!("{} {}", record.record_type, record.data)).collect();
    match records.len().saturating_sub(RECORDS_MOST) {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

/// As a browser shows it: without its final dot, but for the root.
fn shown(name: &Name) -> String {
    let text = name.to_string();
    match text.strip_suffix('.') {
        Some(bare) if !bare.is_empty() && !bare.ends_with('\\') => bare.into(),
        _ => text,
    }
}
