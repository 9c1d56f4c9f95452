//! The lab's certificates (RFC 5280): an authority of its own, and what that vouches for.
//!
//! All of them are made at first need, in the lab's `certs/`, and live for weeks. The authority is name-constrained to the
//! lab's names and addresses (§4.2.1.10): who trusts it by mistake has trusted it for nothing else. This machine's trust store
//! is never touched: whoever is to believe the lab is handed `ca.pem`.
//!
//! | file | what |
//! |---|---|
//! | `ca.pem` | the authority's certificate: what `--cacert` takes |
//! | `ca.key` | its key, and the certificate again, so that the two can never be of different generations |
//! | `ca.crl` | what it has taken back: what `--crlfile` takes |
//! | `issued/NAME.pem` | a site's key and certificate, in one file for the same reason |
//! | `issued/expired/NAME.pem`, … | the same, wrong on purpose |
//! | `issued/trial/NAME.pem` | the same, on trial for as long as somebody measures |
//!
//! [`authority`] makes and reads the authority, `leaf` what it issues, `revoked` what it takes back, [`told`] says what is in a
//! certificate. None of them reads the clock.

pub mod authority;
mod leaf;
mod revoked;
pub mod told;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::slice::SliceIndex;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use rcgen::SerialNumber;
use serde::{Deserialize, Serialize};

use crate::ground::chance;
use crate::ground::clock::Stopwatch;
use crate::ground::tls;

use super::config::Config;
use super::database::private;
use super::directory::Directory;
use super::hosts::{Host, ServiceName};
use authority::Authority;
use leaf::Subject;
use told::Told;

/// How long the authority lives, in seconds: 90 days.
const AUTHORITY_LIVES: u64 = 90 * DAY;
/// How long a certificate of a site lives, in seconds: 30 days.
const LEAF_LIVES: u64 = 30 * DAY;
/// What is made counts as made so long ago, for machines whose clocks differ a little.
const BACKDATED: u64 = 3600;
const DAY: u64 = 86_400;
/// A file of certificates is no larger, in bytes.
const LARGEST_FILE: u64 = 1 << 20;
/// Certificates that are shown, at most.
const SHOWN_MOST: usize = 256;
/// How long another command may be at the same files.
const LOCKED_WITHIN: Duration = Duration::from_secs(5);

/// Which certificate a site shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One that is as it should be.
    #[default]
    Good,
    /// One whose time was over yesterday.
    Expired,
    /// One for another name.
    WrongName,
    /// One that vouches for itself.
    SelfSigned,
}

impl Kind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::WrongName => "wrong-name",
            Self::SelfSigned => "self-signed",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why certificates cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// A file cannot be read or written.
    #[error("cannot keep certificates in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another command does not let go.
    #[error("another command is at {} and does not end", .0.display())]
    Busy(PathBuf),
    /// What is there is not the lab's.
    #[error("{} is no certificate of this lab; move it away, and the next need makes a new one", .0.display())]
    Strange(PathBuf),
    /// It cannot be made.
    #[error("a certificate cannot be made")]
    Make(#[from] rcgen::Error),
    /// There is nothing that is secret.
    #[error("there are no random numbers")]
    Chance(#[source] io::Error),
    /// No certificate can be made for it.
    #[error("{0:?} is no host name: give letters, digits, hyphens and dots")]
    Name(String),
    /// There is none of it.
    #[error("there is no certificate for {0} to take back: `wwwlab cert show` lists them")]
    NotIssued(String),
}

/// The names of one site, its own first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Names; at least one.
    pub names: Vec<String>,
    /// Whether it answers where no name is said: then its certificate is for the lab's addresses as well.
    pub is_first: bool,
    /// Whose addresses it is for as well.
    pub hosts: Vec<Host>,
}

impl Site {
    fn of(names: Vec<String>, is_first: bool) -> Self {
        Self { names, is_first, hosts: is_first.then_some(Host::Server).into_iter().collect() }
    }
}

/// The sites of a lab with these settings.
pub fn sites(config: &Config) -> Vec<Site> {
    let names = |name: &String, aliases: &[String]| [name].into_iter().chain(aliases).cloned().collect();
    let first = Site::of(names(&config.web.name, &config.web.aliases), true);
    let further = config.web.sites.iter();
    let further = further.map(|site| Site::of(names(&site.name, &site.aliases), false));
    [first].into_iter().chain(further).collect()
}

