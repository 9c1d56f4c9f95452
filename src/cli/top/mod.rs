//! `wwwlab top`: how much each service is asked, how fast it answers and what it takes, live, on the whole terminal.
//!
//! [`model`] makes numbers of one reading after the other, [`screen`] draws them; both without a terminal. Here are the
//! terminal, the keys and the time. The lab does nothing for it between two readings.

mod model;
mod screen;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::ground::clock;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;

use super::{Failure, World, block_on};
use model::{Model, Reading};

/// Readings are no closer than the first and no further apart than the second.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Time between two readings, 100ms to 1min
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = between)]
    interval: Duration,
}

fn between(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    INTERVALS.contains(&time).then_some(time).ok_or_else(|| "it is a time from 100ms to 1min".into())
}

/// What somebody at the terminal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Quit,
    /// Another order of the rows.
    Sort,
    /// The screen, anew: it may have another size.
    Draw,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &World) -> Result<u8, Failure> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let program = &world.program;
        return Err(Failure::Said(format!(
            "top needs a terminal: `{program} status` and `{program} metrics` say the same once, with --json for programs"
        )));
    }
    let has_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    block_on(show(arguments.interval, directory, has_colours))?
}

/// Shows until somebody quits or the lab has ended; leaves the terminal as it was, whatever happens.
async fn show(every: Duration, directory: &Directory, has_colours: bool) -> Result<u8, Failure> {
    let system = |error| Failure::System("cannot use the terminal".into(), error);
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(system)?;
    // A lab that is not up is told on the terminal as it is.
    let mut model = Model::new(directory.name());
    model.take(read(directory).await?);
    let mut terminal = ratatui::try_init().map_err(system)?;
    let _restored = Restored;
    let mut keys = EventStream::new();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is now, and has been read.
    ticks.tick().await;
    loop {
        let up_millis = clock::unix_millis();
        terminal
            .draw(|frame| screen::draw(frame.buffer_mut(), &model, up_millis, has_colours))
            .map_err(system)?;
        let reading = async {
            ticks.tick().await;
            read(directory).await
        };
        tokio::pin!(reading);
        // Keys are heard while a lab that stands still is waited for.
        let wish = loop {
            tokio::select! {
                reading = &mut reading => {
                    model.take(reading?);
                    break Wish::Draw;
                }
                event = keys.next() => match event {
                    Some(Ok(event)) => if let Some(wish) = wish(&event) { break wish },
                    Some(Err(error)) => return Err(system(error)),
                    None => break Wish::Quit,
                },
                _ = terminate.recv() => break Wish::Quit,
                _ = hang_up.recv() => break Wish::Quit,
            }
        };
        match wish {
            Wish::Quit => return Ok(0),
            Wish::Sort => model.sort(),
            Wish::Draw => {}
        }
    }
}

/// Gives the terminal back as it was when this is dropped.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = ratatui::try_restore();
    }
}

async fn read(directory: &Directory) -> Result<Reading, ControlError> {
    let metrics = Request::Metrics(None);
    let (status, told) = tokio::join!(control::status(directory), control::ask(directory, &metrics));
    let status = status?;
    let Response::Metrics(families) = told? else {
        return Err(ControlError::Strange(directory.name()));
    };
    Ok(Reading { at: clock::now(), status, families })
}

fn wish(event: &Event) -> Option<Wish> {
    match event {
        Event::Resize(..) => Some(Wish::Draw),
        Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) => match code {
            KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::Quit),
            KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Quit),
            KeyCode::Char('s') => Some(Wish::Sort),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_understood() {
        let key = |code, modifiers| wish(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Wish::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::Char('s'), KeyModifiers::NONE), Some(Wish::Sort));
        assert_eq!(wish(&Event::Resize(1, 1)), Some(Wish::Draw));
        assert_eq!(wish(&Event::FocusGained), None);
    }

    #[test]
    fn the_interval_has_bounds() {
        assert_eq!(between("2s"), Ok(Duration::from_secs(2)));
        for text in ["0s", "99ms", "61s", "-1s", "soon"] {
            assert!(between(text).is_err(), "{text}");
        }
    }
}
