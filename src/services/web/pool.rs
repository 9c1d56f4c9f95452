//! The application servers: which one has which request, and how each fares.
//!
//! The choice itself is `balance`, which is pure; here are the lock around it, its clock, and what is told.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::ground::channel::UpstreamState;
use crate::ground::clock::Stopwatch;
use crate::ground::journal::Journal;

use super::balance::{Balance, Change, Member, Policy, Tried};
use super::fastcgi::Scripts;
use super::upstream::{KEPT_AT_MOST, Upstream};
use crate::services::faults::Faults;

/// All of them.
#[derive(Debug)]
pub(super) struct Pool {
    upstreams: Vec<Arc<Upstream>>,
    /// A plain mutex: held for one step of the balance, never across an await.
    balance: Mutex<Balance>,
    clock: Stopwatch,
    journal: Journal,
    /// Told whenever one has a request less.
    released: Notify,
    /// Cancelled when nobody has it any more.
    gone: DropGuard,
}

/// One request at one of them; it is no longer there when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    pool: Arc<Pool>,
    which: usize,
    is_known: bool,
    /// How long it took to connect, where that was necessary.
    pub(super) connecting: Option<Duration>,
}

impl Pool {
    pub(super) fn new(
        members: &[Member],
        policy: Policy,
        scripts: Option<&Scripts>,
        faults: &Faults,
        journal: Journal,
        tasks: &TaskTracker,
        cut: &CancellationToken,
    ) -> Arc<Self> {
        let kept = KEPT_AT_MOST / members.len().max(1);
        let upstream = |member: &Member| {
            Upstream::new(member.address, kept, scripts.cloned(), faults.clone(), tasks.clone(), cut.clone())
        };
        Arc::new(Self {
            upstreams: members.iter().map(upstream).collect(),
            balance: Mutex::new(Balance::new(members, policy)),
            clock: Stopwatch::start(),
            journal,
            released: Notify::new(),
            gone: CancellationToken::new().drop_guard(),
        })
    }

    /// Gives a request of `client` to one of those that were not tried, and notes that.
    pub(super) fn turn(self: &Arc<Self>, client: IpAddr, tried: &mut Tried) -> Option<Turn> {
        let which = self.balance().choose(self.clock.elapsed(), client, *tried)?;
        tried.add(which);
        Some(Turn { pool: self.clone(), which, is_known: false, connecting: None })
    }

    /// All of them, by number.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = (usize, &Arc<Upstream>)> {
        self.upstreams.iter().enumerate()
    }

    /// Who they are.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> {
        self.balance().list(self.clock.elapsed()).into_iter().map(|told| told.member)
    }

    /// Requests that one of them is at work on.
    pub(super) fn under_way(&self, which: usize) -> u32 {
        self.balance().list(self.clock.elapsed()).get(which).map_or(0, |told| told.under_way)
    }

    /// Gives one of them no more requests; whether that can be, since another has them.
    pub(super) fn rest(&self, which: usize) -> bool {
        let now = self.clock.elapsed();
        self.balance().rest(which, now)
    }

    /// Gives it requests again.
    pub(super) fn resume(&self, which: usize) {
        self.balance().resume(which);
    }

    /// Waits until it is at work on nothing.
    pub(super) async fn idle(&self, which: usize) {
        loop {
            // First: what is released after the look is not missed.
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if self.under_way(which) == 0 {
                return;
            }
            released.await;
        }
    }

    /// Cancelled when the last request that was given to one of them has ended, and nobody keeps this pool.
    pub(super) fn gone(&self) -> CancellationToken {
        self.gone.token().clone()
    }

    /// A check of one came to its end.
    pub(super) fn checked(&self, which: usize, is_well: bool) {
        let change = self.balance().checked(which, is_well);
        self.tell(which, change);
    }

    /// How each stands.
    pub(super) fn list(&self) -> Vec<UpstreamState> {
        let told = self.balance().list(self.clock.elapsed());
        told.into_iter()
            .map(|told| UpstreamState {
                address: told.member.address,
                weight: told.member.weight,
                state: told.state.to_owned(),
                out_millis: told.out.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
                under_way: told.under_way,
                requests: told.requests,
                failures: told.failures,
                failures_in_a_row: told.failures_in_a_row,
            })
            .collect()
    }

    /// Where there is only one, its being out changes nothing.
    fn tell(&self, which: usize, change: Option<Change>) {
        let (Some(change), Some(upstream)) = (change, self.upstreams.get(which)) else { return };
        if self.upstreams.len() > 1 {
            let address = upstream.address;
            self.journal.note(match change {
                Change::Out(time) => {
                    format!(
                        "the application server at {address} failed again and again: it is out for {time:?}"
                    )
                }
                Change::OutByCheck => {
                    format!("the application server at {address} fails its checks: it is out")
                }
                Change::Back => format!("the application server at {address} is back"),
            });
        }
    }

    fn balance(&self) -> MutexGuard<'_, Balance> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whose turn it is.
    pub(super) fn upstream(&self) -> &Upstream {
        &self.pool.upstreams[self.which]
    }

    /// Where that is.
    pub(super) fn address(&self) -> SocketAddr {
        self.upstream().address
    }

    /// Who is told of it.
    pub(super) fn journal(&self) -> &Journal {
        &self.pool.journal
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        self.is_known = true;
        let change = self.pool.balance().answered(self.which);
        self.pool.tell(self.which, change);
    }

    /// It has not, by its own fault.
    pub(super) fn failed(&mut self) {
        self.is_known = true;
        let change = self.pool.balance().failed(self.which, self.pool.clock.elapsed());
        self.pool.tell(self.which, change);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pool.balance().release(self.which, self.is_known);
        self.pool.released.notify_waiters();
    }
}
