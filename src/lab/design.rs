//! The design: what each service of a lab is started with.
//!
//! `simple` is the whole classic stack on one server, with the name servers above it and a resolver beside it.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::application;
use super::config::{Config, Cookies, Network, Sessions, ZoneFiles};
use super::database::address::Address;
use super::database::{Database, address_file};
use super::directory::Directory;
use super::dnssec::{self, copies};
use super::foreign::{Program, Ready};
use super::hosts::{Host, ServiceName};
use super::network;
use super::php;
use super::ports::Ports;
use super::private;
use super::releases::Releases;
use super::tls;
use crate::ground::prefix::Prefix;
use crate::ground::tls::{Certificate, Private};

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
    /// The database.
    pub database: Database,
    /// Whether the hosts have addresses of IPv6, too: those of network `hosts`, where the kernel speaks it.
    pub has_ipv6: bool,
    /// How HTTPS is spoken, which commands change.
    pub tls: tls::Held,
    /// How DNS is asked in private, which commands change as well.
    pub private: private::Held,
    /// Which zones are signed, which commands change.
    pub dnssec: dnssec::Held,
    /// Where each process of the application listens and what it serves, which deployments change.
    pub apps: application::Held,
}

impl Design {
    /// Where `service` listens, of IPv4 first; nowhere for an embedded database, or for one whose host has yet to be
    /// looked up.
    pub fn addresses(&self, service: ServiceName) -> Vec<SocketAddr> {
        let port = match service {
            ServiceName::Web => self.ports.http,
            _ if service.is_app() => match self.apps.of(service) {
                Some(serving) => serving.port,
                None => return Vec::new(),
            },
            ServiceName::Db => {
                return self.database.address().and_then(Address::socket).into_iter().collect();
            }
            _ => self.ports.dns,
        };
        // An application, which may be a student's, has one address to listen at.
        let most = if service.is_app() { 1 } else { usize::MAX };
        let addresses = self.host_addresses(service.host()).take(most);
        addresses.map(|address| SocketAddr::new(address, port)).collect()
    }

    /// How `service` is asked in private.
    pub fn private(&self, service: ServiceName) -> Private {
        let addresses: Vec<IpAddr> = self.host_addresses(service.host()).collect();
        self.private.get().wanted(service, &addresses, &self.config, &self.directory)
    }

    /// The same, as arguments.
    fn asked_in_private(&self, service: ServiceName, line: &mut CommandLine) {
        let private = self.private(service);
        private.tls.iter().for_each(|address| line.option("--tls-listen", address.to_string()));
        private.https.iter().for_each(|address| line.option("--https-listen", address.to_string()));
        private.quic.iter().for_each(|address| line.option("--quic-listen", address.to_string()));
        private.certificates.iter().for_each(|shown| line.certificate(shown));
        if let Some(file) = private.key_log {
            line.option("--key-log", file);
        }
    }

    /// The addresses of `host`, that of IPv4 first.
    fn host_addresses(&self, host: Host) -> impl Iterator<Item = IpAddr> {
        host.addresses(self.network).filter(|address| address.is_ipv4() || self.has_ipv6)
    }

    /// The first address at which `service` listens, which is of IPv4; nothing for an embedded database.
    pub fn address(&self, service: ServiceName) -> Option<SocketAddr> {
        self.addresses(service).into_iter().next()
    }

    /// Where the host of `service` is to be entered, if it is a machine of its own.
    pub fn place(&self, service: ServiceName) -> Option<PathBuf> {
        let place = || self.directory.machines().join(service.host().as_str());
        (self.network == Network::Hosts).then(place)
    }

    /// The zones that `service` publishes, if it is a name server.
    pub fn zones(&self, service: ServiceName) -> Option<ZoneFiles> {
        let is_one = match service {
            ServiceName::Root | ServiceName::Tld | ServiceName::Dns => true,
            ServiceName::Dns2 => self.config.dns.secondary,
            _ => false,
        };
        is_one.then(|| self.config.zones(service, self.network))
    }

