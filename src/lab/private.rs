//! Whether DNS can be asked in private, where, and with which certificates: what commands change while the lab is up.
//!
//! It stands apart from [`super::tls`] because it is of other services: the resolvers, over HTTPS, TLS and QUIC, and the name
//! servers of foobar.com, over TLS and QUIC. As that, it is one value, put in the place of another whole, told to each service both when it
//! starts and while it runs, and of one run.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::ground::clock;
use crate::ground::tls::{Certificate, Private};

use super::certs::{self, Certs, Kind};
use super::config::Config;
use super::directory::Directory;
use super::hosts::ServiceName;
use super::ports::{self, Ports};
use super::tls::{LOOK_EVERY, TlsError};

/// A port, and why it is not the real one, if it is not.
type Decided = (u16, Option<String>);

/// By what a service is asked in private.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct By {
    https: bool,
    tls: bool,
    quic: bool,
}

/// How DNS is asked in private.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serving {
    resolver: By,
    dns: By,
    /// Decided when they were first needed.
    https: Option<Decided>,
    /// Of QUIC as well, which is at the same port of UDP.
    tls: Option<Decided>,
    /// What the resolvers show, and the name servers.
    shown: Option<[Certificate; 2]>,
    /// The numbers of those, and when the first of them ends, in seconds since the Unix epoch.
    serials: Vec<String>,
    until: u64,
    look_at: u64,
}

/// How DNS is asked in private, as commands see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateStatus {
    /// Who is asked so.
    pub services: Vec<PrivateService>,
    /// Why a port is not the real one, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<String>,
    /// Until when the certificates are valid, in seconds since the Unix epoch.
    pub until: u64,
    /// The certificate of the authority: what `--cacert` takes.
    pub authority: String,
}

/// Where one service is asked in private.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateService {
    /// The service.
    pub service: ServiceName,
    /// Where over HTTPS: what `curl --doh-url` takes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub https: Vec<String>,
    /// Where over TLS.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tls: Vec<SocketAddr>,
    /// Where over QUIC.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub quic: Vec<SocketAddr>,
}

impl Serving {
    /// What the settings say.
    pub fn of(config: &Config) -> Self {
        Self {
            resolver: By { https: config.resolver.doh, tls: config.resolver.dot, quic: config.resolver.doq },
            dns: By { https: false, tls: config.dns.dot, quic: config.dns.doq },
            ..Self::default()
        }
    }

    /// This by all that there is where `all` says so, by nothing where it says not; with ports and certificates, if it needs
    /// them. `decided` are the lab's ports.
    pub fn next(
        &self,
        all: Option<bool>,
        config: &Config,
        decided: &Ports,
        directory: &Directory,
    ) -> Result<Self, TlsError> {
        let mut next = self.clone();
        if let Some(all) = all {
            next.resolver = By { https: all, tls: all, quic: all };
            next.dns = By { https: false, tls: all, quic: all };
        }
        if !next.is_on() {
            return Ok(next);
        }
        if next.resolver.https && next.https.is_none() {
            next.https = Some(ports::decide_dns_over_https(config, directory.network, decided)?);
        }
        let by_tls = [next.resolver, next.dns].iter().any(|by| by.tls || by.quic);
        if by_tls && next.tls.is_none() {
            next.tls = Some(ports::decide_dns_over_tls(config, directory.network, decided)?);
        }
        let (now, certs) = (clock::unix_millis() / 1000, Certs::of(directory));
        let mut sites = certs::sites(config);
        let others = sites.len();
        sites.extend(certs::name_servers());
        let shown = certs.ready_of(&sites, others.., Kind::Good, now)?;
        let told: Vec<_> = shown.iter().filter_map(|shown| certs.tell(&shown.file)).collect();
        next.shown = shown.try_into().ok();
        next.until = told.iter().map(|told| told.until).min().unwrap_or_default();
        next.serials = told.into_iter().map(|told| told.serial).collect();
        next.look_at = now + LOOK_EVERY;
        Ok(next)
    }

    /// The same, to be looked at later.
    pub fn later(&self) -> Self {
        Self { look_at: clock::unix_millis() / 1000 + LOOK_EVERY, ..self.clone() }
    }

