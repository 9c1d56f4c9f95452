//! Which version of a file this is, by what the file system says of it. Pure.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For so long after a change, in milliseconds, another one may leave the same times behind: the kernel writes the
/// time of its last tick, and ticks come every 10 ms at the slowest.
const YOUNG: u64 = 100;

/// The same where the file system keeps whole seconds; FAT keeps every other one.
const YOUNG_IN_SECONDS: u64 = 2_100;

/// The last second that an HTTP date can write: the year has four digits.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// A version. Equal ones are the same content of the same file, unless they are young.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// The length, in bytes.
    pub(super) bytes: u64,
    device: u64,
    inode: u64,
    /// When it was written, and when anything about it was changed: seconds and nanoseconds since 1970.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    /// What `facts` tell.
    pub(super) fn of(facts: &Metadata) -> Self {
        Self {
            bytes: facts.len(),
            device: facts.dev(),
            inode: facts.ino(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }

    /// Whether the file may be written once more without its version telling. One that comes from the future is, too.
    pub(super) fn is_young(&self, unix_millis: u64) -> bool {
        let limit = if self.changed.1 == 0 { YOUNG_IN_SECONDS } else { YOUNG };
        // What was set back by hand (`touch -d`) still tells by the second time when that was done.
        let (seconds, nanos) = self.changed;
        let changed = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000)
            + u64::try_from(nanos).unwrap_or(0) / 1_000_000;
        changed.saturating_add(limit) > unix_millis
    }

    /// Whether nothing was written between this version and `later`. Its name may have gone to another file.
    pub(super) fn has_content_of(&self, later: &Self) -> bool {
        (self.bytes, self.modified) == (later.bytes, later.modified)
    }

    /// Whether it was written before `other` was.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        self.modified < other.modified
    }

    /// When it was written, to the second; nothing where no HTTP date can say it.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        let since_epoch = Duration::from_secs(u64::try_from(self.modified.0).ok()?);
        (since_epoch <= LAST_DATE).then(|| UNIX_EPOCH + since_epoch)
    }

    /// What an entity tag can be made of: no two versions have the same, unless they are young.
    pub(super) fn tag(&self) -> String {
        let Self { bytes, modified, changed, .. } = self;
        format!("{:x}.{:x}-{:x}.{:x}-{bytes:x}", modified.0, modified.1, changed.0, changed.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(modified: (i64, i64), changed: (i64, i64)) -> Version {
        Version { bytes: 1, device: 1, inode: 1, modified, changed }
    }

    #[test]
    fn a_version_is_young_for_some_ticks() {
        let fine = version((0, 0), (10, 5_000_000));
        assert!(fine.is_young(10_005) && fine.is_young(10_104) && !fine.is_young(10_105));
        assert!(fine.is_young(9_000), "the future");
        let coarse = version((0, 0), (10, 0));
        assert!(coarse.is_young(12_099) && !coarse.is_young(12_100));
        assert!(!version((0, 0), (-5, 0)).is_young(10_000));
    }

    #[test]
    fn a_time_that_http_cannot_say_is_not_said() {
        let at = |seconds| version((seconds, 7), (0, 0)).modified();
        let last = i64::try_from(LAST_DATE.as_secs()).unwrap();
        assert_eq!(at(-1), None);
        assert_eq!(at(last + 1), None);
        assert_eq!(at(last), Some(UNIX_EPOCH + LAST_DATE));
    }

    #[test]
    fn whatever_differs_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        std::fs::write(&one, "x").unwrap();
        std::fs::hard_link(&one, &other).unwrap();
        let version = || Version::of(&std::fs::metadata(&one).unwrap());
        let before = version();
        assert_eq!(before, version());
        std::fs::File::options().write(true).open(&one).unwrap().set_modified(UNIX_EPOCH).unwrap();
        let after = version();
        assert!(before != after && before.tag() != after.tag() && after.is_older_than(&before));
        assert!(!before.has_content_of(&after));
    }
}
