//! The design: what each service of a lab is started with.
//!
//! `simple` is the whole classic stack on one server, with the name servers above it and a resolver beside it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::config::{Config, Cookies, Network, ZoneFiles};
use super::directory::Directory;
use super::hosts::{Host, ServiceName};
use super::ports::Ports;

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

    /// What `service` does about cookies, if it is a name server.
    fn cookies(&self, service: ServiceName) -> Option<Cookies> {
        match service {
            ServiceName::Root => Some(self.config.root.cookies),
            ServiceName::Tld => Some(self.config.tld.cookies),
            ServiceName::Dns => Some(self.config.dns.cookies),
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
                if let Some(cookies) = self.cookies(service).filter(|&cookies| cookies != Cookies::default())
                {
                    line.option("--cookies", cookies.as_str());
                }
            }
            ServiceName::Resolver => {
                line.option("--root", Host::Root.address(self.network).to_string());
                for host in [Host::Tld, Host::Server] {
                    line.option("--server", host.address(self.network).to_string());
                }
                line.option("--server-port", self.ports.dns.to_string());
                let resolver = &self.config.resolver;
                line.option("--cache-entries", resolver.cache_entries.to_string());
                line.switch("--serve-stale", resolver.serve_stale);
                line.switch("--prefetch", resolver.prefetch);
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
    pub fn path(&self, path: &Path) -> PathBuf {
        self.directory.root.join(path)
    }
}

struct CommandLine(Vec<OsString>);

impl CommandLine {
    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.extend([name.into(), value.into()]);
    }

    fn switch(&mut self, name: &str, on: bool) {
        self.0.extend(on.then(|| name.into()));
    }
}
