//! `wwwlab up`: bring the lab up, say where everything is and what to try, then show what happens.

use std::io::Write;
use std::os::fd::AsFd;
use std::str::FromStr;
use std::sync::mpsc;
use std::time::Duration;

use crate::ground::clock::{self, Stopwatch};
use crate::ground::event::{Event, Happened, Micros};
use crate::lab::config::Network;
use crate::lab::control;
use crate::lab::database::Wish;
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;
use crate::lab::network::publish::{self, Publication};
use crate::lab::status::{LabStatus, State};
use crate::lab::supervisor::{Lab, UpError};

use super::quit::asked_to_quit;
use super::screen::{BAD, BOLD, COMMAND, DIM, GOOD, LIMITED, Table, quoted};
use super::words::printable;
use super::{Failure, Place, World, block_on, detached};

/// Lines that may wait for a terminal that stands still (^S).
const LINES_MOST: usize = 1024;
/// The last lines are on the screen by then, or never.
const SHOWN_WITHIN: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Come up in the background and return
    #[arg(short, long)]
    detach: bool,
    /// Which database: sqlite, mysql (a server of the lab's own), or mysql://USER:PASSWORD@HOST:PORT/NAME of one that runs
    /// already; with a password better in this variable [default: as lab.toml says, else sqlite]
    #[arg(long, value_name = "DATABASE", env = DATABASE_VARIABLE, hide_env_values = true)]
    db: Option<String>,
    /// What of network `hosts` can be reached from this machine: web (at 127.0.0.1:8080, by HTTPS at 127.0.0.1:8443), resolver
    /// (127.0.0.2:5300), dns (127.0.0.1:5300), …; may be repeated [default: as lab.toml says, else nothing]
    #[arg(long, value_name = "SERVICE[:PORT[:HTTPS-PORT]]", value_parser = Publication::from_str)]
    publish: Vec<Publication>,
    /// From which the chances of faults are drawn [default: as lab.toml says, else each run has its own]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u32>,
    /// This is the detached lab itself: reports on descriptor 0
    #[arg(long, hide = true)]
    detached: bool,
    /// With --detached: ends when nobody needs it any more
    #[arg(long, hide = true)]
    while_needed: bool,
}

/// Says which database as `--db` does, and is seen by nobody else.
pub(super) const DATABASE_VARIABLE: &str = "WWWLAB_DB_URL";

pub(super) fn run(arguments: &Arguments, place: &Place, world: &mut World) -> Result<u8, Failure> {
    let watch = Stopwatch::start();
    let directory = place.find_to_bring_up()?;
    let wish = arguments.db.as_deref().filter(|text| !text.is_empty()).map(Wish::parse);
    let wish = wish.transpose().map_err(UpError::from)?;
    publish::apart(&arguments.publish).map_err(Failure::Said)?;
    let publish = Some(arguments.publish.clone()).filter(|list| !list.is_empty());
    if arguments.detached {
        return block_on(detached::live(directory, wish, publish, arguments.seed, arguments.while_needed))?;
    }
    if arguments.detach {
        return detach(arguments, place, &directory, world, watch);
    }
    block_on(async {
        let quit =
            asked_to_quit().map_err(|error| Failure::System("cannot watch for signals".into(), error))?;
        tokio::pin!(quit);
        let lab = tokio::select! {
            lab = Lab::up(directory.clone(), wish, publish, arguments.seed, |text| progress(text, world)) => lab?,
            // What was started so far is killed as it is dropped.
            () = &mut quit => return Err(Failure::Said("ended before the lab was up".into())),
        };
        introduce(&lab.status(), place, &directory, Beside::Events, world, watch.micros())?;
        let (bold, dim) = (BOLD, DIM);
        writeln!(world.out, "{bold}What happens{bold:#} {dim}(^C ends the lab){dim:#}")?;
        world.out.flush()?;
        let screen = Screen::open()?;
        let root = format!("{}/", directory.root.display());
        lab.run(quit, |event| screen.show(line(event, &root))).await;
        screen.show("wwwlab: everything is down".into());
        screen.close();
        Ok(0)
    })?
}

