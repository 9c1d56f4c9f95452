//! Holds: connections over which a measure changes the lab, one thing after the other, and has it undone.
//!
//! It is the supervisor that knows what is otherwise because of a measure, not the measure: an open connection is closed by the
//! kernel for whoever is killed, and at its end, whichever that is, what is down is brought back, what is tried is taken back,
//! and what the measure wrote is taken out of the guestbook. One hold is given at a time, and so one measure.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ground::channel::Mark;
use crate::ground::clock::Stopwatch;
use crate::ground::lines::{LineReader, write_line};
use crate::ground::service::causes;

use super::application::{How, Serving};
use super::control::{self, ControlError, Request, Response};
use super::desk::Desk;
use super::directory::Directory;
use super::faults::edges::Edge;
use super::hosts::ServiceName;
use super::releases::Releases;

/// A holder that says nothing for so long while a part of the lab is down, or does not hear, stands still: longer than any look takes.
const SAYS_WITHIN: Duration = Duration::from_secs(120);

/// What was on its way when a measure was killed, a form in the buffer of a process that stood still, has arrived by then.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// So long an application that is busy with what is left of a load, or whose database is locked, is asked again to forget.
const FORGETS_WITHIN: Duration = Duration::from_secs(20);
const ASKS_EVERY: Duration = Duration::from_millis(100);

/// What is ordered is done by then, beside the time that a program of a student's may take to start.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// What whoever comes meanwhile is told.
pub(super) const UNDER_WAY: &str =
    "a measure is under way in this lab, or its end is being cleared up: wait until it is over";

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
    /// A way between two services that is cut by the fault of this name, as on `loopback`, where there are no cables.
    Way(Edge),
}

/// What a holder may say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    /// Take this down, while nothing else is otherwise.
    Down(Down),
    /// Have the application serve the files in this directory, absolute, by this way, while nothing else is otherwise.
    Try(How, PathBuf),
    /// Bring back what is down, or take back what is tried.
    Undo,
    /// Take out of the guestbook what was written: nothing more will be.
    Forget,
}

/// What is otherwise because of a measure.
#[derive(Debug)]
enum Otherwise {
    Down(Down),
    /// The application, which served so before.
    Tried(Serving),
}

/// The measure's end.
#[derive(Debug)]
pub struct Hold<'a> {
    stream: LineReader<UnixStream>,
    directory: &'a Directory,
}

impl<'a> Hold<'a> {
    /// Takes the one of the lab in `directory`; entries of the guestbook with this `mark` are taken out at its
    /// end.
    pub async fn take(directory: &'a Directory, mark: Option<Mark>) -> Result<Self, ControlError> {
        match control::talk(directory, &Request::Measure(mark)).await? {
            (Response::Done(_), stream) => Ok(Self { stream, directory }),
            _ => Err(ControlError::Strange(directory.name())),
        }
    }

    /// Takes something down, and returns when it is.
    pub async fn down(&mut self, what: Down) -> Result<(), ControlError> {
        self.order(&Order::Down(what)).await
    }

    /// Has the application serve the files in `code` by this way, and returns when it does.
    pub async fn attempt(&mut self, how: How, code: PathBuf) -> Result<(), ControlError> {
        self.order(&Order::Try(how, code)).await
    }

    /// Undoes what was done last, if anything was, and returns when all serves as before.
    pub async fn undo(&mut self) -> Result<(), ControlError> {
        self.order(&Order::Undo).await
    }

    /// Takes what was written out of the guestbook.
    pub async fn forget(&mut self) -> Result<(), ControlError> {
        self.order(&Order::Forget).await
    }

    async fn order(&mut self, order: &Order) -> Result<(), ControlError> {
        let Self { stream, directory } = self;
        let said = async {
            write_line(stream.get_mut(), order).await?;
            stream.next::<Response>().await
        };
        match control::patiently(directory, control::starting(directory, DONE_WITHIN), said).await? {
            Ok(Some(Response::Done(_) | Response::Deployed { .. })) => Ok(()),
            Ok(Some(Response::Refused(causes))) => Err(ControlError::Refused(causes)),
            Ok(Some(_)) => Err(ControlError::Strange(directory.name())),
            Ok(None) | Err(_) => Err(ControlError::NotUp(directory.name())),
        }
    }
}

