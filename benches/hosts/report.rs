//! The result: one table of promises, kept or missed.

use std::fmt;

use crate::ground::summary::Summary;
use crate::ground::table::Table;

/// The part of Mininet's time that is promised.
const PART: f64 = 0.25;
/// Milliseconds that network `hosts` may add.
const ADDED_MOST: f64 = 50.0;

/// All that was measured, in milliseconds, one number a turn.
#[derive(Debug)]
pub(crate) struct Report {
    /// A lab on `loopback`, until it is up.
    pub(crate) loopback: Vec<f64>,
    /// The same on `hosts`.
    pub(crate) hosts: Vec<f64>,
    /// With 20 computers more.
    pub(crate) many: Vec<f64>,
    /// The same, until it is down again.
    pub(crate) many_and_down: Vec<f64>,
    /// Mininet with 20 hosts, until they are gone again; nothing without root.
    pub(crate) mininet: Vec<f64>,
    /// With 200 computers more, until it is up.
    pub(crate) most: Vec<f64>,
    turns: u32,
    machine: String,
    versions: String,
}

impl Report {
    /// Of so many turns; nothing is measured yet.
    pub(crate) fn new(turns: u32, machine: String, versions: String) -> Self {
        let [loopback, hosts, many, many_and_down, mininet, most] = Default::default();
        Self { loopback, hosts, many, many_and_down, mininet, most, turns, machine, versions }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let median = |numbers: &[f64]| Summary::of(numbers).map(|summary| summary.median);
        let added: Vec<f64> =
            self.hosts.iter().zip(&self.loopback).map(|(hosts, loopback)| hosts - loopback).collect();
        let ratio =
            median(&self.many_and_down).zip(median(&self.mininet)).map(|(ours, theirs)| ours / theirs);
        let met = |met: Option<bool>| match met {
            Some(true) => "yes".to_owned(),
            Some(false) => "missed".to_owned(),
            None => "–".to_owned(),
        };
        let mut table = Table::new(["what, ms", "wwwlab", "Mininet", "ratio", "target", "met"]);
        table.row([
            "20 hosts, up and down again".to_owned(),
            cell(&self.many_and_down),
            cell(&self.mininet),
            ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            "≤ ¼".to_owned(),
            met(ratio.map(|ratio| ratio <= PART)),
        ]);
        let mut own = |what: &str, numbers: &[f64], target: Option<f64>| {
            table.row([
                what.to_owned(),
                cell(numbers),
                "–".to_owned(),
                "–".to_owned(),
                target.map_or_else(|| "–".to_owned(), |most| format!("≤ {most}")),
                met(target.zip(median(numbers)).map(|(most, median)| median <= most)),
            ]);
        };
        own("up on loopback", &self.loopback, None);
        own("up on hosts", &self.hosts, None);
        own("what that adds", &added, Some(ADDED_MOST));
        own("up with 20 computers more", &self.many, None);
        own("up with 200 computers more", &self.most, None);

        writeln!(f, "\n{table}")?;
        let (turns, s) = (self.turns, if self.turns == 1 { "" } else { "s" });
        writeln!(
            f,
            "Median (least to greatest) of {turns} turn{s}. wwwlab's labs have all their services up, and serving."
        )?;
        if self.mininet.is_empty() {
            writeln!(f, "Mininet was not measured: it needs root (`sudo -E make bench`).")?;
        }
        writeln!(f, "{}", self.machine)?;
        write!(f, "wwwlab {} beside {}", env!("CARGO_PKG_VERSION"), self.versions)
    }
}

fn cell(numbers: &[f64]) -> String {
    match Summary::of(numbers) {
        Some(Summary { min, median, max }) if min < max => format!("{median:.0} ({min:.0} to {max:.0})"),
        Some(Summary { median, .. }) => format!("{median:.0}"),
        None => "–".to_owned(),
    }
}
