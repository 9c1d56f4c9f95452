//! Follows a primary: a zone that is copied from another server, and served as long as that confirms it.
//!
//! RFC 1034 §4.3.5: every `refresh` seconds of the SOA the primary is asked for its serial, every `retry` while it cannot be
//! reached, at once when it says that the zone changed (NOTIFY). After `expire` seconds without it nothing is answered any
//! more (SERVFAIL). The last good copy is kept in a file, whose time is when the primary last confirmed it, so that a
//! restart serves it at once, even while the primary is down.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::fetch::{self, Fetched, Source};
use super::shelf::Shelf;
use crate::dns::name::Name;
use crate::dns::types::RecordType;
use crate::dns::zone::{self, Zone};
use crate::ground::fault::{DnsWrong, Wrong};
use crate::ground::journal::Journal;
use crate::ground::service::causes;
use crate::ground::{chance, clock};
use crate::services::faults::{Active, Faults};

/// The shortest and the longest time between two questions, whatever the SOA says.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(7 * 86_400);

/// The shortest time between the starts of two questions, however often the primary says that the zone changed: its word
/// is a datagram, which others can forge, and each question costs a connection.
const PACE: Duration = Duration::from_millis(200);

/// While there is no zone yet: the first pause, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A copy of a zone, and what keeps it right.
#[derive(Debug)]
pub(super) struct Secondary {
    pub(super) source: Source,
    /// Told when the primary says that the zone changed.
    pub(super) changed: Arc<Notify>,
    /// The last good copy.
    pub(super) file: PathBuf,
    pub(super) shelf: Arc<Shelf>,
    pub(super) journal: Journal,
    /// One of them is that nothing is fetched.
    pub(super) faults: Faults,
}

/// The times of a SOA (RFC 1035 §3.3.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    refresh: Duration,
    retry: Duration,
    expire: Duration,
}

impl Times {
    fn of(zone: &Zone) -> Self {
        let data = zone.apex().set(RecordType::SOA).and_then(|soa| soa.first()).unwrap_or_default();
        let seconds = |from_end: usize| {
            let octets =
                data.len().checked_sub(from_end).and_then(|at| data.get(at..at + 4)?.try_into().ok());
            Duration::from_secs(octets.map_or(0, u32::from_be_bytes).into())
        };
        let bounded = |time: Duration| time.clamp(SOONEST, LATEST);
        // An expire below refresh would let a zone end between two questions.
        let refresh = bounded(seconds(16));
        Self { refresh, retry: bounded(seconds(12)), expire: seconds(8).max(refresh) }
    }
}

/// What is served, and since when the primary has not confirmed it.
#[derive(Debug)]
pub(super) struct Copy {
    serial: u32,
    times: Times,
    confirmed_millis: u64,
}

impl Copy {
    /// How long it may still be served; nothing if no more.
    fn left(&self) -> Option<Duration> {
        let age = Duration::from_millis(clock::unix_millis().saturating_sub(self.confirmed_millis));
        self.times.expire.checked_sub(age).filter(|left| !left.is_zero())
    }
}

impl Secondary {
    /// Serves the kept copy, if there is one that has not expired, before anything is asked.
    pub(super) fn restore(&self) -> Option<Copy> {
        // What a server that was killed left behind.
        let _ = fs::remove_file(fetch::beside(&self.file));
        let confirmed_millis = fs::metadata(&self.file).ok()?.modified().ok()?;
        let confirmed_millis = confirmed_millis.duration_since(UNIX_EPOCH).ok()?.as_millis();
        let zone = zone::load(&self.source.origin, &self.file).zone?;
        let copy = Copy {
            serial: zone.serial(),
            times: Times::of(&zone),
            confirmed_millis: u64::try_from(confirmed_millis).unwrap_or(0).min(clock::unix_millis()),
        };
        copy.left()?;
        self.shelf.publish(&self.source.origin, zone, &self.file);
        Some(copy)
    }

