//! What the resolver remembers: whole answers, by question, until the shortest TTL in them ends (RFC 2181 §5.2),
//! negative ones by their SOA (RFC 2308 §5). Bounded; the least recently used goes first.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{LowerName, RData, Record, RecordType};
use lru::LruCache;

use crate::ground::channel::CacheEntry;

use super::shown::shown;

/// An answer that nobody sent a TTL for is not remembered; one with a TTL above a day is kept for a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A failure is remembered as briefly as is allowed, so that a repaired server is seen at once (RFC 9520 §3.2).
const FAILURE: Duration = Duration::from_secs(1);

/// How long after its end an answer may still be given when nobody can be asked (RFC 8767 §5).
const STALE_LONGEST: Duration = Duration::from_secs(86_400);
/// The TTL of such an answer, in seconds (RFC 8767 §4).
const STALE_TTL: u32 = 30;
/// The extended error of such an answer, and of one that says there is no such name (RFC 8914 §4.4, §4.20).
const EDE_STALE: u16 = 3;
const EDE_STALE_NXDOMAIN: u16 = 19;
/// An answer is fetched again in the last tenth of its time.
const PREFETCH_SHARE: u32 = 10;

/// A name and a type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) name: LowerName,
    pub(super) record_type: RecordType,
    /// Whether the answer is wanted as it comes, whatever its signatures are.
    pub(super) unchecked: bool,
}

/// What is known about a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) rcode: ResponseCode,
    pub(super) answers: Vec<Record>,
    /// For a negative answer its SOA, and what proves it; of an answer that a wildcard gave, the latter alone.
    pub(super) authorities: Vec<Record>,
    /// The name server that answered last on the way.
    pub(super) said_by: Option<SocketAddr>,
    /// What went wrong, if it did.
    pub(super) failure: Option<Failure>,
    /// Whether all of it leads back to the key of the root that is believed.
    pub(super) secure: bool,
}

/// What went wrong, as an extended error (RFC 8914).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The code, from the registry that RFC 8914 §5.2 made.
    pub(super) code: u16,
    /// The same in words.
    pub(super) text: String,
}

/// The memory itself.
#[derive(Debug)]
pub(super) struct Cache {
    entries: LruCache<Question, Entry>,
    generation: u64,
    serve_stale: bool,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    since: Instant,
    lifetime: Duration,
    hits: u64,
    /// The last try to renew it, if that failed, and when.
    trouble: Option<(Answer, Instant)>,
}

impl Cache {
    /// With `serve_stale`, an answer is given after its time while it cannot be renewed (RFC 8767).
    pub(super) fn new(entries_most: usize, serve_stale: bool) -> Self {
        let most = NonZeroUsize::new(entries_most).unwrap_or(NonZeroUsize::MIN);
        // Grows as it fills: an idle resolver pays for no table.
        let mut entries = LruCache::unbounded();
        entries.resize(most);
        Self { entries, generation: 0, serve_stale }
    }

    /// The answer with its TTLs as they stand at `now`, if it is remembered.
    pub(super) fn get(&mut self, question: &Question, now: Instant) -> Option<Answer> {
        let entry = self.entries.get_mut(question)?;
        let age = now.saturating_duration_since(entry.since);
        if age < entry.lifetime {
            entry.hits += 1;
            return Some(entry.answer.aged(age));
        }
        let (failed, at) = entry.trouble.as_ref()?;
        if now.saturating_duration_since(*at) >= FAILURE {
            return None;
        }
        let servable = self.serve_stale && age < entry.lifetime.saturating_add(STALE_LONGEST);
        Some(if servable { entry.answer.stale() } else { failed.clone() })
    }

