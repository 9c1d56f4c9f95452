//! `wwwlab cert …`: the lab's certificates: what they say, new ones, one that is taken back, one that is wrong on purpose.
//!
//! They are files of the lab, so most of this works while it is down; a lab that is up is told to show the new ones.

use crate::ground::clock;
use crate::lab::certs::told::Told;
use crate::lab::certs::{self, Certs, CertsError, Kind};
use crate::lab::config::Network;
use crate::lab::control;
use crate::lab::directory::Directory;
use crate::lab::tls::Change;

use super::screen::{BAD, BOLD, COMMAND, DIM};
use super::words::{printable, validity};
use super::{Failure, World, block_on, secure};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What there is: the authority and what it issued, how long it is valid
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// New certificates for the sites; connections that are open go on
    Renew {
        /// A new authority as well: whoever trusted the old one does not trust the new one
        #[arg(long)]
        ca: bool,
    },
    /// A certificate for any name
    Issue {
        /// The host name
        name: String,
    },
    /// Take a certificate back: its number is on the list certs/ca.crl from now on
    Revoke {
        /// The host name [default: the site's]
        name: Option<String>,
    },
    /// Which certificate the web server shows, until the lab is down
    Use {
        /// Which
        kind: Kind,
    },
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let (certs, now) = (Certs::of(directory), clock::unix_millis() / 1000);
    let config = directory.config()?;
    let sites = certs::sites(&config);
    let (dim, command) = (DIM, COMMAND);
    match &arguments.what {
        What::Show { json: true } => world.json(&certs.show())?,
        What::Show { json: false } => {
            let all = certs.show();
            if all.is_empty() {
                writeln!(
                    world.out,
                    "there are none yet: {command}{} secure{command:#} makes them",
                    world.program
                )?;
            }
            all.iter().try_for_each(|told| show(told, now, world))?;
        }
        What::Renew { ca } => {
            for told in certs.renew(&sites, *ca, now).map_err(not_made)? {
                show(&told, now, world)?;
            }
            let shown = show_anew(directory)?;
            let remark = if shown {
                "the web server shows it; open connections go on"
            } else {
                "it is shown when the lab speaks HTTPS"
            };
            writeln!(world.out, "  {dim}{remark}{dim:#}")?;
        }
        What::Issue { name } => {
            let (told, vouches) = certs.issue(&sites, name, now).map_err(not_made)?;
            show(&told, now, world)?;
            show_anew(directory)?;
            if !vouches {
                let bad = BAD;
                writeln!(
                    world.out,
                    "  {bad}the lab's authority is constrained to the lab's own names: whoever verifies this refuses it{bad:#}"
                )?;
            }
        }
        What::Revoke { name } => {
            let name = name.as_ref().unwrap_or(&config.web.name);
            let told = certs.revoke(&sites, name, now).map_err(not_made)?;
            show(&told, now, world)?;
            let list = certs.revoked();
            // What no site shows is renewed by its name alone.
            let is_shown = sites.iter().any(|site| site.names.first() == Some(name));
            let stays = if is_shown { "stays in service, and " } else { "" };
            let anew = if is_shown { "renew".to_owned() } else { format!("issue {}", printable(name)) };
            writeln!(
                world.out,
                "  {dim}it {stays}is believed by whoever does not look at the list: curl looks with --crlfile {}{dim:#}\n  {command}{} cert {anew}{command:#}",
                list.display(),
                world.program
            )?;
        }
        What::Use { kind } => {
            let status = block_on(control::status(directory))??;
            if status.tls.is_none() {
                return Err(Failure::Said(format!("the lab speaks no HTTPS: `{} secure`", world.program)));
            }
            secure::change(Change { certificate: Some(*kind), ..Change::default() }, directory, world)?;
            writeln!(world.out, "{} shows a certificate that is {}", status.site_name, describe(*kind))?;
            writeln!(
                world.out,
                "  {command}{} curl https://{}/{command:#}",
                world.program, status.site_name
            )?;
        }
    }
    Ok(0)
}

fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Good => "as it should be",
        Kind::Expired => "expired since yesterday",
        Kind::WrongName => "for another name",
        Kind::SelfSigned => "signed by itself",
    }
}

/// Has what is up show its certificates anew; whether any does.
fn show_anew(directory: &Directory) -> Result<bool, Failure> {
    let mut shown = false;
    for directory in Network::ALL.map(|network| directory.on(network)) {
        if !directory.seems_up() {
            continue;
        }
        let status = block_on(control::status(&directory))??;
        if status.tls.is_some() {
            block_on(control::ask(&directory, &control::Request::Tls(Change::default())))??;
            shown = true;
        }
        if status.private.is_some() {
            block_on(control::ask(&directory, &control::Request::Private(None)))??;
            shown = true;
        }
    }
    Ok(shown)
}

fn show(told: &Told, now: u64, world: &mut World) -> Result<(), Failure> {
    let (bold, dim, bad) = (BOLD, DIM, BAD);
    writeln!(world.out, "{bold}{}{bold:#} {dim}{}{dim:#}", printable(&told.subject), told.file.display())?;
    if !told.is_authority {
        writeln!(world.out, "  for     {}", printable(&told.names.join(", ")))?;
    }
    let by = if told.issuer == told.subject { "itself".into() } else { printable(&told.issuer) };
    writeln!(world.out, "  signed  by {by}")?;
    let valid = validity(told.until, now);
    if told.until > now && told.from <= now {
        writeln!(world.out, "  valid   {valid}")?;
    } else {
        writeln!(world.out, "  {bad}valid   {valid}{bad:#}")?;
    }
    if told.revoked {
        writeln!(world.out, "  {bad}revoked{bad:#}")?;
    }
    writeln!(world.out, "  {dim}serial  {}\n  SHA-256 {}{dim:#}", told.serial, told.sha256)?;
    Ok(())
}

fn not_made(error: CertsError) -> Failure {
    match error {
        CertsError::Name(_) => Failure::Unusable(error.to_string()),
        error => Failure::Said(crate::ground::service::causes(&error).join(": ")),
    }
}
