//! How long a database takes to be there: a lab with a MariaDB of its own (`wwwlab up -d --db mysql`, until it returns: the whole
//! stack serves), and the same MariaDB alone, installed and started with the options that a lab gives it, until it greets.
//!
//! A first start makes the files; a later one finds them. Both in turns, each time in a new directory.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::config::{Engine, Network};
use wwwlab::lab::database::server::Server;
use wwwlab::lab::database::{Database, Wish, greeting};
use wwwlab::lab::directory::Directory;
use wwwlab::lab::foreign;

use crate::ground::ours::{LAB, wwwlab};
use crate::ground::ports::Ports;
use crate::ground::program::Program;
use crate::ground::trouble::{Trouble, cannot};
use crate::report::{Promise, Row};
use crate::server::{ENDS_WITHIN, Product, STARTS_WITHIN, World, lab_at, millis};

/// Between two questions whether it greets.
const PAUSE: Duration = Duration::from_millis(1);

/// What a first start and a later one take, each `turns` times.
pub(crate) fn measure(turns: u32, ports: &mut Ports, world: &World) -> Result<[Row; 2], Trouble> {
    let mut first = Row::new("first start, ms".into(), 0, Promise::Most(1.5));
    let mut later = Row::new("later starts, ms".into(), 0, Promise::Beyond(50.0));
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.free("http", &LAB[..1])?));
    let alone = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.free("db", &LAB[..1])?));
    for turn in 0..turns {
        let place = world.place.join(format!("starts-{turn}"));
        lab_at(&place, http, "sqlite", ports, world)?;
        let ours = |row: &mut Row| lab(&place, world).map(|took| row.add(Product::Wwwlab, took));
        let theirs = Alone::at(world.place.join(format!("alone-{turn}")), alone)?;
        ours(&mut first)?;
        first.add(Product::Peers, theirs.first(world)?);
        ours(&mut later)?;
        later.add(Product::Peers, theirs.later(world)?);
    }
    eprintln!("{first}; {later}");
    Ok([first, later])
}

/// Brings the lab in `place` up and down; milliseconds that `up` took.
fn lab(place: &Path, world: &World) -> Result<f64, Trouble> {
    let run = |words: &[&str]| {
        let said = place.with_extension(format!("{}.log", words.join("-")));
        Program::run("wwwlab", wwwlab().args(words).current_dir(place), said, world.guard, world.stop)
    };
    let watch = Stopwatch::start();
    let up = run(&["up", "-d", "--db", "mysql"]);
    let took = millis(watch.elapsed());
    // It goes on in the background: whoever kills the bench meanwhile ends it, too.
    let supervisor = directory(place).locked_by();
    supervisor.into_iter().for_each(|pid| world.guard.watch(pid));
    let down = run(&["down"]);
    supervisor.into_iter().for_each(|pid| world.guard.forget(pid));
    up.and(down).map(|()| took)
}

fn directory(place: &Path) -> Directory {
    let state = place.join(".wwwlab/loopback");
    Directory { root: place.to_owned(), toml: None, network: Network::Loopback, state }
}

/// A MariaDB without a lab, with a lab's options.
struct Alone {
    place: PathBuf,
    server: Server,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Alone {
    fn at(place: PathBuf, address: SocketAddr) -> Result<Self, Trouble> {
        let unusable = |error| cannot("find the database server")(io::Error::other(error));
        let decided = Database::decide(Wish::Engine(Engine::Mysql), &directory(&place), Some(address));
        let Database::Own(server) = decided.map_err(unusable)? else {
            return Err(cannot("find the database server")(io::ErrorKind::NotFound.into()));
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { place, server, address, runtime: runtime.map_err(cannot("ask the database server"))? })
    }

    /// Installs and starts it; milliseconds that this took.
    fn first(&self, world: &World) -> Result<f64, Trouble> {
        let unusable = |error| cannot("install the database server")(io::Error::other(error));
        let version = self.runtime.block_on(self.server.version()).map_err(unusable)?;
        let install = self.server.prepare(version).map_err(unusable)?;
        let watch = Stopwatch::start();
        if let Some(install) = install {
            let said = self.place.join("install.log");
            Program::run("mariadb-install-db", &mut command(&install), said, world.guard, world.stop)?;
        }
        self.server.finish(version).map_err(unusable)?;
        self.greeted(&watch, world)
    }

    /// Starts it; milliseconds that this took.
    fn later(&self, world: &World) -> Result<f64, Trouble> {
        self.greeted(&Stopwatch::start(), world)
    }

    /// Starts it, waits until it greets, and ends it; what `watch` showed when it greeted.
    fn greeted(&self, watch: &Stopwatch, world: &World) -> Result<f64, Trouble> {
        let said = self.place.join("mariadbd.log");
        let mut program =
            Program::start("mariadbd", &mut command(&self.server.command()), said, world.guard)?;
        while let Err(error) = self.runtime.block_on(greeting::hear(self.address)) {
            world.stop.look()?;
            if watch.elapsed() > STARTS_WITHIN {
                let (what, last, logs) = ("greeting".into(), error.to_string(), program.last_words());
                return Err(Trouble::Silent { what, stack: "MariaDB", limit: STARTS_WITHIN, last, logs });
            }
            thread::sleep(PAUSE);
        }
        let took = millis(watch.elapsed());
        program.signal(Signal::SIGTERM);
        program.wait(ENDS_WITHIN)?;
        Ok(took)
    }
}

fn command(program: &foreign::Program) -> Command {
    let mut words = program.words.iter();
    let mut command = Command::new(words.next().map_or("", String::as_str));
    command.args(words).current_dir(&program.directory).envs(program.environment.iter().cloned());
    command
}