    /// How many equal answers a second `service` sends to one network, if it is a name server; 0 for all.
    fn rate_limit(&self, service: ServiceName) -> u32 {
        match service {
            ServiceName::Root => self.config.root.rate_limit,
            ServiceName::Tld => self.config.tld.rate_limit,
            ServiceName::Dns | ServiceName::Dns2 => self.config.dns.rate_limit,
            _ => 0,
        }
    }

    /// What a name server holds against those who ask too much.
    fn limits(&self, service: ServiceName, line: &mut CommandLine) {
        if self.rate_limit(service) > 0 {
            line.option("--rate-limit", self.rate_limit(service).to_string());
        }
        if let Some(cookies) = self.cookies(service).filter(|&cookies| cookies != Cookies::default()) {
            line.option("--cookies", cookies.as_str());
        }
    }

    /// What a name server signs.
    fn signing(&self, service: ServiceName, line: &mut CommandLine) {
        let wanted = self.dnssec.get().wanted(service, &self.config, self.network);
        if wanted.zones.is_empty() {
            return;
        }
        wanted.zones.iter().for_each(|zone| line.option("--sign", zone.argument()));
        wanted.children.iter().for_each(|child| line.option("--child", child.to_string()));
        line.option("--denial", wanted.denial.as_str());
    }

    /// What `service` does about cookies, if it is a name server.
    fn cookies(&self, service: ServiceName) -> Option<Cookies> {
        match service {
            ServiceName::Root => Some(self.config.root.cookies),
            ServiceName::Tld => Some(self.config.tld.cookies),
            ServiceName::Dns | ServiceName::Dns2 => Some(self.config.dns.cookies),
            _ => None,
        }
    }

