//! The servers, each publishing the same zone: ours started by hand and in a lab, and the peers with a configuration
//! and a directory of their own, as the user who runs the bench.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::guard::Guard;

use crate::cpu;
use crate::ground::ours::{LAB, new_lab, wwwlab};
use crate::ground::ports::Ports;
use crate::ground::processes::{self, Process};
use crate::ground::program::Program;
use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot, of};
use crate::installed::Programs;
use crate::load::{Asker, Ended};
use crate::zone::{self, Kind, ORIGIN, is_right};

/// Between an answer that was not right and the next question.
const PAUSE: Duration = Duration::from_micros(200);
/// How long a server may be silent before it is asked again.
const PATIENCE: Duration = Duration::from_millis(5);
/// No server reads its zone for this long unless it is broken.
const READS_WITHIN: Duration = Duration::from_secs(120);
/// A server with a large zone has much to put away.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Who publishes the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    /// `wwwlab serve dns`, started by hand.
    Wwwlab,
    Nsd,
    Knot,
    Named,
    /// `wwwlab up`: with a supervisor, and a journal of every question.
    Lab,
}

impl Product {
    /// In the order in which they take turns.
    pub(crate) const ALL: [Self; 5] = [Self::Wwwlab, Self::Nsd, Self::Knot, Self::Named, Self::Lab];

    const fn name(self) -> &'static str {
        match self {
            Self::Wwwlab => "wwwlab",
            Self::Nsd => "NSD",
            Self::Knot => "Knot",
            Self::Named => "named",
            Self::Lab => "lab",
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
    pub(crate) programs: &'a Programs,
    pub(crate) place: &'a Path,
    pub(crate) guard: &'a Guard,
    pub(crate) stop: &'a Stop,
}

/// A server that publishes a zone.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) product: Product,
    /// From the moment before it was started to its first right answer.
    pub(crate) read_within: Duration,
    address: SocketAddr,
    program: Program,
    family: Vec<Process>,
}

