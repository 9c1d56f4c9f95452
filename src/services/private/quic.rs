//! DNS over QUIC (RFC 9250): a connection for each client, a stream of its own for each question.
//!
//! quinn speaks QUIC; what is here is who may come in, and the rules of §4 and §5: one question a stream, its number 0, its end
//! told, and whoever keeps to something else is told so and left (`DOQ_PROTOCOL_ERROR`). What is sent early (0-RTT, §4.5) is not
//! taken: a question could be played again.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{
    Connection, ConnectionError, Endpoint, EndpointConfig, IdleTimeout, Incoming, RecvStream, SendStream,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::way::Way;
use crate::dns::message::question;
use crate::ground::bind::{self, BindError, Transport};
use crate::ground::clock::Stopwatch;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;
use crate::ground::service::DRAIN;
use crate::ground::tls::{Agreed, Shaken};
use crate::services::faults::Faults;
use crate::services::streams::{self, Asking, IDLE, Respond, Room, Seat};
use crate::services::tls::TlsError;

/// What is agreed on to be spoken inside (RFC 9250 §4.1.1).
pub(super) const DOQ: &[u8] = b"doq";

/// How a connection or a stream ends (RFC 9250 §8.4).
const NO_ERROR: VarInt = VarInt::from_u32(0);
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);

/// Questions of one connection at a time: what is not whole yet is kept, so these times [`LONGEST`] is what one may take.
const QUESTIONS_MOST: u32 = 16;
/// The longest question with its length before it, in octets; and one more is too many.
const LONGEST: usize = 2 + 65_535;
/// Octets of one connection that may come before they are taken, and that may wait to be acknowledged.
const RECEIVED_MOST: u32 = 1 << 18;
const SENT_MOST: u64 = 1 << 18;
/// Connections whose handshake nobody has looked at yet, and octets of each that are kept as long.
const INCOMING_MOST: usize = 64;
const INCOMING_OCTETS: u64 = 1 << 14;
/// How long a handshake may take.
const SHAKEN_WITHIN: Duration = Duration::from_secs(10);

/// What is offered to who comes from now on.
pub(super) fn offered(offer: Arc<rustls::ServerConfig>) -> Result<ServerConfig, TlsError> {
    let crypto = QuicServerConfig::try_from(offer).map_err(|_| TlsError::Quic)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(QUESTIONS_MOST))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .stream_receive_window(VarInt::from_u32(1 << 17))
        .receive_window(VarInt::from_u32(RECEIVED_MOST))
        .send_window(SENT_MOST)
        .datagram_receive_buffer_size(None);
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(INCOMING_MOST)
        .incoming_buffer_size(INCOMING_OCTETS)
        .incoming_buffer_size_total(INCOMING_OCTETS * INCOMING_MOST as u64);
    Ok(config)
}

/// A socket at `address` that offers `config`, the way to which is broken as `faults` says.
pub(super) fn bind(
    address: SocketAddr,
    config: ServerConfig,
    faults: Faults,
) -> Result<(Endpoint, Arc<Way>), TlsError> {
    let failed = |source| BindError { address, transport: Transport::Quic, source };
    let make = |socket: tokio::net::UdpSocket| -> io::Result<_> {
        let (way, runtime) = (Way::new(socket, faults)?, Arc::new(TokioRuntime));
        let settings = EndpointConfig::default();
        let endpoint = Endpoint::new_with_abstract_socket(settings, Some(config), way.clone(), runtime)?;
        Ok((endpoint, way))
    };
    Ok(make(bind::udp(address)?).map_err(failed)?)
}

/// Answers who comes in over an endpoint.
#[derive(Debug, Clone)]
pub(super) struct Quic<R> {
    pub(super) responder: R,
    pub(super) room: Arc<Room>,
    pub(super) journal: Journal,
}

impl<R: Respond> Quic<R> {
    /// Answers until `stop`; then who is in may finish.
    pub(super) async fn serve(self, endpoint: Endpoint, way: Arc<Way>, stop: CancellationToken) {
        let here = way.address();
        let mut connections = JoinSet::new();
        let mut minding = pin!(way.mind(&self.journal, &stop));
        loop {
            let incoming = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                () = &mut minding => break,
                incoming = endpoint.accept() => incoming,
            };
            let Some(incoming) = incoming else { break };
            // Where seats are few, an address is to be proven before one is taken for it: it costs a round trip.
            if !incoming.remote_address_validated() && self.room.is_crowded() {
                // It may be refused only to who was asked already.
                let _ = incoming.retry();
                continue;
            }
            match self.room.seat(incoming.remote_address().ip(), &stop) {
                Some(seat) => {
                    connections.spawn(self.clone().hold(incoming, here, seat));
                }
                None => incoming.refuse(),
            }
        }
        endpoint.set_server_config(None);
        let _ = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
        connections.shutdown().await;
        endpoint.close(NO_ERROR, b"");
        // That it is closed is still to be sent.
        let _ = timeout(DRAIN, endpoint.wait_idle()).await;
    }

    async fn hold(self, incoming: Incoming, here: SocketAddr, seat: Seat) {
        let (client, stopwatch) = (incoming.remote_address(), Stopwatch::start());
        let shake = async { incoming.accept()?.await };
        let shaken = tokio::select! {
            () = seat.to_be_left() => return,
            shaken = timeout(SHAKEN_WITHIN, shake) => shaken.unwrap_or(Err(ConnectionError::TimedOut)),
        };
        self.journal.tell(|| {
            let micros = stopwatch.micros();
            Happened::Handshake(told(client, here, shaken.as_ref(), micros))
        });
        let Ok(connection) = shaken else { return };
        let code = self.answer_all(&connection, client, &seat).await;
        connection.close(code, b"");
    }

    /// Answers what is asked until the end; with which code it is to end.
    async fn answer_all(&self, connection: &Connection, client: SocketAddr, seat: &Seat) -> VarInt {
        let mut questions = JoinSet::new();
        let ending = CancellationToken::new();
        let mut is_ending = false;
        loop {
            if is_ending && questions.is_empty() {
                return NO_ERROR;
            }
            tokio::select! {
                Some(answered) = questions.join_next() => match answered {
                    Ok(Err(Misbehaved)) => return PROTOCOL_ERROR,
                    Ok(Ok(())) => {}
                    Err(_) => return INTERNAL_ERROR,
                },
                () = seat.to_be_left(), if !is_ending => {
                    is_ending = true;
                    ending.cancel();
                }
                // To stay awake is not to ask: PINGs put off the end that quinn knows of, and not this one.
                () = sleep(IDLE), if questions.is_empty() => return NO_ERROR,
                // quinn accepts no more than QUESTIONS_MOST.
                stream = connection.accept_bi(), if !is_ending => match stream {
                    Ok((send, receive)) => {
                        let (responder, asking) = (self.responder.clone(), seat.asking());
                        questions.spawn(answer(responder, send, receive, client, asking, ending.clone()));
                    }
                    // It was closed, or was silent for too long.
                    Err(_) => return NO_ERROR,
                },
            }
        }
    }
}