    /// The command line after the executable that runs `service`. For an embedded database this is the process
    /// that withholds it from the application.
    pub fn arguments(&self, service: ServiceName) -> Vec<OsString> {
        let mut line = CommandLine(vec!["serve".into(), service.as_str().into()]);
        for address in self.addresses(service) {
            line.option("--listen", address.to_string());
        }
        self.asked_in_private(service, &mut line);
        match service {
            ServiceName::Root | ServiceName::Tld | ServiceName::Dns => {
                for (origin, file) in self.zones(service).into_iter().flatten() {
                    let mut zone = OsString::from(format!("{origin}="));
                    zone.push(self.path(&file));
                    line.option("--zone", zone);
                }
                self.signing(service, &mut line);
                if service == ServiceName::Dns {
                    self.transfers(&mut line);
                }
                self.limits(service, &mut line);
            }
            ServiceName::Dns2 => {
                self.second(&mut line);
                self.limits(service, &mut line);
            }
            ServiceName::Resolver
            | ServiceName::Resolver2
            | ServiceName::Resolver3
            | ServiceName::Resolver4 => {
                for address in self.host_addresses(Host::Root) {
                    line.option("--root", address.to_string());
                }
                let second = self.config.dns.secondary.then_some(Host::Server2);
                for host in [Host::Tld, Host::Server].into_iter().chain(second) {
                    for address in self.host_addresses(host) {
                        line.option("--server", address.to_string());
                    }
                }
                line.option("--server-port", self.ports.dns.to_string());
                let resolver = &self.config.resolver;
                line.option("--cache-entries", resolver.cache_entries.to_string());
                line.switch("--serve-stale", resolver.serve_stale);
                line.switch("--prefetch", resolver.prefetch);
                for anchor in self.dnssec.get().anchors() {
                    line.option("--anchor", anchor.to_string());
                }
            }
            ServiceName::Web => {
                let web = &self.config.web;
                line.option("--site", self.path(&web.site));
                line.option("--name", &web.name);
                for alias in &web.aliases {
                    line.option("--alias", alias);
                }
                if web.upstreams.is_empty() {
                    let apps = self.config.apps().filter_map(|app| self.address(app));
                    apps.for_each(|app| line.option("--app", app.to_string()));
                }
                web.upstreams.iter().for_each(|app| line.option("--app", app.to_string()));
                line.option("--balance", web.balance.as_str());
                let times = [
                    ("--app-check", web.app_check),
                    ("--app-connect-timeout", Some(web.app_connect_timeout)),
                    ("--app-timeout", Some(web.app_timeout)),
                    ("--app-idle-timeout", Some(web.app_idle_timeout)),
                ];
                for (name, time) in times {
                    if let Some(time) = time {
                        line.option(name, humantime::format_duration(time).to_string());
                    }
                }
                if self.config.app.fastcgi.is_some() && web.upstreams.is_empty() {
                    line.option("--app-scripts", self.path(&self.config.app.root));
                }
                for further in &web.sites {
                    let names: Vec<&str> =
                        [&further.name].into_iter().chain(&further.aliases).map(String::as_str).collect();
                    let mut site = OsString::from(format!("{}=", names.join(",")));
                    site.push(self.path(&further.site));
                    line.option("--further-site", site);
                }
                line.option("--max-body", web.max_body.to_string());
                if let Some(log) = &web.access_log {
                    line.option("--access-log", self.path(log));
                    line.option("--access-log-form", web.access_log_form.as_str());
                }
                if let Some(policy) = &web.content_security_policy {
                    line.option("--content-security-policy", policy);
                }
                let tls = self.tls.get().wanted(&self.config, &self.directory);
                tls.listen.iter().for_each(|address| line.option("--tls-listen", address.to_string()));
                line.switch("--tls-only", tls.only);
                if let Some(seconds) = tls.hsts_seconds {
                    line.option("--hsts", seconds.to_string());
                }
                tls.certificates.iter().for_each(|shown| line.certificate(shown));
                if let Some(file) = tls.key_log {
                    line.option("--key-log", file);
                }
                line.option("--max-connections", web.max_connections.to_string());
                line.option("--served-by", service.host().as_str());
            }
            ServiceName::App | ServiceName::App2 | ServiceName::App3 | ServiceName::App4 => {
                let own = self.path(&self.config.app.code);
                let served = || Releases::of(&self.directory).served(own);
                let its = self.apps.of(service).and_then(|serving| serving.code);
                line.option("--code", its.unwrap_or_else(served));
                if self.config.app.sessions == Sessions::Memory {
                    line.option("--sessions", "memory");
                }
                match self.database.address() {
                    // A file, since everybody may read arguments.
                    Some(_) => line.option("--database-url-file", address_file(&self.directory)),
                    None => line.option("--database", self.directory.database()),
                }
                let web = ServiceName::Web.host().address(self.network);
                line.option("--trusted-proxy", web.to_string());
                line.option("--served-by", service.host().as_str());
            }
            ServiceName::Db => line.option("--withhold", self.directory.database()),
        }
        line.0
    }

    /// The command line after `executable` that runs who holds the tables of the lab's database server, the service `service`.
    pub fn holder(&self, service: ServiceName, executable: &Path) -> Vec<OsString> {
        let mut line = CommandLine(vec!["serve".into(), service.as_str().into()]);
        line.option("--lock-tables", address_file(&self.directory));
        if let Some(place) = self.place(service) {
            line.0.splice(0..0, network::within(&place).into_iter().chain([executable.into()]));
        }
        line.0
    }

