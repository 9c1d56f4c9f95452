//! The whole lab, as its users meet it: the real executable, the real dig and curl, real sockets and signals.
//!
//! Filed by the path: names, pages, then the life of the lab around them. [`stage`] sets a lab up in a
//! directory of its own, on free ports, so that tests run side by side and beside a lab that is in use.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a failing test shows the lab's logs")]

mod api;
mod apps;
mod asker;
mod backup;
mod bad_days;
mod cables;
mod cache;
mod capture;
mod commands;
mod conversation;
mod crowd;
mod database_faults;
mod death;
mod deploy;
mod dns_privacy;
mod dnssec;
mod downtime;
mod edges;
mod faults;
mod firewall;
mod hosts;
mod https;
mod leaks;
mod life;
mod load;
mod measure_spof;
mod metrics;
mod mysql;
mod names;
mod namespace;
mod nothing_lost;
mod ordinary_user;
mod own_app;
mod pages;
mod path;
mod php;
mod ports;
mod queries;
mod reload;
mod resolver;
mod resolvers;
mod services;
mod shell;
mod spoof;
mod stage;
mod telemetry;
mod terminal;
mod transfer;
mod upstreams;
mod watch;
mod writer;
mod zones;
