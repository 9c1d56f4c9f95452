//! What is wrong with the lab on purpose.
//!
//! A fault is laid by command, ends by command or in time, and with the lab. By the operating system's means where it has any
//! (signals, limits, a lock, a closed port), else at the rim of the service ([`crate::ground::fault`]). What is laid is a
//! snapshot with a generation, swapped whole: a service that is started finds in it what is wrong with it.
//!
//! - [`table`]: every fault there is; commands, help and docs/FAULTS.md come from it. `pages`: these texts; pure.
//! - [`wanted`]: what was asked for, checked against the table.
//! - [`edges`]: the ways between services, and what breaks them; pure. `machines`: how the kernels are told.
//! - `rim`: what breaks a way where no kernel does; pure.
//! - `limits`: what the operating system holds a process to.
//!
//! Who carries it out is next door: `desk/faults.rs` for the lab, `keeper.rs` for one service.

pub mod edges;
pub(super) mod limits;
pub(super) mod machines;
pub mod pages;
mod rim;
pub mod table;
pub mod wanted;

use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::ground::clock;
use crate::ground::fault::{DatabaseWrong, DnsWrong, FAULTS_MOST, FaultSet, Laid, When, Wrong};

use super::control::Verb;
use super::database::Database;
use super::hosts::ServiceName;
use edges::{Edge, Way};
use wanted::Checked;

/// How a fault comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// At the rim of the service, on its occasions.
    Rim(Wrong),
    /// Done to it once, and undone at the end.
    Verb(Verb),
    /// It is killed again and again, this long after each start.
    CrashLoop {
        /// Milliseconds.
        millis: u64,
    },
    /// It has this share of a processor, in percent.
    Share(u64),
    /// The operating system holds it to a limit.
    Limit(Limit, u64),
    /// The way to it is broken.
    Edge(Way),
    /// The database's data are locked: of a server by a session that holds its tables, of a file as [`Deed::on`] has it.
    Lock,
    /// The database is gone, as [`Deed::on`] has it.
    Gone,
}

impl Deed {
    /// By which means it comes about on this `database`, where that depends on it.
    pub(super) fn on(self, database: &Database) -> Self {
        match (self, database) {
            // A stopped embedded database is one whose file somebody else has locked.
            (Self::Lock, Database::Embedded) => Self::Verb(Verb::Stop),
            (Self::Gone, Database::Embedded) => Self::Rim(Wrong::Database(DatabaseWrong::Gone)),
            (Self::Gone, Database::Own(_)) => Self::Verb(Verb::Kill),
            _ => self,
        }
    }
}

/// What a process is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Descriptors that it may have open (RLIMIT_NOFILE).
    Descriptors,
    /// Bytes of memory of its own (RLIMIT_DATA).
    Memory,
}

/// A fault that is laid.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) id: u32,
    pub(super) fault: &'static table::Fault,
    /// What it is laid on; of an edge, the one that is asked.
    pub(super) service: ServiceName,
    pub(super) edge: Option<Edge>,
    pub(super) deed: Deed,
    pub(super) when: When,
    pub(super) only: Option<String>,
    /// What was asked for beside its name, and how much in any case, as one would type it.
    pub(super) details: String,
    /// Milliseconds since the Unix epoch.
    pub(super) since: u64,
    /// When it ends by itself, on the clock that only goes forward.
    pub(super) until: Option<std::time::Instant>,
}

/// Those that are to be ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// All of them.
    All,
    /// The one with this number.
    Number(u32),
    /// Each that has this name.
    Name(String),
}

/// A fault that is laid, as commands see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultState {
    /// Its number, from 1 on; none is given twice while the lab is up.
    pub id: u32,
    /// Its name.
    pub fault: String,
    /// The service that it is laid on; of an edge, the one that is asked.
    pub service: ServiceName,
    /// The edge that it is laid on, if it is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub edge: Option<Edge>,
    /// What else was asked for, as one would type it.
    pub details: String,
    /// Since when, milliseconds since the Unix epoch.
    pub since: u64,
    /// How much longer, in milliseconds; nothing where it has no end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ends_in_millis: Option<u64>,
}

/// All that is wrong with a lab at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub(super) generation: u64,
    pub(super) laid: Vec<Arc<Standing>>,
}

