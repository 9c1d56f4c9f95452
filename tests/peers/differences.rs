//! Where BIND, NSD and Knot differ among themselves, and whom we follow. Nothing here excuses an answer of ours that
//! differs from what the three agree on.

use wwwlab::dns::types::RecordType;

use super::ask::Answer;
use super::judge::{Case, Part};

/// A listed difference.
pub(crate) struct Difference {
    /// The parts of an answer in which it shows.
    pub(crate) parts: &'static [Part],
    /// Why, with the source.
    pub(crate) why: &'static str,
    /// Whether it is this.
    pub(crate) explains: fn(&Case, Part) -> bool,
}

/// All of them.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        parts: &[Part::Rcode, Part::Answer, Part::Authority, Part::Glue],
        why: "BIND and Knot do not follow an alias into another zone that they serve; RFC 1034 §4.3.2 step 3a goes \
              back to step 1, which chooses among all zones: as NSD",
        explains: |case, part| {
            part.equal(&case.ours, &case.nsd)
                && case.leaves_its_zone()
                && [&case.bind, &case.knot].iter().all(|peer| peer.answer.is_subset(&case.ours.answer))
        },
    },
    Difference {
        parts: &[Part::Glue],
        why: "BIND leaves addresses out of a referral for which its zone is authoritative; RFC 1034 §4.3.2 step 3b \
              takes what addresses are available: as NSD and Knot",
        explains: |case, part| {
            part.equal(&case.ours, &case.nsd)
                && part.equal(&case.ours, &case.knot)
                && case.bind.additional.is_subset(&case.ours.additional)
        },
    },
    Difference {
        parts: &[Part::Glue],
        why: "NSD and Knot make glue of a wildcard below the cut; what is below a cut is the child's but for the glue \
              that is written there (RFC 1034 §4.2.1): as BIND",
        explains: |case, part| {
            part.equal(&case.ours, &case.bind)
                && part.equal(&case.nsd, &case.knot)
                && case.ours.additional.is_subset(&case.nsd.additional)
        },
    },
    Difference {
        parts: &[Part::Truncated],
        why: "BIND and NSD send a referral without all glue of servers below the cut, uncut; RFC 9471 §3.1 sets TC: \
              as Knot",
        explains: |case, part| {
            part.equal(&case.ours, &case.knot) && case.ours.tc && case.ours.refers() && case.ours.is_full()
        },
    },
    Difference {
        parts: &[Part::Glue],
        why: "which addresses come with servers beside the cut, where not all fit, is nobody's rule (RFC 9471 §3.2); \
              ours come in the order of the servers, as many as fit",
        explains: |case, _| !case.ours.tc && case.ours.is_full(),
    },
    Difference {
        parts: &[Part::Rcode, Part::Authority],
        why: "Knot denies a name that its DNAME makes too long; RFC 6672 §2.2 says YXDOMAIN: as BIND and NSD",
        explains: |case, part| {
            case.ours.rcode == YXDOMAIN
                && part.equal(&case.ours, &case.bind)
                && part.equal(&case.ours, &case.nsd)
        },
    },
    Difference {
        parts: &[Part::Rcode],
        why: "BIND says SERVFAIL besides a circle of aliases; RFC 6604 §3 lets the last name that was looked up decide, \
              and that one exists: as NSD and Knot",
        explains: |case, part| {
            case.bind.rcode == SERVFAIL
                && ends_in_a_circle(&case.ours)
                && part.equal(&case.ours, &case.nsd)
                && part.equal(&case.ours, &case.knot)
                && Part::Answer.equal(&case.ours, &case.bind)
        },
    },
    Difference {
        parts: &[Part::Rcode, Part::Answer, Part::Authority],
        why: "how far a chain of aliases without an end is followed is each server's own bound (RFC 1034 §3.6.2 wants \
              one): ours is 17 aliases; BIND says SERVFAIL besides",
        explains: |case, _| {
            case.ours.rcode == NOERROR
                && aliases(&case.ours).count() == 17
                && case.peers().iter().all(|peer| peer.answer.is_subset(&case.ours.answer))
        },
    },
    Difference {
        parts: &[Part::Answer],
        why: "BIND and Knot give the signatures of one type where signatures are asked for, as they do for ANY (RFC 8482); \
              the question is for one type, and all of its records are its answer (RFC 1034 §4.3.2): as NSD",
        explains: |case, part| {
            case.question.record_type == RecordType::RRSIG
                && part.equal(&case.ours, &case.nsd)
                && [&case.bind, &case.knot].iter().all(|peer| peer.answer.is_subset(&case.ours.answer))
        },
    },
    Difference {
        parts: &[Part::Rcode, Part::Answer, Part::Authority, Part::Glue],
        why: "BIND and Knot deny an NSEC at an alias of a zone with NSEC3, by a record that says that there is an alias, \
              which RFC 6840 §4.3 has validators refuse: as NSD",
        explains: |case, part| {
            case.question.record_type == RecordType::NSEC
                && part.equal(&case.ours, &case.nsd)
                && aliases(&case.ours).next().is_some()
                && [&case.bind, &case.knot].iter().all(|peer| peer.answer.is_subset(&case.ours.answer))
        },
    },
    Difference {
        parts: &[Part::Authority],
        why: "BIND and Knot deny an NSEC at an alias, as above, and NSD, which does not, adds the closest encloser's record \
              to the one that is the name's own; RFC 5155 §7.2.3 wants only that one",
        explains: |case, _| {
            case.question.record_type == RecordType::NSEC
                && aliases(&case.ours).next().is_some()
                && adds_only_proofs(&case.ours, &case.nsd)
                && [&case.bind, &case.knot].iter().all(|peer| peer.answer.is_subset(&case.ours.answer))
        },
    },
    Difference {
        parts: &[Part::Authoritative, Part::Answer, Part::Authority, Part::Glue],
        why: "BIND answers with the NSEC of a delegation; only the DS is asked of the side above the cut (RFC 4035 \
              §3.1.4.1): as NSD and Knot",
        explains: |case, part| {
            case.question.record_type == RecordType::NSEC
                && case.ours.refers()
                && part.equal(&case.ours, &case.nsd)
                && part.equal(&case.ours, &case.knot)
        },
    },
    Difference {
        parts: &[Part::Authority],
        why: "NSD proves something else: behind a DNAME that the name asked for is not there, of a wildcard that exists that \
              it does not, and what opt-out or a wildcard left out by halves; RFC 4035 §3.1.3 and RFC 5155 §7.2 say which \
              records prove what: as BIND and Knot",
        explains: |case, part| {
            part.equal(&case.ours, &case.bind)
                && part.equal(&case.ours, &case.knot)
                && case.ours.authority.symmetric_difference(&case.nsd.authority).all(|line| is_proof(line))
        },
    },
    Difference {
        parts: &[Part::Authority],
        why: "BIND and Knot leave out that a wildcard that answers is an empty name; RFC 4035 §3.1.3.4 wants that proof: as \
              NSD",
        explains: |case, part| {
            part.equal(&case.ours, &case.nsd)
                && [&case.bind, &case.knot].iter().all(|peer| adds_only_proofs(peer, &case.ours))
        },
    },
    Difference {
        parts: &[Part::Authority],
        why: "Knot leaves out that a name does not exist for which a wildcard answers, where the name begins with an \
              asterisk itself or its NSEC is asked for; RFC 4035 §3.1.3.3 wants that proof: as BIND, and mostly NSD",
        explains: |case, part| {
            (case.question.name.as_wire().starts_with(b"\x01*")
                || case.question.record_type == RecordType::NSEC)
                && part.equal(&case.ours, &case.bind)
                && case.ours.authority.symmetric_difference(&case.nsd.authority).all(|line| is_proof(line))
                && adds_only_proofs(&case.knot, &case.ours)
        },
    },
    Difference {
        parts: &[Part::Authority],
        why: "BIND and Knot do not follow an alias into another zone, and NSD, which does, denies its end there with one \
              NSEC; RFC 4035 §3.1.3.2 wants the one that covers the name and the one that covers the wildcard",
        explains: |case, _| {
            case.leaves_its_zone()
                && case.ours.rcode == NXDOMAIN
                && adds_only_proofs(&case.nsd, &case.ours)
                && [&case.bind, &case.knot].iter().all(|peer| peer.authority.is_subset(&case.ours.authority))
        },
    },
    Difference {
        parts: &[Part::Truncated],
        why: "BIND lets the alias that a DNAME makes point into the DNAME's data, and so fits what others cut; how much is \
              compressed is nobody's rule (RFC 1035 §4.1.4): as NSD and Knot",
        explains: |case, part| {
            case.ours.tc
                && case.ours.answer.iter().any(|line| line.contains(" DNAME "))
                && part.equal(&case.ours, &case.nsd)
                && part.equal(&case.ours, &case.knot)
        },
    },
];

