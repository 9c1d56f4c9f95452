//! Whether the lab speaks HTTPS, where, and with which certificate: what commands change while it is up.
//!
//! One value, put in the place of another whole, and told to the web server both when it starts and while it runs. It is of one
//! run: the next `up` begins with what the settings say.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ground::clock;
use crate::ground::tls::{Certificate, Wanted};

use super::certs::{self, Certs, CertsError, Kind};
use super::config::{Config, Network, Tls};
use super::directory::Directory;
use super::hosts::ServiceName;
use super::ports::{self, PortError, Ports};

/// How often certificates are looked at, in seconds.
pub(super) const LOOK_EVERY: u64 = 3600;

/// Why HTTPS cannot be spoken, or DNS not asked in private.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no port for it.
    #[error(transparent)]
    Port(#[from] PortError),
    /// There is no certificate.
    #[error(transparent)]
    Certs(#[from] CertsError),
}

/// What a command wants to be otherwise; what it does not name stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whether HTTPS is spoken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls: Option<Tls>,
    /// Which certificate is shown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<Kind>,
    /// For how many seconds browsers are to ask by HTTPS alone; 0: they are not told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hsts_seconds: Option<u64>,
}

/// How HTTPS is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serving {
    tls: Tls,
    certificate: Kind,
    hsts_seconds: Option<u64>,
    /// Decided when it was first needed, with the reason if it is not the real one.
    port: Option<(u16, Option<String>)>,
    shown: Vec<Certificate>,
    /// The numbers of those, and when the first of them ends, in seconds since the Unix epoch.
    serials: Vec<String>,
    until: u64,
    look_at: u64,
}

/// How HTTPS is spoken, as commands see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsStatus {
    /// Beside plain HTTP, or alone.
    pub tls: Tls,
    /// Where.
    pub addresses: Vec<SocketAddr>,
    /// Why there, where it is not the real port.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Which certificate is shown.
    pub certificate: Kind,
    /// Until when it is valid, in seconds since the Unix epoch.
    pub until: u64,
    /// The certificate of the authority: what `--cacert` takes.
    pub authority: String,
    /// For how many seconds browsers are to ask in no other way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hsts_seconds: Option<u64>,
    /// Where the secrets of each connection are written.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key_log: Option<String>,
}

impl Serving {
    /// What the settings say, with `change` made to it.
    pub fn of(config: &Config) -> Self {
        let web = &config.web;
        let hsts_seconds = web.hsts.map(|time| time.as_secs());
        Self { tls: web.tls, certificate: web.certificate, hsts_seconds, ..Self::default() }
    }

    /// This with `change` made to it: with a port and certificates, if it needs them.
    pub fn next(
        &self,
        change: Change,
        config: &Config,
        ports: &Ports,
        directory: &Directory,
    ) -> Result<Self, TlsError> {
        let mut next = self.clone();
        next.tls = change.tls.unwrap_or(self.tls);
        next.certificate = change.certificate.unwrap_or(self.certificate);
        next.hsts_seconds = change.hsts_seconds.or(self.hsts_seconds).filter(|seconds| *seconds > 0);
        if next.tls == Tls::Off {
            return Ok(next);
        }
        if next.port.is_none() {
            next.port = Some(ports::decide_https(config, directory.network, ports)?);
        }
        let (now, certs) = (clock::unix_millis() / 1000, Certs::of(directory));
        next.show(certs.ready(&certs::sites(config), next.certificate, now)?, &certs, now);
        Ok(next)
    }

    /// This with new certificates that are on trial: those that are kept stay as they are, and so does all else.
    pub fn on_trial(&self, config: &Config, directory: &Directory) -> Result<Self, TlsError> {
        let (now, certs) = (clock::unix_millis() / 1000, Certs::of(directory));
        let mut next = self.clone();
        next.show(certs.trial(&certs::sites(config), now)?, &certs, now);
        Ok(next)
    }

    fn show(&mut self, shown: Vec<Certificate>, certs: &Certs, now: u64) {
        let told = shown.iter().filter_map(|shown| certs.tell(&shown.file));
        let told: Vec<certs::told::Told> = told.collect();
        self.until = told.iter().map(|told| told.until).min().unwrap_or_default();
        self.serials = told.into_iter().map(|told| told.serial).collect();
        self.shown = shown;
        self.look_at = now + LOOK_EVERY;
    }

    /// The same, to be looked at later.
    pub fn later(&self) -> Self {
        Self { look_at: clock::unix_millis() / 1000 + LOOK_EVERY, ..self.clone() }
    }

    /// Whether the certificates are to be looked at.
    pub fn is_due(&self) -> bool {
        self.tls != Tls::Off && self.look_at <= clock::unix_millis() / 1000
    }

    /// Whether HTTPS is spoken.
    pub fn is_on(&self) -> bool {
        self.tls != Tls::Off
    }

    /// Whether other certificates are shown than by `other`.
    pub fn shows_others_than(&self, other: &Self) -> bool {
        self.serials != other.serials
    }

    /// Where it is spoken.
    fn addresses(&self, network: Network) -> Vec<SocketAddr> {
        let Some((port, _)) = self.port.as_ref().filter(|_| self.is_on()) else { return Vec::new() };
        let addresses = ServiceName::Web.host().addresses(network);
        addresses.map(|address| SocketAddr::new(address, *port)).collect()
    }

    /// The first of the places where it is spoken.
    pub fn first_address(&self, network: Network) -> Option<SocketAddr> {
        self.addresses(network).into_iter().next()
    }

    /// What the web server is to be told.
    pub fn wanted(&self, config: &Config, directory: &Directory) -> Wanted {
        if !self.is_on() {
            return Wanted::default();
        }
        Wanted {
            listen: self.addresses(directory.network),
            only: self.tls == Tls::Only,
            hsts_seconds: self.hsts_seconds,
            certificates: self.shown.clone(),
            key_log: config.web.key_log.then(|| directory.key_log()),
        }
    }

    /// How it stands; nothing while HTTPS is not spoken.
    pub fn status(&self, config: &Config, directory: &Directory) -> Option<TlsStatus> {
        self.is_on().then(|| TlsStatus {
            tls: self.tls,
            addresses: self.addresses(directory.network),
            reason: self.port.as_ref().and_then(|(_, reason)| reason.clone()),
            certificate: self.certificate,
            until: self.until,
            authority: Certs::of(directory).authority().display().to_string(),
            hsts_seconds: self.hsts_seconds,
            key_log: config.web.key_log.then(|| directory.key_log().display().to_string()),
        })
    }
}

/// The one in service.
pub type Held = super::held::Held<Serving>;
