//! Which zones of the lab are signed (DNSSEC, RFC 9364), with which keys, and what is wrong with that on purpose: what commands
//! change while it is up.
//!
//! One value, put in the place of another whole, and told to name servers and resolvers both when they start and while they
//! run. It is of one run: the next `up` begins with what the settings say. Keys are of the lab, and stay.
//!
//! | file in the state's `dnssec/` | what |
//! |---|---|
//! | `foobar.com.key`, `root.key` | a zone's key (PKCS #8), made at its first signing |
//! | `foobar.com..next.key` | the one that is to take its place, until it does |
//! | `anchor.conf` | the root's public key, as `delv -a` and BIND read it (`trust-anchors`) |
//! | `anchor.key` | the same as a DNSKEY record, as unbound and `drill -k` read it |
//!
//! **A key is replaced** so that who validates never fails on the way, by both at once (Double-RRset, RFC 7583 §3.3.3, with the double
//! signatures of RFC 6781 §4.1.3, since one key signs all): the zone has both keys and each set the signatures of both, its parent
//! vouches for both. When nobody can remember a set, keys or a DS from before, the former key goes, with its file.

pub mod copies;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ground::dnssec::key::{Algorithm, Key, KeyError, shown, tag};
use crate::ground::dnssec::{Child, PublicKey, Wanted, Wrong, Zone};

use super::config::{Config, Network};
use super::database::private;
use super::directory::Directory;
use super::hosts::ServiceName;

/// The servers whose zones can be signed: the second of foobar.com copies what the first one signs.
pub const SIGNERS: [ServiceName; 3] = [ServiceName::Root, ServiceName::Tld, ServiceName::Dns];

/// For how long after the largest TTL a former key stays, in seconds: a copy of the zone takes a moment to get around.
const MARGIN: u32 = 2;
/// How often a new key is drawn that has the number of the former one, before the lab gives up.
const DRAWS_MOST: usize = 8;

/// Why zones cannot be signed so.
#[derive(Debug, thiserror::Error)]
pub enum DnssecError {
    /// It is no zone of the lab.
    #[error("no name server of this lab publishes {0}: there are {1}")]
    Unknown(String, String),
    /// What is wrong on purpose is wrong with signatures, and it is keys that roll.
    #[error("{0} is not signed, and has neither keys nor signatures: `wwwlab zone sign` signs it")]
    NotSigned(String),
    /// Its key is being replaced.
    #[error(
        "the key of {0} is being replaced already: `wwwlab zone list` says until when, `wwwlab zone roll {0} --now` does not wait"
    )]
    Rolling(String),
    /// Its key is not being replaced.
    #[error("the key of {0} is not being replaced: `wwwlab zone roll {0}` begins that")]
    NotRolling(String),
    /// It has no DS.
    #[error(
        "the root has no parent, and so no DS: its key itself is what is believed; take another zone, e.g. com"
    )]
    NoParent,
    /// A key cannot be had.
    #[error("{0} cannot be signed")]
    Key(String, #[source] KeyError),
    /// A file cannot be written.
    #[error("keys cannot be kept in {}", path.display())]
    Keep {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a command wants to be otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Sign these zones; without any, all.
    Sign(Vec<String>),
    /// Serve these as their files are; without any, all.
    Unsign(Vec<String>),
    /// Have this wrong with a signed zone.
    Break(String, Wrong),
    /// Have nothing wrong with this zone any more; without one, with any.
    Mend(Option<String>),
    /// Have a new key sign this zone beside the one that it has.
    Roll(String),
    /// Have only the new key sign it: the former one goes.
    Replace(String),
}

impl Change {
    /// Whether resolvers are to forget what they heard before. Where a key is replaced, what they remember is the point.
    pub fn is_forgotten(&self) -> bool {
        !matches!(self, Self::Roll(_) | Self::Replace(_))
    }
}

/// What is signed, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signing {
    /// By their apex in lower case with its final dot.
    zones: BTreeMap<String, Signed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signed {
    file: PathBuf,
    public: PublicKey,
    wrong: Option<Wrong>,
    next: Option<Next>,
}

/// The key that is to take another's place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Next {
    file: PathBuf,
    public: PublicKey,
    /// From when the former one may go, in seconds since the Unix epoch; not known before the name servers sign so.
    until: Option<u32>,
}

impl Signed {
    /// Its keys, the one that it has first.
    fn keys(&self) -> impl Iterator<Item = (&PathBuf, &PublicKey)> {
        let next = self.next.iter().map(|next| (&next.file, &next.public));
        std::iter::once((&self.file, &self.public)).chain(next)
    }
}

impl Signing {
    /// What the settings say: all zones, or none.
    pub fn of(config: &Config, directory: &Directory) -> Result<Self, DnssecError> {
        match config.dnssec.sign {
            true => Self::default().next(&Change::Sign(Vec::new()), config, directory),
            false => Ok(Self::default()),
        }
    }

