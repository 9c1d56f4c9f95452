//! Questions to a server, and its answers as hickory's decoder reads them: another one than ours.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{Record, RecordType as HickoryType};
use wwwlab::dns::name::Name;
use wwwlab::dns::types::RecordType;

/// How a question travels, and how long its answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// UDP with EDNS, 1232 octets.
    Udp,
    /// UDP without EDNS, 512 octets.
    PlainUdp,
    /// TCP with EDNS.
    Tcp,
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) name: Name,
    pub(crate) record_type: RecordType,
    pub(crate) transport: Transport,
    /// Whether signatures are wanted (DO, RFC 3225); only with EDNS.
    pub(crate) dnssec: bool,
    /// Whether a resolver is to ask others (RD).
    pub(crate) recursion: bool,
}

/// An answer: its sections as sets, names in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) rcode: u16,
    pub(crate) aa: bool,
    pub(crate) tc: bool,
    pub(crate) answer: BTreeSet<String>,
    pub(crate) authority: BTreeSet<String>,
    pub(crate) additional: BTreeSet<String>,
    /// Whether a record stands twice in a section: one too many (RFC 2181 §5).
    pub(crate) doubled: bool,
    /// Octets that were left to what the asker takes.
    pub(crate) room: usize,
}

/// Octets of an AAAA record whose owner is a pointer: the longest glue that our zones have.
const LONGEST_GLUE: usize = 28;

impl Transport {
    /// The longest answer, in octets.
    const fn limit(self) -> usize {
        match self {
            Self::Udp => 1232,
            Self::PlainUdp => 512,
            Self::Tcp => 65_535,
        }
    }
}

impl Question {
    pub(crate) fn new(name: &str, record_type: &str, transport: Transport) -> Self {
        let name = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let record_type = RecordType::from_word(record_type.as_bytes())
            .unwrap_or_else(|| panic!("{record_type} is no type"));
        Self { name, record_type, transport, dnssec: false, recursion: false }
    }

    fn as_wire(&self, id: u16) -> Vec<u8> {
        let edns = self.transport != Transport::PlainUdp;
        let mut message = id.to_be_bytes().to_vec();
        message.extend([u8::from(self.recursion), 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
        message.extend(self.name.as_wire());
        message.extend(self.record_type.0.to_be_bytes());
        message.extend([0, 1]);
        if edns {
            let flags = if self.dnssec { 0x80 } else { 0 };
            message.extend([0, 0, 41, 0x04, 0xD0, 0, 0, flags, 0, 0, 0]);
        }
        message
    }
}

/// Asks `server`, and checks what every answer must be: to this question, in its case, readable.
pub(crate) fn ask(server: SocketAddr, question: &Question, patience: Duration) -> io::Result<Answer> {
    let query = question.as_wire(0x5EED);
    let reply = match question.transport {
        Transport::Tcp => over_tcp(server, &query, patience)?,
        Transport::Udp | Transport::PlainUdp => over_udp(server, &query, patience)?,
    };
    let asked = 12..12 + question.name.as_wire().len() + 4;
    assert_eq!(reply.get(asked.clone()), query.get(asked), "{question} is not repeated as it was asked");
    let room = question.transport.limit().checked_sub(reply.len());
    let room = room.unwrap_or_else(|| panic!("{question}: an answer of {} octets", reply.len()));
    Ok(Answer::read(&reply, room).unwrap_or_else(|error| panic!("{question}: {error}: {reply:?}")))
}

fn over_udp(server: SocketAddr, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(query)?;
    let mut reply = vec![0; 65_535];
    let length = socket.recv(&mut reply)?;
    reply.truncate(length);
    Ok(reply)
}

fn over_tcp(server: SocketAddr, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let length = u16::try_from(query.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

impl Answer {
    fn read(reply: &[u8], room: usize) -> Result<Self, String> {
        let message = Message::from_vec(reply).map_err(|error| error.to_string())?;
        let head = &message.metadata;
        let mut answer = Self {
            rcode: head.response_code.into(),
            aa: head.authoritative,
            tc: head.truncation,
            answer: lines(&message.answers),
            authority: lines(&message.authorities),
            additional: lines(&message.additionals),
            doubled: false,
            room,
        };
        answer.doubled = [
            (&answer.answer, &message.answers),
            (&answer.authority, &message.authorities),
            (&answer.additional, &message.additionals),
        ]
        .iter()
        .any(|(set, records)| set.len() != records.len());
        Ok(answer)
    }

    /// Whether no more glue would have fitted.
    pub(crate) fn is_full(&self) -> bool {
        self.room < LONGEST_GLUE
    }

    /// Whether it sends the asker on: name servers, and no SOA that denies.
    pub(crate) fn refers(&self) -> bool {
        self.authority.iter().any(|line| line.contains(" NS "))
            && !self.authority.iter().any(|line| line.contains(" SOA "))
    }
}

fn lines(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(line).collect()
}

fn line(record: &Record) -> String {
    let record_type = record.record_type();
    let mut data = record.data.to_string();
    // Names are equal in any case; text and what is written in base64 are not.
    if !matches!(
        record_type,
        HickoryType::TXT | HickoryType::RRSIG | HickoryType::NSEC3 | HickoryType::DNSKEY
    ) {
        data.make_ascii_lowercase();
    }
    format!("{} {} {record_type} {data}", record.name.to_string().to_lowercase(), record.ttl)
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dnssec = if self.dnssec { " with DO" } else { "" };
        write!(f, "{} {} over {:?}{dnssec}", self.name, self.record_type, self.transport)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |set, word| if set { word } else { "" };
        write!(f, "rcode {}{}{}", self.rcode, flag(self.aa, " aa"), flag(self.tc, " tc"))?;
        for (mark, lines) in [('>', &self.answer), ('^', &self.authority), ('+', &self.additional)] {
            for line in lines {
                write!(f, "\n      {mark} {line}")?;
            }
        }
        Ok(())
    }
}
