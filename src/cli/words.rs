//! Small things that several commands say in the same words.

use crate::ground::clock;

/// `text` with control characters made visible: names and targets come from strangers, and a terminal obeys.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' => '\n',
            control if control.is_control() => '\u{FFFD}',
            other => other,
        })
        .collect()
}

/// `until 2026-12-22T05:00:00Z, 29 days from now`.
pub(super) fn validity(until: u64, now: u64) -> String {
    let at = clock::rfc3339(until.saturating_mul(1000));
    let at = format!("{}Z", at.get(..19).unwrap_or(&at));
    let days = |seconds: u64| match seconds / 86_400 {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    match until.checked_sub(now) {
        Some(left) => format!("until {at}, {} from now", days(left)),
        None => format!("until {at}, {} ago", days(now - until)),
    }
}
