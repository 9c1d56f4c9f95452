//! `lab.toml`: every setting of a lab as a type, with its bounds and its default.
//!
//! An unknown key is refused with the nearest known one; a value out of bounds with its bounds. The file's
//! settings only say what differs from the built-in lab.

mod bounds;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::ground::dnssec::Denial;
use crate::ground::dnssec::key::Algorithm;

use super::certs::Kind;
use super::hosts::{Host, ServiceName};
use super::network::publish::Publication;
use super::telemetry::collector::Collector;
use bounds::{
    app_check, app_connect_timeout, app_idle_timeout, app_timeout, cache_entries, classroom, command,
    content_security_policy, host_name, host_names, hsts, keys, max_body, max_connections, metrics_listen,
    notify, otlp, publish, rate_limit, resolver_count, seed, start_timeout, transfer_to, upstreams, zones,
};

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
    /// Of the web server for HTTPS, if it speaks that. `auto`: 443 if it can be bound, else 8443.
    pub https: Port,
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
fn default_zones(server: ServiceName, network: Network) -> ZoneFiles {
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
fn default_transfer_to(network: Network) -> Vec<String> {
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
}

impl Default for Resolver {
    fn default() -> Self {
        Self { count: 1, cache_entries: 10_000, serve_stale: false, prefetch: false }
    }
}

/// `[web]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// The name of the site; default `www.foobar.com`.
    #[serde(deserialize_with = "host_name")]
    pub name: String,
    /// Names that are redirected to it; default `foobar.com`.
    #[serde(deserialize_with = "host_names")]
    pub aliases: Vec<String>,
    /// The directory of its files, relative to the lab directory; default `site`.
    pub site: PathBuf,
    /// The application servers instead of the lab's own, 16 at most; default none.
    #[serde(deserialize_with = "upstreams")]
    pub upstreams: Vec<Upstream>,
    /// How one of several is chosen.
    pub balance: Balance,
    /// How often each is checked: 100 ms to 5 min; default never.
    #[serde(deserialize_with = "app_check")]
    pub app_check: Option<Duration>,
    /// How long an application's machine may take to take a connection: 10 ms to 1 min; default 2 s.
    #[serde(deserialize_with = "app_connect_timeout")]
    pub app_connect_timeout: Duration,
    /// How long the application may take to begin its answer: 100 ms to 5 min; default 5 s.
    #[serde(deserialize_with = "app_timeout")]
    pub app_timeout: Duration,
    /// How long it may pause in its answer: 100 ms to 1 h; default 60 s.
    #[serde(deserialize_with = "app_idle_timeout")]
    pub app_idle_timeout: Duration,
    /// Further sites, of files alone; default none.
    pub sites: Vec<FurtherSite>,
    /// The largest request body in bytes: 0 to 1 GiB; default 1 MiB.
    #[serde(deserialize_with = "max_body")]
    pub max_body: u32,
    /// Where a line for each request is written, relative to the lab directory; default nowhere.
    pub access_log: Option<PathBuf>,
    /// How such a line looks.
    pub access_log_form: AccessLogForm,
    /// The Content-Security-Policy of the site's files, none where it is empty; by default the web server's own. At most
    /// 4,096 characters.
    #[serde(deserialize_with = "content_security_policy")]
    pub content_security_policy: Option<String>,
    /// Whether HTTPS is spoken; `wwwlab secure` and `unsecure` go before it. Default off.
    pub tls: Tls,
    /// Which certificate is shown there; `wwwlab cert use` goes before it. Default one that is good.
    pub certificate: Kind,
    /// How long browsers are to ask by HTTPS alone (RFC 6797): 1 s to 2 years; by default they are not told.
    #[serde(deserialize_with = "hsts")]
    pub hsts: Option<Duration>,
    /// Whether the secrets of each connection are written down for Wireshark, in `tls-keys.log` of the state; default no.
    pub key_log: bool,
    /// Connections open at a time: 1 to 100,000; default 1,024.
    #[serde(deserialize_with = "max_connections")]
    pub max_connections: u32,
}

