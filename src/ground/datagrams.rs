//! Datagrams that are answered from the address that was asked.
//!
//! A socket that is bound to all addresses would answer from whichever the way back begins at, and the asker
//! would not take that for its answer. So the kernel is asked to tell each datagram's destination (IP_PKTINFO,
//! RFC 3542 §6), and the answer names it as its source. A socket with an address of its own needs none of this.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;

use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Octets for what the kernel tells of a datagram: an aligned header and the larger of the two structures, twice.
const TOLD: usize = 128;

/// A UDP socket of a server.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    /// Whether it is bound to all addresses.
    everywhere: bool,
}

/// Who sent a datagram, and to which address.
#[derive(Debug, Clone, Copy)]
pub struct Sender {
    /// Where an answer goes to.
    pub address: SocketAddr,
    asked: Asked,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    /// The only address that the socket has.
    Only,
    Ipv4(in_pktinfo),
    Ipv6(in6_pktinfo),
}

impl Datagrams {
    /// Asks for destinations if `socket` is bound to all addresses.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let everywhere = local.ip().is_unspecified();
        if everywhere {
            match local {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
        }
        Ok(Self { socket, everywhere })
    }

    /// Waits until there is something to receive.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives into `octets` what is there; what is longer is cut.
    pub fn try_receive(&self, octets: &mut [u8]) -> io::Result<(usize, Sender)> {
        if !self.everywhere {
            let (length, address) = self.socket.try_recv_from(octets)?;
            return Ok((length, Sender { address, asked: Asked::Only }));
        }
        self.socket.try_io(Interest::READABLE, || {
            let mut parts = [IoSliceMut::new(octets)];
            let mut told = [0; TOLD];
            let fd = self.socket.as_raw_fd();
            let received = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut told), MsgFlags::empty())?;
            let address = received.address.as_ref().and_then(socket_address);
            let address = address.ok_or(io::ErrorKind::InvalidData)?;
            let mut asked = Asked::Only;
            for message in received.cmsgs()? {
                match message {
                    // The interface is left to the routes: an answer may leave by another than the question came.
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        asked = Asked::Ipv4(in_pktinfo { ipi_ifindex: 0, ..info });
                    }
                    // A link-local address is one only together with its interface.
                    ControlMessageOwned::Ipv6PacketInfo(info) => asked = Asked::Ipv6(info),
                    _ => {}
                }
            }
            Ok((received.bytes, Sender { address, asked }))
        })
    }

    /// Answers `sender`, waiting for room.
    pub async fn send(&self, octets: &[u8], sender: Sender) -> io::Result<()> {
        match self.try_send(octets, sender) {
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {
                self.socket.async_io(Interest::WRITABLE, || self.send_from(octets, sender)).await
            }
            sent => sent,
        }
    }

    fn try_send(&self, octets: &[u8], sender: Sender) -> io::Result<()> {
        match sender.asked {
            Asked::Only => self.socket.try_send_to(octets, sender.address).map(|_| ()),
            _ => self.socket.try_io(Interest::WRITABLE, || self.send_from(octets, sender)),
        }
    }

    fn send_from(&self, octets: &[u8], Sender { address, asked }: Sender) -> io::Result<()> {
        let source = match &asked {
            Asked::Only => None,
            Asked::Ipv4(info) => Some(ControlMessage::Ipv4PacketInfo(info)),
            Asked::Ipv6(info) => Some(ControlMessage::Ipv6PacketInfo(info)),
        };
        let (fd, parts) = (self.socket.as_raw_fd(), [IoSlice::new(octets)]);
        let address = SockaddrStorage::from(address);
        sendmsg(fd, &parts, source.as_slice(), MsgFlags::empty(), Some(&address))?;
        Ok(())
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::ground::bind;

    /// Sends to each of `asked` from a socket that hears only that address, and expects the echo.
    async fn echoes_from(bound: IpAddr, asked: &[IpAddr]) {
        let socket = bind::udp((bound, 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let server = Datagrams::new(socket).unwrap();
        for &address in asked {
            let client = bind::udp((bound, 0).into()).unwrap();
            client.connect((address, port)).await.unwrap();
            client.send(b"who").await.unwrap();
            let mut octets = [0; 16];
            let (length, sender) = loop {
                server.readable().await.unwrap();
                match server.try_receive(&mut octets) {
                    Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                    received => break received.unwrap(),
                }
            };
            assert_eq!(sender.address, client.local_addr().unwrap());
            server.send(&octets[..length], sender).await.unwrap();
            let mut echo = [0; 16];
            let heard = tokio::time::timeout(std::time::Duration::from_secs(5), client.recv(&mut echo));
            assert_eq!(heard.await.expect("no answer from the address that was asked").unwrap(), 3);
        }
    }

    #[tokio::test]
    async fn a_socket_at_all_addresses_answers_from_the_one_that_was_asked() {
        let asked = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 7)].map(IpAddr::from);
        echoes_from(Ipv4Addr::UNSPECIFIED.into(), &asked).await;
        // Where the machine has IPv6.
        if bind::probe((Ipv6Addr::LOCALHOST, 0).into(), bind::Transport::Udp).is_ok() {
            echoes_from(Ipv6Addr::UNSPECIFIED.into(), &[Ipv6Addr::LOCALHOST.into()]).await;
        }
    }

    #[tokio::test]
    async fn a_socket_with_an_address_of_its_own_answers_from_it() {
        let own = IpAddr::from(Ipv4Addr::new(127, 0, 0, 9));
        echoes_from(own, &[own]).await;
    }
}
