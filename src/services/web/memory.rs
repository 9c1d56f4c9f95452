//! Small files in memory, so that a page costs one look at the file system and no more.
//!
//! What is kept is given out only if the file still is what was read: each request asks for its version (one `stat`,
//! about a microsecond), which also sees what changes behind a link, and needs no watcher that could miss something.
//! A version that is young proves nothing; such a file is read again, and its compressed forms are kept as long as its
//! content is the same.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hyper::body::Bytes;
use lru::LruCache;
use sha1::{Digest, Sha1};

use super::coding::Coding;
use super::conditional::Validators;
use super::media::Media;
use super::version::Version;

/// The largest file that is kept, in bytes.
pub(super) const SMALL: u64 = 128 * 1024;

/// All that is kept, in bytes at most; what was not asked for the longest goes first.
const KEPT_MOST: usize = 8 << 20;

/// What a kept file takes beside its content and its name, about, in bytes.
const OVERHEAD: usize = 1024;

/// Files shorter than this, in bytes, are not compressed: the headers are longer.
const COMPRESSED_LEAST: usize = 256;

/// A small file as it was read.
#[derive(Debug)]
pub(super) struct Small {
    pub(super) version: Version,
    pub(super) content: Bytes,
    pub(super) media: Media,
    pub(super) validators: Validators,
    /// Made of the content.
    tag: String,
    /// Whether its version proves that it is still the same.
    is_settled: bool,
    compressed: Arc<[OnceLock<Option<Compressed>>; 2]>,
}

/// A small file in a coding.
#[derive(Debug, Clone)]
pub(super) struct Compressed {
    pub(super) content: Bytes,
    pub(super) validators: Validators,
}

/// The files that are kept, by the place that was asked for.
#[derive(Debug)]
pub(super) struct Memory {
    // A plain mutex: it is held to look something up, never while a file is read or compressed.
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    files: LruCache<PathBuf, Arc<Small>>,
    bytes: usize,
    most: usize,
}

impl Small {
    /// `content`, which was read from a file of this version.
    pub(super) fn new(content: Bytes, version: Version, media: Media, is_settled: bool) -> Self {
        let mut tag = data_encoding::HEXLOWER.encode(&Sha1::digest(&content));
        // Enough to tell versions of one file apart; nobody who can write the site's files has to be kept out.
        tag.truncate(20);
        let validators = Validators::new(&tag, false, version.modified());
        Self { version, content, media, validators, tag, is_settled, compressed: Arc::default() }
    }

    /// It in `coding`, compressed when it is asked for first; nothing where that is of no use.
    pub(super) fn compressed(&self, coding: Coding) -> Option<&Compressed> {
        let [brotli, gzip] = &*self.compressed;
        let made = match coding {
            Coding::Brotli => brotli,
            Coding::Gzip => gzip,
        };
        made.get_or_init(|| {
            if !self.media.is_compressible || self.content.len() < COMPRESSED_LEAST {
                return None;
            }
            let compressed = coding.compress(&self.content).ok()?;
            (compressed.len() < self.content.len()).then(|| Compressed {
                content: compressed.into(),
                validators: Validators::new(
                    &format!("{}{}", self.tag, coding.suffix()),
                    false,
                    self.version.modified(),
                ),
            })
        })
        .as_ref()
    }

    /// What it takes, with both compressed forms, of which none is longer than the content.
    fn cost(&self, place: &Path) -> usize {
        let forms = if self.media.is_compressible { 3 } else { 1 };
        self.content.len() * forms + place.as_os_str().len() + OVERHEAD
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::of(KEPT_MOST)
    }
}

impl Memory {
    /// One for `most` bytes.
    fn of(most: usize) -> Self {
        Self { kept: Mutex::new(Kept { files: LruCache::unbounded(), bytes: 0, most }) }
    }

    /// The file at `place`, if it is kept in this version.
    pub(super) fn find(&self, place: &Path, version: &Version) -> Option<Arc<Small>> {
        let mut kept = self.kept();
        let small = kept.files.get(place)?;
        (small.is_settled && small.version == *version).then(|| small.clone())
    }

