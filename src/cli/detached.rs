//! A lab in the background: this program again, in a session of its own, which reports over a channel how it came up.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::UnixStream;

use crate::ground::channel::{self, Report};
use crate::ground::event::{Happened, Moment};
use crate::ground::lines::{LineReader, write_line};
use crate::ground::service::causes;
use crate::lab::child::no_process_left;
use crate::lab::database::Wish;
use crate::lab::directory::Directory;
use crate::lab::log::Log;
use crate::lab::network::publish::Publication;
use crate::lab::supervisor::Lab;

use super::quit::asked_to_quit;
use super::up::DATABASE_VARIABLE;
use super::{Failure, Place};

/// A lab that has not said by then how it went has not come up; an application of the student's own may take 5 min.
const UP_WITHIN: Duration = Duration::from_secs(330);

/// How long a lab in the background is to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Until `wwwlab down`.
    Ended,
    /// Until nobody holds a lease any more.
    NotNeeded,
}

/// Starts this program again, away from the terminal, and waits until it is up. `progress` shows what takes long. A
/// lab that lasts until it is not needed lasts at least until the channel is dropped.
pub(super) async fn start(
    directory: &Directory,
    place: &Place,
    database: Option<&str>,
    publish: &[Publication],
    seed: Option<u32>,
    until: Until,
    mut progress: impl FnMut(&str),
) -> Result<UnixStream, Failure> {
    let system = |what: &'static str| move |error| Failure::System(what.into(), error);
    directory.prepare()?;
    let log = Log::open(&directory.log("lab"))
        .and_then(|log| log.handle())
        .map_err(system("cannot open the lab's log"))?;
    let executable = std::env::current_exe().map_err(system("cannot find this executable"))?;
    let (ours, theirs) = StdUnixStream::pair().map_err(system("cannot make a channel"))?;
    let mut command = Command::new(executable);
    command.arg0("wwwlab").args(["up", "--detached"]);
    if until == Until::NotNeeded {
        command.arg("--while-needed");
    }
    command.arg("--network").arg(directory.network.to_string());
    for publication in publish {
        command.arg("--publish").arg(publication.to_string());
    }
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    if let Some(database) = database {
        // Not as an argument, which everybody may read for as long as the lab is up.
        command.env(DATABASE_VARIABLE, database);
    }
    for (option, value) in [("--lab", &place.lab), ("--state", &place.state)] {
        if let Some(value) = value {
            command.arg(option).arg(value);
        }
    }
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    command.stdout(log.try_clone().map_err(system("cannot open the lab's log"))?).stderr(log);
    // The lab leads a session of its own and is nobody's child once this command has returned.
    let mut child = command.spawn().map_err(|error| {
        Failure::System(format!("cannot start the lab{}", no_process_left(&error)), error)
    })?;
    drop(command);
    ours.set_nonblocking(true)?;
    let mut ours = UnixStream::from_std(ours)?;
    let mut reports = LineReader::new(&mut ours);
    let last = async {
        loop {
            match reports.next::<Report>().await {
                Ok(Some(Report::Happened { what, .. })) => progress(&what.to_string()),
                last => break last,
            }
        }
    };
    match tokio::time::timeout(UP_WITHIN, last).await {
        Ok(Ok(Some(Report::Ready { .. }))) => Ok(ours),
        Ok(Ok(Some(Report::Failed { causes }))) => Err(Failure::Said(causes.join(": "))),
        _ => {
            let _ = child.kill();
            let log = directory.log("lab");
            Err(Failure::Said(format!("the lab did not come up and did not say why; see {}", log.display())))
        }
    }
}

/// The detached lab's own life; with `while_needed`, until nobody holds a lease any more.
pub(super) async fn live(
    directory: Directory,
    wish: Option<Wish>,
    publish: Option<Vec<Publication>>,
    seed: Option<u32>,
    while_needed: bool,
) -> Result<u8, Failure> {
    let system = |what: &'static str| move |error| Failure::System(what.into(), error);
    // Fails only for a process that leads a session already, which serves as well.
    let _ = nix::unistd::setsid();
    let starter = channel::on_descriptor_0().map_err(system("cannot use descriptor 0"))?;
    let mut starter =
        starter.ok_or_else(|| Failure::Said("--detached is for `wwwlab up -d` alone".into()))?;
    let quit = asked_to_quit().map_err(system("cannot watch for signals"))?;
    tokio::pin!(quit);
    let (shown, mut showing) = tokio::sync::mpsc::unbounded_channel();
    let up = Lab::up(directory, wish, publish, seed, |text| {
        // A handful at most: what is shown takes long.
        let _ = shown.send(text.to_owned());
    });
    tokio::pin!(up);
    let came_up = loop {
        tokio::select! {
            lab = &mut up => break lab,
            () = &mut quit => return Ok(1),
            // Nobody waits for it any more: ^C of the command that started it.
            _ = starter.readable() => return Ok(1),
            Some(text) = showing.recv() => {
                let report = Report::Happened { when: Moment::now(), what: Happened::Note { text } };
                let _ = write_line(&mut starter, &report).await;
            }
        }
    };
    match came_up {
        Ok(mut lab) => {
            let _ = write_line(&mut starter, &Report::Ready { listening: Vec::new(), version: None }).await;
            if while_needed {
                lab.while_needed(starter);
            } else {
                drop(starter);
            }
            lab.run(quit, |_| {}).await;
            Ok(0)
        }
        Err(error) => {
            let causes = causes(&Failure::from(error));
            let _ = write_line(&mut starter, &Report::Failed { causes }).await;
            Ok(1)
        }
    }
}
