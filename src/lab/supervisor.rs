//! A lab that is up: its keepers, its control socket, its end.
//!
//! Everything runs on one thread. Keepers own their processes; the desk only passes requests to them and
//! reads their conditions; so there is nothing to lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ground::clock;
use crate::ground::event::{Event, Happened};
use crate::ground::lines::{LineReader, write_line};

use super::child::{StartFailure, describe};
use super::config::{Config, Network};
use super::control::{Request, Response};
use super::database::{Database, DatabaseError, Wish};
use super::design::Design;
use super::desk::{Desk, Post};
use super::directory::{Directory, DirectoryError};
use super::guard::Guard;
use super::hosts::ServiceName;
use super::keeper::{Keeper, Means, Sink};
use super::lease::Leases;
use super::log::Log;
use super::network::held::Network as Wires;
use super::ports::{self, PortError};
use super::status::LabStatus;

/// Commands that may talk to a lab at a time.
const COMMANDS_MOST: usize = 64;
/// A command that has not said what it wants by then is hung up on.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// Events that may wait to be shown.
const SHOWN_MOST: usize = 1024;

/// Why a lab could not come up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// It is up already.
    #[error("{lab} is up already (pid {pid}): `wwwlab status` shows it, `wwwlab down` ends it")]
    AlreadyUp {
        /// The lab.
        lab: String,
        /// Its supervisor.
        pid: u32,
    },
    /// Its places cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is no such database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A port cannot be had.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A file or socket of its state cannot be made.
    #[error("cannot make {}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The guard or the executable cannot be started.
    #[error("cannot start the lab's own processes")]
    Process(#[source] io::Error),
    /// There is no network for its hosts.
    #[error("network `hosts` cannot be made")]
    Network(#[source] StartFailure),
    /// Services could not start.
    #[error("{}", .0.join("\n"))]
    Services(Vec<String>),
}

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    desk: Arc<Desk>,
    listener: UnixListener,
    keepers: JoinSet<()>,
    /// What its hosts are, where they are machines of their own.
    wires: Option<Wires>,
    events: mpsc::Receiver<Event>,
    leases: Leases,
    lock: Lock,
    /// Cancelled when the lab is to end, and when it has ended.
    end: CancellationToken,
    ended: CancellationToken,
}

impl Lab {
    /// Brings the lab in `directory` up: when this returns, every service serves. `database` goes before what the
    /// settings say; `progress` shows what takes long.
    pub async fn up(
        directory: Directory,
        database: Option<Wish>,
        progress: impl FnMut(&str),
    ) -> Result<Self, UpError> {
        directory.prepare()?;
        let config = directory.config()?;
        let network = directory.network;
        let (mut lock, left_behind) = take_lock(&directory).await?;
        let wish = database.map_or_else(|| Wish::of(&config, &directory.root), Ok)?;
        let ports = ports::decide(&config, network, wish.needs_port())?;
        let server = ports.db.map(|port| SocketAddr::new(ServiceName::Db.host().address(network), port));
        let database = Database::decide(wish, &directory, server)?;
        let executable = std::env::current_exe().map_err(UpError::Process)?;
        let socket = directory.control_socket();
        let machines = (network == Network::Hosts).then(|| directory.machines());
        let leftovers = [Some(socket.clone()), machines.clone(), Some(directory.lock_file())];
        let guard = Guard::start(&executable, leftovers.into_iter().flatten().collect(), machines.clone())
            .map_err(UpError::Process)?;
        lock.file_is_the_guards = true;
        let wires = match &machines {
            None => None,
            Some(place) => Some(Self::wires(&executable, &config, &directory, place, &guard).await?),
        };
        let design = Arc::new(Design { config, network, directory, ports, database });
        let (watcher, events) = mpsc::channel(SHOWN_MOST);
        if let Some(pid) = left_behind {
            let _ = watcher.try_send(note(format!(
                "the last run (supervisor {pid}) and its guard were killed; what they left is cleaned up"
            )));
        }

        let end = CancellationToken::new();
        let means = Means { design: design.clone(), executable, guard: guard.clone(), end: end.clone() };
        let mut waiting = Vec::new();
        let mut services = Vec::new();
        for name in design.config.services() {
            let path = design.directory.log(name.as_str());
            let log = Log::open(&path).map_err(|source| UpError::State { path, source })?;
            let sink = Sink::new(name.as_str(), log, watcher.clone());
            let (keeper, condition) = Keeper::new(name, means.clone(), sink);
            let (commands, received) = mpsc::channel(COMMANDS_MOST);
            waiting.push((keeper, received));
            services.push(Post { name, commands, condition });
        }
        let mut keepers = JoinSet::new();
        let database = services.iter().find(|post| post.name == ServiceName::Db);
        for (keeper, received) in waiting {
            // An application that logs in to a server finds one that serves.
            let first =
                database.filter(|_| keeper.is_after_the_database()).map(|post| post.condition.clone());
            keepers.spawn(keeper.keep(received, first));
        }
        let listener = listen(&socket).map_err(|source| UpError::State { path: socket, source })?;
        let desk = Arc::new(Desk { design, since: clock::unix_millis(), guard, services });
        let ended = CancellationToken::new();
        let leases = Leases::default();
        let lab = Self { desk, listener, keepers, wires, events, leases, lock, end, ended };
        let started = tokio::select! {
            started = lab.desk.all_started() => started,
            () = lab.desk.progress(progress) => Ok(()),
        };
        match started {
            Ok(()) => Ok(lab),
            Err(failures) => {
                lab.run(std::future::ready(()), |_| {}).await;
                Err(UpError::Services(failures))
            }
        }
    }

