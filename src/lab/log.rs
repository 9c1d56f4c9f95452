//! The services' logs: a file for people each, a line per event, and whatever the process itself writes to its
//! standard error; and beside it one for programs (`NAME.jsonl`), an event as a line of JSON, with all that is known of
//! it. A file that has grown past [`LARGEST`] becomes `NAME.log.1`, `NAME.jsonl.1`; there is one older one.

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
    text: Lines,
    json: Lines,
}

/// One file of lines, and an older one.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    length: u64,
}

/// The log for programs beside the one for people at `path`.
pub fn json_beside(path: &Path) -> PathBuf {
    path.with_extension("jsonl")
}

/// The length of the log at `path` and all that belongs to it, in bytes.
pub fn bytes(path: &Path) -> u64 {
    let json = json_beside(path);
    let all = [path.to_owned(), older(path), older(&json), json];
    all.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
}

/// Where what was written before is kept.
fn older(path: &Path) -> PathBuf {
    let mut older = path.as_os_str().to_owned();
    older.push(".1");
    older.into()
}

impl Log {
    /// Opens the log at `path`; new lines come after those that are there.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { text: Lines::open(path)?, json: Lines::open(&json_beside(path))? })
    }

    /// Another handle, for a process to write to.
    pub fn handle(&self) -> io::Result<File> {
        self.text.file.try_clone()
    }

    /// Writes `event` as a line, and as `json`, which is the same without a line's end. A disk that is full loses the
    /// line, not the lab.
    pub fn write(&mut self, event: &Event, json: &str) {
        self.text.write(&format!("{} {}\n", clock::rfc3339(event.when.at), event.what));
        self.json.write(&format!("{json}\n"));
    }
}

impl Lines {
    /// Opens the file at `path`; new lines come after those that are there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = append_to(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.into(), file, length })
    }

    /// Writes `lines`, each with its end.
    pub(super) fn write(&mut self, lines: &str) {
        if self.file.write_all(lines.as_bytes()).is_ok() {
            self.length += lines.len() as u64;
        }
        if self.length > LARGEST {
            // What cannot be renamed goes on growing; `status` shows how large it is.
            let _ = self.turn_over();
        }
    }

    fn turn_over(&mut self) -> io::Result<()> {
        fs::rename(&self.path, older(&self.path))?;
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
    use crate::ground::event::{Happened, Moment};

    #[test]
    fn a_full_log_is_turned_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.log");
        let mut log = Log::open(&path).unwrap();
        (log.text.length, log.json.length) = (LARGEST, LARGEST);
        let event = |text: &str| Event {
            when: Moment { at: 0, mono: 7 },
            host: "server".into(),
            service: "web".into(),
            what: Happened::Note { text: text.into() },
        };
        for text in ["old", "new"] {
            let event = event(text);
            log.write(&event, &serde_json::to_string(&event).unwrap());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "1970-01-01T00:00:00.000Z new\n");
        assert!(fs::read_to_string(directory.path().join("web.log.1")).unwrap().ends_with(" old\n"));
        let json = fs::read_to_string(json_beside(&path)).unwrap();
        assert_eq!(
            json,
            "{\"at\":0,\"mono\":7,\"on\":\"server\",\"service\":\"web\",\"event\":\"note\",\"text\":\"new\"}\n"
        );
        assert!(directory.path().join("web.jsonl.1").is_file());
        let files =
            fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        assert_eq!(bytes(&path), files.sum::<u64>(), "all four");
    }
}
