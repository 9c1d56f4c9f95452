//! What services count of their own work: fixed memory, no locks, so that it may be counted where answers are made.
//!
//! - [`questions`]: of whoever speaks DNS.
//! - [`requests`]: of whoever speaks HTTP.
//! - [`connections`]: of both.
//!
//! It stands apart from the journal, which samples a flood: this leaves nothing out, however much is asked.

pub(super) mod connections;
pub(super) mod questions;
pub(super) mod requests;