/// A client did what RFC 9250 §4.3.3 calls fatal.
#[derive(Debug)]
struct Misbehaved;

/// Answers the one question of a stream, unless it is not whole yet when the connection is `ending`.
async fn answer(
    responder: impl Respond,
    mut send: SendStream,
    mut receive: RecvStream,
    client: SocketAddr,
    asking: Asking,
    ending: CancellationToken,
) -> Result<(), Misbehaved> {
    // The end of the stream is the end of the question: who does not tell it in time is not waited for.
    let reading = timeout(IDLE, receive.read_to_end(LONGEST));
    let read = tokio::select! {
        biased;
        read = reading => read,
        () = ending.cancelled() => {
            let _ = send.reset(NO_ERROR);
            return Ok(());
        }
    };
    let framed = match read {
        Ok(Ok(framed)) => framed,
        // It was taken back (DOQ_REQUEST_CANCELLED, §4.3.1), or the connection is gone.
        Ok(Err(quinn::ReadToEndError::Read(_))) => {
            let _ = send.reset(NO_ERROR);
            return Ok(());
        }
        Ok(Err(quinn::ReadToEndError::TooLong)) | Err(_) => return misbehaved(&mut send),
    };
    let Some(message) = only_message(&framed) else { return misbehaved(&mut send) };
    let _answering = asking.is_whole();
    match streams::answer(&responder, message, client, &mut send).await {
        // Whoever does not want it any more has said so. The end of the connection, which may come behind this, would take with
        // it what has not arrived.
        Ok(true) => {
            if send.finish().is_ok() {
                let _ = timeout(IDLE, send.stopped()).await;
            }
        }
        Ok(false) | Err(_) => _ = send.reset(INTERNAL_ERROR),
    }
    Ok(())
}

/// Nobody is to take the end of the stream for an answer.
fn misbehaved(send: &mut SendStream) -> Result<(), Misbehaved> {
    let _ = send.reset(PROTOCOL_ERROR);
    Err(Misbehaved)
}

/// The message in `framed`, if that is one question as RFC 9250 §4.2 has it: behind its length, with nothing behind it, with the
/// number 0 and without the option that tells how long a connection may be silent.
fn only_message(framed: &[u8]) -> Option<&[u8]> {
    let (length, message) = framed.split_first_chunk()?;
    let is_whole = usize::from(u16::from_be_bytes(*length)) == message.len();
    let [0, 0, ..] = message else { return None };
    let keepalive =
        question::read(message).ok().and_then(|question| question.edns).map(|edns| edns.keepalive);
    (is_whole && keepalive != Some(true)).then_some(message)
}

fn told(
    client: SocketAddr,
    server: SocketAddr,
    shaken: Result<&Connection, &ConnectionError>,
    micros: u64,
) -> Shaken {
    let data = shaken.ok().and_then(Connection::handshake_data);
    let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
    let (sni, alpn) = data.map_or((None, None), |data| (data.server_name, data.protocol));
    let alpn = alpn.map(|alpn| String::from_utf8_lossy(&alpn).into_owned());
    let agreed = shaken.is_ok().then(|| Agreed {
        // There is no other in QUIC (RFC 9001 §4.2).
        version: "TLSv1.3".into(),
        cipher: String::new(),
        alpn,
        resumed: false,
    });
    Shaken { client, server, sni, agreed, why: shaken.err().map(ToString::to_string), micros }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9250_section_4_2_a_stream_has_one_question_with_the_number_0() {
        let name = "www.foobar.com".parse().unwrap();
        let framed = |id, more: &[u8]| {
            let query = crate::dns::message::asked::query(id, &name, crate::dns::types::RecordType::A);
            [&u16::try_from(query.len()).unwrap().to_be_bytes()[..], &query, more].concat()
        };
        assert!(only_message(&framed(0, b"")).is_some());
        assert!(only_message(&framed(1, b"")).is_none(), "another number");
        assert!(only_message(&framed(0, b"\0")).is_none(), "something behind it");
        assert!(only_message(&framed(0, b"")[..20]).is_none(), "a part of it");
        assert!(only_message(b"\0").is_none());
        assert!(only_message(b"").is_none());
        let mut keepalive = framed(0, b"\0\x0B\0\0");
        let length = keepalive.len();
        // The options are four octets long, and so is the message longer.
        keepalive[length - 5] = 4;
        keepalive[1] += 4;
        assert!(only_message(&keepalive).is_none(), "the option of TCP");
    }
}
