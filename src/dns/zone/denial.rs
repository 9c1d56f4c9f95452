//! What proves that something does not exist in a signed zone: its NSEC records in the canonical order of their owners
//! (RFC 4034 §6.1), or its NSEC3 records in the order of their hashes (RFC 5155 §3).
//!
//! Which of them an answer needs is not decided here. The zone is served as it was signed: nothing is made or mended.

use std::cmp::Ordering;

use data_encoding::BASE32_DNSSEC;
use sha1::{Digest as _, Sha1};

use super::{Node, Zone};
use crate::dns::name::{LONGEST_NAME, MOST_LABELS};
use crate::dns::rdata::{Field, split};
use crate::dns::types::RecordType;

/// Rounds of hashing beyond the first that an answer is worth; RFC 9276 §3.1 wants none at all.
pub(super) const ITERATIONS_MOST: u16 = 150;

/// SHA-1, the only algorithm there is (RFC 5155 §11).
const SHA1: u8 = 1;

/// Octets of a hash.
const HASH_LENGTH: usize = 20;

type Hash = [u8; HASH_LENGTH];

/// How a zone proves what it does not have.
#[derive(Debug)]
pub(super) enum Chain {
    /// The nodes with NSEC records, in canonical order.
    Nsec(Vec<u32>),
    /// The nodes with NSEC3 records, by hash.
    Nsec3(Hashed),
}

/// NSEC3 records of one kind of hashing.
#[derive(Debug)]
pub(super) struct Hashed {
    iterations: u16,
    salt: Box<[u8]>,
    order: Vec<(Hash, u32)>,
}

/// The proofs of a zone that has any.
#[derive(Debug, Clone, Copy)]
pub enum Denial<'z> {
    /// By names.
    Nsec(NsecChain<'z>),
    /// By hashed names.
    Nsec3(Nsec3Chain<'z>),
}

/// The NSEC records of a zone.
#[derive(Debug, Clone, Copy)]
pub struct NsecChain<'z> {
    zone: &'z Zone,
    order: &'z [u32],
}

/// The NSEC3 records of a zone.
#[derive(Debug, Clone, Copy)]
pub struct Nsec3Chain<'z> {
    zone: &'z Zone,
    hashed: &'z Hashed,
}

/// How the names of a zone are hashed, as NSEC3PARAM and the beginning of NSEC3 say (RFC 5155 §3.2, §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameters<'d> {
    algorithm: u8,
    flags: u8,
    iterations: u16,
    salt: &'d [u8],
}

impl Chain {
    /// The chain of NSEC records at `nodes`; nothing where there are none.
    pub(super) fn of_names(zone: &Zone, mut nodes: Vec<u32>) -> Option<Self> {
        nodes.sort_unstable_by(|&one, &other| compare(zone.node_name(one), zone.node_name(other)));
        nodes.shrink_to_fit();
        (!nodes.is_empty()).then_some(Self::Nsec(nodes))
    }

    /// The chain of NSEC3 records at `nodes`, as the apex says that they are hashed; otherwise why it is of no use.
    pub(super) fn of_hashes(zone: &Zone, nodes: impl Iterator<Item = u32>) -> Result<Self, String> {
        let Some(set) = zone.apex().set(RecordType::NSEC3PARAM) else {
            return Err("no NSEC3PARAM at the apex says how they were made".into());
        };
        let mut offered = set.data().filter_map(Parameters::read);
        let Some(parameters) = offered.find(Parameters::are_usable) else {
            return Err(format!(
                "NSEC3PARAM wants another algorithm than SHA-1, flags, or more than {ITERATIONS_MOST} iterations"
            ));
        };
        let place = |index: u32| {
            let record = zone.node(index).set(RecordType::NSEC3)?.first()?;
            let has = Parameters::read(record)?;
            let is_of_it = Parameters { flags: 0, ..has } == parameters;
            Some((hash_in(zone.node_name(index))?, index)).filter(|_| is_of_it)
        };
        let mut order: Vec<(Hash, u32)> = nodes.filter_map(place).collect();
        if order.is_empty() {
            return Err("none of them was made as NSEC3PARAM says".into());
        }
        order.sort_unstable();
        order.shrink_to_fit();
        Ok(Self::Nsec3(Hashed { iterations: parameters.iterations, salt: parameters.salt.into(), order }))
    }

    /// Octets of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Nsec(order) => order.capacity() * size_of::<u32>(),
            Self::Nsec3(hashed) => {
                hashed.salt.len() + hashed.order.capacity() * size_of::<(Hash, u32)>() + size_of::<Hashed>()
            }
        }
    }
}

impl Zone {
    /// What proves here that something does not exist; nothing where the zone is not signed.
    pub fn denial(&self) -> Option<Denial<'_>> {
        Some(match self.chain.as_deref()? {
            Chain::Nsec(order) => Denial::Nsec(NsecChain { zone: self, order }),
            Chain::Nsec3(hashed) => Denial::Nsec3(Nsec3Chain { zone: self, hashed }),
        })
    }
}

impl<'z> NsecChain<'z> {
    /// The NSEC of the uncompressed name `name`, or else the one that covers it.
    pub fn at_or_before(self, name: &[u8]) -> Option<Node<'z>> {
        let up_to = |&index: &u32| compare(self.zone.node_name(index), name) != Ordering::Greater;
        let after = self.order.partition_point(up_to);
        // Nothing is before the apex.
        Some(self.zone.node(*self.order.get(after.checked_sub(1)?)?))
    }
}

