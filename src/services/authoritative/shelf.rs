//! Where the zones stand: the snapshot that is answered from, and what is known of each zone's file.
//!
//! A snapshot is swapped whole, so that an answer never mixes two versions of a zone. Both locks are plain ones:
//! they are held for a pointer's copy or a short list, never across an `await`, and the service runs on one thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::ZoneFile;
use super::keeper::{MOMENT, Stamp};
use super::signer::{HOUR, Published, Signer};
use super::watch::{Taken, Watch};
use super::zones::{Served, ZoneSet};
use crate::dns::name::Name;
use crate::dns::zone::{self, Load, Zone, canonical};
use crate::ground::channel::{LONGEST_LINE, ZoneSigned, ZoneState};
use crate::ground::clock;
use crate::ground::event::Happened;
use crate::ground::journal::Journal;

/// The longest zone that is shown, in bytes: it travels as one line.
const LONGEST_SHOWN: usize = LONGEST_LINE - 1024;

/// Bytes of the shortest record as text, its line end included: `. 0 IN NS .`.
const SHORTEST_RECORD: usize = 12;

/// How often a zone is read again at once because its files changed meanwhile.
const READINGS_MOST: usize = 5;

/// How long after a file was found wrong it is looked at again, before it is refused.
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// The zones of a server.
#[derive(Debug)]
pub(super) struct Shelf {
    snapshot: RwLock<Arc<ZoneSet>>,
    kept: Mutex<Vec<Kept>>,
    journal: Journal,
    /// Told when other files than before are to be watched.
    pub(super) files_changed: Notify,
    /// What signs the zones. A plain lock, for the same reason; taken while `kept` is, never the other way round.
    signer: RwLock<Arc<Signer>>,
    /// Told when zones are to be signed at other times than before.
    pub(super) signed: Notify,
    /// Counts the snapshots, for those who wait for another.
    generation: watch::Sender<u64>,
}

/// One zone's file.
#[derive(Debug)]
struct Kept {
    origin: Name,
    file: PathBuf,
    /// Every file that took part in the last load, as it was just after.
    seen: Seen,
    /// Whether some of them were not watched yet while they were read.
    unwatched: bool,
    /// Of the last load that was told; nothing if the next is to be told in any case.
    fingerprint: Option<u64>,
    problems: Vec<String>,
    /// What the file says; served is this, signed if it is to be.
    plain: Option<Arc<Zone>>,
    /// How it is signed, and when it is to be signed anew, in seconds since the Unix epoch.
    signed: Option<ZoneSigned>,
    renew_at: Option<u32>,
    /// What the file says where that cannot be signed, although it should be, and why not; served is the one before it, if any.
    unsignable: Option<(Arc<Zone>, String)>,
}

impl Kept {
    /// A file of which nothing is known.
    fn of(origin: &Name, file: PathBuf) -> Self {
        let (origin, seen, problems) = (origin.clone(), Vec::new(), Vec::new());
        let (unwatched, fingerprint, plain, signed) = (true, None, None, None);
        Self {
            origin,
            file,
            seen,
            unwatched,
            fingerprint,
            problems,
            plain,
            signed,
            renew_at: None,
            unsignable: None,
        }
    }
}

/// What came of reading a zone's file, and of signing that.
#[derive(Debug)]
struct Loaded {
    /// What was found; its zone is [`Self::plain`].
    load: Load,
    seen: Seen,
    /// What the file says, if it can be served.
    plain: Option<Arc<Zone>>,
    /// What is to be served of it, or why that cannot be signed; and by whom.
    published: Option<(Result<Published, String>, Arc<Signer>)>,
}

/// Files, as they stood.
type Seen = Vec<(PathBuf, Option<Stamp>)>;

/// A zone whose files may have changed.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    origin: Name,
    file: PathBuf,
    /// Its files as they are known.
    files: Vec<PathBuf>,
}

