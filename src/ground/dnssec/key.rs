//! A key that signs a zone: ECDSA on P-256 with SHA-256 (algorithm 13, RFC 6605) or Ed25519 (15, RFC 8080).
//!
//! It lives in a file as PKCS #8 (PEM), which `openssl pkey` reads as well. What is public of it is the data of a DNSKEY
//! (RFC 4034 §2). It is on the ground floor because an ECDSA signature draws a random number.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

/// A zone's key that is its own entry point as well (RFC 4034 §2.1.1, RFC 6781 §3.1): one key signs everything.
const FLAGS: u16 = 257;
/// The only protocol there is (RFC 4034 §2.1.2).
const PROTOCOL: u8 = 3;
/// A file with a key is no longer, in bytes.
const LARGEST_FILE: u64 = 8 << 10;

/// How is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: what every validator knows (RFC 8624 §3.1).
    #[default]
    Ecdsa,
    /// Ed25519: shorter to make, and the same each time.
    Ed25519,
}

impl Algorithm {
    /// Its number (IANA, DNS Security Algorithm Numbers).
    pub const fn number(self) -> u8 {
        match self {
            Self::Ecdsa => 13,
            Self::Ed25519 => 15,
        }
    }

    /// As it is written in `lab.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file cannot be read.
    #[error("the key in {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the file is no such key.
    #[error(
        "{} has no key of ECDSA P-256 or Ed25519 (PKCS #8): move it away, and the next signing makes a new one",
        .0.display()
    )]
    Strange(PathBuf),
    /// It cannot be made, or cannot sign: there are no random numbers.
    #[error("the operating system has no random numbers for a key")]
    NoChance,
}

/// A key.
pub struct Key(Pair);

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Key {
    /// A new one, as the text of its file.
    pub fn draw(algorithm: Algorithm) -> Result<String, KeyError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::Ecdsa => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        };
        let document = document.map_err(|_| KeyError::NoChance)?;
        let text = BASE64.encode(document.as_ref());
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")))
    }

    /// The one in the file at `path`.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let read = || -> io::Result<Vec<u8>> {
            if fs::metadata(path)?.len() > LARGEST_FILE {
                return Err(io::Error::other("it is larger than 8 KiB"));
            }
            fs::read(path)
        };
        let text = read().map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
        Self::of_pem(&text).ok_or_else(|| KeyError::Strange(path.to_owned()))
    }

    /// The one that `text` writes.
    pub fn of_pem(text: &[u8]) -> Option<Self> {
        let document = PrivatePkcs8KeyDer::from_pem_slice(text).ok()?;
        let document = document.secret_pkcs8_der();
        let ed25519 = || Ed25519KeyPair::from_pkcs8(document).ok().map(|pair| Pair::Ed25519(Box::new(pair)));
        let ecdsa = || {
            let random = SystemRandom::new();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document, &random);
            pair.ok().map(|pair| Pair::Ecdsa(Box::new(pair)))
        };
        ed25519().or_else(ecdsa).map(Self)
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Pair::Ecdsa(_) => Algorithm::Ecdsa,
            Pair::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The data of its DNSKEY.
    pub fn dnskey(&self) -> Vec<u8> {
        let public = match &self.0 {
            // The first octet says that both coordinates follow; DNSSEC leaves it out (RFC 6605 §4).
            Pair::Ecdsa(pair) => pair.public_key().as_ref().get(1..).unwrap_or_default(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        let [high, low] = FLAGS.to_be_bytes();
        [&[high, low, PROTOCOL, self.algorithm().number()], public].concat()
    }

    /// The signature of `octets`.
    pub fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.0 {
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), octets).map_err(|_| KeyError::NoChance)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(octets).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for Key {
    /// Without its secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, tag {})", self.algorithm().as_str(), tag(&self.dnskey()))
    }
}

/// The number that tells keys of a zone apart (RFC 4034 appendix B), of the key with this DNSKEY's data.
pub fn tag(dnskey: &[u8]) -> u16 {
    let sum: u32 = dnskey
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or_default()))
        .fold(0, u32::wrapping_add);
    let [_, _, high, low] = (sum.wrapping_add(sum >> 16)).to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// A DNSKEY's data as a master file and BIND's trust anchors write it: `257 3 13 BASE64`. Nothing if it is too short for one.
pub fn shown(dnskey: &[u8]) -> Option<String> {
    let ([high, low, protocol, algorithm], public) = dnskey.split_first_chunk()?;
    let flags = u16::from_be_bytes([*high, *low]);
    Some(format!("{flags} {protocol} {algorithm} {}", BASE64.encode(public)))
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_key_signs_what_its_public_half_verifies_and_nothing_else() {
        for algorithm in [Algorithm::Ecdsa, Algorithm::Ed25519] {
            let text = Key::draw(algorithm).unwrap();
            assert_ne!(text, Key::draw(algorithm).unwrap());
            let key = Key::of_pem(text.as_bytes()).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let (dnskey, signature) = (key.dnskey(), key.sign(b"octets").unwrap());
            assert_eq!(dnskey[..4], [1, 1, 3, algorithm.number()]);
            assert_eq!(signature.len(), 64);
            let verified = |octets: &[u8]| match algorithm {
                Algorithm::Ecdsa => {
                    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], &dnskey[4..]].concat())
                        .verify(octets, &signature)
                }
                Algorithm::Ed25519 => {
                    UnparsedPublicKey::new(&ED25519, dnskey[4..].to_vec()).verify(octets, &signature)
                }
            };
            assert!(verified(b"octets").is_ok() && verified(b"octet").is_err());
        }
    }

    #[test]
    fn what_is_no_key_is_none_and_no_key_shows_its_secret() {
        assert!(Key::of_pem(b"").is_none() && Key::of_pem(b"-----BEGIN PRIVATE KEY-----\nAAAA\n").is_none());
        let text = Key::draw(Algorithm::Ed25519).unwrap();
        let shown = format!("{:?}", Key::of_pem(text.as_bytes()).unwrap());
        assert!(shown.starts_with("Key(ed25519, tag "), "{shown}");
        let missing = Key::read(Path::new("/nonexistent/key")).unwrap_err();
        assert_eq!(missing.to_string(), "the key in /nonexistent/key cannot be read");
    }

    /// RFC 6605 §6.1 and RFC 8080 §6.1.
    #[test]
    fn tags_are_those_of_the_examples() {
        for (public, algorithm, expected) in [
            (
                "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
                13,
                55648,
            ),
            ("l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=", 15, 3613),
        ] {
            let public = BASE64.decode(public.as_bytes()).unwrap();
            let dnskey = [&[1, 1, 3, algorithm], &public[..]].concat();
            assert_eq!(tag(&dnskey), expected);
            assert!(shown(&dnskey).unwrap().starts_with(&format!("257 3 {algorithm} ")));
        }
        assert_eq!(shown(b"\x01"), None);
    }
}
