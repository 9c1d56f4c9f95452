//! Response rate limiting: equal answers to one network are bounded, so that a server that is asked in a victim's
//! name does not flood the victim.
//!
//! UDP shows nobody's true address. Whoever writes a victim's into small questions has a server send large answers
//! there (reflection). As in BIND and NSD, answers of one kind to one network have an account: each answer takes one
//! from it, each second adds the limit. Where nothing is left, every second answer is sent cut and empty (TC), which
//! is no larger than its question: whoever really asked comes again by TCP, which cannot be forged; the others are
//! dropped.
//!
//! It is a function of what is asked and of the time that it is given. A table of fixed size holds the accounts; two
//! that meet in a place displace each other, which errs on the side of answering.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use crate::dns::message::HEADER;
use crate::dns::message::writer::Finished;
use crate::dns::name::Name;
use crate::dns::types::{Rcode, RecordType};

/// The highest limit, in answers a second.
pub(super) const MOST: u32 = 100_000;

/// Of the answers beyond the limit, every so many-th is sent, cut.
const SLIP: u32 = 2;

/// Accounts: 24 octets each.
const ACCOUNTS: usize = 1 << 14;

/// Thousandths of an answer: accounts are kept in these.
const ANSWER: i64 = 1000;

/// Whose answers are counted together (a network is as easily forged as an address).
const NETWORK_V4: u8 = 24;
const NETWORK_V6: u8 = 56;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is sent.
    Send,
    /// It is sent cut and empty.
    Cut,
    /// It is not sent; `first` if those before were within the limit.
    Drop { first: bool },
}

/// What makes answers equal.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// What a name, in lower case, has of a type.
    Records(Name, RecordType),
    /// What a wildcard made of any name below this one.
    Expanded(Name),
    /// That a zone has no such name or type, or that the name is beyond this cut.
    Nothing(Name),
    /// Any error.
    Error,
}

/// The accounts of a server.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: u32,
    accounts: Vec<Account>,
    /// So that nobody outside can say which accounts share a place.
    secret: u64,
    start: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// Whose it is, hashed; 0 if nobody's.
    owner: u64,
    /// When it was last used, in milliseconds since the start.
    at: u64,
    /// In thousandths of an answer; below 0 nothing is sent.
    balance: i32,
    /// Answers beyond the limit.
    beyond: u32,
}

impl RateLimit {
    /// At most `per_second` equal answers a second to one network, up to [`MOST`]; nothing, for no limit, if it is 0.
    /// `secret` is a random number.
    pub(super) fn new(per_second: u32, secret: u64, now: Instant) -> Option<Self> {
        let per_second = per_second.min(MOST);
        (per_second > 0).then(|| Self {
            per_second,
            accounts: vec![Account::default(); ACCOUNTS],
            secret,
            start: now,
        })
    }

    /// What becomes of an answer of this `kind` to `client`. A client whose address is `proven` (by a valid DNS
    /// cookie, RFC 7873 §5.2.3) is never limited.
    pub(super) fn judge(&mut self, client: IpAddr, kind: &Kind, proven: bool, now: Instant) -> Verdict {
        if proven {
            return Verdict::Send;
        }
        let mut hasher = DefaultHasher::new();
        (self.secret, Network::of(client), kind).hash(&mut hasher);
        let owner = hasher.finish().max(1);
        let at = u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX);
        let full = i64::from(self.per_second) * ANSWER;
        #[expect(clippy::cast_possible_truncation, reason = "the last bits are enough for a place")]
        let account = &mut self.accounts[owner as usize % ACCOUNTS];
        if account.owner != owner {
            *account = Account { owner, at, balance: i32::try_from(full).unwrap_or(i32::MAX), beyond: 0 };
        }
        let earned = at.saturating_sub(account.at).saturating_mul(u64::from(self.per_second));
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        // What was refused is charged as well, up to a second's worth: a flood gets nothing until it ends.
        let balance = i64::from(account.balance).saturating_add(earned).min(full) - ANSWER;
        account.at = at;
        account.balance = i32::try_from(balance.max(-full)).unwrap_or(i32::MIN);
        if balance >= 0 {
            account.beyond = 0;
            return Verdict::Send;
        }
        account.beyond = account.beyond.wrapping_add(1);
        match account.beyond {
            beyond if beyond.is_multiple_of(SLIP) => Verdict::Cut,
            beyond => Verdict::Drop { first: beyond == 1 },
        }
    }

    /// The limit.
    pub(super) fn per_second(&self) -> u32 {
        self.per_second
    }
}

impl Kind {
    /// Which kind of answer `reply` is, which became `finished`. Read from the answer itself, as whoever gets it does.
    pub(super) fn of(reply: &[u8], finished: Finished) -> Self {
        Self::read(reply, finished).unwrap_or(Self::Error)
    }

