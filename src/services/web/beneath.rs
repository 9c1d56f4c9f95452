//! Opening a file that surely lies beneath a directory, whatever links are laid on the way to it.
//!
//! First every link is followed, and where that leads is looked at; then that very place is opened, and no link is
//! followed any more. Between the two nobody can lay one: Linux is told to follow none at all (`openat2`); elsewhere
//! the last step at least does not.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc;

/// A directory that nothing is opened outside of.
#[derive(Debug)]
pub(super) struct Beneath {
    /// Without symbolic links.
    root: PathBuf,
}

impl Beneath {
    /// `directory`.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let root = directory.canonicalize()?;
        if root.is_dir() { Ok(Self { root }) } else { Err(ErrorKind::NotADirectory.into()) }
    }

    /// Where `place` would be, before any link is followed.
    pub(super) fn path(&self, place: &Path) -> PathBuf {
        self.root.join(place)
    }

    /// What is at `place`, open for reading; nothing where there is nothing, or nothing to be seen.
    pub(super) fn open(&self, place: &Path) -> io::Result<Option<File>> {
        let Some(below) = present(self.path(place).canonicalize())?.and_then(|path| self.seen(&path)) else {
            return Ok(None);
        };
        present(open_without_links(&self.root, &below))
    }

    /// Where a path without links is below the directory, if it is and may be seen.
    fn seen(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.root).ok().filter(|below| !below.as_os_str().is_empty())?;
        let is_seen = |(depth, name): (usize, &std::ffi::OsStr)| {
            // RFC 8615: the one dotted directory that is meant to be seen.
            !name.as_bytes().starts_with(b".") || (depth == 0 && name.as_bytes() == b".well-known")
        };
        below.iter().enumerate().all(is_seen).then(|| below.to_owned())
    }
}

/// Without `O_NONBLOCK`, opening a named pipe would wait for its other end, and the whole server with it.
const FLAGS: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

#[cfg(target_os = "linux")]
fn open_without_links(root: &Path, below: &Path) -> io::Result<File> {
    use nix::errno::Errno;
    use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

    let how = OpenHow::new()
        .flags(OFlag::from_bits_retain(FLAGS) | OFlag::O_RDONLY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    // Opened anew each time: a site that is replaced as a whole is seen.
    match openat2(File::open(root)?, below, how) {
        // Before Linux 5.6, and where a container does not let it through.
        Err(Errno::ENOSYS | Errno::EPERM) => open_without_last_link(&root.join(below)),
        opened => Ok(opened?.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_without_links(root: &Path, below: &Path) -> io::Result<File> {
    open_without_last_link(&root.join(below))
}

fn open_without_last_link(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(FLAGS | libc::O_NOFOLLOW).open(path)
}

/// Nothing where an error says that there is no such file, as opposed to one that cannot be read.
fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    // Of the newer kinds, ELOOP, ENAMETOOLONG, ENXIO and EXDEV have no stable name here.
    let numbers = [libc::ELOOP, libc::ENAMETOOLONG, libc::ENXIO, libc::EXDEV];
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) if error.raw_os_error().is_some_and(|number| numbers.contains(&number)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed_at_the_second_step() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/file"), "x").unwrap();
        symlink("a", root.join("b")).unwrap();
        symlink("a/file", root.join("c")).unwrap();
        assert!(open_without_links(&root, Path::new("a/file")).is_ok());
        assert!(open_without_last_link(&root.join("a/file")).is_ok());
        assert!(matches!(present(open_without_last_link(&root.join("c"))), Ok(None)));
        #[cfg(target_os = "linux")]
        for refused in ["b/file", "c", "../x", "a/../../x", "/etc/passwd"] {
            assert!(matches!(present(open_without_links(&root, Path::new(refused))), Ok(None)), "{refused}");
        }
    }
}
