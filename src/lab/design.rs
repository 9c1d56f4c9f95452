//! The design: which hosts there are, which services run on them, and with which arguments.
//!
//! `simple` is the whole classic stack on one server, with the name servers above it and a resolver beside it.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::config::{Config, Network, ZoneFiles};
use super::directory::Directory;
use super::ports::Ports;

/// A service of the lab, in the order in which a first request meets them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum ServiceName {
    /// Recursive resolver.
    Resolver,
    /// Name server of the root zone.
    Root,
    /// Name server of `com.`.
    Tld,
    /// Name server of `foobar.com.` and its reverse zone.
    Dns,
    /// Web server.
    Web,
    /// Application server.
    App,
    /// Database.
    Db,
}

impl ServiceName {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Resolver, Self::Root, Self::Tld, Self::Dns, Self::Web, Self::App, Self::Db];

    /// Its name in commands, logs and `ps`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolver => "resolver",
            Self::Root => "root",
            Self::Tld => "tld",
            Self::Dns => "dns",
            Self::Web => "web",
            Self::App => "app",
            Self::Db => "db",
        }
    }

    /// What it is, in a few words.
    pub fn role(self) -> &'static str {
        match self {
            Self::Resolver => "recursive resolver",
            Self::Root => "name server of .",
            Self::Tld => "name server of com.",
            Self::Dns => "name server of foobar.com.",
            Self::Web => "web server",
            Self::App => "application server",
            Self::Db => "database",
        }
    }

    /// The host it runs on.
    pub fn host(self) -> Host {
        match self {
            Self::Resolver => Host::Resolver,
            Self::Root => Host::Root,
            Self::Tld => Host::Tld,
            Self::Dns | Self::Web | Self::App | Self::Db => Host::Server,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// Where the resolver runs.
    Resolver,
    /// Where the root name server runs.
    Root,
    /// Where the name server of `com.` runs.
    Tld,
    /// The one server of the simple web stack.
    Server,
}

impl Host {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolver => "resolver",
            Self::Root => "root",
            Self::Tld => "tld",
            Self::Server => "server",
        }
    }

    /// Its address in `network`.
    pub fn address(self, network: Network) -> IpAddr {
        let last = match (network, self) {
            (Network::Loopback, Self::Server) => 1,
            (Network::Loopback, Self::Resolver) => 2,
            (Network::Loopback, Self::Root) => 3,
            (Network::Loopback, Self::Tld) => 4,
        };
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
    }
}

/// Everything a lab needs to come up: settings, places and ports, decided once.
#[derive(Debug, Clone)]
pub struct Design {
    /// The settings.
    pub config: Config,
    /// How hosts are realised.
    pub network: Network,
    /// Where the lab lives.
    pub directory: Directory,
    /// The decided ports.
    pub ports: Ports,
}

impl Design {
    /// Where `service` listens; nothing for an embedded database.
    pub fn address(&self, service: ServiceName) -> Option<SocketAddr> {
        let port = match service {
            ServiceName::Resolver | ServiceName::Root | ServiceName::Tld | ServiceName::Dns => self.ports.dns,
            ServiceName::Web => self.ports.http,
            ServiceName::App => self.ports.app,
            ServiceName::Db => return None,
        };
        Some(SocketAddr::new(service.host().address(self.network), port))
    }

    /// The zones that `service` publishes, if it is a name server.
    pub fn zones(&self, service: ServiceName) -> Option<&ZoneFiles> {
        match service {
            ServiceName::Root => Some(&self.config.root.zones),
            ServiceName::Tld => Some(&self.config.tld.zones),
            ServiceName::Dns => Some(&self.config.dns.zones),
            _ => None,
        }
    }

    /// The command line after the executable that runs `service`. For an embedded database this is the process
    /// that withholds it from the application.
    pub fn arguments(&self, service: ServiceName) -> Vec<OsString> {
        let mut line = CommandLine(vec!["serve".into(), service.as_str().into()]);
        if let Some(address) = self.address(service) {
            line.option("--listen", address.to_string());
        }
        match service {
            ServiceName::Root | ServiceName::Tld | ServiceName::Dns => {
                for (origin, file) in self.zones(service).into_iter().flatten() {
                    let mut zone = OsString::from(format!("{origin}="));
                    zone.push(self.path(file));
                    line.option("--zone", zone);
                }
            }
            ServiceName::Resolver => {
                line.option("--root", Host::Root.address(self.network).to_string());
                for host in [Host::Tld, Host::Server] {
                    line.option("--server", host.address(self.network).to_string());
                }
                line.option("--server-port", self.ports.dns.to_string());
                line.option("--cache-entries", self.config.resolver.cache_entries.to_string());
            }
            ServiceName::Web => {
                let web = &self.config.web;
                line.option("--site", self.path(&web.site));
                line.option("--name", &web.name);
                for alias in &web.aliases {
                    line.option("--alias", alias);
                }
                if let Some(app) = self.address(ServiceName::App) {
                    line.option("--app", app.to_string());
                }
                line.option("--app-timeout", humantime::format_duration(web.app_timeout).to_string());
                line.option("--max-connections", web.max_connections.to_string());
                line.option("--served-by", service.host().as_str());
            }
            ServiceName::App => {
                line.option("--code", self.path(&self.config.app.code));
                line.option("--database", self.directory.database());
                line.option("--served-by", service.host().as_str());
            }
            ServiceName::Db => line.option("--withhold", self.directory.database()),
        }
        line.0
    }

    /// `path` from the lab directory.
    pub fn path(&self, path: &std::path::Path) -> PathBuf {
        self.directory.root.join(path)
    }
}

struct CommandLine(Vec<OsString>);

impl CommandLine {
    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.extend([name.into(), value.into()]);
    }
}
