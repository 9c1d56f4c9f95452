//! The file that says where the database server is and how to get in: `mysql://user:password@host:port/name`.
//!
//! A file and not an argument, because everybody may read arguments (`ps`); and one that only its owner may read. No
//! error here repeats anything of what is in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::mysql::MySqlConnectOptions;

use super::mysql::Server;

/// Length of the file at most, in bytes.
const LONGEST: u64 = 4096;

/// Why a file does not say where the database server is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlFileError {
    /// It cannot be read.
    #[error("the file {} with the database's URL cannot be read", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error(
        "others may read the file {} with the database's password (mode {mode:04o}); say: chmod 600 {0}",
        file.display()
    )]
    Open {
        /// Which file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is something else in it.
    #[error(
        "the file {} has no mysql://user:password@host:port/name in it: {why}; what is no letter or digit in user and \
         password is written as % and two hexadecimal digits",
        file.display()
    )]
    Wrong {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Server {
    /// The server that `file` names: one line, `mysql://user:password@host:port/name` (or `mariadb://`), with mode 0600.
    pub fn named_in(file: &Path) -> Result<Self, UrlFileError> {
        let unreadable = |source| UrlFileError::Unreadable { file: file.to_owned(), source };
        let mut open = File::open(file).map_err(unreadable)?;
        let mode = open.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(UrlFileError::Open { file: file.to_owned(), mode });
        }
        let mut text = String::new();
        open.by_ref().take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
        server(&text).map_err(|why| UrlFileError::Wrong { file: file.to_owned(), why })
    }
}

/// The server that `text` names, or what is wrong with it.
fn server(text: &str) -> Result<Server, &'static str> {
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err("it is longer than 4096 bytes");
    }
    let url = text.trim();
    let rest = url.strip_prefix("mysql://").or_else(|| url.strip_prefix("mariadb://"));
    let rest = rest.ok_or("it does not begin with mysql://")?;
    if rest.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err("there is a space or a second line in it");
    }
    if rest.contains(['?', '#']) {
        return Err("there is a ? or # in it");
    }
    let (user, host) = rest.rsplit_once('@').ok_or("it has no @ between user and host")?;
    if user.split(':').next().is_none_or(str::is_empty) {
        return Err("it has no user");
    }
    if host.starts_with([':', '/']) {
        return Err("it has no host");
    }
    let options: MySqlConnectOptions = url.parse().map_err(|_| "host or port cannot be read")?;
    match options.get_database() {
        None => return Err("it has no name of a database"),
        Some(name) if name.contains(['/', '\0']) => return Err("the name of the database has a / in it"),
        Some(_) => {}
    }
    // A URL has brackets around an IPv6 address; whoever connects to it has none.
    let host = options.get_host().trim_matches(['[', ']']).to_owned();
    Ok(Server::new(options.host(&host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        for (url, place) in [
            ("mysql://ada:secret@127.0.0.1:3307/guests\n", "mysql://127.0.0.1:3307/guests"),
            ("mariadb://ada@db.example/guests", "mysql://db.example:3306/guests"),
            ("mysql://ada:p%40ss%2Fword@[::1]:3306/guests", "mysql://[::1]:3306/guests"),
        ] {
            assert_eq!(server(url).unwrap().place(), place);
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_saying_what_is_there() {
        for url in [
            "",
            "postgres://ada:s3cret@127.0.0.1/guests",
            "mysql://127.0.0.1/guests",
            "mysql://:s3cret@127.0.0.1/guests",
            "mysql://ada:s3cret@/guests",
            "mysql://ada:s3cret@127.0.0.1",
            "mysql://ada:s3cret@127.0.0.1/",
            "mysql://ada:s3cret@127.0.0.1:99999/guests",
            "mysql://ada:s3cret@127.0.0.1/guests?socket=/run/mysqld.sock",
            "mysql://ada:s3cret@127.0.0.1/guests\nmysql://ada:s3cret@127.0.0.2/guests",
            &format!("mysql://ada:s3cret@127.0.0.1/{}", "x".repeat(5000)),
        ] {
            let why = server(url).unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("url");
        let read = || Server::named_in(&file);
        assert!(matches!(read(), Err(UrlFileError::Unreadable { .. })));
        std::fs::write(&file, "mysql://ada:s3cret@127.0.0.1/guests\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = read().unwrap_err();
        assert!(refused.to_string().contains("mode 0640"), "{refused}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read().unwrap().place(), "mysql://127.0.0.1:3306/guests");
    }
}
