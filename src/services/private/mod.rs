//! DNS that only its asker and its server can read: over TLS (RFC 7858), over HTTPS (RFC 8484) and over QUIC (RFC 9250).
//!
//! It stands apart from the resolver and the name servers because it is the same for both: whoever answers over TCP
//! ([`Respond`]) answers here, and never knows more than by which transport. It is off unless it is asked for, and costs nothing
//! then: no socket, no certificate, no task.
//!
//! - [`Door`]: what listens, opened, closed and given other certificates while the service runs.
//! - `tls`: a handshake, and then what DNS over TCP is as well.
//! - `https`: connections of HTTP/1.1 and HTTP/2; `exchange`: one request and its response.
//! - `quic`: connections of QUIC, and a stream for each question; `way`: its socket.
//! - `padded`: answers as long as others, for who asks so.
//!
//! All connections sit in the room of those over TCP, within the same bounds. What is wrong on purpose with TCP (`no-tcp`) is not
//! wrong here: whoever blocks port 53 has not blocked these.

mod exchange;
mod https;
mod padded;
mod quic;
mod tls;
mod way;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::Endpoint;
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ground::bind::{Listening, Transport};
use crate::ground::channel::Reply;
use crate::ground::journal::Journal;
use crate::ground::listeners::Listeners;
use crate::ground::service::causes;
use crate::ground::tls::{Certificate, Private};
use crate::services::faults::Faults;
use crate::services::faults::gate::Gate;
use crate::services::streams::{self, Respond, Room};
use crate::services::tls::{Greeter, TlsError, offer};
use padded::Padded;
use way::Way;

/// What is agreed on to be spoken inside TLS (RFC 7301): the word that is registered for DNS (RFC 7858 §3.1 has none; clients
/// say this one), and those of HTTP, the favourite first.
const DOT: [&[u8]; 1] = [b"dot"];
const DOH: [&[u8]; 2] = [https::HTTP2, b"http/1.1"];
const DOQ: [&[u8]; 1] = [quic::DOQ];

/// What a DNS service is told of it when it starts.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Arguments {
    /// Where to answer over TLS as well (RFC 7858); may be repeated
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub tls_listen: Vec<SocketAddr>,
    /// Where to answer over QUIC as well (RFC 9250); may be repeated
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub quic_listen: Vec<SocketAddr>,
    /// A key and its certificates as PEM, and the names at which they are shown; may be repeated
    #[arg(long, value_name = "HOST[,HOST…]=FILE", value_parser = Certificate::parse)]
    pub certificate: Vec<Certificate>,
    /// Append the secrets of each connection to this file, as Wireshark reads them
    #[arg(long, value_name = "FILE")]
    pub key_log: Option<PathBuf>,
}

impl Arguments {
    /// What they ask for, with `https` where HTTPS is to be spoken.
    pub(in crate::services) fn wanted(self, https: Vec<SocketAddr>) -> Private {
        Private {
            tls: self.tls_listen,
            https,
            quic: self.quic_listen,
            certificates: self.certificate,
            key_log: self.key_log,
        }
    }
}

/// Who answers, over whatever transport it is told of.
pub(in crate::services) trait Over: Respond {
    /// The same, for what comes over `transport`.
    fn over(&self, transport: Transport) -> Self;
}

/// What listens for those who ask in private, and who answers them.
#[derive(Debug)]
pub(in crate::services) struct Door<R> {
    responder: R,
    room: Arc<Room>,
    faults: Faults,
    journal: Journal,
    stop: CancellationToken,
    /// A plain mutex: held for one change, never across an await.
    open: Mutex<Vec<Open>>,
    /// What is closed and may still have its sockets. The same.
    closing: Mutex<Vec<TaskTracker>>,
}

/// What listens for one transport.
#[derive(Debug)]
struct Open {
    transport: Transport,
    wanted: Vec<SocketAddr>,
    bound: Vec<SocketAddr>,
    offering: Offering,
    /// Nobody else comes in; who is in may finish.
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Who offers a certificate.
#[derive(Debug)]
enum Offering {
    Streams(Arc<Greeter>),
    Quic(Vec<Endpoint>),
}

/// What an offer is to become, when nothing can fail any more.
enum Next {
    /// Its sockets stay.
    Stays {
        place: usize,
        offer: Offer,
    },
    /// These are new.
    Streams(Listeners, Arc<ServerConfig>),
    Quic(Vec<(Endpoint, Arc<Way>)>),
}

/// An offer in the form that its transport has it.
enum Offer {
    Streams(Arc<ServerConfig>),
    Quic(Box<quinn::ServerConfig>),
}

impl<R: Over> Door<R> {
    /// Closed, until [`Self::set`] says otherwise; for good when `stop` is. Who comes in sits in `room`; the way to it is broken as
    /// `faults` says.
    pub(in crate::services) fn new(
        responder: R,
        room: Arc<Room>,
        faults: Faults,
        journal: Journal,
        stop: CancellationToken,
    ) -> Self {
        Self { responder, room, faults, journal, stop, open: Mutex::default(), closing: Mutex::default() }
    }

    /// Where it is open.
    pub(in crate::services) fn listening(&self) -> Vec<Listening> {
        let open = self.open();
        let each = |open: &Open| {
            let transport = open.transport;
            open.bound.clone().into_iter().map(move |address| Listening { transport, address })
        };
        open.iter().flat_map(each).collect()
    }

