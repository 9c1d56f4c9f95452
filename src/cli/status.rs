//! `wwwlab status`: each service, its process, what it takes; and what the one server carries together.

use std::net::SocketAddr;

use crate::ground::clock;
use crate::lab::certs::Kind;
use crate::lab::config::Tls;
use crate::lab::control;
use crate::lab::directory::Directory;
use crate::lab::faults::FaultState;
use crate::lab::faults::wanted;
use crate::lab::firewall::Applied;
use crate::lab::hosts::Host;
use crate::lab::private::PrivateService;
use crate::lab::status::{LabStatus, ServiceStatus, State, Usage};

use super::screen::{BAD, BOLD, Cell, DIM, Table, ago, bytes, pace, state_style};
use super::words::printable;
use super::words::validity;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let status = block_on(control::status(directory))??;
    if arguments.json {
        world.json(&status)?;
        return Ok(0);
    }
    let now = clock::unix_millis();
    let up_for = ago(now.saturating_sub(status.since) / 1000);
    let (bold, dim) = (BOLD, DIM);
    writeln!(
        world.out,
        "{bold}{}{bold:#} {dim}({}, network {}, up for {up_for}, supervisor {}, seed {}){dim:#}\n",
        status.site_name,
        directory.name(),
        status.network,
        status.pid,
        status.seed,
    )?;
    write!(world.out, "{}", table(&status, now).render(world.width))?;
    for service in &status.services {
        let words = [&service.condition.detail, &remedy(service, &status)];
        let words: Vec<&str> =
            words.into_iter().map(String::as_str).filter(|words| !words.is_empty()).collect();
        if service.condition.state != State::Running && !words.is_empty() {
            let (name, state) = (service.name, service.condition.state);
            world.say(2, DIM, &format!("{name}, {state}: {}", printable(&words.join("; "))))?;
        }
    }
    for service in &status.services {
        if let Some(version) = &service.condition.version {
            world.say(2, DIM, &format!("{}: version {} of its files", service.name, printable(version)))?;
        }
    }
    for (names, how) in [(&status.cut, "is cut: `wwwlab link up"), (&status.off, "is off: `wwwlab host on")] {
        for name in names {
            world.say(2, BAD, &format!("{name} {how} {name}`"))?;
        }
    }
    for Applied { host, file } in &status.firewalls {
        let file = printable(file.as_deref().unwrap_or("no file"));
        world.say(2, DIM, &format!("{host} has the firewall of {file}: `wwwlab firewall show {host}`"))?;
    }
    for state @ FaultState { id, fault, details, .. } in &status.faults {
        let target = state.target();
        let details = printable(details);
        let with = if details.is_empty() { details } else { format!(" ({details})") };
        world.say(
            2,
            BAD,
            &format!("fault {id} is laid: {fault} on {target}{with}: `wwwlab fault clear {id}`"),
        )?;
    }
    remark(&status, world)?;
    warn(&status, world)?;
    Ok(0)
}

