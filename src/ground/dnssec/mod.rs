//! How a name server is to sign its zones, and whom a resolver is to believe: what they are told when they start, and again
//! while they run.
//!
//! Each is one value, and put into service whole. Files of keys go by their paths, since everybody may read arguments;
//! what is public goes as it is.

pub mod key;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// How a signed zone proves what it does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Denial {
    /// By the names before and after (RFC 4034 §4).
    #[default]
    Nsec,
    /// By the hashes before and after, without further rounds and without salt (RFC 5155, RFC 9276 §3.1).
    Nsec3,
}

impl Denial {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nsec => "nsec",
            Self::Nsec3 => "nsec3",
        }
    }
}

/// What is wrong on purpose with a signed zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// The time of all its signatures was over the day before yesterday.
    Expired,
    /// Its parent's DS is that of no key.
    WrongDs,
    /// Its addresses are not signed.
    MissingRrsig,
}

impl Wrong {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::WrongDs => "wrong-ds",
            Self::MissingRrsig => "missing-rrsig",
        }
    }
}

/// What a name server is to sign, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The zones that it signs; it serves the others as their files are. One that is here twice is signed with both keys.
    pub zones: Vec<Zone>,
    /// The signed zones below, whose DS belong into zones of its own; once for each key.
    pub children: Vec<Child>,
    /// How they deny.
    pub denial: Denial,
}

/// A zone that is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its apex.
    pub origin: String,
    /// The file with its key.
    pub key: PathBuf,
    /// What is wrong with its signatures.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrong: Option<Wrong>,
}

/// A signed zone below another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its apex.
    pub origin: String,
    /// The data of its DNSKEY.
    pub key: PublicKey,
    /// Whether the DS is to be wrong.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_wrong: bool,
}

/// The data of a DNSKEY; written in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PublicKey(pub Vec<u8>);

impl FromStr for PublicKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let octets = BASE64.decode(text.as_bytes()).map_err(|_| "a key is written in base64")?;
        if octets.len() < 5 || octets.len() > usize::from(u16::MAX) {
            Err("it is no DNSKEY's data".into())
        } else {
            Ok(Self(octets))
        }
    }
}

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

// As arguments, what is wrong stands in front: `foobar.com=FILE`, `expired:foobar.com=FILE`. No name has a colon in these places.

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (origin, key) = text.split_once('=').ok_or("write the zone, `=`, and the file with its key")?;
        let (wrong, origin) = match origin.split_once(':') {
            None => (None, origin),
            Some((word, origin)) => (Some(<Wrong as clap::ValueEnum>::from_str(word, false)?), origin),
        };
        Ok(Self { origin: origin.into(), key: key.into(), wrong })
    }
}

impl Zone {
    /// As an argument.
    pub fn argument(&self) -> std::ffi::OsString {
        let wrong = self.wrong.map(|wrong| format!("{}:", wrong.as_str())).unwrap_or_default();
        let mut argument = std::ffi::OsString::from(format!("{wrong}{}=", self.origin));
        argument.push(&self.key);
        argument
    }
}

impl FromStr for Child {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (origin, key) = text.split_once('=').ok_or("write the zone, `=`, and its DNSKEY in base64")?;
        let right = origin.strip_prefix("wrong:");
        Ok(Self { origin: right.unwrap_or(origin).into(), key: key.parse()?, is_wrong: right.is_some() })
    }
}

impl fmt::Display for Child {
    /// As an argument.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}={}", if self.is_wrong { "wrong:" } else { "" }, self.origin, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_what_was_wanted() {
        for wrong in [None, Some(Wrong::Expired), Some(Wrong::WrongDs), Some(Wrong::MissingRrsig)] {
            let zone = Zone { origin: "foobar.com.".into(), key: "/a=b/foobar.com.key".into(), wrong };
            assert_eq!(zone.argument().to_str().unwrap().parse(), Ok(zone));
        }
        for is_wrong in [false, true] {
            let key = PublicKey(vec![1, 1, 3, 13, 9, 9]);
            let child = Child { origin: "com.".into(), key, is_wrong };
            assert_eq!(child.to_string().parse(), Ok(child));
        }
        for text in ["", "com", "odd:com=key"] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
        for text in ["com", "com=", "com=AQE", "com=AQE="] {
            assert!(text.parse::<Child>().is_err(), "{text}");
        }
    }
}
