//! Numbers that the user sets in the environment.

use std::env;
use std::ops::RangeInclusive;

use super::trouble::Trouble;

/// The number in `variable`, which must be within `range`; without it, `default`.
pub(crate) fn from(variable: &'static str, range: RangeInclusive<u32>, default: u32) -> Result<u32, Trouble> {
    let Some(written) = env::var_os(variable) else {
        return Ok(default);
    };
    let number = written.to_str().and_then(|written| written.parse().ok());
    number.filter(|number| range.contains(number)).ok_or(Trouble::Number { variable, range, written })
}
