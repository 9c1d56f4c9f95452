//! Records to a zone, and what a zone must be as a whole.
//!
//! - one SOA and at least one NS at the apex (RFC 1035 §5.2)
//! - nothing outside the zone (ibid.)
//! - a CNAME stands alone (RFC 1034 §3.6.2), as a DNAME stands alone among its kind (RFC 6672 §2.4)
//! - one TTL for a set (RFC 2181 §5.2): the lowest is taken, with a warning; a signature has that of the set that it
//!   signs (RFC 4034 §3), so that the signatures of one name are a set for each type
//! - the same record twice counts once (RFC 2181 §5), with a warning
//!
//! What else a zone should be is looked at in [`super::lint`], once its names are known.

use std::collections::{HashMap, HashSet};

use super::denial::Chain;
use super::lint;
use super::table::{self, Table};
use super::{HAS_DNAME, HAS_WILDCARD, IS_CUT, NONE, NodeRow, SetRow, Zone};
use crate::dns::master::records::{data_at, name_at};
use crate::dns::master::{Entry, Problem, Records, Rule, Severity};
use crate::dns::name::{Name, is_suffix, write_name};
use crate::dns::types::RecordType;

/// Sets of at most this many records are searched for duplicates one by one.
const FEW: usize = 8;

/// What came of compiling.
pub(super) struct Compiled {
    /// The zone, unless a problem is an error.
    pub(super) zone: Option<Zone>,
    /// All problems.
    pub(super) problems: Vec<Problem>,
    pub(super) error_count: usize,
    pub(super) warning_count: usize,
    /// Where the SOA stands, for what is said of its serial.
    pub(super) serial: Option<Problem>,
}

/// Compiles what was read, and says all that is wrong or odd.
pub(super) fn compile(origin: &Name, records: Records) -> Compiled {
    let mut compiler = Compiler::new(origin, records);
    compiler.add_nodes();
    compiler.add_sets();
    compiler.cover();
    compiler.chain();
    lint::lint(&compiler.zone, &mut compiler.records);
    compiler.finish()
}

struct Compiler {
    zone: Zone,
    records: Records,
    /// The node above each node; none above the apex and above hashes.
    parents: Vec<u32>,
    /// The nodes of NSEC records.
    nsec: Vec<u32>,
    /// The nodes of NSEC3 records, by their owners in lower case.
    nsec3: HashMap<Vec<u8>, u32>,
    /// Which node and type each entry belongs to; entries outside the zone are not in it.
    placed: Vec<(u32, RecordType, u32)>,
    /// The set that is being made.
    set: Vec<u32>,
}

impl Compiler {
    fn new(origin: &Name, mut records: Records) -> Self {
        let entries = records.entries.len();
        let mut zone = Zone {
            origin: origin.clone(),
            arena: std::mem::take(&mut records.arena),
            nodes: Vec::with_capacity(entries),
            table: Table::with_room_for(entries + 1),
            sets: Vec::with_capacity(entries),
            data: Vec::with_capacity(entries),
            chain: None,
        };
        let name = u32::try_from(zone.arena.len()).unwrap_or(NONE);
        zone.arena.extend_from_slice(origin.as_wire());
        let mut compiler = Self {
            zone,
            records,
            parents: Vec::with_capacity(entries),
            nsec: Vec::new(),
            nsec3: HashMap::new(),
            placed: Vec::with_capacity(entries),
            set: Vec::new(),
        };
        compiler.add_node(name, table::ORIGIN, NONE);
        compiler
    }

    /// Gives every owner a node, and every name between it and the apex.
    fn add_nodes(&mut self) {
        let entries = std::mem::take(&mut self.records.entries);
        let mut last = None;
        for (number, entry) in (0..).zip(&entries) {
            let hashed = self.is_of_hash(entry);
            let node = match last {
                Some((owner, of_hash, node)) if owner == entry.owner && of_hash == hashed => node,
                _ => match if hashed { self.hash_node_of(entry.owner) } else { self.node_of(entry.owner) } {
                    Some(node) => node,
                    None => {
                        self.report_outside(entry);
                        continue;
                    }
                },
            };
            last = Some((entry.owner, hashed, node));
            self.placed.push((node, entry.record_type, number));
        }
        self.records.entries = entries;
        // Within a set the file's order stays.
        self.placed.sort_unstable();
    }

