//! What the operating system tells of zone files: which of them was saved, and which is still being written.
//!
//! Folders are watched, not files: editors that write a new file and rename it would take a watched file away. A file
//! is known by every name under which its folder may tell of it, its own and that of what it links to. Where the system
//! tells when a writer has closed a file (Linux), that is awaited: what is still being written is not read by half.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::ground::clock;

/// Whether the system tells when a writer has closed a file.
const CLOSING_IS_TOLD: bool = cfg!(target_os = "linux");

/// How long a writer that is not heard of any more is waited for. It may have written all without ever opening the file
/// (truncate(2)), and then closes none.
const WRITER_PATIENCE: Duration = Duration::from_secs(5);

/// The folders that are watched.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// Their inodes when they were: a folder may be replaced by another.
    folders: BTreeMap<PathBuf, u64>,
    touched: Arc<Touched>,
}

/// What was told of files since it was taken last. A plain mutex: it is held for one look-up.
#[derive(Debug, Default)]
pub(super) struct Touched {
    told: Notify,
    /// Told when a writer began.
    begun: Notify,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// The files that count, by the names under which they are told of.
    names: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    saved: BTreeSet<PathBuf>,
    gone: BTreeSet<PathBuf>,
    /// With the time when their writers were heard of last.
    being_written: BTreeMap<PathBuf, Instant>,
    /// How often something was told of each.
    times: BTreeMap<PathBuf, u64>,
    everything: bool,
}

/// The files that are to be looked at.
#[derive(Debug, Default)]
pub(super) struct Taken {
    files: BTreeSet<PathBuf>,
    everything: bool,
}

impl Taken {
    /// Whether one of `files` is among them.
    pub(super) fn has_any<'a>(&self, mut files: impl Iterator<Item = &'a Path>) -> bool {
        self.everything || files.any(|file| self.files.contains(file))
    }
}

impl Watch {
    /// Watches nothing yet; what happens is told to `touched`.
    pub(super) fn new(touched: Arc<Touched>) -> Self {
        let ears = touched.clone();
        let watcher = notify::recommended_watcher(move |event| ears.hear(event)).ok();
        Self { watcher, folders: BTreeMap::new(), touched }
    }

    /// Watches the folders of `files`, and only these; false if one of them cannot be watched.
    pub(super) fn cover(&mut self, files: &[PathBuf]) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let mut all = true;
        let mut wanted = BTreeMap::new();
        let mut names: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for file in files {
            // What a link points to may be saved in its own place.
            for path in [Some(file.clone()), file.canonicalize().ok()].into_iter().flatten() {
                // One folder may have several names, and is watched under one.
                let Some((folder, name)) = folder_of(&path) else {
                    all = false;
                    continue;
                };
                names.entry(folder.join(name)).or_default().insert(file.clone());
                let inode = folder.metadata().map_or(0, |about| about.ino());
                wanted.insert(folder, inode);
            }
        }
        self.touched.count(names);
        self.folders.retain(|folder, inode| {
            let stays = wanted.get(folder) == Some(inode);
            if !stays {
                // It may be gone already.
                let _ = watcher.unwatch(folder);
            }
            stays
        });
        for (folder, inode) in wanted {
            if self.folders.contains_key(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    // That a writer closed a file was not told while nobody watched.
                    self.touched.forsake(|file, _| file.starts_with(&folder));
                    self.folders.insert(folder, inode);
                }
                Err(_) => all = false,
            }
        }
        all
    }
}

impl Watch {
    /// Waits until all that the system has told by now is in what was [touched](Self::touched): a thread hears it, which may
    /// not have had its turn.
    pub(super) fn catch_up(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            // That thread answers behind what it has been told. Nothing is there to be unwatched, which is what it says.
            let _ = watcher.unwatch(Path::new("/dev/null/nothing"));
        }
    }

    /// What was told.
    pub(super) fn touched(&self) -> &Touched {
        &self.touched
    }
}