    /// Whether the certificates are to be looked at.
    pub fn is_due(&self) -> bool {
        self.is_on() && self.look_at <= clock::unix_millis() / 1000
    }

    /// Whether anybody is asked so.
    pub fn is_on(&self) -> bool {
        self.resolver != By::default() || self.dns != By::default()
    }

    /// Whether other certificates are shown than by `other`.
    pub fn shows_others_than(&self, other: &Self) -> bool {
        self.serials != other.serials
    }

    /// What `service` is to be told, whose host has these addresses.
    pub fn wanted(
        &self,
        service: ServiceName,
        addresses: &[IpAddr],
        config: &Config,
        directory: &Directory,
    ) -> Private {
        let Some(([resolver, dns], (by, is_resolver))) = self.shown.as_ref().zip(self.by(service)) else {
            return Private::default();
        };
        let at = |decided: &Option<Decided>, wanted: bool| {
            let port = decided.as_ref().filter(|_| wanted).map(|(port, _)| *port);
            let at = |port| addresses.iter().map(move |&address| SocketAddr::new(address, port));
            port.into_iter().flat_map(at).collect()
        };
        if by == By::default() {
            return Private::default();
        }
        Private {
            tls: at(&self.tls, by.tls),
            https: at(&self.https, by.https),
            quic: at(&self.tls, by.quic),
            certificates: vec![if is_resolver { resolver } else { dns }.clone()],
            key_log: config.web.key_log.then(|| directory.key_log()),
        }
    }

    /// By what `service` is asked, and whether it is a resolver; nothing for one that never is.
    fn by(&self, service: ServiceName) -> Option<(By, bool)> {
        match service {
            ServiceName::Dns | ServiceName::Dns2 => Some((self.dns, false)),
            _ if ServiceName::RESOLVERS.contains(&service) => Some((self.resolver, true)),
            _ => None,
        }
    }

    /// Whether `service` may be asked in private at all.
    pub fn concerns(service: ServiceName) -> bool {
        Self::default().by(service).is_some()
    }

    /// How it stands, of `services` with what each of them is told; nothing while nobody is asked so.
    pub fn status(
        &self,
        services: impl Iterator<Item = (ServiceName, Private)>,
        directory: &Directory,
    ) -> Option<PrivateStatus> {
        if !self.is_on() {
            return None;
        }
        let reason = |decided: &Option<Decided>| decided.as_ref().and_then(|(_, reason)| reason.clone());
        let services = services.map(|(service, Private { tls, https, quic, .. })| PrivateService {
            service,
            https: https.iter().map(url).collect(),
            tls,
            quic,
        });
        let is_asked =
            |one: &PrivateService| !(one.https.is_empty() && one.tls.is_empty() && one.quic.is_empty());
        Some(PrivateStatus {
            services: services.filter(is_asked).collect(),
            reasons: [&self.https, &self.tls].into_iter().filter_map(reason).collect(),
            until: self.until,
            authority: Certs::of(directory).authority().display().to_string(),
        })
    }
}

/// Where a resolver at `address` is asked.
fn url(address: &SocketAddr) -> String {
    match (address.port(), address.ip()) {
        (443, IpAddr::V4(ip)) => format!("https://{ip}/dns-query"),
        (443, IpAddr::V6(ip)) => format!("https://[{ip}]/dns-query"),
        _ => format!("https://{address}/dns-query"),
    }
}

/// The one in service.
pub type Held = super::held::Held<Serving>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_as_a_url_says_it() {
        for (address, expected) in [
            ("127.0.0.2:8443", "https://127.0.0.2:8443/dns-query"),
            ("192.0.2.53:443", "https://192.0.2.53/dns-query"),
            ("[2001:db8::53]:443", "https://[2001:db8::53]/dns-query"),
        ] {
            assert_eq!(url(&address.parse().unwrap()), expected);
        }
    }

    #[test]
    fn only_who_answers_the_lab_is_asked_in_private() {
        let concerned: Vec<ServiceName> =
            ServiceName::ALL.into_iter().filter(|&service| Serving::concerns(service)).collect();
        let resolvers = ServiceName::RESOLVERS;
        assert_eq!(concerned, [&resolvers[..], &[ServiceName::Dns, ServiceName::Dns2]].concat());
        assert!(!Serving::of(&Config::default()).is_on(), "off unless it is asked for");
    }
}
