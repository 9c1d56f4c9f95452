//! `wwwlab path URL`: one real request, and its whole way told.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::ground::clock::{self, Stopwatch};
use crate::lab::certs::Certs;
use crate::lab::config::Network;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::firewall::ruleset::{Chain, Counter, Ruleset};
use crate::lab::firewall::{Standing, Wish};
use crate::lab::hosts::Host;
use crate::lab::journal::Wanted;
use crate::lab::network;
use crate::lab::status::LabStatus;
use crate::path::asking::{self, Asked, Seen, Target, Trust};
use crate::path::events::{Told, What};
use crate::path::model::{FORM, Party, Path, STEPS_MOST};
use crate::path::telling::{self, Cast, Counted, Firewall};
use crate::path::{compare, har, svg, waterfall};

use super::cache::Which;
use super::{Failure, World, block_on, shell};

/// Exit code where the request failed, and was told up to where.
const REQUEST_FAILED: u8 = 4;

/// Services tell at once, and in their own time when they are busy: so long their words are waited for.
const TOLD_WITHIN: Duration = Duration::from_millis(500);
/// Between two looks at what they told.
const LOOKS_EVERY: Duration = Duration::from_millis(5);

/// Where HTTPS is asked for while the lab speaks none: nobody answers there.
const HTTPS: u16 = 443;
/// The largest certificate of an authority that is read, in bytes.
const AUTHORITY_MOST: u64 = 1 << 20;

/// The largest saved path that is read, in bytes.
const SAVED_MOST: u64 = 4 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the page came; 4 it did not (where, and what to look at next, is told); 1 to 3 as those of wwwlab. \
With --compare the worse of both.")]
pub(super) struct Arguments {
    /// The page, like `http://www.foobar.com/guestbook` or `https://…` [default: the site's home page]
    #[arg(conflicts_with_all = ["last", "compare"])]
    url: Option<String>,
    /// Have the resolver forget the name first, so that it asks from the root (with --compare: before A)
    #[arg(long, conflicts_with = "last")]
    fresh: bool,
    /// The way of the last dig or curl that the services saw
    #[arg(long, conflicts_with = "compare")]
    last: bool,
    /// Two ways side by side; each a URL, or a file that --json wrote
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    compare: Option<Vec<String>>,
    /// Print JSON, which --compare reads again
    #[arg(long, conflicts_with = "har")]
    json: bool,
    /// Print an HTTP archive (HAR 1.2), for a browser's network panel
    #[arg(long, conflicts_with = "compare")]
    har: bool,
    /// Draw waterfall and hosts to a file, as a picture for a report
    #[arg(long, value_name = "FILE", conflicts_with = "compare")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    of: Which,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    if directory.network == Network::Hosts
        && !arguments.last
        && network::here(&directory.machines()).is_none()
    {
        // A request of the lab's client is made there.
        return shell::again_there(directory);
    }
    if let Some([one, other]) = arguments.compare.as_deref() {
        let before = either(one, arguments.fresh, arguments, directory, world)?;
        let after = either(other, false, arguments, directory, world)?;
        match arguments.json {
            true => world.json(&compare::Comparison::of(&before, &after))?,
            false => write!(world.out, "{}", compare::render(&before, &after, world.width))?,
        }
        return Ok(code(&before).max(code(&after)));
    }
    let path = match arguments.last {
        true => last(directory, world)?,
        false => request(arguments.url.as_deref(), arguments.fresh, arguments, directory, world)?,
    };
    if let Some(file) = &arguments.svg {
        fs::write(file, svg::draw(&path)).map_err(|error| {
            Failure::System(format!("cannot write the picture to {}", file.display()), error)
        })?;
    }
    match (arguments.json, arguments.har) {
        (true, _) => world.json(&path)?,
        (_, true) => world.json(&har::archive(&path))?,
        _ => write!(world.out, "{}", waterfall::render(&path, world.width))?,
    }
    Ok(code(&path))
}

fn code(path: &Path) -> u8 {
    if path.failure.is_some() { REQUEST_FAILED } else { 0 }
}

/// A saved path, or that of a request made now.
fn either(
    what: &str,
    fresh: bool,
    arguments: &Arguments,
    directory: &Directory,
    world: &World,
) -> Result<Path, Failure> {
    if what.contains("://") { request(Some(what), fresh, arguments, directory, world) } else { saved(what) }
}

