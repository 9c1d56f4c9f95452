//! The path: one folder per service, in the order in which a request meets them.
//!
//! Every service is a process of its own (`wwwlab serve NAME`) and keeps the contract of
//! [`crate::ground::service::Service`]. They know nothing of the lab that starts them.

pub mod app;
pub mod authoritative;
pub mod database;
mod faults;
#[cfg(test)]
#[path = "../../tests/mariadb/server.rs"]
mod mariadb;
pub mod private;
pub mod resolver;
pub mod run;
mod streams;
mod tally;
mod tls;
pub mod web;
