//! The command line: what the user types, and the only part that prints. One file per command.
//!
//! [`run`] takes the arguments and the [`World`] as values, so that a command's test is a function call.

mod backup;
mod cache;
mod capture;
mod cert;
mod curl;
mod db;
mod deploy;
mod detached;
mod dig;
mod doctor;
mod down;
mod fault;
mod firewall;
mod host;
mod link;
mod logs;
mod measure;
mod metrics;
mod new;
mod page;
mod path;
mod progress;
mod queries;
mod quit;
mod resolve;
mod screen;
mod secure;
mod serve;
mod service;
mod shell;
mod status;
mod tool;
mod top;
mod up;
mod upstreams;
mod watch;
mod words;
mod zone;

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::dns::message::forged;
use crate::lab::config::Network;
use crate::lab::control::{ControlError, Verb};
use crate::lab::directory::{Directory, DirectoryError};
use crate::lab::hosts::ServiceName;
use crate::lab::network::publish::PublishError;
use crate::lab::network::spoof::SpoofError;
use crate::lab::network::tap::TapError;
use crate::lab::network::{self, NetworkError};

pub use screen::World;

/// The simple web stack at www.foobar.com on your machine: see it, break it, measure it.
///
/// One command brings up the domain name, its DNS, a resolver, a web server, an application server with its
/// code base and a database, so that the real dig and the real curl walk the whole path.
#[derive(Debug, Parser)]
#[command(name = "wwwlab", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    /// The lab's directory [default: the current one if it has a lab.toml, else the built-in lab]
    #[arg(long, global = true, value_name = "DIR", env = "WWWLAB_LAB")]
    lab: Option<PathBuf>,
    /// Where the lab keeps its state [default: .wwwlab in the lab's directory]
    #[arg(long, global = true, value_name = "DIR", env = "WWWLAB_STATE")]
    state: Option<PathBuf>,
    /// How hosts are realised [default: as lab.toml says; for a lab that is up on one network alone, that one]
    #[arg(long, global = true, value_name = "NETWORK", env = "WWWLAB_NETWORK")]
    network: Option<Network>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 not done (the reason is on standard error); 2 wrong arguments, or a file that cannot be used; 3 the lab is not up, or has gone while a shell was open. \
