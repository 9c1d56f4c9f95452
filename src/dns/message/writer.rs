//! A server's answer, written into a buffer that is used again.
//!
//! Names are compressed (RFC 1035 §4.1.4) wherever every decoder can read that (RFC 3597 §4). A set of records
//! is written whole or not at all (RFC 2181 §5, §9): what does not fit leaves no trace.

use super::cookie::{COOKIE, Cookie, SERVER_LENGTH, ServerCookie};
use super::question::{Edns, KEEPALIVE, NSID};
use super::{Flags, HEADER, LONGEST_MESSAGE, LONGEST_UDP};
use crate::dns::name::{Name, wire_length};
use crate::dns::rdata;
use crate::dns::types::{Class, Rcode, RecordType};

/// The option that says more than a response code (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// Octets of an OPT without options.
const OPT_LENGTH: usize = 11;

/// Names that are remembered for compression; a longer answer goes on with less of it.
const KNOWN_MOST: usize = 64;

/// Offsets beyond this cannot be pointed to (14 bits).
const POINTABLE: usize = 0x4000;

/// Where in an answer a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who is responsible.
    Authority,
    /// What will be asked next.
    Additional,
}

/// A set of records did not fit; nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What an answer became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// What came of the question, with the bits that EDNS adds.
    pub rcode: Rcode,
    /// The flags.
    pub flags: Flags,
    /// Records in the answer section.
    pub answers: u16,
    /// The type and class that were asked for; nothing if the question could not be read.
    pub asked: Option<(RecordType, Class)>,
    /// If a wildcard made the name that was asked for: the octets at the name's end that it shares with the wildcard.
    pub expanded: Option<u8>,
    /// Whether the asker showed a cookie of this server, so that its address is not forged (RFC 7873 §5.2.4).
    pub knows_asker: bool,
}

/// Why a question was not answered, more closely than a response code says (RFC 8914 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedError<'t> {
    /// The number in IANA's registry.
    pub code: u16,
    /// The same for people; its octets go over the wire.
    pub text: &'t str,
}

/// Where a name was written in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written(usize);

/// The name of the question: every answer's first name.
pub const QUESTION_NAME: Written = Written(HEADER);

/// An answer that is being written. Sections are written in their order.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut Vec<u8>,
    limit: usize,
    flags: u16,
    rcode: Rcode,
    counts: [u16; 4],
    class: Class,
    asked: Option<(RecordType, Class)>,
    expanded: Option<u8>,
    edns: Option<Edns>,
    error: Option<ExtendedError<'b>>,
    nsid: Option<&'b [u8]>,
    keepalive: Option<u16>,
    cookie: Option<([u8; 8], ServerCookie)>,
    knows_asker: bool,
    /// Where names stand, and how long each is in full.
    known: [(u16, u8); KNOWN_MOST],
    known_count: usize,
    /// Where the name begins that is the data of the last alias.
    last_target: Option<Written>,
}

impl<'b> Writer<'b> {
    /// Begins an answer of at most `limit` octets: its header, to be filled in by [`Self::finish`]. `edns` is
    /// what the question said; the answer speaks EDNS if the question did (RFC 6891 §7).
    pub fn begin(buffer: &'b mut Vec<u8>, id: u16, asked: Flags, edns: Option<Edns>, limit: usize) -> Self {
        buffer.clear();
        buffer.extend_from_slice(&id.to_be_bytes());
        buffer.extend_from_slice(&[0; HEADER - 2]);
        let reserved = if edns.is_some() { OPT_LENGTH } else { 0 };
        Self {
            buffer,
            limit: limit.clamp(HEADER + OPT_LENGTH, LONGEST_MESSAGE) - reserved,
            flags: Flags::QR | asked.0 & (Flags::OPCODE | Flags::RD),
            rcode: Rcode::NOERROR,
            counts: [0; 4],
            class: Class::IN,
            asked: None,
            expanded: None,
            edns,
            error: None,
            nsid: None,
            keepalive: None,
            cookie: None,
            knows_asker: false,
            known: [(0, 0); KNOWN_MOST],
            known_count: 0,
            last_target: None,
        }
    }

    /// Repeats the question, in the case in which it was asked.
    pub fn question(&mut self, name: &Name, record_type: RecordType, class: Class) {
        self.name(name.as_wire());
        self.buffer.extend_from_slice(&record_type.0.to_be_bytes());
        self.buffer.extend_from_slice(&class.0.to_be_bytes());
        self.counts[0] = 1;
        self.class = class;
        self.asked = Some((record_type, class));
    }

    /// Notes that a wildcard made the name that was asked for, and how many octets at its end they share.
    pub fn expanded(&mut self, shared: u8) {
        self.expanded = Some(shared);
    }

    /// Tells which server answers, if the asker wants to know (RFC 5001 §2.2).
    pub fn nsid(&mut self, identity: &'b [u8]) {
        let room = self.limit.checked_sub(4 + identity.len());
        if let (Some(limit), Some(Edns { nsid: true, .. })) = (room, self.edns) {
            (self.limit, self.nsid) = (limit, Some(identity));
        }
    }

