//! Which ports the lab takes: the real ones where they can be bound, else their stand-ins; decided once, at
//! `up`, for every command to use.

use std::io;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::ground::bind::{self, BindError, Transport};
use crate::ground::chance;

use super::config::{self, Config, Network, Port};
use super::holder::{self, Holder};
use super::hosts::Host;

/// Free ports are looked for here: below the range from which Linux and macOS draw the ports of outgoing
/// connections (32768 up), so that none of those takes one away between the choice and its use.
const FREE_PORTS: std::ops::Range<u16> = 20_000..32_000;
const FREE_PORT_TRIES: usize = 200;

/// The decided ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Of every name server and the resolver.
    pub dns: u16,
    /// Of the web server.
    pub http: u16,
    /// Of the application server.
    pub app: u16,
    /// Of its further processes, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub further_apps: Vec<u16>,
    /// Of the database server, if the lab has one of its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub db: Option<u16>,
    /// Why a real port was not taken, one sentence each.
    pub reasons: Vec<String>,
}

/// A port that is needed cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another process listens there.
    #[error("port {port} for {what} is taken: {} listens on {address}/{transport}; end it, or set another `{key}` port under [ports] in lab.toml (0 takes any free one)", taken_by(holder.as_ref()))]
    Taken {
        /// The port.
        port: u16,
        /// What it is for.
        what: &'static str,
        /// Its key in `lab.toml`.
        key: &'static str,
        /// The address that could not be bound.
        address: IpAddr,
        /// UDP or TCP.
        transport: Transport,
        /// Who holds it, where that can be seen.
        holder: Option<Holder>,
    },
    /// The operating system refuses.
    #[error("port {port} for {what} cannot be bound; set another `{key}` port under [ports] in lab.toml")]
    Refused {
        /// The port.
        port: u16,
        /// What it is for.
        what: &'static str,
        /// Its key in `lab.toml`.
        key: &'static str,
        /// Why.
        source: BindError,
    },
    /// Two services are to have the same.
    #[error("port {port} is set for `{key}` and for `{other}` under [ports] in lab.toml; each needs its own")]
    Twice {
        /// The port.
        port: u16,
        /// One key.
        key: &'static str,
        /// The other.
        other: &'static str,
    },
    /// No free port was found.
    #[error("no free port for {what} between {} and {}", FREE_PORTS.start, FREE_PORTS.end)]
    NoneFree {
        /// What it is for.
        what: &'static str,
    },
}

/// What needs a port.
struct Need {
    what: &'static str,
    key: &'static str,
    /// The real port and its stand-in.
    real: u16,
    stand_in: u16,
    transports: &'static [Transport],
    addresses: Vec<IpAddr>,
}

