//! The result: one table of promises, kept or missed.

use std::fmt;

use crate::ground::row::{self, kept, nothing, times};
use crate::ground::table::Table;
use crate::server::Product;

/// What one thing took.
pub(crate) type Row = row::Row<Product, Promise>;

/// All that was measured, and on what.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// How it was measured, in words.
    pub(crate) how: String,
    pub(crate) machine: String,
    pub(crate) versions: String,
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

/// How many times as much as in `there` it is `here`, of each product.
pub(crate) fn over(here: &Row, there: &Row, what: String, promise: Promise) -> Row {
    let mut over = Row::new(what, 2, promise);
    for product in Product::ALL {
        if let (Some(here), Some(there)) = (here.median(product), there.median(product)) {
            over.add(product, here / there);
        }
    }
    over
}

fn cells(row: &Row) -> [String; 9] {
    let rival = match row.promise {
        Promise::PartOfNsd(_) => row.median(Product::Nsd),
        Promise::PartOfNamed(_) => row.median(Product::Named),
        _ => [Product::Nsd, Product::Knot]
            .into_iter()
            .filter_map(|product| row.median(product))
            .min_by(f64::total_cmp),
    };
    let ours = row.median(Product::Wwwlab);
    let ratio = ours.zip(rival).map(|(ours, rival)| ours / rival);
    let (target, is_kept) = match row.promise {
        Promise::PartOfBetter(part) => (format!("≤ {part} × the better"), ratio.map(|is| is <= part)),
        Promise::PartOfNsd(part) => (format!("≤ {part} × NSD"), ratio.map(|is| is <= part)),
        Promise::PartOfNamed(part) => (format!("≤ {part} × named"), ratio.map(|is| is <= part)),
        Promise::Most(most) => (format!("≤ {most}"), ours.map(|is| is <= most)),
        Promise::Nothing => (nothing(), None),
    };
    [
        row.what.clone(),
        row.cell(Product::Wwwlab),
        row.cell(Product::Lab),
        row.cell(Product::Nsd),
        row.cell(Product::Knot),
        row.cell(Product::Named),
        times(ratio),
        target,
        kept(is_kept),
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "wwwlab", "in a lab", "NSD", "Knot", "named", "ratio", "target", "met"];
        let mut table = Table::new(head);
        for row in &self.rows {
            table.row(cells(row));
        }
        writeln!(f, "\n{table}")?;
        writeln!(f, "{}\n", self.how)?;
        writeln!(f, "{}", self.machine)?;
        write!(f, "wwwlab {} beside {}", env!("CARGO_PKG_VERSION"), self.versions)
    }
}
