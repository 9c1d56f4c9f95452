//! Where BIND, NSD and Knot differ among themselves, and whom we follow. Nothing here excuses an answer of ours that
//! differs from what the three agree on.

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
];

const NOERROR: u16 = 0;
const SERVFAIL: u16 = 2;
const YXDOMAIN: u16 = 6;

/// Whether every alias leads to another one of the answer.
fn ends_in_a_circle(answer: &Answer) -> bool {
    let is_alias = |target: &str| aliases(answer).any(|(owner, _)| owner == target);
    aliases(answer).next().is_some() && aliases(answer).all(|(_, target)| is_alias(target))
}

/// The aliases of an answer with their targets.
fn aliases(answer: &Answer) -> impl Iterator<Item = (&str, &str)> {
    let parts = answer.answer.iter().filter_map(|line| line.split_once(" CNAME "));
    parts.filter_map(|(owner, target)| Some((owner.split_once(' ')?.0, target)))
}
