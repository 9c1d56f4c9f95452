//! The result: one table of promises, kept or missed.

use std::fmt;

use crate::ground::row::{self, kept, nothing, times};
use crate::ground::table::Table;
use crate::server::Product;

/// One thing that was measured.
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

/// What is promised of the ratio of our median to nginx's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Promise {
    /// Not more than this.
    Most(f64),
    /// Nothing: it is worth knowing.
    Nothing,
}

fn cells(row: &Row) -> [String; 8] {
    let ratio = row.ratio(Product::Wwwlab, Product::Nginx);
    let (target, is_kept) = match row.promise {
        Promise::Most(most) => (format!("≤ {most}"), ratio.map(|is| is <= most)),
        Promise::Nothing => (nothing(), None),
    };
    [
        row.what.clone(),
        row.cell(Product::Wwwlab),
        row.cell(Product::Lab),
        row.cell(Product::Nginx),
        times(ratio),
        times(row.ratio(Product::Lab, Product::Nginx)),
        target,
        kept(is_kept),
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "wwwlab", "in a lab", "nginx", "ratio", "in a lab", "target", "met"];
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