    /// Whether a record stands at a hash, not at a name: an NSEC3 or what signs it.
    fn is_of_hash(&self, entry: &Entry) -> bool {
        match entry.record_type {
            RecordType::NSEC3 => true,
            RecordType::RRSIG => signed_type(data_at(&self.zone.arena, entry.data)) == RecordType::NSEC3,
            _ => false,
        }
    }

    fn hash_node_of(&mut self, owner: u32) -> Option<u32> {
        let name = name_at(&self.zone.arena, owner);
        if !is_suffix(name, self.zone.origin.as_wire()) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        if let Some(&node) = self.nsec3.get(&name) {
            return Some(node);
        }
        let node = self.push_node(owner, 0, NONE);
        self.nsec3.insert(name, node);
        Some(node)
    }

    fn node_of(&mut self, owner: u32) -> Option<u32> {
        let name = name_at(&self.zone.arena, owner);
        if !is_suffix(name, self.zone.origin.as_wire()) {
            return None;
        }
        let mut starts = Vec::new();
        let above = name.len() - self.zone.origin.as_wire().len();
        let mut at = 0;
        while at < above {
            starts.push(at);
            at += 1 + usize::from(name[at]);
        }
        let (mut node, mut hash) = (0, table::ORIGIN);
        for start in starts.into_iter().rev() {
            let name = &name_at(&self.zone.arena, owner)[start..];
            hash = table::extend(hash, name);
            node = match self.zone.lookup(hash, name) {
                Some(found) => found,
                None => {
                    if name.starts_with(b"\x01*") {
                        self.zone.nodes[node as usize].flags |= HAS_WILDCARD;
                    }
                    self.add_node(owner + u32::try_from(start).unwrap_or(0), hash, node)
                }
            };
        }
        Some(node)
    }

    fn add_node(&mut self, name: u32, hash: u64, parent: u32) -> u32 {
        let hash = table::short(hash);
        let index = self.push_node(name, hash, parent);
        let nodes = &self.zone.nodes;
        self.zone.table.add(index, hash, |other| nodes[other as usize].hash);
        index
    }

    fn push_node(&mut self, name: u32, hash: u32, parent: u32) -> u32 {
        let index = u32::try_from(self.zone.nodes.len()).unwrap_or(NONE);
        self.zone.nodes.push(NodeRow { name, hash, covered_by: NONE, sets: 0, set_count: 0, flags: 0 });
        self.parents.push(parent);
        index
    }

    /// Makes sets of records that belong together.
    fn add_sets(&mut self) {
        let placed = std::mem::take(&mut self.placed);
        for of_node in placed.chunk_by(|one, other| one.0 == other.0) {
            let node = of_node[0].0;
            self.zone.nodes[node as usize].sets = u32::try_from(self.zone.sets.len()).unwrap_or(NONE);
            for of_type in of_node.chunk_by(|one, other| one.1 == other.1) {
                let mut entries: Vec<Entry> =
                    of_type.iter().map(|&(_, _, number)| self.records.entries[number as usize]).collect();
                match of_type[0].1 {
                    RecordType::RRSIG => self.add_signatures(node, &mut entries),
                    _ => self.add_set(node, &entries),
                }
            }
            self.check_aliases(node, of_node);
        }
        self.check_apex();
    }

    /// Makes a set of the signatures of each type.
    fn add_signatures(&mut self, node: u32, entries: &mut [Entry]) {
        let signed = |zone: &Zone, entry: &Entry| signed_type(data_at(&zone.arena, entry.data));
        entries.sort_by_key(|entry| signed(&self.zone, entry));
        let mut rest = &*entries;
        while let Some(first) = rest.first() {
            let of_type = signed(&self.zone, first);
            let length = rest.partition_point(|entry| signed(&self.zone, entry) <= of_type);
            self.add_set(node, &rest[..length]);
            rest = &rest[length..];
        }
    }

