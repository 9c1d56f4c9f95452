//! Spans on their way to the collector: many in one message, again where it is busy, and never without bounds.
//!
//! A collector that is gone is said once, and once that it is back; what was lost meanwhile is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::collector::{Collector, Sent};
use super::encoding;
use super::spans::Span;
use crate::ground::chance;
use crate::ground::clock::Stopwatch;
use crate::lab::journal::Journal;

/// Spans in one message.
const TOGETHER_MOST: usize = 512;
/// How often one message is sent, at most.
const TRIES_MOST: u32 = 4;
/// What is waited before the second try; twice as long before each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// That some are lost for want of room is said so often at most.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Sends what is `waiting` until there will be no more. After `end` everything is tried once.
pub(super) async fn deliver(
    collector: Collector,
    mut waiting: mpsc::Receiver<Span>,
    journal: Journal,
    lost: Arc<AtomicU64>,
    end: CancellationToken,
) {
    let mut batch = Vec::new();
    let mut is_gone = false;
    let mut said: Option<Stopwatch> = None;
    while waiting.recv_many(&mut batch, TOGETHER_MOST).await > 0 {
        let body = encoding::request(&batch);
        match send(&collector, body, &end).await {
            Ok(rejected) => {
                lost.fetch_add(rejected, Ordering::Relaxed);
                let may_say = said.is_none_or(|said| said.elapsed() >= SAID_EVERY);
                if is_gone {
                    let count = lost.swap(0, Ordering::Relaxed);
                    journal.note(format!(
                        "{collector} takes traces again; spans that were lost meanwhile: {count}"
                    ));
                } else if may_say && lost.load(Ordering::Relaxed) > 0 {
                    let count = lost.swap(0, Ordering::Relaxed);
                    said = Some(Stopwatch::start());
                    journal.note(format!(
                        "spans that did not get to {collector}, since there were too many or it refused them: {count}"
                    ));
                }
                is_gone = false;
            }
            Err(why) => {
                lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                if !is_gone {
                    journal.note(format!(
                        "traces do not get to {collector} ({why}): they are dropped until they do"
                    ));
                }
                is_gone = true;
            }
        }
        batch.clear();
    }
}

/// Sends one message, again where that may help; how many of its spans were not taken, or why none was.
async fn send(collector: &Collector, body: Bytes, end: &CancellationToken) -> Result<u64, String> {
    let mut wait = FIRST_WAIT;
    for tried in 1.. {
        match collector.send(body.clone()).await {
            Sent::Taken { rejected } => return Ok(rejected),
            Sent::Refused(why) => return Err(why),
            Sent::Later { why, .. } if tried >= TRIES_MOST || end.is_cancelled() => return Err(why),
            Sent::Later { after, .. } => {
                // Not all at the same moment, where several labs tell one collector.
                let apart = Duration::from_millis(chance::random_u64() % 200);
                tokio::select! {
                    () = tokio::time::sleep(after.unwrap_or(wait) + apart) => {}
                    () = end.cancelled() => {}
                }
                wait *= 2;
            }
        }
    }
    Ok(0)
}
