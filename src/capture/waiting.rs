//! Packets from many places, given out in the order of their time.
//!
//! Each machine hands its packets out in order, but not all machines at once; and what the services tell of a packet comes
//! later than the packet. So packets wait for a while. What waits is bounded: beyond that the oldest goes early.

use std::collections::BTreeMap;

use super::Packet;

/// Octets of packets that wait, at most: 16 MiB.
const OCTETS_MOST: usize = 16 << 20;
/// What a packet costs beside its octets, about.
const EACH: usize = 128;

/// Packets that wait.
#[derive(Debug, Default)]
pub struct Waiting {
    /// By time; the number keeps those of the same time apart, in the order in which they came.
    packets: BTreeMap<(u64, u64), Packet>,
    octets: usize,
    next: u64,
}

impl Waiting {
    /// Has `packet` wait.
    pub fn push(&mut self, packet: Packet) {
        self.octets += packet.octets.len() + EACH;
        self.packets.insert((packet.at, self.next), packet);
        self.next += 1;
    }

    /// The next packet if it is from before `time`, in nanoseconds since the Unix epoch, or if too much waits.
    pub fn pop(&mut self, time: u64) -> Option<Packet> {
        let (&(at, _), _) = self.packets.first_key_value()?;
        if at >= time && self.octets <= OCTETS_MOST {
            return None;
        }
        let (_, packet) = self.packets.pop_first()?;
        self.octets -= packet.octets.len() + EACH;
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(at: u64, octets: usize) -> Packet {
        Packet { at, interface: 0, outgoing: true, length: octets, octets: vec![0; octets] }
    }

    #[test]
    fn they_leave_in_order_when_it_is_time() {
        let mut waiting = Waiting::default();
        for (at, octets) in [(30, 1), (10, 2), (20, 3), (10, 4)] {
            waiting.push(packet(at, octets));
        }
        let left: Vec<(u64, usize)> =
            std::iter::from_fn(|| waiting.pop(30)).map(|packet| (packet.at, packet.length)).collect();
        assert_eq!(left, [(10, 2), (10, 4), (20, 3)]);
        assert_eq!(waiting.pop(31).map(|packet| packet.at), Some(30));
        assert_eq!((waiting.pop(u64::MAX), waiting.octets), (None, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = Waiting::default();
        let mut left = 0;
        for at in 0..1000 {
            waiting.push(packet(at, 65_000));
            left += std::iter::from_fn(|| waiting.pop(0)).count();
            assert!(waiting.octets <= OCTETS_MOST);
        }
        assert!(left > 700, "{left} left early");
    }
}
