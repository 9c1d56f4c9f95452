//! `wwwlab curl …`: the real curl, with each name looked up at the lab's resolver.
//!
//! Stock curl cannot be told which resolver to ask by plain DNS, so the look-up is done here, shown, and handed to curl
//! as `--connect-to`; the `Host` header stays as it was asked for. Where the resolver is asked over HTTPS, curl asks it by itself
//! (`--doh-url`). On network `hosts` nothing of the former is needed: curl is run on the client, as it is.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::dns::message::asked::{Data, Response, query, read_response};
use crate::dns::name::Name;
use crate::dns::types::{Rcode, RecordType};
use crate::ground::chance;
use crate::lab::config::Network;
use crate::lab::control;
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;
use crate::lab::network;
use crate::lab::status::LabStatus;

use super::screen::DIM;
use super::shell::run_there;
use super::tool::run_tool;
use super::{Failure, World, block_on};

/// How a machine comes to have curl.
const INSTALL: &str = "apt install curl";
/// curl's own exit code for a name that cannot be resolved.
const COULD_NOT_RESOLVE: u8 = 6;
/// The resolver answers or gives up in 3 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// UDP answers are at most this long without being asked for more.
const LONGEST_ANSWER: usize = 4096;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Arguments {
    /// curl's own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let status = block_on(control::status(directory))??;
    let given = &arguments.arguments;
    let mut line = Vec::new();
    let over_https = resolver_over_https(&status).filter(|_| may_ask_over_https(given));
    let asks_over_tls = leads_on(given) || origins(given).iter().any(|(origin, _)| origin.secure);
    let authority = match (&status.tls, &status.private) {
        (Some(tls), _) if asks_over_tls => Some(&tls.authority),
        (_, Some(private)) if over_https.is_some() => Some(&private.authority),
        _ => None,
    };
    if let Some(authority) = authority
        && !trusts(given)
    {
        line.extend(["--cacert".into(), authority.into()]);
    }
    if let Some(url) = over_https {
        let dim = DIM;
        writeln!(
            world.err,
            "{dim}# curl asks the resolver for names, over HTTPS: nobody on the way reads them{dim:#}"
        )?;
        line.extend(["--doh-url".into(), url.into()]);
    }
    if directory.network == Network::Hosts {
        if proxied() && network::here(&directory.machines()).is_some() {
            line.extend(["--noproxy".into(), "*".into()]);
        }
        line.extend(given.iter().cloned());
        return run_there("curl", &line, INSTALL, directory, world);
    }
    for (origin, certain) in origins(given) {
        // What may be an option's value is only looked up where it could be meant: in the lab's own domain.
        if !certain && !of_the_lab(&origin.host, &status) {
            continue;
        }
        let port = origin.port.unwrap_or(origin.default_port());
        if origin.secure && certain && status.tls.is_none() {
            let (dim, program) = (DIM, &world.program);
            writeln!(
                world.err,
                "{dim}# this lab speaks no HTTPS: nothing listens at port {port}; `{program} secure` changes that{dim:#}"
            )?;
        }
        // A name without a port of its own is asked for at the lab's web server.
        let lab_port = match (origin.port, origin.secure, secure_port(&status)) {
            (None, false, _) => status.ports.http,
            (None, true, Some(secure)) => secure,
            _ => port,
        };
        if over_https.is_some() && origin.host.parse::<IpAddr>().is_err() {
            // Only the port has to be told: the address is for curl to ask for.
            if port != lab_port {
                line.extend(["--connect-to".into(), format!("{}:{port}::{lab_port}", origin.host).into()]);
            }
            continue;
        }
        let address = match origin.host.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => match look_up(&origin.host, &status, world)? {
                Some(address) => address,
                None if certain => return Ok(COULD_NOT_RESOLVE),
                None => continue,
            },
        };
        // A redirect's catch-all must not take what was named in full.
        if origin.host != address.to_string() || port != lab_port || leads_on(given) {
            line.push("--connect-to".into());
            line.push(format!("{}:{port}:{}", origin.host, SocketAddr::new(address, lab_port)).into());
        }
    }
    if let Some(web) = status.service(ServiceName::Web).and_then(|service| service.address)
        && leads_on(given)
    {
        // Wherever a redirect leads, it does not lead out of the lab; HTTPS is at a port of its own.
        for secure in status.tls.iter().flat_map(|tls| tls.addresses.first()) {
            for port in [443, secure.port()] {
                line.extend(["--connect-to".into(), format!(":{port}:{secure}").into()]);
            }
        }
        line.extend(["--connect-to".into(), format!("::{web}").into()]);
    }
    if proxied() {
        line.extend(["--noproxy".into(), "*".into()]);
    }
    line.extend(given.iter().cloned());
    run_tool("curl", &line, INSTALL, world)
}

