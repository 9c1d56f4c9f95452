//! The servers, all with the same files: ours started by hand and in a lab, and nginx with a configuration of its own, as
//! the user who runs the bench.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Group, User, getegid, geteuid};
use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::guard::Guard;

use crate::cpu;
use crate::ground::ours::{LAB, new_lab, wwwlab};
use crate::ground::ports::Ports;
use crate::ground::processes::{self, Process};
use crate::ground::program::Program;
use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, of};
use crate::page::Page;
use crate::tls;
use crate::visitors::{self, Body, Door, Ended, Wanted};
use crate::way::Way;

/// Between an answer that was not right and the next question.
const PAUSE: Duration = Duration::from_millis(1);
/// No server needs this long to its first answer, or to its end, unless it is broken.
const STARTS_WITHIN: Duration = Duration::from_secs(20);
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// Who serves the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    /// `wwwlab serve web`, started by hand.
    Wwwlab,
    /// `wwwlab up`: with a supervisor, and a journal of requests.
    Lab,
    Nginx,
}

impl Product {
    /// In the order in which they take turns.
    pub(crate) const ALL: [Self; 3] = [Self::Wwwlab, Self::Lab, Self::Nginx];

    const fn name(self) -> &'static str {
        match self {
            Self::Wwwlab => "wwwlab",
            Self::Lab => "lab",
            Self::Nginx => "nginx",
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What every server is started with.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) nginx: &'a Path,
    pub(crate) place: &'a Path,
    pub(crate) app: SocketAddr,
    pub(crate) guard: &'a Guard,
    pub(crate) stop: &'a Stop,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) product: Product,
    /// Where it is asked, for each [`Way`].
    doors: Vec<Door>,
    program: Program,
    family: Vec<Process>,
}

/// What some answers took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    /// The processor's time for one.
    pub(crate) cost: Duration,
    /// How many came in a second.
    pub(crate) rate: f64,
}

impl Server {
    /// Starts it, and waits until it shows each page right.
    pub(crate) fn start(product: Product, ports: &mut Ports, world: &World) -> Result<Self, Trouble> {
        let place = world.place.join(product.name());
        let said = match product {
            // By hand it prints requests, which nginx does not.
            Product::Wwwlab => "/dev/null".into(),
            Product::Lab | Product::Nginx => place.with_extension("log"),
        };
        let mut address = |what| Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, ports.free(what, &LAB[..1])?)));
        let (plain, secure) = (address("http")?, address("https")?);
        let mut command = command(product, &place, [plain, secure], ports, world)?;
        let program = Program::start(product.name(), &mut command, said, world.guard)?;
        let mut server = Self { product, doors: vec![Door::plain(plain)], program, family: Vec::new() };
        for page in Page::ALL.into_iter().filter(|page| page.is_had_by(product)) {
            server.wait_for(page, world.stop)?;
        }
        // Only now the lab has its authority.
        let authority = match product {
            Product::Lab => place.join("certs/ca.pem"),
            Product::Wwwlab | Product::Nginx => world.place.join(tls::AUTHORITY),
        };
        let doors = Way::ALL.map(|way| {
            let tls = tls::connector(way, &authority)?;
            let address = if tls.is_some() { secure } else { plain };
            Ok(Door { address, tls, stays: way.stays() })
        });
        server.doors = doors.into_iter().collect::<Result<_, Trouble>>()?;
        server.family = processes::family(&[server.program.pid()])?;
        Ok(server)
    }

    /// Has it show `page` `count` times in this `way`, over so many connections.
    pub(crate) fn serve(
        &self,
        (way, page): (Way, Page),
        connections: usize,
        count: u32,
        stop: &Stop,
    ) -> Result<Served, Trouble> {
        let before = cpu::taken(&self.family)?;
        let watch = Stopwatch::start();
        let wanted = Wanted { target: page.target(), body: Body::Bytes(page.bytes()) };
        visitors::run(&self.doors[way as usize], wanted, connections, count, stop).map_err(|ended| {
            match ended {
                Ended::Early(trouble) => trouble,
                Ended::Wrong(last) => self.silent(page, last),
            }
        })?;
        let rate = f64::from(count) / watch.elapsed().as_secs_f64();
        Ok(Served { cost: cpu::taken(&self.family)?.saturating_sub(before) / count, rate })
    }

    /// The memory that all its processes take, in MB.
    pub(crate) fn memory(&self) -> Result<f64, Trouble> {
        let bytes: u64 = self.family.iter().map(processes::memory).sum::<Result<_, _>>()?;
        Ok(f64::from(u32::try_from(bytes / 1_000).unwrap_or(u32::MAX)) / 1e3)
    }

    /// Ends it and makes sure that none of its processes is left.
    pub(crate) fn end(mut self) -> Result<(), Trouble> {
        self.program.signal(Signal::SIGTERM);
        self.program.wait(ENDS_WITHIN)?;
        processes::wait_until_gone(&self.family)
    }

    fn wait_for(&self, page: Page, stop: &Stop) -> Result<(), Trouble> {
        let (watch, right) = (Stopwatch::start(), page.content());
        loop {
            let why = match fetch(self.doors[Way::Plain as usize].address, page) {
                Ok(content) if content == right => return Ok(()),
                Ok(content) => format!("{} bytes that are not the page", content.len()),
                Err(error) => error.to_string(),
            };
            stop.look()?;
            if watch.elapsed() > STARTS_WITHIN {
                return Err(self.silent(page, why));
            }
            thread::sleep(PAUSE);
        }
    }

    fn silent(&self, page: Page, last: String) -> Trouble {
        Trouble::Silent {
            what: page.to_string(),
            stack: self.product.name(),
            limit: STARTS_WITHIN,
            last,
            logs: self.program.last_words(),
        }
    }
}

