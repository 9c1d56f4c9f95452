//! The result: one table of promises, kept or missed.

use std::fmt;

use crate::ground::summary::Summary;
use crate::ground::table::Table;
use crate::server::Product;

/// All that was measured, and on what.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) turns: u32,
    pub(crate) machine: String,
    pub(crate) versions: String,
}

/// One thing, of each product as often as it was measured.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    /// Digits after the point.
    digits: usize,
    promise: Promise,
    /// In the order of [`Product::ALL`].
    numbers: [Vec<f64>; Product::ALL.len()],
}

/// What is promised of our median beside the peers', with the same database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Promise {
    /// Not less than so many times theirs.
    Least(f64),
    /// Not more than so many times theirs.
    Most(f64),
    /// Not more than so much beyond theirs.
    Beyond(f64),
    /// Nothing: it is worth knowing.
    Nothing,
}

impl Row {
    /// Nothing is measured yet.
    pub(crate) fn new(what: String, digits: usize, promise: Promise) -> Self {
        Self { what, digits, promise, numbers: Default::default() }
    }

    /// One more measurement.
    pub(crate) fn add(&mut self, product: Product, number: f64) {
        self.numbers[product as usize].push(number);
    }

    fn summary(&self, product: Product) -> Option<Summary> {
        Summary::of(&self.numbers[product as usize])
    }

    fn cells(&self) -> [String; 7] {
        let number = |product| {
            self.summary(product)
                .map_or_else(|| "–".to_owned(), |all| format!("{:.*}", self.digits, all.median))
        };
        let median = |product| self.summary(product).map(|all| all.median);
        let both = median(Product::Wwwlab).zip(median(Product::Peers));
        let ratio = both.map(|(ours, theirs)| ours / theirs);
        let (target, is_met) = match self.promise {
            Promise::Least(least) => (format!("≥ {least}"), ratio.map(|is| is >= least)),
            Promise::Most(most) => (format!("≤ {most}"), ratio.map(|is| is <= most)),
            Promise::Beyond(most) => {
                (format!("≤ theirs + {most}"), both.map(|(ours, theirs)| ours - theirs <= most))
            }
            Promise::Nothing => ("–".to_owned(), None),
        };
        [
            self.what.clone(),
            number(Product::Wwwlab),
            number(Product::Peers),
            ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            target,
            is_met.map_or("–", |is_met| if is_met { "yes" } else { "missed" }).to_owned(),
            number(Product::Embedded),
        ]
    }
}

/// As it is told while the bench runs.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.what)?;
        for product in Product::ALL {
            if let Some(Summary { min, median, max }) = self.summary(product) {
                let digits = self.digits;
                write!(f, " {product} {median:.digits$} ({min:.digits$} to {max:.digits$})")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["the dynamic page", "wwwlab", "peers", "ratio", "target", "met", "wwwlab, SQLite"];
        let mut table = Table::new(head);
        for row in &self.rows {
            table.row(row.cells());
        }
        writeln!(f, "\n{table}")?;
        writeln!(
            f,
            "Medians of {} turns. wwwlab is a whole lab, its journal kept; peers are nginx and PHP-FPM with Debian's pool and persistent\n\
             connections. Both use the same MariaDB; each page is a durable write and a read. Of the starts, peers are that MariaDB alone,\n\
             with the lab's options, until it greets; wwwlab is `up -d`, until the whole stack serves.\n",
            self.turns
        )?;
        writeln!(f, "{}", self.machine)?;
        write!(f, "wwwlab {} beside {}", env!("CARGO_PKG_VERSION"), self.versions)
    }
}
