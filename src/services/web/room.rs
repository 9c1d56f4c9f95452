//! How many connections there is room for, by the descriptors that this process may have open. Pure.

/// Descriptors for all that is not a client's: the listener, the event loop, the channel, signals, a file that is
/// looked at.
const OWN: usize = 32;

/// Descriptors of one connection: its own, and the file or the connection to the application that it needs.
const EACH: usize = 2;

/// Connections that are turned away at once, at most.
const TURNED_AWAY_MOST: usize = 64;

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Connections that are served at once.
    pub(super) connections: usize,
    /// Connections that are told at once that there is no room; one more is closed without a word.
    pub(super) turned_away: usize,
}

impl Room {
    /// For the `wanted` connections, or as many as `descriptors` allow; one at least.
    pub(super) fn within(descriptors: usize, wanted: usize) -> Self {
        let left = descriptors.saturating_sub(OWN);
        let turned_away = (left / 4).clamp(1, TURNED_AWAY_MOST);
        let connections = wanted.min((left.saturating_sub(turned_away) / EACH).max(1));
        Self { connections, turned_away }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_promised_fits_into_the_descriptors() {
        for descriptors in [40, 64, 128, 256, 1024, 4096, 20_000] {
            let room = Room::within(descriptors, usize::MAX);
            assert!(
                OWN + EACH * room.connections + room.turned_away <= descriptors,
                "{descriptors}: {room:?}"
            );
        }
        assert_eq!(Room::within(128, 1024), Room { connections: 36, turned_away: 24 });
        assert_eq!(Room::within(1024, 1024), Room { connections: 464, turned_away: 64 });
        assert_eq!(Room::within(20_000, 1024), Room { connections: 1024, turned_away: 64 });
        assert_eq!(Room::within(0, 1024), Room { connections: 1, turned_away: 1 });
    }
}
