//! One user who asks for a name by DNS over UDP (RFC 1035 §4.2.1), one question after the other, each once.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use super::Symptom;
use super::prober::of;
use crate::dns::message::asked::query;
use crate::dns::name::Name;
use crate::dns::types::RecordType;
use crate::ground::bind;
use crate::measure::load::{counted::Kind, questions::read};

/// The longest answer there is, in octets.
const LONGEST_ANSWER: usize = 65_535;

/// A socket of a user's, on which nothing is under way between two questions.
pub(super) struct Asker {
    socket: UdpSocket,
    id: u16,
    answer: Vec<u8>,
}

/// Asks `server` for the addresses of `name` over `asker`'s socket, or a new one, which it then is.
pub(super) async fn ask(server: SocketAddr, name: &Name, asker: &mut Option<Asker>) -> Result<(), Symptom> {
    // Taken: of a question that is given up in the middle, the answer may still come.
    let mut user = match asker.take() {
        Some(user) => user,
        None => Asker::new(server).await.map_err(|error| of(&error))?,
    };
    let came = user.exchange(name).await.map_err(|error| of(&error))?;
    *asker = Some(user);
    came.map_or(Ok(()), Err)
}

impl Asker {
    async fn new(server: SocketAddr) -> io::Result<Self> {
        let from: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = bind::udp(SocketAddr::new(from, 0)).map_err(|error| error.source)?;
        // Answers of others do not arrive, and a closed port is an error here (RFC 1122 §4.1.3.3).
        socket.connect(server).await?;
        Ok(Self { socket, id: 0, answer: vec![0; LONGEST_ANSWER] })
    }

    /// Why the answer is none that is good, if so.
    async fn exchange(&mut self, name: &Name) -> io::Result<Option<Symptom>> {
        self.id = self.id.wrapping_add(1);
        let question = query(self.id, name, RecordType::A);
        self.socket.send(&question).await?;
        loop {
            let length = self.socket.recv(&mut self.answer).await?;
            let answer = self.answer.get(..length).unwrap_or_default();
            // What is no answer to it is passed over; the answer may still come.
            if answer.get(..2) != question.get(..2) {
                continue;
            }
            match read(answer, &question) {
                None => {}
                Some(None) => return Ok(None),
                Some(Some(Kind::Rcode(code))) => return Ok(Some(Symptom::Rcode(code))),
                Some(Some(Kind::Empty)) => return Ok(Some(Symptom::Empty)),
                Some(Some(_)) => return Ok(Some(Symptom::Malformed)),
            }
        }
    }
}
