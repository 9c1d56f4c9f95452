//! Zones and questions from a seed: few labels, so that names meet, cover and shadow each other.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::ask::{Question, Transport};
use super::worlds::World;

/// Zones of a world: one below another, one beside.
const ORIGINS: [&str; 3] = ["one.", "sub.one.", "two."];

/// Labels of owners and of questions.
const LABELS: [&str; 6] = ["a", "b", "c", "sub", "*", "ns"];

/// Names that are drawn as owners, zone by zone.
const OWNERS: usize = 24;

/// Questions of a world.
const QUESTIONS: usize = 250;

/// One record, its owner relative to the zone.
#[derive(Debug, Clone)]
struct Drawn {
    owner: String,
    data: Data,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Data {
    A(u8),
    Aaaa(u8),
    Txt(u8),
    Mx(String),
    Srv(String),
    Ns(String),
    Cname(String),
    Dname(String),
}

/// The world of a seed.
pub(crate) fn world(seed: u64) -> World {
    drawn_world(seed, Delegations::Anywhere)
}

/// The world of a seed, its delegations right below the apex, and nothing but glue below them. What opt-out leaves out is
/// then one name each: no two servers prove alike where it takes empty names along, or delegations in delegations.
pub(crate) fn world_with_flat_delegations(seed: u64) -> World {
    drawn_world(seed, Delegations::Flat)
}

/// Where a zone's delegations stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delegations {
    Anywhere,
    Flat,
}

fn drawn_world(seed: u64, delegations: Delegations) -> World {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
    let mut runner = TestRunner::new_with_rng(Config::default(), chance);
    let mut draw_zone = |origin: &str| {
        let drawn = prop::collection::vec(drawn(), OWNERS).new_tree(&mut runner).unwrap().current();
        (origin.to_owned(), zone_text(origin, drawn, delegations))
    };
    let zones = ORIGINS.iter().map(|origin| draw_zone(origin)).collect();
    let asked = prop::collection::vec(question(), QUESTIONS).new_tree(&mut runner).unwrap().current();
    let name = match delegations {
        Delegations::Anywhere => format!("seed {seed}"),
        Delegations::Flat => format!("seed {seed} with flat delegations"),
    };
    World { name, zones, questions: asked }
}

fn labels(depth: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(&LABELS[..]), depth)
}

/// A name in one of the zones or, seldom, in none.
fn target() -> impl Strategy<Value = String> {
    let origin = prop_oneof![
        8 => prop::sample::select(&ORIGINS[..]),
        1 => Just("elsewhere.invalid."),
    ];
    (labels(0..=3), origin).prop_map(|(labels, origin)| joined(&labels, origin))
}

fn joined(labels: &[&str], origin: &str) -> String {
    labels.iter().map(|label| format!("{label}.")).collect::<String>() + origin
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let owner = labels(1..=3).prop_map(|labels| labels.join("."));
    let data = prop_oneof![
        4 => any::<u8>().prop_map(Data::A),
        2 => any::<u8>().prop_map(Data::Aaaa),
        2 => any::<u8>().prop_map(Data::Txt),
        1 => target().prop_map(Data::Mx),
        1 => target().prop_map(Data::Srv),
        3 => target().prop_map(Data::Ns),
        3 => target().prop_map(Data::Cname),
        2 => target().prop_map(Data::Dname),
    ];
    (owner, data).prop_map(|(owner, data)| Drawn { owner, data })
}

fn question() -> impl Strategy<Value = Question> {
    let record_type =
        prop::sample::select(&["A", "A", "A", "AAAA", "TXT", "MX", "NS", "CNAME", "DNAME", "DS", "SOA"][..]);
    let transport = prop_oneof![4 => Just(Transport::Udp), 1 => Just(Transport::Tcp)];
    let labels =
        prop::collection::vec(prop::sample::select(&["a", "B", "c", "sub", "*", "ns", "q"][..]), 0..=4);
    let origin = prop::sample::select(&ORIGINS[..]);
    (labels, origin, record_type, transport).prop_map(|(labels, origin, record_type, transport)| {
        Question::new(&joined(&labels, origin), record_type, transport)
    })
}

