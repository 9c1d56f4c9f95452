//! The files of the site: what is at a place, from memory where that is still true.
//!
//! Files are looked at with each request: a saved page is seen at once.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ground::clock;

use super::beneath::Beneath;
use super::coding::Coding;
use super::media::Media;
use super::memory::{Memory, SMALL, Small};
use super::version::Version;

/// What a directory shows.
const INDEX: &str = "index.html";

/// A directory of files.
#[derive(Debug)]
pub(super) struct Site {
    directory: Beneath,
    memory: Memory,
}

/// What is at a place.
#[derive(Debug)]
pub(super) enum Found {
    /// A file.
    File(SiteFile),
    /// A directory with an index, asked for without its slash.
    NeedsSlash,
    /// No file.
    Nothing,
}

/// A file of the site.
#[derive(Debug)]
pub(super) struct SiteFile {
    /// Where it was asked for.
    pub(super) place: PathBuf,
    pub(super) content: Content,
}

/// What is in a file.
#[derive(Debug)]
pub(super) enum Content {
    /// In memory.
    Small(Arc<Small>),
    /// Too large for that: it is open, and is read as it is sent.
    Large { file: File, version: Version },
}

/// Something with a name: only what has a content is a file.
enum Entry {
    File(Content),
    Directory,
    /// A pipe, a socket, a device.
    Other,
}

impl Site {
    /// The site in `directory`.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: Beneath::new(directory)?, memory: Memory::default() })
    }

    /// What a target without a final slash finds at `place`.
    pub(super) fn file(&self, place: PathBuf) -> io::Result<Found> {
        Ok(match self.entry(&place)? {
            Some(Entry::File(content)) => Found::File(SiteFile { place, content }),
            Some(Entry::Directory) if self.has_index(&place)? => Found::NeedsSlash,
            _ => Found::Nothing,
        })
    }

    /// What a target with a final slash finds at `place`.
    pub(super) fn directory(&self, place: &Path) -> io::Result<Found> {
        let place = place.join(INDEX);
        Ok(match self.entry(&place)? {
            Some(Entry::File(content)) => Found::File(SiteFile { place, content }),
            _ => Found::Nothing,
        })
    }

    /// The file beside `plain` that holds the same in `coding`, if there is one and it is not older.
    pub(super) fn sibling(&self, plain: &SiteFile, coding: Coding) -> io::Result<Option<Content>> {
        let mut place = plain.place.clone().into_os_string();
        place.push(coding.suffix());
        let content = match self.entry(Path::new(&place))? {
            Some(Entry::File(content)) => content,
            _ => return Ok(None),
        };
        let is_old = content.version().is_older_than(&plain.content.version());
        Ok((!is_old).then_some(content))
    }

    /// Whether the directory at `place` has something to show.
    fn has_index(&self, place: &Path) -> io::Result<bool> {
        Ok(self.directory.open(&place.join(INDEX))?.is_some())
    }

    /// What is at `place`.
    fn entry(&self, place: &Path) -> io::Result<Option<Entry>> {
        // Whatever links lead there: if it is the very file that is in memory, it has been found fit to be seen.
        match self.directory.path(place).metadata() {
            Ok(facts) => {
                if let Some(small) = self.memory.find(place, &Version::of(&facts)) {
                    return Ok(Some(Entry::File(Content::Small(small))));
                }
            }
            Err(error) => {
                self.memory.forget(place);
                // Most requests are for no file: to find that out costs one look.
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
                    return Ok(None);
                }
            }
        }
        match self.directory.open(place)? {
            Some(file) => self.look_at(place, file).map(Some),
            None => Ok(None),
        }
    }

    fn look_at(&self, place: &Path, mut file: File) -> io::Result<Entry> {
        let now = clock::unix_millis();
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Ok(if facts.is_dir() { Entry::Directory } else { Entry::Other });
        }
        let version = Version::of(&facts);
        if version.bytes > SMALL {
            self.memory.forget(place);
            return Ok(Entry::File(Content::Large { file, version }));
        }
        let content = read_whole(&mut file)?;
        // It may have been written to meanwhile; what was read is sent, and not trusted for another time.
        let after = Version::of(&file.metadata()?);
        let is_settled = after == version && content.len() as u64 == version.bytes && !version.is_young(now);
        let small = Small::new(content.into(), version, Media::of(place), is_settled);
        Ok(Entry::File(Content::Small(self.memory.keep(place, small))))
    }
}

impl Content {
    /// Which version it is.
    pub(super) fn version(&self) -> Version {
        match self {
            Self::Small(small) => small.version,
            Self::Large { version, .. } => *version,
        }
    }
}

