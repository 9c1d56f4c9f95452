//! What the server answers: one pure function from zones and a question to a message.
//!
//! The algorithm is RFC 1034 §4.3.2, with negative answers (RFC 2308), wildcards (RFC 4592), DNAME (RFC 6672), EDNS
//! (RFC 6891), minimal answers to ANY (RFC 8482), referrals with their glue (RFC 9471), what a chain of aliases ends
//! with (RFC 6604), and for whoever asks with DO the signatures and proofs that the zone has (RFC 4035 §3.1).

use crate::dns::message::question::{self, Edns, Question, Unanswerable, Wanted};
use crate::dns::message::writer::{ExtendedError, Finished, Full, QUESTION_NAME, Section, Writer, Written};
use crate::dns::message::{Flags, LONGEST_MESSAGE, LONGEST_PLAIN_UDP, LONGEST_UDP};
use crate::dns::name::{Name, is_suffix, wire_length};
use crate::dns::rdata;
use crate::dns::types::{Class, Rcode, RecordType};
use crate::dns::zone::{Found, Node, Set, Zone};
use crate::ground::bind::Transport;

use super::about;
use super::cookies::{Counter, Policy, Verdict};
use super::zones::{Served, ZoneSet};
use crate::services::streams::IDLE_TENTHS;
use proof::Proof;

/// Aliases that are followed in one answer; the asker follows the rest.
const ALIASES_MOST: usize = 16;

/// No zone here has the name (RFC 8914 §4.21).
const NOT_AUTHORITATIVE: ExtendedError<'_> =
    ExtendedError { code: 20, text: "no zone of this server has that name" };

