//! The network as its users see it: its cables and machines by their names, which are cut and which are off.
//!
//! What is so is kept here, beside the plan; the kernel is told through [`Orders`]. One change is made after the other,
//! whoever asks for it: a machine that is being switched off is not switched on in between.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::held::{Machines, Orders};
use super::plan::{Machine, Plan};
use crate::lab::hosts::{Host, ServiceName};

/// The cables and machines of a lab.
#[derive(Debug)]
pub struct Wiring {
    plan: Plan,
    orders: Orders,
    /// Where the machines are to be entered.
    place: PathBuf,
    /// A plain mutex: held for a look or for the change of one entry.
    standing: Mutex<Standing>,
    /// Held for as long as a change takes.
    turn: tokio::sync::Mutex<()>,
}

/// What is not as it was at first, by name.
#[derive(Debug, Default)]
struct Standing {
    cut: BTreeSet<String>,
    off: BTreeSet<String>,
}

/// A cable, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CableState {
    /// Its name.
    pub name: String,
    /// Each end: the machine, and the interface there.
    pub ends: [(String, String); 2],
    /// Whether it is whole; else it was cut.
    pub whole: bool,
    /// The machine at one of its ends that is off, if one is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub off: Option<String>,
}

/// A machine, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineState {
    /// Its name.
    pub name: String,
    /// Whether it passes on what is not for itself.
    pub router: bool,
    /// Whether it is on.
    pub on: bool,
    /// Its addresses, in the order of its interfaces.
    pub addresses: Vec<IpAddr>,
    /// The services of the lab that run there, in the order in which a request meets them.
    pub services: Vec<ServiceName>,
}

/// Why the network is not changed.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// There is no such cable or machine.
    #[error("there is no {what} {name:?}{}: `wwwlab {command}` lists them", meant(nearest.as_deref()))]
    Unknown {
        /// Cable or host.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
        /// What shows all of them.
        command: &'static str,
    },
    /// It is so already.
    #[error("{0} already")]
    Already(String),
    /// It has no power.
    #[error("{0} is off, and runs nothing: `wwwlab host on {0}`")]
    Off(String),
    /// The network says no; the causes, outermost first.
    #[error("{}", .0.join(": "))]
    Refused(Vec<String>),
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(", did you mean {nearest}?")).unwrap_or_default()
}

