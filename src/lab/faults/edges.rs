//! The edges of the lab, and what is made of a fault on one: rules for nftables and classes for the kernel's queues; pure.
//!
//! An edge is a way between two services, in the direction in which it is dialled: `client-web` is whatever comes to the web
//! server's port and whatever goes back. Where two hosts are apart, packets vanish, are refused and are reset on the router
//! before the host that is asked, in the hook that sees what is passed on: so both ends see what they would see of a way that
//! is broken, and neither is told by its own kernel. What is late or narrow waits in the queue by which that host's answers
//! leave it. Two services of one host have its loopback interface between them, and all of it is there.
//!
//! The rules stand in a table of their own, [`TABLE`], and the classes under a root of their own, [`ROOT`]: nobody else's are
//! read or changed, and those of a machine are always written whole.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::lab::config::Network;
use crate::lab::hosts::{Host, ServiceName};

/// The table of nftables that faults have, on machines of the lab alone.
pub(in crate::lab) const TABLE: &str = "wwwlab_faults";
/// The handle of the queueing discipline that faults have.
pub(in crate::lab) const ROOT: &str = "7a0:";
/// The port of DNS over TLS, and over QUIC, on hosts of their own (RFC 7858 §3.1, RFC 9250 §4.1.1).
const DNS_OVER_TLS: u16 = 853;
/// The rate of a class that is not to be narrow.
const WIDE: &str = "100gbit";

/// A way between two services, or from whoever asks to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// From everybody to the web server.
    ClientWeb,
    /// From everybody to the resolvers.
    ClientResolver,
    /// From the resolvers to the root.
    ResolverRoot,
    /// From the resolvers to `com.`.
    ResolverTld,
    /// From the resolvers to the name server of `foobar.com.`.
    ResolverDns,
    /// From the resolvers to the second one.
    ResolverDns2,
    /// From the web server to the application server.
    WebApp,
    /// From the application server to the database server.
    AppDb,
}

/// What is wrong with an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Answers are late.
    Late {
        /// Milliseconds.
        millis: u64,
        /// So much more or less, in milliseconds.
        jitter: u64,
    },
    /// So many packets of a hundred vanish, each way.
    Lossy(u64),
    /// Answers have so many thousand bits a second.
    Narrow(u64),
    /// Packets vanish, both ways.
    Cut,
    /// What is new is refused.
    Refuse,
    /// What is open is reset.
    Reset,
    /// Answers vanish.
    HalfOpen,
    /// An attacker answers first, over UDP, with this address.
    Forged(Ipv4Addr),
}

impl Way {
    /// The edges that can be so.
    pub fn edges(self) -> Vec<Edge> {
        let can = |edge: &Edge| match self {
            // Of addresses the resolver asks the name servers of the zone; root and `com.` it asks the way alone.
            Self::Forged(_) => {
                matches!(edge, Edge::ClientResolver | Edge::ResolverDns | Edge::ResolverDns2)
            }
            _ => true,
        };
        Edge::ALL.into_iter().filter(can).collect()
    }
}

impl Edge {
    /// All of them, in the order in which a first request meets them.
    pub const ALL: [Self; 8] = [
        Self::ClientWeb,
        Self::ClientResolver,
        Self::ResolverRoot,
        Self::ResolverTld,
        Self::ResolverDns,
        Self::ResolverDns2,
        Self::WebApp,
        Self::AppDb,
    ];

