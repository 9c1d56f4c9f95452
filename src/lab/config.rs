//! `lab.toml`: every setting of a lab as a type, with its bounds and its default.
//!
//! An unknown key is refused with the nearest known one; a value out of bounds with its bounds. The file's
//! settings only say what differs from the built-in lab.
//!
//! The sections of the services have files of their own, what is around them is here; how a value is read, and
//! within which bounds, is in `bounds`.

mod app;
mod bounds;
mod names;
mod web;

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::hosts::{Host, ServiceName};
use super::network::publish::Publication;
use super::telemetry::collector::Collector;
use bounds::{classroom, metrics_listen, otlp, publish, seed};
use names::{default_transfer_to, default_zones};

pub use app::{App, Db, Engine, Sessions, WORDS_MOST};
pub use names::{Cookies, Dns, Dnssec, PEERS_MOST, Resolver, ZoneFiles, Zones};
pub use web::{AccessLogForm, Balance, FurtherSite, Tls, Upstream, Web};

/// All settings of one lab.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The lab as a whole.
    pub lab: Lab,
    /// What network `hosts` has beside the hosts of the services.
    pub network: Wiring,
    /// Which ports the services take.
    pub ports: Ports,
    /// What is counted and measured, for collectors.
    pub metrics: Metrics,
    /// The root name server.
    pub root: Zones,
    /// The name server of `com.`.
    pub tld: Zones,
    /// The name server of foobar.com.
    pub dns: Dns,
    /// How zones are signed.
    pub dnssec: Dnssec,
    /// The resolver.
    pub resolver: Resolver,
    /// The web server.
    pub web: Web,
    /// The application server.
    pub app: App,
    /// The database.
    pub db: Db,
    /// What is told of it all.
    pub journal: Journal,
}

/// `[lab]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lab {
    /// How hosts are realised; the command line's `--network` goes before it.
    pub network: Network,
    /// What happens to a service that dies by itself.
    pub restart: Restart,
    /// From which its chances are drawn, 0 to 4294967295; else every run has one of its own. `--seed` goes before it.
    #[serde(deserialize_with = "seed")]
    pub seed: Option<u32>,
}

/// How hosts are realised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// As addresses 127.0.0.x of this machine.
    #[default]
    Loopback,
    /// As machines of their own, with addresses and cables of their own (network namespaces of Linux).
    Hosts,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Loopback, Self::Hosts];
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback",
            Self::Hosts => "hosts",
        })
    }
}

/// What happens to a service that dies by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It stays dead, so that its absence can be studied.
    #[default]
    Never,
    /// It is started again, after 0.2 s and then ever longer up to 5 s.
    OnFailure,
}

/// `[network]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wiring {
    /// Further computers, `pc1` and so on, in a network of their own behind the home's router: 0 to 200; default 0.
    #[serde(deserialize_with = "classroom")]
    pub classroom: u32,
    /// Which services can be reached from this machine, `web` or `web:8081`; by default none. At most 16.
    #[serde(deserialize_with = "publish")]
    pub publish: Vec<Publication>,
}

/// `[ports]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ports {
    /// Of all name servers and the resolver. `auto`: 53 if it can be bound, else 5300.
    pub dns: Port,
    /// Of the web server. `auto`: 80 if it can be bound, else 8080.
    pub http: Port,
    /// Of the web server for HTTPS, if it speaks that, and of the resolvers for DNS over HTTPS, each at addresses of its own.
    /// `auto`: 443 if it can be bound, else 8443.
    pub https: Port,
    /// Of the resolvers and of foobar.com's name servers for DNS over TLS and over QUIC, if they speak that. `auto`: 853 if it can be bound,
    /// else 8853.
    pub dot: Port,
    /// Of the application server. `auto`: 3000.
    pub app: Port,
    /// Of the lab's database server, if it has one. `auto`: 3306 if it can be bound, else 3307.
    pub db: Port,
}

/// `[metrics]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where `GET /metrics` is answered: a port of 127.0.0.1, or an address of this machine with a port, 0 for any free one;
    /// by default nowhere.
    #[serde(deserialize_with = "metrics_listen")]
    pub listen: Option<SocketAddr>,
}

/// A port, or how to find one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Port {
    /// The real one where it can be bound, else its stand-in.
    #[default]
    Auto,
    /// Any free one, chosen at `up`; written as 0.
    Free,
    /// This one.
    Fixed(u16),
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Word(String),
        }
        const EXPECTED: &str = "a port is \"auto\", 0 (any free one) or a number from 1 to 65535";
        match Written::deserialize(deserializer).map_err(|_| D::Error::custom(EXPECTED))? {
            Written::Number(0) => Ok(Self::Free),
            Written::Number(number) => match u16::try_from(number) {
                Ok(port) => Ok(Self::Fixed(port)),
                Err(_) => Err(D::Error::custom(format!("{EXPECTED}, not {number}"))),
            },
            Written::Word(word) if word == "auto" => Ok(Self::Auto),
            Written::Word(word) => Err(D::Error::custom(format!("{EXPECTED}, not {word:?}"))),
        }
    }
}

