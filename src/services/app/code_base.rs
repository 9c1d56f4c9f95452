//! The application files: what a developer deploys, as opposed to the server that runs it.
//!
//! A directory with a `VERSION` and `templates/*.html`. It is read whole into a value that never changes, so
//! that another version can be swapped in whole. Every template is compiled when it is read: a mistake shows
//! at start, with file and line, and not to a visitor. So does a part that is missing: each page is made once, of
//! nothing, to see whether all that it is made from is there.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use minijinja::{Environment, ErrorKind, Value};

/// The pages that the application makes; each needs its template.
const NEEDED: [&str; 6] =
    ["home.html", "guestbook.html", "entry-page.html", "edit.html", "login.html", "register.html"];

/// Templates in one code base at most.
const TEMPLATES_MOST: usize = 64;

/// Length of one file at most, in bytes.
const FILE_LONGEST: u64 = 256 * 1024;

/// Length of a version at most, in characters; it is shown on every page.
const VERSION_LONGEST: usize = 40;

/// A version of the application's files, ready to make pages.
#[derive(Debug)]
pub struct CodeBase {
    version: String,
    templates: Environment<'static>,
}

/// Why a directory is not a code base.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeBaseError {
    /// A file or directory could not be read.
    #[error("cannot read {}; a code base has VERSION and templates/*.html", file.display())]
    Unreadable {
        /// Which one.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something that is no file has a file's name.
    #[error("{} is not a file", file.display())]
    NotAFile {
        /// Which one.
        file: PathBuf,
    },
    /// A copy could not be written.
    #[error("cannot keep a copy in {}", directory.display())]
    Unwritable {
        /// Where.
        directory: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is longer than any page needs.
    #[error("{} is longer than {FILE_LONGEST} bytes", file.display())]
    TooLong {
        /// Which one.
        file: PathBuf,
    },
    /// There are more templates than a small site has.
    #[error("{} has more than {TEMPLATES_MOST} templates", directory.display())]
    TooMany {
        /// The directory of templates.
        directory: PathBuf,
    },
    /// The version is empty or too long to be shown.
    #[error("{} must begin with a line of 1 to {VERSION_LONGEST} characters: the version", file.display())]
    Version {
        /// The file.
        file: PathBuf,
    },
    /// A template that is needed is missing.
    #[error("{} is missing", file.display())]
    Missing {
        /// The file that should be there.
        file: PathBuf,
    },
    /// A template has a mistake.
    #[error("{}:{line} is not a template", file.display())]
    Template {
        /// The file.
        file: PathBuf,
        /// The line of the mistake, from 1.
        line: usize,
        /// What is wrong.
        source: minijinja::Error,
    },
}

impl CodeBase {
    /// Reads the code base in `directory`.
    pub fn read(directory: &Path) -> Result<Self, CodeBaseError> {
        let version = read_version(directory.join("VERSION"))?;
        let folder = directory.join("templates");
        let mut templates = Environment::new();
        for (count, name) in template_names(&folder)?.into_iter().enumerate() {
            if count == TEMPLATES_MOST {
                return Err(CodeBaseError::TooMany { directory: folder });
            }
            let file = folder.join(&name);
            let text = read_bounded(&file)?;
            templates.add_template_owned(name, text).map_err(|source| CodeBaseError::Template {
                line: source.line().unwrap_or(1),
                file,
                source,
            })?;
        }
        if let Some(missing) = NEEDED.iter().find(|name| templates.get_template(name).is_err()) {
            return Err(CodeBaseError::Missing { file: folder.join(missing) });
        }
        templates.add_global("version", version.clone());
        for name in NEEDED {
            check_parts(&templates, name, &folder)?;
        }
        Ok(Self { version, templates })
    }

    /// Copies the code base in `from` to `to`, a directory that is not there yet, and reads it there: what was
    /// checked is what was copied, whatever happens to `from` meanwhile. Only what makes a code base is copied.
    pub fn copy(from: &Path, to: &Path) -> Result<Self, CodeBaseError> {
        let (old, new) = (from.join("templates"), to.join("templates"));
        let unwritten = |source| CodeBaseError::Unwritable { directory: to.to_owned(), source };
        let names = template_names(&old)?;
        if names.len() > TEMPLATES_MOST {
            return Err(CodeBaseError::TooMany { directory: old });
        }
        fs::create_dir_all(&new).map_err(unwritten)?;
        let templates = names.iter().map(|name| (old.join(name), new.join(name)));
        for (from, to) in [(from.join("VERSION"), to.join("VERSION"))].into_iter().chain(templates) {
            fs::write(to, read_bounded(&from)?).map_err(unwritten)?;
        }
        Self::read(to).map_err(|error| error.seen_from(to, from))
    }

    /// Which version it is: the first line of its `VERSION`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Makes the page of the template `name` from `values`; every text in it is escaped.
    pub fn page(&self, name: &str, values: Value) -> Result<String, minijinja::Error> {
        self.templates.get_template(name)?.render(values)
    }
}

/// Refuses a page that names what is not there: a template to extend, a filter, a function. Whatever else fails does
/// because the page is made of nothing here.
fn check_parts(templates: &Environment<'_>, name: &str, folder: &Path) -> Result<(), CodeBaseError> {
    use ErrorKind::{
        BadInclude, TemplateNotFound, UnknownBlock, UnknownFilter, UnknownFunction, UnknownTest,
    };
    let Err(error) = templates.get_template(name).and_then(|template| template.render(())) else {
        return Ok(());
    };
    let mut innermost = &error;
    while let Some(cause) = std::error::Error::source(innermost).and_then(|cause| cause.downcast_ref()) {
        innermost = cause;
    }
    let missing = [BadInclude, TemplateNotFound, UnknownBlock, UnknownFilter, UnknownFunction, UnknownTest];
    if !missing.contains(&innermost.kind()) {
        return Ok(());
    }
    let file = folder.join(innermost.name().unwrap_or(name));
    Err(CodeBaseError::Template { line: innermost.line().unwrap_or(1), file, source: error })
}

impl CodeBaseError {
    /// The same error, told of the place that its files were copied from.
    fn seen_from(mut self, copy: &Path, original: &Path) -> Self {
        let (Self::Unreadable { file: path, .. }
        | Self::NotAFile { file: path }
        | Self::TooLong { file: path }
        | Self::TooMany { directory: path }
        | Self::Version { file: path }
        | Self::Missing { file: path }
        | Self::Template { file: path, .. }
        | Self::Unwritable { directory: path, .. }) = &mut self;
        if let Ok(rest) = path.strip_prefix(copy) {
            *path = original.join(rest);
        }
        self
    }
}

fn read_version(file: PathBuf) -> Result<String, CodeBaseError> {
    let text = read_bounded(&file)?;
    let version = text.lines().next().unwrap_or_default().trim();
    if (1..=VERSION_LONGEST).contains(&version.chars().count()) {
        Ok(version.to_owned())
    } else {
        Err(CodeBaseError::Version { file })
    }
}

fn template_names(folder: &Path) -> Result<Vec<String>, CodeBaseError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for file in fs::read_dir(folder)? {
            // Editors leave hidden files beside the one that is edited.
            let name = file?.file_name().into_string().unwrap_or_default();
            if name.ends_with(".html") && !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    };
    list().map_err(|source| CodeBaseError::Unreadable { file: folder.to_owned(), source })
}

