//! What agreement is: part by part of an answer, ours is what the three agree on.

use std::collections::BTreeMap;
use std::time::Duration;

use wwwlab::dns::name::Name;
use wwwlab::dns::types::RecordType;

use super::ask::{Answer, Question, ask};
use super::differences::{DIFFERENCES, aliases};
use super::server::{Kind, Server};
use super::worlds::World;

/// How long an answer may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);

/// Differences that a failing test shows.
const SHOWN_MOST: usize = 60;

/// The four servers with the same zones, and what to ask them.
pub(crate) struct Bench<'w> {
    world: &'w World,
    peers: [Server; 3],
    ours: Server,
}

/// One question with its answers.
pub(crate) struct Case {
    pub(crate) question: Question,
    origins: Vec<Name>,
    pub(crate) ours: Answer,
    pub(crate) bind: Answer,
    pub(crate) nsd: Answer,
    pub(crate) knot: Answer,
}

/// A part of an answer that is compared for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Rcode,
    Authoritative,
    Truncated,
    Answer,
    Authority,
    /// The additional section of a referral; elsewhere it is a courtesy.
    Glue,
}

impl<'w> Bench<'w> {
    pub(crate) fn start(world: &'w World) -> Self {
        Self {
            world,
            peers: Kind::PEERS.map(|kind| Server::start(kind, world)),
            ours: Server::start(Kind::Wwwlab, world),
        }
    }

    /// Asks every question; fails with all that no listed difference explains.
    #[track_caller]
    pub(crate) fn judge(&self) {
        let mut unexplained = Vec::new();
        let mut used = BTreeMap::new();
        for question in &self.world.questions {
            let case = self.ask(question);
            assert!(!case.ours.doubled, "a record stands twice in {}", case.ours);
            for part in Part::ALL {
                match case.verdict(part) {
                    Verdict::Agreed => {}
                    Verdict::Listed(why) => *used.entry(why).or_insert(0) += 1,
                    Verdict::Unexplained => unexplained.push(case.show(part)),
                }
            }
        }
        assert!(!self.world.questions.is_empty());
        eprintln!("{}: {} questions", self.world.name, self.world.questions.len());
        for (why, count) in used {
            eprintln!("  {count} differ: {why}");
        }
        assert!(
            unexplained.is_empty(),
            "{}: {} differences that are not listed:\n{}\n{}",
            self.world.name,
            unexplained.len(),
            unexplained[..unexplained.len().min(SHOWN_MOST)].join("\n"),
            self.world
        );
    }

    fn ask(&self, question: &Question) -> Case {
        let ask = |server: &Server| {
            ask(server.address, question, PATIENCE)
                .unwrap_or_else(|error| panic!("{} does not answer {question}: {error}", server.kind.name()))
        };
        let [bind, nsd, knot] = self.peers.each_ref().map(ask);
        let origins = self.world.zones.iter().map(|(origin, _)| origin.parse().unwrap()).collect();
        Case { question: question.clone(), origins, ours: ask(&self.ours), bind, nsd, knot }
    }
}

enum Verdict {
    Agreed,
    Listed(&'static str),
    Unexplained,
}

impl Case {
    pub(crate) fn peers(&self) -> [&Answer; 3] {
        [&self.bind, &self.nsd, &self.knot]
    }

    /// Whether our chain of aliases goes on in another zone than the question's.
    pub(crate) fn leaves_its_zone(&self) -> bool {
        let first = self.zone_of(&self.question.name);
        aliases(&self.ours).any(|(_, target)| {
            let target: Name = target.parse().unwrap();
            let zone = self.zone_of(&target);
            // The DS of a zone that an alias points to is of the zone above (RFC 4035 §3.1.4.1).
            let above = self.question.record_type == RecordType::DS && zone == Some(&target);
            zone.is_some() && (zone != first || above)
        })
    }

    fn zone_of(&self, name: &Name) -> Option<&Name> {
        let above = self.origins.iter().filter(|origin| name.is_subdomain_of(origin));
        above.max_by_key(|origin| origin.label_count())
    }

    fn verdict(&self, part: Part) -> Verdict {
        // What a cut answer has besides is not to be used (RFC 2181 §9).
        if part.is_section() && self.ours.tc && self.peers().iter().any(|answer| answer.tc) {
            return Verdict::Agreed;
        }
        if self.peers().iter().all(|peer| part.equal(peer, &self.ours)) {
            return Verdict::Agreed;
        }
        let three_agree =
            self.peers().iter().all(|one| self.peers().iter().all(|other| part.equal(one, other)));
        let listed = DIFFERENCES
            .iter()
            .find(|difference| difference.parts.contains(&part) && (difference.explains)(self, part));
        match listed {
            // Nothing excuses us where the three agree.
            Some(difference) if !three_agree => Verdict::Listed(difference.why),
            _ => Verdict::Unexplained,
        }
    }

    fn show(&self, part: Part) -> String {
        let mut text = format!("- {part:?} of {}", self.question);
        for (name, answer) in
            [("ours", &self.ours), ("BIND", &self.bind), ("NSD", &self.nsd), ("Knot", &self.knot)]
        {
            text.push_str(&format!("\n    {name}: {answer}"));
        }
        text
    }
}

impl Part {
    const ALL: [Self; 6] =
        [Self::Rcode, Self::Authoritative, Self::Truncated, Self::Answer, Self::Authority, Self::Glue];

    fn is_section(self) -> bool {
        matches!(self, Self::Answer | Self::Authority | Self::Glue)
    }

    /// Whether two answers are the same in this part.
    pub(crate) fn equal(self, one: &Answer, other: &Answer) -> bool {
        match self {
            Self::Rcode => one.rcode == other.rcode,
            Self::Authoritative => one.aa == other.aa,
            Self::Truncated => one.tc == other.tc,
            Self::Answer => one.answer == other.answer,
            Self::Authority => one.authority == other.authority,
            Self::Glue if one.refers() && other.refers() => one.additional == other.additional,
            Self::Glue => true,
        }
    }
}
