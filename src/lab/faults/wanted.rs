//! What was asked to be laid, checked against the table: names, options, bounds.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Deed;
use super::edges::Edge;
use super::table::{Amount, Fault, Kind, Occasion, TABLE, Unit, typed};
use crate::ground::chance::Stream;
use crate::ground::fault::When;
use crate::lab::hosts::ServiceName;

/// The longest that a fault may be laid for, and the least.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST: Duration = Duration::from_millis(100);

/// The rarest: every millionth occasion.
const EVERY_MOST: u32 = 1_000_000;

/// The longest name or path that occasions can be chosen by, in bytes.
const ONLY_LONGEST: usize = 255;

/// A fault as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Its name.
    pub what: String,
    /// The service; without it the fault's first one.
    pub service: Option<ServiceName>,
    /// The edge, for a fault of edges.
    pub edge: Option<Edge>,
    /// Options with their values, as typed: `delay` and `2s`.
    pub options: Vec<(String, String)>,
    /// For how long, as typed.
    pub lasts: Option<String>,
    /// On every so many occasions.
    pub every: Option<u32>,
    /// With which chance, as typed: `30%`.
    pub chance: Option<String>,
}

/// A fault that can be laid.
#[derive(Debug, Clone)]
pub(in crate::lab) struct Checked {
    pub(in crate::lab) fault: &'static Fault,
    pub(in crate::lab) service: ServiceName,
    pub(in crate::lab) edge: Option<Edge>,
    pub(in crate::lab) deed: Deed,
    pub(in crate::lab) how_often: HowOften,
    pub(in crate::lab) only: Option<String>,
    pub(in crate::lab) lasts: Option<Duration>,
    /// All that was asked for beside the name, and the amount in any case, in one way of writing it.
    pub(in crate::lab) details: String,
}

/// On which occasions, before it has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lab) enum HowOften {
    Always,
    Every(u32),
    /// In millionths.
    Chance(u32),
}

impl HowOften {
    /// For the fault `id` of a lab with this seed.
    pub(super) fn when(self, seed: u32, id: u32) -> When {
        match self {
            Self::Always => When::Always,
            Self::Every(count) => When::Every(count),
            Self::Chance(millionths) => When::Chance { millionths, stream: Stream::of(u64::from(seed), id) },
        }
    }
}

/// The fault with this name; else why there is none.
pub fn fault(name: &str) -> Result<&'static Fault, String> {
    TABLE.iter().find(|fault| fault.name == name).ok_or_else(|| {
        let nearest = TABLE.iter().map(|fault| (strsim::damerau_levenshtein(name, fault.name), fault.name));
        let meant = match nearest.min() {
            Some((far, nearest)) if far <= 1 + name.len() / 3 => format!(": did you mean {nearest}?"),
            _ => ":".to_owned(),
        };
        format!("there is no fault {name:?}{meant} `wwwlab fault explain` lists them")
    })
}

impl Wanted {
    /// Whether it can be laid at all; if not, why.
    pub(in crate::lab) fn check(&self) -> Result<Checked, String> {
        let fault = fault(&self.what)?;
        let (service, edge) = self.on(fault)?;
        let (mut amount, mut further, mut only, mut details) = (None, None, None, Vec::new());
        for (option, value) in &self.options {
            let given = match (&fault.amount, fault.occasion.and_then(Occasion::option)) {
                (Some(known), _) if known.option == option => {
                    let (number, shown) = known.read(value)?;
                    amount = Some(number);
                    shown
                }
                _ if fault.further.as_ref().is_some_and(|(known, _)| known.option == option) => {
                    let (known, made) = fault.further.as_ref().ok_or("there is none")?;
                    let (number, shown) = known.read(value)?;
                    further = Some((*made, number));
                    shown
                }
                (_, Some(known)) if known == option => {
                    let chosen = chosen(option, value)?;
                    only = Some(chosen.clone());
                    chosen
                }
                _ => return Err(format!("{} has no option --{option}: {}", fault.name, fault.options())),
            };
            details.push(format!("--{option} {given}"));
        }
        let how_often = match (self.every, &self.chance) {
            (None, None) => HowOften::Always,
            (Some(_), Some(_)) => return Err("give --every or --chance, not both".into()),
            _ if fault.occasion.is_none() => {
                return Err(format!(
                    "{} is there or is not: --every and --chance are for faults of single answers",
                    fault.name
                ));
            }
            (Some(count), None) if (1..=EVERY_MOST).contains(&count) => HowOften::Every(count),
            (Some(count), None) => return Err(format!("--every is 1 to {EVERY_MOST}, not {count}")),
            (None, Some(text)) => HowOften::Chance(millionths(text)?),
        };
        match (how_often, &self.chance) {
            (HowOften::Every(count), _) => details.push(format!("--every {count}")),
            (HowOften::Chance(_), Some(text)) => details.push(format!("--chance {text}")),
            _ => {}
        }
        let lasts = self.lasts.as_deref().map(|text| time("for", text, SHORTEST, LONGEST)).transpose()?;
        details.extend(lasts.map(|lasts| format!("--for {}", typed(lasts))));
        // How late, how slowly: who asked for nothing is to see it, too.
        if let (None, Some(known)) = (amount, &fault.amount) {
            details.insert(0, format!("--{} {}", known.option, known.unit.show(known.default)));
            amount = Some(known.default);
        }
        let amount = amount.unwrap_or_default();
        let details = details.join(" ");
        let deed = (fault.deed)(amount);
        let deed = further.map_or(deed, |(made, number)| made(deed, number));
        Ok(Checked { fault, service, edge, deed, how_often, only, lasts, details })
    }

