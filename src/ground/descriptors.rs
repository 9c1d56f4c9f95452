//! How many descriptors (files, sockets) this process may have open at once, and making the best of it.
//!
//! A service promises how many connections it holds; without descriptors the promise is empty: accepting fails,
//! files cannot be opened, and all that is left to a client is to wait. Sessions usually start with a soft limit
//! of 1024 and a hard one far above (`ulimit -Sn`, `ulimit -Hn`); up to the hard one everybody may go.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one and returns what then holds. Where the system refuses, the soft limit
/// stays what it was. To be called once, when a service starts.
pub fn raise() -> usize {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // A system may name a hard limit that it does not grant (macOS: infinity).
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    most()
}

/// How many there may be now.
pub fn most() -> usize {
    /// What a system that does not say is taken to grant: POSIX systems start sessions with no less.
    const UNTOLD: usize = 256;
    getrlimit(Resource::RLIMIT_NOFILE).map_or(UNTOLD, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(raise() as u64, hard);
        assert_eq!(most(), raise());
    }
}