/// What is wrong with the lab, and the seed from which its chances are drawn.
#[derive(Debug)]
pub(super) struct Faults {
    seed: u32,
    /// A plain mutex: held to count.
    last_id: Mutex<u32>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Held while a fault is laid or ended: one after the other.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Faults {
    pub(super) fn new(seed: u32) -> Self {
        let snapshot = watch::Sender::new(Arc::new(Snapshot::default()));
        Self { seed, last_id: Mutex::default(), snapshot, turn: tokio::sync::Mutex::default() }
    }

    pub(super) fn seed(&self) -> u32 {
        self.seed
    }

    /// What is wrong now.
    pub(super) fn now(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// What is wrong, as it changes.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Has a fault end as if its time were over: what made it true is gone.
    pub(super) fn is_over(&self, id: u32) {
        let until = Some(clock::now());
        self.change(|laid| {
            for standing in laid.iter_mut().filter(|standing| standing.id == id) {
                *standing = Arc::new(Standing { until, ..(**standing).clone() });
            }
        });
    }

    /// Whether `checked` can be laid beside what is; if not, why.
    pub(super) fn conflict(&self, checked: &Checked) -> Option<String> {
        let now = self.now();
        if now.laid.len() >= FAULTS_MOST {
            return Some(format!("{FAULTS_MOST} faults are laid already: `wwwlab fault clear all`"));
        }
        let same = now.laid.iter().find(|laid| {
            laid.service == checked.service
                && match (laid.deed, checked.deed) {
                    // By whichever means a way is broken: twice the same is not.
                    _ if laid.edge.is_some() && laid.edge == checked.edge => {
                        laid.fault.name == checked.fault.name
                    }
                    (Deed::Rim(_), _) | (_, Deed::Rim(_)) => false,
                    (Deed::Limit(one, _), Deed::Limit(other, _)) => one == other,
                    (Deed::Limit(..), _) | (_, Deed::Limit(..)) => false,
                    (Deed::Edge(_), _) | (_, Deed::Edge(_)) => false,
                    (Deed::Lock, Deed::Lock) => true,
                    (Deed::Lock, _) | (_, Deed::Lock) => false,
                    // A process is stopped, or crashes, or shares a processor: each would undo the other.
                    _ => true,
                }
        });
        same.map(|laid| {
            let (id, name, target) = (laid.id, laid.fault.name, laid.target());
            format!("fault {id} is laid on {target} already ({name}): `wwwlab fault clear {id}`")
        })
    }

    /// Notes that `checked` is laid.
    pub(super) fn lay(&self, checked: Checked) -> Arc<Standing> {
        let id = {
            let mut last: MutexGuard<'_, u32> = self.last_id.lock().unwrap_or_else(PoisonError::into_inner);
            *last += 1;
            *last
        };
        let Checked { fault, service, edge, deed, how_often, only, lasts, details } = checked;
        let standing = Arc::new(Standing {
            id,
            fault,
            service,
            edge,
            deed,
            when: how_often.when(self.seed, id),
            only,
            details,
            since: clock::unix_millis(),
            until: lasts.and_then(|lasts| clock::now().checked_add(lasts)),
        });
        self.change(|laid| laid.push(standing.clone()));
        standing
    }

    /// Notes that the fault `id` is over; nothing if there is none.
    pub(super) fn end(&self, id: u32) -> Option<Arc<Standing>> {
        let standing = self.now().laid.iter().find(|standing| standing.id == id).cloned()?;
        self.change(|laid| laid.retain(|standing| standing.id != id));
        Some(standing)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Standing>>)) {
        self.snapshot.send_modify(|snapshot| {
            let mut laid = snapshot.laid.clone();
            change(&mut laid);
            *snapshot = Arc::new(Snapshot { generation: snapshot.generation + 1, laid });
        });
    }
}

impl Standing {
    /// The services that carry it out: what is wrong with a database is done by who uses it, with a way by who dials.
    pub(super) fn done_by(&self) -> &[ServiceName] {
        match (self.deed, self.edge) {
            (Deed::Rim(Wrong::Database(_)), _) => &ServiceName::APPS,
            (Deed::Rim(_), Some(edge)) => edge.broken_by(),
            _ => slice::from_ref(&self.service),
        }
    }

    /// What it is laid on, by name.
    pub(super) fn target(&self) -> &'static str {
        self.edge.map_or(self.service.as_str(), Edge::as_str)
    }

    /// Whether only who asks a name server meets it, so that whoever asks a resolver that remembers does not.
    pub(super) fn is_before_the_cache(&self) -> bool {
        let name_server = matches!(
            self.service,
            ServiceName::Root | ServiceName::Tld | ServiceName::Dns | ServiceName::Dns2
        );
        name_server && !matches!(self.deed, Deed::Limit(..))
    }

    /// Whether resolvers remember what it had them told, when it has ended: answers that were wrong, not those that never came.
    pub(super) fn stays_in_the_cache(&self) -> bool {
        use DnsWrong::{Nxdomain, Stale, Ttl, WrongAddress};
        let told = matches!(
            self.deed,
            Deed::Rim(Wrong::Dns(Nxdomain | WrongAddress(_) | Ttl { .. } | Stale))
                | Deed::Edge(Way::Forged(_))
        );
        told && self.is_before_the_cache()
    }
}

impl FaultState {
    /// What it is laid on, by name.
    pub fn target(&self) -> &'static str {
        self.edge.map_or(self.service.as_str(), Edge::as_str)
    }
}

impl Snapshot {
    /// The edges that are broken, and how.
    pub(super) fn edges(&self) -> impl Iterator<Item = (Edge, Way)> {
        self.laid.iter().filter_map(|standing| match (standing.edge, standing.deed) {
            (Some(edge), Deed::Edge(way)) => Some((edge, way)),
            _ => None,
        })
    }

