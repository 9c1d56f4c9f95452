//! What is noted of one walk: its steps, the aliases on the way, and what was wrong with the servers that gave no answer.
//!
//! hickory's recursor forgets all of it: its error is that of the last question, without the address of the server.

use std::fmt;
use std::net::IpAddr;
use std::sync::Mutex;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::ground::chance;
use crate::ground::channel::WalkStep;

use super::Shared;
use super::cache::{Failure, rcode_name};

/// The extended error of a zone none of whose servers answers (RFC 8914 §4.23).
pub(super) const EDE_NO_REACHABLE_AUTHORITY: u16 = 22;

/// Steps, aliases, referrals and servers that are noted of one walk, at most.
const NOTED_MOST: usize = 64;

/// Servers that a failure names: its text goes into a datagram.
const NAMED_MOST: usize = 3;

tokio::task_local! {
    /// The notes of the walk that the running task is on.
    pub(super) static TRACE: Trace;
}

pub(super) type Trace = Shared<Mutex<Notes>>;

#[derive(Default)]
pub(super) struct Notes {
    /// What the walk is told as.
    pub(super) walk: WalkId,
    pub(super) steps: Vec<WalkStep>,
    /// Aliases that name servers told of: hickory keeps none of them when the chain ends in nothing.
    pub(super) aliases: Vec<Record>,
    /// What was referred to in this round, and by whom.
    referrals: Vec<(IpAddr, Name)>,
    /// What each server did last instead of answering, in this round.
    troubles: Vec<(IpAddr, Trouble)>,
}

/// Ties what is told of one walk together: 16 hexadecimal digits.
#[derive(Debug, Clone)]
pub(super) struct WalkId(Shared<str>);

impl Default for WalkId {
    /// A new one.
    fn default() -> Self {
        Self(format!("{:016x}", chance::random_u64()).into())
    }
}

impl WalkId {
    /// Its digits.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a server did instead of answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing was heard of it in time.
    Silent,
    /// Its host says that no program listens at the port.
    NobodyListens,
    /// The operating system could not send or receive, for this reason.
    Unreachable(String),
    /// It does not serve the zone that it is asked for (RFC 1912 §2.8): what it said, and about which name.
    Lame(String, Name),
    /// A delegation names it, but it is none of the lab's.
    Outside,
}

impl Notes {
    /// Of a walk that has not begun, and is told as `walk`.
    pub(super) fn of(walk: WalkId) -> Self {
        Self { walk, ..Self::default() }
    }

    /// The recursor is about to begin, or to begin again.
    pub(super) fn begin_round(&mut self) {
        self.referrals.clear();
        self.troubles.clear();
    }

