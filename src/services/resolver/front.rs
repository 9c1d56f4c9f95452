//! What answers the client: a request handler of hickory-server.
//!
//! RFC 1034 §4.3.1 (RA is set: recursion is offered), RFC 6891 (EDNS), RFC 8906 (what is not a question).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hickory_net::runtime::Time;
use hickory_proto::op::{Edns, Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, LowerName, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::TaskTracker;

use crate::dns::types::{self, Rcode};
use crate::ground::bind::Transport;
use crate::ground::channel::{CacheEntry, LONGEST_LINE, WalkTold};
use crate::ground::clock::{self, Stopwatch};
use crate::ground::dnssec::PublicKey;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;
use crate::ground::metrics::Family;
use crate::services::faults::Faults;
use crate::services::tally::questions::{Outcome, Tally};

use super::cache::{Answer, Cache, Failure, Question, rcode_name, type_name};
use super::shown::shown;
use super::trace::WalkId;
use super::trust::is_for_all;
use super::walk::Walk;
use super::{BoxedError, Config, Shared, lock};

/// The largest UDP answer offered, and the largest sent whatever the client offers (DNS flag day 2020).
pub(super) const UDP_PAYLOAD: u16 = 1232;

/// Walks that may be under way at a time.
const WALKS_MOST: usize = 256;
/// Entries of the cache are listed up to this many bytes, well below the longest line of the channel.
const LISTED_MOST: usize = LONGEST_LINE / 2;
/// An extended error without a code of its own (RFC 8914 §4.1).
const EDE_OTHER: u16 = 0;

/// Answers questions from the cache, else by a walk. Clones share everything.
#[derive(Clone)]
pub(super) struct Front {
    shared: Shared<Parts>,
    /// How what it answers came.
    transport: Transport,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("transport", &self.transport).finish_non_exhaustive()
    }
}

struct Parts {
    /// A plain mutex: held for one look-up or one insertion, never across an await.
    cache: Mutex<Cache>,
    walk: Walk,
    /// Questions that are being asked: equal ones wait for the same walk. A plain mutex, for the same reason.
    under_way: Mutex<HashMap<Question, Shared<UnderWay>>>,
    walking: Semaphore,
    prefetch: bool,
    background: TaskTracker,
    faults: Faults,
    journal: Journal,
    tally: Tally,
    /// Questions whose answer was remembered, and those for which somebody had to be asked.
    hits: AtomicU64,
    misses: AtomicU64,
}

/// A question that is being asked.
#[derive(Default)]
struct UnderWay {
    walk: WalkId,
    answer: OnceCell<Answer>,
}

/// Where an answer is from.
enum From {
    /// Nobody had to be asked, or nobody was.
    Here,
    /// It was remembered.
    Cache,
    /// This walk found it.
    Walk(WalkId),
}

impl Front {
    pub(super) fn new(walk: Walk, config: &Config, journal: Journal, faults: Faults) -> Self {
        Self {
            transport: Transport::Udp,
            shared: Shared::new(Parts {
                cache: Mutex::new(Cache::new(config.cache_entries, config.serve_stale)),
                walk,
                under_way: Mutex::default(),
                walking: Semaphore::new(WALKS_MOST),
                prefetch: config.prefetch,
                background: TaskTracker::new(),
                faults,
                journal,
                tally: Tally::default(),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
            }),
        }
    }

    /// The same, for what came over `transport`.
    pub(super) fn over(&self, transport: Transport) -> Self {
        Self { shared: self.shared.clone(), transport }
    }

    /// What it counts.
    pub(super) fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    /// What it counted, as metrics.
    pub(super) fn families(&self) -> Vec<Family> {
        let parts = &self.shared;
        let mut families = parts.tally.families();
        let help =
            "Questions looked up in the cache: hit, it was remembered; miss, somebody had to be asked.";
        families.push(
            Family::counter("wwwlab_resolver_cache_lookups_total", help)
                .with(&[("result", "hit")], parts.hits.load(Relaxed))
                .with(&[("result", "miss")], parts.misses.load(Relaxed)),
        );
        let remembered = lock(&parts.cache).len() as u64;
        let help = "Questions whose answers are in the cache, also those whose time is over.";
        families.push(Family::gauge("wwwlab_resolver_cache_entries", help).with(&[], remembered));
        families
    }

    /// What is wrong on purpose with its answers.
    pub(super) fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What is remembered, the soonest to end first, as much as fits the channel; and how much there is in all.
    pub(super) fn cached(&self) -> (Vec<CacheEntry>, usize) {
        let mut entries = lock(&self.shared.cache).list(clock::now());
        let total = entries.len();
        let mut room = LISTED_MOST;
        let fits = entries.iter().take_while(|entry| {
            // JSON may write a character with six.
            let length = 200 + 6 * (entry.name.len() + entry.records.iter().map(String::len).sum::<usize>());
            let fits = length <= room;
            room = room.saturating_sub(length);
            fits
        });
        let fits = fits.count();
        entries.truncate(fits);
        (entries, total)
    }

