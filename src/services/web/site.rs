//! The files of the site, opened so that nothing outside its directory can be.
//!
//! Targets have been cleared of `..` and dotfiles before; here symbolic links are followed and looked at once
//! more. Files are looked for at each request: a saved page is seen at once.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hyper::header::HeaderValue;

use super::conditional::Validators;

/// What a directory shows.
const INDEX: &str = "index.html";

/// A directory of files.
#[derive(Debug)]
pub(super) struct Site {
    /// Without symbolic links.
    root: PathBuf,
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

/// A file of the site, open.
#[derive(Debug)]
pub(super) struct SiteFile {
    /// Its content.
    pub(super) file: File,
    /// Its length.
    pub(super) bytes: u64,
    /// Its version.
    pub(super) validators: Validators,
    /// Its `Content-Type`.
    pub(super) media_type: HeaderValue,
}

impl Site {
    /// The site in `directory`.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let root = directory.canonicalize()?;
        if root.is_dir() { Ok(Self { root }) } else { Err(ErrorKind::NotADirectory.into()) }
    }

    /// What a target without a final slash finds at `place`.
    pub(super) fn file(&self, place: &Path) -> io::Result<Found> {
        match self.opened(place)? {
            Some((_, _, facts)) if facts.is_dir() => {
                let index = self.inside(&place.join(INDEX))?;
                Ok(index.map_or(Found::Nothing, |_| Found::NeedsSlash))
            }
            opened => found(opened),
        }
    }

    /// What a target with a final slash finds at `place`.
    pub(super) fn directory(&self, place: &Path) -> io::Result<Found> {
        found(self.opened(&place.join(INDEX))?)
    }

    /// What is at `place`, open: where it really is, and what is known of it.
    fn opened(&self, place: &Path) -> io::Result<Option<(PathBuf, File, Metadata)>> {
        let Some(path) = self.inside(place)? else {
            return Ok(None);
        };
        // Without O_NONBLOCK, opening a named pipe would wait for its other end, and the whole server with it.
        let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let facts = file.metadata()?;
        Ok(Some((path, file, facts)))
    }

    /// Where `place` really is, if it is and is inside the site.
    fn inside(&self, place: &Path) -> io::Result<Option<PathBuf>> {
        let path = match self.root.join(place).canonicalize() {
            Ok(path) => path,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let seen = path.strip_prefix(&self.root).is_ok_and(|below| {
            !below.as_os_str().is_empty()
                && below.iter().enumerate().all(|(depth, name)| {
                    !name.as_bytes().starts_with(b".") || (depth == 0 && name.as_bytes() == b".well-known")
                })
        });
        Ok(seen.then_some(path))
    }
}

/// Only what has a content is a file: no directory, pipe or device.
fn found(opened: Option<(PathBuf, File, Metadata)>) -> io::Result<Found> {
    match opened {
        Some((path, file, facts)) if facts.is_file() => Ok(Found::File(SiteFile {
            bytes: facts.len(),
            validators: Validators::of(facts.modified()?, facts.len()),
            media_type: media_type(&path),
            file,
        })),
        _ => Ok(Found::Nothing),
    }
}

/// Whether an error says that there is no such file, as opposed to one that cannot be read.
fn is_absence(error: &io::Error) -> bool {
    // Of the newer kinds, ELOOP, ENAMETOOLONG and ENXIO have no stable name here.
    let numbers = [nix::libc::ELOOP, nix::libc::ENAMETOOLONG, nix::libc::ENXIO];
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || error.raw_os_error().is_some_and(|number| numbers.contains(&number))
}

/// The media type that a file's name tells; text with its character set, which for this site is UTF-8.
fn media_type(path: &Path) -> HeaderValue {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    let is_text = guess.type_() == mime_guess::mime::TEXT
        || guess.subtype() == mime_guess::mime::JAVASCRIPT
        || guess.subtype() == mime_guess::mime::XML
        || guess.suffix() == Some(mime_guess::mime::XML);
    let with_charset = if is_text {
        format!("{}; charset=utf-8", guess.essence_str())
    } else {
        guess.essence_str().to_owned()
    };
    HeaderValue::try_from(with_charset)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
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
            Found::File(file) => Some(file.bytes),
            Found::NeedsSlash | Found::Nothing => None,
        }
    }

    #[test]
    fn files_are_found_and_directories_show_their_index() {
        let (_directory, site) = site();
        assert_eq!(bytes(site.file(Path::new("about.html"))), Some(5));
        assert_eq!(bytes(site.directory(Path::new("docs"))), Some(4));
        assert!(matches!(site.file(Path::new("docs")), Ok(Found::NeedsSlash)));
        for absent in ["empty", "about", "about.html/x", "nothing"] {
            assert!(matches!(site.file(Path::new(absent)), Ok(Found::Nothing)), "{absent}");
        }
        assert!(matches!(site.directory(Path::new("empty")), Ok(Found::Nothing)));
        assert!(matches!(site.directory(Path::new("about.html")), Ok(Found::Nothing)));
        let long = "x".repeat(5_000);
        assert!(matches!(site.file(Path::new(&long)), Ok(Found::Nothing)));
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
            let found = site.file(Path::new(refused));
            assert!(matches!(found, Ok(Found::Nothing)), "{refused}");
        }
        assert_eq!(bytes(site.file(Path::new("in"))), Some(5));
    }

    #[test]
    fn a_named_pipe_does_not_stop_the_server() {
        let (directory, site) = site();
        nix::unistd::mkfifo(&directory.path().join("site/pipe"), Mode::S_IRWXU).unwrap();
        assert!(matches!(site.file(Path::new("pipe")), Ok(Found::Nothing)));
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
            match site.file(Path::new(place)) {
                Ok(Found::File(file)) => assert_eq!(file.media_type, media_type, "{place}"),
                other => panic!("{place}: {other:?}"),
            }
        }
    }

    #[test]
    fn text_says_its_character_set() {
        let of = |name| media_type(Path::new(name)).to_str().unwrap().to_owned();
        assert_eq!(of("a.html"), "text/html; charset=utf-8");
        assert_eq!(of("a.css"), "text/css; charset=utf-8");
        assert_eq!(of("a.js"), "text/javascript; charset=utf-8");
        assert_eq!(of("a.svg"), "image/svg+xml; charset=utf-8");
        assert_eq!(of("a.txt"), "text/plain; charset=utf-8");
        assert_eq!(of("a.png"), "image/png");
        assert_eq!(of("a"), "application/octet-stream");
    }
}
