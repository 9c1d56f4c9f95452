//! How a service is to speak TLS: what it is told when it starts, and again while it runs.
//!
//! It is one value, and put into service whole: a server never has the certificate of one wish at the port of another.

use std::net::SocketAddr;
use std::path::PathBuf;

use rustls::{CommonState, HandshakeKind, ProtocolVersion};
use serde::{Deserialize, Serialize};

/// Where and how a web server is to speak TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Where; nowhere is not at all.
    pub listen: Vec<SocketAddr>,
    /// Whether whoever asks without TLS is sent there.
    pub only: bool,
    /// For how many seconds browsers are to ask in no other way (RFC 6797 §6.1.1); nothing: they are not told.
    pub hsts_seconds: Option<u64>,
    /// The certificates; the first is for whoever names no site, or an unknown one.
    pub certificates: Vec<Certificate>,
    /// Where the secrets of each connection are written, in the format that Wireshark reads; by default nowhere.
    pub key_log: Option<PathBuf>,
}

/// Where and how a DNS service is to be asked in private.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private {
    /// Where over TLS (RFC 7858); nowhere is not at all, here and below.
    pub tls: Vec<SocketAddr>,
    /// Where over HTTPS (RFC 8484).
    pub https: Vec<SocketAddr>,
    /// Where over QUIC (RFC 9250).
    pub quic: Vec<SocketAddr>,
    /// The certificates; the first is for whoever says no name, or an unknown one.
    pub certificates: Vec<Certificate>,
    /// Where the secrets of each connection are written, in the format that Wireshark reads; by default nowhere.
    pub key_log: Option<PathBuf>,
}

/// A certificate, and for whom it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The names at which it is shown (RFC 6066 §3), whatever it says itself.
    pub names: Vec<String>,
    /// A file with the private key and the chain of certificates, as PEM.
    pub file: PathBuf,
}

impl Certificate {
    /// Reads `name,name…=file`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (names, file) = text.split_once('=').ok_or("write it as HOST=FILE")?;
        Ok(Self { names: names.split(',').map(str::to_owned).collect(), file: file.into() })
    }
}

/// How a handshake went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shaken {
    /// The client's end.
    pub client: SocketAddr,
    /// The server's end.
    pub server: SocketAddr,
    /// The name that the client asked for (SNI, RFC 6066 §3), if it got so far and named one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sni: Option<String>,
    /// What was agreed on; nothing where the handshake failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agreed: Option<Agreed>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// From the connection to its end, in microseconds.
    pub micros: u64,
}

/// What a handshake agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite by its IANA name; empty where that is not told (QUIC).
    pub cipher: String,
    /// What is spoken inside (ALPN, RFC 7301): `h2`, `http/1.1`; nothing where the client did not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alpn: Option<String>,
    /// Whether an earlier session went on, so that no certificate was shown.
    pub resumed: bool,
}

impl Agreed {
    /// What `session` is spoken in, seen from either side; its handshake is done.
    pub fn of(session: &CommonState) -> Self {
        let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        Self {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            }
            .into(),
            // rustls says of suites that they are of TLS 1.3; their names do not.
            cipher: suite.unwrap_or_default().replacen("TLS13_", "TLS_", 1),
            alpn: session.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned()),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

impl std::fmt::Display for Shaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let after = super::event::Micros(self.micros);
        let sni = self.sni.as_deref();
        match (&self.agreed, &self.why) {
            (Some(Agreed { version, cipher, alpn, resumed }), _) => {
                write!(f, "{} speaks {version} for {}: ", self.client, sni.unwrap_or("no name"))?;
                let parts = Some(cipher).filter(|cipher| !cipher.is_empty()).into_iter().chain(alpn);
                f.write_str(&parts.map(String::as_str).collect::<Vec<_>>().join(", "))?;
                if *resumed {
                    f.write_str(", resumed")?;
                }
                write!(f, " after {after}")
            }
            (None, why) => {
                let why = why.as_deref().unwrap_or("it failed");
                let asked = sni.map(|sni| format!(" for {sni}")).unwrap_or_default();
                write!(f, "{} cannot speak TLS{asked} after {after}: {why}", self.client)
            }
        }
    }
}
