//! What was measured of one stack, over all runs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::memory::Taken;
use crate::probe::What;

/// Numbers of one stack, one for each run.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Milliseconds to the first right answer of each probe.
    pub(crate) first: BTreeMap<What, Vec<f64>>,
    /// Milliseconds until all of them had answered right.
    pub(crate) all: Vec<f64>,
    /// Megabytes (10^6 bytes) of all processes together.
    pub(crate) memory: Vec<f64>,
    /// The processes of the last run.
    pub(crate) processes: Vec<Taken>,
}

impl Measured {
    /// Adds a run.
    pub(crate) fn add(&mut self, first: &[(What, Duration)], processes: Vec<Taken>) {
        for (what, after) in first {
            self.first.entry(*what).or_default().push(millis(*after));
        }
        self.all.extend(first.iter().map(|(_, after)| *after).max().map(millis));
        self.memory.push(processes.iter().map(Taken::megabytes).sum());
        self.processes = processes;
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
