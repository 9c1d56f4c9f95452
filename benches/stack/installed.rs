//! The peers' programs, where the distribution puts them.

use std::fs;
use std::path::PathBuf;

use crate::ground::installed::{self, exactly, places};
use crate::ground::trouble::Trouble;

/// Where each program is.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) named: PathBuf,
    pub(crate) nginx: PathBuf,
    pub(crate) php_fpm: PathBuf,
    pub(crate) mariadbd: PathBuf,
    pub(crate) mariadb_install_db: PathBuf,
}

impl Programs {
    /// Finds all; what is missing is said at once, with its packages.
    pub(crate) fn find() -> Result<Self, Trouble> {
        let mut missing = Vec::new();
        let mut find = |program, package, found: Option<PathBuf>| {
            found.unwrap_or_else(|| {
                missing.push((program, package));
                PathBuf::new()
            })
        };
        let programs = Self {
            named: find("named", "bind9", exactly("named")),
            nginx: find("nginx", "nginx", exactly("nginx")),
            php_fpm: find("php-fpm", "php-fpm php-mysql", newest("php-fpm")),
            mariadbd: find("mariadbd", "mariadb-server", exactly("mariadbd")),
            mariadb_install_db: find("mariadb-install-db", "mariadb-server", exactly("mariadb-install-db")),
        };
        if missing.is_empty() {
            return Ok(programs);
        }
        let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        packages.dedup();
        Err(Trouble::Missing {
            packages: packages.join(" "),
            programs: missing.into_iter().map(|(program, _)| program).collect(),
        })
    }

    /// Each program's own version, as it says it: `BIND 9.18.49, nginx 1.22.1, …`.
    pub(crate) fn versions(&self) -> String {
        installed::versions(&[
            ("BIND", &self.named, "-v"),
            ("nginx", &self.nginx, "-v"),
            ("PHP-FPM", &self.php_fpm, "-v"),
            ("MariaDB", &self.mariadbd, "--version"),
        ])
    }
}

/// The last of those that begin with `program` and go on with a version: `php-fpm8.2`.
fn newest(program: &str) -> Option<PathBuf> {
    let is_one = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix(program)
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    };
    places()
        .into_iter()
        .filter_map(|place| fs::read_dir(place).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(is_one)
        .max_by(|one, other| one.file_name().cmp(&other.file_name()))
}