const NOERROR: u16 = 0;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const YXDOMAIN: u16 = 6;

/// Whether the authority section of `more` is that of `less` with NSEC and NSEC3 records added, and what signs them.
fn adds_only_proofs(less: &Answer, more: &Answer) -> bool {
    less.authority.is_subset(&more.authority)
        && more.authority.difference(&less.authority).all(|line| is_proof(line))
}

fn is_proof(line: &str) -> bool {
    [" NSEC ", " NSEC3 ", " RRSIG "].iter().any(|word| line.contains(word))
}

/// Whether every alias leads to another one of the answer.
fn ends_in_a_circle(answer: &Answer) -> bool {
    let is_alias = |target: &str| aliases(answer).any(|(owner, _)| owner == target);
    aliases(answer).next().is_some() && aliases(answer).all(|(_, target)| is_alias(target))
}

/// The aliases of an answer with their targets.
pub(crate) fn aliases(answer: &Answer) -> impl Iterator<Item = (&str, &str)> {
    // A signature names the type that it covers, too.
    let records = answer.answer.iter().filter(|line| !line.contains(" RRSIG "));
    let parts = records.filter_map(|line| line.split_once(" CNAME "));
    parts.filter_map(|(owner, target)| Some((owner.split_once(' ')?.0, target)))
}
