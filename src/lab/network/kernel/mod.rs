//! The network as the kernel has it: the only part that makes namespaces, cables and mounts. Linux only.
//!
//! In the order in which it happens: [`rights`] (a user namespace, for who is not root), [`machine`] (the namespaces of
//! each machine), [`files`] (what it has of its own in `/etc`), [`settings`] (of its kernel), [`cabling`] (links, addresses
//! and routes, told through [`wire`]). [`enter`] is the way in, [`sweep`] who is left there at the end,
//! [`tap`] what passes its interfaces, [`spoof`] who says there what he likes.

mod cabling;
pub(super) mod enter;
mod files;
mod machine;
mod rights;
mod settings;
pub(super) mod spoof;
mod sweep;
pub(super) mod tap;
mod wire;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use nix::sys::stat::{Mode, umask};

use super::NetworkError;
use super::plan::Plan;
use crate::ground::descriptors;
pub(super) use cabling::Cabling;
use machine::Machine;
pub(super) use settings::has_ipv6;
pub use sweep::Seats;
pub(super) use sweep::{Held, sweep_one};

/// Descriptors of a machine: three namespaces and the way to its network; and those of the process itself.
const DESCRIPTORS_EACH: usize = 4;
const DESCRIPTORS_BESIDE: usize = 32;

/// Makes all of `plan`, and the links to it at `place`. The process must have one thread.
pub(super) fn realise(plan: &Plan, place: &Path) -> Result<Cabling, NetworkError> {
    let needed = plan.machines.len() * DESCRIPTORS_EACH + DESCRIPTORS_BESIDE;
    let most = descriptors::raise();
    if needed > most {
        return Err(NetworkError::Descriptors { needed, most });
    }
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| NetworkError::State { path, source }
    };
    super::held::remove(place).map_err(failed(place))?;
    fs::DirBuilder::new().mode(0o700).recursive(true).create(place).map_err(failed(place))?;
    // Everybody on a machine may read its files, whoever brings it up and whatever that one's own new files are like.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let base = rights::obtain().and_then(|rights| files::Base::prepare(plan, place, rights))?;
    let machines: Vec<Machine> =
        plan.machines.iter().map(|machine| Machine::make(machine, &base)).collect::<Result<_, _>>()?;
    base.leave()?;
    let user = machine::open("user").map_err(NetworkError::Netlink)?;
    for (planned, made) in plan.machines.iter().zip(&machines) {
        let own = place.join(&planned.name);
        fs::create_dir(&own).map_err(failed(&own))?;
        for (name, descriptor) in
            [("user", &user), ("net", &made.net), ("uts", &made.uts), ("mnt", &made.mnt)]
        {
            let link = own.join(name);
            symlink(machine::reached_by_others(descriptor), &link).map_err(failed(&link))?;
        }
    }
    Cabling::lay(plan.clone(), machines, user)
}
