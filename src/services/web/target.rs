//! Which place in the site a request target names (RFC 3986 §3.3, RFC 9112 §3.2).
//!
//! Pure, and the first wall against targets that would leave the site; the second, for links inside the
//! site's directory, stands where files are opened.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Below this, what is no file is nothing: the application is not asked.
const FILES_ONLY: &str = "assets";

/// A place in the site.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// May be a file: the path below the site's directory, without `.` or `..`.
    File(PathBuf),
    /// May be a directory: its target ends with a slash.
    Directory(PathBuf),
    /// Cannot be a file; the application may know it. `/` is here: the home page is dynamic.
    Dynamic,
    /// A dotfile, whether it exists or not.
    Hidden,
    /// No well-formed target, and why.
    Malformed(&'static str),
}

/// The place that the path of a target names.
pub(super) fn place(path: &str) -> Place {
    let Some(below) = path.strip_prefix('/') else {
        return Place::Malformed("it does not begin with a slash");
    };
    if below.is_empty() {
        return Place::Dynamic;
    }
    let (below, directory) = match below.strip_suffix('/') {
        Some(below) => (below, true),
        None => (below, false),
    };
    let mut file = PathBuf::new();
    let (mut nameable, mut hidden) = (true, false);
    for (depth, segment) in below.split('/').enumerate() {
        if !well_encoded(segment) {
            return Place::Malformed("a percent sign in it is not followed by two hexadecimal digits");
        }
        let name: Vec<u8> = percent_decode_str(segment).collect();
        if name.contains(&0) {
            return Place::Malformed("it has a NUL byte in it");
        }
        if name == b"." || name == b".." {
            return Place::Malformed("it climbs with . or .., which a client resolves before it asks");
        }
        // RFC 8615: the one dotted directory that is meant to be seen.
        hidden |= name.first() == Some(&b'.') && !(depth == 0 && name == b".well-known");
        match String::from_utf8(name) {
            Ok(name) if !name.is_empty() && !name.contains(['/', '\\']) => file.push(name),
            _ => nameable = false,
        }
    }
    match (hidden, nameable, directory) {
        (true, _, _) => Place::Hidden,
        (false, false, _) => Place::Dynamic,
        (false, true, true) => Place::Directory(file),
        (false, true, false) => Place::File(file),
    }
}

/// Whether what is no file at this path is nothing at all.
pub(super) fn is_for_files_only(path: &str) -> bool {
    path.split('/').nth(1) == Some(FILES_ONLY)
}

fn well_encoded(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    bytes.iter().enumerate().all(|(at, &byte)| {
        byte != b'%'
            || bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_and_directories() {
        assert_eq!(place("/about.html"), Place::File("about.html".into()));
        assert_eq!(place("/assets/style.css"), Place::File("assets/style.css".into()));
        assert_eq!(place("/caf%C3%A9%20au%20lait"), Place::File("café au lait".into()));
        assert_eq!(place("/assets/"), Place::Directory("assets".into()));
        assert_eq!(place("/.well-known/x"), Place::File(".well-known/x".into()));
        assert_eq!(place("/"), Place::Dynamic);
    }

    #[test]
    fn hostile_targets_name_no_file() {
        let malformed = [
            "",
            "*",
            "x",
            "/..",
            "/../etc/passwd",
            "/a/../../b",
            "/%2e%2e/x",
            "/%2E./x",
            "/.%2e/",
            "/./x",
            "/a%00b",
            "/%",
            "/%4",
            "/%zz",
            "/a/%g0",
        ];
        for path in malformed {
            assert!(matches!(place(path), Place::Malformed(_)), "{path}");
        }
        for path in ["/.git/config", "/.env", "/a/.htpasswd", "/%2eenv", "/a/.well-known/x", "/.../x"] {
            assert_eq!(place(path), Place::Hidden, "{path}");
        }
        let unnameable = ["//", "//etc/passwd", "/a//b", "/..%2fx", "/a%2Fb", "/a%5c..%5cb", "/a\\b", "/%ff"];
        for path in unnameable {
            assert!(matches!(place(path), Place::Dynamic | Place::Hidden), "{path}");
        }
    }

    #[test]
    fn a_prefix_is_a_whole_segment() {
        assert!(is_for_files_only("/assets/x"));
        assert!(is_for_files_only("/assets"));
        assert!(!is_for_files_only("/assetsx/x"));
        assert!(!is_for_files_only("/x/assets"));
    }

    proptest! {
        #[test]
        fn no_target_leaves_the_site(path in "/([a-z./\\\\%]|%2e|%2f|%5c|%00|\\PC){0,40}") {
            if let Place::File(file) | Place::Directory(file) = place(&path) {
                prop_assert!(file.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert!(file.components().next().is_some());
                prop_assert!(!file.to_string_lossy().contains('\\'));
            }
        }
    }
}
