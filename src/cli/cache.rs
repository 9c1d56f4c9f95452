//! `wwwlab cache` and `wwwlab cache flush`: what the resolver remembers.

use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;

use super::screen::Table;
use super::up::printable;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
    let request = match &arguments.what {
        Some(What::Flush { name }) => Request::CacheFlush(name.clone()),
        None => Request::CacheList,
    };
    match block_on(control::ask(directory, &request))?? {
        Response::Done(sentence) => writeln!(world.out, "{sentence}")?,
        Response::Cache(entries, _) if arguments.json => world.json(&entries)?,
        Response::Cache(entries, _) if entries.is_empty() => {
            writeln!(
                world.out,
                "the resolver remembers nothing; ask it something: {} dig www.foobar.com",
                world.program
            )?;
        }
        Response::Cache(entries, total) => {
            let more = total.saturating_sub(entries.len());
            let mut table = Table::default()
                .column("NAME", 0)
                .column("TYPE", 0)
                .numbers("TTL", 0)
                .column("ANSWER", 1)
                .numbers("USED", 2)
                .column("SAID BY", 4)
                .column("RECORDS", 3);
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

/// A record without its owner, TTL and class, which stand in other columns: `A 127.0.0.1`.
fn data_of(record: &str) -> &str {
    record.splitn(4, ' ').nth(3).unwrap_or(record)
}
