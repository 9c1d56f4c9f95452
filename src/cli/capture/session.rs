//! Capturing: packets from every machine and events from the journal come in, lines or blocks of a file go out.
//!
//! Whatever ends it (^C, the time, the number, the lab), what was captured until then is written, and the file is whole.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::capture::file::CaptureFile;
use crate::capture::frame::Frame;
use crate::capture::names::Names;
use crate::capture::secrets::Secrets;
use crate::capture::ties::Ties;
use crate::capture::waiting::Waiting;
use crate::capture::{Packet, line, pcapng};
use crate::ground::clock;
use crate::lab::control::{self, ControlError, Watched};
use crate::lab::directory::Directory;
use crate::lab::journal::Wanted;
use crate::lab::network::tap::{Caught, Taps};

use super::super::screen::DIM;
use super::super::{Failure, World};
use super::cannot_write;

/// So long packets wait for those of other machines that passed before them.
const SORTED_WITHIN: Duration = Duration::from_millis(100);
/// So long they wait for what the services tell of them, in a pipe that somebody may look at the end of, and in a file: a
/// flooded service tells half a second later, on a machine that has too much to do more.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
const TOLD_AT_LAST: Duration = Duration::from_secs(5);
/// How often it is looked which have waited enough.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An interface.
#[derive(Debug)]
pub(super) struct Place {
    /// Its machine, by its place among them.
    pub(super) machine: usize,
    /// Its number there.
    pub(super) number: u32,
    /// Its name.
    pub(super) name: String,
    /// Whether it is a port of a switch: what passes it passes the switch as well.
    pub(super) port: bool,
    /// Packets that it saw.
    pub(super) received: u64,
}

/// What becomes of packets.
#[derive(Debug)]
pub(super) enum Shown {
    /// A line each, where it leaves the machine that it is from.
    WhereItBegins,
    /// A line each, at every interface.
    Everywhere,
    /// They go to a file of this name.
    Written(CaptureFile, PathBuf),
}

/// A capture.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) taps: Taps,
    /// Those that are listened on.
    pub(super) machines: Vec<String>,
    /// Their interfaces, in the order of the machines.
    pub(super) places: Vec<Place>,
    pub(super) names: Names,
    pub(super) shown: Shown,
    /// Octets of a packet that are kept.
    pub(super) kept: u32,
    /// Packets that are shown.
    pub(super) most: Option<u64>,
    pub(super) duration: Option<Duration>,
}

/// What is known while it goes on.
struct Course {
    waiting: Waiting,
    ties: Ties,
    secrets: Secrets,
    /// When it began, in nanoseconds since the Unix epoch.
    began: u64,
    /// Microseconds from the shared clock's beginning to the Unix epoch's, less than nothing: the clocks' distance.
    distance: u64,
    /// Packets that came and are to be shown; those that were shown.
    taken: u64,
    shown: u64,
}

/// Signals that end it.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self, Failure> {
        let heard = |kind| {
            signal(kind).map_err(|error| Failure::System("cannot be told to end by signals".into(), error))
        };
        Ok(Self([
            heard(SignalKind::interrupt())?,
            heard(SignalKind::terminate())?,
            heard(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} _ = hangup.recv() => {} }
    }
}

impl Session {
    /// Captures until it is to end.
    pub(super) async fn run(mut self, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
        let mut signals = Signals::new()?;
        let mut watched = control::watch(directory, Wanted::default()).await?;
        let began = clock::unix_nanos();
        let mut course = Course {
            waiting: Waiting::default(),
            ties: Ties::default(),
            secrets: Secrets::follow(directory.key_log()),
            began,
            distance: (began / 1_000).saturating_sub(clock::monotonic_micros()),
            taken: 0,
            shown: 0,
        };
        self.begin()?;
        let dim = DIM;
        writeln!(world.err, "{dim}listening on {}; ^C ends it{dim:#}", self.machines.join(", "))?;
        world.err.flush()?;
        let gone = self.until_the_end(&mut course, &mut watched, &mut signals, world).await?;
        let ended = clock::unix_nanos();
        if !self.has_enough(&course) {
            self.rest(&mut course, ended);
        }
        if matches!(self.shown, Shown::Written(..)) {
            hear_the_rest(&mut course, &mut watched, &mut signals).await;
        }
        self.show(&mut course, u64::MAX, world)?;
        self.end(&course, ended, world)?;
        if gone { Err(ControlError::NotUp(directory.name()).into()) } else { Ok(0) }
    }

