//! Cables, addresses and routes of a plan, and what becomes of them: a cable that is cut, a machine that is off.
//!
//! A cable is a pair of interfaces (veth(4)), each made in the machine that it belongs to: at no moment is there one in the
//! network of the real machine. A cut cable has its upper end switched off, so that the lower end sees what a pulled
//! plug shows: no carrier. A machine that is off has its own ends switched off, so that its neighbours see the same, and keep
//! their routes: they find out that nobody answers there.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoBridge, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::machine::Machine;
use super::wire::Request;
use crate::lab::network::NetworkError;
use crate::lab::network::plan::{Cable, End, Interface, Kind, Net, Plan, Route};

/// `lo`, which every network has from the start.
const LOOPBACK: u32 = 1;
/// What a route costs that says that there is no way: more than any other.
const LAST_RESORT: u32 = 1024;

/// A network that is there.
#[derive(Debug)]
pub(in crate::lab::network) struct Cabling {
    plan: Plan,
    machines: Vec<Machine>,
    /// The user namespace, for those who enter.
    _user: File,
    /// The cables that are cut, by their place in the plan.
    cut: BTreeSet<usize>,
    /// The machines that are off.
    off: BTreeSet<usize>,
}

impl Cabling {
    /// Lays all cables between `machines`, which are those of `plan`.
    pub(super) fn lay(plan: Plan, machines: Vec<Machine>, user: File) -> Result<Self, NetworkError> {
        let (cut, off) = (BTreeSet::new(), BTreeSet::new());
        let mut all = Self { plan, machines, _user: user, cut, off };
        for place in 0..all.machines.len() {
            let mut requests: Vec<Request> = Vec::new();
            let interfaces = all.plan.machines[place].interfaces.iter().enumerate();
            requests.extend(
                interfaces.filter(|(_, own)| own.kind == Kind::Switch).map(|(at, own)| switch(at, own)),
            );
            let cables = all.plan.cables.iter().filter(|cable| cable.ends[1].machine == place);
            requests.extend(cables.map(|cable| all.pair(cable)));
            all.machines[place].wire.tell(requests)?;
        }
        (0..all.machines.len()).try_for_each(|place| all.settle(place))?;
        Ok(all)
    }

    /// Cuts the cable `name`, or mends it.
    pub(in crate::lab::network) fn cable(&mut self, name: &str, whole: bool) -> Result<(), String> {
        let place = self.plan.cables.iter().position(|cable| cable.name == name);
        let names = || self.plan.cables.iter().map(|cable| cable.name.clone()).collect();
        let place = place.ok_or_else(|| unknown("cable", name, names()))?;
        if whole {
            self.cut.remove(&place)
        } else {
            self.cut.insert(place)
        };
        self.switch_ends(|at, _| at == place)
    }

    /// Switches the machine `name` on, or off: its cables are dead then.
    pub(in crate::lab::network) fn power(&mut self, name: &str, on: bool) -> Result<(), String> {
        let place = self.plan.machines.iter().position(|machine| machine.name == name);
        let names = || self.plan.machines.iter().map(|machine| machine.name.clone()).collect();
        let place = place.ok_or_else(|| unknown("host", name, names()))?;
        if on {
            self.off.remove(&place)
        } else {
            self.off.insert(place)
        };
        self.switch_ends(|_, cable| cable.ends.iter().any(|end| end.machine == place))
    }

    /// Brings both ends of those cables that are `meant` to where they should be.
    fn switch_ends(&mut self, meant: impl Fn(usize, &Cable) -> bool) -> Result<(), String> {
        let cables = self.plan.cables.iter().enumerate().filter(|(at, cable)| meant(*at, cable));
        let ends = cables.flat_map(|(at, cable)| cable.ends.map(|end| (end, self.is_down(at, end))));
        let (down, up): (Vec<_>, Vec<_>) = ends.partition(|(_, is_down)| *is_down);
        // With an interface that is off the kernel forgets the routes over it, so a whole machine is seen to.
        let machines: BTreeSet<usize> = up.into_iter().map(|(end, _)| end.machine).collect();
        let down = down.into_iter().try_for_each(|(end, _)| {
            self.machines[end.machine].wire.tell(vec![switched(index(end.interface), false)])
        });
        down.and_then(|()| machines.into_iter().try_for_each(|machine| self.settle(machine)))
            .map_err(|error| crate::ground::service::causes(&error).join(": "))
    }

    /// Whether this `end` of a cable is to be switched off.
    fn is_down(&self, cable: usize, end: End) -> bool {
        self.cut.contains(&cable) && self.plan.cables[cable].ends[1] == end || self.off.contains(&end.machine)
    }

