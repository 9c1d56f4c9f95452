//! What works on this machine and what does not, one finding a line, each with its remedy.

use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::ground::bind::{self, Transport};
use crate::ground::chance;

use super::config::{ConfigError, Network, Port};
use super::directory::{Directory, DirectoryError};
use super::holder;
use super::hosts::Host;
use super::network;

/// Where systems have their administrators' programs, to which an ordinary user's PATH need not lead.
pub const ADMINISTRATORS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when nothing is to be done.
    pub remedy: String,
}

/// How a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// The lab works, with a limit.
    Limited,
    /// The lab cannot work.
    Bad,
}

/// Looks at everything. `running` says whether this lab is up, so that its own ports do not count as taken.
pub fn examine(directory: &Directory, running: bool) -> Vec<Finding> {
    let mut findings = vec![settings(directory), state(directory)];
    if running {
        findings.push(good("ports", "in use by this lab, which is up"));
    } else if directory.network == Network::Hosts {
        findings.push(good("ports", "the real ones: each host has its own"));
    } else {
        let config = directory.config().unwrap_or_default();
        let servers = config.hosts_of_dns();
        let wanted = config.ports;
        findings.push(port("DNS", wanted.dns, [53, 5300], &[Transport::Udp, Transport::Tcp], &servers));
        findings.push(port("HTTP", wanted.http, [80, 8080], &[Transport::Tcp], &[Host::Server]));
        findings.push(port(
            "the application server",
            wanted.app,
            [3000, 3000],
            &[Transport::Tcp],
            &[Host::Server],
        ));
    }
    if directory.network == Network::Loopback {
        findings.push(stub_resolver());
    }
    findings.push(tool("dig", "asks a name server: the lab's first tool", "apt install bind9-dnsutils"));
    findings.push(tool("curl", "asks a web server: the lab's second tool", "apt install curl"));
    findings.push(tool("delv", "validates signed zones by itself", "apt install bind9-dnsutils"));
    findings.push(tool("sqlite3", "opens the guestbook's database (`wwwlab db`)", "apt install sqlite3"));
    findings.push(machines(directory.network));
    if cfg!(target_os = "linux") {
        findings.push(tool(
            "ping",
            "asks whether a machine answers, on network `hosts`",
            "apt install iputils-ping",
        ));
        findings.push(administrators_tool(
            "nft",
            "puts firewalls in place, on network `hosts`",
            "apt install nftables",
        ));
        findings.push(administrators_tool(
            "tc",
            "makes ways slow or narrow (`fault add latency`, `bandwidth`), on network `hosts`",
            "apt install iproute2",
        ));
        findings.push(tool("tcpdump", "shows the packets, on network `hosts`", "apt install tcpdump"));
    }
    findings
}

fn settings(directory: &Directory) -> Finding {
    let subject = "lab";
    match directory.config() {
        Ok(_) if directory.toml.is_some() => {
            good(subject, format!("{}/lab.toml is right", directory.root.display()))
        }
        Ok(_) => {
            good(subject, "no lab.toml here: the built-in lab is used (`wwwlab new DIR` writes one to edit)")
        }
        Err(error) => {
            let causes = crate::ground::service::causes(&error).join(": ");
            let unreadable = matches!(error, DirectoryError::Config(ConfigError::Read { .. }));
            finding(
                subject,
                Verdict::Bad,
                causes,
                if unreadable { "make it readable" } else { "mend that line" },
            )
        }
    }
}

fn state(directory: &Directory) -> Finding {
    // The nearest part of the path that exists decides whether the rest can be made.
    let there = directory.state.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let writable =
        nix::unistd::access(there, nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK);
    let place = directory.state.display();
    match writable {
        Ok(()) => good("state", format!("kept in {place}")),
        Err(_) => finding(
            "state",
            Verdict::Bad,
            format!("{place} cannot be made: {} is not writable for you", there.display()),
            "use a lab of your own (`wwwlab new DIR`), or name another place with --state DIR",
        ),
    }
}