fn read_bounded(file: &Path) -> Result<String, CodeBaseError> {
    let unreadable = |source| CodeBaseError::Unreadable { file: file.to_owned(), source };
    // Asked before it is opened: a pipe would make whoever opens it wait.
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(CodeBaseError::NotAFile { file: file.to_owned() });
    }
    let mut text = String::new();
    File::open(file)
        .and_then(|open| open.take(FILE_LONGEST + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    if text.len() as u64 > FILE_LONGEST {
        return Err(CodeBaseError::TooLong { file: file.to_owned() });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use minijinja::context;
    use tempfile::TempDir;

    use super::*;

    fn code_base(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("templates")).unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    const WHOLE: [(&str, &str); 7] = [
        ("VERSION", "1.2 \nmore\n"),
        ("templates/home.html", "{{ version }}: {{ text }}"),
        ("templates/guestbook.html", ""),
        ("templates/entry-page.html", ""),
        ("templates/edit.html", ""),
        ("templates/login.html", ""),
        ("templates/register.html", ""),
    ];

    #[test]
    fn a_page_shows_the_version_and_escapes_its_values() {
        let directory = code_base(&WHOLE);
        let code = CodeBase::read(directory.path()).unwrap();
        assert_eq!(code.version(), "1.2");
        let page = code.page("home.html", context! { text => "<b>&" }).unwrap();
        assert_eq!(page, "1.2: &lt;b&gt;&amp;");
    }

    #[test]
    fn a_mistake_is_told_with_file_and_line() {
        let directory = code_base(&WHOLE);
        fs::write(directory.path().join("templates/home.html"), "\n\n{% if %}").unwrap();
        let refused = CodeBase::read(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("templates/home.html:3"), "{refused}");
    }

    #[test]
    fn a_part_that_is_not_there_is_told_with_the_page_that_wants_it() {
        let directory = code_base(&WHOLE);
        for (page, line) in [
            ("\n{% extends 'frame.html' %}", 2),
            ("{% include 'part.html' %}", 1),
            ("{{ 1|shouted }}", 1),
            ("{{ now() }}", 1),
            ("{{ 1 is good }}", 1),
        ] {
            fs::write(directory.path().join("templates/edit.html"), page).unwrap();
            let refused = CodeBase::read(directory.path()).unwrap_err().to_string();
            assert!(refused.contains(&format!("templates/edit.html:{line} ")), "{page}: {refused}");
        }
        // Values that only a real visit has are no fault.
        fs::write(directory.path().join("templates/edit.html"), "{{ entry.name.first }}").unwrap();
        CodeBase::read(directory.path()).unwrap();
    }

    #[test]
    fn a_copy_is_checked_where_it_is_and_told_of_where_it_came_from() {
        let (from, place) = (code_base(&WHOLE), tempfile::tempdir().unwrap());
        fs::write(from.path().join("templates/notes.txt"), "not of the code base").unwrap();
        let to = place.path().join("1");
        assert_eq!(CodeBase::copy(from.path(), &to).unwrap().version(), "1.2");
        assert!(!to.join("templates/notes.txt").exists());
        fs::write(from.path().join("templates/edit.html"), "{% if %}").unwrap();
        let refused = CodeBase::copy(from.path(), &place.path().join("2")).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("{}/templates/edit.html:1 ", from.path().display())),
            "{refused}"
        );
    }

    #[test]
    fn only_files_are_read() {
        let directory = code_base(&WHOLE);
        let pipe = directory.path().join("templates/pipe.html");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(CodeBase::read(directory.path()), Err(CodeBaseError::NotAFile { .. })));
        fs::remove_file(pipe).unwrap();
        let long = "x".repeat(usize::try_from(FILE_LONGEST).unwrap() + 1);
        fs::write(directory.path().join("templates/long.html"), long).unwrap();
        assert!(matches!(CodeBase::read(directory.path()), Err(CodeBaseError::TooLong { .. })));
    }

    #[test]
    fn what_is_missing_is_named() {
        let directory = code_base(&WHOLE[..2]);
        let refused = CodeBase::read(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("templates/guestbook.html is missing"), "{refused}");
        let refused = CodeBase::read(&directory.path().join("nowhere")).unwrap_err().to_string();
        assert!(refused.contains("nowhere/VERSION"), "{refused}");
    }

    #[test]
    fn versions_are_short() {
        for version in ["", "\nsecond line", &"x".repeat(VERSION_LONGEST + 1)] {
            let directory = code_base(&[("VERSION", version)]);
            assert!(matches!(CodeBase::read(directory.path()), Err(CodeBaseError::Version { .. })));
        }
    }

    #[test]
    fn the_code_base_of_foobar_com_is_whole() {
        own();
    }

    /// A search looks at so many entries at a time: nothing found is not nothing there, as long as others follow.
    #[test]
    fn a_search_that_found_nothing_yet_says_so() {
        let page = |older: Option<&str>, newer: Option<&str>| {
            let search = "x";
            own().page("guestbook.html", context! { search, older, newer, entries => [(); 0] }).unwrap()
        };
        let nothing = "No entry has that in it.";
        assert!(page(None, None).contains(nothing));
        for (older, newer, said) in [
            (
                Some("/guestbook?before=7"),
                None,
                "Not found yet: a search looks at a thousand entries at a time.",
            ),
            (
                Some("/guestbook?before=7"),
                Some("/"),
                "Not found yet: a search looks at a thousand entries at a time.",
            ),
            (None, Some("/"), "No older entry has that in it."),
        ] {
            let page = page(older, newer);
            assert!(page.contains(said) && !page.contains(nothing), "{page}");
        }
    }

    fn own() -> CodeBase {
        CodeBase::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("app")).unwrap()
    }
}