/// Decides all ports. `database` says whether there is a database server that needs one.
pub fn decide(config: &Config, network: Network, database: bool) -> Result<Ports, PortError> {
    let wanted = &config.ports;
    let further = config.apps().count().saturating_sub(1);
    if network == Network::Hosts {
        let set = *wanted != config::Ports::default();
        let reason = "[ports] in lab.toml is for network `loopback`: a host of its own has the real ports";
        let reasons = set.then(|| reason.to_owned()).into_iter().collect();
        let further_apps = (3001..).take(further).collect();
        return Ok(Ports {
            dns: 53,
            http: 80,
            app: 3000,
            further_apps,
            db: database.then_some(3306),
            reasons,
        });
    }
    let at = |hosts: &[Host]| hosts.iter().map(|host| host.address(network)).collect();
    let dns = Need {
        what: "DNS",
        key: "dns",
        real: 53,
        stand_in: 5300,
        transports: &[Transport::Udp, Transport::Tcp],
        addresses: at(&config.hosts_of_dns()),
    };
    let http = Need {
        what: "HTTP",
        key: "http",
        real: 80,
        stand_in: 8080,
        transports: &[Transport::Tcp],
        addresses: at(&[Host::Server]),
    };
    let app_need =
        Need { what: "the application server", key: "app", real: 3000, stand_in: 3000, ..http_like(&http) };
    let db = Need { what: "the database", key: "db", real: 3306, stand_in: 3307, ..http_like(&http) };
    let mut decided = Decided::default();
    // Ports that are set come first, so that a free one is never one of them.
    let mut needs = vec![(&dns, wanted.dns), (&http, wanted.http), (&app_need, wanted.app)];
    needs.extend(database.then_some((&db, wanted.db)));
    needs.sort_by_key(|(_, wanted)| match wanted {
        Port::Fixed(_) => 0,
        Port::Auto => 1,
        Port::Free => 2,
    });
    for (need, wanted) in needs {
        let port = need.decide(wanted, &mut decided)?;
        decided.ports.push((need.key, port));
    }
    let known = |key| decided.ports.iter().find(|(decided, _)| *decided == key).map(|(_, port)| *port);
    let of = |key| known(key).unwrap_or_default();
    let (dns, http, app, db) = (of(dns.key), of(http.key), of(app_need.key), known(db.key));
    decided.ports.extend(set_for_later(wanted));
    let mut further_apps = Vec::new();
    for number in 1..=u16::try_from(further).unwrap_or_default() {
        let what = "another process of the application";
        let port = Need { what, ..http_like(&app_need) }.near(app.saturating_add(number), &decided)?;
        decided.ports.push((app_need.key, port));
        further_apps.push(port);
    }
    Ok(Ports { dns, http, app, further_apps, db, reasons: decided.reasons })
}

/// Decides the port of HTTPS, beside those that are decided; and why it is not the real one, if it is not.
pub fn decide_https(
    config: &Config,
    network: Network,
    taken: &Ports,
) -> Result<(u16, Option<String>), PortError> {
    if network == Network::Hosts {
        return Ok((443, None));
    }
    let need = Need {
        what: "HTTPS",
        key: "https",
        real: 443,
        stand_in: 8443,
        transports: &[Transport::Tcp],
        addresses: vec![Host::Server.address(network)],
    };
    need.decide_beside(config.ports.https, taken.known())
}

/// Decides the port at which the resolvers speak HTTPS: their addresses are not the web server's, so it may be the same.
pub fn decide_dns_over_https(
    config: &Config,
    network: Network,
    taken: &Ports,
) -> Result<(u16, Option<String>), PortError> {
    if network == Network::Hosts {
        return Ok((443, None));
    }
    let hosts = config.hosts_of_dns().into_iter().filter(|host| host.is_resolver());
    let need = Need {
        what: "DNS over HTTPS",
        key: "https",
        real: 443,
        stand_in: 8443,
        transports: &[Transport::Tcp],
        addresses: hosts.map(|host| host.address(network)).collect(),
    };
    need.decide_beside(config.ports.https, vec![("dns", taken.dns)])
}

/// Decides the port at which resolvers and name servers speak TLS, and QUIC.
pub fn decide_dns_over_tls(
    config: &Config,
    network: Network,
    taken: &Ports,
) -> Result<(u16, Option<String>), PortError> {
    if network == Network::Hosts {
        return Ok((853, None));
    }
    let need = Need {
        what: "DNS over TLS and QUIC",
        key: "dot",
        real: 853,
        stand_in: 8853,
        transports: &[Transport::Tcp, Transport::Udp],
        addresses: config.hosts_of_dns().into_iter().map(|host| host.address(network)).collect(),
    };
    let ports = taken.known();
    need.decide_beside(config.ports.dot, ports)
}

impl Ports {
    /// Each with its key in `lab.toml`.
    fn known(&self) -> Vec<(&'static str, u16)> {
        let known =
            [("dns", Some(self.dns)), ("http", Some(self.http)), ("app", Some(self.app)), ("db", self.db)];
        let known = known.into_iter().filter_map(|(key, port)| Some((key, port?)));
        known.chain(self.further_apps.iter().map(|&port| ("app", port))).collect()
    }

