//! How the kernel of each machine of network `hosts` is told what is wrong with its edges: by `nft` and `tc`, run there.
//!
//! The real programs, since they are what a network engineer would type, and what a student finds with `nft list ruleset` and
//! `tc qdisc` is what they were given. They run through `wwwlab within`, so they can reach no network but the lab's own. Each
//! machine is told whole, and only if what it is to have is not what it has: so a change on one edge leaves the packets of
//! another where they wait.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::edges::{self, Broken, ROOT};
use crate::lab::child::StartFailure;
use crate::lab::doctor::in_path_or_administrators;
use crate::lab::guard::Guard;
use crate::lab::network::errands::{Ended, Errand, Errands, Lost};
use crate::lab::network::held::Attacker;

/// The two programs answer in milliseconds; who has not by then never will.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// What `tc` says of a queueing discipline that the kernel does not have.
const NO_NETEM: &str = "kind is unknown";

/// The machines of a lab, and what faults have made of them.
#[derive(Debug)]
pub(in crate::lab) struct Machines {
    errands: Errands,
    /// What each was told last, and nothing of one whose answer was an error: it may have half of it.
    told: tokio::sync::Mutex<BTreeMap<&'static str, Option<Broken>>>,
    /// Whether their kernel can hold packets back, once somebody wanted to know.
    holds_back: OnceCell<bool>,
}

/// Why a machine is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(in crate::lab) enum MachineError {
    /// A program is missing.
    #[error(
        "{program} is not installed, by which this fault is laid: `sudo apt-get install {package}`, or your system's package of this name"
    )]
    NotInstalled {
        /// Its name.
        program: &'static str,
        /// The package of Debian.
        package: &'static str,
    },
    /// It cannot be started or talked to.
    #[error("cannot run {program} on {machine}: {source}")]
    Process {
        /// Its name.
        program: &'static str,
        /// Where.
        machine: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// It does not end.
    #[error("{program} does not end on {machine}: it was given {} s; `wwwlab fault clear` has it tried again", ANSWERS_WITHIN.as_secs())]
    Silent {
        /// Its name.
        program: &'static str,
        /// Where.
        machine: &'static str,
    },
    /// The kernel cannot hold packets back.
    #[error(
        "this kernel has no netem, which holds packets back: `sudo modprobe sch_netem` may load it. What is late without it: `slow-dns`, `slow-first-byte`"
    )]
    NoNetem,
    /// The kernel or the program says no.
    #[error("{program} on {machine} says: {said}")]
    Refused {
        /// Its name.
        program: &'static str,
        /// Where.
        machine: &'static str,
        /// Its first words.
        said: String,
    },
}

impl Machines {
    /// Those to be entered at `place` by `executable`.
    pub(in crate::lab) fn new(executable: PathBuf, place: PathBuf) -> Self {
        let errands = Errands::new(executable, place);
        Self { errands, told: tokio::sync::Mutex::default(), holds_back: OnceCell::new() }
    }

    /// Whether the kernel can hold packets back (netem): it is asked to, once, where no fault ever is. Where nobody can say,
    /// yes: who lays such a fault is then told what stands in the way.
    pub(in crate::lab) async fn hold_back(&self) -> bool {
        let ask = async || {
            let root = ["dev", "lo", "root", "handle", ROOT];
            let tc = async |arguments: &[&str]| self.run("client", "tc", "iproute2", arguments, "").await;
            match tc(&[&["qdisc", "add"], &root[..], &["netem", "delay", "1ms"]].concat()).await {
                Ok(()) => {
                    let _ = tc(&[&["qdisc", "del"], &root[..]].concat()).await;
                    Ok(true)
                }
                Err(MachineError::Refused { said, .. }) => Ok(!said.contains(NO_NETEM)),
                // It may be installed, or answer, the next time.
                Err(_) => Err(()),
            }
        };
        *self.holds_back.get_or_try_init(ask).await.unwrap_or(&true)
    }