    /// Its name: who asks, and who is asked.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientWeb => "client-web",
            Self::ClientResolver => "client-resolver",
            Self::ResolverRoot => "resolver-root",
            Self::ResolverTld => "resolver-tld",
            Self::ResolverDns => "resolver-dns",
            Self::ResolverDns2 => "resolver-dns2",
            Self::WebApp => "web-app",
            Self::AppDb => "app-db",
        }
    }

    /// The service that is asked.
    pub fn asked(self) -> ServiceName {
        match self {
            Self::ClientWeb => ServiceName::Web,
            Self::ClientResolver => ServiceName::Resolver,
            Self::ResolverRoot => ServiceName::Root,
            Self::ResolverTld => ServiceName::Tld,
            Self::ResolverDns => ServiceName::Dns,
            Self::ResolverDns2 => ServiceName::Dns2,
            Self::WebApp => ServiceName::App,
            Self::AppDb => ServiceName::Db,
        }
    }

    /// The machines that are asked.
    fn hosts(self) -> Vec<Host> {
        match self {
            Self::ClientResolver => ServiceName::RESOLVERS.map(ServiceName::host).into(),
            other => vec![other.asked().host()],
        }
    }

    /// The machine that questions pass last before the host that is asked; that host itself where they never leave it.
    pub(in crate::lab) fn router(self) -> &'static str {
        match self {
            _ if self.is_inside() => "server",
            Self::ClientResolver => "isp",
            _ => "internet",
        }
    }

    /// Whose questions on it are whose, for who is to know them by their addresses: as `wwwlab spoof` is told.
    pub(in crate::lab) fn ends(self) -> Vec<String> {
        let told = |option, addresses: Vec<IpAddr>| {
            addresses.into_iter().flat_map(move |address| [format!("--{option}"), address.to_string()])
        };
        let askers = askers(self).unwrap_or_default();
        told("asked", addresses(&self.hosts())).chain(told("asker", askers)).collect()
    }

    /// Whether both ends are on one host.
    pub(super) fn is_inside(self) -> bool {
        matches!(self, Self::WebApp | Self::AppDb)
    }

    /// Whether questions come over UDP, too.
    pub(super) fn has_datagrams(self) -> bool {
        self.asked().speaks_dns()
    }

    /// The number of its class among those of [`ROOT`].
    fn class(self) -> usize {
        2 + self as usize
    }

    /// Its number among them all, from 0 on.
    pub(super) fn number(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Edge {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|edge| edge.as_str() == name).ok_or(())
    }
}

/// At which ports the services of a lab are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lab) struct Doors {
    pub(in crate::lab) dns: u16,
    pub(in crate::lab) http: u16,
    pub(in crate::lab) https: u16,
    pub(in crate::lab) app: u16,
    pub(in crate::lab) db: u16,
}

impl Doors {
    fn of(self, edge: Edge) -> String {
        match edge {
            Edge::ClientWeb => format!("{{ {}, {} }}", self.http, self.https),
            // In private, too.
            Edge::ClientResolver => format!("{{ {}, {}, {DNS_OVER_TLS} }}", self.dns, self.https),
            // A deployment by blue-green takes the next one, and then this one again.
            Edge::WebApp => format!("{{ {}, {} }}", self.app, self.app.saturating_add(1)),
            Edge::AppDb => self.db.to_string(),
            _ => self.dns.to_string(),
        }
    }
}

/// What faults make of one machine. The empty one is a machine without any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::lab) struct Broken {
    /// The lines that stand where packets are passed on.
    passing: Vec<String>,
    /// The lines that stand where packets are taken in, for those of the loopback interface.
    arriving: Vec<String>,
    /// The lines that give answers their class.
    marking: Vec<String>,
    /// The classes, by the interface by which answers leave.
    queues: BTreeMap<&'static str, BTreeMap<usize, Class>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Class {
    kilobits: Option<u64>,
    late: Option<(u64, u64)>,
}

impl Broken {
    /// What `nft -f` is to be given so that the table says this and nothing else. One transaction.
    pub(in crate::lab) fn rules(&self) -> String {
        // What is not there cannot be deleted, so it is made first.
        let mut text = format!("table inet {TABLE}\ndelete table inet {TABLE}\n");
        if !self.has_rules() {
            return text;
        }
        let _ = writeln!(text, "table inet {TABLE} {{");
        for (chain, hook, lines) in [
            ("passing", "forward priority filter", &self.passing),
            ("arriving", "input priority filter", &self.arriving),
            ("leaving", "output priority mangle", &self.marking),
        ] {
            if lines.is_empty() {
                continue;
            }
            let _ = writeln!(text, " chain {chain} {{\n  type filter hook {hook}");
            lines.iter().for_each(|line| {
                let _ = writeln!(text, "  {line}");
            });
            let _ = writeln!(text, " }}");
        }
        text.push_str("}\n");
        text
    }

