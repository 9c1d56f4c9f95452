//! Where a lab lives: its directory (what the user edits) and its state (what a run leaves there).
//!
//! The state of a lab in `DIR` is `DIR/.wwwlab/NETWORK/`, so that it may be up on each network at the same time; that of the built-in lab, which has no directory of
//! its own, is under `$XDG_STATE_HOME/wwwlab/` (default `~/.local/state/wwwlab/`).

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::builtin;
use super::config::{Config, ConfigError, Network};

/// Unix socket paths must fit `sockaddr_un`: 108 bytes on Linux, 104 elsewhere, with a final NUL.
const SOCKET_PATH_MOST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A lab's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The lab directory, absolute: `zones/`, `site/`, `app/` are found from here.
    pub root: PathBuf,
    /// Its `lab.toml`; nothing for the built-in lab.
    pub toml: Option<PathBuf>,
    /// How its hosts are realised.
    pub network: Network,
    /// Where runs on that network keep their state, absolute.
    pub state: PathBuf,
}

/// Why a lab's places cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// `--lab DIR` names a directory without a lab.
    #[error("there is no lab in {}: it has no lab.toml (`wwwlab new {}` writes one)", .0.display(), .0.display())]
    NoLab(PathBuf),
    /// There is no place for the state of the built-in lab.
    #[error(
        "there is no place for the lab's state: neither HOME nor XDG_STATE_HOME is set; name one with --state DIR"
    )]
    NoHome,
    /// A place cannot be read.
    #[error("cannot find out what {} is", path.display())]
    Look {
        /// The place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state cannot be written.
    #[error("cannot keep the lab's state in {}{}: make it writable, or name another place with --state DIR", path.display(), owner(path))]
    State {
        /// The place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The control socket would have too long a name.
    #[error("the path of the lab's control socket, {}, has {} bytes, but a Unix socket allows {SOCKET_PATH_MOST}: name a shorter place with --state DIR", .0.display(), .0.as_os_str().len())]
    TooLong(PathBuf),
    /// The built-in lab cannot be unpacked.
    #[error("cannot unpack the built-in lab")]
    Unpack(#[from] builtin::UnpackError),
    /// Its `lab.toml` is wrong.
    #[error("lab.toml cannot be used")]
    Config(#[from] ConfigError),
}

impl Directory {
    /// Finds the lab: `lab` if given, else the current directory if it has a `lab.toml`, else the built-in one; on
    /// `network` if given, else on the one that `lab.toml` says. `state` overrides where its state is kept.
    pub fn find(
        lab: Option<&Path>,
        state: Option<&Path>,
        network: Option<Network>,
    ) -> Result<Self, DirectoryError> {
        let current = absolute(Path::new("."))?;
        let (root, toml) = match lab {
            Some(dir) => {
                let toml = dir.join("lab.toml");
                if !toml.is_file() {
                    return Err(DirectoryError::NoLab(dir.into()));
                }
                (absolute(dir)?, Some(absolute(&toml)?))
            }
            None if current.join("lab.toml").is_file() => (current.clone(), Some(current.join("lab.toml"))),
            None => {
                let home = state.map_or_else(built_in_state, |state| Ok(state.to_path_buf()))?;
                (current.join(home).join("built-in"), None)
            }
        };
        let network = match (network, &toml) {
            (Some(network), _) => network,
            (None, Some(toml)) => Config::read(toml).map(|config| config.lab.network).unwrap_or_default(),
            (None, None) => Network::default(),
        };
        let state = match (state, &toml) {
            (Some(state), _) => current.join(state),
            (None, Some(_)) => root.join(".wwwlab"),
            (None, None) => built_in_state()?,
        };
        let directory = Self { root, toml, network, state: state.join(network.to_string()) };
        let socket = directory.control_socket();
        if socket.as_os_str().len() > SOCKET_PATH_MOST {
            return Err(DirectoryError::TooLong(socket));
        }
        Ok(directory)
    }

    /// The same lab on `network`. Both may be up at the same time.
    pub fn on(&self, network: Network) -> Self {
        let state = self.state.with_file_name(network.to_string());
        Self { network, state, ..self.clone() }
    }

    /// Whether it seems to be up: its control socket is there, and the supervisor that holds its lock.
    pub fn seems_up(&self) -> bool {
        self.control_socket().exists() && self.is_held()
    }

    /// Whether the supervisor that wrote itself into the lock's file is there: the lab is up, coming up or ending.
    pub fn is_held(&self) -> bool {
        let lives = |pid| match i32::try_from(pid) {
            // Signal 0 reaches nobody; that it may not be sent is a sign of life, too.
            Ok(pid) => kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH),
            Err(_) => false,
        };
        self.locked_by().is_some_and(lives)
    }

    /// The lab that a command is for which names no network: this one, unless the same lab is up on another network alone.
    pub fn or_where_it_is_up(self) -> Self {
        if self.seems_up() {
            return self;
        }
        let others = Network::ALL.into_iter().filter(|&network| network != self.network);
        let up = others.map(|network| self.on(network)).find(Self::seems_up);
        up.unwrap_or(self)
    }

    /// Makes the state's directories, readable by the user alone, and unpacks the built-in lab if it is this.
    pub fn prepare(&self) -> Result<(), DirectoryError> {
        for path in [self.state.clone(), self.logs(), self.state.join("db")] {
            let make = || -> io::Result<()> {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
                // It may be there with other rights, from another hand.
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
            };
            make().map_err(|source| DirectoryError::State { path: path.clone(), source })?;
        }
        if self.toml.is_none() {
            builtin::unpack(&self.root)?;
        }
        Ok(())
    }

    /// Its settings.
    pub fn config(&self) -> Result<Config, DirectoryError> {
        match &self.toml {
            Some(toml) => Ok(Config::read(toml)?),
            None => Ok(Config::default()),
        }
    }

    /// The socket at which a running lab takes commands.
    pub fn control_socket(&self) -> PathBuf {
        self.state.join("control")
    }

    /// The file that a running lab holds a lock on, with its supervisor's pid inside.
    pub fn lock_file(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// The supervisor that wrote itself into the lock's file; it may be gone.
    pub fn locked_by(&self) -> Option<u32> {
        fs::read_to_string(self.lock_file()).ok()?.trim().parse().ok()
    }

    /// The directory of the services' logs.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// The log of `service`.
    pub fn log(&self, service: &str) -> PathBuf {
        self.logs().join(format!("{service}.log"))
    }

    /// The secrets of connections by HTTPS, where they are written: in the format of SSLKEYLOGFILE (RFC 9850).
    pub fn key_log(&self) -> PathBuf {
        self.state.join("tls-keys.log")
    }

    /// Where the keys are that sign its zones.
    pub fn dnssec(&self) -> PathBuf {
        self.state.join("dnssec")
    }

    /// What all services told, in order.
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal.jsonl")
    }

    /// The embedded database's file.
    pub fn database(&self) -> PathBuf {
        self.state.join("db").join("foobar.sqlite")
    }

    /// The socket of the lab's own database server; of as short a name as the control socket's, which is known to fit.
    pub fn database_socket(&self) -> PathBuf {
        self.state.join("db.sock")
    }

    /// Where the machines of network `hosts` are to be entered.
    pub fn machines(&self) -> PathBuf {
        self.state.join("hosts")
    }

    /// How a command names this lab to the user.
    pub fn name(&self) -> String {
        match &self.toml {
            Some(_) => self.root.display().to_string(),
            None => "the built-in lab (there is no lab.toml here)".into(),
        }
    }
}

/// Whose `path` is, if it is not this user's.
fn owner(path: &Path) -> String {
    let nearest = path.ancestors().find_map(|path| path.metadata().ok());
    match nearest.map(|about| about.uid()) {
        Some(uid) if uid != nix::unistd::geteuid().as_raw() => {
            let name = nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name);
            format!(", which belongs to {}", name.unwrap_or_else(|| format!("user {uid}")))
        }
        _ => String::new(),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, DirectoryError> {
    path.canonicalize().map_err(|source| DirectoryError::Look { path: path.into(), source })
}

/// `$XDG_STATE_HOME/wwwlab`, else `~/.local/state/wwwlab`. A shared place such as `/tmp` is never guessed: somebody
/// else may have prepared it.
fn built_in_state() -> Result<PathBuf, DirectoryError> {
    let from = |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = from("XDG_STATE_HOME").or_else(|| from("HOME").map(|home| home.join(".local/state")));
    Ok(home.ok_or(DirectoryError::NoHome)?.join("wwwlab"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lab of its own, with `settings`.
    fn lab(settings: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("lab.toml"), settings).unwrap();
        directory
    }

    /// Makes `directory` look as if `pid` had brought it up.
    fn bring_up(directory: &Directory, pid: u32) {
        fs::create_dir_all(&directory.state).unwrap();
        fs::write(directory.lock_file(), format!("{pid}\n")).unwrap();
        fs::write(directory.control_socket(), "").unwrap();
    }

    #[test]
    fn what_is_given_goes_before_lab_toml() {
        let lab = lab("[lab]\nnetwork = \"hosts\"\n");
        let found = |network| Directory::find(Some(lab.path()), None, network).unwrap();
        assert_eq!(found(None).network, Network::Hosts);
        assert!(found(None).state.ends_with(".wwwlab/hosts"));
        assert_eq!(found(Some(Network::Loopback)).network, Network::Loopback);
        assert!(found(Some(Network::Loopback)).state.ends_with(".wwwlab/loopback"));
    }

    #[test]
    fn where_only_the_other_network_is_up_that_one_is_meant() {
        let lab = lab("");
        let written = Directory::find(Some(lab.path()), None, None).unwrap();
        let other = written.on(Network::Hosts);
        let meant = || written.clone().or_where_it_is_up().network;
        assert_eq!(meant(), Network::Loopback, "none is up");
        bring_up(&other, std::process::id());
        assert_eq!(meant(), Network::Hosts, "the other one alone is up");
        bring_up(&written, std::process::id());
        assert_eq!(meant(), Network::Loopback, "both are up");
        // No process has this number: it is above what Linux and macOS give.
        bring_up(&other, 0x7FFF_FFFF);
        fs::remove_file(written.control_socket()).unwrap();
        assert_eq!(meant(), Network::Loopback, "the other one was killed");
    }
}
