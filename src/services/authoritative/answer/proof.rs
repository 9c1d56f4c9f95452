//! Which of a signed zone's NSEC or NSEC3 records prove what an answer says: that a name or a type is not there, or that
//! no name nearer than a wildcard is (RFC 4035 §3.1.3, RFC 5155 §7.2).
//!
//! The records are chosen here, and written with the answer's authority section.

use crate::dns::zone::denial::{Denial, Nsec3Chain};
use crate::dns::zone::{Node, Zone};

/// A label that begins a wildcard.
const ASTERISK: &[u8] = b"\x01*";

/// The nodes whose NSEC or NSEC3 records are the proof of an answer; each once. It allocates only for signed zones.
#[derive(Debug, Default)]
pub(super) struct Proof<'z> {
    nodes: Vec<Node<'z>>,
}

impl<'z> Proof<'z> {
    /// `name` exists, but not with the type asked for (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3, §7.2.4, §7.2.7).
    pub(super) fn no_data(&mut self, zone: &'z Zone, name: &[u8]) {
        match zone.denial() {
            Some(Denial::Nsec(chain)) => self.add(chain.at_or_before(name)),
            Some(Denial::Nsec3(chain)) => match chain.matching(name) {
                Some(node) => self.add(Some(node)),
                // An insecure delegation that was left out, or an empty name above it.
                None => {
                    self.closest_encloser(zone, chain, name);
                }
            },
            None => {}
        }
    }

    /// Neither `name` nor a wildcard for it exists (RFC 4035 §3.1.3.2, RFC 5155 §7.2.2).
    pub(super) fn no_name(&mut self, zone: &'z Zone, name: &[u8]) {
        match zone.denial() {
            Some(Denial::Nsec(chain)) => {
                self.add(chain.at_or_before(name));
                let wildcard = wildcard_below(suffix(name, zone.closest_encloser(name)));
                self.add(chain.at_or_before(&wildcard));
            }
            Some(Denial::Nsec3(chain)) => {
                let encloser = self.closest_encloser(zone, chain, name);
                self.add(chain.covering(&wildcard_below(encloser)));
            }
            None => {}
        }
    }

    /// A wildcard answers for `name`, since nothing nearer exists (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6).
    pub(super) fn expansion(&mut self, zone: &'z Zone, name: &[u8]) {
        match zone.denial() {
            Some(Denial::Nsec(chain)) => self.add(chain.at_or_before(name)),
            Some(Denial::Nsec3(chain)) => {
                let encloser = zone.closest_encloser(name);
                self.add(chain.covering(next_closer(name, encloser)));
            }
            None => {}
        }
    }

    /// The wildcard that answers for `name` has no data of the type asked for (RFC 4035 §3.1.3.4, RFC 5155 §7.2.5).
    pub(super) fn no_wildcard_data(&mut self, zone: &'z Zone, name: &[u8], wildcard: Node<'z>) {
        match zone.denial() {
            Some(Denial::Nsec(chain)) => {
                self.add(chain.at_or_before(name));
                self.add(chain.at_or_before(wildcard.name()));
            }
            Some(Denial::Nsec3(chain)) => {
                self.closest_encloser(zone, chain, name);
                self.add(chain.matching(wildcard.name()));
            }
            None => {}
        }
    }

    /// What was collected, to be written; nothing is left.
    pub(super) fn take(&mut self) -> Vec<Node<'z>> {
        std::mem::take(&mut self.nodes)
    }

    /// The proof that nothing is between a name that exists and `name` (RFC 5155 §7.2.1). The name that exists is the
    /// nearest that has an NSEC3: insecure delegations may have been left out.
    fn closest_encloser<'n>(&mut self, zone: &'z Zone, chain: Nsec3Chain<'z>, name: &'n [u8]) -> &'n [u8] {
        let mut encloser = suffix(name, zone.closest_encloser(name));
        if encloser.len() == name.len() {
            encloser = parent(encloser);
        }
        loop {
            if let Some(node) = chain.matching(encloser) {
                self.add(Some(node));
                break;
            }
            if encloser.len() <= zone.origin().as_wire().len() {
                break;
            }
            encloser = parent(encloser);
        }
        self.add(chain.covering(next_closer(name, encloser.len())));
        encloser
    }

    fn add(&mut self, node: Option<Node<'z>>) {
        let is_new = |node: &Node<'z>| !self.nodes.iter().any(|known| known.name() == node.name());
        if let Some(node) = node.filter(is_new) {
            self.nodes.push(node);
        }
    }
}

/// The last `length` octets of a name.
fn suffix(name: &[u8], length: usize) -> &[u8] {
    &name[name.len().saturating_sub(length)..]
}

/// The name above; the root is above itself.
fn parent(name: &[u8]) -> &[u8] {
    let length = name.first().map_or(0, |&length| usize::from(length));
    if length == 0 { name } else { &name[1 + length..] }
}

/// The name one label longer than the closest encloser of `name`, whose octets are the last `encloser` ones.
fn next_closer(name: &[u8], encloser: usize) -> &[u8] {
    let mut next = name;
    while parent(next).len() > encloser {
        next = parent(next);
    }
    next
}

fn wildcard_below(encloser: &[u8]) -> Vec<u8> {
    [ASTERISK, encloser].concat()
}
