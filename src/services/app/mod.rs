//! The application server: the program behind the web server that makes pages which nobody wrote in advance.
//!
//! It runs a *code base* ([`CodeBase`]: templates and a version, files that can be deployed) against a
//! *database* ([`crate::services::database`]), and speaks HTTP/1.1 only to the web server, which faces the
//! world. It starts whether or not its database answers: pages that need it say 503 until it is back.
//!
//! Reading order: [`App`] listens and drains; `routes` says which request is whose; `asked` is what every
//! request carries and every answer gets; `arriving` is a request's body; `pages` makes the pages; `signing`, `journey` and `accept` are the
//! pure parts; `refusal` is the page of what went wrong.

mod arriving;
mod asked;
mod code_base;
mod health;
mod journey;
mod pages;
mod refusal;
mod routes;
mod server;
mod signing;
#[cfg(test)]
mod tests;

pub use code_base::{CodeBase, CodeBaseError};
pub use server::{App, AppError, Config};
