//! What makes TLS readable: the lines that were added to a key log while packets were captured.
//!
//! The log has the format of SSLKEYLOGFILE (RFC 9850): a label, the random of the client's hello, a secret, one of each a
//! line. It is a file, so each line is looked at before it goes into a capture.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

/// Octets that are read at a time, and of one line, at most.
const READ_MOST: u64 = 1 << 20;
const LINE_MOST: usize = 1024;

/// A key log that is followed.
#[derive(Debug)]
pub struct Secrets {
    path: PathBuf,
    /// Up to there it has been read.
    from: u64,
}

impl Secrets {
    /// Follows the log at `path` from its end on, or from its beginning if it is not there yet.
    pub fn follow(path: PathBuf) -> Self {
        let from = path.metadata().map_or(0, |about| about.len());
        Self { path, from }
    }

    /// The whole lines that were added; none where there is no log.
    pub fn added(&mut self) -> io::Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        if file.metadata()?.len() < self.from {
            // It was begun anew.
            self.from = 0;
        }
        file.seek(SeekFrom::Start(self.from))?;
        let mut text = Vec::new();
        file.take(READ_MOST).read_to_end(&mut text)?;
        let whole = text.iter().rposition(|&octet| octet == b'\n').map_or(0, |last| last + 1);
        // What has no line's end in all that is read at a time is no key log.
        let read = if whole == 0 && text.len() as u64 == READ_MOST { text.len() } else { whole };
        self.from += read as u64;
        text.truncate(whole);
        let lines = text.split_inclusive(|&octet| octet == b'\n');
        Ok(lines.filter(|line| is_secret(line)).flatten().copied().collect())
    }
}

/// `LABEL HEX HEX`.
fn is_secret(line: &[u8]) -> bool {
    let words: Vec<&[u8]> = line.trim_ascii_end().split(|&octet| octet == b' ').collect();
    let label = |octet: &u8| octet.is_ascii_uppercase() || octet.is_ascii_digit() || *octet == b'_';
    let hex = |word: &&[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_hexdigit);
    line.len() <= LINE_MOST
        && words.len() == 3
        && words[0].iter().all(label)
        && !words[0].is_empty()
        && words[1..].iter().all(hex)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_whole_lines_that_were_added_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        assert_eq!(Secrets::follow(path.clone()).added().unwrap(), b"", "there is no log");
        fs::write(&path, "CLIENT_RANDOM 00 11\n").unwrap();
        let mut secrets = Secrets::follow(path.clone());
        let mut log = OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(secrets.added().unwrap(), b"");
        log.write_all(b"CLIENT_RANDOM aa bb\n\x1b[2J nonsense\nEXPORTER_SECRET 01").unwrap();
        assert_eq!(secrets.added().unwrap(), b"CLIENT_RANDOM aa bb\n");
        log.write_all(b" 02\r\n").unwrap();
        assert_eq!(secrets.added().unwrap(), b"EXPORTER_SECRET 01 02\r\n");
        fs::write(&path, "CLIENT_RANDOM 0c 0d\n").unwrap();
        assert_eq!(secrets.added().unwrap(), b"CLIENT_RANDOM 0c 0d\n", "it was begun anew");
    }

    #[test]
    fn what_is_no_key_log_does_not_stand_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let mut secrets = Secrets::follow(path.clone());
        fs::write(&path, vec![b'A'; 3 << 19]).unwrap();
        assert_eq!(secrets.added().unwrap(), b"");
        let mut log = OpenOptions::new().append(true).open(&path).unwrap();
        log.write_all(b"\nCLIENT_RANDOM 0c 0d\n").unwrap();
        assert_eq!(secrets.added().unwrap(), b"CLIENT_RANDOM 0c 0d\n");
    }
}
