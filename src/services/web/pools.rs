//! One application server put in another's place, or out of it for a while, while requests go on.
//!
//! The pool is swapped whole: a request that has begun ends with the pool that it began with, and the former one is gone, its
//! kept connections with it, when the last such request is. Only then may whoever asked end the former server: so nothing
//! is lost, not even what is on its way to a port that is about to close.
//!
//! One of several rests instead: the others have its requests, and it may be ended once it has answered its own. It is back
//! when it is well.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::HeaderValue;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::balance::{Member, Policy};
use super::check;
use super::fastcgi::Scripts;
use super::pool::Pool;
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
    /// With what ends its checks. A plain mutex: held for one look, never across an await.
    now: Mutex<(Arc<Pool>, CancellationToken)>,
    /// Held while one is put in another's place: one after the other.
    turn: tokio::sync::Mutex<()>,
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
        Arc::new(Self { making, now: Mutex::new((first, checks)), turn: tokio::sync::Mutex::default() })
    }

    /// The one in service.
    pub(super) fn now(&self) -> Arc<Pool> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
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
        let (left, its_checks) = {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *now, (pool, checks))
        };
        its_checks.cancel();
        self.making.journal.note(format!("requests go to the application at {next} now, not to {former}"));
        let gone = left.gone();
        let unfinished = Arc::downgrade(&left);
        drop((now, left));
        match timeout(FINISH_WITHIN, gone.cancelled()).await {
            Ok(()) => Ok(0),
            Err(_elapsed) => Ok(unfinished.upgrade().map_or(0, |left| left.under_way(which))),
        }
    }

    /// Passes nothing on to the application server at `address` until it is told otherwise, and waits until it has answered what
    /// it has; how many requests it had not, when that took too long.
    pub(super) async fn rest(&self, address: SocketAddr) -> Result<u32, ReplaceError> {
        let _one_at_a_time = self.turn.lock().await;
        let (pool, which) = self.member(address)?;
        if !pool.rest(which) {
            return Err(ReplaceError::Alone(address));
        }
        self.making
            .journal
            .note(format!("the application server at {address} rests: others have its requests"));
        match timeout(FINISH_WITHIN, pool.idle(which)).await {
            Ok(()) => Ok(0),
            Err(_elapsed) => Ok(pool.under_way(which)),
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

    /// The pool in service, and which of its members that is.
    fn member(&self, address: SocketAddr) -> Result<(Arc<Pool>, usize), ReplaceError> {
        let pool = self.now();
        let which = pool.members().position(|member| member.address == address);
        which.map(|which| (pool, which)).ok_or(ReplaceError::Unknown(address))
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