/// `[journal]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// A collector that is told the way of each request (OTLP over HTTP), 1,024 characters at most; default none.
    #[serde(deserialize_with = "otlp")]
    pub otlp: Option<Collector>,
}

/// Why `lab.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It says something that a lab does not understand.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What, and what would be right.
        message: String,
    },
}

/// A `lab.toml` is settings, not data: a larger file is a mistake.
const LARGEST_FILE: u64 = 1 << 20;

impl Config {
    /// The services that a lab of these settings has, in the order in which a first request meets them.
    pub fn services(&self) -> impl Iterator<Item = ServiceName> {
        let resolvers = usize::try_from(self.resolver.count).unwrap_or(1);
        let absent = ServiceName::RESOLVERS.get(resolvers..).unwrap_or_default();
        let apps = usize::try_from(self.app.count).unwrap_or(1);
        let spare = ServiceName::APPS.get(apps..).unwrap_or_default();
        let no_second = (!self.dns.secondary).then_some(ServiceName::Dns2);
        let is_absent = move |name: &ServiceName| {
            absent.contains(name) || spare.contains(name) || no_second == Some(*name)
        };
        ServiceName::ALL.into_iter().filter(move |name| !is_absent(name))
    }

    /// The processes of the application that a lab of these settings has, in order: one at least.
    pub fn apps(&self) -> impl Iterator<Item = ServiceName> {
        self.services().filter(|name| name.is_app())
    }

    /// The zones that `server` publishes in `network`; none if it is no name server.
    pub fn zones(&self, server: ServiceName, network: Network) -> ZoneFiles {
        let own = match server {
            ServiceName::Root => &self.root.zones,
            ServiceName::Tld => &self.tld.zones,
            ServiceName::Dns | ServiceName::Dns2 => &self.dns.zones,
            _ => &None,
        };
        own.clone().unwrap_or_else(|| default_zones(server, network))
    }

    /// Who may have whole zones of foobar.com's name servers in `network`.
    pub fn transfer_to(&self, network: Network) -> Vec<String> {
        self.dns.transfer_to.clone().unwrap_or_else(|| default_transfer_to(network))
    }

    /// The hosts that these services run on, each once.
    pub fn hosts(&self) -> Vec<Host> {
        let mut hosts = Vec::new();
        for host in self.services().map(ServiceName::host) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }

    /// The hosts at which its name servers and resolvers listen.
    pub fn hosts_of_dns(&self) -> Vec<Host> {
        self.services().filter(|name| name.speaks_dns()).map(ServiceName::host).collect()
    }

    /// Reads `file`.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let read = || -> io::Result<String> {
            if fs::metadata(file)?.len() > LARGEST_FILE {
                return Err(io::Error::other("it is larger than 1 MiB: is it really a lab.toml?"));
            }
            fs::read_to_string(file)
        };
        let text = read().map_err(|source| ConfigError::Read { file: file.into(), source })?;
        Self::parse(&text, file)
    }

    /// Reads `text`, which came from `file`.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let parsed: Result<Self, toml::de::Error> =
            toml::from_str(text).and_then(|config: Self| {
                if config.app.command.is_some() && config.app.fastcgi.is_some() {
                    return Err(toml::de::Error::custom("[app] has either command or fastcgi, not both"));
                }
                if config.app.count > 1 && !config.web.upstreams.is_empty() {
                    return Err(toml::de::Error::custom(
                        "[web] upstreams names the application servers, and [app] count more than one of this lab's own, which nobody \
                         would ask: leave out one of them",
                    ));
                }
                Ok(config)
            });
        parsed.map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            let before = text.get(..start).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |end| end + 1);
            ConfigError::Wrong {
                file: file.into(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                message: with_nearest_key(error.message()),
            }
        })
    }
}

/// serde's message for an unknown key lists every known one; the nearest is what the user wants to hear.
fn with_nearest_key(message: &str) -> String {
    if message.contains("expected struct") {
        return "this is a section: write its name in brackets on a line of its own, then its keys below it"
            .into();
    }
    if message.contains("expected path string") {
        return "a zone's or a key's file is a file's name in quotes: { \"foobar.com\" = \"zones/foobar.com.zone\" }".into();
    }
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (what, Some((wrong, known))) = (message.split(" `").next().unwrap_or_default(), quoted.split_first())
    else {
        return message.to_owned();
    };
    let what = match what {
        "unknown field" => "unknown key",
        "unknown variant" => "unknown value",
        _ => return message.to_owned(),
    };
    let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(wrong, known));
    match nearest {
        Some(nearest) if strsim::damerau_levenshtein(wrong, nearest) <= 1 + wrong.len() / 3 => {
            format!("{what} `{wrong}`: did you mean `{nearest}`?")
        }
        Some(_) => format!("{what} `{wrong}`; known here: {}", known.join(", ")),
        None => format!("{what} `{wrong}`; nothing can be set here"),
    }
}

#[cfg(test)]
mod tests;
