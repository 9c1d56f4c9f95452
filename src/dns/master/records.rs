//! Records as they were read, before they are a zone.
//!
//! They are kept in one arena of octets with a small entry each, so that a million of them stay small and the
//! compiled zone can take the arena over as it is.

use super::PROBLEMS_MOST;
use super::source::{Place, Problem, Severity, Sources};
use crate::dns::name::{Name, wire_length};
use crate::dns::types::RecordType;

/// The records of a zone file and all that it includes.
#[derive(Debug, Default)]
pub struct Records {
    /// What was read, for the places of problems.
    pub sources: Sources,
    /// The records, in the file's order.
    pub entries: Vec<Entry>,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
    /// The octets that entries point into: names, and data behind its length of 16 bits.
    pub(crate) arena: Vec<u8>,
}

/// One record; its octets are in the arena.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its type.
    pub record_type: RecordType,
    /// Its time to live, in seconds.
    pub ttl: u32,
    /// Where it is written.
    pub place: Place,
    /// Where its owner's name begins. Records of one owner in a row share it.
    pub(crate) owner: u32,
    /// Where its data's length begins.
    pub(crate) data: u32,
}

impl Records {
    /// The owner of a record, uncompressed.
    pub fn owner(&self, entry: &Entry) -> Name {
        Name::from_valid(name_at(&self.arena, entry.owner))
    }

    /// The data of a record, uncompressed.
    pub fn data(&self, entry: &Entry) -> &[u8] {
        data_at(&self.arena, entry.data)
    }

    /// Notes a problem at `place`, unless there are too many already.
    pub fn report(&mut self, place: Place, severity: Severity, message: String) {
        match self.problems.len() {
            0..PROBLEMS_MOST => self.problems.push(self.sources.problem(place, severity, message)),
            PROBLEMS_MOST => {
                let path = self.sources.path(place.source).to_owned();
                let more = format!("more than {PROBLEMS_MOST} problems: mend these first");
                self.problems.push(Problem::of_file(&path, more));
            }
            _ => {}
        }
    }

    /// Whether reading on is of no use.
    pub(super) fn has_too_many_problems(&self) -> bool {
        self.problems.len() > PROBLEMS_MOST
    }
}

/// The name at `at` of an arena.
pub(crate) fn name_at(arena: &[u8], at: u32) -> &[u8] {
    let rest = arena.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or(&[0]);
    let length = wire_length(rest).unwrap_or(0);
    &rest[..length]
}

/// The data at `at` of an arena.
pub(crate) fn data_at(arena: &[u8], at: u32) -> &[u8] {
    let rest = arena.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default();
    match rest {
        [high, low, rest @ ..] => {
            rest.get(..usize::from(u16::from_be_bytes([*high, *low]))).unwrap_or_default()
        }
        _ => &[],
    }
}