/// Reads a path that was saved.
fn saved(file: &str) -> Result<Path, Failure> {
    let cannot = |error| Failure::System(format!("cannot read the path in {file}"), error);
    let length = fs::metadata(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Unusable(format!(
            "{file} is neither a file nor a URL: save one with `path --json URL > {file}`, or write http://…"
        )),
        _ => cannot(error),
    })?;
    if length.len() > SAVED_MOST {
        return Err(Failure::Unusable(format!(
            "{file} is too large for a path: it has {} bytes",
            length.len()
        )));
    }
    let text = fs::read(file).map_err(cannot)?;
    let path: Path = serde_json::from_slice(&text).map_err(|error| {
        Failure::Unusable(format!("{file} is no path as `wwwlab path --json` saves them: {error}"))
    })?;
    if path.form != FORM || path.steps.len() > STEPS_MOST {
        return Err(Failure::Unusable(format!(
            "{file} was saved by another version of wwwlab: save it again"
        )));
    }
    Ok(path)
}

/// Makes a request and tells its way.
fn request(
    url: Option<&str>,
    fresh: bool,
    arguments: &Arguments,
    directory: &Directory,
    world: &World,
) -> Result<Path, Failure> {
    let status = block_on(control::status(directory))??;
    let home = format!("http://{}/", status.site_name);
    let https = status.tls.as_ref().and_then(|tls| tls.addresses.first()).map_or(HTTPS, SocketAddr::port);
    let target = Target::read(url.unwrap_or(&home), status.ports.http, https)
        .map_err(|error| Failure::Unusable(error.to_string()))?;
    let resolver = status.service(arguments.of.resolver).and_then(|service| service.address);
    let Some(resolver) = resolver else {
        return Err(Failure::Said(format!("this lab has no {}", arguments.of.resolver)));
    };
    if fresh {
        // One that is down remembers nothing; the request will show that it is.
        let forget = Request::CacheFlush(arguments.of.resolver, Some(target.host.clone()));
        let _ = block_on(control::ask(directory, &forget))?;
    }
    let trust = if target.secure { trust(directory)? } else { Trust::default() };
    let asked = Asked { target, resolver, client: client(directory.network), trust };
    let before = firewalls(&status, directory)?;
    let began = clock::monotonic_micros();
    let seen = block_on(asking::ask(asked))?;
    let firewalls = counted(&before, &firewalls(&status, directory)?);
    let told = block_on(told(&seen, began, directory))??;
    Ok(telling::tell(&seen, &told, began, &cast(&status, firewalls, world)))
}

/// Tells the way of the last request.
fn last(directory: &Directory, world: &World) -> Result<Path, Failure> {
    let status = block_on(control::status(directory))??;
    let told = block_on(read(directory, 0))??;
    let firewalls = counted(&[], &firewalls(&status, directory)?);
    telling::tell_last(&told, &cast(&status, firewalls, world))
        .map_err(|error| Failure::Said(error.to_string()))
}

/// Whom the lab's client trusts: the lab's authority, once there is one.
pub(super) fn trust(directory: &Directory) -> Result<Trust, Failure> {
    let file = Certs::of(directory).authority();
    let read = || match fs::metadata(&file)?.len() {
        0..=AUTHORITY_MOST => fs::read(&file),
        _ => Err(std::io::Error::other("it is too large for a certificate")),
    };
    let unusable = |why| Failure::System(format!("cannot read whom to trust in {}", file.display()), why);
    match read() {
        Ok(pem) => match Trust::read(&pem) {
            nobody if nobody.is_nobody() => Err(Failure::Said(format!(
                "{} is no certificate: move it away, and the next need makes a new one",
                file.display()
            ))),
            trust => Ok(trust),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Trust::default()),
        Err(error) => Err(unusable(error)),
    }
}