    /// Forgets everything, or what is known of `name`. The recursor's own memory goes in either case.
    pub(super) fn flush(&self, name: Option<LowerName>) -> Result<usize, BoxedError> {
        self.shared.walk.start_afresh()?;
        // Who asks from now on does not join a walk that began before.
        lock(&self.shared.under_way).clear();
        let mut cache = lock(&self.shared.cache);
        Ok(match name {
            Some(name) => cache.clear_name(&name),
            None => cache.clear(),
        })
    }

    /// Believes what leads back to one of these keys of the root from now on, and nothing that it has heard so far.
    pub(super) fn believe(&self, keys: &[PublicKey]) -> Result<(), BoxedError> {
        self.shared.walk.believe(keys)?;
        self.flush(None).map(|_| ())
    }

    /// Finds the answer to `question` and tells the way.
    pub(super) async fn resolve(&self, question: Question, afresh: bool) -> Result<WalkTold, BoxedError> {
        let watch = Stopwatch::start();
        let remembered = if afresh { None } else { lock(&self.shared.cache).get(&question, clock::now()) };
        let cached = remembered.is_some();
        let (answer, steps) = match remembered {
            Some(answer) => (answer, Vec::new()),
            None if afresh => self.shared.walk.answer_afresh(&question, &WalkId::default()).await?,
            None => {
                let generation = self.generation();
                let (answer, steps) = self.shared.walk.answer(&question, &WalkId::default()).await;
                self.remember(&question, &answer, generation);
                (answer, steps)
            }
        };
        Ok(WalkTold {
            name: question.name.to_string(),
            record_type: type_name(question.record_type),
            cached,
            steps,
            outcome: answer.outcome(),
            records: answer.answers.iter().chain(&answer.authorities).map(shown).collect(),
            why: answer.failure.map(|failure| failure.text),
            micros: watch.micros(),
        })
    }

    fn generation(&self) -> u64 {
        lock(&self.shared.cache).generation()
    }

    /// Remembers `answer`, unless everything was to be forgotten since `generation`; and what is to be given now, which is
    /// another answer where this one failed and that may still be given.
    fn remember(&self, question: &Question, answer: &Answer, generation: u64) -> Option<Answer> {
        let now = clock::now();
        let mut cache = lock(&self.shared.cache);
        if cache.generation() != generation {
            return None;
        }
        cache.put(question.clone(), answer.clone(), now);
        (answer.rcode == ResponseCode::ServFail).then(|| cache.get(question, now))?
    }

    /// Ends what goes on in the background.
    pub(super) async fn close(&self) {
        self.shared.background.close();
        self.shared.background.wait().await;
    }

    /// The answer and where it is from.
    async fn answer(&self, request: &Request) -> (Answer, From) {
        let refused = |rcode| (Answer::of(rcode), From::Here);
        if request.metadata.op_code != OpCode::Query {
            return refused(ResponseCode::NotImp);
        }
        if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return refused(ResponseCode::BADVERS);
        }
        let [query] = request.queries.queries() else {
            return refused(ResponseCode::FormErr);
        };
        let record_type = query.query_type();
        if query.query_class() != DNSClass::IN || matches!(record_type, RecordType::AXFR | RecordType::IXFR) {
            return refused(ResponseCode::Refused);
        }
        let unchecked = request.metadata.checking_disabled && self.shared.walk.is_checking();
        let question = Question { name: query.name().clone(), record_type, unchecked };
        let now = clock::now();
        let remembered = lock(&self.shared.cache).get(&question, now);
        if let Some(answer) = remembered {
            // One walk in the background for all who use the answer in its last tenth.
            if self.shared.prefetch
                && !lock(&self.shared.under_way).contains_key(&question)
                && lock(&self.shared.cache).is_ending(&question, now)
            {
                let front = self.clone();
                self.shared.background.spawn(async move { front.ask(question, true).await });
            }
            return (answer, From::Cache);
        }
        if !request.metadata.recursion_desired {
            // Whoever asks not to recurse asks what is remembered, and that is nothing.
            return refused(ResponseCode::Refused);
        }
        let (answer, walk) = self.ask(question, false).await;
        (answer, From::Walk(walk))
    }

    /// Asks the way, once for all who want to know the same at the same time, and remembers. `afresh` passes by what the
    /// recursor itself remembers, which is as old as what is remembered here.
    async fn ask(&self, question: Question, afresh: bool) -> (Answer, WalkId) {
        let asking = lock(&self.shared.under_way).entry(question.clone()).or_default().clone();
        let ask = async {
            // A question waits for nobody else's walk: when too many are under way, it fails at once, and says so.
            let Ok(_walking) = self.shared.walking.try_acquire() else {
                let text = format!("more than {WALKS_MOST} questions are being asked already");
                let failure = Some(Failure { code: EDE_OTHER, text });
                return Answer { failure, ..Answer::of(ResponseCode::ServFail) };
            };
            let generation = self.generation();
            let walked = match afresh {
                true => self.shared.walk.answer_afresh(&question, &asking.walk).await.ok(),
                false => Some(self.shared.walk.answer(&question, &asking.walk).await),
            };
            match walked {
                Some((answer, _)) => self.remember(&question, &answer, generation).unwrap_or(answer),
                None => Answer::of(ResponseCode::ServFail),
            }
        };
        let answer = asking.answer.get_or_init(|| ask).await.clone();
        let mut under_way = lock(&self.shared.under_way);
        // The last of those who waited may find another walk under way by then; that one is not its to end.
        if under_way.get(&question).is_some_and(|there| Shared::ptr_eq(there, &asking)) {
            under_way.remove(&question);
        }
        (answer, asking.walk.clone())
    }
}

