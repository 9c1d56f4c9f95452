//! A service-level objective: what is promised of times and errors, `p99=100ms,errors=1%`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::counted::{Counted, millis};

/// Times that can be promised.
const TIME_LEAST: Duration = Duration::from_micros(10);
const TIME_MOST: Duration = Duration::from_secs(30);

/// What is promised.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Of so many of all requests, no time is longer.
    times: Vec<(Quantile, Duration)>,
    /// Of all requests, so many percent fail at most.
    errors_percent: Option<f64>,
}

/// So many of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantile {
    /// Half of them.
    P50,
    /// 90 of 100.
    P90,
    /// 95 of 100.
    P95,
    /// 99 of 100.
    P99,
    /// 999 of 1000.
    P999,
    /// All.
    Max,
}

/// Why a text is no objective.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectiveError {
    /// A part of it is of no known form.
    #[error("{0:?} is not promised like that: write p99=100ms (p50, p90, p95, p99, p99.9, max) or errors=1%")]
    Part(String),
    /// It says the same thing twice.
    #[error("it says {0} twice")]
    Twice(String),
    /// A time is out of bounds.
    #[error("{0} is out of bounds: a time may be 10us to 30s")]
    Time(String),
    /// A share is out of bounds.
    #[error("{0} is out of bounds: a share may be 0% to 100%")]
    Share(String),
}

impl Quantile {
    const ALL: [Self; 6] = [Self::P50, Self::P90, Self::P95, Self::P99, Self::P999, Self::Max];

    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
        }
    }

    /// As a number up to 1.
    pub fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
            Self::P999 => 0.999,
            Self::Max => 1.0,
        }
    }
}

impl Objective {
    /// How `counted` breaks it, a sentence for each promise; nothing where it is kept.
    pub fn broken_by(&self, counted: &Counted) -> Vec<String> {
        let mut broken = Vec::new();
        for &(quantile, most) in &self.times {
            let time = counted.time(quantile);
            if time > most {
                let (name, time, most) = (quantile.as_str(), millis(time), humantime::format_duration(most));
                broken.push(format!("{name} is {time}, and not {most}"));
            }
        }
        let percent = counted.errors_percent();
        if let Some(most) = self.errors_percent.filter(|&most| percent > most) {
            broken.push(format!("{percent:.2} % fail, and not {most} %"));
        }
        if counted.answered == 0 {
            broken.push("nothing was answered".into());
        }
        broken
    }

    /// The longest time that is promised of anything, if any is.
    pub fn longest(&self) -> Option<Duration> {
        self.times.iter().map(|&(_, most)| most).max()
    }

    /// The times that are promised, by quantile.
    pub fn times(&self) -> &[(Quantile, Duration)] {
        &self.times
    }
}

impl FromStr for Objective {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Self, ObjectiveError> {
        let mut objective = Self { times: Vec::new(), errors_percent: None };
        for part in text.split(',') {
            let wrong = || ObjectiveError::Part(part.chars().take(40).collect());
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            let (name, value) = (name.trim(), value.trim());
            if name == "errors" {
                let number = value.strip_suffix('%').ok_or_else(wrong)?.trim();
                let percent: f64 = number.parse().map_err(|_| wrong())?;
                if !(0.0..=100.0).contains(&percent) {
                    return Err(ObjectiveError::Share(part.into()));
                }
                if objective.errors_percent.replace(percent).is_some() {
                    return Err(ObjectiveError::Twice(name.into()));
                }
                continue;
            }
            let quantile = Quantile::ALL.into_iter().find(|quantile| quantile.as_str() == name);
            let quantile = quantile.ok_or_else(wrong)?;
            let time = humantime::parse_duration(value).map_err(|_| wrong())?;
            if !(TIME_LEAST..=TIME_MOST).contains(&time) {
                return Err(ObjectiveError::Time(part.into()));
            }
            if objective.times.iter().any(|&(known, _)| known == quantile) {
                return Err(ObjectiveError::Twice(name.into()));
            }
            objective.times.push((quantile, time));
        }
        Ok(objective)
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = self
            .times
            .iter()
            .map(|(quantile, most)| format!("{}={}", quantile.as_str(), humantime::format_duration(*most)));
        let errors = self.errors_percent.map(|percent| format!("errors={percent}%"));
        f.write_str(&times.chain(errors).collect::<Vec<_>>().join(","))
    }
}

impl Serialize for Objective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::load::counted::Kind;

    #[test]
    fn it_is_read_as_it_is_written() {
        for text in ["p99=100ms,errors=1%", "p50=1ms", "errors=0%", "p99.9=2s,max=10s,errors=0.5%"] {
            assert_eq!(text.parse::<Objective>().unwrap().to_string(), text);
        }
        let spaced = " p99 = 100ms , errors = 1 % ".parse::<Objective>().unwrap();
        assert_eq!(spaced.to_string(), "p99=100ms,errors=1%");
        let wrong = |text: &str| text.parse::<Objective>().unwrap_err();
        for text in ["", "p99", "p98=1ms", "p99=fast", "errors=1", "errors=x%", "p99=1ms,", "=", "p99=-1ms"] {
            assert!(matches!(wrong(text), ObjectiveError::Part(_)), "{text}: {:?}", wrong(text));
        }
        for text in ["p99=1us", "p99=31s", "max=1year"] {
            assert!(matches!(wrong(text), ObjectiveError::Time(_)), "{text}");
        }
        for text in ["errors=-1%", "errors=101%", "errors=NaN%", "errors=inf%"] {
            assert!(matches!(wrong(text), ObjectiveError::Share(_)), "{text}");
        }
        assert_eq!(wrong("p99=1ms,p99=2ms"), ObjectiveError::Twice("p99".into()));
        assert_eq!(wrong("errors=1%,errors=1%"), ObjectiveError::Twice("errors".into()));
    }

    #[test]
    fn a_promise_is_kept_up_to_its_bound_and_broken_beyond_it() {
        let objective: Objective = "p99=100ms,errors=1%".parse().unwrap();
        let mut counted = Counted::new(100, Duration::from_secs(2));
        let times = |counted: &mut Counted, many: u32, millis| {
            (0..many).for_each(|_| counted.answered_after(Duration::from_millis(millis)));
        };
        assert_eq!(objective.broken_by(&counted), ["nothing was answered"]);
        times(&mut counted, 198, 5);
        times(&mut counted, 1, 900);
        counted.failed(Kind::Reset);
        assert_eq!(objective.broken_by(&counted), Vec::<String>::new());
        times(&mut counted, 3, 900);
        let broken = objective.broken_by(&counted);
        assert!(broken.len() == 1 && broken[0].starts_with("p99 is 90"), "{broken:?}");
        (0..3).for_each(|_| counted.failed(Kind::Refused));
        assert!(objective.broken_by(&counted).contains(&"1.94 % fail, and not 1 %".to_owned()));
    }
}
