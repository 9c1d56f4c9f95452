//! wwwlab as the user starts it: `wwwlab up` in a lab made by `wwwlab new`, with ports known beforehand.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::guard::Guard;

use crate::ground::ports::Ports;
use crate::ground::program::Program;
use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, of};
use crate::page::ENTRIES;
use crate::probe::{self, Probe, What};
use crate::stack::{Running, Stack};

/// The executable that is measured.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wwwlab");

const NAME: &str = "wwwlab";

const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ROOT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const TLD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

/// The lab, its guestbook signed.
#[derive(Debug)]
pub(crate) struct Ours {
    lab: PathBuf,
    said: PathBuf,
    dns: u16,
    http: u16,
    guard: Guard,
}

impl Ours {
    /// Makes the lab in `place`, brings it up once, signs its guestbook, and ends it.
    pub(crate) fn prepare(
        place: &Path,
        ports: &mut Ports,
        guard: &Guard,
        stop: &Stop,
    ) -> Result<Self, Trouble> {
        let ours = Self {
            lab: new_lab(place.join("ours"), guard, stop)?,
            said: place.join("ours.log"),
            dns: ports.free("dns", &[SERVER, RESOLVER, ROOT, TLD])?,
            http: ports.free("http", &[SERVER])?,
            guard: guard.clone(),
        };
        let (dns, http, app) = (ours.dns, ours.http, ports.free("app", &[SERVER])?);
        let settings = ours.lab.join("lab.toml");
        fs::write(&settings, format!("[ports]\ndns = {dns}\nhttp = {http}\napp = {app}\n"))
            .map_err(of(&settings))?;

        let running = ours.start()?;
        for (name, message) in ENTRIES {
            probe::until(&"the guestbook", running.watch, stop, || ours.sign(name, message))
                .map_err(|ended| running.trouble(ended))?;
        }
        running.first_right_answers(stop)?;
        running.end()?;
        Ok(ours)
    }

    fn web(&self) -> SocketAddr {
        (SERVER, self.http).into()
    }

    /// Signs the guestbook as a browser does.
    fn sign(&self, name: &str, message: &str) -> Result<(), String> {
        let form = format!("name={name}&message={}", message.replace(' ', "+"));
        let request = format!(
            "POST /guestbook HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
            probe::SITE,
            form.len()
        );
        let answer = probe::exchange(self.web(), &request)?;
        let first_line = answer.lines().next().unwrap_or_default();
        if first_line.starts_with("HTTP/1.1 303 ") { Ok(()) } else { Err(first_line.to_owned()) }
    }
}

impl Stack for Ours {
    fn name(&self) -> &'static str {
        NAME
    }

    fn start(&self) -> Result<Running, Trouble> {
        let mut command = wwwlab();
        command.arg("up").current_dir(&self.lab);
        let watch = Stopwatch::start();
        let program = Program::start("wwwlab", &mut command, self.said.clone(), &self.guard)?;
        let dns = |host| SocketAddr::from((host, self.dns));
        Ok(Running {
            stack: NAME,
            watch,
            programs: vec![program],
            probes: vec![
                Probe::new(What::NameServer, dns(SERVER)),
                Probe::new(What::Resolver, dns(RESOLVER)),
                Probe::new(What::Page, self.web()),
            ],
            ends_by: Signal::SIGINT,
        })
    }
}

/// Writes a lab to `lab`, which is also where the peers take the zone and the site from.
pub(crate) fn new_lab(lab: PathBuf, guard: &Guard, stop: &Stop) -> Result<PathBuf, Trouble> {
    let said = lab.with_extension("log");
    Program::run("wwwlab new", wwwlab().arg("new").arg(&lab), said, guard, stop)?;
    Ok(lab)
}

/// In an environment that says nothing about another lab.
fn wwwlab() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_remove("WWWLAB_LAB").env_remove("WWWLAB_STATE");
    command
}