`wwwlab dig` and `wwwlab curl` exit as dig and curl do, `wwwlab shell` as what it runs: 127 if there is no such program, 128 and more if a \
signal killed it; `wwwlab path` exits 4 when the request fails that it tells, `wwwlab measure load` when its objective is not kept.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the lab up and show what happens; ^C ends it
    Up(up::Arguments),
    /// End the lab
    Down,
    /// How the lab stands: each service, its process, what it takes
    Status(status::Arguments),
    /// Live: how much each service is asked, how fast it answers, what it takes; q quits
    Top(top::Arguments),
    /// What the services logged
    Logs(logs::Arguments),
    /// Follow what happens, as it happens; ^C ends it
    Watch(watch::Arguments),
    /// Start a service
    Start(Service),
    /// Stop a service: its port refuses connections
    Stop(Service),
    /// Stop a service and start it again
    Restart(Service),
    /// Kill a service (SIGKILL): its connections are reset
    Kill(Service),
    /// Make a service stand still (SIGSTOP): it accepts, and never answers
    Pause(Service),
    /// Let a paused service go on (SIGCONT)
    Resume(Service),
    /// Cables between the machines of network `hosts`: which there are; pull one out, plug it in again
    Link(link::Arguments),
    /// Machines of network `hosts`: which there are; switch one off, as a power failure would, and on again
    Host(host::Arguments),
    /// What a machine of network `hosts` lets through: nftables rulesets, shown, applied and taken away
    Firewall(firewall::Arguments),
    /// What is wrong on purpose: lay a fault, end it, read what it is in real life
    Fault(fault::Arguments),
    /// What the stack is worth, in numbers: single points of failure, downtime of a change, the load that it bears
    Measure(measure::Arguments),
    /// Speak HTTPS, with certificates of the lab's own
    Secure(secure::Arguments),
    /// Go back to plain HTTP
    Unsecure,
    /// Certificates: what they say, new ones, one that is taken back, one that is wrong on purpose
    Cert(cert::Arguments),
    /// What the resolver remembers, counting down
    Cache(cache::Arguments),
    /// The application servers behind the web server, and how each fares
    Upstreams(upstreams::Arguments),
    /// How much the name servers were asked, by transport, type and outcome
    Queries(queries::Arguments),
    /// What the lab counts and measures, in the Prometheus text format
    Metrics(metrics::Arguments),
    /// Find an answer as the resolver does, and show whom it asks
    Resolve(resolve::Arguments),
    /// Zones: which are in service, what is wrong with a file, what it would answer
    Zone(zone::Arguments),
    /// A terminal on a machine of network `hosts`, where plain dig and curl walk the whole path; brings that up if need be
    Shell(shell::Arguments),
    /// Run dig against the lab
    Dig(dig::Arguments),
    /// Run curl against the lab, names looked up at its resolver
    Curl(curl::Arguments),
    /// Make one request and tell its whole way: name, connection, web server, application, database
    Path(path::Arguments),
    /// Show the packets of network `hosts` as they pass, or write them to a file for Wireshark
    Capture(capture::Arguments),
    /// Open the real client (mariadb, mysql or sqlite3) on the lab's database
    Db(db::Arguments),
    /// Back the guestbook up into a file, while the lab is up
    Backup(backup::BackupArguments),
    /// Put a backup in place of all that is in the database, wholly or not at all
    Restore(backup::RestoreArguments),
    /// Put another version of the application files into service, or the former one back
    Deploy(deploy::Arguments),
    /// What works on this machine, and what to do about the rest
    Doctor(doctor::Arguments),
    /// Write a lab of your own: zones, site, application and settings, to edit
    New(new::Arguments),
    /// Run one service in this process, as the lab does
    Serve(serve::Arguments),
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page (`wwwlab man | man -l -`, `wwwlab man up | man -l -`)
    Man {
        /// Of which command [default: of wwwlab as a whole]
        command: Option<String>,
    },
    /// End processes when their supervisor is killed (started by the lab itself)
    #[command(name = crate::lab::guard::COMMAND, hide = true)]
    Guard {
        #[arg(long)]
        machines: Option<PathBuf>,
        leftovers: Vec<PathBuf>,
    },
    /// Make the machines of network `hosts` and hold them (started by the lab itself)
    #[command(name = network::COMMAND, hide = true)]
    Network(network::Arguments),
    /// Carry from this machine into network `hosts` (started by the lab itself)
    #[command(name = network::publish::COMMAND, hide = true)]
    Publish(network::publish::Arguments),
    /// Answer questions that pass a router in the name of who is asked (started by the lab itself)
    #[command(name = network::spoof::COMMAND, hide = true)]
    Spoof(network::spoof::Arguments),
    /// Open sockets that hear what passes the machines of network `hosts` (used by the lab itself)
    #[command(name = network::tap::COMMAND, hide = true)]
    Tap(network::tap::Arguments),
    /// Start a program on a machine of network `hosts` (used by the lab itself)
    #[command(name = network::WITHIN, hide = true)]
    Within(network::Entering),
}

