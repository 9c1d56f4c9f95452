//! The hosts of a lab and the services that run on them: the names that the rest of the house uses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::config::Network;
use super::network::plan;

/// A service of the lab, in the order in which a first request meets them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum ServiceName {
    /// Recursive resolver.
    Resolver,
    /// A second one, where `[resolver] count` says so.
    Resolver2,
    /// A third one.
    Resolver3,
    /// A fourth one.
    Resolver4,
    /// Name server of the root zone.
    Root,
    /// Name server of `com.`.
    Tld,
    /// Name server of `foobar.com.` and its reverse zone.
    Dns,
    /// Second name server of `foobar.com.`, where the lab has one.
    Dns2,
    /// Web server.
    Web,
    /// Application server.
    App,
    /// A second process of it, where `[app] count` says so.
    App2,
    /// A third one.
    App3,
    /// A fourth one.
    App4,
    /// Database.
    Db,
}

impl ServiceName {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::Resolver,
        Self::Resolver2,
        Self::Resolver3,
        Self::Resolver4,
        Self::Root,
        Self::Tld,
        Self::Dns,
        Self::Dns2,
        Self::Web,
        Self::App,
        Self::App2,
        Self::App3,
        Self::App4,
        Self::Db,
    ];

    /// The resolvers, in order; a lab has the first of them, as many as `[resolver] count` says.
    pub const RESOLVERS: [Self; 4] = [Self::Resolver, Self::Resolver2, Self::Resolver3, Self::Resolver4];

    /// The processes of the application, in order; a lab has the first of them, as many as `[app] count` says.
    pub const APPS: [Self; 4] = [Self::App, Self::App2, Self::App3, Self::App4];

    /// Whether it is a process of the application.
    pub fn is_app(self) -> bool {
        Self::APPS.contains(&self)
    }

    /// Whether it listens at the port of DNS.
    pub fn speaks_dns(self) -> bool {
        !self.is_app() && !matches!(self, Self::Web | Self::Db)
    }

    /// Its name in commands, logs and `ps`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolver => "resolver",
            Self::Resolver2 => "resolver2",
            Self::Resolver3 => "resolver3",
            Self::Resolver4 => "resolver4",
            Self::Root => "root",
            Self::Tld => "tld",
            Self::Dns => "dns",
            Self::Dns2 => "dns2",
            Self::Web => "web",
            Self::App => "app",
            Self::App2 => "app2",
            Self::App3 => "app3",
            Self::App4 => "app4",
            Self::Db => "db",
        }
    }

    /// What it is, in a few words.
    pub fn role(self) -> &'static str {
        match self {
            Self::Resolver | Self::Resolver2 | Self::Resolver3 | Self::Resolver4 => "recursive resolver",
            Self::Root => "name server of .",
            Self::Tld => "name server of com.",
            Self::Dns => "name server of foobar.com.",
            Self::Dns2 => "second name server of foobar.com.",
            Self::Web => "web server",
            Self::App | Self::App2 | Self::App3 | Self::App4 => "application server",
            Self::Db => "database",
        }
    }

    /// The host it runs on.
    pub fn host(self) -> Host {
        match self {
            Self::Resolver => Host::Resolver,
            Self::Resolver2 => Host::Resolver2,
            Self::Resolver3 => Host::Resolver3,
            Self::Resolver4 => Host::Resolver4,
            Self::Root => Host::Root,
            Self::Tld => Host::Tld,
            Self::Dns2 => Host::Server2,
            Self::Dns | Self::Web | Self::App | Self::App2 | Self::App3 | Self::App4 | Self::Db => {
                Host::Server
            }
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ServiceName {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|service| service.as_str() == name).ok_or(())
    }
}

/// A machine of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// Where the user sits; no service runs there.
    Client,
    /// Where the resolver runs.
    Resolver,
    /// Where the second one runs.
    Resolver2,
    /// Where the third one runs.
    Resolver3,
    /// Where the fourth one runs.
    Resolver4,
    /// Where the root name server runs.
    Root,
    /// Where the name server of `com.` runs.
    Tld,
    /// The one server of the simple web stack.
    Server,
    /// Where the second name server of `foobar.com.` runs.
    Server2,
}

impl Host {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Resolver => "resolver",
            Self::Resolver2 => "resolver2",
            Self::Resolver3 => "resolver3",
            Self::Resolver4 => "resolver4",
            Self::Root => "root",
            Self::Tld => "tld",
            Self::Server => "server",
            Self::Server2 => "server2",
        }
    }

    /// Whether it is there for a resolver.
    pub fn is_resolver(self) -> bool {
        matches!(self, Self::Resolver | Self::Resolver2 | Self::Resolver3 | Self::Resolver4)
    }

    /// Its first address in `network`, which is of IPv4.
    pub fn address(self, network: Network) -> IpAddr {
        let last = match (network, self) {
            (Network::Loopback, Self::Client | Self::Server) => 1,
            (Network::Loopback, Self::Resolver) => 2,
            // The number of a resolver stands before the 2.
            (Network::Loopback, Self::Resolver2) => 22,
            (Network::Loopback, Self::Resolver3) => 32,
            (Network::Loopback, Self::Resolver4) => 42,
            (Network::Loopback, Self::Root) => 3,
            (Network::Loopback, Self::Tld) => 4,
            (Network::Loopback, Self::Server2) => 5,
            (Network::Hosts, host) => return IpAddr::V4(plan::addresses(host).0),
        };
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
    }

    /// Its address of IPv6 in `network`; nothing in `loopback`, where IPv6 has one address alone for all.
    fn ipv6(self, network: Network) -> Option<Ipv6Addr> {
        (network == Network::Hosts).then(|| plan::addresses(self).1)
    }

    /// All its addresses in `network`, that of IPv4 first.
    pub fn addresses(self, network: Network) -> impl Iterator<Item = IpAddr> {
        [self.address(network)].into_iter().chain(self.ipv6(network).map(IpAddr::V6))
    }

    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Client,
        Self::Resolver,
        Self::Resolver2,
        Self::Resolver3,
        Self::Resolver4,
        Self::Root,
        Self::Tld,
        Self::Server,
        Self::Server2,
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hosts_that_are_apart_have_addresses_of_their_own() {
        let all: Vec<IpAddr> = Host::ALL.iter().flat_map(|host| host.addresses(Network::Hosts)).collect();
        assert_eq!(all.len(), 2 * Host::ALL.len());
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(all.iter().all(|address| !address.is_loopback()));
        let here: Vec<IpAddr> = Host::ALL.iter().flat_map(|host| host.addresses(Network::Loopback)).collect();
        assert!(here.iter().all(IpAddr::is_loopback), "nothing of a loopback lab is elsewhere");
    }
}
