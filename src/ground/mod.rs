//! What everything stands on: events, metrics, the channel between processes, sockets, clock and chance.
//!
//! Nothing here knows what a zone, a page or a lab is. Only this floor reads the clock, draws random
//! numbers and binds sockets, so that a later need (a paused clock, a seed, a namespace) has one place.

pub mod bind;
pub mod chance;
pub mod channel;
pub mod clock;
pub mod connection;
pub mod datagrams;
pub mod descriptors;
pub mod dnssec;
pub mod event;
pub mod explain;
pub mod fault;
pub mod journal;
pub mod lines;
pub mod listeners;
pub mod metrics;
pub mod prefix;
pub mod service;
pub mod tls;
