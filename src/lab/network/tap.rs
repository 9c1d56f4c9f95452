//! Listening at the interfaces of machines, as tcpdump would on each of them.
//!
//! Who may listen is on the machine, and who writes what was heard is not: so a process of its own, `wwwlab tap`, goes from
//! machine to machine, opens a socket on each and hands it to who asked. A socket stays in the network that it was made in,
//! wherever its descriptor goes; so whoever holds it is on no machine, and keeps its own rights and files.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::NetworkError;

/// The hidden command that opens the sockets.
pub const COMMAND: &str = "tap";

/// What the process that opens them is started with.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the machines are to be entered
    #[arg(required = true)]
    places: Vec<PathBuf>,
}

/// A packet as a machine's kernel hands it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    /// When it passed, in nanoseconds since the Unix epoch.
    pub at: u64,
    /// The number of the interface on its machine.
    pub interface: u32,
    /// Whether it left.
    pub outgoing: bool,
    /// Its length, in octets.
    pub length: usize,
    /// Its octets, as many as were to be kept.
    pub octets: Vec<u8>,
}

/// An interface of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapInterface {
    /// Its number on the machine.
    pub number: u32,
    /// Its name.
    pub name: String,
}

/// Why nobody can listen.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// A machine cannot be entered.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A socket cannot be had.
    #[error("cannot listen on {machine}")]
    Socket {
        /// Where.
        machine: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The process that opens the sockets cannot be started or talked to.
    #[error("cannot start what listens")]
    Process(#[source] io::Error),
    /// It said why it could not.
    #[error("{}", .0.join(": "))]
    Refused(Vec<String>),
    /// It ended before it had been everywhere.
    #[error("cannot listen on all machines: has the lab ended?")]
    Ended,
    /// It is not a command that started this.
    #[error("`wwwlab {COMMAND}` is started by `wwwlab capture`")]
    NoSocket(#[source] io::Error),
}

/// The life of the process that opens the sockets: it hands over one after the other, then it ends.
pub fn run(arguments: &Arguments) -> Result<(), TapError> {
    on_this_system::run(&arguments.places)
}

#[cfg(target_os = "linux")]
mod on_this_system {
    pub(super) use super::super::kernel::tap::run;
}

#[cfg(target_os = "linux")]
pub use super::kernel::tap::Taps;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::Taps;

#[cfg(not(target_os = "linux"))]
use elsewhere as on_this_system;

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::path::{Path, PathBuf};

    use super::{Caught, NetworkError, TapError, TapInterface};

    pub(super) fn run(_places: &[PathBuf]) -> Result<(), TapError> {
        Err(NetworkError::NotLinux.into())
    }

    /// There are none.
    #[derive(Debug)]
    pub struct Taps;

    impl Taps {
        /// Says that there are none.
        pub fn open(_executable: &Path, _places: &[PathBuf]) -> Result<Self, TapError> {
            Err(NetworkError::NotLinux.into())
        }

        /// There are none.
        pub fn interfaces(&self) -> Vec<Vec<TapInterface>> {
            Vec::new()
        }

        /// Never comes.
        pub async fn next(&self, _kept: usize, _caught: &mut Vec<(usize, Caught)>) {
            std::future::pending().await
        }

        /// There is nothing.
        pub fn rest(&self, _kept: usize, _each: impl FnMut(usize, Caught) -> bool) {}

        /// None.
        pub fn dropped(&self) -> Vec<u64> {
            Vec::new()
        }
    }
}
