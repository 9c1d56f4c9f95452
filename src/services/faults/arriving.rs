//! What a broken way makes of what comes in over it, done by who is asked.
//!
//! It stands apart from [`super::edges`] because who dials can leave a question unsent, and who is asked meets it when it is
//! there already: the kernel has shaken hands, and has taken the datagram. So nothing is read or nothing is said here, for as
//! long as the way is so, and whoever waits does not learn more than over a way that lost every packet. Only the handshake of
//! TCP, which is the kernel's, is not lost. Whether anybody comes in at all is of [`super::gate`].

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::ReusableBoxFuture;

use super::narrow::Turn;
use super::{Active, Faults};
use crate::ground::fault::{Asked, EdgeWrong, Laid, Wrong};
use crate::ground::{connection, descriptors};

/// Connections that this end has given up while no packet would get through, at most: their ends are told when one would. Those of
/// more are told at once.
const UNTOLD_MOST: usize = 256;

/// How many of them are kept where so many descriptors may be open: each needs one.
pub(in crate::services) fn untold_most(descriptors: usize) -> usize {
    (descriptors / 16).clamp(1, UNTOLD_MOST)
}

impl Active {
    /// Nothing comes in.
    pub(super) fn is_cut(&self) -> bool {
        self.has(arriving(EdgeWrong::Cut))
    }

    /// Nothing goes out.
    pub(super) fn is_unheard(&self) -> bool {
        self.is_cut() || self.has(arriving(EdgeWrong::HalfOpen))
    }

    /// What is open is reset as soon as anything is said on it.
    fn is_reset(&self) -> bool {
        self.has(arriving(EdgeWrong::Reset))
    }

    /// Nobody listens.
    pub(in crate::services) fn is_refused(&self) -> bool {
        self.has(arriving(EdgeWrong::Refuse))
    }

    /// How many thousand bits a second answers have, if not all that there are.
    fn narrow(&self) -> Option<u64> {
        self.laid.iter().find_map(|(laid, _)| match laid.wrong {
            Wrong::Edge { asked: Asked::Here, wrong: EdgeWrong::Narrow { kilobits } } => Some(kilobits),
            _ => None,
        })
    }

    /// Whether the next datagram is lost.
    fn loses(&self) -> bool {
        let lost = |laid: &Laid| laid.wrong == arriving(EdgeWrong::Lost);
        !self.strike(lost).is_empty()
    }
}

/// This, of the way to the service itself.
fn arriving(wrong: EdgeWrong) -> Wrong {
    Wrong::Edge { asked: Asked::Here, wrong }
}

impl Faults {
    /// Whether a datagram that has come is to be read.
    pub(in crate::services) fn hears(&self) -> bool {
        self.now().is_none_or(|active| !active.is_cut() && !active.loses())
    }

    /// Whether a datagram that answers is to be sent.
    pub(in crate::services) fn speaks(&self) -> bool {
        self.now().is_none_or(|active| !active.is_unheard() && !active.loses())
    }
}

/// A connection that was accepted, over a way that may be broken.
pub(in crate::services) struct Arrived {
    stream: TcpStream,
    faults: Faults,
    /// What is waited for before anything is read again, and before anything is written.
    reading: Thaw,
    writing: Thaw,
    /// Its turn on a way that is narrow.
    turn: Turn,
    /// Whether it was cut when something may have come: whoever has left since then is not to have done what they asked for.
    was_cut: bool,
    is_reset: bool,
}

/// The end of a fault; nothing while there is none.
type Thaw = Option<ReusableBoxFuture<'static, ()>>;

impl Arrived {
    /// `stream`, the way of which is broken as `faults` says, and was cut until now as `was_cut` says.
    pub(super) fn new(stream: TcpStream, faults: Faults, was_cut: bool) -> Self {
        Self { stream, faults, reading: None, writing: None, turn: Turn::default(), was_cut, is_reset: false }
    }

    /// `stream`, with the way of which nothing is ever wrong.
    #[cfg(test)]
    pub(in crate::services) fn whole(stream: TcpStream) -> Self {
        Self::new(stream, Faults::default(), false)
    }

