//! `wwwlab capture`: the packets of network `hosts`, as they pass, or in a file for Wireshark.
//!
//! Here is what is asked for, and by whom it can be had; [`session`] captures.

mod session;

use std::io::{self, IsTerminal as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::capture::file::CaptureFile;
use crate::capture::names::Names;
use crate::lab::config::Network;
use crate::lab::directory::Directory;
use crate::lab::hosts::Host;
use crate::lab::network::plan::{CLASSROOM_MOST, Kind, Plan};
use crate::lab::network::tap::Taps;

use super::{Failure, World, event_loop, shell};
use session::{Place, Session, Shown};

/// Octets of a packet that are kept at most: as many as one can have.
const KEPT_MOST: u32 = 65_553;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each packet is in a file once for each interface that it passes; a line is printed where it leaves the machine that it is from, and \
with --host for each interface of those. Captures contain whatever was sent, passwords too: the file is yours alone (0600).\n\n\
Exit codes: 0 captured; 1 to 3 as those of wwwlab: 1 also where the file cannot be written further (it is whole up to there), 2 also on \
network `loopback`, which has no packets of its own; 3 also when the lab has ended meanwhile.")]
pub(super) struct Arguments {
    /// Write the packets to a file (pcapng) instead of printing a line each; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Only those of this machine, once for each; a router is one, too [default: of all]
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// End after so long, `10s` say [default: at ^C]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// End after so many packets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Keep so many bytes of each packet at most [default: all]
    #[arg(long, value_name = "BYTES", default_value_t = KEPT_MOST, hide_default_value = true,
        value_parser = clap::value_parser!(u32).range(64..=i64::from(KEPT_MOST)))]
    snaplen: u32,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    if directory.network != Network::Hosts {
        return Err(Failure::Unusable(format!(
            "packets are captured on the machines of network `hosts`: bring them up with `{0} up --network hosts`; on `loopback` all is one \
             machine, whose packets only its administrator may see (`sudo tcpdump -i lo`)",
            world.program
        )));
    }
    let to_standard_output = arguments.write.as_deref() == Some(Path::new("-"));
    if to_standard_output && io::stdout().is_terminal() {
        return Err(Failure::Unusable(format!(
            "a capture is nothing for a terminal: pipe it on, `{} capture -w - | tshark -r -`",
            world.program
        )));
    }
    let runtime = event_loop()?;
    // A lab that is not up says so.
    let all = runtime.block_on(shell::machines(directory))?;
    let all: Vec<String> = all.into_iter().map(|machine| machine.name).collect();
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    arguments.host.iter().try_for_each(|host| shell::known(host, &names))?;
    let chosen = |name: &&String| arguments.host.is_empty() || arguments.host.contains(name);
    let machines: Vec<String> = all.iter().filter(chosen).cloned().collect();
    let places: Vec<PathBuf> = machines.iter().map(|name| directory.machines().join(name)).collect();
    let file = match &arguments.write {
        None => None,
        Some(_) if to_standard_output => Some(CaptureFile::to_standard_output()),
        Some(path) => Some(CaptureFile::create(path).map_err(|error| cannot_write(path, error))?),
    };
    let executable = std::env::current_exe()
        .map_err(|error| Failure::System("cannot find this executable".into(), error))?;
    runtime.block_on(async {
        let taps = Taps::open(&executable, &places)?;
        let session = Session {
            places: interfaces(&taps, &machines),
            taps,
            machines,
            names: addresses(&all),
            shown: match (file, arguments.host.is_empty()) {
                (Some(file), _) => Shown::Written(file, arguments.write.clone().unwrap_or_default()),
                (None, true) => Shown::WhereItBegins,
                (None, false) => Shown::Everywhere,
            },
            kept: arguments.snaplen,
            most: arguments.count,
            duration: arguments.duration,
        };
        session.run(directory, world).await
    })
}

fn cannot_write(path: &Path, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unread(error),
        _ => Failure::System(format!("cannot write {}", path.display()), error),
    }
}

/// Which address each of the machines `there` has: in the largest lab, since none has two meanings.
fn addresses(there: &[String]) -> Names {
    let machines = Plan::new(&Host::ALL, CLASSROOM_MOST).machines.into_iter();
    let machines = machines.filter(|machine| there.contains(&machine.name));
    let addresses = machines.flat_map(|machine| {
        let own: Vec<IpAddr> = machine
            .interfaces
            .iter()
            .flat_map(|interface| interface.addresses.iter().map(|net| net.address))
            .collect();
        own.into_iter().map(move |address| (address, machine.name.clone()))
    });
    addresses.collect()
}

/// Every interface of `machines` that is listened at.
fn interfaces(taps: &Taps, machines: &[String]) -> Vec<Place> {
    let largest = Plan::new(&Host::ALL, CLASSROOM_MOST);
    let mut places = Vec::new();
    for (machine, (name, interfaces)) in machines.iter().zip(taps.interfaces()).enumerate() {
        let planned = largest.named(name).map_or(&[][..], |machine| &machine.interfaces);
        for interface in interfaces {
            let planned = planned.iter().find(|planned| planned.name == interface.name);
            let port = planned.is_some_and(|planned| matches!(planned.kind, Kind::Port(_)));
            places.push(Place { machine, number: interface.number, name: interface.name, port, received: 0 });
        }
    }
    places
}