/// What else is to be said of the addresses and ports: those of IPv6, one for each host, and why a port is not the real one.
pub(super) fn remark(status: &LabStatus, world: &mut World) -> Result<(), Failure> {
    let mut hosts: Vec<String> = Vec::new();
    for service in &status.services {
        for address in &service.further {
            let host = format!("{} {}", service.host.as_str(), address.ip());
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    for published in &status.published {
        let (service, here, there) = (published.service, published.here, published.there);
        world.say(2, DIM, &format!("published: {service} at {here} of this machine, carried to {there}"))?;
    }
    if let Some(address) = status.metrics {
        world.say(2, DIM, &format!("metrics: http://{address}/metrics"))?;
    }
    if !hosts.is_empty() {
        world.say(2, DIM, &format!("at the same ports over IPv6: {}", hosts.join(", ")))?;
    }
    for reason in &status.ports.reasons {
        world.say(2, DIM, reason)?;
    }
    https(status, world)?;
    private(status, world)
}

/// How DNS is asked in private, if it is.
pub(super) fn private(status: &LabStatus, world: &mut World) -> Result<(), Failure> {
    let Some(private) = &status.private else { return Ok(()) };
    for PrivateService { service, https, tls, quic } in &private.services {
        let written = |places: &[SocketAddr]| places.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (tls, quic) = (written(tls), written(quic));
        let ways = [("HTTPS", https), ("TLS", &tls), ("QUIC", &quic)]
            .into_iter()
            .filter(|(_, places)| !places.is_empty());
        let ways: Vec<String> =
            ways.map(|(way, places)| format!("over {way} at {}", places.join(" and "))).collect();
        world.say(2, DIM, &format!("{service}: asked in private {}", ways.join(", ")))?;
    }
    let valid = validity(private.until, clock::unix_millis() / 1000);
    world.say(
        2,
        DIM,
        &format!("DNS in private: the certificates are valid {valid}; --cacert {}", private.authority),
    )?;
    private.reasons.iter().try_for_each(|reason| world.say(2, DIM, reason))?;
    Ok(())
}

/// How HTTPS is spoken, if it is.
pub(super) fn https(status: &LabStatus, world: &mut World) -> Result<(), Failure> {
    let (dim, bad) = (DIM, BAD);
    let Some(tls) = &status.tls else { return Ok(()) };
    let places: Vec<String> = tls.addresses.iter().map(ToString::to_string).collect();
    let beside = if tls.tls == Tls::Only { "; plain HTTP is redirected there" } else { "" };
    world.say(2, DIM, &format!("web: asked over HTTPS at {}{beside}", places.join(" and ")))?;
    let valid = validity(tls.until, clock::unix_millis() / 1000);
    let style = if tls.certificate == Kind::Good { dim } else { bad };
    let kind = tls.certificate;
    world.say(
        2,
        style,
        &format!("web over HTTPS: the certificate is {kind}, valid {valid}; --cacert {}", tls.authority),
    )?;
    if let Some(seconds) = tls.hsts_seconds {
        world.say(
            2,
            DIM,
            &format!("web over HTTPS: browsers are told to ask in no other way for {seconds} s"),
        )?;
    }
    if let Some(file) = &tls.key_log {
        world.say(2, DIM, &format!("web over HTTPS: the secrets of all connections are in {file}"))?;
    }
    tls.reason.iter().try_for_each(|reason| world.say(2, DIM, reason))?;
    Ok(())
}

/// What is wrong though everything runs.
pub(super) fn warn(status: &LabStatus, world: &mut World) -> Result<(), Failure> {
    for service in &status.services {
        for warning in &service.condition.warnings {
            world.say(2, BAD, &format!("{}: {}", service.name, printable(warning)))?;
        }
    }
    Ok(())
}

/// What brings a service back that does not run; nothing where something else has to be mended first, which has a line of its own.
fn remedy(service: &ServiceStatus, status: &LabStatus) -> String {
    let is_wanted = status.faults.iter().any(|state| {
        state.service == service.name
            && wanted::fault(&state.fault).is_ok_and(|fault| fault.keeps_down(service.condition.state))
    });
    let is_off = status.off.iter().any(|host| host == service.host.as_str());
    let verb = match service.condition.state {
        _ if is_wanted || is_off => return String::new(),
        State::Stopped | State::Failed => "start",
        State::Paused => "resume",
        State::Running | State::Starting => return String::new(),
    };
    format!("`wwwlab {verb} {}` brings it back", service.name)
}

fn table(status: &LabStatus, now: u64) -> Table {
    let mut table = Table::default()
        .column("SERVICE", 0)
        .column("HOST", 4)
        .column("ADDRESS", 1)
        .numbers("PID", 2)
        .column("STATE", 0)
        .numbers("FOR", 3)
        .numbers("QPS", 4)
        .numbers("CPU", 3)
        .numbers("MEMORY", 3)
        .numbers("DISK", 5);
    for service in &status.services {
        let condition = &service.condition;
        let [cpu, memory] = amounts(service.usage);
        table.row([
            service.name.as_str().into(),
            service.host.as_str().into(),
            status.place(service).into(),
            condition.pid.map(|pid| pid.to_string()).unwrap_or_default().into(),
            Cell::styled(condition.state.to_string(), state_style(condition.state)),
            ago(now.saturating_sub(condition.since) / 1000).into(),
            service.per_second.map(pace).unwrap_or_default().into(),
            cpu,
            memory,
            bytes(service.disk_bytes).into(),
        ]);
    }
    let on_server = || status.services.iter().filter(|service| service.host == Host::Server);
    let mut server = Usage::default();
    let mut all = status.supervisor;
    on_server().filter_map(|service| service.usage).for_each(|usage| server += usage);
    status.services.iter().filter_map(|service| service.usage).for_each(|usage| all += usage);
    let disk = |services: u64| bytes(services);
    let server_disk = disk(on_server().map(|service| service.disk_bytes).sum());
    let all_disk = disk(status.services.iter().map(|service| service.disk_bytes).sum());
    for (label, host, what, usage, disk) in [
        ("together", "server", "one machine", server, server_disk),
        ("the lab", "", "and supervisor", all, all_disk),
    ] {
        let [cpu, memory] = amounts(Some(usage));
        let dim = |text: &str| Cell::styled(text, DIM);
        table.row([
            dim(label),
            dim(host),
            dim(what),
            "".into(),
            "".into(),
            "".into(),
            "".into(),
            cpu,
            memory,
            disk.into(),
        ]);
    }
    table
}

fn amounts(usage: Option<Usage>) -> [Cell; 2] {
    match usage {
        Some(usage) => {
            let cpu = format!("{}.{:02} s", usage.cpu_millis / 1000, usage.cpu_millis % 1000 / 10);
            [cpu.into(), bytes(usage.memory_bytes).into()]
        }
        None => ["".into(), "".into()],
    }
}
