//! The handshake of one connection (RFC 8446 §2), and how it went.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::Acceptor;
use rustls::{AlertDescription, InvalidMessage, ServerConfig};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::ground::clock::Stopwatch;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;
use crate::ground::tls::{Agreed, Shaken};
use crate::services::faults::arriving::Arrived;

use super::Swapped;

/// How long a handshake may take, all its messages together.
const WITHIN: Duration = Duration::from_secs(10);

/// Shakes hands with whoever connects.
#[derive(Debug)]
pub(in crate::services) struct Greeter {
    offer: Swapped<ServerConfig>,
}

impl Greeter {
    /// Offers this.
    pub(in crate::services) fn new(offer: Arc<ServerConfig>) -> Self {
        Self { offer: Swapped::new(offer) }
    }

    /// Offers this from now on.
    pub(in crate::services) fn offer(&self, next: Arc<ServerConfig>) {
        self.offer.put(next);
    }

    /// Shakes hands over `stream`, whose ends are `client` and `server`, and tells how it went; nothing where it failed.
    pub(in crate::services) async fn greet(
        &self,
        stream: Arrived,
        client: SocketAddr,
        server: SocketAddr,
        journal: &Journal,
    ) -> Option<TlsStream<Arrived>> {
        let stopwatch = Stopwatch::start();
        let mut sni = None;
        let shaken = match timeout(WITHIN, shake(stream, self.offer.get(), &mut sni)).await {
            Ok(shaken) => shaken.map_err(|error| why(&error)),
            Err(_) => Err(format!("it is not done after {} s", WITHIN.as_secs())),
        };
        journal.tell(|| {
            let agreed = shaken.as_ref().ok().map(|sealed| Agreed::of(sealed.get_ref().1));
            let why = shaken.as_ref().err().cloned();
            Happened::Handshake(Shaken { client, server, sni, agreed, why, micros: stopwatch.micros() })
        });
        shaken.ok()
    }
}

async fn shake(
    stream: Arrived,
    offer: Arc<ServerConfig>,
    sni: &mut Option<String>,
) -> io::Result<TlsStream<Arrived>> {
    let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    *sni = begun.client_hello().server_name().map(str::to_owned);
    begun.into_stream(offer).await
}

/// Why a handshake failed, so that it can be understood at this end.
fn why(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let said = |what: &str| format!("the client says {what}");
    match cause {
        Some(rustls::Error::AlertReceived(alert)) => match alert {
            AlertDescription::UnknownCA => {
                said("that it does not know who issued the certificate (alert unknown_ca)")
            }
            AlertDescription::CertificateExpired => {
                said("that the certificate has expired (alert certificate_expired)")
            }
            AlertDescription::BadCertificate => said("that the certificate is bad (alert bad_certificate)"),
            AlertDescription::CertificateRevoked => {
                said("that the certificate is revoked (alert certificate_revoked)")
            }
            alert => said(&format!("no ({alert:?})")),
        },
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "what came is no TLS: http:// in place of https://, perhaps".into()
        }
        Some(error) => error.to_string(),
        None if error.kind() == ErrorKind::UnexpectedEof => {
            "the client ended the connection in the middle".into()
        }
        None => error.source().map_or_else(|| error.to_string(), ToString::to_string),
    }
}
