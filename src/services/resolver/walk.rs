//! The walk from the root to the answer (RFC 1034 §5.3.3): hickory's recursor, kept inside the lab.
//!
//! Every connection it opens goes through [`LabConnections`]: there the lab's port replaces port 53, an
//! address that is not one of the lab's name servers is refused, and each question is told to the journal.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt};
use hickory_net::NetError;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::xfer::{DnsExchange, DnsHandle};
use hickory_proto::op::{DnsRequest, DnsResponse, Message, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::recursor::{Recursor, RecursorError, RecursorOptions};
use hickory_resolver::{ConnectionProvider, PoolContext};

use crate::ground::clock::Stopwatch;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;

use super::cache::{Answer, Question, rcode_name};
use super::{Config, Shared, lock};

/// A question that no server answers in this time is given up: dig waits 5 s, and should hear why.
const PATIENCE: Duration = Duration::from_secs(3);

/// hickory keeps a cache of its own beneath ours; it needs no more entries than ours.
const INNER_CACHE_ENTRIES: u64 = 4096;
const NAME_SERVERS_MOST: usize = 256;

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

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

    /// Asks the way to the answer. What cannot be found out is SERVFAIL (RFC 1035 §4.1.1).
    pub(super) async fn answer(&self, question: &Question) -> Answer {
        let recursor = lock(&self.recursor).clone();
        let query = Query::query(question.name.clone().into(), question.record_type);
        match tokio::time::timeout(PATIENCE, recursor.resolve(query, Instant::now(), false)).await {
            Ok(Ok(message)) => positive(message),
            Ok(Err(error)) => negative(error),
            Err(_elapsed) => failed(),
        }
    }
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

fn positive(message: Message) -> Answer {
    let soa = message.authorities.into_iter().filter(|record| record.record_type() == RecordType::SOA);
    let authorities = if message.answers.is_empty() { soa.collect() } else { Vec::new() };
    Answer { rcode: message.metadata.response_code, answers: message.answers, authorities }
}

fn negative(error: RecursorError) -> Answer {
    let rcode = if error.is_nx_domain() {
        ResponseCode::NXDomain
    } else if error.is_no_records_found() {
        ResponseCode::NoError
    } else {
        return failed();
    };
    let soa = error
        .into_soa()
        .map(|soa| Record::from_rdata(soa.name.clone(), soa.ttl, RData::SOA(soa.data.clone())));
    Answer { rcode, answers: Vec::new(), authorities: soa.into_iter().collect() }
}

fn failed() -> Answer {
    Answer { rcode: ResponseCode::ServFail, answers: Vec::new(), authorities: Vec::new() }
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
        let mut config = config.clone();
        config.port = self.port;
        let connecting = ConnectionProvider::new_connection(&self.sockets, ip, &config, context)?;
        let (server, journal) = (SocketAddr::new(ip, self.port), self.journal.clone());
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
        let (server, journal, watch) = (self.server, self.journal.clone(), Stopwatch::start());
        let query = request.queries.first().cloned();
        let responses = self.connection.send(request);
        Box::pin(responses.inspect(move |response| {
            journal.tell(|| Happened::Asked {
                server,
                name: query.as_ref().map(|query| query.name.to_string()).unwrap_or_default(),
                record_type: query.as_ref().map(|query| query.query_type.to_string()).unwrap_or_default(),
                outcome: outcome(response),
                micros: watch.micros(),
            });
        }))
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
