//! Who may have a zone sent just now: seats for a bounded number of transfers.
//!
//! One client has a part of them only, so that nobody keeps the others waiting by asking often and reading slowly. A part is
//! kept for those whom this server tells of changes: they are the zone's other name servers.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Zones that are sent at a time: each holds its version of the zone in memory, and one message.
const SEATS: usize = 16;

/// Of these, to one client that this server does not tell of changes.
const OF_ONE_MOST: usize = SEATS / 4;

/// Of these, to all such clients together.
const OF_STRANGERS_MOST: usize = SEATS - SEATS / 4;

/// All seats. A plain mutex: it is held for one look at a short list.
#[derive(Debug)]
pub(super) struct Seats {
    known: Vec<IpAddr>,
    taken: Arc<Mutex<Vec<IpAddr>>>,
}

/// One seat, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    client: IpAddr,
    taken: Arc<Mutex<Vec<IpAddr>>>,
}

impl Seats {
    /// All free; those at `known` are told of changes.
    pub(super) fn new(known: impl IntoIterator<Item = IpAddr>) -> Self {
        let known = known.into_iter().map(|address| address.to_canonical()).collect();
        Self { known, taken: Arc::default() }
    }

    /// One for `client`, if it may have one more.
    pub(super) fn take(&self, client: IpAddr) -> Option<Seat> {
        let client = client.to_canonical();
        let mut taken = lock(&self.taken);
        let has_room = if self.known.contains(&client) {
            taken.len() < SEATS
        } else {
            let of_client = taken.iter().filter(|other| **other == client).count();
            let of_strangers = taken.iter().filter(|other| !self.known.contains(other)).count();
            taken.len() < SEATS && of_client < OF_ONE_MOST && of_strangers < OF_STRANGERS_MOST
        };
        has_room.then(|| {
            taken.push(client);
            Seat { client, taken: self.taken.clone() }
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(at) = taken.iter().position(|client| *client == self.client) {
            taken.swap_remove(at);
        }
    }
}

fn lock(taken: &Mutex<Vec<IpAddr>>) -> MutexGuard<'_, Vec<IpAddr>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn one_client_has_a_part_and_a_part_is_kept_for_those_who_are_known() {
        let seats = Seats::new([at(200)]);
        let mut held: Vec<Seat> = (0..OF_ONE_MOST).map(|_| seats.take(at(1)).unwrap()).collect();
        assert!(seats.take(at(1)).is_none(), "one client has no more");
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert!(seats.take(mapped).is_none(), "nor by its other name");
        for client in 2.. {
            match seats.take(at(client)) {
                Some(seat) => held.push(seat),
                None => break,
            }
        }
        assert_eq!(held.len(), OF_STRANGERS_MOST);
        let known: Vec<Seat> = (0..SEATS - OF_STRANGERS_MOST).map(|_| seats.take(at(200)).unwrap()).collect();
        assert!(seats.take(at(200)).is_none() && seats.take(at(99)).is_none(), "all are taken");
        held.remove(0);
        assert!(seats.take(at(1)).is_some(), "one that is given back can be had again");
        drop(known);
    }
}
