//! Which page is meant: a URL, read as a client reads it (RFC 9110 §4.2).

use std::net::IpAddr;

use hyper::Uri;

/// The longest URL that is taken, in bytes; the web server takes no longer one either.
const LONGEST: usize = 8 * 1024;

/// A page to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL as it was given, with `http://` before it where it had no scheme.
    pub url: String,
    /// Whether it is asked for by HTTPS.
    pub secure: bool,
    /// The host: a name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

/// Why a URL cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is no URL.
    #[error("{0} is no URL: write it as http://www.foobar.com/guestbook")]
    NoUrl(String),
    /// It has another scheme.
    #[error("{0} is neither http:// nor https://, and nothing else is spoken here")]
    Scheme(String),
    /// It carries a name and a password.
    #[error(
        "a URL with a user name in it is not asked for: names and passwords do not belong where they are shown"
    )]
    User,
}

impl Target {
    /// Reads `url`; one without a port is asked for at `http` or `https`, where the lab speaks that.
    pub fn read(url: &str, http: u16, https: u16) -> Result<Self, TargetError> {
        let shown: String = url.chars().take(80).collect();
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let url = url.split('#').next().unwrap_or_default().to_owned();
        if url.len() > LONGEST {
            return Err(TargetError::NoUrl(shown));
        }
        let uri: Uri = url.parse().map_err(|_| TargetError::NoUrl(shown.clone()))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(TargetError::NoUrl(shown));
        };
        let (secure, port) = match scheme {
            "http" => (false, http),
            "https" => (true, https),
            _ => return Err(TargetError::Scheme(shown)),
        };
        if authority.as_str().contains('@') {
            return Err(TargetError::User);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let given = authority.port();
        if host.is_empty() || given.is_none() && authority.as_str() != authority.host() {
            return Err(TargetError::NoUrl(shown));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { url, secure, host, port: given.map_or(port, |port| port.as_u16()), path })
    }

    /// What a client says that it asks for: the port only where it is not the scheme's own (RFC 9110 §4.2).
    pub fn host_and_port(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.port, self.secure) {
            (80, false) | (443, true) => host,
            (port, _) => format!("{host}:{port}"),
        }
    }

    /// The address that stands in place of a name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<(String, u16, String), TargetError> {
        Target::read(url, 8080, 8443).map(|target| (target.host, target.port, target.path))
    }

    #[test]
    fn what_a_student_types_is_a_page() {
        let page = |host: &str, port, path: &str| Ok((host.to_owned(), port, path.to_owned()));
        assert_eq!(read("http://www.FOOBAR.com"), page("www.foobar.com", 8080, "/"));
        assert_eq!(read("www.foobar.com/guestbook?a=b#c"), page("www.foobar.com", 8080, "/guestbook?a=b"));
        assert_eq!(read("http://127.0.0.1:3000/x"), page("127.0.0.1", 3000, "/x"));
        assert_eq!(read("http://[::1]:80?q"), page("::1", 80, "/?q"));
        assert_eq!(read("https://www.foobar.com/"), page("www.foobar.com", 8443, "/"));
        let said = |url| Target::read(url, 80, 443).unwrap().host_and_port();
        assert_eq!([said("http://a/"), said("https://a/")], ["a", "a"]);
        assert_eq!([said("http://[::1]:443/"), said("https://a:80/")], ["[::1]:443", "a:80"]);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for wrong in ["", "http://", "http:///x", "http://a b/", "http://a:/", "http://a:99999/", "/x"] {
            assert!(matches!(read(wrong), Err(TargetError::NoUrl(_))), "{wrong}: {:?}", read(wrong));
        }
        for other in ["wss://www.foobar.com/", "ftp://a/", "://x"] {
            assert!(matches!(read(other), Err(TargetError::Scheme(_))), "{other}: {:?}", read(other));
        }
        assert_eq!(read("http://me:secret@www.foobar.com/"), Err(TargetError::User));
        assert!(read(&"x".repeat(10_000)).is_err());
    }
}
