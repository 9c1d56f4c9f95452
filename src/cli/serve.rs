//! `wwwlab serve NAME`: one service in this process.
//!
//! The supervisor starts services so; a student may too, with the arguments that `ps` shows. Started by hand,
//! a service prints what it would report, and ^C ends it.

use std::io::Write;

use crate::ground::channel::{self, Report};
use crate::ground::service::Service;
use crate::services::app::{self, App};
use crate::services::authoritative::{self, Authoritative};
use crate::services::database::withhold::{self, Withheld};
use crate::services::resolver::{self, Resolver};
use crate::services::run::{Upward, run as run_service};
use crate::services::web::{self, Web};

use super::words::printable;
use super::{Failure, World, event_loop};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    service: Which,
}

#[derive(Debug, clap::Subcommand)]
enum Which {
    /// Recursive resolver
    #[command(aliases = ["resolver2", "resolver3", "resolver4"])]
    Resolver(resolver::Config),
    /// Name server of the root zone
    Root(authoritative::Config),
    /// Name server of com.
    Tld(authoritative::Config),
    /// Name server of foobar.com.
    Dns(authoritative::Config),
    /// Second name server of foobar.com.
    Dns2(authoritative::Config),
    /// Web server
    Web(Box<web::Config>),
    /// Application server
    #[command(aliases = ["app2", "app3", "app4"])]
    App(app::Config),
    /// Take a database away from its application, by an exclusive lock on its file or on a server's tables
    Db(withhold::Config),
}

pub(super) fn run(arguments: Arguments, world: &mut World) -> Result<u8, Failure> {
    match arguments.service {
        Which::Resolver(config) => serve::<Resolver>(config, world),
        Which::Root(config) | Which::Tld(config) | Which::Dns(config) | Which::Dns2(config) => {
            serve::<Authoritative>(config, world)
        }
        Which::Web(config) => serve::<Web>(*config, world),
        Which::App(config) => serve::<App>(config, world),
        Which::Db(config) => serve::<Withheld>(config, world),
    }
}

fn serve<S: Service>(config: S::Config, world: &mut World) -> Result<u8, Failure> {
    let system = |error| Failure::System("cannot serve".into(), error);
    let event_loop = event_loop()?;
    let started = event_loop.block_on(async {
        let upward = match channel::on_descriptor_0()? {
            Some(supervisor) => Upward::Supervisor(supervisor),
            None => Upward::Hand(Box::new(|report| print(report, &mut *world.out, &mut *world.err))),
        };
        run_service::<S>(config, upward).await
    });
    // What is still being read (a large zone, say) is read for nobody any more.
    event_loop.shutdown_background();
    let started = started.map_err(system)?;
    Ok(u8::from(!started))
}

fn print(report: &Report, out: &mut dyn Write, err: &mut dyn Write) {
    // Whoever does not read what a service says does not stop it from serving.
    let _ = match report {
        Report::Ready { listening, .. } if listening.is_empty() => writeln!(out, "ready"),
        Report::Ready { listening, .. } => {
            let places: Vec<String> =
                listening.iter().map(|l| format!("{}/{}", l.address, l.transport)).collect();
            writeln!(out, "ready at {}", places.join(", "))
        }
        Report::Failed { causes } => writeln!(err, "wwwlab: {}", causes.join(": ")),
        Report::Happened { what, .. } => writeln!(out, "{}", printable(&what.to_string())),
        Report::Reply { .. } => Ok(()),
    };
    let _ = out.flush();
}