/// Prints lines on a thread of its own: a terminal that stands still (^S), or a reader that does not read, must not
/// make the lab stand still, nor keep it from ending. What cannot be shown is only in the logs.
struct Screen {
    lines: mpsc::SyncSender<String>,
    done: mpsc::Receiver<()>,
}

impl Screen {
    fn open() -> std::io::Result<Self> {
        // A handle of its own: a thread that is stuck would hold the lock of the standard output.
        let out = std::fs::File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        let mut out = anstream::AutoStream::new(out, anstream::AutoStream::choice(&std::io::stdout()));
        let (lines, waiting) = mpsc::sync_channel::<String>(LINES_MOST);
        let (finish, done) = mpsc::channel();
        std::thread::spawn(move || {
            // Whoever read this may be gone; the lab goes on until it is told to end.
            let _ = waiting.iter().try_for_each(|line| writeln!(out, "{line}"));
            let _ = finish.send(());
        });
        Ok(Self { lines, done })
    }

    fn show(&self, line: String) {
        let _ = self.lines.try_send(line);
    }

    /// Waits for the last lines, but not for ever.
    fn close(self) {
        drop(self.lines);
        let _ = self.done.recv_timeout(SHOWN_WITHIN);
    }
}

/// Has the lab come up in the background, and introduces it.
fn detach(
    arguments: &Arguments,
    place: &Place,
    directory: &Directory,
    world: &mut World,
    watch: Stopwatch,
) -> Result<u8, Failure> {
    let database = arguments.db.as_deref();
    let (publish, seed) = (&arguments.publish, arguments.seed);
    block_on(detached::start(directory, place, database, publish, seed, detached::Until::Ended, |text| {
        progress(text, world)
    }))??;
    let status = block_on(control::status(directory))??;
    introduce(&status, place, directory, Beside::Prompt, world, watch.micros())?;
    let (command, program) = (COMMAND, &world.program);
    writeln!(world.out, "The lab goes on in the background; {command}{program} down{command:#} ends it.")?;
    Ok(0)
}

/// Shows what the lab does before it is up, since it takes long.
pub(super) fn progress(text: &str, world: &mut World) {
    let dim = DIM;
    let _ = writeln!(world.err, "{dim}{} …{dim:#}", printable(text)).and_then(|()| world.err.flush());
}

/// One event as a line: time, service, what; files are named from the lab directory `root`.
pub(super) fn line(event: &Event, root: &str) -> String {
    let style = match &event.what {
        Happened::State { state, .. } if state == "running" => GOOD,
        Happened::State { .. } => LIMITED,
        Happened::ZoneRefused { .. } | Happened::PortTaken { .. } => BAD,
        Happened::Request { status: 500.., .. } => BAD,
        _ => anstyle::Style::new(),
    };
    let time = clock::rfc3339(event.when.at);
    let time = time.get(11..23).unwrap_or(&time);
    let (dim, bold) = (DIM, BOLD);
    format!(
        "{dim}{time}{dim:#} {bold}{:<8}{bold:#} {style}{}{style:#}",
        event.service,
        printable(&event.what.to_string().replace(root, ""))
    )
}

/// What the terminal shows from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// What happens in the lab: commands are for another terminal.
    Events,
    /// The shell's prompt again.
    Prompt,
}

