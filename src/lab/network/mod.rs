//! Network `hosts`: every host of the lab with a network of its own, by the namespaces of Linux (namespaces(7)).
//!
//! [`plan`] says which machines there are, without doing anything. One process of this executable, `wwwlab network`,
//! makes them: it alone has namespaces to make and to hold, so it is a process of its own that is started before the
//! services and ended after them; with it, everything is gone. Where a host can be entered stands in the lab's state,
//! as links that lead to that process's descriptors (`hosts/server/net`); [`within`] starts a program there, `errands` runs one to its end. [`held`] is the
//! supervisor's side of it, [`wiring`] that of its users;
//! [`publish`] is what can be reached from outside, [`tap`] listens to its packets, and [`spoof`] answers some in others' names.
//!
//! What only Linux can do is in `kernel`; elsewhere [`NetworkError::NotLinux`] is all there is.

mod carry;
pub(in crate::lab) mod errands;
pub mod held;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod life;
pub mod plan;
pub mod publish;
pub mod spoof;
pub mod tap;
pub mod wiring;

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::hosts::Host;
use plan::Plan;

/// The hidden command that makes the network and holds it.
pub const COMMAND: &str = "network";
/// The hidden command that starts a program on one of its machines.
pub const WITHIN: &str = "within";

/// What the process of the network is started with.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the machines' namespaces are to be found
    place: PathBuf,
    /// Further computers, in the network `classroom`
    #[arg(long, default_value_t = 0)]
    classroom: u32,
    /// Make it, and take it away again: does it work here?
    #[arg(long)]
    only_try: bool,
    /// Which hosts there are
    #[arg(value_enum)]
    hosts: Vec<Host>,
}

