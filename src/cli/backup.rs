//! `wwwlab backup FILE` and `wwwlab restore FILE`: all that the guestbook keeps, as one file and back, while the lab is up.
//!
//! Done here and not by the application: it goes on while this takes its time, and a database whose application is
//! down, or in pieces, can be restored too.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;

use serde::Serialize;

use crate::ground::service::causes;
use crate::lab::config::{Engine, Network, Sessions};
use crate::lab::control::{self, Request, Verb};
use crate::lab::database::address_file;
use crate::lab::directory::Directory;
use crate::lab::network;
use crate::services::database::backup::{self, BackupError, Doing, Manifest};
use crate::services::database::{Server, Target, UrlFileError};

use super::progress::Shown;
use super::quit::asked_to_quit;
use super::screen::{BOLD, DIM, bytes};
use super::words::printable;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct BackupArguments {
    /// Where to write the backup; only you can read it
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArguments {
    /// The backup; what is in it replaces all that is in the database
    file: PathBuf,
    /// Only see whether it could be restored; the lab may be down
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was restored, or could be, for programs.
#[derive(Debug, Serialize)]
struct Restored<'a> {
    file: &'a Path,
    /// False where it was only checked.
    restored: bool,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

pub(super) fn back_up(
    arguments: &BackupArguments,
    directory: &Directory,
    world: &mut World,
) -> Result<u8, Failure> {
    let made = block_on(async {
        let target = target(directory, world).await?;
        let mut shown = Shown::default();
        let mut told = |progress| shown.tell(progress, world);
        let making = backup::back_up(&target, &arguments.file, arguments.force, &mut told);
        let quit = asked_to_quit().map_err(unwatchable)?;
        unless(quit, making, || false, "ended before the backup was whole: there is none").await
    })??;
    if arguments.json {
        world.json(&made)?;
        return Ok(0);
    }
    let (bold, dim) = (BOLD, DIM);
    let file = printable(&made.file.display().to_string());
    writeln!(
        world.out,
        "{bold}{file}{bold:#} has {} {dim}({}){dim:#}",
        rows(&made.manifest),
        bytes(made.bytes)
    )?;
    writeln!(world.out, "  {dim}SHA-256 of all but its last line: {}{dim:#}", made.sha256)?;
    Ok(0)
}

pub(super) fn restore(
    arguments: &RestoreArguments,
    directory: &Directory,
    world: &mut World,
) -> Result<u8, Failure> {
    let mut shown = Shown::default();
    let manifest = if arguments.check {
        backup::check(&arguments.file, &mut |progress| shown.tell(progress, world))?
    } else {
        block_on(async {
            let target = target(directory, world).await?;
            let ends = Cell::new(false);
            let mut told = |progress: backup::Progress| {
                ends.set(progress.doing == Doing::Ending);
                shown.tell(progress, world);
            };
            let restoring = backup::restore(&target, &arguments.file, &mut told);
            let quit = asked_to_quit().map_err(unwatchable)?;
            unless(quit, restoring, || ends.get(), "ended before it was restored: nothing was changed").await
        })??
    };
    drop(shown);
    let logged_out = if arguments.check { false } else { forget_sessions(directory)? };
    if arguments.json {
        world.json(&Restored { file: &arguments.file, restored: !arguments.check, manifest: &manifest })?;
        return Ok(0);
    }
    let (bold, dim) = (BOLD, DIM);
    let file = printable(&arguments.file.display().to_string());
    let (done, made_at) =
        (if arguments.check { "can be restored" } else { "is restored" }, &manifest.made_at);
    let (made_at, engine) = (printable(made_at), printable(&manifest.engine));
    writeln!(
        world.out,
        "{bold}{file}{bold:#} {done}: {} {dim}(of {made_at}, from {engine}){dim:#}",
        rows(&manifest)
    )?;
    if !arguments.check {
        let how = if logged_out { "; the application was started again for it" } else { "" };
        writeln!(world.out, "  {dim}everybody is logged out{how}{dim:#}")?;
    }
    Ok(0)
}

/// The database of the lab, as who stands outside of it reaches it.
async fn target(directory: &Directory, world: &World) -> Result<Target, Failure> {
    let status = control::status(directory).await?;
    let app = directory.config()?.app;
    if app.command.is_some() || app.fastcgi.is_some() {
        let program = &world.program;
        let why = "this lab runs an application of your own, and only that knows its tables";
        return Err(Failure::Said(format!(
            "{why}: see `{program} db`, or mariadb-dump and sqlite3's .backup"
        )));
    }
    let target = reached(directory, status.database.engine);
    target.map_err(|error| Failure::Said(causes(&error).join(": ")))
}

/// The database, as it is reached from here.
pub(super) fn reached(directory: &Directory, engine: Engine) -> Result<Target, UrlFileError> {
    if engine == Engine::Sqlite {
        return Ok(Target::File(directory.database()));
    }
    let server = Server::named_in(&address_file(directory))?;
    Ok(Target::Server(
        if directory.network == Network::Hosts && network::here(&directory.machines()).is_none() {
            // Its address belongs to others out here.
            server.at_socket(&directory.database_socket())
        } else {
            server
        },
    ))
}

/// Starts the application again if it remembers by itself who is logged in, by numbers that may be others' now. Whether
/// it does.
fn forget_sessions(directory: &Directory) -> Result<bool, Failure> {
    let remembers = directory.config()?.app.sessions == Sessions::Memory;
    if remembers {
        for app in directory.config()?.apps() {
            block_on(control::ask(directory, &Request::Service(Verb::Restart, app)))??;
        }
    }
    Ok(remembers)
}

fn unwatchable(error: io::Error) -> Failure {
    Failure::System("cannot watch for signals".into(), error)
}

/// What comes of `work`, unless somebody `quit`s before: then `ended` is said, but not when it `is_too_late` for that to be
/// true.
async fn unless<T>(
    quit: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, BackupError>>,
    is_too_late: impl Fn() -> bool,
    ended: &'static str,
) -> Result<T, Failure> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return Ok(done?),
        () = quit => {}
    }
    if is_too_late() { Ok(work.await?) } else { Err(Failure::Said(ended.into())) }
}

/// `3 entries and 1 account`.
fn rows(manifest: &Manifest) -> String {
    let counts = manifest.rows;
    let entries = if counts.entries == 1 { "entry" } else { "entries" };
    let accounts = if counts.accounts == 1 { "account" } else { "accounts" };
    format!("{} {entries} and {} {accounts}", counts.entries, counts.accounts)
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let said = causes(&error).join(": ");
        match error {
            BackupError::Exists { .. }
            | BackupError::Unreadable { .. }
            | BackupError::Foreign { .. }
            | BackupError::Newer { .. }
            | BackupError::Damaged { .. }
            | BackupError::Contradictory { .. } => Self::Unusable(said),
            _ => Self::Said(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn who_quits_is_told_what_is_true() {
        let quit = |is_too_late: bool| {
            let work = async {
                tokio::task::yield_now().await;
                Ok("restored")
            };
            block_on(unless(ready(()), work, move || is_too_late, "nothing was changed")).unwrap()
        };
        assert!(matches!(quit(false), Err(Failure::Said(said)) if said == "nothing was changed"));
        assert!(matches!(quit(true), Ok("restored")), "it could not be taken back any more");
        let done = block_on(unless(pending(), async { Ok(1) }, || false, "")).unwrap();
        assert!(matches!(done, Ok(1)));
    }
}
