//! The database: where the guestbook is kept when nobody is looking.
//!
//! The embedded engine (SQLite) is a library inside the application server and a file beside it: it has no
//! process, no port and no password. So the path's last step is a function call here, not a connection, and
//! "stopping the database" has to be done the way SQLite allows: see [`withhold`].
//!
//! The application knows only [`Store`] and [`StoreError`]. What is SQLite's own, from its locks to its
//! dialect, stays in `sqlite` and `schema`; `entries` and `accounts` keep to SQL that other engines know, so that another engine can stand behind the same few words.

mod accounts;
mod entries;
mod error;
mod hits;
mod schema;
mod sqlite;
mod store;
#[cfg(test)]
mod tests;
pub mod withhold;

pub use accounts::{Account, Session};
pub use entries::{Changed, Entry, Page, Place, SEARCH_LONGEST};
pub use error::StoreError;
pub use store::{Engine, Store};
