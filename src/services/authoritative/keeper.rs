//! Sees that a zone file was saved, and has it loaded again.
//!
//! Folders are watched, not files: editors that write a new file and rename it would take a watched file away.
//! The operating system's word (inotify) only says when to look; what counts is how the files stand. Where it
//! gives none, the files are looked at four times a second.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::shelf::Shelf;
use crate::ground::clock;
use crate::ground::journal::Journal;

/// How long files must be quiet before they are read: a save is several writes.
const QUIET: Duration = Duration::from_millis(20);

/// How often quiet is waited for at most; a file that is written without end is read between its writes.
const QUIETS_MOST: usize = 15;

/// How often files are looked at where nothing tells of their changes.
const LOOK: Duration = Duration::from_millis(250);

/// A file that changed this shortly before it was looked at may change again without a trace in its times.
const TRACELESS_MILLIS: i64 = 1_000;

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
    settled: bool,
}

impl Stamp {
    /// How the file at `path` stands; nothing if there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let about = path.metadata().ok()?;
        let changed = (about.ctime(), about.ctime_nsec());
        let age = i64::try_from(clock::unix_millis())
            .unwrap_or(i64::MAX)
            .saturating_sub(changed.0.saturating_mul(1_000).saturating_add(changed.1 / 1_000_000));
        Some(Self { inode: about.ino(), length: about.len(), changed, settled: age > TRACELESS_MILLIS })
    }

    /// Whether the file at `path` may be another than when it stood as `before`.
    pub(super) fn may_have_changed(before: Option<Self>, path: &Path) -> bool {
        match (before, Self::of(path)) {
            (Some(before), Some(now)) => {
                !before.settled
                    || (before.inode, before.length, before.changed) != (now.inode, now.length, now.changed)
            }
            (before, now) => before.is_some() || now.is_some(),
        }
    }
}

/// Keeps the zones of `shelf` as their files are, until `stop`.
pub(super) async fn keep(shelf: Arc<Shelf>, journal: Journal, stop: CancellationToken) {
    let moved = Arc::new(Notify::new());
    let mut watch = Watch::new(&moved);
    let mut noted = false;
    loop {
        let watching = watch.cover(&shelf.files());
        if !watching && !noted {
            noted = true;
            journal.note("zone files cannot be watched: they are looked at four times a second instead");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = moved.notified() => wait_for_quiet(&moved).await,
            () = shelf.files_changed.notified() => {}
            () = sleep(LOOK), if !watching => {}
        }
        // Also after other files took their place: they may have changed before they were watched.
        watch.cover(&shelf.files());
        for changed in shelf.changed() {
            shelf.reload(changed).await;
        }
    }
}

async fn wait_for_quiet(moved: &Notify) {
    for _ in 0..QUIETS_MOST {
        if timeout(QUIET, moved.notified()).await.is_err() {
            return;
        }
    }
}

/// The folders that are watched.
struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// Their inodes when they were: a folder may be replaced by another.
    folders: BTreeMap<PathBuf, u64>,
}

impl Watch {
    fn new(moved: &Arc<Notify>) -> Self {
        let moved = moved.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_change(event.kind)) {
                moved.notify_one();
            }
        };
        Self { watcher: notify::recommended_watcher(tell).ok(), folders: BTreeMap::new() }
    }

    /// Watches the folders of `files`, and only these; false if one of them cannot be watched.
    fn cover(&mut self, files: &[PathBuf]) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let mut wanted = BTreeMap::new();
        for file in files {
            // What a link points to may be saved in its own place.
            for path in [Some(file.clone()), file.canonicalize().ok()].into_iter().flatten() {
                let folder = match path.parent() {
                    Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
                    Some(folder) => folder,
                    None => continue,
                };
                wanted.insert(folder.to_owned(), folder.metadata().map_or(0, |about| about.ino()));
            }
        }
        self.folders.retain(|folder, inode| {
            let stays = wanted.get(folder) == Some(inode);
            if !stays {
                // It may be gone already.
                let _ = watcher.unwatch(folder);
            }
            stays
        });
        let mut all = true;
        for (folder, inode) in wanted {
            if self.folders.contains_key(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.folders.insert(folder, inode);
                }
                Err(_) => all = false,
            }
        }
        all
    }
}

/// What may mean that a file was saved. Reading is no change: our own would never end. Where the system tells when a
/// writer has closed the file (Linux), that is awaited, so that a file that is still being written is not read by half.
fn is_change(kind: EventKind) -> bool {
    let closing_is_told = cfg!(target_os = "linux");
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => !closing_is_told,
        _ => true,
    }
}