/// Where the first resolver is asked over HTTPS, if it is.
fn resolver_over_https(status: &LabStatus) -> Option<&str> {
    let mut services = status.private.iter().flat_map(|private| &private.services);
    let resolver = services.find(|private| private.service == ServiceName::Resolver)?;
    resolver.https.first().map(String::as_str)
}

/// Whether it is not said already how names are looked up, or whom to trust.
fn may_ask_over_https(arguments: &[OsString]) -> bool {
    let says = |argument: &str| {
        let long = argument.strip_prefix("--").unwrap_or_default();
        ["doh-", "resolve", "connect-to", "dns-"].iter().any(|option| long.starts_with(option))
    };
    // A proxy that this machine has would be asked for the resolver as well.
    !proxied() && !trusts(arguments) && !arguments.iter().filter_map(|argument| argument.to_str()).any(says)
}

/// Where the lab speaks HTTPS.
fn secure_port(status: &LabStatus) -> Option<u16> {
    status.tls.as_ref()?.addresses.first().map(SocketAddr::port)
}

/// Whether it is said already whom to trust.
fn trusts(arguments: &[OsString]) -> bool {
    arguments.iter().filter_map(|argument| argument.to_str()).any(|argument| {
        match argument.strip_prefix("--") {
            Some(long) => ["cacert", "capath", "insecure"].contains(&long),
            None => argument.starts_with('-') && takes_no_value(argument) && argument.contains('k'),
        }
    })
}

/// Whether curl may come to ask for more than what is named: `-L`, or a file of options or addresses.
fn leads_on(arguments: &[OsString]) -> bool {
    arguments.iter().filter_map(|argument| argument.to_str()).any(|argument| {
        match argument.strip_prefix("--") {
            Some(long) => ["location", "config", "proto-redir"].iter().any(|option| long.starts_with(option)),
            // After a letter that takes a value comes that value, whatever its letters.
            None => argument.strip_prefix('-').is_some_and(|letters| {
                let takes_value = |letter| "AbcCdDeEFhHmoPQrtTuUwxXyYz".contains(letter);
                let alone = letters.find(takes_value).unwrap_or(letters.len());
                letters[..alone].contains(['L', 'K'])
            }),
        }
    })
}

/// Whether `host` is the site, or in its domain.
fn of_the_lab(host: &str, status: &LabStatus) -> bool {
    let domain = status.site_name.split_once('.').map_or(status.site_name.as_str(), |(_, domain)| domain);
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// A server that curl is to be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    secure: bool,
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn default_port(&self) -> u16 {
        if self.secure { 443 } else { 80 }
    }
}

/// The servers named among curl's arguments, each once, and whether each is certain: not what follows an option,
/// which may be that option's value.
fn origins(arguments: &[OsString]) -> Vec<(Origin, bool)> {
    let mut found: Vec<(Origin, bool)> = Vec::new();
    let mut previous = "";
    for argument in arguments.iter().filter_map(|argument| argument.to_str()) {
        let certain = !previous.starts_with('-') || takes_no_value(previous);
        if let Some(origin) = origin(argument) {
            match found.iter_mut().find(|(known, _)| *known == origin) {
                Some((_, known_certain)) => *known_certain |= certain,
                None => found.push((origin, certain)),
            }
        }
        previous = argument;
    }
    found
}

/// Short options that stand alone, as in `-vis`; every other option might take the next argument as its value.
fn takes_no_value(option: &str) -> bool {
    let alone = |letters: &str| letters.chars().all(|letter| "vsSiIkLfgNOJR#046".contains(letter));
    match option.strip_prefix("--") {
        Some(long) => matches!(
            long,
            "verbose"
                | "silent"
                | "include"
                | "head"
                | "location"
                | "fail"
                | "compressed"
                | "http1.1"
                | "http1.0"
        ),
        None => alone(option.trim_start_matches('-')),
    }
}

fn origin(argument: &str) -> Option<Origin> {
    let (secure, rest) = match argument.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some(_) => return None,
        None if argument.starts_with('-') => return None,
        None => (false, argument),
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (authority, None),
    };
    let plain =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    plain.then(|| Origin { secure, host: host.to_owned(), port })
}

