//! A body on its way out, followed to its end: only then is the request answered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::access::Record;
use super::page::{Page, PageError};
use super::stream::Stream;
use super::wire::Course;

/// The body. When it is dropped, at its end or before, its request is over.
#[derive(Debug)]
pub(super) struct Answered {
    page: Page,
    bytes: u64,
    record: Option<Record>,
    /// None where the connection has gone over to another protocol, and goes on.
    course: Option<Arc<Course>>,
    /// Whether the client sees only by the connection's end that this came to its end (HTTP/1.0).
    ends_by_closing: bool,
    /// The stream of HTTP/2 that it goes out by, and its place where it is not the first of its connection.
    stream: Option<(Arc<Stream>, Option<OwnedSemaphorePermit>)>,
}

impl Answered {
    /// Of a request that has just begun; so it is over also if it is given up before there is an answer.
    pub(super) fn new(course: Arc<Course>, ends_by_closing: bool) -> Self {
        Self {
            page: Page::empty(),
            bytes: 0,
            record: None,
            course: Some(course),
            ends_by_closing,
            stream: None,
        }
    }

    /// Beside one that goes on elsewhere.
    pub(super) fn elsewhere() -> Self {
        Self {
            page: Page::empty(),
            bytes: 0,
            record: None,
            course: None,
            ends_by_closing: false,
            stream: None,
        }
    }

    /// By `stream`, in this `place` where it needs one.
    pub(super) fn of(mut self, stream: Arc<Stream>, place: Option<OwnedSemaphorePermit>) -> Self {
        self.stream = Some((stream, place));
        self
    }

    /// So many bytes went out past the body.
    pub(super) fn carried(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// With `page` as its body, and what is to be written down.
    pub(super) fn with(mut self, page: Page, record: Option<Record>) -> Self {
        (self.page, self.record) = (page, record);
        if let Some((stream, _)) = &self.stream {
            // Its head goes out, and then the client says how much of this it takes.
            stream.gives(0);
        }
        self
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = PageError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PageError>>> {
        if let Some((stream, _)) = &self.stream {
            stream.makes();
        }
        let polled = Pin::new(&mut self.page).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            let bytes = bytes.len() as u64;
            self.bytes += bytes;
            if let Some((stream, _)) = &self.stream {
                stream.gives(bytes);
            }
        }
        if let Poll::Ready(Some(Err(_))) = &polled
            && self.ends_by_closing
            && let Some(course) = &self.course
        {
            course.break_off();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.page.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.page.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.write(self.bytes);
        }
        if let Some(course) = &self.course {
            course.end();
        }
    }
}
