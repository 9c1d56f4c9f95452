//! The connections to the lab's name servers, and to nothing else.
//!
//! Here the lab's port replaces port 53, an address that is not one of the lab's name servers is refused, each question is
//! told to the journal and noted on its walk, and a server that gives no answer is passed by for the zone's next one:
//! hickory does that after an error of the network, but not after an answer that leads nowhere, and it would wait for the
//! first server longer than anybody waits for us.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::once;
use hickory_net::NetError;
use hickory_net::runtime::{DnsUdpSocket, RuntimeProvider, TokioRuntimeProvider, TokioTime};
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::{DnsExchange, DnsHandle, FirstAnswer};
use hickory_proto::op::{DnsRequest, DnsResponse, Message, Query, ResponseCode};
use hickory_proto::rr::{Record, RecordType};
use hickory_resolver::config::{ConnectionConfig, ProtocolConfig};
use hickory_resolver::{ConnectionProvider, PoolContext};
use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};

use crate::ground::channel::WalkStep;
use crate::ground::clock::Stopwatch;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;
use crate::services::faults::Faults;
use crate::services::faults::edges::Moment;

use super::cache::{rcode_name, type_name};
use super::trace::{TRACE, Trace, Trouble};
use super::{Shared, lock};

/// A server that is silent for so long is passed by. hickory remembers that it was, and asks the others first.
const SERVER_PATIENCE: Duration = Duration::from_millis(800);

/// A datagram that was lost is sent again after this, or 1.2 times the server's round-trip time if that is longer, and so
/// often. hickory's own floor of 333 ms is made for the Internet.
const ASK_AGAIN_MILLIS: u64 = 15;
const ASK_AGAIN_MOST: u8 = 20;

/// The same, for datagrams that are lost on purpose.
const DATAGRAM: Moment =
    Moment::Datagram { again: Duration::from_millis(ASK_AGAIN_MILLIS), most: ASK_AGAIN_MOST };

/// Opens connections to the lab's name servers, and to nothing else.
#[derive(Clone)]
pub(super) struct LabConnections {
    sockets: LabSockets,
    port: u16,
    servers: Shared<[IpAddr]>,
    journal: Journal,
    faults: Faults,
}

impl LabConnections {
    /// To `servers`, all of which answer at `port`; the ways there are broken as `faults` says.
    pub(super) fn new(port: u16, servers: Shared<[IpAddr]>, journal: Journal, faults: Faults) -> Self {
        Self { sockets: LabSockets::default(), port, servers, journal, faults }
    }
}

impl ConnectionProvider for LabConnections {
    type Conn = Told;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Told, NetError>> + Send>>;
    type RuntimeProvider = LabSockets;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        context: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let trace = TRACE.try_with(Clone::clone).ok();
        let blame = move |trouble| {
            if let Some(trace) = trace {
                lock(&trace).blame(ip, trouble);
            }
        };
        if !self.servers.contains(&ip) {
            self.journal.note(format!("refuses to ask {ip}: it is not a name server of this lab"));
            blame(Trouble::Outside);
            return Err(NetError::NoConnections);
        }
        let server = SocketAddr::new(ip, self.port);
        let (journal, faults) = (self.journal.clone(), self.faults.clone());
        if matches!(config.protocol, ProtocolConfig::Udp) {
            let connection = UdpClientStream::builder(server, self.sockets.clone())
                .with_timeout(Some(SERVER_PATIENCE))
                .with_retry_interval_floor(ASK_AGAIN_MILLIS)
                .with_max_retries(ASK_AGAIN_MOST)
                .exchange();
            let told = Told { connection, server, moment: DATAGRAM, journal, faults };
            return Ok(Box::pin(std::future::ready(Ok(told))));
        }
        let mut config = config.clone();
        config.port = self.port;
        let connecting = ConnectionProvider::new_connection(&self.sockets, ip, &config, context)?;
        Ok(Box::pin(async move {
            let dialled = in_time(faults.dial(Some(ip), connecting)).await;
            let connection = dialled.inspect_err(|error| blame(trouble(error)))?;
            Ok(Told { connection, server, moment: Moment::Asking, journal, faults })
        }))
    }

    fn runtime_provider(&self) -> &LabSockets {
        &self.sockets
    }
}

/// Sockets that hear of it when nobody listens at the other end: the operating system tells that only to a UDP socket that
/// is connected (ICMP port unreachable, RFC 1122 §4.1.3.3), and hickory's are not.
#[derive(Clone, Default)]
pub(super) struct LabSockets(TokioRuntimeProvider);

impl RuntimeProvider for LabSockets {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = TokioTime;
    type Udp = Connected;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        local: Option<SocketAddr>,
        patience: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        self.0.connect_tcp(server, local, patience)
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        server: SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Connected>>>> {
        Box::pin(async move {
            let socket = tokio::net::UdpSocket::bind(local).await?;
            socket.connect(server).await?;
            Ok(Connected { socket, server })
        })
    }
}

