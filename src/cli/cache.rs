//! `wwwlab cache` and `wwwlab cache flush`: what a resolver remembers.

use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;

use super::screen::Table;
use super::words::printable;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    of: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Names a resolver, in a lab that has several.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Of several resolvers, this one
    #[arg(long, global = true, value_name = "NAME", default_value = "resolver", value_parser = resolver_named)]
    pub(super) resolver: ServiceName,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Forget everything, or one name, so that the next question is asked from the root again
    Flush {
        /// Only what is known of this name
        name: Option<String>,
    },
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let resolver = arguments.of.resolver;
    let request = match &arguments.what {
        Some(What::Flush { name }) => Request::CacheFlush(resolver, name.clone()),
        None => Request::CacheList(resolver),
    };
    match block_on(control::ask(directory, &request))?? {
        Response::Done(sentence) => writeln!(world.out, "{sentence}")?,
        Response::Cache(entries, _) if arguments.json => world.json(&entries)?,
        Response::Cache(entries, _) if entries.is_empty() => {
            let (who, at) = match resolver {
                ServiceName::Resolver => ("the resolver".to_owned(), String::new()),
                other => (other.to_string(), format!("@{other} ")),
            };
            writeln!(
                world.out,
                "{who} remembers nothing; ask it something: {} dig {at}www.foobar.com",
                world.program
            )?;
        }
        Response::Cache(entries, total) => {
            let more = total.saturating_sub(entries.len());
            let mut table = Table::default()
                .column("NAME", 0)
                .column("TYPE", 0)
                .numbers("TTL", 0)
                .column("ANSWER", 2)
                .numbers("USED", 3)
                .column("SAID BY", 4)
                .folding("RECORDS", 1);
            for entry in entries {
                // The first record beside the count of the rest; `--json` has them all.
                let rest = entry.records.len().saturating_sub(1);
                let first =
                    entry.records.first().map(|record| printable(data_of(record))).unwrap_or_default();
                let records = if rest == 0 { first } else { format!("{first} (+{rest})") };
                table.row([
                    printable(&entry.name).into(),
                    entry.record_type.into(),
                    format!("{} s", entry.ttl_seconds).into(),
                    entry.outcome.into(),
                    entry.hits.to_string().into(),
                    entry.said_by.map(|server| server.ip().to_string()).unwrap_or_default().into(),
                    records.into(),
                ]);
            }
            write!(world.out, "{}", table.render(world.width))?;
            if more > 0 {
                writeln!(world.out, "  and {more} more, which end later")?;
            }
        }
        _ => return Err(ControlError::Strange(directory.name()).into()),
    }
    Ok(0)
}

fn resolver_named(name: &str) -> Result<ServiceName, String> {
    ServiceName::RESOLVERS.into_iter().find(|resolver| resolver.as_str() == name).ok_or_else(|| {
        format!("a resolver is one of {}", ServiceName::RESOLVERS.map(ServiceName::as_str).join(", "))
    })
}

/// A record without its owner, TTL and class, which stand in other columns: `A 127.0.0.1`.
fn data_of(record: &str) -> &str {
    record.splitn(4, ' ').nth(3).unwrap_or(record)
}
