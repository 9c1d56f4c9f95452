//! The guestbook's entries: listed, searched, signed, edited, deleted.
//!
//! Pages are found by key, not by count: "the twenty before entry 4711" is read from the index wherever it is, and
//! is the same page after somebody signed, while OFFSET counts through all that it skips and shifts meanwhile.
//!
//! Every value is a parameter of its statement, never a part of its text.

use super::act::{Act, Changing};
use super::connection::{Connection, Row};
use super::error::StoreError;
use super::search;
use super::store::Store;
use crate::ground::clock;

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
        let most = most.clamp(1, PAGE_LONGEST);
        self.database.within_time(Paging { place, search, most }).await
    }

    /// The entry with this number, if there is one.
    pub async fn entry(&self, id: i64) -> Result<Option<Entry>, StoreError> {
        self.database.with(&Finding(id)).await
    }

    /// Writes an entry as of now and returns it. When this returns, the entry is on the disk.
    pub async fn sign(&self, name: &str, message: &str, owner: Option<i64>) -> Result<Entry, StoreError> {
        let written_at = clock::unix_millis();
        let insert = "INSERT INTO entries (name, message, written_at, owner) VALUES (?, ?, ?, ?)";
        let values = [name.into(), message.into(), millis(written_at).into(), owner.into()];
        let id = self.database.with(&Changing(insert, &values)).await?.id;
        Ok(Entry {
            id,
            name: name.to_owned(),
            message: message.to_owned(),
            written_at,
            edited_at: None,
            owner,
        })
    }

    /// Gives entry `id` another message, if it belongs to the account `owner`; returns it as it is then.
    pub async fn edit(&self, id: i64, owner: i64, message: &str) -> Result<Changed<Entry>, StoreError> {
        let now = millis(clock::unix_millis());
        let update = "UPDATE entries SET message = ?, edited_at = ? WHERE id = ? AND owner = ?";
        let values = [message.into(), now.into(), id.into(), owner.into()];
        self.database.with(&Editing { id, update: Changing(update, &values) }).await
    }

    /// Deletes entry `id`, if it belongs to the account `owner`.
    pub async fn delete(&self, id: i64, owner: i64) -> Result<Changed, StoreError> {
        self.database.with(&Deleting { id, owner }).await
    }

    /// Deletes entries of no account that have this name and this message, a thousand at most; how many it deleted.
    pub async fn forget(&self, name: &str, message: &str) -> Result<u64, StoreError> {
        self.database.with(&DeletingSome { name, message }).await
    }
}

/// Reads one page.
struct Paging<'a> {
    place: Place,
    search: &'a str,
    most: u32,
}

impl Act for Paging<'_> {
    type Done = Page;

    const ONLY_READS: bool = true;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<Page> {
        let Self { place, search, most } = *self;
        match place {
            Place::Newest => {
                let page = page(connection, false, i64::MAX, search, most).await?;
                Ok(Page { newer: None, ..page })
            }
            Place::Before(bound) => page(connection, false, bound, search, most).await,
            Place::After(bound) => page(connection, true, bound, search, most).await,
        }
    }
}

/// Reads one entry.
struct Finding(i64);

impl Act for Finding {
    type Done = Option<Entry>;

    const ONLY_READS: bool = true;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<Option<Entry>> {
        entry(connection, self.0).await
    }
}

/// Changes an entry, and reads it as it is then.
struct Editing<'a> {
    id: i64,
    update: Changing<'a>,
}

impl Act for Editing<'_> {
    type Done = Changed<Entry>;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<Changed<Entry>> {
        connection.begin().await?;
        let done = async {
            let done = self.update.on(connection).await?;
            // Nobody else changes it before this is over.
            let entry = entry(connection, self.id).await?;
            Ok(changed(done.rows, entry.is_some(), entry))
        };
        let done = done.await;
        connection.end(done).await
    }
}

/// Deletes an entry.
struct Deleting {
    id: i64,
    owner: i64,
}

impl Act for Deleting {
    type Done = Changed;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<Changed> {
        let delete = "DELETE FROM entries WHERE id = ? AND owner = ?";
        let done = connection.change(delete, &[self.id.into(), self.owner.into()]).await?;
        let is_there = done.rows == 0 && entry(connection, self.id).await?.is_some();
        Ok(changed(done.rows, is_there, Some(())))
    }
}

