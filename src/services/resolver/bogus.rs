//! Why an answer is not believed, as the code of an extended error (RFC 8914 §4.7 to §4.12).
//!
//! hickory says only that it is not. So whoever is refused has the way walked once more, without the checks, and each set and
//! each link of the chain looked at from the answer up to the root: what is found first is told.

use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS};
use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::recursor::Recursor;

use crate::ground::clock;

use super::cache::{Failure, Question};
use super::connections::LabConnections;
use super::lock;
use super::trace::TRACE;
use super::trust::{denial, signature};

/// Extended errors (RFC 8914 §4.7, §4.8, §4.9, §4.10, §4.11).
const BOGUS: u16 = 6;
const EXPIRED: u16 = 7;
const NOT_YET_VALID: u16 = 8;
const DNSKEY_MISSING: u16 = 9;
const RRSIGS_MISSING: u16 = 10;

/// Links of a chain that are looked at.
const LINKS_MOST: usize = 16;

/// Why the answer to `question` is bogus; `unchecked` has it without the checks.
pub(super) async fn why(unchecked: &Recursor<LabConnections>, question: &Question) -> Failure {
    let asked: Name = question.name.clone().into();
    let found = records(unchecked, asked.clone(), question.record_type).await;
    if let Some(failure) = of_sets(&found) {
        return failure;
    }
    let signers = found.iter().filter_map(signature).map(|signature| signature.input().signer_name.clone());
    // The deepest zone first: what is wrong above it is wrong for others, too.
    let mut zone = signers.max_by_key(|signer| signer.iter().count()).unwrap_or(asked);
    for _ in 0..LINKS_MOST {
        let keys = records(unchecked, zone.clone(), RecordType::DNSKEY).await;
        if let Some(failure) = of_sets(&keys) {
            return failure;
        }
        if zone.is_root() {
            break;
        }
        let parents = records(unchecked, zone.clone(), RecordType::DS).await;
        let link = of_link(&zone, &keys, &parents);
        if let Some(failure) = link.or_else(|| of_sets(&parents)) {
            return failure;
        }
        zone = zone.base_name();
    }
    Failure { code: BOGUS, text: format!("the signatures on the way to {} do not fit", question.name) }
}

/// What is said about a name, or what denies it.
async fn records(unchecked: &Recursor<LabConnections>, name: Name, record_type: RecordType) -> Vec<Record> {
    // The way is walked once more: that a server refers on to the same place is no fault of its own now.
    let _ = TRACE.try_with(|trace| lock(trace).begin_round());
    match unchecked.resolve(Query::query(name, record_type), clock::now(), true).await {
        Ok(message) => message.answers,
        Err(error) => denial(error).map(|(_, records)| records).unwrap_or_default(),
    }
}

/// What is wrong with the signatures of these records by themselves.
fn of_sets(records: &[Record]) -> Option<Failure> {
    let now = clock::unix_seconds();
    let sets = records.iter().filter(|record| record.record_type() != RecordType::RRSIG);
    let signed: Vec<_> =
        records.iter().filter_map(|record| Some((&record.name, signature(record)?))).collect();
    let mut unsigned = None;
    for set in sets {
        let covers = |(name, signature): &&(&Name, &hickory_proto::dnssec::rdata::RRSIG)| {
            **name == set.name && signature.input().type_covered == set.record_type()
        };
        let mut times = signed.iter().filter(covers).map(|(_, signature)| {
            let input = signature.input();
            (input.sig_inception.get(), input.sig_expiration.get())
        });
        let what = format!("{} {}", set.name, set.record_type());
        let Some((inception, expiration)) = times.next() else {
            // What a DNAME makes is never signed; whoever made it stands beside it.
            let is_made = set.record_type() == RecordType::CNAME
                && records
                    .iter()
                    .any(|other| other.record_type() == RecordType::DNAME && other.name.zone_of(&set.name));
            if !is_made && unsigned.is_none() {
                let text = format!("{what} has no signature");
                unsigned = Some(Failure { code: RRSIGS_MISSING, text });
            }
            continue;
        };
        let shown = |seconds: u32| clock::rfc3339(u64::from(seconds) * 1000);
        if expiration < now {
            let text = format!("the signature of {what} was over at {}", shown(expiration));
            return Some(Failure { code: EXPIRED, text });
        }
        if inception > now {
            let text = format!("the signature of {what} begins at {}", shown(inception));
            return Some(Failure { code: NOT_YET_VALID, text });
        }
    }
    unsigned
}

/// What is wrong between the keys of `zone` and the DS that its parent has for it.
fn of_link(zone: &Name, keys: &[Record], parents: &[Record]) -> Option<Failure> {
    let ds: Vec<&DS> = parents.iter().filter_map(ds).collect();
    let fits = |ds: &&DS| keys.iter().filter_map(dnskey).any(|key| ds.covers(zone, key).unwrap_or(false));
    if ds.is_empty() || ds.iter().any(fits) {
        return None;
    }
    let text = format!("no key of {zone} is the one that the DS in its parent names");
    Some(Failure { code: DNSKEY_MISSING, text })
}

fn ds(record: &Record) -> Option<&DS> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::DS(ds)) => Some(ds),
        _ => None,
    }
}

fn dnskey(record: &Record) -> Option<&DNSKEY> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) => Some(key),
        _ => None,
    }
}