/// The folder of `path` by the one name that has no links in it, and the file's name in it.
fn folder_of(path: &Path) -> Option<(PathBuf, &std::ffi::OsStr)> {
    let folder = match path.parent()? {
        folder if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    Some((folder.canonicalize().ok()?, path.file_name()?))
}

impl Touched {
    /// Waits until something was told.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    /// Waits until somebody began to write.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// When the first writer is not waited for any more, if there is one.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        self.heard().being_written.values().min().map(|&last| last + WRITER_PATIENCE)
    }

    /// Waits no more for writers that were not heard of for long at `now`: what they wrote is to be looked at.
    pub(super) fn lose_patience(&self, now: Instant) {
        self.forsake(|_, last| last + WRITER_PATIENCE <= now);
    }

    /// Waits no more for the writers of those files of which `is_one` is true, by their names.
    fn forsake(&self, is_one: impl Fn(&Path, Instant) -> bool) {
        let mut heard = self.heard();
        let Heard { being_written, saved, names, .. } = &mut *heard;
        being_written.retain(|file, last| {
            let mut known = names.iter().filter(|(_, files)| files.contains(file));
            let stays = !known.any(|(name, _)| is_one(name, *last));
            if !stays {
                saved.insert(file.clone());
            }
            stays
        });
    }

    /// What is to be looked at, once.
    pub(super) fn take(&self) -> Taken {
        let mut heard = self.heard();
        let mut files = std::mem::take(&mut heard.saved);
        // A file that is there again is being written anew: the end of that is told.
        files.extend(std::mem::take(&mut heard.gone).into_iter().filter(|file| !file.exists()));
        Taken { files, everything: std::mem::take(&mut heard.everything) }
    }

    /// Nothing is told: everything is to be looked at.
    pub(super) fn everything(&self) {
        let mut heard = self.heard();
        heard.everything = true;
        heard.being_written.clear();
    }

    /// Whether a writer has not closed one of `files` yet. When it does, that is told.
    pub(super) fn is_writing<'a>(&self, mut files: impl Iterator<Item = &'a Path>) -> bool {
        let heard = self.heard();
        files.any(|file| heard.being_written.contains_key(file))
    }

    /// How often something was told of `files` so far.
    pub(super) fn times_told<'a>(&self, files: impl Iterator<Item = &'a Path>) -> u64 {
        let heard = self.heard();
        files.filter_map(|file| heard.times.get(file)).sum()
    }

    /// From now on the files with these names count.
    fn count(&self, names: BTreeMap<PathBuf, BTreeSet<PathBuf>>) {
        let mut heard = self.heard();
        let Heard { being_written, times, names: counted, .. } = &mut *heard;
        *counted = names;
        let counts = |file: &PathBuf| counted.values().any(|files| files.contains(file));
        being_written.retain(|file, _| counts(file));
        times.retain(|file, _| counts(file));
    }

    fn hear(&self, event: notify::Result<Event>) {
        let news = match event {
            Ok(event) if !event.need_rescan() => {
                let mut heard = self.heard();
                let writers = heard.being_written.len();
                let news = heard.hear(&event);
                if heard.being_written.len() > writers {
                    self.begun.notify_one();
                }
                news
            }
            // Something was not told.
            _ => {
                self.everything();
                true
            }
        };
        if news {
            self.told.notify_one();
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an event means for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Nothing.
    Nothing,
    /// A writer is at it, and will close it.
    Writing,
    /// It may say something else now.
    Saved,
    /// The same, and whoever wrote it has closed it.
    Closed,
    /// It is not there any more, under that name.
    Gone,
}

impl Heard {
    /// Whether there is something to look at.
    fn hear(&mut self, event: &Event) -> bool {
        let mut news = false;
        for path in &event.paths {
            let meaning = meaning(event.kind, path);
            let Some(files) = self.names.get(path) else {
                // Of a folder as a whole: it went away, say, or may be read again.
                let folder = self.names.range(path.clone()..).next();
                let folder = folder.is_some_and(|(name, _)| name.starts_with(path));
                self.everything |= folder && meaning != Meaning::Nothing;
                news |= folder && meaning != Meaning::Nothing;
                continue;
            };
            for file in files {
                if meaning != Meaning::Nothing {
                    *self.times.entry(file.clone()).or_default() += 1;
                }
                match meaning {
                    Meaning::Nothing => continue,
                    Meaning::Writing => {
                        self.being_written.insert(file.clone(), clock::now());
                        continue;
                    }
                    Meaning::Saved => {
                        self.saved.insert(file.clone());
                    }
                    Meaning::Closed => {
                        self.being_written.remove(file);
                        self.saved.insert(file.clone());
                    }
                    Meaning::Gone => {
                        self.being_written.remove(file);
                        self.gone.insert(file.clone());
                    }
                }
                news = true;
            }
        }
        news
    }
}

/// Reading is no change: our own would never end.
fn meaning(kind: EventKind, path: &Path) -> Meaning {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Meaning::Closed,
        EventKind::Access(_) => Meaning::Nothing,
        EventKind::Modify(ModifyKind::Data(_)) if CLOSING_IS_TOLD => Meaning::Writing,
        // Whoever makes a file has it open; whoever makes a link has not.
        EventKind::Create(CreateKind::File) if CLOSING_IS_TOLD && !is_link(path) => Meaning::Nothing,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Meaning::Gone,
        // Told before as two, one for each name.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) if CLOSING_IS_TOLD => Meaning::Nothing,
        EventKind::Modify(ModifyKind::Name(_)) => Meaning::Closed,
        _ => Meaning::Saved,
    }
}

