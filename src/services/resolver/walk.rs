//! The walk from the root to the answer (RFC 1034 §5.3.3): hickory's recursor, kept inside the lab.
//!
//! It asks through `connections`, which turns what a server does wrong into what the recursor takes as a reason to ask the
//! zone's next one; `trace` notes what happened on the way, and says in the end what was wrong.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt as _;
use hickory_net::{DnsError, NetError};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::recursor::{Recursor, RecursorError, RecursorOptions};

use crate::ground::channel::WalkStep;
use crate::ground::clock;
use crate::ground::dnssec::PublicKey;
use crate::ground::journal::Journal;
use crate::services::faults::Faults;

use super::cache::{Answer, Failure, Question};
use super::connections::LabConnections;
use super::trace::{EDE_NO_REACHABLE_AUTHORITY, Notes, TRACE, Trace, WalkId, chain};
use super::trust::{Trust, Verdict, denial, in_order, of_denial, verdict};
use super::{BoxedError, Config, Shared, bogus, lock, proof};

/// A question that no server answers in this time is given up: dig waits 5 s, and should hear why.
const PATIENCE: Duration = Duration::from_millis(2500);

/// An extended error without a code of its own (RFC 8914 §4.1).
const EDE_OTHER: u16 = 0;

/// hickory keeps a cache of its own beneath ours; it needs no more entries than ours.
const INNER_CACHE_ENTRIES: u64 = 4096;
const NAME_SERVERS_MOST: usize = 256;

/// How many labels the way to an answer may have: the name of an IPv6 address has 34 (RFC 3596 §2.5), and each may be
/// the cut to another server. hickory's own 24 are too few for `dig -x`.
const LABELS_MOST: u8 = 40;

/// The recursor, and what a fresh one is made of.
pub(super) struct Walk {
    roots: Vec<IpAddr>,
    connections: LabConnections,
    /// Replaced whole on flush, since hickory's own cache cannot be emptied; questions under way end with
    /// the old one. A plain mutex: it is held for the copying of one pointer.
    walkers: Mutex<Shared<Walkers>>,
}

/// Who walks, of one generation.
struct Walkers {
    trust: Trust,
    recursor: Recursor<LabConnections>,
    /// Who has the same without the checks, where there are any.
    unchecked: Option<Recursor<LabConnections>>,
}

impl Walkers {
    /// Whose work the answer to `question` is, and what he does about signatures.
    fn of(&self, question: &Question) -> (&Recursor<LabConnections>, Trust) {
        match &self.unchecked {
            Some(unchecked) if question.unchecked => (unchecked, Trust::Unchecked),
            _ => (&self.recursor, self.trust.clone()),
        }
    }
}

impl Walk {
    pub(super) fn new(config: &Config, journal: Journal, faults: Faults) -> Result<Self, BoxedError> {
        let servers = config.roots.iter().chain(&config.servers).copied().collect();
        let connections = LabConnections::new(config.server_port, servers, journal, faults);
        let walkers =
            Mutex::new(Shared::new(fresh(&config.roots, &connections, Trust::of(&config.anchors))?));
        Ok(Self { roots: config.roots.clone(), connections, walkers })
    }

    /// Forgets what the recursor learned.
    pub(super) fn start_afresh(&self) -> Result<(), BoxedError> {
        let fresh = self.fresh()?;
        *lock(&self.walkers) = Shared::new(fresh);
        Ok(())
    }

    /// Believes what leads back to one of these keys of the root from now on.
    pub(super) fn believe(&self, keys: &[PublicKey]) -> Result<(), BoxedError> {
        let fresh = fresh(&self.roots, &self.connections, Trust::of(keys))?;
        *lock(&self.walkers) = Shared::new(fresh);
        Ok(())
    }

    /// Whether signatures are checked.
    pub(super) fn is_checking(&self) -> bool {
        lock(&self.walkers).trust.is_checked()
    }

    fn fresh(&self) -> Result<Walkers, BoxedError> {
        let trust = lock(&self.walkers).trust.clone();
        fresh(&self.roots, &self.connections, trust)
    }

    /// Asks the way to the answer, and tells it. What cannot be found out is SERVFAIL (RFC 1035 §4.1.1).
    /// It is told as `id`.
    pub(super) async fn answer(&self, question: &Question, id: &WalkId) -> (Answer, Vec<WalkStep>) {
        let walkers = lock(&self.walkers).clone();
        let (answer, steps) = walk(&walkers, question, id).await;
        // What hickory remembers of a denial lacks the aliases that led there: they are asked for again.
        let lacking = steps.is_empty() && answer.failure.is_none() && answer.answers.is_empty();
        match lacking.then(|| self.fresh()) {
            Some(Ok(fresh)) => walk(&fresh, question, id).await,
            _ => (answer, steps),
        }
    }

