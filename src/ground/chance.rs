//! Random numbers that a stranger cannot guess.
//!
//! Numbers that name something (requests, messages) come from a stock that the operating system's generator fills: a call
//! for each would cost a web server as much as looking at a file. Keys and salts are never in stock.
//!
//! A [`Stream`] is the opposite: numbers that look drawn, and that whoever knows the seed can have again.

use std::cell::RefCell;
use std::fmt;
use std::io;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// What is drawn from the operating system at once, in bytes: Linux takes about as long for so many as for the call.
const STOCK: usize = 1024;

/// A random UUID (version 4, RFC 9562 §5.4) as 32 lower-case hexadecimal digits: the identifier of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A new one.
    pub fn draw() -> Self {
        let number = u128::from(random_u64()) << 64 | u128::from(random_u64());
        let number = number & !(0xF << 76 | 0b11 << 62) | 0x4 << 76 | 0b10 << 62;
        Self(HEXLOWER.encode(&number.to_be_bytes()))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the web server that drew it is called where it passes the request on (the parent-id of W3C Trace Context
    /// §3.2.2.4): the last 16 of its digits, which are never all zero.
    pub fn span(&self) -> &str {
        span_of(&self.0).unwrap_or_default()
    }
}

/// The span under which the request of this identifier is passed on, if it is one that [`RequestId::draw`] drew.
pub fn span_of(id: &str) -> Option<&str> {
    id.get(16..).filter(|span| span.len() == 16)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `N` random bytes that nobody may ever guess: for keys and salts. Where the operating system has none, neither
/// has this: a secret from the clock would be none.
pub fn secret<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    Ok(bytes)
}

/// 64 random bits.
pub fn random_u64() -> u64 {
    thread_local! {
        // Of each thread its own: no two ever draw the same. No process of ours forks and goes on without `exec`, which
        // would give its child the same stock.
        static RANDOM: RefCell<Stock> = const { RefCell::new(Stock::EMPTY) };
    }
    RANDOM.with_borrow_mut(Stock::draw)
}

/// Random bytes that are drawn once each.
struct Stock {
    bytes: [u8; STOCK],
    /// So many of them are left, the first ones.
    left: usize,
}

impl Stock {
    const EMPTY: Self = Self { bytes: [0; STOCK], left: 0 };

    /// The last eight that are left; nobody finds them here any more.
    fn draw(&mut self) -> u64 {
        if self.left == 0 && getrandom::fill(&mut self.bytes).is_ok() {
            self.left = STOCK;
        }
        match self.bytes[..self.left].last_chunk_mut::<8>() {
            Some(last) => {
                self.left -= last.len();
                u64::from_ne_bytes(std::mem::take(last))
            }
            // Linux, macOS and the BSDs give some without failing once the machine has booted; a machine without
            // a generator gets the clock, which keeps identifiers distinct if not secret.
            None => super::clock::unix_millis().wrapping_mul(0x9E37_79B9_7F4A_7C15),
        }
    }
}

/// A seed for a lab that was given none.
pub fn seed() -> u32 {
    let [one, two, three, four, ..] = random_u64().to_le_bytes();
    u32::from_le_bytes([one, two, three, four])
}

/// Numbers that follow from a seed alone: SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators",
/// 2014), by index, so that nothing is kept between two of them. For what is to be had again, never for secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream(u64);

impl Stream {
    /// The stream with this number of a lab with this seed: any two have nothing in common.
    pub fn of(seed: u64, number: u32) -> Self {
        Self(mix(mix(seed) ^ u64::from(number)))
    }

    /// The number at `index`, below `bound`.
    pub fn number(self, index: u64, bound: u64) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let bits = mix(self.0.wrapping_add(index.wrapping_mul(STEP)));
        // The upper half of a product instead of a remainder, which would favour small numbers.
        u64::try_from((u128::from(bits) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

/// SplitMix64's finalizer: each bit of the result hangs on each bit of `bits`.
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// 16 random bits: a DNS message identifier (RFC 1035 §4.1.1).
pub fn random_u16() -> u16 {
    let [low, high, ..] = random_u64().to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_32_digits_and_differ() {
        let (one, other) = (RequestId::draw(), RequestId::draw());
        assert_eq!(one.as_str().len(), 32);
        assert!(one.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(one, other);
        assert_eq!(one.as_str().as_bytes()[12], b'4');
        assert!(b"89ab".contains(&one.as_str().as_bytes()[16]));
    }

    #[test]
    fn a_stock_is_drawn_once_and_filled_again() {
        let mut stock = Stock::EMPTY;
        let drawn: std::collections::HashSet<u64> = (0..1_000).map(|_| stock.draw()).collect();
        assert_eq!(drawn.len(), 1_000);
        let left = stock.left;
        assert!(stock.bytes[..left].iter().any(|&byte| byte != 0));
        assert!(stock.bytes[left..].iter().all(|&byte| byte == 0), "what was drawn is gone");
    }

    #[test]
    fn a_stream_is_the_same_again_and_stays_below_its_bound() {
        let draw = |stream: Stream| (0..1_000).map(|index| stream.number(index, 10)).collect::<Vec<_>>();
        let one = draw(Stream::of(42, 1));
        assert_eq!(one, draw(Stream::of(42, 1)));
        assert!(one != draw(Stream::of(42, 2)) && one != draw(Stream::of(43, 1)));
        for digit in 0..10 {
            let count = one.iter().filter(|&&number| number == digit).count();
            assert!((50..150).contains(&count), "{digit} comes {count} times");
        }
        assert!((0..10).map(|_| seed()).any(|one| one != seed()));
    }

    #[test]
    fn secrets_differ() {
        assert_ne!(secret::<32>().unwrap(), secret::<32>().unwrap());
    }
}
