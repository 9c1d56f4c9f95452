//! Counting visits: all that wait are counted in one transaction.
//!
//! A durable commit costs milliseconds of disk, and the home page makes one per visit. One task takes every
//! visit that is waiting, adds their number once, and hands each its own: under load the disk is synced once
//! for many visits, and without load nobody waits. A visitor who hangs up half-way disturbs no other.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::act::Act;
use super::connection::Connection;
use super::error::StoreError;
use super::store::Database;
use super::{mysql, sqlite};

/// Visits that may wait to be counted.
const WAITING_MOST: usize = 1024;

type Answer = Result<u64, StoreError>;

/// The asking end of the counter; clones ask the same one.
#[derive(Debug, Clone)]
pub(super) struct Hits {
    waiting: mpsc::Sender<oneshot::Sender<Answer>>,
    stop: CancellationToken,
    task: TaskTracker,
}

impl Hits {
    /// A counter kept in `database`, with its task.
    pub(super) fn start(database: Arc<Database>) -> Self {
        let (waiting, visits) = mpsc::channel(WAITING_MOST);
        let (stop, task) = (CancellationToken::new(), TaskTracker::new());
        task.spawn(count(database, visits, stop.clone()));
        task.close();
        Self { waiting, stop, task }
    }

    /// Counts one visit.
    pub(super) async fn one(&self, place: String) -> Answer {
        let (answer, answered) = oneshot::channel();
        if self.waiting.try_send(answer).is_err() {
            return Err(StoreError::Busy { place });
        }
        answered.await.unwrap_or(Err(StoreError::Busy { place }))
    }

    /// Ends the task.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.task.wait().await;
    }
}

async fn count(
    database: Arc<Database>,
    mut visits: mpsc::Receiver<oneshot::Sender<Answer>>,
    stop: CancellationToken,
) {
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            heard = visits.recv_many(&mut waiting, WAITING_MOST) => if heard == 0 { return },
        }
        waiting.retain(|visitor| !visitor.is_closed());
        let Ok(many @ 1..) = u32::try_from(waiting.len()) else {
            continue;
        };
        let adding = Adding(many);
        let counting = database.with(&adding);
        let counted = tokio::select! {
            biased;
            counted = counting => counted,
            // Whoever still waits now has been cut off already.
            () = stop.cancelled() => return,
        };
        let total = counted.map(|total| u64::try_from(total).unwrap_or(0));
        for (later, visitor) in (0..u64::from(many)).rev().zip(waiting.drain(..)) {
            let own = total.as_ref().map(|total| total.saturating_sub(later)).map_err(Clone::clone);
            // Who hung up in the meantime was a visitor nevertheless.
            let _ = visitor.send(own);
        }
    }
}

/// Adds so many visits to the counter, in one statement with either engine; what comes of it is the counter's new value.
struct Adding(u32);

impl Act for Adding {
    type Done = i64;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<i64> {
        let by = [i64::from(self.0).into()];
        match connection {
            Connection::Sqlite(_) => {
                connection.row(sqlite::COUNT, &by).await?.ok_or(sqlx::Error::RowNotFound)?.get(0)
            }
            Connection::MySql(_) => {
                let done = connection.change(mysql::COUNT, &by).await?;
                if done.rows == 1 { Ok(done.id) } else { Err(sqlx::Error::RowNotFound) }
            }
        }
    }
}
