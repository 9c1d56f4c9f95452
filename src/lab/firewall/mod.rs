//! Firewalls of the machines of network `hosts`: each has a ruleset of its own, none at first, in nftables' own language (nft(8)).
//!
//! A ruleset is a plain file that a student edits, and the real nft puts it in place, within the machine, whole or not at
//! all: in one transaction all tables that are there go and those of the file come. It stands apart from [`super::network`],
//! which makes machines and cables and knows nothing of what a machine lets through. What is asked of it comes by the desk
//! (`desk/firewall.rs`). Tables whose names begin with [`ruleset::RESERVED`] are the lab's own means, and are left alone.
//!
//! The kernel keeps the rules: they stay while the machine's namespace does, also while its power is off. Which file was applied is
//! kept here; what really stands, also what was made by hand, nft is asked for each time.

mod nft;
pub mod ruleset;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use nft::Nft;
use ruleset::Ruleset;

/// A file of rules is this long at most, in bytes.
const FILE_MOST: u64 = 256 << 10;
/// How long a change waits for its turn.
pub(super) const TURN_WITHIN: Duration = Duration::from_secs(5);
/// Where a lab has its rulesets.
const DIRECTORY: &str = "firewall";

/// What is asked of the firewalls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// Which file is applied on each machine.
    List,
    /// What stands on a machine.
    Show {
        /// Its name.
        host: String,
    },
    /// Put a file's ruleset in place of what stands there.
    Apply {
        /// The machine's name.
        host: String,
        /// The file, absolute; without one `firewall/HOST.nft` in the lab's directory.
        file: Option<PathBuf>,
    },
    /// Take all of it away.
    Clear {
        /// The machine's name.
        host: String,
    },
}

/// A machine, and the file that is applied there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The machine's name.
    pub host: String,
    /// The file, as seen from the lab's directory; nothing where none is.
    pub file: Option<String>,
}

/// What stands on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The machine, and the file that was applied there.
    #[serde(flatten)]
    pub applied: Applied,
    /// The rules, and what they counted.
    #[serde(flatten)]
    pub ruleset: Ruleset,
    /// The same as nft prints it.
    pub listing: String,
}

