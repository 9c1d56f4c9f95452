//! Keys for signed messages, from key files as `tsig-keygen` writes them and `dig -k` and BIND read them:
//!
//! ```text
//! key "transfer.foobar.com" {
//!         algorithm hmac-sha256;
//!         secret "pRP5FapFoJ95JEL06sv4PQ==";
//! };
//! ```
//!
//! A file and not an argument: the arguments of a process are everybody's to read. So are logs: what is wrong is told by
//! its place, and no word of a file is repeated, since any may be a secret in the wrong place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;

use crate::dns::message::tsig::{Algorithm, Key};
use crate::dns::name::Name;

/// The longest key file, in bytes.
const LONGEST_FILE: u64 = 64 << 10;

/// Keys of one server.
const KEYS_MOST: usize = 64;

/// Octets of the longest secret.
const LONGEST_SECRET: usize = 1024;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read the key file {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It says something else.
    #[error("the key file {}: {what}; `tsig-keygen NAME` writes a right one", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where. It never quotes the file.
        what: String,
    },
    /// A key is named that no file has.
    #[error("no key is called {name}: name its file under [dns] keys in lab.toml (--keys)")]
    Unknown {
        /// Its name.
        name: String,
    },
}

/// Reads every key of `files`.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Arc<Key>>, KeyError> {
    let mut keys: Vec<Arc<Key>> = Vec::new();
    for file in files {
        let wrong = |what: String| KeyError::Wrong { file: file.clone(), what };
        for key in parse(&text_of(file)?).map_err(wrong)? {
            if keys.iter().any(|known| known.name == key.name) {
                return Err(wrong(format!("the key {} is there twice", key.name)));
            }
            keys.push(Arc::new(key));
        }
        if keys.len() > KEYS_MOST {
            return Err(wrong(format!("more than {KEYS_MOST} keys in all")));
        }
    }
    Ok(keys)
}

/// The key of that name.
pub(super) fn named(keys: &[Arc<Key>], name: &Name) -> Result<Arc<Key>, KeyError> {
    let key = keys.iter().find(|key| key.name == *name);
    key.cloned().ok_or_else(|| KeyError::Unknown { name: name.to_string() })
}

fn text_of(file: &Path) -> Result<String, KeyError> {
    let read = || -> io::Result<String> {
        if fs::metadata(file)?.len() > LONGEST_FILE {
            return Err(io::Error::other("it is longer than 64 KiB: is it really a key file?"));
        }
        fs::read_to_string(file)
    };
    read().map_err(|source| KeyError::Read { file: file.into(), source })
}

fn parse(text: &str) -> Result<Vec<Key>, String> {
    let mut words = Words { words: words(text).into_iter(), place: "the end".into() };
    let mut keys = Vec::new();
    while let Some(word) = words.next() {
        if word != "key" {
            return Err(words.wrong("a key is to begin with `key`"));
        }
        let (mut algorithm, mut secret) = (None, None);
        let name = words.next().unwrap_or_default().parse::<Name>();
        let name = name.map_err(|_| words.wrong("this is no name for a key"))?;
        words.expect("{")?;
        loop {
            match words.next().as_deref() {
                Some("algorithm") => {
                    let word = words.next().unwrap_or_default();
                    algorithm = Some(Algorithm::from_word(&word).ok_or_else(|| {
                        words.wrong("this is not one of hmac-sha256, hmac-sha384, hmac-sha512")
                    })?);
                    words.expect(";")?;
                }
                Some("secret") => {
                    let octets = BASE64.decode(words.next().unwrap_or_default().as_bytes());
                    let octets = octets.map_err(|_| words.wrong("this secret is not base64"))?;
                    if octets.is_empty() || octets.len() > LONGEST_SECRET {
                        let length = octets.len();
                        return Err(words
                            .wrong(&format!("this secret has {length} octets, not 1 to {LONGEST_SECRET}")));
                    }
                    secret = Some(octets);
                    words.expect(";")?;
                }
                Some("}") => break,
                _ => return Err(words.wrong("`algorithm`, `secret` or `}` is missing here")),
            }
        }
        words.expect(";")?;
        let (Some(algorithm), Some(secret)) = (algorithm, secret) else {
            return Err(words.wrong("the key that ends here needs an algorithm and a secret"));
        };
        keys.push(Key { name, algorithm, secret: secret.into() });
    }
    match keys.is_empty() {
        true => Err("there is no key in it".into()),
        false => Ok(keys),
    }
}

