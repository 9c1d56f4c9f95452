//! The asker under load: one socket, [`OUTSTANDING`] questions on their way, the next one as soon as an answer has come.
//!
//! It never sleeps, so that no server pays for waking it, but lets others have its core; and it looks at each
//! answer, so that only right ones count.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use wwwlab::ground::clock::Stopwatch;

use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot};
use crate::zone::{Kind, is_right};

/// Questions on their way at a time.
const OUTSTANDING: u32 = 64;
/// Silence for this long means that what was on its way is lost.
const LOST_AFTER: Duration = Duration::from_millis(500);
/// More silences than these, and a server is taken for dead.
const SILENCES_MOST: u32 = 4;
/// Looks at an empty socket between two looks at the clock.
const LOOKS: u32 = 4096;

/// A socket that asks one server.
#[derive(Debug)]
pub(crate) struct Asker {
    socket: UdpSocket,
}

/// Why questions were not all answered right.
#[derive(Debug)]
pub(crate) enum Ended {
    Early(Trouble),
    /// What came instead of a right answer.
    Wrong(String),
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Self {
        Self::Early(trouble)
    }
}

impl Asker {
    /// Asks `server`.
    pub(crate) fn new(server: SocketAddr) -> Result<Self, Trouble> {
        let open = || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Self { socket: open().map_err(cannot("make a socket"))? })
    }

    /// Has `count` of the `questions`, again and again from the first, answered right.
    pub(crate) fn run(
        &self,
        questions: &mut [Vec<u8>],
        kind: Kind,
        count: u32,
        stop: &Stop,
    ) -> Result<(), Ended> {
        let (mut sent, mut answered, mut outstanding, mut silences) = (0_u32, 0, 0, 0);
        let mut answer = [0; 4096];
        while answered < count {
            stop.look()?;
            while outstanding < OUTSTANDING && answered + outstanding < count {
                let number = sent as usize % questions.len();
                let question = &mut questions[number];
                let [.., high, low] = sent.to_be_bytes();
                question[..2].copy_from_slice(&[high, low]);
                self.socket.send(question).map_err(cannot("ask"))?;
                sent = sent.wrapping_add(1);
                outstanding += 1;
            }
            let Some(length) = self.receive(&mut answer)? else {
                silences += 1;
                if silences > SILENCES_MOST {
                    return Err(Ended::Wrong(format!("silence, after {answered} answers")));
                }
                outstanding = 0;
                continue;
            };
            if !is_right(kind, &answer[..length]) {
                return Err(Ended::Wrong(format!("a wrong answer, {:02x?}", &answer[..length.min(12)])));
            }
            answered += 1;
            // One that was taken for lost may come after all.
            outstanding = outstanding.saturating_sub(1);
        }
        Ok(())
    }

    /// The next answer; nothing after a long silence.
    fn receive(&self, answer: &mut [u8]) -> Result<Option<usize>, Trouble> {
        let watch = Stopwatch::start();
        loop {
            for _ in 0..LOOKS {
                match self.socket.recv(answer) {
                    Ok(length) => return Ok(Some(length)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
                    Err(error) => return Err(cannot("hear an answer")(error)),
                }
            }
            if watch.elapsed() > LOST_AFTER {
                return Ok(None);
            }
        }
    }
}