/// What is asked by DNS in private: the resolvers, and the name servers of foobar.com, by the names that the zones have for them.
pub fn name_servers() -> [Site; 2] {
    let site = |names: &[&str], services: &[ServiceName]| Site {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        is_first: false,
        hosts: services.iter().map(|service| service.host()).collect(),
    };
    [
        site(&["resolver.foobar.com"], &ServiceName::RESOLVERS),
        site(&["ns1.foobar.com", "ns2.foobar.com"], &[ServiceName::Dns, ServiceName::Dns2]),
    ]
}

/// Where a lab keeps its certificates.
#[derive(Debug, Clone)]
pub struct Certs {
    place: PathBuf,
}

impl Certs {
    /// Those of the lab in `directory`, which all its networks share.
    pub fn of(directory: &Directory) -> Self {
        Self::at(directory.root.join("certs"))
    }

    /// Those in `place`.
    pub fn at(place: PathBuf) -> Self {
        Self { place }
    }

    /// The certificate of the authority: whom to trust.
    pub fn authority(&self) -> PathBuf {
        self.place.join("ca.pem")
    }

    /// What the authority has taken back.
    pub fn revoked(&self) -> PathBuf {
        self.place.join("ca.crl")
    }

    fn key(&self) -> PathBuf {
        self.place.join("ca.key")
    }

    fn issued(&self, name: &str, kind: Kind) -> PathBuf {
        let issued = self.place.join("issued");
        let folder = if kind == Kind::Good { issued } else { issued.join(kind.as_str()) };
        folder.join(format!("{name}.pem"))
    }

    /// What each of `sites` is to show at the time `now`, in seconds since the Unix epoch; whatever is missing, does not fit any
    /// more or has less than a third of its time left is made.
    pub fn ready(&self, sites: &[Site], kind: Kind, now: u64) -> Result<Vec<tls::Certificate>, CertsError> {
        self.ready_of(sites, .., kind, now)
    }

    /// The same for those of `sites` that are in `places`; what is asked of the authority is that it may vouch for all.
    pub fn ready_of(
        &self,
        sites: &[Site],
        places: impl SliceIndex<[Site], Output = [Site]>,
        kind: Kind,
        now: u64,
    ) -> Result<Vec<tls::Certificate>, CertsError> {
        let _lock = self.lock()?;
        let authority = self.have_authority(sites, now)?;
        let wanted = sites.get(places).unwrap_or_default();
        wanted.iter().map(|site| self.have(&authority, site, kind, now)).collect()
    }

    /// New certificates for `sites` beside those that are kept, until [`Self::remove_trial`].
    pub fn trial(&self, sites: &[Site], now: u64) -> Result<Vec<tls::Certificate>, CertsError> {
        let _lock = self.lock()?;
        let authority = self.have_authority(sites, now)?;
        let make = |site: &Site| {
            let file = self.trial_place().join(format!("{}.pem", first_name(site)));
            self.write(&file, &Subject::of(site, Kind::Good, &authority, now).make(&authority)?)?;
            Ok(tls::Certificate { names: site.names.clone(), file })
        };
        sites.iter().map(make).collect()
    }

