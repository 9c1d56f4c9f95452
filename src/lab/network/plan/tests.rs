//! The plan holds together: every packet arrives, nothing is there twice.

use std::collections::HashSet;

use super::*;

/// The largest lab: everything there can be.
fn largest() -> Plan {
    let mut config = Config::default();
    (config.resolver.count, config.dns.secondary, config.network.classroom) = (4, true, CLASSROOM_MOST);
    Plan::of(&config)
}

fn owner(plan: &Plan, address: IpAddr) -> Option<usize> {
    plan.machines.iter().position(|machine| {
        machine.interfaces.iter().flat_map(|interface| &interface.addresses).any(|net| net.address == address)
    })
}

/// The machines that a packet from `from` to `to` meets after its sender; nothing where it is thrown away.
fn way(plan: &Plan, from: usize, to: IpAddr) -> Option<Vec<usize>> {
    way_without(plan, None, from, to)
}

/// The same where one cable is cut: its upper end is switched off, and with it go its addresses and the routes over it.
fn way_without(plan: &Plan, cut: Option<&Cable>, from: usize, to: IpAddr) -> Option<Vec<usize>> {
    let mut met = Vec::new();
    let mut at = from;
    while owner(plan, to) != Some(at) {
        let machine = &plan.machines[at];
        assert!(at == from || machine.router, "{} is no router", machine.name);
        assert!(met.len() < 8, "a packet to {to} goes in circles without {cut:?}: {met:?}");
        let is_cut =
            |end: usize| cut.is_some_and(|cut| cut.ends.contains(&End { machine: at, interface: end }));
        let is_off = |interface| cut.is_some_and(|cut| cut.ends[1] == End { machine: at, interface });
        let towards = |to: IpAddr| {
            let alive = machine.interfaces.iter().enumerate().filter(|(place, _)| !is_off(*place));
            let nets = alive.flat_map(|(place, own)| own.addresses.iter().map(move |net| (place, net)));
            let direct = nets.filter(|(_, net)| net.contains(to));
            direct.max_by_key(|(_, net)| net.length).map(|(place, _)| place)
        };
        let direct = towards(to);
        let routes = machine.routes.iter().filter(|route| route.to.contains(to));
        let there = routes.filter(|route| route.via.is_none_or(|via| towards(via).is_some()));
        let route = there.max_by_key(|route| (route.to.length, route.via.is_some()));
        if direct.or(route.and_then(|route| towards(route.via?))).is_some_and(is_cut) {
            return None;
        }
        at = match (direct, route) {
            (Some(_), _) => owner(plan, to)?,
            (None, Some(route)) => owner(plan, route.via?).expect("a route leads to a machine"),
            (None, None) => return None,
        };
        met.push(at);
    }
    Some(met)
}

fn names(plan: &Plan, way: &[usize]) -> Vec<String> {
    way.iter().map(|&at| plan.machines[at].name.clone()).collect()
}

#[test]
fn every_machine_reaches_every_address_and_back() {
    let plan = largest();
    let addresses: Vec<IpAddr> = plan
        .machines
        .iter()
        .flat_map(|machine| &machine.interfaces)
        .flat_map(|interface| &interface.addresses)
        .map(|net| net.address)
        .collect();
    for from in 0..plan.machines.len() {
        for &to in &addresses {
            let from_name = &plan.machines[from].name;
            assert!(way(&plan, from, to).is_some(), "{from_name} does not reach {to}");
        }
    }
}

#[test]
fn a_packet_meets_what_a_packet_meets() {
    let plan = Plan::of(&Config::default());
    for to in ["8.8.8.8", "2001:4860:4860::8888"] {
        let met = way(&plan, 0, to.parse().unwrap()).unwrap();
        assert_eq!(names(&plan, &met), ["home", "isp", "internet", "server"]);
    }
    let met = way(&plan, 0, "192.0.2.53".parse().unwrap()).unwrap();
    assert_eq!(names(&plan, &met), ["home", "isp", "resolver"]);
}

#[test]
fn what_nobody_has_goes_nowhere() {
    let plan = largest();
    for to in ["192.0.2.200", "198.51.100.250", "9.9.9.9", "2001:db8:7::1", "2606:4700::1111"] {
        for from in 0..plan.machines.len() {
            assert_eq!(way(&plan, from, to.parse().unwrap()), None, "{to}");
        }
    }
}

#[test]
fn a_kernel_without_ipv6_has_the_same_network_without_it() {
    let (both, one) = (largest(), largest().spoken(false));
    assert_eq!(largest().spoken(true), both);
    assert_eq!(one.cables, both.cables);
    for machine in &one.machines {
        let nets = machine.interfaces.iter().flat_map(|interface| &interface.addresses);
        assert!(nets.chain(machine.routes.iter().map(|route| &route.to)).all(|net| net.address.is_ipv4()));
    }
    let server = one.machines.iter().position(|machine| machine.name == "server").unwrap();
    assert_eq!(way(&one, 0, "8.8.8.8".parse().unwrap()).unwrap().last(), Some(&server));
}