impl Drop for Server {
    /// Also where the bench is given up, a server is asked first, so that it ends its own children.
    fn drop(&mut self) {
        self.program.signal(Signal::SIGTERM);
        let _ = self.program.wait(ENDS_WITHIN);
    }
}

/// The whole answer for `page`, body only, from a connection of its own.
fn fetch(server: SocketAddr, page: Page) -> std::io::Result<Vec<u8>> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {} HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n\r\n", page.target())?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    let body = said.windows(4).position(|four| four == b"\r\n\r\n").map_or(said.len(), |end| end + 4);
    Ok(said.split_off(body))
}

/// What starts `product`, with all that it needs in `place`.
fn command(
    product: Product,
    place: &Path,
    [address, secure]: [SocketAddr; 2],
    ports: &mut Ports,
    world: &World,
) -> Result<Command, Trouble> {
    match product {
        Product::Wwwlab => {
            fs::create_dir_all(place).map_err(of(place))?;
            let mut command = wwwlab();
            command.args(["serve", "web", "--name", "www.foobar.com", "--served-by", "server"]);
            command.arg("--listen").arg(address.to_string()).arg("--app").arg(world.app.to_string());
            command.arg("--site").arg(world.place.join("site"));
            command.arg("--access-log").arg(place.join("access.log"));
            let certificate = world.place.join(tls::SITE);
            command.arg("--tls-listen").arg(secure.to_string());
            command.arg("--certificate").arg(format!("www.foobar.com={}", certificate.display()));
            Ok(command)
        }
        Product::Lab => lab(place, [address, secure], ports, world),
        Product::Nginx => nginx(place, [address, secure], world),
    }
}

/// A new lab that has the files in its site.
fn lab(
    place: &Path,
    [address, secure]: [SocketAddr; 2],
    ports: &mut Ports,
    world: &World,
) -> Result<Command, Trouble> {
    let (dns, app) = (ports.free("dns", &LAB)?, ports.free("app", &LAB[..1])?);
    let settings = format!(
        "[ports]\ndns = {dns}\nhttp = {}\nhttps = {}\napp = {app}\n[web]\naccess_log = \"access.log\"\ntls = \"on\"\n",
        address.port(),
        secure.port()
    );
    new_lab(place, &settings, world.guard, world.stop)?;
    Page::write_all(&place.join("site"))?;
    let mut command = wwwlab();
    command.arg("up").current_dir(place);
    Ok(command)
}

fn nginx(place: &Path, [address, secure]: [SocketAddr; 2], world: &World) -> Result<Command, Trouble> {
    fs::create_dir_all(place).map_err(of(place))?;
    let (user, group) = (User::from_uid(geteuid()).ok().flatten(), Group::from_gid(getegid()).ok().flatten());
    let words = [
        ("{user}", user.map_or_else(|| geteuid().to_string(), |user| user.name)),
        ("{group}", group.map_or_else(|| getegid().to_string(), |group| group.name)),
        ("{place}", place.display().to_string()),
        ("{site}", world.place.join("site").display().to_string()),
        ("{address}", address.to_string()),
        ("{secure}", secure.to_string()),
        ("{certificate}", world.place.join(tls::SITE).display().to_string()),
        ("{app}", world.app.to_string()),
    ];
    let text = include_str!("nginx.conf").to_owned();
    let text = words.iter().fold(text, |text, (word, value)| text.replace(word, value));
    let file = place.join("nginx.conf");
    fs::write(&file, text).map_err(of(&file))?;
    let mut command = Command::new(world.nginx);
    command.arg("-p").arg(place).arg("-c").arg(file);
    // Until it has read that file, it would write to the system's log.
    command.arg("-e").arg(place.join("error.log"));
    Ok(command)
}