    /// Makes the network whose machines are to be entered at `place`.
    async fn wires(
        executable: &Path,
        config: &Config,
        directory: &Directory,
        place: &Path,
        guard: &Guard,
    ) -> Result<Wires, UpError> {
        let path = directory.log("network");
        let log = Log::open(&path).and_then(|log| log.handle());
        let log = log.map_err(|source| UpError::State { path, source })?;
        match Wires::start(executable, config, place, log, guard).await {
            Ok(wires) => Ok(wires),
            Err(failure) => {
                guard.clone().close();
                Err(UpError::Network(failure))
            }
        }
    }

    /// Has it end when nobody needs it any more: neither who holds the other end of `starter`, nor any holder of a lease.
    pub fn while_needed(&mut self, starter: UnixStream) {
        self.leases.decide(starter);
    }

    /// How it stands.
    pub fn status(&self) -> LabStatus {
        self.desk.status()
    }

    /// Answers commands and shows every event to `show`, until `quit` is over or a command ends the lab; then
    /// ends every service at the same time, and leaves nothing behind.
    pub async fn run(mut self, quit: impl Future<Output = ()>, mut show: impl FnMut(Event)) {
        tokio::pin!(quit);
        let mut conversations = JoinSet::new();
        let mut rounds = tokio::time::interval(ROUNDS);
        loop {
            tokio::select! {
                () = &mut quit => break,
                () = self.end.cancelled() => break,
                Some(event) = self.events.recv() => show(event),
                how = gone(&mut self.wires) => {
                    let how = how.map(describe).unwrap_or_default();
                    show(note(format!("the network is gone ({how}), and with it every cable: the lab ends")));
                    break;
                }
                _ = rounds.tick() => {
                    if self.desk.guard.mend() {
                        show(note("the guard was gone and is replaced"));
                    }
                    if !self.desk.design.directory.control_socket().exists() {
                        show(note("the lab's state was removed: nobody could reach the lab any more, so it ends"));
                        break;
                    }
                }
                () = self.leases.given_back() => break,
                Some(over) = conversations.join_next() => if let Ok(Some(stream)) = over {
                    self.leases.give(stream);
                },
                accepted = self.listener.accept(), if conversations.len() < COMMANDS_MOST => match accepted {
                    Ok((stream, _)) => {
                        let conversation = converse(stream, self.desk.clone(), self.end.clone(), self.ended.clone());
                        conversations.spawn(conversation);
                    }
                    // Out of descriptors, most likely: those who wait go on waiting, and this must not spin.
                    Err(_) => tokio::time::sleep(REST).await,
                },
            }
        }
        self.end.cancel();
        self.leases.close().await;
        while self.keepers.join_next().await.is_some() {}
        if let Some(wires) = self.wires {
            wires.hang_up().await;
            wires.close().await;
        }
        while let Ok(event) = self.events.try_recv() {
            show(event);
        }
        let directory = &self.desk.design.directory;
        drop(self.listener);
        let _ = fs::remove_file(directory.control_socket());
        // The guard removes the lock's file as its last act; the lock itself is still held then.
        self.desk.guard.clone().close();
        drop(self.lock);
        self.ended.cancel();
        let _ =
            tokio::time::timeout(REST, async { while conversations.join_next().await.is_some() {} }).await;
    }
}

