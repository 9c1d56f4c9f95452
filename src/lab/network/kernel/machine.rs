//! One machine's namespaces: its network, its mounts, its hostname (network_namespaces(7), mount_namespaces(7),
//! uts_namespaces(7)). They live as long as a descriptor or a process holds them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;

use super::files::Base;
use super::settings;
use super::wire::Wire;
use crate::lab::network::{NetworkError, plan};

/// A machine that is there.
#[derive(Debug)]
pub(super) struct Machine {
    /// Its network.
    pub(super) net: File,
    /// Its mounts.
    pub(super) mnt: File,
    /// Its hostname.
    pub(super) uts: File,
    /// Where its kernel takes orders about links, addresses and routes.
    pub(super) wire: Wire,
}

impl Machine {
    /// Makes `planned`, without cables. This process is inside when it returns.
    pub(super) fn make(planned: &plan::Machine, base: &Base) -> Result<Self, NetworkError> {
        let name = &planned.name;
        let failed = |source| NetworkError::Machine { machine: name.clone(), source };
        base.enter().map_err(failed)?;
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
            .map_err(|errno| failed(errno.into()))?;
        sethostname(name).map_err(|errno| failed(errno.into()))?;
        base.own_files(name)?;
        settings::make(planned, base.rights)?;
        let wire = Wire::open().map_err(NetworkError::Netlink)?;
        let open = |kind| open(kind).map_err(failed);
        Ok(Self { net: open("net")?, mnt: open("mnt")?, uts: open("uts")?, wire })
    }
}

/// The namespace of this `kind` that this process is in.
pub(super) fn open(kind: &str) -> io::Result<File> {
    File::open(format!("/proc/self/ns/{kind}"))
}

/// Where other processes of this user find what `file` is.
pub(super) fn reached_by_others(file: &File) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}
