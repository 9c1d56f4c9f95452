//! The name looked up at the lab's resolver: one question over UDP, octet by octet (RFC 1035 §4, RFC 6891).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::Trouble;
use crate::dns::message::asked::{Data, Response, query, read_response};
use crate::dns::name::Name;
use crate::dns::types::{Rcode, RecordType};
use crate::ground::bind;
use crate::ground::chance;
use crate::ground::clock::Stopwatch;

/// The resolver answers or gives up in 3 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Octets that an answer may have: more than was offered, so that one that is too long is seen as such.
const LONGEST_ANSWER: usize = 4096;

/// A look-up, and what came of it.
#[derive(Debug)]
pub struct Lookup {
    /// The name, in full.
    pub name: String,
    /// Who was asked.
    pub resolver: SocketAddr,
    /// From where; nothing if no socket could be had.
    pub from: Option<SocketAddr>,
    /// Octets of the question.
    pub question_bytes: usize,
    /// When it began, in microseconds since the request began.
    pub begins: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// What came.
    pub answered: Result<Answered, Trouble>,
}

/// An answer.
#[derive(Debug)]
pub struct Answered {
    /// It, as read.
    pub response: Response,
    /// Its octets.
    pub bytes: usize,
}

impl Lookup {
    /// The address that it found, at the end of whatever aliases.
    pub fn address(&self) -> Option<IpAddr> {
        let answered = self.answered.as_ref().ok()?;
        if answered.response.rcode != Rcode::NOERROR {
            return None;
        }
        answered.response.answers.iter().find_map(|record| match record.data {
            Data::Ipv4(address) => Some(IpAddr::V4(address)),
            _ => None,
        })
    }
}

/// Asks `resolver`, from `client`, for the address of `host`; waits 5 s at most.
pub async fn look_up(resolver: SocketAddr, client: IpAddr, host: &str, watch: &Stopwatch) -> Lookup {
    let begins = watch.micros();
    let mut lookup = Lookup {
        name: host.to_owned(),
        resolver,
        from: None,
        question_bytes: 0,
        begins,
        micros: 0,
        answered: Err(Trouble::Silent(u64::try_from(ANSWER_WITHIN.as_millis()).unwrap_or(u64::MAX))),
    };
    match host.trim_end_matches('.').parse::<Name>() {
        Ok(name) => {
            lookup.name = name.to_string();
            match timeout(ANSWER_WITHIN, ask(&mut lookup, client, &name)).await {
                Ok(answered) => lookup.answered = answered,
                // It is said already that nothing came.
                Err(_elapsed) => {}
            }
        }
        Err(error) => lookup.answered = Err(Trouble::Malformed(format!("{host} is no domain name: {error}"))),
    }
    lookup.micros = watch.micros() - begins;
    lookup
}

async fn ask(lookup: &mut Lookup, client: IpAddr, name: &Name) -> Result<Answered, Trouble> {
    let broken = |error: std::io::Error| Trouble::of(&error);
    let socket: UdpSocket = bind::udp(SocketAddr::new(client, 0)).map_err(|error| broken(error.source))?;
    socket.connect(lookup.resolver).await.map_err(broken)?;
    lookup.from = socket.local_addr().ok();
    let id = chance::random_u16();
    let question = query(id, name, RecordType::A);
    lookup.question_bytes = question.len();
    socket.send(&question).await.map_err(broken)?;
    let mut buffer = vec![0; LONGEST_ANSWER];
    loop {
        let bytes = socket.recv(&mut buffer).await.map_err(broken)?;
        match read_response(&buffer[..bytes]) {
            Ok(response) if response.id == id && answers(&response, name) => {
                return Ok(Answered { response, bytes });
            }
            // Not the answer to this question: it may still come.
            _ => {}
        }
    }
}

/// Whether it repeats the question, or cannot since it could not be read.
fn answers(response: &Response, name: &Name) -> bool {
    match &response.question {
        Some((asked, record_type)) => asked == name && *record_type == RecordType::A,
        None => response.rcode != Rcode::NOERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Answers the first question with each of `answers`, made of it.
    async fn answered(answers: Vec<fn(Vec<u8>) -> Vec<u8>>) -> Lookup {
        let server = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
        let resolver = server.local_addr().unwrap();
        let watch = Stopwatch::start();
        let serve = async {
            let mut question = vec![0; 512];
            let (length, client) = server.recv_from(&mut question).await.unwrap();
            for answer in answers {
                server.send_to(&answer(question[..length].to_vec()), client).await.unwrap();
            }
        };
        tokio::join!(look_up(resolver, LOOPBACK, "www.foobar.com", &watch), serve).0
    }

    /// The question as an answer without records.
    fn empty(mut question: Vec<u8>) -> Vec<u8> {
        question[2] |= 0x80;
        question
    }

    #[tokio::test]
    async fn what_is_no_answer_to_this_question_is_passed_over() {
        let lookup = answered(vec![
            |_| b"x".to_vec(),
            |question| question,
            |question| {
                let mut other = empty(question);
                other[0] ^= 1;
                other
            },
            |question| {
                let mut other = empty(question);
                other[13] = b'x';
                other
            },
            empty,
        ])
        .await;
        let answered = lookup.answered.as_ref().unwrap();
        assert_eq!(answered.response.rcode, Rcode::NOERROR);
        assert_eq!((lookup.address(), answered.bytes), (None, lookup.question_bytes));
        assert!(lookup.from.is_some());
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let gone = UdpSocket::bind((LOOPBACK, 0)).await.unwrap().local_addr().unwrap();
        let lookup = look_up(gone, LOOPBACK, "www.foobar.com", &Stopwatch::start()).await;
        assert_eq!(lookup.answered.unwrap_err(), Trouble::Refused);
        let lookup = look_up(gone, LOOPBACK, &"x".repeat(64), &Stopwatch::start()).await;
        assert!(matches!(lookup.answered, Err(Trouble::Malformed(_))));
    }
}
