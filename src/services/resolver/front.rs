//! What meets the client: hickory-server hands each question here, and sends what comes back.
//!
//! RFC 1034 §4.3.1 (RA is set: recursion is offered), RFC 6891 (EDNS), RFC 8906 (what is not a question).

use std::sync::Mutex;
use std::time::Instant;

use hickory_net::runtime::Time;
use hickory_net::xfer::Protocol;
use hickory_proto::op::{Edns, Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;

use crate::ground::bind::Transport;
use crate::ground::channel::CacheEntry;
use crate::ground::clock::Stopwatch;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;

use super::cache::{Answer, Cache, Question, rcode_name};
use super::walk::Walk;
use super::{Shared, lock};

/// The largest UDP answer offered, and the largest sent whatever the client offers (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

/// Answers questions from the cache, else by a walk. Clones share everything.
#[derive(Clone)]
pub(super) struct Front {
    shared: Shared<Parts>,
}

struct Parts {
    /// A plain mutex: held for one look-up or one insertion, never across an await.
    cache: Mutex<Cache>,
    walk: Walk,
    journal: Journal,
}

impl Front {
    pub(super) fn new(walk: Walk, cache_entries: usize, journal: Journal) -> Self {
        let cache = Mutex::new(Cache::new(cache_entries));
        Self { shared: Shared::new(Parts { cache, walk, journal }) }
    }

    pub(super) fn cached(&self) -> Vec<CacheEntry> {
        lock(&self.shared.cache).list(Instant::now())
    }

    pub(super) fn flush(&self) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
        self.shared.walk.start_afresh()?;
        Ok(lock(&self.shared.cache).clear())
    }

    /// The answer and whether it was remembered.
    async fn answer(&self, request: &Request) -> (Answer, Option<bool>) {
        let refused = |rcode| (Answer { rcode, answers: Vec::new(), authorities: Vec::new() }, None);
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
        let question = Question { name: query.name().clone(), record_type };
        let remembered = lock(&self.shared.cache).get(&question, Instant::now());
        if let Some(answer) = remembered {
            return (answer, Some(true));
        }
        if !request.metadata.recursion_desired {
            // Whoever asks not to recurse asks what is remembered, and that is nothing.
            return refused(ResponseCode::Refused);
        }
        let answer = self.shared.walk.answer(&question).await;
        lock(&self.shared.cache).put(question, answer.clone(), Instant::now());
        (answer, Some(false))
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
        let (answer, cached) = self.answer(request).await;
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = answer.rcode;
        metadata.recursion_available = true;
        metadata.authoritative = false;
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_version(0);
            edns.set_max_payload(asked.max_payload().clamp(512, UDP_PAYLOAD));
            edns
        });
        let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            &answer.answers,
            &answer.authorities,
            [],
            [],
        );
        let sent = responder.send_response(response).await;
        let info = sent.unwrap_or_else(|_| ResponseInfo::from(servfail(request)));
        self.tell(request, &info, cached, watch);
        info
    }
}

impl Front {
    fn tell(&self, request: &Request, info: &ResponseInfo, cached: Option<bool>, watch: Stopwatch) {
        self.shared.journal.tell(|| {
            let query = request.queries.queries().first();
            let transport = if request.protocol() == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
            Happened::Question {
                client: request.src(),
                transport,
                name: query.map(|query| query.name().to_string()).unwrap_or_default(),
                record_type: query.map(|query| query.query_type().to_string()).unwrap_or_default(),
                rcode: rcode_name(info.response_code),
                flags: flags(info),
                answers: info.counts().answers,
                bytes: None,
                micros: watch.micros(),
                cached,
            }
        });
    }
}

fn flags(info: &Metadata) -> String {
    let all = [
        (true, "qr"),
        (info.authoritative, "aa"),
        (info.truncation, "tc"),
        (info.recursion_desired, "rd"),
        (info.recursion_available, "ra"),
    ];
    all.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect::<Vec<_>>().join(" ")
}

fn servfail(request: &Request) -> Header {
    let mut metadata = Metadata::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    metadata.response_code = ResponseCode::ServFail;
    Header { metadata, counts: HeaderCounts::default() }
}