    /// Does as it is ordered while the service runs.
    pub(in crate::services) async fn obey(&self, wanted: &Private) -> Reply {
        // What was closed just now may be wanted back at the same place.
        self.settle().await;
        match self.set(wanted) {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Refused(causes(&error)),
        }
    }

    /// Waits until what was closed is, which is as long as who was in may take to finish.
    async fn settle(&self) {
        let closing = std::mem::take(&mut *self.closing.lock().unwrap_or_else(PoisonError::into_inner));
        for tasks in closing {
            tasks.wait().await;
        }
    }

    /// Does as `wanted`, or, if that cannot be, nothing. Where the addresses stay the same, no connection notices.
    pub(in crate::services) fn set(&self, wanted: &Private) -> Result<(), TlsError> {
        let mut open = self.open();
        let doors = [
            (Transport::Tls, &wanted.tls, &DOT[..]),
            (Transport::Https, &wanted.https, &DOH[..]),
            (Transport::Quic, &wanted.quic, &DOQ[..]),
        ];
        let mut all = Vec::new();
        for (transport, addresses, protocols) in doors {
            if addresses.is_empty() {
                continue;
            }
            let offer = Arc::new(offer(&wanted.certificates, protocols, wanted.key_log.as_deref())?);
            let offer = match transport {
                Transport::Quic => Offer::Quic(Box::new(quic::offered(offer)?)),
                _ => Offer::Streams(offer),
            };
            let stays = open.iter().position(|open| open.transport == transport && open.wanted == *addresses);
            let next = match (stays, offer) {
                (Some(place), offer) => Next::Stays { place, offer },
                (None, Offer::Streams(offer)) => Next::Streams(Listeners::bind(addresses)?, offer),
                (None, Offer::Quic(config)) => {
                    let bind =
                        |&address: &SocketAddr| quic::bind(address, (*config).clone(), self.faults.clone());
                    Next::Quic(addresses.iter().map(bind).collect::<Result<_, _>>()?)
                }
            };
            all.push((transport, addresses, next));
        }
        // From here on nothing can fail.
        let mut former: Vec<Option<Open>> = std::mem::take(&mut *open).into_iter().map(Some).collect();
        for (transport, addresses, next) in all {
            let (stop, tasks) = (self.stop.child_token(), TaskTracker::new());
            let (bound, offering) = match next {
                Next::Stays { place, offer } => {
                    if let Some(stays) = former[place].take() {
                        stays.offering.offer(offer);
                        open.push(stays);
                    }
                    continue;
                }
                Next::Streams(listeners, offer) => {
                    (listeners.addresses(), self.serve(transport, listeners, offer, &tasks, &stop))
                }
                Next::Quic(endpoints) => (
                    endpoints.iter().map(|(_, way)| way.address()).collect(),
                    self.serve_quic(endpoints, &tasks, &stop),
                ),
            };
            tasks.close();
            open.push(Open { transport, wanted: addresses.clone(), bound, offering, stop, tasks });
        }
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        for closed in former.into_iter().flatten() {
            closed.stop.cancel();
            closing.push(closed.tasks);
        }
        Ok(())
    }

    fn serve(
        &self,
        transport: Transport,
        listeners: Listeners,
        offer: Arc<ServerConfig>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Offering {
        let greeter = Arc::new(Greeter::new(offer));
        let (responder, journal) = (Padded(self.responder.over(transport)), self.journal.clone());
        let (greeting, room) = (greeter.clone(), self.room.clone());
        let gate = Gate::new(listeners, self.faults.clone(), journal.clone());
        match transport {
            Transport::Https => {
                let https = https::Https { greeter: greeting, responder, journal };
                tasks.spawn(streams::serve(gate, https, room, stop.clone()));
            }
            _ => {
                let tls = tls::Tls { greeter: greeting, responder, journal };
                tasks.spawn(streams::serve(gate, tls, room, stop.clone()));
            }
        }
        Offering::Streams(greeter)
    }

    fn serve_quic(
        &self,
        endpoints: Vec<(Endpoint, Arc<Way>)>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Offering {
        let quic = quic::Quic {
            responder: Padded(self.responder.over(Transport::Quic)),
            room: self.room.clone(),
            journal: self.journal.clone(),
        };
        for (endpoint, way) in &endpoints {
            tasks.spawn(quic.clone().serve(endpoint.clone(), way.clone(), stop.clone()));
        }
        Offering::Quic(endpoints.into_iter().map(|(endpoint, _)| endpoint).collect())
    }

    /// Waits for those who are in, which they are for as long as [`streams::serve`] lets them be; `stop` was said before.
    pub(in crate::services) async fn close(self) {
        self.settle().await;
        let open = std::mem::take(&mut *self.open());
        for open in open {
            open.tasks.wait().await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Offering {
    /// Offers this to who comes from now on.
    fn offer(&self, offer: Offer) {
        match (self, offer) {
            (Self::Streams(greeter), Offer::Streams(offer)) => greeter.offer(offer),
            (Self::Quic(endpoints), Offer::Quic(config)) => {
                endpoints.iter().for_each(|endpoint| endpoint.set_server_config(Some((*config).clone())));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
