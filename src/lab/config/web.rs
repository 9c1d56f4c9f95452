//! `[web]`: the web server, its sites, and who is behind it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounds::{
    app_check, app_connect_timeout, app_idle_timeout, app_timeout, content_security_policy, host_name,
    host_names, hsts, max_body, max_connections, upstreams,
};
use crate::lab::certs::Kind;

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
    pub(super) fn parse(text: &str) -> Option<Self> {
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
