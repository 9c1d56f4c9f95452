//! Traces for an OpenTelemetry collector: what the journal tells of each request and look-up, as a tree of spans.
//!
//! It stands beside the journal and hears it as any watcher does, through a bounded queue, so that nothing waits for it.
//! It is off unless `[journal] otlp` names a collector, and talks to nobody else.
//!
//! 1. [`gathering`]: which events belong together, and when there are no more of them to come. Pure.
//! 2. [`spans`]: what belongs together as a tree of spans, named after the semantic conventions. Pure.
//! 3. [`encoding`]: spans as OTLP 1.x says them in JSON.
//! 4. [`collector`]: its address, and one exchange with it; [`delivery`]: batches, retries, what is said when it is gone.
//!
//! JSON and not protobuf, both of which every collector must take (OTLP §"OTLP/HTTP"): it is some eighty lines of types
//! for serde, which is here anyway; `opentelemetry-proto` would bring prost and the SDK along for one message.

pub mod collector;
mod delivery;
mod encoding;
mod gathering;
mod spans;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::ground::clock;
use crate::ground::event::Happened;

use super::database::Database;
use super::design::Design;
use super::hosts::ServiceName;
use super::journal::{Entry, Heard, Journal};
use collector::Collector;
use gathering::Gathering;
use spans::Span;

/// Spans that may wait to be sent; what is more is dropped and counted.
const WAITING_MOST: usize = 4096;
/// Events that are taken from the journal in one go.
const HEARD_MOST: usize = 256;
/// How often it is looked for what is whole.
const ROUNDS: Duration = Duration::from_millis(500);
/// A lab that ends waits so long for its last spans to be taken.
const LAST_WITHIN: Duration = Duration::from_secs(1);

/// What of the lab the telling of a span needs.
#[derive(Debug, Clone)]
struct Cast {
    /// Where name servers listen, and what they are called.
    name_servers: Vec<(SocketAddr, &'static str)>,
    /// `db.system.name` of the semantic conventions.
    database: &'static str,
}

impl Cast {
    fn of(design: &Design) -> Self {
        let name_servers = design.config.services().filter(|service| service.speaks_dns());
        let listening = |service: ServiceName| {
            design.addresses(service).into_iter().map(move |address| (address, service.as_str()))
        };
        Self {
            name_servers: name_servers.flat_map(listening).collect(),
            database: match design.database {
                Database::Embedded => "sqlite",
                Database::Own(_) | Database::Elsewhere(_) => "mysql",
            },
        }
    }

    fn is_at(&self, service: &str, address: SocketAddr) -> bool {
        self.name_servers.iter().any(|&(at, name)| at == address && name == service)
    }
}

/// What tells the collector; it goes on until it is closed.
#[derive(Debug)]
pub(super) struct Telemetry {
    task: JoinHandle<()>,
    end: CancellationToken,
}

impl Telemetry {
    /// Tells `collector` what `journal` hears from now on.
    pub(super) fn start(collector: Collector, design: &Design, journal: &Journal) -> Self {
        let end = CancellationToken::new();
        let lost = Arc::<AtomicU64>::default();
        let (spans, waiting) = mpsc::channel(WAITING_MOST);
        let heard = journal.watch_first();
        let gathering = gather(Gathering::of(Cast::of(design)), heard, spans, lost.clone(), end.clone());
        let delivering = delivery::deliver(collector, waiting, journal.clone(), lost, end.clone());
        let both = async {
            tokio::join!(gathering, delivering);
        };
        Self { task: tokio::spawn(both), end }
    }

    /// Tells what is left, as far as that is taken at once, and ends.
    pub(super) async fn close(mut self) {
        self.end.cancel();
        if tokio::time::timeout(LAST_WITHIN, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Makes spans of what is heard until `end`, and then of what is left.
async fn gather(
    mut gathering: Gathering,
    mut heard: Heard,
    spans: mpsc::Sender<Span>,
    lost: Arc<AtomicU64>,
    end: CancellationToken,
) {
    let mut batch = Vec::new();
    let mut rounds = tokio::time::interval(ROUNDS);
    let give = |whole: Vec<Span>| {
        let refused = whole.into_iter().filter_map(|span| spans.try_send(span).err()).count();
        lost.fetch_add(refused as u64, Ordering::Relaxed);
    };
    let hear = |gathering: &mut Gathering, entry: &Entry| match &entry.event.what {
        // The journal's own word that this one was too slow; a service's says what no program was told.
        Happened::Untold { count } if entry.event.service == "lab" => {
            lost.fetch_add(*count, Ordering::Relaxed);
        }
        _ => {
            let dropped = gathering.hear(&entry.event, clock::monotonic_micros());
            lost.fetch_add(dropped, Ordering::Relaxed);
        }
    };
    loop {
        tokio::select! {
            () = heard.next(&mut batch, HEARD_MOST) => {
                batch.drain(..).for_each(|entry| hear(&mut gathering, &entry));
            }
            _ = rounds.tick() => give(gathering.whole(clock::monotonic_micros())),
            () = end.cancelled() => break,
        }
    }
    heard.rest().iter().for_each(|entry| hear(&mut gathering, entry));
    give(gathering.rest());
}
