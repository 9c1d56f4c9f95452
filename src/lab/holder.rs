//! Which process holds a port: what a student would find with `ss -lpn`.
//!
//! Linux only: `/proc/net/{tcp,udp}` gives the socket's inode, `/proc/PID/fd` who has it open (see proc(5)).
//! Elsewhere, and for processes of other users, the answer is nothing.

use std::net::SocketAddr;
use std::path::Path;

use crate::ground::bind::Transport;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process identifier.
    pub pid: u32,
    /// Its command name.
    pub name: String,
}

/// Who listens at `address`, or at its port on all addresses.
pub fn of(address: SocketAddr, transport: Transport) -> Option<Holder> {
    on_this_system::of(address, transport.carrier())
}

/// Whether somebody listens with TCP at `address`, or at its port on all addresses, in the network that the process `pid`
/// is in, if that is the one that `network` leads to.
pub fn listens(pid: u32, network: &Path, address: SocketAddr) -> bool {
    on_this_system::listens(pid, network, address)
}

#[cfg(target_os = "linux")]
mod on_this_system {
    use std::fs;
    use std::net::{IpAddr, Ipv6Addr};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    use super::{Holder, Path, SocketAddr, Transport};

    /// The state column of a listening TCP socket.
    const TCP_LISTEN: &str = "0A";

    pub(super) fn of(address: SocketAddr, transport: Transport) -> Option<Holder> {
        let inodes: Vec<u64> = ["", "6"]
            .iter()
            .filter_map(|version| fs::read_to_string(format!("/proc/net/{transport}{version}")).ok())
            .flat_map(|table| {
                table.lines().filter_map(|line| inode(line, address, transport)).collect::<Vec<_>>()
            })
            .collect();
        inodes.into_iter().find_map(process_with)
    }

    pub(super) fn listens(pid: u32, network: &Path, address: SocketAddr) -> bool {
        let same = || {
            Some(fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino() == fs::metadata(network).ok()?.ino())
        };
        same() == Some(true)
            && ["tcp", "tcp6"].iter().any(|table| {
                let table = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
                table.lines().any(|line| inode(line, address, Transport::Tcp).is_some())
            })
    }

    /// The inode in a line of `/proc/net/…`, if the line is of a socket in the way of `address`.
    fn inode(line: &str, address: SocketAddr, transport: Transport) -> Option<u64> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (ip, port) = local.split_once(':')?;
        if u16::from_str_radix(port, 16).ok()? != address.port() {
            return None;
        }
        if transport == Transport::Tcp && *state != TCP_LISTEN {
            return None;
        }
        let ip = parse_address(ip)?;
        (ip.is_unspecified() || ip == address.ip()).then(|| inode.parse().ok())?
    }

    /// Addresses are written as 32-bit words in the machine's byte order.
    fn parse_address(hex: &str) -> Option<IpAddr> {
        let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
        if hex.len() == 8 {
            return Some(IpAddr::from(word(0)?));
        }
        let mut bytes = [0; 16];
        for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
            four.copy_from_slice(&word(index * 8)?);
        }
        Some(Ipv6Addr::from(bytes).to_canonical())
    }

    fn process_with(inode: u64) -> Option<Holder> {
        let wanted = format!("socket:[{inode}]");
        for process in fs::read_dir("/proc").ok()?.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
                continue;
            };
            let holds = |descriptor: fs::DirEntry| {
                fs::read_link(descriptor.path())
                    .is_ok_and(|target| target.as_os_str().as_bytes() == wanted.as_bytes())
            };
            if descriptors.flatten().any(holds) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                return Some(Holder { pid, name: name.trim().to_owned() });
            }
        }
        None
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn addresses_read_as_the_kernel_writes_them() {
            let loopback = if cfg!(target_endian = "little") { "0100007F" } else { "7F000001" };
            assert_eq!(parse_address(loopback), Some("127.0.0.1".parse().unwrap()));
            assert_eq!(parse_address(&"0".repeat(32)), Some("::".parse().unwrap()));
            assert_eq!(parse_address("junk"), None);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod on_this_system {
    use super::{Holder, Path, SocketAddr, Transport};

    pub(super) fn of(_address: SocketAddr, _transport: Transport) -> Option<Holder> {
        None
    }

    pub(super) fn listens(_pid: u32, _network: &Path, _address: SocketAddr) -> bool {
        false
    }
}