    /// What it is laid on: the service, and the edge if it is one that leads there.
    fn on(&self, fault: &Fault) -> Result<(ServiceName, Option<Edge>), String> {
        let no = |on: &str| {
            format!("{} cannot be laid on {on}, but on: {}", fault.name, fault.places().join(", "))
        };
        match (fault.kind, self.edge, self.service) {
            (Kind::Edge, Some(edge), None) if fault.edges().contains(&edge) => Ok((edge.asked(), Some(edge))),
            (Kind::Edge, Some(edge), None) => Err(no(edge.as_str())),
            (Kind::Edge, _, Some(service)) => Err(no(service.as_str())),
            (Kind::Edge, None, None) => {
                Err(format!("say on which way {} is laid (--on): {}", fault.name, fault.places().join(", ")))
            }
            (_, Some(edge), _) => Err(no(edge.as_str())),
            (_, None, service) => {
                let service = service.or(fault.on.first().copied()).ok_or("it is laid on nothing")?;
                if fault.on.contains(&service) { Ok((service, None)) } else { Err(no(service.as_str())) }
            }
        }
    }
}

impl Amount {
    /// Reads its value, and how it is shown.
    fn read(&self, text: &str) -> Result<(u64, String), String> {
        let bounds = || {
            format!(
                "--{} is {} to {}, not {text:?}",
                self.option,
                self.unit.show(self.least),
                self.unit.show(self.most)
            )
        };
        let number = match self.unit {
            Unit::Time | Unit::LongTime => {
                let [least, most] = [self.least, self.most].map(|bound| self.unit.time(bound));
                let time = time(self.option, text, least, most)?;
                let seconds = self.unit == Unit::LongTime;
                u64::try_from(if seconds { time.as_secs().into() } else { time.as_millis() })
                    .map_err(|_| bounds())?
            }
            Unit::Address => u64::from(text.parse::<Ipv4Addr>().map(u32::from).map_err(|_| bounds())?),
            Unit::Percent => text.strip_suffix('%').unwrap_or(text).parse().map_err(|_| bounds())?,
            Unit::Count | Unit::BytesASecond => text.parse().map_err(|_| bounds())?,
            Unit::Kilobits => match text.strip_suffix("mbit") {
                Some(number) => number.parse::<u64>().map_err(|_| bounds())?.saturating_mul(1000),
                None => text.strip_suffix("kbit").ok_or_else(bounds)?.parse().map_err(|_| bounds())?,
            },
            Unit::Megabytes => {
                text.strip_suffix("MB").unwrap_or(text).trim().parse().map_err(|_| bounds())?
            }
        };
        if !(self.least..=self.most).contains(&number) {
            return Err(bounds());
        }
        Ok((number, self.unit.show(number)))
    }
}

fn time(option: &str, text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let [shown_least, shown_most] = [least, most].map(typed);
    let time = humantime::parse_duration(text).ok().filter(|time| (least..=most).contains(time));
    time.ok_or_else(|| format!("--{option} is {shown_least} to {shown_most}, not {text:?}"))
}

/// `30%` or `0.3`, in millionths.
fn millionths(text: &str) -> Result<u32, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse::<f64>(),
    };
    let number = number.ok().filter(|number| *number > 0.0 && *number <= 1.0);
    let number = number.ok_or_else(|| format!("--chance is above 0 to 1, or to 100%, not {text:?}"))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is 0 to 1,000,000")]
    let millionths = (number * 1e6).round() as u32;
    Ok(millionths.max(1))
}

