//! The walk from the root to the answer (RFC 1034 §5.3.3): hickory's recursor, kept inside the lab.
//!
//! Every connection it opens goes through [`LabConnections`]: there the lab's port replaces port 53, an
//! address that is not one of the lab's name servers is refused, and each question is told to the journal.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use hickory_net::NetError;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::{DnsExchange, DnsHandle};
use hickory_proto::op::{DnsRequest, DnsResponse, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::config::{ConnectionConfig, ProtocolConfig};
use hickory_resolver::recursor::{Recursor, RecursorError, RecursorOptions};
use hickory_resolver::{ConnectionProvider, PoolContext};

use crate::ground::channel::WalkStep;
use crate::ground::clock::{self, Stopwatch};
use crate::ground::event::Happened;
use crate::ground::journal::Journal;

use super::cache::{Answer, Failure, Question, rcode_name, type_name};
use super::{BoxedError, Config, Shared, lock};

/// A question that no server answers in this time is given up: dig waits 5 s, and should hear why.
const PATIENCE: Duration = Duration::from_millis(2500);

/// A datagram that was lost (its server was just being started) is sent again after this, or 1.2 times the server's
/// round-trip time if that is longer, and so often. hickory's own floor of 333 ms is made for the Internet.
const ASK_AGAIN_MILLIS: u64 = 15;
const ASK_AGAIN_MOST: u8 = 20;

/// Steps that are told of one walk at most.
const STEPS_MOST: usize = 64;

/// Extended errors (RFC 8914 §4.23, §4.1).
const EDE_NO_REACHABLE_AUTHORITY: u16 = 22;
const EDE_OTHER: u16 = 0;

/// hickory keeps a cache of its own beneath ours; it needs no more entries than ours.
const INNER_CACHE_ENTRIES: u64 = 4096;
const NAME_SERVERS_MOST: usize = 256;

/// The recursor, and what a fresh one is made of.
pub(super) struct Walk {
    roots: Vec<IpAddr>,
    connections: LabConnections,
    /// Replaced whole on flush, since hickory's own cache cannot be emptied; questions under way end with
    /// the old one. A plain mutex: it is held for the copying of one pointer.
    recursor: Mutex<Shared<Recursor<LabConnections>>>,
}

impl Walk {
    pub(super) fn new(config: &Config, journal: Journal) -> Result<Self, BoxedError> {
        let servers = config.roots.iter().chain(&config.servers).copied().collect();
        let connections = LabConnections {
            sockets: TokioRuntimeProvider::default(),
            port: config.server_port,
            servers,
            journal,
        };
        let recursor = Mutex::new(Shared::new(fresh(&config.roots, &connections)?));
        Ok(Self { roots: config.roots.clone(), connections, recursor })
    }

    /// Forgets what the recursor learned.
    pub(super) fn start_afresh(&self) -> Result<(), BoxedError> {
        *lock(&self.recursor) = Shared::new(fresh(&self.roots, &self.connections)?);
        Ok(())
    }

    /// Asks the way to the answer, and tells it. What cannot be found out is SERVFAIL (RFC 1035 §4.1.1).
    pub(super) async fn answer(&self, question: &Question) -> (Answer, Vec<WalkStep>) {
        let recursor = lock(&self.recursor).clone();
        let (answer, steps) = walk(&recursor, question).await;
        // What hickory remembers of a denial lacks the aliases that led there: they are asked for again.
        let lacking = steps.is_empty() && answer.failure.is_none() && answer.answers.is_empty();
        match lacking.then(|| fresh(&self.roots, &self.connections)) {
            Some(Ok(fresh)) => walk(&fresh, question).await,
            _ => (answer, steps),
        }
    }

    /// The same by a recursor that has learned nothing yet, and is forgotten afterwards.
    pub(super) async fn answer_afresh(
        &self,
        question: &Question,
    ) -> Result<(Answer, Vec<WalkStep>), BoxedError> {
        let recursor = fresh(&self.roots, &self.connections)?;
        Ok(walk(&recursor, question).await)
    }
}

/// What is noted of the walk that the running task is on.
type Trace = Shared<Mutex<Notes>>;

#[derive(Default)]
struct Notes {
    steps: Vec<WalkStep>,
    /// Aliases that name servers told of: hickory keeps none of them when the chain ends in nothing.
    aliases: Vec<Record>,
}

tokio::task_local! {
    static TRACE: Trace;
}

async fn walk(recursor: &Recursor<LabConnections>, question: &Question) -> (Answer, Vec<WalkStep>) {
    let trace = Trace::default();
    let query = Query::query(question.name.clone().into(), question.record_type);
    let resolving = TRACE.scope(trace.clone(), recursor.resolve(query, clock::now(), false));
    let mut answer = match tokio::time::timeout(PATIENCE, resolving).await {
        Ok(Ok(message)) => positive(message, question.record_type),
        Ok(Err(error)) => negative(error),
        Err(_elapsed) => {
            let text = format!("no name server answered within {} ms", PATIENCE.as_millis());
            failed(Failure { code: EDE_NO_REACHABLE_AUTHORITY, text })
        }
    };
    let Notes { steps, aliases } = std::mem::take(&mut *lock(&trace));
    answer.said_by = steps.last().map(|step| step.server);
    if answer.answers.is_empty() && answer.failure.is_none() && question.record_type != RecordType::CNAME {
        answer.answers = chain(&question.name, &aliases);
    }
    (answer, steps)
}

/// The aliases that lead from `name` to a name that is not there (RFC 2308 §2.1, RFC 6604), each with the DNAME that it was
/// made from (RFC 6672 §3.1).
fn chain(name: &Name, aliases: &[Record]) -> Vec<Record> {
    let mut chain: Vec<Record> = Vec::new();
    let mut name = name;
    let of_name = |name: &Name| {
        aliases.iter().find(|alias| alias.name == *name && alias.record_type() == RecordType::CNAME)
    };
    while let Some(alias) = of_name(name)
        && !chain.contains(alias)
        && let RData::CNAME(target) = &alias.data
    {
        let renames = |record: &&Record| {
            record.record_type() == RecordType::DNAME && record.name != *name && record.name.zone_of(name)
        };
        if let Some(rename) = aliases.iter().find(renames).filter(|rename| !chain.contains(rename)) {
            chain.push(rename.clone());
        }
        chain.push(alias.clone());
        name = &target.0;
    }
    chain
}

fn fresh(roots: &[IpAddr], connections: &LabConnections) -> Result<Recursor<LabConnections>, BoxedError> {
    let options = RecursorOptions {
        ns_cache_size: NAME_SERVERS_MOST,
        response_cache_size: INNER_CACHE_ENTRIES,
        // hickory's default refuses to ask loopback and private addresses, which is all that a lab has;
        // which addresses may be asked is decided in `LabConnections`.
        deny_server: Vec::new(),
        ..RecursorOptions::default()
    };
    Ok(Recursor::with_options(roots, options, connections.clone())?)
}

fn positive(message: Message, wanted: RecordType) -> Answer {
    let soa = message.authorities.into_iter().filter(|record| record.record_type() == RecordType::SOA);
    // hickory takes the SOA that denies for an answer to a question for one.
    let only_aliases = |answers: &[Record]| answers.iter().all(|record| record.record_type() != wanted);
    let denied = message.answers.is_empty() || wanted == RecordType::SOA && only_aliases(&message.answers);
    let authorities = if denied { soa.collect() } else { Vec::new() };
    Answer { answers: message.answers, authorities, ..Answer::of(message.metadata.response_code) }
}

fn negative(error: RecursorError) -> Answer {
    let rcode = if error.is_nx_domain() {
        ResponseCode::NXDomain
    } else if error.is_no_records_found() {
        ResponseCode::NoError
    } else {
        let code = if error.is_timeout() { EDE_NO_REACHABLE_AUTHORITY } else { EDE_OTHER };
        return failed(Failure { code, text: error.to_string() });
    };
    let soa = error
        .into_soa()
        .map(|soa| Record::from_rdata(soa.name.clone(), soa.ttl, RData::SOA(soa.data.clone())));
    Answer { authorities: soa.into_iter().collect(), ..Answer::of(rcode) }
}

fn failed(failure: Failure) -> Answer {
    Answer { failure: Some(failure), ..Answer::of(ResponseCode::ServFail) }
}

/// Opens connections to the lab's name servers, and to nothing else.
#[derive(Clone)]
struct LabConnections {
    sockets: TokioRuntimeProvider,
    port: u16,
    servers: Shared<[IpAddr]>,
    journal: Journal,
}

impl ConnectionProvider for LabConnections {
    type Conn = Told;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Told, NetError>> + Send>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        context: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        if !self.servers.contains(&ip) {
            self.journal.note(format!("refuses to ask {ip}: it is not a name server of this lab"));
            return Err(NetError::from("not a name server of this lab"));
        }
        let (server, journal) = (SocketAddr::new(ip, self.port), self.journal.clone());
        if matches!(config.protocol, ProtocolConfig::Udp) {
            let connection = UdpClientStream::builder(server, self.sockets.clone())
                .with_timeout(Some(context.options.timeout))
                .with_retry_interval_floor(ASK_AGAIN_MILLIS)
                .with_max_retries(ASK_AGAIN_MOST)
                .exchange();
            return Ok(Box::pin(std::future::ready(Ok(Told { connection, server, journal }))));
        }
        let mut config = config.clone();
        config.port = self.port;
        let connecting = ConnectionProvider::new_connection(&self.sockets, ip, &config, context)?;
        Ok(Box::pin(async move { Ok(Told { connection: connecting.await?, server, journal }) }))
    }

    fn runtime_provider(&self) -> &TokioRuntimeProvider {
        &self.sockets
    }
}