    /// Tells how long a connection may be silent, in tenths of a second, if the asker wants to know (RFC 7828
    /// §3.3.2). Only for streams.
    pub fn keepalive(&mut self, tenths: u16) {
        if let (Some(limit), Some(Edns { keepalive: true, .. })) = (self.limit.checked_sub(6), self.edns) {
            (self.limit, self.keepalive) = (limit, Some(tenths));
        }
    }

    /// Gives an asker that showed a cookie one of this server; `is_good` if it had a good one already.
    pub fn cookie(&mut self, given: ServerCookie, is_good: bool) {
        let room = self.limit.checked_sub(4 + 8 + SERVER_LENGTH);
        if let (Some(limit), Some(Edns { cookie: Some(Cookie { asker, .. }), .. })) = (room, self.edns) {
            (self.limit, self.cookie) = (limit, Some((asker, given)));
            self.knows_asker = is_good;
        }
    }

    /// Says why the question is not answered, if the asker speaks EDNS and there is room (RFC 8914 §2).
    pub fn explain(&mut self, error: ExtendedError<'b>) {
        let length = 6 + error.text.len();
        if self.edns.is_some() && self.error.is_none() && self.buffer.len() + length <= self.limit {
            self.limit -= length;
            self.error = Some(error);
        }
    }

    /// Sets a flag: [`Flags::AA`], [`Flags::TC`].
    pub fn set(&mut self, flag: u16) {
        self.flags |= flag;
    }

    /// Octets that are written.
    pub fn length(&self) -> usize {
        self.buffer.len()
    }

    /// Whether a flag is set.
    pub fn is_set(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Sets what came of the question.
    pub fn set_rcode(&mut self, rcode: Rcode) {
        self.rcode = rcode;
    }

    /// Writes a set of records of one owner that was written before.
    pub fn records_at<'d>(
        &mut self,
        section: Section,
        owner: Written,
        record_type: RecordType,
        ttl: u32,
        data: impl Iterator<Item = &'d [u8]>,
    ) -> Result<(), Full> {
        self.records(section, Owner::At(owner), record_type, ttl, data).map(|_| ())
    }

