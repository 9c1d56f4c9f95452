//! Tells other name servers that a zone changed (NOTIFY, RFC 1996), so that they need not wait until they ask.
//!
//! Each is told by a task of its own, over UDP from the server's own address, which it knows its primary by. Who does not
//! answer is told again, ever later, and given up after [`TIMES_MOST`]: it will ask by itself (§3.6). An edit while it is
//! being told starts afresh with the new serial.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::shelf::Shelf;
use super::zones::Served;
use crate::dns::message::tsig::{Checker, Key, Signer};
use crate::dns::message::{Flags, asked, tsig};
use crate::dns::name::Name;
use crate::dns::types::{Rcode, RecordType};
use crate::ground::event::Happened;
use crate::ground::journal::Journal;
use crate::ground::{bind, chance, clock};

/// How often one is told of one version (§3.6 proposes 5).
const TIMES_MOST: u32 = 5;

/// How long the first answer is waited for; twice as long each time, so half a minute in all.
const PATIENCE: Duration = Duration::from_secs(1);

/// NOTIFY, and the sender is the authority (§3.7).
const FLAGS: u16 = 0x2000 | Flags::AA;

/// Who is told.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) key: Option<Arc<Key>>,
}

/// Tells `listener` of every zone of `shelf` now, and of each that changes, until `stop`.
pub(super) async fn tell(
    listener: Listener,
    own: IpAddr,
    shelf: Arc<Shelf>,
    journal: Journal,
    stop: CancellationToken,
) {
    let mut changes = shelf.changes();
    let mut told: HashMap<Vec<u8>, u32> = HashMap::new();
    let telling = async {
        loop {
            changes.mark_unchanged();
            let zones = shelf.snapshot();
            let news: Vec<(Name, u32)> = zones
                .iter()
                .filter_map(|served| match served {
                    Served::Zone(zone) => Some((zone.origin().clone(), zone.serial())),
                    Served::Broken => None,
                })
                .filter(|(origin, serial)| told.get(origin.to_lowercase().as_wire()) != Some(serial))
                .collect();
            drop(zones);
            for (origin, serial) in news {
                let place = origin.to_lowercase().as_wire().to_vec();
                // Until it has been told, also where that is broken off: a zone may go back to the serial that was told before.
                told.remove(&place);
                let outcome = tell_one(&listener, own, &origin, &mut changes).await;
                if let Some(outcome) = outcome {
                    told.insert(place, serial);
                    let (origin, server) = (origin.to_string(), listener.address);
                    journal.tell(|| Happened::Notified { origin, server, serial, outcome });
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = telling => {}
    }
}

/// What `listener` answered; nothing if the zones changed before it did.
async fn tell_one(
    listener: &Listener,
    own: IpAddr,
    origin: &Name,
    changes: &mut watch::Receiver<u64>,
) -> Option<String> {
    let mut patience = PATIENCE;
    let mut last = "no answer".to_owned();
    for _ in 0..TIMES_MOST {
        let attempt = timeout(patience, ask(listener, own, origin));
        let end = clock::now() + patience;
        let answered = tokio::select! {
            answered = attempt => answered,
            // Nobody but this task marks changes as seen.
            Ok(()) = changes.changed() => {
                changes.mark_changed();
                return None;
            }
        };
        match answered {
            Ok(Ok(outcome)) => return Some(outcome),
            Ok(Err(cause)) => {
                last = format!("no answer ({cause})");
                // Whoever refuses at once is not asked again at once.
                tokio::select! {
                    () = tokio::time::sleep_until(end.into()) => {}
                    Ok(()) = changes.changed() => {
                        changes.mark_changed();
                        return None;
                    }
                }
            }
            Err(_) => {}
        }
        patience *= 2;
    }
    Some(last)
}

async fn ask(listener: &Listener, own: IpAddr, origin: &Name) -> io::Result<String> {
    let own = match (own, listener.address) {
        // A server at one kind of address may have listeners of the other kind.
        (IpAddr::V4(_), SocketAddr::V6(_)) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        (IpAddr::V6(_), SocketAddr::V4(_)) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        _ => own,
    };
    let socket: UdpSocket = bind::udp((own, 0).into()).map_err(|cause| cause.source)?;
    socket.connect(listener.address).await?;
    let id = chance::random_u16();
    let mut message = asked::plain_query(id, origin, RecordType::SOA, false);
    message[2..4].copy_from_slice(&FLAGS.to_be_bytes());
    let checker = listener.key.clone().map(|key| {
        let mut signer = Signer::of_question(key);
        signer.sign(&mut message, clock::unix_millis() / 1_000);
        Checker::of_answer(signer)
    });
    socket.send(&message).await?;
    let mut checker = checker;
    let mut reply = [0; 4096];
    loop {
        let length = socket.recv(&mut reply).await?;
        let reply = &reply[..length];
        // What is no answer to this may be anybody's.
        let Some((rcode, is_cut)) = answer_to(reply, id) else {
            continue;
        };
        if is_cut && checker.is_none() {
            // It wants to know first whether this address is forged.
            return ask_over_stream(listener.address, own, &message, id).await;
        }
        if let Some(checker) = &mut checker {
            let start = tsig::find(reply).unwrap_or_default();
            if let Err(why) = checker.check(reply, start, true, clock::unix_millis() / 1_000) {
                return Ok(format!("{rcode}, but {why}"));
            }
        }
        return Ok(rcode.to_string());
    }
}

/// Tells `address` with `message`, which is not signed, on a connection of its own.
async fn ask_over_stream(address: SocketAddr, own: IpAddr, message: &[u8], id: u16) -> io::Result<String> {
    let socket = match own {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind((own, 0).into())?;
    let mut stream = socket.connect(address).await?;
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
    stream.write_all(&[&length[..], message].concat()).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    let answer = answer_to(&reply, id).ok_or_else(|| io::Error::other("it answers something else"))?;
    Ok(answer.0.to_string())
}

/// What came of the message `id`, and whether the answer is cut.
fn answer_to(reply: &[u8], id: u16) -> Option<(Rcode, bool)> {
    let (head, _) = reply.split_first_chunk::<12>()?;
    let flags = u16::from_be_bytes([head[2], head[3]]);
    let is_answer =
        head[..2] == id.to_be_bytes() && flags & (Flags::QR | Flags::OPCODE) == Flags::QR | 0x2000;
    is_answer.then_some((Rcode(flags & 0xF), flags & Flags::TC != 0))
}
