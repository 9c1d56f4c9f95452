//! The secrets of each connection, as text that Wireshark reads (the NSS key log format): whoever has them reads along.
//!
//! It is not rustls's own, which asks the environment and never ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use data_encoding::HEXLOWER;
use rustls::KeyLog;

/// A key log grows to this, in bytes, and no more: some forty thousand connections.
const LARGEST: u64 = 32 << 20;

/// A key log that is open. A plain mutex: held for one line.
#[derive(Debug)]
pub(super) struct Keys(Mutex<Open>);

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

impl Keys {
    /// Appends to `file`, which its owner alone can read.
    pub(super) fn open(file: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        let bytes = file.metadata()?.len();
        Ok(Self(Mutex::new(Open { file, bytes })))
    }
}

impl KeyLog for Keys {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", HEXLOWER.encode(client_random), HEXLOWER.encode(secret));
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One write for a line: who reads along finds it whole. What cannot be written is not worth a connection.
        if open.bytes < LARGEST && open.file.write_all(line.as_bytes()).is_ok() {
            open.bytes += line.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_owner_alone_reads_it_and_what_was_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.log");
        std::fs::write(&file, "first\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        Keys::open(&file).unwrap().log("CLIENT_RANDOM", &[0, 1], &[0xab]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "first\nCLIENT_RANDOM 0001 ab\n");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.log");
        File::create(&file).unwrap().set_len(LARGEST).unwrap();
        Keys::open(&file).unwrap().log("CLIENT_RANDOM", &[0], &[1]);
        assert_eq!(file.metadata().unwrap().len(), LARGEST);
    }
}
