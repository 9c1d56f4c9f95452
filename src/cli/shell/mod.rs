//! `wwwlab shell`: a terminal on a machine of network `hosts`, where stock tools need to be told nothing.
//!
//! In the order in which it happens: the lab is found or brought up ([`join`]), the machine is chosen, [`setting`] says what
//! the user's own shell is started with, and [`wait`] stands by until it has ended. The shell itself is started through
//! `wwwlab within`, and has the terminal to itself: there is nothing between it and the keys.

mod setting;
mod wait;

use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::time::Duration;

use crate::ground::clock::Stopwatch;
use crate::ground::event::Micros;
use crate::lab::config::Network;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::doctor::in_path;
use crate::lab::lease::Lease;
use crate::lab::network::plan::{CLIENT, Plan};
use crate::lab::network::wiring::MachineState;
use crate::lab::network::{self, NetworkError, Seats};

use super::detached::{self, Until};
use super::screen::{COMMAND, DIM, quoted};
use super::tool::run_tool;
use super::{Failure, Place, World, event_loop, up};

/// Another shell may be bringing the lab up, or a lab just be ending: so long it is tried again.
const PATIENCE: Duration = Duration::from_secs(20);
const TRIED_EVERY: Duration = Duration::from_millis(50);
/// The exit code of what SIGKILL ended.
pub(super) const KILLED: u8 = 128 + 9;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// On which machine: client, server, resolver, root, tld, or a router: home, isp, internet
    #[arg(default_value = CLIENT)]
    host: String,
    /// What to run there in place of your shell, after `--`: `wwwlab shell server -- ss -tlnp`
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn run(arguments: &Arguments, place: &Place, world: &mut World) -> Result<u8, Failure> {
    if !cfg!(target_os = "linux") {
        return Err(NetworkError::NotLinux.into());
    }
    let directory = place.find_to_bring_up()?.on(Network::Hosts);
    if place.network == Some(Network::Loopback) {
        return Err(Failure::Unusable(
            "a shell is opened on a machine of network `hosts`; on `loopback` every terminal of this one is the client's: `dig \
             @127.0.0.1 …` and `wwwlab dig` work there"
                .into(),
        ));
    }
    let runtime = event_loop()?;
    let lease = runtime.block_on(join(&directory, &arguments.host, place, world))?;
    let line = match arguments.command.as_slice() {
        [] => None,
        given => Some(given),
    };
    runtime.block_on(open(&directory, &arguments.host, line, lease))
}

/// Runs `tool` where it needs to be told nothing: here, if this is a machine of the lab, else on its client. Shows the whole
/// command.
pub(super) fn run_there(
    tool: &str,
    line: &[OsString],
    install: &str,
    directory: &Directory,
    world: &mut World,
) -> Result<u8, Failure> {
    if network::here(&directory.machines()).is_some() {
        return run_tool(tool, line, install, world);
    }
    if in_path(tool).is_none() {
        return Err(Failure::Said(format!("{tool} is not installed: {install}")));
    }
    let line: Vec<OsString> = [tool.into()].into_iter().chain(line.iter().cloned()).collect();
    let typed: Vec<String> = line.iter().map(|argument| quoted(argument)).collect();
    let style = COMMAND;
    writeln!(world.err, "{style}$ {} shell -- {}{style:#}", world.program, typed.join(" "))?;
    world.err.flush()?;
    event_loop()?.block_on(async {
        let lease = Lease::take(directory).await?;
        open(directory, CLIENT, Some(&line), lease).await
    })
}

/// Does on the client what this process was told to do.
pub(super) fn again_there(directory: &Directory) -> Result<u8, Failure> {
    let failed = |error| Failure::System("cannot find this executable".into(), error);
    let program = std::env::current_exe().map_err(failed)?.into_os_string();
    let line: Vec<OsString> = [program].into_iter().chain(std::env::args_os().skip(1)).collect();
    event_loop()?.block_on(async {
        let lease = Lease::take(directory).await?;
        open(directory, CLIENT, Some(&line), lease).await
    })
}

/// Whether this is a shell of the lab that says so by itself to whatever is typed there.
pub(super) fn says(variable: &str, value: &OsStr) -> bool {
    let set = |variable: &str| std::env::var_os(variable);
    set(setting::HOST_VARIABLE).is_some() && set(variable).is_some_and(|set| set == value)
}

