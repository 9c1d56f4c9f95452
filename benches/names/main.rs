//! What an answer costs, what a record takes, how soon a large zone is served and checked: wwwlab beside NSD, Knot
//! DNS and BIND, in one run, taking turns.
//!
//! All publish the same zone on 127.0.0.1, each from one thread, and are asked the same questions by the same asker:
//! [`zone`] makes them, [`load`] asks them and looks at the answers, [`cpu`] is what the processor spent. What was
//! started ends with the bench, also when it is interrupted or killed.
//!
//! It measures and does not judge: a missed target is said in the table, and the exit code stays 0.
//!
//! `BENCH_NAMES` says how many records the largest zone has, 1,000 to 10,000,000; default 1,000,000.

#![expect(clippy::print_stderr, reason = "this is a command: its progress goes to stderr")]

mod check;
mod cpu;
#[path = "../ground/mod.rs"]
mod ground;
mod installed;
mod load;
mod report;
mod server;
mod zone;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;

use crate::ground::ports::Ports;
use crate::ground::stop::Stop;
use crate::ground::summary::Summary;
use crate::ground::trouble::{Trouble, cannot, of};
use crate::ground::{machine, number, ours};
use crate::installed::Programs;
use crate::report::{Promise, Report, Row};
use crate::server::{Product, Server, World};
use crate::zone::Kind;

/// Records of the largest zone, unless `BENCH_NAMES` says otherwise.
const RECORDS: u32 = 1_000_000;
const RECORDS_LEAST: u32 = 1_000;
const RECORDS_MOST: u32 = 10_000_000;
/// Turns of each server, and the questions of a turn.
const TURNS: u32 = 4;
const QUESTIONS: u32 = 50_000;
/// Questions that are asked before any is counted.
const WARMING: u32 = 2_000;
/// How often the largest zone is read and checked.
const READINGS: u32 = 3;
/// How long a server is left alone before its memory is taken.
const IDLE: Duration = Duration::from_millis(500);

/// The part of the better of NSD and Knot that an answer may cost.
const COST: Promise = Promise::PartOfBetter(0.9);
/// How many times as much an answer from the largest zone may cost as one from the smallest.
const FLAT: Promise = Promise::Most(1.3);
/// Octets that a record may take.
const MEMORY: Promise = Promise::Most(450.0);
/// How many times as long as NSD reading may take, and as BIND's program checking.
const READING: Promise = Promise::PartOfNsd(2.0);
const CHECKING: Promise = Promise::PartOfNamed(2.0);
/// Milliseconds after which a saved edit is served.
const EDITED: Promise = Promise::Most(300.0);
/// How often a zone is edited.
const EDITS: u32 = 50;

fn main() -> ExitCode {
    ground::bench::run(bench)
}

fn bench(stop: &Stop) -> Result<Report, Trouble> {
    let most = number::from("BENCH_NAMES", RECORDS_LEAST..=RECORDS_MOST, RECORDS)?;
    let programs = Programs::find()?;
    let place = TempDir::with_prefix("wwwlab-bench-").map_err(cannot("make a temporary directory"))?;
    let guard = ours::guard()?;
    let world = World { programs: &programs, place: place.path(), guard: &guard, stop };

    let publish = |records| Published::new(records, &world);
    let (small, middle, large) = (publish(zone::BLOCK)?, publish(most / 10)?, publish(most)?);
    let mut ports = Ports::new();
    let of_small = small.measure(1, &mut ports, &world)?;
    let of_middle = middle.measure(1, &mut ports, &world)?;
    let of_large = large.measure(READINGS, &mut ports, &world)?;
    let edits = [small.edit(&mut ports, &world)?, middle.edit(&mut ports, &world)?];
    let memory = of_small.memory_per_record(&of_large);
    let checks = large.check(&world)?;
    let flat: Vec<Row> = Kind::ALL
        .into_iter()
        .zip(of_large.costs.iter().zip(&of_small.costs))
        .map(|(kind, (large, small))| {
            report::over(large, small, format!("{kind}: {most} records over {}", zone::BLOCK), FLAT)
        })
        .collect();
    let costs = [of_small.costs, of_middle.costs, of_large.costs].into_iter().flatten();
    let report = Report {
        rows: costs.chain(flat).chain([memory, of_large.reading]).chain(edits).chain(checks).collect(),
        how: format!(
            "Medians of {TURNS} turns of {QUESTIONS} questions over UDP, of {READINGS} readings, and of {EDITS} edits; one thread each. \
             Times of the processor are user and\nsystem together, of all processes: in a lab also the supervisor's, \
             which keeps the journal. The ratio is to the better\nof NSD and Knot, unless the target names another."
        ),
        machine: machine::describe(),
        versions: programs.versions(),
    };
    drop(guard);
    Ok(report)
}

/// A zone that all publish.
struct Published {
    records: u32,
    file: PathBuf,
}

