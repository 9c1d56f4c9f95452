//! Where the application listens, and which of its files it serves, while the lab is up: what a deployment changes.
//!
//! Two processes cannot listen at one port, so a new one that is started beside the former (blue-green) has another, and
//! keeps it. One value, put in the place of another whole; it is of one run: the next `up` begins with the decided port and
//! with the release that is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a new version comes into service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The process is ended, and another started: nothing answers in between
    Restart,
    /// The process reads the new files and goes over to them: no request is lost
    #[default]
    Reload,
    /// One of several processes after the other (this lab's application is one: it says so)
    Rolling,
    /// Another process is started beside, and gets all requests once it is well; the former one ends
    BlueGreen,
}

/// Why nothing comes into service by rolling here, and what does instead.
pub const ROLLING: &str = "rolling puts one of several application processes after the other into service, while the others serve: \
    this lab's application is one process. `--how blue-green` starts a second one for as long as it takes";

impl How {
    /// As typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Rolling => "rolling",
            Self::BlueGreen => "blue-green",
        }
    }
}

/// Where it listens, and what it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Its port.
    pub port: u16,
    /// Files that are served instead of the kept release: while they come into service, or are on trial.
    pub code: Option<PathBuf>,
}

/// The one in service.
pub type Held = super::held::Held<Serving>;
