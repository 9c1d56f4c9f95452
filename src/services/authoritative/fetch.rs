//! Fetches a zone from its primary: asks for its SOA, and for the whole of it (AXFR, RFC 5936) if that is newer.
//!
//! Both are asked on one TCP connection, from the server's own address, signed if a key is shared. What comes is written as
//! a master file, record by record, and then read and compiled as any other: so a zone of any size takes one message
//! of memory on the way, and a primary that sends nonsense is told apart in the same words as a student's typing errors.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::dns::message::Flags;
use crate::dns::message::asked::{self, Record, Response, ResponseError};
use crate::dns::message::tsig::{self, Checker, Key, Signer, Untrusted};
use crate::dns::name::Name;
use crate::dns::types::{Rcode, RecordType};
use crate::dns::zone::{self, Zone, serial_is_raised};
use crate::ground::{chance, clock};

/// How long one step may take: a connection, a message.
const STEP: Duration = Duration::from_secs(10);

/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(300);

/// Octets of messages that are taken for one zone.
const LARGEST_ZONE: usize = 256 << 20;

/// Octets of a copy: names are written out in it that a message only points to.
const LARGEST_COPY: usize = 2 * LARGEST_ZONE;

/// From whom, and what.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) origin: Name,
    pub(super) primary: SocketAddr,
    pub(super) key: Option<Arc<Key>>,
    /// The address that the primary knows this server by.
    pub(super) own: IpAddr,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The primary has this version.
    Current,
    /// The primary has only this version, which is older.
    Older(u32),
    /// This; it stands in the file as well.
    Zone(Box<Zone>),
}

