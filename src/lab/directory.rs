//! Where a lab lives: its directory (what the user edits) and its state (what a run leaves there).
//!
//! The state of a lab in `DIR` is `DIR/.wwwlab/NETWORK/`; that of the built-in lab, which has no directory of
//! its own, is under `$XDG_STATE_HOME/wwwlab/` (default `~/.local/state/wwwlab/`).

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
    /// Where runs keep their state, absolute.
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
    /// Finds the lab: `lab` if given, else the current directory if it has a `lab.toml`, else the built-in one.
    /// `state` overrides where its state is kept.
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
        let directory = Self { root, toml, state: state.join(network.to_string()) };
        let socket = directory.control_socket();
        if socket.as_os_str().len() > SOCKET_PATH_MOST {
            return Err(DirectoryError::TooLong(socket));
        }
        Ok(directory)
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

    /// What all services told, in order.
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal.jsonl")
    }

    /// The embedded database's file.
    pub fn database(&self) -> PathBuf {
        self.state.join("db").join("foobar.sqlite")
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
