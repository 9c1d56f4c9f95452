//! The page that both stacks show: what their guestbooks hold, and what makes an answer the right one.

/// The five newest entries of both guestbooks, the newest last: name and message.
pub(crate) const ENTRIES: [(&str, &str); 5] = [
    ("Ada", "The first page that I saw made for me alone."),
    ("Grace", "Found it by name, without knowing the address."),
    ("Paul", "The name server answered before I had finished typing."),
    ("Radia", "Every packet found its way."),
    ("Tim", "Vague, but exciting: a page that counts its visitors."),
];

/// The dynamic page's own words, which no static or error page has.
const WORDS: [&str; 2] = ["<h1>You found www.foobar.com</h1>", "<strong class=\"counter\">"];

/// Whether this is the right page: a 200, made by the application for this visit with all entries from the
/// database, whose time is told. If not, why not.
pub(crate) fn right(answer: &str) -> Result<(), String> {
    let first_line = answer.lines().next().unwrap_or("nothing");
    if !first_line.starts_with("HTTP/1.1 200 ") {
        return Err(first_line.to_owned());
    }
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Err("an answer without an end of its head".to_owned());
    };
    let head = head.to_ascii_lowercase();
    if !head.lines().any(|line| line.starts_with("server-timing:") && line.contains("db;dur=")) {
        return Err("a page without the database's time in Server-Timing".to_owned());
    }
    let entries = ENTRIES.iter().flat_map(|(name, message)| [name, message]);
    match WORDS.iter().chain(entries).find(|words| !body.contains(**words)) {
        Some(missing) => Err(format!("a page without {missing:?}")),
        // In chunks, it is not the body's last word.
        None if !body.contains("</html>") => Err("a page cut short".to_owned()),
        None => Ok(()),
    }
}
