//! A zone as its signer publishes it: with its key, what denies, and a signature for each set (RFC 4034, RFC 4035 §2).
//!
//! A pure function from a compiled zone, its keys and two times to another compiled zone. The zone's file stays what a student
//! wrote; signing is done to what was compiled from it, each time anew. One key does it all (a combined signing key,
//! RFC 6781 §3.1): two, of which one signs only the other, are worth their trouble where the first is kept elsewhere, and
//! here both would lie in one directory. Where a key is to take another's place, each of both does it all (RFC 6781 §4.1.3).
//!
//! - what is authoritative here is signed; at a delegation only DS and what denies, and nothing below (RFC 4035 §2.2)
//! - NSEC for each owner (RFC 4034 §4), or NSEC3 for each name, empty ones too, without salt, rounds or opt-out (RFC 5155 §7.1,
//!   RFC 9276 §3.1)
//! - CDS and CDNSKEY say to the parent what its DS is to be (RFC 7344), and every child's DS is put in its place

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE32_DNSSEC;
use sha2::{Digest as _, Sha256};

use super::canonical::name_key;
use super::compile::{self, comparable};
use super::{Node, Zone, denial};
use crate::dns::master::records::Entry;
use crate::dns::master::{Place, Records};
use crate::dns::name::{Name, NameError, labels};
use crate::dns::rdata::bitmap;
use crate::dns::types::{Class, RecordType};
use crate::ground::dnssec::key::{Key, KeyError, tag};
use crate::ground::dnssec::{Denial, Wrong};

/// The digest of a DS: SHA-256 (RFC 4509).
const SHA256: u8 = 2;
/// How a zone is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signing<'s> {
    /// With which keys: one, or two while one is to take the other's place; each signs everything.
    pub keys: &'s [Key],
    /// How it denies.
    pub denial: Denial,
    /// The signed zones that may be right below, each with the data of a DS; once for each DS.
    pub children: &'s [(Name, Vec<u8>)],
    /// From when its signatures hold, in seconds since the Unix epoch.
    pub inception: u32,
    /// Until when they hold.
    pub expiration: u32,
    /// What its serial is to be: a secondary must have new signatures where nobody edited anything.
    pub serial: u32,
    /// What is wrong with the signatures on purpose.
    pub wrong: Option<Wrong>,
}

/// Why a zone cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Its file has keys or signatures.
    #[error("its file brings keys or signatures of its own: take them out of the file to have it signed")]
    Signed,
    /// The names of its NSEC3 records would be too long.
    #[error("its name is too long for hashed names below it: sign it with `denial = \"nsec\"`")]
    TooLong(#[source] NameError),
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What came of it is no zone.
    #[error("signed, it would be none: {0}")]
    NoZone(String),
}

/// The data of the DS of the zone `origin`, whose DNSKEY has the data `dnskey` (RFC 4034 §5.1.4).
pub fn ds(origin: &Name, dnskey: &[u8]) -> Vec<u8> {
    let digest = Sha256::new().chain_update(origin.to_lowercase().as_wire()).chain_update(dnskey).finalize();
    let [high, low] = tag(dnskey).to_be_bytes();
    let algorithm = dnskey.get(3).copied().unwrap_or_default();
    [&[high, low, algorithm, SHA256], &digest[..]].concat()
}

/// `zone`, signed.
pub fn sign(zone: &Zone, how: &Signing<'_>) -> Result<Zone, SignError> {
    let mut signer = Signer::of(zone, how)?;
    signer.add_keys();
    signer.add_children();
    signer.deny()?;
    signer.sign()?;
    signer.finish()
}

/// The records of one owner and type.
#[derive(Debug, Default)]
struct Set {
    ttl: u32,
    data: Vec<Vec<u8>>,
}

/// A name that is authoritative here, or a delegation.
#[derive(Debug)]
struct Owner {
    name: Vec<u8>,
    is_cut: bool,
    sets: BTreeMap<RecordType, Set>,
}

