//! The result: one table of promises, kept or missed, and what is behind it.

use std::fmt;

use crate::ground::summary::Summary;
use crate::ground::table::Table;
use crate::measured::Measured;
use crate::memory::Taken;
use crate::probe::What;

/// All that was measured, and on what.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) ours: Measured,
    pub(crate) theirs: Measured,
    pub(crate) runs: u32,
    pub(crate) executable_bytes: u64,
    pub(crate) machine: String,
    pub(crate) versions: String,
}

/// What is promised, of medians.
#[derive(Debug, Clone, Copy)]
struct Promise {
    /// Not more than this.
    most: f64,
    /// Nor more than this part of the peers'.
    part: Option<(f64, &'static str)>,
}

const SOON: Promise = Promise { most: 60.0, part: Some((1.0 / 3.0, "⅓")) };
const LEAN: Promise = Promise { most: 36.0, part: Some((1.0 / 4.0, "¼")) };
const SMALL: Promise = Promise { most: 25.0, part: None };

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["what", "wwwlab", "peers", "ratio", "target", "met"]);
        let first = |measured: &Measured, what| measured.first.get(&what).and_then(|all| Summary::of(all));
        for what in [What::NameServer, What::Resolver, What::Page] {
            let name = format!("start to first right answer: {what}, ms");
            row(&mut table, &name, first(&self.ours, what), first(&self.theirs, what), SOON);
        }
        let both = |numbers: fn(&Measured) -> &[f64]| {
            (Summary::of(numbers(&self.ours)), Summary::of(numbers(&self.theirs)))
        };
        let (ours, theirs) = both(|measured| &measured.all);
        row(&mut table, "start to all of them, ms", ours, theirs, SOON);
        let (ours, theirs) = both(|measured| &measured.memory);
        row(&mut table, "idle memory, sum of PSS, MB", ours, theirs, LEAN);
        let size = Summary::of(&[megabytes(self.executable_bytes)]);
        row(&mut table, "executable, stripped, MB", size, None, SMALL);

        writeln!(f, "\n{table}")?;
        let (runs, s) = (self.runs, if self.runs == 1 { "" } else { "s" });
        writeln!(
            f,
            "Median (least to greatest) of {runs} run{s} each, taking turns. The targets are for medians:"
        )?;
        writeln!(
            f,
            "at most the number, and at most that part of the peers'. They have no resolver; \"all\" counts ours.\n"
        )?;
        writeln!(f, "{}", processes(&self.ours.processes, &self.theirs.processes))?;
        writeln!(f, "{}", self.machine)?;
        write!(f, "wwwlab {} beside {}", env!("CARGO_PKG_VERSION"), self.versions)
    }
}

impl Taken {
    /// In 10^6 bytes.
    pub(crate) fn megabytes(&self) -> f64 {
        megabytes(self.bytes)
    }
}

fn row(table: &mut Table, name: &str, ours: Option<Summary>, theirs: Option<Summary>, promise: Promise) {
    let ratio = ours.zip(theirs).map(|(ours, theirs)| ours.median / theirs.median);
    let cell = |summary: Option<Summary>| match summary {
        Some(Summary { min, median, max }) if min < max => format!("{median:.1} ({min:.1} to {max:.1})"),
        Some(Summary { median, .. }) => format!("{median:.1}"),
        None => "–".to_owned(),
    };
    // Where the peers have nothing to compare with, only the number is promised.
    let part = promise.part.filter(|_| theirs.is_some());
    let met = ours.is_some_and(|ours| ours.median <= promise.most)
        && part.is_none_or(|(part, _)| ratio.is_some_and(|ratio| ratio <= part));
    table.row([
        name.to_owned(),
        cell(ours),
        cell(theirs),
        ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
        match part {
            Some((_, part)) => format!("≤ {}, ≤ {part}", promise.most),
            None => format!("≤ {}", promise.most),
        },
        if met { "yes" } else { "missed" }.to_owned(),
    ]);
}

/// Side by side, what each process of the last run took.
fn processes(ours: &[Taken], theirs: &[Taken]) -> Table {
    let mut table = Table::new(["idle process", "PSS, MB"]);
    for taken in ours.iter().chain(theirs) {
        table.row([taken.name.clone(), format!("{:.1}", taken.megabytes())]);
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