    /// The program that is `service`, where it is not wwwlab's own.
    pub fn foreign(&self, service: ServiceName) -> Option<Program> {
        let app = &self.config.app;
        match service {
            _ if service.is_app() => {}
            ServiceName::Db => {
                let place = self.place(service);
                return self.database.own().map(|server| Program { place, ..server.command() });
            }
            _ => return None,
        }
        let address = self.address(service)?;
        let file = match address.port() == self.ports.app {
            true => "php-fpm.conf".to_owned(),
            // One beside, which is to be told its own.
            false => format!("php-fpm-{}.conf", address.port()),
        };
        let file = self.directory.state.join(file);
        let (words, settings) = match (&app.command, &app.fastcgi) {
            (Some(words), _) => (words.clone(), None),
            (None, Some(program)) => (php::command(program, &file), Some((file, php::settings(address)))),
            (None, None) => return None,
        };
        let mut environment = vec![
            ("HOST", address.ip().to_string().into()),
            ("PORT", address.port().to_string().into()),
            ("LAB_NAME", self.config.web.name.clone().into()),
            ("SERVED_BY", service.host().as_str().into()),
            // Python keeps lines back when nobody sits at a terminal; a log wants them now.
            ("PYTHONUNBUFFERED", "1".into()),
        ];
        match self.database.address() {
            Some(address) => environment.push(("DATABASE_URL", address.with_password().into())),
            None => {
                let database = self.directory.database();
                // Three slashes end the authority, which is empty; the fourth begins an absolute path for those who count
                // on it (SQLAlchemy), and is one too many, which does no harm, for the others.
                let mut url = OsString::from("sqlite:///");
                url.push(&database);
                environment.extend([("DATABASE_URL", url), ("DATABASE_FILE", database.into_os_string())]);
            }
        }
        let directory = self.directory.root.clone();
        let (patience, place, ready) = (app.start_timeout, self.place(service), Ready::Accepts);
        Some(Program { words, directory, environment, settings, address, patience, place, ready })
    }

    /// To whom the name server of foobar.com gives its zones, whom it tells of them, and with which keys.
    fn transfers(&self, line: &mut CommandLine) {
        let dns = &self.config.dns;
        self.config.transfer_to(self.network).iter().for_each(|who| line.option("--transfer-to", who));
        dns.notify.iter().for_each(|server| line.option("--notify", server));
        if let Some(address) = self.address(ServiceName::Dns2).filter(|_| dns.secondary) {
            line.option("--notify", format!("{address}{}", self.shared_key()));
            // Whoever else may have zones, it may.
            line.option("--transfer-to", format!("{}{}", address.ip(), self.shared_key()));
        }
        dns.keys.iter().for_each(|file| line.option("--keys", self.path(file)));
    }

    /// What the second name server copies from the first.
    fn second(&self, line: &mut CommandLine) {
        let dns = &self.config.dns;
        if let Some(primary) = self.address(ServiceName::Dns) {
            for origin in self.config.zones(ServiceName::Dns2, self.network).keys() {
                line.option("--follow", format!("{origin}={primary}{}", self.shared_key()));
            }
        }
        line.option("--copies", copies::folder(&self.directory));
        self.config.transfer_to(self.network).iter().for_each(|who| line.option("--transfer-to", who));
        dns.keys.iter().for_each(|file| line.option("--keys", self.path(file)));
    }

    /// What the two name servers sign their talk with: the first key with which the second may have zones; without one,
    /// nothing.
    fn shared_key(&self) -> String {
        let second = Host::Server2.address(self.network);
        let is_near = |prefix: &str| prefix.parse::<Prefix>().is_ok_and(|prefix| prefix.contains(second));
        let key = self.config.dns.transfer_to.iter().flatten().find_map(|who| {
            match who.split_whitespace().collect::<Vec<_>>()[..] {
                ["key", key] => Some(key),
                [prefix, "key", key] if is_near(prefix) => Some(key),
                _ => None,
            }
        });
        key.map(|key| format!(" key {key}")).unwrap_or_default()
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

    fn certificate(&mut self, certificate: &Certificate) {
        let mut shown = OsString::from(format!("{}=", certificate.names.join(",")));
        shown.push(&certificate.file);
        self.option("--certificate", shown);
    }

    fn switch(&mut self, name: &str, on: bool) {
        self.0.extend(on.then(|| name.into()));
    }
}