impl<'z> Nsec3Chain<'z> {
    /// The NSEC3 of the uncompressed name `name`, if it has one.
    pub fn matching(self, name: &[u8]) -> Option<Node<'z>> {
        self.search(name).ok()
    }

    /// The NSEC3 that covers the uncompressed name `name`; nothing where it has one of its own.
    pub fn covering(self, name: &[u8]) -> Option<Node<'z>> {
        self.search(name).err()
    }

    fn search(self, name: &[u8]) -> Result<Node<'z>, Node<'z>> {
        let Hashed { iterations, salt, order } = self.hashed;
        let hash = hash(name, *iterations, salt);
        match order.binary_search_by(|(other, _)| other.cmp(&hash)) {
            Ok(at) => Ok(self.zone.node(order[at].1)),
            // The last one covers what is before the first (RFC 5155 §3.1.7).
            Err(at) => Err(self.zone.node(order[at.checked_sub(1).unwrap_or(order.len() - 1)].1)),
        }
    }
}

impl<'d> Parameters<'d> {
    fn read(data: &'d [u8]) -> Option<Self> {
        let (&[algorithm, flags, high, low], rest) = data.split_first_chunk()?;
        let (salt, _) = split(Field::Salt, rest)?;
        Some(Self { algorithm, flags, iterations: u16::from_be_bytes([high, low]), salt: &salt[1..] })
    }

    /// RFC 5155 §4.1.2, §7.2: other flags than none, or another algorithm, are not for us.
    fn are_usable(&self) -> bool {
        self.algorithm == SHA1 && self.flags == 0 && self.iterations <= ITERATIONS_MOST
    }
}

/// The hash of a name (RFC 5155 §5): of its octets in lower case, again and again with the salt.
pub(super) fn hash(name: &[u8], iterations: u16, salt: &[u8]) -> Hash {
    let mut lowercase = [0; LONGEST_NAME];
    let length = name.len().min(LONGEST_NAME);
    lowercase[..length].copy_from_slice(&name[..length]);
    lowercase.make_ascii_lowercase();
    let round = |octets: &[u8]| Sha1::new().chain_update(octets).chain_update(salt).finalize().into();
    (0..iterations).fold(round(&lowercase[..length]), |hash: Hash, _| round(&hash))
}

/// The hash that the first label of an NSEC3's owner writes.
fn hash_in(owner: &[u8]) -> Option<Hash> {
    let label = owner.get(1..1 + usize::from(*owner.first()?))?;
    let mut hash = [0; HASH_LENGTH];
    if BASE32_DNSSEC.decode_len(label.len()) != Ok(HASH_LENGTH) {
        return None;
    }
    BASE32_DNSSEC.decode_mut(label, &mut hash).ok()?;
    Some(hash)
}

/// The canonical order of two uncompressed names (RFC 4034 §6.1).
fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let (mut one_starts, mut other_starts) = ([0; MOST_LABELS], [0; MOST_LABELS]);
    let ones = label_starts(one, &mut one_starts).iter().rev().map(|&start| label(one, start));
    let others = label_starts(other, &mut other_starts).iter().rev().map(|&start| label(other, start));
    let lowercase = |label: &[u8]| -> [u8; 64] {
        let mut octets = [0; 64];
        octets[..label.len()].copy_from_slice(label);
        octets.make_ascii_lowercase();
        octets
    };
    ones.map(|label| (lowercase(label), label.len())).cmp(others.map(|label| (lowercase(label), label.len())))
}

fn label_starts<'s>(name: &[u8], starts: &'s mut [u8; MOST_LABELS]) -> &'s [u8] {
    let (mut at, mut count) = (0, 0);
    while let (Some(&length @ 1..), Some(slot)) = (name.get(at), starts.get_mut(count)) {
        *slot = u8::try_from(at).unwrap_or(u8::MAX);
        count += 1;
        at += 1 + usize::from(length);
    }
    &starts[..count]
}

fn label(name: &[u8], start: u8) -> &[u8] {
    let start = usize::from(start);
    &name[start + 1..start + 1 + usize::from(name[start])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name::Name;

    fn wire(text: &str) -> Vec<u8> {
        text.parse::<Name>().unwrap().as_wire().to_vec()
    }

    #[test]
    fn rfc4034_section_6_1_the_example() {
        let names = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "Z.a.example",
            "zABC.a.EXAMPLE",
            "z.example",
            "\\001.z.example",
            "*.z.example",
            "\\200.z.example",
        ];
        assert!(names.map(wire).is_sorted_by(|one, other| compare(one, other) == Ordering::Less));
        assert_eq!(compare(&wire("Z.a"), &wire("z.A")), Ordering::Equal);
        assert_eq!(compare(&wire("a"), &wire("a\\000")), Ordering::Less);
        assert_eq!(compare(&wire("."), &wire("a")), Ordering::Less);
    }

    #[test]
    fn rfc5155_appendix_a_hashes_of_names() {
        for (name, expected) in [
            ("example", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("Ns1.example", "2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
            ("*.w.example", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ] {
            let hash = hash(&wire(name), 12, b"\xAA\xBB\xCC\xDD");
            assert_eq!(BASE32_DNSSEC.encode(&hash), expected, "{name}");
            assert_eq!(hash_in(&wire(&format!("{expected}.example"))), Some(hash));
        }
        assert_eq!(hash_in(&wire("www.example")), None);
        assert_eq!(hash_in(&wire(".")), None);
    }
}