    /// What a service is to do wrong by itself.
    pub(super) fn told_to(&self, service: ServiceName) -> FaultSet {
        let done = self.laid.iter().filter(|standing| standing.done_by().contains(&service));
        let laid = done.filter_map(|standing| match standing.deed {
            Deed::Rim(wrong) => {
                let (id, when, only) = (standing.id, standing.when, standing.only.clone());
                Some(Laid { id, wrong, when, only })
            }
            _ => None,
        });
        FaultSet { generation: self.generation, laid: laid.collect() }
    }

    /// What its process is held to.
    pub(super) fn limits(&self, service: ServiceName) -> Vec<(Limit, u64)> {
        let limits = self.of(service).filter_map(|standing| match standing.deed {
            Deed::Limit(limit, amount) => Some((limit, amount)),
            _ => None,
        });
        limits.collect()
    }

    /// Whether a service stands still and goes on because it has only a share of a processor.
    pub(super) fn shares(&self, service: ServiceName) -> bool {
        self.of(service).any(|standing| matches!(standing.deed, Deed::Share(_)))
    }

    fn of(&self, service: ServiceName) -> impl Iterator<Item = &Arc<Standing>> {
        self.laid.iter().filter(move |standing| standing.service == service)
    }

    /// All of it, for people and programs.
    pub(super) fn states(&self) -> Vec<FaultState> {
        let now = clock::now();
        let state = |standing: &Arc<Standing>| FaultState {
            id: standing.id,
            fault: standing.fault.name.into(),
            service: standing.service,
            edge: standing.edge,
            details: standing.details.clone(),
            since: standing.since,
            ends_in_millis: standing.until.map(|until| {
                u64::try_from(until.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX)
            }),
        };
        self.laid.iter().map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::database::address::Address;
    use wanted::Wanted;

    fn checked(what: &str, service: Option<ServiceName>) -> Checked {
        Wanted { what: what.into(), service, ..Wanted::default() }.check().unwrap()
    }

    #[test]
    fn a_set_is_swapped_whole_and_each_service_is_told_its_own() {
        let faults = Faults::new(7);
        let before = faults.now();
        let first = faults.lay(checked("servfail", None));
        faults.lay(checked("http-500", None));
        assert!(before.laid.is_empty(), "who has the old one still has it");
        let now = faults.now();
        assert_eq!((now.generation, now.laid.len()), (2, 2));
        assert_eq!(now.told_to(ServiceName::Dns).laid.len(), 1);
        assert_eq!(now.told_to(ServiceName::Web).laid[0].id, 2);
        assert!(now.told_to(ServiceName::App).laid.is_empty());
        assert!(faults.end(first.id).is_some() && faults.end(first.id).is_none());
        assert_eq!(faults.lay(checked("servfail", None)).id, 3, "no number is given twice");
    }

    #[test]
    fn a_database_is_locked_and_gone_by_what_it_has() {
        let (locked, gone) = (checked("db-locked", None).deed, checked("db-gone", None).deed);
        let embedded = Database::Embedded;
        assert_eq!(locked.on(&embedded), Deed::Verb(Verb::Stop));
        assert_eq!(gone.on(&embedded), Deed::Rim(Wrong::Database(DatabaseWrong::Gone)));
        let elsewhere = Address::parse("mysql://ann:x@127.0.0.1/book").unwrap();
        let elsewhere = Database::Elsewhere(elsewhere);
        assert_eq!((locked.on(&elsewhere), gone.on(&elsewhere)), (Deed::Lock, Deed::Gone), "it is refused");
        assert_eq!(checked("stop", None).deed.on(&elsewhere), Deed::Verb(Verb::Stop));
    }

    #[test]
    fn what_has_ended_by_itself_is_due_and_tables_are_locked_once() {
        let faults = Faults::new(7);
        let id = faults.lay(checked("db-locked", None)).id;
        assert!(
            faults.conflict(&checked("db-locked", None)).unwrap().contains("fault 1 is laid on db already")
        );
        assert!(faults.conflict(&checked("pause", Some(ServiceName::Db))).is_none());
        faults.lay(checked("servfail", None));
        faults.is_over(id);
        let due = |standing: &Arc<Standing>| standing.until.is_some_and(|until| until <= clock::now());
        let now = faults.now();
        let due: Vec<u32> =
            now.laid.iter().filter(|standing| due(standing)).map(|standing| standing.id).collect();
        assert_eq!((due, now.laid.len()), (vec![id], 2));
    }

    #[test]
    fn what_would_undo_the_other_is_not_laid_beside_it() {
        let faults = Faults::new(7);
        faults.lay(checked("pause", Some(ServiceName::Web)));
        let why = faults.conflict(&checked("crash-loop", Some(ServiceName::Web))).unwrap();
        assert!(why.contains("fault 1 is laid on web already (pause)"), "{why}");
        assert!(faults.conflict(&checked("crash-loop", Some(ServiceName::App))).is_none());
        assert!(faults.conflict(&checked("descriptors", Some(ServiceName::Web))).is_none());
        for _ in 1..FAULTS_MOST {
            faults.lay(checked("servfail", None));
        }
        assert!(faults.conflict(&checked("servfail", None)).unwrap().contains("64 faults"));
    }
}
