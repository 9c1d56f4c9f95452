//! `[root]`, `[tld]`, `[dns]`, `[dnssec]` and `[resolver]`: who answers for which names, and for whom.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Network;
use super::bounds::{cache_entries, keys, notify, rate_limit, resolver_count, transfer_to, zones};
use crate::ground::dnssec::Denial;
use crate::ground::dnssec::key::Algorithm;
use crate::lab::hosts::ServiceName;

/// A name server's zones: from the zone's name to its file, relative to the lab directory.
pub type ZoneFiles = BTreeMap<String, PathBuf>;

/// The section of a name server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Zones {
    /// The zones it answers for, in whatever network; by default those of the network in use.
    #[serde(deserialize_with = "zones")]
    pub zones: Option<ZoneFiles>,
    /// Equal answers to one network that are sent over UDP, a second: 1 to 100,000; default 0, all of them.
    #[serde(deserialize_with = "rate_limit")]
    pub rate_limit: u32,
    /// What is done about DNS cookies; default `answer`.
    pub cookies: Cookies,
}

/// What a name server does about DNS cookies (RFC 7873).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cookies {
    /// They are passed over.
    Off,
    /// Whoever shows a cookie is given one.
    #[default]
    Answer,
    /// Over UDP only whoever shows a good cookie is answered.
    Require,
}

impl Cookies {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Answer => "answer",
            Self::Require => "require",
        }
    }
}

/// The zones that `server` has in `network` when `lab.toml` names none. Their files say addresses, which differ from
/// network to network.
pub(super) fn default_zones(server: ServiceName, network: Network) -> ZoneFiles {
    let zones: &[(&str, &str)] = match (network, server) {
        (Network::Loopback, ServiceName::Root) => &[(".", "root.zone")],
        (Network::Loopback, ServiceName::Tld) => &[("com", "com.zone")],
        (Network::Loopback, ServiceName::Dns | ServiceName::Dns2) => {
            &[("foobar.com", "foobar.com.zone"), ("127.in-addr.arpa", "127.in-addr.arpa.zone")]
        }
        (Network::Hosts, ServiceName::Root) => {
            &[(".", "root.zone"), ("root-servers.net", "root-servers.net.zone")]
        }
        (Network::Hosts, ServiceName::Tld) => {
            &[("com", "com.zone"), ("net", "net.zone"), ("gtld-servers.net", "gtld-servers.net.zone")]
        }
        (Network::Hosts, ServiceName::Dns | ServiceName::Dns2) => &[
            ("foobar.com", "foobar.com.zone"),
            ("in-addr.arpa", "in-addr.arpa.zone"),
            ("ip6.arpa", "ip6.arpa.zone"),
        ],
        _ => &[],
    };
    let folder = Path::new("zones").join(network.to_string());
    zones.iter().map(|(zone, file)| ((*zone).to_owned(), folder.join(file))).collect()
}

/// `[dns]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// The zones it answers for, in whatever network; by default those of the network in use.
    #[serde(deserialize_with = "zones")]
    pub zones: Option<ZoneFiles>,
    /// Who may have whole zones (AXFR); by default whoever the network in use makes a neighbour. At most [`PEERS_MOST`].
    #[serde(deserialize_with = "transfer_to")]
    pub transfer_to: Option<Vec<String>>,
    /// Who is told that a zone changed (NOTIFY); by default nobody. At most [`PEERS_MOST`].
    #[serde(deserialize_with = "notify")]
    pub notify: Vec<String>,
    /// Key files for signed messages, relative to the lab directory; by default none. At most [`PEERS_MOST`].
    #[serde(deserialize_with = "keys")]
    pub keys: Vec<PathBuf>,
    /// Whether there is a second name server, `dns2`, that follows this one; by default no.
    pub secondary: bool,
    /// Whether they answer over TLS as well (RFC 7858); default no.
    pub dot: bool,
    /// Whether they answer over QUIC as well (RFC 9250); default no.
    pub doq: bool,
    /// Equal answers a second to one network over UDP: 0 to 100,000; 0, the default, limits nothing.
    #[serde(deserialize_with = "rate_limit")]
    pub rate_limit: u32,
    /// What is done about DNS cookies; default `answer`.
    pub cookies: Cookies,
}

/// `[dnssec]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dnssec {
    /// Whether all zones are signed, and the resolvers validate; `wwwlab zone sign` and `zone unsign` go before it. Default no.
    pub sign: bool,
    /// With what.
    pub algorithm: Algorithm,
    /// How signed zones prove what they do not have.
    pub denial: Denial,
}

/// Entries of a list of `[dns]`.
pub const PEERS_MOST: usize = 16;

/// Who may have whole zones in `network` when `lab.toml` names nobody: this machine, with which a lab on loopback is alone;
/// the server itself, the computers of the users, and those of their Internet provider.
pub(super) fn default_transfer_to(network: Network) -> Vec<String> {
    let neighbours: &[&str] = match network {
        Network::Loopback => &["127.0.0.0/8"],
        Network::Hosts => {
            &["8.8.8.8", "192.0.2.0/24", "198.51.100.0/24", "2001:4860:4860::8888", "2001:db8::/32"]
        }
    };
    neighbours.iter().map(|&prefix| prefix.to_owned()).collect()
}

/// `[resolver]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resolver {
    /// How many there are, each with a cache of its own: 1 to 4; default 1.
    #[serde(deserialize_with = "resolver_count")]
    pub count: u32,
    /// Answers remembered at most: 1 to 1,000,000; default 10,000.
    #[serde(deserialize_with = "cache_entries")]
    pub cache_entries: u32,
    /// Whether an answer is given after its time when nobody can be asked (RFC 8767); default no.
    pub serve_stale: bool,
    /// Whether an answer that is used in the last tenth of its time is asked for again; default no.
    pub prefetch: bool,
    /// Whether it answers over HTTPS as well (RFC 8484); default no.
    pub doh: bool,
    /// Whether it answers over TLS as well (RFC 7858); default no.
    pub dot: bool,
    /// Whether it answers over QUIC as well (RFC 9250); default no.
    pub doq: bool,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            count: 1,
            cache_entries: 10_000,
            serve_stale: false,
            prefetch: false,
            doh: false,
            dot: false,
            doq: false,
        }
    }
}
