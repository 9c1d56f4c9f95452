//! The lab's own database server: which program, with which options, and what makes its files.
//!
//! Nothing of this machine's own database is read or touched: `--no-defaults` comes first, and its files, socket and
//! temporary files are in the lab's state. It is small (a lab has few rows) but durable: what was acknowledged is on the
//! disk.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use data_encoding::HEXLOWER;
use nix::unistd::{Uid, User, geteuid};

use super::address::Address;
use super::files::{Files, FilesError};
use super::version::{Family, Version};
use super::{DatabaseError, private};
use crate::ground::chance;
use crate::lab::foreign::{Program, Ready};

/// The account of the application, and its database.
const USER: &str = "wwwlab";
const NAME: &str = "foobar";
/// Its programs: MariaDB's name before the one that may be either's.
const PROGRAMS: [&str; 2] = ["mariadbd", "mysqld"];
/// What makes MariaDB's files.
const INSTALLERS: [&str; 2] = ["mariadb-install-db", "mysql_install_db"];
/// Where system programs are that an ordinary user's PATH does not name.
const SYSTEM_PLACES: [&str; 4] = ["/usr/sbin", "/usr/libexec", "/usr/local/libexec", "/usr/local/sbin"];
/// A server that has not recovered its files by then will not.
const START_WITHIN: Duration = Duration::from_secs(60);
/// A program that has not said its version by then will not.
const VERSION_WITHIN: Duration = Duration::from_secs(10);

/// Why the lab cannot have a database server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is none.
    #[error(
        "no MariaDB or MySQL server is installed here (neither mariadbd nor mysqld is on the PATH or in {}): `apt install \
         mariadb-server`, `dnf install mariadb-server` or `brew install mariadb`", SYSTEM_PLACES.join(", ")
    )]
    NotInstalled,
    /// It is there, but not what makes its files.
    #[error(
        "{} is installed, but not mariadb-install-db, which makes its files: `apt install mariadb-server`", .0.display()
    )]
    NoInstaller(PathBuf),
    /// It does not say which it is.
    #[error("{} does not say its version: is it a MariaDB or MySQL server?", program.display())]
    NoVersion {
        /// The program.
        program: PathBuf,
        /// Why, where the operating system knows.
        source: io::Error,
    },
    /// Its files cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// A database server of the lab.
#[derive(Debug, Clone)]
pub struct Server {
    program: PathBuf,
    files: Files,
    socket: PathBuf,
    listen: SocketAddr,
    /// Where it is to be found, and how to log in.
    pub address: Address,
}

