//! The plan of network `hosts`: which machines there are, how they are cabled, what each is called and where it sends
//! its packets. Values only, so that a test can follow every route without a kernel.
//!
//! ```text
//!   client ── home ── isp ── internet ─┬─ root
//!                      │               ├─ tld
//!                   resolver           └─ server
//! ```
//!
//! What stands between the hosts is what a home's traffic meets: a router at home, the provider's, the Internet's. The
//! addresses are those of the real machines where there are such (the root and gTLD servers, 8.8.8.8 of the
//! coursework), else of the blocks for documentation (RFC 5737, RFC 3849).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::lab::config::Config;
use crate::lab::hosts::{Host, ServiceName};

/// Machines, and the cables between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Hosts first, then routers, then the computers of the classroom.
    pub machines: Vec<Machine>,
    /// Each between two interfaces.
    pub cables: Vec<Cable>,
}

/// One machine: a host of the lab or a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name, which is its hostname too: at most [`NAME_MOST`] bytes of `a`–`z`, `0`–`9`.
    pub name: String,
    /// Whether it passes on what is not for itself.
    pub router: bool,
    /// Its interfaces, beside `lo`.
    pub interfaces: Vec<Interface>,
    /// Where it sends what is in none of its own networks.
    pub routes: Vec<Route>,
}

/// One interface of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name: at most [`NAME_MOST`] bytes.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its addresses; none where it is a port of a switch.
    pub addresses: Vec<Net>,
}

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A socket for a cable.
    Socket,
    /// A switch inside the machine, with an address.
    Switch,
    /// A port of that switch, by its place among the machine's interfaces.
    Port(usize),
}

/// An address and how many of its leading bits name its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Net {
    /// The address.
    pub address: IpAddr,
    /// 0 to 32, or 128.
    pub length: u8,
}

/// Where packets to one network are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The network.
    pub to: Net,
    /// The next router; none where the sender is told that there is no way. That is the last resort: it holds where no other
    /// route, of the same network even, is left.
    pub via: Option<IpAddr>,
}

/// A cable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cable {
    /// The names of what it connects: `client-home`.
    pub name: String,
    /// Its ends: first the one farther from the Internet's middle, or the host.
    pub ends: [End; 2],
}

/// One end of a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Which of [`Plan::machines`].
    pub machine: usize,
    /// Which of its interfaces.
    pub interface: usize,
}

/// The kernel's limit for the name of an interface, in bytes.
pub const NAME_MOST: usize = 15;
/// Computers that a classroom has at most.
pub const CLASSROOM_MOST: u32 = 200;
/// The computer at which the student sits.
pub const CLIENT: &str = "client";
/// The routers, from the home to the Internet's middle.
pub const ROUTERS: [&str; 3] = ["home", "isp", "internet"];

/// The addresses of `host`.
pub fn addresses(host: Host) -> (Ipv4Addr, Ipv6Addr) {
    let isp = |last| (Ipv4Addr::new(192, 0, 2, last), Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, hex(last)));
    let google = |v4, last| (v4, Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, last));
    match host {
        // 10 in both, too.
        Host::Client => (Ipv4Addr::new(192, 0, 2, 10), Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10)),
        Host::Resolver => isp(53),
        Host::Resolver2 => isp(54),
        Host::Resolver3 => isp(55),
        Host::Resolver4 => isp(56),
        Host::Root => {
            (Ipv4Addr::new(198, 41, 0, 4), Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 0x2, 0x30))
        }
        Host::Tld => (Ipv4Addr::new(192, 5, 6, 30), Ipv6Addr::new(0x2001, 0x503, 0xa83e, 0, 0, 0, 0x2, 0x30)),
        Host::Server => google(Ipv4Addr::new(8, 8, 8, 8), 0x8888),
        Host::Server2 => google(Ipv4Addr::new(8, 8, 4, 4), 0x8844),
    }
}

/// The number whose hexadecimal digits are the decimal ones of `number`: 53 is written 53 in both addresses.
fn hex(number: u8) -> u16 {
    let number = u16::from(number);
    number / 100 * 0x100 + number / 10 % 10 * 0x10 + number % 10
}

impl Plan {
    /// The plan of a lab of these settings.
    pub fn of(config: &Config) -> Self {
        Self::new(&config.hosts(), config.network.classroom)
    }

