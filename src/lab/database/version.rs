//! Versions of database servers: which files one made, another may not be able to read.

use std::fmt;

/// A server's family and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Whose it is; files of one family are not for the other.
    pub family: Family,
    numbers: [u32; 3],
}

/// Whose server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// MariaDB.
    MariaDb,
    /// MySQL, or a descendant that says so.
    MySql,
}

impl Version {
    /// From what `--version` prints (`mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for …`), or from our own `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        let family = if text.contains("MariaDB") { Family::MariaDb } else { Family::MySql };
        let word = text.split_whitespace().find(|word| {
            word.contains('.') && word.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        })?;
        let mut parts = word.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let mut number = || parts.next()?.ok();
        Some(Self { family, numbers: [number()?, number()?, number().unwrap_or(0)] })
    }

    /// Whether it can use files that `made` has made: those of its family, not of a later series.
    pub fn reads(&self, made: &Self) -> bool {
        self.family == made.family && self.numbers[..2] >= made.numbers[..2]
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        let family = match self.family {
            Family::MariaDb => "MariaDB",
            Family::MySql => "MySQL",
        };
        write!(f, "{family} {major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let read = |text: &str| Version::parse(text).unwrap();
        let maria =
            read("mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)");
        assert_eq!(maria.to_string(), "MariaDB 10.11.19");
        assert_eq!(read(&maria.to_string()), maria);
        let mysql = read("mysqld  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)");
        assert_eq!(mysql.to_string(), "MySQL 8.0.36");
        assert!(maria.reads(&read("MariaDB 10.11.99")) && maria.reads(&read("MariaDB 10.6.1")));
        assert!(!maria.reads(&read("MariaDB 11.4.2")) && !maria.reads(&mysql) && !mysql.reads(&maria));
        assert_eq!(Version::parse("what is this"), None);
    }
}