    /// What the socket has to say, once.
    pub(in crate::services) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream.take_error()
    }

    /// Has its end be a reset.
    pub(in crate::services) fn set_zero_linger(&self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    /// Waits for something to read.
    pub(in crate::services) fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_heard(context))?;
        self.stream.poll_read_ready(context)
    }

    /// Waits until something may be read.
    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.was_cut |= ready!(poll_thaw(&self.faults, &mut self.reading, Active::is_cut, context));
        if std::mem::take(&mut self.was_cut) && connection::is_left(&self.stream) {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        if self.is_reset {
            return Poll::Ready(self.reset());
        }
        if self.resets() {
            // An end in order is passed on.
            if ready!(self.stream.poll_peek(context, &mut ReadBuf::new(&mut [0])))? > 0 {
                return Poll::Ready(self.reset());
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until something may be said.
    fn poll_speaks(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(poll_thaw(&self.faults, &mut self.writing, Active::is_unheard, context));
        Poll::Ready(if self.resets() { self.reset() } else { Ok(()) })
    }

    /// Writes some of `bytes`, when it is its turn to.
    fn poll_say(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(rate) = self.faults.now().and_then(|active| active.narrow()) else {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        let most = ready!(self.turn.poll(&self.faults.0.line, rate, context));
        let said = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..bytes.len().min(most)]))?;
        self.faults.0.line.takes(said, rate);
        Poll::Ready(Ok(said))
    }

    fn resets(&self) -> bool {
        self.is_reset || self.faults.now().is_some_and(|active| active.is_reset())
    }

    /// Has it be reset as soon as it is given up, which its owner is told to do.
    fn reset(&mut self) -> io::Result<()> {
        self.is_reset = true;
        self.stream.set_zero_linger()?;
        Err(ErrorKind::ConnectionReset.into())
    }
}

/// Waits until the way is not `frozen` any more; whether it was.
fn poll_thaw(
    faults: &Faults,
    thaw: &mut Thaw,
    frozen: fn(&Active) -> bool,
    context: &mut Context<'_>,
) -> Poll<bool> {
    if thaw.is_none() && !faults.now().is_some_and(|active| frozen(&active)) {
        return Poll::Ready(false);
    }
    let end = thaw.get_or_insert_with(|| {
        let mut wrong = faults.watch();
        ReusableBoxFuture::new(async move { wrong.until(false, frozen).await })
    });
    ready!(end.poll(context));
    *thaw = None;
    Poll::Ready(true)
}

impl Drop for Arrived {
    fn drop(&mut self) {
        if self.is_reset || !self.faults.now().is_some_and(|active| active.is_unheard()) {
            return;
        }
        // Whoever has left does not hear it.
        if connection::is_left(&self.stream) {
            return;
        }
        // The kernel would say at once that it is over, to somebody to whom nothing gets through.
        let mut untold = self.faults.0.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let most = untold_most(descriptors::most());
        if untold.len() >= most {
            untold.retain(|kept| !connection::is_left(kept));
        }
        if untold.len() < most
            && let Ok(kept) = self.stream.as_fd().try_clone_to_owned()
        {
            untold.push(kept);
        }
    }
}

impl fmt::Debug for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Arrived").field(&self.stream).finish()
    }
}

