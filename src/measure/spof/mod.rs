//! Single points of failure: which part's end is the end of the whole.
//!
//! Pure: from what a user met while a part was down ([`Met`]) to what still worked, for whom, and the verdict. Cold is a user
//! whose resolver has to ask for the name; warm is one whose resolver remembers it. A page that would be served counts for
//! neither while they have no address for it.
//!
//! [`svg`] and [`markdown`] show it in a report.

pub mod markdown;
pub mod svg;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::probe::Outcome;

/// What works, but after longer than this, is slow; in microseconds.
const SLOW: u64 = 500_000;

/// What a user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The name's address.
    Name,
    /// A page that is a file of the web server.
    Static,
    /// A page that the application makes.
    Dynamic,
    /// To sign the guestbook.
    Writing,
}

impl Check {
    /// As a heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Name => "NAME",
            Self::Static => "STATIC",
            Self::Dynamic => "DYNAMIC",
            Self::Writing => "WRITING",
        }
    }
}

/// What was taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A service.
    Service,
    /// A cable of network `hosts`.
    Cable,
    /// A way between two services of `loopback`, where there are no cables.
    Way,
}

/// How it was down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Its port refuses.
    Stopped,
    /// Its port accepts, and nobody answers.
    Paused,
    /// The file of a database that has no process.
    Locked,
    /// No packet passes.
    Cut,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Locked => "locked",
            Self::Cut => "cut",
        })
    }
}

/// What a user met while a part was down.
#[derive(Debug, Clone)]
pub struct Met {
    /// The name at a resolver that has to ask for it.
    pub cold: Outcome,
    /// The name at a resolver that remembers it.
    pub warm: Outcome,
    /// The pages, at an address that is at hand.
    pub pages: Vec<(Check, Outcome)>,
}

/// For whom something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Works {
    /// For everybody.
    Yes,
    /// For whose resolver remembers the name.
    Warm,
    /// For nobody.
    No,
}

impl Works {
    fn of(cold: bool, warm: bool) -> Self {
        match (cold, warm) {
            (true, _) => Self::Yes,
            (false, true) => Self::Warm,
            (false, false) => Self::No,
        }
    }

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "works",
            Self::Warm => "warm",
            Self::No => "fails",
        }
    }
}

/// One part, down in one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// How.
    pub how: How,
    /// What still worked; nothing where it could not be taken down.
    pub works: BTreeMap<Check, Works>,
    /// What was wrong, as dig and curl say it, or what was slow; or why it could not be taken down.
    pub symptoms: Vec<String>,
    /// How long a user who asked then waited until they knew that something is wrong, in seconds; nothing if nothing was.
    pub noticed_seconds: Option<f64>,
    /// From when it was brought back until all worked again, in seconds.
    pub recovered_seconds: Option<f64>,
    /// Whether anything failed for a user who comes anew; nothing where it could not be taken down.
    pub single_point_of_failure: Option<bool>,
}

impl Trial {
    /// Of what was met; `recovered` in microseconds.
    pub fn of(how: How, met: &Met, recovered: Option<u64>) -> Self {
        let (cold, warm) = (met.cold.works(), met.warm.works());
        let mut works = BTreeMap::from([(Check::Name, Works::of(cold, warm))]);
        works.extend(met.pages.iter().map(|(check, page)| {
            let page = page.works();
            (*check, Works::of(cold && page, warm && page))
        }));
        let asked = met.pages.iter().map(|(_, page)| page).chain([&met.cold]);
        let noticed = asked.filter(|outcome| !outcome.works()).map(|outcome| outcome.micros).min();
        let single_point_of_failure = Some(works.values().any(|works| *works != Works::Yes));
        Self {
            how,
            works,
            symptoms: symptoms(met),
            single_point_of_failure,
            noticed_seconds: noticed.map(seconds),
            recovered_seconds: recovered.map(seconds),
        }
    }

