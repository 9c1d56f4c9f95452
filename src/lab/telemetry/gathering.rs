//! Which events belong together, and when they are all there.
//!
//! Pure: time comes in as a number. What belongs together is told by several processes, each of which rests when it is
//! busy; so a request is whole when its web server has told of it and then nothing more came for a while. A request names
//! what it belongs to, and a walk too; of what a name server was asked on a walk only place and time tell.

use std::collections::HashMap;
use std::mem;

use super::Cast;
use super::spans::{self, Span};
use crate::ground::channel::WalkStep;
use crate::ground::event::{Event, Happened};

/// Events that are held at a time; what comes beyond is dropped and counted.
const HELD_MOST: usize = 8192;
/// Nothing more comes of what was told so long ago: a service rests for half a second at most. In microseconds, as all here.
const QUIET: u64 = 3_000_000;
/// What a name server was asked may belong to a walk that is told until then; sooner than the walk itself is whole.
const ASKED_WITHIN: u64 = 2_000_000;
/// What nobody told the end of is whole then: longer than any request waits for its application by default.
const ABANDONED: u64 = 60_000_000;
/// A name server notes the time of an answer when it has sent it: so much later than its asker at most.
const TOLD_LATER: u64 = 50_000;

/// Events on their way to be spans.
#[derive(Debug)]
pub(super) struct Gathering {
    cast: Cast,
    groups: HashMap<Key, Group>,
    /// What name servers were asked, and when it was heard.
    questions: Vec<(u64, Event)>,
    /// In both together.
    held: usize,
}

/// What belongs together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Request(String),
    Walk(String),
}

#[derive(Debug, Default)]
struct Group {
    events: Vec<Event>,
    /// When the last of them was heard.
    heard: u64,
    /// Whether what they are parts of was told.
    has_end: bool,
}

impl Gathering {
    pub(super) fn of(cast: Cast) -> Self {
        Self { cast, groups: HashMap::new(), questions: Vec::new(), held: 0 }
    }

    /// Takes `event`, heard `now`; how many had to be dropped for want of room.
    pub(super) fn hear(&mut self, event: &Event, now: u64) -> u64 {
        let (key, is_end) = match &event.what {
            Happened::Question { walk: Some(walk), .. } => (Some(Key::Walk(walk.clone())), true),
            Happened::Question { .. } => (None, true),
            Happened::Asked { walk, .. } => (Some(Key::Walk(walk.clone())), false),
            Happened::Request { id, .. } => (Some(Key::Request(id.clone())), true),
            Happened::Passed { id, .. } | Happened::Statement { id: Some(id), .. } => {
                (Some(Key::Request(id.clone())), false)
            }
            Happened::Statement { id: None, .. } => (None, true),
            _ => return 0,
        };
        if self.held >= HELD_MOST {
            return 1;
        }
        self.held += 1;
        match key {
            Some(key) => {
                let group = self.groups.entry(key).or_default();
                group.events.push(event.clone());
                group.heard = now;
                group.has_end |= is_end;
            }
            None => self.questions.push((now, event.clone())),
        }
        0
    }

    /// The spans of all that is whole `now`.
    pub(super) fn whole(&mut self, now: u64) -> Vec<Span> {
        let quiet = |heard: u64, limit: u64| now.saturating_sub(heard) >= limit;
        let old = self.questions.extract_if(.., |(heard, _)| quiet(*heard, ASKED_WITHIN));
        let old: Vec<Event> = old.map(|(_, event)| event).collect();
        let alone = self.find_walks(old);
        let is_whole = |group: &Group| quiet(group.heard, if group.has_end { QUIET } else { ABANDONED });
        let groups = self.groups.extract_if(|_, group| is_whole(group));
        let groups: Vec<Vec<Event>> = groups.map(|(_, group)| group.events).collect();
        self.spans(alone, groups)
    }

    /// The spans of all that is left.
    pub(super) fn rest(&mut self) -> Vec<Span> {
        let questions = mem::take(&mut self.questions).into_iter().map(|(_, event)| event).collect();
        let alone = self.find_walks(questions);
        let groups = mem::take(&mut self.groups).into_values().map(|group| group.events).collect();
        self.spans(alone, groups)
    }

    fn spans(&mut self, alone: Vec<Event>, groups: Vec<Vec<Event>>) -> Vec<Span> {
        let mut spans = Vec::new();
        for mut events in alone.into_iter().map(|event| vec![event]).chain(groups) {
            self.held = self.held.saturating_sub(events.len());
            events.sort_by_key(|event| event.when.mono);
            spans.extend(spans::of(&events, &self.cast));
        }
        spans
    }

    /// Puts what name servers were asked to the walks on which they were; what is left was asked by somebody else.
    fn find_walks(&mut self, questions: Vec<Event>) -> Vec<Event> {
        let mut alone = Vec::new();
        for question in questions {
            let of = self
                .groups
                .values_mut()
                .find(|group| group.events.iter().any(|asked| is_step(asked, &question, &self.cast)));
            match of {
                // It may have been told late: the walk is no younger for it.
                Some(group) => group.events.push(question),
                None => alone.push(question),
            }
        }
        alone
    }
}

/// Whether `question` is what a name server tells of the step that a resolver tells as `asked`.
pub(super) fn is_step(asked: &Event, question: &Event, cast: &Cast) -> bool {
    let (Happened::Asked { step, .. }, Happened::Question { name, record_type, micros, walk: None, .. }) =
        (&asked.what, &question.what)
    else {
        return false;
    };
    let WalkStep { server, name: asked_name, record_type: asked_type, micros: asked_micros, .. } = step;
    let began = question.when.mono.saturating_sub(*micros);
    let asked_at = asked.when.mono.saturating_sub(*asked_micros);
    cast.is_at(&question.service, *server)
        && name.eq_ignore_ascii_case(asked_name)
        && record_type == asked_type
        && began >= asked_at
        && began <= asked.when.mono
        && question.when.mono <= asked.when.mono.saturating_add(TOLD_LATER)
}
