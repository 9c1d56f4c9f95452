//! Which of several application servers gets the next request.
//!
//! Pure: time and the client's address come in, a number goes out. There is no chance in it: equals take turns, and a
//! client is always given to the same server by computing. The sockets are next door (`pool`, `upstream`).

mod health;
mod member;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sha1::{Digest, Sha1};

use health::{Health, Standing};

pub(super) use health::Change;
pub use member::Member;

/// Application servers at most.
pub(super) const MEMBERS_MOST: usize = 16;

/// How the next one is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Policy {
    /// In turn, each as often as its weight says, and not in bursts.
    #[default]
    RoundRobin,
    /// The one that has the fewest requests under way for its weight.
    LeastConnections,
    /// Always the same for a client's address; when it is out, only its own clients move (rendezvous hashing).
    Hash,
}

/// Those that one request has been given to already.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tried(u32);

/// All of them, and how they stand.
#[derive(Debug)]
pub(super) struct Balance {
    policy: Policy,
    members: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    /// What it has coming: smooth weighted round robin.
    due: i64,
    under_way: u32,
    requests: u64,
    failures: u64,
    health: Health,
    /// It gets nothing, whatever becomes of the others.
    rests: bool,
}

/// How one stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) member: Member,
    /// `in`, `out`, `on trial`, `fails checks` or `rests`.
    pub(super) state: &'static str,
    /// How much longer it is out, if that is known.
    pub(super) out: Option<Duration>,
    pub(super) under_way: u32,
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) failures_in_a_row: u32,
}

impl Tried {
    pub(super) fn add(&mut self, which: usize) {
        self.0 |= 1 << which;
    }

    fn has(self, which: usize) -> bool {
        self.0 >> which & 1 == 1
    }
}

impl Balance {
    /// Of `members`, [`MEMBERS_MOST`] of them at most.
    pub(super) fn new(members: &[Member], policy: Policy) -> Self {
        let entry = |&member| Entry {
            member,
            due: 0,
            under_way: 0,
            requests: 0,
            failures: 0,
            health: Health::default(),
            rests: false,
        };
        Self { policy, members: members.iter().take(MEMBERS_MOST).map(entry).collect() }
    }

    /// Who gets a request of `client`, that was not tried; it has it then, until it is released. Those that are out are
    /// asked when nobody else is left: better a late answer than none. Who rests is about to end.
    pub(super) fn choose(&mut self, now: Duration, client: IpAddr, tried: Tried) -> Option<usize> {
        let left: Vec<usize> = (0..self.members.len())
            .filter(|&which| !tried.has(which) && !self.members[which].rests)
            .collect();
        let fit: Vec<usize> =
            left.iter().copied().filter(|&which| self.members[which].health.is_fit(now)).collect();
        let among = if fit.is_empty() { left } else { fit };
        let which = match self.policy {
            Policy::RoundRobin => self.in_turn(&among),
            Policy::LeastConnections => self.in_turn(&self.least_busy(&among)),
            Policy::Hash => self.belonging(&among, client),
        }?;
        let entry = &mut self.members[which];
        entry.under_way += 1;
        entry.requests += 1;
        entry.health.asked();
        Some(which)
    }

    /// It has one request less; `is_known` is whether what became of it was told. Whether it rests and that was the last.
    pub(super) fn release(&mut self, which: usize, is_known: bool) -> bool {
        let Some(entry) = self.members.get_mut(which) else { return false };
        entry.under_way = entry.under_way.saturating_sub(1);
        if !is_known {
            entry.health.given_up();
        }
        entry.rests && entry.under_way == 0
    }

    /// Goes on where `former` ends, which has the same members but for `changed`: with what is known of the others, but for their
    /// requests, which are its own. Its clock is at the first of `clocks` when this one's is at the second.
    pub(super) fn follow(&mut self, former: &Self, changed: usize, clocks: (Duration, Duration)) {
        for (which, (entry, left)) in self.members.iter_mut().zip(&former.members).enumerate() {
            entry.due = left.due;
            if which != changed {
                entry.requests = left.requests;
                entry.failures = left.failures;
                entry.health = left.health.carried(clocks);
                entry.rests = left.rests;
            }
        }
    }

    /// The one at `address`, if that is a member, gets nothing any more, though nobody else is left.
    pub(super) fn leave(&mut self, address: SocketAddr) {
        let entries = self.members.iter_mut();
        entries.filter(|entry| entry.member.address == address).for_each(|entry| entry.rests = true);
    }

