//! Measuring: what a lab can bear, as numbers and pictures for a report.
//!
//! It drives the lab from outside, over the same sockets as any client, and computes; what it drives it is told as values.

pub mod downtime;