/// Whether the file is another name of one that was there before.
fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|about| about.is_symlink() || about.nlink() > 1)
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, RemoveKind};

    use super::*;

    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const REMOVED: EventKind = EventKind::Remove(RemoveKind::File);

    fn touched(names: &[(&str, &str)]) -> Touched {
        let touched = Touched::default();
        let mut all: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for (name, file) in names {
            all.entry(name.into()).or_default().insert(file.into());
        }
        touched.count(all);
        touched
    }

    fn happens(touched: &Touched, kind: EventKind, path: &str) {
        touched.hear(Ok(Event::new(kind).add_path(path.into())));
    }

    fn has(taken: &Taken, file: &str) -> bool {
        taken.has_any([Path::new(file)].into_iter())
    }

    #[test]
    fn only_the_file_that_was_saved_is_looked_at() {
        let touched = touched(&[("/z/a", "/z/a"), ("/z/b", "/z/b")]);
        happens(&touched, CLOSED, "/z/a");
        happens(&touched, CLOSED, "/z/.a.swp");
        let taken = touched.take();
        assert!(has(&taken, "/z/a") && !has(&taken, "/z/b"));
        assert!(!has(&touched.take(), "/z/a"), "once");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_is_being_written_until_it_is_closed_or_another_takes_its_place() {
        let touched = touched(&[("/z/a", "/z/a")]);
        let writing = || touched.is_writing([Path::new("/z/a")].into_iter());
        let to = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        for end in [CLOSED, to, REMOVED] {
            happens(&touched, WRITTEN, "/z/a");
            assert!(writing() && !has(&touched.take(), "/z/a"));
            happens(&touched, end, "/z/a");
            assert!(!writing() && has(&touched.take(), "/z/a"), "{end:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_writer_that_never_closes_is_not_waited_for_without_end() {
        let touched = touched(&[("/z/a", "/z/a"), ("/z/b", "/z/b")]);
        let is_writing = |file| touched.is_writing([Path::new(file)].into_iter());
        happens(&touched, WRITTEN, "/z/a");
        let end = touched.patience_ends().unwrap();
        touched.lose_patience(end - Duration::from_millis(1));
        assert!(is_writing("/z/a"));
        touched.lose_patience(end);
        assert!(!is_writing("/z/a") && has(&touched.take(), "/z/a") && touched.patience_ends().is_none());
        // Nor one whose folder was not watched for a while.
        happens(&touched, WRITTEN, "/z/b");
        touched.forsake(|file, _| file.starts_with("/other"));
        assert!(is_writing("/z/b"));
        touched.forsake(|file, _| file.starts_with("/z"));
        assert!(!is_writing("/z/b") && has(&touched.take(), "/z/b"));
    }

    #[test]
    fn a_file_that_went_away_and_is_there_again_is_not_read_before_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zone");
        let name = file.to_str().unwrap();
        let touched = touched(&[(name, name)]);
        happens(&touched, REMOVED, name);
        assert!(has(&touched.take(), name), "it is not there");
        happens(&touched, REMOVED, name);
        std::fs::write(&file, "").unwrap();
        assert!(!has(&touched.take(), name), "its writer will close it");
    }

    #[test]
    fn a_link_is_told_of_under_both_names_and_a_folder_means_all_in_it() {
        let touched = touched(&[("/z/a", "/z/a"), ("/real/b", "/z/a"), ("/z/c", "/z/c")]);
        happens(&touched, CLOSED, "/real/b");
        let taken = touched.take();
        assert!(has(&taken, "/z/a") && !has(&taken, "/z/c"));
        happens(&touched, EventKind::Remove(RemoveKind::Folder), "/elsewhere");
        assert!(!has(&touched.take(), "/z/c"));
        happens(&touched, EventKind::Remove(RemoveKind::Folder), "/z");
        assert!(has(&touched.take(), "/z/c"));
    }

    #[test]
    fn what_was_not_told_may_be_anything() {
        let touched = touched(&[("/z/a", "/z/a")]);
        happens(&touched, WRITTEN, "/z/a");
        touched.hear(Err(notify::Error::generic("lost")));
        assert!(has(&touched.take(), "/z/a") && !touched.is_writing([Path::new("/z/a")].into_iter()));
    }
}
