//! The body that goes out: in memory, from a file, or from the application as it arrives.
//!
//! Whatever its size, no more than one piece of it is in memory.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::upstream::Lease;

/// The largest piece of a file that is read at once, in bytes; a file up to this size is read whole.
pub(super) const PIECE: usize = 64 * 1024;

/// How long the application may pause in the middle of its answer.
const PAUSE_AT_MOST: Duration = Duration::from_secs(60);

/// A response's body.
#[derive(Debug)]
pub(super) enum Page {
    /// All of it, until it was taken.
    Whole(Option<Bytes>),
    /// From a file, that many bytes more.
    File { file: File, left: u64 },
    /// From the application.
    App(FromApp),
}

/// Why a body ended too early; the connection is cut then, so that the client notices.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// The file could not be read on.
    #[error("the file could not be read to its end")]
    File(#[source] io::Error),
    /// The application ended its answer too early.
    #[error("the application ended its answer too early")]
    App(#[source] hyper::Error),
    /// The application paused too long.
    #[error("the application paused in the middle of its answer for more than {PAUSE_AT_MOST:?}")]
    Paused,
}

impl Page {
    /// Nothing.
    pub(super) fn empty() -> Self {
        Self::Whole(None)
    }

    /// All of it.
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl Body for Page {
    type Data = Bytes;
    type Error = PageError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PageError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::File { left: 0, .. } => Poll::Ready(None),
            // Read here, not on a thread of its own: the pages of a lab's site are in the page cache.
            Self::File { file, left } => {
                Poll::Ready(Some(next_piece(file, left).map(Frame::data).map_err(PageError::File)))
            }
            Self::App(answer) => answer.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::File { left, .. } => *left == 0,
            Self::App(answer) => answer.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::File { left, .. } => SizeHint::with_exact(*left),
            Self::App(answer) => answer.body.size_hint(),
        }
    }
}

/// The application's answer as it arrives. The connection it comes over is kept when it came to its end.
#[derive(Debug)]
pub(super) struct FromApp {
    body: Incoming,
    lease: Option<Lease>,
    is_last: bool,
    /// Runs while nothing arrives.
    pause: Option<Pin<Box<Sleep>>>,
}

impl FromApp {
    /// `body`, over the connection of `lease`, which carries another request only if `is_last` is not so.
    pub(super) fn new(body: Incoming, lease: Lease, is_last: bool) -> Self {
        Self { body, lease: Some(lease), is_last, pause: None }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PageError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE_AT_MOST)));
            ready!(pause.as_mut().poll(context));
            return Poll::Ready(Some(Err(PageError::Paused)));
        };
        self.pause = None;
        if frame.is_none() {
            self.keep_connection();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(PageError::App)))
    }

    fn keep_connection(&mut self) {
        if let Some(lease) = self.lease.take()
            && !self.is_last
        {
            lease.keep();
        }
    }
}

impl Drop for FromApp {
    fn drop(&mut self) {
        // A body of known length is not asked for its end once all of it came.
        if self.body.is_end_stream() {
            self.keep_connection();
        }
    }
}

/// Up to [`PIECE`] bytes more of a file that still owes `left`.
pub(super) fn next_piece(file: &mut File, left: &mut u64) -> io::Result<Bytes> {
    let size = usize::try_from(*left).map_or(PIECE, |left| left.min(PIECE));
    let mut piece = vec![0; size];
    let read = loop {
        match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if read == 0 && size > 0 {
        // It was shortened after its length had been promised.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    piece.truncate(read);
    *left = left.saturating_sub(read as u64);
    Ok(piece.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_file_comes_in_pieces_and_a_shortened_one_is_noticed() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..=250).cycle().take(PIECE + 10).collect();
        file.write_all(&content).unwrap();
        file.rewind().unwrap();
        let left = content.len() as u64;
        let mut page = Page::File { file: file.try_clone().unwrap(), left };
        assert_eq!(page.size_hint().exact(), Some(left));
        let first = page.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), PIECE);
        let rest = page.collect().await.unwrap().to_bytes();
        assert_eq!([first, rest].concat(), content);

        file.rewind().unwrap();
        let page = Page::File { file, left: left + 1 };
        assert!(matches!(page.collect().await, Err(PageError::File(_))));
    }
}