/// A connection whose questions and answers are told.
#[derive(Clone)]
struct Told {
    connection: DnsExchange<TokioRuntimeProvider>,
    server: SocketAddr,
    journal: Journal,
}

impl DnsHandle for Told {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let query = request.queries.first();
        let mut waiting = Waiting {
            server: self.server,
            name: query.map(|query| query.name.to_string()).unwrap_or_default(),
            record_type: query.map(|query| type_name(query.query_type)).unwrap_or_default(),
            watch: Stopwatch::start(),
            trace: TRACE.try_with(Clone::clone).ok(),
            journal: self.journal.clone(),
            heard: false,
        };
        Box::pin(self.connection.send(request).inspect(move |response| waiting.hear(response)))
    }
}

/// A question that was sent. One that nothing was heard of is told when it is given up.
struct Waiting {
    server: SocketAddr,
    name: String,
    record_type: String,
    watch: Stopwatch,
    trace: Option<Trace>,
    journal: Journal,
    heard: bool,
}

impl Waiting {
    fn hear(&mut self, response: &Result<DnsResponse, NetError>) {
        self.heard = true;
        self.tell(outcome(response), response.iter().flat_map(|message| &message.answers));
    }

    fn tell<'a>(&self, outcome: String, answers: impl Iterator<Item = &'a Record>) {
        let step = WalkStep {
            server: self.server,
            name: self.name.clone(),
            record_type: self.record_type.clone(),
            outcome,
            micros: self.watch.micros(),
        };
        if let Some(trace) = &self.trace {
            lock(trace).note(step.clone(), answers);
        }
        self.journal.tell(|| Happened::Asked(step));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.heard {
            self.tell("no answer in time".into(), std::iter::empty());
        }
    }
}

impl Notes {
    fn note<'a>(&mut self, step: WalkStep, answers: impl Iterator<Item = &'a Record>) {
        if self.steps.len() >= STEPS_MOST {
            return;
        }
        self.steps.push(step);
        let alias = |record: &&Record| matches!(record.record_type(), RecordType::CNAME | RecordType::DNAME);
        self.aliases.extend(answers.filter(alias).cloned());
    }
}

/// What came back, in a few words.
fn outcome(response: &Result<DnsResponse, NetError>) -> String {
    let message = match response {
        Ok(message) => message,
        Err(NetError::Timeout) => return "no answer in time".into(),
        Err(error) => return error.to_string(),
    };
    let delegated = message.authorities.iter().find(|record| record.record_type() == RecordType::NS);
    match (message.metadata.response_code, message.answers.len(), delegated) {
        (ResponseCode::NoError, 0, Some(cut)) => format!("referral to {}", cut.name),
        (ResponseCode::NoError, 0, None) => "NODATA".into(),
        (ResponseCode::NoError, 1, _) => "NOERROR, 1 answer".into(),
        (ResponseCode::NoError, count, _) => format!("NOERROR, {count} answers"),
        (rcode, ..) => rcode_name(rcode),
    }
}
