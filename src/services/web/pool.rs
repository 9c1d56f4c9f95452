//! The application servers: which one has which request, and how each fares.
//!
//! The choice itself is `balance`, which is pure; here are the lock around it, its clock, and what is told.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
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
    /// Told whenever one that gets nothing any more has answered all.
    released: Notify,
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

    /// Requests that the one at `address` is at work on; none if that is no member.
    pub(super) fn under_way(&self, address: SocketAddr) -> u32 {
        let told = self.balance().list(self.clock.elapsed());
        told.into_iter().find(|told| told.member.address == address).map_or(0, |told| told.under_way)
    }

    /// Goes on where `former` ends, which has the same members but for `changed`: with what is known of the others.
    pub(super) fn follow(&self, former: &Self, changed: usize) {
        let (now, then) = (self.clock.elapsed(), former.clock.elapsed());
        self.balance().follow(&former.balance(), changed, (then, now));
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

    /// Gives the one at `address` nothing any more, whatever becomes of the others, and waits until it is at work on nothing.
    pub(super) async fn idle(&self, address: SocketAddr) {
        self.balance().leave(address);
        loop {
            // First: what is released after the look is not missed.
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if self.under_way(address) == 0 {
                return;
            }
            released.await;
        }
    }

    /// A check of one came to its end.
    pub(super) fn checked(&self, which: usize, is_well: bool) {
        let change = self.balance().checked(which, is_well);
        self.tell(which, change);
    }

    /// One that was out, perhaps, answers when it is asked.
    pub(super) fn found_well(&self, which: usize) {
        let change = self.balance().found_well(which);
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
        // Nobody waits for any other.
        let has_finished = self.pool.balance().release(self.which, self.is_known);
        if has_finished {
            self.pool.released.notify_waiters();
        }
    }
}
