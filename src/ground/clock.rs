//! Wall-clock time for people and monotonic time for measuring.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, as milliseconds since the Unix epoch; 0 on a machine whose clock stands before 1970.
pub fn unix_millis() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Now, as nanoseconds since the Unix epoch, as the kernel dates packets; until the year 2554.
pub fn unix_nanos() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// Now, as HTTP dates are compared with it.
pub fn system_time() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(unix_millis())
}

/// Now, as seconds since the Unix epoch modulo 2³², as DNS counts them (RFC 1982, RFC 9018 §4.3).
pub fn unix_seconds() -> u32 {
    u32::try_from(unix_millis() / 1000 % (1 << 32)).unwrap_or(0)
}

/// Now, for measuring: it never goes back.
pub fn now() -> Instant {
    Instant::now()
}

/// Now, in microseconds of the clock that all processes of this machine share and that never goes back; 0 where there is
/// none. It begins anew when the machine does.
pub fn monotonic_micros() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
    u64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// Processor time that this thread has used, in microseconds; 0 where the system does not say.
pub fn thread_cpu_micros() -> u64 {
    let used = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    whole_micros(used.unwrap_or_default())
}

/// A running stopwatch.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.0
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Whole microseconds since the start.
    pub fn micros(&self) -> u64 {
        whole_micros(self.0.elapsed())
    }
}

/// `time` in whole microseconds.
pub fn whole_micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// `unix_millis` as RFC 3339 in UTC, to the millisecond: `2026-11-21T19:15:00.123Z`.
pub fn rfc3339(unix_millis: u64) -> String {
    // humantime writes years 1970 to 9999; a time beyond that is shown as the last it can write.
    const LAST: u64 = 253_402_300_799_999;
    let time = UNIX_EPOCH + Duration::from_millis(unix_millis.min(LAST));
    humantime::format_rfc3339_millis(time).to_string()
}

/// `unix_millis` as web servers write it in their logs, in UTC: `21/Nov/2026:19:15:00 +0000`.
pub fn common_log(unix_millis: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = rfc3339(unix_millis);
    let month: usize = time[5..7].parse().unwrap_or(1);
    let month = MONTHS.get(month.wrapping_sub(1)).unwrap_or(&MONTHS[0]);
    format!("{}/{month}/{}:{} +0000", &time[8..10], &time[..4], &time[11..19])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_clock_goes_as_fast_as_the_measuring_one() {
        let (shared, own) = (monotonic_micros(), Stopwatch::start());
        while own.micros() < 2_000 {}
        let passed = monotonic_micros() - shared;
        assert!((2_000..=own.micros() + 1_000_000).contains(&passed), "{passed} µs");
    }

    #[test]
    fn a_thread_that_works_uses_the_processor() {
        let before = thread_cpu_micros();
        let own = Stopwatch::start();
        while thread_cpu_micros() == before && own.elapsed() < Duration::from_secs(30) {}
        assert!(thread_cpu_micros() > before);
    }

    #[test]
    fn times_read_as_rfc_3339() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_288_500_123), "2026-11-21T19:15:00.123Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(common_log(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(common_log(u64::MAX), "31/Dec/9999:23:59:59 +0000");
    }
}
