//! `wwwlab secure` and `wwwlab unsecure`: HTTPS, and DNS in private, on a lab that is up, and back to the stack as it was.

use std::time::Duration;

use crate::lab::config::{Network, Tls};
use crate::lab::control::{self, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;
use crate::lab::tls::Change;

use super::screen::{BOLD, COMMAND, DIM, quoted};
use super::status::{https, private};
use super::{Failure, World, block_on};

/// What browsers remember at most, in seconds: two years.
const HSTS_MOST: u64 = 2 * 366 * 86_400;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Redirect whoever asks by plain HTTP
    #[arg(long)]
    only: bool,
    /// Tell browsers for so long to ask by HTTPS alone, e.g. 1day; 0s: not any more
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    hsts: Option<Duration>,
    /// Have DNS asked in private as well: over HTTPS, TLS and QUIC at the resolver, over TLS and QUIC at dns
    #[arg(long)]
    dns: bool,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let hsts_seconds = arguments.hsts.map(|time| time.as_secs());
    if hsts_seconds.is_some_and(|seconds| seconds > HSTS_MOST) {
        return Err(Failure::Unusable("--hsts is two years at most".into()));
    }
    let tls = Some(if arguments.only { Tls::Only } else { Tls::On });
    change(Change { tls, certificate: None, hsts_seconds }, directory, world)?;
    if arguments.dns {
        ask(&Request::Private(Some(true)), directory, world)?;
    }
    let status = block_on(control::status(directory))??;
    let (bold, dim, command) = (BOLD, DIM, COMMAND);
    let Some(tls) = &status.tls else {
        return Err(Failure::Said("the lab was told to go back meanwhile".into()));
    };
    let site = &status.site_name;
    let places: Vec<String> = tls.addresses.iter().map(ToString::to_string).collect();
    writeln!(world.out, "{bold}{site} speaks HTTPS{bold:#} at {}", places.join(" and "))?;
    https(&status, world)?;
    private(&status, world)?;
    let port = tls.addresses.first().map_or(443, std::net::SocketAddr::port);
    let address = tls.addresses.first().map(|address| address.ip().to_string()).unwrap_or_default();
    let url = if port == 443 { format!("https://{site}/") } else { format!("https://{site}:{port}/") };
    let authority = quoted(tls.authority.as_ref());
    let program = &world.program;
    let mut lines = vec![(format!("{program} curl https://{site}/"), "name, certificate and page")];
    match directory.network {
        Network::Loopback => {
            let line = format!("curl --cacert {authority} --resolve {site}:{port}:{address} {url}");
            lines.push((line, "the same without wwwlab"));
        }
        Network::Hosts => lines.push((format!("{program} shell -- curl {url}"), "the client trusts the lab")),
    }
    let carried = status.published.iter().find(|published| tls.addresses.contains(&published.there));
    if let Some(published) = carried {
        let line = format!("curl --cacert {authority} --connect-to ::{} {url}", published.here);
        lines.push((line, "the same from this machine, carried into the network"));
    }
    let resolver = status.private.iter().flat_map(|private| &private.services).next();
    if let Some((tls, url)) =
        resolver.and_then(|resolver| Some((resolver.tls.first()?, resolver.https.first()?)))
    {
        let plain = status.service(ServiceName::Web).and_then(|web| web.address);
        let plain = plain.map_or(80, |address| address.port());
        let page = if plain == 80 { format!("http://{site}/") } else { format!("http://{site}:{plain}/") };
        let on_the_client = match directory.network {
            Network::Loopback => String::new(),
            Network::Hosts => format!("{program} shell -- "),
        };
        let dig = format!("dig +tls +tls-ca={authority} +tls-hostname=resolver.foobar.com @{}", tls.ip());
        let line = format!("{on_the_client}{dig} -p {} {site}", tls.port());
        lines.push((line, "DNS over TLS: nobody on the way reads the name"));
        let line = format!("{on_the_client}curl --doh-url {url} --cacert {authority} {page}");
        lines.push((line, "DNS over HTTPS: a name of the lab, known to the real curl"));
    }
    lines.push((format!("{program} cert use expired"), "what a certificate is for: curl again"));
    lines.push((format!("{program} unsecure"), "plain HTTP alone, as it was"));
    writeln!(world.out, "\n{bold}Try{bold:#}")?;
    for (line, why) in lines {
        writeln!(world.out, "  {command}{line}{command:#}\n      {dim}{why}{dim:#}")?;
    }
    Ok(0)
}

pub(super) fn undo(directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    change(Change { tls: Some(Tls::Off), ..Change::default() }, directory, world)?;
    let was_private = block_on(control::status(directory))??.private.is_some();
    if was_private {
        ask(&Request::Private(Some(false)), directory, world)?;
    }
    let status = block_on(control::status(directory))??;
    let web = status.service(ServiceName::Web).and_then(|web| web.address);
    let at = web.map(|address| format!(" at {address}")).unwrap_or_default();
    let command = COMMAND;
    writeln!(
        world.out,
        "{} speaks plain HTTP alone{at}: whoever is on the way reads along",
        status.site_name
    )?;
    if was_private {
        writeln!(world.out, "DNS is asked in the clear alone: so is which site is visited")?;
    }
    writeln!(world.out, "  {command}{} secure{command:#}", world.program)?;
    Ok(0)
}

/// Has the lab make `change`.
pub(super) fn change(change: Change, directory: &Directory, world: &mut World) -> Result<(), Failure> {
    ask(&Request::Tls(change), directory, world)
}

fn ask(request: &Request, directory: &Directory, world: &mut World) -> Result<(), Failure> {
    if let Response::Done(remark) = block_on(control::ask(directory, request))??
        && !remark.is_empty()
    {
        writeln!(world.out, "{remark}")?;
    }
    Ok(())
}
