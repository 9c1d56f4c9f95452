//! Which database it is: a file or a server, and how a connection to it is made.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::ConnectOptions as _;

use super::connection::Connection;
use super::error::StoreError;
use super::mysql::{self, Server};
use super::patience::Patience;
use super::sqlite;
use super::store::Engine;

/// Where the data is.
#[derive(Debug, Clone)]
pub enum Target {
    /// In a SQLite file.
    File(PathBuf),
    /// With a MySQL or MariaDB server.
    Server(Server),
}

impl Target {
    /// What errors call it, for visitors to read too: there is no password in it, and a file is named from where this
    /// process was started, if it is below.
    pub(super) fn place(&self) -> String {
        match self {
            Self::File(file) => {
                let here = std::env::current_dir().unwrap_or_default();
                file.strip_prefix(here).unwrap_or(file).display().to_string()
            }
            Self::Server(server) => server.place(),
        }
    }

    /// Connections to it at most.
    ///
    /// To a file one: with a rollback journal a writer excludes readers anyway, and connections that wait for each
    /// other's locks poll, while calls that wait for the one connection queue. To a server some: each is a thread there,
    /// and while one waits for a row or the disk, the others work.
    pub(super) fn connections_most(&self) -> u32 {
        match self {
            Self::File(_) => 1,
            Self::Server(_) => 8,
        }
    }

    /// Makes the file if there is none.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        let Self::File(file) = self else { return Ok(()) };
        sqlite::prepare_file(file)
            .map_err(|source| StoreError::Uncreatable { place: self.place(), source: Arc::new(source) })
    }

    /// A new connection, whose statements wait for locks as `patience` says.
    pub(super) async fn connect(&self, patience: Patience) -> sqlx::Result<Connection> {
        Ok(match self {
            Self::File(file) => {
                Connection::Sqlite(sqlite::options(file, patience.file_lock).connect().await?)
            }
            Self::Server(server) => Connection::MySql(server.connect(patience).await?),
        })
    }

    /// Which database it is, asked on `connection`.
    pub(super) async fn engine(&self, connection: &mut Connection) -> sqlx::Result<Engine> {
        let asking = match self {
            Target::File(_) => "SELECT sqlite_version()",
            Target::Server(_) => "SELECT VERSION()",
        };
        let row = connection.row(asking, &[]).await?.ok_or(sqlx::Error::RowNotFound)?;
        let said: String = row.get(0)?;
        Ok(match self {
            Target::File(file) => Engine {
                name: "SQLite",
                version: said,
                place: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                is_server: false,
            },
            Target::Server(server) => {
                let (name, version) = mysql::name(&said);
                Engine { name, version, place: server.address(), is_server: true }
            }
        })
    }
}
