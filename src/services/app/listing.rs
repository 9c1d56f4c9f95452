//! Which entries a request asks for, and the links to those before and after them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::asked::Asked;
use super::refusal::Refusal;
use super::routes::Application;
use crate::services::database::{Page, Place, SEARCH_LONGEST};

/// Entries of one answer at most.
pub(super) const LIMIT_MOST: u32 = 50;

/// Text of one answer's entries at most, in bytes, where they are given whole; one entry is given whatever its length.
const TEXT_MOST: usize = 256 * 1024;

/// What a query may say.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Sought {
    /// What entries should have in them.
    #[serde(default)]
    pub(super) search: String,
    /// Only entries older than this one.
    pub(super) before: Option<i64>,
    /// Only entries newer than this one; passed over where there is `before`.
    pub(super) after: Option<i64>,
    /// So many at most.
    pub(super) limit: Option<u32>,
}

/// What is listed.
#[derive(Debug)]
pub(super) struct Listing {
    /// What entries have in them; any where it is empty.
    pub(super) search: String,
    place: Place,
    limit: u32,
    limit_is_own: bool,
}

impl Listing {
    /// What `sought` means, so many a page where it does not say.
    pub(super) fn of(sought: Sought, usual: u32) -> Result<Self, Refusal> {
        let search = sought.search.trim().to_owned();
        if search.chars().count() > SEARCH_LONGEST {
            return Err(Refusal::Unfit(format!(
                "What is searched for is longer than {SEARCH_LONGEST} characters."
            )));
        }
        let place = match (sought.before, sought.after) {
            (None, None) => Place::Newest,
            (Some(id), _) => Place::Before(id),
            (None, Some(id)) => Place::After(id),
        };
        let limit = sought.limit.unwrap_or(usual);
        if !(1..=LIMIT_MOST).contains(&limit) {
            return Err(Refusal::Unfit(format!("The limit is a number from 1 to {LIMIT_MOST}.")));
        }
        Ok(Self { search, place, limit, limit_is_own: sought.limit.is_some() })
    }

    /// The entries.
    pub(super) async fn find(&self, application: &Application, asked: &Asked) -> Result<Page, Refusal> {
        let finding = application.store().page(self.place, &self.search, self.limit);
        application.heard(asked.database(finding).await)
    }

    /// The same without what goes beyond [`TEXT_MOST`], but for the newest of them; the link to what is older leads on.
    pub(super) fn shortened(mut found: Page) -> Page {
        let mut bytes = 0;
        let fits = found.entries.iter().take_while(|entry| {
            bytes += entry.name.len() + entry.message.len();
            bytes <= TEXT_MOST
        });
        let fits = fits.count().max(1);
        if fits < found.entries.len() {
            found.entries.truncate(fits);
            found.older = found.entries.last().map(|last| Place::Before(last.id));
        }
        found
    }

    /// The link to the same listing at `path` from another place.
    pub(super) fn link(&self, path: &str, place: Place) -> String {
        let mut query = Vec::new();
        if !self.search.is_empty() {
            query.push(format!("search={}", utf8_percent_encode(&self.search, NON_ALPHANUMERIC)));
        }
        match place {
            Place::Newest => {}
            Place::Before(id) => query.push(format!("before={id}")),
            Place::After(id) => query.push(format!("after={id}")),
        }
        if self.limit_is_own {
            query.push(format!("limit={}", self.limit));
        }
        if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::database::Entry;

    #[test]
    fn a_link_leads_to_the_same_listing_elsewhere() {
        let sought = Sought { search: " a&b ü".into(), limit: Some(3), ..Sought::default() };
        let listing = Listing::of(sought, 20).unwrap();
        assert_eq!(listing.link("/x", Place::Before(7)), "/x?search=a%26b%20%C3%BC&before=7&limit=3");
        let listing = Listing::of(Sought::default(), 20).unwrap();
        assert_eq!(listing.link("/x", Place::Newest), "/x");
    }

    #[test]
    fn a_page_of_long_entries_is_cut_and_goes_on_behind_the_last() {
        let entry = |id, length| Entry {
            id,
            name: String::new(),
            message: "x".repeat(length),
            written_at: 0,
            edited_at: None,
            owner: None,
        };
        let page = |length, count| Page {
            entries: (1..=count).rev().map(|id| entry(id, length)).collect(),
            ..Page::default()
        };
        let cut = Listing::shortened(page(TEXT_MOST / 4, 6));
        assert_eq!((cut.entries.len(), cut.older), (4, Some(Place::Before(3))));
        let one = Listing::shortened(page(TEXT_MOST + 1, 2));
        assert_eq!((one.entries.len(), one.older), (1, Some(Place::Before(2))));
        assert_eq!(Listing::shortened(page(10, 50)), page(10, 50));
        assert_eq!(Listing::shortened(Page::default()), Page::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for sought in [
            Sought { limit: Some(0), ..Sought::default() },
            Sought { limit: Some(LIMIT_MOST + 1), ..Sought::default() },
            Sought { search: "x".repeat(SEARCH_LONGEST + 1), ..Sought::default() },
        ] {
            assert!(matches!(Listing::of(sought, 20), Err(Refusal::Unfit(_))));
        }
    }
}
