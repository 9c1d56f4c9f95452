//! Sockets that listen, with their options set before they are bound.

use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// Connections that wait to be accepted, per listener.
const BACKLOG: i32 = 1024;

/// How bytes travel to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream within TLS.
    Tls,
    /// Requests of HTTP within TLS.
    Https,
    /// Streams of QUIC, which is TLS in datagrams.
    Quic,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Https, Self::Quic];

    /// What carries it, and has a port at the machine: datagrams or a stream.
    pub fn carrier(self) -> Self {
        match self {
            Self::Udp | Self::Quic => Self::Udp,
            Self::Tcp | Self::Tls | Self::Https => Self::Tcp,
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        })
    }
}

/// An address at which a service really listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// What is spoken there.
    pub transport: Transport,
    /// The bound address; its port is never 0.
    pub address: SocketAddr,
}

impl Listening {
    /// Each of `addresses` over UDP and TCP.
    pub fn by_both(addresses: &[SocketAddr]) -> Vec<Self> {
        let both = |&address| [Transport::Udp, Transport::Tcp].map(|transport| Self { transport, address });
        addresses.iter().flat_map(both).collect()
    }
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}/{transport}")]
pub struct BindError {
    /// What was asked for.
    pub address: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// Why not.
    pub source: io::Error,
}

/// Listens for TCP connections at `address`. Port 0 takes a free one.
pub fn tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listen = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted service must not wait for the old one's connections to leave TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    listen().map_err(|source| BindError { address, transport: Transport::Tcp, source })
}

/// Receives datagrams at `address`. Port 0 takes a free one.
pub fn udp(address: SocketAddr) -> Result<UdpSocket, BindError> {
    let receive = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        UdpSocket::from_std(socket.into())
    };
    receive().map_err(|source| BindError { address, transport: Transport::Udp, source })
}

/// Whether `address` could be bound now; it is released again at once.
pub fn probe(address: SocketAddr, transport: Transport) -> Result<(), BindError> {
    let try_it = || -> io::Result<()> {
        let is_stream = transport.carrier() == Transport::Tcp;
        let (kind, protocol) =
            if is_stream { (Type::STREAM, Protocol::TCP) } else { (Type::DGRAM, Protocol::UDP) };
        let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
        if is_stream {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())?;
        if is_stream {
            // Two sockets may be bound with SO_REUSEADDR; only one may listen.
            socket.listen(1)?;
        }
        Ok(())
    };
    try_it().map_err(|source| BindError { address, transport, source })
}
