//! How much the lab can bear: an open-loop load, raised until what was promised of it breaks.
//!
//! Open loop: requests come at moments that are fixed beforehand, as from a crowd that does not know how the server
//! fares, and each one's time counts from the moment at which it was meant to go out. A tool that waits for an answer before it asks
//! again (`ab`, `wrk`) slows down with the server and hardly asks while that stands still: what it should have
//! measured, it leaves out ("coordinated omission", Gil Tene).
//!
//! In the order of a measurement: [`objective`] is what is promised, [`search`] chooses the rates, [`generator`] makes a load
//! ([`pages`] by HTTP/1.1, [`questions`] by DNS over UDP), [`counted`] is what came of it, [`strain`] names what was full, and
//! [`report`] has it all, for programs, or as a picture ([`svg`]). All but generator, pages and questions is pure.

use std::time::Duration;

pub mod counted;
pub mod generator;
pub mod objective;
mod pages;
pub(in crate::measure) mod questions;
pub mod report;
pub mod search;
pub mod strain;
pub mod svg;

pub use pages::Page;
pub use questions::Question;

/// Requests a second, at most.
pub const RATE_MOST: u32 = 50_000;

/// Connections at a time, at most.
pub const CONNECTIONS_MOST: u16 = 1_000;

/// The time for all measurements of a run, at least and at most.
pub const TIME_LEAST: Duration = Duration::from_secs(1);
/// See [`TIME_LEAST`].
pub const TIME_MOST: Duration = Duration::from_secs(600);

/// How long one rate is held, at least and at most.
pub const STEP_LEAST: Duration = Duration::from_millis(100);
/// See [`STEP_LEAST`].
pub const STEP_MOST: Duration = Duration::from_secs(60);

/// How long an answer is waited for, at least and at most.
pub const PATIENCE_LEAST: Duration = Duration::from_millis(10);
/// See [`PATIENCE_LEAST`].
pub const PATIENCE_MOST: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug, Clone)]
pub enum Aim {
    /// A page, by HTTP/1.1 over connections that are kept.
    Page(Page),
    /// A name, by DNS over UDP.
    Question(Question),
}
