//! A program of the system that is run on a machine of the lab (nft, tc), and is waited for: bounded in what it may say and in its
//! time.
//!
//! It stands apart from [`super::held`], which is about programs that stay. It runs through `wwwlab within`, so it can reach no
//! network but the lab's own, and with the rights of that machine's administrator.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::WITHIN;

/// Of what it complains about, so much is passed on, in bytes.
const COMPLAINED_MOST: u64 = 8 << 10;

/// Who runs them.
#[derive(Debug)]
pub(in crate::lab) struct Errands {
    /// This program, which goes to a machine and becomes another there.
    executable: PathBuf,
    /// Where the machines are to be entered.
    place: PathBuf,
}

/// What is run.
#[derive(Debug, Clone, Copy)]
pub(in crate::lab) struct Errand<'a> {
    pub(in crate::lab) program: &'a Path,
    pub(in crate::lab) arguments: &'a [&'a str],
    /// What it reads.
    pub(in crate::lab) input: &'a str,
    /// Where files without a place are looked for.
    pub(in crate::lab) directory: &'a Path,
    /// It has ended by then.
    pub(in crate::lab) within: Duration,
    /// So much of what it says is heard, in bytes, and one more; at 0 nothing.
    pub(in crate::lab) said_most: u64,
}

/// How it ended.
#[derive(Debug)]
pub(in crate::lab) struct Ended {
    pub(in crate::lab) status: ExitStatus,
    pub(in crate::lab) said: String,
    pub(in crate::lab) complained: String,
}

/// Why nobody knows how it ended.
#[derive(Debug)]
pub(in crate::lab) enum Lost {
    /// It cannot be run.
    Run(io::Error),
    /// It did not end in time, and was killed.
    Silent,
}

impl Errands {
    pub(in crate::lab) fn new(executable: PathBuf, place: PathBuf) -> Self {
        Self { executable, place }
    }

    pub(in crate::lab) fn executable(&self) -> &Path {
        &self.executable
    }

    /// Where `machine` is to be entered.
    pub(in crate::lab) fn place(&self, machine: &str) -> PathBuf {
        self.place.join(machine)
    }

    /// Runs it on `machine`.
    pub(in crate::lab) async fn run(&self, machine: &str, errand: Errand<'_>) -> Result<Ended, Lost> {
        let Errand { program, arguments, input, directory, within, said_most } = errand;
        let mut command = Command::new(&self.executable);
        command.args([WITHIN, "--capable"]).arg(self.place(machine)).arg("--").arg(program).args(arguments);
        command.current_dir(directory).process_group(0).kill_on_drop(true);
        let said = if said_most == 0 { Stdio::null() } else { Stdio::piped() };
        // Its messages are looked into.
        command.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(said).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Lost::Run)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // Whoever complains of the first line may not read the last.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let talk = async {
            let ((), said, complained) =
                tokio::join!(write, heard(stdout, said_most), heard(stderr, COMPLAINED_MOST));
            child.wait().await.map(|status| Ended { status, said, complained })
        };
        let ended = tokio::time::timeout(within, talk).await.map_err(|_| Lost::Silent)?;
        ended.map_err(Lost::Run)
    }
}

/// What comes, as text; one byte more than `most` at most, and the rest is read all the same: who writes it would end by a pipe
/// that is closed.
async fn heard(from: Option<impl AsyncRead + Unpin>, most: u64) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        // What was said before it broke is all there is.
        let _ = (&mut from).take(most.saturating_add(1)).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_heard_is_bounded_and_the_rest_is_read() {
        let mut said = &b"abcdefgh"[..];
        assert_eq!(heard(Some(&mut said), 3).await, "abcd");
        assert!(said.is_empty());
        assert_eq!(heard(Some(&b"abcdef"[..]), 3).await, "abcd");
        assert_eq!(heard(Some(&b"ab\xFF"[..]), 3).await, "ab\u{FFFD}");
        assert_eq!(heard(None::<&[u8]>, 3).await, "");
    }
}
