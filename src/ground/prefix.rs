//! A part of the network, as settings name it: an address, or a prefix of addresses (`127.0.0.0/8`, RFC 4632 §3.1).

use std::net::IpAddr;
use std::str::FromStr;

/// All addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    network: IpAddr,
    /// How many bits are alike: at most 32 of IPv4, 128 of IPv6.
    bits: u8,
}

/// It is neither an address nor a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address (127.0.0.5) or a prefix (127.0.0.0/8) is wanted")]
pub struct PrefixError;

impl Prefix {
    /// Whether `address` is in it; one of IPv4 is the same when it is written as IPv6 (`::ffff:127.0.0.1`).
    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = |one: u128, other: u128, width: u32| {
            (one ^ other).checked_shr(width.saturating_sub(u32::from(self.bits))).unwrap_or(0) != 0
        };
        match (address.to_canonical(), self.network) {
            (IpAddr::V4(one), IpAddr::V4(other)) => !differ(one.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(one), IpAddr::V6(other)) => !differ(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (network, bits) = match text.split_once('/') {
            Some((network, bits)) => (network, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().map_err(|_| PrefixError)?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|&bits| bits <= most).ok_or(PrefixError)?,
            None => most,
        };
        Ok(Self { network, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_the_prefixes_that_they_begin_with() {
        let contains = |prefix: &str, address: &str| {
            prefix.parse::<Prefix>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("127.0.0.0/8", "127.255.0.9") && !contains("127.0.0.0/8", "128.0.0.0"));
        assert!(contains("127.0.0.0/8", "::ffff:127.0.0.1") && !contains("127.0.0.0/8", "::1"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"));
        assert!(contains("0.0.0.0/0", "8.8.8.8") && !contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/33", "2001:db8::1") && !contains("2001:db8::/33", "2001:db8:8000::1"));
        for text in ["", "localhost", "127.0.0.1/33", "::/129", "127.0.0.1/x", "127.0.0.1/"] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }
}
