//! Questions and answers as bytes (RFC 1035 §4).
//!
//! Readers and writers, each with one use: [`question`] reads what a stranger sent to a server,
//! [`writer`] writes a server's answer into a buffer that is used again, and [`asked`] is the other side:
//! it makes a question and reads the answer for people. [`forged`] is what somebody between the two would say.
//! [`cookie`] is an option that both sides carry, [`padding`] one that hides how long an answer is; [`tsig`] signs what name
//! servers say to each other.

pub mod asked;
pub mod cookie;
pub mod forged;
pub mod padding;
pub mod question;
pub mod tsig;
pub mod writer;

/// Octets of a message's header (RFC 1035 §4.1.1).
pub const HEADER: usize = 12;

/// The longest message over TCP, and the longest that a length of 16 bits can tell (RFC 1035 §4.2.2).
pub const LONGEST_MESSAGE: usize = 65_535;

/// The longest answer over UDP to a question without EDNS (RFC 1035 §4.2.1).
pub const LONGEST_PLAIN_UDP: usize = 512;

/// The longest answer over UDP: it fits every path without fragments (DNS flag day 2020, RFC 9715).
pub const LONGEST_UDP: u16 = 1232;

/// The flags of a header (RFC 1035 §4.1.1, RFC 4035 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// It is a response.
    pub const QR: u16 = 0x8000;
    /// The answer is authoritative.
    pub const AA: u16 = 0x0400;
    /// The answer is cut.
    pub const TC: u16 = 0x0200;
    /// Recursion is desired.
    pub const RD: u16 = 0x0100;
    /// Recursion is available.
    pub const RA: u16 = 0x0080;
    /// The data is authentic.
    pub const AD: u16 = 0x0020;
    /// Checking is disabled.
    pub const CD: u16 = 0x0010;
    /// The bits of the opcode.
    pub const OPCODE: u16 = 0x7800;

    /// Whether all of `flags` are set.
    pub const fn has(self, flags: u16) -> bool {
        self.0 & flags == flags
    }
}

/// As dig writes them: `qr aa rd`.
impl std::fmt::Display for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const WORDS: [(u16, &str); 7] = [
            (Flags::QR, "qr"),
            (Flags::AA, "aa"),
            (Flags::TC, "tc"),
            (Flags::RD, "rd"),
            (Flags::RA, "ra"),
            (Flags::AD, "ad"),
            (Flags::CD, "cd"),
        ];
        let mut between = "";
        for (flag, word) in WORDS {
            if self.has(flag) {
                write!(f, "{between}{word}")?;
                between = " ";
            }
        }
        Ok(())
    }
}

/// The 16 bits at `at`, if they are there.
fn read_u16(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(at..)?.first_chunk().copied()?))
}

/// The 32 bits at `at`, if they are there.
fn read_u32(message: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(message.get(at..)?.first_chunk().copied()?))
}