impl Shelf {
    /// Loads all zones; those that cannot be served are reported and answered with SERVFAIL.
    /// `identity` is what the server calls itself.
    pub(super) fn stock(identity: &str, zones: Vec<ZoneFile>, signer: Signer, journal: Journal) -> Self {
        let shelf = Self {
            snapshot: RwLock::new(Arc::new(ZoneSet::of(identity))),
            kept: Mutex::default(),
            journal,
            files_changed: Notify::new(),
            signer: RwLock::new(Arc::new(signer)),
            signed: Notify::new(),
            generation: watch::Sender::new(0),
        };
        for ZoneFile { origin, file } in zones {
            let loaded = load(&origin, &file, None, None, shelf.signer());
            shelf.swap(|zones| zones.put(&origin, Served::Broken));
            shelf.kept().push(Kept::of(&origin, file.clone()));
            shelf.accept(&Changed { origin, file, files: Vec::new() }, loaded);
        }
        shelf
    }

    /// The zones as they are now.
    pub(super) fn snapshot(&self) -> Arc<ZoneSet> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whenever the zones are others than before.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// What is known of each zone.
    pub(super) fn list(&self) -> Vec<ZoneState> {
        let zones = self.snapshot();
        let state = |kept: &Kept| {
            let zone = match zones.get(&kept.origin) {
                Some(Served::Zone(zone)) => Some(zone),
                _ => None,
            };
            ZoneState {
                origin: kept.origin.to_string(),
                file: kept.file.display().to_string(),
                serial: zone.map(|zone| zone.serial()),
                records: zone.map_or(0, |zone| zone.record_count()),
                problems: kept
                    .problems
                    .iter()
                    .chain(kept.unsignable.iter().map(|(_, why)| why))
                    .cloned()
                    .collect(),
                signed: kept.signed.clone(),
            }
        };
        self.kept().iter().map(state).collect()
    }

    /// A zone as master-file text, in canonical order.
    pub(super) fn show(&self, origin: &str) -> Result<String, Vec<String>> {
        let name = self.served_here(origin)?;
        let zones = self.snapshot();
        let Some(Served::Zone(zone)) = zones.get(&name) else {
            return Err(vec![format!("zone {name} is not in service: `wwwlab zone list` says why")]);
        };
        let too_large = || {
            vec![format!(
                "zone {name} has {} records, more than the control channel carries (1 MiB): read its file, `wwwlab zone \
                 list` names it",
                zone.record_count()
            )]
        };
        // A record is longer than this, and a large zone is not sorted in vain.
        if zone.record_count() > LONGEST_SHOWN / SHORTEST_RECORD {
            return Err(too_large());
        }
        let mut text = String::new();
        for line in canonical::lines(zone) {
            text.push_str(&format!("{line}\n"));
        }
        // JSON doubles these.
        let escaped = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n')).count();
        if text.len() + escaped > LONGEST_SHOWN { Err(too_large()) } else { Ok(text) }
    }

    /// The file that the zone `origin` is read from.
    pub(super) fn file_of(&self, origin: &Name) -> Option<PathBuf> {
        self.kept().iter().find(|kept| kept.origin == *origin).map(|kept| kept.file.clone())
    }

    /// Makes a place for a zone that is copied from elsewhere, and kept in `file`; until then it is answered with SERVFAIL.
    pub(super) fn make_place(&self, origin: &Name, file: PathBuf) {
        self.swap(|zones| zones.put(origin, Served::Broken));
        // Nobody edits a copy: there is no file to watch.
        self.kept().push(Kept { unwatched: false, ..Kept::of(origin, file) });
    }

    /// Serves a copy that is kept in `file`.
    pub(super) fn publish(&self, origin: &Name, zone: Zone, file: &Path) {
        let (serial, records) = (zone.serial(), zone.record_count());
        self.swap(|zones| zones.put(origin, Served::Zone(Arc::new(zone))));
        self.explain(origin, None);
        let (origin, file) = (origin.to_string(), file.display().to_string());
        self.journal.tell(|| Happened::ZoneLoaded { origin, file, serial, records });
    }

