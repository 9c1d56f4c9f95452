//! Which site a request asks for (RFC 9112 §3.2): one address, many names.
//!
//! Pure: the request's version, target and headers in, a decision out. What the decision means to the client
//! is said elsewhere.

use hyper::Version;
use hyper::header::{HOST, HeaderMap};
use hyper::http::Uri;

use super::StartError;

/// The names that this server knows, of one site or several. The first site is the one with the application.
#[derive(Debug)]
pub(super) struct Names(Vec<Named>);

/// The names of one site, lower case, without a final dot.
#[derive(Debug)]
struct Named {
    name: String,
    aliases: Vec<String>,
}

/// What a request's host means here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A site of this server, by its place among them.
    Site { which: usize },
    /// Another name of a site; the port is the one that was asked for.
    Alias { which: usize, port: Option<u16> },
    /// A name, or an address, that no site here has.
    Unknown,
    /// None, though HTTP/1.1 demands one.
    Missing,
    /// Several, or one that is no host.
    Malformed,
    /// One in the target and another in the header.
    Contradictory,
}

impl Names {
    /// Of one site.
    pub(super) fn new(name: &str, aliases: &[String]) -> Result<Self, StartError> {
        let aliases = aliases.iter().map(|alias| checked(alias, "--alias")).collect::<Result<_, _>>()?;
        Ok(Self(vec![Named { name: checked(name, "--name")?, aliases }]))
    }

    /// And of a further one.
    pub(super) fn add(&mut self, name: &str, aliases: &[String]) -> Result<(), StartError> {
        const OPTION: &str = "--further-site";
        let aliases = aliases.iter().map(|alias| checked(alias, OPTION)).collect::<Result<_, _>>()?;
        self.0.push(Named { name: checked(name, OPTION)?, aliases });
        Ok(())
    }

    /// The name of the first site.
    pub(super) fn first(&self) -> &str {
        self.0.first().map_or("", |named| &named.name)
    }

    /// The names of all sites, as one says them: `a`, `a and b`, `a, b and c`.
    pub(super) fn all(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|named| named.name.as_str()).collect();
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, before)) => format!("{} and {last}", before.join(", ")),
            None => String::new(),
        }
    }

    /// Decides what `host`, as found by [`host_of`], means here.
    pub(super) fn decide(&self, host: Result<&str, Asked>) -> Asked {
        let host = match host {
            Ok(host) => host,
            Err(decided) => return decided,
        };
        let Some((name, port)) = split(host) else {
            return Asked::Malformed;
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        for (which, named) in self.0.iter().enumerate() {
            if name.eq_ignore_ascii_case(&named.name) {
                return Asked::Site { which };
            }
            if named.aliases.iter().any(|alias| name.eq_ignore_ascii_case(alias)) {
                return Asked::Alias { which, port };
            }
        }
        Asked::Unknown
    }

    /// The same target at the site's own name, by `scheme`.
    pub(super) fn location(&self, scheme: &str, which: usize, port: Option<u16>, uri: &Uri) -> String {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('/') { target } else { "/" };
        let name = self.0.get(which).map_or("", |named| &named.name);
        match port {
            Some(port) => format!("{scheme}://{name}:{port}{target}"),
            None => format!("{scheme}://{name}{target}"),
        }
    }
}

/// The host that a request asks for, with its port: the target's own in absolute form, else the Host header.
/// An empty one for an HTTP/1.0 request without; where there cannot be one, what that means.
pub(super) fn host_of<'a>(version: Version, uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, Asked> {
    let mut hosts = headers.get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(Asked::Malformed);
    }
    match (uri.authority(), header) {
        // RFC 9112 §3.2.2 lets a server ignore a Host beside an absolute target, and RFC 9113 §8.3.1 one beside
        // :authority; where they differ, somebody on the path may have believed the other.
        (Some(authority), Some(host))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(Asked::Contradictory)
        }
        // RFC 9112 §3.2: HTTP/1.1 demands a Host even beside an absolute target.
        (Some(_), None) if version == Version::HTTP_11 => Err(Asked::Missing),
        (Some(authority), _) => Ok(authority.as_str()),
        (None, Some(host)) => host.to_str().map_err(|_| Asked::Malformed),
        (None, None) if version >= Version::HTTP_11 => Err(Asked::Missing),
        (None, None) => Ok(""),
    }
}

