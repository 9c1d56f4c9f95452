//! What `top` shows: what happened between two readings, and the last sixty of that. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use crate::ground::metrics::{Distribution, Family, Value};
use crate::lab::faults::FaultState;
use crate::lab::hosts::ServiceName;
use crate::lab::status::{LabStatus, ServiceStatus, State};

/// How much is looked back on.
pub(super) const SAMPLES_MOST: usize = 60;

/// What the lab said at one moment.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) status: LabStatus,
    pub(super) families: Vec<Family>,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) lab: String,
    pub(super) network: String,
    /// When the lab came up, in milliseconds since the Unix epoch.
    pub(super) since: u64,
    /// What is wrong on purpose: `cut on client-web`, say.
    pub(super) faults: Vec<String>,
    pub(super) order: Order,
    /// In the order in which a request meets them.
    rows: Vec<Row>,
    last: Option<Instant>,
}

/// By what the rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// As a request meets them.
    #[default]
    Path,
    Pace,
    Latency,
    Processor,
    Memory,
}

impl Order {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Path => "the path",
            Self::Pace => "QPS",
            Self::Latency => "p99",
            Self::Processor => "CPU",
            Self::Memory => "memory",
        }
    }
}

/// One service. What is not known, since there is no process, or one that does not say, is nothing.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: ServiceName,
    pub(super) state: State,
    pub(super) now: Numbers,
    /// The last sixty, the newest first.
    pub(super) past: VecDeque<Numbers>,
    pid: Option<u32>,
    times: Option<Distribution>,
    cpu_millis: Option<u64>,
}

/// What happened between two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Numbers {
    /// Questions or requests that were answered, a second.
    pub(super) per_second: Option<f64>,
    /// The time that half of the answers took at most, in microseconds.
    pub(super) median_micros: Option<u64>,
    /// The time that 99 of 100 took at most.
    pub(super) slowest_micros: Option<u64>,
    /// Share of one processor, in percent.
    pub(super) cpu_percent: Option<f64>,
    /// In bytes.
    pub(super) memory_bytes: Option<u64>,
}

impl Model {
    /// Of a lab with this name, before the first reading.
    pub(super) fn new(lab: String) -> Self {
        let order = Order::default();
        let (network, faults, rows) = (String::new(), Vec::new(), Vec::new());
        Self { lab, network, since: 0, faults, order, rows, last: None }
    }

    /// Takes one reading more.
    pub(super) fn take(&mut self, reading: Reading) {
        let Reading { at, status, families } = reading;
        let seconds = self.last.map(|last| at.saturating_duration_since(last).as_secs_f64());
        let mut all = std::mem::take(&mut self.rows);
        let rows = status.services.iter().map(|service| {
            let place = all.iter().position(|row| row.name == service.name);
            let former = place.map(|place| all.swap_remove(place));
            Row::of(service, times(&families, service.name), former, seconds.filter(|&seconds| seconds > 0.0))
        });
        self.rows = rows.collect();
        let fault = |fault: &FaultState| format!("{} on {}", fault.fault, fault.target());
        self.faults = status.faults.iter().map(fault).collect();
        (self.network, self.since, self.last) = (status.network, status.since, Some(at));
    }

    /// Sorts by the next thing.
    pub(super) fn sort(&mut self) {
        self.order = match self.order {
            Order::Path => Order::Pace,
            Order::Pace => Order::Latency,
            Order::Latency => Order::Processor,
            Order::Processor => Order::Memory,
            Order::Memory => Order::Path,
        };
    }

    /// The rows in their order; by a number the largest first, and what has none last.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        let number = |row: &Row| {
            let number = match self.order {
                Order::Path => None,
                Order::Pace => row.now.per_second,
                Order::Latency => row.now.slowest_micros.map(|micros| micros as f64),
                Order::Processor => row.now.cpu_percent,
                Order::Memory => row.now.memory_bytes.map(|bytes| bytes as f64),
            };
            number.unwrap_or(-1.0)
        };
        rows.sort_by(|one, other| number(other).total_cmp(&number(one)));
        rows
    }
}

impl Row {
    fn of(
        service: &ServiceStatus,
        times: Option<Distribution>,
        former: Option<Self>,
        seconds: Option<f64>,
    ) -> Self {
        let pid = service.condition.pid;
        let cpu_millis = service.usage.map(|usage| usage.cpu_millis);
        let mut now =
            Numbers { memory_bytes: service.usage.map(|usage| usage.memory_bytes), ..Numbers::default() };
        // What another process counted is no beginning for what this one did.
        if let (Some(seconds), Some(former)) = (seconds, former.as_ref().filter(|former| former.pid == pid)) {
            if let (Some(times), Some(before)) = (&times, &former.times) {
                let between = times.since(before);
                now.per_second = Some(between.count() as f64 / seconds);
                now.median_micros = between.percentile_micros(50);
                now.slowest_micros = between.percentile_micros(99);
            }
            if let (Some(cpu), Some(before)) = (cpu_millis, former.cpu_millis) {
                now.cpu_percent = Some(cpu.saturating_sub(before) as f64 / 10.0 / seconds);
            }
        }
        let mut past = former.map(|former| former.past).unwrap_or_default();
        past.push_front(now);
        past.truncate(SAMPLES_MOST);
        Self { name: service.name, state: service.condition.state, now, past, pid, times, cpu_millis }
    }
}

/// How long `service` took for all that it answered, over whatever transport.
fn times(families: &[Family], service: ServiceName) -> Option<Distribution> {
    let families = families.iter().filter(|family| family.name.ends_with("_duration_seconds"));
    let its = families.flat_map(|family| &family.samples).filter(|sample| {
        sample.labels.iter().any(|(name, value)| name == "service" && value == service.as_str())
    });
    let times = its.filter_map(|sample| match &sample.value {
        Value::Times(times) => Some(times.clone()),
        Value::Count(_) | Value::Amount(_) => None,
    });
    times.reduce(|all, more| all.and(&more))
}
