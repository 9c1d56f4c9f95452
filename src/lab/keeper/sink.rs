//! Where the events of a service go.

use std::sync::{Arc, Mutex, PoisonError};

use crate::ground::channel::Report;
use crate::ground::event::{Event, Happened, Moment};
use crate::lab::hosts::ServiceName;
use crate::lab::journal::{Entry, Journal};
use crate::lab::log::Log;

/// Hears every event of a service: writes it to the service's log and gives it to the journal.
#[derive(Debug, Clone)]
pub struct Sink {
    log: Arc<Mutex<Log>>,
    service: ServiceName,
    journal: Journal,
}

impl Sink {
    /// Events of `service` go to `log` and to `journal`.
    pub(in crate::lab) fn new(service: ServiceName, log: Log, journal: Journal) -> Self {
        Self { log: Arc::new(Mutex::new(log)), service, journal }
    }

    /// Hears `what`, which happened `when`.
    pub fn hear(&self, when: Moment, what: Happened) {
        let (host, service) = (self.service.host().as_str().into(), self.service.as_str().into());
        let entry = Entry::of(Event { when, host, service, what });
        self.log().write(&entry.event, &entry.json);
        self.journal.hear(entry);
    }

    /// Hears that the service is in `state` now.
    pub(super) fn state(&self, state: &str, detail: impl Into<String>) {
        self.hear(Moment::now(), Happened::State { state: state.into(), detail: detail.into() });
    }

    pub(super) fn report(&self, report: Report) {
        if let Report::Happened { when, what } = report {
            self.hear(when, what);
        }
    }

    pub(super) fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
