//! The two kinds of socket that an attacker on a router has: one that hears what comes in (packet(7)), and those that say
//! anything in anybody's name (raw(7)).
//!
//! What `super::super::spoof` says; here is how. A filter in the kernel lets the first hear datagrams of UDP alone, and each of
//! them once, as it comes in: so whatever else passes the router wakes nobody.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use super::enter;
use crate::lab::network::spoof::SpoofError;

/// The longest packet that is heard of: the largest of IP behind a header of Ethernet with a tag.
const LONGEST: usize = 65_535 + 18;

/// The sockets.
#[derive(Debug)]
pub(in crate::lab::network) struct Ambush {
    /// The descriptor in tokio's type for sockets of datagrams, for its readiness alone.
    hears: UnixDatagram,
    four: Socket,
    /// Nothing where the kernel speaks no IPv6.
    six: Option<Socket>,
    buffer: Vec<u8>,
}

impl Ambush {
    /// Moves to the machine at `place`, opens them there, and gives up all further rights. This process must have one thread.
    pub(in crate::lab::network) fn at(place: &Path) -> Result<Self, SpoofError> {
        let mut opened = Err(io::ErrorKind::NotFound.into());
        enter::visit(&[place.to_owned()], |_| {
            opened = Self::open();
            Ok::<(), SpoofError>(())
        })?;
        let machine = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let failed = |source| SpoofError::Socket { machine, source };
        opened.and_then(|ambush| enter::resign().map(|()| ambush).map_err(Into::into)).map_err(failed)
    }

    fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let hears: OwnedFd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        let hears = Socket::from(hears);
        hears.attach_filter(&datagrams())?;
        let raw = |domain| {
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
            socket.set_nonblocking(true)?;
            io::Result::Ok(socket)
        };
        let (four, six) = (raw(Domain::IPV4)?, raw(Domain::IPV6).ok());
        Ok(Self {
            hears: UnixDatagram::from_std(OwnedFd::from(hears).into())?,
            four,
            six,
            buffer: vec![0; LONGEST],
        })
    }

    /// The next datagram that comes in, as a packet of Ethernet. Dropping the wait loses nothing.
    pub(in crate::lab::network) async fn next(&mut self) -> io::Result<&[u8]> {
        let Self { hears, buffer, .. } = self;
        loop {
            hears.readable().await?;
            match hears.try_io(Interest::READABLE, || SockRef::from(&*hears).deref().read(buffer)) {
                Ok(length) => return Ok(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An interface that goes down is told once; the next one may be there again.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Has the kernel send `packet`, a whole one of IP, on to `to`. What it has no way or no room for is lost, as on any router.
    pub(in crate::lab::network) fn say(&self, packet: &[u8], to: IpAddr) {
        let socket = if to.is_ipv4() { Some(&self.four) } else { self.six.as_ref() };
        if let Some(socket) = socket {
            let _ = socket.send_to(packet, &SocketAddr::new(to, 0).into());
        }
    }
}

/// Lets through what came in for this machine to pass on, and is UDP directly behind IPv4 or IPv6.
fn datagrams() -> [SockFilter; 11] {
    /// The kernel's own word for how a packet came is read as if it stood there (SKF_AD_OFF, SKF_AD_PKTTYPE in linux/filter.h).
    const KIND: u32 = 0xFFFF_F004;
    const OCTET: u16 = 0x30;
    const TWO_OCTETS: u16 = 0x28;
    const IS: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let load = |width, at| SockFilter::new(width, 0, 0, at);
    let is = |value, yes, no| SockFilter::new(IS, yes, no, value);
    let passes = |octets| SockFilter::new(RETURN, 0, 0, octets);
    // The numbers behind `is` are how many lines are left out.
    [
        load(OCTET, KIND),
        is(u32::from(libc::PACKET_HOST), 0, 7),
        load(TWO_OCTETS, 12),
        is(0x0800, 0, 2),
        load(OCTET, 14 + 9),
        is(17, 4, 3),
        is(0x86DD, 0, 2),
        load(OCTET, 14 + 6),
        is(17, 1, 0),
        passes(0),
        passes(u32::MAX),
    ]
}