/// Names one service.
#[derive(Debug, clap::Args)]
struct Service {
    /// Which service
    service: ServiceName,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The lab is not there to be asked, or said no.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Its places cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It could not come up.
    #[error(transparent)]
    Up(#[from] crate::lab::supervisor::UpError),
    /// Its network cannot be made, or a machine of it not be entered.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Something of its network cannot be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Nobody can attack from a router of its network.
    #[error(transparent)]
    Spoof(#[from] SpoofError),
    /// The packets of its network cannot be heard.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// The operating system refused something.
    #[error("{0}")]
    System(String, #[source] io::Error),
    /// What was given to work on cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The lab ended while a shell was open on one of its machines.
    #[error("the lab has gone, and this shell's machine with it: `wwwlab shell` opens another")]
    LabIsGone,
    /// The machine that a shell was open on has no power any more.
    #[error("{0} was switched off, and this shell with it: `wwwlab host on {0}`")]
    SwitchedOff(String),
    /// Anything else, said in one sentence.
    #[error("{0}")]
    Said(String),
    /// Whoever read the output went away; that is no failure.
    #[error("nobody reads the output")]
    Unread(#[source] io::Error),
}

impl Failure {
    /// The exit code that it deserves.
    fn code(&self) -> u8 {
        match self {
            Self::Control(ControlError::NotUp(_)) | Self::LabIsGone => 3,
            // As shells say it.
            Self::Network(NetworkError::Program { source, .. }) => {
                if source.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
            }
            Self::Unusable(_) => 2,
            Self::SwitchedOff(_) => shell::KILLED,
            Self::Unread(_) => 0,
            _ => 1,
        }
    }
}

impl From<io::Error> for Failure {
    /// Errors without a place are those of printing.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread(error),
            _ => Self::System("cannot print".into(), error),
        }
    }
}

/// Runs one command; says how it went as an exit code. A failure is printed as one chain of causes.
pub fn run(arguments: impl IntoIterator<Item = OsString>, world: &mut World) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let styled = error.render();
            let text = styled.ansi();
            let printed =
                if error.use_stderr() { write!(world.err, "{text}") } else { write!(world.out, "{text}") };
            return if printed.is_ok() { u8::try_from(error.exit_code()).unwrap_or(2) } else { 0 };
        }
    };
    match dispatch(arguments, world).and_then(|code| world.out.flush().map(|()| code).map_err(Failure::from))
    {
        Ok(code) => code,
        Err(failure) => {
            if !matches!(failure, Failure::Unread(_)) {
                let mut line = format!("wwwlab: {failure}");
                let mut cause = failure.source();
                while let Some(error) = cause {
                    // A transparent layer says what its source says.
                    if !line.ends_with(&error.to_string()) {
                        line.push_str(&format!(": {error}"));
                    }
                    cause = error.source();
                }
                let _ = writeln!(world.err, "{line}");
            }
            failure.code()
        }
    }
}

