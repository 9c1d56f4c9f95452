//! The guestbook's entries: listed, searched, signed, edited, deleted.
//!
//! Pages are found by key, not by count: "the twenty before entry 4711" is read from the index wherever it is, and
//! is the same page after somebody signed, while OFFSET counts through all that it skips and shifts meanwhile.
//!
//! Every value is a parameter of its statement, never a part of its text.

use std::fmt::Write as _;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::error::StoreError;
use super::store::Store;
use crate::ground::clock;

/// Length of a text to search for at most, in characters; what is beyond it is not looked for.
pub const SEARCH_LONGEST: usize = 100;

/// Entries that one search looks at; where there are more, the rest is another page.
const SEARCHED_MOST: i64 = 1_000;

/// As much of a message is searched, in characters.
const SEARCHED_LONGEST: i64 = 1_000;

/// Entries of one page at most.
const PAGE_LONGEST: u32 = 100;

/// One entry of the guestbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number; later entries have greater ones.
    pub id: i64,
    /// Who signed.
    pub name: String,
    /// What they wrote.
    pub message: String,
    /// When, in milliseconds since the Unix epoch.
    pub written_at: u64,
    /// When its message was last changed, if ever.
    pub edited_at: Option<u64>,
    /// The account it belongs to; nobody's where it was signed without one.
    pub owner: Option<i64>,
}

/// Where a page of entries begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// With the newest.
    #[default]
    Newest,
    /// With the newest of those that are older than this one.
    Before(i64),
    /// So that it ends with the oldest of those that are newer than this one.
    After(i64),
}

/// Some entries, the newest first, and whether there are others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next older page is, if there is one.
    pub older: Option<Place>,
    /// Where the next newer page is, if there is one.
    pub newer: Option<Place>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed<T = ()> {
    /// It is on the disk; what is there now.
    Done(T),
    /// The entry belongs to somebody else, or to nobody.
    NotYours,
    /// There is no such entry.
    Absent,
}

impl Store {
    /// The newest `most` entries (100 at most), the newest first.
    pub async fn newest(&self, most: u32) -> Result<Vec<Entry>, StoreError> {
        Ok(self.page(Place::Newest, "", most).await?.entries)
    }

    /// At most `most` entries (1 to 100) from `place`, of those that have `search` in their name or in the first thousand
    /// characters of their message, or of all where it is empty. Upper and lower case of A to Z are the same.
    ///
    /// A search looks at a thousand entries at a time: a page may have fewer than `most`, or none, and another behind it.
    pub async fn page(&self, place: Place, search: &str, most: u32) -> Result<Page, StoreError> {
        let pattern = pattern(search);
        let most = most.clamp(1, PAGE_LONGEST);
        self.database
            .within_time(move |connection| {
                Box::pin(async move { page(connection, place, &pattern, most).await })
            })
            .await
    }

    /// The entry with this number, if there is one.
    pub async fn entry(&self, id: i64) -> Result<Option<Entry>, StoreError> {
        self.database.with(move |connection| Box::pin(entry(connection, id))).await
    }

    /// Writes an entry as of now and returns it. When this returns, the entry is on the disk.
    pub async fn sign(&self, name: &str, message: &str, owner: Option<i64>) -> Result<Entry, StoreError> {
        let written_at = clock::unix_millis();
        let (name, message) = (name.to_owned(), message.to_owned());
        let entry = Entry { id: 0, name, message, written_at, edited_at: None, owner };
        self.database.with(move |connection| Box::pin(async move { sign(connection, entry).await })).await
    }

    /// Gives entry `id` another message, if it belongs to the account `owner`; returns it as it is then.
    pub async fn edit(&self, id: i64, owner: i64, message: &str) -> Result<Changed<Entry>, StoreError> {
        let (message, now) = (message.to_owned(), millis(clock::unix_millis()));
        self.database
            .with(move |connection| {
                Box::pin(async move {
                    let edit = "UPDATE entries SET message = ?, edited_at = ? WHERE id = ? AND owner = ? \
                                RETURNING id, name, message, written_at, edited_at, owner";
                    let edit = sqlx::query(edit).bind(message).bind(now).bind(id).bind(owner);
                    // All rows, so that the statement has run to its end: only then it is on the disk.
                    let rows = edit.fetch_all(&mut *connection).await?;
                    let edited = rows.first().map(read).transpose()?;
                    changed(connection, id, edited).await
                })
            })
            .await
    }

    /// Deletes entry `id`, if it belongs to the account `owner`.
    pub async fn delete(&self, id: i64, owner: i64) -> Result<Changed, StoreError> {
        self.database
            .with(move |connection| {
                Box::pin(async move {
                    let delete = sqlx::query("DELETE FROM entries WHERE id = ? AND owner = ?");
                    let done = delete.bind(id).bind(owner).execute(&mut *connection).await?;
                    changed(connection, id, (done.rows_affected() > 0).then_some(())).await
                })
            })
            .await
    }
}