    /// Says what is wrong with a copy that is served all the same; nothing any more without `why`.
    pub(super) fn explain(&self, origin: &Name, why: Option<String>) {
        if let Some(kept) = self.kept().iter_mut().find(|kept| kept.origin == *origin) {
            kept.problems = why.into_iter().collect();
        }
    }

    /// Serves a copy no more, since it is too old.
    pub(super) fn expire(&self, origin: &Name, why: String) {
        self.swap(|zones| zones.put(origin, Served::Broken));
        self.explain(origin, Some(why.clone()));
        let (origin, problems) = (origin.to_string(), vec![why]);
        self.journal.tell(|| Happened::ZoneRefused { origin, problems, old_one_kept: false });
    }

    /// Serves a zone from another file, if that one is right; otherwise says what is wrong and changes nothing.
    pub(super) async fn replace(&self, origin: &str, file: PathBuf) -> Result<(), Vec<String>> {
        let origin = self.served_here(origin)?;
        // Another file has serials of its own.
        let loaded =
            load_aside(origin.clone(), file.clone(), None, self.serial_served(&origin), self.signer())
                .await?;
        let why: Vec<String> = match &loaded.published {
            None => loaded.load.errors().map(ToString::to_string).collect(),
            Some((Err(why), _)) => vec![why.clone()],
            Some((Ok(_), _)) => Vec::new(),
        };
        if !matches!(loaded.published, Some((Ok(_), _))) {
            let stays = format!("zone {origin} stays as it is: {} is not right", file.display());
            return Err(std::iter::once(stays).chain(why).collect());
        }
        {
            let mut kept = self.kept();
            if let Some(kept) = kept.iter_mut().find(|kept| kept.origin == origin) {
                kept.file.clone_from(&file);
                kept.fingerprint = None;
            }
        }
        self.accept(&Changed { origin, file, files: Vec::new() }, loaded);
        Ok(())
    }

    /// Has all zones signed by `signer` from now on.
    pub(super) async fn sign(&self, signer: Signer, now: u32) {
        *self.signer.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(signer);
        let origins: Vec<Name> = self.kept().iter().map(|kept| kept.origin.clone()).collect();
        for origin in origins {
            self.sign_anew(&origin, now).await;
        }
        self.signed.notify_one();
    }

    /// When the next zone is to be signed anew, in seconds since the Unix epoch; nothing where none is signed.
    pub(super) fn next_renewal(&self) -> Option<u32> {
        self.kept().iter().filter_map(|kept| kept.renew_at).min()
    }

    /// Signs the zones anew whose time has come at `now`.
    pub(super) async fn renew(&self, now: u32) {
        let is_due = |kept: &&Kept| kept.renew_at.is_some_and(|at| at <= now);
        let due: Vec<Name> = self.kept().iter().filter(is_due).map(|kept| kept.origin.clone()).collect();
        for origin in due {
            self.sign_anew(&origin, now).await;
        }
    }