    /// Of what cannot be taken down, for this reason.
    pub fn refused(how: How, why: String) -> Self {
        let (works, symptoms) = (BTreeMap::new(), vec![why]);
        let (noticed_seconds, recovered_seconds, single_point_of_failure) = (None, None, None);
        Self { how, works, symptoms, noticed_seconds, recovered_seconds, single_point_of_failure }
    }

    /// The verdict in one word.
    pub fn verdict(&self) -> &'static str {
        match self.single_point_of_failure {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        }
    }
}

/// One part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether it is one in any of the ways in which it was down; nothing where it could not be taken down.
    pub single_point_of_failure: Option<bool>,
    /// Each way in which it was down.
    pub trials: Vec<Trial>,
}

impl Component {
    /// Of what was tried.
    pub fn of(name: String, kind: Kind, trials: Vec<Trial>) -> Self {
        let known: Vec<bool> = trials.iter().filter_map(|trial| trial.single_point_of_failure).collect();
        let single_point_of_failure = (!known.is_empty()).then(|| known.contains(&true));
        Self { name, kind, single_point_of_failure, trials }
    }

    /// Its name, and in which way alone it is a single point of failure, if it is not in another.
    fn shown(&self) -> String {
        let (single, others): (Vec<_>, Vec<_>) =
            self.trials.iter().partition(|trial| trial.single_point_of_failure == Some(true));
        match single.as_slice() {
            [only] if others.iter().any(|trial| trial.single_point_of_failure == Some(false)) => {
                format!("{} (only {})", self.name, only.how)
            }
            _ => self.name.clone(),
        }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// The name of the site.
    pub site: String,
    /// How hosts are realised.
    pub network: String,
    /// What was looked at; the rest this lab does not have.
    pub checks: Vec<Check>,
    /// The parts, in the order in which a request meets them.
    pub components: Vec<Component>,
    /// How long the measure took, in seconds.
    pub seconds: f64,
}

impl Matrix {
    /// What was found, in a sentence.
    pub fn sentence(&self) -> String {
        let of = |verdict| {
            let names = self.components.iter().filter(move |part| part.single_point_of_failure == verdict);
            names.map(Component::shown).collect::<Vec<_>>()
        };
        let (single, others) = (of(Some(true)), of(Some(false)));
        let (count, all) = (single.len(), single.len() + others.len());
        let known = if single.is_empty() { String::new() } else { format!(": {}", single.join(", ")) };
        let others = if others.is_empty() { String::new() } else { format!("; not {}", others.join(", ")) };
        format!("{count} of {all} parts are single points of failure{known}{others}.")
    }
}

/// What was wrong, each once; where nothing was, what was slow.
fn symptoms(met: &Met) -> Vec<String> {
    let mut said = Vec::new();
    said.extend(met.cold.symptom.as_ref().map(|symptom| format!("dig: {symptom}")));
    for (_, page) in &met.pages {
        let symptom = page.symptom.as_ref().map(|symptom| format!("curl: {symptom}"));
        said.extend(symptom.filter(|symptom| !said.contains(symptom)));
    }
    if said.is_empty() {
        let named = [("dig", &met.cold)].into_iter();
        let pages = met.pages.iter().map(|(_, page)| ("curl", page));
        let slow = named.chain(pages).filter(|(_, outcome)| outcome.micros > SLOW);
        let slowest = slow.max_by_key(|(_, outcome)| outcome.micros);
        said.extend(slowest.map(|(by, outcome)| format!("{by}: slow, {}", shown(seconds(outcome.micros)))));
    }
    said
}

/// Microseconds as seconds, to the millisecond.
fn seconds(micros: u64) -> f64 {
    let millis = u32::try_from(micros.div_ceil(1_000)).unwrap_or(u32::MAX);
    f64::from(millis) / 1e3
}

/// Seconds for people: `4 ms`, `0.8 s`, `12 s`.
pub fn shown(seconds: f64) -> String {
    match seconds {
        ..0.1 => format!("{:.0} ms", seconds * 1e3),
        0.1..9.95 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// The same where there may be none.
pub fn shown_or_none(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".into(), shown)
}
