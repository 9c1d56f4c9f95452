//! Datagrams that are answered from the address that was asked.
//!
//! A socket that is bound to all addresses would answer from whichever the way back begins at, and the asker
//! would not take that for its answer. So the kernel is asked to tell each datagram's destination (IP_PKTINFO,
//! RFC 3542 §6), and the answer names it as its source. A socket with an address of its own needs none of this.
//!
//! Whoever answers at once takes a [`Batch`]: all that is there is received in one system call, and all answers leave
//! in one, where the system can do that (Linux). A lone question is none the slower: nothing is waited for.

#[cfg(target_os = "linux")]
mod many;
#[cfg(any(test, not(target_os = "linux")))]
mod single;

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::time::Duration;

use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::timeout;

#[cfg(target_os = "linux")]
use many::Slots;
#[cfg(not(target_os = "linux"))]
use single::Slots;

/// Datagrams that are received together.
pub const BATCH: usize = 64;

/// The longest datagram of a batch, in octets; a longer one is cut.
pub const LONGEST: usize = 4096;

/// How long the answers of a batch wait for room in the socket; those that find none are lost, as datagrams are.
const ROOM_WITHIN: Duration = Duration::from_millis(100);

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

impl Sender {
    /// Somebody at `address`, who is answered from the socket's own address; where it has all of them, from the one that leads
    /// there.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, asked: Asked::Only }
    }
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
        self.socket.try_io(Interest::READABLE, || receive_from(self.socket.as_raw_fd(), octets))
    }

    /// Receives all that is there, as far as `batch` has room; how many came, 0 if nothing is there.
    pub fn try_receive_batch(&self, batch: &mut Batch) -> io::Result<usize> {
        let mut count = 0;
        let received = self.socket.try_io(Interest::READABLE, || {
            count = batch.slots.receive(self.socket.as_fd())?;
            // Where there was room for more, nothing is left: so the socket need not be asked once again to be waited for.
            if count < BATCH { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        batch.begin(count);
        match received {
            Err(cause) if cause.kind() != ErrorKind::WouldBlock => Err(cause),
            _ => Ok(count),
        }
    }

    /// Sends the answers of `batch`, waiting 100 ms at most for room. One that cannot be sent is lost, as datagrams
    /// are, and the others are not.
    pub async fn send_batch(&self, batch: &mut Batch) {
        if self.try_send_batch(batch) {
            return;
        }
        // A batch that took too long has lost its rest.
        let _ = timeout(ROOM_WITHIN, async {
            while self.socket.writable().await.is_ok() && !self.try_send_batch(batch) {}
        })
        .await;
    }

    /// Sends what there is room for; whether nothing is left.
    fn try_send_batch(&self, batch: &mut Batch) -> bool {
        let fd = self.socket.as_fd();
        while batch.tried < batch.order.len() {
            let order = &batch.order[batch.tried..];
            let sent =
                self.socket.try_io(Interest::WRITABLE, || batch.slots.send(fd, &mut batch.replies, order));
            match sent {
                Ok(count @ 1..) => {
                    order[..count].iter().for_each(|&index| batch.sent |= 1 << index);
                    batch.tried += count;
                }
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => return false,
                // The first of them cannot be sent: its sender has no port, no route, a filter before it.
                Ok(0) | Err(_) => batch.tried += 1,
            }
        }
        true
    }

    /// Answers `sender`, waiting for room.
    pub async fn send(&self, octets: &[u8], sender: Sender) -> io::Result<()> {
        match self.try_send(octets, sender) {
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => {
                let send = || send_from(self.socket.as_raw_fd(), octets, sender);
                self.socket.async_io(Interest::WRITABLE, send).await
            }
            sent => sent,
        }
    }

    fn try_send(&self, octets: &[u8], sender: Sender) -> io::Result<()> {
        match sender.asked {
            Asked::Only => self.socket.try_send_to(octets, sender.address).map(|_| ()),
            _ => {
                self.socket.try_io(Interest::WRITABLE, || send_from(self.socket.as_raw_fd(), octets, sender))
            }
        }
    }
}

/// Questions that were received together, each with room for its answer. It is made once and used again, and makes
/// no memory of its own once answers have had their usual length.
pub struct Batch {
    slots: Slots,
    /// By slot.
    replies: Vec<Vec<u8>>,
    /// The slots that are answered, as they came.
    order: Vec<usize>,
    /// How many of these were sent, or cannot be.
    tried: usize,
    /// Bit n is set when the answer of slot n was sent.
    sent: u64,
    count: usize,
}

impl Batch {
    /// Room for [`BATCH`] questions of [`LONGEST`] octets; the system gives memory only to what was used.
    #[expect(clippy::new_without_default, reason = "it is large: whoever makes one should say so")]
    pub fn new() -> Self {
        Self {
            slots: Slots::new(),
            replies: vec![Vec::new(); BATCH],
            order: Vec::with_capacity(BATCH),
            tried: 0,
            sent: 0,
            count: 0,
        }
    }

    fn begin(&mut self, count: usize) {
        self.order.clear();
        (self.tried, self.sent, self.count) = (0, 0, count);
    }

    /// Has each question answered by `answer`, which is given its number in the batch, the question, who asks, and
    /// an empty reply to fill; one that stays empty is not sent.
    pub fn answer(&mut self, mut answer: impl FnMut(usize, &[u8], SocketAddr, &mut Vec<u8>)) {
        for (index, reply) in self.replies.iter_mut().enumerate().take(self.count) {
            let Some(client) = self.slots.client(index) else { continue };
            reply.clear();
            answer(index, self.slots.question(index), client, reply);
            if !reply.is_empty() {
                self.order.push(index);
            }
        }
    }

    /// The answers that were sent: their numbers in the batch, to whom, and the octets.
    pub fn sent(&self) -> impl Iterator<Item = (usize, SocketAddr, &[u8])> {
        let sent = self.order.iter().filter(|&&index| self.sent & (1 << index) != 0);
        sent.filter_map(|&index| Some((index, self.slots.client(index)?, self.replies[index].as_slice())))
    }
}

fn receive_from(fd: RawFd, octets: &mut [u8]) -> io::Result<(usize, Sender)> {
    let mut parts = [IoSliceMut::new(octets)];
    let mut told = [0; TOLD];
    let received = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut told), MsgFlags::empty())?;
    let address = received.address.as_ref().and_then(socket_address);
    let address = address.ok_or(ErrorKind::InvalidData)?;
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
}

