//! The lab's journal: what all services tell, in one order, for a while in memory and for longer on disk.
//!
//! Events reach the supervisor some time after they happened, a flooded service's half a second later. In memory each
//! takes its place by the clock that all processes share; on disk they are written once they are old enough for nothing
//! earlier to come, so that the file is in order and is written to once a second instead of at each event. Whoever
//! watches hears at once, in the order in which things become known.
//!
//! Everything is bounded: what is kept by number and by length, what waits for a watcher by number. Nobody is waited
//! for: a watcher that is slow loses events, and is told how many.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::ground::channel::LONGEST_LINE;
use crate::ground::event::{Event, Happened, Moment, SHOWN_OF_ID};

use super::log::Lines;

/// Events that are kept in memory, and their length as JSON in bytes, at most.
const KEPT_MOST: usize = 8192;
const KEPT_BYTES: usize = 4 << 20;
/// What is older than this has nothing before it on its way any more: twice a service's longest rest, in microseconds.
const SETTLED_MICROS: u64 = 1_000_000;
/// Those that may watch at a time, whoever brought the lab up included.
const WATCHERS_MOST: usize = 16;
/// Events that may wait for a watcher.
const WAITING_MOST: usize = 1024;
/// Events are told in one answer up to this many bytes, well below the longest line.
const ANSWERED_BYTES: usize = LONGEST_LINE / 2;

/// Which events are wanted; what is not said is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Those of these services; of none in particular, all.
    pub services: Vec<String>,
    /// Those of one request: of what is kept, its connection as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Which>,
    /// Those since then, in microseconds of the shared clock.
    pub since: u64,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The one whose identifier is this or begins so; [`SHOWN_OF_ID`] digits at least.
    Of(String),
    /// The last that the web server answered; only of what is kept.
    Last,
}

impl Wanted {
    /// Whether it can be asked for; if not, why.
    pub fn check(&self) -> Result<(), String> {
        match &self.request {
            Some(Which::Of(id)) if id.len() < SHOWN_OF_ID => Err(format!(
                "{id:?} is too short for a request's identifier: at least the {SHOWN_OF_ID} digits that a line shows"
            )),
            _ => Ok(()),
        }
    }

    fn wants(&self, event: &Event) -> bool {
        let of_request = match &self.request {
            None => true,
            Some(Which::Of(wanted)) => event.what.request().is_some_and(|id| id.starts_with(wanted.as_str())),
            Some(Which::Last) => false,
        };
        of_request && self.of_service_and_time(event)
    }

    fn of_service_and_time(&self, event: &Event) -> bool {
        event.when.mono >= self.since && (self.services.is_empty() || self.services.contains(&event.service))
    }
}

/// An event, and as a line of JSON without its end.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) json: String,
}

/// Where the supervisor keeps what it hears; clones are the same journal.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    /// A plain mutex: held for one event or one look, never across an await.
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    /// By the shared clock, the oldest first.
    entries: VecDeque<Arc<Entry>>,
    /// The length of them all.
    bytes: usize,
    /// So many of them, the first ones, are on disk.
    written: usize,
    disk: Lines,
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    wanted: Wanted,
    waiting: mpsc::Sender<Arc<Entry>>,
    lost: Arc<AtomicU64>,
}

/// What a watcher hears.
#[derive(Debug)]
pub(super) struct Heard {
    waiting: mpsc::Receiver<Arc<Entry>>,
    lost: Arc<AtomicU64>,
}

