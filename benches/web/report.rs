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

/// What is promised of the ratio of our median to nginx's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Promise {
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

    fn summary(&self, product: Product) -> Option<Summary> {
        Summary::of(&self.numbers[product as usize])
    }

    /// The median of `product` for each one of nginx's.
    fn ratio(&self, product: Product) -> Option<f64> {
        Some(self.summary(product)?.median / self.summary(Product::Nginx)?.median)
    }

    fn cells(&self) -> [String; 8] {
        let number = |product| {
            self.summary(product)
                .map_or_else(|| "–".to_owned(), |all| format!("{:.*}", self.digits, all.median))
        };
        let ratio = self.ratio(Product::Wwwlab);
        let (target, met) = match self.promise {
            Promise::Most(most) => (format!("≤ {most}"), ratio.map(|is| is <= most)),
            Promise::Nothing => ("–".to_owned(), None),
        };
        let shown = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        [
            self.what.clone(),
            number(Product::Wwwlab),
            number(Product::Lab),
            number(Product::Nginx),
            shown(ratio),
            shown(self.ratio(Product::Lab)),
            target,
            met.map_or("–", |met| if met { "yes" } else { "missed" }).to_owned(),
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
        let head = ["what", "wwwlab", "in a lab", "nginx", "ratio", "in a lab", "target", "met"];
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