#[test]
fn no_packet_goes_in_circles_whichever_cable_is_cut() {
    let mut several = Config::default();
    (several.resolver.count, several.dns.secondary, several.network.classroom) = (2, true, 3);
    for plan in [Config::default(), several].map(|config| Plan::of(&config)) {
        let strangers = ["192.0.2.20", "192.0.2.40", "198.51.100.250", "2001:db8:1::99", "2001:db8:5::ffff"];
        let addresses = plan.machines.iter().flat_map(|machine| &machine.interfaces);
        let addresses = addresses.flat_map(|interface| interface.addresses.iter().map(|net| net.address));
        let addresses: Vec<IpAddr> =
            addresses.chain(strangers.map(|stranger| stranger.parse().unwrap())).collect();
        // Of a classroom's cables the first stands for all.
        for cable in
            plan.cables.iter().filter(|cable| !cable.name.starts_with("pc") || cable.name == "pc1-home")
        {
            let lower = cable.ends[0].machine;
            let own = plan.machines[lower].interfaces.iter().flat_map(|interface| &interface.addresses);
            let own: Vec<IpAddr> = own.map(|net| net.address).collect();
            for from in 0..plan.machines.len() {
                for &to in &addresses {
                    // That it ends is what is asserted there.
                    let met = way_without(&plan, Some(cable), from, to);
                    let is_port = matches!(
                        plan.machines[cable.ends[1].machine].interfaces[cable.ends[1].interface].kind,
                        Kind::Port(_)
                    );
                    let is_host = !plan.machines[lower].router;
                    if from != lower && own.contains(&to) && is_host && !is_port {
                        assert_eq!(met, None, "{to} is not reached without {}", cable.name);
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_is_there_twice_and_names_fit() {
    let plan = largest();
    let mut seen = HashSet::new();
    for machine in &plan.machines {
        assert!(seen.insert(machine.name.clone()), "{} twice", machine.name);
        assert!(machine.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        let mut of_machine = HashSet::new();
        for interface in &machine.interfaces {
            assert!((1..=NAME_MOST).contains(&interface.name.len()), "{}", interface.name);
            assert!(of_machine.insert(&interface.name) && interface.name != "lo", "{}", interface.name);
            for net in &interface.addresses {
                assert!(seen.insert(net.address.to_string()), "{} twice", net.address);
            }
        }
    }
    for cable in &plan.cables {
        assert!(seen.insert(cable.name.clone()), "{} twice", cable.name);
    }
    let sockets = plan.machines.iter().flat_map(|machine| &machine.interfaces);
    let sockets = sockets.filter(|interface| interface.kind != Kind::Switch).count();
    assert_eq!(sockets, 2 * plan.cables.len(), "each cable has two ends, each socket one cable");
}

#[test]
fn the_small_lab_is_the_one_of_the_manual() {
    let plan = Plan::of(&Config::default());
    let names: Vec<&str> = plan.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(names, ["client", "resolver", "root", "tld", "server", "home", "isp", "internet"]);
    let cables: Vec<&str> = plan.cables.iter().map(|cable| cable.name.as_str()).collect();
    assert_eq!(
        cables,
        [
            "client-home",
            "resolver-isp",
            "root-internet",
            "tld-internet",
            "server-internet",
            "home-isp",
            "isp-internet"
        ]
    );
    let switches = plan.machines.iter().flat_map(|machine| &machine.interfaces);
    assert_eq!(switches.filter(|interface| interface.kind == Kind::Switch).count(), 0, "no bridge is needed");
    assert_eq!(plan.resolvers(), [Ipv4Addr::new(192, 0, 2, 53)]);
    assert_eq!(addresses(Host::Root).1.to_string(), "2001:503:ba3e::2:30");
    assert_eq!(addresses(Host::Resolver2).1.to_string(), "2001:db8:2::54");
}

#[test]
fn every_address_and_every_name_is_of_one_machine_also_where_the_client_is_among_the_hosts() {
    let plan = Plan::new(&Host::ALL, CLASSROOM_MOST);
    let names: HashSet<&str> = plan.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(names.len(), plan.machines.len());
    let mut addresses = HashSet::new();
    for machine in &plan.machines {
        for net in machine.interfaces.iter().flat_map(|interface| &interface.addresses) {
            assert!(addresses.insert(net.address), "{} of {} is of another, too", net.address, machine.name);
        }
    }
}
