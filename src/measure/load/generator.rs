//! Makes a load: a thread of its own with an event loop of its own, so that nothing else keeps it from being punctual; and it
//! measures whether it was.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{LocalSet, yield_now};
use tokio_util::sync::CancellationToken;

use super::counted::{Counted, Kind};
use super::pages::Pages;
use super::questions::Questions;
use super::{Aim, CONNECTIONS_MOST, RATE_MOST};
use crate::ground::alarm::Alarm;
use crate::ground::clock;

/// So many are sent in a row when they are due; then answers have their turn.
const IN_A_ROW: u32 = 32;

/// A generator that takes more than twice the time of a step to send, and this beside, stops sending.
const BEHIND_MOST: Duration = Duration::from_secs(1);

/// A generator of load; it ends when this is dropped.
#[derive(Debug)]
pub struct Generator {
    orders: Option<mpsc::Sender<Order>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Why no load is made.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// The system gives no thread, descriptor or timer.
    #[error("cannot start the load generator")]
    System(#[from] io::Error),
    /// Its thread is gone.
    #[error("the load generator ended in the middle of its work")]
    Gone,
}

#[derive(Debug)]
struct Order {
    rate: u32,
    lasting: Duration,
    /// Whether to begin without the connections of before.
    afresh: bool,
    reply: oneshot::Sender<Counted>,
}

impl Generator {
    /// One that asks for `aim` over at most `connections` at a time, and waits for each answer for as long as `patience`.
    pub fn start(aim: Aim, connections: u16, patience: Duration) -> Result<Self, GeneratorError> {
        let (orders, received) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let connections = connections.clamp(1, CONNECTIONS_MOST);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = stopped.cancelled() => {}
                    _ = serve(aim, connections, patience, received) => {}
                }
            });
        };
        let thread = thread::Builder::new().name("load".into()).spawn(work)?;
        Ok(Self { orders: Some(orders), stop, thread: Some(thread) })
    }

    /// Asks `rate` times a second (1 to [`RATE_MOST`]) for as long as `lasting`, and waits until all is answered or over.
    /// `afresh` closes the connections of before first.
    pub async fn step(&self, rate: u32, lasting: Duration, afresh: bool) -> Result<Counted, GeneratorError> {
        let (reply, counted) = oneshot::channel();
        let order = Order { rate: rate.clamp(1, RATE_MOST), lasting, afresh, reply };
        let orders = self.orders.as_ref().ok_or(GeneratorError::Gone)?;
        orders.send(order).await.map_err(|_| GeneratorError::Gone)?;
        counted.await.map_err(|_| GeneratorError::Gone)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.stop.cancel();
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    aim: Aim,
    connections: u16,
    patience: Duration,
    mut orders: mpsc::Receiver<Order>,
) -> io::Result<()> {
    let alarm = Alarm::new()?;
    let source = match aim {
        Aim::Page(page) => Source::Pages(Pages::new(page, connections)),
        Aim::Question(question) => Source::Questions(Questions::new(question).await?),
    };
    while let Some(Order { rate, lasting, afresh, reply }) = orders.recv().await {
        if afresh {
            source.begin_afresh();
        }
        let counted = step(&source, &alarm, rate, lasting, patience).await?;
        // Who does not want it any more gives up.
        let _ = reply.send(counted);
    }
    Ok(())
}

/// Whoever sends.
enum Source {
    Pages(Pages),
    Questions(Questions),
}

impl Source {
    fn send(&self, ticket: Ticket) {
        match self {
            Self::Pages(pages) => pages.send(ticket),
            Self::Questions(questions) => questions.send(ticket),
        }
    }

    fn begin_afresh(&self) {
        if let Self::Pages(pages) = self {
            pages.hang_up();
        }
    }
}

async fn step(
    source: &Source,
    alarm: &Alarm,
    rate: u32,
    lasting: Duration,
    patience: Duration,
) -> io::Result<Counted> {
    let cpu = clock::thread_cpu_micros();
    let begin = clock::now();
    let ledger = Ledger::new(rate, lasting, begin);
    let given_up = lasting * 2 + BEHIND_MOST;
    let all = arrivals(rate, lasting);
    let mut in_a_row = 0;
    for number in 0..all {
        let intended = begin + arrival(rate, number);
        let now = loop {
            let now = clock::now();
            if now >= intended {
                break now;
            }
            in_a_row = 0;
            alarm.until(intended).await?;
        };
        if now - begin > given_up {
            ledger.counted.borrow_mut().unsent = all - number;
            break;
        }
        ledger.counted.borrow_mut().sent_late_by(now - intended);
        source.send(ledger.ticket(intended, patience));
        in_a_row += 1;
        if in_a_row == IN_A_ROW {
            in_a_row = 0;
            yield_now().await;
        }
    }
    // Each of them ends, at the latest when it was waited for long enough.
    ledger.all_ended().await;
    let whole = (clock::now() - begin).as_micros().max(1) as f64;
    let used = (clock::thread_cpu_micros() - cpu) as f64;
    let mut counted = ledger.counted.borrow().clone();
    counted.generator_percent = used * 100.0 / whole;
    Ok(counted)
}

