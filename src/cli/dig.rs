//! `wwwlab dig …`: the real dig, pointed at the lab, with the full command shown so that it can be typed by
//! hand.

use std::ffi::OsString;

use crate::lab::control;
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;
use crate::lab::status::LabStatus;

use super::curl::run_tool;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Arguments {
    /// dig's own arguments; `@dns`, `@root`, `@tld`, `@resolver` name the lab's servers; without one it is @resolver
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let status = block_on(control::status(directory))??;
    let line = dig_line(&arguments.arguments, &status);
    run_tool("dig", &line, "apt install bind9-dnsutils", world)
}

/// dig's arguments for this lab: a server of the lab where none is named, and the lab's port.
fn dig_line(given: &[OsString], status: &LabStatus) -> Vec<OsString> {
    let address = |name: ServiceName| status.service(name).and_then(|service| service.address);
    let mut server = None;
    let mut rest = Vec::new();
    for argument in given {
        match argument.to_str().and_then(|text| text.strip_prefix('@')) {
            Some(name) => {
                let of_the_lab = name.parse::<ServiceName>().ok().and_then(address);
                server = Some(of_the_lab.map_or(name.to_owned(), |address| address.ip().to_string()));
            }
            None => rest.push(argument.clone()),
        }
    }
    let resolver =
        || address(ServiceName::Resolver).map(|address| address.ip().to_string()).unwrap_or_default();
    let mut line = vec![OsString::from(format!("@{}", server.unwrap_or_else(resolver)))];
    let names_port = rest.iter().any(|argument| argument.to_str().is_some_and(|text| text.starts_with("-p")));
    if status.ports.dns != 53 && !names_port {
        line.extend(["-p".into(), status.ports.dns.to_string().into()]);
    }
    line.extend(rest);
    line
}