    /// Captures until it is to end; whether it ends because the lab has.
    async fn until_the_end(
        &mut self,
        course: &mut Course,
        watched: &mut Watched,
        signals: &mut Signals,
        world: &mut World,
    ) -> Result<bool, Failure> {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Longer than that nobody waits.
        let most = Duration::from_secs(1 << 30);
        let over = sleep(self.duration.unwrap_or(most).min(most));
        tokio::pin!(over);
        let kept = usize::try_from(self.kept).unwrap_or(usize::MAX);
        let mut caught = Vec::new();
        while !self.has_enough(course) {
            tokio::select! {
                () = self.taps.next(kept, &mut caught) => {
                    caught.drain(..).for_each(|(machine, packet)| self.take(course, machine, packet));
                }
                event = watched.next() => match event {
                    Ok(Some(event)) => course.ties.hear(&event),
                    Ok(None) | Err(_) => return Ok(true),
                },
                _ = look.tick() => {}
                () = signals.next() => break,
                () = &mut over => break,
            }
            let waits = match &self.shown {
                Shown::Written(_, path) if path.as_os_str() == "-" => TOLD_WITHIN,
                Shown::Written(..) => TOLD_AT_LAST,
                _ => SORTED_WITHIN,
            };
            let before = clock::unix_nanos().saturating_sub(nanoseconds(waits));
            self.show(course, before, world)?;
        }
        Ok(false)
    }

    /// Takes what passed before it `ended`.
    fn rest(&mut self, course: &mut Course, ended: u64) {
        let kept = usize::try_from(self.kept).unwrap_or(usize::MAX);
        let mut caught = Vec::new();
        self.taps.rest(kept, |machine, packet| {
            let before = packet.at <= ended;
            if before {
                caught.push((machine, packet));
            }
            before
        });
        caught.into_iter().for_each(|(machine, packet)| self.take(course, machine, packet));
    }

    /// Whether as many packets came as are to be shown.
    fn has_enough(&self, course: &Course) -> bool {
        self.most.is_some_and(|most| course.taken >= most)
    }

    /// Has a packet wait until it is shown.
    fn take(&mut self, course: &mut Course, machine: usize, caught: Caught) {
        let is_there = |place: &Place| place.machine == machine && place.number == caught.interface;
        // One that was not there at the beginning, made by hand, is not listened at.
        let Some(interface) = self.places.iter().position(is_there) else { return };
        // What passed before it began waited in the socket since it was opened.
        if caught.at < course.began {
            return;
        }
        self.places[interface].received += 1;
        let Caught { at, outgoing, length, octets, .. } = caught;
        if matches!(self.shown, Shown::WhereItBegins) {
            let place = &self.places[interface];
            let leaves = (outgoing || place.name == "lo") && !place.port;
            let from = Frame::read(&octets, length).from;
            if !leaves || !self.names.begins_at(&self.machines[machine], from) {
                return;
            }
        }
        course.taken += 1;
        course.waiting.push(Packet { at, interface, outgoing, length, octets });
    }

    /// Shows what passed before the time `before`.
    fn show(&mut self, course: &mut Course, before: u64, world: &mut World) -> Result<(), Failure> {
        if let Shown::Written(file, path) = &mut self.shown {
            // What decrypts a packet stands before it.
            let added = course.secrets.added().unwrap_or_default();
            if !added.is_empty() {
                file.write(|file| pcapng::secrets(file, &added))
                    .map_err(|error| cannot_write(path, error))?;
            }
        }
        while self.most.is_none_or(|most| course.shown < most)
            && let Some(packet) = course.waiting.pop(before)
        {
            let frame = Frame::read(&packet.octets, packet.length);
            let place = &self.places[packet.interface];
            let machine = &self.machines[place.machine];
            match &mut self.shown {
                Shown::Written(file, path) => {
                    let time = (packet.at / 1_000).saturating_sub(course.distance);
                    let comment = course.ties.comment(&frame, time, &self.names);
                    file.write(|file| pcapng::packet(file, packet.interface, &packet, comment.as_deref()))
                        .map_err(|error| cannot_write(path, error))?;
                }
                Shown::WhereItBegins => {
                    writeln!(world.out, "{}", self.line(course, &packet, &frame, ""))?;
                }
                Shown::Everywhere => {
                    let at = format!("{machine} {}  ", place.name);
                    writeln!(world.out, "{}", self.line(course, &packet, &frame, &format!("{at:<18}")))?;
                }
            }
            course.shown += 1;
        }
        match &mut self.shown {
            Shown::Written(file, path) => file.flush().map_err(|error| cannot_write(path, error)),
            _ => Ok(world.out.flush()?),
        }
    }