/// Where the lab's client asks from: of a machine of its own, whatever address it has.
pub(super) fn client(network: Network) -> IpAddr {
    match network {
        Network::Loopback => Ipv4Addr::LOCALHOST.into(),
        Network::Hosts => Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// The firewalls that are in place where the site is, and wherever else one was applied. Where nft is missing there is none.
fn firewalls(status: &LabStatus, directory: &Directory) -> Result<Vec<Standing>, Failure> {
    if directory.network != Network::Hosts {
        return Ok(Vec::new());
    }
    let applied = status.firewalls.iter().map(|applied| applied.host.as_str());
    let hosts: BTreeSet<&str> = applied.chain([Host::Server.as_str()]).collect();
    let mut standing = Vec::new();
    for host in hosts {
        let wish = Wish::Show { host: host.into() };
        match block_on(control::ask(directory, &Request::Firewall(wish)))? {
            Ok(Response::Firewall(firewall)) if !firewall.ruleset.tables.is_empty() => {
                standing.push(*firewall)
            }
            Ok(Response::Firewall(_)) => {}
            // Nobody can ask a machine that is off, and nothing passes there.
            Err(ControlError::Refused(_)) => {
                let applied = status.firewalls.iter().filter(|applied| applied.host == host).cloned();
                let unknown =
                    |applied| Standing { applied, ruleset: Ruleset::default(), listing: String::new() };
                standing.extend(applied.map(unknown));
            }
            Ok(_) => return Err(ControlError::Strange(directory.name()).into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(standing)
}

/// What those that stand `after` a request counted since they stood as `before`.
fn counted(before: &[Standing], after: &[Standing]) -> Vec<Firewall> {
    let none = Ruleset::default();
    let firewall = |after: &Standing| {
        let (host, ruleset) = (&after.applied.host, &after.ruleset);
        let before = before.iter().find(|before| before.applied.host == *host);
        let counted = ruleset.counted_since(before.map_or(&none, |before| &before.ruleset));
        let counted = counted.map(|(rule, Counter { packets, bytes })| Counted {
            rule: rule.text.clone(),
            verdict: rule.verdict(),
            packets,
            bytes,
        });
        let policy = |chain: &Chain| Some(format!("{}: {}", chain.hook.as_ref()?, chain.policy.as_ref()?));
        let policies = ruleset.chains().filter_map(|(_, chain)| policy(chain)).collect();
        Firewall { host: host.clone(), policies, counted: counted.collect() }
    };
    after.iter().map(firewall).collect()
}

fn cast(status: &LabStatus, firewalls: Vec<Firewall>, world: &World) -> Cast {
    let parties = status.services.iter().map(|service| Party {
        name: service.name.as_str().into(),
        host: Some(service.host.as_str().into()),
        address: service.address,
    });
    let https = status.tls.iter().flat_map(|tls| &tls.addresses).copied().collect();
    Cast { parties: parties.collect(), https, firewalls, program: world.program.clone() }
}

/// What the services told of the request that was `seen` and began at `began` of the shared clock, once it is all there
/// or has been waited for.
async fn told(seen: &Seen, began: u64, directory: &Directory) -> Result<Vec<Told>, Failure> {
    let watch = Stopwatch::start();
    loop {
        let told = read(directory, began).await?;
        if is_whole(seen, &told) || watch.elapsed() > TOLD_WITHIN {
            return Ok(told);
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
}

/// Whether whoever answered has told so.
fn is_whole(seen: &Seen, told: &[Told]) -> bool {
    let from = |of: Option<SocketAddr>, told: &Told| match &told.what {
        What::Question(question) => Some(question.client) == of && told.service.starts_with("resolver"),
        What::Request(request) => Some(request.client) == of && told.service == "web",
        _ => false,
    };
    let looked_up = seen.lookup.as_ref().filter(|lookup| lookup.answered.is_ok());
    let connected = seen.connection.as_ref().and_then(|connection| connection.result.as_ref().ok());
    let answered = seen.exchange.as_ref().and_then(|exchange| exchange.result.as_ref().ok());
    let id = answered.and_then(|answer| answer.header("x-request-id"));
    let made = answered.and_then(|answer| answer.header("server-timing"));
    let by_app = made.is_some_and(|timing| timing.contains("app;"));
    looked_up.is_none_or(|lookup| told.iter().any(|told| from(lookup.from, told)))
        && (answered.is_none() || told.iter().any(|told| from(connected.map(|end| end.from), told)))
        && (!by_app
            || told.iter().any(|told| {
                told.service.starts_with("app")
                    && matches!(&told.what, What::Request(made) if Some(made.id.as_str()) == id)
            }))
}

/// What the services told since `since` of the shared clock.
async fn read(directory: &Directory, since: u64) -> Result<Vec<Told>, Failure> {
    match control::ask(directory, &Request::Journal(Wanted { since, ..Wanted::default() })).await? {
        Response::Journal { events, .. } => Ok(events.into_iter().filter_map(Told::of).collect()),
        _ => Err(ControlError::Strange(directory.name()).into()),
    }
}
