//! What a load asks for, made of how the lab stands: its own addresses, and no others.

use hyper::Uri;
use hyper::header::HeaderValue;

use crate::cli::Failure;
use crate::dns::types::RecordType;
use crate::ground::channel::Mark;
use crate::lab::config::Config;
use crate::lab::hosts::ServiceName;
use crate::lab::status::LabStatus;
use crate::measure::load::{Aim, Page, Question};

/// The longest path that is asked for, in bytes.
const PATH_LONGEST: usize = 2_048;

/// Why nothing is written.
pub(super) const UNSIGNED: &str = "this lab's requests reach an application of your own ([app] command or fastcgi, or [web] upstreams \
    in lab.toml), and only that knows how to write, and how to take it out again: measure `static`, `dynamic` or `dns`";

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// A file of the site, which the web server has in memory
    Static,
    /// A page that the application makes of what is in the database
    Dynamic,
    /// Signing the guestbook; what is signed is taken away again
    Write,
    /// The site's address, at the name server that knows it
    Dns,
    /// The same at the resolver, which remembers it
    Resolver,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
            Self::Write => "write",
            Self::Dns => "dns",
            Self::Resolver => "resolver",
        }
    }

    /// The rate that is tried first, a second: any lab that works bears it.
    pub(super) fn first_rate(self) -> u32 {
        match self {
            Self::Static | Self::Dns | Self::Resolver => 500,
            Self::Dynamic => 100,
            Self::Write => 25,
        }
    }
}

/// What is asked for, and how that is called.
#[derive(Debug)]
pub(super) struct Aimed {
    pub(super) aim: Aim,
    pub(super) asked: String,
}

/// What `kind` asks for; a page of `path` if that is given, and signed with `mark`, if anything may be.
pub(super) fn aim(
    kind: Kind,
    path: Option<&str>,
    mark: Option<&Mark>,
    status: &LabStatus,
    config: &Config,
) -> Result<Aimed, Failure> {
    let is_foreign = config.app.command.is_some() || config.app.fastcgi.is_some();
    match kind {
        Kind::Static => page(path.unwrap_or("/about.html"), None, status),
        Kind::Dynamic => page(path.unwrap_or(if is_foreign { "/" } else { "/guestbook" }), None, status),
        Kind::Write => {
            let mark = mark.ok_or_else(|| Failure::Unusable(UNSIGNED.into()))?;
            let form = format!("name={}&message={}", mark.name, mark.message).replace(' ', "+");
            page("/guestbook", Some(form), status)
        }
        Kind::Dns => question(ServiceName::Dns, status),
        Kind::Resolver => question(ServiceName::Resolver, status),
    }
}

fn page(path: &str, form: Option<String>, status: &LabStatus) -> Result<Aimed, Failure> {
    let server = address(ServiceName::Web, status)?;
    let unusable = || {
        let shown: String = path.chars().take(100).collect();
        Failure::Unusable(format!("{shown:?} is no path of a page: write /about.html or /guestbook?page=2"))
    };
    let target: Uri = path.parse().map_err(|_| unusable())?;
    if !path.starts_with('/') || path.len() > PATH_LONGEST || target.authority().is_some() {
        return Err(unusable());
    }
    let host = match server.port() {
        80 => status.site_name.clone(),
        port => format!("{}:{port}", status.site_name),
    };
    let (method, good): (_, &[u16]) = if form.is_some() { ("POST", &[303]) } else { ("GET", &[200]) };
    let asked = format!("{method} http://{host}{target}");
    let host = HeaderValue::try_from(host).map_err(|_| unusable())?;
    Ok(Aimed { aim: Aim::Page(Page { server, host, target, form, good }), asked })
}

fn question(service: ServiceName, status: &LabStatus) -> Result<Aimed, Failure> {
    let server = address(service, status)?;
    let name = status.site_name.parse().map_err(|error| {
        Failure::Unusable(format!("the site's name, {}, is no domain name: {error}", status.site_name))
    })?;
    let asked = format!("{} A at {service} {server}", status.site_name);
    Ok(Aimed { aim: Aim::Question(Question { server, name, record_type: RecordType::A }), asked })
}

fn address(service: ServiceName, status: &LabStatus) -> Result<std::net::SocketAddr, Failure> {
    let address = status.service(service).and_then(|service| service.address);
    address.ok_or_else(|| Failure::Said(format!("this lab has no {service}")))
}
