//! Who shows the page: a lab with a MariaDB, nginx with PHP-FPM on the same MariaDB, and a lab with SQLite.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Group, User, getegid, geteuid};
use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::database::read_address;
use wwwlab::lab::guard::Guard;

use crate::ground::ours::{self, LAB, wwwlab};
use crate::ground::ports::Ports;
use crate::ground::processes;
use crate::ground::program::Program;
use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot, of};
use crate::installed::Programs;
use crate::visitors::{self, Body, Door, Ended, Wanted};

/// Entries of the guestbook.
const ENTRIES: u32 = 1_000;
/// Those that the page shows.
const NEWEST: u32 = 5;
/// Between an answer that was not right and the next question.
const PAUSE: Duration = Duration::from_millis(5);
/// Nobody needs this long to the first answer, or to the end, unless it is broken.
pub(crate) const STARTS_WITHIN: Duration = Duration::from_secs(60);
pub(crate) const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// Who shows the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    /// A lab with its own MariaDB.
    Wwwlab,
    /// nginx and PHP-FPM, with the lab's MariaDB.
    Peers,
    /// A lab with SQLite.
    Embedded,
}

impl Product {
    /// In the order in which they take turns.
    pub(crate) const ALL: [Self; 3] = [Self::Wwwlab, Self::Peers, Self::Embedded];

    const fn name(self) -> &'static str {
        match self {
            Self::Wwwlab => "wwwlab",
            Self::Peers => "peers",
            Self::Embedded => "sqlite",
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What everything is started with.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) place: &'a Path,
    pub(crate) guard: &'a Guard,
    pub(crate) stop: &'a Stop,
}

/// One of them, which runs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) product: Product,
    address: SocketAddr,
    programs: Vec<Program>,
    /// What makes its page the right one.
    words: Vec<String>,
}

/// What some answers took.
#[derive(Debug)]
pub(crate) struct Served {
    /// How many came in a second.
    pub(crate) rate: f64,
    /// From the shortest to the longest.
    times: Vec<Duration>,
}

impl Served {
    /// The time within which so many of a hundred came.
    pub(crate) fn part(&self, of_hundred: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get(last * of_hundred / 100).copied().unwrap_or_default()
    }
}