    /// Keeps `small` for `place`, and what was made of the same content before.
    pub(super) fn keep(&self, place: &Path, mut small: Small) -> Arc<Small> {
        let mut kept = self.kept();
        if let Some(before) = kept.forget(place)
            && before.content == small.content
            && before.version.modified() == small.version.modified()
        {
            small.compressed = before.compressed.clone();
        }
        let small = Arc::new(small);
        kept.bytes += small.cost(place);
        kept.files.put(place.to_owned(), small.clone());
        while kept.bytes > kept.most {
            let Some((place, oldest)) = kept.files.pop_lru() else { break };
            kept.bytes = kept.bytes.saturating_sub(oldest.cost(&place));
        }
        small
    }

    /// Forgets what was at `place`: there is no such file any more, or it has grown.
    pub(super) fn forget(&self, place: &Path) {
        self.kept().forget(place);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, place: &Path) -> Option<Arc<Small>> {
        let small = self.files.pop(place)?;
        self.bytes = self.bytes.saturating_sub(small.cost(place));
        Some(small)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(text: &str, is_settled: bool) -> Small {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let version = Version::of(&file.as_file().metadata().unwrap());
        Small::new(Bytes::from(text.to_owned()), version, Media::of(Path::new("a.txt")), is_settled)
    }

    /// The bytes and the files that are kept.
    fn held(memory: &Memory) -> (usize, usize) {
        let kept = memory.kept();
        (kept.bytes, kept.files.len())
    }

    #[test]
    fn only_the_same_version_is_given_out_and_only_if_it_proves_something() {
        let (memory, place) = (Memory::of(1 << 20), Path::new("a.txt"));
        let first = memory.keep(place, small("first", true));
        assert!(memory.find(place, &first.version).is_some());
        let other = small("first", true);
        assert!(memory.find(place, &other.version).is_none(), "another file with the same content");
        assert!(memory.find(Path::new("b.txt"), &first.version).is_none());
        let young = memory.keep(place, small("young", false));
        assert!(memory.find(place, &young.version).is_none());
        memory.forget(place);
        assert_eq!(held(&memory), (0, 0));
    }

    #[test]
    fn what_is_not_asked_for_goes_first_and_the_sum_is_right() {
        let text = "x".repeat(1_000);
        let one = small(&text, true).cost(Path::new("0"));
        let memory = Memory::of(3 * one);
        let kept: Vec<_> =
            (0..3).map(|place| memory.keep(Path::new(&place.to_string()), small(&text, true))).collect();
        assert!(memory.find(Path::new("0"), &kept[0].version).is_some());
        memory.keep(Path::new("3"), small(&text, true));
        assert!(memory.find(Path::new("1"), &kept[1].version).is_none());
        assert!(memory.find(Path::new("0"), &kept[0].version).is_some());
        for _ in 0..10 {
            memory.keep(Path::new("3"), small(&text, true));
        }
        assert_eq!(held(&memory), (3 * one, 3));
        memory.keep(Path::new("4"), small(&"x".repeat(100_000), true));
        assert_eq!(held(&memory), (0, 0), "larger than all room");
    }

    #[test]
    fn the_same_content_is_compressed_once() {
        let (memory, place, text) = (Memory::of(1 << 20), Path::new("a.txt"), "again ".repeat(100));
        let first = memory.keep(place, small(&text, false));
        let made = first.compressed(Coding::Gzip).unwrap().content.as_ptr();
        let mut same = small(&text, true);
        same.version = first.version;
        let second = memory.keep(place, same);
        assert_eq!(second.compressed(Coding::Gzip).unwrap().content.as_ptr(), made);
        let other = memory.keep(place, small(&text.replace('n', "m"), true));
        let other = other.compressed(Coding::Gzip).unwrap();
        assert_ne!(other.content.as_ptr(), made);
        assert_ne!(other.validators.etag, first.compressed(Coding::Gzip).unwrap().validators.etag);
        assert!(small("short", true).compressed(Coding::Brotli).is_none());
    }
}
