//! The application server: the program behind the web server that makes pages which nobody wrote in advance.
//!
//! It runs a *code base* ([`CodeBase`]: templates and a version, files that can be deployed) against a
//! *database* ([`crate::services::database`]), and speaks HTTP/1.1 only to the web server, which faces the
//! world. It starts whether or not its database answers: pages that need it say 503 until it is back.
//!
//! Reading order: [`App`] listens and drains; `routes` says which request is whose; `asked` is what every
//! request carries and every answer gets; `arriving` and `body` are a request's body; `origin` keeps other sites'
//! pages out. `pages` makes the home page, `book` the guestbook's, `members` those of accounts, and `api` answers
//! programs; what both do is in `deeds`. `session`, `signing` and `journey` are the pure parts; `sessions` is where it is
//! kept who is logged in; `passwords` and
//! `attempts` make guessing costly and rare; `refusal` is the page of what went wrong;
//! `statements` tells what the database is asked.

mod api;
mod arriving;
mod asked;
mod attempts;
mod body;
mod book;
mod code_base;
mod deeds;
mod health;
mod journey;
mod listing;
mod members;
mod origin;
mod pages;
mod passwords;
mod refusal;
mod routes;
mod server;
mod session;
mod sessions;
mod signing;
mod statements;
#[cfg(test)]
mod tests;

pub use code_base::{CodeBase, CodeBaseError};
pub use server::{App, AppError, Config};
pub use sessions::Sessions;
