//! Where the distribution puts programs, and what they say of their versions.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian keeps servers out of an ordinary user's PATH.
const ALSO: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Folders in which programs are looked for.
pub(crate) fn places() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(ALSO.map(PathBuf::from)).collect()
}

/// The program of this name.
pub(crate) fn exactly(program: &str) -> Option<PathBuf> {
    places().into_iter().map(|place| place.join(program)).find(|file| file.is_file())
}

/// Each program's own version, as it says it: `BIND 9.18.49, NSD 4.6.1`. They come with their names and the option
/// that makes them say it.
pub(crate) fn versions(programs: &[(&str, &Path, &str)]) -> String {
    let versions: Vec<String> = programs
        .iter()
        .map(|(name, program, option)| {
            let version = version(program, option).unwrap_or_else(|| "of unknown version".to_owned());
            format!("{name} {version}")
        })
        .collect();
    versions.join(", ")
}

/// The first word with a digit in front, or behind a slash, of what `program` says about itself.
fn version(program: &Path, option: &str) -> Option<String> {
    let said = Command::new(program).arg(option).output().ok()?;
    let said = [said.stdout, said.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let version =
        said.split([' ', '/', '\n']).find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    Some(version.split('-').next().unwrap_or(version).to_owned())
}
