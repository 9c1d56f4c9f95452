//! The TCP listeners of one service: it may be reached at several addresses, of IPv4 and of IPv6, and its bounds hold for all
//! of them together.
//!
//! A socket for each address rather than one for all: so it is seen which addresses a service has, another service can have
//! the port at another address, and a client is answered from where it asked.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};

use super::bind::{self, BindError, Transport};

/// Listeners that are accepted from in turn.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<(TcpListener, SocketAddr)>,
    /// Which one is looked at first; after each connection the next one, so that none of them keeps the others waiting.
    first: usize,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Who opened it.
    pub client: SocketAddr,
    /// The address at which it was accepted.
    pub here: SocketAddr,
}

impl Listeners {
    /// Listens at each of `addresses`. Port 0 takes a free one.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let sockets = addresses.iter().map(|&address| {
            let listener = bind::tcp(address)?;
            let failed = |source| BindError { address, transport: Transport::Tcp, source };
            let bound = listener.local_addr().map_err(failed)?;
            Ok((listener, bound))
        });
        Ok(Self::new(sockets.collect::<Result<_, _>>()?))
    }

    /// Of listeners with the addresses at which they are bound.
    pub fn new(sockets: Vec<(TcpListener, SocketAddr)>) -> Self {
        Self { sockets, first: 0 }
    }

    /// The sockets, to set their options.
    pub fn sockets(&self) -> impl Iterator<Item = &TcpListener> {
        self.sockets.iter().map(|(listener, _)| listener)
    }

    /// The bound addresses, in the order in which they were asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(_, address)| *address).collect()
    }

    /// The next connection. Dropping the wait loses none.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        poll_fn(|context| {
            let count = self.sockets.len();
            for place in (self.first..count).chain(0..self.first) {
                let (listener, here) = &self.sockets[place];
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    let bound = *here;
                    self.first = (place + 1) % count;
                    return Poll::Ready(accepted.map(|(stream, client)| {
                        // Bound to all addresses, it was asked at one of them.
                        let asked = bound.ip().is_unspecified().then(|| stream.local_addr().ok()).flatten();
                        Accepted { stream, client, here: asked.unwrap_or(bound) }
                    }));
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn a_crowd_at_one_address_does_not_keep_the_others_waiting() {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listeners = Listeners::bind(&[free, free]).unwrap();
        let addresses = listeners.addresses();
        assert_ne!(addresses[0], addresses[1]);
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(addresses[0]).await.unwrap());
        }
        clients.push(TcpStream::connect(addresses[1]).await.unwrap());
        let mut at = Vec::new();
        for _ in 0..clients.len() {
            let accepted = listeners.accept().await.unwrap();
            let client =
                clients.iter().find(|client| client.local_addr().unwrap() == accepted.client).unwrap();
            assert_eq!(client.peer_addr().unwrap(), accepted.here);
            at.push(accepted.here);
        }
        assert!(at[..2].contains(&addresses[1]), "the other address has its turn: {at:?}");
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let held = Listeners::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
        let taken = held.addresses()[0];
        let error = Listeners::bind(&[(Ipv4Addr::LOCALHOST, 0).into(), taken]).unwrap_err();
        assert_eq!(error.address, taken);
    }
}
