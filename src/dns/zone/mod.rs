//! A zone compiled for answering: immutable, one arena of octets, names found by hash.
//!
//! Every name that exists has a node, empty non-terminals too (RFC 4592 §2.2.2), so that a name exists exactly if
//! it has a node, and the closest encloser of any other name is found from the apex downwards. Each node knows
//! what covers it: the delegation (RFC 1034 §4.2) or DNAME (RFC 6672) above it, if any. So a question costs
//! the same in a zone of ten names and in one of a million.
//!
//! NSEC3 records stand at hashes, which are no names of the zone (RFC 5155 §7.2.8): their nodes are not in the table.
//!
//! Sizes: 24 octets a node, 8 in the table, 16 a set, 4 a record, and the octets themselves; in a signed zone 4 more for
//! each NSEC, 24 for each NSEC3.

pub mod canonical;
mod compile;
pub mod denial;
mod lint;
pub mod sign;
mod table;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use super::master::records::{data_at, name_at};
use super::master::{self, Problem, Records, Severity};
use super::name::{Name, is_suffix};
use super::types::RecordType;
use compile::Compiled;
use table::Table;

/// Something that is not there: no parent, nothing that covers.
const NONE: u32 = u32::MAX;

/// A compiled zone.
#[derive(Debug)]
pub struct Zone {
    origin: Name,
    arena: Vec<u8>,
    nodes: Vec<NodeRow>,
    table: Table,
    sets: Vec<SetRow>,
    /// Where each record's data begins in the arena, set by set.
    data: Vec<u32>,
    /// What proves that something is not there; nothing in a zone that is not signed.
    chain: Option<Box<denial::Chain>>,
}

#[derive(Debug, Clone, Copy)]
struct NodeRow {
    name: u32,
    hash: u32,
    /// The topmost node above this one that is a delegation or has a DNAME.
    covered_by: u32,
    sets: u32,
    set_count: u16,
    flags: u16,
}

#[derive(Debug, Clone, Copy)]
struct SetRow {
    data: u32,
    count: u32,
    ttl: u32,
    record_type: RecordType,
}

/// NS records below the apex: the zone ends here.
const IS_CUT: u16 = 1;
/// A DNAME: what is below is elsewhere.
const HAS_DNAME: u16 = 2;
/// A wildcard right below.
const HAS_WILDCARD: u16 = 4;

/// What a zone has for a name.
#[derive(Debug, Clone, Copy)]
pub enum Found<'z> {
    /// The name exists, and the zone is authoritative for it. It may have no records at all.
    Node(Node<'z>),
    /// The name does not exist, but this wildcard answers for it (RFC 4592).
    Wildcard(Node<'z>),
    /// This delegation is at or above the name.
    Cut(Node<'z>),
    /// This DNAME is above the name.
    Dname(Node<'z>),
    /// The name does not exist.
    Nothing,
}

/// A name of a zone.
#[derive(Debug, Clone, Copy)]
pub struct Node<'z> {
    zone: &'z Zone,
    row: &'z NodeRow,
}

/// The records of one name and type.
#[derive(Debug, Clone, Copy)]
pub struct Set<'z> {
    zone: &'z Zone,
    row: &'z SetRow,
}

/// What came of loading a zone file.
#[derive(Debug)]
pub struct Load {
    /// The zone, if it can be served.
    pub zone: Option<Zone>,
    /// What is wrong; only warnings if there is a zone.
    pub problems: Vec<Problem>,
    /// Every file that took part, the zone file first.
    pub files: Vec<PathBuf>,
    /// Equal for equal files, so that a file that was saved without a change is known.
    pub fingerprint: u64,
    /// How many errors were found, told or not.
    pub error_count: usize,
    /// How many warnings were found, told or not.
    pub warning_count: usize,
    /// Where the SOA stands, if there is one.
    serial: Option<Problem>,
}

/// Reads and compiles the zone `origin` from the file at `path`.
pub fn load(origin: &Name, path: &Path) -> Load {
    Load::from_records(origin, master::read(path, origin))
}

impl Load {
    /// Compiles what was read.
    pub fn from_records(origin: &Name, records: Records) -> Self {
        let files = records.sources.paths().map(Path::to_owned).collect();
        let mut hasher = DefaultHasher::new();
        records.sources.hash(&mut hasher);
        // Why a file could not be read belongs to what was found.
        records.problems.len().hash(&mut hasher);
        let Compiled { zone, problems, error_count, warning_count, serial } =
            compile::compile(origin, records);
        Self { zone, problems, files, fingerprint: hasher.finish(), error_count, warning_count, serial }
    }

    /// Adds a warning where the zone is not the `old` one, but its serial is not larger (RFC 1982): whoever has the
    /// old one would not take the new one.
    pub fn compare_with(&mut self, old: &Zone) {
        let (Some(zone), Some(soa)) = (&self.zone, &self.serial) else {
            return;
        };
        if serial_is_raised(old.serial(), zone.serial()) || canonical::are_same(old, zone) {
            return;
        }
        let (before, now) = (old.serial(), zone.serial());
        let what = if before == now { "still".to_owned() } else { format!("after {before}") };
        let message = format!(
            "the zone changed, but its serial is {what} {now}: raise it with every edit, else secondary servers keep the \
             old zone"
        );
        self.problems.push(Problem { message, ..soa.clone() });
        self.warning_count += 1;
    }

    /// The problems that keep the zone from being served.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error)
    }
}