impl Journal {
    /// A journal whose file is at `path`; new lines come after those that are there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let kept = Kept {
            entries: VecDeque::new(),
            bytes: 0,
            written: 0,
            disk: Lines::open(path)?,
            watchers: Vec::new(),
        };
        Ok(Self { kept: Arc::new(Mutex::new(kept)) })
    }

    /// Keeps `event` and tells it to whoever watches.
    pub(super) fn hear(&self, entry: Arc<Entry>) {
        let mut kept = self.kept();
        kept.watchers.retain(|watcher| watcher.tell(&entry));
        kept.keep(entry);
    }

    /// Hears something that the supervisor itself has to say.
    pub(super) fn note(&self, text: impl Into<String>) {
        self.tell(Happened::Note { text: text.into() });
    }

    /// Hears something that happened to the lab as a whole.
    pub(super) fn tell(&self, what: Happened) {
        self.hear(Entry::of(by_the_lab(what)));
    }

    /// Everything from now on, for whoever brings the lab up, and for what the lab itself tells others.
    pub(super) fn watch_first(&self) -> Heard {
        self.kept().watch(Wanted::default())
    }

    /// What `wanted` wants from now on; nothing if too many watch already.
    pub(super) fn watch(&self, wanted: Wanted) -> Option<Heard> {
        let mut kept = self.kept();
        kept.watchers.retain(|watcher| !watcher.waiting.is_closed());
        (kept.watchers.len() < WATCHERS_MOST).then(|| kept.watch(wanted))
    }

    /// What `wanted` wants of what is kept, in order; and how many older events it would want are left out since they
    /// do not fit one answer.
    pub(super) fn find(&self, wanted: &Wanted) -> (Vec<Event>, usize) {
        let kept = self.kept();
        let chosen = kept.choose(wanted);
        let mut room = ANSWERED_BYTES;
        let fits = chosen.iter().rev().take_while(|entry| {
            let fits = entry.json.len() < room;
            room = room.saturating_sub(entry.json.len() + 1);
            fits
        });
        let left_out = chosen.len() - fits.count();
        (chosen[left_out..].iter().map(|entry| entry.event.clone()).collect(), left_out)
    }

    /// Writes what nothing earlier can come before any more.
    pub(super) fn settle(&self) {
        self.kept().write_up_to(Moment::now().mono.saturating_sub(SETTLED_MICROS));
    }

    /// Writes everything: nothing comes any more.
    pub(super) fn close(&self) {
        self.kept().write_up_to(u64::MAX);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn watch(&mut self, wanted: Wanted) -> Heard {
        let (sender, waiting) = mpsc::channel(WAITING_MOST);
        let lost = Arc::<AtomicU64>::default();
        self.watchers.push(Watcher { wanted, waiting: sender, lost: lost.clone() });
        Heard { waiting, lost }
    }

    fn keep(&mut self, entry: Arc<Entry>) {
        let length = entry.json.len();
        while !self.entries.is_empty()
            && (self.entries.len() >= KEPT_MOST || self.bytes + length > KEPT_BYTES)
        {
            if self.written == 0 {
                self.write(1);
            }
            self.written -= 1;
            self.bytes -= self.entries.pop_front().map_or(0, |oldest| oldest.json.len());
        }
        let mono = entry.event.when.mono;
        let earlier = self.entries.iter().rev().take_while(|later| later.event.when.mono > mono).count();
        // What comes too late even for that comes after what is written.
        let place = (self.entries.len() - earlier).max(self.written);
        self.bytes += length;
        self.entries.insert(place, entry);
    }

    fn write_up_to(&mut self, mono: u64) {
        let unwritten = self.entries.iter().skip(self.written);
        let settled = unwritten.take_while(|entry| entry.event.when.mono <= mono).count();
        if settled > 0 {
            self.write(settled);
        }
    }

    /// Writes the next `count`.
    fn write(&mut self, count: usize) {
        let mut text = String::new();
        for entry in self.entries.iter().skip(self.written).take(count) {
            text.push_str(&entry.json);
            text.push('\n');
        }
        self.disk.write(&text);
        self.written += count;
    }

    fn choose(&self, wanted: &Wanted) -> Vec<&Entry> {
        let all = || self.entries.iter().map(|entry| &**entry);
        let Some(which) = &wanted.request else {
            return all().filter(|entry| wanted.wants(&entry.event)).collect();
        };
        let answered = |entry: &&Entry| {
            entry.event.service == WEB
                && matches!(entry.event.what, Happened::Request { .. })
                && match which {
                    Which::Last => true,
                    Which::Of(wanted) => {
                        entry.event.what.request().is_some_and(|id| id.starts_with(wanted.as_str()))
                    }
                }
        };
        let last = all().rev().find(answered).map(|entry| &entry.event);
        let id = match (which, last.and_then(|event| event.what.request())) {
            (_, Some(id)) => id,
            // The application may be asked without the web server.
            (Which::Of(id), None) => id,
            (Which::Last, None) => return Vec::new(),
        };
        let connection = last.and_then(|event| self.connection_of(event));
        let belongs = |entry: &&Entry| {
            let is_part = entry.event.what.request().is_some_and(|part| part.starts_with(id));
            let is_connection = connection.is_some_and(|connection| std::ptr::eq(connection, *entry));
            (is_part || is_connection) && wanted.of_service_and_time(&entry.event)
        };
        all().filter(belongs).collect()
    }

    /// The connection over which `request` came: the last of its client before it.
    fn connection_of(&self, request: &Event) -> Option<&Entry> {
        let Happened::Request { client: asked_by, .. } = &request.what else { return None };
        let connected = |entry: &&Entry| match &entry.event.what {
            Happened::Connected { client, .. } => {
                client == asked_by
                    && entry.event.service == request.service
                    && entry.event.when.mono <= request.when.mono
            }
            _ => false,
        };
        self.entries.iter().rev().map(|entry| &**entry).find(connected)
    }
}

/// The service that stands before the others.
const WEB: &str = "web";

impl Entry {
    /// `event` with its line. What cannot be written as JSON (nothing that there is) is an empty line.
    pub(super) fn of(event: Event) -> Arc<Self> {
        let json = serde_json::to_string(&event).unwrap_or_default();
        Arc::new(Self { event, json })
    }
}

impl Watcher {
    /// Whether it still watches.
    fn tell(&self, entry: &Arc<Entry>) -> bool {
        if !self.wanted.wants(&entry.event) {
            return !self.waiting.is_closed();
        }
        match self.waiting.try_send(entry.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

impl Heard {
    /// Waits for events and appends up to `most` of them to `batch`; what was lost is told as a number. Dropping the
    /// wait loses nothing.
    pub(super) async fn next(&mut self, batch: &mut Vec<Arc<Entry>>, most: usize) {
        self.waiting.recv_many(batch, most).await;
        batch.extend(self.lost());
    }

    /// What waits already.
    pub(super) fn rest(&mut self) -> Vec<Arc<Entry>> {
        let mut rest: Vec<_> = std::iter::from_fn(|| self.waiting.try_recv().ok()).collect();
        rest.extend(self.lost());
        rest
    }

    fn lost(&self) -> Option<Arc<Entry>> {
        let count = self.lost.swap(0, Ordering::Relaxed);
        (count > 0).then(|| Entry::of(by_the_lab(Happened::Untold { count })))
    }
}

fn by_the_lab(what: Happened) -> Event {
    Event { when: Moment::now(), host: "lab".into(), service: "lab".into(), what }
}

#[cfg(test)]
mod tests;