struct Signer<'s> {
    zone: &'s Zone,
    how: &'s Signing<'s>,
    /// By the canonical order of their names, so that the apex is the first.
    owners: BTreeMap<Vec<u8>, Owner>,
    /// NSEC3 records, which stand at hashes.
    hashes: Vec<Owner>,
    /// The TTL of what denies (RFC 9077 §3), and of the zone's own key.
    negative_ttl: u32,
    ttl: u32,
    records: Records,
}

impl<'s> Signer<'s> {
    fn of(zone: &'s Zone, how: &'s Signing<'s>) -> Result<Self, SignError> {
        let mut owners = BTreeMap::new();
        let mut records = Records::default();
        for node in zone.nodes() {
            if node.sets().any(|set| is_of_signer(set.record_type())) {
                return Err(SignError::Signed);
            }
            if node.row.covered_by != super::NONE {
                add_plain(&mut records, node);
                continue;
            }
            let mut sets = BTreeMap::new();
            for set in node.sets() {
                // Glue of a server that has the delegation's own name.
                if node.is_cut() && !matches!(set.record_type(), RecordType::NS | RecordType::DS) {
                    let data = set.data().map(<[u8]>::to_vec).collect();
                    add(&mut records, node.name(), set.record_type(), &Set { ttl: set.ttl(), data });
                    continue;
                }
                let data = set.data().map(<[u8]>::to_vec).collect();
                sets.insert(set.record_type(), Set { ttl: set.ttl(), data });
            }
            if !sets.is_empty() {
                let owner = Owner { name: node.name().to_vec(), is_cut: node.is_cut(), sets };
                owners.insert(name_key(node.name()), owner);
            }
        }
        let ttl = zone.apex().set(RecordType::SOA).map_or(0, super::Set::ttl);
        let negative_ttl = zone.negative_ttl().unwrap_or(ttl);
        Ok(Self { zone, how, owners, hashes: Vec::new(), negative_ttl, ttl, records })
    }

    /// The zone's keys, what its parent is to know of it, and its serial.
    fn add_keys(&mut self) {
        let (origin, how, ttl) = (self.zone.origin(), self.how, self.ttl);
        let Some(apex) = self.owners.values_mut().next() else { return };
        let dnskeys: Vec<Vec<u8>> = how.keys.iter().map(Key::dnskey).collect();
        let mut put = |record_type, ttl, data| apex.sets.insert(record_type, Set { ttl, data });
        if !origin.is_root() {
            put(RecordType::CDS, ttl, dnskeys.iter().map(|dnskey| ds(origin, dnskey)).collect());
            put(RecordType::CDNSKEY, ttl, dnskeys.clone());
        }
        put(RecordType::DNSKEY, ttl, dnskeys);
        if how.denial == Denial::Nsec3 {
            // Its TTL is of no use to anybody (RFC 5155 §4).
            put(RecordType::NSEC3PARAM, 0, vec![vec![1, 0, 0, 0, 0]]);
        }
        if let Some(soa) = apex.sets.get_mut(&RecordType::SOA).and_then(|set| set.data.first_mut()) {
            let at = soa.len().saturating_sub(20);
            if let Some(place) = soa.get_mut(at..at + 4) {
                place.copy_from_slice(&how.serial.to_be_bytes());
            }
        }
    }

    /// The DS of signed zones below, unless the file says another.
    fn add_children(&mut self) {
        let mut all: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for (child, data) in self.how.children {
            all.entry(name_key(child.as_wire())).or_default().push(data.clone());
        }
        for (child, data) in all {
            if let Some(owner) = self.owners.get_mut(&child).filter(|owner| owner.is_cut) {
                let ttl = owner.sets.get(&RecordType::NS).map_or(self.ttl, |servers| servers.ttl);
                owner.sets.entry(RecordType::DS).or_insert(Set { ttl, data });
            }
        }
    }