    pub(super) fn note<'a>(&mut self, step: WalkStep, answers: impl Iterator<Item = &'a Record>) {
        if self.steps.len() >= NOTED_MOST {
            return;
        }
        self.steps.push(step);
        let alias = |record: &&Record| matches!(record.record_type(), RecordType::CNAME | RecordType::DNAME);
        let room = NOTED_MOST.saturating_sub(self.aliases.len());
        self.aliases.extend(answers.filter(alias).take(room).cloned());
    }

    /// What makes `message`, which `server` said of `name`, none that leads on; nothing if it does.
    pub(super) fn judge(&mut self, server: IpAddr, name: &Name, message: &Message) -> Option<Trouble> {
        let lame = |said: String| Some(Trouble::Lame(said, name.clone()));
        let rcode = message.metadata.response_code;
        match rcode {
            ResponseCode::Refused
            | ResponseCode::ServFail
            | ResponseCode::NotAuth
            | ResponseCode::NotImp
            | ResponseCode::FormErr => return lame(rcode_name(rcode)),
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            _ => return None,
        }
        if message.metadata.authoritative || message.metadata.truncation || !message.answers.is_empty() {
            return None;
        }
        let delegated = message.authorities.iter().find(|record| record.record_type() == RecordType::NS);
        match delegated.map(|record| &record.name) {
            None => lame("no authority".into()),
            Some(cut) if !cut.zone_of(name) => lame(format!("referral elsewhere, to {cut}")),
            Some(cut) if self.referrals.iter().any(|(_, there)| there == cut) => {
                lame(format!("referral to {cut} again"))
            }
            Some(cut) => {
                if self.referrals.len() < NOTED_MOST {
                    self.referrals.push((server, cut.clone()));
                }
                None
            }
        }
    }

    /// Notes what `server` did instead of answering.
    pub(super) fn blame(&mut self, server: IpAddr, trouble: Trouble) {
        self.absolve(server);
        if self.troubles.len() < NOTED_MOST {
            self.troubles.push((server, trouble));
        }
    }

    /// `server` has answered.
    pub(super) fn absolve(&mut self, server: IpAddr) {
        self.troubles.retain(|(there, _)| *there != server);
    }

    /// Blames whoever gave the last referral: it leads nowhere.
    pub(super) fn blame_last_referral(&mut self) {
        if let Some((server, cut)) = self.referrals.last().cloned() {
            self.blame(server, Trouble::Lame(format!("referral to {cut} again"), cut));
        }
    }

    /// Whether all that is wrong is that nothing was heard: then there is a point in asking again.
    pub(super) fn is_all_silence(&self) -> bool {
        !self.troubles.is_empty() && self.troubles.iter().all(|(_, trouble)| *trouble == Trouble::Silent)
    }

    /// The failure, if servers are to be blamed for it.
    pub(super) fn failure(&self) -> Option<Failure> {
        let (named, more) = self.troubles.split_at(self.troubles.len().min(NAMED_MOST));
        let named: Vec<_> = named.iter().map(|(server, trouble)| trouble.of(*server)).collect();
        let more = if more.is_empty() { String::new() } else { format!("; and {} more", more.len()) };
        let text = format!("no name server answered: {}{more}", named.join("; "));
        (!named.is_empty()).then_some(Failure { code: EDE_NO_REACHABLE_AUTHORITY, text })
    }
}

impl Trouble {
    /// The trouble with `server`, in words.
    fn of(&self, server: IpAddr) -> String {
        match self {
            Self::Silent => format!("{server} is silent"),
            Self::NobodyListens => format!("nobody listens at {server}"),
            Self::Unreachable(why) => format!("{server} cannot be reached ({why})"),
            Self::Lame(said, name) => format!("{server} does not serve {name} ({said})"),
            Self::Outside => format!("{server} is not a name server of this lab"),
        }
    }
}

impl fmt::Display for Trouble {
    /// What came back, in a few words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "no answer in time",
            Self::NobodyListens => "nobody listens",
            Self::Unreachable(said) | Self::Lame(said, _) => said,
            Self::Outside => "not of this lab",
        })
    }
}

/// The aliases that lead from `name` to a name that is not there (RFC 2308 §2.1, RFC 6604), each with the DNAME that it was
/// made from (RFC 6672 §3.1).
pub(super) fn chain(name: &Name, aliases: &[Record]) -> Vec<Record> {
    let mut chain: Vec<Record> = Vec::new();
    let mut name = name;
    let of_name = |name: &Name| {
        aliases.iter().find(|alias| alias.name == *name && alias.record_type() == RecordType::CNAME)
    };
    while let Some(alias) = of_name(name)
        && !chain.contains(alias)
        && let RData::CNAME(target) = &alias.data
    {
        let renames = |record: &&Record| {
            record.record_type() == RecordType::DNAME && record.name != *name && record.name.zone_of(name)
        };
        if let Some(rename) = aliases.iter().find(renames).filter(|rename| !chain.contains(rename)) {
            chain.push(rename.clone());
        }
        chain.push(alias.clone());
        name = &target.0;
    }
    chain
}