/// A zone is configured, but was never right, or is a copy that has expired (RFC 8914 §4.25).
pub(super) const INVALID_DATA: ExtendedError<'_> = ExtendedError {
    code: 24,
    text: "the zone's file has errors, or its primary is silent: see the server's log",
};

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
    if arrival.transport == Transport::Tcp {
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
        None => Answering {
            zones,
            asked: question.record_type,
            writer: &mut writer,
            aliases: [QUESTION_NAME; ALIASES_MOST],
            alias_count: 0,
            dnames: [&[]; ALIASES_MOST],
            signed: question.edns.is_some_and(|edns| edns.dnssec),
            proof: Proof::default(),
        }
        .answer(&question.name),
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

/// Gives a cookie to whoever showed one. What keeps the question from being answered, if anything does: with NOERROR
/// the answer is cut, so that it is asked again over TCP.
fn unproven(writer: &mut Writer<'_>, edns: Option<Edns>, arrival: Arrival) -> Option<Refusal> {
    let cookie = edns.and_then(|edns| edns.cookie);
    let judged = arrival.cookies?.judge(cookie.as_ref(), arrival.transport);
    if let Some(given) = judged.given {
        writer.cookie(given, judged.is_good);
    }
    match judged.verdict {
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
        (Transport::Tcp, _) => LONGEST_MESSAGE,
        (Transport::Udp, None) => LONGEST_PLAIN_UDP,
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_size.min(LONGEST_UDP)).max(LONGEST_PLAIN_UDP),
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

struct Answering<'z, 'w, 'b> {
    zones: &'z ZoneSet,
    asked: RecordType,
    writer: &'w mut Writer<'b>,
    /// The names that were aliases on the way, so that a loop ends.
    aliases: [Written; ALIASES_MOST],
    alias_count: usize,
    /// The DNAMEs that renamed them; empty where a CNAME did.
    dnames: [&'z [u8]; ALIASES_MOST],
    /// Whether the asker wants signatures and proofs (RFC 4035 §3.1).
    signed: bool,
    /// The proofs that are still to be written.
    proof: Proof<'z>,
}

/// The name at which a chain of aliases goes on; nothing when the answer is complete.
type Step = Option<Name>;

impl<'z> Answering<'z, '_, '_> {
    fn answer(&mut self, asked: &Name) {
        if self.follow(asked).and_then(|()| self.prove()) == Err(Full) {
            self.writer.set(Flags::TC);
        }
    }

    /// Answers for `asked`, and for what it is an alias of.
    fn follow(&mut self, asked: &Name) -> Result<(), Full> {
        let mut name = asked.clone();
        let mut owner = QUESTION_NAME;
        loop {
            let lowercase = name.to_lowercase();
            // A DS belongs to the side above the cut (RFC 4035 §3.1.4.1), where that is served as well.
            let parent_side = match self.asked {
                RecordType::DS => {
                    self.zones.find(&lowercase, true).filter(|served| has_cut_at(served, &lowercase))
                }
                _ => None,
            };
            let zone = match parent_side.or_else(|| self.zones.find(&lowercase, false)) {
                Some(Served::Zone(zone)) => zone,
                // The asker goes on where an alias leaves what is served here.
                _ if self.alias_count > 0 => return Ok(()),
                Some(Served::Broken) => {
                    self.refuse(Rcode::SERVFAIL, INVALID_DATA);
                    return Ok(());
                }
                None => {
                    self.refuse(Rcode::REFUSED, NOT_AUTHORITATIVE);
                    return Ok(());
                }
            };
            let Some(next) = self.step(zone, &name, owner)? else {
                return Ok(());
            };
            match self.alias_to(&next, owner) {
                Some(next_owner) => (name, owner) = (next, next_owner),
                None => return Ok(()),
            }
        }
    }

    fn refuse(&mut self, rcode: Rcode, why: ExtendedError<'static>) {
        self.writer.set_rcode(rcode);
        self.writer.explain(why);
    }

    /// Answers for `name`, which is or will be written at `owner`, from the zone that it is in.
    fn step(&mut self, zone: &'z Zone, name: &Name, owner: Written) -> Result<Step, Full> {
        match zone.find(name.as_wire()) {
            Found::Cut(cut)
                if !(self.asked == RecordType::DS && cut.name().len() == name.as_wire().len()) =>
            {
                self.refer(zone, cut)?;
                Ok(None)
            }
            Found::Cut(node) => {
                self.authoritative();
                match node.set(RecordType::DS) {
                    Some(set) => self.write_answer(owner, name, node, set)?,
                    None => {
                        self.add_proof(|proof| proof.no_data(zone, name.as_wire()));
                        self.deny(zone)?;
                    }
                }
                Ok(None)
            }
            Found::Dname(node) => {
                self.authoritative();
                self.rename(node, name, owner)
            }
            Found::Node(node) => {
                self.authoritative();
                self.answer_from(zone, node, false, name, owner)
            }
            Found::Wildcard(node) => {
                self.authoritative();
                if self.alias_count == 0 {
                    // Its name without the asterisk.
                    self.writer.expanded(u8::try_from(node.name().len() - 2).unwrap_or(u8::MAX));
                }
                self.answer_from(zone, node, true, name, owner)
            }
            Found::Nothing => {
                self.authoritative();
                self.writer.set_rcode(Rcode::NXDOMAIN);
                self.add_proof(|proof| proof.no_name(zone, name.as_wire()));
                self.deny(zone)?;
                Ok(None)
            }
        }
    }

    /// Answers for `name` from `node`: its own, or a wildcard's.
    fn answer_from(
        &mut self,
        zone: &'z Zone,
        node: Node<'z>,
        is_wildcard: bool,
        name: &Name,
        owner: Written,
    ) -> Result<Step, Full> {
        let set = match self.asked {
            RecordType::ANY => node.sets().next(),
            asked => node.set(asked),
        };
        let found = set.or_else(|| node.set(RecordType::CNAME));
        self.add_proof(|proof| match (is_wildcard, found) {
            (true, Some(_)) => proof.expansion(zone, name.as_wire()),
            (true, None) => proof.no_wildcard_data(zone, name.as_wire(), node),
            (false, Some(_)) => {}
            (false, None) => proof.no_data(zone, name.as_wire()),
        });
        let Some(found) = found else {
            self.deny(zone)?;
            return Ok(None);
        };
        if set.is_none() {
            self.write_answer(owner, name, node, found)?;
            return Ok(found.first().map(Name::from_valid));
        }
        match found.record_type() {
            RecordType::DNAME if self.has_renamed(node) => {}
            // Signatures of each type have the TTL of what they sign, and are a set of their own.
            RecordType::RRSIG => {
                for set in node.sets().filter(|set| set.record_type() == RecordType::RRSIG) {
                    self.write_records(owner, name, RecordType::RRSIG, set.ttl(), set.data())?;
                }
            }
            _ => self.write_answer(owner, name, node, found)?,
        }
        self.prove()?;
        self.add_addresses(zone, name, found);
        Ok(None)
    }

    /// The DNAME at `node`, and the CNAME that it makes for `name` (RFC 6672 §3.1).
    fn rename(&mut self, node: Node<'z>, name: &Name, owner: Written) -> Result<Step, Full> {
        let Some((set, target)) = node.set(RecordType::DNAME).and_then(|set| Some((set, set.first()?)))
        else {
            return Ok(None);
        };
        // A chain may pass one DNAME several times; its record is written once (RFC 2181 §5).
        if !self.has_renamed(node) {
            self.write_set(Section::Answer, node.name(), node, set, set.ttl())?;
        }
        if let Some(dname) = self.dnames.get_mut(self.alias_count) {
            *dname = node.name();
        }
        let Ok(renamed) = name.with_suffix(node.name().len(), target) else {
            self.writer.set_rcode(Rcode::YXDOMAIN);
            return Ok(None);
        };
        let made = std::iter::once(renamed.as_wire());
        self.write_records(owner, name, RecordType::CNAME, set.ttl(), made)?;
        // Whoever asks for the alias itself has it (RFC 1034 §3.6.2).
        Ok((!matches!(self.asked, RecordType::CNAME | RecordType::ANY)).then_some(renamed))
    }

    /// Whether the DNAME at `node` stands in the answer already.
    fn has_renamed(&self, node: Node<'z>) -> bool {
        self.dnames[..self.alias_count].contains(&node.name())
    }

    /// Where the next name of a chain will be written; nothing if the chain ends here, by a loop or its length.
    fn alias_to(&mut self, next: &Name, owner: Written) -> Option<Written> {
        *self.aliases.get_mut(self.alias_count)? = owner;
        self.alias_count += 1;
        let seen = &self.aliases[..self.alias_count];
        if seen.iter().any(|&alias| self.writer.is_name(alias, next.as_wire())) {
            return None;
        }
        // It stands in the alias's data already, as the last that was written.
        self.writer.last_target()
    }

    /// A delegation: its name servers, and their addresses as far as this zone has them (RFC 9471 §3).
    fn refer(&mut self, zone: &'z Zone, cut: Node<'z>) -> Result<(), Full> {
        let Some(servers) = cut.set(RecordType::NS) else {
            return Ok(());
        };
        let (ttl, data) = (servers.ttl(), servers.data());
        self.writer.records_of(Section::Authority, cut.name(), RecordType::NS, ttl, data)?;
        self.secure(zone, cut)?;
        // Without the glue below the cut nobody gets there: it fits, or the answer is cut. Other glue may be left.
        for needed in [true, false] {
            for target in servers.data().filter(|target| is_suffix(target, cut.name()) == needed) {
                let node = zone.exact(target).or_else(|| match zone.find_within(target)? {
                    Found::Wildcard(node) => Some(node),
                    _ => None,
                });
                let Some(node) = node else {
                    continue;
                };
                match self.write_addresses(target, node) {
                    Err(Full) if needed => return Err(Full),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// What says whether the delegation is signed: its DS, or the proof that there is none (RFC 4035 §3.1.4).
    fn secure(&mut self, zone: &'z Zone, cut: Node<'z>) -> Result<(), Full> {
        match cut.set(RecordType::DS) {
            _ if !self.signed => Ok(()),
            Some(set) => self.write_set(Section::Authority, cut.name(), cut, set, set.ttl()),
            None => {
                self.add_proof(|proof| proof.no_data(zone, cut.name()));
                self.prove()
            }
        }
    }

    /// The SOA that says for how long there is nothing (RFC 2308 §3, §5).
    fn deny(&mut self, zone: &'z Zone) -> Result<(), Full> {
        let (Some(soa), Some(ttl)) = (zone.apex().set(RecordType::SOA), zone.negative_ttl()) else {
            return Ok(());
        };
        self.write_set(Section::Authority, zone.apex().name(), zone.apex(), soa, ttl)?;
        self.prove()
    }

    /// Has a proof written later, if the asker wants it.
    fn add_proof(&mut self, add: impl FnOnce(&mut Proof<'z>)) {
        if self.signed {
            add(&mut self.proof);
        }
    }

    /// Writes the proofs that were added.
    fn prove(&mut self) -> Result<(), Full> {
        for node in self.proof.take() {
            for record_type in [RecordType::NSEC, RecordType::NSEC3] {
                if let Some(set) = node.set(record_type) {
                    self.write_set(Section::Authority, node.name(), node, set, set.ttl())?;
                }
            }
        }
        Ok(())
    }

    /// The addresses that the asker of an NS, MX, SRV, SVCB or HTTPS asks for next; as many as fit.
    fn add_addresses(&mut self, zone: &'z Zone, owner: &Name, set: Set<'z>) {
        for target in set.data().filter_map(|data| next_asked(set.record_type(), data, owner.as_wire())) {
            if let Some(Found::Node(node) | Found::Wildcard(node)) = zone.find_within(target)
                && self.write_addresses(target, node) == Err(Full)
            {
                return;
            }
        }
    }

    /// The addresses of `name`, which `node` answers for: itself, or a wildcard (RFC 4592 §2.2).
    fn write_addresses(&mut self, name: &[u8], node: Node<'z>) -> Result<(), Full> {
        for record_type in [RecordType::A, RecordType::AAAA] {
            if let Some(set) = node.set(record_type) {
                self.writer.records_of(Section::Additional, name, record_type, set.ttl(), set.data())?;
                // Here signatures that do not fit are left out, and the answer is whole (RFC 4035 §3.1.1).
                let _ = self.write_signatures(Section::Additional, name, node, set, set.ttl());
            }
        }
        Ok(())
    }

    /// The records of `node` with their signatures, in the answer, at the name that was asked for or its alias.
    fn write_answer(
        &mut self,
        owner: Written,
        name: &Name,
        node: Node<'z>,
        set: Set<'z>,
    ) -> Result<(), Full> {
        self.write_records(owner, name, set.record_type(), set.ttl(), set.data())?;
        match node.signatures(set.record_type()).filter(|_| self.signed) {
            Some(signatures) => {
                self.write_records(owner, name, RecordType::RRSIG, set.ttl(), signatures.data())
            }
            None => Ok(()),
        }
    }

    /// The records of `node` with their signatures, at `name`.
    fn write_set(
        &mut self,
        section: Section,
        name: &[u8],
        node: Node<'z>,
        set: Set<'z>,
        ttl: u32,
    ) -> Result<(), Full> {
        self.writer.records_of(section, name, set.record_type(), ttl, set.data())?;
        self.write_signatures(section, name, node, set, ttl)
    }

    /// The signatures of `set`, with its TTL (RFC 4034 §3).
    fn write_signatures(
        &mut self,
        section: Section,
        name: &[u8],
        node: Node<'z>,
        set: Set<'z>,
        ttl: u32,
    ) -> Result<(), Full> {
        match node.signatures(set.record_type()).filter(|_| self.signed) {
            Some(signatures) => {
                self.writer.records_of(section, name, RecordType::RRSIG, ttl, signatures.data()).map(|_| ())
            }
            None => Ok(()),
        }
    }

    fn write_records<'d>(
        &mut self,
        owner: Written,
        name: &Name,
        record_type: RecordType,
        ttl: u32,
        data: impl Iterator<Item = &'d [u8]>,
    ) -> Result<(), Full> {
        if name.is_root() {
            let name = name.as_wire();
            return self.writer.records_of(Section::Answer, name, record_type, ttl, data).map(|_| ());
        }
        self.writer.records_at(Section::Answer, owner, record_type, ttl, data)
    }

    /// The answer is authoritative if its first name is (RFC 1035 §4.1.1).
    fn authoritative(&mut self) {
        if self.alias_count == 0 {
            self.writer.set(Flags::AA);
        }
    }
}

/// The name whose addresses are asked for next (RFC 1035 §3.3.9, §3.3.11; RFC 2782; RFC 9460 §4.1).
fn next_asked<'d>(record_type: RecordType, data: &'d [u8], owner: &'d [u8]) -> Option<&'d [u8]> {
    match record_type {
        RecordType::NS | RecordType::MX | RecordType::SRV => rdata::target(record_type, data),
        RecordType::SVCB | RecordType::HTTPS => {
            let (&priority, rest) = data.split_first_chunk::<2>()?;
            let target = rest.get(..wire_length(rest).ok()?)?;
            // "." is the owner itself, or in alias form nothing (RFC 9460 §2.5).
            match (target, u16::from_be_bytes(priority)) {
                (b"\0", 0) => None,
                (b"\0", _) => Some(owner),
                _ => Some(target),
            }
        }
        _ => None,
    }
}

/// Whether a zone delegates `name` itself.
fn has_cut_at(served: &Served, name: &Name) -> bool {
    match served {
        Served::Zone(zone) => {
            matches!(zone.find(name.as_wire()), Found::Cut(cut) if cut.name().len() == name.as_wire().len())
        }
        Served::Broken => false,
    }
}

mod proof;
#[cfg(test)]
mod tests;