    /// How many entries there are, also those whose time is over.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Grows whenever something is forgotten on purpose: what was asked before then is not to be remembered after.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Remembers `answer`, if it may be. A failure never takes the place of an answer: that may still be in its time, or
    /// be given after it.
    pub(super) fn put(&mut self, question: Question, answer: Answer, now: Instant) {
        let failed = answer.rcode == ResponseCode::ServFail;
        if failed
            && let Some(entry) = self.entries.get_mut(&question)
            && entry.answer.rcode != ResponseCode::ServFail
        {
            entry.trouble = Some((answer, now));
        } else if let Some(lifetime) = answer.lifetime() {
            self.entries.put(question, Entry { answer, since: now, lifetime, hits: 0, trouble: None });
        }
    }

    /// Whether little of the time of a remembered answer is left, so that it is worth asking for it again.
    pub(super) fn is_ending(&self, question: &Question, now: Instant) -> bool {
        self.entries.peek(question).is_some_and(|entry| {
            let age = now.saturating_duration_since(entry.since);
            age < entry.lifetime && entry.lifetime - age <= entry.lifetime / PREFETCH_SHARE
        })
    }

    /// Forgets what is known of `name`; says how much that was.
    pub(super) fn clear_name(&mut self, name: &LowerName) -> usize {
        self.generation += 1;
        let of_name: Vec<Question> = self
            .entries
            .iter()
            .map(|(question, _)| question)
            .filter(|question| question.name == *name)
            .cloned()
            .collect();
        for question in &of_name {
            self.entries.pop(question);
        }
        of_name.len()
    }

    /// Forgets everything; says how much that was.
    pub(super) fn clear(&mut self) -> usize {
        self.generation += 1;
        let count = self.entries.len();
        self.entries.clear();
        count
    }

    /// What is remembered at `now`, the soonest to end first.
    pub(super) fn list(&self, now: Instant) -> Vec<CacheEntry> {
        let mut list: Vec<CacheEntry> = self
            .entries
            .iter()
            .filter_map(|(question, entry)| {
                let age = now.saturating_duration_since(entry.since);
                let left = entry.lifetime.checked_sub(age).filter(|left| !left.is_zero())?;
                let answer = entry.answer.aged(age);
                Some(CacheEntry {
                    name: question.name.to_string(),
                    record_type: type_name(question.record_type),
                    outcome: answer.outcome(),
                    ttl_seconds: whole_seconds_up(left),
                    records: answer.answers.iter().chain(&answer.authorities).map(shown).collect(),
                    hits: entry.hits,
                    said_by: answer.said_by,
                })
            })
            .collect();
        list.sort_by(|one, other| (one.ttl_seconds, &one.name).cmp(&(other.ttl_seconds, &other.name)));
        list
    }
}

impl Answer {
    /// An answer without records.
    pub(super) fn of(rcode: ResponseCode) -> Self {
        Self {
            rcode,
            answers: Vec::new(),
            authorities: Vec::new(),
            said_by: None,
            failure: None,
            secure: false,
        }
    }

    /// `NOERROR`, `NXDOMAIN`, or `NODATA` for a name that exists without the type asked for.
    pub(super) fn outcome(&self) -> String {
        match self.rcode {
            // A chain of aliases may lead to a name without that type.
            ResponseCode::NoError if self.answers.is_empty() || self.has_soa() => "NODATA".into(),
            rcode => rcode_name(rcode),
        }
    }

    /// Whether it is negative, and says for how long.
    fn has_soa(&self) -> bool {
        self.authorities.iter().any(|record| record.record_type() == RecordType::SOA)
    }