/// Whether `new` is larger than `old` in the arithmetic of serials: by less than half the way round (RFC 1982 §3.2).
pub const fn serial_is_raised(old: u32, new: u32) -> bool {
    matches!(new.wrapping_sub(old), 1..0x8000_0000)
}

impl Zone {
    /// Compiles `records` to the zone `origin`; otherwise says all that is wrong.
    pub fn compile(origin: &Name, records: Records) -> Result<Self, Vec<Problem>> {
        let compiled = compile::compile(origin, records);
        compiled.zone.ok_or(compiled.problems)
    }

    /// The zone's apex.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// How many records it has.
    pub fn record_count(&self) -> usize {
        self.data.len()
    }

    /// The apex's node.
    pub fn apex(&self) -> Node<'_> {
        self.node(0)
    }

    /// Every name of the zone, the apex first, empty ones and hashes too.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.nodes.iter().map(|row| Node { zone: self, row })
    }

    /// The SOA's serial.
    pub fn serial(&self) -> u32 {
        let numbers = self.apex().set(RecordType::SOA).and_then(|soa| soa.first());
        let serial = numbers.and_then(|data| data.len().checked_sub(20).and_then(|at| data.get(at..at + 4)));
        serial.and_then(|octets| octets.try_into().ok()).map_or(0, u32::from_be_bytes)
    }

    /// Seconds for which a negative answer may be remembered: the lower of the SOA's TTL and its last number (RFC 2308
    /// §5); nothing without an SOA.
    pub fn negative_ttl(&self) -> Option<u32> {
        let soa = self.apex().set(RecordType::SOA)?;
        let minimum = soa.first().and_then(|data| data.last_chunk().copied()).map(u32::from_be_bytes);
        Some(soa.ttl().min(minimum.unwrap_or(0)))
    }

    /// Octets of memory that the zone takes.
    pub fn memory(&self) -> usize {
        self.arena.capacity()
            + self.nodes.capacity() * size_of::<NodeRow>()
            + self.sets.capacity() * size_of::<SetRow>()
            + self.data.capacity() * size_of::<u32>()
            + self.table.memory()
            + self.chain.as_ref().map_or(0, |chain| chain.memory())
    }

    /// What the zone has for the uncompressed name `name`, which must be at or below the apex.
    pub fn find(&self, name: &[u8]) -> Found<'_> {
        match self.exact(name) {
            Some(node) => match self.covered(node) {
                Some(covered) => covered,
                None if node.is_cut() => Found::Cut(node),
                None => Found::Node(node),
            },
            None => self.find_missing(name),
        }
    }

    /// What the zone has for any uncompressed name; nothing where it is outside the zone.
    pub fn find_within(&self, name: &[u8]) -> Option<Found<'_>> {
        is_suffix(name, self.origin.as_wire()).then(|| self.find(name))
    }

    /// The node of `name`, whatever covers it: how glue is found. Nothing outside the zone.
    pub fn exact(&self, name: &[u8]) -> Option<Node<'_>> {
        self.index(name).map(|index| self.node(index))
    }

    fn index(&self, name: &[u8]) -> Option<u32> {
        if !is_suffix(name, self.origin.as_wire()) {
            return None;
        }
        let hash = table::hash(name, self.origin.as_wire().len());
        self.lookup(hash, name)
    }

    /// How many octets of the uncompressed name `name`, at or below the apex, are the longest name that exists: its
    /// closest encloser (RFC 4592 §3.3.1), or itself.
    pub fn closest_encloser(&self, name: &[u8]) -> usize {
        self.node_name(self.enclose(name).0).len()
    }

    fn find_missing(&self, name: &[u8]) -> Found<'_> {
        let (encloser, hash) = self.enclose(name);
        let encloser = self.node(encloser);
        if let Some(covered) = self.covered(encloser) {
            return covered;
        }
        if encloser.is_cut() {
            return Found::Cut(encloser);
        }
        if encloser.row.flags & HAS_DNAME != 0 {
            return Found::Dname(encloser);
        }
        if encloser.row.flags & HAS_WILDCARD != 0 {
            let hash = table::extend(hash, b"\x01*");
            let found = self.table.find(hash, |index| {
                let name = self.node_name(index);
                name.starts_with(b"\x01*") && name[2..].eq_ignore_ascii_case(encloser.name())
            });
            if let Some(index) = found {
                return Found::Wildcard(self.node(index));
            }
        }
        Found::Nothing
    }

    /// The node of the longest name that exists at or above `name`, and its hash.
    fn enclose(&self, name: &[u8]) -> (u32, u64) {
        let mut starts = [0_u8; super::name::MOST_LABELS];
        let mut count = 0;
        let above = name.len() - self.origin.as_wire().len();
        let mut at = 0;
        while at < above {
            starts[count] = u8::try_from(at).unwrap_or(u8::MAX);
            count += 1;
            at += 1 + usize::from(name[at]);
        }
        // From the apex down, as long as names exist.
        let (mut encloser, mut hash) = (0, table::ORIGIN);
        for &start in starts[..count].iter().rev() {
            let suffix = &name[usize::from(start)..];
            let below = table::extend(hash, suffix);
            match self.lookup(below, suffix) {
                Some(index) => (encloser, hash) = (index, below),
                None => break,
            }
        }
        (encloser, hash)
    }

    fn covered(&self, node: Node<'_>) -> Option<Found<'_>> {
        if node.row.covered_by == NONE {
            return None;
        }
        let cover = self.node(node.row.covered_by);
        Some(if cover.is_cut() { Found::Cut(cover) } else { Found::Dname(cover) })
    }

    fn lookup(&self, hash: u64, name: &[u8]) -> Option<u32> {
        self.table.find(hash, |index| {
            self.nodes[index as usize].hash == table::short(hash) && self.is_name(index, name)
        })
    }

    fn is_name(&self, index: u32, name: &[u8]) -> bool {
        // Names end themselves, so equal octets of one's length are equal names.
        let start = self.nodes[index as usize].name as usize;
        self.arena.get(start..start + name.len()).is_some_and(|octets| octets.eq_ignore_ascii_case(name))
    }

    fn node_name(&self, index: u32) -> &[u8] {
        name_at(&self.arena, self.nodes[index as usize].name)
    }

    fn node(&self, index: u32) -> Node<'_> {
        Node { zone: self, row: &self.nodes[index as usize] }
    }
}

