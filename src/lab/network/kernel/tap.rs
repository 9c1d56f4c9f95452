//! Packets as the kernel hands them out (packet(7)): a socket for all interfaces of a machine, each packet with its time.
//!
//! What `super::super::tap` says; here is how. A socket hands out what its machine's own programs send and what arrives for
//! anybody, as soon as it passes; what it has no room for it counts.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::task::Poll;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nameindex;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, GetSockOpt as _, LinkAddr, MsgFlags, SockFlag, SockProtocol,
    SockType, recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use rustix::net::{
    self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use super::enter;
use crate::ground::{clock, descriptors, service};
use crate::lab::network::tap::{COMMAND, Caught, TapError, TapInterface};

/// Packets that wait in a machine's socket, in bytes, as far as the machine allows (`net.core.rmem_max`).
const WAITING_MOST: usize = 4 << 20;
/// The longest packet: the largest of IP behind a header of Ethernet with a tag.
const LONGEST: usize = 65_535 + 18;
/// Packets that are taken from one machine before the next has its turn.
const TURN: usize = 32;
/// The longest message about a machine, in bytes: it has a few hundred interfaces at most.
const MESSAGE_MOST: usize = 64 << 10;

nix::getsockopt_impl!(
    PacketStatistics,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    libc::tpacket_stats,
    sockopt::GetStruct<libc::tpacket_stats>
);

/// How many packets there were and were dropped, since it was last asked.
#[derive(Debug, Clone, Copy)]
struct PacketStatistics;

/// What is told with each socket, or instead of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Told {
    /// The interfaces of its machine.
    Machine(Vec<TapInterface>),
    /// Why there is none; the causes, outermost first.
    Failed(Vec<String>),
}

/// Sockets on machines.
#[derive(Debug)]
pub struct Taps(Vec<Tap>);

#[derive(Debug)]
struct Tap {
    interfaces: Vec<TapInterface>,
    /// The descriptor in tokio's type for sockets of datagrams, for its readiness alone: it is read by [`receive`].
    socket: UnixDatagram,
}

/// The life of the process that opens the sockets: it hands over one after the other, then it ends.
pub(in crate::lab::network) fn run(places: &[PathBuf]) -> Result<(), TapError> {
    descriptors::raise();
    let asker = io::stdin();
    let tell = |told: &Told, socket: Option<&OwnedFd>| -> io::Result<()> {
        let text = serde_json::to_vec(told).map_err(io::Error::from)?;
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut room);
        let descriptors = socket.map(|socket| [socket.as_fd()]);
        if let Some(descriptors) = &descriptors {
            beside.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        net::sendmsg(&asker, &[IoSlice::new(&text)], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    };
    let visited = enter::visit(places, |place| {
        let failed = |source| {
            let machine = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            TapError::Socket { machine, source }
        };
        let (socket, interfaces) = open().map_err(failed)?;
        tell(&Told::Machine(interfaces), Some(&socket)).map_err(TapError::NoSocket)
    });
    if let Err(error) = &visited {
        // Whoever is not there any more needs no reason.
        let _ = tell(&Told::Failed(service::causes(error)), None);
    }
    visited
}

/// A socket on the machine that this process is on.
fn open() -> io::Result<(OwnedFd, Vec<TapInterface>)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    // Root may have more than the machine allows to all.
    if setsockopt(&socket, sockopt::RcvBufForce, &WAITING_MOST).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &WAITING_MOST)?;
    }
    let interface = |interface: &nix::net::if_::Interface| TapInterface {
        number: interface.index(),
        name: interface.name().to_string_lossy().into_owned(),
    };
    let interfaces = if_nameindex()?.iter().map(interface).collect();
    Ok((socket, interfaces))
}

impl Taps {
    /// Listens on the machines at `places`, in that order.
    pub fn open(executable: &Path, places: &[PathBuf]) -> Result<Self, TapError> {
        descriptors::raise();
        let (ours, theirs) =
            net::socketpair(net::AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| TapError::Process(errno.into()))?;
        let mut command = Command::new(executable);
        command
            .arg(COMMAND)
            .args(places)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().map_err(TapError::Process)?;
        // With the command its copy of their end goes, so that their end is seen.
        drop(command);
        let taps: Result<Vec<Tap>, TapError> = places.iter().map(|_| hear(&ours)).collect();
        drop(ours);
        // What it would have printed it has told already.
        if let Some(stderr) = &mut process.stderr {
            let _ = stderr.read_to_end(&mut Vec::new());
        }
        process.wait().map_err(TapError::Process)?;
        Ok(Self(taps?))
    }

