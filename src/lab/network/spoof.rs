//! An attacker on the way: who answers before the server does, with what it likes, in the server's name.
//!
//! One process, `wwwlab spoof`, on the router before the host that is asked. It sees every question of one way come in, a rule
//! of nftables keeps the router from passing the question on by itself, and the attacker does: after it has given its own
//! answer, where it has one. So the forged answer is first by the order of things and not by luck; the real one comes, later,
//! and nobody waits for it any more. Over TCP there is nothing to be done so easily, and it is left alone.
//!
//! What is said is not known here: it is asked of a function, from a question's octets to an answer's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use etherparse::PacketBuilder;

use super::NetworkError;
use crate::ground::channel::{self, Report};
use crate::ground::fault::When;
use crate::ground::lines::write_line;
use crate::ground::service::causes;

/// The hidden command that attacks.
pub const COMMAND: &str = "spoof";

/// Routers that a packet may still pass; a forged one seems to come from where the server is.
const HOPS: u8 = 63;

/// What the attacker is started with.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the router is to be entered
    place: PathBuf,
    /// The port at which is asked
    #[arg(long)]
    port: u16,
    /// Who is asked (repeat for more)
    #[arg(long = "asked", required = true)]
    asked: Vec<IpAddr>,
    /// Who asks (repeat for more); without it everybody
    #[arg(long = "asker")]
    askers: Vec<IpAddr>,
    /// Which of the questions that it has an answer to it answers, as JSON; without it all
    #[arg(long, value_parser = when)]
    when: Option<When>,
    /// The address that it gives
    #[arg(long)]
    pub address: std::net::Ipv4Addr,
    /// The only name that it answers for, in lower case with its final dot
    #[arg(long)]
    pub name: Option<String>,
}

fn when(text: &str) -> Result<When, serde_json::Error> {
    serde_json::from_str(text)
}

/// Why there is no attack.
#[derive(Debug, thiserror::Error)]
pub enum SpoofError {
    /// The router cannot be entered.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A socket cannot be had.
    #[error("cannot attack from {machine}: its kernel gives no socket for packets (packet(7), raw(7))")]
    Socket {
        /// Where.
        machine: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// What passes cannot be heard any more.
    #[error("cannot hear what passes the router any more")]
    Deaf(#[source] io::Error),
    /// It is not the supervisor that started this.
    #[error("`wwwlab {COMMAND}` is started by the lab itself: `wwwlab fault add spoof`")]
    NoChannel(#[source] io::Error),
}

/// The attacker's life: until the supervisor's end of the channel closes. `lie` is what it would answer to a question, if
/// anything. It must have one thread.
pub async fn run(arguments: &Arguments, lie: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Result<(), SpoofError> {
    let supervisor = channel::on_descriptor_0().map_err(SpoofError::NoChannel)?;
    let mut supervisor =
        supervisor.ok_or_else(|| SpoofError::NoChannel(io::ErrorKind::NotConnected.into()))?;
    let mut ambush = match on_this_system::Ambush::at(&arguments.place) {
        Ok(ambush) => ambush,
        Err(error) => {
            // Whoever is not there any more needs no reason.
            let _ = write_line(&mut supervisor, &Report::Failed { causes: causes(&error) }).await;
            return Err(error);
        }
    };
    if write_line(&mut supervisor, &Report::Ready { listening: Vec::new(), version: None }).await.is_err() {
        return Ok(());
    }
    let mut occasions = 0;
    loop {
        let packet = tokio::select! {
            packet = ambush.next() => packet.map_err(SpoofError::Deaf)?,
            // It is given no orders: what there is to read is the end.
            _ = supervisor.readable() => return Ok(()),
        };
        let Some(question) = Datagram::read(packet).filter(|datagram| arguments.concerns(datagram)) else {
            continue;
        };
        let answer = lie(&question.data).filter(|_| {
            occasions += 1;
            arguments.when.is_none_or(|when| when.strikes(occasions))
        });
        let forged = answer.map(|data| Datagram { from: question.to, to: question.from, hops: HOPS, data });
        // First the lie, then what the router would have done.
        for datagram in forged.into_iter().chain(question.passed_on()) {
            if let Some(packet) = datagram.written() {
                ambush.say(&packet, datagram.to.ip());
            }
        }
    }
}

impl Arguments {
    /// Whether this is what the rule on the router does not let through.
    fn concerns(&self, datagram: &Datagram) -> bool {
        let Datagram { from, to, .. } = datagram;
        to.port() == self.port
            && self.asked.contains(&to.ip())
            && (self.askers.is_empty() || self.askers.contains(&from.ip()))
    }
}

/// A datagram of UDP, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    /// Routers that it may still pass (TTL, hop limit).
    hops: u8,
    data: Vec<u8>,
}

impl Datagram {
    /// Reads it from a packet of Ethernet; nothing where there is none, or not a whole one.
    fn read(packet: &[u8]) -> Option<Self> {
        use etherparse::{NetSlice, SlicedPacket, TransportSlice};

        let packet = SlicedPacket::from_ethernet(packet).ok()?;
        let (from, to, hops): (IpAddr, IpAddr, u8) = match packet.net? {
            NetSlice::Ipv4(ip) if !ip.is_payload_fragmented() => {
                let header = ip.header();
                (header.source_addr().into(), header.destination_addr().into(), header.ttl())
            }
            NetSlice::Ipv6(ip) if !ip.is_payload_fragmented() => {
                let header = ip.header();
                (header.source_addr().into(), header.destination_addr().into(), header.hop_limit())
            }
            _ => return None,
        };
        let Some(TransportSlice::Udp(udp)) = packet.transport else { return None };
        Some(Self {
            from: SocketAddr::new(from, udp.source_port()),
            to: SocketAddr::new(to, udp.destination_port()),
            hops,
            data: udp.payload().to_vec(),
        })
    }

    /// As a router passes it on: with one hop less, if one is left (RFC 1812 §5.3.1).
    fn passed_on(self) -> Option<Self> {
        let hops = self.hops.checked_sub(1).filter(|&hops| hops > 0)?;
        Some(Self { hops, ..self })
    }

    /// As a packet of IP, with its checksums; nothing where it is longer than one can be.
    fn written(&self) -> Option<Vec<u8>> {
        let builder = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), self.hops),
            (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), self.hops),
            _ => return None,
        };
        let builder = builder.udp(self.from.port(), self.to.port());
        let mut packet = Vec::with_capacity(builder.size(self.data.len()));
        builder.write(&mut packet, &self.data).ok()?;
        Some(packet)
    }
}