    fn read(reply: &[u8], finished: Finished) -> Option<Self> {
        let (record_type, _) = finished.asked?;
        let (name, after) = Name::read(reply, HEADER).ok()?;
        match finished.rcode {
            Rcode::NOERROR if finished.answers > 0 => {}
            Rcode::NOERROR | Rcode::NXDOMAIN => return first_authority(reply, after + 4).map(Self::Nothing),
            _ => return None,
        }
        Some(match finished.expanded {
            Some(length) => Self::Expanded(suffix(&name.to_lowercase(), usize::from(length))),
            None => Self::Records(name.to_lowercase(), record_type),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(name, record_type) => write!(f, "{name} {record_type}"),
            Self::Expanded(name) => write!(f, "what a wildcard makes below {name}"),
            Self::Nothing(name) => write!(f, "denials of {name} or referrals to it"),
            Self::Error => f.write_str("errors"),
        }
    }
}

/// Whose the first record of the authority section is: the zone's for a denial, the cut's for a referral.
fn first_authority(reply: &[u8], answers_at: usize) -> Option<Name> {
    let count = |at: usize| reply.get(at..at + 2)?.first_chunk().copied().map(u16::from_be_bytes);
    let mut at = answers_at;
    for _ in 0..count(6)? {
        let (_, after) = Name::read(reply, at).ok()?;
        at = after + 10 + usize::from(count(after + 8)?);
    }
    match count(8)? {
        0 => None,
        _ => Name::read(reply, at).ok().map(|(name, _)| name.to_lowercase()),
    }
}

/// The last `length` octets of `name`, which begin with a label.
fn suffix(name: &Name, length: usize) -> Name {
    let wire = name.as_wire();
    Name::from_valid(&wire[wire.len().saturating_sub(length)..])
}

/// The network of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let kept = u32::MAX << (32 - NETWORK_V4);
                Self { address: Ipv4Addr::from(u32::from(v4) & kept).into(), length: NETWORK_V4 }
            }
            IpAddr::V6(v6) => {
                let kept = u128::MAX << (128 - NETWORK_V6);
                Self { address: Ipv6Addr::from(u128::from(v6) & kept).into(), length: NETWORK_V6 }
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ground::clock;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));

    const SECRET: u64 = 7;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn www() -> Kind {
        Kind::Records(name("www.foobar.com"), RecordType::A)
    }

    #[test]
    fn nothing_is_limited_unless_it_is_asked_for() {
        assert!(RateLimit::new(0, SECRET, clock::now()).is_none());
    }

    #[test]
    fn beyond_the_limit_every_second_answer_is_cut_and_the_others_are_dropped() {
        let now = clock::now();
        let mut limit = RateLimit::new(3, SECRET, now).unwrap();
        let verdicts: Vec<Verdict> = (0..9).map(|_| limit.judge(CLIENT, &www(), false, now)).collect();
        use Verdict::{Cut, Send};
        let drop = |first| Verdict::Drop { first };
        let beyond = [drop(true), Cut, drop(false), Cut, drop(false), Cut];
        assert_eq!(verdicts, [[Send; 3].as_slice(), &beyond].concat());
    }

    #[test]
    fn accounts_fill_with_time_but_not_without_end() {
        let start = clock::now();
        let mut limit = RateLimit::new(10, SECRET, start).unwrap();
        let sent = |limit: &mut RateLimit, tries, millis| {
            let now = start + Duration::from_millis(millis);
            (0..tries).filter(|_| limit.judge(CLIENT, &www(), false, now) == Verdict::Send).count()
        };
        assert_eq!(sent(&mut limit, 10, 0), 10);
        assert_eq!(sent(&mut limit, 10, 100), 1, "a tenth of a second earns one");
        // What was refused counts: an account that owes a second's worth has nothing to give after a second.
        assert_eq!(sent(&mut limit, 100, 100), 0);
        assert_eq!(sent(&mut limit, 1, 1100), 0);
        assert_eq!(sent(&mut limit, 1000, 100_000), 10, "a pause earns no more than a second's worth");
        assert_eq!(sent(&mut limit, 1, 99_000), 0, "time does not run back");
    }

    #[test]
    fn others_are_not_limited_for_it() {
        const DROP: Verdict = Verdict::Drop { first: true };
        let now = clock::now();
        let mut limit = RateLimit::new(1, SECRET, now).unwrap();
        let mut judge =
            |client: &str, kind: &Kind, proven| limit.judge(client.parse().unwrap(), kind, proven, now);
        assert_eq!(judge("192.0.2.1", &www(), false), Verdict::Send);
        assert_eq!(judge("192.0.2.200", &www(), false), DROP, "the same network");
        assert_eq!(judge("192.0.2.1", &www(), true), Verdict::Send, "a proven address");
        assert_eq!(judge("192.0.3.1", &www(), false), Verdict::Send, "another network");
        let aaaa = Kind::Records(name("www.foobar.com"), RecordType::AAAA);
        assert_eq!(judge("192.0.2.1", &aaaa, false), Verdict::Send, "another type");
        assert_eq!(judge("192.0.2.1", &Kind::Nothing(name("foobar.com")), false), Verdict::Send);
        assert_eq!(judge("192.0.2.1", &Kind::Nothing(name("foobar.com")), false), DROP);
        assert_eq!(judge("192.0.2.1", &Kind::Nothing(name("com")), false), Verdict::Send, "another zone");
        assert_eq!(judge("2001:db8::1", &www(), false), Verdict::Send);
        assert_eq!(judge("2001:db8:0:ff::1", &www(), false), DROP, "the same /56");
        assert_eq!(judge("2001:db8:0:100::1", &www(), false), Verdict::Send);
        assert_eq!(judge("::ffff:192.0.2.7", &www(), false), Verdict::Cut, "the first network, mapped");
    }

    #[test]
    fn networks_are_written_as_people_do() {
        assert_eq!(Network::of(CLIENT).to_string(), "192.0.2.0/24");
        assert_eq!(Network::of("2001:db8:1:2ff::1".parse().unwrap()).to_string(), "2001:db8:1:200::/56");
    }
}
