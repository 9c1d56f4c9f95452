//! The bounds of settings: how a value is read that not every value of its type may be, and what is said of one that is not.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::{PEERS_MOST, Upstream, WORDS_MOST, ZoneFiles};
use crate::ground::prefix::Prefix;
use crate::lab::network::plan::CLASSROOM_MOST;
use crate::lab::network::publish::{self, Publication};
use crate::lab::telemetry::collector::Collector;

fn bounded<'de, D: Deserializer<'de>>(
    deserializer: D,
    what: &str,
    bounds: RangeInclusive<u32>,
) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u32::try_from(number).ok().filter(|number| bounds.contains(number)).ok_or_else(|| {
        D::Error::custom(format!(
            "{what} is a number from {} to {}, not {number}",
            bounds.start(),
            bounds.end()
        ))
    })
}

pub(super) fn seed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    bounded(deserializer, "seed", 0..=u32::MAX).map(Some)
}

pub(super) fn classroom<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, "classroom", 0..=CLASSROOM_MOST)
}

pub(super) fn publish<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Publication>, D::Error> {
    let list: Vec<Publication> = at_most(deserializer, "publish")?;
    publish::apart(&list).map_err(D::Error::custom)?;
    Ok(list)
}

pub(super) fn metrics_listen<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Port(i64),
        Address(String),
    }
    const EXPECTED: &str =
        "listen is a port of 127.0.0.1 (9090), or \"ADDRESS:PORT\"; port 0 takes any free one";
    let wrong = |what: String| D::Error::custom(format!("{EXPECTED}, not {what}"));
    match Written::deserialize(deserializer).map_err(|_| D::Error::custom(EXPECTED))? {
        Written::Port(number) => {
            let port = u16::try_from(number).map_err(|_| wrong(number.to_string()))?;
            Ok(Some((Ipv4Addr::LOCALHOST, port).into()))
        }
        Written::Address(text) => text.parse().map(Some).map_err(|_| wrong(format!("{text:?}"))),
    }
}

pub(super) fn otlp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Collector>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Collector::parse(&text).map(Some).map_err(D::Error::custom)
}

pub(super) fn resolver_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, "count", 1..=4)
}

pub(super) fn app_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, "count", 1..=4)
}

pub(super) fn cache_entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, "cache_entries", 1..=1_000_000)
}

pub(super) fn rate_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, "rate_limit", 0..=100_000)
}

pub(super) fn max_connections<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, "max_connections", 1..=100_000)
}

pub(super) fn max_body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    bounded(deserializer, "max_body", 0..=1 << 30)
}

pub(super) fn upstreams<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Upstream>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let mut upstreams: Vec<Upstream> = Vec::new();
    for text in &texts {
        let upstream = Upstream::parse(text).ok_or_else(|| {
            D::Error::custom(format!(
                "an upstream is \"ADDRESS:PORT\" or \"ADDRESS:PORT,weight=N\" with N from 1 to 100, not {text:?}"
            ))
        })?;
        if upstreams.iter().any(|known| known.address == upstream.address) {
            return Err(D::Error::custom(format!("the upstream {} stands there twice", upstream.address)));
        }
        upstreams.push(upstream);
    }
    if upstreams.len() > 16 {
        return Err(D::Error::custom(format!("there are 16 upstreams at most, not {}", upstreams.len())));
    }
    Ok(upstreams)
}

pub(super) fn app_check<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer, "app_check", "100ms", "5min").map(Some)
}

pub(super) fn app_connect_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration(deserializer, "app_connect_timeout", "10ms", "1min")
}

pub(super) fn app_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration(deserializer, "app_timeout", "100ms", "5min")
}

pub(super) fn app_idle_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration(deserializer, "app_idle_timeout", "100ms", "1h")
}

pub(super) fn start_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration(deserializer, "start_timeout", "100ms", "5min")
}

pub(super) fn hsts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer, "hsts", "1s", "2years").map(Some)
}

/// A duration from `least` to `most`.
fn duration<'de, D: Deserializer<'de>>(
    deserializer: D,
    key: &str,
    least: &str,
    most: &str,
) -> Result<Duration, D::Error> {
    let expected = format!("{key} is a duration from {least:?} to {most:?}");
    let text =
        String::deserialize(deserializer).map_err(|_| D::Error::custom(format!("{expected}, in quotes")))?;
    let read = |text: &str| humantime::parse_duration(text).ok();
    read(&text)
        .filter(|duration| read(least) <= Some(*duration) && Some(*duration) <= read(most))
        .ok_or_else(|| D::Error::custom(format!("{expected}, not {text:?}")))
}

/// Split as a shell would: at spaces, with quotes and backslashes. Nothing else of a shell: no variables, no pipes.
pub(super) fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let text = String::deserialize(deserializer)
        .map_err(|_| D::Error::custom("command is a line in quotes: \"python3 app.py\""))?;
    let words = shlex::split(&text).ok_or_else(|| {
        D::Error::custom(format!("command has a quote or a backslash without its end: {text:?}"))
    })?;
    match words.len() {
        1..=WORDS_MOST if !text.contains('\0') => Ok(Some(words)),
        count => Err(D::Error::custom(format!("command has 1 to {WORDS_MOST} words, not {count}"))),
    }
}

