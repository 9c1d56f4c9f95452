//! What a measurement says, whole, for programs and for pictures.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::counted::Counted;
use super::objective::{Objective, Quantile};
use super::strain::{Full, Strain};
use crate::ground::clock::whole_micros;

/// All of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Which wwwlab measured.
    pub version: String,
    /// How the lab's hosts are realised.
    pub network: String,
    /// Processors of the machine.
    pub processors: usize,
    /// What was promised.
    pub objective: Objective,
    /// What was measured, one after the other.
    pub runs: Vec<Run>,
}

/// One kind of request, at several rates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// What was asked for: `static`, `dynamic`, `write`, `dns`, `resolver`.
    pub what: String,
    /// The same in full: `GET http://www.foobar.com/about.html`.
    pub asked: String,
    /// Every rate that was tried, in that order.
    pub steps: Vec<Step>,
    /// The highest rate that kept the objective, in requests a second; nothing if none did.
    pub sustained: Option<u32>,
    /// The lowest one that broke it; nothing if none did.
    pub broken: Option<u32>,
    /// Why no higher rate was tried.
    pub ended: Ended,
    /// What was full at the lowest rate that broke it, what explains most first.
    pub full: Vec<Full>,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The knee is found.
    Found,
    /// No rate that may be tried broke the objective.
    HighestRate,
    /// Not one that was tried kept it.
    NoneKept,
    /// The time was over before.
    Time,
    /// One rate was asked for, and no search.
    OneRate,
}

/// One rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Requests a second, as wanted.
    pub rate: u32,
    /// For how long, in milliseconds.
    pub millis: u64,
    /// Good answers a second.
    pub answered_per_second: f64,
    /// Requests that went out.
    pub sent: u64,
    /// Requests that should have, and did not: the generator could not follow.
    pub unsent: u64,
    /// Good answers.
    pub answered: u64,
    /// Times, from the intended moment, in microseconds; of quantiles that were reached by enough.
    pub micros: BTreeMap<&'static str, u64>,
    /// Errors, in percent of all.
    pub errors_percent: f64,
    /// Errors, by kind.
    pub errors: BTreeMap<String, u64>,
    /// By how much 99 of 100 requests were sent late at most, in microseconds.
    pub late_micros: u64,
    /// Share of one processor that the generator used, in percent.
    pub generator_percent: f64,
    /// How the objective was broken; nothing where it was kept.
    pub broken: Vec<String>,
    /// What was seen of the lab meanwhile.
    pub strain: Strain,
    /// What of that was full.
    pub full: Vec<Full>,
}

/// The quantiles that are told.
pub const TOLD: [Quantile; 5] = [Quantile::P50, Quantile::P95, Quantile::P99, Quantile::P999, Quantile::Max];

impl Step {
    /// What came of a load of `counted` on a lab under this `strain`.
    pub fn of(counted: &Counted, objective: &Objective, strain: Strain) -> Self {
        let micros = TOLD
            .into_iter()
            .filter_map(|quantile| Some((quantile.as_str(), whole_micros(counted.time_if_known(quantile)?))));
        Self {
            rate: counted.rate,
            millis: u64::try_from(counted.lasting.as_millis()).unwrap_or(u64::MAX),
            answered_per_second: counted.per_second(),
            sent: counted.sent,
            unsent: counted.unsent,
            answered: counted.answered,
            micros: micros.collect(),
            errors_percent: counted.errors_percent(),
            errors: counted.errors.iter().map(|(kind, &count)| (kind.to_string(), count)).collect(),
            late_micros: whole_micros(counted.late()),
            generator_percent: counted.generator_percent,
            broken: objective.broken_by(counted),
            full: strain.full(counted),
            strain,
        }
    }

    /// Whether the objective was kept.
    pub fn is_kept(&self) -> bool {
        self.broken.is_empty()
    }

    /// The time that so many did not exceed, where that is known.
    pub fn time(&self, quantile: Quantile) -> Option<Duration> {
        self.micros.get(quantile.as_str()).copied().map(Duration::from_micros)
    }
}

impl Run {
    /// Its rates in order, each once: where one was tried twice, the better one.
    pub fn curve(&self) -> Vec<&Step> {
        let mut curve: BTreeMap<u32, &Step> = BTreeMap::new();
        for step in &self.steps {
            let known = curve.entry(step.rate).or_insert(step);
            if step.is_kept() {
                *known = step;
            }
        }
        curve.into_values().collect()
    }

    /// What was full at the lowest rate that broke the objective; of several times, the last.
    pub fn full_at(steps: &[Step], broken: Option<u32>) -> Vec<Full> {
        let step = steps.iter().rfind(|step| Some(step.rate) == broken && !step.is_kept());
        step.map(|step| step.full.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::measure::load::counted::Kind;

    /// A run as of a server that bears 1000 a second.
    pub(in super::super) fn run() -> Run {
        let objective: Objective = "p99=100ms,errors=1%".parse().unwrap();
        let step = |rate: u32, millis: u64| {
            let mut counted = Counted::new(rate, Duration::from_secs(1));
            for _ in 0..rate {
                counted.answered_after(Duration::from_millis(millis));
            }
            if millis > 100 {
                counted.failed(Kind::Status(503));
            }
            Step::of(&counted, &objective, Strain { processors: 2, ..Strain::default() })
        };
        let steps = vec![step(500, 1), step(1_000, 3), step(2_000, 900), step(2_000, 800), step(1_500, 300)];
        Run {
            what: "static".into(),
            asked: "GET http://www.foobar.com/<a>&".into(),
            full: Run::full_at(&steps, Some(1_500)),
            steps,
            sustained: Some(1_000),
            broken: Some(1_500),
            ended: Ended::Found,
        }
    }

    #[test]
    fn a_curve_has_each_rate_once_in_order() {
        let run = run();
        let rates: Vec<u32> = run.curve().iter().map(|step| step.rate).collect();
        assert_eq!(rates, [500, 1_000, 1_500, 2_000]);
        assert_eq!(
            run.curve().iter().map(|step| step.is_kept()).collect::<Vec<_>>(),
            [true, true, false, false]
        );
    }

    #[test]
    fn a_step_says_only_what_is_known() {
        let step = &run().steps[0];
        assert_eq!(step.micros.keys().copied().collect::<Vec<_>>(), ["max", "p50", "p95", "p99"]);
        let json = serde_json::to_value(run()).unwrap();
        assert_eq!(json["steps"][2]["errors"]["503"], 1);
        assert_eq!(json["ended"], "found");
        assert_eq!(json["steps"][0]["answered_per_second"], 500.0);
    }
}
