//! The files of the lab's own database server: made once, by the server's own means, and never lost.
//!
//! They are made under another name and get their own when they are whole, so that whoever is killed meanwhile leaves
//! nothing that looks like a database. A note in them says which server used them last: an older one, or one of the other
//! family, would damage them or refuse them in words that help nobody.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::private;
use super::version::Version;

/// The note in the data directory.
const NOTE: &str = "made-by";
/// Directories below the data directory that are looked into for its size: one for each database.
const DATABASES_MOST: usize = 100;

/// Where the files of a database server are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `db/mysql` in the lab's state.
    place: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Somebody else made them.
    #[error(
        "{} was not made by wwwlab, or is damaged: it has no `{NOTE}`; move it away, and a new database is made", .0.display()
    )]
    Foreign(PathBuf),
    /// Another server made them.
    #[error(
        "{} was last used by {made}, and {program} is {version}, which cannot use it: install {made} or later, or move it \
         away (`mv`), and a new, empty database is made", data.display()
    )]
    OfAnother {
        /// The data directory.
        data: PathBuf,
        /// The server that used them last.
        made: Version,
        /// The server that is there.
        program: String,
        /// Its version.
        version: Version,
    },
    /// They cannot be made or read.
    #[error("cannot use {}", path.display())]
    Use {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Files {
    /// In `place`, which need not be there yet.
    pub(super) fn new(place: &Path) -> Self {
        Self { place: place.into() }
    }

    /// Their directory, with everything around the data.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.place.join("data")
    }

    /// Where it is made.
    pub fn unfinished(&self) -> PathBuf {
        self.place.join("initialising")
    }

    /// For what the server writes and forgets.
    pub fn temporary(&self) -> PathBuf {
        self.place.join("tmp")
    }

    /// What makes the accounts; with a password in it.
    pub fn accounts(&self) -> PathBuf {
        self.place.join("accounts.sql")
    }

    /// Makes the directories around the data.
    pub fn prepare(&self) -> Result<(), FilesError> {
        let path = self.temporary();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| FilesError::Use { path, source })
    }

    /// Whether `version` of `program` can use them: they are made, and by such a server. If not, what another run began is
    /// cleared away. Notes that this server uses them now.
    pub fn are_made(&self, program: &Path, version: Version) -> Result<bool, FilesError> {
        let failed = |path: PathBuf| |source| FilesError::Use { path, source };
        let data = self.data();
        // Only an empty directory is removed by this.
        let _ = fs::remove_dir(&data);
        if !data.try_exists().map_err(failed(data.clone()))? {
            let path = self.unfinished();
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path)(error)),
                _ => return Ok(false),
            }
        }
        let note = fs::read_to_string(data.join(NOTE)).unwrap_or_default();
        let Some(made) = note.lines().next().and_then(Version::parse) else {
            return Err(FilesError::Foreign(data));
        };
        if !version.reads(&made) {
            let program = program.display().to_string();
            return Err(FilesError::OfAnother { data, made, program, version });
        }
        let now = note_of(program, version);
        if note != now {
            private::write(&data.join(NOTE), &now).map_err(failed(data.join(NOTE)))?;
        }
        Ok(true)
    }

    /// The version of `program`, if it is the very file that used them last.
    pub fn known_version(&self, program: &Path) -> Option<Version> {
        let note = fs::read_to_string(self.data().join(NOTE)).ok()?;
        let version = note.lines().next().and_then(Version::parse)?;
        (note == note_of(program, version)).then_some(version)
    }

    /// They are whole: from now on they have their own name.
    pub fn finish(&self, program: &Path, version: Version) -> Result<(), FilesError> {
        let (unfinished, data) = (self.unfinished(), self.data());
        let finish = || -> io::Result<()> {
            private::write(&unfinished.join(NOTE), &note_of(program, version))?;
            fs::rename(&unfinished, &data)?;
            fs::File::open(&self.place)?.sync_all()
        };
        finish().map_err(|source| FilesError::Use { path: unfinished.clone(), source })
    }

    /// Bytes of the data on disk.
    pub fn size(&self) -> u64 {
        let entries = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten();
        let size = |entry: &fs::DirEntry| entry.metadata().map_or(0, |file| file.blocks() * 512);
        let below = |entry: &fs::DirEntry| entries(&entry.path()).map(|file| size(&file)).sum::<u64>();
        let data = self.data();
        let databases = entries(&data).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        entries(&data).map(|entry| size(&entry)).sum::<u64>()
            + databases.take(DATABASES_MOST).map(|entry| below(&entry)).sum::<u64>()
    }
}

/// The version, and by what the program is known again without asking it: its size and when it was installed.
fn note_of(program: &Path, version: Version) -> String {
    let (size, time) = fs::metadata(program).map_or((0, 0), |file| (file.len(), file.mtime()));
    format!("{version}\n{} {size} {time}\n", program.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn only_whole_files_of_a_server_that_can_be_read_are_used() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::new(&directory.path().join("mysql"));
        files.prepare().unwrap();
        let program = Path::new("/usr/sbin/mariadbd");
        let now = version("MariaDB 10.11.19");
        // Half made, by somebody who was killed.
        fs::create_dir(files.unfinished()).unwrap();
        fs::write(files.unfinished().join("ibdata1"), "half").unwrap();
        assert!(!files.are_made(program, now).unwrap());
        assert!(!files.unfinished().exists(), "it is cleared away");

        fs::create_dir(files.unfinished()).unwrap();
        files.finish(program, now).unwrap();
        assert!(files.are_made(program, now).unwrap());
        assert_eq!(files.known_version(program), Some(now));
        assert_eq!(files.known_version(Path::new("/usr/local/sbin/mariadbd")), None);

        for other in ["MariaDB 10.6.3", "MySQL 8.0.36"] {
            let error = files.are_made(program, version(other)).unwrap_err().to_string();
            assert!(
                error.contains("was last used by MariaDB 10.11.19, and") && error.contains(other),
                "{error}"
            );
        }
        let newer = version("MariaDB 11.4.2");
        assert!(files.are_made(program, newer).unwrap());
        assert!(files.are_made(program, now).is_err(), "a newer server has used them since");

        fs::remove_file(files.data().join(NOTE)).unwrap();
        fs::write(files.data().join("ibdata1"), "somebody's").unwrap();
        assert!(matches!(files.are_made(program, newer), Err(FilesError::Foreign(_))));
        assert!(files.data().join("ibdata1").exists(), "nobody's data is removed");
        fs::remove_file(files.data().join("ibdata1")).unwrap();
        assert!(!files.are_made(program, newer).unwrap(), "an empty directory is nobody's");
    }
}