/// The lab as a table, and what to try next.
fn introduce(
    status: &LabStatus,
    place: &Place,
    directory: &Directory,
    beside: Beside,
    world: &mut World,
    micros: u64,
) -> Result<(), Failure> {
    let (bold, dim) = (BOLD, DIM);
    writeln!(
        world.out,
        "{bold}{}{bold:#} is up, after {} {dim}({}, network {}, supervisor {}, seed {}){dim:#}\n",
        status.site_name,
        Micros(micros),
        directory.name(),
        status.network,
        status.pid,
        status.seed,
    )?;
    let mut table = Table::default()
        .column("SERVICE", 0)
        .column("HOST", 3)
        .column("ADDRESS", 0)
        .numbers("PID", 2)
        .column("IS THE", 1);
    for service in &status.services {
        let address = status.place(service);
        let pid = service.condition.pid.map(|pid| pid.to_string()).unwrap_or_default();
        let mut role = service.name.role().to_owned();
        if service.name == ServiceName::Db {
            role = format!("{role} ({})", status.database.kind);
        }
        if service.condition.state != State::Running {
            role = format!("{role}: {}", service.condition.state);
        }
        table.row([
            service.name.as_str().into(),
            service.host.as_str().into(),
            address.into(),
            pid.into(),
            role.into(),
        ]);
    }
    write!(world.out, "{}", table.render(world.width))?;
    super::status::remark(status, world)?;
    super::status::warn(status, world)?;
    let there = match (&directory.toml, place.lab.is_none()) {
        (Some(_), true) if beside == Beside::Events => {
            format!(" {dim}(there, cd {} first){dim:#}", quoted(directory.root.as_os_str()))
        }
        _ => String::new(),
    };
    let elsewhere = if beside == Beside::Events { " in another terminal" } else { "" };
    writeln!(world.out, "\n{bold}Try{elsewhere}{bold:#}{there}")?;
    let lines = match directory.network {
        Network::Loopback => next_lines(status, &world.program),
        Network::Hosts => next_lines_on_hosts(status, &world.program),
    };
    let widest = lines.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    let longest = lines.iter().map(|(_, why)| why.len()).max().unwrap_or_default();
    let fits = world.width.is_none_or(|width| widest + longest + 4 <= width);
    for (command, why) in lines {
        let style = COMMAND;
        if fits {
            writeln!(world.out, "  {style}{command:<widest$}{style:#}  {dim}{why}{dim:#}")?;
        } else {
            writeln!(world.out, "  {style}{command}{style:#}\n      {dim}{why}{dim:#}")?;
        }
    }
    writeln!(world.out)?;
    Ok(())
}

/// The exact lines to try, with this lab's ports, and what each shows.
fn next_lines(status: &LabStatus, program: &str) -> Vec<(String, &'static str)> {
    let site = &status.site_name;
    let at = |name: ServiceName| status.service(name).and_then(|service| service.address);
    let dig = |name| {
        let address = at(name);
        let host = address.map(|address| address.ip().to_string()).unwrap_or_default();
        match address.map(|address| address.port()) {
            None | Some(53) => format!("dig @{host} {site}"),
            Some(port) => format!("dig @{host} -p {port} {site}"),
        }
    };
    let web = match at(ServiceName::Web) {
        Some(address) if address.port() == 80 => address.ip().to_string(),
        Some(address) => address.to_string(),
        None => String::new(),
    };
    vec![
        (dig(ServiceName::Dns), "the name server that knows: an A record, aa"),
        (dig(ServiceName::Resolver), "the resolver: asks from the root, remembers"),
        (format!("curl -H 'Host: {site}' http://{web}/"), "the web server, found by its address"),
        (format!("{program} curl http://{site}/"), "name and page: the whole path"),
        (format!("{program} cache"), "what the resolver remembers, counting down"),
        (format!("{program} stop app"), without_app(status)),
        (format!("{program} status"), "every service, its process, what it takes"),
    ]
}

/// What is to be seen when the application's first process is stopped.
fn without_app(status: &LabStatus) -> &'static str {
    match status.service(ServiceName::App2) {
        None => "curl again: a 502 that says why; mend: start app",
        Some(_) => "curl again: the other process answers; mend: start app",
    }
}

/// The lines to try where hosts are machines of their own: there the tools need to be told nothing.
fn next_lines_on_hosts(status: &LabStatus, program: &str) -> Vec<(String, &'static str)> {
    let site = &status.site_name;
    vec![
        (format!("{program} shell"), "a terminal on the client, where the next three are to be typed"),
        (format!("dig {site}"), "asks the resolver, as every program does"),
        (format!("dig +trace {site}"), "asks the way from the root by itself"),
        (format!("curl http://{site}/"), "name and page: the whole path"),
        (format!("{program} cache"), "what the resolver remembers, counting down"),
        (format!("{program} stop app"), without_app(status)),
        (format!("{program} status"), "every service, its process, what it takes"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_cannot_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{7}\nc"), "a\u{FFFD}[2Jb\u{FFFD}\nc");
    }
}
