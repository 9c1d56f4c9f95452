//! Nodes by the hash of their names: open addressing, four octets a slot, at most two thirds full.
//!
//! Hashes are made from the root side, label by label, so that all suffixes of a name are hashed in one pass.
//! They need no secret: only the zone's own keeper chooses what is in the table.

/// The hash of a zone's apex: names are hashed relative to it.
pub(super) const ORIGIN: u64 = 0xCBF2_9CE4_8422_2325;

const EMPTY: u32 = u32::MAX;

/// Numbers of nodes, found by hash.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<u32>,
    used: usize,
}

/// The hash of the uncompressed `name` whose last `origin_length` octets are the apex.
pub(super) fn hash(name: &[u8], origin_length: usize) -> u64 {
    let mut starts = [0_u8; crate::dns::name::MOST_LABELS];
    let mut count = 0;
    let above = name.len() - origin_length;
    let mut at = 0;
    while at < above {
        starts[count] = u8::try_from(at).unwrap_or(u8::MAX);
        count += 1;
        at += 1 + usize::from(name[at]);
    }
    starts[..count].iter().rev().fold(ORIGIN, |hash, &start| extend(hash, &name[usize::from(start)..]))
}

/// The hash of a name that begins with the first label of `label`, below one whose hash is `above`.
pub(super) fn extend(above: u64, label: &[u8]) -> u64 {
    let length = label.first().map_or(0, |&length| usize::from(length));
    let octets = label.get(..=length).unwrap_or(label);
    octets.iter().fold(above.rotate_left(5), |hash, octet| {
        (hash ^ u64::from(octet.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// The part of a hash that a node keeps.
pub(super) const fn short(hash: u64) -> u32 {
    let folded = (hash ^ hash >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // The upper half of a product depends on all bits below it.
    (folded >> 32) as u32
}

impl Table {
    /// An empty table with room for `expected` nodes.
    pub(super) fn with_room_for(expected: usize) -> Self {
        Self { slots: vec![EMPTY; (expected + expected / 2 + 2).next_power_of_two()], used: 0 }
    }

    /// The node of this hash that `is_it` accepts.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = short(hash) as usize & mask;
        loop {
            match self.slots[at] {
                EMPTY => return None,
                index if is_it(index) => return Some(index),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Adds a node that is not in it. `hash_of` tells the [`short`] hash of a node, for when the table grows.
    pub(super) fn add(&mut self, index: u32, hash: u32, hash_of: impl Fn(u32) -> u32) {
        if (self.used + 1) * 3 > self.slots.len() * 2 {
            let old = std::mem::take(&mut self.slots);
            self.slots = vec![EMPTY; old.len() * 2];
            for index in old.into_iter().filter(|&index| index != EMPTY) {
                self.put(index, hash_of(index));
            }
        }
        self.put(index, hash);
        self.used += 1;
    }

    /// Octets of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }

    fn put(&mut self, index: u32, hash: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_ignore_case_and_know_labels() {
        assert_eq!(hash(b"\x03wWw\x01a\0", 1), hash(b"\x03www\x01A\0", 1));
        assert_ne!(hash(b"\x01a\x01b\0", 1), hash(b"\x01b\x01a\0", 1));
        assert_ne!(hash(b"\x03a.b\0", 1), hash(b"\x01a\x01b\0", 1));
        assert_eq!(hash(b"\0", 1), ORIGIN);
        assert_eq!(extend(hash(b"\x01a\0", 1), b"\x01*"), hash(b"\x01*\x01a\0", 1));
    }

    #[test]
    fn a_growing_table_loses_nothing() {
        let hashes: Vec<u64> =
            (0..10_000_u32).map(|n| extend(ORIGIN, &[&[4][..], &n.to_be_bytes()].concat())).collect();
        let mut table = Table::with_room_for(0);
        for (index, &hash) in (0..).zip(&hashes) {
            assert_eq!(table.find(hash, |other| other == index), None);
            table.add(index, short(hash), |other| short(hashes[other as usize]));
        }
        for (index, &hash) in (0..).zip(&hashes) {
            assert_eq!(table.find(hash, |other| other == index), Some(index));
        }
    }
}
