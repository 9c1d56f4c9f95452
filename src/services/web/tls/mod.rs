//! How the web server speaks TLS, which is in [`crate::services::tls`]: `door` is the listener that comes and goes while the server
//! runs, `line` what the rim reads and writes.

mod door;
mod line;

use hyper::header::HeaderValue;
use tokio_rustls::server::TlsStream;

use crate::ground::tls::Wanted;
use crate::services::faults::arriving::Arrived;

pub(super) use crate::services::tls::{Greeter, Swapped, TlsError};
pub(super) use door::Door;
pub(super) use line::Line;

/// What can be spoken inside, the favourite first (RFC 7301).
const HTTP2: &[u8] = b"h2";
const ALPN: [&[u8]; 2] = [HTTP2, b"http/1.1"];

/// Whether it was agreed on to speak HTTP/2 (RFC 9113 §3.2).
pub(super) fn is_http2(sealed: &TlsStream<Arrived>) -> bool {
    sealed.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// What those who ask are told about TLS, with it and without.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// Whoever asks without TLS is sent to this port.
    pub(super) only_at: Option<u16>,
    /// `Strict-Transport-Security`, which is only said over TLS (RFC 6797 §7.2).
    pub(super) hsts: Option<HeaderValue>,
}

impl Policy {
    /// As `wanted`, where TLS is spoken at `port`.
    fn of(wanted: &Wanted, port: Option<u16>) -> Self {
        let hsts = wanted.hsts_seconds.filter(|_| port.is_some());
        Self {
            only_at: port.filter(|_| wanted.only),
            hsts: hsts.and_then(|seconds| HeaderValue::try_from(format!("max-age={seconds}")).ok()),
        }
    }
}
