//! The settings of a machine's kernel (ip-sysctl in the kernel's documentation), made before it has interfaces, which
//! begin with them.

use std::fs;
use std::io;
use std::path::Path;

use nix::unistd::getegid;

use super::rights::Rights;
use crate::lab::network::NetworkError;
use crate::lab::network::plan::Machine;

/// Makes them for `machine`, in whose network namespace this process is.
pub(super) fn make(machine: &Machine, rights: Rights) -> Result<(), NetworkError> {
    let forwards = if machine.router { "1" } else { "0" };
    let ping = ping_group_range(rights);
    let v4 = [
        ("ipv4/ip_forward", forwards),
        // The real ports are everybody's here: 53 and 80 without root.
        ("ipv4/ip_unprivileged_port_start", "0"),
        // ping asks without a right of its own.
        ("ipv4/ping_group_range", &ping),
    ];
    let v6 = [
        ("ipv6/conf/all/forwarding", forwards),
        // Every address is given, and nobody else has it: nothing is to be found out first.
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
        ("ipv6/conf/default/router_solicitations", "0"),
        // A cable that is plugged in again is as it was.
        ("ipv6/conf/default/keep_addr_on_down", "1"),
    ];
    let settings = v4.iter().chain(v6.iter().filter(|_| has_ipv6()));
    for (setting, value) in settings {
        set(setting, value).map_err(|source| NetworkError::Setting {
            machine: machine.name.clone(),
            setting: (*setting).into(),
            source,
        })?;
    }
    Ok(())
}

/// Whether the kernel speaks IPv6.
pub(in crate::lab::network) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").is_dir()
}

fn set(setting: &str, value: &str) -> io::Result<()> {
    fs::write(format!("/proc/sys/net/{setting}"), value)
}

/// All groups, as far as there are any: a user namespace of an ordinary user has one.
fn ping_group_range(rights: Rights) -> String {
    match rights {
        Rights::Root => "0 2147483647".into(),
        Rights::Own => format!("{0} {0}", getegid()),
    }
}
