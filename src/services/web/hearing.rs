//! A connection that goes on hearing when it can no longer speak.
//!
//! An application may answer before it has read the whole request, and close (RFC 9112 §9.6). Whoever is still
//! sending then meets a broken pipe or a reset, while the answer is already there to be read (§9.5: "a client …
//! SHOULD monitor the connection for an error response while sending"). hyper gives a connection up at the first
//! failed write; so here such a write is taken for done, and what follows shows what became of the request: an
//! answer, or an end without one.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The connection.
#[derive(Debug)]
pub(super) struct Hearing {
    stream: TcpStream,
    signs: Signs,
}

/// What is known of the other side.
#[derive(Debug, Clone, Default)]
pub(super) struct Signs(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    unheard: AtomicBool,
    spoke: AtomicBool,
}

impl Signs {
    /// Whether it no longer hears. Such a connection carries no other request.
    pub(super) fn is_unheard(&self) -> bool {
        self.0.unheard.load(Ordering::Relaxed)
    }

    /// From now on it counts what it says.
    pub(super) fn ask(&self) {
        self.0.spoke.store(false, Ordering::Relaxed);
    }

    /// Whether it has said anything since.
    pub(super) fn has_spoken(&self) -> bool {
        self.0.spoke.load(Ordering::Relaxed)
    }
}

impl Hearing {
    /// Over `stream`, and what is known of its other side.
    pub(super) fn new(stream: TcpStream) -> (Self, Signs) {
        let signs = Signs::default();
        (Self { stream, signs: signs.clone() }, signs)
    }

    /// What a write of `length` bytes came to.
    fn spoken(&self, written: io::Result<usize>, length: usize) -> io::Result<usize> {
        match written {
            Err(error) if is_unheard(&error) => {
                self.signs.0.unheard.store(true, Ordering::Relaxed);
                Ok(length)
            }
            written => written,
        }
    }
}

fn is_unheard(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

impl AsyncRead for Hearing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.signs.0.spoke.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Hearing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        Poll::Ready(self.spoken(written, bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, pieces));
        Poll::Ready(self.spoken(written, pieces.iter().map(|piece| piece.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