    /// The plan of a lab with these hosts and `classroom` further computers, at most [`CLASSROOM_MOST`].
    pub fn new(hosts: &[Host], classroom: u32) -> Self {
        let mut plan = Self { machines: Vec::new(), cables: Vec::new() };
        let client = plan.machine(CLIENT);
        // The client is there already, at home and nowhere else.
        let hosts = hosts.iter().filter(|host| **host != Host::Client);
        let hosts: Vec<(Host, usize)> = hosts.map(|&host| (host, plan.machine(host.as_str()))).collect();
        let [home, isp, internet] = ROUTERS.map(|name| plan.machine(name));
        for router in [home, isp, internet] {
            plan.machines[router].router = true;
        }

        let (provider, others): (Vec<_>, Vec<_>) =
            hosts.into_iter().partition(|(host, _)| host.is_resolver());
        let of = |host: Host, lengths: [u8; 2]| {
            let (v4, v6) = addresses(host);
            [Net { address: v4.into(), length: lengths[0] }, Net { address: v6.into(), length: lengths[1] }]
        };
        plan.lan(home, "lan", ["192.0.2.1/27", "2001:db8:1::1/64"], &[(client, of(Host::Client, [27, 64]))]);
        let resolvers: Vec<_> = provider.iter().map(|&(host, at)| (at, of(host, [27, 64]))).collect();
        plan.lan(isp, "lan", ["192.0.2.33/27", "2001:db8:2::1/64"], &resolvers);
        for &(host, at) in &others {
            // The two servers' addresses differ in their last digits, and each is in a network of its own.
            let own = of(host, [24, if matches!(host, Host::Server | Host::Server2) { 124 } else { 64 }]);
            plan.lan_of(internet, host.as_str(), own.map(Net::first), &[(at, own)]);
        }
        plan.between(
            home,
            "wan",
            isp,
            "home",
            ["192.0.2.66/30", "2001:db8:3::2/64"],
            ["192.0.2.65/30", "2001:db8:3::1/64"],
        );
        plan.between(
            isp,
            "internet",
            internet,
            "isp",
            ["203.0.113.2/30", "2001:db8:4::2/64"],
            ["203.0.113.1/30", "2001:db8:4::1/64"],
        );
        let seats: Vec<_> = (1..=classroom.min(CLASSROOM_MOST))
            .map(|number| {
                let last = u8::try_from(number + 10).unwrap_or(u8::MAX);
                let v4 = Ipv4Addr::new(198, 51, 100, last);
                let v6 = Ipv6Addr::new(0x2001, 0xdb8, 5, 0, 0, 0, 0, hex(last));
                let own = [Net { address: v4.into(), length: 24 }, Net { address: v6.into(), length: 64 }];
                (plan.machine(&format!("pc{number}")), own)
            })
            .collect();
        plan.lan(home, "classroom", ["198.51.100.1/24", "2001:db8:5::1/64"], &seats);

        plan.routes(
            home,
            &[
                ("0.0.0.0/0", Some("192.0.2.65")),
                ("::/0", Some("2001:db8:3::1")),
                // What is at home is not sent out again, where its cable is cut or nobody has it.
                ("192.0.2.0/27", None),
                ("198.51.100.0/24", None),
                ("2001:db8:1::/64", None),
                ("2001:db8:5::/64", None),
            ],
        );
        plan.routes(
            isp,
            &[
                ("0.0.0.0/0", Some("203.0.113.1")),
                ("::/0", Some("2001:db8:4::1")),
                ("192.0.2.0/27", Some("192.0.2.66")),
                ("198.51.100.0/24", Some("192.0.2.66")),
                ("2001:db8:1::/64", Some("2001:db8:3::2")),
                ("2001:db8:5::/64", Some("2001:db8:3::2")),
                // The provider has these blocks: what nobody in them has, or is cut off, goes nowhere, and not round in
                // circles.
                ("192.0.2.0/24", None),
                ("198.51.100.0/24", None),
                ("2001:db8::/32", None),
            ],
        );
        plan.routes(
            internet,
            &[
                ("192.0.2.0/24", Some("203.0.113.2")),
                ("198.51.100.0/24", Some("203.0.113.2")),
                ("2001:db8::/32", Some("2001:db8:4::2")),
            ],
        );
        plan
    }