    fn deny(&mut self) -> Result<(), SignError> {
        match self.how.denial {
            Denial::Nsec => self.deny_by_names(),
            Denial::Nsec3 => self.deny_by_hashes()?,
        }
        Ok(())
    }

    fn deny_by_names(&mut self) {
        let ttl = self.negative_ttl;
        // The last one leads back to the apex (RFC 4034 §4.1.1).
        let names: Vec<Vec<u8>> = self.owners.values().map(|owner| owner.name.clone()).collect();
        let next = names.iter().cycle().skip(1);
        for (owner, next) in self.owners.values_mut().zip(next) {
            let mut data = next.clone();
            let mut types: Vec<RecordType> = owner.sets.keys().copied().collect();
            types.extend([RecordType::NSEC, RecordType::RRSIG]);
            bitmap::write(types, &mut data);
            owner.sets.insert(RecordType::NSEC, Set { ttl, data: vec![data] });
        }
    }

    fn deny_by_hashes(&mut self) -> Result<(), SignError> {
        let origin = self.zone.origin().as_wire();
        // Every name between an owner and the apex exists, too.
        let mut names: BTreeMap<Vec<u8>, Vec<RecordType>> = BTreeMap::new();
        for owner in self.owners.values() {
            let mut types: Vec<RecordType> = owner.sets.keys().copied().collect();
            if !owner.is_cut || owner.sets.contains_key(&RecordType::DS) {
                types.push(RecordType::RRSIG);
            }
            let name = owner.name.to_ascii_lowercase();
            let mut above = &name[..];
            while above.len() > origin.len() {
                above = &above[1 + usize::from(above[0])..];
                names.entry(above.to_vec()).or_default();
            }
            names.insert(name, types);
        }
        let mut hashed: Vec<_> =
            names.into_iter().map(|(name, types)| (denial::hash(&name, 0, &[]), types)).collect();
        hashed.sort_unstable();
        let hashes: Vec<_> = hashed.iter().map(|(hash, _)| *hash).collect();
        let next = hashes.iter().cycle().skip(1);
        for ((hash, types), next) in hashed.into_iter().zip(next) {
            let label = BASE32_DNSSEC.encode(&hash);
            let mut name = vec![u8::try_from(label.len()).unwrap_or_default()];
            name.extend_from_slice(label.as_bytes());
            name.extend_from_slice(origin);
            Name::from_wire(&name).map_err(SignError::TooLong)?;
            // SHA-1, no flags, no further rounds, no salt.
            let mut data = vec![1, 0, 0, 0, 0];
            data.push(u8::try_from(next.len()).unwrap_or_default());
            data.extend_from_slice(next);
            bitmap::write(types, &mut data);
            let set = Set { ttl: self.negative_ttl, data: vec![data] };
            self.hashes.push(Owner { name, is_cut: false, sets: [(RecordType::NSEC3, set)].into() });
        }
        Ok(())
    }