/// A UDP socket that is connected to one server.
#[derive(Debug)]
pub(super) struct Connected {
    socket: tokio::net::UdpSocket,
    server: SocketAddr,
}

#[async_trait::async_trait]
impl DnsUdpSocket for Connected {
    type Time = TokioTime;

    /// Also wakes for an error alone, which is no sign that anything can be read.
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let wakes = Interest::READABLE | Interest::ERROR;
        let receive = || SockRef::from(&self.socket).deref().read(buffer);
        let length = self.socket.async_io(wakes, receive).await?;
        Ok((length, self.server))
    }

    fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(self.socket.poll_recv(context, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), self.server)))
    }

    /// The operating system knows where to; some refuse to be told again.
    fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        octets: &[u8],
        _server: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_send(context, octets)
    }
}

/// A connection whose questions and answers are told.
#[derive(Clone)]
pub(super) struct Told {
    connection: DnsExchange<LabSockets>,
    server: SocketAddr,
    /// What asking on it is.
    moment: Moment,
    journal: Journal,
    faults: Faults,
}

impl DnsHandle for Told {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = LabSockets;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let waiting = Waiting {
            server: self.server,
            query: request.queries.first().cloned().unwrap_or_default(),
            watch: Stopwatch::start(),
            trace: TRACE.try_with(Clone::clone).ok(),
            journal: self.journal.clone(),
            heard: false,
        };
        let Self { connection, server, moment, faults, .. } = self.clone();
        // What is sent is sent when it is polled; what is not to get there is not.
        let asking = async move {
            let met = faults.meet(Some(server.ip()), moment).await;
            let answer = async { connection.send(request).first_answer().await };
            met.over(answer, NetError::from).await
        };
        Box::pin(once(async move { waiting.hear(in_time(asking).await) }))
    }
}

async fn in_time<T>(coming: impl Future<Output = Result<T, NetError>>) -> Result<T, NetError> {
    tokio::time::timeout(SERVER_PATIENCE, coming).await.unwrap_or(Err(NetError::Timeout))
}

/// A question that was sent. One that nothing was heard of is told when it is given up.
struct Waiting {
    server: SocketAddr,
    query: Query,
    watch: Stopwatch,
    trace: Option<Trace>,
    journal: Journal,
    heard: bool,
}

impl Waiting {
    /// Tells what came, and makes an error of the network of what is no answer.
    fn hear(mut self, response: Result<DnsResponse, NetError>) -> Result<DnsResponse, NetError> {
        self.heard = true;
        let message = response.inspect_err(|error| self.give_up(trouble(error)))?;
        let judged = self
            .trace
            .as_ref()
            .and_then(|trace| lock(trace).judge(self.server.ip(), &self.query.name, &message));
        if let Some(trouble) = judged {
            self.give_up(trouble);
            return Err(NetError::NoConnections);
        }
        if let Some(trace) = &self.trace {
            lock(trace).absolve(self.server.ip());
        }
        self.tell(outcome(&message), message.answers.iter());
        Ok(message)
    }

    fn give_up(&self, trouble: Trouble) {
        self.tell(trouble.to_string(), std::iter::empty());
        if let Some(trace) = &self.trace {
            lock(trace).blame(self.server.ip(), trouble);
        }
    }

    fn tell<'a>(&self, outcome: String, answers: impl Iterator<Item = &'a Record>) {
        let step = WalkStep {
            server: self.server,
            name: self.query.name.to_string(),
            record_type: type_name(self.query.query_type),
            outcome,
            micros: self.watch.micros(),
        };
        let Some(trace) = &self.trace else { return };
        let mut notes = lock(trace);
        notes.note(step.clone(), answers);
        self.journal.tell(|| Happened::Asked { walk: notes.walk.as_str().to_owned(), step });
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.heard {
            self.give_up(Trouble::Silent);
        }
    }
}

fn trouble(error: &NetError) -> Trouble {
    match error {
        NetError::Timeout => Trouble::Silent,
        NetError::Io(cause) if cause.kind() == io::ErrorKind::TimedOut => Trouble::Silent,
        NetError::Io(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => Trouble::NobodyListens,
        other => Trouble::Unreachable(other.to_string()),
    }
}

/// What came back, in a few words.
fn outcome(message: &Message) -> String {
    let delegated = message.authorities.iter().find(|record| record.record_type() == RecordType::NS);
    match (message.metadata.response_code, message.answers.len(), delegated) {
        (ResponseCode::NoError, 0, Some(cut)) => format!("referral to {}", cut.name),
        (ResponseCode::NoError, 0, None) => "NODATA".into(),
        (ResponseCode::NoError, 1, _) => "NOERROR, 1 answer".into(),
        (ResponseCode::NoError, count, _) => format!("NOERROR, {count} answers"),
        (rcode, ..) => rcode_name(rcode),
    }
}