    /// It answered.
    pub(super) fn answered(&mut self, which: usize) -> Option<Change> {
        self.members.get_mut(which)?.health.answered()
    }

    /// It did not, by its own fault.
    pub(super) fn failed(&mut self, which: usize, now: Duration) -> Option<Change> {
        let entry = self.members.get_mut(which)?;
        entry.failures += 1;
        entry.health.failed(now)
    }

    /// A check of it came to its end.
    pub(super) fn checked(&mut self, which: usize, is_well: bool) -> Option<Change> {
        let entry = self.members.get_mut(which)?;
        if entry.rests { None } else { entry.health.checked(is_well) }
    }

    /// It answers when it is asked, and so nothing of what was before is held against it, unless it rests.
    pub(super) fn found_well(&mut self, which: usize) -> Option<Change> {
        let entry = self.members.get_mut(which).filter(|entry| !entry.rests)?;
        std::mem::take(&mut entry.health).was_out().then_some(Change::Back)
    }

    /// It gets no more requests; whether that can be, since another does.
    pub(super) fn rest(&mut self, which: usize, now: Duration) -> bool {
        let mut others = self.members.iter().enumerate().filter(|(other, _)| *other != which);
        let has_another = others.any(|(_, entry)| !entry.rests && entry.health.is_fit(now));
        if let Some(entry) = self.members.get_mut(which).filter(|_| has_another) {
            entry.rests = true;
        }
        has_another
    }

    /// It gets requests again, and nothing of what was before is held against it.
    pub(super) fn resume(&mut self, which: usize) {
        if let Some(entry) = self.members.get_mut(which) {
            entry.rests = false;
            entry.health = Health::default();
        }
    }

    /// How each stands.
    pub(super) fn list(&self, now: Duration) -> Vec<Told> {
        let told = |entry: &Entry| {
            let (state, out) = match entry.health.standing(now) {
                _ if entry.rests => ("rests", None),
                Standing::In => ("in", None),
                Standing::Out(left) => ("out", Some(left)),
                Standing::OnTrial => ("on trial", None),
                Standing::FailsChecks => ("fails checks", None),
            };
            Told {
                member: entry.member,
                state,
                out,
                under_way: entry.under_way,
                requests: entry.requests,
                failures: entry.failures,
                failures_in_a_row: entry.health.failures_in_a_row(),
            }
        };
        self.members.iter().map(told).collect()
    }

    /// Each gets what it is due by its weight; who is due most is next, and pays for it with what all got.
    fn in_turn(&mut self, among: &[usize]) -> Option<usize> {
        let mut all = 0;
        for &which in among {
            let entry = &mut self.members[which];
            entry.due += i64::from(entry.member.weight);
            all += i64::from(entry.member.weight);
        }
        // The first of equals.
        let next = among.iter().copied().rev().max_by_key(|&which| self.members[which].due)?;
        self.members[next].due -= all;
        Some(next)
    }

    fn least_busy(&self, among: &[usize]) -> Vec<usize> {
        // What it would have, for its weight: compared as fractions, without dividing.
        let compare = |&one: &usize, &other: &usize| {
            let [one, other] = [one, other].map(|which| &self.members[which]);
            let load =
                |entry: &Entry, by: &Entry| u64::from(entry.under_way + 1) * u64::from(by.member.weight);
            load(one, other).cmp(&load(other, one))
        };
        let Some(least) = among.iter().min_by(|one, other| compare(one, other)) else { return Vec::new() };
        among.iter().filter(|which| compare(which, least).is_eq()).copied().collect()
    }

    /// The one for which `client` scores highest: that changes for nobody else when one is added or taken away.
    fn belonging(&self, among: &[usize], client: IpAddr) -> Option<usize> {
        let score = |which: usize| {
            let Member { address, weight } = self.members[which].member;
            // Above 0 and below 1, evenly; the logarithm makes shares of it that are as the weights.
            #[expect(clippy::cast_precision_loss, reason = "53 bits are what the fraction has")]
            let fraction = ((mixed(client, address) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            -f64::from(weight) / fraction.ln()
        };
        among.iter().copied().max_by(|&one, &other| score(one).total_cmp(&score(other)))
    }
}

/// 64 bits that depend on both, the same on every machine and in every release.
fn mixed(client: IpAddr, address: SocketAddr) -> u64 {
    let digest = Sha1::digest(format!("{} {address}", client.to_canonical()));
    digest.iter().take(8).fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}
