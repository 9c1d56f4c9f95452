//! The zones that a server answers for, as one immutable snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use crate::dns::name::Name;
use crate::dns::zone::Zone;

/// The longest name that a server gives itself, in octets: one text of a TXT record holds it.
pub const LONGEST_IDENTITY: usize = 255;

/// Zones by their apex.
#[derive(Debug, Clone, Default)]
pub struct ZoneSet {
    /// By the apex's octets in lower case.
    zones: HashMap<Box<[u8]>, Served>,
    /// Who answers: for NSID (RFC 5001) and `id.server` (RFC 4892). At most [`LONGEST_IDENTITY`] octets.
    identity: Arc<str>,
    /// Bit n is set if there is an apex of n labels: only such suffixes of a name are looked up.
    depths: u128,
}

/// What is served for an apex.
#[derive(Debug, Clone)]
pub enum Served {
    /// This zone.
    Zone(Arc<Zone>),
    /// Nothing yet: its file was never right. Answered with SERVFAIL.
    Broken,
}

impl ZoneSet {
    /// No zones yet, of a server that calls itself `identity`, as far as that fits.
    pub fn of(identity: &str) -> Self {
        let end = identity.floor_char_boundary(LONGEST_IDENTITY);
        Self { identity: identity[..end].into(), ..Self::default() }
    }

    /// What the server calls itself.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Serves `served` for `origin` from now on.
    pub fn put(&mut self, origin: &Name, served: Served) {
        self.depths |= 1 << origin.label_count();
        self.zones.insert(origin.to_lowercase().as_wire().into(), served);
    }

    /// What is served for exactly `origin`.
    pub fn get(&self, origin: &Name) -> Option<&Served> {
        self.zones.get(origin.to_lowercase().as_wire())
    }

    /// What is served, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Served> {
        self.zones.values()
    }

    /// The zone that `name`, in lower case, is in: the deepest whose apex is at or above it. With `above`, the
    /// apex must be above it.
    pub fn find(&self, lowercase: &Name, above: bool) -> Option<&Served> {
        let mut rest = lowercase.as_wire();
        let mut depth = lowercase.label_count();
        if above {
            depth = depth.checked_sub(1)?;
            rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        }
        loop {
            if self.depths & (1 << depth) != 0
                && let Some(served) = self.zones.get(rest)
            {
                return Some(served);
            }
            depth = depth.checked_sub(1)?;
            rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_apex_wins() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut zones = ZoneSet::default();
        assert!(zones.find(&name("a.b"), false).is_none());
        zones.put(&name("B"), Served::Broken);
        assert!(zones.find(&name("a.b"), false).is_some());
        assert!(zones.find(&name("b"), false).is_some());
        assert!(zones.find(&name("b"), true).is_none());
        assert!(zones.find(&name("ab"), false).is_none());
        zones.put(&Name::root(), Served::Broken);
        assert!(zones.find(&Name::root(), false).is_some());
        assert!(zones.find(&name("b"), true).is_some());
        assert!(zones.find(&Name::root(), true).is_none());
    }
}
