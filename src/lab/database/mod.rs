//! Which database a lab has: SQLite inside the application, a server that the lab starts, or one that runs already.
//!
//! It stands apart from the other foreign programs because a database server has what they have not: files that must be
//! made once and never be lost ([`files`]), accounts with a password, and versions that do not read each other's files
//! ([`version`]). Where it is and how to log in is one address with a password ([`address`]), which is only ever in files
//! that nobody else can read, and in the environment of a student's own program.

pub mod address;
pub mod files;
pub mod greeting;
pub(in crate::lab) mod private;
pub mod server;
pub mod version;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config::{Config, Engine, Network};
use super::directory::Directory;
use address::{Address, AddressError};
use server::{Server, ServerError};

/// The database of a lab.
#[derive(Debug, Clone)]
pub enum Database {
    /// SQLite: a file, opened by the application itself.
    Embedded,
    /// A server that the lab starts, as its service `db`.
    Own(Server),
    /// A server that somebody else keeps.
    Elsewhere(Address),
}

/// Why there is no such database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Its address cannot be used.
    #[error("the address of the database cannot be used")]
    Address(#[from] AddressError),
    /// The file with its address cannot be used.
    #[error("cannot use the address of the database in {}", file.display())]
    AddressFile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: AddressError,
    },
    /// The file with its address cannot be read.
    #[error("cannot read the address of the database from {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file with its address or password cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is out of the lab's reach.
    #[error(
        "the machines of network `hosts` reach nothing outside of the lab, so not the database at {place}: take `up --network \
         loopback`, or `up --db mysql` for a server of the lab's own"
    )]
    OutOfReach {
        /// Its `host:port`.
        place: String,
    },
    /// There is no program for it.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// What is wished for at `up`, before there are ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// One of those that the lab brings itself.
    Engine(Engine),
    /// One that runs already.
    Elsewhere(Address),
}

impl Wish {
    /// Reads `sqlite`, `mysql` (or `mariadb`), or `mysql://user:password@host:port/name`.
    pub fn parse(text: &str) -> Result<Self, DatabaseError> {
        match text {
            "sqlite" => Ok(Self::Engine(Engine::Sqlite)),
            "mysql" | "mariadb" => Ok(Self::Engine(Engine::Mysql)),
            url => Ok(Self::Elsewhere(Address::parse(url)?)),
        }
    }

    /// What `lab.toml` wishes for.
    pub fn of(config: &Config, root: &Path) -> Result<Self, DatabaseError> {
        match &config.db.url_file {
            Some(file) => Ok(Self::Elsewhere(read_address(&root.join(file))?)),
            None => Ok(Self::Engine(config.db.engine)),
        }
    }

    /// Whether it takes a port of the lab.
    pub fn needs_port(&self) -> bool {
        *self == Self::Engine(Engine::Mysql)
    }
}

/// An address with a password is short; a longer file is another file.
const LONGEST_ADDRESS: u64 = 4096;

/// The address in `file`.
pub fn read_address(file: &Path) -> Result<Address, DatabaseError> {
    let read = || -> io::Result<String> {
        // Not after opening: to open a pipe waits for who writes to it.
        if !std::fs::metadata(file)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut text = String::new();
        let read = File::open(file)?.take(LONGEST_ADDRESS + 1).read_to_string(&mut text)?;
        if read as u64 > LONGEST_ADDRESS {
            return Err(io::Error::other("it is longer than an address can be"));
        }
        Ok(text)
    };
    let text = read().map_err(|source| DatabaseError::Read { file: file.into(), source })?;
    Address::parse(text.trim()).map_err(|source| DatabaseError::AddressFile { file: file.into(), source })
}

impl Database {
    /// The database that was wished for; `listen` is where a server of the lab is to listen. Leaves its address, with the
    /// password, in [`address_file`], for the application and for `wwwlab db`.
    pub fn decide(
        wish: Wish,
        directory: &Directory,
        listen: Option<std::net::SocketAddr>,
    ) -> Result<Self, DatabaseError> {
        let database = match (wish, listen) {
            (Wish::Elsewhere(address), _) if directory.network == Network::Hosts => {
                return Err(DatabaseError::OutOfReach { place: address.place() });
            }
            (Wish::Elsewhere(address), _) => Self::Elsewhere(address),
            (Wish::Engine(Engine::Mysql), Some(listen)) => {
                Self::Own(Server::find(&directory.state.join("db").join("mysql"), listen)?)
            }
            (Wish::Engine(_), _) => Self::Embedded,
        };
        let file = address_file(directory);
        let written = match database.address() {
            Some(address) => private::write(&file, &address.with_password()),
            // Nobody is to find a password here that is of no use any more.
            None => match std::fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        written.map_err(|source| DatabaseError::Write { file, source })?;
        Ok(database)
    }

    /// Where it is and how to log in; nothing for an embedded one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Embedded => None,
            Self::Own(server) => Some(&server.address),
            Self::Elsewhere(address) => Some(address),
        }
    }

    /// The server that the lab starts, if it starts one.
    pub fn own(&self) -> Option<&Server> {
        match self {
            Self::Own(server) => Some(server),
            _ => None,
        }
    }

    /// As `status` tells it.
    pub fn told(&self, directory: &Directory) -> Told {
        let (engine, kind, place) = match self {
            Self::Embedded => (Engine::Sqlite, "SQLite".into(), directory.database().display().to_string()),
            Self::Own(server) => (Engine::Mysql, server.name(), server.address.place()),
            Self::Elsewhere(address) => (Engine::Mysql, "MySQL, not of this lab".into(), address.place()),
        };
        Told { engine, kind, place }
    }

    /// Bytes on disk, as far as the lab has them.
    pub fn disk_bytes(&self, directory: &Directory) -> u64 {
        match self {
            Self::Embedded => std::fs::metadata(directory.database()).map_or(0, |file| file.len()),
            Self::Own(server) => server.files().size(),
            Self::Elsewhere(_) => 0,
        }
    }
}

/// The file with the address of the lab's database server, its password included; of mode 0600.
pub fn address_file(directory: &Directory) -> PathBuf {
    directory.state.join("db").join("address")
}

/// Options for the real client (`mariadb --defaults-file=…`), so that no password is among its arguments. Written anew each
/// time, of mode 0600.
pub fn client_options(directory: &Directory) -> Result<PathBuf, DatabaseError> {
    let address = read_address(&address_file(directory))?;
    let file = directory.state.join("db").join("client.cnf");
    private::write(&file, &address.client_options())
        .map_err(|source| DatabaseError::Write { file: file.clone(), source })?;
    Ok(file)
}

/// A database as `status` tells it: never with a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which kind of SQL it speaks.
    pub engine: Engine,
    /// What it is, for people.
    pub kind: String,
    /// Its file, or `host:port`.
    pub place: String,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn only_a_short_file_is_read_for_an_address() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("address");
        let refused = |file: &Path| match read_address(file).unwrap_err() {
            DatabaseError::Read { source, .. } => source.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(Path::new("/dev/zero")), "it is no file", "it has no end");
        fs::write(&file, "mysql://ann:x@127.0.0.1/book".to_owned() + &" ".repeat(5000)).unwrap();
        assert_eq!(refused(&file), "it is longer than an address can be");
        fs::write(&file, "mysql://ann:x@127.0.0.1/book\n").unwrap();
        assert_eq!(read_address(&file).unwrap().place(), "127.0.0.1:3306");
    }
}
