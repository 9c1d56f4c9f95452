//! A metric with all its values, as one process tells it to another.

use serde::{Deserialize, Serialize};

use super::histogram::Distribution;

/// All that is known under one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Family {
    /// Its name, in base units: `wwwlab_http_requests_total`.
    pub name: String,
    /// What it is, in one sentence.
    pub help: String,
    /// What can be done with it.
    pub kind: Kind,
    /// Its values, one for each set of labels.
    pub samples: Vec<Sample>,
}

/// What can be done with a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It only grows, until its process is started anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// As the text format has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// What it is the value of: names and values of labels.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// How often, how many.
    Count(u64),
    /// How much: seconds, say. Finite.
    Amount(f64),
    /// How long things took.
    Times(Distribution),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(amount: f64) -> Self {
        Self::Amount(amount)
    }
}

impl From<Distribution> for Value {
    fn from(times: Distribution) -> Self {
        Self::Times(times)
    }
}

impl Family {
    /// A counter without values yet; its name ends in `_total`.
    pub fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, Kind::Counter)
    }

    /// A gauge without values yet.
    pub fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, Kind::Gauge)
    }

    /// A histogram without values yet; its name ends in `_seconds`.
    pub fn histogram(name: &str, help: &str) -> Self {
        Self::new(name, help, Kind::Histogram)
    }

    fn new(name: &str, help: &str, kind: Kind) -> Self {
        Self { name: name.into(), help: help.into(), kind, samples: Vec::new() }
    }

    /// With a value more.
    #[must_use]
    pub fn with(mut self, labels: &[(&str, &str)], value: impl Into<Value>) -> Self {
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.samples.push(Sample { labels, value: value.into() });
        self
    }
}

/// The families of several tellers as one list: each name once, where it was told first, and at the head of each value's
/// labels who told it, as `label`.
pub fn joined(label: &str, told: impl IntoIterator<Item = (String, Vec<Family>)>) -> Vec<Family> {
    let mut all: Vec<Family> = Vec::new();
    for (teller, families) in told {
        for Family { name, help, kind, samples } in families {
            let samples = samples.into_iter().map(|Sample { labels, value }| {
                let teller = [(label.to_owned(), teller.clone())];
                Sample { labels: teller.into_iter().chain(labels).collect(), value }
            });
            match all.iter_mut().find(|family| family.name == name) {
                Some(family) => family.samples.extend(samples),
                None => all.push(Family { name, help, kind, samples: samples.collect() }),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_tell_stands_together_and_says_who_told_it() {
        let a = Family::counter("a_total", "A.").with(&[("x", "1")], 1);
        let b = Family::gauge("b", "B.").with(&[], 0.5);
        let all = joined("service", [("web".into(), vec![a.clone(), b]), ("app".into(), vec![a])]);
        let names: Vec<&str> = all.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names, ["a_total", "b"]);
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let labels: Vec<_> = all[0].samples.iter().map(|sample| sample.labels.clone()).collect();
        assert_eq!(
            labels,
            [[own("service", "web"), own("x", "1")], [own("service", "app"), own("x", "1")]].map(Vec::from)
        );
    }

    #[test]
    fn a_family_goes_over_a_channel_and_back() {
        let family = Family::gauge("b", "B.").with(&[("x", "\"\n")], 0.5).with(&[], u64::MAX);
        let line = serde_json::to_string(&family).unwrap();
        assert_eq!(serde_json::from_str::<Family>(&line).unwrap(), family);
    }
}
