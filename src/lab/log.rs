//! The services' logs: one file each, a line per event, and whatever the process itself writes to its
//! standard error. A file that has grown past [`LARGEST`] becomes `NAME.log.1`; there is one older one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::ground::clock;
use crate::ground::event::Event;

/// A log file is turned over when it is larger than this, in bytes.
pub const LARGEST: u64 = 8 << 20;

/// The log of one service.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    /// Opens the log at `path`; new lines come after those that are there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = append_to(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.into(), file, length })
    }

    /// Another handle, for a process to write to.
    pub fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Writes `event` as a line. A disk that is full loses the line, not the lab.
    pub fn write(&mut self, event: &Event) {
        let line = format!("{} {}\n", clock::rfc3339(event.at), event.what);
        if self.file.write_all(line.as_bytes()).is_ok() {
            self.length += line.len() as u64;
        }
        if self.length > LARGEST {
            // What cannot be renamed goes on growing; `status` shows how large it is.
            let _ = self.turn_over();
        }
    }

    fn turn_over(&mut self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("log.1"))?;
        self.file = append_to(&self.path)?;
        self.length = 0;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::event::Happened;

    #[test]
    fn a_full_log_is_turned_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.log");
        let mut log = Log::open(&path).unwrap();
        log.length = LARGEST;
        let event =
            |text: &str| Event { at: 0, service: "web".into(), what: Happened::Note { text: text.into() } };
        log.write(&event("old"));
        log.write(&event("new"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "1970-01-01T00:00:00.000Z new\n");
        assert!(fs::read_to_string(directory.path().join("web.log.1")).unwrap().ends_with(" old\n"));
    }
}