    /// The same by a recursor that has learned nothing yet, and is forgotten afterwards.
    pub(super) async fn answer_afresh(
        &self,
        question: &Question,
        id: &WalkId,
    ) -> Result<(Answer, Vec<WalkStep>), BoxedError> {
        let walkers = self.fresh()?;
        Ok(walk(&walkers, question, id).await)
    }
}

/// Walks until there is an answer or a reason why there is none; where servers are only silent, until [`PATIENCE`] ends.
async fn walk(walkers: &Walkers, question: &Question, id: &WalkId) -> (Answer, Vec<WalkStep>) {
    let trace = Trace::new(Mutex::new(Notes::of(id.clone())));
    let rounds = async {
        loop {
            lock(&trace).begin_round();
            let answer = walk_once(walkers, question, &trace).await;
            let answer = with_aliases(walkers, question, &trace, answer).await;
            if answer.failure.is_none() || !lock(&trace).is_all_silence() {
                return answer;
            }
        }
    };
    let mut answer = match tokio::time::timeout(PATIENCE, rounds).await {
        Ok(answer) => answer,
        Err(_elapsed) => {
            let text = format!("no name server answered within {} ms", PATIENCE.as_millis());
            blamed(&trace, Failure { code: EDE_NO_REACHABLE_AUTHORITY, text })
        }
    };
    let Notes { steps, .. } = std::mem::take(&mut *lock(&trace));
    answer.said_by = steps.last().map(|step| step.server);
    (answer, steps)
}

/// A denial with the aliases that led to it, of which hickory keeps none. Where signatures are checked, theirs are, too.
async fn with_aliases(walkers: &Walkers, question: &Question, trace: &Trace, mut answer: Answer) -> Answer {
    if !answer.answers.is_empty() || answer.failure.is_some() || question.record_type == RecordType::CNAME {
        return answer;
    }
    let aliases = chain(&question.name, &lock(trace).aliases);
    if !walkers.of(question).1.is_checked() {
        answer.answers = aliases;
        return answer;
    }
    for alias in aliases.into_iter().filter(|alias| alias.record_type() == RecordType::CNAME) {
        let asked = Question { name: alias.name.into(), record_type: RecordType::CNAME, unchecked: false };
        let step = walk_once(walkers, &asked, trace).await;
        if step.failure.is_some() {
            return step;
        }
        answer.secure &= step.secure;
        answer.answers.extend(step.answers);
    }
    answer
}

async fn walk_once(walkers: &Walkers, question: &Question, trace: &Trace) -> Answer {
    let (recursor, trust) = walkers.of(question);
    let query = Query::query(question.name.clone().into(), question.record_type);
    // What validates is large, and few walk at a time.
    let resolving = Box::pin(recursor.resolve(query, clock::now(), trust.is_aware()));
    let resolving = TRACE.scope(trace.clone(), resolving);
    // hickory 0.26, built with assertions, panics at NSEC3 records of the root zone: a stranger's signatures end one question, no
    // more, with a line on the standard error, which is the service's log.
    let resolved = AssertUnwindSafe(resolving).catch_unwind().await;
    let resolved = resolved.unwrap_or_else(|_| Err("what was said cannot be validated".into()));
    if trust.is_aware() {
        let unchecked = walkers.unchecked.as_ref().filter(|_| trust.is_checked());
        return match signed(resolved, question, trace) {
            Ok(answer) => answer,
            Err(Refused) => {
                let why = match unchecked {
                    Some(unchecked) => {
                        TRACE.scope(trace.clone(), Box::pin(bogus::why(unchecked, question))).await
                    }
                    None => Failure { code: EDE_OTHER, text: "hickory takes it for bogus".into() },
                };
                Answer { failure: Some(why), ..Answer::of(ResponseCode::ServFail) }
            }
        };
    }
    match resolved {
        // hickory takes a referral for the answer to a question for NS.
        Ok(message) if message.answers.is_empty() && !message.metadata.authoritative => {
            lock(trace).blame_last_referral();
            let text = "a name server refers on instead of answering".into();
            blamed(trace, Failure { code: EDE_NO_REACHABLE_AUTHORITY, text })
        }
        Ok(message) => positive(message, question.record_type),
        Err(error) => negative(error, trace),
    }
}

/// It is not believed.
struct Refused;

