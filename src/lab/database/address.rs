//! Where a database server is and how to log in: `mysql://user:password@host:port/name` (RFC 3986 §3).
//!
//! The password leaves this type only by functions that say so: what is shown ([`Address::place`], `Debug`, every error)
//! does not have it, since the form in which it is typed is the form in which it would be told.

use std::fmt;
use std::net::SocketAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Url};

/// The port of MySQL and MariaDB.
pub const PORT: u16 = 3306;
/// A name of a database (and of a user, in MySQL 32) has so many characters at most.
const LONGEST_NAME: usize = 64;
/// What need not be encoded in a user or a password (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a database is and how to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    user: String,
    password: String,
    host: Host,
    port: u16,
    name: String,
}

/// What is wrong with an address; never with a word of it, which could be of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is of another form.
    #[error(
        "it is not of the form mysql://user:password@host:port/name (characters like / ? # @ : % in a password are written %2F %3F %23 %40 %3A %25)"
    )]
    Form,
    /// It is of another kind.
    #[error("it does not begin with mysql:// (sqlite, mysql, or mysql://user:password@host:port/name)")]
    Scheme,
    /// Its host is no host.
    #[error("its host is neither a name nor an IP address (an IPv6 address stands in brackets)")]
    Host,
    /// It has no user, or one that cannot be.
    #[error("its user is missing, is longer than {LONGEST_NAME} characters, or has control characters")]
    User,
    /// Its password cannot be.
    #[error("its password has control characters, or is no UTF-8")]
    Password,
    /// It has no name of a database, or one that cannot be.
    #[error(
        "the database's name behind the host is missing, or is not 1 to {LONGEST_NAME} letters, digits, _, $ or -"
    )]
    Name,
    /// It has more than can be used.
    #[error("nothing can follow the database's name: no ?options, no #fragment")]
    More,
}

impl Address {
    /// Of a server at `listen`; the names and the password are of letters and digits.
    pub(super) fn of_the_lab(user: &str, password: String, listen: SocketAddr, name: &str) -> Self {
        let host = match listen {
            SocketAddr::V4(address) => Host::Ipv4(*address.ip()),
            SocketAddr::V6(address) => Host::Ipv6(*address.ip()),
        };
        Self { user: user.into(), password, host, port: listen.port(), name: name.into() }
    }

    /// Reads `mysql://user:password@host:port/name`; the port may be missing, and is 3306 then.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("mysql" | "mariadb")) {
            return Err(AddressError::Scheme);
        }
        let url = Url::parse(text).map_err(|_| AddressError::Form)?;
        let decoded = |part: &str| percent_decode_str(part).decode_utf8().map(String::from).ok();
        let user = decoded(url.username()).filter(|user| {
            !user.is_empty() && user.chars().count() <= LONGEST_NAME && !user.contains(char::is_control)
        });
        let password = decoded(url.password().unwrap_or_default())
            .filter(|password| !password.contains(char::is_control));
        // Of a scheme that it does not know, the crate takes any text for a host.
        let host = match url.host() {
            Some(Host::Domain(name)) if is_host_name(name) => Host::parse(name).ok(),
            Some(Host::Ipv6(address)) => Some(Host::Ipv6(address)),
            _ => None,
        };
        let name = url.path().strip_prefix('/').filter(|name| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_$-".contains(&byte);
            (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed)
        });
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::More);
        }
        Ok(Self {
            host: host.ok_or(AddressError::Host)?,
            user: user.ok_or(AddressError::User)?,
            password: password.ok_or(AddressError::Password)?,
            name: name.ok_or(AddressError::Name)?.to_owned(),
            port: url.port().unwrap_or(PORT),
        })
    }

    /// `host:port`, as it is shown.
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Where to connect to: a name is yet to be looked up.
    pub fn endpoint(&self) -> (String, u16) {
        let host = match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        (host, self.port)
    }

    /// Its socket's address, where its host is one.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some((address, self.port).into()),
            Host::Ipv6(address) => Some((address, self.port).into()),
        }
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole, **with its password**: for a private file, or the environment of a program that is to log in.
    pub fn with_password(&self) -> String {
        let [user, password] = [&self.user, &self.password].map(|text| utf8_percent_encode(text, ENCODED));
        format!("mysql://{user}:{password}@{}:{}/{}", self.host, self.port, self.name)
    }

    /// An option file for the real client, **with the password**: for a private file.
    pub(super) fn client_options(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let (host, port) = self.endpoint();
        format!(
            "# Written by wwwlab at each `wwwlab db`.\n[client]\nuser = {}\npassword = {}\nhost = {host}\nport = {port}\n\
             protocol = tcp\n[mysql]\ndatabase = {}\n\
             # Whatever the terminal's language is said to be.\ndefault-character-set = utf8mb4\n",
            quoted(&self.user),
            quoted(&self.password),
            self.name
        )
    }

    /// What makes the database and its account, and mends their password: **with the password**, for a private file.
    pub(super) fn accounts(&self) -> String {
        let Self { user, password, name, .. } = self;
        format!(
            "CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4;\n\
             CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}';\n\
             ALTER USER '{user}'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL PRIVILEGES ON `{name}`.* TO '{user}'@'%';\n"
        )
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mysql://{}:…@{}/{}", self.user, self.place(), self.name)
    }
}

/// RFC 1123 §2.1, and `_`, which names of containers have.
fn is_host_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=253).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written() {
        let address = Address::parse("mysql://ann:p%40ss%2F%22%5C@db.example:3307/book").unwrap();
        assert_eq!(address.place(), "db.example:3307");
        assert_eq!(address.with_password(), "mysql://ann:p%40ss%2F%22%5C@db.example:3307/book");
        assert!(address.client_options().contains("password = \"p@ss/\\\"\\\\\"\n"));
        let plain = Address::parse("mariadb://ann@127.0.0.1/book").unwrap();
        assert_eq!(plain.socket(), Some("127.0.0.1:3306".parse().unwrap()));
        assert_eq!(plain.with_password(), "mysql://ann:@127.0.0.1:3306/book");
        let six = Address::parse("mysql://ann:x@[::1]:1/book").unwrap();
        assert_eq!((six.place(), six.endpoint().0), ("[::1]:1".into(), "::1".into()));
        assert_eq!(Address::parse(&six.with_password()), Ok(six));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_word_of_it() {
        for (text, wrong) in [
            ("", AddressError::Scheme),
            ("postgres://u:secret@h/n", AddressError::Scheme),
            ("mysql://u:secret@h:99999/n", AddressError::Form),
            ("mysql://u:secret@/n", AddressError::Form),
            ("mysql://u:secret@h h/n", AddressError::Form),
            ("mysql://u:secret@h%0a/n", AddressError::Host),
            ("mysql://:secret@h/n", AddressError::User),
            ("mysql://h/n", AddressError::User),
            ("mysql://u:secret%0a@h/n", AddressError::Password),
            ("mysql://u:secret%ff@h/n", AddressError::Password),
            ("mysql://u:secret@h", AddressError::Name),
            ("mysql://u:secret@h/", AddressError::Name),
            ("mysql://u:secret@h/a/b", AddressError::Name),
            ("mysql://u:secret@h/a`b", AddressError::Name),
            ("mysql://u:secret@h/n?ssl=1", AddressError::More),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error, wrong, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
        let address = Address::parse("mysql://u:secret@h/n").unwrap();
        assert_eq!(format!("{address:?}"), "mysql://u:…@h:3306/n");
    }
}
