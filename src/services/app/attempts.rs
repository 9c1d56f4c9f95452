//! How often somebody may try a password.
//!
//! Counted for each client (an IPv4 address, an IPv6 network of 64 bits), and more narrowly for each account that a
//! client tries; not for an account alone, since then anybody could lock its owner out. Each has a few attempts at
//! once, and gains another after a while. The table is bounded: it forgets whoever has not tried for longest.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

/// Rows of the table at most.
const ROWS_MOST: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Of one client, whatever the account.
const OF_CLIENT: Pace = Pace { at_once: 30, each: Duration::from_secs(2) };

/// Of one client at one account.
const AT_ACCOUNT: Pace = Pace { at_once: 5, each: Duration::from_secs(30) };

/// So many attempts at once, and another after each so long.
#[derive(Debug, Clone, Copy)]
struct Pace {
    at_once: u32,
    each: Duration,
}

/// Whose attempts a row counts: a client's, at an account or at any.
type Row = (IpAddr, Option<String>);

/// The attempts of late.
#[derive(Debug)]
pub(super) struct Attempts {
    /// When all attempts of a row will have come back. A plain mutex: it is held for one look.
    rows: Mutex<LruCache<Row, Instant>>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { rows: Mutex::new(LruCache::new(ROWS_MOST)) }
    }
}

impl Attempts {
    /// Counts an attempt of `client` now, at `account` or at none; or says after how long it may try again.
    pub(super) fn count(&self, client: IpAddr, account: Option<&str>, now: Instant) -> Result<(), Duration> {
        let client = network(client);
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counted = Vec::with_capacity(2);
        for (row, pace) in [((client, None), OF_CLIENT)]
            .into_iter()
            .chain(account.map(|account| ((client, Some(account.to_owned())), AT_ACCOUNT)))
        {
            let back = rows.get(&row).copied().unwrap_or(now).max(now) + pace.each;
            let wait = back.saturating_duration_since(now + pace.each * pace.at_once);
            if !wait.is_zero() {
                return Err(wait);
            }
            counted.push((row, back));
        }
        for (row, back) in counted {
            rows.put(row, back);
        }
        Ok(())
    }

    /// Forgets the attempts of `client` at `account`: it knew the password.
    pub(super) fn forget(&self, client: IpAddr, account: &str) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.pop(&(network(client), Some(account.to_owned())));
    }
}

/// What one client can choose its addresses from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::clock;

    const ADA: [u8; 4] = [192, 0, 2, 10];

    #[test]
    fn five_at_once_then_one_each_half_minute() {
        let (attempts, now) = (Attempts::default(), clock::now());
        for _ in 0..5 {
            attempts.count(ADA.into(), Some("ada"), now).unwrap();
        }
        assert_eq!(attempts.count(ADA.into(), Some("ada"), now), Err(Duration::from_secs(30)));
        assert_eq!(attempts.count([192, 0, 2, 11].into(), Some("ada"), now), Ok(()), "its owner elsewhere");
        assert_eq!(attempts.count(ADA.into(), Some("bob"), now), Ok(()));
        let later = now + Duration::from_secs(30);
        assert_eq!(attempts.count(ADA.into(), Some("ada"), later), Ok(()));
        assert_eq!(attempts.count(ADA.into(), Some("ada"), later), Err(Duration::from_secs(30)));
        attempts.forget(ADA.into(), "ada");
        assert_eq!(attempts.count(ADA.into(), Some("ada"), later), Ok(()));
    }

    #[test]
    fn a_client_that_tries_many_accounts_is_slowed_too() {
        let (attempts, now) = (Attempts::default(), clock::now());
        let own = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        for number in 0..30 {
            attempts.count(own(number), Some(&number.to_string()), now).unwrap();
        }
        assert_eq!(attempts.count(own(99), Some("x"), now), Err(Duration::from_secs(2)));
        assert_eq!(attempts.count(own(99), None, now), Err(Duration::from_secs(2)));
        assert_eq!(attempts.count([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1].into(), None, now), Ok(()));
    }

    #[test]
    fn the_table_is_bounded() {
        let (attempts, now) = (Attempts::default(), clock::now());
        for number in 0..10_000_u32 {
            let _ = attempts.count(IpAddr::from(number.to_be_bytes()), Some("ada"), now);
        }
        assert_eq!(attempts.rows.lock().unwrap().len(), ROWS_MOST.get());
    }
}
