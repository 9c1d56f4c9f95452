//! The built-in lab: the zones, firewall, site and application files of foobar.com, inside the executable.
//!
//! `wwwlab new DIR` writes them for the user to edit. Where there is no `lab.toml`, `wwwlab up` unpacks them
//! into its state and serves those, so that files are files in every lab.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

static ZONES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/zones");
static FIREWALL: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/firewall");
static SITE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/site");
static APP: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/app");
static LAB_TOML: &str = include_str!("../../lab.toml");

/// A file of the built-in lab that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct UnpackError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Writes the lab, all but `lab.toml`, into `root`. A file that already says the same is left alone, so that
/// nothing is written when nothing changed.
pub fn unpack(root: &Path) -> Result<(), UnpackError> {
    for (name, files) in [("zones", &ZONES), ("firewall", &FIREWALL), ("site", &SITE), ("app", &APP)] {
        unpack_directory(files, &root.join(name))?;
    }
    Ok(())
}

/// Writes the lab and its `lab.toml` into `root`.
pub fn unpack_with_toml(root: &Path) -> Result<(), UnpackError> {
    unpack(root)?;
    write(&root.join("lab.toml"), LAB_TOML.as_bytes())
}

fn unpack_directory(directory: &Dir<'_>, to: &Path) -> Result<(), UnpackError> {
    fs::create_dir_all(to).map_err(|source| UnpackError { path: to.into(), source })?;
    for entry in directory.entries() {
        // An entry's path starts at its root directory; only its last part is wanted here.
        let Some(name) = entry.path().file_name() else {
            continue;
        };
        match entry {
            DirEntry::Dir(inner) => unpack_directory(inner, &to.join(name))?,
            DirEntry::File(file) => write(&to.join(name), file.contents())?,
        }
    }
    Ok(())
}

fn write(path: &Path, contents: &[u8]) -> Result<(), UnpackError> {
    if fs::read(path).is_ok_and(|there| there == contents) {
        return Ok(());
    }
    fs::write(path, contents).map_err(|source| UnpackError { path: path.into(), source })
}
