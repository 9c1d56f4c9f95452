//! The memory of a stack: the sum over its processes, each with its part of what they share.

use crate::ground::processes::{self, Process};
use crate::ground::trouble::Trouble;

/// What one process takes.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// What each of `processes` takes now.
pub(crate) fn taken(processes: &[Process]) -> Result<Vec<Taken>, Trouble> {
    let taken =
        |process: &Process| Ok(Taken { name: process.name.clone(), bytes: processes::memory(process)? });
    processes.iter().map(taken).collect()
}
