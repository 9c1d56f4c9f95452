//! wwwlab as the user starts it: `wwwlab up` in a lab made by `wwwlab new`, with ports known beforehand.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::guard::Guard;

use crate::ground::ours::{LAB, new_lab, wwwlab};
use crate::ground::ports::Ports;
use crate::ground::program::Program;
use crate::ground::stop::Stop;
use crate::ground::trouble::Trouble;
use crate::page::ENTRIES;
use crate::probe::{self, Probe, What};
use crate::stack::{Running, Stack};

const NAME: &str = "wwwlab";

const SERVER: Ipv4Addr = LAB[0];
const RESOLVER: Ipv4Addr = LAB[1];

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
        let (dns, http) = (ports.free("dns", &LAB)?, ports.free("http", &LAB[..1])?);
        let app = ports.free("app", &LAB[..1])?;
        let lab = place.join("ours");
        new_lab(&lab, &format!("[ports]\ndns = {dns}\nhttp = {http}\napp = {app}\n"), guard, stop)?;
        let ours = Self { lab, said: place.join("ours.log"), dns, http, guard: guard.clone() };
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
