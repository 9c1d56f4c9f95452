//! One service as a process: the child's side of the channel, from the first report to the exit code.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::ground::channel::{Order, Report};
use crate::ground::clock;
use crate::ground::descriptors;
use crate::ground::event::{Happened, Moment};
use crate::ground::journal::{Journal, Told, journal};
use crate::ground::lines::{LineReader, line};
use crate::ground::service::{Service, causes};

/// Events sent in one go. After more than [`CALM`] the service rests for [`REST`], while the journal fills up and
/// then drops: so many questions cost the path some five thousand tellings a second at most, and a lone `dig` is told at
/// once.
const BATCH: usize = 256;
const CALM: usize = 8;
/// Orders that are carried out at a time.
const ORDERS_MOST: usize = 32;
const REST: Duration = Duration::from_millis(50);

/// The rest when there was more than could be told anyway: a flood is told as a sample of it, some five hundred
/// events a second, and costs the path no more than that.
const LONG_REST: Duration = Duration::from_millis(500);

/// Ready, failed and replies are waited for this long: they are few, and somebody waits for them.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// How long a closing service waits for its last reports to be read.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Where a service's reports go.
pub enum Upward<'a> {
    /// To the supervisor, over the channel on descriptor 0.
    Supervisor(UnixStream),
    /// To whoever started the service by hand.
    Hand(Box<dyn FnMut(&Report) + 'a>),
}

impl std::fmt::Debug for Upward<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Supervisor(_) => "Supervisor",
            Self::Hand(_) => "Hand",
        })
    }
}

/// Runs a service until it is told to end (SIGTERM, SIGINT), its supervisor is gone, or it has nothing left to serve.
/// Returns whether it could start.
pub async fn run<S: Service>(config: S::Config, upward: Upward<'_>) -> io::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    descriptors::raise();
    let (journal, told) = journal();
    let (mut mouth, orders) = Mouth::new(upward);
    let service = match S::start(config, journal.clone()).await {
        Ok(service) => service,
        Err(error) => {
            mouth.say(&Report::Failed { causes: causes(&error) }).await;
            mouth.finish().await;
            return Ok(false);
        }
    };
    mouth.say(&Report::Ready { listening: service.listening(), version: service.version() }).await;
    serve(&service, &mut mouth, orders, told, [&mut terminate, &mut interrupt]).await;
    let closed = service.close().await;
    if closed.cut > 0 {
        let what = Happened::Note { text: format!("{} connections cut while closing", closed.cut) };
        mouth.say(&Report::Happened { when: Moment::now(), what }).await;
    }
    drop::<Journal>(journal);
    mouth.finish().await;
    Ok(true)
}

/// Serves orders and tells events until the end is asked for.
async fn serve<S: Service>(
    service: &S,
    mouth: &mut Mouth<'_>,
    mut orders: Option<LineReader<OwnedReadHalf>>,
    mut told: Told,
    [terminate, interrupt]: [&mut Signal; 2],
) {
    let mut batch = Vec::new();
    let mut rest_until = clock::now();
    // Orders are carried out side by side: one that takes its time holds up neither the others nor the end.
    let mut under_way = FuturesUnordered::new();
    let mut over = pin!(service.over());
    loop {
        let hear = async {
            // A time and not a length: what is made anew for each order would never end otherwise.
            // Without a rest not even a tick of the timer is waited for.
            if clock::now() < rest_until {
                sleep_until(rest_until.into()).await;
            }
            told.hear(&mut batch, BATCH).await;
        };
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            () = &mut over => return,
            order = next_order(&mut orders), if under_way.len() < ORDERS_MOST => {
                // No order any more: the supervisor is gone, and a service never outlives its lab.
                let Some(Order { number, ask }) = order else { return };
                under_way.push(async move { Report::Reply { number, reply: service.ask(ask).await } });
            }
            Some(reply) = under_way.next() => mouth.say(&reply).await,
            () = hear => {
                let flooded = batch.iter().any(|(_, what)| matches!(what, Happened::Untold { .. }));
                let rest = match batch.len() {
                    _ if flooded => LONG_REST,
                    events if events > CALM => REST,
                    _ => Duration::ZERO,
                };
                for (when, what) in batch.drain(..) {
                    mouth.say(&Report::Happened { when, what }).await;
                }
                rest_until = clock::now() + rest;
            }
        }
    }
}

