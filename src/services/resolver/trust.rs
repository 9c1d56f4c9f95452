//! Whom the resolver believes (RFC 4035 §4): with keys of the root everything must lead back to one of them, or a proof
//! must say why it need not; without any, whatever is said is taken.
//!
//! hickory validates and says of each record what came of it; what that means for a whole answer is decided here. The order
//! that records have on the wire is restored as well, which the validation does not keep.

use std::sync::Arc;

use hickory_net::{DnsError, NetError, NoRecords};
use hickory_proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_proto::dnssec::{Algorithm, Proof, PublicKeyBuf, TrustAnchors};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};
use hickory_resolver::recursor::{DnssecConfig, DnssecPolicy, RecursorError};

use crate::ground::dnssec::PublicKey;

/// What is done about signatures.
#[derive(Clone)]
pub(super) enum Trust {
    /// They are not asked for.
    Unaware,
    /// They are asked for, and not looked at: for whoever wants to do that himself (the CD bit, RFC 4035 §3.2.2).
    Unchecked,
    /// They are checked.
    Checked(Arc<TrustAnchors>),
}

impl Trust {
    /// In these keys of the root.
    pub(super) fn of(keys: &[PublicKey]) -> Self {
        let mut anchors = TrustAnchors::empty();
        for PublicKey(dnskey) in keys {
            if let Some(([_, _, _, algorithm], public)) = dnskey.split_first_chunk() {
                anchors.insert(&PublicKeyBuf::new(public.to_vec(), Algorithm::from_u8(*algorithm)));
            }
        }
        if anchors.is_empty() { Self::Unaware } else { Self::Checked(Arc::new(anchors)) }
    }

    /// As hickory is told it.
    pub(super) fn policy(&self) -> DnssecPolicy {
        match self {
            Self::Unaware => DnssecPolicy::SecurityUnaware,
            Self::Unchecked => DnssecPolicy::ValidationDisabled,
            Self::Checked(anchors) => {
                let mut config = DnssecConfig::default();
                config.trust_anchor = Some(anchors.clone());
                DnssecPolicy::ValidateWithStaticKey(config)
            }
        }
    }

    /// Whether signatures are asked for.
    pub(super) fn is_aware(&self) -> bool {
        !matches!(self, Self::Unaware)
    }

    /// Whether they are checked.
    pub(super) fn is_checked(&self) -> bool {
        matches!(self, Self::Checked(_))
    }
}

/// What the validation of all records comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of them lead back to the anchor.
    Secure,
    /// Some need not, and that is proven.
    Insecure,
    /// Some should, and do not.
    Bogus,
}

/// The verdict on an answer with these records. Signatures count with what they sign: those that came without it are
/// validated by nobody.
pub(super) fn verdict(records: &[Record]) -> Verdict {
    if records.iter().all(is_signature) {
        return Verdict::Insecure;
    }
    let mut verdict = Verdict::Secure;
    for record in records.iter().filter(|record| !is_signature(record)) {
        match record.proof {
            Proof::Secure => {}
            Proof::Insecure => verdict = Verdict::Insecure,
            // What a DNAME was made into is not signed (RFC 6672 §5.3.1): it stands and falls with that.
            _ if is_made(record, records) => {}
            Proof::Bogus | Proof::Indeterminate => return Verdict::Bogus,
        }
    }
    verdict
}

/// Whether `record` is the CNAME that a DNAME among `records`, itself validated, makes of its owner.
fn is_made(record: &Record, records: &[Record]) -> bool {
    let RData::CNAME(target) = &record.data else { return false };
    records.iter().any(|dname| {
        matches!(dname.proof, Proof::Secure | Proof::Insecure)
            && dname.record_type() == RecordType::DNAME
            && dname.name != record.name
            && dname.name.zone_of(&record.name)
            && renamed(record, dname).as_ref() == Some(&target.0)
    })
}

/// What a DNAME makes of a record's owner.
fn renamed(record: &Record, dname: &Record) -> Option<Name> {
    let target = target_of(dname)?;
    let kept = record.name.iter().count().checked_sub(dname.name.iter().count())?;
    let labels: Vec<&[u8]> = record.name.iter().take(kept).collect();
    Name::from_labels(labels).ok()?.append_domain(&target).ok()
}

/// The target of a DNAME, whose data hickory knows as octets alone.
fn target_of(dname: &Record) -> Option<Name> {
    match &dname.data {
        RData::Unknown { rdata, .. } => Name::read(&mut BinDecoder::new(&rdata.anything)).ok(),
        _ => None,
    }
}