    /// Whether the table has any.
    pub(in crate::lab) fn has_rules(&self) -> bool {
        [&self.passing, &self.arriving, &self.marking].iter().any(|lines| !lines.is_empty())
    }

    /// The interfaces with queues of faults.
    pub(in crate::lab) fn interfaces(&self) -> impl Iterator<Item = &'static str> {
        self.queues.keys().copied()
    }

    /// What `tc -batch` is to be given to make the queues, where there are none of faults.
    pub(in crate::lab) fn queues(&self) -> String {
        let mut text = String::new();
        for (interface, classes) in &self.queues {
            // Without a default class, all else goes straight to the interface.
            let _ = writeln!(text, "qdisc add dev {interface} root handle {ROOT} htb");
            for (number, Class { kilobits, late }) in classes {
                let rate = kilobits.map_or(WIDE.into(), |kilobits| format!("{kilobits}kbit"));
                let _ = writeln!(
                    text,
                    "class add dev {interface} parent {ROOT} classid {ROOT}{number:x} htb rate {rate} quantum 60000"
                );
                if let Some((millis, jitter)) = late {
                    let _ = writeln!(
                        text,
                        "qdisc add dev {interface} parent {ROOT}{number:x} handle 7b{number:x}: netem delay {millis}ms {jitter}ms"
                    );
                }
            }
        }
        text
    }

    /// Whether packets are held back, which not every kernel can.
    pub(in crate::lab) fn is_late(&self) -> bool {
        self.queues.values().flat_map(BTreeMap::values).any(|class| class.late.is_some())
    }

    fn queue(&mut self, edge: Edge, interface: &'static str, way: Way, doors: Doors) {
        let class = self.queues.entry(interface).or_default().entry(edge.class()).or_default();
        match way {
            Way::Late { millis, jitter } => class.late = Some((millis, jitter)),
            Way::Narrow(kilobits) => class.kilobits = Some(kilobits),
            _ => {}
        }
        let port = doors.of(edge);
        let protocols = if edge.has_datagrams() { "{ tcp, udp }" } else { "tcp" };
        let line = |family: &str| {
            let to = |to: Vec<IpAddr>| {
                let to: Vec<String> = of_family(family, &to).collect();
                (!to.is_empty()).then(|| format!("{family} daddr {{ {} }} ", to.join(", ")))
            };
            let to = askers(edge).and_then(to).unwrap_or_default();
            format!(
                "oifname \"{interface}\" {to}meta l4proto {protocols} th sport {port} meta priority set {ROOT}{:x}",
                edge.class()
            )
        };
        // Those who ask are told apart by their addresses, where not everybody may ask.
        let families: &[&str] = if askers(edge).is_some() { &["ip", "ip6"] } else { &["ip"] };
        for line in families.iter().map(|family| line(family)) {
            if !self.marking.contains(&line) {
                self.marking.push(line);
            }
        }
    }
}

/// What each machine of network `hosts` is to have, by its name, so that all of `laid` is so. Machines without anything are
/// left out.
pub(in crate::lab) fn broken(
    laid: impl Iterator<Item = (Edge, Way)>,
    doors: Doors,
) -> BTreeMap<&'static str, Broken> {
    let mut machines: BTreeMap<&'static str, Broken> = BTreeMap::new();
    for (edge, way) in laid {
        if let Way::Late { .. } | Way::Narrow(_) = way {
            let interface = if edge.is_inside() { "lo" } else { "eth0" };
            for host in edge.hosts() {
                machines.entry(host.as_str()).or_default().queue(edge, interface, way, doors);
            }
            continue;
        }
        let lines = passing(edge, way, doors);
        let broken = machines.entry(edge.router()).or_default();
        let lines_there = if edge.is_inside() { &mut broken.arriving } else { &mut broken.passing };
        lines_there.extend(lines);
    }
    machines
}

