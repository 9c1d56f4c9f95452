//! What a process takes of the machine, as the operating system counts it.
//!
//! Linux only (proc(5)): elsewhere the answer is nothing and the columns stay empty.

pub use on_this_system::{descriptors, group_runs, is_stopped, machine, of, of_group};

#[cfg(target_os = "linux")]
mod on_this_system {
    use std::fs;

    use nix::unistd::{SysconfVar, sysconf};

    use crate::lab::status::Usage;

    /// What `pid` takes; nothing if it is gone.
    pub fn of(pid: u32) -> Option<Usage> {
        let stat = stat(pid)?;
        let field = |number: usize| stat.get(number - 3)?.parse::<u64>().ok();
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
        let ticks = field(14)? + field(15)?;
        let memory_bytes = memory(pid).unwrap_or_default();
        Some(Usage { cpu_millis: ticks * 1000 / u64::try_from(ticks_per_second).ok()?, memory_bytes })
    }

    /// What the processes of the group that `pid` leads take together; nothing if it is gone.
    pub fn of_group(pid: u32) -> Option<Usage> {
        let mut all = of(pid)?;
        let group = pid.to_string();
        for entry in fs::read_dir("/proc").ok()?.flatten() {
            let other =
                entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|&other| other != pid);
            // The fifth field: the process group.
            if let Some(other) = other
                && stat(other).is_some_and(|stat| stat.get(2) == Some(&group))
                && let Some(usage) = of(other)
            {
                all += usage;
            }
        }
        Some(all)
    }

    /// How long the machine's processors have worked since it was switched on, and how long they were there, in ticks of all of
    /// them together.
    pub fn machine() -> Option<(u64, u64)> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        // The first eight, since guests' time is in the first two already.
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|tick| tick.parse().ok()).collect();
        let all = ticks.iter().sum::<u64>();
        // The fourth and fifth: idle, and idle while a disk works.
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some((all.checked_sub(idle)?, all))
    }

    /// How many descriptors `pid` has open, and how many it may have; nothing if it is gone, or of another user.
    pub fn descriptors(pid: u32) -> Option<(u64, u64)> {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        let soft = line.split_whitespace().next()?.parse().ok()?;
        Some((u64::try_from(open).ok()?, soft))
    }

    /// Whether `pid` stands still (SIGSTOP), by whoever's hand.
    pub fn is_stopped(pid: u32) -> bool {
        stat(pid).and_then(|stat| stat.first().map(|state| state == "T")).unwrap_or(false)
    }

    /// Whether anybody in the process group `group` runs, or stands still: who has ended and has not been waited for does not.
    pub fn group_runs(group: u32) -> bool {
        let group = group.to_string();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.any(|pid| {
            stat(pid).is_some_and(|stat| {
                stat.get(2) == Some(&group)
                    && stat.first().is_some_and(|state| !matches!(state.as_str(), "Z" | "X"))
            })
        })
    }

    /// The fields of `/proc/PID/stat` from the third on: the second, the name, may hold spaces and brackets.
    fn stat(pid: u32) -> Option<Vec<String>> {
        let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, after_name) = line.rsplit_once(')')?;
        Some(after_name.split_whitespace().map(str::to_owned).collect())
    }

    fn memory(pid: u32) -> Option<u64> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    #[cfg(test)]
    mod tests {
        use std::os::unix::process::CommandExt as _;
        use std::process::{Command, Stdio};

        use super::*;

        #[test]
        fn a_group_takes_what_all_its_processes_take() {
            // The shell and its child wait for the end of what they read.
            let mut shell = Command::new("sh");
            shell
                .args(["-c", "exec 3<&0; cat <&3 & echo; wait"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .process_group(0);
            let mut shell = shell.spawn().unwrap();
            let started = std::io::Read::read(&mut shell.stdout.take().unwrap(), &mut [0]);
            assert_eq!(started.unwrap(), 1);
            assert!(group_runs(shell.id()));
            let (one, all) = (of(shell.id()).unwrap(), of_group(shell.id()).unwrap());
            drop(shell.stdin.take());
            shell.wait().unwrap();
            assert!(all.memory_bytes > one.memory_bytes, "{all:?} {one:?}");
            assert_eq!(of_group(u32::MAX), None);
            assert!(!group_runs(shell.id()), "it has ended");
        }

        #[test]
        fn this_process_takes_something_and_runs() {
            let me = std::process::id();
            assert!(of(me).unwrap().memory_bytes > 0);
            assert!(!is_stopped(me));
            let (worked, all) = machine().unwrap();
            assert!(0 < worked && worked <= all, "{worked} of {all}");
            let (open, most) = descriptors(me).unwrap();
            assert!((3..most).contains(&open), "{open} of {most}");
            assert_eq!(of(u32::MAX), None);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod on_this_system {
    use crate::lab::status::Usage;

    /// Nothing: this system is not asked.
    pub fn of(_pid: u32) -> Option<Usage> {
        None
    }

    /// Nothing: this system is not asked.
    pub fn machine() -> Option<(u64, u64)> {
        None
    }

    /// Nothing: this system is not asked.
    pub fn descriptors(_pid: u32) -> Option<(u64, u64)> {
        None
    }

    /// Nothing: this system is not asked.
    pub fn of_group(_pid: u32) -> Option<Usage> {
        None
    }

    /// Nobody: this system is not asked.
    pub fn group_runs(_group: u32) -> bool {
        false
    }

    /// Not known: this system is not asked.
    pub fn is_stopped(_pid: u32) -> bool {
        false
    }
}
