//! The files that both servers have, with times that are the same and long past.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

/// All below the folder that is for files alone: what is not there is nobody else's.
pub(crate) const FOLDER: &str = "/assets";

/// The files, by their targets below [`FOLDER`]. Every size at which something changes: nothing, less and more than
/// compressing is worth, less and more than is kept in memory.
const FILES: [(&str, usize); 8] = [
    ("/empty.txt", 0),
    ("/short.txt", 26),
    ("/page.html", 5_000),
    ("/style.css", 3_000),
    ("/picture.png", 1_000),
    ("/large.bin", 300_000),
    ("/docs/index.html", 400),
    ("/a b/caf\u{e9}.txt", 10),
];

/// When all files were written.
pub(crate) fn written() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_600_000_000)
}

/// The directory.
#[derive(Debug)]
pub(crate) struct Site {
    directory: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        for (name, length) in FILES {
            let content: Vec<u8> = (b'a'..=b'z').chain(*b"\n").cycle().take(length).collect();
            site.write(name, &content);
        }
        site.write("/style.css.gz", b"what was compressed before");
        site.write("/.hidden", b"secret");
        fs::create_dir(site.file("/bare")).unwrap();
        std::os::unix::fs::symlink("short.txt", site.file("/link.txt")).unwrap();
        site
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{FOLDER}{name}").trim_start_matches('/'))
    }

    fn write(&self, name: &str, content: &[u8]) {
        let file = self.file(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        fs::File::options().write(true).open(file).unwrap().set_modified(written()).unwrap();
    }
}
