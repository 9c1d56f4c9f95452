//! How many requests were answered, with which status and how fast, since the server started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::ground::clock::{self, Stopwatch};
use crate::ground::metrics::{Family, Histogram, Pace};

/// Status codes are counted each by itself from here on, and below that.
const FIRST: u16 = 100;
const BEYOND: u16 = 600;

/// Counts requests. A request is counted when its answer's head is made, before it goes out: so whoever has the answer finds
/// it counted.
#[derive(Debug)]
pub(in crate::services) struct Requests {
    /// By number, from [`FIRST`] on; the last one is that of all others.
    statuses: Box<[AtomicU64]>,
    times: Histogram,
    pace: Pace,
}

impl Default for Requests {
    fn default() -> Self {
        let statuses = (FIRST..=BEYOND).map(|_| AtomicU64::new(0)).collect();
        Self { statuses, times: Histogram::default(), pace: Pace::new(clock::now()) }
    }
}

impl Requests {
    /// Counts a request that began with `watch`, was answered with `status`, and took `time` to there.
    pub(in crate::services) fn count(&self, status: u16, watch: Stopwatch, time: Duration) {
        let last = self.statuses.len() - 1;
        let place = status.checked_sub(FIRST).map_or(last, |place| usize::from(place).min(last));
        self.statuses[place].fetch_add(1, Relaxed);
        self.times.observe(time, 1);
        self.pace.count(watch.started() + time, 1);
    }

    /// Requests a second, of late.
    pub(in crate::services) fn pace(&self) -> f64 {
        self.pace.per_second(clock::now())
    }

    /// What was counted.
    pub(in crate::services) fn families(&self) -> [Family; 2] {
        let mut requests = Family::counter("wwwlab_http_requests_total", "Requests that were answered.");
        for (number, count) in (FIRST..).zip(&self.statuses) {
            let count = count.load(Relaxed);
            let status = if number < BEYOND { number.to_string() } else { "other".into() };
            if count > 0 {
                requests = requests.with(&[("status", &status)], count);
            }
        }
        let help = "Time from a request to the head of its answer.";
        let times = Family::histogram("wwwlab_http_request_duration_seconds", help);
        [requests, times.with(&[], self.times.read())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_status_and_strange_ones_together() {
        let requests = Requests::default();
        for status in [200, 200, 404, 99, 600, u16::MAX, 100, 599] {
            requests.count(status, Stopwatch::start(), Duration::from_millis(1));
        }
        let [counted, times] = requests.families();
        let counted = crate::ground::metrics::text::text(&[counted]);
        for (status, count) in [("100", 1), ("200", 2), ("404", 1), ("599", 1), ("other", 3)] {
            let line = format!("wwwlab_http_requests_total{{status=\"{status}\"}} {count}\n");
            assert!(counted.contains(&line), "{line}{counted}");
        }
        assert_eq!(counted.lines().count(), 2 + 5);
        let times = crate::ground::metrics::text::text(&[times]);
        assert!(times.contains("wwwlab_http_request_duration_seconds_count 8\n"), "{times}");
        assert!(requests.pace() > 0.0);
    }
}
