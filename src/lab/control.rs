//! How commands reach a running lab: one request and one response, each a line of JSON, over a Unix socket
//! that only the lab's user can open.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::ground::channel::{CacheEntry, Mark, QueryCounts, UpstreamState, WalkTold, ZoneState};
use crate::ground::clock::Stopwatch;
use crate::ground::event::Event;
use crate::ground::lines::{LineReader, write_line};
use crate::ground::metrics::Family;

use super::application::How;
use super::config::App;
use super::directory::Directory;
use super::dnssec;
use super::faults::wanted::Wanted as WantedFault;
use super::faults::{FaultState, Which as WhichFaults};
use super::firewall::{Applied, Standing, Wish};
use super::hosts::ServiceName;
use super::journal::Wanted;
use super::network::wiring::{CableState, MachineState};
use super::releases::Release;
use super::status::LabStatus;
use super::tls::Change;
use super::usage;

/// A lab that does not answer by then stands still.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How often whoever waits looks whether the supervisor was stopped.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a command asks of a running lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// How it stands.
    Status,
    /// Do this to a service.
    Service(Verb, ServiceName),
    /// The cache of a resolver.
    CacheList(ServiceName),
    /// Empty the cache of a resolver, or forget one name.
    CacheFlush(ServiceName, Option<String>),
    /// How much a name server was asked; without a name, each of them.
    Queries(Option<ServiceName>),
    /// Find the answer to a question and tell the way.
    Resolve {
        /// Which resolver is to find it.
        resolver: ServiceName,
        /// The name.
        name: String,
        /// The type's mnemonic.
        record_type: String,
        /// Whether to start from the root with nothing remembered.
        afresh: bool,
    },
    /// The application servers behind the web server.
    Upstreams,
    /// What a service counts and measures; without a name, the whole lab.
    Metrics(Option<ServiceName>),
    /// The zones in service, of every name server.
    ZoneList,
    /// A zone as it is served.
    ZoneShow {
        /// The zone's apex, with or without its final dot.
        origin: String,
    },
    /// Serve a zone from another file.
    ZoneUse {
        /// The zone's apex, without its final dot.
        origin: String,
        /// The file, absolute.
        file: PathBuf,
    },
    /// What has happened, as far as it is still kept.
    Journal(Wanted),
    /// What happens from now on, until whoever asks hangs up: the one request that is answered more than once.
    Watch(Wanted),
    /// Speak HTTPS so; also to have renewed certificates shown.
    Tls(Change),
    /// Have DNS asked in private by all there is, or not at all; without either, have renewed certificates shown.
    Private(Option<bool>),
    /// Sign zones so.
    Dnssec(dnssec::Change),
    /// Have the application serve the last of these releases, or of an empty list the lab's own files; an application that is
    /// a program of its own has none, and comes into service anew.
    Deploy(How, Option<Vec<Release>>),
    /// The cables of its network.
    Cables,
    /// Cut a cable, or mend it.
    Cable {
        /// Its name.
        name: String,
        /// Whether it is to be whole.
        whole: bool,
    },
    /// The machines of its network.
    Machines,
    /// Switch a machine off, or on again.
    Power {
        /// Its name.
        host: String,
        /// Whether it is to be on.
        on: bool,
    },
    /// Show, change or take away what a machine of its network lets through.
    Firewall(Wish),
    /// Lay a fault.
    AddFault(WantedFault),
    /// End a fault, those of a name, or all of them.
    ClearFaults(WhichFaults),
    /// Which faults are laid.
    Faults,
    /// Keep this connection for as long as the asker needs the lab ([`super::lease`]).
    Lease,
    /// Take parts of the lab down, try versions of the application and have all of it undone, over this connection
    /// ([`super::hold`]), and at its end take the entries of this mark out of the guestbook, if any are to be written.
    Measure(Option<Mark>),
    /// End the lab.
    Down,
}

/// What can be done to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Start it.
    Start,
    /// Let it finish and end it (SIGTERM).
    Stop,
    /// Stop, then start.
    Restart,
    /// End it at once (SIGKILL).
    Kill,
    /// Make it stand still (SIGSTOP).
    Pause,
    /// Let it go on (SIGCONT).
    Resume,
}