/// Asks the lab's resolver for the address of `host` and shows what it said.
fn look_up(host: &str, status: &LabStatus, world: &mut World) -> Result<Option<IpAddr>, Failure> {
    let Some(resolver) = status.service(ServiceName::Resolver).and_then(|service| service.address) else {
        return Err(Failure::Said("this lab has no resolver".into()));
    };
    let name: Name = host
        .trim_end_matches('.')
        .parse()
        .map_err(|error| Failure::Said(format!("{host} is not a domain name: {error}")))?;
    let dim = DIM;
    let said = match block_on(ask(resolver, &name))? {
        Ok(response) => response,
        Err(why) => {
            writeln!(
                world.err,
                "{dim}# {host}: the resolver {resolver} {why}; `{} status` shows how it stands{dim:#}",
                world.program
            )?;
            return Ok(None);
        }
    };
    let address = said.answers.iter().find_map(|record| match record.data {
        Data::Ipv4(address) => Some((IpAddr::V4(address), record.ttl)),
        _ => None,
    });
    match address {
        Some((address, ttl)) => {
            let aliases: Vec<String> = said
                .answers
                .iter()
                .filter(|record| record.record_type == RecordType::CNAME)
                .map(|record| format!(" → {}", record.data))
                .collect();
            writeln!(
                world.err,
                "{dim}# {host}{} → {address} (A, TTL {ttl} s, says the resolver {resolver}){dim:#}",
                aliases.concat()
            )?;
            Ok(Some(address))
        }
        None => {
            let what = if said.rcode == Rcode::NOERROR {
                "NOERROR, but no A record".into()
            } else {
                said.rcode.to_string()
            };
            writeln!(
                world.err,
                "{dim}# {host}: the resolver {resolver} says {what}, so there is no address to connect to{dim:#}"
            )?;
            Ok(None)
        }
    }
}

/// One question over UDP. The error says what the resolver did instead of answering.
async fn ask(resolver: SocketAddr, name: &Name) -> Result<Response, String> {
    let talk = async {
        let any = if resolver.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        let socket = tokio::net::UdpSocket::bind((any, 0)).await?;
        socket.connect(resolver).await?;
        let id = chance::random_u16();
        socket.send(&query(id, name, RecordType::A)).await?;
        let mut buffer = vec![0; LONGEST_ANSWER];
        loop {
            let length = socket.recv(&mut buffer).await?;
            match read_response(&buffer[..length]) {
                Ok(response) if response.id == id => return Ok::<_, std::io::Error>(response),
                // Not the answer to this question: it may still come.
                _ => {}
            }
        }
    };
    match tokio::time::timeout(ANSWER_WITHIN, talk).await {
        Err(_elapsed) => Err(format!("did not answer within {} s (is it paused?)", ANSWER_WITHIN.as_secs())),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err("refuses the question: nothing listens there".into())
        }
        Ok(Err(error)) => Err(format!("cannot be asked: {error}")),
        Ok(Ok(response)) => Ok(response),
    }
}

/// Whether this machine's settings would send curl to a proxy, out of the lab.
fn proxied() -> bool {
    ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        .iter()
        .any(|variable| std::env::var_os(variable).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(line: &str) -> Vec<String> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let certain = origins(&arguments).into_iter().filter(|(_, certain)| *certain);
        certain.map(|(origin, _)| format!("{}:{:?}", origin.host, origin.port)).collect()
    }

    #[test]
    fn names_are_found_among_curls_arguments() {
        assert_eq!(hosts("http://www.foobar.com/"), ["www.foobar.com:None"]);
        assert_eq!(hosts("-vi www.foobar.com"), ["www.foobar.com:None"]);
        assert_eq!(
            hosts("-o out.html http://user:pw@www.foobar.com:8080/a?b#c"),
            ["www.foobar.com:Some(8080)"]
        );
        assert_eq!(hosts("-H Host:x.y --data a.b http://1.2.3.4/ http://1.2.3.4/"), ["1.2.3.4:None"]);
        assert!(hosts("ftp://www.foobar.com/").is_empty());
        assert!(hosts("http:///").is_empty());
    }

    #[test]
    fn what_may_lead_elsewhere_is_known() {
        for (line, leads) in [
            ("-sL x", true),
            ("--location x", true),
            ("-K file", true),
            ("-s x", false),
            ("x", false),
            ("-XDELETE x", false),
            ("-sdHELLO x", false),
            ("-sLXDELETE x", true),
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(leads_on(&arguments), leads, "{line}");
        }
    }
}
