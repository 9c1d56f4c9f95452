//! Which zones of the lab are signed (DNSSEC, RFC 9364), with which keys, and what is wrong with that on purpose: what commands
//! change while it is up.
//!
//! One value, put in the place of another whole, and told to name servers and resolvers both when they start and while they
//! run. It is of one run: the next `up` begins with what the settings say. Keys are of the lab, and stay.
//!
//! | file in the state's `dnssec/` | what |
//! |---|---|
//! | `foobar.com.key`, `root.key` | a zone's key (PKCS #8), made at its first signing |
//! | `anchor.conf` | the root's public key, as `delv -a` and BIND read it (`trust-anchors`) |
//! | `anchor.key` | the same as a DNSKEY record, as unbound and `drill -k` read it |

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::ground::dnssec::key::{Algorithm, Key, KeyError, shown};
use crate::ground::dnssec::{Child, PublicKey, Wanted, Wrong, Zone};

use super::config::{Config, Network};
use super::database::private;
use super::directory::Directory;
use super::hosts::ServiceName;

/// The servers whose zones can be signed: the second of foobar.com copies what the first one signs.
pub const SIGNERS: [ServiceName; 3] = [ServiceName::Root, ServiceName::Tld, ServiceName::Dns];

/// Why zones cannot be signed so.
#[derive(Debug, thiserror::Error)]
pub enum DnssecError {
    /// It is no zone of the lab.
    #[error("no name server of this lab publishes {0}: there are {1}")]
    Unknown(String, String),
    /// What is wrong on purpose is wrong with signatures.
    #[error("{0} is not signed, so that nothing of it can be wrong: `wwwlab zone sign` signs it")]
    NotSigned(String),
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
                    if !next.zones.contains_key(&origin) {
                        let (file, public) = have(&origin, config.dnssec.algorithm, directory)?;
                        next.zones.insert(origin, Signed { file, public, wrong: None });
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
        }
        next.write_anchor(directory)?;
        Ok(next)
    }

    fn signed(&mut self, origin: &str) -> Result<&mut Signed, DnssecError> {
        self.zones.get_mut(origin).ok_or_else(|| DnssecError::NotSigned(origin.into()))
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
            .map(|(origin, Signed { file, wrong, .. })| Zone {
                origin: origin.clone(),
                key: file.clone(),
                wrong: *wrong,
            })
            .collect();
        if zones.is_empty() {
            return Wanted::default();
        }
        let children = self.zones.iter().filter(|(origin, _)| *origin != ".").map(|(origin, signed)| Child {
            origin: origin.clone(),
            key: signed.public.clone(),
            is_wrong: signed.wrong == Some(Wrong::WrongDs),
        });
        Wanted { zones, children: children.collect(), denial: config.dnssec.denial }
    }

    /// Whom resolvers are to believe: the key of the root, if that is signed.
    pub fn anchors(&self) -> Vec<PublicKey> {
        self.zones.get(".").map(|signed| signed.public.clone()).into_iter().collect()
    }

    /// Writes down for others whom to believe; nobody, where the root is not signed.
    fn write_anchor(&self, directory: &Directory) -> Result<(), DnssecError> {
        let anchor = self.anchors().first().and_then(|key| shown(&key.0));
        let (conf, key) = (anchor_conf(directory), anchor_key(directory));
        let texts = anchor.map(|anchor| {
            let (numbers, public) = anchor.rsplit_once(' ').unwrap_or_default();
            let conf = format!("trust-anchors {{\n\t. static-key {numbers} \"{public}\";\n}};\n");
            (conf, format!(". IN DNSKEY {anchor}\n"))
        });
        match texts {
            Some((conf_text, key_text)) => keep(&conf, &conf_text).and_then(|()| keep(&key, &key_text)),
            None => {
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

/// What a key's file is called. A zone may have any octets in its name.
fn file_name(origin: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let name = origin.trim_end_matches('.');
    match name {
        "" => "root.key".into(),
        // The root's name is taken.
        "root" => "root..key".into(),
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

/// The one in service. A plain mutex: held for a look.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<Signing>>);

impl Held {
    /// With this one.
    pub fn new(signing: Signing) -> Self {
        Self(Arc::new(Mutex::new(signing)))
    }

    /// The one in service.
    pub fn get(&self) -> Signing {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `next` in its place.
    pub fn put(&self, next: Signing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn lab(folder: &Path) -> (Config, Directory) {
        let (root, state) = (folder.to_path_buf(), folder.join("state"));
        (Config::default(), Directory { root, toml: None, network: Network::Loopback, state })
    }

    fn names(signing: &Signing) -> Vec<&str> {
        signing.zones().collect()
    }

    #[test]
    fn what_is_signed_has_a_key_that_stays_and_that_nobody_else_reads() {
        let folder = tempfile::tempdir().unwrap();
        let (config, directory) = lab(folder.path());
        let nothing = Signing::of(&config, &directory).unwrap();
        assert!(!nothing.is_on() && nothing.anchors().is_empty());
        let all = nothing.next(&Change::Sign(Vec::new()), &config, &directory).unwrap();
        assert_eq!(names(&all), [".", "127.in-addr.arpa.", "com.", "foobar.com."]);
        let key = directory.dnssec().join("foobar.com.key");
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read_to_string(&key).unwrap();
        let without = all.next(&Change::Unsign(vec!["FOOBAR.com".into()]), &config, &directory).unwrap();
        assert_eq!(names(&without), [".", "127.in-addr.arpa.", "com."]);
        let again = without.next(&Change::Sign(vec!["foobar.com.".into()]), &config, &directory).unwrap();
        assert_eq!((again, fs::read_to_string(&key).unwrap()), (all.clone(), before));
        let anchor = fs::read_to_string(anchor_conf(&directory)).unwrap();
        assert!(anchor.contains("\t. static-key 257 3 13 \""), "{anchor}");
        let none = all.next(&Change::Unsign(Vec::new()), &config, &directory).unwrap();
        assert!(!none.is_on() && !anchor_conf(&directory).exists() && !anchor_key(&directory).exists());
    }

    #[test]
    fn each_server_is_told_of_its_own_zones_and_of_all_children() {
        let folder = tempfile::tempdir().unwrap();
        let (config, directory) = lab(folder.path());
        let all = Signing::default().next(&Change::Sign(Vec::new()), &config, &directory).unwrap();
        let told = |signing: &Signing, server| signing.wanted(server, &config, Network::Loopback);
        let of_root = told(&all, ServiceName::Root);
        assert_eq!(of_root.zones.len(), 1);
        let children: Vec<&str> = of_root.children.iter().map(|child| child.origin.as_str()).collect();
        assert_eq!(children, ["127.in-addr.arpa.", "com.", "foobar.com."]);
        assert_eq!(told(&all, ServiceName::Dns).zones.len(), 2);
        assert_eq!(told(&all, ServiceName::Web), Wanted::default());

        let broken = all.next(&Change::Break("com".into(), Wrong::WrongDs), &config, &directory).unwrap();
        let is_wrong = |wanted: &Wanted| wanted.children.iter().filter(|child| child.is_wrong).count();
        assert_eq!((is_wrong(&of_root), is_wrong(&told(&broken, ServiceName::Root))), (0, 1));
        let mended = broken.next(&Change::Mend(None), &config, &directory).unwrap();
        assert_eq!(mended, all);
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_can() {
        let folder = tempfile::tempdir().unwrap();
        let (config, directory) = lab(folder.path());
        let refused = |signing: &Signing, change: Change| {
            signing.next(&change, &config, &directory).unwrap_err().to_string()
        };
        let nothing = Signing::default();
        let unknown = refused(&nothing, Change::Sign(vec!["fobar.com".into()]));
        assert!(
            unknown.ends_with("publishes fobar.com: there are ., 127.in-addr.arpa., com., foobar.com."),
            "{unknown}"
        );
        let unsigned = refused(&nothing, Change::Break("com".into(), Wrong::Expired));
        assert!(unsigned.starts_with("com. is not signed"), "{unsigned}");
        let all = nothing.next(&Change::Sign(Vec::new()), &config, &directory).unwrap();
        assert!(
            refused(&all, Change::Break(".".into(), Wrong::WrongDs)).starts_with("the root has no parent")
        );
        fs::write(directory.dnssec().join("com.key"), "no key").unwrap();
        let strange = nothing.next(&Change::Sign(vec!["com".into()]), &config, &directory).unwrap_err();
        assert!(matches!(strange, DnssecError::Key(_, KeyError::Strange(_))), "{strange}");
    }

    #[test]
    fn no_zone_leads_out_of_the_directory_or_to_another_ones_key() {
        for (origin, expected) in [
            (".", "root.key"),
            ("root.", "root..key"),
            ("foobar.com.", "foobar.com.key"),
            ("../../etc.", "..%2F..%2Fetc.key"),
        ] {
            assert_eq!(file_name(origin), expected);
        }
    }
}
