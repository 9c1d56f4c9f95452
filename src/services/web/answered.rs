//! A body on its way out, followed to its end: only then is the request answered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::access::Record;
use super::page::{Page, PageError};
use super::wire::Course;

/// The body. When it is dropped, at its end or before, its request is over.
#[derive(Debug)]
pub(super) struct Answered {
    page: Page,
    bytes: u64,
    record: Option<Record>,
    course: Arc<Course>,
}

impl Answered {
    /// Of a request that has just begun; so it is over also if it is given up before there is an answer.
    pub(super) fn new(course: Arc<Course>) -> Self {
        Self { page: Page::empty(), bytes: 0, record: None, course }
    }

    /// With `page` as its body, and what is to be written down.
    pub(super) fn with(mut self, page: Page, record: Option<Record>) -> Self {
        (self.page, self.record) = (page, record);
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
        let polled = Pin::new(&mut self.page).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            self.bytes += bytes.len() as u64;
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
        self.course.end();
    }
}
