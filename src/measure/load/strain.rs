//! What was full: from what was seen of the lab's processes while a load was on, which of its resources had no more to give.
//!
//! Each service is one event loop, so one processor is all that it can use: at nearly a whole one, it is the service that is
//! full, however many processors the machine has.

use std::fmt;

use serde::Serialize;

use super::counted::Counted;

/// As much of a processor is nearly a whole one, in percent: the kernel counts it in ticks, and a busy machine has others.
const WHOLE_PERCENT: f64 = 85.0;
/// As much of all that there is of something else is nearly all.
const ALL_PERCENT: f64 = 95.0;

/// What was seen of the lab while a load was on.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Strain {
    /// Processors of the machine.
    pub processors: usize,
    /// How much of all of them was at work, for whomever, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_percent: Option<f64>,
    /// Each service that has a process.
    pub services: Vec<ServiceStrain>,
    /// Connections of the web server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<Fill>,
    /// The application's connections to its database, and how much of the time they were in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

/// One service's process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceStrain {
    /// The service.
    pub name: String,
    /// Share of one processor, in percent.
    pub cpu_percent: f64,
    /// Descriptors that it had open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<Fill>,
}

/// How much of something was used, and how much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// The most that were used.
    pub used: u64,
    /// How many there may be.
    pub limit: u64,
}

/// The application's connections to its database.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pool {
    /// How many there may be.
    pub connections: u64,
    /// Of their time, as much was in use, in percent.
    pub used_percent: f64,
}

/// Something that was full.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Full {
    /// The generator itself: what was measured is its own limit.
    Generator {
        /// Share of one processor that it used, in percent.
        percent: f64,
    },
    /// Descriptors of a service.
    Descriptors {
        /// Which.
        service: String,
        /// How many.
        #[serde(flatten)]
        fill: Fill,
    },
    /// Connections of the web server.
    Connections {
        /// How many.
        #[serde(flatten)]
        fill: Fill,
    },
    /// The application's connections to its database.
    DatabasePool {
        /// How many, and how much in use.
        #[serde(flatten)]
        pool: Pool,
    },
    /// The processor that a service runs on.
    Processor {
        /// Which.
        service: String,
        /// Share of one processor, in percent.
        percent: f64,
    },
    /// All processors of the machine together.
    Processors {
        /// How much of all of them was at work, in percent.
        percent: f64,
        /// As much of that for lab and generator.
        lab_percent: f64,
        /// How many there are.
        processors: usize,
    },
}

impl Strain {
    /// What was full while `counted` came of the load, what explains most first.
    pub fn full(&self, counted: &Counted) -> Vec<Full> {
        let mut full = Vec::new();
        if counted.is_generators_fault() {
            full.push(Full::Generator { percent: counted.generator_percent });
        }
        for service in &self.services {
            if let Some(fill) = service.descriptors.filter(|fill| fill.is_full()) {
                full.push(Full::Descriptors { service: service.name.clone(), fill });
            }
        }
        if let Some(fill) = self.connections.filter(|fill| fill.is_full()) {
            full.push(Full::Connections { fill });
        }
        if let Some(pool) = self.pool.filter(|pool| pool.used_percent >= WHOLE_PERCENT) {
            full.push(Full::DatabasePool { pool });
        }
        let mut busy: Vec<&ServiceStrain> =
            self.services.iter().filter(|service| service.cpu_percent >= WHOLE_PERCENT).collect();
        busy.sort_by(|one, other| other.cpu_percent.total_cmp(&one.cpu_percent));
        full.extend(
            busy.into_iter().map(|service| Full::Processor {
                service: service.name.clone(),
                percent: service.cpu_percent,
            }),
        );
        let lab: f64 = self.services.iter().map(|service| service.cpu_percent).sum();
        let lab_percent = (lab + counted.generator_percent) / self.processors.max(1) as f64;
        let percent = self.machine_percent.unwrap_or(0.0).max(lab_percent);
        if percent >= WHOLE_PERCENT {
            full.push(Full::Processors { percent, lab_percent, processors: self.processors });
        }
        full
    }
}

impl Fill {
    fn is_full(self) -> bool {
        self.limit > 0 && self.used as f64 >= self.limit as f64 * ALL_PERCENT / 100.0
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generator { percent } => {
                write!(f, "the generator itself (at {percent:.0} % of a processor): the lab may bear more")
            }
            Self::Descriptors { service, fill } => {
                write!(f, "file descriptors of {service} ({} of {} open)", fill.used, fill.limit)
            }
            Self::Connections { fill } => {
                write!(f, "connections of web ({} of {})", fill.used, fill.limit)
            }
            Self::DatabasePool { pool } => match pool.connections {
                1 => write!(f, "the one connection to the database ({:.0} % of the time)", pool.used_percent),
                many => {
                    write!(
                        f,
                        "the {many} connections to the database ({:.0} % of the time)",
                        pool.used_percent
                    )
                }
            },
            Self::Processor { service, percent } => {
                write!(f, "the processor of {service} ({percent:.0} %)")
            }
            Self::Processors { percent, lab_percent, processors } => {
                let all = if *processors == 1 {
                    "the one processor".into()
                } else {
                    format!("all {processors} processors")
                };
                write!(f, "{all} of this machine ({percent:.0} %, {lab_percent:.0} % for lab and generator)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn service(name: &str, cpu_percent: f64, used: u64) -> ServiceStrain {
        ServiceStrain { name: name.into(), cpu_percent, descriptors: Some(Fill { used, limit: 20 }) }
    }

    #[test]
    fn what_is_full_is_named_and_what_is_not_is_not() {
        let counted = Counted::new(10, Duration::from_secs(1));
        let calm = Strain {
            processors: 4,
            machine_percent: Some(84.0),
            services: vec![service("web", 84.0, 18), service("app", 3.0, 5)],
            connections: Some(Fill { used: 900, limit: 1024 }),
            pool: Some(Pool { connections: 8, used_percent: 84.0 }),
        };
        assert_eq!(calm.full(&counted), []);
        let said =
            |strain: &Strain| -> Vec<String> { strain.full(&counted).iter().map(Full::to_string).collect() };
        let mut strain = calm.clone();
        strain.services[0].cpu_percent = 99.0;
        assert_eq!(said(&strain), ["the processor of web (99 %)"]);
        strain.processors = 1;
        assert_eq!(
            said(&strain)[1],
            "the one processor of this machine (102 %, 102 % for lab and generator)"
        );
        let mut strain = calm.clone();
        strain.machine_percent = Some(97.0);
        assert_eq!(said(&strain), ["all 4 processors of this machine (97 %, 22 % for lab and generator)"]);
        let mut strain = calm.clone();
        strain.services[1].descriptors = Some(Fill { used: 19, limit: 20 });
        assert_eq!(said(&strain), ["file descriptors of app (19 of 20 open)"]);
        let mut strain = calm.clone();
        strain.connections = Some(Fill { used: 1024, limit: 1024 });
        strain.pool = Some(Pool { connections: 1, used_percent: 97.4 });
        assert_eq!(
            said(&strain),
            ["connections of web (1024 of 1024)", "the one connection to the database (97 % of the time)"]
        );
        let mut late = counted.clone();
        late.unsent = 1;
        assert!(matches!(calm.full(&late)[..], [Full::Generator { .. }]));
    }
}
