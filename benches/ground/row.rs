//! A row of the result: what was measured of each product, and what is promised of it.

use std::fmt;

use super::summary::Summary;

/// One thing, of each product as often as it was measured, and a promise about it.
#[derive(Debug)]
pub(crate) struct Row<Product, Promise> {
    pub(crate) what: String,
    pub(crate) promise: Promise,
    /// Digits after the point.
    digits: usize,
    /// In the order in which they came.
    numbers: Vec<(Product, f64)>,
}

impl<Product: Copy + PartialEq, Promise> Row<Product, Promise> {
    /// Nothing is measured yet.
    pub(crate) fn new(what: String, digits: usize, promise: Promise) -> Self {
        Self { what, promise, digits, numbers: Vec::new() }
    }

    /// One more measurement.
    pub(crate) fn add(&mut self, product: Product, number: f64) {
        self.numbers.push((product, number));
    }

    /// What was measured of `product`.
    pub(crate) fn summary(&self, product: Product) -> Option<Summary> {
        let its = self.numbers.iter().filter(|(whose, _)| *whose == product);
        Summary::of(&its.map(|(_, number)| *number).collect::<Vec<_>>())
    }

    /// The middle of it.
    pub(crate) fn median(&self, product: Product) -> Option<f64> {
        self.summary(product).map(|summary| summary.median)
    }

    /// The same, for a table.
    pub(crate) fn cell(&self, product: Product) -> String {
        self.median(product).map_or_else(nothing, |median| format!("{median:.*}", self.digits))
    }

    /// How many times the median of `other` that of `product` is.
    pub(crate) fn ratio(&self, product: Product, other: Product) -> Option<f64> {
        Some(self.median(product)? / self.median(other)?)
    }
}

/// A ratio, for a table.
pub(crate) fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(nothing, |ratio| format!("{ratio:.2}"))
}

/// Whether a promise is kept, for a table.
pub(crate) fn kept(is_kept: Option<bool>) -> String {
    is_kept.map_or_else(nothing, |is_kept| if is_kept { "yes" } else { "missed" }.to_owned())
}

/// What stands where there is nothing, in a table.
pub(crate) fn nothing() -> String {
    "–".to_owned()
}

/// As it is told while the bench runs.
impl<Product: Copy + PartialEq + fmt::Display, Promise> fmt::Display for Row<Product, Promise> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.what)?;
        let mut told = Vec::new();
        for (product, _) in &self.numbers {
            if !told.contains(product) {
                told.push(*product);
                if let Some(Summary { min, median, max }) = self.summary(*product) {
                    let digits = self.digits;
                    write!(f, " {product} {median:.digits$} ({min:.digits$} to {max:.digits$})")?;
                }
            }
        }
        Ok(())
    }
}
