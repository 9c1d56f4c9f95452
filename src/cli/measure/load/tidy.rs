//! Takes away what a load has signed into the guestbook: a process of its own, that waits at the end of a pipe, since nothing
//! else survives a `kill -9` of the command.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::ground::chance::RequestId;
use crate::ground::clock::Stopwatch;
use crate::ground::service::causes;
use crate::lab::control;
use crate::lab::directory::Directory;
use crate::services::database::Store;

use crate::cli::{Failure, World, backup, block_on};

/// What the command is called.
pub(in crate::cli::measure) const COMMAND: &str = "tidy-load";

/// Before the names under which a load signs: nothing else is ever deleted.
const SIGNS_AS: &str = "wwwlab measure load ";

/// So long a database that is locked, or busy with what is left of the load, is tried again.
const PATIENCE: Duration = Duration::from_secs(20);
const TRIED_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(in crate::cli::measure) struct Arguments {
    /// What comes after the beginning that all such names share
    mark: String,
}

/// Waits for the end of standard input, and then deletes what was signed under the mark.
pub(in crate::cli::measure) fn run(
    arguments: &Arguments,
    directory: &Directory,
    _world: &mut World,
) -> Result<u8, Failure> {
    let engine = block_on(control::status(directory))??.database.engine;
    let target = backup::reached(directory, engine);
    let target = target.map_err(|error| Failure::Said(causes(&error).join(": ")))?;
    let failed = |error| Failure::System("cannot wait for the end of the load".into(), error);
    io::stdin().lock().read_to_end(&mut Vec::new()).map_err(failed)?;
    block_on(async {
        let store = Store::at(target);
        let (name, patience) = (signature(&arguments.mark), Stopwatch::start());
        loop {
            match store.delete_signed_by(&name).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if patience.elapsed() > PATIENCE => {
                    return Err(Failure::Said(causes(&error).join(": ")));
                }
                Err(_) => tokio::time::sleep(TRIED_EVERY).await,
            }
        }
        store.close().await;
        Ok(0)
    })?
}

/// Whoever takes it away.
#[derive(Debug)]
pub(super) struct Tidier {
    child: Child,
    mark: String,
}

impl Tidier {
    /// Has somebody stand by until this is dropped, or this process is gone.
    pub(super) fn start(directory: &Directory) -> Result<Self, Failure> {
        let failed = |error| Failure::System("cannot start what takes the entries away again".into(), error);
        let mark = RequestId::draw().span().to_owned();
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("measure").arg(COMMAND).arg(&mark);
        if directory.toml.is_some() {
            command.arg("--lab").arg(&directory.root);
        }
        if let Some(state) = directory.state.parent() {
            command.arg("--state").arg(state);
        }
        command.arg("--network").arg(directory.network.to_string());
        for variable in ["WWWLAB_LAB", "WWWLAB_STATE", "WWWLAB_NETWORK"] {
            command.env_remove(variable);
        }
        // Away from any lab.toml that is here; and ^C is for the load, not for who tidies up after it.
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Self { child: command.spawn().map_err(failed)?, mark })
    }

    /// The name to sign with.
    pub(super) fn signature(&self) -> String {
        signature(&self.mark)
    }

    /// Has it done, and waits for that.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        let left = format!("some entries signed by {:?} are left in the guestbook", self.signature());
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(Failure::Said(left)),
            Err(error) => Err(Failure::System(left, error)),
        }
    }
}

impl Drop for Tidier {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn signature(mark: &str) -> String {
    format!("{SIGNS_AS}{mark}")
}