/// A name as services compare it: in full, in lower case. A path stays as it is.
fn chosen(option: &str, text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= ONLY_LONGEST
        && text.chars().all(|character| character.is_ascii_graphic());
    match option {
        _ if !fits => Err(format!("--{option} is 1 to {ONLY_LONGEST} letters without spaces, not {text:?}")),
        "path" if !text.starts_with('/') => Err(format!("--path begins with a slash, not {text:?}")),
        "name" => Ok(format!("{}.", text.trim_end_matches('.').to_ascii_lowercase())),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::edges::Way;
    use super::*;

    fn wanted(what: &str, options: &[(&str, &str)]) -> Wanted {
        let options = options.iter().map(|(option, value)| ((*option).into(), (*value).into()));
        Wanted { what: what.into(), options: options.collect(), ..Wanted::default() }
    }

    #[test]
    fn what_can_be_laid_is_written_one_way() {
        let mut all = wanted("slow-dns", &[("delay", "1500ms"), ("name", "WWW.foobar.com")]);
        all.chance = Some("30%".into());
        all.lasts = Some("2m".into());
        let checked = all.check().unwrap();
        assert_eq!(
            checked.details, "--delay 1s500ms --name www.foobar.com. --chance 30% --for 2m",
            "as it can be typed"
        );
        let again = wanted("slow-dns", &[("delay", "1s500ms")]).check().unwrap();
        assert_eq!((again.deed, again.details.as_str()), (checked.deed, "--delay 1s500ms"));
        assert_eq!(
            wanted("slow-body", &[]).check().unwrap().details,
            "--rate 200",
            "what nobody said is said"
        );
        assert_eq!(checked.how_often, HowOften::Chance(300_000));
        assert_eq!(checked.service, ServiceName::Dns, "the first of those it can be laid on");
    }

    #[test]
    fn what_cannot_be_laid_says_what_can() {
        let why = |wanted: Wanted| wanted.check().unwrap_err();
        assert!(why(wanted("servfial", &[])).contains("did you mean servfail?"));
        assert!(why(wanted("xyz", &[])).contains("`wwwlab fault explain` lists them"));
        assert!(why(wanted("slow-dns", &[("delay", "2h")])).contains("--delay is 1ms to 1m, not \"2h\""));
        assert!(why(wanted("servfail", &[("path", "/")])).contains("servfail has no option --path"));
        assert!(why(wanted("http-500", &[("path", "x")])).contains("begins with a slash"));
        let on = Wanted { service: Some(ServiceName::Web), ..wanted("servfail", &[]) };
        assert!(why(on).contains("cannot be laid on web, but on: dns"));
        for chance in ["0", "-1", "1.5", "101%", "NaN", "x"] {
            let wanted = Wanted { chance: Some(chance.into()), ..wanted("servfail", &[]) };
            assert!(why(wanted).contains("--chance is above 0"), "{chance}");
        }
        let every = |every| Wanted { every: Some(every), ..wanted("servfail", &[]) };
        assert!(every(1).check().is_ok() && why(every(0)).contains("--every is 1 to"));
        let often = Wanted { every: Some(2), ..wanted("pause", &[]) };
        assert!(why(often).contains("pause is there or is not"));
        let short = Wanted { lasts: Some("1ms".into()), ..wanted("pause", &[]) };
        assert!(why(short).contains("--for is 100ms to 1day"));
    }

    #[test]
    fn what_is_of_edges_is_laid_on_an_edge_and_nothing_else_is() {
        let edge = |name: &str, edge| Wanted { edge, ..wanted(name, &[]) };
        let late = Wanted { edge: Some(Edge::WebApp), ..wanted("latency", &[("jitter", "20ms")]) };
        let checked = late.check().unwrap();
        assert_eq!(checked.deed, Deed::Edge(Way::Late { millis: 100, jitter: 20 }));
        assert_eq!((checked.service, checked.edge), (ServiceName::App, Some(Edge::WebApp)));
        assert_eq!(checked.details, "--delay 100ms --jitter 20ms");
        let narrow = Wanted { edge: Some(Edge::ClientWeb), ..wanted("bandwidth", &[("rate", "2mbit")]) };
        assert_eq!(narrow.check().unwrap().deed, Deed::Edge(Way::Narrow(2000)));
        assert!(edge("cut", None).check().unwrap_err().contains("(--on): client-web, client-resolver"));
        assert!(
            edge("servfail", Some(Edge::WebApp)).check().unwrap_err().contains("cannot be laid on web-app")
        );
        let of_names_alone = edge("spoof", Some(Edge::ClientWeb)).check().unwrap_err();
        assert!(of_names_alone.contains("client-web, but on: client-resolver, resolver-dns, resolver-dns2"));
        let on = Wanted { service: Some(ServiceName::Web), ..wanted("cut", &[]) };
        assert!(on.check().unwrap_err().contains("cut cannot be laid on web, but on: client-web"));
    }

    #[test]
    fn every_fault_of_the_table_can_be_laid_with_its_defaults_and_its_bounds() {
        for fault in TABLE {
            let wanted = |name: &str, options: &[(&str, &str)]| {
                let edge = fault.edges().first().copied();
                Wanted { edge, ..wanted(name, options) }
            };
            assert!(wanted(fault.name, &[]).check().is_ok(), "{}", fault.name);
            let further = fault.further.as_ref().map(|(amount, _)| amount);
            for amount in fault.amount.iter().chain(further) {
                assert!(
                    wanted(fault.name, &[(amount.option, "no amount")]).check().is_err(),
                    "{}",
                    fault.name
                );
            }
            if let Some(amount) = &fault.amount {
                assert!((amount.least..=amount.most).contains(&amount.default), "{}", fault.name);
                for bound in [amount.least, amount.most, amount.default] {
                    let shown = amount.unit.show(bound);
                    let checked = wanted(fault.name, &[(amount.option, &shown)]).check();
                    assert!(checked.is_ok(), "{} --{} {shown}: {checked:?}", fault.name, amount.option);
                }
            }
        }
    }
}
