//! Deployed application files: which versions are kept, and which one is served.
//!
//! A release is a copy of a code base in the lab's state, `releases/NUMBER/`; `releases/served.json` lists them in the
//! order in which they came into service, so the last is the one that is served. Taking it back is dropping the last
//! one; when none is left, the lab's own directory (`[app] code`) is served, which a student edits. The list is replaced
//! in one step, and only after the copy was checked and is in service: whatever fails or is killed in between, a
//! restart serves what was served before.
//!
//! What a code base must be, the application says; here it is a directory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::directory::Directory;

/// Releases kept at most, the one in service among them; the oldest go first.
pub const KEPT_MOST: usize = 10;

/// The list is short: a longer file is not ours, in bytes.
const LIST_LONGEST: u64 = 1 << 20;

/// A version of the application files that was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Counted from 1; never used twice while it is kept.
    pub number: u32,
    /// What its `VERSION` says.
    pub version: String,
    /// The directory that it was copied from.
    pub from: PathBuf,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// Where a lab keeps its releases.
#[derive(Debug, Clone)]
pub struct Releases {
    place: PathBuf,
}

/// Why there is no other release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Its place cannot be read or written.
    #[error("cannot keep the deployed versions in {}", path.display())]
    Place {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The list cannot be read.
    #[error("{} is not a list of deployed versions: remove it, and the lab serves its own application files", file.display())]
    Strange {
        /// The file.
        file: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Somebody else deploys.
    #[error("another `wwwlab deploy` is at work in this lab: try again when it is done")]
    Busy,
}

/// The right to change which release is served, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: Flock<File>,
}

impl Releases {
    /// Those of the lab in `directory`.
    pub fn of(directory: &Directory) -> Self {
        Self { place: directory.state.join("releases") }
    }

    /// Takes the turn to change what is served: two at a time would lose one of the two.
    pub fn turn(&self) -> Result<Turn, ReleaseError> {
        let path = self.place.join("lock");
        let failed = |source| ReleaseError::Place { path: path.clone(), source };
        fs::create_dir_all(&self.place).map_err(failed)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Turn { _lock: lock }),
            Err((_, Errno::EWOULDBLOCK)) => Err(ReleaseError::Busy),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }

    /// The releases in the order in which they came into service; the last is served.
    pub fn list(&self) -> Result<Vec<Release>, ReleaseError> {
        let file = self.file();
        let failed = |source| ReleaseError::Place { path: file.clone(), source };
        match fs::metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
            Ok(about) if about.len() > LIST_LONGEST => {
                return Err(failed(io::ErrorKind::FileTooLarge.into()));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(&file).map_err(failed)?;
        serde_json::from_str(&text).map_err(|source| ReleaseError::Strange { file, source })
    }

    /// The directory of a release.
    pub fn directory(&self, release: &Release) -> PathBuf {
        self.place.join(release.number.to_string())
    }

    /// Where files are that are tried and taken back.
    pub fn trial(&self) -> PathBuf {
        self.place.join("trial")
    }

    /// Removes what is there.
    pub fn remove_trial(&self) -> Result<(), ReleaseError> {
        emptied(self.trial()).map(drop)
    }

    /// An empty place for the next release, and its number. What a former try left there is removed.
    pub fn next(&self, list: &[Release], _turn: &Turn) -> Result<(u32, PathBuf), ReleaseError> {
        let number = list.iter().map(|release| release.number).max().unwrap_or(0) + 1;
        Ok((number, emptied(self.place.join(number.to_string()))?))
    }

    /// From now on the last of `list` is served, or without any the lab's own files; what is too old is forgotten.
    pub fn keep(&self, list: &[Release]) -> Result<(), ReleaseError> {
        let list = list.get(list.len().saturating_sub(KEPT_MOST)..).unwrap_or_default();
        let (file, new) = (self.file(), self.place.join("served.json.new"));
        let failed = |source| ReleaseError::Place { path: file.clone(), source };
        let text = serde_json::to_string_pretty(list).map_err(|error| failed(error.into()))?;
        fs::write(&new, text).and_then(|()| fs::rename(&new, &file)).map_err(failed)?;
        self.forget_all_but(list);
        Ok(())
    }

    /// The directory of the application files that are served: of the last release, else `own`. A list that cannot be
    /// read counts as none here; whoever deploys is told.
    pub fn served(&self, own: PathBuf) -> PathBuf {
        self.last(&self.list().unwrap_or_default(), own)
    }

    /// The directory of the last of `list`, else `own`.
    pub fn last(&self, list: &[Release], own: PathBuf) -> PathBuf {
        list.last().map_or(own, |release| self.directory(release))
    }

    /// Removes the copies that nothing names any more. One that cannot be removed takes space and does no harm.
    fn forget_all_but(&self, list: &[Release]) {
        for entry in fs::read_dir(&self.place).into_iter().flatten().flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if number.is_some_and(|number| list.iter().all(|release| release.number != number)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.place.join("served.json")
    }
}

fn emptied(path: PathBuf) -> Result<PathBuf, ReleaseError> {
    match fs::remove_dir_all(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ReleaseError::Place { path, source }),
        _ => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn releases() -> (tempfile::TempDir, Releases) {
        let directory = tempfile::tempdir().unwrap();
        let releases = Releases { place: directory.path().join("releases") };
        (directory, releases)
    }

    fn release(number: u32) -> Release {
        Release { number, version: format!("v{number}"), from: "/there".into(), at: 1 }
    }

    #[test]
    fn the_last_one_kept_is_served_and_old_ones_are_forgotten() {
        let (_directory, releases) = releases();
        assert_eq!(releases.served("app".into()), Path::new("app"));
        let turn = releases.turn().unwrap();
        let mut list = Vec::new();
        for count in 1..=12 {
            let (number, place) = releases.next(&list, &turn).unwrap();
            assert_eq!(number, count);
            fs::create_dir(&place).unwrap();
            list.push(release(number));
            releases.keep(&list).unwrap();
            assert_eq!(releases.served("app".into()), place);
        }
        let kept = releases.list().unwrap();
        assert_eq!(
            kept.iter().map(|release| release.number).collect::<Vec<_>>(),
            (3..=12).collect::<Vec<_>>()
        );
        assert!(!releases.place.join("2").exists() && releases.place.join("3").is_dir());
        releases.keep(&[]).unwrap();
        assert_eq!(releases.served("app".into()), Path::new("app"));
    }

    #[test]
    fn one_at_a_time() {
        let (_directory, releases) = releases();
        let turn = releases.turn().unwrap();
        assert!(matches!(releases.turn(), Err(ReleaseError::Busy)));
        drop(turn);
        releases.turn().unwrap();
    }

    #[test]
    fn what_a_failed_try_left_is_not_served_and_not_in_the_way() {
        let (_directory, releases) = releases();
        let turn = releases.turn().unwrap();
        let (_, place) = releases.next(&[], &turn).unwrap();
        fs::create_dir(&place).unwrap();
        fs::write(place.join("half"), "").unwrap();
        assert_eq!(releases.served("app".into()), Path::new("app"));
        assert_eq!(releases.next(&[], &turn).unwrap(), (1, place.clone()));
        assert!(!place.exists());
    }

    #[test]
    fn a_strange_list_is_refused_by_name() {
        let (_directory, releases) = releases();
        fs::create_dir(&releases.place).unwrap();
        fs::write(releases.place.join("served.json"), "{").unwrap();
        assert!(releases.list().unwrap_err().to_string().contains("served.json"));
    }
}
