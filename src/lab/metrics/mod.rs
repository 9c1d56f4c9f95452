//! What is measured of a lab from outside: whether its services run and what they take of the machine.
//!
//! What a service counts of its own work it tells itself, over its channel; both are put together by the desk. `endpoint` is
//! where collectors come for it.

pub(super) mod endpoint;

use crate::ground::metrics::Family;

use super::status::{LabStatus, State, Usage};

/// What `status` says, as metrics.
pub(super) fn of(status: &LabStatus) -> Vec<Family> {
    let seconds = |millis: u64| millis as f64 / 1e3;
    let mut info = Family::gauge("wwwlab_build_info", "Which version runs the lab; always 1.");
    info = info.with(&[("version", env!("CARGO_PKG_VERSION")), ("network", &status.network)], 1);
    let help = "When the lab came up, in seconds since the Unix epoch.";
    let since = Family::gauge("wwwlab_lab_start_time_seconds", help).with(&[], seconds(status.since));
    let help = "Whether a service runs: 1, or 0 where it is stopped, has failed, starts or stands still.";
    let mut up = Family::gauge("wwwlab_service_up", help);
    let help = "Processor time that its process has used.";
    let mut cpu = Family::counter("wwwlab_process_cpu_seconds_total", help);
    let help = "Memory of its process: the proportional set size, so that sums are true.";
    let mut memory = Family::gauge("wwwlab_process_memory_bytes", help);
    let help = "What it keeps on disk: the database its file, the others their logs.";
    let mut disk = Family::gauge("wwwlab_service_disk_bytes", help);
    for service in &status.services {
        let label = [("service", service.name.as_str())];
        up = up.with(&label, u64::from(service.condition.state == State::Running));
        disk = disk.with(&label, service.disk_bytes);
    }
    let usages = status.services.iter().map(|service| (service.name.as_str(), service.usage));
    for (name, usage) in usages.chain([("supervisor", Some(status.supervisor))]) {
        if let Some(Usage { cpu_millis, memory_bytes }) = usage {
            cpu = cpu.with(&[("service", name)], seconds(cpu_millis));
            memory = memory.with(&[("service", name)], memory_bytes);
        }
    }
    vec![info, since, up, cpu, memory, disk]
}

/// Of `families` what is about `service`.
pub(super) fn only(families: Vec<Family>, service: &str) -> Vec<Family> {
    let is_its = |labels: &[(String, String)]| {
        labels.iter().any(|(name, value)| name == "service" && value == service)
    };
    let mut families = families;
    for family in &mut families {
        family.samples.retain(|sample| is_its(&sample.labels));
    }
    families.retain(|family| !family.samples.is_empty());
    families
}
