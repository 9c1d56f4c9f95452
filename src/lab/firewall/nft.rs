//! The real nft(8), run on a machine of the lab.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::FirewallError;
use crate::lab::doctor::in_path_or_administrators;
use crate::lab::network::errands::{Ended, Errand, Errands, Lost};

/// A ruleset that is longer when it is printed is not shown, in bytes. More than any file makes that may be applied, with all that nft
/// writes beside a rule: what was put in place can be taken away.
const SAID_MOST: u64 = 16 * super::FILE_MOST;
/// nft has ended by then: four in a row, and two waits for a turn ([`super::TURN_WITHIN`]), are within the time that a command waits
/// for an answer about firewalls.
const WITHIN_TIME: Duration = Duration::from_millis(3_500);

/// Where nft is run.
#[derive(Debug)]
pub(super) struct Nft(Errands);

impl Nft {
    pub(super) fn new(executable: PathBuf, place: PathBuf) -> Self {
        Self(Errands::new(executable, place))
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
        let program = &in_path_or_administrators("nft").ok_or(FirewallError::NotInstalled)?;
        let (within, said_most) = (WITHIN_TIME, SAID_MOST);
        let errand = Errand { program, arguments, input, directory, within, said_most };
        let Ended { status, said, complained } =
            self.0.run(host, errand).await.map_err(|lost| match lost {
                Lost::Run(source) => FirewallError::Run(source),
                Lost::Silent => FirewallError::Silent,
            })?;
        if u64::try_from(said.len()).unwrap_or(u64::MAX) > SAID_MOST {
            return Err(FirewallError::TooLong { host: host.into(), most: SAID_MOST >> 10 });
        }
        if status.success() {
            return Ok(Ok(said));
        }
        if lacks_nf_tables(&complained) {
            return Err(FirewallError::Lacking(complained.trim().into()));
        }
        Ok(Err(if complained.trim().is_empty() { format!("nft has ended: {status}") } else { complained }))
    }
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
}
