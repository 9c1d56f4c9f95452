//! TLS (RFC 8446, RFC 5246) for every service that speaks it: which certificate is shown to whom, and what is offered.
//!
//! What a server offers is one immutable value, made from files; another takes its place whole, and connections that are open
//! keep theirs. So a certificate is renewed without any connection noticing, and a file that cannot be used changes nothing.
//! Old protocols and weak suites cannot be offered: rustls has none.
//!
//! It stands apart from the web server because DNS speaks it, too. `greeting` is the handshake of one connection, `key_log` what
//! Wireshark needs to look inside; what listens is of each service.

mod greeting;
mod key_log;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::ground::bind::BindError;
use crate::ground::tls::Certificate;

use key_log::Keys;

pub(super) use greeting::Greeter;

/// A file with a key and a chain of certificates is no larger.
const LARGEST_FILE: u64 = 1 << 20;

/// Why TLS cannot be spoken as wished.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate cannot be read.
    #[error("the certificate {} cannot be read", file.display())]
    Read {
        /// Its file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is none, or its key is missing.
    #[error("{} must have a private key and its certificate as PEM", file.display())]
    Pem {
        /// Its file.
        file: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// It cannot be used.
    #[error("the certificate in {} cannot be shown", file.display())]
    Unusable {
        /// Its file.
        file: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// QUIC cannot be spoken with it.
    #[error("QUIC cannot be spoken with these cipher suites")]
    Quic,
    /// There is none.
    #[error("TLS needs a certificate: name one with --certificate HOST=FILE")]
    None,
    /// No keys for sessions that can be resumed.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
    /// The key log cannot be written.
    #[error("the key log {} cannot be opened", file.display())]
    KeyLog {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its address is taken or forbidden.
    #[error("there is no address for TLS to listen at")]
    Bind(#[from] BindError),
}

/// What a server offers to those who speak TLS: one of `certificates`, the first to whoever names none of their sites, and
/// inside it one of `protocols`, the favourite first (RFC 7301). Secrets are told to `key_log`, if there is one.
pub(super) fn offer(
    certificates: &[Certificate],
    protocols: &[&[u8]],
    key_log: Option<&Path>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let shown = certificates
        .iter()
        .map(|certificate| Shown::read(certificate, &provider))
        .collect::<Result<Vec<_>, _>>()?;
    if shown.is_empty() {
        return Err(TlsError::None);
    }
    let mut offer = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(BySite(shown)));
    offer.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // The keys of the tickets are of this value: with another certificate, nobody goes on without having seen it.
    offer.ticketer = ring::Ticketer::new().map_err(TlsError::Setup)?;
    if let Some(file) = key_log {
        let keys = Keys::open(file).map_err(|source| TlsError::KeyLog { file: file.into(), source })?;
        offer.key_log = Arc::new(keys);
    }
    Ok(offer)
}

/// A certificate and the names at which it is shown.
#[derive(Debug)]
struct Shown {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

impl Shown {
    fn read(certificate: &Certificate, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let file = &certificate.file;
        let read = || {
            if std::fs::metadata(file)?.len() > LARGEST_FILE {
                return Err(io::Error::other("it is larger than 1 MiB"));
            }
            std::fs::read(file)
        };
        let text = read().map_err(|source| TlsError::Read { file: file.clone(), source })?;
        let pem = |source| TlsError::Pem { file: file.clone(), source };
        let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(pem)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(pem)?;
        let key = CertifiedKey::from_der(chain, key, provider)
            .map_err(|source| TlsError::Unusable { file: file.clone(), source })?;
        Ok(Self { names: certificate.names.clone(), key: Arc::new(key) })
    }
}

/// Chooses by the site that a client names.
#[derive(Debug)]
struct BySite(Vec<Shown>);

impl ResolvesServerCert for BySite {
    /// The first for whoever names none, or one that is not here: it is for the client to say that this is wrong.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        let has = |shown: &&Shown| {
            asked.is_some_and(|asked| shown.names.iter().any(|name| name.eq_ignore_ascii_case(asked)))
        };
        self.0.iter().find(has).or(self.0.first()).map(|shown| shown.key.clone())
    }
}

/// A value that is put in another's place whole. A plain mutex: held for one look, never across an await.
#[derive(Debug, Default)]
pub(super) struct Swapped<T>(Mutex<Arc<T>>);

impl<T> Swapped<T> {
    pub(super) fn new(first: Arc<T>) -> Self {
        Self(Mutex::new(first))
    }

    /// The one in service.
    pub(super) fn get(&self) -> Arc<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn put(&self, next: Arc<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}
