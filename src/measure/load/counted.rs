//! What came of a load at one rate: times, errors by kind, and how punctual the generator was.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use super::objective::Quantile;
use crate::dns::types::Rcode;
use crate::ground::clock::whole_micros;

/// The longest time that is told from longer ones, in microseconds: two minutes.
const LONGEST: u64 = 120_000_000;

/// What is counted.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Requests a second, as wanted.
    pub rate: u32,
    /// For how long, as wanted.
    pub lasting: Duration,
    /// Requests that went out.
    pub sent: u64,
    /// Those that should have, and did not, since the generator could not follow.
    pub unsent: u64,
    /// Those that were answered as they should be.
    pub answered: u64,
    /// The others, by what happened.
    pub errors: BTreeMap<Kind, u64>,
    /// Until the last good answer, or as long as [`lasting`](Self::lasting) where that was earlier.
    pub took: Duration,
    /// Share of one processor that the generator used meanwhile, in percent.
    pub generator_percent: f64,
    /// From the intended moment to the end of the answer, in microseconds. In vain waited for counts as waited for.
    times: Histogram<u64>,
    /// From the intended moment to the one at which it was begun, in microseconds.
    late: Histogram<u64>,
}

/// What happened in place of a good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nobody listens.
    Refused,
    /// The connection was cut.
    Reset,
    /// It ended before the answer was whole.
    Closed,
    /// Nothing came in time.
    Timeout,
    /// An answer by HTTP that is none of the good ones.
    Status(u16),
    /// An answer by DNS that is no good one.
    Rcode(u16),
    /// An answer by DNS without what was asked for.
    Empty,
    /// What came could not be read.
    Malformed,
    /// No way leads there.
    Unreachable,
    /// This side had no descriptor, port or memory left.
    Here,
}

impl Counted {
    /// Nothing yet, of `rate` requests a second for as long as `lasting`.
    pub fn new(rate: u32, lasting: Duration) -> Self {
        Self {
            rate,
            lasting,
            sent: 0,
            unsent: 0,
            answered: 0,
            errors: BTreeMap::new(),
            took: lasting,
            generator_percent: 0.0,
            times: histogram(),
            late: histogram(),
        }
    }

    /// One was sent, so long after it should have been.
    pub fn sent_late_by(&mut self, late: Duration) {
        self.sent += 1;
        self.late.saturating_record(whole_micros(late));
    }

    /// One was answered.
    pub fn answered_after(&mut self, time: Duration) {
        self.answered += 1;
        self.times.saturating_record(whole_micros(time).max(1));
    }

    /// One failed at once, or at least without having been waited for in vain.
    pub fn failed(&mut self, kind: Kind) {
        *self.errors.entry(kind).or_default() += 1;
    }

    /// One was waited for in vain: its time is as long as that, at least.
    pub fn timed_out_after(&mut self, patience: Duration) {
        self.failed(Kind::Timeout);
        self.times.saturating_record(whole_micros(patience).max(1));
    }

    /// How many failed.
    pub fn failures(&self) -> u64 {
        self.errors.values().sum()
    }

    /// How many of those that were answered or failed did fail, in percent.
    pub fn errors_percent(&self) -> f64 {
        let failures = self.failures() as f64;
        let all = failures + self.answered as f64;
        if all > 0.0 { failures * 100.0 / all } else { 0.0 }
    }

    /// Answered a second.
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64().max(1e-3)
    }

    /// The time that so many did not exceed.
    pub fn time(&self, quantile: Quantile) -> Duration {
        Duration::from_micros(self.times.value_at_quantile(quantile.share()))
    }

    /// The same, where enough were counted for it to be more than the longest one.
    pub fn time_if_known(&self, quantile: Quantile) -> Option<Duration> {
        let rest = (1.0 - quantile.share()) * self.times.len() as f64;
        (quantile == Quantile::Max && !self.times.is_empty() || rest >= 0.999).then(|| self.time(quantile))
    }

    /// By how much 99 of 100 were sent late at most.
    pub fn late(&self) -> Duration {
        Duration::from_micros(self.late.value_at_quantile(0.99))
    }

    /// Whether it was the generator that could not follow: then these times say little about the lab.
    pub fn is_generators_fault(&self) -> bool {
        /// So late counts as punctual: a processor that is asked for at once is given in a time slice.
        const PUNCTUAL: Duration = Duration::from_millis(2);
        self.unsent > 0
            || self.errors.contains_key(&Kind::Here)
            || self.late() > PUNCTUAL.max(self.time(Quantile::P99) / 4)
    }
}