/// The next order; waits for ever where nobody can give one.
async fn next_order(orders: &mut Option<LineReader<OwnedReadHalf>>) -> Option<Order> {
    match orders {
        Some(orders) => orders.next().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// Says reports without ever making the service wait for a supervisor that does not read.
enum Mouth<'a> {
    Channel { outbox: mpsc::Sender<Vec<u8>>, writer: JoinHandle<()>, untold: u64 },
    Hand(Box<dyn FnMut(&Report) + 'a>),
}

impl<'a> Mouth<'a> {
    fn new(upward: Upward<'a>) -> (Self, Option<LineReader<OwnedReadHalf>>) {
        match upward {
            Upward::Hand(print) => (Self::Hand(print), None),
            Upward::Supervisor(channel) => {
                let (reading, writing) = channel.into_split();
                let (outbox, waiting) = mpsc::channel(2 * BATCH);
                let writer = tokio::spawn(write(writing, waiting));
                (Self::Channel { outbox, writer, untold: 0 }, Some(LineReader::new(reading)))
            }
        }
    }

    async fn say(&mut self, report: &Report) {
        let (outbox, untold) = match self {
            Self::Hand(print) => return print(report),
            Self::Channel { outbox, untold, .. } => (outbox, untold),
        };
        let Ok(line) = line(report) else { return };
        if matches!(report, Report::Happened { .. }) {
            // A supervisor that stands still (it was paused) must not stop its services: events that the outbox
            // cannot hold are counted instead.
            if outbox.try_send(line).is_err() {
                *untold += 1;
                return;
            }
        } else if outbox.send_timeout(line, SAID_WITHIN).await.is_err() {
            return;
        }
        if *untold > 0 {
            let what = Happened::Untold { count: *untold };
            let line = self::line(&Report::Happened { when: Moment::now(), what });
            if line.is_ok_and(|line| outbox.try_send(line).is_ok()) {
                *untold = 0;
            }
        }
    }

    async fn finish(self) {
        if let Self::Channel { outbox, mut writer, .. } = self {
            drop(outbox);
            if tokio::time::timeout(LAST_WORDS, &mut writer).await.is_err() {
                writer.abort();
            }
        }
    }
}

/// Writes what waits, as much as there is in one go.
async fn write(mut channel: OwnedWriteHalf, mut waiting: mpsc::Receiver<Vec<u8>>) {
    let mut lines = Vec::new();
    while waiting.recv_many(&mut lines, BATCH).await > 0 {
        let together = lines.concat();
        lines.clear();
        if channel.write_all(&together).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::bind::Listening;
    use crate::ground::channel::{Ask, Reply};
    use crate::ground::service::Closed;

    /// Tells more than a few events at each order.
    struct Talkative(Journal);

    impl Service for Talkative {
        type Config = ();
        type Error = io::Error;

        async fn start((): (), journal: Journal) -> Result<Self, io::Error> {
            Ok(Self(journal))
        }

        fn listening(&self) -> Vec<Listening> {
            Vec::new()
        }

        async fn ask(&self, _: Ask) -> Reply {
            for _ in 0..=CALM {
                self.0.note("asked");
            }
            Reply::Zones(Vec::new())
        }

        async fn close(self) -> Closed {
            Closed::default()
        }
    }

    #[tokio::test]
    async fn events_are_told_while_orders_keep_coming() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let service = run::<Talkative>((), Upward::Supervisor(theirs));
        let asker = async move {
            let (reading, mut writing) = ours.into_split();
            let mut reports = LineReader::<OwnedReadHalf>::new(reading);
            let mut batches = 0;
            let mut number = 0;
            let start = clock::now();
            // An order is given as soon as the one before is answered; each batch is followed by a rest.
            while batches < 3 {
                assert!(start.elapsed() < Duration::from_secs(60), "{batches} batches in {number} orders");
                number += 1;
                writing.write_all(&line(&Order { number, ask: Ask::ZoneList }).unwrap()).await.unwrap();
                let mut told = false;
                loop {
                    match reports.next::<Report>().await.unwrap().unwrap() {
                        Report::Reply { .. } => break,
                        Report::Happened { .. } => told = true,
                        _ => {}
                    }
                }
                batches += u32::from(told);
            }
        };
        let (ended, ()) = tokio::join!(service, asker);
        assert!(ended.unwrap());
    }
}