/// What came of a walk on which signatures were asked for.
fn signed(
    resolved: Result<Message, RecursorError>,
    question: &Question,
    trace: &Trace,
) -> Result<Answer, Refused> {
    let name: Name = question.name.clone().into();
    let is_checked = !question.unchecked;
    let sound = |records: &[Record]| match verdict(records) {
        Verdict::Bogus if is_checked => Err(Refused),
        verdict => Ok(is_checked && verdict == Verdict::Secure),
    };
    let resolved = match resolved {
        Err(RecursorError::Net(NetError::Dns(DnsError::Nsec { response, .. }))) => {
            if proof::is_of_dname(&response, &name, question.record_type) {
                let authorities = of_denial(response.into_message().authorities);
                let secure = sound(&authorities)?;
                return Ok(Answer { authorities, secure, ..Answer::of(ResponseCode::NoError) });
            }
            if !proof::is_of_wildcards(&response) {
                return Err(Refused);
            }
            Ok(response.into_message())
        }
        resolved => resolved,
    };
    match resolved {
        Ok(message) if !message.answers.is_empty() => {
            let rcode = message.metadata.response_code;
            let proofs = |record: &Record| record.record_type() != RecordType::NS;
            let authorities: Vec<Record> =
                message.authorities.iter().filter(|record| proofs(record)).cloned().collect();
            let secure = sound(&message.answers)? && (authorities.is_empty() || sound(&authorities)?);
            let answers = in_order(&name, message.answers);
            // Beside an answer only what proves that a wildcard gave it; behind aliases what denies their end.
            let is_end = answers.iter().any(|record| record.record_type() == question.record_type);
            let stays = |record: &Record| !is_end || !is_of_soa(record);
            let authorities = authorities.into_iter().filter(stays).collect();
            Ok(Answer { answers, authorities, secure, ..Answer::of(rcode) })
        }
        Ok(_) => {
            let text = "a name server refers on instead of answering".into();
            Ok(blamed(trace, Failure { code: EDE_NO_REACHABLE_AUTHORITY, text }))
        }
        Err(error) => {
            let told = error.to_string();
            match denial(error) {
                Some((rcode, authorities)) => {
                    let secure = sound(&authorities)?;
                    Ok(Answer { authorities, secure, ..Answer::of(rcode) })
                }
                None => Ok(blamed(trace, Failure { code: EDE_OTHER, text: told })),
            }
        }
    }
}

/// Whether it is a SOA, or signs one.
fn is_of_soa(record: &Record) -> bool {
    let signs = super::trust::signature(record).map(|signature| signature.input().type_covered);
    signs.unwrap_or(record.record_type()) == RecordType::SOA
}

/// A failure that the servers in trouble are to be blamed for, else `otherwise`.
fn blamed(trace: &Trace, otherwise: Failure) -> Answer {
    let failure = lock(trace).failure().unwrap_or(otherwise);
    Answer { failure: Some(failure), ..Answer::of(ResponseCode::ServFail) }
}

fn fresh(roots: &[IpAddr], connections: &LabConnections, trust: Trust) -> Result<Walkers, BoxedError> {
    let recursor = recursor(roots, connections, &trust)?;
    let unchecked = trust.is_checked().then(|| self::recursor(roots, connections, &Trust::Unchecked));
    Ok(Walkers { recursor, unchecked: unchecked.transpose()?, trust })
}

fn recursor(
    roots: &[IpAddr],
    connections: &LabConnections,
    trust: &Trust,
) -> Result<Recursor<LabConnections>, BoxedError> {
    let options = RecursorOptions {
        ns_cache_size: NAME_SERVERS_MOST,
        response_cache_size: INNER_CACHE_ENTRIES,
        // hickory's default refuses to ask loopback and private addresses, which is all that a lab has;
        // which addresses may be asked is decided in `LabConnections`.
        deny_server: Vec::new(),
        ns_recursion_limit: LABELS_MOST,
        ..RecursorOptions::default()
    };
    Ok(Recursor::new(roots, trust.policy(), None, options, connections.clone())?)
}

fn positive(message: Message, wanted: RecordType) -> Answer {
    let soa = message.authorities.into_iter().filter(|record| record.record_type() == RecordType::SOA);
    // hickory takes the SOA that denies for an answer to a question for one.
    let only_aliases = |answers: &[Record]| answers.iter().all(|record| record.record_type() != wanted);
    let denied = message.answers.is_empty() || wanted == RecordType::SOA && only_aliases(&message.answers);
    let authorities = if denied { soa.collect() } else { Vec::new() };
    Answer { answers: message.answers, authorities, ..Answer::of(message.metadata.response_code) }
}

fn negative(error: RecursorError, trace: &Trace) -> Answer {
    let rcode = if error.is_nx_domain() {
        ResponseCode::NXDomain
    } else if error.is_no_records_found() {
        ResponseCode::NoError
    } else {
        return blamed(trace, Failure { code: EDE_OTHER, text: error.to_string() });
    };
    let soa = error
        .into_soa()
        .map(|soa| Record::from_rdata(soa.name.clone(), soa.ttl, RData::SOA(soa.data.clone())));
    Answer { authorities: soa.into_iter().collect(), ..Answer::of(rcode) }
}