/// The zone's file; of what is drawn, what a zone may have.
fn zone_text(origin: &str, drawn: Vec<Drawn>, delegations: Delegations) -> String {
    let mut text =
        String::from("$TTL 3600\n@ SOA ns hostmaster 1 7200 900 604800 300\n@ NS ns.one.\n@ NS ns.two.\n");
    // A zone's own servers have addresses, and are no aliases.
    text.push_str("ns A 192.0.2.1\n");
    // Where a zone below is served as well, it is delegated, and has its data for itself.
    let delegated = |owner: &str| origin == "one." && (owner == "sub" || owner.ends_with(".sub"));
    if delegated("sub") {
        text.push_str("sub NS ns.sub\nsub NS ns.two.\nns.sub A 192.0.2.1\n");
    }
    let mut by_owner: BTreeMap<String, BTreeSet<Data>> = BTreeMap::new();
    for Drawn { owner, data } in
        drawn.into_iter().filter(|drawn| drawn.owner != "ns" && !delegated(&drawn.owner))
    {
        let is_deep = matches!(data, Data::Ns(_)) && owner.contains('.');
        if delegations == Delegations::Anywhere || !is_deep {
            by_owner.entry(owner).or_default().insert(data);
        }
    }
    let dnames: Vec<String> = by_owner
        .iter()
        .filter(|(_, data)| data.iter().any(|data| matches!(data, Data::Dname(_))))
        .map(|(owner, _)| format!(".{owner}"))
        .collect();
    let cuts: Vec<String> = by_owner
        .iter()
        .filter(|(owner, data)| allowed(owner, data).iter().any(|data| matches!(data, Data::Ns(_))))
        .map(|(owner, _)| format!(".{owner}"))
        .collect();
    for (owner, data) in &by_owner {
        if delegations == Delegations::Flat && cuts.iter().any(|cut| owner.ends_with(cut.as_str())) {
            continue;
        }
        // Nothing stands below a DNAME (RFC 6672 §2.4).
        if dnames.iter().any(|dname| owner.ends_with(dname.as_str())) {
            continue;
        }
        for data in allowed(owner, data) {
            text.push_str(&format!("{owner} {}\n", data.text()));
        }
    }
    text
}

/// A CNAME stands alone (RFC 1034 §3.6.2); one DNAME, not at a cut (RFC 6672 §2.4); wildcards are neither cuts nor
/// DNAMEs (RFC 4592 §4.2, §4.4: undefined).
fn allowed<'d>(owner: &str, data: &'d BTreeSet<Data>) -> Vec<&'d Data> {
    let alias = data.iter().find(|data| matches!(data, Data::Cname(_)));
    if let Some(alias) = alias {
        return vec![alias];
    }
    let dname = data.iter().find(|data| matches!(data, Data::Dname(_)));
    let is_wildcard = owner.split('.').next() == Some("*");
    data.iter()
        .filter(|data| match data {
            Data::Dname(_) => Some(*data) == dname && !is_wildcard,
            Data::Ns(_) => dname.is_none() && !is_wildcard,
            _ => true,
        })
        .collect()
}

impl Data {
    fn text(&self) -> String {
        match self {
            Self::A(n) => format!("A 192.0.2.{n}"),
            Self::Aaaa(n) => format!("AAAA 2001:db8::{n}"),
            Self::Txt(n) => format!("TXT \"Text {n}\""),
            Self::Mx(target) => format!("MX 10 {target}"),
            Self::Srv(target) => format!("SRV 0 0 80 {target}"),
            Self::Ns(target) => format!("NS {target}"),
            Self::Cname(target) => format!("CNAME {target}"),
            Self::Dname(target) => format!("DNAME {target}"),
        }
    }
}
