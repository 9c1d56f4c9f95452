//! What is counted and measured: the numbers themselves, and how they are told to others (the Prometheus text format 0.0.4).
//!
//! A service counts in plain atomics in fixed memory and tells a snapshot of them over its channel; the supervisor joins
//! those of all and writes the text. The library for this, `prometheus-client`, has neither half: it tells text
//! alone, which the supervisor would have to read again, and its families look up their labels behind a lock. What is left
//! to write is small: [`family`] what is told, [`histogram`] how long things took, [`pace`] how many a second, and
//! [`text`] how it is written.

pub mod family;
pub mod histogram;
pub mod pace;
pub mod text;

pub use family::{Family, Kind, Sample, Value};
pub use histogram::{Distribution, Histogram};
pub use pace::Pace;
