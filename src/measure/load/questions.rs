//! Asks for a name by DNS over UDP (RFC 1035 §4.2.1), from a few sockets. A datagram that is lost is a time-out: nothing is
//! asked twice.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::{spawn_local, yield_now};
use tokio::time::sleep;

use super::counted::Kind;
use super::generator::Ticket;
use crate::dns::message::asked::query;
use crate::dns::name::Name;
use crate::dns::types::RecordType;
use crate::ground::{bind, clock};

/// Sockets to ask from.
const SOCKETS: usize = 4;
/// Questions under way from one socket: it has 65,536 identifiers.
const UNDER_WAY_MOST: usize = 60_000;
/// Between two looks at whose time is over.
const LOOKS_EVERY: Duration = Duration::from_millis(10);
/// Answers in a row; then others have their turn.
const IN_A_ROW: usize = 64;
/// The longest answer there is.
const LONGEST_ANSWER: usize = 65_535;
/// Octets of a header.
const HEADER: usize = 12;

/// A name to ask for.
#[derive(Debug, Clone)]
pub struct Question {
    /// The name server or resolver.
    pub server: SocketAddr,
    /// The name.
    pub name: Name,
    /// What of it.
    pub record_type: RecordType,
}

/// Those that ask for it.
pub(super) struct Questions {
    askers: Vec<Rc<Asker>>,
    next: Cell<usize>,
}

struct Asker {
    socket: UdpSocket,
    /// The question, whose first two octets are the identifier.
    question: Vec<u8>,
    under_way: RefCell<HashMap<u16, Ticket>>,
    /// Identifiers, and when each's time is over, in that order.
    order: RefCell<VecDeque<(Instant, u16)>>,
    next: Cell<u16>,
}

impl Questions {
    pub(super) async fn new(question: Question) -> io::Result<Self> {
        let from: IpAddr = match question.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut askers = Vec::new();
        for _ in 0..SOCKETS {
            let socket = bind::udp(SocketAddr::new(from, 0)).map_err(|error| error.source)?;
            // Answers of others do not arrive, and a closed port is an error here (RFC 1122 §4.1.3.3).
            socket.connect(question.server).await?;
            // Until the event loop has seen that, it holds nothing for sendable.
            socket.writable().await?;
            let asker = Rc::new(Asker {
                socket,
                question: query(0, &question.name, question.record_type),
                under_way: RefCell::default(),
                order: RefCell::default(),
                next: Cell::new(0),
            });
            spawn_local(hear(asker.clone()));
            spawn_local(sweep(asker.clone()));
            askers.push(asker);
        }
        Ok(Self { askers, next: Cell::new(0) })
    }

    /// Sends one.
    pub(super) fn send(&self, ticket: Ticket) {
        let turn = self.next.get();
        self.next.set((turn + 1) % self.askers.len());
        self.askers[turn].send(ticket);
    }
}

impl Asker {
    fn send(&self, ticket: Ticket) {
        let Some(id) = self.free_identifier() else {
            return ticket.failed(Kind::Here);
        };
        let mut question = self.question.clone();
        question[..2].copy_from_slice(&id.to_be_bytes());
        match self.socket.try_send(&question) {
            Ok(_) => {
                self.order.borrow_mut().push_back((ticket.deadline(), id));
                self.under_way.borrow_mut().insert(id, ticket);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ticket.failed(Kind::Here),
            Err(error) => {
                ticket.failed(Kind::of(&error));
                self.fails(&error);
            }
        }
    }

    /// An identifier that no question under way has, if there are not too many.
    fn free_identifier(&self) -> Option<u16> {
        let under_way = self.under_way.borrow();
        if under_way.len() >= UNDER_WAY_MOST {
            return None;
        }
        let mut id = self.next.get();
        while under_way.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        self.next.set(id.wrapping_add(1));
        Some(id)
    }

    /// An error of the socket says of none which it was for: a closed port is one for all.
    fn fails(&self, error: &io::Error) {
        let all = std::mem::take(&mut *self.under_way.borrow_mut());
        all.into_values().for_each(|ticket| ticket.failed(Kind::of(error)));
    }

    fn heard(&self, answer: &[u8]) {
        let Some(&[high, low]) = answer.first_chunk() else { return };
        let id = u16::from_be_bytes([high, low]);
        // What is no answer to a question under way is passed over; the answer may still come.
        let Some(outcome) = read(answer, &self.question) else { return };
        let Some(ticket) = self.under_way.borrow_mut().remove(&id) else { return };
        match outcome {
            None => ticket.answered(),
            Some(kind) => ticket.failed(kind),
        }
    }

    /// Ends those whose time is over.
    fn expire(&self, now: Instant) {
        let mut order = self.order.borrow_mut();
        let mut under_way = self.under_way.borrow_mut();
        while let Some(&(deadline, id)) = order.front()
            && deadline <= now
        {
            order.pop_front();
            // Its number may have been given again since it was answered.
            if under_way.get(&id).is_some_and(|ticket| ticket.deadline() <= now)
                && let Some(ticket) = under_way.remove(&id)
            {
                ticket.failed(Kind::Timeout);
            }
        }
    }
}

/// What `answer` is to `question`: nothing, or an answer that is good (`Some(None)`) or is not. No more of it is read than that.
pub(in crate::measure) fn read(answer: &[u8], question: &[u8]) -> Option<Option<Kind>> {
    let &[_, _, flags, codes, _, _, high, low] = answer.first_chunk()?;
    let asked = question.get(HEADER..question.len() - OPT)?;
    if flags & 0x80 == 0 || !answer.get(HEADER..)?.get(..asked.len())?.eq_ignore_ascii_case(asked) {
        return None;
    }
    Some(match (codes & 0x0f, u16::from_be_bytes([high, low])) {
        (0, 0) => Some(Kind::Empty),
        (0, _) => None,
        (rcode, _) => Some(Kind::Rcode(rcode.into())),
    })
}

/// Octets of the OPT at the end of a question.
const OPT: usize = 11;

async fn hear(asker: Rc<Asker>) {
    let mut buffer = vec![0; LONGEST_ANSWER];
    loop {
        if asker.socket.readable().await.is_err() {
            return;
        }
        for _ in 0..IN_A_ROW {
            match asker.socket.try_recv(&mut buffer) {
                Ok(length) => asker.heard(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => asker.fails(&error),
            }
        }
        yield_now().await;
    }
}

async fn sweep(asker: Rc<Asker>) {
    loop {
        sleep(LOOKS_EVERY).await;
        asker.expire(clock::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_question() {
        let question = query(7, &"www.foobar.com".parse().unwrap(), RecordType::A);
        let answered = |codes: u8, answers: u8| {
            let mut answer = question.clone();
            (answer[2], answer[3], answer[7]) = (0x80, codes, answers);
            answer
        };
        assert_eq!(read(&answered(0, 1), &question), Some(None));
        assert_eq!(read(&answered(0, 0), &question), Some(Some(Kind::Empty)));
        assert_eq!(read(&answered(2, 0), &question), Some(Some(Kind::Rcode(2))));
        assert_eq!(read(&question, &question), None, "a question is no answer");
        let mut other = answered(0, 1);
        other[13] = b'x';
        assert_eq!(read(&other, &question), None);
        other[13] = b'W';
        assert_eq!(read(&other, &question), Some(None), "in another case it is the same name");
        for length in 0..question.len() - OPT {
            assert_eq!(read(&answered(0, 1)[..length], &question), None);
        }
    }
}
