//! Carrying between two networks: what comes in at a [`Door`] goes on from a socket of this process's own network.
//!
//! Bytes and datagrams are carried, not understood. What meets the one side is shown to the other as far as a process can:
//! an end as an end, all else as a reset. Everything is bounded: who comes when all seats are taken waits at the door, and
//! a datagram is dropped, which its sender asks again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::ground::bind::{self, Listening, Transport};

/// Connections of one door that are open at once.
const CONNECTIONS_MOST: usize = 256;
/// Datagrams of one door that wait for an answer at once.
const QUESTIONS_MOST: usize = 256;
/// How long a connection into the network may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer to a datagram is waited for: as long as dig waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// When both sides are silent for so long, it is asked whether they are still there (RFC 9293 §3.8.4).
const SILENCE: Duration = Duration::from_secs(30);
/// The largest datagram of UDP, in bytes.
const DATAGRAM_MOST: usize = 65_535;
/// Out of descriptors, most likely: a pause, so that this does not spin.
const REST: Duration = Duration::from_millis(100);

/// A way in: a socket, its address, and where what comes in is carried to.
#[derive(Debug)]
pub(super) enum Door {
    /// For connections.
    Tcp(TcpListener, SocketAddr, SocketAddr),
    /// For datagrams, of which each has at most one answer.
    Udp(UdpSocket, SocketAddr, SocketAddr),
}

impl Door {
    /// Where it is.
    pub(super) fn listening(&self) -> Listening {
        let (transport, address) = match self {
            Self::Tcp(_, here, _) => (Transport::Tcp, *here),
            Self::Udp(_, here, _) => (Transport::Udp, *here),
        };
        Listening { transport, address }
    }
}

/// Carries what comes in at all `doors`. Does not end.
pub(super) async fn all(doors: Vec<Door>) {
    let mut open = JoinSet::new();
    for door in doors {
        match door {
            Door::Tcp(listener, _, there) => open.spawn(connections(listener, there)),
            Door::Udp(socket, _, there) => open.spawn(datagrams(Arc::new(socket), there)),
        };
    }
    while open.join_next().await.is_some() {}
}

async fn connections(listener: TcpListener, there: SocketAddr) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MOST));
    let mut open = JoinSet::new();
    loop {
        // The seats are never closed.
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((near, _)) => {
                open.spawn(connection(near, there, seat));
            }
            Err(_) => sleep(REST).await,
        }
        while open.try_join_next().is_some() {}
    }
}

async fn connection(mut near: TcpStream, there: SocketAddr, _seat: OwnedSemaphorePermit) {
    let Ok(Ok(mut far)) = timeout(CONNECT_WITHIN, TcpStream::connect(there)).await else {
        return reset(&near);
    };
    for side in [&near, &far] {
        // A side that does not know these options is carried for all the same.
        let _ = side.set_nodelay(true);
        let _ = SockRef::from(side)
            .set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE));
    }
    if copy_bidirectional(&mut near, &mut far).await.is_err() {
        reset(&near);
        reset(&far);
    }
}

/// Its end will be a reset, and no good-bye.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn datagrams(socket: Arc<UdpSocket>, there: SocketAddr) {
    let seats = Arc::new(Semaphore::new(QUESTIONS_MOST));
    let mut open = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_MOST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, asker)) => {
                if let Ok(seat) = seats.clone().try_acquire_owned() {
                    open.spawn(datagram(socket.clone(), buffer[..length].to_vec(), asker, there, seat));
                }
            }
            // The news that an asker did not wait for its answer is of no use here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(_) => sleep(REST).await,
        }
        while open.try_join_next().is_some() {}
    }
}

/// Carries one datagram there, from a port of its own, and its answer back; without one there is silence.
async fn datagram(
    here: Arc<UdpSocket>,
    question: Vec<u8>,
    asker: SocketAddr,
    there: SocketAddr,
    _seat: OwnedSemaphorePermit,
) {
    let carried = async {
        let socket = bind::udp((Ipv4Addr::UNSPECIFIED, 0).into()).map_err(io::Error::other)?;
        socket.connect(there).await?;
        socket.send(&question).await?;
        socket.readable().await?;
        let mut answer = vec![0; DATAGRAM_MOST];
        let length = socket.recv(&mut answer).await?;
        here.send_to(&answer[..length], asker).await
    };
    // Whoever asked without being answered asks again.
    let _ = timeout(ANSWER_WITHIN, carried).await;
}