    /// The interfaces of each machine.
    pub fn interfaces(&self) -> Vec<Vec<TapInterface>> {
        self.0.iter().map(|tap| tap.interfaces.clone()).collect()
    }

    /// Waits for packets and appends some to `caught`, each with the place of its machine, and of its octets `kept` at most.
    /// Dropping the wait loses nothing.
    pub async fn next(&self, kept: usize, caught: &mut Vec<(usize, Caught)>) {
        let mut buffer = vec![0; LONGEST];
        poll_fn(|context| {
            for (place, tap) in self.0.iter().enumerate() {
                let mut turn = 0;
                while turn < TURN {
                    if tap.socket.poll_recv_ready(context).is_pending() {
                        break;
                    }
                    match tap.socket.try_io(Interest::READABLE, || receive(&tap.socket, kept, &mut buffer)) {
                        Ok(packet) => caught.extend(packet.map(|packet| (place, packet))),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                        Err(_interface_went_down) => {}
                    }
                    turn += 1;
                }
            }
            if caught.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Gives `each` what is there without waiting, machine after machine; no more of one when it says so.
    pub fn rest(&self, kept: usize, mut each: impl FnMut(usize, Caught) -> bool) {
        let mut buffer = vec![0; LONGEST];
        for (place, tap) in self.0.iter().enumerate() {
            loop {
                match receive(&tap.socket, kept, &mut buffer) {
                    Ok(Some(packet)) => {
                        if !each(place, packet) {
                            break;
                        }
                    }
                    Ok(None) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_interface_went_down) => {}
                }
            }
        }
    }

    /// How many packets each machine had no room for, since it was last asked.
    pub fn dropped(&self) -> Vec<u64> {
        let count = |tap: &Tap| PacketStatistics.get(&tap.socket).map_or(0, |told| told.tp_drops.into());
        self.0.iter().map(count).collect()
    }
}

/// Hears of one machine.
fn hear(from: &OwnedFd) -> Result<Tap, TapError> {
    let mut text = vec![0; MESSAGE_MOST];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut room);
    let received =
        net::recvmsg(from, &mut [IoSliceMut::new(&mut text)], &mut beside, RecvFlags::CMSG_CLOEXEC)
            .map_err(|errno| TapError::Process(errno.into()))?;
    let told = serde_json::from_slice(text.get(..received.bytes).unwrap_or_default());
    let sockets = beside.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    match (told, sockets.flatten().next()) {
        (Ok(Told::Machine(interfaces)), Some(socket)) => {
            let socket = UnixDatagram::from_std(socket.into()).map_err(TapError::Process)?;
            Ok(Tap { interfaces, socket })
        }
        (Ok(Told::Failed(causes)), _) => Err(TapError::Refused(causes)),
        _ => Err(TapError::Ended),
    }
}

/// The next packet, if there is one; nothing for one that is seen a second time.
fn receive(socket: &UnixDatagram, kept: usize, buffer: &mut [u8]) -> io::Result<Option<Caught>> {
    let mut beside = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let received =
        recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut beside), MsgFlags::MSG_TRUNC)?;
    let length = received.bytes;
    let Some(link) = received.address else { return Err(Errno::EPROTO.into()) };
    let outgoing = link.pkttype() == libc::PACKET_OUTGOING;
    // What a machine says to itself leaves and arrives at once.
    if outgoing && link.hatype() == libc::ARPHRD_LOOPBACK {
        return Ok(None);
    }
    let told = received.cmsgs()?.find_map(|told| match told {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
        _ => None,
    });
    let at = told.map_or_else(clock::unix_nanos, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let octets = buffer.get(..length.min(kept).min(buffer.len())).unwrap_or_default().to_vec();
    let interface = u32::try_from(link.ifindex()).unwrap_or(0);
    Ok(Some(Caught { at, interface, outgoing, length, octets }))
}