impl<'z> Node<'z> {
    /// Its name, uncompressed.
    pub fn name(self) -> &'z [u8] {
        name_at(&self.zone.arena, self.row.name)
    }

    /// Its sets, by type. Signatures are as many sets as there are types that they sign.
    pub fn sets(self) -> impl Iterator<Item = Set<'z>> {
        self.rows().iter().map(move |row| Set { zone: self.zone, row })
    }

    /// Its records of one type; of signatures those of one type that they sign, see [`Self::signatures`].
    pub fn set(self, record_type: RecordType) -> Option<Set<'z>> {
        let row = self.rows().iter().find(|row| row.record_type == record_type)?;
        Some(Set { zone: self.zone, row })
    }

    /// The signatures of its records of one type (RFC 4034 §3).
    pub fn signatures(self, record_type: RecordType) -> Option<Set<'z>> {
        let covers =
            |set: &Set<'z>| set.first().is_some_and(|data| data.starts_with(&record_type.0.to_be_bytes()));
        self.sets().filter(|set| set.record_type() == RecordType::RRSIG).find(covers)
    }

    /// Whether the zone ends here, by a delegation.
    pub fn is_cut(self) -> bool {
        self.row.flags & IS_CUT != 0
    }

    fn rows(self) -> &'z [SetRow] {
        let start = self.row.sets as usize;
        &self.zone.sets[start..start + usize::from(self.row.set_count)]
    }
}

impl<'z> Set<'z> {
    /// The type of its records.
    pub fn record_type(self) -> RecordType {
        self.row.record_type
    }

    /// Their time to live, in seconds: one for all (RFC 2181 §5.2).
    pub fn ttl(self) -> u32 {
        self.row.ttl
    }

    /// Their data, in the file's order.
    pub fn data(self) -> impl Iterator<Item = &'z [u8]> {
        let start = self.row.data as usize;
        let data = &self.zone.data[start..start + self.row.count as usize];
        data.iter().map(move |&at| data_at(&self.zone.arena, at))
    }

    /// The data of its first record.
    pub fn first(self) -> Option<&'z [u8]> {
        self.data().next()
    }
}