fn at_most<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    what: &str,
) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    match list.len() {
        0..=PEERS_MOST => Ok(list),
        more => Err(D::Error::custom(format!("{what} has at most {PEERS_MOST} entries, not {more}"))),
    }
}

pub(super) fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    at_most(deserializer, "keys")
}

pub(super) fn transfer_to<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    let list: Vec<String> = at_most(deserializer, "transfer_to")?;
    for entry in &list {
        let place = without_key(entry);
        let right = place.parse::<Prefix>().is_ok() || place.is_empty() && !entry.trim().is_empty();
        if !right {
            return Err(D::Error::custom(format!(
                "an entry of transfer_to is an address, a prefix (127.0.0.0/8), `key NAME`, or a prefix and `key NAME`, \
                 not {entry:?}"
            )));
        }
    }
    Ok(Some(list))
}

pub(super) fn notify<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list: Vec<String> = at_most(deserializer, "notify")?;
    for entry in &list {
        if !without_key(entry).parse::<SocketAddr>().is_ok_and(|address| address.port() > 0) {
            return Err(D::Error::custom(format!(
                "an entry of notify is an address and a port, and `key NAME` if there is one: \"127.0.0.1:5353\", not \
                 {entry:?}"
            )));
        }
    }
    Ok(list)
}

/// What stands before `key NAME`; whether there is such a key, the name server says.
fn without_key(entry: &str) -> &str {
    match entry.split_whitespace().collect::<Vec<_>>()[..] {
        [place] | [place, "key", _] => place,
        ["key", _] => "",
        _ => entry,
    }
}

pub(super) fn zones<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ZoneFiles>, D::Error> {
    let zones = ZoneFiles::deserialize(deserializer)?;
    if zones.is_empty() {
        return Err(D::Error::custom(
            "a name server needs at least one zone: { \"foobar.com\" = \"zones/….zone\" }",
        ));
    }
    for name in zones.keys() {
        checked_zone_name(name).map_err(D::Error::custom)?;
    }
    Ok(Some(zones))
}

/// What the name server will be able to read, without reading it as the name server does: labels of 1 to 63 visible
/// characters, at most 253 in all. `=` would end the name on its command line.
fn checked_zone_name(name: &str) -> Result<(), String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=')
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    if name == "." || name.len() <= 254 && bare.split('.').all(label) {
        return Ok(());
    }
    Err(format!(
        "{name:?} is not the name of a zone: labels of 1 to 63 characters, joined by dots; \".\" is the root"
    ))
}

pub(super) fn host_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked_host_name(String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A longer policy is a mistake.
const LONGEST_POLICY: usize = 4096;

/// What a policy may say (CSP Level 3 §6, Upgrade Insecure Requests, Trusted Types).
const DIRECTIVES: [&str; 27] = [
    "base-uri",
    "block-all-mixed-content",
    "child-src",
    "connect-src",
    "default-src",
    "font-src",
    "form-action",
    "frame-ancestors",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "object-src",
    "report-to",
    "report-uri",
    "require-trusted-types-for",
    "sandbox",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
    "trusted-types",
    "upgrade-insecure-requests",
    "webrtc",
    "worker-src",
];

pub(super) fn content_security_policy<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    checked_policy(String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

/// A browser leaves out what it does not know, so a mistyped directive would protect nothing and say nothing.
fn checked_policy(policy: String) -> Result<String, String> {
    // A comma would begin a second policy (RFC 9110 §5.6.1).
    let is_plain = policy.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b',');
    if policy.len() > LONGEST_POLICY || !is_plain {
        return Err(format!(
            "content_security_policy is one line of at most {LONGEST_POLICY} ASCII characters without commas, not {policy:?}"
        ));
    }
    let names = policy.split(';').filter_map(|directive| directive.split(' ').find(|word| !word.is_empty()));
    for name in names {
        if DIRECTIVES.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            continue;
        }
        let nearest = DIRECTIVES
            .into_iter()
            .min_by_key(|known| strsim::damerau_levenshtein(known, name))
            .unwrap_or_default();
        return Err(format!(
            "content_security_policy has an unknown directive `{name}`: did you mean `{nearest}`?"
        ));
    }
    Ok(policy)
}

pub(super) fn host_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Vec::deserialize(deserializer)?
        .into_iter()
        .map(|name| checked_host_name(name).map_err(D::Error::custom))
        .collect()
}

/// RFC 1123 §2.1: letters, digits, hyphens and dots; at most 253 characters.
fn checked_host_name(name: String) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(name.to_ascii_lowercase());
    }
    Err(format!(
        "{name:?} is not a host name: labels of letters, digits and hyphens, joined by dots, without a final dot"
    ))
}
