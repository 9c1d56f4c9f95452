//! The file for a picture of what was measured: tried before a measure, which takes long, and written after all else is told.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::super::Failure;

/// Whether `file` can be written, so that nobody waits for a measure in vain; it is left as it is.
pub(super) fn can_be_written(file: Option<&Path>) -> Result<(), Failure> {
    let Some(file) = file else { return Ok(()) };
    let tried = match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(_) => fs::remove_file(file),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().append(true).open(file).map(drop)
        }
        Err(error) => Err(error),
    };
    tried.map_err(|error| cannot(file, error))
}

/// Writes the picture.
pub(super) fn write(file: &Path, picture: &str) -> Result<(), Failure> {
    fs::write(file, picture).map_err(|error| cannot(file, error))
}

fn cannot(file: &Path, error: io::Error) -> Failure {
    Failure::System(format!("cannot write the picture to {}", file.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_leaves_everything_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let (new, old) = (directory.path().join("new.svg"), directory.path().join("old.svg"));
        fs::write(&old, "a picture").unwrap();
        can_be_written(None).unwrap();
        can_be_written(Some(&new)).unwrap();
        can_be_written(Some(&old)).unwrap();
        assert!(!new.exists());
        assert_eq!(fs::read_to_string(&old).unwrap(), "a picture");
        for impossible in [directory.path().join("nowhere/new.svg"), directory.path().into()] {
            let why = can_be_written(Some(&impossible)).unwrap_err().to_string();
            assert!(why.contains(&impossible.display().to_string()), "{why}");
        }
    }
}