/// Whether the port that `what` wants can be had, or the stand-in of `[real, stand_in]`.
fn port(
    what: &str,
    wanted: Port,
    [real, stand_in]: [u16; 2],
    transports: &[Transport],
    hosts: &[Host],
) -> Finding {
    const ELSE: &str = "end it, or set another port under [ports] in lab.toml (0 takes any free one)";
    let problem = |port: u16| {
        hosts.iter().find_map(|host| {
            let address = SocketAddr::new(host.address(Network::Loopback), port);
            transports.iter().find_map(|&transport| bind::probe(address, transport).err())
        })
    };
    let (first, second) = match wanted {
        Port::Free => return good("port", format!("any free one will be taken for {what}")),
        Port::Fixed(port) => (port, port),
        Port::Auto => (real, stand_in),
    };
    let subject = format!("port {first}");
    let Some(error) = problem(first) else {
        return good(&subject, format!("free: {what} will be there"));
    };
    let why = in_the_way(&error);
    if first == second {
        return finding(&subject, Verdict::Bad, format!("{what} cannot be there: {why}"), ELSE);
    }
    let denied = error.source.kind() == io::ErrorKind::PermissionDenied;
    match problem(second) {
        None if denied => {
            let remedy = "run as root if you want the real port; nothing else needs it";
            finding(&subject, Verdict::Limited, format!("{why}; {what} will be at {second}"), remedy)
        }
        None => {
            let remedy = "end it if you want the real port";
            finding(&subject, Verdict::Limited, format!("{why}; {what} will be at {second}"), remedy)
        }
        Some(other) => {
            finding(&subject, Verdict::Bad, format!("{why}; nor at {second}: {}", in_the_way(&other)), ELSE)
        }
    }
}

/// Why an address could not be bound, in a few words.
fn in_the_way(error: &bind::BindError) -> String {
    match (holder::of(error.address, error.transport), error.source.kind()) {
        (Some(holder), _) => {
            format!("{} (pid {}) listens on {}/{}", holder.name, holder.pid, error.address, error.transport)
        }
        (None, io::ErrorKind::PermissionDenied) => "only root may bind a port below 1024 here".into(),
        (None, io::ErrorKind::AddrInUse) => format!("a process of another user listens on {}", error.address),
        (None, _) => format!("{}: {}", error.address, error.source),
    }
}

/// systemd-resolved listens on 127.0.0.53 and is not in the way of 127.0.0.1; a newcomer is often told it is.
fn stub_resolver() -> Finding {
    let configured = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers: Vec<&str> =
        configured.lines().filter_map(|line| line.trim().strip_prefix("nameserver")).map(str::trim).collect();
    let found = match servers.first() {
        Some(&"127.0.0.53") => {
            "systemd-resolved at 127.0.0.53 (not in the way of 127.0.0.1 to .4)".to_owned()
        }
        Some(server) => format!("this machine asks {server}"),
        None => "this machine asks no resolver".to_owned(),
    };
    good(
        "resolv.conf",
        format!(
            "{found}; the lab leaves it as it is, so programs ask the lab only when told to: `wwwlab dig`, `wwwlab curl`"
        ),
    )
}

fn tool(name: &str, purpose: &str, install: &str) -> Finding {
    found(in_path(name), name, purpose, install)
}

/// One that an ordinary user's PATH need not lead to.
fn administrators_tool(name: &str, purpose: &str, install: &str) -> Finding {
    found(in_path_or_administrators(name), name, purpose, install)
}

fn found(place: Option<PathBuf>, name: &str, purpose: &str, install: &str) -> Finding {
    match place {
        Some(path) => good(name, path.display().to_string()),
        None => finding(name, Verdict::Limited, format!("not installed ({purpose})"), install),
    }
}

