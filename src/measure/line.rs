//! One connection of a user's, over which pages are asked for one after the other (HTTP/1.1, RFC 9112 §9.3), plain or sealed.
//!
//! [`super::probe`] and [`super::downtime`] ask by it, each with a way of its own to open one. A load does not: its connections
//! live in the task of who asks and not in one of their own, which would be one waking-up more for each of 50,000 answers a
//! second, and it has to know whether a request was sent at all.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::path::asking::{self, Stream, Trouble};

/// Bytes of a page that are taken.
const BODY_MOST: usize = 1 << 20;

/// A connection; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    _connection: JoinSet<()>,
}

/// A request that was not answered.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) trouble: Trouble,
    /// Whether an answer had begun.
    pub(super) was_heard: bool,
}

impl Line {
    /// One over `stream`, on which nothing was said yet.
    pub(super) async fn over(stream: impl Stream + 'static) -> Result<Self, Trouble> {
        let opened = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(|error| asking::trouble_of_http(&error))?;
        let mut driving = JoinSet::new();
        driving.spawn(async move {
            // How it ended is told to the request that it carried.
            let _ = connection.await;
        });
        Ok(Self { sender, _connection: driving })
    }

    /// Whether another request may go over it: it was not closed, as far as can be known here.
    pub(super) async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// The status of the answer to `request`, once that is whole.
    pub(super) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<u16, Broken> {
        let answer = self.sender.send_request(request).await;
        let answer =
            answer.map_err(|error| Broken { trouble: asking::trouble_of_http(&error), was_heard: false })?;
        let status = answer.status().as_u16();
        match Limited::new(answer.into_body(), BODY_MOST).collect().await {
            Ok(_) => Ok(status),
            Err(error) => {
                let trouble = match error.downcast_ref::<hyper::Error>() {
                    Some(error) => asking::trouble_of_http(error),
                    None => Trouble::Malformed(format!("the page has more than {BODY_MOST} bytes")),
                };
                Err(Broken { trouble, was_heard: true })
            }
        }
    }
}
