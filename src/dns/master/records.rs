//! Records as they were read, before they are a zone.
//!
//! They are kept in one arena of octets with a small entry each, so that a million of them stay small and the
//! compiled zone can take the arena over as it is.

use super::PROBLEMS_MOST;
use super::rule::Rule;
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
    /// What is wrong so far, at most [`PROBLEMS_MOST`] errors and as many warnings.
    pub problems: Vec<Problem>,
    /// How many errors were found, told or not.
    pub errors: usize,
    /// How many warnings were found, told or not.
    pub warnings: usize,
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

    /// Notes a problem at `place`; one of too many is only counted, and its message never made.
    pub fn report(
        &mut self,
        place: Place,
        severity: Severity,
        rule: Rule,
        message: impl FnOnce(&Sources) -> String,
    ) {
        if self.has_room(severity) {
            let message = message(&self.sources);
            self.problems.push(self.sources.problem(place, severity, rule, message));
        }
    }

    /// Notes a problem of a file as a whole.
    pub fn report_file(&mut self, problem: Problem) {
        if self.has_room(problem.severity) {
            self.problems.push(problem);
        }
    }

    /// Closes the list of problems: puts them in the order of lines, and says how many were left out.
    pub(crate) fn finish_problems(&mut self) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by(|one, other| {
            (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column))
        });
        let path = self.sources.path(0);
        for (found, severity, kind) in
            [(self.errors, Severity::Error, "errors"), (self.warnings, Severity::Warning, "warnings")]
        {
            if found > PROBLEMS_MOST {
                let message =
                    format!("{} more {kind} are not shown: mend these first", found - PROBLEMS_MOST);
                problems.push(Problem::of_file(path, severity, Rule::Limit, message));
            }
        }
        problems
    }

    /// Counts a problem, and says whether it is among those that are told.
    fn has_room(&mut self, severity: Severity) -> bool {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        *count <= PROBLEMS_MOST
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