    /// Switches the interfaces of one machine on, and gives it its addresses and routes, as far as it has not got them.
    fn settle(&mut self, place: usize) -> Result<(), NetworkError> {
        let dead: BTreeSet<usize> = (0..self.plan.cables.len())
            .flat_map(|cable| self.plan.cables[cable].ends.map(|end| (cable, end)))
            .filter(|&(cable, end)| end.machine == place && self.is_down(cable, end))
            .map(|(_, end)| end.interface)
            .collect();
        let machine = &self.plan.machines[place];
        let mut requests = vec![switched(LOOPBACK, true)];
        let alive = |at: &usize| !dead.contains(at);
        requests.extend((0..machine.interfaces.len()).filter(alive).map(|at| switched(index(at), true)));
        for (at, interface) in machine.interfaces.iter().enumerate() {
            requests.extend(interface.addresses.iter().map(|net| address(at, net)));
        }
        let interfaces = &machine.interfaces;
        let over_dead =
            |via: IpAddr| dead.iter().any(|&at| interfaces[at].addresses.iter().any(|net| net.contains(via)));
        let routes = machine.routes.iter();
        requests.extend(routes.filter(|route| !route.via.is_some_and(over_dead)).map(route));
        self.machines[place].wire.tell(requests)
    }

    /// The pair of interfaces that a cable is, made in the machine of its upper end.
    fn pair(&self, cable: &Cable) -> Request {
        let [near, far] = cable.ends;
        let mut peer = link(near.interface, &self.interface(near).name);
        peer.attributes.push(LinkAttribute::NetNsFd(self.machines[near.machine].net.as_raw_fd()));
        let own = self.interface(far);
        let mut message = link(far.interface, &own.name);
        if let Kind::Port(switch) = own.kind {
            message.attributes.push(LinkAttribute::Controller(index(switch)));
        }
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        Request {
            what: format!("the cable {}", cable.name),
            flags: NLM_F_CREATE | NLM_F_EXCL,
            message: RouteNetlinkMessage::NewLink(message),
            needs: Some(("virtual cables (veth)", "veth")),
        }
    }

    fn interface(&self, end: End) -> &Interface {
        &self.plan.machines[end.machine].interfaces[end.interface]
    }
}

/// The kernel's number of a machine's interface: in the plan's order, behind `lo`.
fn index(interface: usize) -> u32 {
    u32::try_from(interface).unwrap_or(u32::MAX - 2) + 2
}

fn link(interface: usize, name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index(interface);
    message.attributes.push(LinkAttribute::IfName(name.into()));
    message
}

/// A switch: a bridge that passes everything on at once (no spanning tree: there are no circles).
fn switch(at: usize, interface: &Interface) -> Request {
    let mut message = link(at, &interface.name);
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Bridge),
        LinkInfo::Data(InfoData::Bridge(vec![
            InfoBridge::ForwardDelay(0),
            InfoBridge::MulticastSnooping(false),
        ])),
    ]));
    Request {
        what: format!("the switch {}", interface.name),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        message: RouteNetlinkMessage::NewLink(message),
        needs: Some(("virtual switches (bridge)", "bridge")),
    }
}

fn switched(index: u32, on: bool) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = if on { LinkFlags::Up } else { LinkFlags::empty() };
    message.header.change_mask = LinkFlags::Up;
    let what = format!("interface {index} {}", if on { "up" } else { "down" });
    Request { what, flags: 0, message: RouteNetlinkMessage::SetLink(message), needs: None }
}

fn address(interface: usize, net: &Net) -> Request {
    let mut message = AddressMessage::default();
    message.header.family = family(net);
    message.header.prefix_len = net.length;
    message.header.index = index(interface);
    if net.address.is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    message.attributes = vec![AddressAttribute::Local(net.address), AddressAttribute::Address(net.address)];
    Request {
        what: format!("the address {}", net.address),
        flags: NLM_F_CREATE | NLM_F_REPLACE,
        message: RouteNetlinkMessage::NewAddress(message),
        needs: None,
    }
}

fn route(route: &Route) -> Request {
    let mut message = RouteMessage::default();
    message.header.address_family = family(&route.to);
    message.header.destination_prefix_length = route.to.length;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = if route.via.is_some() { RouteType::Unicast } else { RouteType::Unreachable };
    if route.to.length > 0 {
        message.attributes.push(RouteAttribute::Destination(route.to.address.into()));
    }
    message.attributes.push(match route.via {
        Some(via) => RouteAttribute::Gateway(via.into()),
        None => RouteAttribute::Priority(LAST_RESORT),
    });
    Request {
        what: format!("the route to {}/{}", route.to.address, route.to.length),
        flags: NLM_F_CREATE | NLM_F_REPLACE,
        message: RouteNetlinkMessage::NewRoute(message),
        needs: None,
    }
}

fn family(net: &Net) -> AddressFamily {
    if net.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// There is none of that name; which there are.
fn unknown(what: &str, name: &str, mut known: Vec<String>) -> String {
    known.sort();
    format!("there is no {what} {name:?}; there are {}", known.join(", "))
}
