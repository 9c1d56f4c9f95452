//! One question as it came off a socket, and its answer as it goes back: bytes to bytes.
//!
//! hickory-server's request and response types stand in between; its own listeners do not, since they open as many
//! tasks and connections as anybody asks for, and cut an answer that is too long in the middle of a record.

use std::net::SocketAddr;
use std::sync::Mutex;

use hickory_net::NetError;
use hickory_net::runtime::TokioTime;
use hickory_net::xfer::Protocol;
use hickory_proto::op::{Header, Message, OpCode, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncoder};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponse;

use crate::dns::types::Rcode;
use crate::ground::bind::Transport;
use crate::ground::clock::Stopwatch;
use crate::ground::fault::{self, DnsWrong};
use crate::services::faults;
use crate::services::tally::questions::Outcome;

use super::front::{Front, UDP_PAYLOAD};
use super::{Shared, lock};

/// The longest message, and the longest over UDP to who did not say that it can take more (RFC 1035 §4.2).
const LONGEST: usize = 65_535;
const LONGEST_PLAIN_UDP: u16 = 512;
/// A header, below which nothing is a message.
const HEADER: usize = 12;

/// The answer to `question`; nothing where silence is the answer.
pub(super) async fn answer(
    front: &Front,
    question: Vec<u8>,
    client: SocketAddr,
    transport: Transport,
) -> Option<Vec<u8>> {
    let tally = front.tally();
    let watch = Stopwatch::start();
    let &[id_high, id_low, flags, ..] = question.get(..HEADER).unwrap_or_default() else {
        tally.count_silence(transport);
        return None;
    };
    if flags & 0x80 != 0 {
        // An answer is not answered: two servers would go on for ever.
        tally.count_silence(transport);
        return None;
    }
    let struck = front.faults().now().map(|wrong| faults::dns::strikes(&wrong, &question));
    // hickory knows of others only where it speaks them itself.
    let protocol = if transport == Transport::Udp { Protocol::Udp } else { Protocol::Tcp };
    let Ok(request) = Request::from_bytes(question, client, protocol) else {
        let id = u16::from_be_bytes([id_high, id_low]);
        tally.count_answer(transport, None, Rcode::FORMERR, Outcome::Answered);
        tally.took(transport, watch, 1);
        return Message::error_msg(id, OpCode::from_u8(flags >> 3 & 0x0F), ResponseCode::FormErr)
            .to_vec()
            .ok();
    };
    let asked_for = request.edns.as_ref().map_or(LONGEST_PLAIN_UDP, |edns| edns.max_payload());
    let limit = match transport {
        Transport::Udp => asked_for.clamp(LONGEST_PLAIN_UDP, UDP_PAYLOAD).into(),
        _ => LONGEST,
    };
    let written = Written { limit, transport, struck: struck.unwrap_or_default(), reply: Shared::default() };
    front.over(transport).handle_request::<_, TokioTime>(&request, written.clone()).await;
    let reply = std::mem::take(&mut *lock(&written.reply));
    (!reply.is_empty()).then_some(reply)
}

/// Where an answer is written. One that is longer than `limit` is refused as a whole.
#[derive(Clone)]
struct Written {
    limit: usize,
    transport: Transport,
    /// What is wrong with it on purpose.
    struck: Vec<DnsWrong>,
    reply: Shared<Mutex<Vec<u8>>>,
}

#[async_trait::async_trait]
impl ResponseHandler for Written {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut bytes = Vec::with_capacity(512);
        let mut info = response.destructive_emit(&mut BinEncoder::new(&mut bytes))?;
        if bytes.len() > self.limit {
            return Err(NetError::from("the answer is too long for its transport"));
        }
        if !self.struck.is_empty() {
            info = self.spoil(info, &mut bytes).await?;
        }
        *lock(&self.reply) = bytes;
        Ok(info)
    }
}

impl Written {
    /// Does to an answer what is wrong with it; what it became.
    async fn spoil(&self, info: ResponseInfo, bytes: &mut Vec<u8>) -> Result<ResponseInfo, NetError> {
        let millis = faults::dns::delay(&self.struck);
        if millis > 0 {
            tokio::time::sleep(fault::wait(millis)).await;
        }
        faults::dns::spoil(&self.struck, self.transport, bytes);
        let read = Header::read(&mut BinDecoder::new(bytes));
        Ok(read.map_or(info, ResponseInfo::from))
    }
}
