//! What the bench needs to know of a stack: how to start it, and, once it runs, how to ask, weigh and end it.

use std::time::Duration;

use nix::sys::signal::Signal;
use wwwlab::ground::clock::Stopwatch;

use crate::ground::processes;
use crate::ground::program::Program;
use crate::ground::stop::Stop;
use crate::ground::trouble::Trouble;
use crate::memory::{self, Taken};
use crate::probe::{self, Ended, Probe, What};

/// A stack, prepared: its data are initialised and its pages have been asked for once.
pub(crate) trait Stack {
    /// What it is called in the result.
    fn name(&self) -> &'static str;

    /// Starts all of it.
    fn start(&self) -> Result<Running, Trouble>;
}

/// A stack that has been started.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) stack: &'static str,
    /// Since the moment before the first program was started.
    pub(crate) watch: Stopwatch,
    pub(crate) programs: Vec<Program>,
    pub(crate) probes: Vec<Probe>,
    /// What asks each program to end in good order.
    pub(crate) ends_by: Signal,
}

/// A database writes its pages before it ends.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

impl Running {
    /// The time to the first right answer of each of its probes.
    pub(crate) fn first_right_answers(&self, stop: &Stop) -> Result<Vec<(What, Duration)>, Trouble> {
        probe::first_right_answers(&self.probes, self.watch, stop).map_err(|ended| self.trouble(ended))
    }

    /// Why a probe has no time to tell, with what the programs said.
    pub(crate) fn trouble(&self, ended: Ended) -> Trouble {
        ended.of(self.stack, || self.programs.iter().map(Program::last_words).collect())
    }

    /// What each of its processes takes now.
    pub(crate) fn memory(&self) -> Result<Vec<Taken>, Trouble> {
        memory::taken(&processes::family(&self.pids())?)
    }

    /// Ends it and makes sure that none of its processes is left.
    pub(crate) fn end(mut self) -> Result<(), Trouble> {
        let family = processes::family(&self.pids())?;
        self.end_programs()?;
        processes::wait_until_gone(&family)
    }

    fn end_programs(&mut self) -> Result<(), Trouble> {
        for program in &self.programs {
            program.signal(self.ends_by);
        }
        let ended: Vec<_> = self.programs.drain(..).map(|mut program| program.wait(ENDS_WITHIN)).collect();
        ended.into_iter().collect()
    }

    fn pids(&self) -> Vec<u32> {
        self.programs.iter().map(Program::pid).collect()
    }
}

impl Drop for Running {
    /// Also where a run is given up, its programs are asked first; those that do not end are killed.
    fn drop(&mut self) {
        let _ = self.end_programs();
    }
}