    fn add_set(&mut self, node: u32, entries: &[Entry]) {
        let record_type = entries[0].record_type;
        let start = self.zone.data.len();
        self.set.clear();
        let mut seen = HashSet::new();
        let ttl = entries.iter().map(|entry| entry.ttl).min().unwrap_or(0);
        for entry in entries {
            let data = data_at(&self.zone.arena, entry.data);
            let twice = if entries.len() <= FEW {
                self.set.iter().any(|&at| {
                    data_at(&self.zone.arena, at).eq_ignore_ascii_case(data)
                        && same(record_type, data, data_at(&self.zone.arena, at))
                })
            } else {
                !seen.insert(comparable(record_type, data))
            };
            if twice {
                self.records.report(entry.place, Severity::Warning, Rule::Duplicate, |_| {
                    "this record stands above already: delete one of the two".into()
                });
                continue;
            }
            self.set.push(entry.data);
            if entry.ttl != entries[0].ttl {
                self.records.report(entry.place, Severity::Warning, Rule::OneTtl, |_| {
                    format!(
                        "its TTL is {}, but {} for the same name and type above: the lowest is taken for all; write \
                         one",
                        entry.ttl, entries[0].ttl
                    )
                });
            }
        }
        self.zone.data.extend_from_slice(&self.set);
        self.zone.sets.push(SetRow {
            data: u32::try_from(start).unwrap_or(NONE),
            count: u32::try_from(self.set.len()).unwrap_or(0),
            ttl,
            record_type,
        });
        let several = self.set.len() > 1;
        let row = &mut self.zone.nodes[node as usize];
        row.set_count += 1;
        match record_type {
            RecordType::NS if node != 0 => row.flags |= IS_CUT,
            RecordType::DNAME => row.flags |= HAS_DNAME,
            RecordType::NSEC => self.nsec.push(node),
            _ => {}
        }
        match record_type {
            RecordType::SOA if node != 0 => {
                let origin = &self.zone.origin;
                self.records.report(entries[0].place, Severity::Error, Rule::Soa, |_| {
                    format!("a SOA below the apex: the zone is `{origin}`, and its only SOA stands there")
                });
            }
            RecordType::SOA if several => {
                self.records.report(entries[1].place, Severity::Error, Rule::Soa, |_| {
                    "a second SOA: a zone has one; delete one of the two".into()
                });
            }
            RecordType::CNAME | RecordType::DNAME if several => {
                let rule = if record_type == RecordType::CNAME { Rule::Alias } else { Rule::OneDname };
                let first = entries[0].place;
                self.records.report(entries[1].place, Severity::Error, rule, |sources| {
                    format!(
                        "a second {record_type} for this name (the first is in line {}): an alias has one target; \
                         delete one of the two",
                        sources.line(first)
                    )
                });
            }
            _ => {}
        }
    }

    /// A CNAME stands alone, but for what signs it (RFC 4034 §3, §4).
    fn check_aliases(&mut self, node: u32, of_node: &[(u32, RecordType, u32)]) {
        let signs =
            |record_type| matches!(record_type, RecordType::RRSIG | RecordType::NSEC | RecordType::KEY);
        let cname = of_node.iter().find(|placed| placed.1 == RecordType::CNAME);
        let other = of_node.iter().find(|placed| placed.1 != RecordType::CNAME && !signs(placed.1));
        let (Some(cname), Some(other)) = (cname, other) else {
            return;
        };
        let place = |number: u32| self.records.entries[number as usize].place;
        let (cname_place, other_place) = (place(cname.2), place(other.2));
        let name = shown(self.zone.node_name(node));
        let beside = other.1;
        self.records.report(cname_place, Severity::Error, Rule::Alias, |sources| {
            format!(
                "`{name}` is an alias (CNAME) and has other data ({beside} in line {}): an alias stands alone; keep one \
                 of the two",
                sources.line(other_place)
            )
        });
        self.records.report(other_place, Severity::Error, Rule::Alias, |sources| {
            format!("`{name}` has {beside} data here, but is an alias in line {}", sources.line(cname_place))
        });
    }

    fn check_apex(&mut self) {
        let has = |record_type| self.zone.apex().set(record_type).is_some();
        let (soa, ns) = (has(RecordType::SOA), has(RecordType::NS));
        let origin = &self.zone.origin;
        let mut missing = Vec::new();
        if !soa {
            let message = format!(
                "no SOA at `{origin}`: every zone begins with one, e.g. `{origin} SOA ns1 hostmaster 1 1h 15m 1w 5m`; \
                 if there is one, look at its owner and at $ORIGIN"
            );
            missing.push((Rule::Soa, message));
        }
        if !ns {
            let message =
                format!("no NS at `{origin}`: every zone names its servers, e.g. `{origin} NS ns1`");
            missing.push((Rule::Servers, message));
        }
        // A zone whose own lines cannot be read has problems enough.
        if !(self.records.errors > 0 && self.zone.data.is_empty()) {
            let path = self.records.sources.path(0).to_owned();
            for (rule, message) in missing {
                self.records.report_file(Problem::of_file(&path, Severity::Error, rule, message));
            }
        }
    }

