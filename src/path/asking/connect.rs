//! The connection: the three-way handshake (RFC 9293 §3.5), and what the kernel knows of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::Trouble;
use crate::ground::connection::{Measured, measured};

/// A machine that says nothing for so long is not waited for: three SYNs have gone by then (RFC 6298 §2).
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A connection.
#[derive(Debug, Clone, Copy)]
pub struct Connected {
    /// The client's end.
    pub from: SocketAddr,
    /// What the kernel measured, where it says.
    pub kernel: Option<Measured>,
}

/// Connects to `server` from `client`.
pub(super) async fn connect(server: SocketAddr, client: IpAddr) -> Result<(Connected, TcpStream), Trouble> {
    let connecting = async {
        let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if client.is_ipv4() == server.is_ipv4() {
            socket.bind(SocketAddr::new(client, 0))?;
        }
        let stream = socket.connect(server).await?;
        let connected = Connected { from: stream.local_addr()?, kernel: measured(&stream) };
        // What is measured is the server's way, not a wait for more to send.
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>((connected, stream))
    };
    match timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => Err(Trouble::of(&error)),
        Err(_elapsed) => Err(Trouble::Silent(u64::try_from(CONNECT_WITHIN.as_millis()).unwrap_or(u64::MAX))),
    }
}