    /// `  0.001234  client › resolver  DNS query A www.foobar.com`.
    fn line(&self, course: &Course, packet: &Packet, frame: &Frame, at: &str) -> String {
        let since = Duration::from_nanos(packet.at.saturating_sub(course.began));
        let who = |address: Option<_>| address.map_or_else(|| "?".into(), |address| self.names.show(address));
        let from = match frame.from {
            // An address of one cable alone (RFC 4291 §2.5.6) says nothing of whose it is; that it leaves here does.
            Some(IpAddr::V6(from)) if packet.outgoing && from.is_unicast_link_local() => {
                self.machines[self.places[packet.interface].machine].clone()
            }
            from => who(from),
        };
        let between = format!("{from} › {}", who(frame.to));
        format!("{:>11.6}  {at}{between:<19}  {}", since.as_secs_f64(), line::describe(frame, &self.names))
    }

    /// Writes what stands before the packets.
    fn begin(&mut self) -> Result<(), Failure> {
        let Shown::Written(file, path) = &mut self.shown else { return Ok(()) };
        let written = file.write(|file| {
            pcapng::section(file, concat!("wwwlab ", env!("CARGO_PKG_VERSION")));
            for place in &self.places {
                let machine = &self.machines[place.machine];
                let name = format!("{machine} {}", place.name);
                pcapng::interface(file, &name, &format!("{} of {machine}", place.name), self.kept);
            }
            pcapng::names(file, &self.names.sorted());
        });
        written.and_then(|()| file.flush()).map_err(|error| cannot_write(path, error))
    }

    /// Writes what stands after them, and says how it went.
    fn end(&mut self, course: &Course, ended: u64, world: &mut World) -> Result<(), Failure> {
        let dropped = self.taps.dropped();
        if let Shown::Written(file, path) = &mut self.shown {
            let times = [course.began, ended];
            let written = file.write(|file| {
                for (number, place) in self.places.iter().enumerate() {
                    // The kernel counts for a machine; it is told at its first interface.
                    let first = number == 0 || self.places[number - 1].machine != place.machine;
                    let dropped = dropped.get(place.machine).copied().filter(|_| first);
                    pcapng::statistics(file, number, times, place.received, dropped);
                }
            });
            written.and_then(|()| file.flush()).map_err(|error| cannot_write(path, error))?;
        }
        let lost: u64 = dropped.iter().sum();
        let to = match &self.shown {
            Shown::Written(_, path) if path.as_os_str() != "-" => {
                format!(", written to {}: whatever was sent is in it, passwords too", path.display())
            }
            _ => String::new(),
        };
        let packets = if course.shown == 1 { "packet" } else { "packets" };
        let dim = DIM;
        writeln!(world.err, "{dim}{} {packets}, {lost} dropped by the kernel{to}{dim:#}", course.shown)?;
        Ok(())
    }
}

/// Hears what is still told of what was captured, until nothing comes any more, or it is not to be waited for.
async fn hear_the_rest(course: &mut Course, watched: &mut Watched, signals: &mut Signals) {
    let patience = sleep(TOLD_AT_LAST);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            event = watched.next() => match event {
                Ok(Some(event)) => course.ties.hear(&event),
                Ok(None) | Err(_) => return,
            },
            // A quiet while.
            () = sleep(TOLD_WITHIN) => return,
            () = &mut patience => return,
            () = signals.next() => return,
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
