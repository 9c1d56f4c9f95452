//! On what the numbers were taken.

use std::fs;
use std::thread;

use wwwlab::ground::clock;

/// Processor, its cores that may be used, kernel, what else there was to do, and the time.
pub(crate) fn describe() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let now = clock::rfc3339(clock::unix_millis());
    format!(
        "{model}, {cores} cores, Linux {}, load {load} in the last minute, {} UTC",
        kernel.trim(),
        now.get(..16).unwrap_or(&now).replace('T', " ")
    )
}
