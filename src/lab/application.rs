//! Where each process of the application listens, and which of its files it serves, while the lab is up: what a deployment changes.
//!
//! Two processes cannot listen at one port, so a new one that is started beside the former (blue-green) has another, and
//! keeps it. One value, put in the place of another whole; it is of one run: the next `up` begins with the decided port and
//! with the release that is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::hosts::ServiceName;

/// How a new version comes into service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The process is ended, and another started: nothing answers in between
    Restart,
    /// The process reads the new files and goes over to them: no request is lost
    #[default]
    Reload,
    /// One of several processes after the other, while the others serve (`[app] count = 2` in lab.toml)
    Rolling,
    /// Another process is started beside, and gets all requests once it is well; the former one ends
    BlueGreen,
}

/// Why nothing comes into service by rolling where there is one process, and what does instead.
pub const ROLLING: &str = "rolling puts one of several application processes after the other into service, while the others serve: \
    this lab's application is one process. `count = 2` under [app] in lab.toml makes it two, from the next `wwwlab up` on; `--how \
    blue-green` starts a second one for as long as it takes";

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

/// Where a process of it listens, and what it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Its port.
    pub port: u16,
    /// Files that are served instead of the kept release: while they come into service, or are on trial.
    pub code: Option<PathBuf>,
}

/// All of them, in the order of [`ServiceName::APPS`].
#[derive(Debug, Clone)]
pub struct Held(super::held::Held<Vec<Serving>>);

impl Held {
    /// At these ports, one at least, with what is kept.
    pub fn at(ports: impl IntoIterator<Item = u16>) -> Self {
        let serving = ports.into_iter().map(|port| Serving { port, code: None });
        Self(super::held::Held::new(serving.collect()))
    }

    /// All of them.
    pub fn all(&self) -> Vec<Serving> {
        self.0.get()
    }

    /// That of `service`; nothing if this lab has no such process.
    pub fn of(&self, service: ServiceName) -> Option<Serving> {
        self.0.get().into_iter().nth(number(service)?)
    }

    /// Has `service` be so from now on.
    pub fn put(&self, service: ServiceName, serving: Serving) {
        let mut all = self.0.get();
        if let Some(its) = number(service).and_then(|number| all.get_mut(number)) {
            *its = serving;
            self.0.put(all);
        }
    }

    /// Has all serve what is kept, wherever they listen.
    pub fn serve_what_is_kept(&self) {
        let kept = |serving: Serving| Serving { code: None, ..serving };
        self.0.put(self.0.get().into_iter().map(kept).collect());
    }

    /// The same, but apart, and with `service` so.
    pub fn with(&self, service: ServiceName, serving: Serving) -> Self {
        let apart = Self(super::held::Held::new(self.0.get()));
        apart.put(service, serving);
        apart
    }
}

fn number(service: ServiceName) -> Option<usize> {
    ServiceName::APPS.iter().position(|app| *app == service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_serves_is_its_own() {
        let held = Held::at([3000, 3001]);
        let next = Serving { port: 3002, code: Some("v2".into()) };
        let apart = held.with(ServiceName::App2, next.clone());
        assert_eq!(held.of(ServiceName::App2), Some(Serving { port: 3001, code: None }), "it is apart");
        assert_eq!(apart.of(ServiceName::App2), Some(next.clone()));
        held.put(ServiceName::App, next);
        // Who is not there has none, also when it is given one.
        held.put(ServiceName::App3, Serving { port: 1, code: None });
        assert_eq!((held.of(ServiceName::App3), held.of(ServiceName::Web)), (None, None));
        held.serve_what_is_kept();
        let all: Vec<(u16, bool)> = held.all().iter().map(|one| (one.port, one.code.is_some())).collect();
        assert_eq!(all, [(3002, false), (3001, false)]);
    }
}