    /// This with `change` made to it: with keys, where it needs them.
    pub fn next(&self, change: &Change, config: &Config, directory: &Directory) -> Result<Self, DnssecError> {
        let all = zones(config, directory.network);
        let named = |name: &str| -> Result<String, DnssecError> {
            let origin = normal(name);
            match all.contains(&origin) {
                true => Ok(origin),
                false => Err(DnssecError::Unknown(name.into(), all.join(", "))),
            }
        };
        let chosen = |names: &[String]| match names {
            [] => Ok(all.clone()),
            names => names.iter().map(|name| named(name)).collect::<Result<Vec<String>, _>>(),
        };
        let mut next = self.clone();
        match change {
            Change::Sign(names) => {
                for origin in chosen(names)? {
                    if let Entry::Vacant(place) = next.zones.entry(origin) {
                        let (file, public) = have(place.key(), config.dnssec.algorithm, directory)?;
                        place.insert(Signed { file, public, wrong: None, next: None });
                    }
                }
            }
            Change::Unsign(names) => {
                for origin in chosen(names)? {
                    next.zones.remove(&origin);
                }
            }
            Change::Break(name, wrong) => {
                let origin = named(name)?;
                if origin == "." && *wrong == Wrong::WrongDs {
                    return Err(DnssecError::NoParent);
                }
                next.signed(&origin)?.wrong = Some(*wrong);
            }
            Change::Mend(Some(name)) => next.signed(&named(name)?)?.wrong = None,
            Change::Mend(None) => next.zones.values_mut().for_each(|signed| signed.wrong = None),
            Change::Roll(name) => {
                let origin = named(name)?;
                let signed = next.signed(&origin)?;
                if signed.next.is_some() {
                    return Err(DnssecError::Rolling(origin));
                }
                let file = beside(&directory.dnssec(), &origin, &signed.file);
                let public = another(&file, &origin, config.dnssec.algorithm, &signed.public)?;
                signed.next = Some(Next { file, public, until: None });
            }
            Change::Replace(name) => {
                let origin = named(name)?;
                let signed = next.signed(&origin)?;
                let Some(Next { file, public, .. }) = signed.next.take() else {
                    return Err(DnssecError::NotRolling(origin));
                };
                (signed.file, signed.public) = (file, public);
            }
        }
        next.write_anchor(directory)?;
        Ok(next)
    }

    fn signed(&mut self, origin: &str) -> Result<&mut Signed, DnssecError> {
        self.zones.get_mut(origin).ok_or_else(|| DnssecError::NotSigned(origin.into()))
    }

    /// Notes that nobody remembers anything from before the new key of `origin` when `longest` seconds from `now` have passed.
    pub fn wait(&mut self, origin: &str, longest: u32, now: u32) {
        let next = self.zones.get_mut(&normal(origin)).and_then(|signed| signed.next.as_mut());
        if let Some(next) = next {
            next.until = Some(now.saturating_add(longest).saturating_add(MARGIN));
        }
    }

    /// From when the former key of `origin` may go, in seconds since the Unix epoch.
    pub fn until(&self, origin: &str) -> Option<u32> {
        self.zones.get(&normal(origin))?.next.as_ref()?.until
    }

    /// A zone whose former key may go at `now`.
    pub fn due(&self, now: u32) -> Option<&str> {
        let is_due = |signed: &Signed| {
            signed.next.as_ref().and_then(|next| next.until).is_some_and(|until| until <= now)
        };
        self.zones.iter().find(|(_, signed)| is_due(signed)).map(|(origin, _)| origin.as_str())
    }

    /// Puts the keys that took another's place where the next run looks for them: the former ones are gone then.
    pub fn settle(&mut self, directory: &Directory) -> Result<(), DnssecError> {
        for (origin, signed) in &mut self.zones {
            let own = directory.dnssec().join(file_name(origin));
            if signed.file != own {
                fs::rename(&signed.file, &own)
                    .map_err(|source| DnssecError::Keep { path: own.clone(), source })?;
                signed.file = own;
            }
        }
        Ok(())
    }

    /// Whether any zone is signed.
    pub fn is_on(&self) -> bool {
        !self.zones.is_empty()
    }

