//! What is around the path: where a lab lives, which hosts and services it has, their processes and control.
//!
//! Read in this order: [`directory`] and [`config`] (what the user wrote), [`hosts`] and [`design`] (what that makes),
//! [`ports`] (where it can be), [`child`], [`foreign`], `php`, [`database`], [`process`], [`keeper`] and [`supervisor`] (its processes), [`certs`], [`tls`] and [`private`] (how it speaks HTTPS, and how its DNS is asked in private), [`dnssec`] (which zones are signed), [`log`] and [`journal`] (what they tell), [`telemetry`] (and to whom else), [`guard`] (what ends
//! them when the supervisor is killed), [`network`] (machines of their own for the hosts), [`firewall`] (what each lets through), [`control`], `desk` and `watcher` (how commands reach a running lab), [`lease`] (who needs it), [`held`] (a value that is swapped whole), [`hold`] (what a measure takes down, and who brings it back), `metrics` (what collectors are told), [`usage`] and
//! [`holder`] (what the operating system knows), [`faults`] (what is wrong on purpose), [`releases`] (deployed application files), [`doctor`] (what works here), [`builtin`] (the lab to copy).
//!
//! It starts services as processes of the same executable and never calls them: the two meet over arguments,
//! sockets and the channel.

pub mod application;
pub mod builtin;
pub mod certs;
pub mod child;
pub mod config;
pub mod control;
pub mod database;
pub mod design;
mod desk;
pub mod directory;
pub mod dnssec;
pub mod doctor;
pub mod faults;
pub mod firewall;
pub mod foreign;
pub mod guard;
pub mod held;
pub mod hold;
pub mod holder;
pub mod hosts;
pub mod journal;
pub mod keeper;
pub mod lease;
pub mod log;
mod metrics;
pub mod network;
mod php;
pub mod ports;
pub mod private;
pub mod process;
pub mod releases;
pub mod status;
pub mod supervisor;
pub mod telemetry;
pub mod tls;
pub mod usage;
mod watcher;