    /// Follows the primary until `stop`; `copy` is what is served already.
    pub(super) async fn follow(self, copy: Option<Copy>, stop: CancellationToken) {
        let following = async {
            let mut copy = copy;
            let mut pause = FIRST_PAUSE;
            let mut failing = String::new();
            let mut faults = self.faults.watch();
            loop {
                // What expires meanwhile expires.
                let stale = |active: &Active| active.has(Wrong::Dns(DnsWrong::Stale));
                self.keep_time(&mut copy, faults.until(false, stale)).await;
                let next = clock::now() + PACE;
                let fetch = self.source.fetch(copy.as_ref().map(|copy| copy.serial), &self.file);
                let wait = match self.keep_time(&mut copy, fetch).await {
                    Ok(fetched) => {
                        let older = self.older(&fetched, copy.as_ref());
                        copy = self.confirm(fetched, copy);
                        match older {
                            Some(why) => self.complain(&mut failing, why),
                            None if !std::mem::take(&mut failing).is_empty() => {
                                self.shelf.explain(&self.source.origin, None);
                            }
                            None => {}
                        }
                        pause = FIRST_PAUSE;
                        copy.as_ref().map_or(pause, |copy| copy.times.refresh)
                    }
                    Err(why) => {
                        self.complain(&mut failing, causes(&why).join(": "));
                        pause = (2 * pause).min(LONGEST_PAUSE);
                        copy.as_ref().map_or(pause, |copy| copy.times.retry)
                    }
                };
                self.keep_time(&mut copy, self.changed_within(jittered(wait))).await;
                self.keep_time(&mut copy, sleep_until(next.into())).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = following => {}
        }
    }

    /// Tells why the zone cannot be followed, once.
    fn complain(&self, failing: &mut String, why: String) {
        if *failing != why {
            self.journal.note(format!("zone {}: {why}", self.source.origin));
            self.shelf.explain(&self.source.origin, Some(why.clone()));
            *failing = why;
        }
    }

    /// What is to be said of a primary whose serial went down: nothing is older by RFC 1982 than what is edited later.
    fn older(&self, fetched: &Fetched, copy: Option<&Copy>) -> Option<String> {
        let (Fetched::Older(theirs), Some(copy)) = (fetched, copy) else { return None };
        let (primary, ours) = (self.source.primary, copy.serial);
        Some(format!(
            "the primary {primary} has serial {theirs}, lower than {ours} of the copy, which stays: raise it there"
        ))
    }

    /// The primary was asked: the copy is what it has.
    fn confirm(&self, fetched: Fetched, before: Option<Copy>) -> Option<Copy> {
        let now = clock::unix_millis();
        let copy = match fetched {
            Fetched::Current | Fetched::Older(_) => before.map(|copy| Copy { confirmed_millis: now, ..copy }),
            Fetched::Zone(zone) => {
                let copy = Copy { serial: zone.serial(), times: Times::of(&zone), confirmed_millis: now };
                self.shelf.publish(&self.source.origin, *zone, &self.file);
                Some(copy)
            }
        };
        if let Err(cause) = touch(&self.file, now) {
            self.journal.note(format!("the copy {} cannot be kept: {cause}", self.file.display()));
        }
        copy
    }

    /// Waits for `pause` or for word from the primary.
    async fn changed_within(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.changed.notified() => {}
        }
    }

    /// Waits for `event`; ends the zone when its time comes meanwhile.
    async fn keep_time<T>(&self, copy: &mut Option<Copy>, event: impl Future<Output = T>) -> T {
        tokio::pin!(event);
        loop {
            let left = copy.as_ref().map(|copy| copy.left().unwrap_or_default());
            tokio::select! {
                biased;
                happened = &mut event => return happened,
                () = sleep(left.unwrap_or_default()), if left.is_some() => {
                    let why = format!(
                        "the primary {} was silent for longer than the SOA's expire: the zone is not served any more",
                        self.source.primary
                    );
                    self.shelf.expire(&self.source.origin, why);
                    *copy = None;
                }
            }
        }
    }
}

/// The file's time is when its zone was confirmed.
fn touch(file: &Path, millis: u64) -> std::io::Result<()> {
    File::options().append(true).open(file)?.set_modified(UNIX_EPOCH + Duration::from_millis(millis))
}

/// Up to a tenth less, so that many secondaries do not ask at the same time.
fn jittered(pause: Duration) -> Duration {
    let parts = u32::try_from(chance::random_u64() % 1_000).unwrap_or(0);
    pause - pause / 10 * parts / 1_000
}

/// `foobar.com.zone`: letters, digits, dots, hyphens and underscores of the name; what else it has is written as its octets.
pub(super) fn file_name(origin: &Name) -> String {
    let name: String = match origin.to_lowercase().to_string().trim_end_matches('.') {
        // As master files write it; no other name has this file (`root.` is a name like any other).
        "" => "@".into(),
        name => name
            .chars()
            .map(|character| match character {
                'a'..='z' | '0'..='9' | '-' | '_' | '.' => character.to_string(),
                other => format!("%{:02x}", u32::from(other)),
            })
            .collect(),
    };
    format!("{name}.zone")
}

#[cfg(test)]
mod tests;