    /// The zones that are signed, each by its apex.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        self.zones.keys().map(String::as_str)
    }

    /// What the name server `service` is to be told.
    pub fn wanted(&self, service: ServiceName, config: &Config, network: Network) -> Wanted {
        let own: Vec<String> = config.zones(service, network).keys().map(|name| normal(name)).collect();
        let zones: Vec<Zone> = self
            .zones
            .iter()
            .filter(|(origin, _)| own.contains(origin))
            .flat_map(|(origin, signed)| {
                let wrong = signed.wrong;
                signed.keys().map(move |(file, _)| Zone { origin: origin.clone(), key: file.clone(), wrong })
            })
            .collect();
        if zones.is_empty() {
            return Wanted::default();
        }
        let children = self.zones.iter().filter(|(origin, _)| *origin != ".").flat_map(|(origin, signed)| {
            let is_wrong = signed.wrong == Some(Wrong::WrongDs);
            signed.keys().map(move |(_, key)| Child { origin: origin.clone(), key: key.clone(), is_wrong })
        });
        Wanted { zones, children: children.collect(), denial: config.dnssec.denial }
    }

    /// Whom resolvers are to believe: the keys of the root, if that is signed.
    pub fn anchors(&self) -> Vec<PublicKey> {
        self.zones.get(".").into_iter().flat_map(Signed::keys).map(|(_, public)| public.clone()).collect()
    }

    /// Writes down for others whom to believe; nobody, where the root is not signed.
    pub fn write_anchor(&self, directory: &Directory) -> Result<(), DnssecError> {
        let anchors: Vec<String> = self.anchors().iter().filter_map(|key| shown(&key.0)).collect();
        let (conf, key) = (anchor_conf(directory), anchor_key(directory));
        match anchors.is_empty() {
            false => {
                let line = |anchor: &String| {
                    let (numbers, public) = anchor.rsplit_once(' ').unwrap_or_default();
                    format!("\t. static-key {numbers} \"{public}\";\n")
                };
                let lines: String = anchors.iter().map(line).collect();
                let records: String =
                    anchors.iter().map(|anchor| format!(". IN DNSKEY {anchor}\n")).collect();
                keep(&conf, &format!("trust-anchors {{\n{lines}}};\n"))?;
                keep(&key, &records)
            }
            true => {
                for path in [conf, key] {
                    match fs::remove_file(&path) {
                        Err(source) if source.kind() != io::ErrorKind::NotFound => {
                            return Err(DnssecError::Keep { path, source });
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }
}

/// The file with the root's key that `delv -a` reads.
pub fn anchor_conf(directory: &Directory) -> PathBuf {
    directory.dnssec().join("anchor.conf")
}

/// The file with the root's key that unbound reads.
pub fn anchor_key(directory: &Directory) -> PathBuf {
    directory.dnssec().join("anchor.key")
}

/// The zones that the lab can sign, each once.
fn zones(config: &Config, network: Network) -> Vec<String> {
    let mut zones: Vec<String> = SIGNERS
        .iter()
        .flat_map(|&server| config.zones(server, network).into_keys())
        .map(|name| normal(&name))
        .collect();
    zones.sort();
    zones.dedup();
    zones
}

/// A zone's name as it is written here: in lower case, with its final dot.
fn normal(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.').to_ascii_lowercase())
}

/// The key of a zone: where it lies, and what is public of it. Without one, one is made.
fn have(
    origin: &str,
    algorithm: Algorithm,
    directory: &Directory,
) -> Result<(PathBuf, PublicKey), DnssecError> {
    let failed = |cause| DnssecError::Key(origin.into(), cause);
    let file = directory.dnssec().join(file_name(origin));
    let key = match Key::read(&file) {
        // Another algorithm was set meanwhile: nobody has to believe the old key, it is all in this lab.
        Ok(key) if key.algorithm() == algorithm => key,
        Ok(_) => make(&file, origin, algorithm)?,
        Err(KeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            make(&file, origin, algorithm)?
        }
        Err(cause) => return Err(failed(cause)),
    };
    Ok((file, PublicKey(key.dnskey())))
}

fn make(file: &Path, origin: &str, algorithm: Algorithm) -> Result<Key, DnssecError> {
    let failed = |cause| DnssecError::Key(origin.into(), cause);
    keep(file, &Key::draw(algorithm).map_err(failed)?)?;
    Key::read(file).map_err(failed)
}

/// The file for the key of `origin` that is to take the place of the one in `former`. No zone's own is called so: no name has
/// two dots in a row.
fn beside(folder: &Path, origin: &str, former: &Path) -> PathBuf {
    let own = file_name(origin);
    let next = folder.join(format!("{}..next.key", own.strip_suffix(".key").unwrap_or(&own)));
    if former == next { folder.join(own) } else { next }
}

/// A new key, with another number than the one with the DNSKEY `former`: who validates would try both wherever one is meant.
fn another(
    file: &Path,
    origin: &str,
    algorithm: Algorithm,
    former: &PublicKey,
) -> Result<PublicKey, DnssecError> {
    for _ in 0..DRAWS_MOST {
        let public = PublicKey(make(file, origin, algorithm)?.dnskey());
        if tag(&public.0) != tag(&former.0) {
            return Ok(public);
        }
    }
    Err(DnssecError::Key(origin.into(), KeyError::NoChance))
}

/// What a key's file is called. A zone may have any octets in its name.
fn file_name(origin: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let name = origin.trim_end_matches('.');
    match name {
        "" => "root.key".into(),
        // The names of the root's key and of the anchor are taken.
        "root" | "anchor" => format!("{name}..key"),
        name => {
            let encoded = name.bytes().map(|byte| match plain(byte) {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            });
            format!("{}.key", encoded.collect::<String>())
        }
    }
}

fn keep(path: &Path, text: &str) -> Result<(), DnssecError> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        private::write(path, text)
    };
    write().map_err(|source| DnssecError::Keep { path: path.into(), source })
}

/// The one in service.
pub type Held = super::held::Held<Signing>;

#[cfg(test)]
mod tests;