/// To three digits, as far as two minutes; no bound of these is out of what can be had.
fn histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "fails for bounds that contradict each other alone")]
    Histogram::new_with_bounds(1, LONGEST, 3).expect("good bounds")
}

impl Kind {
    /// What an error of the operating system is.
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind;
        use nix::libc::{EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};
        match error.kind() {
            _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE | EADDRNOTAVAIL | ENOBUFS | ENOMEM)) => {
                Self::Here
            }
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::UnexpectedEof => Self::Closed,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::Unreachable,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset"),
            Self::Closed => f.write_str("closed"),
            Self::Timeout => f.write_str("timeout"),
            Self::Status(status) => write!(f, "{status}"),
            Self::Rcode(rcode) => write!(f, "{}", Rcode(*rcode)),
            Self::Empty => f.write_str("no answer in it"),
            Self::Malformed => f.write_str("malformed"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Here => f.write_str("not sent"),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A time in the unit that reads best, to three digits: `87 µs`, `1.25 ms`, `2.01 s`.
pub fn millis(time: Duration) -> String {
    let micros = whole_micros(time);
    let digits = |number: f64| match number {
        ..10.0 => format!("{number:.2}"),
        ..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    };
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", digits(micros as f64 / 1e3)),
        _ => format!("{} s", digits(micros as f64 / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_in_vain_is_in_the_times_and_what_failed_at_once_is_not() {
        let mut counted = Counted::new(10, Duration::from_secs(10));
        (0..97).for_each(|_| counted.answered_after(Duration::from_millis(1)));
        counted.failed(Kind::Refused);
        (0..2).for_each(|_| counted.timed_out_after(Duration::from_secs(2)));
        assert_eq!((counted.answered, counted.failures()), (97, 3));
        assert!((counted.errors_percent() - 3.0).abs() < 1e-9);
        let within = |time: Duration, wanted: f64| (time.as_secs_f64() / wanted - 1.0).abs() < 0.002;
        assert!(within(counted.time(Quantile::P50), 0.001), "{:?}", counted.time(Quantile::P50));
        assert!(within(counted.time(Quantile::P99), 2.0), "{:?}", counted.time(Quantile::P99));
        assert_eq!(counted.time_if_known(Quantile::P999), None, "of 99 the last thousandth is none");
        assert!(counted.time_if_known(Quantile::P95).is_some());
        assert_eq!(counted.errors[&Kind::Timeout], 2);
        assert!((counted.per_second() - 9.7).abs() < 1e-9);
    }

    #[test]
    fn a_generator_that_is_late_says_so() {
        let mut counted = Counted::new(100, Duration::from_secs(1));
        assert!(!counted.is_generators_fault());
        for _ in 0..100 {
            counted.sent_late_by(Duration::from_micros(80));
            counted.answered_after(Duration::from_micros(300));
        }
        assert!(!counted.is_generators_fault(), "80 µs is punctual");
        (0..5).for_each(|_| counted.sent_late_by(Duration::from_millis(30)));
        assert!(counted.is_generators_fault());
        (0..50).for_each(|_| counted.answered_after(Duration::from_secs(1)));
        assert!(!counted.is_generators_fault(), "next to a second it is nothing");
        counted.unsent = 1;
        assert!(counted.is_generators_fault());
    }

    #[test]
    fn times_read_well() {
        let read = |micros| millis(Duration::from_micros(micros));
        assert_eq!([0, 999, 1_000, 12_345].map(read), ["0 µs", "999 µs", "1.00 ms", "12.3 ms"]);
        assert_eq!([123_456, 2_010_000, 60_000_000].map(read), ["123 ms", "2.01 s", "60.0 s"]);
    }

    #[test]
    fn errors_of_the_system_have_their_names() {
        let of = |code| Kind::of(&io::Error::from_raw_os_error(code));
        use nix::libc::{ECONNREFUSED, ECONNRESET, EMFILE, EPIPE, ETIMEDOUT};
        assert_eq!(
            [ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT, EMFILE].map(of),
            [Kind::Refused, Kind::Reset, Kind::Reset, Kind::Timeout, Kind::Here]
        );
        assert_eq!([Kind::Status(503), Kind::Here].map(|kind| kind.to_string()), ["503", "not sent"]);
    }
}