#[async_trait::async_trait]
impl RequestHandler for Front {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut responder: R,
    ) -> ResponseInfo {
        let watch = Stopwatch::start();
        let (answer, from) = self.answer(request).await;
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = answer.rcode;
        metadata.recursion_available = true;
        metadata.authoritative = false;
        let wants_signatures = request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        // RFC 6840 §5.8.
        metadata.authentic_data = answer.secure && (wants_signatures || request.metadata.authentic_data);
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_version(0);
            edns.set_max_payload(UDP_PAYLOAD);
            // RFC 3225 §3: what was asked for is told back.
            edns.set_dnssec_ok(asked.flags().dnssec_ok);
            if let Some(failure) = &answer.failure {
                edns.options_mut().insert(extended_error(failure));
            }
            edns
        });
        let build = || MessageResponseBuilder::new(&request.queries, edns.as_ref());
        let wanted = request.queries.queries().first().map_or(RecordType::ANY, |query| query.query_type());
        let is_given = |record: &&Record| wants_signatures || is_for_all(record, wanted);
        let (answers, authorities) =
            (answer.answers.iter().filter(is_given), answer.authorities.iter().filter(is_given));
        let whole = build().build(metadata, answers, authorities, [], []);
        let info = match responder.send_response(whole).await {
            Ok(info) => info,
            Err(_) => {
                // Too long for where it goes: nothing of it, and the sign to ask over TCP (RFC 2181 §9).
                metadata.truncation = true;
                let sent = responder.send_response(build().build_no_records(metadata)).await;
                sent.unwrap_or_else(|_| ResponseInfo::from(servfail(request)))
            }
        };
        self.count(request, &info, &from, watch);
        self.tell(request, &info, &from, watch);
        info
    }
}

impl Front {
    fn count(&self, request: &Request, info: &ResponseInfo, from: &From, watch: Stopwatch) {
        let parts = &self.shared;
        let query = request.queries.queries().first();
        let asked = query.map(|query| {
            (types::RecordType(query.query_type().into()), types::Class(query.query_class().into()))
        });
        let transport = self.transport;
        parts.tally.count_answer(transport, asked, Rcode(info.response_code.into()), Outcome::Answered);
        parts.tally.took(transport, watch, 1);
        match from {
            From::Here => {}
            From::Cache => _ = parts.hits.fetch_add(1, Relaxed),
            From::Walk(_) => _ = parts.misses.fetch_add(1, Relaxed),
        }
    }

    fn tell(&self, request: &Request, info: &ResponseInfo, from: &From, watch: Stopwatch) {
        self.shared.journal.tell(|| {
            let query = request.queries.queries().first();
            Happened::Question {
                client: request.src(),
                transport: self.transport,
                id: request.metadata.id,
                name: query.map(|query| query.name().to_string()).unwrap_or_default(),
                record_type: query.map(|query| type_name(query.query_type())).unwrap_or_default(),
                class: query.map(|query| query.query_class().to_string()).unwrap_or_default(),
                rcode: rcode_name(info.response_code),
                flags: flags(info),
                answers: info.counts().answers,
                bytes: None,
                micros: watch.micros(),
                cached: match from {
                    From::Here => None,
                    From::Cache => Some(true),
                    From::Walk(_) => Some(false),
                },
                walk: match from {
                    From::Walk(walk) => Some(walk.as_str().to_owned()),
                    From::Here | From::Cache => None,
                },
            }
        });
    }
}

/// What went wrong, for those who read more than the code (RFC 8914 §2).
fn extended_error(failure: &Failure) -> EdnsOption {
    const OPTION_CODE: u16 = 15;
    const TEXT_LONGEST: usize = 200;
    let mut data = failure.code.to_be_bytes().to_vec();
    data.extend(failure.text.bytes().take(TEXT_LONGEST));
    EdnsOption::Unknown(OPTION_CODE, data)
}

fn flags(info: &Metadata) -> String {
    let all = [
        (true, "qr"),
        (info.authoritative, "aa"),
        (info.truncation, "tc"),
        (info.recursion_desired, "rd"),
        (info.recursion_available, "ra"),
        (info.authentic_data, "ad"),
        (info.checking_disabled, "cd"),
    ];
    all.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect::<Vec<_>>().join(" ")
}

fn servfail(request: &Request) -> Header {
    let mut metadata = Metadata::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    metadata.response_code = ResponseCode::ServFail;
    Header { metadata, counts: HeaderCounts::default() }
}
