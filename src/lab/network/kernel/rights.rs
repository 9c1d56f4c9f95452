//! The rights to make a network: root has them; anybody else gets them in a user namespace (user_namespaces(7)), in which
//! this user is who it is, and has every right over what is made there and none over anything else.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities};

use crate::lab::network::NetworkError;

/// What makes a network.
const NEEDED: CapabilitySet =
    CapabilitySet::SYS_ADMIN.union(CapabilitySet::NET_ADMIN).union(CapabilitySet::SYS_CHROOT);

/// Whose rights the network is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// The machine's administrator's.
    Root,
    /// This user's, in a namespace of its own.
    Own,
}

/// Obtains the rights.
pub(super) fn obtain() -> Result<Rights, NetworkError> {
    if capabilities(None).is_ok_and(|sets| sets.effective.contains(NEEDED)) {
        return Ok(Rights::Root);
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| forbidden(errno.into()))?;
    let say = |file: &str, text: &str| fs::write(format!("/proc/self/{file}"), text).map_err(forbidden);
    say("uid_map", &format!("{user} {user} 1"))?;
    // Without this the group could not be written: membership of a group can also take rights away.
    say("setgroups", "deny")?;
    say("gid_map", &format!("{group} {group} 1"))?;
    Ok(Rights::Own)
}

/// Names what forbids a user namespace. AppArmor may also let it be made and then give no rights in it, so that the first use
/// of them is what fails.
pub(super) fn forbidden(source: io::Error) -> NetworkError {
    let (cause, remedy) = cause(&source, |setting| {
        fs::read_to_string(format!("/proc/sys/{setting}")).ok().and_then(|text| text.trim().parse().ok())
    });
    NetworkError::Forbidden { cause, remedy, source }
}

/// What forbids it and what to do, by what the kernel said and how it is set.
fn cause(said: &io::Error, setting: impl Fn(&str) -> Option<u64>) -> (String, &'static str) {
    let because = |cause: &str, remedy| (cause.to_owned(), remedy);
    if setting("user/max_user_namespaces") == Some(0) {
        return because(
            "user.max_user_namespaces is 0",
            "`sudo sysctl user.max_user_namespaces=10000` allows them; or try with sudo",
        );
    }
    if setting("kernel/unprivileged_userns_clone") == Some(0) {
        return because(
            "kernel.unprivileged_userns_clone is 0",
            "`sudo sysctl kernel.unprivileged_userns_clone=1` allows them; or try with sudo",
        );
    }
    if setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        return because(
            "AppArmor restricts them to programs that it knows (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "`wwwlab doctor --apparmor | sudo tee /etc/apparmor.d/wwwlab`, then `sudo apparmor_parser -r /etc/apparmor.d/wwwlab` allow them to wwwlab; or try with sudo",
        );
    }
    match said.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EUSERS) => because(
            "the limit of user namespaces is reached (/proc/sys/user/max_user_namespaces), or they are nested too deeply",
            "End other labs or containers",
        ),
        Some(Errno::EINVAL | Errno::ENOSYS) => {
            because("this kernel was built without them (CONFIG_USER_NS)", "Try with sudo")
        }
        _ => because(
            "it is forbidden here, as in a container (its seccomp profile) or in a chroot",
            "Try on the machine itself, in a container with --privileged, or with sudo",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_named() {
        let denied = io::Error::from(Errno::EPERM);
        let named = |key: &str, value: u64| cause(&denied, |setting| (setting == key).then_some(value)).0;
        assert!(named("user/max_user_namespaces", 0).contains("max_user_namespaces is 0"));
        assert!(named("kernel/unprivileged_userns_clone", 0).contains("unprivileged_userns_clone is 0"));
        assert!(named("kernel/apparmor_restrict_unprivileged_userns", 1).contains("AppArmor"));
        for harmless in
            [("user/max_user_namespaces", 100), ("kernel/apparmor_restrict_unprivileged_userns", 0)]
        {
            assert!(named(harmless.0, harmless.1).contains("container"), "{harmless:?}");
        }
        let full = cause(&Errno::ENOSPC.into(), |_| None).0;
        assert!(full.contains("limit"), "{full}");
    }
}
