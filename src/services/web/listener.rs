//! The door: accepts connections, as many as there is room for.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use crate::ground::chance::RequestId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::connection::{self, Surroundings};
use super::failure::{Circumstances, Failure};
use super::room::Seats;

/// How long one that is turned away may take to read why.
const TURNING_AWAY: Duration = Duration::from_secs(2);

/// How long accepting rests when the machine has no descriptor or memory left for another connection.
const REST: Duration = Duration::from_millis(50);

/// The listening socket and what a connection needs.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// One seat per connection.
    pub(super) seats: Arc<Seats>,
    /// One permit per connection that is being turned away; one more is closed without a word.
    pub(super) turning_away: Arc<Semaphore>,
    pub(super) around: Surroundings,
}

impl Listener {
    /// Accepts until it is stopped.
    pub(super) async fn serve(self) {
        let capacity = self.seats.free();
        let stop = &self.around.stop;
        let mut exhausted = false;
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let (stream, client) = match accepted {
                Ok(connection) => connection,
                Err(error) if concerns_one_client(&error) => continue,
                Err(error) => {
                    if !exhausted {
                        exhausted = true;
                        self.around
                            .server
                            .journal
                            .note(format!("cannot accept connections for now: {error}"));
                    }
                    tokio::select! {
                        () = sleep(REST) => continue,
                        () = stop.cancelled() => return,
                    }
                }
            };
            exhausted = false;
            if let Some(seat) = self.seats.take().await {
                // Without it a small answer may wait for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                self.around.tasks.spawn(connection::serve(stream, client, seat, self.around.clone()));
            } else if let Ok(permit) = self.turning_away.clone().try_acquire_owned() {
                let answer = self.full(capacity);
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

    /// A whole answer, by hand: it is given before any request was read.
    fn full(&self, connections: usize) -> String {
        let failure = Failure::Full { connections };
        let id = RequestId::draw();
        let (media_type, page) = failure.explained(Circumstances {
            site: self.around.server.names.first(),
            address: self.around.server.address,
            request_id: id.as_str(),
            as_json: false,
        });
        format!(
            "HTTP/1.1 {}\r\nServer: wwwlab\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nRetry-After: 1\r\nX-Request-Id: {id}\r\nConnection: close\r\n\r\n{page}",
            failure.status(),
            page.len(),
        )
    }
}

async fn turn_away(mut stream: TcpStream, answer: String) -> io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    // Closing over a request that nobody read would reset the connection, and take the answer away.
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// Whether accepting failed for one connection only, and the next may be accepted at once.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}