    /// Signs a zone beside the answering, and serves it then; what was edited meanwhile is signed by whoever loads it. What the
    /// file says goes before what is served in its place; where neither can be signed, what is served stays, and if that is
    /// signed, signing is tried again in an hour.
    async fn sign_anew(&self, origin: &Name, now: u32) {
        let sources = |kept: &[Kept]| {
            let kept = kept.iter().find(|kept| kept.origin == *origin)?;
            Some((kept.unsignable.as_ref().map(|(zone, _)| zone.clone()), kept.plain.clone()))
        };
        let is_same = |one: &Option<Arc<Zone>>, other: &Option<Arc<Zone>>| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let Some(before) = sources(&self.kept()) else { return };
        let mut unsignable = None;
        for zone in [&before.0, &before.1].into_iter().flatten() {
            let (signer, served, again) = (self.signer(), self.serial_served(origin), zone.clone());
            let by = signer.clone();
            let signing = tokio::task::spawn_blocking(move || by.publish(again, served, now));
            let Ok(published) = signing.await else { return };
            let after = sources(&self.kept());
            let is_as_before =
                after.is_some_and(|after| is_same(&before.0, &after.0) && is_same(&before.1, &after.1));
            if !is_as_before || !Arc::ptr_eq(&signer, &self.signer()) {
                return;
            }
            match published {
                Err(why) => _ = unsignable.get_or_insert_with(|| (zone.clone(), why)),
                Ok(published) => {
                    let is_back = unsignable.is_none() && before.0.is_some();
                    if let Some(kept) = self.kept().iter_mut().find(|kept| kept.origin == *origin) {
                        (kept.plain, kept.unsignable) = (Some(zone.clone()), unsignable);
                    }
                    let (serial, records) = (published.zone.serial(), published.zone.record_count());
                    let signed = self.serve(origin, published);
                    if let Some(file) = self.file_of(origin).filter(|_| is_back) {
                        let (origin, file) = (origin.to_string(), file.display().to_string());
                        self.journal.tell(|| Happened::ZoneLoaded { origin, file, serial, records });
                    }
                    return self.tell(signed);
                }
            }
        }
        let Some((zone, why)) = unsignable else { return };
        let problems = vec![why.clone()];
        if let Some(kept) = self.kept().iter_mut().find(|kept| kept.origin == *origin) {
            kept.renew_at = kept.signed.as_ref().map(|_| now.saturating_add(HOUR));
            kept.unsignable = Some((zone, why));
        }
        let old_one_kept = matches!(self.snapshot().get(origin), Some(Served::Zone(_)));
        self.journal.tell(|| Happened::ZoneRefused { origin: origin.to_string(), problems, old_one_kept });
    }

    fn tell(&self, happened: Option<Happened>) {
        if let Some(happened) = happened {
            self.journal.tell(|| happened);
        }
    }

    /// Serves a zone as it is to be; what happened, if it is signed.
    fn serve(&self, origin: &Name, published: Published) -> Option<Happened> {
        let Published { zone, signed, renew_at } = published;
        let happened = signed.as_ref().map(|signed| Happened::ZoneSigned {
            origin: origin.to_string(),
            serial: zone.serial(),
            algorithm: signed.algorithm.as_str().to_owned(),
            tag: signed.tag,
            until: signed.until,
        });
        if let Some(kept) = self.kept().iter_mut().find(|kept| kept.origin == *origin) {
            (kept.signed, kept.renew_at) = (signed, renew_at);
        }
        self.swap(|zones| zones.put(origin, Served::Zone(zone)));
        happened
    }

    fn signer(&self) -> Arc<Signer> {
        self.signer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The serial of a zone as it is served.
    fn serial_served(&self, origin: &Name) -> Option<u32> {
        match self.snapshot().get(origin) {
            Some(Served::Zone(zone)) => Some(zone.serial()),
            _ => None,
        }
    }

    /// Every file that takes part in a zone.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let kept = self.kept();
        let files = kept.iter().flat_map(|kept| kept.seen.iter());
        files.map(|(path, _)| path.clone()).collect()
    }

    /// The zones to which a file in `taken` belongs, or of which one was not watched, and that is not as it was.
    pub(super) fn changed(&self, taken: &Taken) -> Vec<Changed> {
        let mut kept = self.kept();
        let touched = kept.iter_mut().filter_map(|kept| {
            let told = taken.has_any(kept.seen.iter().map(|(path, _)| path.as_path()));
            (std::mem::take(&mut kept.unwatched) || told).then_some(&*kept)
        });
        let changed = touched
            .filter(|kept| kept.seen.iter().any(|(path, stamp)| Stamp::may_have_changed(*stamp, path)));
        let files = |seen: &Seen| seen.iter().map(|(path, _)| path.clone()).collect();
        changed
            .map(|kept| Changed {
                origin: kept.origin.clone(),
                file: kept.file.clone(),
                files: files(&kept.seen),
            })
            .collect()
    }

