//! The result: one table of promises, kept or missed.

use std::fmt;

use crate::ground::summary::Summary;
use crate::ground::table::Table;
use crate::server::Product;

/// All that was measured, and on what.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// How it was measured, in words.
    pub(crate) how: String,
    pub(crate) machine: String,
    pub(crate) versions: String,
}

/// What one thing took, of each product as often as it was measured.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    /// Digits after the point.
    digits: usize,
    promise: Promise,
    /// In the order of [`Product::ALL`].
    numbers: [Vec<f64>; Product::ALL.len()],
}

/// What is promised of ours, of medians.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Promise {
    /// Not more than this part of the better of NSD and Knot.
    PartOfBetter(f64),
    /// Not more than this part of NSD.
    PartOfNsd(f64),
    /// Not more than this part of BIND's.
    PartOfNamed(f64),
    /// Not more than this.
    Most(f64),
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

    /// What was measured of `product`.
    pub(crate) fn summary(&self, product: Product) -> Option<Summary> {
        Summary::of(&self.numbers[product as usize])
    }

    /// The middle of it.
    pub(crate) fn median(&self, product: Product) -> Option<f64> {
        self.summary(product).map(|summary| summary.median)
    }

    /// How many times as much as in `other` it is here, of each product.
    pub(crate) fn over(&self, other: &Self, what: String, promise: Promise) -> Self {
        let mut over = Self::new(what, 2, promise);
        for product in Product::ALL {
            if let (Some(here), Some(there)) = (self.median(product), other.median(product)) {
                over.add(product, here / there);
            }
        }
        over
    }

    fn ratio(&self) -> Option<f64> {
        let rival = match self.promise {
            Promise::PartOfNsd(_) => self.median(Product::Nsd),
            Promise::PartOfNamed(_) => self.median(Product::Named),
            _ => [Product::Nsd, Product::Knot]
                .into_iter()
                .filter_map(|product| self.median(product))
                .min_by(f64::total_cmp),
        };
        Some(self.median(Product::Wwwlab)? / rival?)
    }

    fn cells(&self) -> [String; 9] {
        let number = |product| match self.median(product) {
            Some(number) => format!("{number:.*}", self.digits),
            None => "–".to_owned(),
        };
        let (target, met) = match self.promise {
            Promise::PartOfBetter(part) => {
                (format!("≤ {part} × the better"), self.ratio().map(|is| is <= part))
            }
            Promise::PartOfNsd(part) => (format!("≤ {part} × NSD"), self.ratio().map(|is| is <= part)),
            Promise::PartOfNamed(part) => (format!("≤ {part} × named"), self.ratio().map(|is| is <= part)),
            Promise::Most(most) => (format!("≤ {most}"), self.median(Product::Wwwlab).map(|is| is <= most)),
            Promise::Nothing => ("–".to_owned(), None),
        };
        [
            self.what.clone(),
            number(Product::Wwwlab),
            number(Product::Lab),
            number(Product::Nsd),
            number(Product::Knot),
            number(Product::Named),
            self.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            target,
            met.map_or("–", |met| if met { "yes" } else { "missed" }).to_owned(),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "wwwlab", "in a lab", "NSD", "Knot", "named", "ratio", "target", "met"];
        let mut table = Table::new(head);
        for row in &self.rows {
            table.row(row.cells());
        }
        writeln!(f, "\n{table}")?;
        writeln!(f, "{}\n", self.how)?;
        writeln!(f, "{}", self.machine)?;
        write!(f, "wwwlab {} beside {}", env!("CARGO_PKG_VERSION"), self.versions)
    }
}
