//! Holds: connections over which a measure takes parts of the lab down, one after the other, and brings them back.
//!
//! It is the supervisor that knows what is down because of a measure, not the measure: an open connection is closed by the
//! kernel for whoever is killed, and what is down at its end is brought back, whichever end that is. So is what the measure
//! wrote taken out of the guestbook. One hold is given at a time.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ground::channel::Mark;
use crate::ground::lines::{LineReader, write_line};

use super::control::{self, ControlError, Request, Response};
use super::desk::Desk;
use super::directory::Directory;
use super::hosts::ServiceName;

/// A holder that says nothing, or does not hear, for so long stands still, with a part of the lab down: longer than any trial takes.
const SAYS_WITHIN: Duration = Duration::from_secs(120);

/// What was on its way when a measure was killed, a form in the buffer of a process that stood still, has arrived by then.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// One way to be down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Down {
    /// A service that is stopped: its port refuses.
    Stop(ServiceName),
    /// A service that stands still: its port accepts, and nobody answers.
    Pause(ServiceName),
    /// A cable of network `hosts` that is cut: nothing comes back.
    Cut(String),
}

/// What a holder may say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    /// Take this down; nothing else is.
    Down(Down),
    /// Bring back what is down.
    Up,
    /// Take out of the guestbook what was written: nothing more will be.
    Forget,
}

/// The measure's end.
#[derive(Debug)]
pub struct Hold {
    stream: LineReader<UnixStream>,
    lab: String,
}

impl Hold {
    /// Takes the one of the lab in `directory`; entries of the guestbook with this `mark` are taken out at its
    /// end.
    pub async fn take(directory: &Directory, mark: Option<Mark>) -> Result<Self, ControlError> {
        match control::talk(directory, &Request::Measure(mark)).await? {
            (Response::Done(_), stream) => Ok(Self { stream, lab: directory.name() }),
            _ => Err(ControlError::Strange(directory.name())),
        }
    }

    /// Takes something down, and returns when it is.
    pub async fn down(&mut self, what: Down) -> Result<(), ControlError> {
        self.order(&Order::Down(what)).await
    }

    /// Brings it back, and returns when it says that it serves.
    pub async fn up(&mut self) -> Result<(), ControlError> {
        self.order(&Order::Up).await
    }

    /// Takes what was written out of the guestbook.
    pub async fn forget(&mut self) -> Result<(), ControlError> {
        self.order(&Order::Forget).await
    }

    async fn order(&mut self, order: &Order) -> Result<(), ControlError> {
        let gone = |_| ControlError::NotUp(self.lab.clone());
        write_line(self.stream.get_mut(), order).await.map_err(gone)?;
        match self.stream.next::<Response>().await.map_err(gone)? {
            Some(Response::Done(_)) => Ok(()),
            Some(Response::Refused(causes)) => Err(ControlError::Refused(causes)),
            Some(_) => Err(ControlError::Strange(self.lab.clone())),
            None => Err(ControlError::NotUp(self.lab.clone())),
        }
    }
}

/// The lab's end: does what the holder says, and at the end whatever it has not undone itself. Ends with the lab, which takes
/// everything down anyway.
pub(super) async fn keep(stream: UnixStream, desk: &Arc<Desk>, mark: Option<Mark>, end: CancellationToken) {
    let (orders, mut answers) = stream.into_split();
    let Ok(_only_one) = desk.measuring.try_lock() else {
        let why = "a measure is under way in this lab, or its end is being cleared up: wait until it is over";
        let _ = write_line(&mut answers, &Response::Refused(vec![why.into()])).await;
        return;
    };
    let mut down = None;
    let mut is_clean = mark.is_none();
    let mut orders = LineReader::new(orders);
    let mut response = Response::Done("measure".into());
    while matches!(timeout(SAYS_WITHIN, write_line(&mut answers, &response)).await, Ok(Ok(()))) {
        let order = tokio::select! {
            () = end.cancelled() => return,
            order = timeout(SAYS_WITHIN, orders.next()) => order,
        };
        let Ok(Ok(Some(order))) = order else { break };
        response = match (order, &down) {
            (Order::Down(_), Some(_)) => refused("something is down already"),
            (Order::Down(what), None) => {
                is_clean = mark.is_none();
                let response = desk.take_down(&what).await;
                down = Some(what).filter(|_| matches!(response, Response::Done(_)));
                response
            }
            (Order::Up, Some(what)) => {
                let response = desk.bring_back(what).await;
                if matches!(response, Response::Done(_)) {
                    down = None;
                }
                response
            }
            (Order::Up, None) => refused("nothing is down"),
            (Order::Forget, _) => {
                let response = forget(desk, mark.as_ref()).await;
                is_clean = matches!(response, Response::Done(_));
                response
            }
        };
    }
    if end.is_cancelled() || down.is_none() && is_clean {
        return;
    }
    desk.journal.note("a measure ended midway: what it took down is brought back");
    if let Some(what) = &down
        && let Response::Refused(causes) = desk.bring_back(what).await
    {
        desk.journal.note(format!("what a measure took down is not as before: {}", causes.join(": ")));
    }
    if !is_clean
        && end.run_until_cancelled(sleep(ARRIVES_WITHIN)).await.is_some()
        && let Response::Refused(causes) = forget(desk, mark.as_ref()).await
    {
        desk.journal.note(format!("what a measure wrote is in the guestbook still: {}", causes.join(": ")));
    }
}

async fn forget(desk: &Desk, mark: Option<&Mark>) -> Response {
    match mark {
        Some(mark) => desk.forget(mark).await,
        None => Response::Done(String::new()),
    }
}

fn refused(why: &str) -> Response {
    Response::Refused(vec![why.into()])
}