    /// How long it may be remembered: the shortest TTL in it; for a negative answer at most the SOA's
    /// minimum; for a failure [`FAILURE`]. Nothing for an answer without records, and for TTL 0.
    fn lifetime(&self) -> Option<Duration> {
        if self.rcode == ResponseCode::ServFail {
            return Some(FAILURE);
        }
        let negative = self.authorities.iter().filter_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        });
        let shortest = self.answers.iter().map(|record| record.ttl).chain(negative).min()?;
        let lifetime = Duration::from_secs(shortest.into()).min(LONGEST);
        (!lifetime.is_zero()).then_some(lifetime)
    }

    /// The same as it is given after its time: TTLs of [`STALE_TTL`], and an extended error that says so.
    fn stale(&self) -> Self {
        let mut answer = self.clone();
        for record in answer.answers.iter_mut().chain(&mut answer.authorities) {
            record.ttl = STALE_TTL;
        }
        let code = if self.rcode == ResponseCode::NXDomain { EDE_STALE_NXDOMAIN } else { EDE_STALE };
        answer.failure = Some(Failure { code, text: "stale: it cannot be renewed".into() });
        answer
    }

    /// The same with every TTL less by `age`.
    fn aged(&self, age: Duration) -> Self {
        let seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        let older = |records: &[Record]| {
            let mut records = records.to_vec();
            for record in &mut records {
                record.ttl = record.ttl.saturating_sub(seconds);
            }
            records
        };
        Self { answers: older(&self.answers), authorities: older(&self.authorities), ..self.clone() }
    }
}

/// A type as it is written, also one that has no name (RFC 3597 §5).
pub(super) fn type_name(record_type: RecordType) -> String {
    match record_type {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        known => known.to_string(),
    }
}

/// The type that `text` writes.
pub(super) fn type_named(text: &str) -> Option<RecordType> {
    let text = text.to_ascii_uppercase();
    match text.strip_prefix("TYPE").map(str::parse::<u16>) {
        Some(Ok(number)) => Some(RecordType::from(number)),
        _ => text.parse().ok(),
    }
}

