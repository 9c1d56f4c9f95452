//! What a server answers about itself, in the class CH: its version (BIND's convention) and its name (RFC 4892).

use crate::dns::message::Flags;
use crate::dns::message::writer::{QUESTION_NAME, Section, Writer};
use crate::dns::name::Name;
use crate::dns::types::{Rcode, RecordType};

use super::zones::LONGEST_IDENTITY;

/// The program and its version.
const VERSION: &str = concat!("wwwlab ", env!("CARGO_PKG_VERSION"));

/// Names that ask for the version, as wire octets.
const VERSION_NAMES: [&[u8]; 2] = [b"\x07version\x04bind\0", b"\x07version\x06server\0"];

/// Names that ask which server it is (RFC 4892 §2, §3).
const IDENTITY_NAMES: [&[u8]; 2] = [b"\x08hostname\x04bind\0", b"\x02id\x06server\0"];

/// Answers a question of the class CH.
pub(super) fn answer(writer: &mut Writer<'_>, name: &Name, record_type: RecordType, identity: &str) {
    let is = |names: [&[u8]; 2]| names.iter().any(|known| name.as_wire().eq_ignore_ascii_case(known));
    let text = if is(VERSION_NAMES) {
        VERSION
    } else if is(IDENTITY_NAMES) {
        identity
    } else {
        return writer.set_rcode(Rcode::REFUSED);
    };
    writer.set(Flags::AA);
    if !matches!(record_type, RecordType::TXT | RecordType::ANY) {
        return;
    }
    let mut octets = [0; 1 + LONGEST_IDENTITY];
    let length = text.len().min(LONGEST_IDENTITY);
    octets[0] = u8::try_from(length).unwrap_or(u8::MAX);
    octets[1..=length].copy_from_slice(&text.as_bytes()[..length]);
    let data = std::iter::once(&octets[..=length]);
    if writer.records_at(Section::Answer, QUESTION_NAME, RecordType::TXT, 0, data).is_err() {
        writer.set(Flags::TC);
    }
}