/// The machines on which anything of faults can be.
pub(in crate::lab) fn machines() -> impl Iterator<Item = &'static str> {
    Host::ALL.into_iter().map(Host::as_str).chain(["isp", "internet"])
}

/// The lines that break the way: first what is said of questions, then of answers.
fn passing(edge: Edge, way: Way, doors: Doors) -> Vec<String> {
    let port = doors.of(edge);
    let protocols = if edge.has_datagrams() { "{ tcp, udp }" } else { "tcp" };
    let mut lines = Vec::new();
    for (questions, answers) in ends(edge) {
        let asking = format!("{questions} meta l4proto {protocols} th dport {port}");
        let answering = format!("{answers} meta l4proto {protocols} th sport {port}");
        match way {
            Way::Cut => lines.extend([format!("{asking} drop"), format!("{answering} drop")]),
            Way::HalfOpen => lines.push(format!("{answering} drop")),
            Way::Lossy(percent) => {
                let some = format!("numgen random mod 100 < {percent} drop");
                lines.extend([format!("{asking} {some}"), format!("{answering} {some}")]);
            }
            Way::Refuse => {
                lines.push(format!(
                    "{questions} tcp dport {port} tcp flags & (syn | ack) == syn reject with tcp reset"
                ));
                if edge.has_datagrams() {
                    lines.push(format!(
                        "{questions} udp dport {port} reject with icmpx type port-unreachable"
                    ));
                }
            }
            Way::Reset => {
                // The last piece of what is said at a time carries PSH. What has none, the handshake and the end, is passed on:
                // what is open is meant.
                let open = "tcp flags & (syn | rst | psh) == psh reject with tcp reset";
                lines.extend([
                    format!("{questions} tcp dport {port} {open}"),
                    format!("{answers} tcp sport {port} {open}"),
                ]);
            }
            // The attacker passes it on.
            Way::Forged(_) => lines.push(format!("{questions} udp dport {} drop", doors.dns)),
            Way::Late { .. } | Way::Narrow(_) => {}
        }
    }
    lines
}

/// How questions and answers of an edge are known by their addresses, for each family of these.
fn ends(edge: Edge) -> Vec<(String, String)> {
    if edge.is_inside() {
        return vec![("iifname \"lo\"".into(), "iifname \"lo\"".into())];
    }
    let asked = addresses(&edge.hosts());
    let askers = askers(edge);
    let of = |family: &str| {
        let set = |addresses: &[IpAddr]| of_family(family, addresses).collect::<Vec<_>>().join(", ");
        let asked = set(&asked);
        let (mut questions, mut answers) =
            (format!("{family} daddr {{ {asked} }}"), format!("{family} saddr {{ {asked} }}"));
        if let Some(askers) = &askers {
            let _ = write!(questions, " {family} saddr {{ {} }}", set(askers));
            let _ = write!(answers, " {family} daddr {{ {} }}", set(askers));
        }
        (questions, answers)
    };
    ["ip", "ip6"].map(of).into()
}

/// Who asks on this edge; nothing where that is everybody.
fn askers(edge: Edge) -> Option<Vec<IpAddr>> {
    let resolvers =
        matches!(edge, Edge::ResolverRoot | Edge::ResolverTld | Edge::ResolverDns | Edge::ResolverDns2);
    resolvers.then(|| addresses(&ServiceName::RESOLVERS.map(ServiceName::host)))
}

fn addresses(hosts: &[Host]) -> Vec<IpAddr> {
    hosts.iter().flat_map(|host| host.addresses(Network::Hosts)).collect()
}

