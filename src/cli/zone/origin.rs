//! Which zone a file is about: what is given goes first, then what the file says, then what it is called.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use crate::cli::Failure;
use crate::dns::master::lexer::Lexer;
use crate::dns::name::Name;

/// Bytes from the start of a file within which its SOA is looked for.
const HEAD: u64 = 64 << 10;

/// The zone that is in `file`.
pub(super) fn of(file: &Path, given: Option<&str>) -> Result<Name, Failure> {
    if let Some(given) = given {
        return given
            .parse()
            .map_err(|cause| Failure::Unusable(format!("`{given}` is no zone's name: {cause}")));
    }
    let head = head(file).map_err(|error| {
        let why = format!("{} cannot be read ({error}): name a zone file", file.display());
        Failure::Unusable(why)
    })?;
    from_text(&head).or_else(|| from_name(file)).ok_or_else(|| {
        Failure::Unusable(format!(
            "which zone is in {}? It has no $ORIGIN, and its name does not say: name the zone with --origin",
            file.display()
        ))
    })
}

fn head(file: &Path) -> io::Result<Vec<u8>> {
    // Asked before it is opened: opening a named pipe waits for its writer.
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut head = Vec::new();
    File::open(file)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// The owner of the first SOA, where the file says it in full; else the first $ORIGIN.
fn from_text(text: &[u8]) -> Option<Name> {
    let mut lexer = Lexer::new(text);
    let mut words = Vec::new();
    let (mut origin, mut first_origin, mut owner): (Option<Name>, Option<Name>, Option<Name>) =
        (None, None, None);
    loop {
        let blank = match lexer.next_entry(&mut words) {
            Ok(Some(blank)) => blank,
            Ok(None) => return first_origin,
            Err(fault) if fault.last => return first_origin,
            Err(_) => continue,
        };
        let name = |text: &[u8]| Name::parse(text, origin.as_ref()).ok();
        match words.as_slice() {
            [word, to] if word.text.eq_ignore_ascii_case(b"$ORIGIN") => {
                origin = name(to.text);
                first_origin = first_origin.or_else(|| origin.clone());
            }
            [first, rest @ ..] => {
                let rest = if blank { &words } else { rest };
                if !blank {
                    owner = name(first.text);
                }
                // OWNER, TTL and CLASS stand before it.
                if rest.iter().take(3).any(|word| !word.quoted && word.text.eq_ignore_ascii_case(b"SOA")) {
                    return owner.or(first_origin);
                }
            }
            [] => {}
        }
    }
}

/// `foobar.com.zone`, `db.foobar.com`; `root.zone` is the root, and `foobar.com.cname.zone` the variant `cname` of a
/// zone whose own file stands beside it.
fn from_name(file: &Path) -> Option<Name> {
    let name = file.file_name()?.to_str()?;
    let stem = name.strip_suffix(".zone").or_else(|| name.strip_suffix(".db"));
    let stem = stem.or_else(|| name.strip_prefix("db."))?;
    if stem == "root" {
        return Some(Name::root());
    }
    match stem.rsplit_once('.') {
        Some((own, _)) if file.with_file_name(format!("{own}.zone")).is_file() => own.parse().ok(),
        _ => stem.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_which_zone_it_has() {
        let said = |text: &str| from_text(text.as_bytes()).map(|name| name.to_string());
        for (text, expected) in [
            ("$ORIGIN foobar.com.\n@ SOA a b 1 2 3 4 5\n$ORIGIN x\n", Some("foobar.com.")),
            ("$ORIGIN com.\nfoobar 5 IN SOA a b 1 2 3 4 5\n", Some("foobar.com.")),
            ("$TTL 5\nfoobar.com. IN SOA (\n a b 1 2 3 4 5 )\n", Some("foobar.com.")),
            ("$ORIGIN foobar.com.\nwww A 192.0.2.1\n", Some("foobar.com.")),
            ("soa A 192.0.2.1\n@ SOA a b 1 2 3 4 5\n", None),
            ("\0", None),
        ] {
            assert_eq!(said(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_files_name_says_which_zone_it_has() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("foobar.com.zone"), "").unwrap();
        let said = |file: &str| from_name(&folder.path().join(file)).map(|name| name.to_string());
        for (file, expected) in [
            ("foobar.com.zone", Some("foobar.com.")),
            ("foobar.com.cname.zone", Some("foobar.com.")),
            ("root.zone", Some(".")),
            ("db.example", Some("example.")),
            ("x.example.db", Some("x.example.")),
            ("notes.txt", None),
        ] {
            assert_eq!(said(file).as_deref(), expected, "{file}");
        }
    }
}