impl Verb {
    /// As typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// What a running lab answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// How it stands.
    Status(Box<LabStatus>),
    /// It was done; one sentence about it.
    Done(String),
    /// The resolver's cache: the entries that end soonest, and how many there are in all.
    Cache(Vec<CacheEntry>, usize),
    /// The application servers behind the web server.
    Upstreams(Vec<UpstreamState>),
    /// How much each name server was asked; nothing of one that is not up.
    Queries(Vec<(ServiceName, Option<QueryCounts>)>),
    /// What is counted and measured.
    Metrics(Vec<Family>),
    /// The zones in service, with the name server that answers for them.
    Zones(Vec<(ServiceName, ZoneState)>),
    /// The way to an answer.
    Walk(Box<WalkTold>),
    /// A zone as master-file text.
    Zone(String),
    /// What has happened, in order; of more than fits, the last.
    Journal {
        /// The events.
        events: Vec<Event>,
        /// How many older ones would have been wanted and are left out.
        left_out: usize,
    },
    /// What happens from now on will be told.
    Watching,
    /// Something happened.
    Happened(Box<Event>),
    /// The cables of its network.
    Cables(Vec<CableState>),
    /// The machines of its network.
    Machines(Vec<MachineState>),
    /// Its network's machines, and which ruleset is applied on each.
    Firewalls(Vec<Applied>),
    /// What a machine lets through.
    Firewall(Box<Standing>),
    /// The faults that are laid, in that order.
    Faults(Vec<FaultState>),
    /// The release is kept. Whether the application serves it already: it may be down.
    Deployed {
        /// Whether it does.
        served: bool,
        /// Requests that the former process had not answered when it was waited for no longer.
        unfinished: u32,
    },
    /// It was not done; the causes, outermost first.
    Refused(Vec<String>),
}

/// Why a running lab could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is none.
    #[error(
        "{0} is not up: start it with `wwwlab up` (or `wwwlab up -d`), or name another lab with --lab DIR"
    )]
    NotUp(String),
    /// Somebody else runs it.
    #[error(
        "{0} is run by another user, root perhaps: use it as that user (sudo), or a lab of your own (`wwwlab new DIR`)"
    )]
    NotYours(String),
    /// Its socket cannot be used.
    #[error("cannot talk to {lab} over {}", socket.display())]
    Socket {
        /// The lab.
        lab: String,
        /// Its control socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its supervisor was stopped.
    #[error(
        "{lab} stands still: its supervisor (pid {pid}) is stopped; type `fg` where it was stopped with ^Z, or `kill -CONT {pid}`"
    )]
    Stands {
        /// The lab.
        lab: String,
        /// Its supervisor.
        pid: u32,
    },
    /// It does not answer.
    #[error(
        "{0} does not answer: does its supervisor stand still (SIGSTOP)? `kill -9` of it ends everything that it started"
    )]
    Silent(String),
    /// It said no.
    #[error("{}", .0.join("\n    "))]
    Refused(Vec<String>),
    /// Its answer is of another kind: another version of wwwlab runs it.
    #[error(
        "{0} answered something else than was asked: is it run by another version of wwwlab? `wwwlab down` and `wwwlab up` again"
    )]
    Strange(String),
}

/// Asks the lab in `directory`.
pub async fn ask(directory: &Directory, request: &Request) -> Result<Response, ControlError> {
    talk(directory, request).await.map(|(response, _)| response)
}

/// Has the lab in `directory` tell what happens from now on.
pub async fn watch(directory: &Directory, wanted: Wanted) -> Result<Watched, ControlError> {
    match talk(directory, &Request::Watch(wanted)).await? {
        (Response::Watching, reader) => Ok(Watched { reader, lab: directory.name() }),
        _ => Err(ControlError::Strange(directory.name())),
    }
}

/// What happens in a lab.
#[derive(Debug)]
pub struct Watched {
    reader: LineReader<UnixStream>,
    lab: String,
}

impl Watched {
    /// The next thing that happens; nothing when the lab has ended. Dropping the wait loses nothing.
    pub async fn next(&mut self) -> Result<Option<Event>, ControlError> {
        match self.reader.next().await {
            Ok(Some(Response::Happened(event))) => Ok(Some(*event)),
            Ok(None) => Ok(None),
            // A supervisor that is killed may end the conversation in the middle of a line.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Ok(Some(_)) | Err(_) => Err(ControlError::Strange(self.lab.clone())),
        }
    }
}