    /// Has every machine be as `wanted` says, and whole where it says nothing.
    pub(in crate::lab) async fn tell(
        &self,
        mut wanted: BTreeMap<&'static str, Broken>,
    ) -> Result<(), MachineError> {
        let mut told = self.told.lock().await;
        let mut failed = Ok(());
        for machine in edges::machines() {
            let wanted = wanted.remove(machine).unwrap_or_default();
            // A further resolver or name server is there where `lab.toml` says so.
            if !self.errands.place(machine).exists() {
                continue;
            }
            let before = told.entry(machine).or_insert_with(|| Some(Broken::default()));
            if before.as_ref() == Some(&wanted) {
                continue;
            }
            let former = before.take();
            // The others are told all the same: what is to be whole there becomes whole.
            match self.change(machine, former.as_ref(), &wanted).await {
                Ok(()) => *before = Some(wanted),
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed
    }

    /// The lines that have `nft` lay again, in one transaction with others, what was laid last on `machine`; none where nothing is.
    pub(in crate::lab) async fn rules(&self, machine: &str) -> String {
        let told = self.told.lock().await;
        let laid = told.get(machine).and_then(Option::as_ref).filter(|broken| broken.has_rules());
        laid.map(Broken::rules).unwrap_or_default()
    }

    /// Has an attacker on `router` do as `wanted` says, from when this returns on.
    pub(in crate::lab) async fn attack(
        &self,
        router: &str,
        wanted: &[String],
        log: File,
        guard: &Guard,
    ) -> Result<Attacker, StartFailure> {
        Attacker::start(self.errands.executable(), &self.errands.place(router), wanted, log, guard).await
    }

    async fn change(
        &self,
        machine: &'static str,
        former: Option<&Broken>,
        wanted: &Broken,
    ) -> Result<(), MachineError> {
        if former.map(Broken::rules) != Some(wanted.rules()) {
            self.run(machine, "nft", "nftables", &["-f", "-"], &wanted.rules()).await?;
        }
        if former.map(Broken::queues) == Some(wanted.queues()) {
            return Ok(());
        }
        let all = ["eth0", "lo"];
        let there: Vec<&str> = former.map_or_else(|| all.into(), |former| former.interfaces().collect());
        for interface in there {
            let away = self
                .run(
                    machine,
                    "tc",
                    "iproute2",
                    &["qdisc", "del", "dev", interface, "root", "handle", ROOT],
                    "",
                )
                .await;
            // It may have been taken away by hand, and where nobody knows what is there, there may be nothing.
            if let Err(error) = away
                && !matches!(error, MachineError::Refused { .. })
            {
                return Err(error);
            }
        }
        if wanted.queues().is_empty() {
            return Ok(());
        }
        let made = self.run(machine, "tc", "iproute2", &["-batch", "-"], &wanted.queues()).await;
        made.map_err(|error| match error {
            MachineError::Refused { said, .. } if wanted.is_late() && said.contains(NO_NETEM) => {
                MachineError::NoNetem
            }
            other => other,
        })
    }

    async fn run(
        &self,
        machine: &'static str,
        program: &'static str,
        package: &'static str,
        arguments: &[&str],
        input: &str,
    ) -> Result<(), MachineError> {
        let found = in_path_or_administrators(program);
        let errand = Errand {
            program: &found.ok_or(MachineError::NotInstalled { program, package })?,
            arguments,
            input,
            directory: Path::new("/"),
            within: ANSWERS_WITHIN,
            said_most: 0,
        };
        let Ended { status, complained, .. } =
            self.errands.run(machine, errand).await.map_err(|lost| match lost {
                Lost::Run(source) => MachineError::Process { program, machine, source },
                Lost::Silent => MachineError::Silent { program, machine },
            })?;
        if status.success() {
            return Ok(());
        }
        let said = complained.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        let said = said.chars().filter(|letter| !letter.is_control()).take(200).collect();
        Err(MachineError::Refused { program, machine, said })
    }
}
