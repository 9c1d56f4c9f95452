//! Waking at a moment, to some microseconds: the event loop's own timers count in milliseconds, which is as long as ten pages
//! take out of memory.
//!
//! On Linux it is a timer of the kernel's that is waited for like a socket (timerfd_create(2)); elsewhere the event loop's.

use std::io;
use std::time::Instant;

pub use on_this_system::Alarm;

#[cfg(target_os = "linux")]
mod on_this_system {
    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::*;

    /// Wakes whoever waits for it.
    #[derive(Debug)]
    pub struct Alarm(AsyncFd<Timer>);

    #[derive(Debug)]
    struct Timer(TimerFd);

    impl std::os::fd::AsRawFd for Timer {
        fn as_raw_fd(&self) -> std::os::fd::RawFd {
            use std::os::fd::AsFd as _;
            self.0.as_fd().as_raw_fd()
        }
    }

    impl Alarm {
        /// One that is not set. Needs a tokio runtime; fails where there is no descriptor left.
        pub fn new() -> io::Result<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
            #[expect(
                unsafe_code,
                reason = "the event loop cannot see that its descriptor stays the same one"
            )]
            // SAFETY: `Timer` owns its descriptor, gives it away to nobody, and names the same one for as long as it lives.
            let registered = unsafe { AsyncFd::register_with_interest(Timer(timer), Interest::READABLE) };
            Ok(Self(registered.map_err(|error| error.into_parts().1)?))
        }

        /// Waits until `moment`; not at all if that is over.
        pub async fn until(&self, moment: Instant) -> io::Result<()> {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let timer = &self.0.get_ref().0;
            timer.set(Expiration::OneShot(TimeSpec::from_duration(left)), TimerSetTimeFlags::empty())?;
            loop {
                let mut ready = self.0.readable().await?;
                // Not blocking: what it says to whoever is too early.
                match timer.wait() {
                    Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                    other => {
                        ready.clear_ready();
                        return Ok(other?);
                    }
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod on_this_system {
    use super::*;

    /// Wakes whoever waits for it.
    #[derive(Debug)]
    pub struct Alarm(());

    impl Alarm {
        /// One that is not set.
        pub fn new() -> io::Result<Self> {
            Ok(Self(()))
        }

        /// Waits until `moment`; not at all if that is over.
        pub async fn until(&self, moment: Instant) -> io::Result<()> {
            tokio::time::sleep_until(moment.into()).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_wakes_at_its_moment_and_never_before() {
        let alarm = Alarm::new().unwrap();
        for micros in [0, 1, 90, 800, 2_500] {
            let moment = Instant::now() + Duration::from_micros(micros);
            alarm.until(moment).await.unwrap();
            assert!(Instant::now() >= moment, "{micros} µs");
        }
        // Given up, and set again for earlier than before.
        let late = Instant::now() + Duration::from_secs(600);
        tokio::select! {
            biased;
            _ = alarm.until(late) => panic!("ten minutes are over"),
            () = tokio::task::yield_now() => {}
        }
        alarm.until(Instant::now() + Duration::from_micros(300)).await.unwrap();
        alarm.until(Instant::now() - Duration::from_micros(1)).await.unwrap();
    }
}
