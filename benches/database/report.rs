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
    pub(crate) turns: u32,
    pub(crate) machine: String,
    pub(crate) versions: String,
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

fn cells(row: &Row) -> [String; 7] {
    let both = row.median(Product::Wwwlab).zip(row.median(Product::Peers));
    let ratio = row.ratio(Product::Wwwlab, Product::Peers);
    let (target, is_kept) = match row.promise {
        Promise::Least(least) => (format!("≥ {least}"), ratio.map(|is| is >= least)),
        Promise::Most(most) => (format!("≤ {most}"), ratio.map(|is| is <= most)),
        Promise::Beyond(most) => {
            (format!("≤ theirs + {most}"), both.map(|(ours, theirs)| ours - theirs <= most))
        }
        Promise::Nothing => (nothing(), None),
    };
    [
        row.what.clone(),
        row.cell(Product::Wwwlab),
        row.cell(Product::Peers),
        times(ratio),
        target,
        kept(is_kept),
        row.cell(Product::Embedded),
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["the dynamic page", "wwwlab", "peers", "ratio", "target", "met", "wwwlab, SQLite"];
        let mut table = Table::new(head);
        for row in &self.rows {
            table.row(cells(row));
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