/// Where `name` is in PATH.
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|file| {
        file.is_file() && nix::unistd::access(file.as_path(), nix::unistd::AccessFlags::X_OK).is_ok()
    })
}

/// Where `name` is in PATH, or where systems have their administrators' programs.
pub fn in_path_or_administrators(name: &str) -> Option<PathBuf> {
    let there = || ADMINISTRATORS.iter().map(|directory| Path::new(directory).join(name));
    in_path(name).or_else(|| there().find(|file| file.is_file()))
}

/// Whether hosts can be machines of their own here, which is tried; what `network`, the one in use, has to do with that.
fn machines(network: Network) -> Finding {
    let subject = "namespaces";
    let (verdict, remedy) = match network {
        Network::Loopback => {
            (Verdict::Limited, "network `loopback`, which is in use here, needs nothing of it")
        }
        Network::Hosts => {
            (Verdict::Bad, "mend that, or take `--network loopback`, which needs nothing of it")
        }
    };
    match try_machines() {
        Ok(()) => good(
            subject,
            "allowed: machines, cables and switches were made and taken away again (`--network hosts`)",
        ),
        Err(why) => finding(subject, verdict, why, remedy),
    }
}

/// Has a small network made, in a process of its own, since only such a one can enter a user namespace.
fn try_machines() -> Result<(), String> {
    // A name that nobody else can have prepared.
    let place = env::temp_dir().join(format!("wwwlab-{:016x}", chance::random_u64()));
    let executable = env::current_exe().map_err(|error| error.to_string())?;
    let tried = Command::new(executable).args(network::trial(&place)).stdin(Stdio::null()).output();
    let tried = tried.map_err(|error| error.to_string())?;
    // It is gone already, unless the trial was killed.
    let _ = fs::remove_dir_all(&place);
    match tried.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&tried.stderr);
            Err(said.trim().strip_prefix("wwwlab: ").unwrap_or(said.trim()).to_owned())
        }
    }
}

/// The profile by which AppArmor lets this executable have user namespaces; why it cannot be written.
pub fn apparmor_profile() -> Result<String, String> {
    let executable = env::current_exe().map_err(|error| error.to_string())?;
    profile_of(&executable).ok_or_else(|| {
        let place = executable.display();
        format!(
            "AppArmor would read {place} as a pattern: put wwwlab at a path of letters, digits, and / . _ - +"
        )
    })
}

/// The shipped profile, for `executable`, if nothing in that path means anything to AppArmor.
fn profile_of(executable: &Path) -> Option<String> {
    const SHIPPED: &str = include_str!("../../packaging/apparmor/wwwlab");
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+ ".contains(letter);
    let path = executable.to_str().filter(|path| path.starts_with('/') && path.chars().all(plain))?;
    Some(SHIPPED.replace("/usr/bin/wwwlab", path))
}

fn good(subject: &str, found: impl Into<String>) -> Finding {
    finding(subject, Verdict::Good, found, "")
}

fn finding(subject: &str, verdict: Verdict, found: impl Into<String>, remedy: &str) -> Finding {
    Finding { subject: subject.into(), verdict, found: found.into(), remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_for_this_executable_and_for_no_pattern() {
        let profile = profile_of(Path::new("/home/ada l/.cargo/bin/wwwlab")).unwrap();
        let rules: Vec<&str> = profile
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        assert_eq!(
            rules,
            [
                "abi <abi/4.0>,",
                "include <tunables/global>",
                "profile wwwlab \"/home/ada l/.cargo/bin/wwwlab\" flags=(unconfined) {",
                "userns,",
                "include if exists <local/wwwlab>",
                "}",
            ]
        );
        for pattern in [
            "/home/*/wwwlab",
            "/tmp/{a,b}/wwwlab",
            "/tmp/\" {\n/wwwlab",
            "/tmp/[x]/wwwlab",
            "/a\\b",
            "wwwlab",
        ] {
            assert_eq!(profile_of(Path::new(pattern)), None, "{pattern}");
        }
    }
}
