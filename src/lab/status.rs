//! The state of a running lab, as commands see it.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ground::clock;

use super::config::Engine;
use super::database::Told;
use super::faults::FaultState;
use super::firewall::Applied;
use super::hosts::{Host, ServiceName};
use super::network::publish::Published;
use super::ports::Ports;
use super::private::PrivateStatus;
use super::tls::TlsStatus;

/// A whole lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabStatus {
    /// The lab directory; the unpacked copy for the built-in lab.
    pub directory: String,
    /// Whether it is the built-in lab.
    pub built_in: bool,
    /// How hosts are realised.
    pub network: String,
    /// The supervisor.
    pub pid: u32,
    /// When it came up, milliseconds since the Unix epoch.
    pub since: u64,
    /// The decided ports.
    pub ports: Ports,
    /// How HTTPS is spoken; nothing where it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls: Option<TlsStatus>,
    /// How DNS is asked in private; nothing where it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub private: Option<PrivateStatus>,
    /// The database.
    pub database: Told,
    /// The name of the site.
    pub site_name: String,
    /// Its services, in the order in which a request meets them.
    pub services: Vec<ServiceStatus>,
    /// The cables of its network that are cut, by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cut: Vec<String>,
    /// The machines of its network that are off, by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub off: Vec<String>,
    /// The machines of its network on which a ruleset is applied, and from which file.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub firewalls: Vec<Applied>,
    /// What of its network can be reached from this machine.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub published: Vec<Published>,
    /// Where collectors find the metrics, if they are served.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metrics: Option<SocketAddr>,
    /// From which its chances are drawn: with the same one, the same faults and the same requests, all is the same again.
    pub seed: u32,
    /// What is wrong with it on purpose.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub faults: Vec<FaultState>,
    /// What the supervisor and its guard take themselves.
    pub supervisor: Usage,
}

impl LabStatus {
    /// One service of it.
    pub fn service(&self, name: ServiceName) -> Option<&ServiceStatus> {
        self.services.iter().find(|service| service.name == name)
    }

    /// Where a service listens, for people.
    pub fn place(&self, service: &ServiceStatus) -> String {
        match service.address {
            Some(address) => address.to_string(),
            None if self.database.engine == Engine::Mysql => self.database.place.clone(),
            None => "in app".into(),
        }
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: ServiceName,
    /// The host it runs on.
    pub host: Host,
    /// Where it listens; nothing for an embedded database.
    pub address: Option<SocketAddr>,
    /// Where it listens as well: its host's address of IPv6, where the network has that.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub further: Vec<SocketAddr>,
    /// Its condition.
    #[serde(flatten)]
    pub condition: Condition,
    /// What it takes of the machine; nothing while it has no process.
    pub usage: Option<Usage>,
    /// Questions or requests that it answered a second, in the last few seconds; nothing where it does not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub per_second: Option<f64>,
    /// Bytes it keeps on disk: the database its file, the others their logs, older ones too.
    pub disk_bytes: u64,
}

impl ServiceStatus {
    /// Whether it listens at `address`.
    pub fn listens_at(&self, address: SocketAddr) -> bool {
        self.address == Some(address) || self.further.contains(&address)
    }
}

/// How a service stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// In one word.
    pub state: State,
    /// Its process, if it has one. For a withheld embedded database, the process that holds the lock.
    pub pid: Option<u32>,
    /// Since when, milliseconds since the Unix epoch.
    pub since: u64,
    /// Why, where there is more to say.
    pub detail: String,
    /// Which version of the application files it serves, if it serves any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// What is wrong though it serves: zones that were refused and ports that are not open again after a fault, one each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
}

impl Condition {
    /// Of a service that was started just now.
    pub fn starting(pid: Option<u32>) -> Self {
        Self::preparing(pid, "")
    }

    /// Of one that does something first, which takes time.
    pub fn preparing(pid: Option<u32>, detail: &str) -> Self {
        let (since, detail, warnings) = (clock::unix_millis(), detail.to_owned(), Vec::new());
        Self { state: State::Starting, pid, since, detail, version: None, warnings }
    }
}

/// How a service stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Started, not yet ready.
    Starting,
    /// Serves.
    Running,
    /// Stands still (SIGSTOP): it accepts connections and never answers.
    Paused,
    /// Was stopped or killed by command.
    Stopped,
    /// Ended by itself, or by a stranger's hand.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}

/// What processes take of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time used since the start, in milliseconds.
    pub cpu_millis: u64,
    /// Memory, in bytes: the proportional set size, so that sums over processes are true.
    pub memory_bytes: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.cpu_millis += other.cpu_millis;
        self.memory_bytes += other.memory_bytes;
    }
}
