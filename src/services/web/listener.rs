//! The door: accepts connections, as many as there is room for.
//!
//! One too many is told so in words, as a page and never as JSON: what it would rather read stands in its request, and to
//! wait for that would be to serve it. So is one for whom there is no descriptor, by one in reserve ([`super::spare`]).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::ground::chance::RequestId;
use crate::ground::clock::{self, Stopwatch};
use crate::ground::event::Happened;
use crate::ground::tls::Shaken;
use crate::services::faults::arriving::Arrived;
use crate::services::faults::gate::{Arrival, Gate};
use crate::services::tally::connections::Connections;

use super::answer::By;
use super::connection::{self, Ends, Surroundings};
use super::failure::{Circumstances, Failure};
use super::room::Seats;
use super::spare::{self, Spare};

/// How long one that is turned away may take to read why.
const TURNING_AWAY: Duration = Duration::from_secs(2);

/// How long accepting rests when the machine has no descriptor or memory left for another connection.
const REST: Duration = Duration::from_millis(50);

/// How long one that is told so by the descriptor in reserve may take to read why: others wait behind it.
const TURNING_AWAY_ALONE: Duration = Duration::from_millis(200);

/// Between two notes that there is no descriptor or memory left.
const NOTED_EVERY: Duration = Duration::from_secs(5);

/// Where connections come in, and what they need.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) gate: Gate,
    pub(super) seating: Seating,
    pub(super) around: Surroundings,
}

/// The room for connections, which all doors share.
#[derive(Debug, Clone)]
pub(super) struct Seating {
    /// One seat per connection.
    pub(super) seats: Arc<Seats>,
    /// How many there are.
    pub(super) capacity: usize,
    /// One permit per connection that is being turned away; one more is closed without a word.
    pub(super) turning_away: Arc<Semaphore>,
    /// What is counted of connections.
    pub(super) counted: Arc<Connections>,
}

impl Listener {
    /// Accepts until it is stopped.
    pub(super) async fn serve(mut self) {
        let Seating { seats, capacity, turning_away, counted } = self.seating.clone();
        let stop = self.around.stop.clone();
        let mut noted: Option<Stopwatch> = None;
        let mut spare = Spare::take();
        loop {
            let accepted = tokio::select! {
                accepted = self.gate.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Arrival { stream, client, here } = match accepted {
                Ok(connection) => connection,
                Err(error) if concerns_one_client(&error) => continue,
                Err(error) => {
                    if noted.is_none_or(|since| since.elapsed() > NOTED_EVERY) {
                        noted = Some(Stopwatch::start());
                        self.around
                            .server
                            .journal
                            .note(format!("cannot accept connections for now: {error}"));
                    }
                    let next = async {
                        spare.take_again();
                        if !spare::is_wanted_for(&error) || !spare.give_up() || !self.turn_one_away().await {
                            sleep(REST).await;
                        }
                        spare.take_again();
                    };
                    tokio::select! {
                        () = next => continue,
                        () = stop.cancelled() => return,
                    }
                }
            };
            counted.accepted();
            if let Some(seat) = seats.take().await {
                let open = || capacity.saturating_sub(seats.free());
                let journal = &self.around.server.journal;
                journal.tell(|| Happened::Connected { client, server: here, open: open() });
                self.around.tasks.spawn(connection::serve(
                    stream,
                    Ends { client, here, sealed: self.around.greeter.is_some() },
                    seat,
                    self.around.clone(),
                ));
            } else if self.around.greeter.is_some() {
                // Words without a handshake would be none to whoever expects one, and a handshake is work.
                drop(stream);
                let why = Some(format!("all connections that may be open ({capacity}) are at work"));
                self.around.server.journal.tell(|| {
                    Happened::Handshake(Shaken {
                        client,
                        server: here,
                        sni: None,
                        agreed: None,
                        why,
                        micros: 0,
                    })
                });
            } else if let Ok(permit) = turning_away.clone().try_acquire_owned() {
                let answer = self.refusal(&Failure::Full { connections: capacity }, here);
                let stop = stop.clone();
                self.around.tasks.spawn(async move {
                    tokio::select! {
                        _ = timeout(TURNING_AWAY, turn_away(stream, answer)) => {}
                        () = stop.cancelled() => {}
                    }
                    drop(permit);
                });
            }
        }
    }

    /// Accepts one that waits, and tells it that there is no descriptor for it; whether there was one.
    async fn turn_one_away(&mut self) -> bool {
        // Who waits is there at once.
        let Ok(Ok(Arrival { stream, here, .. })) = timeout(Duration::ZERO, self.gate.accept()).await else {
            return false;
        };
        self.seating.counted.accepted();
        // Words without a handshake would be none to whoever expects one.
        if self.around.greeter.is_none() {
            let answer = self.refusal(&Failure::NoDescriptor, here);
            let _ = timeout(TURNING_AWAY_ALONE, turn_away(stream, answer)).await;
        }
        true
    }

    /// A whole answer, by hand: it is given before any request was read.
    fn refusal(&self, failure: &Failure, here: SocketAddr) -> Vec<u8> {
        let id = RequestId::draw();
        let circumstances = Circumstances {
            site: self.around.server.names.first(),
            address: here,
            request_id: id.as_str(),
            as_json: false,
        };
        let (_, page) = failure.explained(circumstances);
        let mut response = failure.response(circumstances);
        self.around.server.sign(response.headers_mut(), By::Web, &id);
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, page.len().into());
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(
            UNIX_EPOCH + Duration::from_millis(clock::unix_millis()),
        )) {
            headers.insert(DATE, date);
        }
        let mut answer = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
        for (name, value) in response.headers() {
            answer.extend([title_case(name.as_str()).as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        answer.extend([b"\r\n", page.as_bytes()].concat());
        answer
    }
}

async fn turn_away(mut stream: Arrived, answer: Vec<u8>) -> io::Result<()> {
    stream.write_all(&answer).await?;
    // Closing over a request that nobody read would reset the connection, and take the answer away.
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// A field's name as the other answers of HTTP/1.1 have it: `Retry-After`.
fn title_case(name: &str) -> String {
    let mut begins = true;
    let letters = name.chars().map(|letter| {
        let letter = if begins { letter.to_ascii_uppercase() } else { letter };
        begins = letter == '-';
        letter
    });
    letters.collect()
}

/// Whether accepting failed for one connection only, and the next may be accepted at once.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}
