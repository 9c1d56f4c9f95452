//! Several numbers as three.

/// The least, the middle and the greatest of some numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// Nothing if there are no numbers.
    pub(crate) fn of(numbers: &[f64]) -> Option<Self> {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(half)?);
        Some(Self { min: *sorted.first()?, median: f64::midpoint(*low, *high), max: *sorted.last()? })
    }
}