/// How many come in `lasting`.
fn arrivals(rate: u32, lasting: Duration) -> u64 {
    let all = u128::from(rate) * lasting.as_nanos() / 1_000_000_000;
    u64::try_from(all).unwrap_or(u64::MAX).max(1)
}

/// When the one with this number comes, after the first.
fn arrival(rate: u32, number: u64) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Where it is counted what becomes of the requests of one step.
#[derive(Debug)]
struct Ledger {
    begin: Instant,
    counted: RefCell<Counted>,
    under_way: Cell<u64>,
    ended: Notify,
}

impl Ledger {
    fn new(rate: u32, lasting: Duration, begin: Instant) -> Rc<Self> {
        let counted = RefCell::new(Counted::new(rate, lasting));
        Rc::new(Self { begin, counted, under_way: Cell::new(0), ended: Notify::new() })
    }

    fn ticket(self: &Rc<Self>, intended: Instant, patience: Duration) -> Ticket {
        self.under_way.set(self.under_way.get() + 1);
        Ticket { ledger: self.clone(), intended, patience, is_counted: false }
    }

    async fn all_ended(&self) {
        while self.under_way.get() > 0 {
            self.ended.notified().await;
        }
    }
}

/// One request, from the moment at which it was meant to go out until it is known what became of it.
#[derive(Debug)]
pub(super) struct Ticket {
    ledger: Rc<Ledger>,
    intended: Instant,
    patience: Duration,
    is_counted: bool,
}

impl Ticket {
    /// When it is waited for no longer.
    pub(super) fn deadline(&self) -> Instant {
        self.intended + self.patience
    }

    /// It is answered as it should be.
    pub(super) fn answered(mut self) {
        let now = clock::now();
        let time = now.saturating_duration_since(self.intended);
        // What came in the same moment as its end is late all the same.
        if time > self.patience {
            return self.failed(Kind::Timeout);
        }
        self.is_counted = true;
        let mut counted = self.ledger.counted.borrow_mut();
        counted.answered_after(time);
        counted.took = counted.took.max(now - self.ledger.begin);
    }

    /// It is not.
    pub(super) fn failed(mut self, kind: Kind) {
        self.is_counted = true;
        let mut counted = self.ledger.counted.borrow_mut();
        match kind {
            Kind::Timeout => counted.timed_out_after(self.patience),
            kind => counted.failed(kind),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_counted {
            self.ledger.counted.borrow_mut().failed(Kind::Here);
        }
        self.ledger.under_way.set(self.ledger.under_way.get() - 1);
        if self.ledger.under_way.get() == 0 {
            self.ledger.ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_spread_evenly() {
        assert_eq!(arrivals(1_000, Duration::from_secs(2)), 2_000);
        assert_eq!(arrivals(1, Duration::from_millis(100)), 1, "one at least");
        assert_eq!(arrival(1_000, 3), Duration::from_millis(3));
        assert_eq!(arrival(3, 3), Duration::from_secs(1), "roundings do not add up");
        assert_eq!(arrivals(u32::MAX, Duration::MAX), u64::MAX);
    }

    #[test]
    fn what_is_lost_on_the_way_is_counted_as_not_sent() {
        let now = clock::now();
        let ledger = Ledger::new(10, Duration::from_secs(1), now);
        drop(ledger.ticket(now, Duration::from_secs(1)));
        ledger.ticket(now, Duration::from_secs(1)).failed(Kind::Reset);
        let late = ledger.ticket(now - Duration::from_secs(9), Duration::from_secs(1));
        late.answered();
        let counted = ledger.counted.borrow();
        assert_eq!((counted.errors[&Kind::Here], counted.errors[&Kind::Reset]), (1, 1));
        assert_eq!((counted.errors[&Kind::Timeout], counted.answered), (1, 0));
        assert_eq!(ledger.under_way.get(), 0);
    }
}
