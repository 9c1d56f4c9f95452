//! What of network `hosts` can be reached from the machine around it, and by which process.
//!
//! Nothing of the network is there unless it was asked for. What was, is carried by one process, `wwwlab publish`: it listens
//! on the machine's loopback, and then moves to the home's router to open its further sockets there. So a request from
//! the machine comes into the network as one from the home, whose router has put its own address in (as NAT does, RFC 3022),
//! and no packet of the network itself comes out. [`carry`] is what it does all day.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::NetworkError;
use super::carry;
use crate::ground::bind::{self, BindError, Listening};
use crate::ground::channel::{self, Report};
use crate::ground::lines::write_line;
use crate::ground::service::causes;
use crate::lab::config::Network;
use crate::lab::holder;
use crate::lab::hosts::ServiceName;

/// The hidden command that carries what is published.
pub const COMMAND: &str = "publish";
/// The router on which requests from the machine come into the network.
pub const ROUTER: &str = "home";
/// The port of HTTPS on the machine, if no other was said.
const HTTPS_USUALLY: u16 = 8443;

/// A service that is to be published, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Publication {
    /// The service.
    pub service: ServiceName,
    /// Its port on the machine, from 1; by default the one that it would have on `loopback` without root.
    pub port: u16,
    /// The same for HTTPS, if it was said; the web server alone has it, while it is spoken.
    pub https: Option<u16>,
}

impl Publication {
    /// Where it is on the machine.
    pub fn address(self) -> SocketAddr {
        self.at(self.port)
    }

    /// Where it is to be by HTTPS, if that was said.
    fn https(self) -> Option<SocketAddr> {
        self.https.map(|port| self.at(port))
    }

    fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.service.host().address(Network::Loopback), port)
    }
}

impl fmt::Display for Publication {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)?;
        self.https.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Where of all in `list` the web server is by HTTPS, while that is spoken: as was said, else at [`HTTPS_USUALLY`].
pub fn https(list: &[Publication]) -> Option<SocketAddr> {
    let mut web = list.iter().copied().filter(|one| one.service == ServiceName::Web);
    let first = web.clone().next()?;
    Some(web.find_map(Publication::https).unwrap_or(first.at(HTTPS_USUALLY)))
}

/// Whether each of `list` has an address of its own; else why not.
pub fn apart(list: &[Publication]) -> Result<(), String> {
    let places = |one: &Publication| {
        let (service, all) = (one.service, [Some(one.address()), one.https()]);
        all.into_iter().flatten().map(move |address| (address, service))
    };
    if list.iter().filter(|one| one.https.is_some()).count() > 1 {
        return Err("HTTPS of web is to be published twice".into());
    }
    let all: Vec<(SocketAddr, ServiceName)> = list.iter().flat_map(places).collect();
    for (index, (address, one)) in all.iter().enumerate() {
        if let Some((_, other)) = all[..index].iter().find(|(other, _)| other == address) {
            return Err(match one == other {
                true => format!("{one} is to be published at {address} twice"),
                false => format!(
                    "{other} and {one} are both to be published at {address}: give one of them another port"
                ),
            });
        }
    }
    Ok(())
}

impl FromStr for Publication {
    type Err = String;

    /// Reads `SERVICE` or `SERVICE:PORT`, and of the web server `web:PORT:HTTPS-PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "what is published is a service, with a port if you like: web, web:8081, web:8081:8444 (the port of HTTPS), resolver or dns:5353, not {text:?}"
            )
        };
        let mut parts = text.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let mut port = || {
            parts.next().map(|port| port.parse().ok().filter(|&port| port > 0).ok_or_else(wrong)).transpose()
        };
        let (port, https) = (port()?, port()?);
        let service: ServiceName = name.parse().map_err(|()| wrong())?;
        let usual = match service {
            ServiceName::Db => return Err("the database is there for its own host alone".into()),
            ServiceName::Web => 8080,
            ServiceName::App => 3000,
            ServiceName::App2 => 3001,
            ServiceName::App3 => 3002,
            ServiceName::App4 => 3003,
            _ => 5300,
        };
        if https.is_some() && service != ServiceName::Web {
            return Err(wrong());
        }
        Ok(Self { service, port: port.unwrap_or(usual), https })
    }
}

impl TryFrom<String> for Publication {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A service that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The service.
    pub service: ServiceName,
    /// Where it is on the machine.
    pub here: SocketAddr,
    /// Where it is in the network.
    pub there: SocketAddr,
}

impl fmt::Display for Published {
    /// As the process is told it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}={}", self.service, self.here, self.there)
    }
}

impl FromStr for Published {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.splitn(3, '=');
            let service = parts.next()?.parse().ok()?;
            Some(Self { service, here: parts.next()?.parse().ok()?, there: parts.next()?.parse().ok()? })
        };
        read().ok_or("a published service is SERVICE=ADDRESS:PORT=ADDRESS:PORT")
    }
}

/// What the process that carries is started with.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the router is to be entered
    place: PathBuf,
    /// What is published: SERVICE=HERE=THERE
    #[arg(required = true)]
    published: Vec<Published>,
}