/// Ends when the network has ended by itself, and how.
async fn gone(wires: &mut Option<Wires>) -> Option<ExitStatus> {
    match wires {
        Some(wires) => wires.gone().await,
        None => std::future::pending().await,
    }
}

/// How often the lab looks after what nobody tells it of.
const ROUNDS: Duration = Duration::from_secs(1);

/// Something that the lab itself has to say.
fn note(text: impl Into<String>) -> Event {
    Event { at: clock::unix_millis(), service: "lab".into(), what: Happened::Note { text: text.into() } }
}

/// Out of descriptors, or saying good-bye: how long to wait.
const REST: Duration = Duration::from_millis(100);

/// The lab's lock. Until there is a guard to remove its file, dropping it does.
#[derive(Debug)]
struct Lock {
    /// Unlocked when it is closed.
    _file: Flock<File>,
    path: PathBuf,
    file_is_the_guards: bool,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.file_is_the_guards {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes the lab's lock. If the last run could not clean up, because its guard was killed too, its pid.
async fn take_lock(directory: &Directory) -> Result<(Lock, Option<u32>), UpError> {
    let path = directory.lock_file();
    let patience = clock::Stopwatch::start();
    loop {
        let failed = |source| UpError::State { path: path.clone(), source };
        let file = open_lock(&path).map_err(failed)?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) if patience.elapsed() < REST => {
                // Its holder may have been killed this very moment.
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
                let pid = read_pid(&file).unwrap_or_default();
                return Err(UpError::AlreadyUp { lab: directory.name(), pid });
            }
            Err((_, errno)) => return Err(failed(errno.into())),
        };
        let left_behind = read_pid(&lock);
        let still_there = same_file(&path, &lock).map_err(failed)?;
        if !still_there || left_behind.is_some() && patience.elapsed() < GUARD_WITHIN {
            // The last run was killed this very moment: its guard is at work and removes this file at the end.
            drop(lock);
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let mut write = || {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        write().map_err(failed)?;
        return Ok((Lock { _file: lock, path, file_is_the_guards: false }, left_behind));
    }
}

/// A guard whose supervisor was killed has ended everything by then.
const GUARD_WITHIN: Duration = Duration::from_millis(500);

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn read_pid(mut file: &File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn same_file(path: &Path, file: &File) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The control socket, for this user alone. A socket that a crash left is replaced: the lock is ours.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// One command's conversation with the lab; its connection, if that is to be kept as a lease.
async fn converse(
    mut stream: UnixStream,
    desk: Arc<Desk>,
    end: CancellationToken,
    ended: CancellationToken,
) -> Option<UnixStream> {
    let request = {
        let mut reader = LineReader::new(&mut stream);
        match tokio::time::timeout(REQUEST_WITHIN, reader.next::<Request>()).await {
            Ok(Ok(Some(request))) => request,
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                let causes = vec!["the lab does not know this request".into(), error.to_string()];
                let _ = write_line(&mut stream, &Response::Refused(causes)).await;
                return None;
            }
            _ => return None,
        }
    };
    if matches!(stream.try_read(&mut [0]), Ok(0)) {
        // Whoever asked has given up: a lab that stood still must not do later what nobody wants any more.
        return None;
    }
    let response = match request {
        Request::Down => {
            end.cancel();
            ended.cancelled().await;
            Response::Done("everything is down".into())
        }
        Request::Lease => return Some(stream),
        request => desk.answer(request).await,
    };
    let _ = tokio::time::timeout(REQUEST_WITHIN, write_line(&mut stream, &response)).await;
    None
}