/// What publishing a zone took.
struct Measured {
    records: u32,
    /// Microseconds of the processor for an answer, of each of [`Kind::ALL`].
    costs: Vec<Row>,
    /// Octets of memory.
    memory: Row,
    /// Milliseconds to the first right answer.
    reading: Row,
}

impl Published {
    fn new(records: u32, world: &World) -> Result<Self, Trouble> {
        // A folder of its own: where zones are, wwwlab notices each change, also those of a log.
        let folder = world.place.join("zones");
        fs::create_dir_all(&folder).map_err(of(&folder))?;
        let file = folder.join(format!("{records}.zone"));
        zone::write(&file, records)?;
        Ok(Self { records, file })
    }

    /// All servers at once, asked in turn. The lab publishes only what is not read more than once.
    fn measure(&self, readings: u32, ports: &mut Ports, world: &World) -> Result<Measured, Trouble> {
        let records = self.records;
        let mut measured = Measured {
            records,
            costs: Kind::ALL.map(|kind| Row::new(format!("{kind}, {records} records, µs"), 2, COST)).into(),
            memory: Row::new(format!("memory, {records} records, octets"), 0, Promise::Nothing),
            reading: Row::new(format!("start to first right answer, {records} records, ms"), 0, READING),
        };
        let mut servers = Vec::new();
        for reading in 1..=readings {
            for product in Product::ALL {
                if product == Product::Lab && readings > 1 {
                    continue;
                }
                let server = Server::start(product, &self.file, records, ports, world)?;
                eprintln!("{product:<6} reads {records} records in {:.0} ms", millis(server.read_within));
                measured.reading.add(product, millis(server.read_within));
                if reading < readings {
                    server.end()?;
                } else {
                    servers.push(server);
                }
            }
        }
        world.stop.sleep(IDLE)?;
        for server in &servers {
            measured.memory.add(server.product, number(server.memory()?));
        }
        for (kind, costs) in Kind::ALL.into_iter().zip(&mut measured.costs) {
            let mut questions = zone::questions(kind, records, QUESTIONS)?;
            for server in &servers {
                server.answer(&mut questions, kind, WARMING, world.stop)?;
            }
            for _ in 0..TURNS {
                for server in &servers {
                    let cost = server.answer(&mut questions, kind, QUESTIONS, world.stop)?;
                    costs.add(server.product, micros(cost));
                }
            }
            let told = servers.iter().filter_map(|server| {
                let Summary { min, median, max } = costs.summary(server.product)?;
                Some(format!("{} {median:.2} ({min:.2} to {max:.2})", server.product))
            });
            eprintln!("{kind} of {records} records, µs: {}", told.collect::<Vec<_>>().join(", "));
        }
        for server in servers {
            server.end()?;
        }
        Ok(measured)
    }

    /// How soon an edit of it is served. It is left as it was edited: nothing else is measured of it afterwards but its
    /// check, which a few records do not change.
    fn edit(&self, ports: &mut Ports, world: &World) -> Result<Row, Trouble> {
        let records = self.records;
        let mut row = Row::new(format!("save to answer, {records} records, ms"), 0, EDITED);
        let server = Server::start(Product::Wwwlab, &self.file, records, ports, world)?;
        for after in server.edits(&self.file, EDITS, world.stop)? {
            row.add(Product::Wwwlab, millis(after));
        }
        if let Some(Summary { min, median, max }) = row.summary(Product::Wwwlab) {
            eprintln!("{EDITS} edits of {records} records, ms: {median:.0} ({min:.0} to {max:.0})");
        }
        server.end()?;
        Ok(row)
    }

    /// What checking it takes, without publishing it.
    fn check(&self, world: &World) -> Result<[Row; 2], Trouble> {
        let records = self.records;
        let mut time = Row::new(format!("zone check, {records} records, ms"), 0, CHECKING);
        let mut peak = Row::new(format!("zone check, {records} records, peak, MB"), 0, CHECKING);
        for _ in 0..READINGS {
            let both = [
                (Product::Wwwlab, check::ours(&self.file, world)?),
                (Product::Named, check::theirs(&self.file, world)?),
            ];
            for (product, checked) in both {
                eprintln!("{product:<6} checks {records} records in {:.0} ms", millis(checked.time));
                time.add(product, millis(checked.time));
                peak.add(product, number(checked.peak) / 1e6);
            }
        }
        Ok([time, peak])
    }
}

impl Measured {
    /// By how much more memory was taken for how many more records.
    fn memory_per_record(&self, large: &Self) -> Row {
        let mut row = Row::new(format!("memory per record, {} records, octets", large.records), 0, MEMORY);
        let records = f64::from(large.records - self.records);
        for product in Product::ALL {
            if let (Some(least), Some(most)) = (self.memory.median(product), large.memory.median(product)) {
                row.add(product, (most - least) / records);
            }
        }
        row
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "shown without its last digits")]
fn number(octets: u64) -> f64 {
    octets as f64
}
