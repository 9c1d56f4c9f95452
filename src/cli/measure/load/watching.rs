//! Watches the lab while a load is on: processors, descriptors, connections, the way to the database.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ground::clock;
use crate::ground::metrics::{Family, Value};
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;
use crate::lab::status::LabStatus;
use crate::lab::usage;
use crate::measure::load::strain::{Fill, Pool, ServiceStrain, Strain};

/// Between two looks at what only the kernel counts.
pub(super) const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// What is watched.
#[derive(Debug)]
pub(super) struct Watching<'a> {
    directory: &'a Directory,
    /// The services that have a process.
    services: Vec<(String, u32)>,
    connections_most: u64,
    pub(super) processors: usize,
}

/// What the lab said at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    at: Instant,
    /// How long processors worked, and how long they were there.
    machine: Option<(u64, u64)>,
    families: Vec<Family>,
}

impl<'a> Watching<'a> {
    /// Of the lab in `directory`, which stands so.
    pub(super) fn new(directory: &'a Directory, status: &LabStatus, connections_most: u32) -> Self {
        let services = status
            .services
            .iter()
            .filter_map(|service| Some((service.name.to_string(), service.condition.pid?)));
        Self {
            directory,
            services: services.collect(),
            connections_most: connections_most.into(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// What it says now.
    pub(super) async fn read(&self) -> Result<Reading, ControlError> {
        match control::ask(self.directory, &Request::Metrics(None)).await? {
            Response::Metrics(families) => {
                Ok(Reading { at: clock::now(), machine: usage::machine(), families })
            }
            _ => Err(ControlError::Strange(self.directory.name())),
        }
    }

    /// The descriptors that each service has open now, beside the most that it had in `most`.
    pub(super) fn look(&self, most: &mut BTreeMap<String, Fill>) {
        for (name, pid) in &self.services {
            if let Some((open, limit)) = usage::descriptors(*pid) {
                let fill = most.entry(name.clone()).or_insert(Fill { used: 0, limit });
                *fill = Fill { used: fill.used.max(open), limit };
            }
        }
    }

    /// What was seen between two readings.
    pub(super) fn strain(
        &self,
        before: &Reading,
        after: &Reading,
        descriptors: &BTreeMap<String, Fill>,
    ) -> Strain {
        let seconds = after.at.saturating_duration_since(before.at).as_secs_f64().max(1e-3);
        let grown = |family: &str, service: &str| {
            let [before, after] = [before, after].map(|reading| value(&reading.families, family, service));
            // Of a process that was started anew, what it has counted since.
            after.map(
                |after| if after < before.unwrap_or(0.0) { after } else { after - before.unwrap_or(0.0) },
            )
        };
        let services = self.services.iter().map(|(name, _)| {
            let cpu = grown("wwwlab_process_cpu_seconds_total", name).unwrap_or(0.0);
            ServiceStrain {
                name: name.clone(),
                cpu_percent: cpu * 100.0 / seconds,
                descriptors: descriptors.get(name).copied(),
            }
        });
        let open = value(&after.families, "wwwlab_connections_open", "web");
        // Each process of the application has a pool of its own: all of them together.
        let apps = || ServiceName::APPS.into_iter().map(ServiceName::as_str);
        let sum = |amounts: &mut dyn Iterator<Item = f64>| amounts.reduce(|all, more| all + more);
        let most = sum(
            &mut apps().filter_map(|app| value(&after.families, "wwwlab_database_connections_most", app))
        );
        let used = "wwwlab_database_connections_used_seconds_total";
        let used = sum(&mut apps().filter_map(|app| grown(used, app)));
        let pool = most.zip(used).filter(|&(most, _)| most >= 1.0);
        let machine =
            before.machine.zip(after.machine).and_then(|((worked, all), (then_worked, then_all))| {
                let all = then_all.checked_sub(all).filter(|&all| all > 0)?;
                Some(then_worked.checked_sub(worked)? as f64 * 100.0 / all as f64)
            });
        Strain {
            processors: self.processors,
            machine_percent: machine,
            services: services.collect(),
            connections: open.map(|open| Fill { used: whole(open), limit: self.connections_most }),
            pool: pool.map(|(most, used)| Pool {
                connections: whole(most),
                used_percent: used * 100.0 / seconds / most,
            }),
        }
    }
}

/// The value of `family` that `service` has told, all its samples together.
fn value(families: &[Family], family: &str, service: &str) -> Option<f64> {
    let samples = families.iter().filter(|known| known.name == family).flat_map(|known| &known.samples);
    let its = samples
        .filter(|sample| sample.labels.iter().any(|(name, value)| name == "service" && value == service));
    let amounts = its.filter_map(|sample| match sample.value {
        Value::Count(count) => Some(count as f64),
        Value::Amount(amount) => Some(amount),
        Value::Times(_) => None,
    });
    amounts.reduce(|all, more| all + more)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small count, told as a number"
)]
fn whole(count: f64) -> u64 {
    count.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::config::Network;

    #[test]
    fn what_grew_is_told_by_time() {
        let directory =
            Directory { root: "/".into(), toml: None, network: Network::Loopback, state: "/".into() };
        let watching = Watching {
            directory: &directory,
            services: vec![("web".into(), 1), ("app".into(), 2)],
            connections_most: 10,
            processors: 2,
        };
        let at = clock::now();
        let reading = |seconds: u64, cpu: f64, used: f64| Reading {
            at: at + Duration::from_secs(seconds),
            machine: Some((seconds * 150, seconds * 200)),
            families: vec![
                Family::counter("wwwlab_process_cpu_seconds_total", "").with(&[("service", "web")], cpu),
                Family::gauge("wwwlab_connections_open", "").with(&[("service", "web")], 7),
                Family::gauge("wwwlab_database_connections_most", "").with(&[("service", "app")], 2),
                Family::counter("wwwlab_database_connections_used_seconds_total", "")
                    .with(&[("service", "app")], used),
            ],
        };
        let fill = Fill { used: 9, limit: 20 };
        let descriptors = [("web".to_owned(), fill)].into();
        let strain = watching.strain(&reading(0, 5.0, 1.0), &reading(4, 8.0, 5.0), &descriptors);
        assert_eq!(strain.machine_percent, Some(75.0));
        assert_eq!(strain.services[0].cpu_percent, 75.0);
        assert_eq!((strain.services[0].descriptors, strain.services[1].descriptors), (Some(fill), None));
        assert_eq!(strain.connections, Some(Fill { used: 7, limit: 10 }));
        assert_eq!(strain.pool, Some(Pool { connections: 2, used_percent: 50.0 }));
        let anew = watching.strain(&reading(0, 5.0, 1.0), &reading(4, 2.0, 0.0), &descriptors);
        assert_eq!(anew.services[0].cpu_percent, 50.0, "of the new process");
    }
}