/// `host` or `host:port` in two; nothing where it is neither.
fn split(host: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = if host.starts_with('[') {
        // An IPv6 address has colons of its own.
        let end = host.find(']')? + 1;
        host.split_at(end)
    } else {
        host.split_at(host.find(':').unwrap_or(host.len()))
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return None,
        Some("") => None, // RFC 3986 §3.2.3 lets the digits be absent.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=[:]".contains(&byte);
    name.bytes().all(fits).then_some((name, port))
}

/// A configured name in the form that requests are compared with.
fn checked(name: &str, option: &'static str) -> Result<String, StartError> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if bare.is_empty() || !bare.bytes().all(fits) {
        return Err(StartError::Name { name: name.to_owned(), option });
    }
    Ok(bare.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(version: Version, uri: &str, hosts: &[&str]) -> Asked {
        let names = Names::new("www.foobar.com", &["foobar.com".into()]).unwrap();
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        let uri = uri.parse().unwrap();
        names.decide(host_of(version, &uri, &headers))
    }

    #[test]
    fn the_site_is_found_by_its_name_alone() {
        let same =
            ["www.foobar.com", "WWW.FooBar.Com", "www.foobar.com.", "www.foobar.com:8080", "www.foobar.com:"];
        for host in same {
            assert_eq!(decide(Version::HTTP_11, "/", &[host]), Asked::Site { which: 0 }, "{host}");
        }
        let other = ["127.0.0.1", "127.0.0.1:80", "[::1]:80", "www.foobar.com.evil.example", "x", ""];
        for host in other {
            assert_eq!(decide(Version::HTTP_11, "/", &[host]), Asked::Unknown, "{host}");
        }
    }

    #[test]
    fn another_name_keeps_its_port_and_target() {
        assert_eq!(
            decide(Version::HTTP_11, "/", &["foobar.com:8080"]),
            Asked::Alias { which: 0, port: Some(8080) }
        );
        let names = Names::new("www.foobar.com", &[]).unwrap();
        let uri = "/guestbook?page=2".parse().unwrap();
        assert_eq!(
            names.location("http", 0, Some(8080), &uri),
            "http://www.foobar.com:8080/guestbook?page=2"
        );
        assert_eq!(names.location("http", 0, None, &"*".parse().unwrap()), "http://www.foobar.com/");
        assert_eq!(
            names.location("http", 0, None, &"//evil.example/".parse().unwrap()),
            "http://www.foobar.com//evil.example/"
        );
    }

    #[test]
    fn a_host_is_one_and_well_formed() {
        assert_eq!(decide(Version::HTTP_11, "/", &[]), Asked::Missing);
        assert_eq!(decide(Version::HTTP_10, "/", &[]), Asked::Unknown);
        let malformed =
            ["a b", "user@www.foobar.com", "www.foobar.com/x", "x:99999", "x:+80", "[::1]x", "[::1"];
        for host in malformed {
            assert_eq!(decide(Version::HTTP_11, "/", &[host]), Asked::Malformed, "{host}");
        }
        assert_eq!(decide(Version::HTTP_11, "/", &["www.foobar.com", "www.foobar.com"]), Asked::Malformed);
    }

    #[test]
    fn an_absolute_target_and_the_header_say_the_same() {
        let absolute = "http://www.foobar.com/";
        assert_eq!(decide(Version::HTTP_11, absolute, &["WWW.foobar.com"]), Asked::Site { which: 0 });
        assert_eq!(decide(Version::HTTP_2, absolute, &[]), Asked::Site { which: 0 });
        assert_eq!(decide(Version::HTTP_10, absolute, &[]), Asked::Site { which: 0 });
        assert_eq!(decide(Version::HTTP_11, absolute, &[]), Asked::Missing);
        for other in ["x", "www.foobar.com:80", ""] {
            assert_eq!(decide(Version::HTTP_11, absolute, &[other]), Asked::Contradictory, "{other}");
        }
    }

    #[test]
    fn several_sites_have_names_of_their_own() {
        let mut names = Names::new("www.foobar.com", &[]).unwrap();
        assert_eq!(names.all(), "www.foobar.com");
        names.add("Blog.foobar.com", &["weblog.foobar.com".into()]).unwrap();
        assert_eq!(names.decide(Ok("blog.foobar.com:80")), Asked::Site { which: 1 });
        assert_eq!(names.decide(Ok("weblog.foobar.com")), Asked::Alias { which: 1, port: None });
        assert_eq!(names.location("http", 1, None, &"/x".parse().unwrap()), "http://blog.foobar.com/x");
        assert_eq!(
            (names.first(), names.all().as_str()),
            ("www.foobar.com", "www.foobar.com and blog.foobar.com")
        );
        assert!(names.add("a b", &[]).is_err());
    }

    #[test]
    fn a_configured_name_must_be_one() {
        assert!(Names::new("", &[]).is_err());
        assert!(Names::new("www.foobar.com\r\nX: y", &[]).is_err());
        assert!(Names::new("www.foobar.com", &["a b".into()]).is_err());
    }
}
