//! A zone in the canonical order of names (RFC 4034 §6.1), as records and as master-file text, and what differs
//! between two zones.
//!
//! Within a name the SOA comes first, then the types by number; within a set the data by its octets (§6.3).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::compile::comparable;
use super::{Node, Zone};
use crate::dns::name::{labels, write_name};
use crate::dns::rdata::Shown;
use crate::dns::types::RecordType;

/// One record of a zone; shown as a line of a master file: `www.foobar.com. 300 IN A 127.0.0.1`.
#[derive(Debug, Clone, Copy)]
pub struct Line<'z> {
    /// Its owner, uncompressed.
    pub owner: &'z [u8],
    /// Its time to live, in seconds.
    pub ttl: u32,
    /// Its type.
    pub record_type: RecordType,
    /// Its data, uncompressed.
    pub data: &'z [u8],
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is gone.
    Removed,
    /// It is new.
    Added,
}

/// Every record of `zone` in canonical order.
pub fn lines(zone: &Zone) -> impl Iterator<Item = Line<'_>> {
    let mut nodes: Vec<Node<'_>> = zone.nodes().collect();
    nodes.sort_by_cached_key(|node| name_key(node.name()));
    nodes.into_iter().flat_map(|node| {
        let mut lines: Vec<Line<'_>> = lines_of(node).collect();
        lines.sort_by_cached_key(Line::key);
        lines
    })
}

/// Whether two zones have the same records. Nothing is sorted for it: it costs little for large zones.
pub fn are_same(one: &Zone, other: &Zone) -> bool {
    one.record_count() == other.record_count() && digest(one) == digest(other)
}

/// What leads from the zone `old` to `new`, in canonical order; for each record that changed, first what it was.
pub fn changes<'z>(old: &'z Zone, new: &'z Zone) -> impl Iterator<Item = (Change, Line<'z>)> {
    let (mut old, mut new) = (lines(old).peekable(), lines(new).peekable());
    // A record whose TTL changed is removed, then added.
    let mut then = None;
    std::iter::from_fn(move || {
        if let Some(line) = then.take() {
            return Some((Change::Added, line));
        }
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(old), Some(new)) => old.compare(new),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            match order {
                Ordering::Less => return old.next().map(|line| (Change::Removed, line)),
                Ordering::Greater => return new.next().map(|line| (Change::Added, line)),
                Ordering::Equal => {
                    let (was, is) = (old.next()?, new.next()?);
                    if was.ttl != is.ttl {
                        then = Some(is);
                        return Some((Change::Removed, was));
                    }
                }
            }
        }
    })
}

fn lines_of(node: Node<'_>) -> impl Iterator<Item = Line<'_>> {
    node.sets().flat_map(move |set| {
        let (owner, ttl, record_type) = (node.name(), set.ttl(), set.record_type());
        set.data().map(move |data| Line { owner, ttl, record_type, data })
    })
}

/// A sum over all records, whatever their order.
fn digest(zone: &Zone) -> u64 {
    let digest = |line: Line<'_>| {
        let mut hasher = DefaultHasher::new();
        (line.owner.to_ascii_lowercase(), line.ttl, line.key()).hash(&mut hasher);
        hasher.finish()
    };
    let nodes = zone.nodes.iter().map(|row| Node { zone, row });
    nodes.flat_map(lines_of).map(digest).fold(0, u64::wrapping_add)
}

/// Octets that order names canonically: the labels from the root, in lower case, a zero behind each; octets that
/// could be taken for that zero are written as two.
pub(super) fn name_key(name: &[u8]) -> Vec<u8> {
    let labels: Vec<&[u8]> = labels(name).collect();
    let mut key = Vec::with_capacity(name.len());
    for label in labels.into_iter().rev() {
        for octet in label {
            match octet {
                0 | 1 => key.extend([1, octet + 1]),
                _ => key.push(octet.to_ascii_lowercase()),
            }
        }
        key.push(0);
    }
    key
}

impl Line<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        name_key(self.owner).cmp(&name_key(other.owner)).then_with(|| self.key().cmp(&other.key()))
    }

    /// What orders the records of one name.
    fn key(&self) -> (bool, u16, Vec<u8>) {
        let is_soa = self.record_type == RecordType::SOA;
        (!is_soa, self.record_type.0, comparable(self.record_type, self.data))
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.owner)?;
        let data = Shown { record_type: self.record_type, data: self.data };
        write!(f, " {} IN {} {data}", self.ttl, self.record_type)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::dns::master::read_text;

    fn zone(text: impl fmt::Display) -> Zone {
        let origin = "example".parse().unwrap();
        let text = format!("$TTL 60\n{text}");
        Zone::compile(&origin, read_text(Path::new("z"), text.as_bytes(), &origin)).unwrap()
    }

    const HEAD: &str = "@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

    #[test]
    fn rfc4034_section_6_1_the_example() {
        let zone = zone(format!(
            "{HEAD}a TXT a\n\\200 TXT a\nz TXT a\n*.z TXT a\n\\001.z TXT a\nzABC.a.EXAMPLE. TXT a\nZ.a TXT a\nyljkjljk.a TXT a"
        ));
        let owners: Vec<String> = lines(&zone)
            .filter(|line| line.record_type == RecordType::TXT)
            .map(|line| line.to_string().split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            owners,
            [
                "a.example.",
                "yljkjljk.a.example.",
                "Z.a.example.",
                "zABC.a.EXAMPLE.",
                "z.example.",
                "\\001.z.example.",
                "*.z.example.",
                "\\200.example."
            ]
        );
        assert_eq!(
            lines(&zone).next().unwrap().to_string(),
            "example. 60 IN SOA ns.example. h.example. 1 2 3 4 5"
        );
    }

    #[test]
    fn names_are_ordered_octet_by_octet() {
        let names = [
            &b"\0"[..],
            b"\x01\0\0",
            b"\x02\0\0\0",
            b"\x02\0\x01\0",
            b"\x01\x01\0",
            b"\x01\x02\0",
            b"\x01A\0",
            b"\x01b\0",
        ];
        assert!(names.is_sorted_by(|one, other| name_key(one) < name_key(other)));
    }

    #[test]
    fn changes_are_what_was_removed_and_added() {
        let old = zone(format!("{HEAD}a A 192.0.2.2\nb A 192.0.2.3\nc 9 A 192.0.2.4\nd MX 1 ns"));
        let new = zone(format!("{HEAD}a A 192.0.2.2\nb A 192.0.2.5\nc 8 A 192.0.2.4\nd MX 1 NS"));
        let changes: Vec<String> =
            changes(&old, &new).map(|(change, line)| format!("{change:?} {line}")).collect();
        assert_eq!(
            changes,
            [
                "Removed b.example. 60 IN A 192.0.2.3",
                "Added b.example. 60 IN A 192.0.2.5",
                "Removed c.example. 9 IN A 192.0.2.4",
                "Added c.example. 8 IN A 192.0.2.4",
            ]
        );
        assert!(!are_same(&old, &new));
        let reordered = zone("d MX 1 NS\nc 9 A 192.0.2.4\nb A 192.0.2.3\nA A 192.0.2.2\n".to_owned() + HEAD);
        assert!(are_same(&old, &reordered));
    }
}