    /// Loads a zone's file again, and serves what it says if it is right. A file that somebody is writing is not read by
    /// half: when it is closed, that is told, and the zone is loaded then.
    pub(super) async fn reload(&self, changed: Changed, watch: &mut Watch) {
        let of_it = |kept: &&Kept| kept.origin == changed.origin;
        let old = self.kept().iter().find(of_it).and_then(|kept| kept.plain.clone());
        let mut wrong = None;
        let known = || changed.files.iter().map(PathBuf::as_path);
        // One more than these is the second look at what the last of them found wrong.
        for reading in 1..=READINGS_MOST + 1 {
            let touched = watch.touched();
            if touched.is_writing(known()) {
                return;
            }
            let told = touched.times_told(known());
            let before: Seen = known().map(|file| (file.to_owned(), Stamp::of(file))).collect();
            let (origin, served) = (changed.origin.clone(), self.serial_served(&changed.origin));
            let loading = load_aside(origin, changed.file.clone(), old.clone(), served, self.signer());
            let loaded = match loading.await {
                Ok(loaded) => loaded,
                Err(causes) => return self.journal.note(causes.join(": ")),
            };
            let Loaded { load, seen, published, .. } = &loaded;
            if seen.iter().any(|(_, stamp)| stamp.is_some_and(Stamp::is_of_this_moment)) {
                // Another write in the same moment shows in no time; it is told soon.
                tokio::time::sleep(MOMENT).await;
            }
            if published.is_none() {
                // Its writer may just have emptied the file, and what tells so may still be on its way.
                watch.catch_up();
            }
            let touched = watch.touched();
            if touched.is_writing(seen.iter().map(|(path, _)| path.as_path())) {
                return;
            }
            let told_more = told != touched.times_told(known());
            let undisturbed = !told_more && same_files(&before, seen);
            if undisturbed
                && published.is_none()
                && wrong != Some(load.fingerprint)
                && reading <= READINGS_MOST
            {
                // A file that was just emptied to be written anew looks the same: only what stays wrong is refused.
                wrong = Some(load.fingerprint);
                tokio::time::sleep(SECOND_LOOK).await;
                continue;
            }
            if undisturbed {
                return self.accept(&changed, loaded);
            }
            if reading >= READINGS_MOST {
                // Saved without end: what is wrong may be wrong of the reading alone, and the next one is due already.
                if published.is_some() || !told_more {
                    self.accept(&changed, loaded);
                }
                return;
            }
        }
    }

