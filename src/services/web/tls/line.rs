//! What a connection is read from and written to: a socket, or TLS on one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::services::faults::arriving::Arrived;

/// Either.
#[derive(Debug)]
pub(in crate::services::web) enum Line {
    /// What is written is on the wire.
    Plain(Arrived),
    /// What is written is sealed first.
    Tls(Box<TlsStream<Arrived>>),
}

impl Line {
    /// The socket.
    fn socket(&self) -> &Arrived {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(sealed) => sealed.get_ref().0,
        }
    }

    /// Whether something written may wait here, and not yet in the socket.
    pub(in crate::services::web) fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Waits for something to read. What TLS holds is not in the socket any more: there one can only try.
    pub(in crate::services::web) fn poll_read_ready(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_read_ready(context),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// What the socket has to say, once.
    pub(in crate::services::web) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
    }

    /// Has its end be a reset.
    pub(in crate::services::web) fn set_zero_linger(&self) -> io::Result<()> {
        self.socket().set_zero_linger()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(sealed) => Pin::new(sealed).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(sealed) => Pin::new(sealed).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, pieces),
            Self::Tls(sealed) => Pin::new(sealed).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(sealed) => sealed.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(sealed) => Pin::new(sealed).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(sealed) => Pin::new(sealed).poll_shutdown(context),
        }
    }
}