/// Why something cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// An address of the machine cannot be had.
    #[error(
        "{service} cannot be published{}; end what is there, or publish it at another port: {}",
        taken_by(source),
        remedy(*service)
    )]
    Taken {
        /// What was to be there.
        service: ServiceName,
        /// Why.
        source: BindError,
    },
    /// The network cannot be reached.
    #[error("cannot carry into the network")]
    Network(#[from] NetworkError),
    /// It is not the supervisor that started this.
    #[error("`wwwlab {COMMAND}` is started by the lab itself")]
    NoChannel(#[source] io::Error),
}

fn remedy(service: ServiceName) -> String {
    let https = if service == ServiceName::Web { " (`--publish web:PORT:HTTPS-PORT`)" } else { "" };
    format!("`--publish {service}:PORT`{https}")
}

fn taken_by(error: &BindError) -> String {
    let holder = holder::of(error.address, error.transport);
    holder.map(|holder| format!(": {} (pid {}) is there", holder.name, holder.pid)).unwrap_or_default()
}

/// The life of the process that carries: until the supervisor's end of the channel closes. It must have one thread.
pub async fn run(arguments: &Arguments) -> Result<(), PublishError> {
    let supervisor = channel::on_descriptor_0().map_err(PublishError::NoChannel)?;
    let mut supervisor =
        supervisor.ok_or_else(|| PublishError::NoChannel(io::ErrorKind::NotConnected.into()))?;
    // First the machine's loopback, then the network: a socket stays where it was made.
    let opened = open(&arguments.published)
        .and_then(|doors| Ok(super::on_this_system::lend(&arguments.place).map(|()| doors)?));
    let doors = match opened {
        Ok(doors) => doors,
        Err(error) => {
            // Whoever is not there any more needs no reason.
            let _ = write_line(&mut supervisor, &Report::Failed { causes: causes(&error) }).await;
            return Err(error);
        }
    };
    let listening = doors.iter().map(carry::Door::listening).collect::<Vec<Listening>>();
    if write_line(&mut supervisor, &Report::Ready { listening, version: None }).await.is_ok() {
        tokio::select! {
            () = carry::all(doors) => {}
            // It is given no orders: what there is to read is the end.
            _ = supervisor.readable() => {}
        }
    }
    Ok(())
}

fn open(published: &[Published]) -> Result<Vec<carry::Door>, PublishError> {
    let mut doors = Vec::new();
    for Published { service, here, there } in published {
        let taken = |source| PublishError::Taken { service: *service, source };
        doors.push(carry::Door::Tcp(bind::tcp(*here).map_err(taken)?, *here, *there));
        if service.speaks_dns() {
            doors.push(carry::Door::Udp(bind::udp(*here).map_err(taken)?, *here, *there));
        }
    }
    Ok(doors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_a_service_and_maybe_a_port() {
        let at = |text: &str| text.parse::<Publication>().unwrap().address().to_string();
        assert_eq!(at("web"), "127.0.0.1:8080");
        assert_eq!(at("resolver"), "127.0.0.2:5300");
        assert_eq!(at("dns"), "127.0.0.1:5300");
        assert_eq!(at("web:65535"), "127.0.0.1:65535");
        let https = |texts: &[&str]| {
            let list: Vec<Publication> = texts.iter().map(|text| text.parse().unwrap()).collect();
            https(&list).map(|at| at.to_string())
        };
        assert_eq!(https(&["dns", "web"]).unwrap(), "127.0.0.1:8443");
        assert_eq!(https(&["web", "web:8081:8444"]).unwrap(), "127.0.0.1:8444");
        assert_eq!(https(&["app", "dns"]), None);
        for text in ["web:8081:8444", "web:8080", "dns:5353"] {
            assert_eq!(text.parse::<Publication>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "web:",
            "web:0",
            "web:65536",
            "web:8080:0",
            "web:8080:",
            "web:1:2:3",
            "app:3000:3443",
            "shop",
            ":80",
            "web: 80",
            "WEB",
        ] {
            let why = wrong.parse::<Publication>().unwrap_err();
            assert!(why.contains("web:8081"), "{wrong}: {why}");
        }
        assert!("db".parse::<Publication>().unwrap_err().contains("its own host alone"));
    }

    #[test]
    fn two_cannot_be_at_one_address() {
        let apart =
            |texts: &[&str]| apart(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!(apart(&["web", "dns", "resolver", "web:81", "app"]), Ok(()));
        assert!(apart(&["web", "app:8080"]).unwrap_err().contains("web and app are both"));
        assert!(apart(&["dns", "web", "dns:5300"]).unwrap_err().contains("twice"));
        assert!(apart(&["app:8443", "web:80:8443"]).unwrap_err().contains("app and web are both"));
        assert!(apart(&["web:8443:8443"]).unwrap_err().contains("twice"), "HTTP and HTTPS at one port");
        assert!(apart(&["web:80:8443", "web:81:8444"]).unwrap_err().contains("HTTPS of web"));
    }

    #[test]
    fn what_the_process_is_told_it_reads() {
        let (here, there) = ("127.0.0.1:8080".parse().unwrap(), "8.8.8.8:80".parse().unwrap());
        let published = Published { service: ServiceName::Web, here, there };
        assert_eq!(published.to_string(), "web=127.0.0.1:8080=8.8.8.8:80");
        assert_eq!(published.to_string().parse(), Ok(published));
        for wrong in ["", "web", "web=127.0.0.1:8080", "web=8080=80", "web=127.0.0.1:1=8.8.8.8:80=1"] {
            assert!(wrong.parse::<Published>().is_err(), "{wrong}");
        }
    }
}
