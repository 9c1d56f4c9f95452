//! Asking until the answer is right: the same questions to both stacks, each from a thread of its own.
//!
//! A refused or wrong answer is followed by the next question after [`PAUSE`], which is also how exact the times
//! are. A name server that is silent, as one is whose socket is bound before it reads, is asked again after
//! [`PATIENCE`]; whichever question it answers counts.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use wwwlab::ground::chance;
use wwwlab::ground::clock::Stopwatch;

use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot};
use crate::page;

/// Between an answer that was not right and the next question.
const PAUSE: Duration = Duration::from_micros(200);
/// How long a name server may be silent before it is asked again.
const PATIENCE: Duration = Duration::from_millis(5);
/// How long a page may take to arrive before it is asked for again.
const PAGE_WITHIN: Duration = Duration::from_secs(2);
/// No stack takes this long unless it is broken.
const LIMIT: Duration = Duration::from_secs(15);
/// Far more than the page has.
const PAGE_LONGEST: u64 = 1 << 20;

/// The name that is asked for, and the site's.
pub(crate) const SITE: &str = "www.foobar.com";
const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// The address of www.foobar.com, from who publishes it (AA).
    NameServer,
    /// The same, from who asks the way for others (RA).
    Resolver,
    /// The dynamic page.
    Page,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameServer => "name server",
            Self::Resolver => "resolver",
            Self::Page => "page",
        })
    }
}

/// One thing to ask for, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    what: What,
    server: SocketAddr,
}

/// Why a probe has no time to tell.
pub(crate) enum Ended {
    Early(Trouble),
    /// What was asked for, and the last answer.
    Late(String, String),
}

impl Ended {
    /// With what the programs of `stack` said.
    pub(crate) fn of(self, stack: &'static str, logs: impl FnOnce() -> String) -> Trouble {
        match self {
            Self::Early(trouble) => trouble,
            Self::Late(what, last) => Trouble::Silent { what, stack, limit: LIMIT, last, logs: logs() },
        }
    }
}

/// The time from the start of `watch` to the first right answer of each.
pub(crate) fn first_right_answers(
    probes: &[Probe],
    watch: Stopwatch,
    stop: &Stop,
) -> Result<Vec<(What, Duration)>, Ended> {
    thread::scope(|scope| {
        let asking: Vec<_> = probes
            .iter()
            .map(|probe| scope.spawn(move || Ok((probe.what, probe.first_right(watch, stop)?))))
            .collect();
        // All are joined by the scope; the first error is the one to tell.
        asking
            .into_iter()
            .map(|asking| asking.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked)))
            .collect()
    })
}

impl Probe {
    /// Asks `server` for `what`.
    pub(crate) fn new(what: What, server: SocketAddr) -> Self {
        Self { what, server }
    }

    fn first_right(&self, watch: Stopwatch, stop: &Stop) -> Result<Duration, Ended> {
        let asker = Asker::new(self).map_err(cannot("make a socket")).map_err(Ended::Early)?;
        until(&self.what, watch, stop, || asker.ask())
    }
}

/// Does `try_once` until it succeeds; the time from the start of `watch` till then.
pub(crate) fn until(
    what: &dyn fmt::Display,
    watch: Stopwatch,
    stop: &Stop,
    mut try_once: impl FnMut() -> Result<(), String>,
) -> Result<Duration, Ended> {
    loop {
        let done = try_once();
        let after = watch.elapsed();
        let Err(why) = done else {
            return Ok(after);
        };
        stop.look().map_err(Ended::Early)?;
        if after > LIMIT {
            return Err(Ended::Late(what.to_string(), why));
        }
        thread::sleep(PAUSE);
    }
}

/// Asks once; a wrong answer, or none, is said in words.
enum Asker {
    Name(NameAsker),
    Page(SocketAddr),
}

impl Asker {
    fn new(probe: &Probe) -> io::Result<Self> {
        Ok(match probe.what {
            What::NameServer | What::Resolver => Self::Name(NameAsker::new(probe)?),
            What::Page => Self::Page(probe.server),
        })
    }

    fn ask(&self) -> Result<(), String> {
        match self {
            Self::Name(asker) => asker.ask(),
            Self::Page(server) => {
                let request = format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n");
                page::right(&exchange(*server, &request)?)
            }
        }
    }
}

struct NameAsker {
    socket: UdpSocket,
    question: Vec<u8>,
    id: u16,
    recursive: bool,
}

impl NameAsker {
    fn new(probe: &Probe) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(probe.server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let id = chance::random_u16();
        let mut question = Message::new(id, MessageType::Query, OpCode::Query);
        // As dig does; a name server that publishes takes no notice.
        question.metadata.recursion_desired = true;
        let name = Name::from_ascii(format!("{SITE}.")).map_err(io::Error::other)?;
        question.add_query(Query::query(name, RecordType::A));
        Ok(Self {
            socket,
            question: question.to_vec().map_err(io::Error::other)?,
            id,
            recursive: probe.what == What::Resolver,
        })
    }

    fn ask(&self) -> Result<(), String> {
        let mut answer = [0; 4096];
        let said = |error: io::Error| error.to_string();
        self.socket.send(&self.question).map_err(said)?;
        let length = self.socket.recv(&mut answer).map_err(said)?;
        let answer = Message::from_vec(&answer[..length]).map_err(|error| error.to_string())?;
        let said = &answer.metadata;
        let right = said.id == self.id
            && said.message_type == MessageType::Response
            && said.response_code == ResponseCode::NoError
            && (if self.recursive { said.recursion_available } else { said.authoritative })
            && answer.answers.iter().any(|record| match &record.data {
                RData::A(address) => address.0 == ADDRESS,
                _ => false,
            });
        if right { Ok(()) } else { Err(format!("the wrong answer: {answer}")) }
    }
}

/// One request on a connection of its own, and the whole answer.
pub(crate) fn exchange(server: SocketAddr, request: &str) -> Result<String, String> {
    let exchange = || -> io::Result<String> {
        let mut connection = TcpStream::connect_timeout(&server, PAGE_WITHIN)?;
        connection.set_read_timeout(Some(PAGE_WITHIN))?;
        connection.set_write_timeout(Some(PAGE_WITHIN))?;
        connection.write_all(request.as_bytes())?;
        let mut answer = String::new();
        connection.take(PAGE_LONGEST).read_to_string(&mut answer)?;
        Ok(answer)
    };
    exchange().map_err(|error| error.to_string())
}
