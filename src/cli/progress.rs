//! How far something long is: a bar where standard error is a terminal, a line now and then where it is not, and nothing
//! at all of what is over soon.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::ground::clock::Stopwatch;
use crate::services::database::backup::{Doing, Progress};

use super::World;

/// What takes no longer than this needs no showing, and lines are at least so far apart.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// What has been shown so far.
#[derive(Debug, Default)]
pub(super) struct Shown {
    since: Option<(Doing, Stopwatch)>,
    bar: Option<ProgressBar>,
}

impl Shown {
    /// Shows how far it is, if it is time to.
    pub(super) fn tell(&mut self, progress: Progress, world: &mut World) {
        let Progress { doing, done, all } = progress;
        if let Some(bar) = self.bar.as_ref().filter(|_| self.is_the_same(doing)) {
            bar.set_position(done);
            if done >= all {
                self.clear();
            }
            return;
        }
        match self.since {
            Some((before, since)) if before == doing => {
                if since.elapsed() < SHOWN_AFTER || done >= all {
                    return;
                }
                self.since = Some((doing, Stopwatch::start()));
                if std::io::stderr().is_terminal() {
                    self.bar = Some(bar(doing, done, all));
                } else {
                    // Nothing depends on its being read.
                    let _ = writeln!(world.err, "{}: {done} of {all} rows", words(doing));
                    let _ = world.err.flush();
                }
            }
            _ => {
                self.clear();
                self.since = Some((doing, Stopwatch::start()));
            }
        }
    }

    fn is_the_same(&self, doing: Doing) -> bool {
        self.since.is_some_and(|(before, _)| before == doing)
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Shown {
    /// What is said next starts on a clean line.
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(doing: Doing, done: u64, all: u64) -> ProgressBar {
    const LOOK: &str = "{msg} [{bar:30}] {human_pos} of {human_len} rows, {eta} to go";
    let bar = ProgressBar::new(all).with_message(words(doing)).with_position(done);
    match ProgressStyle::with_template(LOOK) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

fn words(doing: Doing) -> &'static str {
    match doing {
        Doing::BackingUp => "backing up",
        Doing::Checking => "checking",
        Doing::Restoring => "restoring",
        Doing::Ending => "ending",
    }
}