/// Whether HTTPS is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// No: the stack as it is in the beginning.
    #[default]
    Off,
    /// Beside plain HTTP.
    On,
    /// Whoever asks by plain HTTP is redirected.
    Only,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            name: "www.foobar.com".into(),
            aliases: vec!["foobar.com".into()],
            site: "site".into(),
            upstreams: Vec::new(),
            balance: Balance::default(),
            app_check: None,
            app_connect_timeout: Duration::from_secs(2),
            app_timeout: Duration::from_secs(5),
            app_idle_timeout: Duration::from_secs(60),
            sites: Vec::new(),
            max_body: 1 << 20,
            access_log: None,
            access_log_form: AccessLogForm::default(),
            content_security_policy: None,
            tls: Tls::default(),
            certificate: Kind::default(),
            hsts: None,
            key_log: false,
            max_connections: 1024,
        }
    }
}

/// An application server, of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share of the work beside the others': 1 to 100.
    pub weight: u32,
}

impl Upstream {
    /// Reads `ADDRESS:PORT` or `ADDRESS:PORT,weight=N`.
    fn parse(text: &str) -> Option<Self> {
        let (address, weight) = match text.split_once(",weight=") {
            None => (text, 1),
            Some((address, weight)) => (address, weight.parse().ok()?),
        };
        (1..=100).contains(&weight).then_some(Self { address: address.parse().ok()?, weight })
    }
}

impl fmt::Display for Upstream {
    /// As the web server is told it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},weight={}", self.address, self.weight)
    }
}

/// How one of several application servers is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// In turn.
    #[default]
    RoundRobin,
    /// Who has the fewest requests under way.
    LeastConnections,
    /// By the client's address.
    Hash,
}

impl Balance {
    /// As the web server is told it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::LeastConnections => "least-connections",
            Self::Hash => "hash",
        }
    }
}

/// `[[web.sites]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FurtherSite {
    /// Its name.
    #[serde(deserialize_with = "host_name")]
    pub name: String,
    /// Names that are redirected to it; default none.
    #[serde(default, deserialize_with = "host_names")]
    pub aliases: Vec<String>,
    /// The directory of its files, relative to the lab directory.
    pub site: PathBuf,
}

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLogForm {
    /// As Apache and nginx write it.
    #[default]
    Combined,
    /// A JSON object.
    Json,
}

impl AccessLogForm {
    /// As the web server is told it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Combined => "combined",
            Self::Json => "json",
        }
    }
}

/// `[app]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// The application files ("code base"), relative to the lab directory; default `app`.
    pub code: PathBuf,
    /// A program of the student's own in place of wwwlab's, as words: 1 to [`WORDS_MOST`]; default none.
    #[serde(deserialize_with = "command")]
    pub command: Option<Vec<String>>,
    /// A FastCGI process manager that is started instead, `php-fpm` or its path; default none.
    pub fastcgi: Option<String>,
    /// Where its script is, `index.php`, relative to the lab directory; default `php`.
    pub root: PathBuf,
    /// How long that program may take until it listens: 100 ms to 5 min; default 10 s.
    #[serde(deserialize_with = "start_timeout")]
    pub start_timeout: Duration,
    /// Where it is kept who is logged in; default in the database.
    pub sessions: Sessions,
}

/// Where the application keeps who is logged in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sessions {
    /// In the memory of its process: a restart logs everybody out.
    Memory,
    /// In the database.
    #[default]
    Database,
}

/// Words of a command.
pub const WORDS_MOST: usize = 64;

impl Default for App {
    fn default() -> Self {
        Self {
            code: "app".into(),
            command: None,
            fastcgi: None,
            root: "php".into(),
            start_timeout: Duration::from_secs(10),
            sessions: Sessions::default(),
        }
    }
}

/// `[db]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Db {
    /// Which database.
    pub engine: Engine,
    /// A file with the address of a database server that runs already, `mysql://user:password@host:port/name`, relative to
    /// the lab directory; it goes before `engine`. Default none.
    pub url_file: Option<PathBuf>,
}

/// `[journal]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// A collector that is told the way of each request (OTLP over HTTP), 1,024 characters at most; default none.
    #[serde(deserialize_with = "otlp")]
    pub otlp: Option<Collector>,
}

/// Which database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// SQLite, inside the application's own process.
    #[default]
    Sqlite,
    /// MariaDB or MySQL, whichever is installed: a process of its own.
    Mysql,
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
        let no_second = (!self.dns.secondary).then_some(ServiceName::Dns2);
        ServiceName::ALL.into_iter().filter(move |name| !absent.contains(name) && no_second != Some(*name))
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
                match config.app.command.is_some() && config.app.fastcgi.is_some() {
                    true => Err(toml::de::Error::custom("[app] has either command or fastcgi, not both")),
                    false => Ok(config),
                }
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