impl Server {
    /// Starts it with the zone of `records` in `zone`, and waits for its first right answer.
    pub(crate) fn start(
        product: Product,
        zone: &Path,
        records: u32,
        ports: &mut Ports,
        world: &World,
    ) -> Result<Self, Trouble> {
        let place = world.place.join(format!("{product}-{records}"));
        let said = match product {
            // By hand it prints questions, which the peers do not.
            Product::Wwwlab => PathBuf::from("/dev/null"),
            _ => place.with_extension("log"),
        };
        let addresses = if product == Product::Lab { &LAB[..] } else { &LAB[..1] };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.free("dns", addresses)?));
        let mut command = command(product, &place, zone, address, ports, world)?;
        let watch = Stopwatch::start();
        let program = Program::start(product.name(), &mut command, said, world.guard)?;
        let mut server = Self { product, read_within: Duration::ZERO, address, program, family: Vec::new() };
        server.read_within = server.first_right_answer(records, watch, world.stop)?;
        server.family = processes::family(&[server.program.pid()])?;
        Ok(server)
    }

    /// Asks `questions` till `count` are answered right; the processor's time that each took.
    pub(crate) fn answer(
        &self,
        questions: &mut [Vec<u8>],
        kind: Kind,
        count: u32,
        stop: &Stop,
    ) -> Result<Duration, Trouble> {
        let asker = Asker::new(self.address)?;
        let before = cpu::taken(&self.family)?;
        asker.run(questions, kind, count, stop).map_err(|ended| match ended {
            Ended::Early(trouble) => trouble,
            Ended::Wrong(last) => self.silent(kind, last),
        })?;
        Ok(cpu::taken(&self.family)?.saturating_sub(before) / count)
    }

    /// Adds a record to the zone's file `count` times; how long after each save it was served.
    pub(crate) fn edits(&self, zone: &Path, count: u32, stop: &Stop) -> Result<Vec<Duration>, Trouble> {
        let saved = |number: u32| -> Result<Duration, Trouble> {
            let mut file = fs::OpenOptions::new().append(true).open(zone).map_err(of(zone))?;
            writeln!(file, "edit{number} A 192.0.2.1").map_err(of(zone))?;
            drop(file);
            let watch = Stopwatch::start();
            self.first_right_answer_to(&zone::question_for(&format!("edit{number}"))?, watch, stop)
        };
        (0..count).map(saved).collect()
    }

    /// The octets of memory that all its processes take.
    pub(crate) fn memory(&self) -> Result<u64, Trouble> {
        self.family.iter().map(processes::memory).sum()
    }

    /// Ends it and makes sure that none of its processes is left.
    pub(crate) fn end(mut self) -> Result<(), Trouble> {
        self.program.signal(Signal::SIGTERM);
        self.program.wait(ENDS_WITHIN)?;
        processes::wait_until_gone(&self.family)
    }

    fn first_right_answer(&self, records: u32, watch: Stopwatch, stop: &Stop) -> Result<Duration, Trouble> {
        let questions = zone::questions(Kind::Hit, records, 1)?;
        self.first_right_answer_to(questions.first().map(Vec::as_slice).unwrap_or_default(), watch, stop)
    }

    fn first_right_answer_to(
        &self,
        question: &[u8],
        watch: Stopwatch,
        stop: &Stop,
    ) -> Result<Duration, Trouble> {
        let open = || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(self.address)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket)
        };
        let socket = open().map_err(cannot("make a socket"))?;
        let mut answer = [0; 4096];
        loop {
            let length = socket.send(question).and_then(|_| socket.recv(&mut answer));
            let after = watch.elapsed();
            let why = match length {
                Ok(length) if is_right(Kind::Hit, &answer[..length]) => return Ok(after),
                Ok(length) => format!("a wrong answer, {:02x?}", &answer[..length.min(12)]),
                Err(error) => error.to_string(),
            };
            stop.look()?;
            if after > READS_WITHIN {
                return Err(self.silent(Kind::Hit, why));
            }
            thread::sleep(PAUSE);
        }
    }

    fn silent(&self, kind: Kind, last: String) -> Trouble {
        Trouble::Silent {
            what: kind.to_string(),
            stack: self.product.name(),
            limit: READS_WITHIN,
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

/// What starts `product`, with all that it needs written to `place`.
fn command(
    product: Product,
    place: &Path,
    zone: &Path,
    address: SocketAddr,
    ports: &mut Ports,
    world: &World,
) -> Result<Command, Trouble> {
    let (program, options, text) = match product {
        Product::Wwwlab => {
            let mut command = wwwlab();
            command.args(["serve", "dns", "--listen", &address.to_string(), "--zone"]);
            command.arg(format!("{ORIGIN}={}", zone.display()));
            return Ok(command);
        }
        Product::Lab => return lab(place, zone, address, ports, world),
        Product::Nsd => (&world.programs.nsd, &["-d", "-c"][..], include_str!("peers/nsd.conf")),
        Product::Knot => (&world.programs.knotd, &["-c"][..], include_str!("peers/knot.conf")),
        // In the foreground, with one thread.
        Product::Named => {
            (&world.programs.named, &["-g", "-n", "1", "-c"][..], include_str!("peers/named.conf"))
        }
    };
    fs::create_dir_all(place).map_err(of(place))?;
    let words = [
        ("{place}", place.display().to_string()),
        ("{port}", address.port().to_string()),
        ("{origin}", ORIGIN.to_owned()),
        ("{zone}", zone.display().to_string()),
    ];
    let text = words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value));
    let file = place.join("conf");
    fs::write(&file, text).map_err(of(&file))?;
    let mut command = Command::new(program);
    command.args(options).arg(file).current_dir(place);
    Ok(command)
}

/// A new lab that publishes the zone beside its own.
fn lab(
    place: &Path,
    zone: &Path,
    address: SocketAddr,
    ports: &mut Ports,
    world: &World,
) -> Result<Command, Trouble> {
    let (http, app) = (ports.free("http", &LAB[..1])?, ports.free("app", &LAB[..1])?);
    let settings = format!(
        "[ports]\ndns = {}\nhttp = {http}\napp = {app}\n[dns]\nzones = {{ \"{ORIGIN}\" = \"{}\", \"foobar.com\" = \
         \"zones/loopback/foobar.com.zone\" }}\n",
        address.port(),
        zone.display()
    );
    new_lab(place, &settings, world.guard, world.stop)?;
    let mut command = wwwlab();
    command.arg("up").current_dir(place);
    Ok(command)
}
