//! The way in: this process moves to a machine of the lab and becomes another program there (setns(2)).
//!
//! The process keeps its number, its descriptors, its directory (by its path) and its user. Rights over the machine end with the
//! exec, unless they are asked for, since an ordinary user has them in the lab's user namespace alone.

use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::fs::{self, DirEntry, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, setns};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
};

use super::machine;
use crate::lab::network::NetworkError;

/// Moves to the machine at `place` and becomes `program`; with `capable`, as its administrator.
pub(in crate::lab::network) fn enter(
    place: &Path,
    capable: bool,
    program: &[OsString],
) -> Result<Infallible, NetworkError> {
    let find = |kind: &str| File::open(place.join(kind));
    let gone = |source| NetworkError::Gone { place: place.into(), source };
    // All are looked up before the first step: from inside, the others may not be seen.
    let user = find("user").map_err(gone)?;
    let rest = [
        ("its network", CloneFlags::CLONE_NEWNET, find("net").map_err(gone)?),
        ("its name", CloneFlags::CLONE_NEWUTS, find("uts").map_err(gone)?),
        ("its files", CloneFlags::CLONE_NEWNS, find("mnt").map_err(gone)?),
    ];
    let failed = |step| move |source: io::Error| NetworkError::Enter { place: place.into(), step, source };
    let directory = env::current_dir();
    join_users(&user).map_err(failed("its users"))?;
    for (step, kind, namespace) in rest {
        setns(&namespace, kind).map_err(|errno| failed(step)(errno.into()))?;
    }
    if let Ok(directory) = directory {
        // It may not be seen from there; the root will do then.
        let _ = env::set_current_dir(directory);
    }
    if capable {
        keep_rights().map_err(|errno| failed("its rights")(errno.into()))?;
    }
    let [name, arguments @ ..] = program else {
        return Err(NetworkError::Program {
            program: OsString::new(),
            source: io::ErrorKind::InvalidInput.into(),
        });
    };
    let mut command = Command::new(name);
    command.args(arguments);
    // A service is shown as it is everywhere: by the name of the program, not by its path.
    if env::current_exe().is_ok_and(|own| own.as_os_str() == name) {
        command.arg0("wwwlab");
    }
    Err(NetworkError::Program { program: name.clone(), source: command.exec() })
}

/// Has this process make its further sockets on the machine at `place`; those that it has stay where they were made, and
/// all else stays as it is. Whatever rights it has end. It must have one thread.
pub(in crate::lab::network) fn lend(place: &Path) -> Result<(), NetworkError> {
    let gone = |source| NetworkError::Gone { place: place.into(), source };
    let failed = |step| move |source: io::Error| NetworkError::Enter { place: place.into(), step, source };
    let user = File::open(place.join("user")).map_err(gone)?;
    let net = File::open(place.join("net")).map_err(gone)?;
    join_users(&user).map_err(failed("its users"))?;
    setns(&net, CloneFlags::CLONE_NEWNET).map_err(|errno| failed("its network")(errno.into()))?;
    resign().map_err(|errno| failed("its rights")(errno.into()))
}

/// Gives up whatever rights this process has, on a machine and elsewhere, for good: what it has opened, it may use.
pub(in crate::lab::network) fn resign() -> rustix::io::Result<()> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// Goes from machine to machine at `places` and does `there` on each: what it opens stays there, and this process is on the last
/// of them in the end. It must have one thread.
pub(in crate::lab::network) fn visit<E: From<NetworkError>>(
    places: &[PathBuf],
    mut there: impl FnMut(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let open = |place: &Path, kind: &str| {
        File::open(place.join(kind)).map_err(|source| NetworkError::Gone { place: place.into(), source })
    };
    let failed = |place: &Path, step, source| NetworkError::Enter { place: place.into(), step, source };
    let networks: Vec<File> = places.iter().map(|place| open(place, "net")).collect::<Result<_, _>>()?;
    if let Some(first) = places.first() {
        join_users(&open(first, "user")?).map_err(|source| failed(first, "its users", source))?;
    }
    for (place, network) in places.iter().zip(&networks) {
        setns(network, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| failed(place, "its network", errno.into()))?;
        there(place)?;
    }
    Ok(())
}

/// Moves to the user namespace of a machine. Root's lab has none of its own, and whoever is inside already has it.
fn join_users(user: &File) -> io::Result<()> {
    if machine::open("user")?.metadata()?.ino() != user.metadata()?.ino() {
        setns(user, CloneFlags::CLONE_NEWUSER)?;
    }
    Ok(())
}

/// The machine at `place` on which this process is already.
pub(in crate::lab::network) fn here(place: &Path) -> Option<String> {
    let number = |about: Metadata| (about.dev(), about.ino());
    let own = number(machine::open("net").ok()?.metadata().ok()?);
    let is_own = |machine: &DirEntry| machine.path().join("net").metadata().is_ok_and(|it| number(it) == own);
    fs::read_dir(place).ok()?.flatten().find(is_own)?.file_name().into_string().ok()
}

/// The rights outlive the exec, in this program and in what it starts (ambient, capabilities(7)).
fn keep_rights() -> rustix::io::Result<()> {
    let CapabilitySets { effective, permitted, .. } = capabilities(None)?;
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable: permitted })?;
    for right in permitted.iter() {
        // Those that this version of the list does not know are not one right, and kept by nobody.
        if CapabilitySet::all().contains(right) {
            configure_capability_in_ambient_set(right, true)?;
        }
    }
    Ok(())
}