/// The code as dig writes it.
pub(super) fn rcode_name(rcode: ResponseCode) -> String {
    match rcode {
        ResponseCode::NoError => "NOERROR".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::BADVERS => "BADVERS".into(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

fn whole_seconds_up(duration: Duration) -> u32 {
    let up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(up).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::rr::Name;
    use hickory_proto::rr::rdata::SOA;

    use super::*;

    fn question(name: &str) -> Question {
        let name = LowerName::from(Name::from_ascii(name).unwrap());
        Question { name, record_type: RecordType::A, unchecked: false }
    }

    fn address(name: &str, ttl: u32) -> Answer {
        let record =
            Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, RData::A(Ipv4Addr::LOCALHOST.into()));
        Answer { answers: vec![record], ..Answer::of(ResponseCode::NoError) }
    }

    #[test]
    fn ttls_count_down_and_end() {
        let mut cache = Cache::new(10, true);
        let start = Instant::now();
        cache.put(question("www.foobar.com."), address("www.foobar.com.", 300), start);
        let later = start + Duration::from_secs(100);
        assert_eq!(cache.get(&question("WWW.foobar.com."), later).unwrap().answers[0].ttl, 200);
        assert_eq!(cache.list(later)[0].ttl_seconds, 200);
        assert_eq!(cache.list(later)[0].hits, 1);
        let end = start + Duration::from_secs(300);
        assert!(cache.get(&question("www.foobar.com."), end).is_none());
        assert!(cache.list(end).is_empty());
    }

    #[test]
    fn a_negative_answer_lives_as_long_as_its_soa_says() {
        let origin = Name::from_ascii("foobar.com.").unwrap();
        let soa = SOA::new(origin.clone(), origin.clone(), 1, 2, 3, 4, 60);
        let soa = Record::from_rdata(origin, 3600, RData::SOA(soa));
        let no_such_name = Answer { authorities: vec![soa], ..Answer::of(ResponseCode::NXDomain) };
        let mut cache = Cache::new(10, true);
        let start = Instant::now();
        cache.put(question("no.foobar.com."), no_such_name, start);
        assert_eq!(cache.list(start)[0].ttl_seconds, 60);
        assert_eq!(cache.list(start)[0].outcome, "NXDOMAIN");
        assert!(cache.get(&question("no.foobar.com."), start + Duration::from_secs(60)).is_none());
    }

    #[test]
    fn what_has_no_lifetime_is_not_remembered() {
        let mut cache = Cache::new(10, true);
        let start = Instant::now();
        cache.put(question("zero.foobar.com."), address("zero.foobar.com.", 0), start);
        cache.put(question("refused.foobar.com."), Answer::of(ResponseCode::Refused), start);
        assert!(cache.list(start).is_empty());
    }

    #[test]
    fn a_failure_is_remembered_for_a_second() {
        let mut cache = Cache::new(10, true);
        let start = Instant::now();
        cache.put(question("failed.foobar.com."), Answer::of(ResponseCode::ServFail), start);
        assert!(cache.get(&question("failed.foobar.com."), start + Duration::from_millis(999)).is_some());
        assert!(cache.get(&question("failed.foobar.com."), start + FAILURE).is_none());
    }

    #[test]
    fn an_answer_may_be_given_after_its_end_and_fetched_before_it() {
        let mut cache = Cache::new(10, true);
        let start = Instant::now();
        let www = question("www.foobar.com.");
        cache.put(www.clone(), address("www.foobar.com.", 300), start);
        assert!(!cache.is_ending(&www, start + Duration::from_secs(269)));
        assert!(cache.is_ending(&www, start + Duration::from_secs(271)));
        let late = start + Duration::from_secs(301);
        assert!(!cache.is_ending(&www, late));
        assert!(cache.get(&www, late).is_none(), "it is to be asked for again");
        cache.put(www.clone(), Answer::of(ResponseCode::ServFail), late);
        let stale = cache.get(&www, late).unwrap();
        assert_eq!(stale.answers[0].ttl, STALE_TTL);
        assert_eq!(stale.failure.unwrap().code, EDE_STALE);
        assert!(cache.get(&www, late + FAILURE).is_none(), "after a second it is tried again");
        let too_late = late + STALE_LONGEST;
        cache.put(www.clone(), Answer::of(ResponseCode::ServFail), too_late);
        assert_eq!(cache.get(&www, too_late).unwrap().rcode, ResponseCode::ServFail);
    }

    #[test]
    fn a_failure_does_not_take_the_place_of_an_answer() {
        let start = Instant::now();
        let www = question("www.foobar.com.");
        for (serve_stale, rcode) in [(true, ResponseCode::NoError), (false, ResponseCode::ServFail)] {
            let mut cache = Cache::new(10, serve_stale);
            cache.put(www.clone(), address("www.foobar.com.", 300), start);
            cache.put(www.clone(), Answer::of(ResponseCode::ServFail), start);
            assert_eq!(cache.get(&www, start).unwrap().rcode, ResponseCode::NoError, "it is in its time");
            let late = start + Duration::from_secs(300);
            cache.put(www.clone(), Answer::of(ResponseCode::ServFail), late);
            assert_eq!(cache.get(&www, late).unwrap().rcode, rcode);
        }
    }

    #[test]
    fn types_without_a_name_are_written_by_their_number() {
        assert_eq!(type_name(RecordType::from(65280)), "TYPE65280");
        assert_eq!(type_named("type65280"), Some(RecordType::from(65280)));
        assert_eq!(type_named("type1"), Some(RecordType::A));
        assert_eq!(type_named("aaaa"), Some(RecordType::AAAA));
        assert_eq!(type_named("nonsense"), None);
    }

    #[test]
    fn one_name_can_be_forgotten() {
        let mut cache = Cache::new(10, true);
        let start = Instant::now();
        for name in ["a.", "b."] {
            cache.put(question(name), address(name, 300), start);
        }
        assert_eq!(cache.clear_name(&question("A.").name), 1);
        assert!(cache.get(&question("a."), start).is_none());
        assert!(cache.get(&question("b."), start).is_some());
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = Cache::new(2, false);
        let start = Instant::now();
        for name in ["a.", "b."] {
            cache.put(question(name), address(name, 300), start);
        }
        cache.get(&question("a."), start);
        cache.put(question("c."), address("c.", 300), start);
        assert!(cache.get(&question("a."), start).is_some());
        assert!(cache.get(&question("b."), start).is_none());
        assert_eq!(cache.clear(), 2);
    }
}
