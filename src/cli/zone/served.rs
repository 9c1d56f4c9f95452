//! `wwwlab zone list`, `use` and `show`: the zones in service, and the switch between a zone's variants.
//!
//! A variant of a zone is a file beside its own: `foobar.com.cname.zone` is the variant `cname` of
//! `foobar.com.zone`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::screen::{BAD, Table};
use crate::cli::{Failure, World, block_on};
use crate::ground::channel::{Rolling, ZoneSigned};
use crate::ground::clock;
use crate::lab::config::{Config, Network};
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;

pub(super) fn list(json: bool, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let Response::Zones(zones) = block_on(control::ask(directory, &Request::ZoneList))?? else {
        return Err(ControlError::Strange(directory.name()).into());
    };
    if json {
        let zones: Vec<_> = zones
            .iter()
            .map(|(server, zone)| serde_json::json!({ "server": server, "zone": zone }))
            .collect();
        world.json(&zones)?;
        return Ok(0);
    }
    let root = format!("{}/", directory.root.display());
    let any_signed = zones.iter().any(|(_, zone)| zone.signed.is_some());
    let mut table =
        Table::default().column("ZONE", 0).column("SERVER", 1).numbers("SERIAL", 0).numbers("RECORDS", 3);
    if any_signed {
        table = table.folding("SIGNED", 0);
    }
    let mut table = table.column("FILE", 2);
    for (server, zone) in &zones {
        let serial = zone.serial.map_or("none".to_owned(), |serial| serial.to_string());
        let file = zone.file.strip_prefix(&root).unwrap_or(&zone.file).to_owned();
        let mut row = vec![zone.origin.clone(), server.as_str().into(), serial, zone.records.to_string()];
        row.extend(any_signed.then(|| zone.signed.as_ref().map_or("no".into(), told)));
        row.push(file);
        table.row(row.into_iter().map(Into::into));
    }
    write!(world.out, "{}", table.render(world.width))?;
    let bad = BAD;
    for problem in zones.iter().flat_map(|(_, zone)| &zone.problems) {
        writeln!(world.out, "  {bad}{problem}{bad:#}")?;
    }
    Ok(0)
}

/// How a zone is signed, in short.
fn told(signed: &ZoneSigned) -> String {
    let ZoneSigned { algorithm, tag, rolling, until, wrong, .. } = signed;
    if let Some(Rolling { tag: next, until }) = rolling {
        let at = until.map(|until| format!(" from {}", clock::rfc3339(u64::from(until) * 1000)));
        return format!(
            "{} {tag} and {next}, which signs alone{}",
            algorithm.as_str(),
            at.unwrap_or_default()
        );
    }
    let until = clock::rfc3339(u64::from(*until) * 1000);
    let day = until.get(..10).unwrap_or(&until);
    let wrong = wrong.map(|wrong| format!(", {} on purpose", wrong.as_str())).unwrap_or_default();
    format!("{} {tag} until {day}{wrong}", algorithm.as_str())
}

/// The zone as master-file text.
pub(super) fn show(origin: &str, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let request = Request::ZoneShow { origin: origin.to_owned() };
    let Response::Zone(text) = block_on(control::ask(directory, &request))?? else {
        return Err(ControlError::Strange(directory.name()).into());
    };
    write!(world.out, "{text}")?;
    Ok(0)
}

pub(super) fn switch(
    origin: &str,
    variant: Option<&Path>,
    directory: &Directory,
    world: &mut World,
) -> Result<u8, Failure> {
    let config = directory.config()?;
    let own = own_file(&config, directory.network, origin).map(|file| directory.root.join(file)).ok_or_else(
        || {
            Failure::Said(format!(
                "no name server of this lab publishes {origin}: `{} zone list`",
                world.program
            ))
        },
    )?;
    let file = match variant {
        None => own,
        Some(file) if file.components().count() > 1 || file.is_file() => file
            .canonicalize()
            .map_err(|error| Failure::System(format!("cannot read {}", file.display()), error))?,
        Some(name) => variant_file(&own, &name.display().to_string())?,
    };
    let request = Request::ZoneUse { origin: origin.to_owned(), file };
    if let Response::Done(sentence) = block_on(control::ask(directory, &request))?? {
        writeln!(world.out, "{sentence}")?;
        let program = &world.program;
        writeln!(
            world.out,
            "the resolver may still remember the old answers: `{program} cache` shows for how long, `{program} cache flush` forgets them"
        )?;
    }
    Ok(0)
}

fn own_file(config: &Config, network: Network, origin: &str) -> Option<PathBuf> {
    let same = |known: &str| known.trim_end_matches('.').eq_ignore_ascii_case(origin.trim_end_matches('.'));
    [ServiceName::Dns, ServiceName::Tld, ServiceName::Root].into_iter().find_map(|server| {
        config.zones(server, network).into_iter().find(|(known, _)| same(known)).map(|(_, file)| file)
    })
}

/// The file of the variant `name` of the zone in `own`.
fn variant_file(own: &Path, name: &str) -> Result<PathBuf, Failure> {
    let file = own.with_extension(format!("{name}.zone"));
    if file.is_file() {
        return Ok(file);
    }
    let known = variants(own);
    let known =
        if known.is_empty() { "it has none".to_owned() } else { format!("it has: {}", known.join(", ")) };
    Err(Failure::Said(format!(
        "{} has no variant {name:?} ({} is not there); {known}",
        own.display(),
        file.display()
    )))
}

fn variants(own: &Path) -> Vec<String> {
    let Some(stem) = own.file_stem().and_then(|stem| stem.to_str()) else {
        return Vec::new();
    };
    let beside = own.parent().and_then(|parent| fs::read_dir(parent).ok()).into_iter().flatten().flatten();
    let mut names: Vec<String> = beside
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let variant = name.strip_prefix(stem)?.strip_prefix('.')?.strip_suffix(".zone")?;
            Some(variant.to_owned())
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_found_beside_the_zone() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("foobar.com.zone");
        for name in ["foobar.com.zone", "foobar.com.cname.zone", "foobar.com.zone.bak", "com.zone"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(variants(&own), ["cname"]);
        assert_eq!(variant_file(&own, "cname").unwrap(), directory.path().join("foobar.com.cname.zone"));
        let error = variant_file(&own, "other").unwrap_err().to_string();
        assert!(error.ends_with("it has: cname"), "{error}");
    }
}