fn dispatch(arguments: Arguments, world: &mut World) -> Result<u8, Failure> {
    let place = Place { lab: arguments.lab, state: arguments.state, network: arguments.network };
    // What is shown to be typed names the same lab.
    for (option, variable, value) in
        [("--lab", "WWWLAB_LAB", &place.lab), ("--state", "WWWLAB_STATE", &place.state)]
    {
        if let Some(value) = value
            && !shell::says(variable, value.as_os_str())
        {
            world.program.push_str(&format!(" {option} {}", screen::quoted(value.as_os_str())));
        }
    }
    let unsaid = |network: &Network| !shell::says("WWWLAB_NETWORK", network.to_string().as_ref());
    if let Some(network) = place.network.filter(|network| place.must_name_network() && unsaid(network)) {
        world.program.push_str(&format!(" --network {network}"));
    }
    let verb = |verb, service: Service, world: &mut World| {
        service::run(verb, service.service, &place.find()?, world)
    };
    match arguments.command {
        Command::Up(up) => up::run(&up, &place, world),
        Command::Down => down::run(&place.find()?, world),
        Command::Status(status) => status::run(&status, &place.find()?, world),
        Command::Top(top) => top::run(&top, &place.find()?, world),
        Command::Logs(logs) => logs::run(&logs, &place.find()?, world),
        Command::Watch(watch) => watch::run(&watch, &place.find()?, world),
        Command::Start(service) => verb(Verb::Start, service, world),
        Command::Stop(service) => verb(Verb::Stop, service, world),
        Command::Restart(service) => verb(Verb::Restart, service, world),
        Command::Kill(service) => verb(Verb::Kill, service, world),
        Command::Pause(service) => verb(Verb::Pause, service, world),
        Command::Resume(service) => verb(Verb::Resume, service, world),
        Command::Link(link) => link::run(&link, &place.find()?, world),
        Command::Host(host) => host::run(&host, &place.find()?, world),
        Command::Firewall(firewall) => firewall::run(&firewall, &place.find()?, world),
        Command::Fault(fault) => fault::run(&fault, &place, world),
        Command::Measure(measure) => measure::run(&measure, &place.find()?, world),
        Command::Secure(secure) => secure::run(&secure, &place.find()?, world),
        Command::Unsecure => secure::undo(&place.find()?, world),
        Command::Cert(cert) => cert::run(&cert, &place.find()?, world),
        Command::Cache(cache) => cache::run(&cache, &place.find()?, world),
        Command::Upstreams(upstreams) => upstreams::run(&upstreams, &place.find()?, world),
        Command::Queries(queries) => queries::run(&queries, &place.find()?, world),
        Command::Metrics(metrics) => metrics::run(&metrics, &place.find()?, world),
        Command::Resolve(resolve) => resolve::run(&resolve, &place.find()?, world),
        Command::Zone(zone) => zone::run(&zone, &place, world),
        Command::Shell(shell) => shell::run(&shell, &place, world),
        Command::Dig(dig) => dig::run(&dig, &place.find()?, world),
        Command::Curl(curl) => curl::run(&curl, &place.find()?, world),
        Command::Path(path) => path::run(&path, &place.find()?, world),
        Command::Capture(capture) => capture::run(&capture, &place.find()?, world),
        Command::Db(db) => db::run(&db, &place.find()?, world),
        Command::Backup(backup) => backup::back_up(&backup, &place.find()?, world),
        Command::Restore(restore) => backup::restore(&restore, &place.find()?, world),
        Command::Deploy(deploy) => deploy::run(&deploy, &place.find()?, world),
        Command::Doctor(doctor) => doctor::run(&doctor, &place.find()?, world),
        Command::New(new) => new::run(&new, world),
        Command::Serve(serve) => serve::run(serve, world),
        Command::Completions { shell } => page::completions(shell, world),
        Command::Man { command } => page::manual(command.as_deref(), world),
        Command::Guard { machines, leftovers } => {
            crate::lab::guard::run(io::stdin().lock(), leftovers, machines.as_deref());
            Ok(0)
        }
        Command::Network(arguments) => {
            network::run(&arguments)?;
            Ok(0)
        }
        Command::Publish(arguments) => {
            block_on(network::publish::run(&arguments))??;
            Ok(0)
        }
        Command::Spoof(arguments) => {
            let lie =
                |question: &[u8]| forged::answer(question, arguments.address, arguments.name.as_deref());
            block_on(network::spoof::run(&arguments, lie))??;
            Ok(0)
        }
        Command::Tap(arguments) => {
            network::tap::run(&arguments)?;
            Ok(0)
        }
        Command::Within(entering) => match network::enter(&entering)? {},
    }
}

/// Which lab the user means.
struct Place {
    lab: Option<PathBuf>,
    state: Option<PathBuf>,
    network: Option<Network>,
}

impl Place {
    /// The lab that a command is for: where no network is named, and it is up on one alone, on that one.
    fn find(&self) -> Result<Directory, Failure> {
        let written = self.find_to_bring_up()?;
        Ok(if self.network.is_some() { written } else { written.or_where_it_is_up() })
    }

    /// The lab that is to come up.
    fn find_to_bring_up(&self) -> Result<Directory, Failure> {
        Ok(Directory::find(self.lab.as_deref(), self.state.as_deref(), self.network)?)
    }

    /// Whether the network that was named is not the one that would be found without its name, or may soon not be.
    fn must_name_network(&self) -> bool {
        let unnamed = Directory::find(self.lab.as_deref(), self.state.as_deref(), None);
        unnamed.is_ok_and(|unnamed| self.network != Some(unnamed.network) && unnamed.seems_up())
    }
}

/// The one thread on which every command waits.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(event_loop()?.block_on(future))
}

/// All of a process runs on one thread.
fn event_loop() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::System("cannot start the event loop".into(), error))
}
