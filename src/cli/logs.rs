//! `wwwlab logs [SERVICE] [-f] [--json]`: what the services logged, in the order of its time.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::lab::control::ControlError;
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;
use crate::lab::log::json_beside;

use super::screen::BOLD;
use super::words::printable;
use super::{Failure, World};

/// Followed files are looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The end of a log that is read for its last lines, in bytes.
const TAIL: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this service's [default: all]
    service: Option<ServiceName>,
    /// Go on showing what comes; ^C ends it
    #[arg(short, long)]
    follow: bool,
    /// The last so many lines
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
    lines: usize,
    /// Print each event as a line of JSON, with all that is known of it
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let services = arguments.service.map_or(ServiceName::ALL.to_vec(), |service| vec![service]);
    let place = |service: ServiceName| match directory.log(service.as_str()) {
        log if arguments.json => json_beside(&log),
        log => log,
    };
    let mut logs: Vec<Followed> =
        services.iter().map(|&service| Followed::new(service, place(service))).collect();
    if let Some(error) = logs.iter().find_map(|log| log.path.try_exists().err()) {
        return Err(Failure::System(format!("cannot read the logs of {}", directory.name()), error));
    }
    if logs.iter().all(|log| !log.path.exists()) {
        return Err(Failure::Said(format!(
            "{} has logged nothing yet: has it ever been up?",
            directory.name()
        )));
    }
    let form = match services.len() {
        _ if arguments.json => Form::Json,
        1 => Form::Text,
        _ => Form::NamedText,
    };
    let mut entries = Vec::new();
    for log in &mut logs {
        log.tail(&mut entries)?;
    }
    print(&mut entries, arguments.lines, form, world)?;
    if !arguments.follow {
        return Ok(0);
    }
    loop {
        world.out.flush()?;
        // Seen before the last look, so that the last words are read.
        let up = directory.control_socket().exists();
        std::thread::sleep(LOOK_EVERY);
        for log in &mut logs {
            log.read_on(&mut entries)?;
        }
        print(&mut entries, usize::MAX, form, world)?;
        if !up {
            return Err(ControlError::NotUp(directory.name()).into());
        }
    }
}

/// How lines are printed.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// As they are: they name their service themselves.
    Json,
    Text,
    /// Each behind its service.
    NamedText,
}

/// Prints the last `most` of `entries` by time, and forgets them.
fn print(
    entries: &mut Vec<(ServiceName, String)>,
    most: usize,
    form: Form,
    world: &mut World,
) -> io::Result<()> {
    // Lines start with their time, so that they sort by it; the sort keeps equal ones in order.
    entries.sort_by(|(_, one), (_, other)| one.get(..24).cmp(&other.get(..24)));
    let bold = BOLD;
    let surplus = entries.len().saturating_sub(most);
    for (service, text) in entries.drain(..).skip(surplus) {
        match form {
            Form::Json => writeln!(world.out, "{text}")?,
            Form::Text => writeln!(world.out, "{}", printable(&text))?,
            Form::NamedText => writeln!(world.out, "{bold}{service:<8}{bold:#} {}", printable(&text))?,
        }
    }
    Ok(())
}

/// A log file that is read as it grows, also after it was turned over.
struct Followed {
    service: ServiceName,
    path: PathBuf,
    file: Option<File>,
    /// What was read of a line that has not ended.
    rest: Vec<u8>,
}

impl Followed {
    fn new(service: ServiceName, path: PathBuf) -> Self {
        Self { service, path, file: None, rest: Vec::new() }
    }

    /// Reads the end of what is there.
    fn tail(&mut self, entries: &mut Vec<(ServiceName, String)>) -> io::Result<()> {
        let Ok(mut file) = File::open(&self.path) else {
            return Ok(());
        };
        let length = file.metadata()?.len();
        if length > TAIL {
            file.seek(SeekFrom::End(-i64::try_from(TAIL).unwrap_or(i64::MAX)))?;
        }
        self.file = Some(file);
        self.take(entries)?;
        if length > TAIL && !entries.is_empty() {
            // The first line was met in its middle.
            let first = entries.iter().position(|(service, _)| *service == self.service).unwrap_or(0);
            entries.remove(first);
        }
        Ok(())
    }

    /// Reads what came since.
    fn read_on(&mut self, entries: &mut Vec<(ServiceName, String)>) -> io::Result<()> {
        self.take(entries)?;
        let open = self.file.as_ref().and_then(|file| file.metadata().ok());
        let there = fs::metadata(&self.path).ok();
        let turned_over = match (&open, &there) {
            (Some(open), Some(there)) => open.ino() != there.ino(),
            (None, Some(_)) => true,
            _ => false,
        };
        if turned_over {
            self.file = File::open(&self.path).ok();
            self.take(entries)?;
        }
        Ok(())
    }

    fn take(&mut self, entries: &mut Vec<(ServiceName, String)>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let text = String::from_utf8_lossy(&line[..line.len() - 1]).into_owned();
            match entries.last_mut() {
                // A line without a time belongs to the one before it.
                Some((service, entry)) if *service == self.service && text.starts_with(' ') => {
                    entry.push('\n');
                    entry.push_str(&text);
                }
                _ => entries.push((self.service, text)),
            }
        }
        Ok(())
    }
}