impl Server {
    /// The server that is installed here; it is to keep its files in `place`, a directory of the lab's `db`, and to listen
    /// at `listen`. The password that `place` has is kept.
    pub(super) fn find(place: &Path, listen: SocketAddr) -> Result<Self, DatabaseError> {
        let program = search(&PROGRAMS, None).ok_or(ServerError::NotInstalled)?;
        let files = Files::new(place);
        files.prepare().map_err(ServerError::from)?;
        let file = place.join("password");
        let known = std::fs::read_to_string(&file).ok().filter(|known| {
            (32..=64).contains(&known.len()) && known.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        let password = match known {
            Some(known) => known,
            None => {
                let make = || -> io::Result<String> {
                    let password = HEXLOWER.encode(&chance::secret::<16>()?);
                    private::write(&file, &password).map(|()| password)
                };
                make().map_err(|source| DatabaseError::Write { file: file.clone(), source })?
            }
        };
        // As short a name as the control socket's, which is known to fit.
        let state = place.ancestors().nth(2).unwrap_or(place);
        let address = Address::of_the_lab(USER, password, listen, NAME);
        Ok(Self { program, files, socket: state.join("db.sock"), listen, address })
    }

    /// The program's name.
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Its files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Its socket, at which the user who runs the lab is the administrator.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its version; the program is only asked if it is not the one that was asked before.
    pub async fn version(&self) -> Result<Version, ServerError> {
        if let Some(known) = self.files.known_version(&self.program) {
            return Ok(known);
        }
        let unknown = |source| ServerError::NoVersion { program: self.program.clone(), source };
        let mut command = tokio::process::Command::new(&self.program);
        command.args(["--no-defaults", "--version"]).stdin(Stdio::null()).stderr(Stdio::null());
        let said = tokio::time::timeout(VERSION_WITHIN, command.kill_on_drop(true).output()).await;
        let said = said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unknown)?;
        let text = String::from_utf8_lossy(&said.stdout);
        Version::parse(&text).ok_or_else(|| unknown(io::ErrorKind::InvalidData.into()))
    }

    /// Whether its files are made; else what must run before it, once. The accounts are written anew each time, so that what
    /// the lab knows and what the server knows are the same.
    pub fn prepare(&self, version: Version) -> Result<Option<Program>, ServerError> {
        self.files.prepare()?;
        let accounts = self.files.accounts();
        private::write(&accounts, &self.address.accounts())
            .map_err(|source| FilesError::Use { path: accounts, source })?;
        let made = self.files.are_made(&self.program, version)?;
        if made { Ok(None) } else { self.initialisation(version).map(Some) }
    }

    /// What [`Server::prepare`] asked for has run.
    pub fn finish(&self, version: Version) -> Result<(), ServerError> {
        Ok(self.files.finish(&self.program, version)?)
    }

    /// Makes the files, by the server's own means. In their directory and with relative names: MariaDB's installer is a
    /// shell script that takes a path with a space in it for two. It is not told the user: then it would change the owner of
    /// files of this machine (`auth_pam_tool`). Its directory for temporary files, whose name is read from where the data
    /// are, is its own: a server that starts clears away what others have in one that they share.
    fn initialisation(&self, version: Version) -> Result<Program, ServerError> {
        let words = match version.family {
            Family::MySql => {
                let mut words = vec![self.program.display().to_string(), "--no-defaults".into()];
                words.extend(
                    ["--initialize-insecure", "--datadir=./initialising", "--tmpdir=../tmp"]
                        .map(str::to_owned),
                );
                words.extend(as_root());
                words
            }
            Family::MariaDb => {
                let beside = self.program.ancestors().nth(2);
                let installer = search(&INSTALLERS, beside)
                    .ok_or_else(|| ServerError::NoInstaller(self.program.clone()))?;
                let mut words = vec![installer.display().to_string(), "--no-defaults".into()];
                words.extend(
                    // Without `--force` it wants this machine's name to be known.
                    [
                        "--force",
                        "--datadir=./initialising",
                        "--tmpdir=../tmp",
                        "--skip-test-db",
                        "--skip-name-resolve",
                    ]
                    .map(str::to_owned),
                );
                words.extend([format!("--auth-root-socket-user={}", administrator()), REDO_LOG.into()]);
                words
            }
        };
        Ok(self.run(words))
    }

    /// The server itself.
    pub fn command(&self) -> Program {
        let path = |option: &str, path: &Path| format!("--{option}={}", path.display());
        let mut words = vec![
            self.program.display().to_string(),
            "--no-defaults".into(),
            path("datadir", &self.files.data()),
            path("socket", &self.socket),
            path("tmpdir", &self.files.temporary()),
            path("secure-file-priv", &self.files.temporary()),
            path("pid-file", &self.files.place().join("pid")),
            path("init-file", &self.files.accounts()),
            format!("--bind-address={}", self.listen.ip()),
            format!("--port={}", self.listen.port()),
        ];
        words.extend(OPTIONS.map(str::to_owned));
        // The files say whose they are; the program's name need not (`mysqld` may be a link to MariaDB's).
        match self.files.known_version(&self.program).map(|version| version.family) {
            Some(Family::MySql) => words.extend(OF_MYSQL.map(str::to_owned)),
            _ => words.extend(OF_MARIADB.map(str::to_owned)),
        }
        words.extend(as_root());
        self.run(words)
    }

    fn run(&self, words: Vec<String>) -> Program {
        Program {
            words,
            directory: self.files.place().to_owned(),
            environment: Vec::new(),
            settings: None,
            address: self.listen,
            patience: START_WITHIN,
            place: None,
            ready: Ready::Greets(self.socket.clone()),
        }
    }
}

/// The redo log is written whole when the files are made; MariaDB would take 96 MiB.
const REDO_LOG: &str = "--innodb-log-file-size=8M";

/// What only MariaDB knows.
const OF_MARIADB: [&str; 3] = [REDO_LOG, "--aria-pagecache-buffer-size=1M", "--query-cache-size=0"];
/// What only MySQL knows, and not each of its versions; the second would be a second port, for another protocol.
const OF_MYSQL: [&str; 2] = ["--loose-innodb-redo-log-capacity=8M", "--loose-mysqlx=OFF"];

/// Small, but durable.
const OPTIONS: [&str; 14] = [
    // Nobody's name is looked up: it would be asked for outside the lab.
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--max-connections=64",
    "--local-infile=0",
    "--skip-log-bin",
    // Acknowledged is written: these are the defaults, which nothing may change.
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-doublewrite=1",
    // What a lab has fits.
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=8M",
    "--innodb-log-buffer-size=2M",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--key-buffer-size=1M",
    // Written whole at each start.
    "--innodb-temp-data-file-path=ibtmp1:12M:autoextend",
];

/// Both families refuse to run as root unless they are told to. The lab is root's then, and its files are in a directory that
/// only root enters: a user of less right could not reach them.
fn as_root() -> Option<String> {
    geteuid().is_root().then(|| "--user=root".into())
}

/// Who may do everything at the socket, known by the operating system: whoever runs the lab.
fn administrator() -> String {
    let plain = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let user = User::from_uid(Uid::effective()).ok().flatten().map(|user| user.name);
    user.filter(plain).unwrap_or_else(|| "root".into())
}

/// The first of `names` on the PATH or where system programs are; `prefix` is where a relative of it is installed.
fn search(names: &[&str], prefix: Option<&Path>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let beside = prefix.into_iter().flat_map(|prefix| [prefix.join("bin"), prefix.join("scripts")]);
    let places: Vec<PathBuf> =
        beside.chain(env::split_paths(&path)).chain(SYSTEM_PLACES.map(PathBuf::from)).collect();
    let programs = names.iter().flat_map(|name| places.iter().map(move |place| place.join(name)));
    let runs = |file: &PathBuf| {
        file.is_file() && nix::unistd::access(file.as_path(), nix::unistd::AccessFlags::X_OK).is_ok()
    };
    programs.filter(|file| file.is_absolute()).find(runs)
}