#[cfg(target_os = "linux")]
use super::kernel::spoof as on_this_system;

#[cfg(not(target_os = "linux"))]
mod on_this_system {
    use std::io;
    use std::net::IpAddr;
    use std::path::Path;

    use super::{NetworkError, SpoofError};

    /// There are none.
    pub(super) struct Ambush;

    impl Ambush {
        pub(super) fn at(_place: &Path) -> Result<Self, SpoofError> {
            Err(NetworkError::NotLinux.into())
        }

        pub(super) async fn next(&mut self) -> io::Result<&[u8]> {
            std::future::pending().await
        }

        pub(super) fn say(&self, _packet: &[u8], _to: IpAddr) {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn datagram(from: &str, to: &str, hops: u8) -> Datagram {
        Datagram { from: from.parse().unwrap(), to: to.parse().unwrap(), hops, data: b"question".to_vec() }
    }

    /// As it comes in: behind a header of Ethernet.
    fn framed(datagram: &Datagram) -> Vec<u8> {
        let kind: [u8; 2] = if datagram.to.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xDD] };
        [&[2; 12], &kind[..], &datagram.written().unwrap()].concat()
    }

    #[test]
    fn what_is_written_is_read_in_both_families() {
        for (from, to) in
            [("192.0.2.53:4242", "8.8.8.8:53"), ("[2001:db8:2::53]:4242", "[2001:4860:4860::8888]:53")]
        {
            let datagram = datagram(from, to, 62);
            let packet = framed(&datagram);
            assert_eq!(Datagram::read(&packet), Some(datagram));
            for length in 0..packet.len() {
                assert_eq!(Datagram::read(&packet[..length]), None, "{length}");
            }
        }
        assert_eq!(datagram("192.0.2.53:1", "[2001:db8::1]:53", 1).written(), None);
    }

    #[test]
    fn a_question_is_passed_on_as_a_router_does() {
        let at = |hops| datagram("192.0.2.53:4242", "8.8.8.8:53", hops).passed_on().map(|passed| passed.hops);
        assert_eq!((at(64), at(2), at(1), at(0)), (Some(63), Some(1), None, None));
    }

    #[test]
    fn what_the_rule_holds_and_nothing_else_is_its_concern() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            arguments: Arguments,
        }
        let line = "spoof /place --port 53 --asked 8.8.8.8 --asker 192.0.2.53 --address 203.0.113.66";
        let Line { arguments } = clap::Parser::parse_from(line.split(' '));
        let concerns = |from, to| arguments.concerns(&datagram(from, to, 64));
        assert!(concerns("192.0.2.53:4242", "8.8.8.8:53"));
        assert!(!concerns("192.0.2.10:4242", "8.8.8.8:53"), "another asks");
        assert!(!concerns("192.0.2.53:4242", "8.8.8.8:54"), "another port");
        assert!(!concerns("8.8.8.8:53", "192.0.2.53:4242"), "an answer");
    }

    proptest! {
        #[test]
        fn any_octets_are_a_datagram_or_not(mut octets in prop::collection::vec(any::<u8>(), 0..120)) {
            for kind in [[0x08, 0x00], [0x86, 0xDD]] {
                if octets.len() > 14 {
                    octets[12..14].copy_from_slice(&kind);
                }
                if let Some(datagram) = Datagram::read(&octets) {
                    prop_assert!(datagram.written().is_some());
                }
            }
        }
    }
}
