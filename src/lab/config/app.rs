//! `[app]` and `[db]`: the application, and what it keeps its data in.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounds::{app_count, command, start_timeout};

/// `[app]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// The application files ("code base"), relative to the lab directory; default `app`.
    pub code: PathBuf,
    /// How many processes of it there are, each at a port of its own, behind the web server: 1 to 4; default 1.
    #[serde(deserialize_with = "app_count")]
    pub count: u32,
    /// A program of the student's own in place of wwwlab's, as words: 1 to [`WORDS_MOST`]; default none.
    #[serde(deserialize_with = "command")]
    pub command: Option<Vec<String>>,
    /// A FastCGI process manager that is started instead, `php-fpm` or its path; default none.
    pub fastcgi: Option<String>,
    /// Where its script is, `index.php`, relative to the lab directory; default `php`.
    pub root: PathBuf,
    /// How long that program may take until it listens: 100 ms to 5 min; default 10 s.
    #[serde(deserialize_with = "start_timeout")]
    pub start_timeout: Duration,
    /// Where it is kept who is logged in; default in the database.
    pub sessions: Sessions,
}

/// Where the application keeps who is logged in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sessions {
    /// In the memory of its process: a restart logs everybody out, and of several each knows its own alone.
    Memory,
    /// In the database.
    #[default]
    Database,
}

/// Words of a command.
pub const WORDS_MOST: usize = 64;

impl Default for App {
    fn default() -> Self {
        Self {
            code: "app".into(),
            count: 1,
            command: None,
            fastcgi: None,
            root: "php".into(),
            start_timeout: Duration::from_secs(10),
            sessions: Sessions::default(),
        }
    }
}

/// `[db]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Db {
    /// Which database.
    pub engine: Engine,
    /// A file with the address of a database server that runs already, `mysql://user:password@host:port/name`, relative to
    /// the lab directory; it goes before `engine`. Default none.
    pub url_file: Option<PathBuf>,
}

/// Which database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// SQLite, inside the application's own process.
    #[default]
    Sqlite,
    /// MariaDB or MySQL, whichever is installed: a process of its own.
    Mysql,
}
