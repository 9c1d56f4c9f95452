//! Looking a name up in the zones: the steps of RFC 1034 §4.3.2, from the zone that is nearest to the name over aliases,
//! cuts and wildcards to data, or to the denial of it.

use super::proof::Proof;
use crate::dns::message::Flags;
use crate::dns::message::writer::{ExtendedError, Full, QUESTION_NAME, Section, Writer, Written};
use crate::dns::name::{Name, is_suffix, wire_length};
use crate::dns::rdata;
use crate::dns::types::{Rcode, RecordType};
use crate::dns::zone::{Found, Node, Set, Zone};
use crate::services::authoritative::zones::{Served, ZoneSet};

/// Aliases that are followed in one answer; the asker follows the rest.
pub(super) const ALIASES_MOST: usize = 16;

/// No zone here has the name (RFC 8914 §4.21).
const NOT_AUTHORITATIVE: ExtendedError<'_> =
    ExtendedError { code: 20, text: "no zone of this server has that name" };

/// A zone is configured, but was never right, or is a copy that has expired (RFC 8914 §4.25).
pub(in crate::services::authoritative) const INVALID_DATA: ExtendedError<'_> = ExtendedError {
    code: 24,
    text: "the zone's file has errors, or its primary is silent: see the server's log",
};

/// One question on its way through the zones.
pub(super) struct Lookup<'z, 'w, 'b> {
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

impl<'z, 'w, 'b> Lookup<'z, 'w, 'b> {
    /// For data of the type `asked`, with signatures and proofs if `signed`.
    pub(super) fn new(
        zones: &'z ZoneSet,
        asked: RecordType,
        signed: bool,
        writer: &'w mut Writer<'b>,
    ) -> Self {
        Self {
            zones,
            asked,
            writer,
            aliases: [QUESTION_NAME; ALIASES_MOST],
            alias_count: 0,
            dnames: [&[]; ALIASES_MOST],
            signed,
            proof: Proof::default(),
        }
    }

    /// Answers for the name `asked`.
    pub(super) fn answer(&mut self, asked: &Name) {
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