    /// Tells each node what covers it. Parents come before children.
    fn cover(&mut self) {
        for index in 1..self.zone.nodes.len() {
            let parent = self.parents[index];
            let Some(&row) = self.zone.nodes.get(parent as usize) else {
                continue;
            };
            self.zone.nodes[index].covered_by = match row.covered_by {
                NONE if row.flags & (IS_CUT | HAS_DNAME) != 0 => parent,
                covered_by => covered_by,
            };
        }
    }

    /// Puts what proves that something is not there in its order: NSEC3 where the apex announces it (RFC 5155 §7.3).
    fn chain(&mut self) {
        let nsec = std::mem::take(&mut self.nsec);
        let announced = self.zone.apex().set(RecordType::NSEC3PARAM).is_some();
        let chain = match (self.nsec3.is_empty(), announced) {
            (true, false) => Chain::of_names(&self.zone, nsec),
            _ => match Chain::of_hashes(&self.zone, self.nsec3.values().copied()) {
                Ok(chain) => Some(chain),
                Err(why) => {
                    let path = self.records.sources.path(0);
                    let message = format!(
                        "the zone's NSEC3 records prove nothing, since {why}: whoever validates takes a denial for an \
                         attack; sign it again, e.g. with `dnssec-signzone -3 - -H 0`"
                    );
                    let problem = Problem::of_file(path, Severity::Warning, Rule::Denial, message);
                    self.records.report_file(problem);
                    Chain::of_names(&self.zone, nsec)
                }
            },
        };
        self.zone.chain = chain.map(Box::new);
    }

    fn finish(self) -> Compiled {
        let Self { mut zone, mut records, .. } = self;
        let soa = records.entries.iter().find(|entry| entry.record_type == RecordType::SOA);
        let serial =
            soa.map(|soa| records.sources.problem(soa.place, Severity::Warning, Rule::Serial, String::new()));
        let problems = records.finish_problems();
        let (error_count, warning_count) = (records.errors, records.warnings);
        if error_count > 0 {
            return Compiled { zone: None, problems, error_count, warning_count, serial };
        }
        zone.arena.shrink_to_fit();
        zone.nodes.shrink_to_fit();
        zone.sets.shrink_to_fit();
        zone.data.shrink_to_fit();
        Compiled { zone: Some(zone), problems, error_count, warning_count, serial }
    }

    fn report_outside(&mut self, entry: &Entry) {
        let (arena, origin) = (&self.zone.arena, &self.zone.origin);
        self.records.report(entry.place, Severity::Error, Rule::Outside, |_| {
            format!(
                "`{}` is outside the zone `{origin}`: put it into its own zone, or look for a dot too many or a wrong \
                 $ORIGIN",
                shown(name_at(arena, entry.owner))
            )
        });
    }
}

/// The type that an RRSIG with this data signs (RFC 4034 §3.1.1).
fn signed_type(data: &[u8]) -> RecordType {
    RecordType(data.first_chunk().copied().map_or(0, u16::from_be_bytes))
}

/// A name as text.
pub(super) fn shown(wire: &[u8]) -> String {
    let mut name = String::new();
    let _ = write_name(&mut name, wire);
    name
}

/// Whether two records of one type say the same: names in them without regard to case.
fn same(record_type: RecordType, one: &[u8], other: &[u8]) -> bool {
    one == other || comparable(record_type, one) == comparable(record_type, other)
}

/// The data with its names in lower case.
pub(super) fn comparable(record_type: RecordType, data: &[u8]) -> Vec<u8> {
    use crate::dns::rdata::{Field, fields, split};
    let mut comparable = Vec::with_capacity(data.len());
    let mut rest = data;
    for &field in fields(record_type).unwrap_or_default() {
        let Some((part, after)) = split(field, rest) else {
            break;
        };
        comparable.extend_from_slice(part);
        if field == Field::Name {
            let start = comparable.len() - part.len();
            comparable[start..].make_ascii_lowercase();
        }
        rest = after;
    }
    comparable.extend_from_slice(rest);
    comparable
}