/// All of a small file. One that grows beyond all bounds while it is read is not read on.
fn read_whole(file: &mut File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let most = SMALL + 1;
    match file.take(most).read_to_end(&mut content)? {
        read if read as u64 == most => Err(ErrorKind::ResourceBusy.into()),
        _ => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;

    use super::*;

    fn site() -> (tempfile::TempDir, Site) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("site");
        fs::create_dir_all(root.join("docs")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::write(root.join("about.html"), "about").unwrap();
        fs::write(root.join("docs/index.html"), "docs").unwrap();
        fs::write(root.join(".env"), "secret").unwrap();
        fs::write(directory.path().join("secret"), "secret").unwrap();
        let site = Site::open(&root).unwrap();
        (directory, site)
    }

    fn bytes(found: io::Result<Found>) -> Option<u64> {
        match found.unwrap() {
            Found::File(file) => Some(file.content.version().bytes),
            Found::NeedsSlash | Found::Nothing => None,
        }
    }

    #[test]
    fn files_are_found_and_directories_show_their_index() {
        let (_directory, site) = site();
        assert_eq!(bytes(site.file(PathBuf::from("about.html"))), Some(5));
        assert_eq!(bytes(site.directory(Path::new("docs"))), Some(4));
        assert!(matches!(site.file(PathBuf::from("docs")), Ok(Found::NeedsSlash)));
        for absent in ["empty", "about", "about.html/x", "nothing"] {
            assert!(matches!(site.file(PathBuf::from(absent)), Ok(Found::Nothing)), "{absent}");
        }
        assert!(matches!(site.directory(Path::new("empty")), Ok(Found::Nothing)));
        assert!(matches!(site.directory(Path::new("about.html")), Ok(Found::Nothing)));
        let long = "x".repeat(5_000);
        assert!(matches!(site.file(PathBuf::from(&long)), Ok(Found::Nothing)));
    }

    #[test]
    fn links_are_followed_inside_the_site_only() {
        let (directory, site) = site();
        let root = directory.path().join("site");
        let links =
            [("../secret", "out"), ("..", "up"), (".env", "env"), ("loop", "loop"), ("about.html", "in")];
        for (to, from) in links {
            symlink(to, root.join(from)).unwrap();
        }
        symlink(directory.path().join("secret"), root.join("absolute")).unwrap();
        for refused in ["out", "up/secret", "up/site/about.html/..", "env", "loop", "absolute"] {
            let found = site.file(PathBuf::from(refused));
            assert!(matches!(found, Ok(Found::Nothing)), "{refused}");
        }
        assert_eq!(bytes(site.file(PathBuf::from("in"))), Some(5));
    }

    #[test]
    fn a_named_pipe_does_not_stop_the_server() {
        let (directory, site) = site();
        nix::unistd::mkfifo(&directory.path().join("site/pipe"), Mode::S_IRWXU).unwrap();
        assert!(matches!(site.file(PathBuf::from("pipe")), Ok(Found::Nothing)));
    }

    #[test]
    fn foobar_com_has_its_files() {
        let site = Site::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("site")).unwrap();
        for (place, media_type) in [
            ("about.html", "text/html; charset=utf-8"),
            ("assets/style.css", "text/css; charset=utf-8"),
            ("assets/logo.svg", "image/svg+xml; charset=utf-8"),
            ("favicon.svg", "image/svg+xml; charset=utf-8"),
            ("robots.txt", "text/plain; charset=utf-8"),
        ] {
            match site.file(PathBuf::from(place)) {
                Ok(Found::File(SiteFile { content: Content::Small(small), .. })) => {
                    assert_eq!(small.media.header, media_type, "{place}");
                }
                other => panic!("{place}: {other:?}"),
            }
        }
    }

    /// Waits until a file's version proves what is in it.
    fn settled(site: &Site, place: &str) -> Arc<Small> {
        loop {
            match site.file(place.into()).unwrap() {
                Found::File(SiteFile { content: Content::Small(small), .. }) => {
                    if site.memory.find(Path::new(place), &small.version).is_some() {
                        return small;
                    }
                }
                other => panic!("{other:?}"),
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_in_memory_is_given_until_the_file_changes() {
        let (directory, site) = site();
        let file = directory.path().join("site/about.html");
        let first = settled(&site, "about.html");
        assert!(Arc::ptr_eq(&first, &settled(&site, "about.html")));
        let content = |place: &str| match site.file(place.into()).unwrap() {
            Found::File(SiteFile { content: Content::Small(small), .. }) => small.content.clone(),
            other => panic!("{other:?}"),
        };
        // Of the same length, twice within a tick, and with its time set back.
        for text in ["tuoba", "other", "third"] {
            fs::write(&file, text).unwrap();
            assert_eq!(content("about.html"), text);
        }
        settled(&site, "about.html");
        let replacement = directory.path().join("new");
        fs::write(&replacement, "moved").unwrap();
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        File::options().write(true).open(&replacement).unwrap().set_modified(modified).unwrap();
        fs::rename(&replacement, &file).unwrap();
        assert_eq!(content("about.html"), "moved");
        fs::remove_file(&file).unwrap();
        assert!(matches!(site.file("about.html".into()), Ok(Found::Nothing)));
        fs::write(&file, "x".repeat(usize::try_from(SMALL).unwrap() + 1)).unwrap();
        let found = site.file("about.html".into()).unwrap();
        assert!(matches!(found, Found::File(SiteFile { content: Content::Large { .. }, .. })));
    }

    #[test]
    fn a_link_that_is_turned_outside_leads_nowhere_though_its_file_is_in_memory() {
        let (directory, site) = site();
        let link = directory.path().join("site/link");
        symlink("about.html", &link).unwrap();
        settled(&site, "link");
        fs::remove_file(&link).unwrap();
        symlink("../secret", &link).unwrap();
        assert!(matches!(site.file("link".into()), Ok(Found::Nothing)));
    }

    #[test]
    fn a_sibling_counts_unless_it_is_older() {
        let (directory, site) = site();
        let root = directory.path().join("site");
        let sibling = || {
            let Found::File(plain) = site.file("about.html".into()).unwrap() else { panic!() };
            site.sibling(&plain, Coding::Gzip).unwrap().map(|content| content.version().bytes)
        };
        assert_eq!(sibling(), None);
        fs::write(root.join("about.html.gz"), "gz").unwrap();
        assert_eq!(sibling(), Some(2));
        let old = File::options().write(true).open(root.join("about.html.gz")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(sibling(), None);
    }
}
