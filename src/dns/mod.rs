//! What the DNS services and the commands compute with: names, messages, zone files, zones.
//!
//! In reading order:
//!
//! 1. [`name`]: domain names, in the form in which they travel.
//! 2. [`types`]: the registries: record types, response codes.
//! 3. [`rdata`]: which fields the data of each type has: one table for reading, checking, showing, compressing.
//! 4. [`message`]: questions and answers as bytes.
//! 5. [`master`]: zone files as students write them, with every problem's place.
//! 6. [`zone`]: a zone compiled for answering: immutable, small, found by hash.
//!
//! Everything here is a pure computation but for reading zone files; no socket, no clock.

pub mod master;
pub mod message;
pub mod name;
pub mod rdata;
pub mod types;
pub mod zone;