    /// Removes what was on trial, if anything was.
    pub fn remove_trial(&self) -> Result<(), CertsError> {
        match fs::remove_dir_all(self.trial_place()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(CertsError::File { path: self.trial_place(), source })
            }
            _ => Ok(()),
        }
    }

    fn trial_place(&self) -> PathBuf {
        self.place.join("issued").join("trial")
    }

    /// The same as [`Self::ready`], with new certificates in any case; with `anew` the authority is new, too.
    pub fn renew(&self, sites: &[Site], anew: bool, now: u64) -> Result<Vec<Told>, CertsError> {
        let _lock = self.lock()?;
        let authority =
            if anew { self.make_authority(sites, now)? } else { self.have_authority(sites, now)? };
        // What was issued to name servers is as old.
        let servers = name_servers();
        let servers = servers.iter().filter(|site| self.issued(first_name(site), Kind::Good).exists());
        let sites: Vec<&Site> = sites.iter().chain(servers).collect();
        for site in &sites {
            self.make(&authority, site, Kind::Good, now)?;
        }
        let file = |site: &Site| self.issued(first_name(site), Kind::Good);
        Ok(sites.into_iter().filter_map(|site| self.tell(&file(site))).collect())
    }

    /// A certificate for `name`, whoever that is: where it lies, what it says, and whether the authority may vouch for it.
    pub fn issue(&self, sites: &[Site], name: &str, now: u64) -> Result<(Told, bool), CertsError> {
        let name = host_name(name)?;
        let _lock = self.lock()?;
        let authority = self.have_authority(sites, now)?;
        let is_first = sites.iter().any(|site| site.is_first && first_name(site) == name);
        let known = sites.iter().find(|site| first_name(site) == name).cloned();
        let site = known.unwrap_or(Site::of(vec![name.clone()], is_first));
        let file = self.make(&authority, &site, Kind::Good, now)?;
        let told = self.tell(&file).ok_or(CertsError::Strange(file))?;
        Ok((told, authority.may_vouch_for(&name)))
    }

    /// Takes the certificate of `name` back: its number is on the list from now on. It stays in service.
    pub fn revoke(&self, sites: &[Site], name: &str, now: u64) -> Result<Told, CertsError> {
        let name = host_name(name)?;
        let _lock = self.lock()?;
        let authority = self.have_authority(sites, now)?;
        let file = self.issued(&name, Kind::Good);
        let told = self.tell(&file).filter(|told| told.issuer == authority.name());
        let told = told.ok_or(CertsError::NotIssued(name))?;
        let mut list = self.read_revoked(&authority);
        list.add(&told.serial, now);
        self.write_revoked(&authority, &list, now)?;
        Ok(Told { revoked: true, ..told })
    }

    /// What there is: the authority first, then each site's, by name; none where nothing was needed yet.
    pub fn show(&self) -> Vec<Told> {
        let mut files = Vec::new();
        let issued = self.place.join("issued");
        for folder in [Kind::Good, Kind::Expired, Kind::WrongName, Kind::SelfSigned] {
            let folder = if folder == Kind::Good { issued.clone() } else { issued.join(folder.as_str()) };
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut here: Vec<PathBuf> = entries
                .map(|entry| entry.path())
                .filter(|file| file.extension().is_some_and(|extension| extension == "pem"))
                .take(SHOWN_MOST)
                .collect();
            here.sort();
            files.extend(here);
        }
        let authority = self.tell(&self.authority());
        authority.into_iter().chain(files.iter().filter_map(|file| self.tell(file))).collect()
    }

    /// What the certificate in `file` says, if there is one.
    pub fn tell(&self, file: &Path) -> Option<Told> {
        let mut told = told::read(file, &read(file).ok()?)?;
        if let (Ok(key), false) = (read(&self.key()), told.is_authority)
            && let Some(authority) = Authority::read(&key)
        {
            told.revoked = told.issuer == authority.name() && self.read_revoked(&authority).has(&told.serial);
        }
        Some(told)
    }

    fn have_authority(&self, sites: &[Site], now: u64) -> Result<Authority, CertsError> {
        let names: Vec<&String> = sites.iter().flat_map(|site| &site.names).collect();
        let there = match read(&self.key()) {
            Ok(text) => Some(Authority::read(&text).ok_or_else(|| CertsError::Strange(self.key()))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(CertsError::File { path: self.key(), source }),
        };
        let fits = |authority: &Authority| {
            authority.until() > now + AUTHORITY_LIVES / 3
                && authority.from() <= now
                && authority.may_vouch_for_addresses()
                && names.iter().all(|name| authority.may_vouch_for(name))
        };
        let Some(authority) = there.filter(fits) else { return self.make_authority(sites, now) };
        // The public copy may have been lost, and the list be old.
        if read(&self.authority()).ok().as_deref() != Some(authority.certificate()) {
            self.write_public(&self.authority(), authority.certificate())?;
        }
        let list = self.read_revoked(&authority);
        if list.is_old(now) {
            self.write_revoked(&authority, &list, now)?;
        }
        Ok(authority)
    }

    fn make_authority(&self, sites: &[Site], now: u64) -> Result<Authority, CertsError> {
        let names: Vec<String> = sites.iter().flat_map(|site| site.names.iter().cloned()).collect();
        let text = Authority::make(&names, now)?;
        let authority = Authority::read(&text).ok_or_else(|| CertsError::Strange(self.key()))?;
        self.write(&self.key(), &text)?;
        self.write_public(&self.authority(), authority.certificate())?;
        self.write_revoked(&authority, &revoked::List::default(), now)?;
        Ok(authority)
    }

    /// The certificate of `site`, the one that is there if it will do.
    fn have(
        &self,
        authority: &Authority,
        site: &Site,
        kind: Kind,
        now: u64,
    ) -> Result<tls::Certificate, CertsError> {
        let file = self.issued(first_name(site), kind);
        let subject = Subject::of(site, kind, authority, now);
        let there = read(&file).ok().and_then(|text| told::read(&file, &text));
        if !there.is_some_and(|there| subject.is_met_by(&there, authority, now)) {
            self.make(authority, site, kind, now)?;
        }
        Ok(tls::Certificate { names: site.names.clone(), file })
    }

    fn make(&self, authority: &Authority, site: &Site, kind: Kind, now: u64) -> Result<PathBuf, CertsError> {
        let file = self.issued(first_name(site), kind);
        self.write(&file, &Subject::of(site, kind, authority, now).make(authority)?)?;
        Ok(file)
    }

    fn read_revoked(&self, authority: &Authority) -> revoked::List {
        read(&self.revoked()).map(|text| revoked::List::read(&text, authority)).unwrap_or_default()
    }

    fn write_revoked(&self, authority: &Authority, list: &revoked::List, now: u64) -> Result<(), CertsError> {
        self.write_public(&self.revoked(), &list.sign(authority, now)?)
    }

    /// Puts a file in place that its owner alone can read, whole or not at all.
    fn write(&self, file: &Path, text: &str) -> Result<(), CertsError> {
        let make = || {
            if let Some(folder) = file.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
            }
            private::write(file, text)
        };
        make().map_err(|source| CertsError::File { path: file.into(), source })
    }

    fn write_public(&self, file: &Path, text: &str) -> Result<(), CertsError> {
        self.write(file, text)?;
        let public = fs::set_permissions(file, fs::Permissions::from_mode(0o644));
        public.map_err(|source| CertsError::File { path: file.into(), source })
    }

    /// One command at a time; keys are never for version control.
    fn lock(&self) -> Result<Flock<File>, CertsError> {
        let path = self.place.join("lock");
        let failed = |source| CertsError::File { path: path.clone(), source };
        let open = || {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(&self.place)?;
            let ignore = self.place.join(".gitignore");
            if !ignore.exists() {
                fs::write(ignore, "# Keys and certificates are made per lab.\n*\n")?;
            }
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)
        };
        let mut file = open().map_err(failed)?;
        let patience = Stopwatch::start();
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((_, nix::errno::Errno::EWOULDBLOCK)) if patience.elapsed() > LOCKED_WITHIN => {
                    return Err(CertsError::Busy(self.place.clone()));
                }
                Err((again, nix::errno::Errno::EWOULDBLOCK)) => {
                    file = again;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            }
        }
    }
}

fn read(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > LARGEST_FILE {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    fs::read_to_string(file)
}

fn first_name(site: &Site) -> &str {
    site.names.first().map_or("", String::as_str)
}

/// A host name in lower case (RFC 1123 §2.1): it becomes a file's name, too.
fn host_name(name: &str) -> Result<String, CertsError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    match bare.len() <= 253 && bare.split('.').all(is_label) {
        true => Ok(bare.to_ascii_lowercase()),
        false => Err(CertsError::Name(name.into())),
    }
}

/// A date and time, as the maker of certificates has it. It has no name here: the crate is not this one's.
macro_rules! date {
    ($seconds:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs($seconds)
    };
}
use date;

/// A number that nobody has drawn before (RFC 5280 §4.1.2.2): positive, and not to be guessed.
fn serial() -> Result<SerialNumber, CertsError> {
    let mut bytes = chance::secret::<16>().map_err(CertsError::Chance)?;
    bytes[0] = bytes[0] & 0x7F | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

#[cfg(test)]
mod tests;