/// Why a zone could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the primary {0} cannot be reached: is it up, and does it listen there?")]
    Unreachable(SocketAddr, #[source] io::Error),
    #[error("the primary {0} does not answer in time")]
    Silent(SocketAddr),
    #[error("the primary {0} ends in the middle of its answer")]
    Ended(SocketAddr, #[source] io::Error),
    #[error("the primary {0} sends what cannot be read")]
    Unreadable(SocketAddr, #[source] ResponseError),
    #[error(
        "the primary {0} answers {1}: does it serve the zone, and may this server have it (transfer_to)?"
    )]
    Refused(SocketAddr, Rcode),
    #[error("what the primary {0} sends cannot be trusted")]
    Untrusted(SocketAddr, #[source] Untrusted),
    #[error("the primary {0} sends no zone: {1}")]
    NoZone(SocketAddr, &'static str),
    #[error("the zone of the primary {0} is not right: {1}")]
    Wrong(SocketAddr, String),
    #[error("the copy cannot be written to {0}")]
    Write(String, #[source] io::Error),
}

impl Source {
    /// Fetches the zone into `file` unless the primary has nothing newer than the serial `have`.
    pub(super) async fn fetch(&self, have: Option<u32>, file: &Path) -> Result<Fetched, FetchError> {
        let primary = self.primary;
        match timeout(WHOLE, self.fetch_within(have, file)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::Silent(primary)),
        }
    }

    async fn fetch_within(&self, have: Option<u32>, file: &Path) -> Result<Fetched, FetchError> {
        let mut stream = self.connect().await?;
        let mut checker = self.ask(&mut stream, RecordType::SOA).await?;
        let (message, response) = self.receive(&mut stream, checker.id).await?;
        self.check(&mut checker, &message, true)?;
        let no_zone = |why| FetchError::NoZone(self.primary, why);
        // What it knows from others it cannot give, and what it was not asked says nothing of the zone.
        if !response.flags.has(Flags::AA) {
            return Err(no_zone("it is not an authority for it"));
        }
        if response.question != Some((self.origin.clone(), RecordType::SOA)) {
            return Err(no_zone("it answers another question"));
        }
        let serial = response.answers.iter().find_map(|record| self.serial(record));
        let serial = serial.ok_or(no_zone("there is no SOA in its answer"))?;
        match have {
            Some(have) if have == serial => return Ok(Fetched::Current),
            Some(have) if !serial_is_raised(have, serial) => return Ok(Fetched::Older(serial)),
            _ => {}
        }
        let beside = Beside(beside(file));
        self.transfer(&mut stream, &beside.0).await?;
        let zone = self.compile(&beside.0).await?;
        fs::rename(&beside.0, file).map_err(|cause| FetchError::Write(file.display().to_string(), cause))?;
        Ok(Fetched::Zone(Box::new(zone)))
    }

    async fn connect(&self) -> Result<TcpStream, FetchError> {
        let connect = async {
            let socket = match self.primary {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            if self.own.is_ipv4() == self.primary.is_ipv4() {
                socket.bind((self.own, 0).into())?;
            }
            socket.connect(self.primary).await
        };
        match timeout(STEP, connect).await {
            Ok(connected) => connected.map_err(|cause| FetchError::Unreachable(self.primary, cause)),
            Err(_) => Err(FetchError::Silent(self.primary)),
        }
    }

    async fn ask(&self, stream: &mut TcpStream, record_type: RecordType) -> Result<Checking, FetchError> {
        let id = chance::random_u16();
        let mut message = asked::plain_query(id, &self.origin, record_type, false);
        let checker = self.key.clone().map(|key| {
            let mut signer = Signer::of_question(key);
            signer.sign(&mut message, clock::unix_millis() / 1_000);
            Checker::of_answer(signer)
        });
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
        let framed = [&length[..], &message].concat();
        match timeout(STEP, stream.write_all(&framed)).await {
            Ok(Ok(())) => Ok(Checking { id, checker }),
            Ok(Err(cause)) => Err(FetchError::Ended(self.primary, cause)),
            Err(_) => Err(FetchError::Silent(self.primary)),
        }
    }

    async fn receive(&self, stream: &mut TcpStream, id: u16) -> Result<(Vec<u8>, Response), FetchError> {
        let receive = async {
            let mut message = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut message).await?;
            Ok::<_, io::Error>(message)
        };
        let message = match timeout(STEP, receive).await {
            Ok(received) => received.map_err(|cause| FetchError::Ended(self.primary, cause))?,
            Err(_) => return Err(FetchError::Silent(self.primary)),
        };
        let response =
            asked::read_response(&message).map_err(|cause| FetchError::Unreadable(self.primary, cause))?;
        if response.id != id {
            return Err(FetchError::NoZone(self.primary, "it answers another question"));
        }
        Ok((message, response))
    }

    /// Checks the signature first: what a stranger could have written says nothing.
    fn check(&self, checking: &mut Checking, message: &[u8], last: bool) -> Result<(), FetchError> {
        if let Some(checker) = &mut checking.checker {
            let start = tsig::find(message).unwrap_or_default();
            checker
                .check(message, start, last, clock::unix_millis() / 1_000)
                .map_err(|why| FetchError::Untrusted(self.primary, why))?;
        }
        // The code of a message is in its last four flags.
        match message.get(3).map_or(0, |flags| flags & 0xF) {
            0 => Ok(()),
            rcode => Err(FetchError::Refused(self.primary, Rcode(rcode.into()))),
        }
    }

    /// Writes what comes as a master file, until the SOA comes again (RFC 5936 §2.2).
    async fn transfer(&self, stream: &mut TcpStream, file: &Path) -> Result<(), FetchError> {
        let unwritten = |cause| FetchError::Write(file.display().to_string(), cause);
        let no_zone = |why| FetchError::NoZone(self.primary, why);
        let mut out = BufWriter::new(File::create(file).map_err(unwritten)?);
        let head = format!(
            "; {} as {} sent it. The next transfer replaces this file: edit the zone there.\n",
            self.origin, self.primary
        );
        out.write_all(head.as_bytes()).map_err(unwritten)?;
        let mut checking = self.ask(stream, RecordType::AXFR).await?;
        let (mut octets, mut written, mut first) = (0, 0, None);
        let mut line = String::new();
        loop {
            let (message, response) = self.receive(stream, checking.id).await?;
            octets += message.len();
            if octets > LARGEST_ZONE {
                return Err(no_zone("it is larger than 256 MiB"));
            }
            let mut records = response.answers.iter();
            let mut complete = false;
            for record in records.by_ref() {
                match (first, self.serial(record)) {
                    (None, None) => break,
                    (None, serial) => first = serial,
                    (Some(_), None) => {}
                    (Some(first), Some(serial)) if first == serial => {
                        complete = true;
                        break;
                    }
                    (Some(_), Some(_)) => return Err(no_zone("its last SOA is not its first")),
                }
                line.clear();
                // A text takes whatever is written to it.
                let _ = writeln!(line, "{record}");
                written += line.len();
                if written > LARGEST_COPY {
                    return Err(no_zone("its copy would be larger than 512 MiB"));
                }
                out.write_all(line.as_bytes()).map_err(unwritten)?;
            }
            self.check(&mut checking, &message, complete)?;
            if first.is_none() {
                return Err(no_zone("it does not begin with its SOA"));
            }
            if complete {
                return match records.next() {
                    None => out.flush().map_err(unwritten),
                    Some(_) => Err(no_zone("there are records behind its last SOA")),
                };
            }
            if response.answers.is_empty() {
                return Err(no_zone("a message of it is empty"));
            }
        }
    }

    async fn compile(&self, file: &Path) -> Result<Zone, FetchError> {
        let (origin, file) = (self.origin.clone(), file.to_owned());
        let load = tokio::task::spawn_blocking(move || zone::load(&origin, &file)).await;
        let mut load = load.map_err(|cause| FetchError::Wrong(self.primary, cause.to_string()))?;
        match load.zone.take() {
            Some(zone) => Ok(zone),
            None => {
                let why = load.errors().next().map(ToString::to_string).unwrap_or_default();
                Err(FetchError::Wrong(self.primary, why))
            }
        }
    }

    /// The serial, if `record` is the zone's SOA.
    fn serial(&self, record: &Record) -> Option<u32> {
        if record.record_type != RecordType::SOA || record.name != self.origin {
            return None;
        }
        // Names have no blanks in them: those are escaped.
        record.data.to_string().split(' ').nth(2)?.parse().ok()
    }
}

/// Where a copy is written before it takes the place of `file`.
pub(super) fn beside(file: &Path) -> PathBuf {
    file.with_extension("new")
}

/// A file that is gone when this is, unless it took another's place.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // It may not be there.
        let _ = fs::remove_file(&self.0);
    }
}

/// A question that is being answered.
struct Checking {
    id: u16,
    checker: Option<Checker>,
}
