//! The rim of a connection: between the socket and the HTTP library, it looks at every request's head before the
//! library sees it.
//!
//! It stands apart because a library repairs, or answers by itself and without a word, what two servers on a path
//! could read differently (RFC 9112 §11). A head goes on whole and well-formed. In place of one that is not, a
//! head of our own goes on, whose answer says what is wrong and closes the connection: so a refusal comes in its
//! turn behind the answers to what was pipelined before it, and looks like every other answer. The body of a request
//! is only followed to its end. What is passed on at once is not copied.
//!
//! It also keeps time: how long a connection may be silent between requests, how long a head may take, and how long
//! a client may take nothing of its answer.

mod chunks;
mod course;
mod credit;
mod framing;
mod head;
mod violation;

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::io::poll_read_buf;

use crate::ground::clock::Stopwatch;

use super::tls::Line;

use framing::{Framing, Look, Wrong};

pub(super) use course::{Course, Refusal};
pub(super) use credit::{Credit, SLOWEST};
pub(super) use head::{FIELDS_AT_MOST, HEAD_AT_MOST, TARGET_AT_MOST};
pub(super) use violation::Violation;

/// What a client that speaks HTTP/2 says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that are read at once of a head that has begun: many who send one slowly shall cost little.
const PIECE: usize = 1024;

/// How often a connection whose client has ended its side is looked at, whether it was reset since.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a client whose request was refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);

/// How long a client may take, in each respect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// To begin its next request, or its first; up to twice as long where the end of the answer before was not seen.
    pub(crate) idle: Duration,
    /// To send the head of a request, once it has begun.
    pub(crate) head: Duration,
    /// To send more of a body; less where it sent it slower than [`SLOWEST`].
    pub(crate) body: Duration,
    /// To take anything of an answer; less where it took it slower than [`SLOWEST`].
    pub(crate) answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // A head may be typed by hand.
        Self {
            idle: Duration::from_secs(60),
            head: Duration::from_secs(30),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
        }
    }
}

/// A client's connection, as the HTTP library sees it.
#[derive(Debug)]
pub(super) struct Rim {
    stream: Line,
    /// Read and not yet passed on: first `clear` bytes that may go on, then a head that has not come to its end.
    held: Vec<u8>,
    clear: usize,
    framing: Framing,
    course: Arc<Course>,
    patience: Patience,
    /// What the connection is waiting for, and until when.
    awaited: Awaited,
    until: Instant,
    /// Rings then, or earlier: to set it with each request would cost more than to look when it rings.
    alarm: Pin<Box<Sleep>>,
    /// Runs while the client takes nothing, since when.
    stuck: Option<(Stopwatch, Pin<Box<Sleep>>)>,
    credit: Credit,
    /// Runs while the client has ended its side and an answer is made.
    looking: Option<Pin<Box<Sleep>>>,
    /// Runs while what is not wanted is read away.
    lingering: Option<Pin<Box<Sleep>>>,
    /// Nothing more is read.
    ended: Option<Ended>,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// Nothing of the client's that this rim measures.
    Nothing,
    /// The first byte of a request.
    Request,
    /// The rest of its head.
    RestOfHead,
}

/// Why nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// A request was refused; its answer is under way.
    Refused,
    /// The client was idle too long, or framed a body wrongly.
    Closed,
}

/// Which protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2, from its first byte on.
    Http2,
}

impl Rim {
    /// Around `stream`; what becomes of its requests is told to `course`.
    pub(super) fn new(stream: Line, course: Arc<Course>, patience: Patience) -> Self {
        let alarm = sleep(patience.idle);
        Self {
            stream,
            held: Vec::new(),
            clear: 0,
            framing: Framing::new(),
            course,
            patience,
            awaited: Awaited::Request,
            until: alarm.deadline(),
            alarm: Box::pin(alarm),
            stuck: None,
            credit: Credit::new(patience.answer),
            looking: None,
            lingering: None,
            ended: None,
        }
    }