    /// Those that were decided for the processes of the application, in order.
    pub fn apps(&self) -> impl Iterator<Item = u16> {
        [self.app].into_iter().chain(self.further_apps.iter().copied())
    }
}

/// A port for another process of the application in the place of the one at `former[number]`, beside all at `former`: the decided
/// one if that is free again, else its other one, behind those of all; else any free one.
pub fn decide_beside(
    wanted: &config::Ports,
    network: Network,
    taken: &Ports,
    number: usize,
    former: &[u16],
) -> Result<u16, PortError> {
    let own = taken.apps().nth(number).unwrap_or(taken.app);
    let count = u16::try_from(taken.apps().count()).unwrap_or(1);
    let other = own.checked_add(count).unwrap_or(FREE_PORTS.start);
    if network == Network::Hosts {
        return Ok(if former.contains(&own) { other } else { own });
    }
    let need = Need {
        what: "another process of the application",
        key: "app",
        real: own,
        stand_in: other,
        transports: &[Transport::Tcp],
        addresses: vec![Host::Server.address(network)],
    };
    let known = [("dns", Some(taken.dns)), ("http", Some(taken.http)), ("db", taken.db)];
    let ports = known.into_iter().filter_map(|(key, port)| Some((key, port?)));
    let ports = ports.chain(former.iter().map(|&port| ("app", port))).chain(set_for_later(wanted)).collect();
    let mut decided = Decided { ports, reasons: Vec::new() };
    let near = [need.real, need.stand_in].into_iter().find(|&port| need.take(port, &decided).is_ok());
    near.map_or_else(|| need.decide(Port::Free, &mut decided), Ok)
}

/// What is set and may yet have to be decided: nobody else's.
fn set_for_later(wanted: &config::Ports) -> impl Iterator<Item = (&'static str, u16)> {
    [("https", wanted.https), ("dot", wanted.dot)].into_iter().filter_map(|(key, port)| match port {
        Port::Fixed(port) => Some((key, port)),
        Port::Auto | Port::Free => None,
    })
}