/// A lease of the lab, which is brought up where none is.
async fn join(directory: &Directory, host: &str, place: &Place, world: &mut World) -> Result<Lease, Failure> {
    let patience = Stopwatch::start();
    loop {
        match Lease::take(directory).await {
            Ok(lease) => return Ok(lease),
            Err(ControlError::NotUp(_)) => {}
            Err(other) => return Err(other.into()),
        }
        // Nothing is brought up for the sake of a mistyped name.
        let plan = Plan::of(&directory.config()?);
        let names: Vec<&str> = plan.machines.iter().map(|machine| machine.name.as_str()).collect();
        known(host, &names)?;
        match bring_up(directory, place, world).await {
            Err(_) if directory.is_held() && patience.elapsed() < PATIENCE => {
                tokio::time::sleep(TRIED_EVERY).await;
            }
            lease => return lease,
        }
    }
}

/// Brings the lab up for as long as somebody needs it.
async fn bring_up(directory: &Directory, place: &Place, world: &mut World) -> Result<Lease, Failure> {
    let watch = Stopwatch::start();
    let dim = DIM;
    let show = |text: &str| up::progress(text, world);
    let starter = detached::start(directory, place, None, &[], None, Until::NotNeeded, show).await?;
    let lease = Lease::take(directory).await?;
    writeln!(
        world.err,
        "{dim}The lab is up on network hosts, after {}, for as long as a shell is open.{dim:#}",
        Micros(watch.micros())
    )?;
    drop(starter);
    Ok(lease)
}

/// Opens the user's shell, or runs `line`, on the machine `host` of a lab that is up, and exits as that does.
async fn open(
    directory: &Directory,
    host: &str,
    line: Option<&[OsString]>,
    lease: Lease,
) -> Result<u8, Failure> {
    let system = |what: &'static str| move |error| Failure::System(what.into(), error);
    let machines = machines(directory).await?;
    known(host, &machines.iter().map(|machine| machine.name.as_str()).collect::<Vec<_>>())?;
    if is_off(host, &machines) {
        return Err(Failure::Said(format!("{host} is off, and runs nothing: `wwwlab host on {host}`")));
    }
    let place = directory.machines().join(host);
    let executable = std::env::current_exe().map_err(system("cannot find this executable"))?;
    let mut command = Command::new(&executable);
    command.arg(network::WITHIN).arg(&place).args(["--capable", "--"]);
    setting::prepare(&mut command, directory, host, line.is_none())
        .map_err(system("cannot prepare a shell"))?;
    command.args(line.unwrap_or_default());
    let code = wait::for_end(command, Seats::at(&place), lease).await?;
    // Who is killed without a word may have been on a machine that lost its power.
    if code == KILLED && self::machines(directory).await.is_ok_and(|machines| is_off(host, &machines)) {
        return Err(Failure::SwitchedOff(host.into()));
    }
    Ok(code)
}

/// The machines of the lab, as they stand.
pub(super) async fn machines(directory: &Directory) -> Result<Vec<MachineState>, ControlError> {
    match control::ask(directory, &Request::Machines).await? {
        Response::Machines(machines) => Ok(machines),
        _ => Err(ControlError::Strange(directory.name())),
    }
}

fn is_off(host: &str, machines: &[MachineState]) -> bool {
    machines.iter().any(|machine| machine.name == host && !machine.on)
}

/// Refuses a host that is none of `names`.
pub(super) fn known(host: &str, names: &[&str]) -> Result<(), Failure> {
    if names.contains(&host) {
        return Ok(());
    }
    let near = names.iter().map(|&name| (strsim::damerau_levenshtein(host, name), name)).min();
    let meant = match near {
        Some((distance, name)) if distance <= 2 => format!("did you mean `{name}`? There"),
        _ => "there".into(),
    };
    // A classroom is told by how many they are.
    let (computers, others): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.starts_with("pc"));
    let classroom = match computers.len() {
        0 => String::new(),
        1 => ", pc1".into(),
        most => format!(", pc1 to pc{most}"),
    };
    Err(Failure::Unusable(format!(
        "this lab has no host {host:?}: {meant} are {}{classroom}",
        others.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_host_is_named() {
        let names = ["client", "server", "pc1", "pc2", "pc3"];
        assert!(known("server", &names).is_ok());
        let said = |host| known(host, &names).unwrap_err().to_string();
        assert_eq!(
            said("sevrer"),
            "this lab has no host \"sevrer\": did you mean `server`? There are client, server, pc1 to pc3"
        );
        assert_eq!(said("../.."), "this lab has no host \"../..\": there are client, server, pc1 to pc3");
    }
}
