//! Packets: what each says, in a student's words, and the file that Wireshark reads.
//!
//! Everything here is pure, but for the file: how the kernel hands packets out is the lab's (`lab/network/kernel/tap.rs`), and
//! the command puts both together. What is read was sent by anybody, and none of it is trusted to be whole.
//!
//! 1. [`waiting`]: packets from many places in the order of their time.
//! 2. [`frame`]: where in its octets a packet's addresses, ports and data are.
//! 3. [`mod@line`]: what it says: `DNS query A www.foobar.com`; [`names`]: who says it to whom.
//! 4. [`ties`]: which packet belongs to which request of the lab's journal.
//! 5. [`pcapng`]: the blocks of a file (draft-ietf-opsawg-pcapng); [`secrets`]: what makes its TLS readable; [`mod@file`]: the
//!    file, whole at every moment.

pub mod file;
pub mod frame;
pub mod line;
pub mod names;
pub mod pcapng;
pub mod secrets;
pub mod ties;
pub mod waiting;

/// A packet, as it passed an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// When, in nanoseconds since the Unix epoch.
    pub at: u64,
    /// Where: its place among the interfaces that are listened at.
    pub interface: usize,
    /// Whether it left the machine there; else it arrived.
    pub outgoing: bool,
    /// Its length in octets, from the Ethernet header on.
    pub length: usize,
    /// Its octets, as many as were kept.
    pub octets: Vec<u8>,
}
