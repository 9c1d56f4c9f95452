//! The database: where the guestbook is kept when nobody is looking.
//!
//! The embedded engine (SQLite) is a library inside the application server and a file beside it: it has no
//! process, no port and no password. So the path's last step is a function call here, not a connection, and
//! "stopping the database" has to be done the way SQLite allows: see [`withhold`].
//!
//! The other engine is a server (MariaDB, MySQL): a process with a port, a user and a password, that can be stopped,
//! killed and paused, and is reached over a connection that can break.
//!
//! The application knows only [`Store`] and [`StoreError`], and [`Target`]: which of both it is. What the engines have in
//! common is said to a `connection` from a `pool`: `entries`, `accounts`, `hits`. What is one engine's own, from its locks to
//! its dialect, stays in `sqlite` and `mysql`, in `schema`, and for finding texts in `search`. What a fault makes of a call is in
//! `spoil`. A file is taken away by [`withhold`], a server's tables by `tables`. [`backup`] takes all of it out, and puts it back.

mod accounts;
mod act;
pub mod backup;
mod connection;
mod entries;
mod error;
mod hits;
mod mysql;
mod patience;
mod pool;
mod schema;
mod search;
mod spoil;
mod sqlite;
mod store;
mod tables;
mod target;
#[cfg(test)]
mod tests;
mod url_file;
pub mod withhold;

pub use accounts::{Account, SESSIONS_MOST, Session};
pub use entries::{Changed, Entry, Page, Place};
pub use error::StoreError;
pub use mysql::Server;
pub use search::SEARCH_LONGEST;
pub use store::{Engine, Store};
pub use tables::TablesError;
pub use target::Target;
pub use url_file::UrlFileError;
