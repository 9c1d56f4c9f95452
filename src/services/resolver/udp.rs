//! Datagrams: a task per question, since an answer may take a walk, and a bound on their number.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ground::bind::{self, Transport};
use crate::ground::datagrams::Datagrams;
use crate::ground::journal::Journal;
use crate::services::faults::{Active, gate};

use super::asked;
use super::front::Front;

/// Questions that are being answered at a time; more are lost, as datagrams are, and asked again.
const QUESTIONS_MOST: usize = 1024;
/// The longest question that is read, in octets; a longer one is cut, and so not readable.
const LONGEST_QUESTION: usize = 4096;
/// A pause after an error of the socket, so that one that lasts does not burn the processor.
const BREATH: Duration = Duration::from_millis(10);

/// Answers at `address` until `stop`.
pub(super) async fn serve(
    mut socket: Datagrams,
    address: SocketAddr,
    front: Front,
    journal: Journal,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = answer_all(socket, &front, &journal) => {}
        }
        // The port is closed, and opened again when it is not to be closed any more.
        let bind = || bind::udp(address).map_err(|error| error.source).and_then(Datagrams::new);
        tokio::select! {
            () = stop.cancelled() => return,
            again = gate::again(address, Transport::Udp, bind, front.faults(), &journal) => socket = again,
        }
    }
}

/// Answers until the port is to be closed, which it is then: questions that are under way are lost with it, as datagrams are.
async fn answer_all(socket: Datagrams, front: &Front, journal: &Journal) {
    let (socket, mut wrong) = (Arc::new(socket), front.faults().watch());
    let mut buffer = vec![0; LONGEST_QUESTION];
    let mut under_way = JoinSet::new();
    let mut refused = pin!(wrong.until(true, Active::is_refused));
    loop {
        if front.faults().now().is_some_and(|active| active.is_refused()) {
            return under_way.shutdown().await;
        }
        // In this order: where many ask, it costs nothing to see the faults change, which are looked at before each.
        let ready = tokio::select! {
            biased;
            Some(_) = under_way.join_next() => continue,
            ready = socket.readable(), if under_way.len() < QUESTIONS_MOST => ready,
            () = &mut refused => return under_way.shutdown().await,
        };
        match ready.and_then(|()| socket.try_receive(&mut buffer)) {
            Ok(_) if !front.faults().hears() => {}
            Ok((length, sender)) => {
                let (question, socket, front) = (buffer[..length].to_vec(), socket.clone(), front.clone());
                under_way.spawn(async move {
                    let reply = asked::answer(&front, question, sender.address, Transport::Udp).await;
                    if let Some(reply) = reply.filter(|_| front.faults().speaks()) {
                        // An answer that cannot be sent is lost, as datagrams are: its asker asks again.
                        let _ = socket.send(&reply, sender).await;
                    }
                });
            }
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
            Err(cause) => {
                journal.note(format!("the UDP socket fails ({cause}); going on"));
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}