    /// The plan as it is for a kernel that speaks IPv6, or does not.
    #[must_use]
    pub fn spoken(mut self, has_ipv6: bool) -> Self {
        let is_spoken = |net: &Net| net.address.is_ipv4() || has_ipv6;
        for machine in &mut self.machines {
            machine.routes.retain(|route| is_spoken(&route.to));
            machine.interfaces.iter_mut().for_each(|interface| interface.addresses.retain(is_spoken));
        }
        self
    }

    /// The machine of this name.
    pub fn named(&self, name: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.name == name)
    }

    /// The resolvers that every machine asks: their addresses, IPv4, in order.
    pub fn resolvers(&self) -> Vec<Ipv4Addr> {
        let resolvers = ServiceName::RESOLVERS.map(ServiceName::host);
        let there = resolvers.into_iter().filter(|host| self.named(host.as_str()).is_some());
        there.map(|host| addresses(host).0).collect()
    }

    fn machine(&mut self, name: &str) -> usize {
        let (interfaces, routes) = (Vec::new(), Vec::new());
        self.machines.push(Machine { name: name.into(), router: false, interfaces, routes });
        self.machines.len() - 1
    }

    fn interface(&mut self, machine: usize, name: &str, kind: Kind, addresses: &[Net]) -> End {
        let interfaces = &mut self.machines[machine].interfaces;
        interfaces.push(Interface { name: name.into(), kind, addresses: addresses.into() });
        End { machine, interface: interfaces.len() - 1 }
    }

    /// A network of `members` at the interface `name` of `router`; one member needs no switch.
    fn lan(&mut self, router: usize, name: &str, own: [&str; 2], members: &[(usize, [Net; 2])]) {
        self.lan_of(router, name, own.map(net), members);
    }

    fn lan_of(&mut self, router: usize, name: &str, own: [Net; 2], members: &[(usize, [Net; 2])]) {
        let switch = match members.len() {
            0 => return,
            1 => None,
            _ => Some(self.interface(router, name, Kind::Switch, &own).interface),
        };
        for (member, addresses) in members {
            let near = self.interface(*member, "eth0", Kind::Socket, addresses);
            let port = self.machines[*member].name.clone();
            let far = match switch {
                None => self.interface(router, name, Kind::Socket, &own),
                Some(switch) => self.interface(router, &port, Kind::Port(switch), &[]),
            };
            self.cable(near, far);
            let default = |own: Net| Route { to: own.any(), via: Some(own.address) };
            self.machines[*member].routes.extend(own.map(default));
        }
    }

    fn between(&mut self, lower: usize, up: &str, upper: usize, down: &str, low: [&str; 2], high: [&str; 2]) {
        let near = self.interface(lower, up, Kind::Socket, &low.map(net));
        let far = self.interface(upper, down, Kind::Socket, &high.map(net));
        self.cable(near, far);
    }

    fn cable(&mut self, near: End, far: End) {
        let name = [near, far].map(|end| self.machines[end.machine].name.as_str()).join("-");
        self.cables.push(Cable { name, ends: [near, far] });
    }

    fn routes(&mut self, machine: usize, routes: &[(&str, Option<&str>)]) {
        let route =
            |(to, via): &(&str, Option<&str>)| Route { to: net(to), via: via.map(|via| net(via).address) };
        self.machines[machine].routes.extend(routes.iter().map(route));
    }
}

impl Net {
    /// Whether `address` is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            _ => false,
        }
    }

    /// The first address of the network, which routers like to have.
    fn first(self) -> Self {
        let address = match self.address {
            IpAddr::V4(own) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                Ipv4Addr::from_bits(own.to_bits() & mask | 1).into()
            }
            IpAddr::V6(own) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                Ipv6Addr::from_bits(own.to_bits() & mask | 1).into()
            }
        };
        Self { address, ..self }
    }

    /// The network of all addresses of its family.
    fn any(self) -> Self {
        net(if self.address.is_ipv4() { "0.0.0.0/0" } else { "::/0" })
    }
}

/// Reads `ADDRESS/LENGTH`, or an address alone. For the constants of this file.
fn net(text: &str) -> Net {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    #[expect(
        clippy::expect_used,
        reason = "every text is a constant of this file, and a test makes the whole plan"
    )]
    let parsed = (address.parse().expect("an address"), length.parse().expect("a length"));
    Net { address: parsed.0, length: parsed.1 }
}

#[cfg(test)]
mod tests;