/// A LIKE pattern for what has `search` in it, taken literally.
fn pattern(search: &str) -> String {
    let mut pattern = "%".to_owned();
    for character in search.chars().take(SEARCH_LONGEST) {
        // The escape is not a backslash, which some engines read as an escape in any text.
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

async fn page(
    connection: &mut SqliteConnection,
    place: Place,
    pattern: &str,
    most: u32,
) -> sqlx::Result<Page> {
    let (Place::Before(bound) | Place::After(bound)) = place else {
        return Box::pin(page(connection, Place::Before(i64::MAX), pattern, most))
            .await
            .map(|page| Page { newer: None, ..page });
    };
    let backwards = matches!(place, Place::After(_));
    let (statement, border) = if backwards {
        (
            "SELECT id, name, message, written_at, edited_at, owner \
             FROM (SELECT * FROM entries WHERE id > ? ORDER BY id LIMIT ?) AS seen \
             WHERE ? = '%' OR name LIKE ? ESCAPE '!' OR substr(message, 1, ?) LIKE ? ESCAPE '!' \
             ORDER BY id LIMIT ?",
            "SELECT id FROM entries WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?",
        )
    } else {
        (
            "SELECT id, name, message, written_at, edited_at, owner \
             FROM (SELECT * FROM entries WHERE id < ? ORDER BY id DESC LIMIT ?) AS seen \
             WHERE ? = '%' OR name LIKE ? ESCAPE '!' OR substr(message, 1, ?) LIKE ? ESCAPE '!' \
             ORDER BY id DESC LIMIT ?",
            "SELECT id FROM entries WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?",
        )
    };
    // One more than is shown tells whether there are others.
    let fetched = i64::from(most) + 1;
    let is_search = pattern != "%";
    let seen = if is_search { SEARCHED_MOST } else { fetched };
    let query = sqlx::query(statement).bind(bound).bind(seen).bind(pattern).bind(pattern);
    let query = query.bind(SEARCHED_LONGEST).bind(pattern).bind(fetched);
    let rows = query.fetch_all(&mut *connection).await?;
    let mut entries = rows.iter().map(read).collect::<sqlx::Result<Vec<_>>>()?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let more = entries.len() > most;
    entries.truncate(most);
    if backwards {
        entries.reverse();
    }
    // The first that the search did not look at, where it came so far.
    let unseen: Option<i64> = if is_search && !more {
        sqlx::query_scalar(border).bind(bound).bind(SEARCHED_MOST).fetch_optional(connection).await?
    } else {
        None
    };
    // On the side that was come from there is at least the entry that was named, or was when it was named.
    let (is_older, is_newer) = if backwards { (true, more) } else { (more, true) };
    let mut page = Page {
        older: entries.last().filter(|_| is_older).map(|last| Place::Before(last.id)),
        newer: entries.first().filter(|_| is_newer).map(|first| Place::After(first.id)),
        entries,
    };
    match unseen {
        Some(id) if backwards => page.newer = Some(Place::After(id.saturating_sub(1))),
        Some(id) => page.older = Some(Place::Before(id.saturating_add(1))),
        None => {}
    }
    Ok(page)
}

async fn entry(connection: &mut SqliteConnection, id: i64) -> sqlx::Result<Option<Entry>> {
    let statement = "SELECT id, name, message, written_at, edited_at, owner FROM entries WHERE id = ?";
    sqlx::query(statement).bind(id).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

async fn sign(connection: &mut SqliteConnection, entry: Entry) -> sqlx::Result<Entry> {
    let statement = "INSERT INTO entries (name, message, written_at, owner) VALUES (?, ?, ?, ?)";
    let query = sqlx::query(statement).bind(&entry.name).bind(&entry.message);
    let done = query.bind(millis(entry.written_at)).bind(entry.owner).execute(connection).await?;
    Ok(Entry { id: done.last_insert_rowid(), ..entry })
}

/// What a change of entry `id` came to that was `done`, or touched nothing.
async fn changed<T>(connection: &mut SqliteConnection, id: i64, done: Option<T>) -> sqlx::Result<Changed<T>> {
    Ok(match done {
        Some(done) => Changed::Done(done),
        None if entry(connection, id).await?.is_none() => Changed::Absent,
        None => Changed::NotYours,
    })
}

fn read(row: &SqliteRow) -> sqlx::Result<Entry> {
    let edited_at: Option<i64> = row.try_get("edited_at")?;
    Ok(Entry {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        message: row.try_get("message")?,
        written_at: u64::try_from(row.try_get::<i64, _>("written_at")?).unwrap_or(0),
        edited_at: edited_at.map(|at| u64::try_from(at).unwrap_or(0)),
        owner: row.try_get("owner")?,
    })
}

/// Milliseconds as the tables have them.
pub(super) fn millis(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_is_taken_literally() {
        assert_eq!(pattern(""), "%");
        assert_eq!(pattern("100% of_it!"), "%100!% of!_it!!%");
        assert_eq!(pattern(&"x".repeat(300)).len(), SEARCH_LONGEST + 2);
    }
}
