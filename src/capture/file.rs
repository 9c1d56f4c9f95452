//! The file of a capture: at every moment it ends where a block ends, also when the disk is full.
//!
//! Captures have passwords and pages in them, so the file is its owner's alone (0600), also where another was there before.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Octets that wait to be written together, about.
const TOGETHER: usize = 64 << 10;

/// Where blocks are written to.
#[derive(Debug)]
pub struct CaptureFile {
    to: To,
    waiting: Vec<u8>,
    /// So long is the file, whole blocks all of it.
    whole: u64,
}

#[derive(Debug)]
enum To {
    File(File),
    Out(io::Stdout),
}

impl CaptureFile {
    /// The file at `path`; what was in it is gone.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(Self { to: To::File(file), waiting: Vec::new(), whole: 0 })
    }

    /// Standard output.
    pub fn to_standard_output() -> Self {
        Self { to: To::Out(io::stdout()), waiting: Vec::new(), whole: 0 }
    }

    /// Writes the blocks that `append` appends, now or a little later.
    pub fn write(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        append(&mut self.waiting);
        if self.waiting.len() >= TOGETHER { self.flush() } else { Ok(()) }
    }

    /// Writes what waits. Where that fails, the file ends after the last block that was written before.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = match &mut self.to {
            To::File(file) => file.write_all(&self.waiting),
            To::Out(out) => out.write_all(&self.waiting).and_then(|()| out.flush()),
        };
        if written.is_ok() {
            self.whole += self.waiting.len() as u64;
        } else if let To::File(file) = &self.to {
            // The first failure is the one to tell; a pipe or a device has no end to move.
            let _ = file.set_len(self.whole);
        }
        self.waiting.clear();
        written
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcapng");
        fs::write(&path, "what was there").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut file = CaptureFile::create(&path).unwrap();
        file.write(|waiting| waiting.extend(b"block")).unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"block");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