impl AsyncRead for Arrived {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_heard(context))?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Arrived {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_speaks(context))?;
        self.poll_say(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_speaks(context))?;
        if self.faults.now().is_some() {
            let piece = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
            return self.poll_say(context, piece);
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_reset {
            // An end in order would go before the reset.
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_speaks(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;
    use crate::ground::chance::Stream;
    use crate::ground::clock::Stopwatch;
    use crate::ground::fault::{FaultSet, When};

    async fn pair(faults: &Faults) -> (TcpStream, Arrived) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (client, Arrived::new(stream, faults.clone(), false))
    }

    fn lay(faults: &Faults, generation: u64, wrong: Option<EdgeWrong>) {
        let laid = wrong.map(|wrong| Laid { id: 1, wrong: arriving(wrong), when: When::Always, only: None });
        faults.take(FaultSet { generation, laid: laid.into_iter().collect() });
    }

    /// Whether `waiting` is not ready though everything that could make it so has happened.
    async fn waits<F: Future + Unpin>(waiting: &mut F) -> bool {
        timeout(Duration::from_millis(20), waiting).await.is_err()
    }

    #[tokio::test]
    async fn what_is_cut_is_read_when_it_is_whole_again() {
        let faults = Faults::default();
        let (mut client, mut here) = pair(&faults).await;
        lay(&faults, 1, Some(EdgeWrong::Cut));
        client.write_all(b"question").await.unwrap();
        let mut read = [0; 8];
        {
            let mut reading = Box::pin(here.read_exact(&mut read));
            assert!(waits(&mut reading).await);
            lay(&faults, 2, None);
            reading.await.unwrap();
        }
        assert_eq!(&read, b"question");
        here.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
    }

    #[tokio::test]
    async fn who_left_while_it_was_cut_has_asked_for_nothing() {
        let faults = Faults::default();
        let (mut client, mut here) = pair(&faults).await;
        lay(&faults, 1, Some(EdgeWrong::Cut));
        client.write_all(b"question").await.unwrap();
        drop(client);
        // So it is on the loopback interface: what was sent is there when sending it is over.
        let mut read = [0; 8];
        let mut reading = Box::pin(here.read_exact(&mut read));
        assert!(waits(&mut reading).await);
        lay(&faults, 2, None);
        assert_eq!(reading.await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_is_half_open_is_read_and_answered_when_it_is_whole_again() {
        let faults = Faults::default();
        let (mut client, mut here) = pair(&faults).await;
        lay(&faults, 1, Some(EdgeWrong::HalfOpen));
        client.write_all(b"question").await.unwrap();
        let mut read = [0; 8];
        here.read_exact(&mut read).await.unwrap();
        {
            let mut writing = Box::pin(here.write_all(b"answer"));
            assert!(waits(&mut writing).await);
            lay(&faults, 2, None);
            writing.await.unwrap();
        }
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_is_told_of_an_end_over_a_way_that_is_cut() {
        let faults = Faults::default();
        let (mut client, here) = pair(&faults).await;
        lay(&faults, 1, Some(EdgeWrong::HalfOpen));
        drop(here);
        let mut read = [0; 1];
        {
            let mut hearing = Box::pin(client.read(&mut read));
            assert!(waits(&mut hearing).await);
            lay(&faults, 2, Some(EdgeWrong::Cut));
            assert!(waits(&mut hearing).await);
            lay(&faults, 3, None);
            assert_eq!(hearing.await.unwrap(), 0);
        }
    }

    /// Waits until the other end of `kept` is gone.
    async fn left(kept: &impl AsFd) {
        while !connection::is_left(kept) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_has_left_takes_no_place_among_those_who_are_told_later() {
        let faults = Faults::default();
        let kept = || faults.0.untold.lock().unwrap().len();
        // Another test may raise it meanwhile; more it does not become.
        let most = untold_most(descriptors::raise());
        lay(&faults, 1, Some(EdgeWrong::HalfOpen));
        let (client, here) = pair(&faults).await;
        drop(client);
        left(&here.stream).await;
        drop(here);
        assert_eq!(kept(), 0, "left before it was given up");
        let mut clients = Vec::new();
        for _ in 0..most {
            let (client, here) = pair(&faults).await;
            drop(here);
            clients.push(client);
        }
        assert_eq!(kept(), most);
        let (mut told, here) = pair(&faults).await;
        drop(here);
        assert_eq!(told.read(&mut [0; 1]).await.unwrap(), 0, "there is no place for it");
        clients.truncate(1);
        let gone: Vec<OwnedFd> = {
            let untold = faults.0.untold.lock().unwrap();
            untold[1..].iter().map(|kept| kept.try_clone().unwrap()).collect()
        };
        for kept in gone {
            left(&kept).await;
        }
        let (client, here) = pair(&faults).await;
        drop(here);
        clients.push(client);
        assert_eq!(kept(), 2, "those who have left since have made place");
        for client in &mut clients {
            assert!(waits(&mut Box::pin(client.read(&mut [0; 1]))).await);
        }
        lay(&faults, 2, None);
        assert_eq!(kept(), 0);
    }

    #[tokio::test]
    async fn what_is_open_is_reset_when_something_is_said() {
        let faults = Faults::default();
        let (mut client, mut here) = pair(&faults).await;
        lay(&faults, 1, Some(EdgeWrong::Reset));
        let mut read = [0; 8];
        {
            let mut reading = Box::pin(here.read_exact(&mut read));
            assert!(waits(&mut reading).await, "silence is not reset");
            client.write_all(b"question").await.unwrap();
            assert_eq!(reading.await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        // Nor does an end in order go before it.
        here.shutdown().await.unwrap();
        drop(here);
        assert_eq!(client.read(&mut read).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_is_narrow_comes_whole_and_in_no_less_time_than_its_bits_take() {
        let faults = Faults::default();
        let (mut client, mut here) = pair(&faults).await;
        lay(&faults, 1, Some(EdgeWrong::Narrow { kilobits: 800 }));
        let said: Vec<u8> = (0..20_000).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let watch = Stopwatch::start();
        let mut heard = vec![0; said.len()];
        let (written, read) = tokio::join!(here.write_all(&said), client.read_exact(&mut heard));
        written.unwrap();
        read.unwrap();
        assert_eq!(heard, said);
        // 160,000 bits, of which the last piece need not wait.
        assert!(watch.elapsed() > Duration::from_millis(150), "{:?}", watch.elapsed());
    }

    #[test]
    fn datagrams_are_lost_each_way_and_the_same_ones_again() {
        let lost = |seed| {
            let faults = Faults::default();
            let when = When::Chance { millionths: 300_000, stream: Stream::of(seed, 1) };
            let laid = vec![Laid { id: 1, wrong: arriving(EdgeWrong::Lost), when, only: None }];
            faults.take(FaultSet { generation: 1, laid });
            (0..500).flat_map(|_| [faults.hears(), faults.speaks()]).collect::<Vec<bool>>()
        };
        let first = lost(7);
        let count = first.iter().filter(|passes| !**passes).count();
        assert!((200..400).contains(&count), "{count} of 1000");
        assert_eq!(first, lost(7));
        assert_ne!(first, lost(8));
        let faults = Faults::default();
        assert!(faults.hears() && faults.speaks());
        lay(&faults, 1, Some(EdgeWrong::HalfOpen));
        assert!(faults.hears() && !faults.speaks());
        lay(&faults, 2, Some(EdgeWrong::Cut));
        assert!(!faults.hears() && !faults.speaks());
    }
}