/// The lab's end: does what the holder says, and at the end whatever it has not undone itself. Ends with the lab, which takes
/// everything down anyway.
pub(super) async fn keep(stream: UnixStream, desk: &Arc<Desk>, mark: Option<Mark>, end: CancellationToken) {
    let (orders, mut answers) = stream.into_split();
    let Ok(_only_one) = desk.measuring.try_lock() else {
        let _ = write_line(&mut answers, &refused(UNDER_WAY)).await;
        return;
    };
    let mut otherwise = None;
    let mut is_clean = mark.is_none();
    let mut orders = LineReader::new(orders);
    let mut response = Response::Done("measure".into());
    while matches!(timeout(SAYS_WITHIN, write_line(&mut answers, &response)).await, Ok(Ok(()))) {
        // Whoever has taken nothing down may take his time.
        let patience =
            if matches!(otherwise, Some(Otherwise::Down(_))) { SAYS_WITHIN } else { Duration::MAX };
        let order = tokio::select! {
            () = end.cancelled() => return,
            order = timeout(patience, orders.next()) => order,
        };
        let Ok(Ok(Some(order))) = order else { break };
        response = match (order, &otherwise) {
            (Order::Down(_) | Order::Try(..), Some(_)) => refused("something is down or tried already"),
            (Order::Down(what), None) => {
                is_clean = mark.is_none();
                let response = desk.take_down(&what).await;
                otherwise = Some(Otherwise::Down(what)).filter(|_| matches!(response, Response::Done(_)));
                response
            }
            (Order::Try(how, code), None) => {
                // Also what was refused may have gone half the way.
                otherwise = Some(Otherwise::Tried(desk.design.app.get()));
                desk.try_out(how, &code).await
            }
            (Order::Undo, None) => Response::Done(String::new()),
            (Order::Undo, Some(what)) => {
                let response = undo(desk, what).await;
                if matches!(response, Response::Done(_)) {
                    otherwise = None;
                }
                response
            }
            (Order::Forget, _) => {
                let mut response = forget(desk, mark.as_ref(), &end).await;
                // What was given up may still be written.
                if mark.is_some()
                    && matches!(response, Response::Done(_))
                    && end.run_until_cancelled(sleep(ARRIVES_WITHIN)).await.is_some()
                {
                    response = forget(desk, mark.as_ref(), &end).await;
                }
                is_clean = matches!(response, Response::Done(_));
                response
            }
        };
    }
    if end.is_cancelled() {
        return;
    }
    if otherwise.is_some() || !is_clean {
        desk.journal.note("a measure ended midway: what it changed is undone");
    }
    if let Some(what) = &otherwise
        && let Response::Refused(causes) = undo(desk, what).await
    {
        desk.journal.note(format!("what a measure changed is not as before: {}", causes.join(": ")));
    }
    // Of a version that was made, and not tried yet.
    if let Err(error) = Releases::of(&desk.design.directory).remove_trial() {
        desk.journal.note(format!("what a measure made is left: {}", causes(&error).join(": ")));
    }
    if !is_clean
        && end.run_until_cancelled(sleep(ARRIVES_WITHIN)).await.is_some()
        && let Response::Refused(causes) = forget(desk, mark.as_ref(), &end).await
    {
        desk.journal.note(format!("what a measure wrote is in the guestbook still: {}", causes.join(": ")));
    }
}

async fn undo(desk: &Arc<Desk>, what: &Otherwise) -> Response {
    match what {
        Otherwise::Down(what) => desk.bring_back(what).await,
        Otherwise::Tried(before) => desk.take_back(before).await,
    }
}

/// Takes out what has the mark until nothing is left of it.
async fn forget(desk: &Desk, mark: Option<&Mark>, end: &CancellationToken) -> Response {
    let Some(mark) = mark else { return Response::Done(String::new()) };
    let patience = Stopwatch::start();
    loop {
        match desk.forget(mark).await {
            Ok(0) => return Response::Done(String::new()),
            Ok(_) => {}
            Err(why) if patience.elapsed() > FORGETS_WITHIN => return Response::Refused(why),
            Err(why) => {
                if end.run_until_cancelled(sleep(ASKS_EVERY)).await.is_none() {
                    return Response::Refused(why);
                }
            }
        }
    }
}

fn refused(why: &str) -> Response {
    Response::Refused(vec![why.into()])
}
