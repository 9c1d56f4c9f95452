//! Why there is no result.

use std::ffi::OsString;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Every way in which the bench ends early; nothing that it started is left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("stopped before there was a result")]
    Stopped,
    #[error("{variable} is a number from {} to {}, not {written:?}", .range.start(), .range.end())]
    Number { variable: &'static str, range: RangeInclusive<u32>, written: OsString },
    #[error("missing: {}; `make bench` installs them, or: sudo apt install {packages}", .programs.join(", "))]
    Missing { programs: Vec<&'static str>, packages: String },
    #[error("no free port from {from} to {to} for {what}")]
    NoPort { what: &'static str, from: u16, to: u16 },
    #[error("{program} failed and said:\n{said}")]
    Failed { program: &'static str, said: String },
    #[error("{what} of {stack} gave no right answer within {} s, at last: {last}\n{logs}", .limit.as_secs())]
    Silent { what: String, stack: &'static str, limit: Duration, last: String, logs: String },
    #[error("{program}, process {pid}, did not end within {} s of being asked", .limit.as_secs())]
    Endless { program: String, pid: u32, limit: Duration },
    #[error("cannot use {}", .file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("cannot {what}")]
    System { what: &'static str, source: io::Error },
}

/// For `map_err`: what could not be done.
pub(crate) fn cannot(what: &'static str) -> impl Fn(io::Error) -> Trouble {
    move |source| Trouble::System { what, source }
}

/// For `map_err`: which file was at fault.
pub(crate) fn of(file: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Trouble {
    move |source| Trouble::File { file: file.into(), source }
}
