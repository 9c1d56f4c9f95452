//! `wwwlab zone sign`, `unsign`, `roll`, `break` and `mend`: DNSSEC on a lab that is up, another key, what can be wrong with it,
//! and back to zones as their files are.

use crate::cli::screen::{BOLD, COMMAND, DIM, quoted};
use crate::cli::{Failure, World, block_on};
use crate::ground::clock;
use crate::ground::dnssec::Wrong;
use crate::lab::config::Network;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::dnssec::{self, Change};
use crate::lab::hosts::ServiceName;

/// Signs zones; without any, all.
pub(super) fn sign(zones: &[String], directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    change(Change::Sign(zones.to_vec()), directory)?;
    let signed = signed(directory)?;
    let (bold, dim, command) = (BOLD, DIM, COMMAND);
    writeln!(world.out, "{bold}signed{bold:#}: {}", signed.join(" "))?;
    if !signed.iter().any(|zone| zone == ".") {
        let program = &world.program;
        writeln!(
            world.out,
            "the root is not signed, so nobody has a reason to believe it: `{program} zone sign` signs all"
        )?;
        return Ok(0);
    }
    writeln!(world.out, "the resolver validates, and has forgotten what it heard before")?;
    let status = block_on(control::status(directory))??;
    let (site, program) = (&status.site_name, &world.program);
    let port = status.ports.dns;
    let at = status.service(ServiceName::Resolver).and_then(|resolver| resolver.address);
    let server = at.map(|at| at.ip().to_string()).unwrap_or_default();
    let ported = if port == 53 { String::new() } else { format!(" -p {port}") };
    let here = match directory.network {
        Network::Loopback => format!("@{server}{ported}"),
        Network::Hosts => String::new(),
    };
    let shell = match directory.network {
        Network::Loopback => String::new(),
        Network::Hosts => format!("{program} shell -- "),
    };
    let anchor = quoted(dnssec::anchor_conf(directory).as_ref());
    let spaced = if here.is_empty() { String::new() } else { format!(" {here}") };
    writeln!(world.out, "\n{bold}Try{bold:#}")?;
    for (line, why) in [
        (
            format!("{shell}delv -a {anchor}{spaced} {site}"),
            "validates by itself, from the root's key: \"fully validated\"",
        ),
        (
            format!("{shell}dig{spaced} +dnssec {site}"),
            "the flag ad: the resolver has validated; RRSIG: with what",
        ),
        (format!("{program} zone break foobar.com expired"), "what an old signature is worth: dig again"),
        (format!("{program} zone unsign"), "zones as their files are"),
    ] {
        writeln!(world.out, "  {command}{line}{command:#}\n      {dim}{why}{dim:#}")?;
    }
    Ok(0)
}

/// Serves zones as their files are; without any, all.
pub(super) fn unsign(zones: &[String], directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    change(Change::Unsign(zones.to_vec()), directory)?;
    let signed = signed(directory)?;
    match signed.is_empty() {
        true => writeln!(world.out, "no zone is signed: whoever answers first is believed")?,
        false => writeln!(world.out, "still signed: {}", signed.join(" "))?,
    }
    Ok(0)
}

/// Gives a signed zone another key: begins that, or ends it `now`.
pub(super) fn roll(zone: &str, now: bool, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let wanted = if now { Change::Replace(zone.to_owned()) } else { Change::Roll(zone.to_owned()) };
    change(wanted, directory)?;
    let is_it = |origin: &str| origin.trim_end_matches('.').eq_ignore_ascii_case(zone.trim_end_matches('.'));
    let Response::Zones(zones) = block_on(control::ask(directory, &Request::ZoneList))?? else {
        return Err(ControlError::Strange(directory.name()).into());
    };
    let state = zones.into_iter().map(|(_, state)| state).find(|state| is_it(&state.origin));
    let Some(signed) = state.and_then(|state| state.signed) else {
        writeln!(world.out, "{zone}: its name server is down, and will sign so when it starts")?;
        return Ok(0);
    };
    let program = &world.program;
    let (tag, dim) = (signed.tag, DIM);
    let Some(next) = signed.rolling else {
        writeln!(world.out, "{zone}: key {tag} signs alone, and the former one is gone")?;
        if now {
            writeln!(
                world.out,
                "{dim}a resolver that remembers only the former one refuses what it has not heard yet, until that is over; `{program} cache flush` has it forget{dim:#}"
            )?;
        }
        return Ok(0);
    };
    writeln!(world.out, "{zone}: keys {tag} and {} both sign, and both are vouched for", next.tag)?;
    if let Some(until) = next.until {
        let at = clock::rfc3339(u64::from(until) * 1000);
        writeln!(world.out, "{tag} goes at {at}, when nobody can remember a time without {}", next.tag)?;
    }
    writeln!(
        world.out,
        "{dim}`{program} zone list` shows it; `{program} zone roll {zone} --now` does not wait{dim:#}"
    )?;
    Ok(0)
}

/// Has something wrong with a signed zone.
pub(super) fn spoil(
    zone: &str,
    wrong: Wrong,
    directory: &Directory,
    world: &mut World,
) -> Result<u8, Failure> {
    change(Change::Break(zone.to_owned(), wrong), directory)?;
    let what = match wrong {
        Wrong::Expired => "the time of all its signatures was over the day before yesterday",
        Wrong::WrongDs => "its parent's DS is that of no key",
        Wrong::MissingRrsig => "its addresses are not signed",
    };
    let program = &world.program;
    writeln!(world.out, "{zone}: {what}; `{program} zone mend {zone}` ends it")?;
    Ok(0)
}

/// Has nothing wrong with it any more; without a zone, with none.
pub(super) fn mend(zone: Option<&str>, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    change(Change::Mend(zone.map(str::to_owned)), directory)?;
    writeln!(world.out, "{}: nothing is wrong on purpose", zone.unwrap_or("every signed zone"))?;
    Ok(0)
}

fn change(change: Change, directory: &Directory) -> Result<(), Failure> {
    block_on(control::ask(directory, &Request::Dnssec(change)))??;
    Ok(())
}

/// The zones that are signed.
fn signed(directory: &Directory) -> Result<Vec<String>, Failure> {
    let Response::Zones(zones) = block_on(control::ask(directory, &Request::ZoneList))?? else {
        return Err(ControlError::Strange(directory.name()).into());
    };
    let mut signed: Vec<String> =
        zones.into_iter().filter(|(_, zone)| zone.signed.is_some()).map(|(_, zone)| zone.origin).collect();
    signed.sort();
    Ok(signed)
}
