//! Datagrams one by one, where the system has no call for many: the same room as `many` has, without its saving.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use super::{BATCH, LONGEST, Sender, receive_from, send_from};

/// Room for [`BATCH`] datagrams.
pub(super) struct Slots {
    octets: Vec<u8>,
    /// Length and sender of each that was received.
    received: Vec<(usize, Sender)>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { octets: vec![0; BATCH * LONGEST], received: Vec::with_capacity(BATCH) }
    }

    /// Receives what is there, at most [`BATCH`] datagrams; how many came.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.received.clear();
        for slot in self.octets.chunks_exact_mut(LONGEST) {
            match receive_from(socket.as_raw_fd(), slot) {
                Ok(received) => self.received.push(received),
                Err(cause) if self.received.is_empty() => return Err(cause),
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => break,
                // What could not be received is lost, and what was is not.
                Err(_) => {}
            }
        }
        Ok(self.received.len())
    }

    /// The datagram `index`, below the number received; a longer one than [`LONGEST`] is cut.
    pub(super) fn question(&self, index: usize) -> &[u8] {
        &self.octets[index * LONGEST..][..self.received[index].0]
    }

    /// Who sent it.
    pub(super) fn client(&self, index: usize) -> Option<SocketAddr> {
        Some(self.received[index].1.address)
    }

    /// Sends the reply of the first slot in `order` to its sender; how many went.
    pub(super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        replies: &mut [Vec<u8>],
        order: &[usize],
    ) -> io::Result<usize> {
        let Some(&index) = order.first() else { return Ok(0) };
        send_from(socket.as_raw_fd(), &replies[index], self.received[index].1)?;
        Ok(1)
    }
}
