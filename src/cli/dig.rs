//! `wwwlab dig …`: the real dig, pointed at the lab, with the full command shown so that it can be typed by
//! hand.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};

use crate::lab::config::Network;
use crate::lab::control;
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;
use crate::lab::status::LabStatus;

use super::screen::DIM;
use super::shell::run_there;
use super::tool::run_tool;
use super::{Failure, World, block_on};

/// How a machine comes to have dig.
const INSTALL: &str = "apt install bind9-dnsutils";

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Arguments {
    /// dig's own arguments; `@dns`, `@root`, `@tld`, `@resolver` name the lab's servers; without one it is @resolver
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let status = block_on(control::status(directory))??;
    if directory.network == Network::Hosts {
        let line = line_on_client(&arguments.arguments, &status);
        return run_there("dig", &line, INSTALL, directory, world);
    }
    let line = dig_line(&arguments.arguments, &status)?;
    if arguments.arguments.iter().any(|argument| argument == "+trace") {
        let (dim, program) = (DIM, &world.program);
        writeln!(
            world.err,
            "{dim}# dig +trace looks the name servers' names up with this machine's own resolver, which does not know \
             the lab's; `{program} resolve --fresh NAME` shows the way{dim:#}"
        )?;
    }
    run_tool("dig", &line, INSTALL, world)
}

/// dig's arguments where it needs to be told nothing: only the lab's words for its servers become addresses.
fn line_on_client(given: &[OsString], status: &LabStatus) -> Vec<OsString> {
    let named = |argument: &OsString| {
        let name: ServiceName = argument.to_str()?.strip_prefix('@')?.parse().ok()?;
        let address = status.service(name)?.address?;
        Some(OsString::from(format!("@{}", address.ip())))
    };
    given.iter().map(|argument| named(argument).unwrap_or_else(|| argument.clone())).collect()
}

/// dig's arguments for this lab: the resolver where no server is named, and the lab's port where it is the lab's.
fn dig_line(given: &[OsString], status: &LabStatus) -> Result<Vec<OsString>, Failure> {
    let address = |name: ServiceName| status.service(name).and_then(|service| service.address);
    let mut server =
        address(ServiceName::Resolver).map(|address| address.ip().to_string()).unwrap_or_default();
    let mut rest = Vec::new();
    for argument in given {
        match argument.to_str().and_then(|text| text.strip_prefix('@')) {
            Some(name) => server = server_named(name, address)?,
            None => rest.push(argument.clone()),
        }
    }
    let mut line = vec![OsString::from(format!("@{server}"))];
    let names_port = rest.iter().any(|argument| argument.to_str().is_some_and(|text| text.starts_with("-p")));
    let of_the_lab =
        ServiceName::ALL.into_iter().filter_map(address).any(|address| address.ip().to_string() == server);
    if of_the_lab && status.ports.dns != 53 && !names_port {
        line.extend(["-p".into(), status.ports.dns.to_string().into()]);
    }
    line.extend(rest);
    Ok(line)
}

/// The address of the server that `@name` means: one of the lab's by its name, or any address.
fn server_named(name: &str, address: impl Fn(ServiceName) -> Option<SocketAddr>) -> Result<String, Failure> {
    if name.parse::<IpAddr>().is_ok() {
        return Ok(name.to_owned());
    }
    match name.parse().ok().and_then(address) {
        Some(address) => Ok(address.ip().to_string()),
        // dig would look the name up outside the lab.
        None => Err(Failure::Said(format!(
            "@{name} is no server of the lab: @resolver, @root, @tld, @dns, or an address"
        ))),
    }
}
