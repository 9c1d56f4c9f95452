//! Sees that a zone file was saved, and has it loaded again.
//!
//! The operating system's word (inotify, see `watch`) only says when to look, and at which file; what counts is how the
//! files stand. Where it gives none, the files are looked at four times a second.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::shelf::Shelf;
use super::watch::{Touched, Watch};
use crate::ground::clock;
use crate::ground::journal::Journal;

/// How long files must be quiet before they are read: a save may be several writes, or several files.
const QUIET: Duration = Duration::from_millis(20);

/// How often quiet is waited for at most; files that are saved without end are read between.
const QUIETS_MOST: usize = 5;

/// How often files are looked at where nothing tells of their changes.
const LOOK: Duration = Duration::from_millis(250);

/// What a file system calls one moment: it notes times no finer than this. (Linux: a tick of the kernel, up to 10 ms.)
pub(super) const MOMENT: Duration = Duration::from_millis(10);

/// A file that changed this shortly before it was looked at may change again without a trace in its times.
const TRACELESS_MILLIS: i64 = 1_000;

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
    age_millis: i64,
}

impl Stamp {
    /// How the file at `path` stands; nothing if there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let about = path.metadata().ok()?;
        let changed = (about.ctime(), about.ctime_nsec());
        let age = i64::try_from(clock::unix_millis())
            .unwrap_or(i64::MAX)
            .saturating_sub(changed.0.saturating_mul(1_000).saturating_add(changed.1 / 1_000_000));
        Some(Self { inode: about.ino(), length: about.len(), changed, age_millis: age })
    }

    /// Whether it changed in the moment in which it was looked at.
    pub(super) fn is_of_this_moment(self) -> bool {
        u128::try_from(self.age_millis).unwrap_or_default() <= MOMENT.as_millis()
    }

    /// Whether it is the same file, as it was.
    pub(super) fn is_like(self, other: Self) -> bool {
        (self.inode, self.length, self.changed) == (other.inode, other.length, other.changed)
    }

    /// Whether the file at `path` may be another than when it stood as `before`.
    pub(super) fn may_have_changed(before: Option<Self>, path: &Path) -> bool {
        match (before, Self::of(path)) {
            (Some(before), Some(now)) => before.age_millis <= TRACELESS_MILLIS || !before.is_like(now),
            (before, now) => before.is_some() || now.is_some(),
        }
    }
}

/// Keeps the zones of `shelf` as their files are, until `stop`, which waits for no file that is being read.
pub(super) async fn keep(shelf: Arc<Shelf>, journal: Journal, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_on(&shelf, &journal) => {}
    }
}

async fn keep_on(shelf: &Shelf, journal: &Journal) {
    let touched = Arc::new(Touched::default());
    let mut watch = Watch::new(touched.clone());
    let mut noted = false;
    loop {
        let watching = watch.cover(&shelf.files());
        if !watching && !noted {
            noted = true;
            journal.note("zone files cannot be watched: they are looked at four times a second instead");
        }
        let patience_ends = touched.patience_ends();
        let lost = sleep_until(patience_ends.unwrap_or_else(clock::now).into());
        tokio::select! {
            // How long it is waited for is to be known.
            () = touched.begun() => continue,
            () = lost, if patience_ends.is_some() => touched.lose_patience(clock::now()),
            () = touched.told() => wait_for_quiet(&touched).await,
            () = shelf.files_changed.notified() => {}
            () = sleep(LOOK), if !watching => touched.everything(),
        }
        // Also after other files took their place: they may have changed before they were watched.
        watch.cover(&shelf.files());
        for changed in shelf.changed(&touched.take()) {
            shelf.reload(changed, &mut watch).await;
        }
    }
}

async fn wait_for_quiet(touched: &Touched) {
    for _ in 0..QUIETS_MOST {
        if timeout(QUIET, touched.told()).await.is_err() {
            return;
        }
    }
}
