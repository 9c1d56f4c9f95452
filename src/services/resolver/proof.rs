//! Two proofs that hickory 0.26 does not take although they are good, so that what it refuses is looked at once more.
//!
//! - That a wildcard may answer (RFC 4035 §5.3.4, RFC 5155 §8.8): nothing closer to the name exists. hickory looks for that in
//!   another place where it is the wildcard's own NSEC that says so, or where aliases lead to the name.
//! - That a name with a DNAME has nothing of another type (RFC 4035 §3.1.3.1). hickory takes such a name's NSEC for one that
//!   says nothing; but that holds for names below it (RFC 6840 §4.1).
//!
//! Only records that it has validated count here.

use data_encoding::BASE32_DNSSEC;
use hickory_proto::dnssec::Proof;
use hickory_proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::trust::{Verdict, signature, verdict};

/// Rounds of hashing that a name is worth (RFC 9276 §3.2).
const ITERATIONS_MOST: u16 = 100;

/// Whether `message` is an answer that is sound in all else, and in which all wildcards are proven.
pub(super) fn is_of_wildcards(message: &Message) -> bool {
    let expanded: Vec<(&Name, usize)> = message.answers.iter().filter_map(expanded).collect();
    let proofs = &message.authorities;
    verdict(&message.answers) == Verdict::Secure
        && !expanded.is_empty()
        && expanded.into_iter().all(|(name, labels)| {
            let closer = name.trim_to(labels + 1);
            nsecs(proofs).any(|(owner, nsec)| proves(owner, nsec, name, labels))
                || nsec3s(proofs).any(|(owner, nsec3)| is_covered(owner, nsec3, &closer))
        })
}

/// Whether `message` denies records of the type `wanted` at `name`, which has a DNAME, and that is proven.
pub(super) fn is_of_dname(message: &Message, name: &Name, wanted: RecordType) -> bool {
    let denies = |types: &mut dyn Iterator<Item = RecordType>| {
        let types: Vec<RecordType> = types.collect();
        let has = |record_type| types.contains(&record_type);
        has(RecordType::DNAME)
            && !has(wanted)
            && !has(RecordType::CNAME)
            && (!has(RecordType::NS) || has(RecordType::SOA))
    };
    let proofs = &message.authorities;
    message.answers.is_empty()
        && message.metadata.response_code == ResponseCode::NoError
        && (nsecs(proofs).any(|(owner, nsec)| owner == name && denies(&mut nsec.type_set().iter()))
            || nsec3s(proofs).any(|(owner, nsec3)| {
                hashes(owner, nsec3, name).is_some_and(|(owner, hash)| owner == hash)
                    && denies(&mut nsec3.type_set().iter())
            }))
}

fn nsecs(records: &[Record]) -> impl Iterator<Item = (&Name, &NSEC)> {
    records.iter().filter(|record| record.proof == Proof::Secure).filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => Some((&record.name, nsec)),
        _ => None,
    })
}

fn nsec3s(records: &[Record]) -> impl Iterator<Item = (&Name, &NSEC3)> {
    records.iter().filter(|record| record.proof == Proof::Secure).filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) if nsec3.iterations() <= ITERATIONS_MOST => {
            Some((&record.name, nsec3))
        }
        _ => None,
    })
}

/// The hash at which an NSEC3 stands, and that of `name`; nothing where it is of another zone.
fn hashes(owner: &Name, nsec3: &NSEC3, name: &Name) -> Option<(Vec<u8>, Vec<u8>)> {
    let label = owner.iter().next()?.to_ascii_lowercase();
    let of_owner = BASE32_DNSSEC.decode(&label).ok().filter(|_| owner.base_name().zone_of(name))?;
    let of_name = nsec3.hash_algorithm().hash(nsec3.salt(), name, nsec3.iterations()).ok()?;
    Some((of_owner, of_name.as_ref().to_vec()))
}

/// Whether an NSEC3 says that there is no such name, and no delegation left out.
fn is_covered(owner: &Name, nsec3: &NSEC3, name: &Name) -> bool {
    let Some((owner, hash)) = hashes(owner, nsec3, name) else { return false };
    let next = nsec3.next_hashed_owner_name();
    let covers = match *owner < *next {
        true => owner < hash && *hash < *next,
        // The last one leads back to the first.
        false => owner < hash || *hash < *next,
    };
    covers && !nsec3.opt_out()
}

/// The name that a wildcard stood in for, and how many labels its parent has (RFC 4034 §3.1.3).
fn expanded(record: &Record) -> Option<(&Name, usize)> {
    let labels = usize::from(signature(record)?.input().num_labels);
    (labels < record.name.iter().count()).then_some((&record.name, labels))
}

/// Whether the NSEC of `owner` says that `name` is not there, and that of the names above it that of `labels` labels is the
/// longest that is.
fn proves(owner: &Name, nsec: &NSEC, name: &Name, labels: usize) -> bool {
    let next = nsec.next_domain_name();
    // The last one leads back to the apex.
    let covers = owner < name && (name < next || next <= owner && next.zone_of(name));
    // Of names below a delegation its NSEC says nothing (RFC 6840 §4.1).
    let types = nsec.type_set();
    let is_above = types.contains(RecordType::NS) && !types.contains(RecordType::SOA)
        || types.contains(RecordType::DNAME);
    let speaks = !(is_above && owner.zone_of(name));
    // A name at or below `name` makes it exist.
    let exists = name.zone_of(next);
    covers && speaks && !exists && common(owner, name).max(common(next, name)) == labels
}

/// How many labels two names have in common, from the right.
fn common(one: &Name, other: &Name) -> usize {
    let labels = |name: &Name| name.iter().map(<[u8]>::to_ascii_lowercase).collect::<Vec<_>>();
    let (one, other) = (labels(one), labels(other));
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn nsec_to(next: &str, types: &[RecordType]) -> NSEC {
        NSEC::new(name(next), types.iter().copied())
    }

    #[test]
    fn rfc4035_section_5_3_4_nothing_closer_may_exist() {
        let plain = [RecordType::A];
        for (owner, next, types, asked, labels, expected) in [
            // By the wildcard's own NSEC, by that of another name below the same parent, by the last one.
            ("*.w.test.", "real.w.test.", &plain[..], "any.w.test.", 2, true),
            ("alone.w.test.", "real.w.test.", &plain, "any.w.test.", 2, true),
            ("*.w.test.", "test.", &plain, "A.B.W.test.", 2, true),
            // Not of this name; of another wildcard, above a closer name.
            ("*.w.test.", "alone.w.test.", &plain, "any.w.test.", 2, false),
            ("b.w.test.", "c.w.test.", &plain, "x.b.w.test.", 2, false),
            ("*.w.test.", "x.any.w.test.", &plain, "any.w.test.", 2, false),
            ("a.test.", "z.test.", &plain, "any.w.test.", 2, false),
            // It is the parent's, whose child has the name.
            ("w.test.", "z.test.", &[RecordType::NS], "any.w.test.", 2, false),
        ] {
            let proven = proves(&name(owner), &nsec_to(next, types), &name(asked), labels);
            assert_eq!(proven, expected, "{owner} to {next} for {asked}");
        }
    }
}
