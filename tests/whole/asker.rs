//! Asks `dns` for the serial of foobar.com again and again, and holds every answer to what it must be.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

/// A question that is not answered by then is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the questions travel; over TCP, all on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// A thread that asks, one question after the other.
pub(crate) struct Asker {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<u32>>,
}

#[derive(Default)]
struct Seen {
    answers: AtomicU64,
    serial: AtomicU32,
    stop: AtomicBool,
}

impl Asker {
    pub(crate) fn start(port: u16, transport: Transport) -> Self {
        let seen = Arc::new(Seen::default());
        let of_thread = seen.clone();
        let thread = std::thread::spawn(move || ask_on(port, transport, &of_thread));
        Self { seen, thread: Some(thread) }
    }

    /// Questions that were answered so far.
    #[track_caller]
    pub(crate) fn answers(&self) -> u64 {
        assert!(!self.thread.as_ref().unwrap().is_finished(), "the asker met what must not be");
        self.seen.answers.load(Ordering::Relaxed)
    }

    /// The serial of the last answer.
    pub(crate) fn serial(&self) -> u32 {
        self.seen.serial.load(Ordering::Relaxed)
    }

    /// Asks no more; how many versions of the zone were seen, if every answer was right.
    pub(crate) fn stop(mut self) -> u32 {
        self.seen.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
    }
}

fn ask_on(port: u16, transport: Transport, seen: &Seen) -> u32 {
    let server = (Ipv4Addr::LOCALHOST, port);
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    udp.connect(server).unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tcp = TcpStream::connect(server).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 65_535];
    let mut versions = 0;
    for id in (0..=u16::MAX).cycle() {
        if seen.stop.load(Ordering::Relaxed) {
            break;
        }
        let question = question(id);
        let length = match transport {
            Transport::Udp => {
                udp.send(&question).unwrap();
                udp.recv(&mut buffer).unwrap_or_else(|error| panic!("question {id} is lost: {error}"))
            }
            Transport::Tcp => {
                let length = u16::try_from(question.len()).unwrap().to_be_bytes();
                tcp.write_all(&[&length, question.as_slice()].concat()).unwrap();
                let mut length = [0; 2];
                tcp.read_exact(&mut length).unwrap_or_else(|error| panic!("question {id} is lost: {error}"));
                let length = usize::from(u16::from_be_bytes(length));
                tcp.read_exact(&mut buffer[..length]).unwrap();
                length
            }
        };
        let serial = serial(&buffer[..length], id);
        let before = seen.serial.swap(serial, Ordering::Relaxed);
        assert!(serial >= before, "serial {serial} after {before}");
        versions += u32::from(serial > before);
        seen.answers.fetch_add(1, Ordering::Relaxed);
    }
    versions
}

fn question(id: u16) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii("foobar.com.").unwrap(), RecordType::SOA));
    message.to_vec().unwrap()
}

/// The serial that the answer to question `id` tells.
fn serial(answer: &[u8], id: u16) -> u32 {
    let message = Message::from_vec(answer).unwrap();
    let head = &message.metadata;
    assert_eq!((head.id, head.response_code, head.authoritative), (id, ResponseCode::NoError, true));
    let [record] = message.answers.as_slice() else { panic!("one SOA, not {message:?}") };
    let RData::SOA(soa) = &record.data else { panic!("one SOA, not {message:?}") };
    soa.serial
}
