//! The socket of QUIC, over a way that may be broken: quinn reads and writes through it and knows nothing of that.
//!
//! It stands apart from `quic` because nothing of QUIC is in it. A datagram that is lost, either way, is lost as one would be on a
//! line, and QUIC sends again what was in it (RFC 9002). Where the way refuses, the socket is closed, and opened again behind
//! that; connections that are open last as long as QUIC waits for them.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime, UdpPoller};
use tokio_util::sync::CancellationToken;

use crate::ground::bind::{self, Transport};
use crate::ground::journal::Journal;
use crate::services::faults::gate;
use crate::services::faults::{Active, Faults};

/// The socket at an address.
pub(super) struct Way {
    address: SocketAddr,
    faults: Faults,
    may_fragment: bool,
    segments: usize,
    /// A plain mutex: held to look which socket it is.
    now: Mutex<Now>,
}

/// The socket that there is, none while it is closed; and who waits for what it hears.
struct Now {
    socket: Option<Arc<dyn AsyncUdpSocket>>,
    hears: Waker,
}

impl Way {
    /// Over `socket`; the way to it is broken as `faults` says.
    pub(super) fn new(socket: tokio::net::UdpSocket, faults: Faults) -> io::Result<Arc<Self>> {
        let (address, socket) = (socket.local_addr()?, wrapped(socket)?);
        let (may_fragment, segments) = (socket.may_fragment(), socket.max_transmit_segments());
        let now = Mutex::new(Now { socket: Some(socket), hears: Waker::noop().clone() });
        Ok(Arc::new(Self { address, faults, may_fragment, segments, now }))
    }

    /// Where it is, or will be again.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes and opens the socket as is asked for, until `stop`.
    pub(super) async fn mind(&self, journal: &Journal, stop: &CancellationToken) {
        let mut wrong = self.faults.watch();
        let mind = async {
            loop {
                wrong.until(true, Active::is_refused).await;
                self.now().socket = None;
                let bind = || bind::udp(self.address).map_err(|error| error.source).and_then(wrapped);
                let again = gate::again(self.address, Transport::Quic, bind, &self.faults, journal).await;
                let mut now = self.now();
                now.socket = Some(again);
                now.hears.wake_by_ref();
            }
        };
        stop.run_until_cancelled(mind).await;
    }

    fn socket(&self) -> Option<Arc<dyn AsyncUdpSocket>> {
        self.now().socket.clone()
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wrapped(socket: tokio::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    TokioRuntime.wrap_udp_socket(socket.into_std()?)
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Way").field(&self.address).finish()
    }
}

impl AsyncUdpSocket for Way {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room { way: self, waits: None })
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        match self.socket() {
            Some(socket) if self.faults.speaks() => socket.try_send(transmit),
            _ => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        context: &mut Context,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut now = self.now();
        now.hears.clone_from(context.waker());
        let Some(socket) = &now.socket else { return Poll::Pending };
        let count = ready!(socket.poll_recv(context, buffers, meta))?;
        // What has no octets is no datagram of QUIC.
        meta.iter_mut().take(count).filter(|_| !self.faults.hears()).for_each(|meta| meta.len = 0);
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn max_transmit_segments(&self) -> usize {
        self.segments
    }

    fn max_receive_segments(&self) -> usize {
        self.socket().map_or(1, |socket| socket.max_receive_segments())
    }

    fn may_fragment(&self) -> bool {
        self.may_fragment
    }
}

/// Waits for room in the socket, and holds it no longer than that.
struct Room {
    way: Arc<Way>,
    waits: Option<Pin<Box<dyn UdpPoller>>>,
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Room").field(&self.way).finish()
    }
}

impl UdpPoller for Room {
    fn poll_writable(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        if self.waits.is_none() {
            self.waits = self.way.socket().map(AsyncUdpSocket::create_io_poller);
        }
        // What a closed one is given vanishes.
        let Some(waits) = &mut self.waits else { return Poll::Ready(Ok(())) };
        let room = ready!(waits.as_mut().poll_writable(context));
        self.waits = None;
        Poll::Ready(room)
    }
}