impl Wiring {
    /// Of a network that is up by this plan, takes `orders`, and whose machines are to be entered at `place`.
    pub fn new(plan: Plan, orders: Orders, place: PathBuf) -> Self {
        Self { plan, orders, place, standing: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Every cable, in the plan's order.
    pub fn cables(&self) -> Vec<CableState> {
        let standing = self.standing();
        let state = |cable: &super::plan::Cable| {
            let machine = |end: super::plan::End| &self.plan.machines[end.machine];
            let end = |end| (machine(end).name.clone(), machine(end).interfaces[end.interface].name.clone());
            let off =
                cable.ends.iter().map(|&end| &machine(end).name).find(|name| standing.off.contains(*name));
            let whole = !standing.cut.contains(&cable.name);
            CableState { name: cable.name.clone(), ends: cable.ends.map(end), whole, off: off.cloned() }
        };
        self.plan.cables.iter().map(state).collect()
    }

    /// Every machine, in the plan's order; `services` are those of the lab.
    pub fn machines(&self, services: &[ServiceName]) -> Vec<MachineState> {
        let standing = self.standing();
        let state = |machine: &Machine| MachineState {
            name: machine.name.clone(),
            router: machine.router,
            on: !standing.off.contains(&machine.name),
            addresses: machine
                .interfaces
                .iter()
                .flat_map(|interface| interface.addresses.iter().map(|net| net.address))
                .collect(),
            services: services.iter().copied().filter(|name| name.host().as_str() == machine.name).collect(),
        };
        self.plan.machines.iter().map(state).collect()
    }

    /// The names of the cables that are cut, and of the machines that are off.
    pub fn amiss(&self) -> (Vec<String>, Vec<String>) {
        let standing = self.standing();
        (standing.cut.iter().cloned().collect(), standing.off.iter().cloned().collect())
    }

    /// Whether `host` is off.
    pub fn is_off(&self, host: Host) -> bool {
        self.standing().off.contains(host.as_str())
    }

    /// Refuses a machine that there is not, or that is off and runs nothing.
    pub fn with_power(&self, name: &str) -> Result<(), WiringError> {
        self.known(name)?;
        match self.standing().off.contains(name) {
            true => Err(WiringError::Off(name.into())),
            false => Ok(()),
        }
    }

    /// Cuts the cable `name`, which may name its ends in either order, or mends it; its name.
    pub async fn cable(&self, name: &str, whole: bool) -> Result<String, WiringError> {
        let _turn = self.turn.lock().await;
        let cables = &self.plan.cables;
        let turned = name.split_once('-').map(|(one, other)| format!("{other}-{one}"));
        let same = |known: &str| known == name || Some(known) == turned.as_deref();
        let Some(cable) = cables.iter().find(|cable| same(&cable.name)) else {
            let nearest = nearest(name, cables.iter().map(|cable| cable.name.as_str()));
            return Err(WiringError::Unknown { what: "cable", name: name.into(), nearest, command: "link" });
        };
        let name = &cable.name;
        if self.standing().cut.contains(name) != whole {
            let how = if whole { "whole" } else { "cut" };
            return Err(WiringError::Already(format!("{name} is {how}")));
        }
        self.orders.cable(name, whole).await.map_err(WiringError::Refused)?;
        change(&mut self.standing().cut, name, !whole);
        Ok(name.clone())
    }

    /// Switches the machine `name` off: its cables are dead, and what `fail` ends, the lab's services there, cannot say
    /// good-bye any more, nor can what a student started there. As when the power fails.
    pub async fn off(&self, name: &str, fail: impl Future<Output = ()>) -> Result<(), WiringError> {
        let _turn = self.turn.lock().await;
        self.power(name, false).await?;
        change(&mut self.standing().off, name, true);
        fail.await;
        Machines::sweep_one(&self.place.join(name));
        Ok(())
    }

    /// Switches the machine `name` on again, on which `start` then starts the lab's services; what that says.
    pub async fn on<T>(&self, name: &str, start: impl Future<Output = T>) -> Result<T, WiringError> {
        let _turn = self.turn.lock().await;
        self.power(name, true).await?;
        change(&mut self.standing().off, name, false);
        Ok(start.await)
    }

    async fn power(&self, name: &str, on: bool) -> Result<(), WiringError> {
        self.known(name)?;
        if self.standing().off.contains(name) != on {
            return Err(WiringError::Already(format!("{name} is {}", if on { "on" } else { "off" })));
        }
        self.orders.power(name, on).await.map_err(WiringError::Refused)
    }

    fn known(&self, name: &str) -> Result<(), WiringError> {
        if self.plan.named(name).is_some() {
            return Ok(());
        }
        let nearest = nearest(name, self.plan.machines.iter().map(|machine| machine.name.as_str()));
        Err(WiringError::Unknown { what: "host", name: name.into(), nearest, command: "host" })
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn change(names: &mut BTreeSet<String>, name: &str, is_in: bool) {
    match is_in {
        true => names.insert(name.to_owned()),
        false => names.remove(name),
    };
}

/// The one of `known` that is most like `name`, if one is like it at all.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    // What is longer than any name is like none, and costs no comparing.
    let name = Some(name).filter(|name| name.len() <= 64)?;
    let (distance, nearest) =
        known.map(|known| (strsim::damerau_levenshtein(name, known), known)).min_by_key(|(far, _)| *far)?;
    (distance <= 1 + name.chars().count() / 3).then(|| nearest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant_and_none_that_is_far() {
        let known = ["client-home", "home-isp", "server-internet"];
        let meant = |name| nearest(name, known.into_iter());
        assert_eq!(meant("clint-home").as_deref(), Some("client-home"));
        assert_eq!(meant("home-ips").as_deref(), Some("home-isp"));
        assert_eq!(meant("the cable in the cellar"), None);
        assert_eq!(meant(""), None);
        assert_eq!(meant(&"client-home".repeat(100)), None);
    }
}
