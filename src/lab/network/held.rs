//! The network as the supervisor has it: a process that holds it, started before the services and ended after them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::COMMAND;
use super::publish::{self, Published};
use super::spoof;
use crate::ground::channel::{Ask, Reply};
use crate::ground::clock::Stopwatch;
use crate::lab::child::{Running, Sign, StartFailure, Starting};
use crate::lab::config::Config;
use crate::lab::guard::Guard;

/// Orders that may wait.
const ORDERS_MOST: usize = 16;
/// A shell that was hung up on has ended by then, or is killed.
const HUNG_UP_WITHIN: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A network that is up.
#[derive(Debug)]
pub struct Network {
    orders: Orders,
    kept: Kept,
    /// Where its machines are to be entered.
    place: PathBuf,
    pid: u32,
}

/// What carries into a network.
#[derive(Debug)]
pub struct Carrier(Kept);

/// Who answers on a router in others' names.
#[derive(Debug)]
pub struct Attacker(Kept);

/// A process that is kept: it is given its orders, and ends when it is told to.
#[derive(Debug)]
struct Kept {
    gone: oneshot::Receiver<ExitStatus>,
    end: CancellationToken,
    keeping: JoinHandle<()>,
}

/// Where orders to a network are given. Clones give them to the same.
#[derive(Debug, Clone)]
pub struct Orders(mpsc::Sender<(Ask, oneshot::Sender<Reply>)>);

impl Orders {
    /// Cuts a cable, or mends it; why not, as causes.
    pub async fn cable(&self, name: &str, whole: bool) -> Result<(), Vec<String>> {
        self.give(Ask::Cable { name: name.into(), whole }).await
    }

    /// Switches a machine on, or off: its cables are dead then; why not, as causes.
    pub async fn power(&self, host: &str, on: bool) -> Result<(), Vec<String>> {
        self.give(Ask::Power { host: host.into(), on }).await
    }

    async fn give(&self, ask: Ask) -> Result<(), Vec<String>> {
        let (asker, reply) = oneshot::channel();
        let gone = || vec!["the network is gone".to_owned()];
        self.0.send((ask, asker)).await.map_err(|_| gone())?;
        match reply.await.map_err(|_| gone())? {
            Reply::Refused(causes) => Err(causes),
            _ => Ok(()),
        }
    }
}

impl Network {
    /// Makes the network of a lab of these settings: when this returns, every cable is plugged in. The machines are to
    /// be entered at `place`.
    pub async fn start(
        executable: &Path,
        config: &Config,
        place: &Path,
        log: File,
        guard: &Guard,
    ) -> Result<Self, StartFailure> {
        let mut arguments = vec![COMMAND.into(), place.into()];
        if config.network.classroom > 0 {
            arguments.extend(["--classroom".into(), config.network.classroom.to_string().into()]);
        }
        arguments.extend(config.hosts().iter().map(|host| host.as_str().into()));
        let mut starting = Starting::spawn(executable, &arguments, log, guard)?;
        starting.begin().await;
        let running = starting.ready(|_| {}).await?;
        guard.hold();
        let pid = running.pid();
        let (orders, given) = mpsc::channel(ORDERS_MOST);
        Ok(Self { orders: Orders(orders), kept: Kept::new(running, given), place: place.into(), pid })
    }

    /// Where orders to it are given.
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Ends when the network has ended by itself, and how; to be waited for once.
    pub async fn gone(&mut self) -> Option<ExitStatus> {
        self.kept.gone().await
    }

    /// Has whoever is on its machines end as when a terminal is closed (SIGHUP), and gives them a moment to do so. For when the
    /// services have ended: who is there then is a student's shell, and what runs in it.
    pub async fn hang_up(&self) {
        let machines = Machines::at(&self.place);
        let patience = Stopwatch::start();
        let mut left = machines.call(Call::HangUp, self.pid);
        while left > 0 && patience.elapsed() < HUNG_UP_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
            left = machines.call(Call::Count, self.pid);
        }
    }

    /// Ends it.
    pub async fn close(self) {
        self.kept.close().await;
    }
}

impl Carrier {
    /// Publishes services of the network whose machines are to be entered at `place`: when this returns, they are there.
    pub async fn start(
        executable: &Path,
        published: &[Published],
        place: &Path,
        log: File,
        guard: &Guard,
    ) -> Result<Self, StartFailure> {
        let mut arguments = vec![publish::COMMAND.into(), place.join(publish::ROUTER).into()];
        arguments.extend(published.iter().map(|published| published.to_string().into()));
        let running = Starting::spawn(executable, &arguments, log, guard)?.ready(|_| {}).await?;
        // It takes no orders.
        let (_, given) = mpsc::channel(1);
        Ok(Self(Kept::new(running, given)))
    }

