//! Streams (RFC 7766): questions behind their lengths, answered in their order on one connection.
//!
//! At most 256 connections are open; one more ends the one that has been silent longest, so that idle ones
//! cannot keep others out (RFC 7766 §6.2.3).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::{KEEPALIVE_TENTHS, answer};
use super::shelf::Shelf;
use super::told;
use crate::ground::bind::Transport;
use crate::ground::clock::Stopwatch;
use crate::ground::journal::Journal;
use crate::ground::service::{Closed, DRAIN};

/// Connections that are open at once.
const CONNECTIONS_MOST: usize = 256;

/// How long a connection may be silent, or slow to take an answer.
const IDLE: Duration = Duration::from_millis(KEEPALIVE_TENTHS as u64 * 100);

/// A pause when no connection can be accepted (no descriptors left), so that this does not burn the processor.
const BREATH: Duration = Duration::from_millis(50);

/// Octets that are read at once.
const READ_AHEAD: usize = 1024;

/// One open connection, as the listener knows it.
struct Open {
    /// When it last asked, counted in questions of all connections.
    last_asked: AtomicU64,
    end: CancellationToken,
}

/// Accepts and answers until `stop`, then lets open answers finish.
pub(super) async fn serve(
    listener: TcpListener,
    shelf: Arc<Shelf>,
    journal: Journal,
    stop: CancellationToken,
) -> Closed {
    let turn = Arc::new(AtomicU64::new(0));
    let mut open: Vec<Arc<Open>> = Vec::new();
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = conversations.join_next() => {
                open.retain(|connection| !connection.end.is_cancelled());
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, client)) = accepted else {
            sleep(BREATH).await;
            continue;
        };
        if open.len() >= CONNECTIONS_MOST {
            end_the_most_silent(&mut open);
        }
        let connection = Arc::new(Open {
            last_asked: AtomicU64::new(turn.fetch_add(1, Ordering::Relaxed)),
            end: stop.child_token(),
        });
        open.push(connection.clone());
        let conversation = Conversation {
            client,
            shelf: shelf.clone(),
            journal: journal.clone(),
            turn: turn.clone(),
            connection,
        };
        conversations.spawn(conversation.hold(stream));
    }
    drop(listener);
    let drained = timeout(DRAIN, async { while conversations.join_next().await.is_some() {} }).await;
    let cut = if drained.is_ok() { 0 } else { conversations.len() };
    conversations.shutdown().await;
    Closed { cut }
}

fn end_the_most_silent(open: &mut Vec<Arc<Open>>) {
    let silent =
        open.iter().enumerate().min_by_key(|(_, connection)| connection.last_asked.load(Ordering::Relaxed));
    if let Some((index, connection)) = silent {
        connection.end.cancel();
        open.swap_remove(index);
    }
}

struct Conversation {
    client: SocketAddr,
    shelf: Arc<Shelf>,
    journal: Journal,
    turn: Arc<AtomicU64>,
    connection: Arc<Open>,
}

impl Conversation {
    async fn hold(self, mut stream: TcpStream) {
        // Answers are whole messages: waiting to join them with others only delays them.
        let _ = stream.set_nodelay(true);
        // Its end, however it comes about, needs no telling: the asker closed, was silent, or left.
        let _ = self.answer_all(&mut stream).await;
        self.connection.end.cancel();
    }

    async fn answer_all(&self, stream: &mut TcpStream) -> io::Result<()> {
        let (read, mut write) = stream.split();
        let mut read = BufReader::with_capacity(READ_AHEAD, read);
        let (mut question, mut reply, mut framed) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let received = tokio::select! {
                () = self.connection.end.cancelled() => return Ok(()),
                received = timeout(IDLE, receive(&mut read, &mut question)) => received,
            };
            received??;
            let watch = Stopwatch::start();
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            self.connection.last_asked.store(turn, Ordering::Relaxed);
            let zones = self.shelf.snapshot();
            let Some(finished) = answer(&zones, &question, Transport::Tcp, &mut reply) else {
                return Ok(());
            };
            framed.clear();
            framed.extend_from_slice(&u16::try_from(reply.len()).unwrap_or(u16::MAX).to_be_bytes());
            framed.extend_from_slice(&reply);
            timeout(IDLE, write.write_all(&framed)).await??;
            self.journal.tell(|| told(finished, &reply, self.client, Transport::Tcp, watch));
        }
    }
}

async fn receive(
    read: &mut BufReader<tokio::net::tcp::ReadHalf<'_>>,
    question: &mut Vec<u8>,
) -> io::Result<()> {
    let length = read.read_u16().await?;
    question.clear();
    // Memory grows with what comes, not with what a length promises.
    let received = read.take(u64::from(length)).read_to_end(question).await?;
    if received < usize::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