    /// Writes a set of records of the owner `name`, and says where that name stands.
    pub fn records_of<'d>(
        &mut self,
        section: Section,
        name: &[u8],
        record_type: RecordType,
        ttl: u32,
        data: impl Iterator<Item = &'d [u8]>,
    ) -> Result<Written, Full> {
        self.records(section, Owner::Name(name), record_type, ttl, data)
    }

    /// Where the target of the last alias (CNAME) was written.
    pub fn last_target(&self) -> Option<Written> {
        let Written(at) = self.last_target?;
        // A pointer to a pointer is more than some decoders follow: say where it leads.
        match self.buffer.get(at..)? {
            [high, low, ..] if *high >= 0xC0 => {
                Some(Written(usize::from(high & 0x3F) << 8 | usize::from(*low)))
            }
            _ => Some(Written(at)),
        }
    }

    /// Whether the name that was written at `written` is `name`.
    pub fn is_name(&self, written: Written, name: &[u8]) -> bool {
        matches(self.buffer, written.0, name)
    }

    /// Completes the answer, and says what it became.
    pub fn finish(mut self) -> Finished {
        if let Some(edns) = self.edns {
            let [high, low] = LONGEST_UDP.to_be_bytes();
            let extended = u8::try_from(self.rcode.0 >> 4).unwrap_or(u8::MAX);
            let flags = if edns.dnssec { 0x80 } else { 0 };
            self.buffer.extend_from_slice(&[0, 0, 41, high, low, extended, 0, flags, 0, 0, 0]);
            self.counts[3] += 1;
            self.options();
        }
        let flags = self.flags | self.rcode.0 & 0xF;
        self.buffer[2..4].copy_from_slice(&flags.to_be_bytes());
        for (index, count) in self.counts.into_iter().enumerate() {
            let at = 4 + 2 * index;
            self.buffer[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        let Self { rcode, asked, expanded, knows_asker, .. } = self;
        Finished { rcode, flags: Flags(flags), answers: self.counts[1], asked, expanded, knows_asker }
    }

    /// Completes the OPT, which was written without options.
    fn options(&mut self) {
        let start = self.buffer.len();
        if let Some(identity) = self.nsid {
            self.option(NSID, &[identity]);
        }
        if let Some(tenths) = self.keepalive {
            self.option(KEEPALIVE, &[&tenths.to_be_bytes()]);
        }
        if let Some((asker, server)) = self.cookie {
            self.option(COOKIE, &[&asker, &server]);
        }
        if let Some(error) = self.error {
            self.option(EXTENDED_ERROR, &[&error.code.to_be_bytes(), error.text.as_bytes()]);
        }
        let length = u16::try_from(self.buffer.len() - start).unwrap_or(u16::MAX);
        self.buffer[start - 2..start].copy_from_slice(&length.to_be_bytes());
    }

    fn option(&mut self, code: u16, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        self.buffer.extend_from_slice(&code.to_be_bytes());
        self.buffer.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        parts.iter().for_each(|part| self.buffer.extend_from_slice(part));
    }

    fn records<'d>(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        record_type: RecordType,
        ttl: u32,
        data: impl Iterator<Item = &'d [u8]>,
    ) -> Result<Written, Full> {
        let before = (self.buffer.len(), self.known_count);
        let mut owner = owner;
        let mut written = Written(self.buffer.len());
        let mut count = 0;
        for data in data {
            match owner {
                Owner::At(Written(at)) => match u16::try_from(at).ok().filter(|_| at < POINTABLE) {
                    Some(at) => self.buffer.extend_from_slice(&(0xC000 | at).to_be_bytes()),
                    None => self.repeat_name(at),
                },
                Owner::Name(name) => {
                    written = Written(self.buffer.len());
                    self.name(name);
                    // A pointer to a name of one octet would be longer than the name.
                    if name.len() > 1 {
                        owner = Owner::At(written);
                    }
                }
            }
            if let Owner::At(at) = owner {
                written = at;
            }
            self.buffer.extend_from_slice(&record_type.0.to_be_bytes());
            self.buffer.extend_from_slice(&self.class.0.to_be_bytes());
            self.buffer.extend_from_slice(&ttl.to_be_bytes());
            self.data(record_type, data);
            count += 1;
            if self.buffer.len() > self.limit {
                self.buffer.truncate(before.0);
                self.known_count = before.1;
                return Err(Full);
            }
        }
        self.counts[1 + section as usize] += count;
        Ok(written)
    }

    fn data(&mut self, record_type: RecordType, data: &[u8]) {
        let length_at = self.buffer.len();
        self.buffer.extend_from_slice(&[0, 0]);
        if record_type == RecordType::CNAME {
            self.last_target = Some(Written(self.buffer.len()));
        }
        match rdata::fields(record_type) {
            Some(fields) if rdata::names_compress(record_type) => {
                let mut rest = data;
                for &field in fields {
                    let Some((part, after)) = rdata::split(field, rest) else {
                        break;
                    };
                    match field {
                        rdata::Field::Name => self.name(part),
                        _ => self.buffer.extend_from_slice(part),
                    }
                    rest = after;
                }
            }
            _ => self.buffer.extend_from_slice(data),
        }
        let length = self.buffer.len() - length_at - 2;
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        self.buffer[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    /// Writes `wire`, its longest suffix that is known as a pointer.
    fn name(&mut self, wire: &[u8]) {
        let mut rest = wire;
        while let Some(&length) = rest.first().filter(|&&length| length != 0) {
            if let Some(at) = self.find(rest) {
                self.buffer.extend_from_slice(&(0xC000 | at).to_be_bytes());
                return;
            }
            self.remember(rest.len());
            let (label, after) = rest.split_at((1 + usize::from(length)).min(rest.len()));
            self.buffer.extend_from_slice(label);
            rest = after;
        }
        self.buffer.push(0);
    }

    fn find(&self, suffix: &[u8]) -> Option<u16> {
        self.known[..self.known_count]
            .iter()
            .find(|&&(at, length)| {
                usize::from(length) == suffix.len() && matches(self.buffer, usize::from(at), suffix)
            })
            .map(|&(at, _)| at)
    }

    fn remember(&mut self, length: usize) {
        let at = self.buffer.len();
        if at < POINTABLE
            && let Some(slot) = self.known.get_mut(self.known_count)
            && let (Ok(at), Ok(length)) = (u16::try_from(at), u8::try_from(length))
        {
            *slot = (at, length);
            self.known_count += 1;
        }
    }

    /// Writes the name that stands at `at` once more, for an owner too far away to point to.
    fn repeat_name(&mut self, at: usize) {
        let name = Name::read(self.buffer, at).map_or(Name::root(), |(name, _)| name);
        self.name(name.as_wire());
    }
}

#[derive(Clone, Copy)]
enum Owner<'n> {
    At(Written),
    Name(&'n [u8]),
}

/// Whether the possibly compressed name at `at`, which we wrote ourselves, is `name`.
fn matches(message: &[u8], mut at: usize, name: &[u8]) -> bool {
    debug_assert!(wire_length(name) == Ok(name.len()));
    let mut rest = name;
    loop {
        match message.get(at) {
            Some(&length @ 0..=63) => {
                let end = at + 1 + usize::from(length);
                let (Some(here), Some((there, after))) =
                    (message.get(at..end), rest.split_at_checked(1 + usize::from(length)))
                else {
                    return false;
                };
                if !here.eq_ignore_ascii_case(there) {
                    return false;
                }
                if length == 0 {
                    return after.is_empty();
                }
                (at, rest) = (end, after);
            }
            Some(&high @ 0xC0..) => {
                let target =
                    usize::from(high & 0x3F) << 8 | message.get(at + 1).map_or(0, |&low| usize::from(low));
                if target >= at {
                    return false;
                }
                at = target;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests;
