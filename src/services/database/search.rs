//! What it means that an entry has a text in it, which is the same with both engines, though they agree on little.
//!
//! The text is there as it was written, character by character: no sign stands for others, an accent is a sign of its own
//! (no normalisation), and only A to Z are the same as a to z. SQLite's LIKE means just that. LIKE of MySQL compares as
//! the collation of the column does: cases of all scripts are the same, or none. So there it is a regular expression, in
//! which every letter of A to Z is named in both cases.

use std::fmt::Write as _;

use super::connection::Connection;

/// Length of a text to search for at most, in characters; what is beyond it is not looked for.
pub const SEARCH_LONGEST: usize = 100;

/// The statement of a page: entries on one side of a bound and within another, and of these only what has a text, if
/// there is one; in the order of their numbers.
macro_rules! listing {
    ($from:literal, $to:literal, $has:literal, $order:literal) => {
        concat!(
            "SELECT id, name, message, written_at, edited_at, owner FROM entries WHERE id ",
            $from,
            " ? AND id ",
            $to,
            " ? AND (? = 0 OR name ",
            $has,
            " OR substr(message, 1, ?) ",
            $has,
            ") ORDER BY id ",
            $order,
            " LIMIT ?"
        )
    };
}

/// The statement of a page, from a bound on to greater numbers (`backwards`) or to smaller ones. Its values: the bound; the
/// other bound; 0 where there is no search; the [pattern]; how much of a message is searched; the pattern; how many.
pub(super) fn listing(connection: &Connection, backwards: bool) -> &'static str {
    match (connection, backwards) {
        (Connection::Sqlite(_), true) => listing!(">", "<", "LIKE ? ESCAPE '!'", "ASC"),
        (Connection::Sqlite(_), false) => listing!("<", ">", "LIKE ? ESCAPE '!'", "DESC"),
        (Connection::MySql(_), true) => listing!(">", "<", "REGEXP ?", "ASC"),
        (Connection::MySql(_), false) => listing!("<", ">", "REGEXP ?", "DESC"),
    }
}

/// What `listing` compares with, for what has `search` in it.
pub(super) fn pattern(connection: &Connection, search: &str) -> String {
    match connection {
        Connection::Sqlite(_) => like(search),
        Connection::MySql(_) => expression(search),
    }
}

/// A LIKE pattern for what has `search` in it, taken literally.
fn like(search: &str) -> String {
    let mut pattern = "%".to_owned();
    for character in search.chars().take(SEARCH_LONGEST) {
        match character {
            '%' | '_' | '!' => _ = write!(pattern, "!{character}"),
            // For the engine a pattern would end here, and match everything; no entry has one.
            '\0' => pattern.push(char::REPLACEMENT_CHARACTER),
            _ => pattern.push(character),
        }
    }
    if !search.is_empty() {
        pattern.push('%');
    }
    pattern
}

/// A regular expression for the same. A backslash takes any sign of ASCII that is neither letter nor digit literally, with
/// PCRE (MariaDB) and ICU (MySQL) alike.
fn expression(search: &str) -> String {
    let mut pattern = String::new();
    for character in search.chars().take(SEARCH_LONGEST) {
        match character {
            'A'..='Z' | 'a'..='z' => {
                let (small, great) = (character.to_ascii_lowercase(), character.to_ascii_uppercase());
                let _ = write!(pattern, "[{small}{great}]");
            }
            '\0' => pattern.push(char::REPLACEMENT_CHARACTER),
            _ if character.is_ascii_punctuation() => _ = write!(pattern, "\\{character}"),
            _ => pattern.push(character),
        }
    }
    // An empty one is an error in MySQL.
    if pattern.is_empty() { "^".into() } else { pattern }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_is_taken_literally() {
        assert_eq!(like(""), "%");
        assert_eq!(like("100% of_it!"), "%100!% of!_it!!%");
        assert_eq!(like(&"x".repeat(300)).len(), SEARCH_LONGEST + 2);
        assert_eq!(expression(""), "^");
        assert_eq!(expression("1% ü.Z\\"), "1\\% ü\\.[zZ]\\\\");
        assert_eq!(expression(&"x".repeat(300)).len(), 4 * SEARCH_LONGEST);
    }
}
