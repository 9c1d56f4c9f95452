//! Leases: connections that last as long as both the lab and somebody who needs it.
//!
//! An open shell holds one, so that it learns when the lab ends, and so that a lab that was brought up for the shells alone
//! ends with the last of them. It is an open connection because the kernel closes that for whoever is killed.

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::ground::lines::write_line;

use super::control::{self, ControlError, Request, Response};
use super::directory::Directory;

/// Leases that a lab gives at a time.
const LEASES_MOST: usize = 256;

/// The holder's end.
#[derive(Debug)]
pub struct Lease(UnixStream);

impl Lease {
    /// Takes one of the lab in `directory`; waits if that is just coming up.
    pub async fn take(directory: &Directory) -> Result<Self, ControlError> {
        match control::talk(directory, &Request::Lease).await? {
            (Response::Done(_), reader) => Ok(Self(reader.into_inner())),
            _ => Err(ControlError::Strange(directory.name())),
        }
    }

    /// Ends when the lab does. Dropping the wait loses nothing.
    pub async fn lab_ends(&mut self) {
        ended(&mut self.0).await;
    }
}

/// The lab's ends.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: JoinSet<()>,
    /// Whether the lab ends with the last of them.
    decide: bool,
}

impl Leases {
    /// From now on the lab ends with the last lease, of which `stream` is the first.
    pub(super) fn decide(&mut self, stream: UnixStream) {
        self.decide = true;
        self.held.spawn(held(stream, None));
    }

    /// Gives one to whoever asked for it over `stream`.
    pub(super) fn give(&mut self, stream: UnixStream) {
        let response = match self.held.len() < LEASES_MOST {
            true => Response::Done("the lab knows that somebody is there".into()),
            false => Response::Refused(vec![format!("{LEASES_MOST} shells are open in this lab already")]),
        };
        self.held.spawn(held(stream, Some(response)));
    }

    /// Ends when the last lease on which the lab's end depends is given back. Dropping the wait loses nothing.
    pub(super) async fn given_back(&mut self) {
        while self.held.join_next().await.is_some() {
            if self.held.is_empty() && self.decide {
                return;
            }
        }
        std::future::pending().await
    }

    /// Ends all of them: their holders learn that the lab ends.
    pub(super) async fn close(&mut self) {
        self.held.shutdown().await;
    }
}

/// Ends when the holder of the other end is gone.
async fn held(mut stream: UnixStream, response: Option<Response>) {
    if let Some(response) = response
        && (write_line(&mut stream, &response).await.is_err() || matches!(response, Response::Refused(_)))
    {
        return;
    }
    ended(&mut stream).await;
}

/// Nothing is ever said over a lease; whoever says something is no holder of one.
async fn ended(stream: &mut UnixStream) {
    let _ = stream.read(&mut [0]).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::lines::LineReader;

    #[tokio::test]
    async fn the_last_one_decides() {
        let mut leases = Leases::default();
        let pair = || UnixStream::pair().unwrap();
        let ((first, ours), (second, other)) = (pair(), pair());
        leases.decide(ours);
        leases.give(other);
        let mut second = Lease(second);
        drop(first);
        let mut reader = LineReader::new(&mut second.0);
        tokio::select! {
            biased;
            () = leases.given_back() => panic!("one is still held"),
            answer = reader.next::<Response>() => {
                assert!(matches!(answer.unwrap().unwrap(), Response::Done(_)));
            }
        }
        drop(second);
        leases.given_back().await;
    }

    #[tokio::test]
    async fn a_lab_that_was_brought_up_by_itself_goes_on() {
        let mut leases = Leases::default();
        let (mine, other) = UnixStream::pair().unwrap();
        leases.give(other);
        drop(mine);
        let late = async {
            while !leases.held.is_empty() {
                tokio::select! {
                    biased;
                    () = leases.given_back() => panic!("nobody's lease ends this lab"),
                    () = tokio::task::yield_now() => {}
                }
            }
        };
        late.await;
    }

    #[tokio::test]
    async fn a_holder_learns_of_the_end() {
        let mut leases = Leases::default();
        let (mine, other) = UnixStream::pair().unwrap();
        leases.decide(other);
        let mut lease = Lease(mine);
        leases.close().await;
        lease.lab_ends().await;
    }

    #[tokio::test]
    async fn there_are_not_more_than_so_many() {
        let mut leases = Leases::default();
        let mut held = Vec::new();
        for _ in 0..=LEASES_MOST {
            let (mine, other) = UnixStream::pair().unwrap();
            leases.give(other);
            held.push(mine);
        }
        let mut last = held.pop().unwrap();
        let answer = LineReader::new(&mut last).next::<Response>().await;
        assert!(matches!(answer.unwrap().unwrap(), Response::Refused(_)));
    }
}
