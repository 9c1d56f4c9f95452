//! Who may have a zone: addresses, keys, or both, as `lab.toml` writes them: `127.0.0.0/8`, `192.0.2.1`,
//! `key transfer.foobar.com`, `192.0.2.0/24 key transfer.foobar.com`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::dns::name::Name;
use crate::ground::prefix::Prefix;

/// Who may: whoever is in the prefix, if there is one, and signed with the key, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    prefix: Option<Prefix>,
    /// The key that the question must be signed with.
    pub key: Option<Name>,
}

/// Another name server, and the key that is shared with it: `127.0.0.1:5353`, `127.0.0.1:5353 key transfer.foobar.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key that is shared with it.
    pub key: Option<Name>,
}

/// Why text names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// It is none of the forms.
    #[error(
        "`{0}` is nobody: write an address (127.0.0.5), a prefix (127.0.0.0/8), `key NAME`, or a prefix and `key NAME`"
    )]
    Shape(String),
    /// It is no address and port.
    #[error(
        "`{0}` is no name server: write its address and port, and its key if there is one: 127.0.0.1:53 key NAME"
    )]
    Peer(String),
}

impl Allowed {
    /// Whether this lets `client` in, whose question was signed with `key`.
    pub fn lets_in(&self, client: IpAddr, key: Option<&Name>) -> bool {
        let near = self.prefix.is_none_or(|prefix| prefix.contains(client));
        near && self.key.as_ref().is_none_or(|wanted| key == Some(wanted))
    }
}

impl FromStr for Allowed {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let shape = || AccessError::Shape(text.to_owned());
        let (place, key) = place_and_key(text).ok_or_else(shape)?;
        if place.is_empty() && key.is_none() {
            return Err(shape());
        }
        let prefix = match place {
            "" => None,
            place => Some(place.parse().map_err(|_| shape())?),
        };
        Ok(Self { prefix, key })
    }
}

impl FromStr for Peer {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let peer = || AccessError::Peer(text.to_owned());
        let (place, key) = place_and_key(text).ok_or_else(peer)?;
        let address: SocketAddr = place.parse().map_err(|_| peer())?;
        if address.port() == 0 {
            return Err(peer());
        }
        Ok(Self { address, key })
    }
}

/// What stands before `key NAME`, and the name if there is one.
fn place_and_key(text: &str) -> Option<(&str, Option<Name>)> {
    let mut words = text.split_whitespace();
    let (place, key) = match (words.next(), words.next(), words.next()) {
        (Some("key"), Some(name), None) => ("", Some(name)),
        (Some(place), None, None) => (place, None),
        (Some(place), Some("key"), Some(name)) => (place, Some(name)),
        _ => return None,
    };
    match (words.next(), key) {
        (None, None) => Some((place, None)),
        (None, Some(name)) => Some((place, Some(name.parse().ok()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lets_in(rule: &str, client: &str, key: Option<&str>) -> bool {
        let key = key.map(|key| key.parse::<Name>().unwrap());
        rule.parse::<Allowed>().unwrap().lets_in(client.parse().unwrap(), key.as_ref())
    }

    #[test]
    fn prefixes_and_keys_both_count() {
        assert!(lets_in("127.0.0.0/8", "127.255.0.9", None));
        assert!(!lets_in("127.0.0.0/8", "128.0.0.0", None));
        assert!(lets_in("127.0.0.0/8", "::ffff:127.0.0.1", None));
        assert!(!lets_in("127.0.0.0/8", "::1", None));
        assert!(lets_in("192.0.2.7", "192.0.2.7", None) && !lets_in("192.0.2.7", "192.0.2.6", None));
        assert!(lets_in("0.0.0.0/0", "8.8.8.8", None) && !lets_in("0.0.0.0/0", "2001:db8::1", None));
        assert!(lets_in("2001:db8::/33", "2001:db8::1", None));
        assert!(!lets_in("2001:db8::/33", "2001:db8:8000::1", None));
        assert!(lets_in("key k", "8.8.8.8", Some("K")) && !lets_in("key k", "8.8.8.8", None));
        assert!(lets_in("127.0.0.1 key k", "127.0.0.1", Some("k")));
        assert!(!lets_in("127.0.0.1 key k", "127.0.0.2", Some("k")));
        assert!(!lets_in("127.0.0.1 key k", "127.0.0.1", Some("other")));
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for text in [
            "",
            "localhost",
            "127.0.0.1/33",
            "::/129",
            "127.0.0.1/x",
            "key",
            "127.0.0.1 k",
            "key a b",
            "key a..b",
        ] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
        for text in ["", "127.0.0.1", "127.0.0.1:0", "ns1:53", "key k", "127.0.0.1:53 key"] {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
        let peer: Peer = "127.0.0.1:53 key k".parse().unwrap();
        assert_eq!((peer.address.port(), peer.key), (53, Some("k".parse().unwrap())));
    }
}
