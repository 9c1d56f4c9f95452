//! Copies that the second name server keeps of signed zones: where a zone is signed no more they have to go.
//!
//! A signed zone has a larger serial than its file, so that a secondary takes it; and keeps it from then on (RFC 1982), since the
//! plain zone with the serial of its file is older. In copies alone is it seen that a zone was signed in an earlier run.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::super::directory::Directory;

/// Where they are kept.
pub fn folder(directory: &Directory) -> PathBuf {
    directory.state.join("zones")
}

/// Removes all, which are made anew.
pub fn forget(directory: &Directory) {
    // Where there are none, there is nothing to forget; and of one that stays the second name server says that it is newer.
    let _ = fs::remove_dir_all(folder(directory));
}

/// Removes those of zones that were signed when they were copied.
pub fn forget_signed(directory: &Directory) {
    for copy in fs::read_dir(folder(directory)).into_iter().flatten().flatten() {
        let file = copy.path();
        if is_signed(&file) {
            // As above.
            let _ = fs::remove_file(file);
        }
    }
}

/// Whether the copy in `file` holds a DNSKEY. Each record is a line: name, TTL, class, type, data. The keys are at the apex, and
/// so among the first lines.
fn is_signed(file: &Path) -> bool {
    let Ok(file) = File::open(file) else { return false };
    let is_key = |line: Vec<u8>| {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        fields.nth(3).is_some_and(|field| field == b"DNSKEY")
    };
    BufReader::new(file).split(b'\n').map_while(Result::ok).any(is_key)
}

#[cfg(test)]
mod tests {
    use super::super::super::config::Network;
    use super::*;

    #[test]
    fn only_copies_of_signed_zones_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let (state, network) = (root.path().join("state"), Network::Loopback);
        let directory = Directory { root: root.path().into(), toml: None, network, state };
        // There are none yet.
        forget_signed(&directory);
        fs::create_dir_all(folder(&directory)).unwrap();
        let keep = |name: &str, last: &str| {
            let soa = "foobar.com. 300 IN SOA dns.foobar.com. it.foobar.com. 7 60 30 600 60";
            fs::write(folder(&directory).join(name), format!("; copied\n{soa}\n{last}\n")).unwrap();
        };
        keep("signed.zone", "foobar.com. 300 IN DNSKEY 257 3 13 AAAA");
        keep("plain.zone", "foobar.com. 300 IN TXT \"no DNSKEY\"");
        keep("named.zone", "DNSKEY. 300 IN TXT \"x IN DNSKEY 257\"");
        let left = || {
            let files = fs::read_dir(folder(&directory)).into_iter().flatten();
            let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
            names.sort();
            names
        };
        forget_signed(&directory);
        assert_eq!(left(), ["named.zone", "plain.zone"]);
        forget(&directory);
        assert!(left().is_empty());
    }
}