/// What a negative answer says, and what proves it: code and records, the SOA first. Nothing where it is no such answer.
pub(super) fn denial(error: RecursorError) -> Option<(ResponseCode, Vec<Record>)> {
    let (is_nx_domain, soa, others) = match error {
        RecursorError::Negative(data) => (data.is_nx_domain(), data.soa, data.authorities),
        RecursorError::Net(NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code,
            soa,
            authorities,
            ns: None,
            ..
        }))) => (response_code == ResponseCode::NXDomain, soa, authorities),
        _ => return None,
    };
    let rcode = if is_nx_domain { ResponseCode::NXDomain } else { ResponseCode::NoError };
    let mut records: Vec<Record> = others.iter().flat_map(|records| records.iter().cloned()).collect();
    let has_soa = records.iter().any(|record| record.record_type() == RecordType::SOA);
    if let Some(soa) = soa.filter(|_| !has_soa) {
        let mut record = Record::from_rdata(soa.name.clone(), soa.ttl, RData::SOA(soa.data.clone()));
        record.proof = soa.proof;
        records.push(record);
    }
    Some((rcode, of_denial(records)))
}

/// The records of a denial in their order: the SOA, then what proves it, each set with its signatures behind.
pub(super) fn of_denial(mut records: Vec<Record>) -> Vec<Record> {
    records.retain(|record| record.record_type() != RecordType::NS);
    records.sort_by_cached_key(|record| {
        (type_told(record) != RecordType::SOA, record.name.clone(), is_signature(record))
    });
    records
}

/// Puts the records of an answer to a question for `name` in their order: along the aliases, each set with its signatures behind.
pub(super) fn in_order(name: &Name, records: Vec<Record>) -> Vec<Record> {
    let mut way = vec![name.clone()];
    while let Some(next) = way.last().and_then(|last| {
        records.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *last => Some(target.0.clone()),
            _ => None,
        })
    }) && !way.contains(&next)
    {
        way.push(next);
    }
    let place = |record: &Record| {
        let is_rename = type_told(record) == RecordType::DNAME;
        let of = |name: &Name| *name == record.name || is_rename && record.name.zone_of(name);
        (
            way.iter().position(of).unwrap_or(way.len()),
            !is_rename,
            u16::from(type_told(record)),
            is_signature(record),
        )
    };
    let mut records = records;
    records.sort_by_cached_key(place);
    records
}

/// The type of a record, or that which it signs.
fn type_told(record: &Record) -> RecordType {
    signature(record).map_or(record.record_type(), |signature| signature.input().type_covered)
}

fn is_signature(record: &Record) -> bool {
    record.record_type() == RecordType::RRSIG
}

/// The signature that a record is.
pub(super) fn signature(record: &Record) -> Option<&RRSIG> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature),
        _ => None,
    }
}

/// Whether whoever did not ask for signatures (RFC 4035 §3.2.1) is given `record` in an answer to a question for `wanted`.
pub(super) fn is_for_all(record: &Record, wanted: RecordType) -> bool {
    let record_type = record.record_type();
    let is_of_signing = matches!(record_type, RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3);
    !is_of_signing || record_type == wanted || wanted == RecordType::ANY
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, NULL};

    use super::*;

    #[test]
    fn signatures_alone_prove_nothing() {
        let record = |data, proof| {
            let mut record = Record::from_rdata("www.foobar.com.".parse().unwrap(), 60, data);
            record.proof = proof;
            record
        };
        let address = |proof| record(RData::A(A::new(127, 0, 0, 1)), proof);
        let signature =
            |proof| record(RData::Unknown { code: RecordType::RRSIG, rdata: NULL::with(vec![0; 20]) }, proof);
        assert_eq!(verdict(&[]), Verdict::Insecure);
        for proof in [Proof::Secure, Proof::Insecure, Proof::Indeterminate, Proof::Bogus] {
            assert_eq!(verdict(&[signature(proof), signature(proof)]), Verdict::Insecure, "{proof:?}");
            assert_eq!(verdict(&[address(Proof::Secure), signature(proof)]), Verdict::Secure, "{proof:?}");
        }
        let bogus = [address(Proof::Secure), signature(Proof::Secure), address(Proof::Bogus)];
        assert_eq!(verdict(&bogus), Verdict::Bogus);
    }
}