    fn accept(&self, changed: &Changed, loaded: Loaded) {
        let (Changed { origin, file, .. }, Loaded { load, seen, plain, published }) = (changed, loaded);
        let old_one_kept = matches!(self.snapshot().get(origin), Some(Served::Zone(_)));
        let problems: Vec<String> = load.problems.iter().map(ToString::to_string).collect();
        {
            let mut kept = self.kept();
            // By now another file may be in use for the zone.
            let Some(kept) = kept.iter_mut().find(|kept| kept.origin == *origin && kept.file == *file) else {
                return;
            };
            if !kept.seen.iter().map(|(path, _)| path).eq(seen.iter().map(|(path, _)| path)) {
                kept.unwatched = true;
                self.files_changed.notify_one();
            }
            kept.seen = seen;
            if kept.fingerprint == Some(load.fingerprint) {
                return;
            }
            kept.fingerprint = Some(load.fingerprint);
            kept.problems.clone_from(&problems);
        }
        let (origin_shown, file) = (origin.to_string(), file.display().to_string());
        let Some((zone, (published, by))) = plain.zip(published) else {
            if let Some(kept) = self.kept().iter_mut().find(|kept| kept.origin == *origin) {
                kept.unsignable = None;
            }
            self.journal.tell(|| Happened::ZoneRefused { origin: origin_shown, problems, old_one_kept });
            return;
        };
        let (serial, records) = (zone.serial(), zone.record_count());
        let signer = self.signer();
        let published = match Arc::ptr_eq(&by, &signer) {
            true => published,
            // It was to be signed otherwise while it was read.
            false => signer.publish(zone.clone(), self.serial_served(origin), clock::unix_seconds()),
        };
        let unsignable = published.as_ref().err().map(|why| (zone.clone(), why.clone()));
        if let Some(kept) = self.kept().iter_mut().find(|kept| kept.origin == *origin) {
            if unsignable.is_none() {
                kept.plain = Some(zone);
            }
            kept.unsignable = unsignable;
        }
        let published = match published {
            Ok(published) => published,
            // As with a file that is wrong: without signatures nobody would believe a word of it, since its parent vouches for them.
            Err(why) => {
                let (origin, problems) = (origin_shown, vec![why]);
                self.journal.tell(|| Happened::ZoneRefused { origin, problems, old_one_kept });
                return;
            }
        };
        if published.renew_at.is_some() {
            self.signed.notify_one();
        }
        let signed = self.serve(origin, published);
        self.journal.tell(|| Happened::ZoneLoaded { origin: origin_shown, file, serial, records });
        self.tell(signed);
        for warning in problems {
            self.journal.note(warning);
        }
    }

    /// The name that `origin` writes, if it is that of a zone here.
    fn served_here(&self, origin: &str) -> Result<Name, Vec<String>> {
        let origin: Name = origin
            .parse()
            .map_err(|cause| vec![format!("`{origin}` is no zone's name"), format!("{cause}")])?;
        if self.snapshot().get(&origin).is_none() {
            let served: Vec<String> = self.kept().iter().map(|kept| kept.origin.to_string()).collect();
            return Err(vec![format!("zone {origin} is not served here; served are: {}", served.join(", "))]);
        }
        Ok(origin)
    }

    fn swap(&self, change: impl FnOnce(&mut ZoneSet)) {
        let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        let mut zones = ZoneSet::clone(&snapshot);
        change(&mut zones);
        *snapshot = Arc::new(zones);
        self.generation.send_modify(|generation| *generation += 1);
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loads beside the answering, which goes on: a large zone takes its time.
async fn load_aside(
    origin: Name,
    file: PathBuf,
    old: Option<Arc<Zone>>,
    served: Option<u32>,
    signer: Arc<Signer>,
) -> Result<Loaded, Vec<String>> {
    tokio::task::spawn_blocking(move || load(&origin, &file, old.as_deref(), served, signer))
        .await
        .map_err(|cause| vec!["a zone could not be loaded".into(), cause.to_string()])
}

/// Reads a zone's file, after one that said `old`, and has it signed, to be served after one of the serial `served`.
fn load(origin: &Name, file: &Path, old: Option<&Zone>, served: Option<u32>, signer: Arc<Signer>) -> Loaded {
    let mut load = zone::load(origin, file);
    if let Some(old) = old {
        load.compare_with(old);
    }
    let seen = load.files.iter().map(|path| (path.clone(), Stamp::of(path))).collect();
    let plain = load.zone.take().map(Arc::new);
    let publish = |zone| signer.publish(zone, served, clock::unix_seconds());
    let published = plain.clone().map(publish).map(|published| (published, signer.clone()));
    Loaded { load, seen, plain, published }
}

/// Whether each of the files that stood as `before` stands so still; of others nothing is known.
fn same_files(before: &Seen, after: &Seen) -> bool {
    let same = |one: &Option<Stamp>, other: &Option<Stamp>| match (one, other) {
        (Some(one), Some(other)) => one.is_like(*other),
        (one, other) => one.is_none() && other.is_none(),
    };
    after.iter().all(|(path, stamp)| {
        let known = before.iter().find(|(known, _)| known == path);
        known.is_none_or(|(_, known)| same(known, stamp))
    })
}
