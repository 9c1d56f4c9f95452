//! Random numbers that a stranger cannot guess.

use std::fmt;
use std::io;

/// A random UUID (version 4, RFC 9562 §5.4) as 32 lower-case hexadecimal digits: the identifier of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A new one, from the operating system's generator.
    pub fn draw() -> Self {
        let number = u128::from(random_u64()) << 64 | u128::from(random_u64());
        let number = number & !(0xF << 76 | 0b11 << 62) | 0x4 << 76 | 0b10 << 62;
        Self(format!("{number:032x}"))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
    // Linux, macOS and the BSDs answer this without failing once the machine has booted; a machine without
    // a generator gets the clock, which keeps identifiers distinct if not secret.
    getrandom::u64().unwrap_or_else(|_| super::clock::unix_millis().wrapping_mul(0x9E37_79B9_7F4A_7C15))
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
    fn secrets_differ() {
        assert_ne!(secret::<32>().unwrap(), secret::<32>().unwrap());
    }
}
