//! Ports that nobody holds, known before anything is started, so that asking may begin at once.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use super::trouble::Trouble;

/// Below the ports of outgoing connections (32768 up): none of those takes one between its choice and its use.
const FROM: u16 = 23_000;
const TO: u16 = 31_999;

/// Chooses ports one after the other, none twice.
#[derive(Debug)]
pub(crate) struct Ports {
    next: u16,
}

impl Ports {
    /// None is chosen yet.
    pub(crate) fn new() -> Self {
        Self { next: FROM }
    }

    /// The next port that is free for UDP and TCP on each of the `addresses`.
    pub(crate) fn free(&mut self, what: &'static str, addresses: &[Ipv4Addr]) -> Result<u16, Trouble> {
        let port = (self.next..=TO).find(|&port| addresses.iter().all(|&address| is_free(address, port)));
        let port = port.ok_or(Trouble::NoPort { what, from: FROM, to: TO })?;
        self.next = port + 1;
        Ok(port)
    }
}

fn is_free(address: Ipv4Addr, port: u16) -> bool {
    TcpListener::bind((address, port)).is_ok() && UdpSocket::bind((address, port)).is_ok()
}
