//! Who has which address: machines by their names, as the lab calls them.

use std::collections::HashMap;
use std::net::IpAddr;

/// Names of machines.
#[derive(Debug, Clone, Default)]
pub struct Names(HashMap<IpAddr, String>);

impl Names {
    /// The machine that has `address`.
    pub fn of(&self, address: IpAddr) -> Option<&str> {
        self.0.get(&address).map(String::as_str)
    }

    /// The machine that has `address`, else the address.
    pub fn show(&self, address: IpAddr) -> String {
        self.of(address).map_or_else(|| address.to_string(), str::to_owned)
    }

    /// All of them, by address.
    pub fn sorted(&self) -> Vec<(IpAddr, &str)> {
        let mut all: Vec<_> = self.0.iter().map(|(&address, name)| (address, name.as_str())).collect();
        all.sort();
        all
    }

    /// Whether a packet that leaves `machine` with this sender began its way there: the sender is `machine`, or none that
    /// could be elsewhere (no address yet, one of that cable alone, one that nobody has).
    pub fn begins_at(&self, machine: &str, sender: Option<IpAddr>) -> bool {
        sender.is_none_or(|sender| self.of(sender).is_none_or(|name| name == machine))
    }
}

impl FromIterator<(IpAddr, String)> for Names {
    fn from_iter<T: IntoIterator<Item = (IpAddr, String)>>(names: T) -> Self {
        Self(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_begins_where_its_sender_is() {
        let names: Names = [("8.8.8.8".parse().unwrap(), "server".to_owned())].into_iter().collect();
        let begins = |machine, sender: &str| names.begins_at(machine, Some(sender.parse().unwrap()));
        assert!(begins("server", "8.8.8.8") && !begins("isp", "8.8.8.8"));
        assert!(begins("isp", "fe80::1") && begins("isp", "0.0.0.0") && names.begins_at("isp", None));
        assert_eq!(names.show("8.8.8.8".parse().unwrap()), "server");
        assert_eq!(names.show("8.8.4.4".parse().unwrap()), "8.8.4.4");
    }
}
