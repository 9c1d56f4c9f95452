//! The connection made private: a TLS handshake (RFC 8446 §2, RFC 5246 §7.3), and whom this client believes.
//!
//! It trusts the lab's authority and nobody else, as a client does that was handed `ca.pem`. Whatever is shown is kept, also
//! where it is not believed; whether it is, rustls alone decides. HTTP/1.1 is all that is offered (ALPN, RFC 7301).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::{Doubt, Trouble};
use crate::ground::tls::Agreed;
use crate::path::model::{Certificate, Tls};

/// All messages of a handshake together; the server waits as long.
const SHAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Certificates of a chain that are kept, names of each, and characters of each text.
const CHAIN_MOST: usize = 8;
const NAMES_MOST: usize = 16;
const TEXT_LONGEST: usize = 256;

/// Who is believed: one authority, or nobody.
#[derive(Debug, Clone, Default)]
pub struct Trust(Option<CertificateDer<'static>>);

impl Trust {
    /// The authority in `pem`; nobody where there is none in it.
    pub fn read(pem: &[u8]) -> Self {
        Self(CertificateDer::from_pem_slice(pem).ok())
    }

    /// Whether anybody is believed.
    pub fn is_nobody(&self) -> bool {
        self.0.is_none()
    }
}

/// Shakes hands with `host` over `stream`. What was seen, and the sealed connection or why there is none.
pub(super) async fn shake(
    stream: TcpStream,
    host: &str,
    trust: &Trust,
) -> (Tls, Result<TlsStream<TcpStream>, Trouble>) {
    let shown = Shown::default();
    let mut tls = Tls { trusted: trust.0.as_ref().and_then(|der| read(der)), ..Tls::default() };
    let shaken = begin(stream, host, trust, &shown, &mut tls).await;
    tls.chain = shown.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shaken {
        Ok(sealed) => {
            tls.agreed = Some(Agreed::of(sealed.get_ref().1));
            (tls, Ok(sealed))
        }
        Err(error) => {
            let trouble = trouble(&error, &tls.chain);
            (tls, Err(trouble))
        }
    }
}

async fn begin(
    stream: TcpStream,
    host: &str,
    trust: &Trust,
    shown: &Shown,
    tls: &mut Tls,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    if let ServerName::DnsName(name) = &name {
        tls.sni = Some(name.as_ref().trim_end_matches('.').to_owned());
    }
    let config = offer(trust, shown).map_err(io::Error::other)?;
    match timeout(SHAKEN_WITHIN, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
        Ok(shaken) => shaken,
        Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// What this client offers; it remembers no session, so that each handshake is a whole one.
fn offer(trust: &Trust, shown: &Shown) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let judge = match &trust.0 {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone())?;
            let judge = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build();
            Some(judge.map_err(|error| Error::General(error.to_string()))?)
        }
        None => None,
    };
    let watching = Watching { judge, provider: provider.clone(), shown: shown.clone() };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        // It keeps what is shown and passes it on to who judges: nothing is believed that would not be without it.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(watching))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// What was shown. A plain mutex: held for one look.
#[derive(Debug, Clone, Default)]
struct Shown(Arc<Mutex<Vec<Certificate>>>);

/// Keeps what is shown, and leaves it to rustls whether it is believed.
#[derive(Debug)]
struct Watching {
    judge: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    shown: Shown,
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = [own].into_iter().chain(further).take(CHAIN_MOST).filter_map(|der| read(der));
        *self.shown.0.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
        let judge = self.judge.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        judge.verify_server_cert(own, further, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a certificate says; nothing if it cannot be read.
fn read(der: &[u8]) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|names| &names.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(short(name)),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(*octets).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
        },
        _ => None,
    });
    Some(Certificate {
        subject: short(&parsed.subject().to_string()),
        issuer: short(&parsed.issuer().to_string()),
        names: names.take(NAMES_MOST).collect(),
        from: u64::try_from(parsed.validity().not_before.timestamp()).ok()?,
        until: u64::try_from(parsed.validity().not_after.timestamp()).ok()?,
        serial: short(&parsed.raw_serial_as_string().to_ascii_uppercase()),
    })
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_LONGEST).collect()
}

/// What a handshake's error is on the wire, where `chain` was shown.
fn trouble(error: &io::Error, chain: &[Certificate]) -> Trouble {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(why)) => Trouble::Doubted(doubt(why, chain)),
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            Trouble::NoTls("what came is no TLS, but plain HTTP perhaps".into())
        }
        Some(Error::AlertReceived(alert)) => Trouble::NoTls(format!("the server says no: alert {alert:?}")),
        Some(other) => Trouble::NoTls(short(&other.to_string())),
        None if error.kind() == io::ErrorKind::TimedOut => {
            Trouble::Silent(u64::try_from(SHAKEN_WITHIN.as_millis()).unwrap_or(u64::MAX))
        }
        None => match Trouble::of(error) {
            Trouble::Unreachable(why) => Trouble::NoTls(short(&why)),
            of_the_wire => of_the_wire,
        },
    }
}

fn doubt(why: &CertificateError, chain: &[Certificate]) -> Doubt {
    let vouches_for_itself = chain.first().is_some_and(|own| own.subject == own.issuer);
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Doubt::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Doubt::NotYet,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Doubt::OtherName
        }
        _ if vouches_for_itself => Doubt::SelfSigned,
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Doubt::UnknownIssuer,
        other => Doubt::Other(short(&other.to_string())),
    }
}

#[cfg(test)]
mod tests;