/// Entries that one statement deletes: so many are done before anybody has to wait for long.
const DELETED_MOST: i64 = 1_000;

/// Deletes some of the entries that somebody signed who has no account.
struct DeletingSome<'a> {
    name: &'a str,
    message: &'a str,
}

impl Act for DeletingSome<'_> {
    type Done = u64;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<u64> {
        // By a table of its own, since MySQL limits no sub-query of IN, and SQLite no DELETE.
        let delete = "DELETE FROM entries WHERE id IN (SELECT id FROM (SELECT id FROM entries WHERE name = ? AND message = ? \
             AND owner IS NULL ORDER BY id DESC LIMIT ?) AS some)";
        let values = [self.name.into(), self.message.into(), DELETED_MOST.into()];
        Ok(connection.change(delete, &values).await?.rows)
    }
}

async fn page(
    connection: &mut Connection,
    backwards: bool,
    bound: i64,
    search: &str,
    most: u32,
) -> sqlx::Result<Page> {
    // The first that the search does not look at; without one there is no need to know.
    let unseen: Option<i64> = if search.is_empty() {
        None
    } else {
        let border = if backwards {
            "SELECT id FROM entries WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
        } else {
            "SELECT id FROM entries WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?"
        };
        let row = connection.row(border, &[bound.into(), SEARCHED_MOST.into()]).await?;
        row.map(|row| row.get("id")).transpose()?
    };
    let end = unseen.unwrap_or(if backwards { i64::MAX } else { i64::MIN });
    // One more than is shown tells whether there are others.
    let fetched = i64::from(most) + 1;
    let pattern = search::pattern(connection, search);
    let pattern = pattern.as_str().into();
    let values = [
        bound.into(),
        end.into(),
        i64::from(!search.is_empty()).into(),
        pattern,
        SEARCHED_LONGEST.into(),
        pattern,
        fetched.into(),
    ];
    let rows = connection.rows(search::listing(connection, backwards), &values).await?;
    let mut entries = rows.iter().map(read).collect::<sqlx::Result<Vec<_>>>()?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let more = entries.len() > most;
    entries.truncate(most);
    if backwards {
        entries.reverse();
    }
    // On the side that was come from there is at least the entry that was named, or was when it was named.
    let (is_older, is_newer) = if backwards { (true, more) } else { (more, true) };
    let mut page = Page {
        older: entries.last().filter(|_| is_older).map(|last| Place::Before(last.id)),
        newer: entries.first().filter(|_| is_newer).map(|first| Place::After(first.id)),
        entries,
    };
    // Where the page is full, the search did not come so far.
    match unseen.filter(|_| !more) {
        Some(id) if backwards => page.newer = Some(Place::After(id.saturating_sub(1))),
        Some(id) => page.older = Some(Place::Before(id.saturating_add(1))),
        None => {}
    }
    Ok(page)
}

async fn entry(connection: &mut Connection, id: i64) -> sqlx::Result<Option<Entry>> {
    let select = "SELECT id, name, message, written_at, edited_at, owner FROM entries WHERE id = ?";
    connection.row(select, &[id.into()]).await?.as_ref().map(read).transpose()
}

/// What a change came to that touched so many `rows` of an entry, which `is_there` or not.
fn changed<T>(rows: u64, is_there: bool, now: Option<T>) -> Changed<T> {
    match now {
        Some(now) if rows > 0 => Changed::Done(now),
        _ if is_there => Changed::NotYours,
        _ => Changed::Absent,
    }
}

fn read(row: &Row) -> sqlx::Result<Entry> {
    let edited_at: Option<i64> = row.get("edited_at")?;
    Ok(Entry {
        id: row.get("id")?,
        name: row.get("name")?,
        message: row.get("message")?,
        written_at: u64::try_from(row.get::<i64>("written_at")?).unwrap_or(0),
        edited_at: edited_at.map(|at| u64::try_from(at).unwrap_or(0)),
        owner: row.get("owner")?,
    })
}

/// Milliseconds as the tables have them.
pub(super) fn millis(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
