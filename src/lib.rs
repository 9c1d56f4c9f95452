//! wwwlab: the simple web stack at www.foobar.com, whole, on one machine.
//!
//! The parts, in the order in which a request meets them:
//!
//! 1. [`cli`]: what the user types, and the only part that prints.
//! 2. [`path`]: one request's whole way, told from what its client saw and the services told.
//! 3. [`capture`]: its packets: what one says, and the file of many.
//! 4. [`measure`]: what users notice: of a part taken away, of a change, of a load.
//! 5. [`lab`]: what is around the path: which hosts and services there are, their processes, their control.
//! 6. [`services`]: **the path**, one folder per service: resolver → authoritative → web → app → database.
//! 7. [`dns`]: names, messages and zone files: what the DNS services and the commands compute with.
//! 8. [`ground`]: what everything stands on: events, the channel between processes, sockets, clock, chance.
//!
//! A part imports only from those below it; `lab` and `services` never import each other: they meet over
//! sockets, arguments and the channel. `tests/architecture.rs` holds that.

// A page waits for the database through futures within futures, deeper than the compiler follows by itself.
#![recursion_limit = "256"]

pub mod capture;
pub mod cli;
pub mod dns;
pub mod ground;
pub mod lab;
pub mod measure;
pub mod path;
pub mod services;
