//! One application server put in another's place, or out of it for a while, while requests go on.
//!
//! The pool is swapped whole: a request that has been given to a server ends with the pool that it was given by, and nothing is
//! given by that one any more. Whoever asked may end the former server once it has answered what it has: so nothing is lost,
//! not even what is on its way to a port that is about to close. A former pool is gone, its kept connections with it, with the
//! last of its requests; until then a server may have some of several pools.
//!
//! One of several rests instead: the others have its requests, and it may be ended once it has answered its own. It is back
//! when it is well.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::balance::{Member, Policy, Tried};
use super::check;
use super::fastcgi::Scripts;
use super::pool::{Pool, Turn};
use crate::ground::clock::Stopwatch;
use crate::ground::journal::Journal;
use crate::services::faults::Faults;

/// A new application server that is not well by then does not get the former's place.
const WELL_WITHIN: Duration = Duration::from_secs(3);
/// Between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long requests that began with the former one are waited for. What takes longer (a connection that has gone over to
/// another protocol, perhaps) goes on until the former server ends.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// What every pool is made of, beside its members.
#[derive(Debug, Clone)]
pub(super) struct Making {
    pub(super) policy: Policy,
    pub(super) scripts: Option<Scripts>,
    /// What is wrong with the way to them.
    pub(super) faults: Faults,
    /// How often each member is asked whether it is well, if at all, and as which site.
    pub(super) check_every: Option<Duration>,
    pub(super) host: HeaderValue,
    pub(super) journal: Journal,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) cut: CancellationToken,
}

/// The pool in service.
#[derive(Debug)]
pub(super) struct Pools {
    making: Making,
    /// A plain mutex: held for one look, never across an await.
    now: Mutex<Now>,
    /// Held while one is put in another's place: one after the other.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Now {
    pool: Arc<Pool>,
    /// Ends its checks.
    checks: CancellationToken,
    /// Those before it that requests are under way in.
    former: Vec<Weak<Pool>>,
}

/// Why the former one stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplaceError {
    /// Nothing is passed on to it.
    #[error("no request is passed on to {0}: `wwwlab upstreams` shows where they go")]
    Unknown(SocketAddr),
    /// Something is, already.
    #[error("requests are passed on to {0} already")]
    Twice(SocketAddr),
    /// Nobody else would answer.
    #[error(
        "no other application server would answer while {0} rests: `wwwlab upstreams` shows how they stand"
    )]
    Alone(SocketAddr),
    /// It is not well.
    #[error("the application at {address} is not well: asked for {}, {}", check::PATH, said(*.status))]
    Unwell {
        /// Where it is.
        address: SocketAddr,
        /// What it answered last.
        status: Option<StatusCode>,
    },
}

fn said(status: Option<StatusCode>) -> String {
    status.map_or("it did not answer".into(), |status| format!("it said {status}"))
}

impl Pools {
    /// With a pool of `members`.
    pub(super) fn new(members: &[Member], making: Making) -> Arc<Self> {
        let first = making.pool(members);
        let checks = making.check(&first);
        let now = Now { pool: first, checks, former: Vec::new() };
        Arc::new(Self { making, now: Mutex::new(now), turn: tokio::sync::Mutex::default() })
    }

    /// The one in service.
    pub(super) fn now(&self) -> Arc<Pool> {
        self.look().pool.clone()
    }

    /// Has the one in service give a request of `client` to one of those that were not tried, and notes that.
    pub(super) fn turn(&self, client: IpAddr, tried: &mut Tried) -> Option<Turn> {
        // Under the lock: one that is not in service any more gives nothing.
        self.look().pool.turn(client, tried)
    }

    /// Puts the application server at `next` in the place of that at `former`, if it is well, and waits until what began
    /// with the former one has ended; how many requests had not, when that took too long.
    pub(super) async fn replace(&self, former: SocketAddr, next: SocketAddr) -> Result<u32, ReplaceError> {
        let _one_at_a_time = self.turn.lock().await;
        let now = self.now();
        let mut members: Vec<Member> = now.members().collect();
        if members.iter().any(|member| member.address == next) {
            return Err(ReplaceError::Twice(next));
        }
        let which = members.iter().position(|member| member.address == former);
        let which = which.ok_or(ReplaceError::Unknown(former))?;
        members[which].address = next;
        let pool = self.making.pool(&members);
        self.well(&pool, which, next).await?;
        let checks = self.making.check(&pool);
        {
            let mut now = self.look();
            pool.follow(&now.pool, which);
            let left = std::mem::replace(&mut now.pool, pool);
            std::mem::replace(&mut now.checks, checks).cancel();
            now.former.retain(|former| former.strong_count() > 0);
            now.former.push(Arc::downgrade(&left));
        }
        self.making.journal.note(format!("requests go to the application at {next} now, not to {former}"));
        drop(now);
        Ok(self.finish(former).await)
    }