    /// Writes every set, and behind it its signature.
    fn sign(&mut self) -> Result<(), SignError> {
        let signer = self.zone.origin().to_lowercase();
        let of_key = |key| Signature { how: self.how, key, tag: tag(&key.dnskey()), signer: signer.clone() };
        let signatures: Vec<Signature<'_>> = self.how.keys.iter().map(of_key).collect();
        for owner in self.owners.values().chain(&self.hashes) {
            for (&record_type, set) in &owner.sets {
                add(&mut self.records, &owner.name, record_type, set);
                let is_missing = self.how.wrong == Some(Wrong::MissingRrsig)
                    && matches!(record_type, RecordType::A | RecordType::AAAA);
                if owner.is_cut && record_type == RecordType::NS || is_missing {
                    continue;
                }
                let data = signatures.iter().map(|signature| signature.of(&owner.name, record_type, set));
                let data = data.collect::<Result<_, _>>()?;
                add(&mut self.records, &owner.name, RecordType::RRSIG, &Set { ttl: set.ttl, data });
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Zone, SignError> {
        let compiled = compile::compile(self.zone.origin(), self.records);
        compiled.zone.ok_or_else(|| {
            SignError::NoZone(
                compiled.problems.first().map(|problem| problem.message.clone()).unwrap_or_default(),
            )
        })
    }
}

/// What all signatures of a key have in common.
struct Signature<'s> {
    how: &'s Signing<'s>,
    key: &'s Key,
    tag: u16,
    signer: Name,
}

impl Signature<'_> {
    /// The data of the RRSIG of a set (RFC 4034 §3.1.8.1, in the canonical form of §6).
    fn of(&self, owner: &[u8], record_type: RecordType, set: &Set) -> Result<Vec<u8>, KeyError> {
        let is_wildcard = owner.starts_with(b"\x01*");
        let count = labels(owner).count().saturating_sub(usize::from(is_wildcard));
        let mut data = record_type.0.to_be_bytes().to_vec();
        data.extend([self.key.algorithm().number(), u8::try_from(count).unwrap_or(u8::MAX)]);
        for number in [set.ttl, self.how.expiration, self.how.inception] {
            data.extend(number.to_be_bytes());
        }
        data.extend(self.tag.to_be_bytes());
        data.extend_from_slice(self.signer.as_wire());
        let mut octets = data.clone();
        let owner = owner.to_ascii_lowercase();
        let sorted: BTreeSet<Vec<u8>> = set.data.iter().map(|data| canonical(record_type, data)).collect();
        for record in sorted {
            octets.extend_from_slice(&owner);
            octets.extend(record_type.0.to_be_bytes());
            octets.extend(Class::IN.0.to_be_bytes());
            octets.extend(set.ttl.to_be_bytes());
            octets.extend(u16::try_from(record.len()).unwrap_or(u16::MAX).to_be_bytes());
            octets.extend(record);
        }
        data.extend(self.key.sign(&octets)?);
        Ok(data)
    }
}

/// The data as it is signed: of the types of RFC 4034 §6.2 with names in lower case, but for NSEC (RFC 6840 §5.1); of all
/// later ones as it stands.
fn canonical(record_type: RecordType, data: &[u8]) -> Vec<u8> {
    match record_type.0 {
        2..=9 | 12 | 14 | 15 | 17 | 18 | 21 | 24 | 26 | 30 | 33 | 35 | 36 | 38 | 39 | 46 => {
            comparable(record_type, data)
        }
        _ => data.to_vec(),
    }
}

/// Whether only who signs a zone writes such records. The file's own DS, CDS and CDNSKEY are anybody's.
fn is_of_signer(record_type: RecordType) -> bool {
    matches!(
        record_type,
        RecordType::DNSKEY
            | RecordType::RRSIG
            | RecordType::NSEC
            | RecordType::NSEC3
            | RecordType::NSEC3PARAM
    )
}

fn add_plain(records: &mut Records, node: Node<'_>) {
    for set in node.sets() {
        let data = set.data().map(<[u8]>::to_vec).collect();
        add(records, node.name(), set.record_type(), &Set { ttl: set.ttl(), data });
    }
}

fn add(records: &mut Records, owner: &[u8], record_type: RecordType, set: &Set) {
    let at = |arena: &Vec<u8>| u32::try_from(arena.len()).unwrap_or(super::NONE);
    let owner_at = at(&records.arena);
    records.arena.extend_from_slice(owner);
    for octets in &set.data {
        let data = at(&records.arena);
        records.arena.extend(u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes());
        records.arena.extend_from_slice(octets);
        let place = Place { source: 0, at: 0 };
        records.entries.push(Entry { record_type, ttl: set.ttl, place, owner: owner_at, data });
    }
}

#[cfg(test)]
mod tests;