/// Why a firewall cannot be shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// A file cannot be read.
    #[error("cannot read the rules in {}: write them there, or name another file: `wwwlab firewall apply {host} FILE`", file.display())]
    Unreadable {
        /// For which machine.
        host: String,
        /// Where it should be.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is too long.
    #[error("{} is longer than {} KiB: rules that need more belong in sets of their own, by `wwwlab shell HOST -- nft -f`", .0.display(), FILE_MOST >> 10)]
    FileTooLong(PathBuf),
    /// nft does not take it; what it says, line by line.
    #[error("nft refuses {what}, and nothing was changed")]
    Refused {
        /// What it was given.
        what: String,
        /// What it says.
        said: Vec<String>,
    },
    /// There is no nft.
    #[error("nft is not installed, which puts rules in place: `sudo apt install nftables`")]
    NotInstalled,
    /// The kernel has no rulesets.
    #[error(
        "this kernel has no nf_tables, so its machines have no firewall: `sudo modprobe nf_tables` may load it ({0})"
    )]
    Lacking(String),
    /// nft does not end.
    #[error(
        "nft has not ended in time: is the machine under load? Try again; what it was to do is done whole, or not at all"
    )]
    Silent,
    /// There is too much to be shown.
    #[error(
        "the rules of {host} are longer than {most} KiB when they are printed: `wwwlab shell {host} -- nft -t list ruleset`"
    )]
    TooLong {
        /// Whose.
        host: String,
        /// How much there may be, in KiB.
        most: u64,
    },
    /// nft cannot be run.
    #[error("cannot run nft")]
    Run(#[source] io::Error),
    /// Something else is under way for too long.
    #[error("{0} is under way, and nothing was changed: try again")]
    Busy(&'static str),
    /// There is nothing to take away.
    #[error("{0} has no firewall already")]
    Already(String),
}

/// The firewalls of a lab's machines.
#[derive(Debug)]
pub(super) struct Firewalls {
    nft: Nft,
    /// The lab's directory.
    root: PathBuf,
    /// By machine. A plain mutex: held for a look or for the change of one entry.
    applied: Mutex<BTreeMap<String, PathBuf>>,
    /// Held for as long as a change takes.
    turn: tokio::sync::Mutex<()>,
}

/// A ruleset that nft takes.
#[derive(Debug)]
pub(super) struct Checked<'a> {
    host: String,
    file: PathBuf,
    /// How the file is called.
    pub(super) name: String,
    /// What removes all that stands, in one line, and the file.
    transaction: String,
    /// How many the file has.
    lines: usize,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Firewalls {
    /// Of the lab in `root`, whose machines are to be entered at `place` by `executable`.
    pub(super) fn new(executable: PathBuf, place: PathBuf, root: PathBuf) -> Self {
        Self { nft: Nft::new(executable, place), root, applied: Mutex::default(), turn: Default::default() }
    }

    /// The machines on which a file is applied.
    pub(super) fn applied(&self) -> Vec<Applied> {
        let named =
            |(host, file): (&String, &PathBuf)| Applied { host: host.clone(), file: Some(self.name(file)) };
        self.files().iter().map(named).collect()
    }

    /// The file that is applied on `host`.
    pub(super) fn applied_on(&self, host: &str) -> Applied {
        let file = self.files().get(host).map(|file| self.name(file));
        Applied { host: host.into(), file }
    }

    /// What stands on `host`.
    pub(super) async fn show(&self, host: &str) -> Result<Standing, FirewallError> {
        let printed = self.list(host, &["-a", "list", "ruleset"]).await?;
        let (ruleset, listing) = (Ruleset::read(&printed), ruleset::listing(&printed));
        Ok(Standing { applied: self.applied_on(host), ruleset, listing })
    }

    /// Reads the ruleset of `file` and has nft check it on `host`, by itself: what it complains about is the file's. No firewall
    /// changes until what this returns is put in place or dropped.
    pub(super) async fn check(
        &self,
        host: &str,
        file: Option<PathBuf>,
    ) -> Result<Checked<'_>, FirewallError> {
        let turn = self.turn().await?;
        let file = file.unwrap_or_else(|| self.root.join(DIRECTORY).join(format!("{host}.nft")));
        let (read, path) = (file.clone(), file.clone());
        let text = tokio::task::spawn_blocking(move || read_file(&read)).await;
        let text =
            text.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())).map_err(|source| match source
                .kind()
            {
                io::ErrorKind::FileTooLarge => FirewallError::FileTooLong(path),
                _ => FirewallError::Unreadable { host: host.into(), file: path, source },
            })?;
        let transaction = format!("{}\n{}\n", self.removal(host).await?, without_flush(&text));
        let (host, name, lines) = (host.to_owned(), self.name(&file), text.lines().count());
        let checked = Checked { host, file, name, transaction, lines, _turn: turn };
        let end = format!("{}, at its end (is a `}}` missing?)", checked.name);
        self.give(&checked, &["-c", "-f", "-"], &checked.transaction, &end).await?;
        Ok(checked)
    }

    /// Puts what was checked in place of all that stands there. `kept` are the lab's own rules that are laid there, which a file
    /// that flushes everything would take away: they are laid again in the same transaction.
    pub(super) async fn put(&self, checked: &Checked<'_>, kept: &str) -> Result<(), FirewallError> {
        let transaction = format!("{}{kept}", checked.transaction);
        self.give(checked, &["-f", "-"], &transaction, "the lab's own rules, after it").await?;
        self.files().insert(checked.host.clone(), checked.file.clone());
        Ok(())
    }

    /// Runs nft with `transaction`; after the lines of the file is `end`.
    async fn give(
        &self,
        checked: &Checked<'_>,
        how: &[&str],
        transaction: &str,
        end: &str,
    ) -> Result<(), FirewallError> {
        let Checked { host, file, name, lines, .. } = checked;
        // What the file includes is found beside it.
        let beside = file.parent().unwrap_or(&self.root);
        let said = self.nft.run(host, how, transaction, beside).await?;
        let refused = |said: String| FirewallError::Refused {
            what: name.clone(),
            said: placed(&said, name, *lines, end),
        };
        said.map(|_| ()).map_err(refused)
    }

    /// Takes the firewall of `host` away.
    pub(super) async fn clear(&self, host: &str) -> Result<(), FirewallError> {
        let _turn = self.turn().await?;
        let removal = self.removal(host).await?;
        if removal.is_empty() {
            // It may have been taken away by hand.
            let known = self.files().remove(host);
            return known.map(|_| ()).ok_or_else(|| FirewallError::Already(host.into()));
        }
        let said = self.nft.run(host, &["-f", "-"], &removal, &self.root).await?;
        let what = format!("to take away the tables of {host}");
        said.map_err(|said| FirewallError::Refused { what, said: lines(&said) })?;
        self.files().remove(host);
        Ok(())
    }

    async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, FirewallError> {
        let turn = timeout(TURN_WITHIN, self.turn.lock()).await;
        turn.map_err(|_| FirewallError::Busy("another change of a firewall"))
    }

    /// What removes all tables that are a firewall's, in one line.
    async fn removal(&self, host: &str) -> Result<String, FirewallError> {
        let remove =
            |table: &ruleset::Table| format!("delete table {} handle {}; ", table.family, table.handle);
        Ok(self.standing(host).await?.tables.iter().map(remove).collect())
    }

    /// What stands on `host`, but for what its sets have in them.
    pub(super) async fn standing(&self, host: &str) -> Result<Ruleset, FirewallError> {
        Ok(Ruleset::read(&self.list(host, &["-a", "-t", "list", "ruleset"]).await?))
    }

    async fn list(&self, host: &str, how: &[&str]) -> Result<String, FirewallError> {
        let said = self.nft.run(host, how, "", &self.root).await?;
        let what = format!("to say what stands on {host}");
        said.map_err(|said| FirewallError::Refused { what, said: lines(&said) })
    }

    /// How `file` is called: from the lab's directory, where it is in there.
    fn name(&self, file: &Path) -> String {
        file.strip_prefix(&self.root).unwrap_or(file).display().to_string()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, PathBuf>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a regular file of at most [`FILE_MOST`] bytes.
fn read_file(path: &Path) -> io::Result<String> {
    // A pipe would have the lab wait for who writes into it.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    File::open(path)?.take(FILE_MOST + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_MOST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// `text` without its lines `flush ruleset`, with which such files begin: all that they would remove is removed, but for
/// tables that are no firewall's. Lines keep their numbers.
fn without_flush(text: &str) -> String {
    let is_flush = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split([' ', '\t', ';']).filter(|word| !word.is_empty()).collect();
        matches!(words.as_slice(), ["flush", "ruleset"] | ["flush", "ruleset", _])
    };
    text.lines().flat_map(|line| [if is_flush(line) { "" } else { line }, "\n"]).collect()
}

/// What nft says of its standard input, said of the file `name`, which began in the second line of it and had so many lines; after
/// them is `end`.
fn placed(said: &str, name: &str, length: usize, end: &str) -> Vec<String> {
    let place = |line: &str| {
        let (number, rest) = line.strip_prefix("/dev/stdin:")?.split_once(':')?;
        let number: usize = number.parse().ok()?;
        match number.checked_sub(1).filter(|number| *number > 0)? {
            number if number <= length => Some(format!("{name}:{number}:{rest}")),
            // In which column of a line that the file does not have says nothing.
            _ => Some(format!("{end}: {}", rest.split_once(": ").map_or(rest, |(_, words)| words))),
        }
    };
    lines(said).into_iter().map(|line| place(&line).unwrap_or(line)).collect()
}

/// Its lines, which may repeat whatever stands in a file, without what a terminal would obey.
fn lines(said: &str) -> Vec<String> {
    let shown = |character: char| match character {
        '\t' => ' ',
        control if control.is_control() => '\u{FFFD}',
        other => other,
    };
    said.lines().map(|line| line.chars().map(shown).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_that_flush_everything_are_left_out() {
        let text = "#!/usr/sbin/nft -f\nflush ruleset\n\tflush  ruleset inet; # all\ntable inet x { }\nflush table inet x\n# flush ruleset\nadd table ip y; flush ruleset";
        let kept = without_flush(text);
        let lines: Vec<_> = kept.lines().collect();
        assert_eq!(lines.len(), 7, "lines keep their numbers");
        assert_eq!(&lines[..3], ["#!/usr/sbin/nft -f", "", ""]);
        assert_eq!(&lines[3..], text.lines().skip(3).collect::<Vec<_>>());
    }

    #[test]
    fn a_complaint_names_the_file_and_its_own_line() {
        let said = "/dev/stdin:5:3-7: Error: unknown identifier\n\tx\u{1b}[2J\n  ^^^\n";
        assert_eq!(
            placed(said, "firewall/a.nft", 4, "its end"),
            ["firewall/a.nft:4:3-7: Error: unknown identifier", " x\u{FFFD}[2J", "  ^^^"]
        );
        let ours = "/dev/stdin:1:1-9: Error: No such file or directory";
        assert_eq!(placed(ours, "a", 4, "its end"), [ours], "the first line is not the file's");
        let after = "/dev/stdin:6:1-1: Error: syntax error, unexpected end of file";
        assert_eq!(
            placed(after, "a", 4, "a, at its end"),
            ["a, at its end: Error: syntax error, unexpected end of file"]
        );
        for odd in ["/dev/stdin:", "/dev/stdin:x:1", "/dev/stdin:99999999999999999999:1"] {
            assert_eq!(placed(odd, "a", 4, "its end"), [odd]);
        }
    }

    #[test]
    fn only_files_are_read_and_only_so_long_ones() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read_file(directory.path()).is_err());
        assert!(read_file(Path::new("/dev/zero")).is_err());
        let file = directory.path().join("long.nft");
        std::fs::write(&file, vec![b'#'; usize::try_from(FILE_MOST).unwrap()]).unwrap();
        assert!(read_file(&file).is_ok());
        std::fs::write(&file, vec![b'#'; usize::try_from(FILE_MOST).unwrap() + 1]).unwrap();
        assert_eq!(read_file(&file).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
