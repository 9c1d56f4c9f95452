//! Which parts of a representation are asked for (RFC 9110 §14). Pure.
//!
//! A set of ranges is a cheap way to ask for much: thousands of overlapping ones in a kilobyte of header. So only
//! [`RANGES_MOST`] are given, beyond which the whole is sent (§14.2 lets it), and those that overlap or touch become
//! one (§15.3.7.2): what is sent is never much more than the whole.

use hyper::header::{HeaderMap, RANGE};

/// Ranges in one request.
const RANGES_MOST: usize = 16;

/// Some bytes in a row; one at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The first, counted from 0.
    pub(super) from: u64,
    /// The one after the last.
    pub(super) to: u64,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All: there is no Range, or one that nobody has to understand.
    Whole,
    /// These, in this order; one at least, no two with a byte in common.
    Spans(Vec<Span>),
    /// Nothing that there is.
    Nothing,
}

impl Span {
    /// How many bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// Whether the two overlap, or one begins where the other ends.
    fn touches(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// What a GET with these headers asks for of a representation of `length` bytes.
pub(super) fn asked(headers: &HeaderMap, length: u64) -> Asked {
    let mut fields = headers.get_all(RANGE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Asked::Whole;
    };
    field.to_str().map_or(Asked::Whole, |field| in_field(field, length))
}

fn in_field(field: &str, length: u64) -> Asked {
    let Some((unit, set)) = field.split_once('=') else {
        return Asked::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let specs = set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty());
    let (mut spans, mut count) = (Vec::new(), 0);
    for spec in specs {
        count += 1;
        match one(spec, length) {
            _ if count > RANGES_MOST => return Asked::Whole,
            None => return Asked::Whole,
            // No Content-Range can say that all of nothing is sent, so it is sent as it is.
            Some(One::WholeOfNothing) => return Asked::Whole,
            Some(One::Absent) => {}
            Some(One::Span(span)) => add(&mut spans, span),
        }
    }
    match (count, spans.is_empty()) {
        (0, _) => Asked::Whole,
        (_, true) => Asked::Nothing,
        (_, false) => Asked::Spans(spans),
    }
}

/// What one range comes to.
enum One {
    Span(Span),
    /// It begins behind the end.
    Absent,
    /// The last bytes of what has none.
    WholeOfNothing,
}

/// `0-499`, `500-` or `-500`; nothing where it is malformed (§14.1.1).
fn one(spec: &str, length: u64) -> Option<One> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(match (suffix, length) {
            (0, _) => One::Absent,
            (_, 0) => One::WholeOfNothing,
            _ => One::Span(Span { from: length.saturating_sub(suffix), to: length }),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    let span = Span { from: first, to: last.saturating_add(1).min(length) };
    Some(if first < length { One::Span(span) } else { One::Absent })
}

/// A number of any size; beyond 2^64 it is as good as infinite.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// Adds `span`; those that it touches become one with it, at the place of the first of them.
fn add(spans: &mut Vec<Span>, mut span: Span) {
    let mut place = None;
    let mut at = 0;
    while let Some(known) = spans.get(at) {
        if known.touches(&span) {
            span = Span { from: known.from.min(span.from), to: known.to.max(span.to) };
            spans.remove(at);
            place = Some(place.map_or(at, |place: usize| place.min(at)));
            // It may touch now what it did not before.
            at = 0;
        } else {
            at += 1;
        }
    }
    spans.insert(place.unwrap_or(spans.len()), span);
}

#[cfg(test)]
mod tests;