/// How a program is started on a machine of the lab.
#[derive(Debug, clap::Args)]
pub struct Entering {
    /// The machine's place in the lab's state
    place: PathBuf,
    /// With the rights of the machine's administrator
    #[arg(long)]
    capable: bool,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// Why a network cannot be made, held or entered.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Namespaces are of Linux.
    #[error(
        "network `hosts` is for Linux: this system has no network namespaces; `--network loopback` works here"
    )]
    NotLinux,
    /// This user may have no namespaces.
    #[error(
        "this machine gives you no user namespace, which network `hosts` needs: {cause}. {remedy}, or use `--network loopback`"
    )]
    Forbidden {
        /// What forbids it, as far as can be seen.
        cause: String,
        /// What to do.
        remedy: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A namespace was refused.
    #[error("cannot make {machine}: {}", namespace_refused(source))]
    Machine {
        /// Whose.
        machine: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The network is larger than this process may hold.
    #[error(
        "this network needs {needed} descriptors, and the limit is {most}: raise it (`ulimit -Hn`), or take fewer computers (classroom in lab.toml)"
    )]
    Descriptors {
        /// For so many machines.
        needed: usize,
        /// As it stands.
        most: usize,
    },
    /// A machine cannot have files of its own in `/etc`.
    #[error("cannot give {machine} an /etc of its own ({step}); `--network loopback` works without")]
    Files {
        /// Whose.
        machine: String,
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A setting of a machine's kernel is refused.
    #[error("cannot set {setting} of {machine}{}", if source.kind() == io::ErrorKind::ReadOnlyFilesystem { ": /proc/sys cannot be written here, as in a container that is not privileged" } else { "" })]
    Setting {
        /// Whose.
        machine: String,
        /// Its name below `/proc/sys/net`.
        setting: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel cannot do something that a network is made of.
    #[error("this kernel has no {what}: `sudo modprobe {module}` may load it; else use `--network loopback`")]
    Lacking {
        /// Virtual cables, say.
        what: &'static str,
        /// Its module.
        module: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A cable, an address or a route is refused.
    #[error("cannot make {what}")]
    Refused {
        /// What.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel cannot be talked to.
    #[error("cannot talk to the kernel about networks (netlink)")]
    Netlink(#[source] io::Error),
    /// The places in the lab's state cannot be made.
    #[error("cannot make {}", path.display())]
    State {
        /// The place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not the supervisor that started this.
    #[error("`wwwlab {COMMAND}` is started by the lab itself")]
    NoChannel(#[source] io::Error),
    /// There is no such machine, or its lab has gone.
    #[error("there is no machine at {}: has its lab ended?", place.display())]
    Gone {
        /// Where it should be.
        place: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A machine cannot be entered.
    #[error("cannot enter {} ({step}): only who brought the lab up may, and from outside of it", place.display())]
    Enter {
        /// Where it is.
        place: PathBuf,
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program cannot be started on a machine.
    #[error("cannot start {program:?}: is it installed, and on your PATH?")]
    Program {
        /// Its name.
        program: OsString,
        /// Why.
        source: io::Error,
    },
}

/// Why the kernel gives no further namespace.
fn namespace_refused(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(nix::errno::Errno::from_raw) {
        Some(nix::errno::Errno::ENOSPC) => {
            "a limit of /proc/sys/user/max_{net,mnt,uts}_namespaces is reached; end other labs or containers, or raise it"
        }
        Some(nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE) => "no descriptor is left (`ulimit -Hn`)",
        Some(nix::errno::Errno::ENOMEM) => "the machine has no memory left for it",
        _ => "the kernel refuses it a namespace",
    }
}

/// The life of the process that makes the network and holds it: it returns when the supervisor's end of the channel
/// closes. What goes wrong before the network is ready is told to the supervisor, and returned.
pub fn run(arguments: &Arguments) -> Result<(), NetworkError> {
    let plan = Plan::new(&arguments.hosts, arguments.classroom).spoken(has_ipv6());
    match arguments.only_try {
        true => on_this_system::only_try(&plan, &arguments.place),
        false => on_this_system::run(&plan, &arguments.place),
    }
}

/// Whether the kernel speaks IPv6; with `ipv6.disable=1` it does not, and the machines have addresses of IPv4 alone.
pub fn has_ipv6() -> bool {
    on_this_system::has_ipv6()
}

/// The words after the executable that try whether a network can be made here, at `place`, with all that a lab's is made of.
pub fn trial(place: &Path) -> [OsString; 6] {
    // Two computers of a classroom need a switch; all need cables.
    [
        COMMAND.into(),
        "--only-try".into(),
        "--classroom".into(),
        "2".into(),
        place.into(),
        Host::Root.as_str().into(),
    ]
}

/// Becomes the program, on its machine; returns only if that fails.
pub fn enter(entering: &Entering) -> Result<Infallible, NetworkError> {
    on_this_system::enter(&entering.place, entering.capable, &entering.program)
}

/// The words that come before a command line to have it run at `place`.
pub fn within(place: &Path) -> [OsString; 3] {
    [WITHIN.into(), place.into(), "--".into()]
}

/// The machine at `place` that this process is on, if it is on one of them.
pub fn here(place: &Path) -> Option<String> {
    on_this_system::here(place)
}

pub use on_this_system::Seats;

#[cfg(target_os = "linux")]
mod on_this_system {
    pub use super::kernel::Seats;
    pub(super) use super::kernel::enter::{enter, here, lend};
    pub(super) use super::kernel::has_ipv6;
    pub(super) use super::life::{only_try, run};
}

#[cfg(not(target_os = "linux"))]
mod on_this_system {
    use super::{Infallible, NetworkError, OsString, Path, Plan};

    /// There are none.
    #[derive(Debug)]
    pub struct Seats;

    impl Seats {
        /// None.
        pub fn at(_place: &Path) -> Self {
            Self
        }

        /// By nobody.
        pub fn are_taken(&self) -> bool {
            false
        }
    }

    pub(super) fn run(_plan: &Plan, _place: &Path) -> Result<(), NetworkError> {
        Err(NetworkError::NotLinux)
    }

    pub(super) fn only_try(_plan: &Plan, _place: &Path) -> Result<(), NetworkError> {
        Err(NetworkError::NotLinux)
    }

    pub(super) fn lend(_place: &Path) -> Result<(), NetworkError> {
        Err(NetworkError::NotLinux)
    }

    pub(super) fn enter(
        _place: &Path,
        _capable: bool,
        _program: &[OsString],
    ) -> Result<Infallible, NetworkError> {
        Err(NetworkError::NotLinux)
    }

    pub(super) fn has_ipv6() -> bool {
        true
    }

    pub(super) fn here(_place: &Path) -> Option<String> {
        None
    }
}