/// What was decided so far.
#[derive(Debug, Clone, Default)]
struct Decided {
    ports: Vec<(&'static str, u16)>,
    reasons: Vec<String>,
}

fn http_like(http: &Need) -> Need {
    Need { addresses: http.addresses.clone(), ..*http }
}

impl Need {
    /// The port beside those that are decided, by key; and why it is not the real one, if it is not.
    fn decide_beside(
        &self,
        wanted: Port,
        ports: Vec<(&'static str, u16)>,
    ) -> Result<(u16, Option<String>), PortError> {
        let mut decided = Decided { ports, reasons: Vec::new() };
        let port = self.decide(wanted, &mut decided)?;
        Ok((port, decided.reasons.pop()))
    }

    fn decide(&self, wanted: Port, decided: &mut Decided) -> Result<u16, PortError> {
        match wanted {
            Port::Fixed(port) => self.take(port, decided),
            Port::Free => (0..FREE_PORT_TRIES)
                .map(|_| FREE_PORTS.start + chance::random_u16() % (FREE_PORTS.end - FREE_PORTS.start))
                .find(|&port| self.take(port, decided).is_ok())
                .ok_or(PortError::NoneFree { what: self.what }),
            Port::Auto => match self.take(self.real, decided) {
                Ok(port) => Ok(port),
                Err(error) if self.real == self.stand_in => Err(error),
                Err(error) => {
                    let port = self.take(self.stand_in, decided)?;
                    decided.reasons.push(format!("port {port} instead of {}: {}", self.real, error.reason()));
                    Ok(port)
                }
            },
        }
    }

    /// `port` if that can be had, else any free one.
    fn near(&self, port: u16, decided: &Decided) -> Result<u16, PortError> {
        self.take(port, decided).or_else(|_| self.decide(Port::Free, &mut decided.clone()))
    }

    /// `port`, if no other service of this lab has it and it can be bound.
    fn take(&self, port: u16, decided: &Decided) -> Result<u16, PortError> {
        if let Some((other, _)) = decided.ports.iter().find(|(_, taken)| *taken == port) {
            return Err(PortError::Twice { port, key: self.key, other });
        }
        self.probe(port).map(|()| port)
    }

    /// Whether `port` can be bound at every address that needs it.
    fn probe(&self, port: u16) -> Result<(), PortError> {
        for &address in &self.addresses {
            for &transport in self.transports {
                bind::probe(SocketAddr::new(address, port), transport)
                    .map_err(|source| self.error(port, source))?;
            }
        }
        Ok(())
    }

    fn error(&self, port: u16, source: BindError) -> PortError {
        let (what, key) = (self.what, self.key);
        if source.source.kind() == io::ErrorKind::AddrInUse {
            let holder = holder::of(source.address, source.transport);
            let (address, transport) = (source.address.ip(), source.transport);
            return PortError::Taken { port, what, key, address, transport, holder };
        }
        PortError::Refused { port, what, key, source }
    }
}

impl PortError {
    /// The reason alone, for a sentence that goes on without this port.
    fn reason(&self) -> String {
        match self {
            Self::Taken { address, transport, holder, .. } => {
                format!("{} listens on {address}/{transport}", taken_by(holder.as_ref()))
            }
            Self::Refused { source, .. } if source.source.kind() == io::ErrorKind::PermissionDenied => {
                "only root may bind a port below 1024 here".into()
            }
            Self::Refused { source, .. } => source.source.to_string(),
            Self::Twice { other, .. } => format!("`{other}` has it"),
            Self::NoneFree { .. } => self.to_string(),
        }
    }
}

fn taken_by(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => format!("{} (pid {})", holder.name, holder.pid),
        None => "a process of another user".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanting(ports: config::Ports) -> Config {
        Config { ports, ..Config::default() }
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let wanted = config::Ports {
            dns: Port::Free,
            http: Port::Fixed(port),
            app: Port::Free,
            db: Port::Auto,
            ..config::Ports::default()
        };
        let error = decide(&wanting(wanted), Network::Loopback, false).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} for HTTP is taken")), "{error}");
        if cfg!(target_os = "linux") {
            assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
        }
        assert!(error.contains("`http` port under [ports]"), "{error}");
    }

    #[test]
    fn each_service_has_a_port_of_its_own() {
        let free = config::Ports {
            dns: Port::Free,
            http: Port::Free,
            app: Port::Free,
            db: Port::Auto,
            ..config::Ports::default()
        };
        let port = decide(&wanting(free), Network::Loopback, false).unwrap().dns;
        let wanted = config::Ports {
            dns: Port::Fixed(port),
            http: Port::Free,
            app: Port::Fixed(port),
            ..config::Ports::default()
        };
        let error = decide(&wanting(wanted), Network::Loopback, false).unwrap_err().to_string();
        assert!(error.starts_with(&format!("port {port} is set for `app` and for `dns`")), "{error}");
    }

    #[test]
    fn hosts_of_their_own_have_the_real_ports() {
        let ports = decide(&Config::default(), Network::Hosts, true).unwrap();
        assert_eq!((ports.dns, ports.http, ports.app, ports.db), (53, 80, 3000, Some(3306)));
        assert!(ports.reasons.is_empty(), "nothing to explain");
        let wanted = config::Ports { dns: Port::Fixed(5353), ..config::Ports::default() };
        let ports = decide(&wanting(wanted), Network::Hosts, false).unwrap();
        assert_eq!(ports.dns, 53);
        assert!(ports.reasons[0].contains("[ports] in lab.toml is for network `loopback`"), "{ports:?}");
    }

    #[test]
    fn https_has_a_port_that_no_other_service_has() {
        let taken =
            Ports { dns: 53, http: 80, app: 3000, further_apps: vec![3001], db: None, reasons: Vec::new() };
        let wanted = config::Ports { https: Port::Fixed(3000), ..config::Ports::default() };
        let error = decide_https(&wanting(wanted), Network::Loopback, &taken).unwrap_err().to_string();
        assert!(error.starts_with("port 3000 is set for `https` and for `app`"), "{error}");
        let wanted = config::Ports { https: Port::Free, ..config::Ports::default() };
        let (port, reason) = decide_https(&wanting(wanted.clone()), Network::Loopback, &taken).unwrap();
        assert!(FREE_PORTS.contains(&port) && reason.is_none());
        assert_eq!(decide_https(&wanting(wanted), Network::Hosts, &taken).unwrap(), (443, None));
    }

