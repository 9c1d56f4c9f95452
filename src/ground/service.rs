//! The contract of every service: start (bind), serve, close (drain, join, report).

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use super::bind::Listening;
use super::channel::{Ask, Reply};
use super::journal::Journal;

/// How long a closing service lets open work finish before it ends it.
pub const DRAIN: Duration = Duration::from_millis(400);

/// A service that runs.
pub trait Service: Sized {
    /// What it must be told to start, read from its command line.
    type Config;
    /// Why it could not start.
    type Error: Error + Send + Sync + 'static;

    /// Binds, then serves in tasks of its own. When this returns, a client is answered.
    fn start(config: Self::Config, journal: Journal) -> impl Future<Output = Result<Self, Self::Error>>;

    /// The addresses at which it really listens.
    fn listening(&self) -> Vec<Listening>;

    /// Which version of files that can be deployed it serves, if it serves any.
    fn version(&self) -> Option<String> {
        None
    }

    /// Does what the supervisor asks while serving goes on.
    fn ask(&self, ask: Ask) -> impl Future<Output = Reply> {
        async move { Reply::Refused(vec![format!("this service cannot do that: {ask:?}")]) }
    }

    /// Returns when there is nothing left to serve, so that the service ends by itself; for nearly all of them never.
    fn over(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    /// Stops accepting, lets open work finish for at most [`DRAIN`], ends the rest, and joins every task.
    fn close(self) -> impl Future<Output = Closed>;
}

/// How a service closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// Connections or requests that had to be cut because they did not finish in time.
    pub cut: usize,
}

/// An error and its causes, outermost first, each as one line; a cause that its effect already tells is left out.
pub fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if causes.last().is_none_or(|effect| !effect.ends_with(&text)) {
            causes.push(text);
        }
        cause = error.source();
    }
    causes
}