fn of_family(family: &str, addresses: &[IpAddr]) -> impl Iterator<Item = String> {
    addresses.iter().filter(move |address| address.is_ipv4() == (family == "ip")).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOORS: Doors = Doors { dns: 53, http: 80, https: 443, app: 3000, db: 3306 };

    fn on(edge: Edge, way: Way) -> (&'static str, Broken) {
        let mut machines = broken([(edge, way)].into_iter(), DOORS);
        assert_eq!(machines.len(), 1, "{edge}");
        machines.pop_first().unwrap()
    }

    #[test]
    fn between_hosts_packets_vanish_on_the_router_both_ways() {
        let (machine, broken) = on(Edge::ClientWeb, Way::Cut);
        assert_eq!(machine, "internet");
        let rules = broken.rules();
        for line in [
            "ip daddr { 8.8.8.8 } meta l4proto tcp th dport { 80, 443 } drop",
            "ip saddr { 8.8.8.8 } meta l4proto tcp th sport { 80, 443 } drop",
            "ip6 daddr { 2001:4860:4860::8888 } meta l4proto tcp th dport { 80, 443 } drop",
        ] {
            assert!(rules.contains(line), "{rules}");
        }
        assert!(broken.queues().is_empty() && rules.contains("hook forward"));
    }

    #[test]
    fn only_resolvers_ask_on_their_edges_and_over_udp_too() {
        let (machine, broken) = on(Edge::ResolverRoot, Way::Refuse);
        assert_eq!(machine, "internet");
        let rules = broken.rules();
        assert!(rules.contains("ip daddr { 198.41.0.4 } ip saddr { 192.0.2.53, "), "{rules}");
        assert!(rules.contains("udp dport 53 reject with icmpx type port-unreachable"), "{rules}");
        let rules = on(Edge::ClientResolver, Way::Cut).1.rules();
        assert!(rules.contains("meta l4proto { tcp, udp } th dport { 53, 443, 853 } drop"), "{rules}");
        let rules = on(Edge::ClientResolver, Way::Forged(Ipv4Addr::LOCALHOST)).1.rules();
        assert!(rules.contains("udp dport 53 drop") && !rules.contains("853"), "{rules}");
        assert!(!on(Edge::WebApp, Way::Refuse).1.rules().contains("udp"), "there are none");
    }

    #[test]
    fn inside_a_host_all_is_on_its_loopback_interface() {
        let (machine, broken) = on(Edge::WebApp, Way::HalfOpen);
        assert_eq!(machine, "server");
        assert!(broken.rules().contains("iifname \"lo\" meta l4proto tcp th sport { 3000, 3001 } drop"));
        let (machine, broken) = on(Edge::WebApp, Way::Narrow(64));
        assert_eq!((machine, broken.interfaces().collect::<Vec<_>>()), ("server", vec!["lo"]));
    }

    #[test]
    fn what_is_narrow_and_late_waits_in_one_class_and_nothing_else_does() {
        let both = [
            (Edge::ClientWeb, Way::Narrow(256)),
            (Edge::ClientWeb, Way::Late { millis: 100, jitter: 20 }),
            (Edge::ResolverDns, Way::Late { millis: 5, jitter: 0 }),
        ];
        let machines = broken(both.into_iter(), DOORS);
        let server = &machines["server"];
        assert_eq!(machines.len(), 1);
        let queues = server.queues();
        assert_eq!(queues.matches("qdisc add dev eth0 root handle 7a0: htb\n").count(), 1, "{queues}");
        for line in [
            "class add dev eth0 parent 7a0: classid 7a0:2 htb rate 256kbit quantum 60000\n",
            "parent 7a0:2 handle 7b2: netem delay 100ms 20ms\n",
            "classid 7a0:6 htb rate 100gbit quantum 60000\n",
        ] {
            assert!(queues.contains(line), "{queues}");
        }
        assert!(server.is_late());
        assert_eq!(server.rules().matches("meta priority set 7a0:2\n").count(), 1, "{}", server.rules());
    }

    #[test]
    fn without_faults_a_table_is_only_taken_away() {
        let none = Broken::default();
        assert_eq!(none.rules(), "table inet wwwlab_faults\ndelete table inet wwwlab_faults\n");
        assert!(none.queues().is_empty());
        for edge in Edge::ALL {
            assert_eq!(edge.as_str().parse(), Ok(edge));
            for way in [Way::Lossy(3), Way::Reset, Way::Cut] {
                assert!(machines().any(|machine| machine == on(edge, way).0), "{edge}");
            }
        }
    }
}
