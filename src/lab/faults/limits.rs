//! What the operating system holds a process to (prlimit(2)), and holds it to no longer.
//!
//! Only the soft limit is touched: the hard one stays, so that an ordinary user can take the fault back, and the process sees
//! the error that it would see of any limit. It stands apart because only Linux changes the limits of another process;
//! elsewhere it says so.

use std::io;

use super::Limit;

/// What a process could have before a fault; nothing where that was not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lab) struct Before(Option<u64>);

/// Holds the process `pid` to `amount`, or to its hard limit if that is lower; what it was held to before.
#[cfg(target_os = "linux")]
pub(in crate::lab) fn hold(pid: u32, limit: Limit, amount: u64) -> io::Result<Before> {
    set(pid, limit, Some(amount)).map(Before)
}

/// Holds it to what it was held to before.
#[cfg(target_os = "linux")]
pub(in crate::lab) fn release(pid: u32, limit: Limit, before: Before) -> io::Result<()> {
    set(pid, limit, before.0).map(|_| ())
}

#[cfg(target_os = "linux")]
fn set(pid: u32, limit: Limit, amount: Option<u64>) -> io::Result<Option<u64>> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let resource = match limit {
        Limit::Descriptors => Resource::Nofile,
        Limit::Memory => Resource::Data,
    };
    // A limit is changed whole; the hard part is read first, and given back as it is.
    let read = prlimit_of(pid, resource)?;
    let within = |amount: u64| read.maximum.map_or(amount, |most| amount.min(most));
    let current = amount.map(within).or(read.maximum);
    Ok(prlimit(Some(pid), resource, Rlimit { current, maximum: read.maximum })?.current)
}

#[cfg(target_os = "linux")]
fn prlimit_of(
    pid: rustix::process::Pid,
    resource: rustix::process::Resource,
) -> io::Result<rustix::process::Rlimit> {
    use rustix::process::{Resource, Rlimit};

    let name = match resource {
        Resource::Nofile => "Max open files",
        _ => "Max data size",
    };
    let text = std::fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero()))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let mut words = line.unwrap_or_default().split_whitespace();
    let mut next = || -> io::Result<Option<u64>> {
        match words.next() {
            Some("unlimited") => Ok(None),
            Some(number) => number.parse().map(Some).map_err(io::Error::other),
            None => Err(io::Error::other("the limits of the process cannot be read")),
        }
    };
    Ok(Rlimit { current: next()?, maximum: next()? })
}

/// Says that only Linux does this.
#[cfg(not(target_os = "linux"))]
pub(in crate::lab) fn hold(_: u32, _: Limit, _: u64) -> io::Result<Before> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux changes the limits of a process that runs"))
}

/// Nothing is held.
#[cfg(not(target_os = "linux"))]
pub(in crate::lab) fn release(_: u32, _: Limit, _: Before) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_held_to_a_limit_and_is_as_before_when_it_is_released() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let limits = || std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let at_first = limits();
        let held = [(Limit::Descriptors, 15), (Limit::Memory, 1 << 20)];
        let before = held.map(|(limit, amount)| (limit, hold(pid, limit, amount).unwrap()));
        let words = |name: &str| {
            let line = limits().lines().find(|line| line.starts_with(name)).unwrap().to_owned();
            line[name.len()..].split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!((words("Max open files"), words("Max data size")), ("15".into(), "1048576".into()));
        before.into_iter().for_each(|(limit, before)| release(pid, limit, before).unwrap());
        assert_eq!(limits(), at_first);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