    /// Ends when it has ended by itself, and how; to be waited for once.
    pub async fn gone(&mut self) -> Option<ExitStatus> {
        self.0.gone().await
    }

    /// How it has ended by itself, if it has; to be told once.
    pub fn has_gone(&mut self) -> Option<ExitStatus> {
        self.0.gone.try_recv().ok()
    }

    /// Ends it.
    pub async fn close(self) {
        self.0.close().await;
    }
}

impl Attacker {
    /// Attacks from the router that is to be entered at `place`, as `wanted` says: when this returns, it hears what passes.
    pub async fn start(
        executable: &Path,
        place: &Path,
        wanted: &[String],
        log: File,
        guard: &Guard,
    ) -> Result<Self, StartFailure> {
        let mut arguments: Vec<OsString> = vec![spoof::COMMAND.into(), place.into()];
        arguments.extend(wanted.iter().map(Into::into));
        let running = Starting::spawn(executable, &arguments, log, guard)?.ready(|_| {}).await?;
        // It takes no orders.
        let (_, given) = mpsc::channel(1);
        Ok(Self(Kept::new(running, given)))
    }

    /// Ends when it has ended by itself, and how; to be waited for once.
    pub async fn gone(&mut self) -> Option<ExitStatus> {
        self.0.gone().await
    }

    /// Ends it.
    pub async fn close(self) {
        self.0.close().await;
    }
}

impl Kept {
    fn new(running: Running, given: mpsc::Receiver<(Ask, oneshot::Sender<Reply>)>) -> Self {
        let (going, gone) = oneshot::channel();
        let end = CancellationToken::new();
        let keeping = tokio::spawn(keep(running, given, end.clone(), going));
        Self { gone, end, keeping }
    }

    async fn gone(&mut self) -> Option<ExitStatus> {
        (&mut self.gone).await.ok()
    }

    async fn close(self) {
        self.end.cancel();
        // It was told to end; that it cannot be waited for would mean that it panicked.
        let _ = self.keeping.await;
    }
}

async fn keep(
    mut running: Running,
    mut given: mpsc::Receiver<(Ask, oneshot::Sender<Reply>)>,
    end: CancellationToken,
    going: oneshot::Sender<ExitStatus>,
) {
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            Some((ask, asker)) = given.recv() => running.ask(ask, asker).await,
            sign = running.sign() => if let Sign::Ended(status) = sign {
                let _ = going.send(status);
                return;
            },
        }
    }
    running.end(Signal::SIGTERM, |_| {}).await;
}

/// What is done to whoever is on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Nothing: they are counted.
    Count,
    /// What a closed terminal does to them.
    HangUp,
    /// They are killed.
    Kill,
}

/// The machines of a lab, held by its guard: who is left there is killed when the lab ends.
#[derive(Debug, Default)]
pub struct Machines {
    #[cfg(target_os = "linux")]
    held: Vec<super::kernel::Held>,
}

impl Machines {
    /// Those at `place`.
    #[cfg(target_os = "linux")]
    pub fn at(place: &Path) -> Self {
        Self { held: vec![super::kernel::Held::at(place)] }
    }

    /// Kills whoever of this user is on one of them; how many there were.
    #[cfg(target_os = "linux")]
    pub fn sweep(&self) -> usize {
        self.call(Call::Kill, 0)
    }

    /// Calls on whoever of this user is on one of them, but for the process `spared`; how many there were.
    #[cfg(target_os = "linux")]
    fn call(&self, call: Call, spared: u32) -> usize {
        self.held.iter().map(|held| held.call(call, spared)).sum()
    }

    /// Kills whoever of this user is on the one machine at `place`.
    #[cfg(target_os = "linux")]
    pub fn sweep_one(place: &Path) {
        super::kernel::sweep_one(place);
    }

    /// There are none.
    #[cfg(not(target_os = "linux"))]
    pub fn at(_place: &Path) -> Self {
        Self::default()
    }

    /// There is nobody.
    #[cfg(not(target_os = "linux"))]
    pub fn sweep(&self) -> usize {
        0
    }

    #[cfg(not(target_os = "linux"))]
    fn call(&self, _call: Call, _spared: u32) -> usize {
        0
    }
    /// There is nobody.
    #[cfg(not(target_os = "linux"))]
    pub fn sweep_one(_place: &Path) {}
}

/// Removes the places of machines, which are links and nothing else, wherever they lead.
pub(super) fn remove(place: &Path) -> io::Result<()> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