    /// Passes nothing on to the application server at `address` until it is told otherwise, and waits until it has answered what
    /// it has; how many requests it had not, when that took too long.
    pub(super) async fn rest(&self, address: SocketAddr) -> Result<u32, ReplaceError> {
        let _one_at_a_time = self.turn.lock().await;
        let (pool, which) = self.member(address)?;
        if !pool.rest(which) {
            // What is known of the others is as old as the last request that they had.
            self.ask_others(&pool, which).await;
            if !pool.rest(which) {
                return Err(ReplaceError::Alone(address));
            }
        }
        self.making
            .journal
            .note(format!("the application server at {address} rests: others have its requests"));
        Ok(self.finish(address).await)
    }

    /// Waits until the application server at `address`, which gets nothing any more, has answered what it has of any pool; how many
    /// requests it had not, when that took too long.
    async fn finish(&self, address: SocketAddr) -> u32 {
        let pools: Vec<Arc<Pool>> = {
            let now = self.look();
            now.former.iter().filter_map(Weak::upgrade).chain([now.pool.clone()]).collect()
        };
        let idle = join_all(pools.iter().map(|pool| pool.idle(address)));
        match timeout(FINISH_WITHIN, idle).await {
            Ok(_all) => 0,
            Err(_elapsed) => pools.iter().map(|pool| pool.under_way(address)).fold(0, u32::saturating_add),
        }
    }

    /// Passes requests on to it again, once it is well; if it is not, only with `even_ill`.
    pub(super) async fn resume(&self, address: SocketAddr, even_ill: bool) -> Result<(), ReplaceError> {
        let _one_at_a_time = self.turn.lock().await;
        let (pool, which) = self.member(address)?;
        let well = self.well(&pool, which, address).await;
        if well.is_ok() || even_ill {
            pool.resume(which);
            self.making.journal.note(format!("requests go to the application server at {address} again"));
        }
        well
    }

    /// Asks all of `pool` but one whether they are well, and has those that are get requests again.
    async fn ask_others(&self, pool: &Pool, but: usize) {
        let others = pool.upstreams().filter(|(which, _)| *which != but);
        join_all(others.map(async |(which, upstream)| {
            let status = check::status(upstream, &self.making.host).await;
            if status.is_some_and(|status| !status.is_server_error()) {
                pool.found_well(which);
            }
        }))
        .await;
    }

    /// The pool in service, and which of its members that is.
    fn member(&self, address: SocketAddr) -> Result<(Arc<Pool>, usize), ReplaceError> {
        let pool = self.now();
        let which = pool.members().position(|member| member.address == address);
        which.map(|which| (pool, which)).ok_or(ReplaceError::Unknown(address))
    }

    fn look(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the new one is well. A program of a student's need not know what it is asked for, but is to answer.
    async fn well(&self, pool: &Pool, which: usize, address: SocketAddr) -> Result<(), ReplaceError> {
        let patience = Stopwatch::start();
        let Some((_, upstream)) = pool.upstreams().nth(which) else {
            return Err(ReplaceError::Unknown(address));
        };
        loop {
            match check::status(upstream, &self.making.host).await {
                Some(status) if !status.is_server_error() => return Ok(()),
                status if patience.elapsed() >= WELL_WITHIN => {
                    return Err(ReplaceError::Unwell { address, status });
                }
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }
}

impl Making {
    fn pool(&self, members: &[Member]) -> Arc<Pool> {
        let Self { policy, scripts, faults, journal, tasks, cut, .. } = self;
        Pool::new(members, *policy, scripts.as_ref(), faults, journal.clone(), tasks, cut)
    }

    /// Checks each of `pool`, until what is returned is cancelled.
    fn check(&self, pool: &Arc<Pool>) -> CancellationToken {
        let stop = self.stop.child_token();
        if let Some(every) = self.check_every {
            check::start(pool, &self.host, every, &self.tasks, &stop);
        }
        stop
    }
}