    #[test]
    fn free_ports_are_free() {
        let wanted = config::Ports {
            dns: Port::Free,
            http: Port::Free,
            app: Port::Free,
            db: Port::Auto,
            ..config::Ports::default()
        };
        let ports = decide(&wanting(wanted), Network::Loopback, false).unwrap();
        assert!(FREE_PORTS.contains(&ports.dns));
        assert!(ports.reasons.is_empty());
        assert_eq!(ports.db, None, "a file needs no port");
    }

    #[test]
    fn a_taken_database_port_has_its_stand_in() {
        // Whoever holds 3306 and 3307 here, one of them is told of or taken.
        let wanted = config::Ports {
            dns: Port::Free,
            http: Port::Free,
            app: Port::Free,
            db: Port::Auto,
            ..config::Ports::default()
        };
        let _in_the_way = std::net::TcpListener::bind("127.0.0.1:3306");
        match decide(&wanting(wanted), Network::Loopback, true) {
            Ok(ports) => {
                assert_eq!(ports.db, Some(3307));
                assert!(ports.reasons[0].starts_with("port 3307 instead of 3306: "), "{:?}", ports.reasons);
            }
            Err(error) => assert!(error.to_string().contains("`db` port under [ports]"), "{error}"),
        }
    }

    #[test]
    fn several_processes_of_the_application_have_ports_side_by_side_where_they_are_free() {
        let with = |ports, count| {
            let app = config::App { count, ..config::App::default() };
            Config { app, ..wanting(ports) }
        };
        let decided = decide(&with(config::Ports::default(), 4), Network::Hosts, false).unwrap();
        assert_eq!(decided.apps().collect::<Vec<_>>(), [3000, 3001, 3002, 3003]);
        let free = || config::Ports { dns: Port::Free, http: Port::Free, ..config::Ports::default() };
        // Somebody has the next one, and another is set for something else that has yet to be decided.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().port();
        let wanted = config::Ports { app: Port::Fixed(taken - 1), https: Port::Fixed(taken + 1), ..free() };
        match decide(&with(wanted, 3), Network::Loopback, false) {
            Ok(decided) => {
                let apps: std::collections::HashSet<u16> = decided.apps().collect();
                assert!(
                    apps.len() == 3 && !apps.contains(&taken) && !apps.contains(&(taken + 1)),
                    "{apps:?}"
                );
            }
            // The one before may be somebody's as well.
            Err(error) => assert!(error.to_string().contains(&format!("port {}", taken - 1)), "{error}"),
        }
    }

    #[test]
    fn another_process_of_the_application_has_a_port_that_none_of_them_has() {
        let taken =
            Ports { dns: 53, http: 80, app: 3000, further_apps: vec![3001], db: None, reasons: Vec::new() };
        for (number, former, expected) in [
            (0, [3000, 3001], 3002),
            (1, [3002, 3001], 3003),
            (0, [3002, 3003], 3000),
            (1, [3000, 3003], 3001),
        ] {
            let at = |wanted, network| decide_beside(&wanted, network, &taken, number, &former).unwrap();
            assert_eq!(at(config::Ports::default(), Network::Hosts), expected);
            let here = at(config::Ports::default(), Network::Loopback);
            assert!(!former.contains(&here), "{here}");
            // Also not one that is set for what the lab does not speak yet.
            for wanted in [
                config::Ports { https: Port::Fixed(expected), ..config::Ports::default() },
                config::Ports { dot: Port::Fixed(expected), ..config::Ports::default() },
            ] {
                assert_ne!(at(wanted, Network::Loopback), expected);
            }
        }
    }
}
