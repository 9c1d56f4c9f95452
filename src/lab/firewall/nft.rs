//! The real nft(8), run on a machine of the lab: bounded in what it may say and in its time.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::FirewallError;
use crate::lab::doctor::in_path_or_administrators;
use crate::lab::network::WITHIN;

/// A ruleset that is longer when it is printed is not shown, in bytes. More than any file makes that may be applied, with all that nft
/// writes beside a rule: what was put in place can be taken away.
const SAID_MOST: u64 = 16 * super::FILE_MOST;
/// Of what nft complains about, so much is passed on, in bytes.
const COMPLAINED_MOST: u64 = 8 << 10;
/// nft has ended by then: four in a row are within the time that a command waits for the lab.
const WITHIN_TIME: Duration = Duration::from_millis(3_500);

/// Where nft is run.
#[derive(Debug)]
pub(super) struct Nft {
    /// This program, which goes to a machine and becomes another there.
    executable: PathBuf,
    /// Where the machines are to be entered.
    place: PathBuf,
}

impl Nft {
    pub(super) fn new(executable: PathBuf, place: PathBuf) -> Self {
        Self { executable, place }
    }

    /// Runs it on `host` with these arguments, `input` on its standard input, in `directory`: what it printed, or else what
    /// it complained about.
    pub(super) async fn run(
        &self,
        host: &str,
        arguments: &[&str],
        input: &str,
        directory: &Path,
    ) -> Result<Result<String, String>, FirewallError> {
        let program = in_path_or_administrators("nft").ok_or(FirewallError::NotInstalled)?;
        let mut command = Command::new(&self.executable);
        command.arg(WITHIN).arg(self.place.join(host)).args(["--capable", "--"]).arg(program).args(arguments);
        command.current_dir(directory).process_group(0).kill_on_drop(true);
        // Its messages are looked into.
        command.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(FirewallError::Run)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // Whoever complains of the first line may not read the last.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let talk = async {
            let ((), out, err) =
                tokio::join!(write, heard(stdout, SAID_MOST), heard(stderr, COMPLAINED_MOST));
            Ok::<_, std::io::Error>((out, err, child.wait().await?))
        };
        let said = tokio::time::timeout(WITHIN_TIME, talk).await.map_err(|_| FirewallError::Silent)?;
        let (out, err, status) = said.map_err(FirewallError::Run)?;
        if u64::try_from(out.len()).unwrap_or(u64::MAX) > SAID_MOST {
            return Err(FirewallError::TooLong { host: host.into(), most: SAID_MOST >> 10 });
        }
        if status.success() {
            return Ok(Ok(out));
        }
        if lacks_nf_tables(&err) {
            return Err(FirewallError::Lacking(err.trim().into()));
        }
        Ok(Err(if err.trim().is_empty() { format!("nft has ended: {status}") } else { err }))
    }
}

/// What comes, as text; one byte more than `most` at most.
async fn heard(from: Option<impl AsyncRead + Unpin>, most: u64) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What was said before it broke is all there is.
        let _ = from.take(most + 1).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the kernel takes no orders about rulesets at all: then nft cannot even ask which there are.
fn lacks_nf_tables(complaint: &str) -> bool {
    ["Unable to initialize Netlink socket", "cache initialization failed"]
        .iter()
        .any(|sign| complaint.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_rulesets_is_told_from_a_wrong_file() {
        assert!(lacks_nf_tables("netlink: Error: cache initialization failed: Invalid argument"));
        assert!(lacks_nf_tables("src/mnl.c:60: Unable to initialize Netlink socket: Protocol not supported"));
        assert!(!lacks_nf_tables("/dev/stdin:4:22-22: Error: syntax error, unexpected newline"));
    }

    #[tokio::test]
    async fn what_is_heard_is_bounded() {
        assert_eq!(heard(Some(&b"abcdef"[..]), 3).await, "abcd");
        assert_eq!(heard(Some(&b"ab\xFF"[..]), 3).await, "ab\u{FFFD}");
        assert_eq!(heard(None::<&[u8]>, 3).await, "");
    }
}
