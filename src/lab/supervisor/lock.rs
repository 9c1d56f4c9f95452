//! The lab's lock: one supervisor for a lab, and whoever asks learns its pid.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use super::UpError;
use crate::ground::clock;
use crate::lab::directory::Directory;

/// A holder that was killed this very moment has let go by then.
const HOLDER_WITHIN: Duration = Duration::from_millis(100);

/// The lab's lock. Until there is a guard to remove its file, dropping it does.
#[derive(Debug)]
pub(super) struct Lock {
    /// Unlocked when it is closed.
    _file: Flock<File>,
    path: PathBuf,
    pub(super) file_is_the_guards: bool,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.file_is_the_guards {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes the lab's lock. If the last run could not clean up, because its guard was killed too, its pid.
pub(super) async fn take(directory: &Directory) -> Result<(Lock, Option<u32>), UpError> {
    let path = directory.lock_file();
    let patience = clock::Stopwatch::start();
    loop {
        let failed = |source| UpError::State { path: path.clone(), source };
        let file = open_lock(&path).map_err(failed)?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) if patience.elapsed() < HOLDER_WITHIN => {
                // Its holder may have been killed this very moment.
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
                let pid = read_pid(&file).unwrap_or_default();
                return Err(UpError::AlreadyUp { lab: directory.name(), pid });
            }
            Err((_, errno)) => return Err(failed(errno.into())),
        };
        let left_behind = read_pid(&lock);
        let still_there = same_file(&path, &lock).map_err(failed)?;
        if !still_there || left_behind.is_some() && patience.elapsed() < GUARD_WITHIN {
            // The last run was killed this very moment: its guard is at work and removes this file at the end.
            drop(lock);
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let mut write = || {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        write().map_err(failed)?;
        return Ok((Lock { _file: lock, path, file_is_the_guards: false }, left_behind));
    }
}

/// A guard whose supervisor was killed has ended everything by then.
const GUARD_WITHIN: Duration = Duration::from_millis(500);

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn read_pid(mut file: &File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn same_file(path: &Path, file: &File) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