    /// Waits until it is known what the client speaks; nothing when it says nothing in time.
    pub(super) async fn opening(&mut self) -> io::Result<Option<Speaks>> {
        loop {
            let length = self.held.len().min(PREFACE.len());
            if self.held[..length] != PREFACE[..length] {
                self.look_at_held();
                return Ok(Some(Speaks::Http1));
            }
            if length == PREFACE.len() {
                self.framing.decide(true);
                self.clear = self.held.len();
                return Ok(Some(Speaks::Http2));
            }
            let read = std::future::poll_fn(|context| {
                // What has come counts, also where this process got no turn until the time was over.
                match self.poll_hold(context) {
                    Poll::Pending if self.alarm.as_mut().poll(context).is_ready() => Poll::Ready(Ok(0)),
                    read => read,
                }
            });
            if read.await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads more of what is held; memory is taken only when something has come.
    fn poll_hold(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_read_ready(context))?;
        self.held.reserve(PIECE);
        poll_read_buf(Pin::new(&mut self.stream), context, &mut self.held)
    }

    /// Passes on what may go on of what is held.
    fn pass(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.clear.min(buffer.remaining());
        buffer.put_slice(&self.held[..length]);
        self.clear -= length;
        self.held.drain(..length);
        if self.held.is_empty() {
            // An idle connection holds nothing.
            self.held = Vec::new();
        }
    }

    /// Looks at what is held and was not looked at.
    fn look_at_held(&mut self) {
        let look = self.framing.look(&self.held[self.clear..]);
        self.clear += look.clear;
        self.note(&look);
    }

    fn note(&mut self, look: &Look) {
        if look.heads > 0 {
            self.course.passed(look.heads);
            // Whatever is waited for next is waited for anew.
            self.awaited = Awaited::Nothing;
        }
        match look.wrong {
            None => {}
            Some(Wrong::Body) => {
                self.held.truncate(self.clear);
                self.course.leave_unread();
                self.ended = Some(Ended::Closed);
            }
            Some(Wrong::Head(violation)) => self.refuse(violation),
        }
    }

    /// Puts a head of our own in the place of what comes next.
    fn refuse(&mut self, violation: Violation) {
        let refusal = Refusal::of(violation, &self.held[self.clear..]);
        let method = if refusal.is_head { "HEAD" } else { "GET" };
        self.held.truncate(self.clear);
        self.held.extend_from_slice(method.as_bytes());
        self.held.extend_from_slice(b" / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n");
        self.clear = self.held.len();
        self.ended = Some(Ended::Refused);
        self.course.passed(1);
        self.course.refuse(refusal);
    }

    /// A client that has ended its side may still read what it asked for, or may be gone: only a reset tells, which comes
    /// at the latest in answer to something that is written. Nobody wakes for it behind the end of what is read.
    fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            if let Ok(Some(error)) | Err(error) = self.stream.take_error() {
                return Poll::Ready(error);
            }
            let looking = self.looking.get_or_insert_with(|| Box::pin(sleep(LOOK_EVERY)));
            ready!(looking.as_mut().poll(context));
            looking.set(sleep(LOOK_EVERY));
        }
    }

    /// What the connection waits for now.
    fn awaits(&self) -> Awaited {
        match (self.framing.is_at_head(), self.held.is_empty()) {
            (true, false) => Awaited::RestOfHead,
            (true, true) if self.course.is_idle() => Awaited::Request,
            _ => Awaited::Nothing,
        }
    }

    /// Whether the client took too long for what is awaited.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let awaited = self.awaits();
        if awaited != self.awaited {
            self.awaited = awaited;
            match awaited {
                Awaited::Nothing | Awaited::Request => self.wait(self.patience.idle),
                Awaited::RestOfHead => self.wait(self.patience.head),
            }
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            if self.alarm.deadline() < self.until {
                self.alarm.as_mut().reset(self.until);
            } else if awaited == Awaited::Nothing {
                // Nobody says here when an answer is out: to look again now and then costs less than to be told.
                self.wait(self.patience.idle);
            } else {
                return true;
            }
        }
        false
    }

    /// Has the client be late in `patience` from now on.
    fn wait(&mut self, patience: Duration) {
        let fresh = sleep(patience);
        self.until = fresh.deadline();
        if self.until < self.alarm.deadline() || self.alarm.is_elapsed() {
            self.alarm.set(fresh);
        }
    }

    /// What a flush or an end came to: what TLS has sealed and the socket has not taken is as good as not written.
    fn done(&mut self, context: &mut Context<'_>, done: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if !self.stream.holds_back() {
            return done;
        }
        self.written(context, done.map_ok(|()| 0)).map_ok(|_| ())
    }

    /// What a write came to, with the time that the client may take nothing.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = &written {
            if let Some((since, _)) = self.stuck.take() {
                self.credit.spend(since.elapsed());
                self.course.flows();
            }
            self.credit.earn(result.as_ref().map_or(0, |bytes| *bytes as u64));
            return written;
        }
        self.course.stuck();
        let left = self.credit.left();
        let (_, stuck) = self.stuck.get_or_insert_with(|| (Stopwatch::start(), Box::pin(sleep(left))));
        ready!(stuck.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl Drop for Rim {
    /// A connection that ends says that its last answer is whole, where nothing else says so; one that is reset does not.
    fn drop(&mut self) {
        if self.course.is_broken_off() {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Rim {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rim = &mut *self;
        loop {
            if rim.clear > 0 {
                rim.pass(buffer);
                return Poll::Ready(Ok(()));
            }
            match rim.ended {
                Some(Ended::Closed) => return Poll::Ready(Ok(())),
                // The answer closes the connection; to end here would take it away.
                Some(Ended::Refused) => return Poll::Pending,
                None => {}
            }
            if rim.framing.is_undecided() {
                match rim.course.decision(context) {
                    None => return Poll::Pending,
                    Some(another) => rim.framing.decide(another),
                }
                rim.look_at_held();
                continue;
            }
            let read = if rim.held.is_empty() {
                let before = buffer.filled().len();
                let read = Pin::new(&mut rim.stream).poll_read(context, buffer)?;
                read.map(|()| {
                    let bytes = &buffer.filled()[before..];
                    let length = bytes.len();
                    let look = rim.framing.look(bytes);
                    rim.held.extend_from_slice(&bytes[look.clear..]);
                    buffer.set_filled(before + look.clear);
                    rim.note(&look);
                    (length, look.clear)
                })
            } else {
                let read = rim.poll_hold(context)?;
                read.map(|length| {
                    rim.look_at_held();
                    (length, 0)
                })
            };
            match read {
                Poll::Ready((_, 1..)) => return Poll::Ready(Ok(())),
                // The library would take the end of the requests for the client's, and end the answer. It asks again when
                // the answer is out.
                Poll::Ready((0, _)) if rim.framing.is_at_head() && !rim.course.is_answered() => {
                    return rim.poll_reset(context).map(Err);
                }
                Poll::Ready((0, _)) => return Poll::Ready(Ok(())),
                Poll::Ready(_) => {}
                Poll::Pending if rim.is_late(context) => match rim.awaited {
                    Awaited::RestOfHead => rim.refuse(Violation::HeadSlow),
                    _ => rim.ended = Some(Ended::Closed),
                },
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for Rim {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.done(context, flushed)
    }

    /// Ends the answers, then reads away what may still come and is not wanted: closing over unread bytes would reset
    /// the connection, and take the last answer away from the client (RFC 9112 §9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let rim = &mut *self;
        if rim.lingering.is_none() {
            let ended = Pin::new(&mut rim.stream).poll_shutdown(context);
            ready!(rim.done(context, ended))?;
            if !rim.course.is_left_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = rim.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if lingering.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut unread = [0; 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut unread);
            ready!(Pin::new(&mut rim.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::room::Seats;
    use super::*;
    use crate::services::faults::arriving::Arrived;

    /// What the last answer left behind is as good as a request: who makes room is somebody else.
    #[tokio::test]
    async fn a_connection_whose_answer_is_not_taken_makes_no_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let seats = Seats::new(1);
        let course = Arc::new(Course::new(seats.take().await.unwrap()));
        let mut rim = Rim::new(Line::Plain(Arrived::whole(stream)), course.clone(), Patience::default());
        let mut written = 0;
        let write = async |rim: &mut Rim| {
            std::future::poll_fn(|context| {
                Poll::Ready(match Pin::new(&mut *rim).poll_write(context, &[0; 65_536]) {
                    Poll::Ready(more) => Some(more.unwrap()),
                    Poll::Pending => None,
                })
            })
            .await
        };
        while let Some(more) = write(&mut rim).await {
            written += more;
        }
        assert!(!course.is_idle());
        assert!(seats.take().await.is_none());
        let mut all = vec![0; written + 1];
        let (sent, taken) = tokio::join!(rim.write_all(b"."), client.read_exact(&mut all));
        sent.unwrap();
        taken.unwrap();
        assert!(course.is_idle());
        let newcomer = tokio::spawn(async move { seats.take().await.is_some() });
        course.asked_to_leave().await;
        drop((rim, course));
        assert!(newcomer.await.unwrap());
    }
}
