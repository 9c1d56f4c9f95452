//! The processor's time that programs take, to the nanosecond: what the scheduler says of each thread
//! (proc(5), `/proc/PID/task/TID/schedstat`), user and system together.

use std::fs;
use std::time::Duration;

use crate::ground::processes::Process;
use crate::ground::trouble::{Trouble, of};

/// The time that all threads of `processes` have had so far.
pub(crate) fn taken(processes: &[Process]) -> Result<Duration, Trouble> {
    let mut nanos = 0;
    for process in processes {
        let threads = format!("/proc/{}/task", process.pid);
        for thread in fs::read_dir(&threads).map_err(of(&threads))? {
            let file = thread.map_err(of(&threads))?.path().join("schedstat");
            // A thread may have ended in between.
            let said = fs::read_to_string(file).unwrap_or_default();
            nanos += said.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0_u64);
        }
    }
    Ok(Duration::from_nanos(nanos))
}