/// The words of a file, and where the last one stood.
struct Words {
    words: std::vec::IntoIter<(String, String)>,
    place: String,
}

impl Words {
    fn next(&mut self) -> Option<String> {
        let Some((place, word)) = self.words.next() else {
            self.place = "the end".into();
            return None;
        };
        self.place = place;
        Some(word)
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        match self.next() {
            Some(word) if word == wanted => Ok(()),
            _ => Err(self.wrong(&format!("a `{wanted}` is missing here"))),
        }
    }

    fn wrong(&self, what: &str) -> String {
        format!("{}: {what}", self.place)
    }
}

/// The words of `text`, each behind its place: braces and semicolons stand alone, quotes are left out, and so are
/// comments.
fn words(text: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let marks = ["//", "#"].into_iter().flat_map(|mark| line.match_indices(mark)).map(|(at, _)| at);
        let end = marks.filter(|&at| !in_quotes(line, at)).min();
        let mut of_line = Vec::new();
        let mut word = String::new();
        for character in line[..end.unwrap_or(line.len())].chars() {
            let alone = matches!(character, '{' | '}' | ';');
            if alone || character.is_whitespace() || character == '"' {
                of_line.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            } else {
                word.push(character);
            }
            of_line.extend(alone.then(|| character.to_string()));
        }
        of_line.extend((!word.is_empty()).then_some(word));
        let placed =
            (1_usize..).zip(of_line).map(|(count, word)| (format!("line {number}, word {count}"), word));
        words.extend(placed);
    }
    words
}

/// Base64 may have `//` in it.
fn in_quotes(line: &str, at: usize) -> bool {
    line[..at].matches('"').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_tsig_keygen_is_read() {
        let text = "# a key\nkey \"transfer.foobar.com\" {\n\talgorithm hmac-sha256;\n\tsecret \"ab//cQ==\"; // so\n};\n\
                    key other { secret YWI=; algorithm HMAC-SHA512.; };";
        let keys = parse(text).unwrap();
        assert_eq!(keys[0].name, "transfer.foobar.com".parse().unwrap());
        assert_eq!((keys[0].algorithm, keys[1].algorithm), (Algorithm::Sha256, Algorithm::Sha512));
        assert_eq!((keys[0].secret.len(), &*keys[1].secret), (4, &b"ab"[..]));
        assert!(!format!("{keys:?}").contains("ab"), "a secret is never shown");
    }

    #[test]
    fn what_is_no_key_file_says_why() {
        for (text, why) in [
            ("", "no key"),
            ("zone x {", "line 1, word 1: a key is to begin with `key`"),
            ("key a { algorithm hmac-md5; secret \"YWI=\"; };", "word 5: this is not one of hmac-sha256"),
            ("key a { algorithm hmac-sha256; secret \"?\"; };", "not base64"),
            (
                "key a {\n algorithm hmac-sha256;\n secret \"\"; };",
                "line 3, word 2: this secret is not base64",
            ),
            ("key a { algorithm hmac-sha256; };", "needs an algorithm and a secret"),
            ("key a { algorithm hmac-sha256; secret \"YWI=\"; }", "missing"),
            ("key a..b { };", "no name for a key"),
            ("key a { algorithm", "the end: this is not one of"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    /// Whatever word stands where a secret is not expected, or a secret where another word is.
    #[test]
    fn no_word_of_a_file_is_ever_repeated() {
        const SECRET: &str = "c2VjcmV0IG9mIHNvbWVib2R5";
        let right = format!("key name-of-it {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};");
        let words: Vec<&str> = right.split(' ').collect();
        for place in 0..words.len() {
            let mut wrong = words.clone();
            wrong[place] = SECRET;
            let swapped = wrong.join(" ");
            wrong.remove(place);
            for text in [swapped, wrong.join(" "), format!("{SECRET} {right}"), format!("{right} {SECRET}")] {
                if let Err(told) = parse(&text) {
                    assert!(!told.contains("c2Vj") && !told.contains("name-of-it"), "{text}: {told}");
                    assert!(told.starts_with("line 1, word ") || told.starts_with("the end: "), "{told}");
                }
            }
        }
    }
}