impl Server {
    /// Starts it, signs its guestbook if nobody has, and waits until it shows the page right.
    pub(crate) fn start(product: Product, ports: &mut Ports, world: &World) -> Result<Self, Trouble> {
        let place = world.place.join(product.name());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.free("http", &LAB[..1])?));
        let commands = match product {
            Product::Wwwlab => vec![("wwwlab", lab(&place, address, "mysql", ports, world)?)],
            Product::Embedded => vec![("wwwlab", lab(&place, address, "sqlite", ports, world)?)],
            Product::Peers => peers(&place, address, world)?,
        };
        let mut programs = Vec::new();
        for (name, mut command) in commands {
            let said = place.with_extension(format!("{name}.log"));
            programs.push(Program::start(name, &mut command, said, world.guard)?);
        }
        let newest =
            (ENTRIES - NEWEST + 1..=ENTRIES).map(|number| format!("<p dir=\"auto\">{}</p>", message(number)));
        let own = ["<h1>You found www.foobar.com</h1>", "<strong class=\"counter\">"].map(str::to_owned);
        let server = Self { product, address, programs, words: own.into_iter().chain(newest).collect() };
        if product != Product::Peers {
            server.until(world.stop, || sign(address, 1))?;
            for number in 2..=ENTRIES {
                world.stop.look()?;
                sign(address, number).map_err(cannot("sign the guestbook"))?;
            }
        }
        server.until(world.stop, || match server.serve(1, 1, world.stop) {
            Err(Trouble::Silent { last, .. }) => Err(io::Error::other(last)),
            _ => Ok(()),
        })?;
        Ok(server)
    }

    /// Has it show the page `count` times, over so many connections.
    pub(crate) fn serve(&self, connections: usize, count: u32, stop: &Stop) -> Result<Served, Trouble> {
        let wanted = Wanted { target: "/", body: Body::Words(&self.words) };
        let watch = Stopwatch::start();
        let times = visitors::run(&Door::plain(self.address), wanted, connections, count, stop);
        let mut times = times.map_err(|ended| match ended {
            Ended::Early(trouble) => trouble,
            Ended::Wrong(last) => self.silent(last),
        })?;
        let rate = f64::from(count) / watch.elapsed().as_secs_f64();
        times.sort_unstable();
        Ok(Served { rate, times })
    }

    /// Ends it and makes sure that none of its processes is left.
    pub(crate) fn end(mut self) -> Result<(), Trouble> {
        let pids: Vec<u32> = self.programs.iter().map(Program::pid).collect();
        let family = processes::family(&pids)?;
        self.end_programs()?;
        processes::wait_until_gone(&family)
    }

    fn end_programs(&mut self) -> Result<(), Trouble> {
        self.programs.iter().for_each(|program| program.signal(Signal::SIGTERM));
        self.programs.drain(..).try_for_each(|mut program| program.wait(ENDS_WITHIN))
    }

    fn until(&self, stop: &Stop, mut done: impl FnMut() -> io::Result<()>) -> Result<(), Trouble> {
        let watch = Stopwatch::start();
        while let Err(why) = done() {
            stop.look()?;
            if watch.elapsed() > STARTS_WITHIN {
                return Err(self.silent(why.to_string()));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn silent(&self, last: String) -> Trouble {
        let logs = self.programs.iter().map(Program::last_words).collect();
        Trouble::Silent { what: "page".into(), stack: self.product.name(), limit: STARTS_WITHIN, last, logs }
    }
}

impl Drop for Server {
    /// Also where the bench is given up, a server is asked first, so that it ends its own children.
    fn drop(&mut self) {
        let _ = self.end_programs();
    }
}

fn message(number: u32) -> String {
    format!("Entry {number} of the guestbook: every packet found its way.")
}

/// Signs as a browser does.
fn sign(server: SocketAddr, number: u32) -> io::Result<()> {
    let form = format!("name=Radia&message={}", message(number).replace(' ', "+"));
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(ENDS_WITHIN))?;
    write!(
        stream,
        "POST /guestbook HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    )?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    if said.starts_with("HTTP/1.1 303 ") { Ok(()) } else { Err(io::Error::other(said)) }
}

/// A new lab with its ports and its database, and what brings it up.
fn lab(
    place: &Path,
    address: SocketAddr,
    engine: &str,
    ports: &mut Ports,
    world: &World,
) -> Result<Command, Trouble> {
    lab_at(place, address, engine, ports, world)?;
    let mut command = wwwlab();
    command.arg("up").current_dir(place);
    Ok(command)
}

/// A new lab with its ports and its database.
pub(crate) fn lab_at(
    place: &Path,
    address: SocketAddr,
    engine: &str,
    ports: &mut Ports,
    world: &World,
) -> Result<(), Trouble> {
    let (dns, http) = (ports.free("dns", &LAB)?, address.port());
    let (app, db) = (ports.free("app", &LAB[..1])?, ports.free("db", &LAB[..1])?);
    let settings =
        format!("[ports]\ndns = {dns}\nhttp = {http}\napp = {app}\ndb = {db}\n[db]\nengine = \"{engine}\"\n");
    ours::new_lab(place, &settings, world.guard, world.stop)
}

/// nginx and PHP-FPM as the bench `stack` has them, with the database of the lab that runs.
fn peers(place: &Path, address: SocketAddr, world: &World) -> Result<Vec<(&'static str, Command)>, Trouble> {
    let site = place.join("site");
    fs::create_dir_all(&site).map_err(of(&site))?;
    let file = world.place.join(Product::Wwwlab.name()).join(".wwwlab/loopback/db/address");
    let unusable = |error| cannot("read the address of the lab's database")(io::Error::other(error));
    let database = read_address(&file).map_err(unusable)?;
    let (host, port) = database.endpoint();
    // What the lab draws is letters and digits alone.
    let whole = database.with_password();
    let mut account = whole.trim_start_matches("mysql://").split(['@', ':']);
    let (user, password) = (account.next().unwrap_or_default(), account.next().unwrap_or_default());
    let page = include_str!("../stack/peers/index.php")
        .replace("{where}", &format!("host={host};port={port}"))
        .replace("{user}", user)
        .replace("{password}", password);
    write(&site.join("index.php"), &page)?;
    let name =
        User::from_uid(geteuid()).ok().flatten().map_or_else(|| geteuid().to_string(), |user| user.name);
    let group =
        Group::from_gid(getegid()).ok().flatten().map_or_else(|| getegid().to_string(), |group| group.name);
    let words = [
        ("{place}", place.display().to_string()),
        ("{lab}", place.display().to_string()),
        ("{http}", address.port().to_string()),
        ("{user}", name),
        ("{group}", group),
    ];
    let configure = |name: &str, text: &str| -> Result<PathBuf, Trouble> {
        let file = place.join(name);
        write(&file, &words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value)))?;
        Ok(file)
    };
    let mut php_fpm = Command::new(&world.programs.php_fpm);
    php_fpm.args(["--nodaemonize", "--allow-to-run-as-root", "--fpm-config"]);
    php_fpm.arg(configure("php-fpm.conf", include_str!("../stack/peers/php-fpm.conf"))?);
    let mut nginx = Command::new(&world.programs.nginx);
    nginx
        .args(["-e", "stderr", "-c"])
        .arg(configure("nginx.conf", include_str!("../stack/peers/nginx.conf"))?);
    Ok(vec![("php-fpm", php_fpm), ("nginx", nginx)])
}

fn write(file: &Path, text: &str) -> Result<(), Trouble> {
    fs::write(file, text).map_err(of(file))
}

/// As the table has it.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