fn send_from(fd: RawFd, octets: &[u8], Sender { address, asked }: Sender) -> io::Result<()> {
    let source = match &asked {
        Asked::Only => None,
        Asked::Ipv4(info) => Some(ControlMessage::Ipv4PacketInfo(info)),
        Asked::Ipv6(info) => Some(ControlMessage::Ipv6PacketInfo(info)),
    };
    let parts = [IoSlice::new(octets)];
    let address = SockaddrStorage::from(address);
    sendmsg(fd, &parts, source.as_slice(), MsgFlags::empty(), Some(&address))?;
    Ok(())
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
                    Err(cause) if cause.kind() == ErrorKind::WouldBlock => {}
                    received => break received.unwrap(),
                }
            };
            assert_eq!(sender.address, client.local_addr().unwrap());
            server.send(&octets[..length], sender).await.unwrap();
            let mut echo = [0; 16];
            let heard = timeout(Duration::from_secs(30), client.recv(&mut echo));
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

    /// Receives until `count` are answered, each with its own octets; the sizes of the batches.
    async fn answer_all(server: &Datagrams, batch: &mut Batch, count: usize) -> Vec<usize> {
        let (mut answered, mut sizes) = (0, Vec::new());
        while answered < count {
            server.readable().await.unwrap();
            let size = server.try_receive_batch(batch).unwrap();
            batch.answer(|_, question, _, reply| reply.extend_from_slice(question));
            server.send_batch(batch).await;
            answered += batch.sent().count();
            sizes.extend((size > 0).then_some(size));
        }
        sizes
    }

    async fn heard(client: &UdpSocket) -> Vec<u8> {
        let mut octets = [0; 64];
        let heard = timeout(Duration::from_secs(30), client.recv(&mut octets));
        let length = heard.await.expect("no answer from the address that was asked").unwrap();
        octets[..length].to_vec()
    }

    #[tokio::test]
    async fn batches_are_answered_each_from_the_address_that_was_asked() {
        let server = Datagrams::new(bind::udp((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap()).unwrap();
        let port = server.socket.local_addr().unwrap().port();
        let mut batch = Batch::new();
        let mut clients = Vec::new();
        for last in 1..=5 {
            let client = bind::udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            client.connect((Ipv4Addr::new(127, 0, 0, last), port)).await.unwrap();
            clients.push(client);
        }
        // Twice, so that the room is used again.
        for round in 0..2 {
            for number in 0..2 * BATCH {
                let client = &clients[number % clients.len()];
                client.send(&[round, u8::try_from(number).unwrap()]).await.unwrap();
            }
            let sizes = answer_all(&server, &mut batch, 2 * BATCH).await;
            assert_eq!(sizes, [BATCH, BATCH], "all that is there is received together");
            for number in 0..2 * BATCH {
                let echo = heard(&clients[number % clients.len()]).await;
                assert_eq!(echo, [round, u8::try_from(number).unwrap()]);
            }
        }
    }

    #[tokio::test]
    async fn a_batch_is_answered_over_ipv6_too() {
        if bind::probe((Ipv6Addr::LOCALHOST, 0).into(), bind::Transport::Udp).is_err() {
            return;
        }
        let server = Datagrams::new(bind::udp((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap()).unwrap();
        let port = server.socket.local_addr().unwrap().port();
        let client = bind::udp((Ipv6Addr::LOCALHOST, 0).into()).unwrap();
        client.connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
        client.send(b"six").await.unwrap();
        let mut batch = Batch::new();
        answer_all(&server, &mut batch, 1).await;
        assert_eq!(heard(&client).await, b"six");
        assert_eq!(batch.sent().next().unwrap().1, client.local_addr().unwrap());
    }

    #[tokio::test]
    async fn what_cannot_be_sent_and_what_is_not_answered_leave_the_others_alone() {
        let server = Datagrams::new(bind::udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap()).unwrap();
        let client = bind::udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        client.connect(server.socket.local_addr().unwrap()).await.unwrap();
        for number in 0..6 {
            client.send(&[number]).await.unwrap();
        }
        let mut batch = Batch::new();
        server.readable().await.unwrap();
        assert_eq!(server.try_receive_batch(&mut batch).unwrap(), 6);
        batch.answer(|index, question, _, reply| match index {
            1 => {}
            // Longer than any datagram (EMSGSIZE).
            0 | 3 => reply.resize(100_000, 0),
            _ => reply.extend_from_slice(question),
        });
        server.send_batch(&mut batch).await;
        assert_eq!(batch.sent().map(|(index, ..)| index).collect::<Vec<_>>(), [2, 4, 5]);
        for number in [2, 4, 5] {
            assert_eq!(heard(&client).await, [number]);
        }
        assert_eq!(server.try_receive_batch(&mut batch).unwrap(), 0, "nothing is left");
        assert_eq!(batch.sent().count(), 0);
    }

    #[tokio::test]
    async fn a_datagram_that_is_too_long_is_cut() {
        let server = Datagrams::new(bind::udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap()).unwrap();
        let client = bind::udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        client.connect(server.socket.local_addr().unwrap()).await.unwrap();
        client.send(&[7; LONGEST + 100]).await.unwrap();
        let mut batch = Batch::new();
        server.readable().await.unwrap();
        assert_eq!(server.try_receive_batch(&mut batch).unwrap(), 1);
        let mut length = 0;
        batch.answer(|_, question, _, _| length = question.len());
        assert_eq!(length, LONGEST);
    }

    /// The other systems' way holds the same promise.
    #[tokio::test]
    async fn one_by_one_is_the_same() {
        let server = Datagrams::new(bind::udp((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap()).unwrap();
        let client = bind::udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = (Ipv4Addr::new(127, 0, 0, 8), server.socket.local_addr().unwrap().port());
        client.connect(address).await.unwrap();
        for number in 0..3 {
            client.send(&[number]).await.unwrap();
        }
        let (mut slots, fd) = (single::Slots::new(), server.socket.as_fd());
        server.readable().await.unwrap();
        assert_eq!(slots.receive(fd).unwrap(), 3);
        assert_eq!(slots.receive(fd).unwrap_err().kind(), ErrorKind::WouldBlock);
        client.send(b"again").await.unwrap();
        server.readable().await.unwrap();
        assert_eq!(slots.receive(fd).unwrap(), 1);
        assert_eq!(slots.client(0), Some(client.local_addr().unwrap()));
        let mut replies = vec![slots.question(0).to_vec()];
        assert_eq!(slots.send(fd, &mut replies, &[0]).unwrap(), 1);
        assert_eq!(heard(&client).await, b"again");
    }
}