/// Asks, and hears the first answer; more may be read where more come.
pub(super) async fn talk(
    directory: &Directory,
    request: &Request,
) -> Result<(Response, LineReader<UnixStream>), ControlError> {
    let socket = directory.control_socket();
    let failed = |source: io::Error| match source.kind() {
        // The last two: it ended just then.
        io::ErrorKind::NotFound
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::UnexpectedEof => ControlError::NotUp(directory.name()),
        io::ErrorKind::PermissionDenied => ControlError::NotYours(directory.name()),
        _ => ControlError::Socket { lab: directory.name(), socket: socket.clone(), source },
    };
    let talk = async {
        let mut stream = UnixStream::connect(&socket).await?;
        write_line(&mut stream, request).await?;
        let mut reader = LineReader::new(stream);
        let response = reader.next::<Response>().await?;
        io::Result::Ok(response.map(|response| (response, reader)))
    };
    let within = match request {
        Request::Service(Verb::Start | Verb::Restart, _) => starting(&its(directory), ANSWER_WITHIN),
        Request::Deploy(..) => deploying(&its(directory), ANSWER_WITHIN),
        // nft is run several times, each in its time.
        Request::Firewall(_) => 2 * ANSWER_WITHIN,
        _ => ANSWER_WITHIN,
    };
    match patiently(directory, within, talk).await? {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(ControlError::Strange(directory.name()))
        }
        Err(error) => Err(failed(error)),
        Ok(None) => Err(failed(io::ErrorKind::UnexpectedEof.into())),
        Ok(Some((Response::Refused(causes), _))) => Err(ControlError::Refused(causes)),
        Ok(Some(answered)) => Ok(answered),
    }
}

/// `[app]` of the lab in `directory`.
pub(super) fn its(directory: &Directory) -> App {
    directory.config().map(|config| config.app).unwrap_or_default()
}

/// `within`, and the time that `[app] start_timeout` gives to a program of a student's, twice: where the new one does not start,
/// the former one is started again.
fn starting(app: &App, within: Duration) -> Duration {
    within.saturating_add(app.start_timeout.saturating_mul(2))
}

/// The same for each process that there may be: they come into service one after the other, and how many a lab that is up has is
/// not in a file that was changed since.
pub(super) fn deploying(app: &App, within: Duration) -> Duration {
    starting(app, within).saturating_mul(u32::try_from(ServiceName::APPS.len()).unwrap_or(u32::MAX))
}

/// What `talk` says, if it does so `within` a time and while the supervisor of the lab is not stopped.
pub(super) async fn patiently<T>(
    directory: &Directory,
    within: Duration,
    talk: impl Future<Output = T>,
) -> Result<T, ControlError> {
    tokio::pin!(talk);
    let patience = Stopwatch::start();
    loop {
        if let Some(pid) = directory.locked_by().filter(|&pid| usage::is_stopped(pid)) {
            return Err(ControlError::Stands { lab: directory.name(), pid });
        }
        match tokio::time::timeout(LOOK_EVERY, &mut talk).await {
            Ok(said) => return Ok(said),
            Err(_elapsed) if patience.elapsed() < within => {}
            Err(_elapsed) => return Err(ControlError::Silent(directory.name())),
        }
    }
}

/// How the lab in `directory` stands.
pub async fn status(directory: &Directory) -> Result<LabStatus, ControlError> {
    match ask(directory, &Request::Status).await? {
        Response::Status(status) => Ok(*status),
        _ => Err(ControlError::Strange(directory.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_deploys_waits_for_as_long_as_each_process_may_take_to_start_and_the_former_one_after_it() {
        let seconds = Duration::from_secs;
        let app = |start_timeout| App { start_timeout, ..App::default() };
        assert_eq!(starting(&app(seconds(10)), ANSWER_WITHIN), seconds(35));
        assert_eq!(starting(&app(seconds(300)), ANSWER_WITHIN), seconds(615));
        assert_eq!(deploying(&app(seconds(10)), ANSWER_WITHIN), seconds(140));
        assert_eq!(deploying(&app(seconds(300)), ANSWER_WITHIN), seconds(2460));
    }
}
