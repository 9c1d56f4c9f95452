//! Keys for signed messages, from key files as `tsig-keygen` writes them and `dig -k`, BIND and Knot's `keymgr` know them:
//!
//! ```text
//! key "transfer.foobar.com" {
//!         algorithm hmac-sha256;
//!         secret "pRP5FapFoJ95JEL06sv4PQ==";
//! };
//! ```
//!
//! A file and not an argument: the arguments of a process are everybody's to read.

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
        /// What is wrong. It never quotes a secret.
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
    let words = words(text);
    let mut words = words.iter().map(String::as_str);
    let mut keys = Vec::new();
    while let Some(word) = words.next() {
        if word != "key" {
            return Err(format!("it begins with {word:?}, not with `key`"));
        }
        let (mut algorithm, mut secret) = (None, None);
        let name = words.next().unwrap_or_default();
        let name: Name = name.parse().map_err(|cause| format!("{name:?} is no name for a key: {cause}"))?;
        expect(&mut words, "{")?;
        loop {
            match words.next() {
                Some("algorithm") => {
                    let word = words.next().unwrap_or_default();
                    algorithm = Some(Algorithm::from_word(word).ok_or_else(|| {
                        format!("the algorithm {word:?} is not one of hmac-sha256, hmac-sha384, hmac-sha512")
                    })?);
                    expect(&mut words, ";")?;
                }
                Some("secret") => {
                    let octets = BASE64.decode(words.next().unwrap_or_default().as_bytes());
                    let octets = octets.map_err(|_| format!("the secret of {name} is not base64"))?;
                    secret = Some(octets);
                    expect(&mut words, ";")?;
                }
                Some("}") => break,
                other => return Err(format!("{:?} is not part of a key", other.unwrap_or("the end"))),
            }
        }
        expect(&mut words, ";")?;
        let (Some(algorithm), Some(secret)) = (algorithm, secret) else {
            return Err(format!("the key {name} needs an algorithm and a secret"));
        };
        if secret.is_empty() || secret.len() > LONGEST_SECRET {
            return Err(format!(
                "the secret of {name} has {} octets, not 1 to {LONGEST_SECRET}",
                secret.len()
            ));
        }
        keys.push(Key { name, algorithm, secret: secret.into() });
    }
    match keys.is_empty() {
        true => Err("there is no key in it".into()),
        false => Ok(keys),
    }
}

fn expect<'w>(words: &mut impl Iterator<Item = &'w str>, wanted: &str) -> Result<(), String> {
    match words.next() {
        Some(word) if word == wanted => Ok(()),
        _ => Err(format!("there is a {wanted:?} missing")),
    }
}

/// The words of `text`: braces and semicolons stand alone, quotes are left out, and so are comments.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines() {
        let marks = ["//", "#"].into_iter().flat_map(|mark| line.match_indices(mark)).map(|(at, _)| at);
        let end = marks.filter(|&at| !in_quotes(line, at)).min();
        let mut word = String::new();
        for character in line[..end.unwrap_or(line.len())].chars() {
            let alone = matches!(character, '{' | '}' | ';');
            if alone || character.is_whitespace() || character == '"' {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            } else {
                word.push(character);
            }
            words.extend(alone.then(|| character.to_string()));
        }
        words.extend((!word.is_empty()).then_some(word));
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
            ("zone x {", "not with `key`"),
            ("key a { algorithm hmac-md5; secret \"YWI=\"; };", "hmac-sha256"),
            ("key a { algorithm hmac-sha256; secret \"?\"; };", "not base64"),
            ("key a { algorithm hmac-sha256; secret \"\"; };", "not base64"),
            ("key a { algorithm hmac-sha256; };", "needs an algorithm and a secret"),
            ("key a { algorithm hmac-sha256; secret \"YWI=\"; }", "missing"),
            ("key a..b { };", "no name for a key"),
            ("key a { algorithm", "is not one of"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
